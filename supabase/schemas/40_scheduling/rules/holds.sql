-- Holds and the waitlist: a slot kept for some minutes, for whoever is about to book it or was waiting for it.
-- A hold that has run out is in nobody's way at once (private.occupy); the sweep tidies up and passes waitlist offers on.
-- Lock order: as in occupy.sql. A hold is changed by whoever has locked its occupancy.

create function private.hold_slot(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_start_time timestamptz, p_duration_mins integer, p_staff_id uuid,
  p_location_id uuid, p_audience text, p_minutes integer default null, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_type public.session_types := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape record := private.session_shape(v_settings, v_type, p_duration_mins);
  v_expires_at timestamptz := p_now + make_interval(mins => coalesce(p_minutes, v_settings.hold_mins, 10));
  v_slot record;
  v_occupancy_id uuid;
  v_hold private.holds;
begin
  perform private.lock_day(v_type, v_settings.timezone, p_start_time);
  for v_slot in
    select s.* from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                                          tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now) as s
     order by s.seats_left < v_shape.capacity desc, s.rank, s.staff_id
  loop
    v_occupancy_id := private.occupy(
      p_org_id, v_slot.staff_id, v_type.id, v_shape.capacity, v_slot.start_time, v_slot.end_time,
      tstzrange(v_slot.start_time - v_shape.before, v_slot.end_time + v_shape.after), v_expires_at, p_now);
    exit when v_occupancy_id is not null;
  end loop;
  if v_occupancy_id is null then
    return private.outcome('taken', jsonb_build_object('alternatives', private.alternatives(
      p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id, p_start_time, p_audience, p_now)));
  end if;
  insert into private.holds (org_id, occupancy_id, client_id, session_type_id, location_id, staff_id, start_time, end_time, expires_at)
  values (p_org_id, v_occupancy_id, p_client_id, v_type.id, p_location_id, v_slot.staff_id, v_slot.start_time, v_slot.end_time, v_expires_at)
  returning * into v_hold;
  return private.held(v_hold);
end;
$$;
comment on function private.hold_slot is
  'Keeps a slot for some minutes: {outcome: held, hold_id, staff_id, start_time, end_time, expires_at} or {outcome: taken, alternatives}.';

create function private.held(p_hold private.holds)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select private.outcome('held', jsonb_build_object(
    'hold_id', p_hold.id, 'staff_id', p_hold.staff_id, 'start_time', p_hold.start_time, 'end_time', p_hold.end_time,
    'expires_at', p_hold.expires_at));
$$;
comment on function private.held is 'The outcome of a hold that was made.';

-- Turns a hold into a booking. One that has run out is told so, also when its time is still free.
create function private.confirm_hold(
  p_org_id uuid, p_hold_id uuid, p_client_id uuid, p_purchase_id uuid, p_audience text, p_source text, p_notes text, p_actor_id uuid,
  p_now timestamptz default clock_timestamp(), p_status text default 'confirmed')
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold private.holds;
  v_booking public.bookings;
begin
  if p_purchase_id is not null then
    if (private.lock_package(p_org_id, p_purchase_id)).client_id <> p_client_id then
      perform private.refuse_purchase();
    end if;
  end if;
  -- The seat is ours until now: whoever lets go of holds that have run out waits for this row.
  perform from private.occupancies as o
    where o.org_id = p_org_id and o.id = (select h.occupancy_id from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id)
      for no key update;
  select h.* into v_hold from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id for no key update;
  if not found or v_hold.client_id <> p_client_id then
    perform private.fail(404, 'hold_not_found', 'There is no such hold.', 'Choose a time again.');
  elsif v_hold.status = 'booked' then
    select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.id = v_hold.booking_id;
    return private.booked(v_booking);
  elsif v_hold.status <> 'held' or v_hold.expires_at <= p_now then
    return private.outcome('hold_expired', jsonb_build_object('alternatives', private.alternatives(
      p_org_id, v_hold.session_type_id, extract(epoch from v_hold.end_time - v_hold.start_time)::integer / 60, v_hold.staff_id,
      v_hold.location_id, v_hold.start_time, p_audience, p_now)));
  elsif p_purchase_id is not null and coalesce(private.bookable_at(p_org_id, p_purchase_id, v_hold.start_time), 0) < 1 then
    return private.outcome('package_exhausted');
  end if;
  update private.occupancies as o
     set expires_at = null
   where o.org_id = p_org_id and o.id = v_hold.occupancy_id and o.seats > 0;
  if not found then
    return private.outcome('hold_expired', '{"alternatives": []}');
  end if;
  insert into public.bookings (
    org_id, client_id, start_time, end_time, duration_mins, session_type, session_type_id, staff_id, location_id, occupancy_id,
    purchase_id, status, booked_by, booking_source, notes, client_notes)
  select p_org_id, p_client_id, v_hold.start_time, v_hold.end_time, extract(epoch from v_hold.end_time - v_hold.start_time)::integer / 60,
         coalesce(t.slug, 'pt_session'), v_hold.session_type_id, v_hold.staff_id, v_hold.location_id, v_hold.occupancy_id,
         p_purchase_id, p_status, p_actor_id, p_source, case when p_audience = 'coach' then p_notes end,
         case when p_audience = 'client' then p_notes end
    from (select private.session_type_of(p_org_id, v_hold.session_type_id, null) as t) as x
   cross join lateral (select (x.t).slug) as t
  returning * into v_booking;
  update private.holds as h
     set status = 'booked', booking_id = v_booking.id, occupancy_id = null
   where h.org_id = p_org_id and h.id = p_hold_id;
  update public.waitlist_entries as w
     set status = 'booked', updated_at = p_now
   where w.org_id = p_org_id and w.hold_id = p_hold_id;
  return private.booked(v_booking);
