-- calendar: the range of a view in the organisation's timezone, with bookings, blocks and free time; then only what changed.
begin;
select plan(49);
select tests.open_studio();
create function pg_temp.ids(p_answer jsonb, p_key text default 'bookings') returns text language sql as $$
  select coalesce(string_agg((select n.name from tests.names as n where n.id = (e ->> 'id')::uuid), ' ' order by e ->> 'start_time'), '') from jsonb_array_elements(p_answer -> p_key) as e $$;
grant execute on function pg_temp.ids(jsonb, text) to public;
select tests.make_booking('early', null, tests.at(8, '00:00')), tests.make_booking('late', null, tests.at(8, '23:30')), tests.make_booking('before', null, tests.at(7, '22:00')),
       tests.make_booking('after', null, tests.at(9, '00:30')), tests.make_booking('gone', null, tests.at(8, '12:00'), 'cancelled');
insert into public.blocked_times (org_id, date, start_time, end_time, reason) values (:'kilo', tests.day(8), '10:00', '10:30', 'Dentist');
insert into public.blocked_times (org_id, staff_id, day_of_week, start_time, end_time) values (:'kilo', tests.id('second'), extract(dow from tests.day(8)), '11:00', '12:00');

select tests.sign_in('coach@kilo.example');
select calendar(:'kilo', 'day', tests.day(8)) as day \gset
select is((:'day'::jsonb ->> 'from_on', :'day'::jsonb ->> 'until_on', (:'day'::jsonb ->> 'from')::timestamptz, (:'day'::jsonb ->> 'until')::timestamptz, :'day'::jsonb ->> 'timezone')::text,
          (tests.day(8)::text, tests.day(8)::text, tests.at(8, '00:00'), tests.at(9, '00:00'), 'Australia/Brisbane')::text, 'a day is the organisation''s');
select is(pg_temp.ids(:'day'), 'early gone late', 'with what lies in it, cancelled too, also what runs past its end');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(9))), 'late after', 'and what runs into it');
select is((b ->> 'client_name', b ->> 'local_start', b ->> 'local_end', b ->> 'status')::text, format('("Client of Kilo",%sT00:00,%1$sT01:00,confirmed)', tests.day(8)), 'a booking as the calendar shows it')
  from jsonb_array_elements(:'day'::jsonb -> 'bookings') as b limit 1;
select is((select string_agg(concat_ws(' ', b ->> 'reason', to_char((b ->> 'start_time')::timestamptz at time zone 'Australia/Brisbane', 'HH24:MI'),
                                       case when b ->> 'staff_id' is null then 'all' else 'one' end), ', ' order by b ->> 'start_time') from jsonb_array_elements(:'day'::jsonb -> 'blocks') as b),
          'Dentist 10:00 all, 11:00 one', 'the blocks, of everyone and of one');
select is((select string_agg(to_char((f ->> 'start_time')::timestamptz at time zone 'Australia/Brisbane', 'HH24:MI') || to_char((f ->> 'end_time')::timestamptz at time zone 'Australia/Brisbane', '-HH24:MI'), ' ' order by f ->> 'start_time')
             from jsonb_array_elements(:'day'::jsonb -> 'free') as f where f ->> 'staff_id' = tests.id('second')::text), '09:00-10:00 10:30-11:00', 'and what is free, of each');
select calendar(:'kilo', 'day', tests.day(8), tests.id('second')) as seconds \gset
select is(pg_temp.ids(:'seconds'), '', 'one staff member''s bookings');
select is((jsonb_array_length(:'seconds'::jsonb -> 'blocks'), jsonb_array_length(:'seconds'::jsonb -> 'free'))::text, '(2,2)', 'blocks and free time');
select is(jsonb_array_length(calendar(:'kilo', 'day', tests.day(8), tests.id('staff')) -> 'blocks'), 1, 'without what blocks another alone');
select is(calendar(:'kilo', 'day') ->> 'from_on', tests.day(0)::text, 'without a date it is today');

-- Ranges of the views, on odd days.
create function pg_temp.range(p_zone text, p_view text, p_on date) returns text language plpgsql as $$
declare
  v_answer jsonb;
begin
  update public.booking_settings set timezone = p_zone where org_id = tests.id('kilo');
  v_answer := private.calendar(tests.id('kilo'), p_view, p_on, null, null);
  return format('%s %s %s %s', right(v_answer ->> 'from_on', 5), right(v_answer ->> 'until_on', 5), to_char((v_answer ->> 'from')::timestamptz at time zone 'UTC', 'DD HH24:MI'),
                to_char((v_answer ->> 'until')::timestamptz at time zone 'UTC', 'DD HH24:MI'));
end;
$$;
select tests.as_owner();
select is(pg_temp.range(t.zone, t.view, t.on_date), t.wanted, format('%s, the %s of %s', t.zone, t.view, t.on_date)) from (values
  ('America/New_York', 'day', '2026-03-08'::date, '03-08 03-08 08 05:00 09 04:00'), ('America/New_York', 'day', '2026-11-01', '11-01 11-01 01 04:00 02 05:00'),
  ('America/New_York', 'week', '2026-11-01', '10-26 11-01 26 04:00 02 05:00'), ('America/New_York', 'week', '2026-11-02', '11-02 11-08 02 05:00 09 05:00'),
  ('America/New_York', 'month', '2026-03-31', '03-01 03-31 01 05:00 01 04:00'), ('America/Santiago', 'day', '2026-09-06', '09-06 09-06 06 04:00 07 03:00'),
  ('America/Santiago', 'week', '2026-09-06', '08-31 09-06 31 04:00 07 03:00'), ('America/Santiago', 'week', '2026-09-07', '09-07 09-13 07 03:00 14 03:00'),
  ('America/Santiago', 'month', '2026-09-15', '09-01 09-30 01 04:00 01 03:00'), ('Australia/Lord_Howe', 'day', '2026-10-04', '10-04 10-04 03 13:30 04 13:00'),
  ('Australia/Lord_Howe', 'month', '2026-04-30', '04-01 04-30 31 13:00 30 13:30'), ('Asia/Kathmandu', 'day', '2026-06-01', '06-01 06-01 31 18:15 01 18:15'),
  ('Asia/Kathmandu', 'month', '2028-02-29', '02-01 02-29 31 18:15 29 18:15'), ('Australia/Brisbane', 'week', '2026-12-31', '12-28 01-03 27 14:00 03 14:00'))
    as t (zone, view, on_date, wanted);
