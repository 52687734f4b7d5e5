-- Scheduling rules, first cut: the organisation's settings with their defaults, how a booking moves from one status to the
-- next, and completing it exactly once.
-- A direct write has locked the booking, so these triggers wait for no package: they mark the booking `due`, and
-- use_session, complete_booking or the sweep settle it in the lock order package, then booking.

create function private.org_timezone(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s.timezone from public.booking_settings as s where s.org_id = p_org_id), 'Australia/Brisbane');
$$;
comment on function private.org_timezone is 'The organisation''s timezone; the default where no settings row exists.';

create function private.click_window(p_org_id uuid)
returns interval
language sql stable security definer set search_path = ''
as $$
  select make_interval(secs => coalesce(
    (select s.session_click_window_secs from public.booking_settings as s where s.org_id = p_org_id), 5));
$$;
comment on function private.click_window is 'Within what time two clicks are one; 5 seconds where no settings row exists.';

-- POSIX strings such as FOO+5 are accepted by AT TIME ZONE and mean the opposite of what they say: only names count.
create function private.tg_booking_settings__check_timezone()
returns trigger
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not exists (select from pg_catalog.pg_timezone_names as z where z.name = new.timezone and z.name !~ '^(posix|right)/') then
    perform private.fail(422, 'timezone_unknown', 'There is no such timezone.', 'Send an IANA name such as Australia/Brisbane.');
  end if;
  return new;
end;
$$;
comment on function private.tg_booking_settings__check_timezone is 'Refuses a timezone that is not an IANA name: timezone_unknown 422.';
create trigger booking_settings__check_timezone before insert or update of timezone on public.booking_settings
  for each row execute function private.tg_booking_settings__check_timezone();

create trigger booking_settings__touch before update on public.booking_settings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger session_types__touch before update on public.session_types
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger bookings__touch before update on public.bookings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger session_types__refuse_delete_in_use before delete on public.session_types
  for each row execute function private.tg__refuse_delete_in_use('bookings', 'session_type_id', 'session_type_in_use');

create function private.refuse_booking()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'booking_not_found', 'There is no such booking.', 'Reload the calendar.');
$$;
comment on function private.refuse_booking is 'Refuses an unknown booking, or another tenant''s: booking_not_found 404.';

-- A member who books is the one who booked, whatever the app sends; a booking begins pending or confirmed.
create function private.tg_bookings__check_new()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.status not in ('pending', 'confirmed') then
    perform private.fail(422, 'booking_status_invalid', 'A booking begins pending or confirmed.', 'Send one of these as status.');
  end if;
  if auth.uid() is not null then
    new.booked_by := auth.uid();
  end if;
  -- The mobile app's own insert: a client is bound by all that binds a client, and says nothing of staff or package.
  if auth.role() = 'authenticated' then
    if not new.org_id = any (private.orgs_with('bookings.read')) then
      perform private.check_client_insert(new);
      new.booking_source := 'client';
    end if;
  end if;
  if new.purchase_id is not null then
    -- The lock that the foreign key takes later: a delete of the package that is under way is waited for, and refused clearly.
    perform from public.client_purchases as p
      where p.org_id = new.org_id and p.client_id = new.client_id and p.id = new.purchase_id
        for key share;
    if not found then
      perform private.refuse_purchase();
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__check_new is 'Checks a new booking''s status and package, and says who booked.';
create trigger bookings__check_new before insert on public.bookings
  for each row execute function private.tg_bookings__check_new();

create function private.check_client_insert(p_booking public.bookings)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type public.session_types := private.session_type_of(p_booking.org_id, p_booking.session_type_id, p_booking.session_type);
begin
  if not exists (select from private.my_clients() as c where c.org_id = p_booking.org_id and c.id = p_booking.client_id) then
    perform private.refuse_permission(p_booking.org_id);
  elsif p_booking.purchase_id is not null then
    perform private.refuse_column();
  elsif private.deposit_amount(v_type) is not null then
    perform private.fail(402, 'deposit_required', 'This session is booked with a deposit.', 'Book it from the portal, which takes the deposit.');
  end if;
  -- What is missing is refused by the row's own rules.
  if p_booking.start_time is null or p_booking.end_time is null then
    return;
  end if;
  perform private.require_value(
    p_booking.start_time between '2000-01-01' and '2100-01-01' and p_booking.end_time > p_booking.start_time
    and p_booking.end_time <= p_booking.start_time + interval '24 hours', 'end_time');
  perform private.lock_day(v_type, private.org_timezone(p_booking.org_id), p_booking.start_time);
  if not exists (
    select from private.offered_slots(
      p_booking.org_id, v_type.id, extract(epoch from p_booking.end_time - p_booking.start_time)::integer / 60, null,
      p_booking.location_id, tstzrange(p_booking.start_time, p_booking.start_time, '[]'), 'client') as s
     where s.staff_id = coalesce(p_booking.staff_id, private.default_staff(p_booking.org_id, null))) then
    perform private.refuse_slot();
  end if;
