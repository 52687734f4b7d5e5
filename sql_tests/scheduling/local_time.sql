-- local_to_instant, org_day_bounds: wall time becomes an instant in one place, on the days that DST makes odd as well.
begin;
select plan(43);

create function pg_temp.instant(p_zone text, p_local timestamp, p_is_end boolean default false) returns text language sql as $$
  select to_char(private.local_to_instant(p_zone, p_local, p_is_end) at time zone 'UTC', 'MM-DD HH24:MI') $$;
select is(pg_temp.instant(t.zone, t.local), t.starts, format('%s, %s as a start', t.zone, t.local)) from (values
  ('America/New_York', '2026-03-08 01:59'::timestamp, '03-08 06:59'),
  ('America/New_York', '2026-03-08 02:30', '03-08 07:30'),  -- the gap: forward
  ('America/New_York', '2026-03-08 03:00', '03-08 07:00'),
  ('America/New_York', '2026-11-01 01:30', '11-01 05:30'),  -- the fold: first and second
  ('America/New_York', '2026-11-01 00:59', '11-01 04:59'),
  ('America/New_York', '2026-11-01 02:00', '11-01 07:00'),
  ('America/Santiago', '2026-09-06 00:00', '09-06 04:00'),  -- midnight does not exist
  ('America/Santiago', '2026-04-04 23:30', '04-05 02:30'),  -- the last hour of the day comes twice
  ('Australia/Lord_Howe', '2026-04-05 01:45', '04-04 14:45'),  -- half an hour comes twice
  ('Australia/Lord_Howe', '2026-10-04 02:15', '10-03 15:45'),  -- half an hour is missing
  ('Asia/Kathmandu', '2026-06-01 09:00', '06-01 03:15'),
  ('Australia/Brisbane', '2026-10-04 02:30', '10-03 16:30'),
  ('Europe/London', '2026-10-25 01:30', '10-25 00:30')) as t (zone, local, starts);
select is(pg_temp.instant(t.zone, t.local, true), t.ends, format('%s, %s as an end', t.zone, t.local)) from (values
  ('America/New_York', '2026-03-08 01:59'::timestamp, '03-08 06:59'),
  ('America/New_York', '2026-03-08 02:30', '03-08 07:30'),
  ('America/New_York', '2026-11-01 01:30', '11-01 06:30'),
  ('America/New_York', '2026-11-01 02:00', '11-01 07:00'),
  ('America/Santiago', '2026-04-04 23:30', '04-05 03:30'),
  ('Australia/Lord_Howe', '2026-04-05 01:45', '04-04 15:15'),
  ('Europe/London', '2026-10-25 01:30', '10-25 01:30')) as t (zone, local, ends);
select is(private.local_to_instant('America/New_York', null), null, 'no wall time, no instant');

create function pg_temp.day(p_zone text, p_on date) returns text language plpgsql as $$
declare
  v_day tstzrange;
begin
  update public.booking_settings set timezone = p_zone where org_id = tests.id('kilo');
  v_day := private.org_day_bounds(tests.id('kilo'), p_on);
  return format('%s %s', to_char(lower(v_day) at time zone 'UTC', 'MM-DD HH24:MI'), upper(v_day) - lower(v_day));
end;
$$;
select is(pg_temp.day(t.zone, t.on_date), t.wanted, format('%s has its own %s', t.zone, t.on_date)) from (values
  ('America/New_York', '2026-03-08'::date, '03-08 05:00 23:00:00'),
  ('America/New_York', '2026-11-01', '11-01 04:00 1 day 01:00:00'),
  ('America/Santiago', '2026-09-05', '09-05 04:00 1 day'),
  ('America/Santiago', '2026-09-06', '09-06 04:00 23:00:00'),
  ('America/Santiago', '2026-04-04', '04-04 03:00 1 day 01:00:00'),
  ('America/Havana', '2026-11-01', '11-01 04:00 1 day 01:00:00'),  -- midnight comes twice
  ('Australia/Lord_Howe', '2026-04-05', '04-04 13:00 1 day 00:30:00'),
  ('Australia/Lord_Howe', '2026-10-04', '10-03 13:30 23:30:00'),
  ('Asia/Kathmandu', '2026-06-01', '05-31 18:15 1 day'),
  ('Australia/Brisbane', '2026-10-04', '10-03 14:00 1 day')) as t (zone, on_date, wanted);
select is_empty(
  format($$ select d from generate_series('2026-01-01'::date, '2027-12-31', '1 day') as d
             cross join lateral (select private.org_day_bounds(%L, d::date) as this, private.org_day_bounds(%1$L, d::date + 1) as next) as b
            where upper(b.this) <> lower(b.next) or isempty(b.this) $$, :'kilo'), 'days neither overlap nor leave a gap, all year')
  from unnest(array['America/New_York', 'America/Santiago', 'America/Havana', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Cairo'])
    as z (name)
 cross join lateral pg_temp.day(z.name, '2026-01-01');
create function pg_temp.today(p_zone text, p_at timestamptz) returns date language plpgsql as $$
begin
  perform pg_temp.day(p_zone, '2026-01-01');
  return private.org_today(tests.id('kilo'), p_at);
end;
$$;
select is(pg_temp.today(t.zone, t.at), t.wanted, format('today in %s at %s', t.zone, t.at)) from (values
  ('Asia/Kathmandu', '2026-06-01 18:14+00'::timestamptz, '2026-06-01'::date), ('Asia/Kathmandu', '2026-06-01 18:15+00', '2026-06-02'),
  ('America/New_York', '2026-11-01 03:59+00', '2026-10-31'), ('America/New_York', '2026-11-01 04:00+00', '2026-11-01'),
  ('America/Santiago', '2026-09-06 03:59+00', '2026-09-05'), ('America/Santiago', '2026-09-06 04:00+00', '2026-09-06'))
    as t (zone, at, wanted);

select * from finish();
rollback;
