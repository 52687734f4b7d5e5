-- Giving a session back: the very entry that was taken, once. Releasing a booking's entry waives the booking.
-- Lock order: package, then booking.

-- Returns the new sessions_used, or -1 when there is nothing to give back; the caller has authorised.
create function private.give_session_back(
  p_org_id uuid, p_purchase_id uuid, p_booking_id uuid, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz default clock_timestamp())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_entry public.session_entries;
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'release', p_purchase_id, p_booking_id);
begin
  if v_answer is not null then
    return v_answer;
  end if;
  if p_booking_id is not null then
    perform private.require_booking_in_package(v_package, p_booking_id);
  elsif p_request_id is null and private.is_same_release(v_package, p_actor_id, p_now) then
    return v_package.sessions_used;
  end if;

  select e.* into v_entry
    from public.session_entries as e
   where e.org_id = p_org_id and e.purchase_id = p_purchase_id and e.kind = 'use' and e.used_delta = 1
     and (p_booking_id is null or e.booking_id = p_booking_id)
     and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id)
   order by e.entry_no desc
   limit 1;
  -- A package that came with used sessions, or was corrected upwards, has them to give back without an entry of their own.
  if v_package.sessions_used = 0 or (v_entry.id is null and p_booking_id is not null) then
    if p_request_id is not null then
      perform private.enter_session(v_package, 'release', 0, 'nothing_to_release', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_request_id => p_request_id, p_answer => -1);
    end if;
    return -1;
  end if;
  v_answer := private.enter_session(v_package, 'release', -1, 'released', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_released_entry_id => v_entry.id,
                                    p_request_id => p_request_id, p_answer => v_package.sessions_used - 1);
  update public.bookings as b
     set settlement = 'waived', due_since = null
   where b.org_id = p_org_id and b.id = v_entry.booking_id;
  return v_answer;
end;
$$;
comment on function private.give_session_back is 'Gives one session back under the package''s lock: the new sessions_used, or -1. The caller has authorised.';

-- A double click: the last thing this person did to this package was a release, within the window.
create function private.is_same_release(p_package public.client_purchases, p_actor_id uuid, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select e.kind = 'release'
      from public.session_entries as e
     where private.click_window(p_package.org_id) > '0'
       and e.org_id = p_package.org_id and e.purchase_id = p_package.id and e.actor_id = p_actor_id
       and e.created_at > p_now - private.click_window(p_package.org_id)
       and (e.used_delta <> 0 or e.total_delta <> 0)
     order by e.entry_no desc
     limit 1), false);
$$;
comment on function private.is_same_release is 'True when this person''s last movement of this package is a release within the click window.';

create function private.require_booking_in_package(p_package public.client_purchases, p_booking_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_purchase_id uuid;
begin
  select b.purchase_id into v_purchase_id
    from public.bookings as b
   where b.org_id = p_package.org_id and b.id = p_booking_id
     for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_purchase_id is distinct from p_package.id then
    perform private.fail(422, 'booking_not_in_package', 'This booking is not paid from this package.',
                         'Name the booking''s own package.');
  end if;
end;
$$;
comment on function private.require_booking_in_package is
  'Locks a booking of a locked package. Fails: booking_not_found 404, booking_not_in_package 422.';

-- Who may: a member with sessions.release in the package's organisation.
create function private.member_give_session_back(p_purchase_id uuid, p_booking_id uuid, p_request_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.give_session_back(private.member_package_org(p_purchase_id, 'sessions.release'), p_purchase_id, p_booking_id,
                                   p_request_id, auth.uid());
end;
$$;
comment on function private.member_give_session_back is 'give_session_back for a member with sessions.release.';
