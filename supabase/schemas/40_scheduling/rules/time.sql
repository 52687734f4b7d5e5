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

-- What begins in a gap moves forward, perhaps past its end: then nothing of it is left.
create function private.local_span(p_timezone text, p_starts timestamp, p_ends timestamp)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select tstzrange(least(private.local_to_instant(p_timezone, p_starts), i.ends), i.ends)
    from (select p_ends at time zone p_timezone as ends) as i;
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
