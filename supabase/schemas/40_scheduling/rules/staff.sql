-- Staff and places: who is linked to whom, and leaving without losing history.

-- A calendar may only be linked to a member of the organisation.
create function private.tg_staff__check_member()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.user_id is not null
     and not exists (select from public.org_members as m where m.org_id = new.org_id and m.user_id = new.user_id) then
    perform private.fail(422, 'staff_not_member', 'This person is no member of the organisation.', 'Add them as a member first.');
  end if;
  return new;
end;
$$;
comment on function private.tg_staff__check_member is 'Refuses a link to somebody who is no member: staff_not_member 422.';
create trigger staff__check_member before insert or update of user_id on public.staff
  for each row execute function private.tg_staff__check_member();
create trigger staff__touch before update on public.staff
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger locations__touch before update on public.locations
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger availability__touch before update on public.availability
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- Soft: name and bookings stay for history, the email goes. Bookings that lie ahead stay where they are and are counted, so that
-- somebody takes them over.
create function private.deactivate_staff(p_org_id uuid, p_staff_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.staff as s
     set is_active = false, deactivated_at = coalesce(s.deactivated_at, p_now), email = null
   where s.org_id = p_org_id and s.id = p_staff_id;
  return (select count(*)::integer from public.bookings as b
           where b.org_id = p_org_id and b.staff_id = p_staff_id and b.status in ('pending', 'confirmed') and b.start_time > p_now);
end;
$$;
comment on function private.deactivate_staff is 'Deactivates a staff member and returns how many bookings still lie ahead of them.';

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
