-- Staff and places: who is linked to whom, and leaving without losing history.

create function private.refuse_stranger()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(422, 'staff_not_member', 'This person is no member of the organisation.', 'Add them as a member first.');
$$;
comment on function private.refuse_stranger is 'Refuses a person who is no member: staff_not_member 422.';

-- Who is a member is not told to people outside the organisation: the policies refuse their row next.
create function private.is_outsider(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce(auth.role() = 'authenticated' and not p_org_id = any (private.orgs_with('org.read')), false);
$$;
comment on function private.is_outsider is 'True when an app''s user writes and is no member there.';

-- A calendar may only be linked to a member of the organisation.
create function private.tg_staff__check_member()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.user_id is not null and not private.is_outsider(new.org_id)
     and not exists (select from public.org_members as m where m.org_id = new.org_id and m.user_id = new.user_id) then
    perform private.refuse_stranger();
  end if;
  return new;
end;
$$;
comment on function private.tg_staff__check_member is 'Refuses a link to somebody who is no member: staff_not_member 422.';
create trigger staff__check_member before insert or update of user_id on public.staff
  for each row execute function private.tg_staff__check_member();

-- Hours and blocks are the staff member's; who signs in as them is said again, for the existing app.
create function private.tg_staff__link_hours()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.availability as a set user_id = new.user_id where a.org_id = new.org_id and a.staff_id = new.id;
  update public.blocked_times as b set user_id = new.user_id where b.org_id = new.org_id and b.staff_id = new.id;
  return null;
end;
$$;
comment on function private.tg_staff__link_hours is 'Keeps the user_id of a staff member''s hours and blocks in step with their own.';
create trigger staff__link_hours after update of user_id on public.staff
  for each row when (old.user_id is distinct from new.user_id) execute function private.tg_staff__link_hours();

create trigger staff__touch before update on public.staff
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger locations__touch before update on public.locations
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger availability__touch before update on public.availability
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- The caller has authorised; p_user_id null: somebody who does not sign in.
create function private.link_staff(p_org_id uuid, p_staff_id uuid, p_user_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.staff as s set user_id = p_user_id where s.org_id = p_org_id and s.id = p_staff_id;
exception when unique_violation then
  perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This member has a calendar: unlink that one first.');
end;
$$;
comment on function private.link_staff is
  'Links a staff member to the member who they are, or to nobody. Fails: staff_not_member 422, value_taken 409.';

-- Soft: name and bookings stay for history, the email goes. Bookings that lie ahead stay where they are and are counted, so that
-- somebody takes them over. What shows their clients elsewhere ends with it.
create function private.deactivate_staff(p_org_id uuid, p_staff_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.staff as s
     set is_active = false, deactivated_at = coalesce(s.deactivated_at, p_now), email = null
   where s.org_id = p_org_id and s.id = p_staff_id;
  perform private.revoke_feeds(p_org_id, p_staff_id, null);
  return (select count(*)::integer from public.bookings as b
           where b.org_id = p_org_id and b.staff_id = p_staff_id and b.status in ('pending', 'confirmed') and b.start_time > p_now);
end;
$$;
comment on function private.deactivate_staff is 'Deactivates a staff member, closes their calendar feeds and returns how many bookings still lie ahead of them.';

create function private.reactivate_staff(p_org_id uuid, p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.staff as s set is_active = true, deactivated_at = null where s.org_id = p_org_id and s.id = p_staff_id;
$$;
comment on function private.reactivate_staff is 'Lets a staff member take bookings again.';

-- For operators: whose staff member it is.
create function private.staff_org(p_staff_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id from public.staff as s where s.id = p_staff_id;
  if not found then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  end if;
  return v_org_id;
end;
$$;
comment on function private.staff_org is 'The organisation of a staff member. Fails: staff_not_found 404.';

create trigger staff__audit after insert or update or delete on public.staff
  for each row execute function private.tg__audit();
create trigger locations__audit after insert or update or delete on public.locations
  for each row execute function private.tg__audit();
create trigger location_hours__audit after insert or update or delete on public.location_hours
  for each row execute function private.tg__audit();
create trigger staff_locations__audit after insert or delete on public.staff_locations
  for each row execute function private.tg__audit();
create trigger session_type_staff__audit after insert or delete on public.session_type_staff
  for each row execute function private.tg__audit();
create trigger session_type_prices__audit after insert or update or delete on public.session_type_prices
  for each row execute function private.tg__audit();
create trigger availability__audit after insert or update or delete on public.availability
  for each row execute function private.tg__audit();
