-- Recurring bookings: weekly or fortnightly at one local time, each date a booking of its own. Local dates are generated and then
-- converted, so that a series keeps its wall time across DST.

-- Books every date that is free, or none when p_is_partial is false and one clashes; says of each date what became of it.
create function private.book_series(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_from date, p_time time, p_interval_weeks integer, p_count integer,
  p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_purchase_id uuid, p_is_partial boolean, p_actor_id uuid,
  p_request_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_series_id uuid;
  v_dates jsonb;
  v_clashes integer;
begin
  perform private.require_value(p_interval_weeks in (1, 2), 'interval_weeks');
  perform private.require_value(p_count between 1 and 104, 'count');
  perform private.require_value(p_time is not null and p_from between private.org_today(p_org_id, p_now) and private.org_today(p_org_id, p_now) + 366, 'from');
  insert into public.booking_series (org_id, client_id, interval_weeks, request_id, created_by)
  values (p_org_id, p_client_id, p_interval_weeks, p_request_id, p_actor_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning id into v_series_id;
  if v_series_id is null then
    select s.id into v_series_id
      from public.booking_series as s where s.org_id = p_org_id and s.request_id = p_request_id and s.client_id = p_client_id;
    if not found then
      perform private.refuse_request();
    end if;
    return private.outcome('booked', jsonb_build_object('series_id', v_series_id, 'dates', (
      select jsonb_agg(e.date order by (e.date ->> 'on')::date)
        from (select jsonb_array_elements(private.series_dates(p_org_id, v_series_id) || s.clashes)
                from public.booking_series as s where s.org_id = p_org_id and s.id = v_series_id) as e (date))));
  end if;

  -- What takes several times, or gives one up for another, queues on the staff row before it takes the first: otherwise a series
  -- and a move that meet twice would wait for each other.
  if p_purchase_id is not null then
    perform private.lock_package(p_org_id, p_purchase_id);
  end if;
  perform from public.staff as s
    where s.org_id = p_org_id and s.id = any (private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id))
    order by s.id for no key update;
  begin
    select jsonb_agg(jsonb_build_object('on', d.on_date, 'start_time', d.start_time) ||
             private.book(p_org_id, p_client_id, p_session_type_id, d.start_time, p_duration_mins, p_staff_id, p_location_id,
                          p_purchase_id, 'coach', 'trainer', null, p_actor_id, null, v_series_id, p_now => p_now) order by d.on_date)
      into v_dates
      from (select x.on_date, private.local_to_instant(v_timezone, x.on_date + p_time) as start_time
              from (select p_from + 7 * p_interval_weeks * n as on_date from generate_series(0, p_count - 1) as n) as x
             order by x.on_date) as d;
    select count(*) into v_clashes from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'booked';
    if v_clashes > 0 and not p_is_partial or v_clashes = p_count then
      raise exception using errcode = 'PT900';
    end if;
  exception when sqlstate 'PT900' then
    -- Nothing of it stands; the answer still says which dates clash and why.
    delete from public.booking_series as s where s.org_id = p_org_id and s.id = v_series_id;
    return private.outcome('clashes', jsonb_build_object('dates', private.undone_dates(v_dates, 'booked')));
  end;
  -- Without the alternatives, which are of the moment.
  update public.booking_series as s
     set clashes = (select coalesce(jsonb_agg(e - 'alternatives'), '[]') from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'booked')
   where s.org_id = p_org_id and s.id = v_series_id and v_clashes > 0;
  return private.outcome('booked', jsonb_build_object('series_id', v_series_id, 'dates', v_dates));
end;
$$;
comment on function private.book_series is
  'Books a weekly or fortnightly series: {outcome: booked, series_id, dates} or, where dates clash and it is not to be partial, {outcome: clashes, dates}; each date is {on, start_time, outcome, …}. Fails: value_not_allowed 422, purchase_not_found 404, request_reused 409.';

-- The dates that would have gone well, in an answer that undid them.
create function private.undone_dates(p_dates jsonb, p_done text)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select jsonb_agg(case when e.date ->> 'outcome' = p_done then (e.date - 'booking_id') || '{"outcome": "free"}' else e.date end order by e.n)
    from jsonb_array_elements(p_dates) with ordinality as e (date, n);
$$;
comment on function private.undone_dates is 'Dates that were tried and rolled back: what had gone well reads free.';

create function private.series_dates(p_org_id uuid, p_series_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('on', (b.start_time at time zone private.org_timezone(p_org_id))::date, 'start_time', b.start_time)
                            || private.booked(b) order by b.start_time), '[]')
    from public.bookings as b where b.org_id = p_org_id and b.series_id = p_series_id;
$$;
comment on function private.series_dates is 'The bookings of a series as an array, in order of time.';