end;
$$;
comment on function private.check_client_insert is
  'Refuses a client''s direct booking that is not on offer to clients: permission_missing 403, column_protected 403, slot_taken 409, value_not_allowed 422.';

create function private.refuse_column()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(403, 'column_protected', 'This part of a booking is kept by the coach.', 'Ask your coach to change it.');
$$;
comment on function private.refuse_column is 'Refuses what a client may not say of a booking: column_protected 403.';

-- Coaches and clients are both `authenticated`: a client may only cancel, in time, what is theirs.
create function private.tg_bookings__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('bookings.write'))
     and (new.status <> 'cancelled'
          or to_jsonb(new) - '{status,cancelled_at}'::text[] is distinct from to_jsonb(old) - '{status,cancelled_at}'::text[]) then
    perform private.refuse_column();
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__guard_audience is 'Lets a client cancel and nothing else: column_protected 403.';
-- Named to run before the other triggers, which set columns that a client may not.
create trigger aa_guard_audience before update on public.bookings
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_bookings__guard_audience();

-- The calendar may give a booking to another client: the first client's package then pays nothing for it.
create function private.tg_bookings__keep_package()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.settlement in ('charged', 'due') then
    perform private.refuse_charged();
  end if;
  if new.client_id <> old.client_id and new.purchase_id is not distinct from old.purchase_id then
    new.purchase_id := null;
    new.settlement := case when new.status = 'completed' then 'none' end;
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__keep_package is 'Keeps a settled booking with its package, and detaches the package when the client changes.';
create trigger bookings__keep_package before update of client_id, purchase_id on public.bookings
  for each row when ((old.client_id, old.purchase_id) is distinct from (new.client_id, new.purchase_id) and old.purchase_id is not null)
  execute function private.tg_bookings__keep_package();

create function private.refuse_charged()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_charged', 'A session has been taken, or is being taken, for this booking.',
                      'Give the session back first, or take the completion back with undo_completion.');
$$;
comment on function private.refuse_charged is 'Refuses to move a booking whose session is taken: booking_charged 409.';

create function private.is_late_cancellation(p_booking public.bookings)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_booking.cancelled_at > p_booking.start_time - make_interval(hours => coalesce(
    (select s.cancel_notice_hours from public.booking_settings as s where s.org_id = p_booking.org_id), 24));
$$;
comment on function private.is_late_cancellation is 'True when the booking was cancelled inside the organisation''s notice.';

-- What a cancellation means for the session. A coach's own cancellation is free; anybody else's inside the notice is
-- refused, free or charged as the organisation has it. An operator is nobody signed in: cancel_booking says for whom it cancels.
create function private.cancellation_settlement(p_booking public.bookings)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
begin
  if p_booking.org_id = any (private.orgs_with('bookings.write')) or current_setting('coach.cancels_for', true) = 'staff' then
    return null;
  end if;
  select s.* into v_settings from public.booking_settings as s where s.org_id = p_booking.org_id;
  if coalesce(v_settings.allow_client_cancel, true) is false or p_booking.start_time <= now() then
    perform private.fail(403, 'cancellation_not_allowed', 'This booking cannot be cancelled here.', 'Ask your coach to cancel it.');
  elsif not private.is_late_cancellation(p_booking) then
    return null;
  elsif coalesce(v_settings.late_cancellation_policy, 'refuse') = 'refuse' then
    perform private.fail(403, 'cancellation_too_late', 'It is too late to cancel this booking here.', 'Ask your coach to cancel it.');
  end if;
  return case when v_settings.late_cancellation_policy = 'charge' and p_booking.purchase_id is not null then 'due' end;
end;
$$;
comment on function private.cancellation_settlement is
  'due when a cancellation takes a session, else null. Fails: cancellation_not_allowed 403, cancellation_too_late 403.';

