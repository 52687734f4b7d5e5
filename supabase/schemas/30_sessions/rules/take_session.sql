-- Taking a session: every door ends in private.take_session, and every charge of a booking in private.settle_booking.
-- Lock order: package, then booking.

-- Charges a locked booking to its locked package, or finds that nothing covers it. Validity is judged at the session's
-- start. A booking that is over and uncovered is told to the coach and never revisited.
create function private.settle_booking(
  p_package public.client_purchases, p_booking public.bookings, p_reason text, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settlement text;
  v_charge_no integer;
begin
  if p_package.valid_during @> p_booking.start_time and p_package.sessions_used < p_package.sessions_total then
    -- One charge per release: a second one would meet the unique index.
    select count(*) + 1 into v_charge_no
      from public.session_entries as u
      join public.session_entries as r on r.org_id = u.org_id and r.released_entry_id = u.id
     where u.org_id = p_booking.org_id and u.booking_id = p_booking.id;
    perform private.enter_session(p_package, 'use', 1, p_reason, p_actor_id, p_now,
                                  p_booking_id => p_booking.id, p_charge_no => v_charge_no,
                                  p_request_id => p_request_id, p_answer => 1);
    v_settlement := 'charged';
  else
    if p_request_id is not null then
      perform private.enter_session(p_package, 'use', 0, 'uncovered', p_actor_id, p_now,
                                    p_booking_id => p_booking.id, p_request_id => p_request_id, p_answer => 0);
    end if;
    if p_booking.settlement is null or p_booking.settlement = 'waived' then
      return p_booking.settlement;
    end if;
    perform private.raise_alert(p_booking.org_id, 'booking_uncovered', p_booking.client_id, p_package.id, p_booking.id);
    v_settlement := 'uncovered';
  end if;
  update public.bookings as b
     set settlement = v_settlement, due_since = null
   where b.org_id = p_booking.org_id and b.id = p_booking.id;
  return v_settlement;
end;
$$;
comment on function private.settle_booking is
  'Charges one booking to its package: charged, or uncovered when it is over and nothing covers it; the caller holds both locks.';

-- The booking's own session, once; again only when it is named after a release.
create function private.charge_booking(
  p_package public.client_purchases, p_booking_id uuid, p_request_id uuid, p_actor_id uuid, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_booking public.bookings;
begin
  select b.* into v_booking
    from public.bookings as b
   where b.org_id = p_package.org_id and b.id = p_booking_id
     for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_booking.purchase_id is distinct from p_package.id then
    perform private.fail(422, 'booking_not_in_package', 'This booking is not paid from this package.',
                         'Name the booking''s own package.');
  elsif v_booking.settlement = 'charged' then
    if p_request_id is not null then
      perform private.enter_session(p_package, 'use', 0, 'already_charged', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_request_id => p_request_id, p_answer => 1);
    end if;
    return true;
  elsif v_booking.status = 'pending' or v_booking.status = 'cancelled' and not private.is_late_cancellation(v_booking) then
    perform private.fail(409, 'booking_not_chargeable', 'A booking that is pending, or was cancelled in time, takes no session.',
                         'Confirm it first, or use a session without naming it.');
  end if;
  return private.settle_booking(
    p_package, v_booking, case when v_booking.status = 'confirmed' then 'check_in' else private.settle_reason(v_booking.status) end,
    p_request_id, p_actor_id, p_now) is not distinct from 'charged';
end;
$$;
comment on function private.charge_booking is
  'Charges a named booking of a locked package; true when it is charged. Fails: booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409.';

create function private.settle_reason(p_status text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case p_status when 'no_show' then 'no_show' when 'cancelled' then 'late_cancellation' else 'completion' end;
$$;
comment on function private.settle_reason is 'The ledger''s reason for charging a booking that ended with this status.';

-- Takes one session; the caller has authorised. See use_session for what each combination of arguments means.
create function private.take_session(
  p_org_id uuid, p_purchase_id uuid, p_booking_id uuid, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz default clock_timestamp())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_booking public.bookings;
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'use', p_purchase_id, p_booking_id);
  v_refusal text;
begin
  if v_answer is not null then
    return v_answer = 1;
  elsif p_booking_id is not null then
    return private.charge_booking(v_package, p_booking_id, p_request_id, p_actor_id, p_now);
  elsif p_request_id is null then
    -- The existing app completes a booking and then asks without naming it: the oldest one that is due is meant. What a
    -- no-show or a late cancellation owes is not: the sweep takes that.
    for v_booking in
      select b.*
        from public.bookings as b
       where b.org_id = p_org_id and b.purchase_id = p_purchase_id and b.status = 'completed' and b.settlement = 'due'
       order by b.start_time, b.id
         for no key update
    loop
      perform private.meet_follow_up(v_package, v_booking.id, p_actor_id, p_now);
      return private.settle_booking(v_package, v_booking, private.settle_reason(v_booking.status), null, p_actor_id, p_now) = 'charged';
    end loop;
    v_booking := private.meet_follow_up(v_package, null, p_actor_id, p_now);
    if v_booking.id is not null then
      return v_booking.settlement is not distinct from 'charged';
    elsif private.is_same_click(v_package, p_actor_id, p_now) then
      return true;
    end if;
  end if;

  v_refusal := case
    when not v_package.valid_during @> p_now then 'package_invalid'
    when v_package.sessions_used >= v_package.sessions_total then 'package_exhausted' end;
  if v_refusal is null then
    perform private.enter_session(v_package, 'use', 1, 'click', p_actor_id, p_now, p_request_id => p_request_id, p_answer => 1);
  elsif p_request_id is not null then
    perform private.enter_session(v_package, 'use', 0, v_refusal, p_actor_id, p_now, p_request_id => p_request_id, p_answer => 0);
  end if;
  return v_refusal is null;
end;
$$;
comment on function private.take_session is 'Takes one session from a package under its lock; true when taken (or had been). The caller has authorised.';

-- The call that a direct completion announced: the person's own first, else the one for the booking they are settling. Null
-- when none was waited for. With several bookings and people it does not matter whose call settles which, only how many come.
create function private.meet_follow_up(p_package public.client_purchases, p_booking_id uuid, p_actor_id uuid, p_now timestamptz)
returns public.bookings
language sql volatile security definer set search_path = ''
as $$
  update public.bookings as b
     set follow_up_by = null, follow_up_until = null
    from (select w.id
            from public.bookings as w
           where w.org_id = p_package.org_id and w.purchase_id = p_package.id and w.follow_up_by is not null
             and (w.id = p_booking_id or w.follow_up_by = p_actor_id and w.follow_up_until > p_now)
           order by w.follow_up_by is not distinct from p_actor_id desc, w.start_time, w.id
           limit 1) as met
   where b.org_id = p_package.org_id and b.id = met.id
  returning b.*;
$$;
comment on function private.meet_follow_up is
  'Ends the wait for one unnamed use_session call on a locked package and returns the booking it was for, null when none was waited for.';

-- A double click: the same person took a session, not given back since, within the organisation's window. Clicks are
-- compared by when they arrived, not by when they got the lock.
create function private.is_same_click(p_package public.client_purchases, p_actor_id uuid, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_actor_id is not null and private.click_window(p_package.org_id) > '0' and exists (
    select
      from public.session_entries as e
     where e.org_id = p_package.org_id and e.purchase_id = p_package.id
       and e.created_at > p_now - private.click_window(p_package.org_id)
       and e.kind = 'use' and e.used_delta = 1 and e.actor_id = p_actor_id
       and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id));
$$;
comment on function private.is_same_click is 'True when this person took a session from this package within the click window, not given back since.';

-- Who may: a member with sessions.use in the package's organisation.
create function private.member_take_session(p_purchase_id uuid, p_booking_id uuid, p_request_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.take_session(private.member_package_org(p_purchase_id, 'sessions.use'), p_purchase_id, p_booking_id, p_request_id,
                              auth.uid());
end;
$$;
comment on function private.member_take_session is 'take_session for a member with sessions.use.';
