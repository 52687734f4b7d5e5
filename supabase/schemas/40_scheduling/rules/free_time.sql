-- What is free: one function for listing and for booking alike, so that every slot ever offered can be booked.
-- private.open_time says when sessions may take place, private.free_starts where a session fits between what is taken,
-- private.offered_slots adds what the audience may know and book. Booking asks the same function about the one start it wants:
-- planning these queries takes longer than answering that, so they are planned once a session (plpgsql, since a server before 18
-- plans an SQL function at every call), for any arguments.

-- Hours less blocked times, as instants, for each staff member and local day. A date's own hours replace the week's for that
-- day, what the week takes away included; a staff member with hours of their own is not bound by those that name nobody.
create function private.open_time(p_org_id uuid, p_staff_ids uuid[], p_from date, p_until date, p_location_id uuid default null)
returns table (staff_id uuid, open tstzmultirange)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with days as (
    select p_from + n as on_date, extract(dow from p_from + n)::integer as dow from generate_series(0, p_until - p_from) as n),
  hours as (
    select s.id as staff_id, a.day_of_week, a.specific_date, a.start_time, a.end_time, coalesce(a.is_available, true) as is_open
      from unnest(p_staff_ids) as s (id)
      join public.availability as a
        on a.org_id = p_org_id
       and (a.staff_id = s.id
            or a.staff_id is null and not exists (
                 select from public.availability as own
                  where own.org_id = p_org_id and own.staff_id = s.id and own.specific_date is null and coalesce(own.is_available, true)))),
  spans as (
    select h.staff_id, h.is_open, d.on_date + h.start_time as starts, d.on_date + h.end_time as ends
      from days as d
      join hours as h on h.specific_date is null and h.day_of_week = d.dow
     where not exists (
             select from hours as x
              where x.staff_id = h.staff_id and x.specific_date = d.on_date and x.is_open)
    union all
    select h.staff_id, h.is_open, h.specific_date + h.start_time, h.specific_date + h.end_time
      from hours as h
     where h.specific_date between p_from and p_until
    union all
    select s.id, false, d.on_date + b.start_time, d.on_date + b.end_time
      from days as d
      join public.blocked_times as b on b.org_id = p_org_id and (b.date = d.on_date or b.day_of_week = d.dow)
      join unnest(p_staff_ids) as s (id) on b.staff_id is null or b.staff_id = s.id),
  walls as (
    select w.starts, w.ends, w.span
      from (select array_agg(x.starts) as starts, array_agg(x.ends) as ends from (select distinct s.starts, s.ends from spans as s) as x) as a
     cross join lateral private.local_spans(private.org_timezone(p_org_id), a.starts, a.ends) as w),
  instants as (
    select p.staff_id, p.is_open, w.span
      from spans as p
      join walls as w on w.starts = p.starts and w.ends = p.ends)
  select i.staff_id,
         (range_agg(i.span) filter (where i.is_open) - coalesce(range_agg(i.span) filter (where not i.is_open), '{}'))
         * case when exists (select from public.location_hours as l where l.org_id = p_org_id and l.location_id = p_location_id)
                then coalesce((
                  select range_agg(w.span)
                    from (select array_agg(d.on_date + l.opens_time) as starts, array_agg(d.on_date + l.closes_time) as ends
                            from public.location_hours as l
                            join days as d on d.dow = l.day_of_week
                           where l.org_id = p_org_id and l.location_id = p_location_id) as a
                   cross join lateral private.local_spans(private.org_timezone(p_org_id), a.starts, a.ends) as w), '{}')
                else '{(,)}'::tstzmultirange end
    from instants as i
   where not isempty(i.span)
   group by i.staff_id
  having bool_or(i.is_open);
end;
$$;
comment on function private.open_time is
  'When each staff member may give sessions between two local dates, both included: hours less blocked times, within the location''s opening hours.';

-- What is free as it stands: open time less what is taken. The calendar shows it; booking looks through free_starts.
create function private.free_time(
  p_org_id uuid, p_staff_ids uuid[], p_from date, p_until date, p_location_id uuid default null, p_now timestamptz default now())
returns table (staff_id uuid, free tstzmultirange)
language sql stable security definer set search_path = ''
as $$
  select o.staff_id, o.open - coalesce(t.busy, '{}')
    from private.open_time(p_org_id, p_staff_ids, p_from, p_until, p_location_id) as o
    left join lateral (
      select range_agg(x.blocked) as busy
        from private.occupancies as x
       where x.org_id = p_org_id and x.staff_id = o.staff_id and x.seats > 0 and coalesce(x.expires_at > p_now, true)
         and x.blocked && tstzrange(lower(o.open), upper(o.open))) as t on true;