-- The transitions. A rule that settles in the same statement has decided already (see the trigger's WHEN).
create function private.tg_bookings__guard_transition()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.status = 'completed' then
    -- Also when it is completed already: the second tab must not go on to take another session.
    if old.status <> 'confirmed' then
      perform private.refuse_transition();
    end if;
    new.completed_at := now();
    new.completion_undone_at := null;
    new.settlement := coalesce(old.settlement, case when new.purchase_id is null then 'none' else 'due' end);
  elsif new.status = old.status then
    return new;
  elsif old.status in ('completed', 'no_show', 'cancelled') and new.status in ('pending', 'confirmed') then
    if old.settlement = 'charged' then
      perform private.refuse_charged();
    end if;
    new.completion_undone_at := case when old.status in ('completed', 'no_show') then now() end;
    new.completed_at := null;
    new.cancelled_at := null;
    new.cancelled_by := null;
    new.settlement := null;
    new.follow_up_by := null;
    new.follow_up_until := null;
  elsif old.status in ('pending', 'confirmed') and new.status = 'cancelled' then
    -- cancel_booking and client_cancel have decided about a session that is taken already; a direct write has not.
    if old.settlement = 'charged' and coalesce(current_setting('coach.cancels_for', true), '') = '' then
      perform private.refuse_charged();
    end if;
    new.cancelled_at := now();
    new.cancelled_by := auth.uid();
    new.settlement := private.cancellation_settlement(new);
    -- What was never confirmed takes no session, and what is settled stays as it is.
    if old.status = 'pending' or old.settlement is not null then
      new.settlement := old.settlement;
    end if;
  elsif old.status = 'confirmed' and new.status = 'no_show' then
    new.settlement := coalesce(old.settlement, (
      select 'due' from public.booking_settings as s
       where s.org_id = new.org_id and s.no_show_policy = 'charge' and new.purchase_id is not null));
  elsif not (old.status in ('pending', 'confirmed') and new.status in ('pending', 'confirmed')) then
    perform private.refuse_transition();
  end if;
  new.due_since := case when new.settlement = 'due' then clock_timestamp() end;
  return new;
end;
$$;
comment on function private.tg_bookings__guard_transition is
  'Lets a booking move only as it may, and marks it due when it owes a session. Fails: booking_not_confirmed 409, booking_charged 409, cancellation_not_allowed 403, cancellation_too_late 403.';
create trigger bookings__guard_transition before update of status on public.bookings
  for each row when (new.settlement is not distinct from old.settlement) execute function private.tg_bookings__guard_transition();

-- The existing calendar completes by a bare update and then calls use_session without naming the booking. Whoever settles the
-- booking in between (complete_booking, a check-in by name) must not turn that call into a second session.
create function private.tg_bookings__expect_follow_up()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.follow_up_by := auth.uid();
  new.follow_up_until := clock_timestamp() + interval '2 minutes';
  return new;
end;
$$;
comment on function private.tg_bookings__expect_follow_up is 'Remembers who completed a booking directly: their use_session call for it is still to come.';
create trigger bookings__expect_follow_up before update of status on public.bookings
  for each row when (new.status = 'completed' and new.purchase_id is not null and current_user = 'authenticated')
  execute function private.tg_bookings__expect_follow_up();

-- A session that was taken or waived before the end (a check-in): the calendar would complete the booking and then ask for
-- a session that it does not name, a second one. Refused, it does not ask; the sweep completes the booking. Nor may its poll
-- complete again within seconds what a person has just taken back.
create function private.tg_bookings__guard_settled()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.settlement is not null then
    perform private.fail(409, 'booking_settled', 'The session of this booking has been taken or waived already.',
                         'Complete it with complete_booking, which takes nothing more.');
  end if;
  perform private.fail(409, 'completion_undone', 'The completion of this booking was taken back.',
                       'Complete it with complete_booking if it took place after all.');
  return new;
end;
$$;
comment on function private.tg_bookings__guard_settled is
  'Refuses a direct completion of a booking whose session is settled, or whose completion was taken back: booking_settled 409, completion_undone 409.';
create trigger bookings__guard_settled before update of status on public.bookings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')
                     and old.status = 'confirmed' and new.status = 'completed'
                     and (old.settlement is not null or old.completion_undone_at is not null))
  execute function private.tg_bookings__guard_settled();

-- What the coach was told ends with its cause: charged later, waived, or taken back.
create function private.tg_bookings__resolve_alert()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.alerts as a
     set resolved_at = clock_timestamp()
   where a.org_id = new.org_id and a.booking_id = new.id and a.kind = 'booking_uncovered' and a.resolved_at is null;
  return null;
end;
$$;
comment on function private.tg_bookings__resolve_alert is 'Resolves the alert about a booking that is uncovered no longer.';
create trigger bookings__resolve_alert after update on public.bookings
  for each row when (old.settlement = 'uncovered' and new.settlement is distinct from 'uncovered')
  execute function private.tg_bookings__resolve_alert();

create function private.refuse_transition()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_not_confirmed', 'Only a confirmed booking can take this step.', 'Reload the calendar.');
$$;
comment on function private.refuse_transition is 'Refuses a status that does not follow from the present one: booking_not_confirmed 409.';

