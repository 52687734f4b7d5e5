-- Listing on the days that DST makes odd: every start on offer exists, lies within the hours, and a whole session fits after it.
begin;
select plan(27);
select tests.open_studio();

create function pg_temp.listed(p_zone text, p_on date, p_from time, p_until time) returns text language plpgsql as $$
begin
  update public.booking_settings set timezone = p_zone where org_id = tests.id('kilo');
  delete from public.availability where org_id = tests.id('kilo');
  insert into public.availability (org_id, day_of_week, start_time, end_time)
  values (tests.id('kilo'), extract(dow from p_on), p_from, p_until);
  return (select string_agg(to_char(s.start_time at time zone 'UTC', 'HH24:MI'), ' ' order by s.start_time)
            from private.offered_slots(tests.id('kilo'), tests.id('pt'), null, tests.id('staff'), null,
                   tstzrange(lower(private.org_day_bounds(tests.id('kilo'), p_on)),
                             upper(private.org_day_bounds(tests.id('kilo'), p_on)) - interval '1 second'), 'coach', '2026-01-01 00:00+00') as s);
end;
$$;
select is(pg_temp.listed(t.zone, t.on_date, t.opens, t.closes), t.wanted, t.title) from (values
  ('America/New_York', '2026-03-08'::date, '01:00'::time, '04:00'::time, '06:00 06:15 06:30 06:45 07:00', 'New York loses an hour of its hours'),
  ('America/New_York', '2026-11-01', '01:00', '02:00', '05:00 05:15 05:30 05:45 06:00', 'and gains one in the fold'),
  ('America/New_York', '2026-03-08', '02:00', '03:00', null, 'hours that do not exist offer nothing'),
  ('America/New_York', '2026-03-08', '02:30', '03:15', null, 'nor do those that begin in the gap and end before it is made up for'),
  ('America/Santiago', '2026-09-06', '00:00', '02:00', '04:00', 'Santiago''s day without midnight begins at one'),
  ('America/Santiago', '2026-04-04', '22:30', '24:00', '01:30 01:45 02:00 02:15 02:30 02:45 03:00', 'its longest evening is longer'),
  ('Australia/Lord_Howe', '2026-10-04', '01:30', '04:00', '15:00 15:15 15:30 15:45 16:00', 'Lord Howe loses half an hour'),
  ('Australia/Lord_Howe', '2026-04-05', '01:00', '02:00', '14:00 14:15 14:30', 'and gains it back'),
  ('Asia/Kathmandu', '2026-06-01', '09:00', '10:30', '03:15 03:30 03:45', 'Kathmandu''s quarter is on the grid'),
  ('Australia/Brisbane', '2026-10-04', '01:00', '04:00', '15:00 15:15 15:30 15:45 16:00 16:15 16:30 16:45 17:00', 'a zone without DST has its hours'))
    as t (zone, on_date, opens, closes, wanted, title);

-- Blocks and opening hours alike.
create function pg_temp.blocked(p_zone text, p_on date, p_from time, p_until time, p_blocked_from time, p_blocked_until time)
returns text language plpgsql as $$
declare
  v_listed text;
begin
  insert into public.blocked_times (org_id, date, start_time, end_time) values (tests.id('kilo'), p_on, p_blocked_from, p_blocked_until);
  v_listed := pg_temp.listed(p_zone, p_on, p_from, p_until);
  delete from public.blocked_times where org_id = tests.id('kilo');
  return v_listed;
end;
$$;
select is(pg_temp.blocked('America/New_York', '2026-11-01', '00:00', '03:00', '01:00', '02:00'), '04:00 07:00', 'a block over the fold blocks both');
select is(pg_temp.blocked('America/New_York', '2026-03-08', '00:00', '04:00', '02:30', '03:15'), '05:00 05:15 05:30 05:45 06:00 06:15 06:30 06:45 07:00',
          'one that is lost in the gap harms nothing');
select is(pg_temp.blocked('America/Santiago', '2026-09-06', '00:00', '03:00', '00:00', '02:00'), '05:00', 'one from a midnight that is not begins with the day');
insert into public.blocked_times (org_id, date, start_time, end_time) values (:'kilo', '2026-03-08', '02:30', '03:15');
update public.booking_settings set timezone = 'America/New_York' where org_id = :'kilo';
select lives_ok(format($$ select private.is_slot_free(%L, '2026-03-08 06:00+00', '2026-03-08 08:00+00', null) $$, :'kilo'), 'asking for one slot stands a block in the gap');
select lives_ok(format($$ select private.calendar(%L, 'day', '2026-03-08', null, null) $$, :'kilo'), 'so does the calendar');
insert into public.locations (org_id, name) values (:'kilo', 'The gym') returning id as gym \gset
insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time) values (:'kilo', :'gym', 0, '02:30', '03:15');
select lives_ok(format($$ select * from private.open_time(%L, array[tests.id('staff')], '2026-03-08', '2026-03-08', %L) $$, :'kilo', :'gym'), 'and opening hours in it');
delete from public.blocked_times where org_id = :'kilo';

-- What is listed can be booked: each, one after the other, on every odd day.
create function pg_temp.refused(p_zone text, p_on date) returns integer language plpgsql as $$
declare
  v_start timestamptz;
  v_refused integer := 0;
begin
  perform pg_temp.listed(p_zone, p_on, '00:00', '24:00');
  for v_start in
    select s.start_time
      from private.offered_slots(tests.id('kilo'), tests.id('pt'), null, tests.id('staff'), null, private.org_day_bounds(tests.id('kilo'), p_on), 'coach', '2026-01-01') as s
     where extract(minute from s.start_time) in (0, 45) order by 1
  loop
    continue when not exists (
      select from private.offered_slots(tests.id('kilo'), tests.id('pt'), null, tests.id('staff'), null, tstzrange(v_start, v_start, '[]'), 'coach', '2026-01-01'));
    if private.book(tests.id('kilo'), tests.id('ann'), tests.id('pt'), v_start, null, tests.id('staff'), null, null, 'coach', 'trainer', null, null, null,
                    p_now => '2026-01-01') ->> 'outcome' <> 'booked' then
      v_refused := v_refused + 1;
    end if;
  end loop;
  return v_refused;
end;
$$;
select is(pg_temp.refused(t.zone, t.on_date), 0, format('whatever %s lists on %s can be booked', t.zone, t.on_date)) from (values
  ('America/New_York', '2026-03-08'::date), ('America/New_York', '2026-11-01'), ('America/Santiago', '2026-09-06'), ('America/Santiago', '2026-04-04'),
  ('Australia/Lord_Howe', '2026-04-05'), ('Australia/Lord_Howe', '2026-10-04'), ('Asia/Kathmandu', '2026-06-01'), ('Australia/Brisbane', '2026-10-04'))
    as t (zone, on_date);
select cmp_ok(count(*), '>', 100::bigint, 'which were many') from public.bookings where org_id = :'kilo' and client_id = tests.id('ann');
select tests.calendar_holds('nothing overlaps');
select is_empty($$ select from public.bookings where end_time - start_time <> interval '1 hour' and client_id = tests.id('ann') $$, 'each is an hour long');

select * from finish();
rollback;
