-- Booking and rescheduling by RPC: they answer with an outcome, never with an exception per refusal.
-- Lock order: as in occupy.sql; a request id is locked after its package.

-- Up to five other starts: the same staff member's nearest first, then the others'.
create function private.alternatives(
  p_org_id uuid, p_session_type_id uuid, p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_start_time timestamptz,
  p_audience text, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('start_time', a.start_time, 'end_time', a.end_time, 'staff_id', a.staff_id, 'rank', a.rank)
                            order by a.is_other, a.distance, a.rank, a.start_time, a.staff_id), '[]')
    from (select s.start_time, s.end_time, s.staff_id, s.rank, s.staff_id is distinct from p_staff_id as is_other,
                 abs(extract(epoch from s.start_time - p_start_time)) as distance
            from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, null, p_location_id,
                                       tstzrange(p_start_time - interval '3 days', p_start_time + interval '7 days', '[]'),
                                       p_audience, p_now) as s
           where (s.staff_id, s.start_time) is distinct from (p_staff_id, p_start_time)
           order by is_other, distance, s.rank, s.start_time, s.staff_id
           limit 5) as a;
$$;
comment on function private.alternatives is 'Up to five other starts as an array of {start_time, end_time, staff_id, rank}, nearest first, the same staff member before others.';

create function private.outcome(p_outcome text, p_rest jsonb default '{}')
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select jsonb_build_object('outcome', p_outcome) || p_rest;
$$;
comment on function private.outcome is 'The answer of an RPC that does not raise: {outcome, …}.';