$$;
comment on function private.free_time is 'Open time less what is booked or held, for each staff member.';

-- Where a session of that length fits: it lies in open time, and its buffers reach into nobody else's. Starts lie on the grid of
-- 15 minutes. The rank is how many minutes lie between it and the nearest taken time, at most a day: 0 is adjacent.
create function private.free_starts(
  p_org_id uuid, p_staff_ids uuid[], p_location_id uuid, p_duration interval, p_before interval, p_after interval,
  p_within tstzrange, p_now timestamptz, p_except uuid default null)
returns table (staff_id uuid, start_time timestamptz, rank integer)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with zone as (select private.org_timezone(p_org_id) as name),
  open as materialized (
    select o.staff_id, o.open
      from zone as z
     cross join lateral private.open_time(p_org_id, p_staff_ids, (lower(p_within) at time zone z.name)::date - 1,
                                          (upper(p_within) at time zone z.name)::date + 1, p_location_id) as o),
  -- A day further than any session reaches: no rank looks beyond.
  seen as (
    select tstzrange(lower(p_within) - p_before - interval '1 day', upper(p_within) + p_duration + p_after + interval '1 day') as span),
  taken as (
    select o.staff_id, '-infinity'::timestamptz as starts, lower(z.span) as ends from open as o cross join seen as z
    union all
    select o.staff_id, lower(x.blocked), upper(x.blocked)
      from open as o
     cross join seen as z
      join private.occupancies as x on x.org_id = p_org_id and x.staff_id = o.staff_id and x.blocked && z.span
     where x.seats > 0 and (x.expires_at is null or x.expires_at > p_now) and x.id is distinct from p_except),
  -- What is taken does not overlap: free is what lies between neighbours.
  gaps as (
    select t.staff_id, t.ends as after, lead(t.starts, 1, upper(z.span)) over (partition by t.staff_id order by t.starts) as before
      from taken as t cross join seen as z),
  fits as (
    select g.staff_id, g.after + p_before as earliest, g.before - p_duration - p_after as latest
      from gaps as g
     where g.after + p_before <= g.before - p_duration - p_after),
  spans as (
    select f.staff_id, f.earliest as first, f.latest as last,
           greatest(f.earliest, lower(s.span), lower(p_within)) as earliest,
           least(f.latest, upper(s.span) - p_duration, upper(p_within)) as latest
      from fits as f
      join open as o on o.staff_id = f.staff_id
     cross join lateral unnest(o.open * tstzmultirange(tstzrange(f.earliest, f.latest + p_duration))) as s (span))
  select f.staff_id, c.start_time,
         least(1440, floor(extract(epoch from least(c.start_time - f.first, f.last - c.start_time)) / 60))::integer
    from spans as f
   cross join lateral (
     select to_timestamp(e * 900)
       from generate_series(ceil(extract(epoch from f.earliest) / 900)::bigint, floor(extract(epoch from f.latest) / 900)::bigint) as e
    ) as c (start_time)
   where f.earliest <= f.latest;
end;
$$;
comment on function private.free_starts is
  'The starts, on a grid of 15 minutes, at which a session with its buffers fits; rank is the minutes to the nearest taken time, 0 = adjacent.';

-- The staff who may give it: active, of the type, at the place, which is active too.
create function private.eligible_staff(p_org_id uuid, p_session_type_id uuid, p_location_id uuid, p_staff_id uuid)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(s.id order by s.created_at, s.id), '{}')
    from public.staff as s
   where s.org_id = p_org_id and s.is_active and (p_staff_id is null or s.id = p_staff_id)
     and (p_session_type_id is null
          or not exists (select from public.session_type_staff as x where x.org_id = p_org_id and x.session_type_id = p_session_type_id)
          or exists (select from public.session_type_staff as x
                      where x.org_id = p_org_id and x.session_type_id = p_session_type_id and x.staff_id = s.id))
     and (p_location_id is null
          or exists (select from public.locations as l where l.org_id = p_org_id and l.id = p_location_id and l.is_active))
     and (p_location_id is null
          or not exists (select from public.staff_locations as x where x.org_id = p_org_id and x.staff_id = s.id)
          or exists (select from public.staff_locations as x
                      where x.org_id = p_org_id and x.staff_id = s.id and x.location_id = p_location_id));
$$;
comment on function private.eligible_staff is 'The active staff who give this session type at this active location; all that are null do not bind.';

