-- book_series, move_series, end_series: one local time, week after week; each date is a booking of its own, and says what became of it.
begin;
select plan(82);
select tests.open_studio();
select tests.make_package('pack', 3);
create function pg_temp.outcomes(p_answer jsonb) returns text language sql as $$
  select string_agg(d ->> 'outcome', ' ' order by n) from jsonb_array_elements(p_answer -> 'dates') with ordinality as x (d, n) $$;
create function pg_temp.series(p_days integer, p_time time default '09:00', p_weeks integer default 1, p_count integer default 3, p_is_partial boolean default true,
                               p_package uuid default null, p_client text default 'kilo_client', p_request_id uuid default null) returns jsonb language sql as $$
  select book_series(tests.id('kilo'), tests.id(p_client), tests.day(p_days), p_time, p_weeks, p_count, tests.id('pt'), tests.id('staff'), null, p_package, null, p_is_partial, p_request_id) $$;
grant execute on function pg_temp.outcomes(jsonb), pg_temp.series(integer, time, integer, integer, boolean, uuid, text, uuid) to public;

select tests.sign_in('coach@kilo.example');
select pg_temp.series(8) as weekly \gset
select is((:'weekly'::jsonb ->> 'outcome', pg_temp.outcomes(:'weekly'))::text, '(booked,"booked booked booked")', 'a weekly series is booked');
select tests.remember('series', (:'weekly'::jsonb ->> 'series_id')::uuid);
select results_eq($$ select start_time from public.bookings where series_id = tests.id('series') order by 1 $$,
                  $$ values (tests.at(8, '09:00')), (tests.at(15, '09:00')), (tests.at(22, '09:00')) $$, 'each date is a booking, a week apart');
