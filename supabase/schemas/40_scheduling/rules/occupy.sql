-- Taking and giving back a staff member's time. Every booking that is not cancelled occupies: by trigger, so that the existing
-- app's direct inserts and updates, re-activation and rescheduling all meet the one exclusion constraint.
-- Lock order, in all of scheduling: package, booking, staff (moves, series and the sweep of holds), day, occupancy, hold, waitlist
-- entry. Whoever needs one out of turn skips what is locked.

-- A seat in that time, or null when it is taken. `on conflict do nothing` waits for whoever is taking it at this moment and
-- needs no subtransaction.
create function private.occupy(
  p_org_id uuid, p_staff_id uuid, p_session_type_id uuid, p_capacity integer, p_starts_at timestamptz, p_ends_at timestamptz,
  p_blocked tstzrange, p_expires_at timestamptz default null, p_now timestamptz default clock_timestamp())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
  v_there record;
begin
  -- Whoever was in the way may be gone after the wait for them: then it is tried again.
  for v_attempt in 1 .. 5 loop
    -- A look first, at what is most often in the way: somebody at that very start. It grants nothing. Whatever else overlaps, the
    -- constraint sees, before a row is written.
    select o.id, o.session_type_id, o.ends_at into v_there
      from private.occupancies as o
     where o.org_id = p_org_id and o.staff_id = p_staff_id and o.starts_at = p_starts_at and o.seats > 0
       and (o.expires_at is null or o.expires_at > p_now);
    if not found then
      insert into private.occupancies (
        org_id, staff_id, session_type_id, starts_at, ends_at, blocked, capacity, seats, expires_at)
      values (p_org_id, p_staff_id, p_session_type_id, p_starts_at, p_ends_at, p_blocked, p_capacity, 1, p_expires_at)
      on conflict on constraint occupancies_no_overlap do nothing
      returning id into v_id;
      exit when v_id is not null;
      -- Holds that have run out are in nobody's way, swept or not.
      update private.occupancies as o
         set seats = 0
       where o.org_id = p_org_id and o.staff_id = p_staff_id and o.blocked && p_blocked and o.seats > 0 and o.expires_at <= p_now;
      -- Who would join looks once more: the session may have begun to fill at this moment.
      exit when not found and (p_capacity = 1 or v_attempt > 1);
      continue;
    end if;
    exit when p_capacity = 1 or (v_there.session_type_id, v_there.ends_at) is distinct from (p_session_type_id, p_ends_at);
    -- A session that is on, be it only held so far, has room while a seat is free or held no longer.
    perform from private.occupancies as o
      where o.org_id = p_org_id and o.id = v_there.id
        and (o.seats < p_capacity
             or exists (select from private.holds as h
                         where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now))
        for no key update;
    exit when not found;
    perform private.expire_holds(p_org_id, v_there.id, p_now);
    update private.occupancies as o
       set seats = o.seats + 1, capacity = p_capacity,
           expires_at = case when p_expires_at > o.expires_at then p_expires_at when p_expires_at is not null then o.expires_at end
     where o.org_id = p_org_id and o.id = v_there.id and o.seats between 1 and p_capacity - 1
       and (o.expires_at is null or o.expires_at > p_now)
    returning o.id into v_id;
    exit when v_id is not null;
  end loop;
  return v_id;
end;
$$;
comment on function private.occupy is
  'Takes one seat of a staff member''s time and returns the occupancy, or null when it is taken; a group session is joined while it has seats.';

-- The caller has locked the occupancy, in a statement before: what this one sees of its holds is what holds.
create function private.expire_holds(p_org_id uuid, p_occupancy_id uuid, p_now timestamptz)
returns integer
language sql volatile security definer set search_path = ''
as $$
  with gone as (
    update private.holds as h
       set status = 'expired', occupancy_id = null
     where h.org_id = p_org_id and h.occupancy_id = p_occupancy_id and h.status = 'held' and h.expires_at <= p_now
    returning h.id),
  passed as (
    update public.waitlist_entries as w
       set status = 'expired', updated_at = p_now
      from gone as g
     where w.org_id = p_org_id and w.hold_id = g.id and w.status = 'offered'),
  given_back as (
    update private.occupancies as o
       set seats = greatest(o.seats - g.n, 0)
      from (select count(*)::integer as n from gone) as g
     where o.org_id = p_org_id and o.id = p_occupancy_id and g.n > 0)
  select count(*)::integer from gone;