-- The caller has authorised, and has found the client, type, staff member and location to be the organisation's.
-- p_staff_id null is anyone; p_hold_id turns a hold into the booking.
create function private.book(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_start_time timestamptz, p_duration_mins integer, p_staff_id uuid,
  p_location_id uuid, p_purchase_id uuid, p_audience text, p_source text, p_notes text, p_actor_id uuid, p_request_id uuid,
  p_series_id uuid default null, p_status text default 'confirmed', p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
  v_type public.session_types;
  v_shape record;
  v_slot record;
  v_booking public.bookings;
  v_occupancy_id uuid;
begin
  if p_purchase_id is not null then
    -- The package is locked before its free sessions are counted: the last one is booked once.
    if (private.lock_package(p_org_id, p_purchase_id)).client_id <> p_client_id then
      perform private.refuse_purchase();
    end if;
  end if;
  if p_request_id is not null then
    -- The second click waits for the first and reads its answer; without the wait it would find its own time taken.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text || p_request_id, 0));
    select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.request_id = p_request_id;
    if found then
      if (v_booking.client_id, v_booking.purchase_id) is distinct from (p_client_id, p_purchase_id) then
        perform private.refuse_request();
      end if;
      return private.booked(v_booking);
    end if;
  end if;
  if p_purchase_id is not null and coalesce(private.bookable_at(p_org_id, p_purchase_id, p_start_time), 0) < 1 then
    return private.outcome('package_exhausted');
  end if;

  v_settings := private.settings_of(p_org_id);
  v_type := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape := private.session_shape(v_settings, v_type, p_duration_mins);
  perform private.lock_day(v_type, v_settings.timezone, p_start_time);
  for v_slot in
    select s.* from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                                          tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now) as s
     order by s.seats_left < v_shape.capacity desc, s.rank, s.staff_id
  loop
    v_occupancy_id := private.occupy(
      p_org_id, v_slot.staff_id, v_type.id, v_shape.capacity, v_slot.start_time, v_slot.end_time,
      tstzrange(v_slot.start_time - v_shape.before, v_slot.end_time + v_shape.after), p_now => p_now);
    exit when v_occupancy_id is not null;
  end loop;
  if v_occupancy_id is null then
    return private.outcome(case when private.is_taken(p_org_id, private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id),
                                                      tstzrange(p_start_time - v_shape.before, p_start_time + v_shape.duration + v_shape.after),
                                                      p_now)
                                then 'taken' else 'unavailable' end, jsonb_build_object(
      'alternatives', private.alternatives(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id, p_start_time,
                                           p_audience, p_now)));
  end if;

  insert into public.bookings (
    org_id, client_id, start_time, end_time, duration_mins, session_type, session_type_id, staff_id, location_id, occupancy_id,
    purchase_id, series_id, status, booked_by, booking_source, notes, client_notes, request_id)
  values (
    p_org_id, p_client_id, v_slot.start_time, v_slot.end_time, extract(epoch from v_shape.duration)::integer / 60,
    coalesce(v_type.slug, 'pt_session'), v_type.id, v_slot.staff_id, p_location_id, v_occupancy_id, p_purchase_id, p_series_id,
    p_status, p_actor_id, p_source, case when p_audience = 'coach' then p_notes end, case when p_audience = 'client' then p_notes end,
    p_request_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning * into v_booking;
  if not found then
    -- The same request at the same time booked it; this one gives its seat back.
    perform private.fail(409, 'request_in_progress', 'The same request is being answered.', 'Ask again with the same request id.');
  end if;
  return private.booked(v_booking);
end;
$$;
comment on function private.book is
  'Books one session: {outcome: booked, booking_id, staff_id, start_time, end_time}, {outcome: taken | unavailable, alternatives}, or {outcome: package_exhausted}. Fails: purchase_not_found 404, request_reused 409, request_in_progress 409.';

-- Tells "somebody has it" from "it was never on offer" (hours, notice, off the grid).
create function private.is_taken(p_org_id uuid, p_staff_ids uuid[], p_blocked tstzrange, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from private.occupancies as o
                  where o.org_id = p_org_id and o.staff_id = any (p_staff_ids) and o.seats > 0
                    and (o.expires_at is null or o.expires_at > p_now) and o.blocked && p_blocked);
$$;
comment on function private.is_taken is 'True when one of these staff members has something in that time.';

create function private.booked(p_booking public.bookings)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select private.outcome('booked', jsonb_build_object(
    'booking_id', p_booking.id, 'staff_id', p_booking.staff_id, 'start_time', p_booking.start_time, 'end_time', p_booking.end_time));
$$;
comment on function private.booked is 'The outcome of a booking that was made.';

-- Sessions a package can still give to a booking at that start: remaining less what is held by other bookings.
create function private.bookable_at(p_org_id uuid, p_purchase_id uuid, p_start_time timestamptz)
returns integer
language sql stable security definer set search_path = ''
as $$
  select case when p.valid_during @> p_start_time then p.sessions_remaining - (
           select count(*)::integer
             from public.bookings as b
            where b.org_id = p.org_id and b.purchase_id = p.id
              and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed')))) end
    from public.client_purchases as p
   where p.org_id = p_org_id and p.id = p_purchase_id;
$$;
comment on function private.bookable_at is 'Sessions of a package free for a booking at that start; null when it is not valid then.';

-- Keeps the booking's identity: the move is one update of its row.
create function private.reschedule(
  p_org_id uuid, p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid, p_audience text, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_booking public.bookings;
  v_minutes integer;
  v_type public.session_types;
  v_shape record;
  v_staff_id uuid;
  v_occupancy_id uuid;
begin
  select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_booking.status not in ('pending', 'confirmed') or (p_audience = 'client' and v_booking.start_time <= p_now) then
    perform private.refuse_transition();
  end if;
  v_minutes := extract(epoch from v_booking.end_time - v_booking.start_time)::integer / 60;
  if p_audience = 'client' then
    perform private.require_cancellable(v_booking, p_now);
  end if;
  -- Its package would not pay for it there. One that pays nothing where it is either (unpaid, frozen) is not made worse by a move.
  if v_booking.settlement is distinct from 'waived' and exists (
       select from public.client_purchases as p
        where p.org_id = p_org_id and p.id = v_booking.purchase_id
          and p.valid_during @> v_booking.start_time and not p.valid_during @> p_start_time) then
    return private.outcome('package_expired');
  end if;
  v_staff_id := coalesce(p_staff_id, v_booking.staff_id);
  v_type := private.session_type_of(p_org_id, v_booking.session_type_id, v_booking.session_type);
  v_shape := private.session_shape(v_settings, v_type, v_minutes);
  perform from public.staff as s
    where s.org_id = p_org_id and s.id in (v_booking.staff_id, v_staff_id) order by s.id for no key update;
  -- The day it comes to, and those that its old time may be offered for, in one order.
  perform private.lock_days(
    d.session_type_ids || case when v_type.max_per_day is not null then v_type.id end,
    d.dates || case when v_type.max_per_day is not null then (p_start_time at time zone v_settings.timezone)::date end)
    from private.waited_days(p_org_id, array[v_booking.start_time]) as d;
  if exists (select from private.offered_slots(p_org_id, v_type.id, v_minutes, v_staff_id, v_booking.location_id,
                                               tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now,
                                               p_except => v_booking.occupancy_id)) then
    begin
      -- The buffers of a booking by RPC, which the trigger of a direct write does not give.
      perform private.vacate(p_org_id, v_booking.occupancy_id);
      v_occupancy_id := private.occupy(
        p_org_id, v_staff_id, v_type.id, v_shape.capacity, p_start_time, p_start_time + v_shape.duration,
        tstzrange(p_start_time - v_shape.before, p_start_time + v_shape.duration + v_shape.after), p_now => p_now);
      if v_occupancy_id is null then
        perform private.refuse_slot();
      end if;
      update public.bookings as b
         set start_time = p_start_time, end_time = p_start_time + v_shape.duration, staff_id = v_staff_id,
             occupancy_id = v_occupancy_id, ics_sequence = b.ics_sequence + 1, client_confirmed = false, confirmation_sent_at = null
       where b.org_id = p_org_id and b.id = p_booking_id
      returning b.* into v_booking;
      return private.booked(v_booking) || '{"outcome": "rescheduled"}';
    exception when sqlstate 'PT409' then
      null;
    end;
  end if;
  return private.outcome('taken', jsonb_build_object('alternatives', private.alternatives(
    p_org_id, v_type.id, v_minutes, v_staff_id, v_booking.location_id, p_start_time, p_audience, p_now)));
end;
$$;
comment on function private.reschedule is
  'Moves a booking: {outcome: rescheduled, …}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start. Fails: booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';

-- Cancels for a coach: the time and the held session are free again, a session taken early returns, and a deposit too. With p_is_charged
-- the session is taken all the same, one taken early stays taken, and a deposit goes back by the policy alone.
create function private.cancel_booking(
  p_org_id uuid, p_booking_id uuid, p_reason text, p_is_charged boolean, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
begin
  if v_booking.status = 'cancelled' then
    return v_booking.settlement;
  elsif v_booking.status not in ('pending', 'confirmed') then
    perform private.refuse_transition();
  end if;
  if v_booking.settlement = 'charged' and not p_is_charged then
    perform private.give_session_back(p_org_id, v_booking.purchase_id, p_booking_id, null, p_actor_id, p_now);
  end if;
  perform set_config('coach.cancels_for', 'staff', true), set_config('coach.cancel_is_charged', coalesce(p_is_charged, false)::text, true);
  update public.bookings as b
     set status = 'cancelled', cancellation_reason = left(p_reason, 500)
   where b.org_id = p_org_id and b.id = p_booking_id
  returning b.* into v_booking;
  perform set_config('coach.cancels_for', '', true), set_config('coach.cancel_is_charged', '', true);
  if p_is_charged and v_booking.purchase_id is not null and v_booking.settlement is null then
    update public.bookings as b
       set settlement = 'due', due_since = p_now
     where b.org_id = p_org_id and b.id = p_booking_id
    returning b.* into v_booking;
    return private.settle_booking(v_locked.package, v_booking, 'late_cancellation', null, p_actor_id, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.cancel_booking is
  'Cancels a booking and says what became of its session: null (free again), waived (given back), charged or uncovered. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';

-- Cancels for the client whose booking it is. In time the session is free again, also one taken at check-in; inside the notice the
-- organisation's policy refuses, lets it go, or charges.
create function private.client_cancel(p_org_id uuid, p_client_id uuid, p_booking_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
  v_settings public.booking_settings := private.settings_of(p_org_id);
begin
  if v_booking.client_id <> p_client_id then
    perform private.refuse_booking();
  elsif v_booking.status = 'cancelled' then
    return v_booking.settlement;
  elsif v_booking.settlement = 'charged'
        and not (v_settings.late_cancellation_policy = 'charge'
                 and now() > v_booking.start_time - make_interval(hours => v_settings.cancel_notice_hours)) then
    -- Undone with all the rest where the policy refuses, next.
    perform private.give_session_back(p_org_id, v_booking.purchase_id, p_booking_id, null, null, p_now);
  end if;
  perform set_config('coach.cancels_for', 'client', true);
  update public.bookings as b set status = 'cancelled'
   where b.org_id = p_org_id and b.id = p_booking_id
  returning b.* into v_booking;
  perform set_config('coach.cancels_for', '', true);
  if v_booking.settlement = 'due' then
    return private.settle_booking(v_locked.package, v_booking, 'late_cancellation', null, null, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.client_cancel is
  'Cancels a client''s own booking and says what became of its session. Fails: booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';

-- A client may move what they may cancel: not late, not where the organisation keeps that to itself.
create function private.require_cancellable(p_booking public.bookings, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_booking.org_id);
begin
  if not v_settings.allow_client_cancel then
    perform private.fail(403, 'cancellation_not_allowed', 'This booking cannot be cancelled here.', 'Ask your coach to cancel it.');
  elsif p_now > p_booking.start_time - make_interval(hours => v_settings.cancel_notice_hours) then
    perform private.fail(403, 'cancellation_too_late', 'It is too late to cancel this booking here.', 'Ask your coach to cancel it.');
  end if;
end;
$$;
comment on function private.require_cancellable is 'Refuses a client''s move inside the notice. Fails: cancellation_not_allowed 403, cancellation_too_late 403.';
