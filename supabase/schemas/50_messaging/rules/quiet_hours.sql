-- Quiet hours, in the organisation's local time: 21 to 8 wraps midnight, 9 to 21 does not, equal means none.
-- A window is told by the clock's hour, so an hour that comes twice is quiet twice, and one that is left out is not missed.

create function private.is_quiet(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(case
    when p_start < p_end then h.hour >= p_start and h.hour < p_end
    when p_start > p_end then h.hour >= p_start or h.hour < p_end end, false)
    from (select extract(hour from p_at at time zone p_timezone)::integer as hour) as h;
$$;
comment on function private.is_quiet is 'True when the local clock stands inside the window.';

-- The end is the first instant at which the clock has left the window: the wall time of the end, or where it comes twice or not at
-- all, whichever instant is the first that is not quiet.
create function private.quiet_until(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select min(x.ends)
    -- An hour that is left out that day is not quiet, or not free, until the day after.
    from generate_series(0, 2) as n (day)
   cross join lateral (select (p_at at time zone p_timezone)::date + n.day + make_time(p_end, 0, 0) as wall) as w
   cross join lateral (values (private.local_to_instant(p_timezone, w.wall)), (private.local_to_instant(p_timezone, w.wall, true))) as x (ends)
   where private.is_quiet(p_timezone, p_start, p_end, p_at)
     and x.ends > p_at and not private.is_quiet(p_timezone, p_start, p_end, x.ends);
$$;
comment on function private.quiet_until is 'When the quiet hours that an instant lies in end; null outside of them.';

create function private.quiet_from(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select max(x.starts)
    from generate_series(-2, 0) as n (day)
   cross join lateral (select private.local_to_instant(
     p_timezone, (p_at at time zone p_timezone)::date + n.day + make_time(p_start, 0, 0))) as x (starts)
   where private.is_quiet(p_timezone, p_start, p_end, p_at) and x.starts <= p_at
     and not private.is_quiet(p_timezone, p_start, p_end, x.starts - interval '1 second');
$$;
comment on function private.quiet_from is 'When the quiet hours that an instant lies in began; null outside of them.';

-- Half an hour before they begin, so that it has left by then. That it is queued inside an earlier night's hours does not matter.
create function private.allowed_at(
  p_timezone text, p_start integer, p_end integer, p_wanted_at timestamptz, p_expires_at timestamptz, p_now timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case
    when q.until is null then p_wanted_at
    when q.until < p_expires_at then q.until
    when private.quiet_from(p_timezone, p_start, p_end, p_wanted_at) > p_now
    then greatest(p_now, private.quiet_from(p_timezone, p_start, p_end, p_wanted_at) - interval '30 minutes') end
    from (select private.quiet_until(p_timezone, p_start, p_end, p_wanted_at) as until) as q;
$$;
comment on function private.allowed_at is
  'When an SMS that is wanted at an instant may leave: then, at the end of the quiet hours, or before they begin where their end is too late; null when none is left.';