$$;
comment on function private.expire_holds is
  'Lets go of the holds in one occupancy that have run out, and of the offers they were; returns how many.';

create function private.vacate(p_org_id uuid, p_occupancy_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_left integer;
begin
  update private.occupancies as o
     set seats = o.seats - 1
   where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats > 0
  returning o.seats into v_left;
  if v_left > 0 then
    -- Where the last booking has left and seats are held yet, the time is taken as long as the last of these holds.
    update private.occupancies as o
       set expires_at = h.last_at
      from (select count(*)::integer as n, max(h.expires_at) as last_at
              from private.holds as h where h.org_id = p_org_id and h.occupancy_id = p_occupancy_id and h.status = 'held') as h
     where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats = h.n;
  end if;
end;
$$;
comment on function private.vacate is 'Gives one seat back; at none the time is free, and when only holds are left it is free when they have run out.';

create function private.drop_empty(p_org_id uuid, p_occupancy_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  delete from private.occupancies as o
   where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats = 0
     and not exists (select from private.holds as h where h.org_id = o.org_id and h.occupancy_id = o.id);
$$;
comment on function private.drop_empty is 'Removes an occupancy that everybody has left, once the holds that had run out in it are swept.';

-- Whose calendar a booking lands on when nobody says: the signed-in member's own, else the organisation's first who is active. A solo
-- coach gets their staff row here, with their first booking.
create function private.default_staff(p_org_id uuid, p_user_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- A desk books for the coaches, unless it has a calendar of its own already.
  v_user_id uuid := (
    select m.user_id from public.org_members as m
     where m.org_id = p_org_id and m.user_id = p_user_id
       and (m.role not in ('front_desk', 'accountant_readonly', 'support')
            or exists (select from public.staff as s where s.org_id = p_org_id and s.user_id = p_user_id)));
  v_staff_id uuid;
begin
  -- Whoever takes no sessions books for those who do.
  if v_user_id is null
     or exists (select from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id and not s.is_active) then
    select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.is_active order by s.created_at, s.id limit 1;
    if found then
      return v_staff_id;
    end if;
    v_user_id := coalesce(v_user_id, (
      select m.user_id from public.org_members as m where m.org_id = p_org_id and m.role <> 'support' order by m.role <> 'owner', m.created_at, m.id limit 1));
  end if;
  select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id;
  if not found then
    insert into public.staff as s (org_id, user_id, full_name)
    select o.id, v_user_id, coalesce((select p.full_name from public.profiles as p where p.id = v_user_id and btrim(p.full_name) <> ''), o.name)
      from public.orgs as o where o.id = p_org_id
    on conflict (org_id, user_id) do nothing
    returning s.id into v_staff_id;
    -- Not `do update`: writing a key column would lock out the bookings that point to the row, and they hold time we may wait for.
    if v_staff_id is null then
      select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id;
    end if;
  end if;
  return v_staff_id;
end;
$$;
comment on function private.default_staff is 'The staff member whose calendar a booking takes by default; made when there is none yet.';

-- The founder gives sessions until somebody else does: a solo coach's hours are offered without setting up staff.
create function private.tg_org_members__first_staff()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.role <> 'support' and not exists (select from public.staff as s where s.org_id = new.org_id) then
    perform private.default_staff(new.org_id, new.user_id);
  end if;
  return null;
end;
$$;
comment on function private.tg_org_members__first_staff is 'Gives the organisation''s first member a calendar.';
create trigger org_members__first_staff after insert on public.org_members
  for each row execute function private.tg_org_members__first_staff();

-- The session type a booking means: named, or by the slug the existing app writes into session_type.
create function private.session_type_of(p_org_id uuid, p_session_type_id uuid, p_slug text)
returns public.session_types
language sql stable security definer set search_path = ''
as $$
  select t.* from public.session_types as t
   where t.org_id = p_org_id and (t.id = p_session_type_id or (p_session_type_id is null and t.slug = p_slug));
$$;
comment on function private.session_type_of is 'The session type named by id, else by slug; null when it is free text.';

create function private.refuse_slot()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'slot_taken', 'This time is taken.', 'Choose another time or another staff member.');
$$;
comment on function private.refuse_slot is 'Refuses a time that overlaps what is booked or held: slot_taken 409.';

-- Not fired by completing, nor by what an RPC has occupied already.
create function private.tg_bookings__occupy()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type public.session_types;
  v_is_active boolean;
begin
  if tg_op = 'UPDATE' and old.occupancy_id is not null then
    if new.status <> 'cancelled' then
      -- Two bookings that swap times would wait for each other's old time: rescheduling queues on the staff row.
      perform from public.staff as s
        where s.org_id = new.org_id and s.id in (old.staff_id, new.staff_id) order by s.id for no key update;
    end if;
    perform private.lock_days(d.session_type_ids, d.dates) from private.waited_days(old.org_id, array[old.start_time]) as d;
    perform private.vacate(old.org_id, old.occupancy_id);
    new.occupancy_id := null;
    new.ics_sequence := old.ics_sequence + 1;
  elsif tg_op = 'UPDATE' then
    new.ics_sequence := old.ics_sequence + 1;
  end if;
  -- What is missing is refused by the row's own rules.
  if new.status = 'cancelled' or new.start_time is null or new.end_time is null then
    return new;
  end if;
  if new.end_time <= new.start_time or new.end_time > new.start_time + interval '24 hours' then
    perform private.require_value(false, 'end_time');
  end if;
  if new.staff_id is null then
    new.staff_id := private.default_staff(new.org_id, new.booked_by);
  end if;
  -- Staff and type (as session_type_of finds it) in one look.
  select s.is_active, t.id, t.capacity, t.buffer_before_mins, t.buffer_after_mins
    into v_is_active, v_type.id, v_type.capacity, v_type.buffer_before_mins, v_type.buffer_after_mins
    from public.staff as s
    left join public.session_types as t
      on t.org_id = s.org_id and (t.id = new.session_type_id or new.session_type_id is null and t.slug = new.session_type)
   where s.org_id = new.org_id and s.id = new.staff_id;
  if v_is_active is not true then
    perform private.fail(409, 'staff_inactive', 'This staff member takes no bookings.', 'Choose another staff member.');
  end if;
  new.occupancy_id := private.occupy(
    new.org_id, new.staff_id, v_type.id, coalesce(v_type.capacity, 1), new.start_time, new.end_time,
    tstzrange(new.start_time - make_interval(mins => coalesce(v_type.buffer_before_mins, 0)),
              new.end_time + make_interval(mins => coalesce(v_type.buffer_after_mins, 0))));
  if new.occupancy_id is null then
    perform private.refuse_slot();
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__occupy is
  'Keeps a booking''s time taken exactly while it is not cancelled. Fails: slot_taken 409, staff_inactive 409, value_not_allowed 422.';
-- Named to run after the checks of status and client, which may still refuse.
create trigger bookings__occupy_new before insert on public.bookings
  for each row when (new.occupancy_id is null) execute function private.tg_bookings__occupy();
create trigger bookings__occupy_moved before update on public.bookings
  for each row when (
    new.occupancy_id is not distinct from old.occupancy_id
    and ((old.status = 'cancelled') <> (new.status = 'cancelled')
         or new.status <> 'cancelled'
            and (old.start_time, old.end_time, old.staff_id) is distinct from (new.start_time, new.end_time, new.staff_id)))
  execute function private.tg_bookings__occupy();

create function private.tg_bookings__drop_empty()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.drop_empty(old.org_id, old.occupancy_id);
  return null;
end;
$$;
comment on function private.tg_bookings__drop_empty is 'Removes an occupancy that its last booking has left.';
create trigger bookings__drop_empty after update on public.bookings
  for each row when (old.occupancy_id is distinct from new.occupancy_id and old.occupancy_id is not null)
  execute function private.tg_bookings__drop_empty();

-- A client who is deleted takes their bookings and holds along, not the staff's time.
create function private.tg__give_time_back()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.vacate(old.org_id, old.occupancy_id);
  perform private.drop_empty(old.org_id, old.occupancy_id);
  return null;
end;
$$;
comment on function private.tg__give_time_back is 'Gives back the time of a deleted booking or hold.';
create trigger bookings__give_time_back after delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg__give_time_back();
create trigger holds__give_time_back after delete on private.holds
  for each row when (old.occupancy_id is not null) execute function private.tg__give_time_back();

create function private.tg_bookings__lock_freed()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.lock_days(d.session_type_ids, d.dates) from private.waited_days(old.org_id, array[old.start_time]) as d;
  return old;
end;
$$;
comment on function private.tg_bookings__lock_freed is 'Locks the days on which a deleted booking''s time may be offered, before any time is given back.';
create trigger bookings__lock_freed before delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg_bookings__lock_freed();

-- A type may go when nothing but holds that have run out refers to it; what a booking of it takes, by whatever name, keeps it.
create function private.tg_session_types__let_go()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_occupancy_id uuid;
begin
  if not exists (
    select from private.occupancies as o
     where o.org_id = old.org_id and o.session_type_id = old.id and o.seats > 0 and coalesce(o.expires_at > clock_timestamp(), true)) then
    -- Out of turn, the type's own row being locked already: what somebody else has locked is in use.
    for v_occupancy_id in
      select o.id from private.occupancies as o where o.org_id = old.org_id and o.session_type_id = old.id for no key update skip locked
    loop
      perform private.expire_holds(old.org_id, v_occupancy_id, clock_timestamp());
      perform private.drop_empty(old.org_id, v_occupancy_id);
    end loop;
  end if;
  if exists (select from private.occupancies as o where o.org_id = old.org_id and o.session_type_id = old.id) then
    perform private.fail(409, 'session_type_in_use', 'This is in use and keeps history readable.', 'Make it inactive instead.');
  end if;
  return old;
end;
$$;
comment on function private.tg_session_types__let_go is
  'Refuses to delete a session type whose sessions take time, and lets go of its holds that have run out: session_type_in_use 409.';
-- Named to run after the look at bookings that name the type.
create trigger session_types__refuse_delete_occupied before delete on public.session_types
  for each row execute function private.tg_session_types__let_go();

-- The existing app says user_id where we say staff_id; whichever is sent decides.
create function private.tg__name_staff()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.staff_id is not null then
    new.user_id := (select s.user_id from public.staff as s where s.org_id = new.org_id and s.id = new.staff_id);
  elsif new.user_id is not null and not private.is_outsider(new.org_id) then
    select s.id into new.staff_id from public.staff as s where s.org_id = new.org_id and s.user_id = new.user_id;
    if not found then
      -- Nobody named is everyone, so a person who cannot be found must not become nobody.
      if not exists (select from public.org_members as m where m.org_id = new.org_id and m.user_id = new.user_id) then
        perform private.refuse_stranger();
      end if;
      new.staff_id := private.default_staff(new.org_id, new.user_id);
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg__name_staff is
  'Fills staff_id from user_id, for rows the existing app writes; user_id from staff_id, where both are sent too. Fails: staff_not_member 422.';
create trigger availability__name_staff before insert on public.availability
  for each row execute function private.tg__name_staff();
create trigger blocked_times__name_staff before insert on public.blocked_times
  for each row execute function private.tg__name_staff();