-- Everything that moving or ending a series changes, before the first change: its packages, its bookings, their staff, each in the
-- order of ids. A date that is edited at the same time is waited for while nothing has been given up yet.
create function private.lock_series(p_org_id uuid, p_series_id uuid, p_staff_id uuid, p_shift_days integer default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_purchase_id uuid;
begin
  for v_purchase_id in
    select distinct b.purchase_id
      from public.bookings as b
     where b.org_id = p_org_id and b.series_id = p_series_id and b.purchase_id is not null
     order by 1
  loop
    perform private.lock_package(p_org_id, v_purchase_id);
  end loop;
  perform from public.bookings as b
    where b.org_id = p_org_id and b.series_id = p_series_id order by b.id for no key update;
  perform from public.staff as s
    where s.org_id = p_org_id
      and (s.id = p_staff_id
           or s.id in (select b.staff_id from public.bookings as b where b.org_id = p_org_id and b.series_id = p_series_id))
    order by s.id for no key update;
  -- The days it may free and the days it moves to, in one order: two series that move past each other would wait in turn.
  perform private.lock_days(array_agg(d.session_type_id), array_agg(d.on_date))
    from (select u.session_type_id, u.on_date
            from private.waited_days(p_org_id, (select array_agg(b.start_time) from public.bookings as b
                                                 where b.org_id = p_org_id and b.series_id = p_series_id)) as w
           cross join lateral unnest(w.session_type_ids, w.dates) as u (session_type_id, on_date)
          union all
          select t.id, (b.start_time at time zone private.org_timezone(p_org_id))::date + p_shift_days
            from public.bookings as b
           cross join lateral private.session_type_of(p_org_id, b.session_type_id, b.session_type) as t
           where b.org_id = p_org_id and b.series_id = p_series_id and p_shift_days is not null and t.max_per_day is not null) as d;
end;
$$;
comment on function private.lock_series is
  'Locks a series'' packages, bookings, staff and days (those waited for, and with p_shift_days those it moves to), in this order.';

-- Moves what lies ahead of a date by days and to another local time; the whole of it or nothing.
create function private.move_series(
  p_org_id uuid, p_series_id uuid, p_from date, p_shift_days integer, p_time time, p_staff_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_booking record;
  v_answer jsonb;
  v_dates jsonb := '[]';
begin
  perform private.require_value(p_from is not null, 'from');
  perform private.require_value(p_shift_days between -27 and 27, 'shift_days');
  perform private.lock_series(p_org_id, p_series_id, p_staff_id, p_shift_days);
  -- Its dates are told to the client as one.
  perform set_config('coach.changes_series', p_series_id::text, true);
  begin
    -- Away from the direction of the move, so that a date never meets the series' own next one.
    for v_booking in
      select b.id, (b.start_time at time zone v_timezone)::date as on_date, (b.start_time at time zone v_timezone)::time as at_time
        from public.bookings as b
       where b.org_id = p_org_id and b.series_id = p_series_id and b.status in ('pending', 'confirmed')
         and b.start_time >= private.local_to_instant(v_timezone, p_from::timestamp) and b.start_time > p_now
       order by case when p_shift_days > 0 then -1 else 1 end * extract(epoch from b.start_time)
    loop
      v_answer := private.reschedule(
        p_org_id, v_booking.id,
        private.local_to_instant(v_timezone, v_booking.on_date + p_shift_days + coalesce(p_time, v_booking.at_time)), p_staff_id, 'coach', p_now);
      v_dates := v_dates || jsonb_build_array(
        jsonb_build_object('on', v_booking.on_date + p_shift_days, 'booking_id', v_booking.id) || v_answer);
    end loop;
    if exists (select from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'rescheduled') then
      raise exception using errcode = 'PT900';
    end if;
  exception when sqlstate 'PT900' then
    perform set_config('coach.changes_series', '', true);
    return private.outcome('clashes', jsonb_build_object('dates', private.undone_dates(v_dates, 'rescheduled')));
  end;
  perform set_config('coach.changes_series', '', true);
  return private.outcome('moved', jsonb_build_object('dates', v_dates));
end;
$$;
comment on function private.move_series is
  'Moves the bookings of a series from a local date on: {outcome: moved, dates}, or {outcome: clashes, dates} and nothing moved. Fails: value_not_allowed 422.';

create function private.end_series(p_org_id uuid, p_series_id uuid, p_from date, p_actor_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_booking_id uuid;
  v_ended integer := 0;
begin
  perform private.require_value(p_from is not null, 'from');
  perform private.lock_series(p_org_id, p_series_id, null);
  perform set_config('coach.changes_series', p_series_id::text, true);
  for v_booking_id in
    select b.id
      from public.bookings as b
     where b.org_id = p_org_id and b.series_id = p_series_id and b.status in ('pending', 'confirmed') and b.start_time > p_now
       and b.start_time >= private.local_to_instant(p_org_id, p_from, '00:00')
     order by b.start_time
  loop
    perform private.cancel_booking(p_org_id, v_booking_id, 'series_ended', false, p_actor_id);
    v_ended := v_ended + 1;
  end loop;
  perform set_config('coach.changes_series', '', true);
  return v_ended;
end;
$$;
comment on function private.end_series is 'Cancels what lies ahead of a series from a local date on; returns how many bookings. Fails: value_not_allowed 422.';