create function private.refuse_moving()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_moving', 'This booking is being changed by somebody else.', 'Reload the calendar and try again.');
$$;
comment on function private.refuse_moving is 'Refuses what meets another change of the same booking: booking_moving 409.';

-- The booking's package is read without a lock, the package locked, then the booking: and looked at again.
create function private.lock_booking(p_org_id uuid, p_booking_id uuid, out package public.client_purchases, out booking public.bookings)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  for v_attempt in 1 .. 3 loop
    select b.* into booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id;
    if not found then
      perform private.refuse_booking();
    end if;
    package := case when booking.purchase_id is not null then private.lock_package(p_org_id, booking.purchase_id) end;
    select b.* into booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id for no key update;
    if booking.purchase_id is not distinct from package.id then
      return;
    end if;
  end loop;
  perform private.refuse_moving();
end;
$$;
comment on function private.lock_booking is 'Locks a booking''s package, then the booking. Fails: booking_not_found 404, booking_moving 409.';

-- Completes and settles in one; the same again answers the same. The caller has authorised.
create function private.complete_booking(p_org_id uuid, p_booking_id uuid, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
begin
  if v_booking.status <> 'completed' then
    update public.bookings as b set status = 'completed'
     where b.org_id = p_org_id and b.id = p_booking_id
    returning b.* into v_booking;
  end if;
  if v_booking.settlement = 'due' then
    return private.settle_booking(v_locked.package, v_booking, 'completion', null, p_actor_id, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.complete_booking is
  'Completes a booking and settles it: charged, waived, uncovered or none. Fails: booking_not_found 404, booking_not_confirmed 409.';

-- Takes a completion or a no-show back: the session returns, nothing is waived, and the sweep leaves the booking alone.
create function private.undo_completion(p_org_id uuid, p_booking_id uuid, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
  v_package public.client_purchases := v_locked.package;
  v_entry_id uuid;
begin
  if v_booking.status not in ('completed', 'no_show') then
    if v_booking.completion_undone_at is null then
      perform private.fail(409, 'booking_not_completed', 'This booking is not completed.', 'Reload the calendar.');
    end if;
    return v_package.sessions_used;
  end if;
  if v_booking.settlement = 'charged' then
    select e.id into v_entry_id
      from public.session_entries as e
     where e.org_id = p_org_id and e.booking_id = p_booking_id and e.charge_no is not null
       and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id);
    -- A correction to zero has given it back already: then the entry is only marked as released.
    v_package.sessions_used := private.enter_session(v_package, 'release', -least(v_package.sessions_used, 1), 'completion_undone',
                                                     p_actor_id, p_now, p_released_entry_id => v_entry_id);
  end if;
  update public.bookings as b
     set status = 'confirmed', settlement = null, due_since = null, completed_at = null, completion_undone_at = p_now,
         follow_up_by = null, follow_up_until = null
   where b.org_id = p_org_id and b.id = p_booking_id;
  return v_package.sessions_used;
end;
$$;
comment on function private.undo_completion is
  'Takes a completion or no-show back and returns the package''s sessions_used (null without a package). Fails: booking_not_found 404, booking_not_completed 409.';

-- For operators: whose booking it is.
create function private.booking_org(p_booking_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select b.org_id into v_org_id from public.bookings as b where b.id = p_booking_id;
  if not found then
    perform private.refuse_booking();
  end if;
  return v_org_id;
end;
$$;
comment on function private.booking_org is 'The organisation of a booking. Fails: booking_not_found 404.';

-- Whose booking is it: 404 unless the person belongs there, 403 when their role does not suffice.
create function private.member_booking_org(p_booking_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select b.org_id into v_org_id from public.bookings as b where b.id = p_booking_id;
  if v_org_id = any (private.orgs_with(p_permission)) then
    return v_org_id;
  end if;
  if v_org_id = any (private.orgs_with('bookings.read')) then
    perform private.refuse_permission(v_org_id);
  end if;
  perform private.refuse_booking();
end;
$$;
comment on function private.member_booking_org is
  'The organisation of a booking in which the signed-in person has the permission. Fails: booking_not_found 404, permission_missing 403.';

create function private.member_complete_booking(p_booking_id uuid)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.complete_booking(private.member_booking_org(p_booking_id, 'bookings.write'), p_booking_id, (select auth.uid()));
$$;
comment on function private.member_complete_booking is 'complete_booking for a member with bookings.write.';

create function private.member_undo_completion(p_booking_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.undo_completion(private.member_booking_org(p_booking_id, 'sessions.release'), p_booking_id, (select auth.uid()));
$$;
comment on function private.member_undo_completion is 'undo_completion for a member with sessions.release.';