select is((:'weekly'::jsonb #>> '{dates,1,on}')::date, tests.day(15), 'each date is named');
select is(:'weekly'::jsonb #>> '{dates,1,booking_id}', id::text, 'with its booking') from public.bookings where start_time = tests.at(15, '09:00');
select is((interval_weeks, client_id, created_by)::text, (1, tests.id('kilo_client'), tests.id('kilo_owner'))::text, 'the series says whose it is')
  from public.booking_series where id = tests.id('series');
select results_eq(format($$ select (d ->> 'on')::date from jsonb_array_elements(%L::jsonb -> 'dates') as d order by 1 $$, pg_temp.series(9, '11:00', 2)),
                  $$ values (tests.day(9)), (tests.day(23)), (tests.day(37)) $$, 'a fortnightly one every other week');

-- Clashes.
select pg_temp.series(8, '09:30', 1, 4) as partial \gset
select is((:'partial'::jsonb ->> 'outcome', pg_temp.outcomes(:'partial'))::text, '(booked,"taken taken taken booked")', 'what is free is booked, what clashes is said');
select ok(jsonb_array_length(:'partial'::jsonb #> '{dates,0,alternatives}') > 0, 'with alternatives for each');
select count(*) as before from public.bookings \gset
select count(*) as series_before from public.booking_series \gset
select pg_temp.series(8, '10:00', 1, 4, false) as whole \gset
select is((:'whole'::jsonb ->> 'outcome', pg_temp.outcomes(:'whole'))::text, '(clashes,"free free free taken")', 'all or nothing: one clash is enough');
select ok(not :'whole'::jsonb ? 'series_id' and not :'whole'::jsonb #> '{dates,0}' ? 'booking_id', 'then there is neither series nor booking');
select is(pg_temp.series(8, '09:00', 1, 3) ->> 'outcome', 'clashes', 'where every date clashes nothing is booked either');
select is(pg_temp.outcomes(pg_temp.series(10, '08:00')), 'unavailable unavailable unavailable', 'nor where none was ever on offer');
select is((select count(*) from public.bookings), :before::bigint, 'no booking is left') union all
select is((select count(*) from public.booking_series), :series_before::bigint, 'and no series');

-- From a package.
select is(pg_temp.outcomes(pg_temp.series(11, '09:00', 1, 4, true, tests.id('pack'))), 'booked booked booked package_exhausted', 'a package pays for as many as it has');
select is(bookable_sessions_remaining(tests.id('pack')), 0, 'which it then holds');
select tests.refuses($$ select pg_temp.series(11, '10:00', p_package => tests.id('lima_package')) $$, 404, 'purchase_not_found', 'another''s package does not');

-- A request id.
select tests.remember('click', gen_random_uuid());
select pg_temp.series(12, '09:00', p_request_id => tests.id('click')) as first \gset
select is(pg_temp.series(12, '09:00', p_request_id => tests.id('click')), :'first'::jsonb, 'the same request books once and answers the same');
select is(count(*), 3::bigint, 'three bookings') from public.bookings where series_id = (:'first'::jsonb ->> 'series_id')::uuid;
select tests.refuses($$ select pg_temp.series(12, '10:00', p_client => 'ann', p_request_id => tests.id('click')) $$, 409, 'request_reused', 'another client''s series needs another');
select tests.remember('partly', gen_random_uuid());
select pg_temp.series(5, '09:00', 1, 3, p_client => 'ann', p_request_id => tests.id('partly')) as partly \gset
select is(pg_temp.outcomes(:'partly'), 'booked taken taken', 'a request of which some dates clash');
select is((a ->> 'series_id', pg_temp.outcomes(a), a #>> '{dates,1,on}')::text, (:'partly'::jsonb ->> 'series_id', 'booked taken taken', tests.day(12))::text, 'is told so again')
  from pg_temp.series(5, '09:00', 1, 3, p_client => 'ann', p_request_id => tests.id('partly')) as a;
select tests.remember('vain', gen_random_uuid());
select is(pg_temp.series(12, '09:00', p_request_id => tests.id('vain')) ->> 'outcome', 'clashes', 'a request that booked nothing') union all
select is(pg_temp.series(12, '10:00', p_request_id => tests.id('vain')) ->> 'outcome', 'booked', 'may be made again');
select tests.calendar_holds('nothing overlaps');

-- Across DST the wall time stays.
create function pg_temp.dst(p_zone text, p_from date, p_time time) returns text language plpgsql as $$
declare
  v_answer jsonb;
begin
  update public.booking_settings set timezone = p_zone where org_id = tests.id('kilo');
  delete from public.availability where org_id = tests.id('kilo');
  insert into public.availability (org_id, day_of_week, start_time, end_time) select tests.id('kilo'), d, '00:00', '24:00' from generate_series(0, 6) as d;
  v_answer := private.book_series(tests.id('kilo'), tests.id('ann'), tests.id('pt'), p_from, p_time, 1, 3, null, tests.id('second'), null, null, false, null, null,
                                  p_from::timestamptz - interval '3 days');
  return (select string_agg(to_char((d ->> 'start_time')::timestamptz at time zone p_zone, 'HH24:MI') || to_char((d ->> 'start_time')::timestamptz at time zone 'UTC', '=HH24:MI'), ' ' order by n)
            from jsonb_array_elements(v_answer -> 'dates') with ordinality as x (d, n));
end;
$$;
select is(pg_temp.dst(t.zone, t.from_on, t.at), t.wanted, t.title) from (values
  ('America/New_York', '2027-03-07'::date, '18:00'::time, '18:00=23:00 18:00=22:00 18:00=22:00', 'New York, into summer'),
  ('America/New_York', '2027-10-31', '18:00', '18:00=22:00 18:00=23:00 18:00=23:00', 'and out of it'),
  ('America/New_York', '2028-03-05', '02:30', '02:30=07:30 03:30=07:30 02:30=06:30', 'a date in the gap moves forward, the others do not'),
  ('America/New_York', '2028-10-29', '01:30', '01:30=05:30 01:30=05:30 01:30=06:30', 'one in the fold is the first'),
  ('America/Santiago', '2027-08-29', '00:00', '00:00=04:00 01:00=04:00 00:00=03:00', 'Santiago''s missing midnight is one o''clock'),
  ('Australia/Lord_Howe', '2027-09-26', '09:00', '09:00=22:30 09:00=22:00 09:00=22:00', 'Lord Howe''s half hour'),
  ('Asia/Kathmandu', '2027-10-03', '09:00', '09:00=03:15 09:00=03:15 09:00=03:15', 'Kathmandu has none')) as t (zone, from_on, at, wanted, title);
update public.booking_settings set timezone = 'Australia/Brisbane' where org_id = :'kilo';

-- Moving.
select tests.sign_in('coach@kilo.example');
select move_series(tests.id('series'), tests.day(15), 1, '12:30') as moved \gset
select is((:'moved'::jsonb ->> 'outcome', pg_temp.outcomes(:'moved'))::text, '(moved,"rescheduled rescheduled")', 'a series moves from a date on');
select results_eq($$ select start_time from public.bookings where series_id = tests.id('series') order by 1 $$,
                  $$ values (tests.at(8, '09:00')), (tests.at(16, '12:30')), (tests.at(23, '12:30')) $$, 'to another day and time; what lies before stays');
select is(move_series(tests.id('series'), tests.day(9), 7) ->> 'outcome', 'moved', 'by a week, onto its own next date');
select is(move_series(tests.id('series'), tests.day(9), -7) ->> 'outcome', 'moved', 'and back');
select is(move_series(tests.id('series'), tests.day(9), 0, null, tests.id('second')) ->> 'outcome', 'moved', 'to another staff member');
select is(count(*), 2::bigint, 'those two') from public.bookings where series_id = tests.id('series') and staff_id = tests.id('second');
select book(:'kilo', tests.id('ben'), tests.at(24, '12:30'), tests.id('pt'), tests.id('second'));
select move_series(tests.id('series'), tests.day(9), 1) as clash \gset
select is((:'clash'::jsonb ->> 'outcome', string_agg(d ->> 'outcome', ' ' order by d ->> 'on'))::text, '(clashes,"free taken")', 'one clash is enough')
  from jsonb_array_elements(:'clash'::jsonb -> 'dates') as d;
select results_eq($$ select start_time from public.bookings where series_id = tests.id('series') order by 1 $$,
                  $$ values (tests.at(8, '09:00')), (tests.at(16, '12:30')), (tests.at(23, '12:30')) $$, 'then nothing moves');
select is(move_series(tests.id('series'), tests.day(60), 1) ->> 'outcome', 'moved', 'where nothing lies ahead nothing has to');
select tests.as_owner();
select tests.make_package('ending', 5, tests.at(34, '00:00'));
select tests.sign_in('coach@kilo.example');
select tests.remember('paid', (pg_temp.series(13, '11:00', 2, 2, p_package => tests.id('ending')) ->> 'series_id')::uuid);
select move_series(tests.id('paid'), tests.day(13), 7) as beyond \gset
select is((:'beyond'::jsonb ->> 'outcome', string_agg(d ->> 'outcome', ' ' order by d ->> 'on'))::text, '(clashes,"free package_expired")', 'a date past the end of its package clashes')
  from jsonb_array_elements(:'beyond'::jsonb -> 'dates') as d;
select is(min(start_time), tests.at(13, '11:00'), 'and nothing moves') from public.bookings where series_id = tests.id('paid');
select is(move_series(tests.id('paid'), tests.day(13), 6) ->> 'outcome', 'moved', 'up to its end they move');
select tests.refuses($$ select move_series(tests.id('series'), tests.day(9), 28) $$, 422, 'value_not_allowed', 'four weeks are too far');

-- Ending.
select is(end_series(tests.id('series'), tests.day(23)), 1, 'a series ends from a date on');
select results_eq($$ select status, cancellation_reason from public.bookings where series_id = tests.id('series') order by start_time $$,
                  $$ values ('confirmed', null), ('confirmed', null), ('cancelled', 'series_ended') $$, 'which cancels what lies there');
select is(end_series(tests.id('series'), tests.day(0)), 2, 'the rest') union all select is(end_series(tests.id('series'), tests.day(0)), 0, 'once');
select is(end_series(series_id, tests.day(0)), 3, 'a series on a package') from public.bookings where purchase_id = tests.id('pack') limit 1;
select is(bookable_sessions_remaining(tests.id('pack')), 3, 'gives its sessions back');

-- Refusals.
select tests.refuses(t.call, t.status, t.slug, t.title) from (values
  ($$ select pg_temp.series(8, p_weeks => 3) $$, 422, 'value_not_allowed', 'every third week is no series'),
  ($$ select pg_temp.series(8, p_count => 105) $$, 422, 'value_not_allowed', 'nor are more than two years'),
  ($$ select pg_temp.series(8, null) $$, 422, 'value_not_allowed', 'nor one without a time'),
  ($$ select pg_temp.series(-1) $$, 422, 'value_not_allowed', 'nor one that begins in the past'),
  ($$ select book_series(tests.id('kilo'), tests.id('ann'), null, '09:00') $$, 422, 'value_not_allowed', 'nor one without a date'),
  ($$ select pg_temp.series(8, p_weeks => null) $$, 422, 'value_not_allowed', 'nor one of no interval'),
  ($$ select pg_temp.series(8, p_count => null) $$, 422, 'value_not_allowed', 'nor one of no length'),
  ($$ select move_series(tests.id('series'), null, 1) $$, 422, 'value_not_allowed', 'a move begins somewhere'),
  ($$ select end_series(tests.id('series'), null) $$, 422, 'value_not_allowed', 'so does an end'),
  ($$ select move_series(gen_random_uuid(), tests.day(8)) $$, 404, 'series_not_found', 'an unknown series does not exist'),
  ($$ select end_series(null, tests.day(8)) $$, 404, 'series_not_found', 'nor does none'),
  ($$ select move_series(tests.id('series'), tests.day(8), 0, null, gen_random_uuid()) $$, 404, 'staff_not_found', 'nor unknown staff')) as t (call, status, slug, title);
select tests.only_for_members($$ select book_series(tests.id('kilo'), tests.id('ann'), tests.day(8), '09:00') $$, 'org_not_found', 'accountant@kilo.example', 'book_series');
select tests.only_for_members($$ select move_series(tests.id('series'), tests.day(8)) $$, 'series_not_found', 'accountant@kilo.example', 'move_series');
select tests.only_for_members($$ select end_series(tests.id('series'), tests.day(8)) $$, 'series_not_found', 'accountant@kilo.example', 'end_series');
select tests.calendar_holds('nothing overlaps');

select * from finish();
rollback;
