-- Local time and instants: the only place where one becomes the other.
-- A wall time in a gap moves forward (Postgres' own reading). In a fold a start takes the first instant and an end the
-- second, so that nothing open is lost; Postgres alone takes the second for both.

create function private.local_to_instant(p_timezone text, p_local timestamp, p_is_end boolean default false)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case when p_is_end then i.second else coalesce((
           select min(i.second - f.shift)
             from (values (interval '30 minutes'), (interval '1 hour'), (interval '2 hours')) as f (shift)
            where (i.second - f.shift) at time zone p_timezone = p_local), i.second) end
    from (select p_local at time zone p_timezone as second) as i;
$$;
comment on function private.local_to_instant(text, timestamp, boolean) is
  'The instant of a wall time in a timezone: forward out of a gap; in a fold the first for a start, the second for an end.';

create function private.local_to_instant(p_org_id uuid, p_on date, p_time time, p_is_end boolean default false)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select private.local_to_instant(private.org_timezone(p_org_id), p_on + p_time, p_is_end);
$$;
comment on function private.local_to_instant(uuid, date, time, boolean) is 'The instant of an organisation''s wall time.';

-- What begins in a gap moves forward, perhaps past its end: then nothing of it is left. All at once, and without a call each:
-- a listing of a month converts hundreds.
create function private.local_spans(p_timezone text, p_starts timestamp[], p_ends timestamp[])
returns table (starts timestamp, ends timestamp, span tstzrange)
language sql stable security definer set search_path = ''
as $$
  select s.starts, s.ends,
         tstzrange(least(case
           when (i.second - interval '2 hours') at time zone p_timezone = s.starts then i.second - interval '2 hours'
           when (i.second - interval '1 hour') at time zone p_timezone = s.starts then i.second - interval '1 hour'
           when (i.second - interval '30 minutes') at time zone p_timezone = s.starts then i.second - interval '30 minutes'
           else i.second end, i.ends), i.ends)
    from unnest(p_starts, p_ends) as s (starts, ends)
   cross join lateral (select s.starts at time zone p_timezone as second, s.ends at time zone p_timezone as ends) as i;
$$;
comment on function private.local_spans is
  'The instants between two wall times of a timezone, for each pair: as local_to_instant has them; empty when a gap swallows them.';

create function private.local_span(p_timezone text, p_starts timestamp, p_ends timestamp)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select s.span from private.local_spans(p_timezone, array[p_starts], array[p_ends]) as s;
$$;
comment on function private.local_span is 'The instants between two wall times of a timezone; empty when a gap swallows them.';

create function private.org_today(p_org_id uuid, p_now timestamptz default now())
returns date
language sql stable security definer set search_path = ''
as $$
  select (p_now at time zone private.org_timezone(p_org_id))::date;
$$;
comment on function private.org_today is 'The organisation''s local date.';

create function private.org_day_bounds(p_org_id uuid, p_on date)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select tstzrange(private.local_to_instant(p_org_id, p_on, '00:00'), private.local_to_instant(p_org_id, p_on + 1, '00:00'));
$$;
comment on function private.org_day_bounds is 'A local day as instants; where midnight does not exist it begins with the first instant that does.';