end;
$$;
comment on function private.confirm_hold is
  'Books a held slot: {outcome: booked, …}, {outcome: hold_expired, alternatives} or {outcome: package_exhausted}. Fails: hold_not_found 404, purchase_not_found 404.';

-- A freed time goes to the first on the waitlist whom it fits, as a hold with a time limit; the coach sees the offer, and
-- messaging carries it to the client.
create function private.offer_to_waitlist(
  p_org_id uuid, p_staff_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
  v_entry public.waitlist_entries;
  v_slot record;
  v_held jsonb;
  v_offered integer := 0;
begin
  if p_end_time <= p_now then
    return 0;
  end if;
  v_settings := private.settings_of(p_org_id);
  for v_entry in
    select w.*
      from public.waitlist_entries as w
     where w.org_id = p_org_id and w.status = 'waiting' and w.on_date = (p_start_time at time zone v_settings.timezone)::date
       and (w.staff_id is null or w.staff_id = p_staff_id)
       and (w.start_time is null or w.start_time < p_end_time)
     order by w.created_at, w.id
  loop
    select s.staff_id, s.start_time into v_slot
      from private.offered_slots(p_org_id, v_entry.session_type_id, null, p_staff_id, null,
                                 tstzrange(coalesce(v_entry.start_time, p_start_time),
                                           coalesce(v_entry.start_time, p_end_time - interval '1 second'), '[]'),
                                 'coach', p_now) as s
     order by abs(extract(epoch from s.start_time - p_start_time)), s.start_time
     limit 1;
    continue when not found;
    -- Only whom it fits is locked: another time that is freed at this moment finds the others.
    perform from public.waitlist_entries as w
      where w.org_id = p_org_id and w.id = v_entry.id and w.status = 'waiting' for no key update skip locked;
    continue when not found;
    v_held := private.hold_slot(p_org_id, v_entry.client_id, v_entry.session_type_id, v_slot.start_time, null, v_slot.staff_id, null,
                                'coach', coalesce(v_settings.waitlist_offer_mins, 60), p_now);
    if v_held ->> 'outcome' = 'held' then
      update public.waitlist_entries as w
         set status = 'offered', hold_id = (v_held ->> 'hold_id')::uuid, offered_at = p_now, updated_at = p_now
       where w.org_id = p_org_id and w.id = v_entry.id;
      perform private.raise_alert(p_org_id, 'waitlist_offered', v_entry.client_id, null, null);
      v_offered := v_offered + 1;
    end if;
  end loop;
  return v_offered;
end;
$$;
comment on function private.offer_to_waitlist is 'Offers a freed time to those on the waitlist whom it fits, first come first; returns how many offers were made.';

create function private.tg__offer_freed()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.offer_to_waitlist(old.org_id, old.staff_id, old.start_time, old.end_time);
  return null;
end;
$$;
comment on function private.tg__offer_freed is 'Offers the time that a booking or a hold leaves: cancelled, moved or deleted.';
create trigger bookings__offer_freed after update on public.bookings
  for each row when (old.occupancy_id is not null and old.occupancy_id is distinct from new.occupancy_id)
  execute function private.tg__offer_freed();
create trigger bookings__offer_freed_by_delete after delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg__offer_freed();
create trigger holds__offer_freed_by_delete after delete on private.holds
  for each row when (old.occupancy_id is not null) execute function private.tg__offer_freed();

-- Expired holds are let go and their times offered on; one batch a call, safe on any number of machines. What somebody else is at
-- work on (a calendar that is being moved or swept, a session that is being joined) is left for the next call.
create function private.sweep_expired_holds(p_limit integer, p_now timestamptz, p_dry_run boolean, out expired integer, out offered integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_holds private.holds[];
  v_hold private.holds;
  v_gone integer;
begin
  expired := 0;
  offered := 0;
  if p_dry_run then
    select least(count(*), p_limit) into expired from private.holds as h where h.status = 'held' and h.expires_at <= p_now;
    return;
  end if;
  select array_agg(d.hold) into v_holds
    from (select h as hold
            from private.holds as h
            join public.staff as s on s.org_id = h.org_id and s.id = h.staff_id
           where h.status = 'held' and h.expires_at <= p_now
           order by h.expires_at, h.id
           limit p_limit
             for no key update of s skip locked) as d;
  perform private.lock_days(array_agg(t.id), array_agg(t.on_date))
    from (select h.org_id, array_agg(h.start_time) as freed from unnest(v_holds) as h group by h.org_id) as o
   cross join lateral private.waited_days(o.org_id, o.freed) as w
   cross join lateral unnest(w.session_type_ids, w.dates) as t (id, on_date);
  foreach v_hold in array coalesce(v_holds, '{}') loop
    perform from private.occupancies as o
      where o.org_id = v_hold.org_id and o.id = v_hold.occupancy_id for no key update skip locked;
    continue when not found;
    v_gone := private.expire_holds(v_hold.org_id, v_hold.occupancy_id, p_now);
    -- Those of one session go together, and somebody may have been faster.
    continue when v_gone = 0;
    perform private.drop_empty(v_hold.org_id, v_hold.occupancy_id);
    expired := expired + v_gone;
    offered := offered + private.offer_to_waitlist(v_hold.org_id, v_hold.staff_id, v_hold.start_time, v_hold.end_time, p_now);
  end loop;
end;
$$;
comment on function private.sweep_expired_holds is 'Lets go of expired holds and offers their times to the waitlist; returns both counts.';

-- A client waits for a day, or for one start; asking again changes nothing.
create function private.join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_start_time timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_on date := coalesce(p_on, (p_start_time at time zone private.org_timezone(p_org_id))::date);
  v_id uuid;
begin
  perform private.require_value(v_on between private.org_today(p_org_id) and private.org_today(p_org_id) + 366, 'on');
  perform private.require_value(p_start_time is null or v_on = (p_start_time at time zone private.org_timezone(p_org_id))::date, 'start_time');
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  -- The client's row is the lock: two tabs wait once.
  perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id for no key update;
  select w.id into v_id
    from public.waitlist_entries as w
   where w.org_id = p_org_id and w.client_id = p_client_id and w.on_date = v_on and w.status in ('waiting', 'offered')
     and (w.session_type_id, w.start_time) is not distinct from (p_session_type_id, p_start_time);
  if not found then
    insert into public.waitlist_entries (org_id, client_id, on_date, session_type_id, staff_id, start_time)
    values (p_org_id, p_client_id, v_on, p_session_type_id, p_staff_id, p_start_time)
    returning id into v_id;
  end if;
  return v_id;
end;
$$;
comment on function private.join_waitlist is
  'Puts a client on the waitlist of a local day or of one start; returns the entry''s id. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404.';

-- Another tenant's type, staff member or location does not exist.
create function private.require_in_org(p_org_id uuid, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_session_type_id is not null
     and not exists (select from public.session_types as t where t.org_id = p_org_id and t.id = p_session_type_id) then
    perform private.fail(404, 'session_type_not_found', 'There is no such session type.', 'Reload the session types.');
  elsif p_staff_id is not null and not exists (select from public.staff as s where s.org_id = p_org_id and s.id = p_staff_id) then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  elsif p_location_id is not null and not exists (select from public.locations as l where l.org_id = p_org_id and l.id = p_location_id) then
    perform private.fail(404, 'location_not_found', 'There is no such location.', 'Reload the locations.');
  end if;
end;
$$;
comment on function private.require_in_org is
  'Refuses ids that are not the organisation''s; null passes. Fails: session_type_not_found 404, staff_not_found 404, location_not_found 404.';