-- An organisation's booking settings, defaults where no row exists.
create function private.settings_of(p_org_id uuid)
returns public.booking_settings
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
begin
  select s.* into v_settings from public.booking_settings as s where s.org_id = p_org_id;
  v_settings.timezone := coalesce(v_settings.timezone, 'Australia/Brisbane');
  v_settings.allow_client_booking := coalesce(v_settings.allow_client_booking, true);
  v_settings.min_notice_hours := coalesce(v_settings.min_notice_hours, 24);
  v_settings.max_advance_days := coalesce(v_settings.max_advance_days, 30);
  v_settings.allow_client_cancel := coalesce(v_settings.allow_client_cancel, true);
  v_settings.cancel_notice_hours := coalesce(v_settings.cancel_notice_hours, 24);
  v_settings.slot_duration_mins := coalesce(v_settings.slot_duration_mins, 60);
  v_settings.buffer_between_mins := coalesce(v_settings.buffer_between_mins, 15);
  v_settings.early_cutoff_before_hour := coalesce(v_settings.early_cutoff_before_hour, 9);
  v_settings.early_cutoff_time := coalesce(v_settings.early_cutoff_time, '20:00');
  v_settings.late_notice_hours := coalesce(v_settings.late_notice_hours, 2);
  v_settings.hold_mins := coalesce(v_settings.hold_mins, 10);
  v_settings.send_receipts := coalesce(v_settings.send_receipts, true);
  v_settings.late_cancellation_policy := coalesce(v_settings.late_cancellation_policy, 'refuse');
  return v_settings;
end;
$$;
comment on function private.settings_of is 'An organisation''s booking settings as they are in force: the defaults where no row or value exists.';

-- How long, how far apart, how many: of the type, else of the settings. The buffer between bookings is the larger of the type's
-- and the settings'; a coach's direct write keeps to the type's alone.
create function private.session_shape(
  p_settings public.booking_settings, p_type public.session_types, p_duration_mins integer,
  out duration interval, out before interval, out after interval, out capacity integer)
language sql stable security definer set search_path = ''
as $$
  select make_interval(mins => coalesce(p_duration_mins, p_type.duration_mins, p_settings.slot_duration_mins)),
         make_interval(mins => coalesce(p_type.buffer_before_mins, 0)),
         make_interval(mins => greatest(p_type.buffer_after_mins, p_settings.buffer_between_mins)),
         coalesce(p_type.capacity, 1);
$$;
comment on function private.session_shape is 'The length, buffers and capacity with which a session is offered and booked.';

