-- due_times: an hour, a day, a week, a fortnight, a month by the clock on the wall.
begin;
select plan(15);
create function pg_temp.due(p_trigger jsonb, p_zone text, p_from timestamp, p_until timestamp) returns text language sql as $$
  select string_agg(to_char(d at time zone p_zone, 'MM-DD HH24:MI') || ' ' || to_char(d at time zone 'UTC', 'HH24:MI'), ', ' order by d)
    from private.due_times(p_trigger, p_zone, p_from at time zone p_zone, p_until at time zone p_zone) as d;
$$;
select is(pg_temp.due('{"schedule": "daily", "time": "02:30"}', 'America/New_York', '2026-03-07', '2026-03-10'),
  '03-07 02:30 07:30, 03-08 03:30 07:30, 03-09 02:30 06:30', 'a time that the day leaves out moves forward');
select is(pg_temp.due('{"schedule": "daily", "time": "01:30"}', 'America/New_York', '2026-10-31', '2026-11-03'),
  '10-31 01:30 05:30, 11-01 01:30 05:30, 11-02 01:30 06:30', 'one that comes twice counts at the first');
select is(pg_temp.due('{"schedule": "daily", "time": "02:15"}', 'Australia/Lord_Howe', '2026-10-03', '2026-10-06'),
  '10-03 02:15 15:45, 10-04 02:45 15:45, 10-05 02:15 15:15', 'also where the clock moves half an hour');
select is(pg_temp.due('{"schedule": "daily", "time": "00:00"}', 'America/Santiago', '2026-09-05 12:00', '2026-09-07 12:00'),
  '09-06 01:00 04:00, 09-07 00:00 03:00', 'or midnight does not exist');
select is(pg_temp.due('{"schedule": "weekly", "day_of_week": 1}', 'Australia/Brisbane', '2026-11-01', '2026-11-20'), '11-02 09:00 23:00, 11-09 09:00 23:00, 11-16 09:00 23:00', 'Mondays at nine');
select is(pg_temp.due('{"schedule": "weekly", "day_of_week": 0}', 'Australia/Brisbane', '2026-11-01', '2026-11-09'), '11-01 09:00 23:00, 11-08 09:00 23:00', 'Sunday is 0');
select is(pg_temp.due('{"schedule": "fortnightly", "day_of_week": 3, "starts_on": "2026-11-05"}', 'Australia/Brisbane', '2026-10-01', '2026-12-12'),
  '11-11 09:00 23:00, 11-25 09:00 23:00, 12-09 09:00 23:00', 'every other Wednesday, from the first after it starts');
select is(pg_temp.due('{"schedule": "monthly", "day_of_month": 31}', 'Australia/Brisbane', '2027-01-01', '2027-05-01'),
  '01-31 09:00 23:00, 02-28 09:00 23:00, 03-31 09:00 23:00, 04-30 09:00 23:00', 'the 31st, or the last');
select is(pg_temp.due('{"schedule": "monthly", "day_of_month": 29}', 'Australia/Brisbane', '2028-02-01', '2028-03-01'), '02-29 09:00 23:00', 'leap years too');
select is(pg_temp.due('{"schedule": "hourly", "minute": 45}', 'Asia/Kathmandu', '2026-11-01 00:00', '2026-11-01 02:00'), '11-01 00:45 19:00, 11-01 01:45 20:00', 'an hour by a clock that is a quarter off');
select is(pg_temp.due('{"schedule": "hourly"}', 'Australia/Sydney', '2026-10-04 00:30', '2026-10-04 04:30'), '10-04 01:00 15:00, 10-04 03:00 16:00, 10-04 04:00 17:00', 'an hour that is left out is not one');
select is(pg_temp.due('{"schedule": "hourly"}', 'Australia/Sydney', '2026-04-05 00:30', '2026-04-05 04:30'), '04-05 01:00 14:00, 04-05 02:00 15:00, 04-05 03:00 17:00, 04-05 04:00 18:00', 'and one that comes twice is one');
select is(pg_temp.due('{"schedule": "daily", "starts_on": "2026-11-03"}', 'Australia/Brisbane', '2026-11-01', '2026-11-05'), '11-03 09:00 23:00, 11-04 09:00 23:00', 'nothing before it starts');
select is(private.next_due('{"schedule": "monthly", "starts_on": "2030-05-05"}', 'Australia/Brisbane', '2026-11-01'), '2030-05-31 23:00+00', 'a start far ahead is found');
select is(private.next_due('{"schedule": "daily"}', 'Australia/Brisbane', '2026-11-01 23:00+00'), '2026-11-02 23:00+00', 'the next is after, not at');
select * from finish();
rollback;
