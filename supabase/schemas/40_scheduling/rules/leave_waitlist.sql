-- Leaving the waitlist: who waits no more is offered nothing more, and what they were offered is in nobody's way from now on.
-- The time itself is passed on where all holds that have run out are: by the sweep (holds.sql).

create function private.leave_waitlist(p_org_id uuid, p_client_id uuid, p_entry_id uuid, p_now timestamptz default now())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold_id uuid;
  v_occupancy_id uuid;
begin
  perform from public.waitlist_entries as w
    where w.org_id = p_org_id and w.id = p_entry_id and (p_client_id is null or w.client_id = p_client_id);
  if not found then
    perform private.fail(404, 'waitlist_entry_not_found', 'There is no such entry on the waitlist.', 'Reload the page.');
  end if;
  for v_attempt in 1 .. 3 loop
    update public.waitlist_entries as w
       set status = 'cancelled', updated_at = p_now
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'waiting';
    if found then
      return true;
    end if;
    -- Whoever confirms the hold at this moment is waited for. From its first moment on it was none, so that one who has begun to
    -- confirm it does not find it good yet.
    select h.id, h.occupancy_id into v_hold_id, v_occupancy_id
      from public.waitlist_entries as w
      join private.holds as h on h.org_id = w.org_id and h.id = w.hold_id
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'offered';
    exit when not found;
    update private.holds as h
       set expires_at = h.created_at
     where h.org_id = p_org_id and h.id = v_hold_id and h.status = 'held';
    continue when not found;
    -- Out of turn, so never waited for: what is locked is freed by whoever has it, or by the sweep.
    perform from private.occupancies as o
      where o.org_id = p_org_id and o.id = v_occupancy_id and o.expires_at is not null for no key update skip locked;
    if found then
      update private.occupancies as o
         set expires_at = (select max(h.expires_at) from private.holds as h
                            where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held')
       where o.org_id = p_org_id and o.id = v_occupancy_id and o.expires_at is not null;
    end if;
    update public.waitlist_entries as w
       set status = 'cancelled', updated_at = p_now
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'offered';
    return found;
  end loop;
  return false;
end;
$$;
comment on function private.leave_waitlist is
  'Ends a client''s wait (any client''s where p_client_id is null), with the offer they may have; false when it is over already: booked, let pass or left. Fails: waitlist_entry_not_found 404.';

create function private.member_leave_waitlist(p_entry_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select w.org_id into v_org_id
    from public.waitlist_entries as w where w.id = p_entry_id and w.org_id = any (private.orgs_with('bookings.read'));
  if not found then
    perform private.fail(404, 'waitlist_entry_not_found', 'There is no such entry on the waitlist.', 'Reload the page.');
  end if;
  perform private.require_org(v_org_id, 'bookings.write');
  return private.leave_waitlist(v_org_id, null, p_entry_id);
end;
$$;
comment on function private.member_leave_waitlist is
  'leave_waitlist for a member with bookings.write. Fails: waitlist_entry_not_found 404, permission_missing 403.';