-- When booking for that start closes, for a client: the notice, the evening before for early starts, the late notice otherwise.
create function private.booking_closes_at(p_settings public.booking_settings, p_start_time timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select least(
    p_start_time - make_interval(hours => p_settings.min_notice_hours),
    case when extract(hour from l.start) < p_settings.early_cutoff_before_hour
         then private.local_to_instant(p_settings.timezone, l.start::date - 1 + p_settings.early_cutoff_time)
         else p_start_time - make_interval(hours => p_settings.late_notice_hours) end)
    from (select p_start_time at time zone p_settings.timezone as start) as l;
$$;
comment on function private.booking_closes_at is 'The last instant at which a client may book that start.';

-- What may be booked within a range of starts, by whom it is asked: 'coach' is bound by hours and by what is taken, 'client' by
-- notice, cutoffs, horizon and online booking too. Sessions of a group that have seats left are offered with them.
create function private.offered_slots(
  p_org_id uuid, p_session_type_id uuid, p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_within tstzrange,
  p_audience text, p_now timestamptz default now(), p_except uuid default null)
returns table (staff_id uuid, start_time timestamptz, end_time timestamptz, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_type public.session_types := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape record := private.session_shape(v_settings, v_type, p_duration_mins);
  v_staff_ids uuid[] := private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id);
  v_earliest timestamptz := greatest(lower(p_within), p_now);
  v_latest timestamptz := upper(p_within);
  v_full_days date[];
  -- Who leaves a session that others stay in leaves its time taken.
  v_except uuid := (
    select o.id from private.occupancies as o
     where o.org_id = p_org_id and o.id = p_except
       and o.seats - 1 = (select count(*) from private.holds as h
                           where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now));
begin
  if p_audience = 'client' then
    v_latest := least(v_latest, private.local_to_instant(
      v_settings.timezone, ((p_now at time zone v_settings.timezone)::date + v_settings.max_advance_days + 1)::timestamp) - interval '1 minute');
    if not v_settings.allow_client_booking or not coalesce(v_type.allow_online_booking, true) then
      return;
    end if;
  end if;
  if v_earliest > v_latest or not coalesce(v_type.is_active, true) then
    return;
  end if;
  v_full_days := private.full_days(v_type, v_settings.timezone, tstzrange(v_earliest, v_latest, '[]'), v_except, p_now);
  return query
  with candidates as (
    select f.staff_id, f.start_time, f.rank, v_shape.capacity as seats_left
      from private.free_starts(p_org_id, v_staff_ids, p_location_id, v_shape.duration, v_shape.before, v_shape.after,
                               tstzrange(v_earliest, v_latest, '[]'), p_now, v_except) as f
    union all
    select o.staff_id, o.starts_at, 0, v_shape.capacity - o.seats + x.expired
      from private.occupancies as o
     cross join lateral (
       select count(*)::integer as expired
         from private.holds as h
        where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now) as x
     where v_shape.capacity > 1
       and o.org_id = p_org_id and o.staff_id = any (v_staff_ids) and o.session_type_id = p_session_type_id
       and o.starts_at between v_earliest and v_latest and o.ends_at = o.starts_at + v_shape.duration
       and o.seats > 0 and o.seats - x.expired < v_shape.capacity and (o.expires_at is null or o.expires_at > p_now))
  select c.staff_id, c.start_time, c.start_time + v_shape.duration, c.rank, c.seats_left
    from candidates as c
   where (p_audience <> 'client' or p_now <= private.booking_closes_at(v_settings, c.start_time))
     and (c.seats_left < v_shape.capacity or (c.start_time at time zone v_settings.timezone)::date <> all (v_full_days));
end;
$$;
comment on function private.offered_slots is
  'The starts that may be booked, with staff, end, rank and seats left. Listing and booking both ask this.';

-- Sessions, not seats: a group counts once.
create function private.full_days(
  p_type public.session_types, p_timezone text, p_within tstzrange, p_except uuid, p_now timestamptz)
returns date[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(d.on_date), '{}')
    from (select (o.starts_at at time zone p_timezone)::date as on_date
            from private.occupancies as o
           where p_type.max_per_day is not null and o.org_id = p_type.org_id and o.session_type_id = p_type.id
             and o.starts_at between lower(p_within) - interval '2 days' and upper(p_within) + interval '2 days'
             and o.seats > 0 and coalesce(o.expires_at > p_now, true) and o.id is distinct from p_except
           group by 1 having count(*) >= p_type.max_per_day) as d;
$$;
comment on function private.full_days is 'The local days around a range on which a type has as many sessions as its max_per_day.';

-- The day's limit is counted: whoever takes or holds time for the type on that day queues here.
create function private.lock_day(p_type public.session_types, p_timezone text, p_start_time timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_type.max_per_day is not null then
    perform private.lock_days(array[p_type.id], array[(p_start_time at time zone p_timezone)::date]);
  end if;
end;
$$;
comment on function private.lock_day is 'Locks a local day of a session type that has max_per_day, until the transaction ends.';

create function private.lock_days(p_session_type_ids uuid[], p_dates date[])
returns void
language sql volatile security definer set search_path = ''
as $$
  -- By number: a date's text depends on the session's DateStyle.
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(d.session_type_id::text || (d.on_date - date '2000-01-01'), 0))
    from (select distinct u.on_date, u.session_type_id from unnest(p_session_type_ids, p_dates) as u (session_type_id, on_date)
           order by u.on_date, u.session_type_id) as d;
$$;
comment on function private.lock_days is 'Locks several types'' local days, in the order of days, until the transaction ends.';

-- What is freed is offered on, and the offer takes time for a type that may have a limit: its day is locked before the time is
-- given back, since nobody waits for a day who holds time already.
create function private.waited_days(
  p_org_id uuid, p_freed timestamptz[], out session_type_ids uuid[], out dates date[])
language sql stable security definer set search_path = ''
as $$
  select array_agg(w.session_type_id), array_agg(w.on_date)
    from public.waitlist_entries as w
    join public.session_types as t on t.org_id = w.org_id and t.id = w.session_type_id
   where w.org_id = p_org_id and w.status = 'waiting' and t.max_per_day is not null
     and w.on_date in (select (f.start_time at time zone private.org_timezone(p_org_id))::date from unnest(p_freed) as f (start_time));
$$;
comment on function private.waited_days is 'The types with max_per_day for which somebody waits on the local days of these starts, each with its day.';