update public.booking_settings set timezone = 'America/New_York' where org_id = :'kilo';
select tests.make_booking('fold_one', null, '2026-11-01 05:30+00'), tests.make_booking('fold_two', null, '2026-11-01 06:30+00');
select is((select string_agg(concat_ws(' ', b ->> 'local_start', b ->> 'local_end'), ', ' order by n) from jsonb_array_elements(c -> 'bookings') with ordinality as x (b, n)),
          '2026-11-01T01:30 2026-11-01T01:30, 2026-11-01T01:30 2026-11-01T02:30', 'in the fold two bookings show one wall time, in their order')
  from private.calendar(:'kilo', 'day', '2026-11-01', null, null) as c;
update public.booking_settings set timezone = 'Australia/Brisbane' where org_id = :'kilo';

-- Only what changed. The clock of one transaction stands still, so the past is written by hand.
alter table public.bookings disable trigger bookings__touch;
update public.bookings set updated_at = now() - interval '1 hour' where org_id = :'kilo';
alter table public.bookings enable trigger bookings__touch;
update private.calendar_changes set changed_at = now() - interval '1 hour';
select tests.sign_in('coach@kilo.example');
select (calendar(:'kilo', 'day', tests.day(8)) ->> 'as_of')::timestamptz as as_of \gset
select ok(:'as_of'::timestamptz between now() - interval '10 seconds' and now(), 'as_of lies a little back, so that what is being committed is not missed');
select is(calendar(:'kilo', 'day', tests.day(8), null, :'as_of') - '{view,from_on,until_on,from,until,timezone,as_of}'::text[], '{"bookings": [], "left": []}', 'nothing changed');
update public.bookings set notes = 'Knee' where id = tests.id('early');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(8), null, :'as_of')), 'early', 'what changed comes');
update public.bookings set status = 'cancelled' where id = tests.id('late');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(8), null, :'as_of')), 'early late', 'what was cancelled too');
update public.bookings set start_time = tests.at(10, '09:00'), end_time = tests.at(10, '10:00') where id = tests.id('early');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(8), null, :'as_of')), 'late', 'what moved away comes no more');
select is(calendar(:'kilo', 'day', tests.day(8), null, :'as_of') -> 'left', to_jsonb(array[tests.id('early')]), 'but is named as having left');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(10), null, :'as_of')), 'early', 'and comes where it went');
select is(calendar(:'kilo', 'month', tests.day(8), null, now()) -> 'left', '[]', 'what changed before is not said again');
select tests.as_owner();
update public.bookings set staff_id = tests.id('second') where id = tests.id('after');
select tests.sign_in('coach@kilo.example');
select is(calendar(:'kilo', 'day', tests.day(9), tests.id('staff'), :'as_of') -> 'left' ? tests.id('after')::text, true, 'what went to another has left this one''s');
select is(pg_temp.ids(calendar(:'kilo', 'day', tests.day(9), tests.id('second'), :'as_of')), 'after', 'and comes to that one''s');
-- A booking is only ever deleted with its client.
select tests.as_owner();
delete from public.bookings where id = tests.id('gone');
select tests.sign_in('coach@kilo.example');
select is(calendar(:'kilo', 'day', tests.day(8), null, :'as_of') -> 'left' ? tests.id('gone')::text, true, 'what was deleted is named as well');
select is(calendar(:'kilo', 'day', tests.day(8), tests.id('staff'), :'as_of') -> 'left' ? tests.id('gone')::text, true, 'also where one staff member is shown');

-- Refusals.
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select calendar(tests.id('kilo'), 'year') $$, 422, 'value_not_allowed', 'there is no view of a year'),
  ($$ select calendar(tests.id('kilo'), null) $$, 422, 'value_not_allowed', 'nor none'),
  ($$ select calendar(tests.id('kilo'), 'day', 'infinity') $$, 422, 'value_not_allowed', 'nor a day that never comes'),
  ($$ select calendar(tests.id('kilo'), 'day', '1900-01-01') $$, 422, 'value_not_allowed', 'nor one long past'),
  ($$ select calendar(tests.id('kilo'), 'day', null, gen_random_uuid()) $$, 404, 'staff_not_found', 'unknown staff do not exist')) as t (call, status, slug, title);
select tests.sign_in('accountant@kilo.example');
select lives_ok($$ select calendar(tests.id('kilo'), 'week') $$, 'whoever may read bookings reads the calendar');
select tests.as_owner();
delete from public.role_permissions where role = 'accountant_readonly' and permission = 'bookings.read';
select tests.only_for_members($$ select calendar(tests.id('kilo'), 'week') $$, 'org_not_found', 'accountant@kilo.example', 'calendar');

select * from finish();
rollback;
