-- Tenancy for operators: organisations, their members and their locations.
-- An operator names people by email; nothing here makes an account, people sign up themselves.

create function service.list_orgs(p_limit integer default 100, p_search text default null)
returns table (org_id uuid, name text, slug text, timezone text, members integer, clients integer, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select o.id, o.name, o.slug, private.org_timezone(o.id),
         (select count(*)::integer from public.org_members as m where m.org_id = o.id),
         (select count(*)::integer from public.clients as c where c.org_id = o.id), o.created_at
    from public.orgs as o
   where p_search is null or position(lower(p_search) in lower(o.name || ' ' || o.slug)) > 0
   order by o.created_at desc, o.id
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_orgs is
  'The organisations, newest first, at most p_limit (1 to 1000), by part of name or slug.';
revoke all on function service.list_orgs(integer, text) from public, anon, authenticated;
grant execute on function service.list_orgs(integer, text) to service_role;

create function service.find_org(p_org text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  -- A slug may look like another organisation's id: the id wins.
  select o.id into v_id from public.orgs as o where o.slug = p_org or o.id::text = p_org
   order by (o.id::text = p_org) desc limit 1;
  if not found then
    perform private.refuse_org();
  end if;
  return v_id;
end;
$$;
comment on function service.find_org is
  'The id of the organisation with this slug or id. Fails: org_not_found 404.';
revoke all on function service.find_org(text) from public, anon, authenticated;
grant execute on function service.find_org(text) to service_role;

create function service.get_org(p_org text)
returns table (org_id uuid, name text, slug text, timezone text, members integer, clients integer, packages integer, open_alerts integer, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid := service.find_org(p_org);
begin
  return query
  select o.id, o.name, o.slug, private.org_timezone(o.id),
         (select count(*)::integer from public.org_members as m where m.org_id = o.id),
         (select count(*)::integer from public.clients as c where c.org_id = o.id),
         (select count(*)::integer from public.client_purchases as p where p.org_id = o.id),
         (select count(*)::integer from public.alerts as a where a.org_id = o.id and a.resolved_at is null), o.created_at
    from public.orgs as o
   where o.id = v_id;
end;
$$;
comment on function service.get_org is
  'The organisation with this slug or id, and how much it holds. Fails: org_not_found 404.';
revoke all on function service.get_org(text) from public, anon, authenticated;
grant execute on function service.get_org(text) to service_role;

create function service.create_org(
  p_name text, p_owner_email text, p_slug text default null,
  p_timezone text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_owner_id uuid := private.user_by_email(p_owner_email);
  v_org_id uuid;
begin
  perform private.require_value(char_length(btrim(p_name)) between 1 and 200, 'name');
  perform private.require_value(coalesce(p_slug, 'a') ~ '^[^\s[:upper:]/?#]{1,100}$', 'slug');
  insert into public.orgs (name, slug, created_by) values (btrim(p_name), p_slug, v_owner_id)
  on conflict (slug) do nothing
  returning id into v_org_id;
  if v_org_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'Choose another value for slug.');
  end if;
  insert into public.org_members (org_id, user_id, role) values (v_org_id, v_owner_id, 'owner');
  if p_timezone is not null then
    insert into public.booking_settings (org_id, timezone) values (v_org_id, p_timezone);
  end if;
  return v_org_id;
end;
$$;
comment on function service.create_org is
  'Makes an organisation whose owner has signed up with this email; returns its id. Fails: user_not_found 404, value_taken 409, value_not_allowed 422, timezone_unknown 422.';
revoke all on function service.create_org(text, text, text, text) from public, anon, authenticated;
grant execute on function service.create_org(text, text, text, text) to service_role;

create function service.list_members(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query select * from private.team(p_org_id);
end;
$$;
comment on function service.list_members is
  'The team of an organisation, oldest first. Fails: org_not_found 404.';
revoke all on function service.list_members(uuid) from public, anon, authenticated;
grant execute on function service.list_members(uuid) to service_role;

create function service.set_member(p_org_id uuid, p_email text, p_role text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user_id uuid := private.user_by_email(p_email);
  v_member_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_role <> 'support' and exists (select from public.roles as r where r.role = p_role), 'role');
  if exists (select from public.org_members as m where m.org_id = p_org_id and m.user_id = v_user_id and m.role = 'support') then
    perform private.fail(409, 'support_access_open', 'This person is there under support access.', 'End that first.');
  end if;
  update public.org_members as m set role = p_role where m.org_id = p_org_id and m.user_id = v_user_id returning m.id into v_member_id;
  if not found then
    insert into public.org_members (org_id, user_id, role) values (p_org_id, v_user_id, p_role)
    on conflict (org_id, user_id) do update set role = excluded.role
    returning id into v_member_id;
  end if;
  return v_member_id;
end;
$$;
comment on function service.set_member is
  'Gives a person who has signed up a role in an organisation, whether they were a member or not; returns the membership''s id. Fails: org_not_found 404, user_not_found 404, value_not_allowed 422, last_owner 409, support_access_open 409.';
revoke all on function service.set_member(uuid, text, text) from public, anon, authenticated;
grant execute on function service.set_member(uuid, text, text) to service_role;

create function service.remove_member(p_org_id uuid, p_email text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  delete from public.org_members as m where m.org_id = p_org_id and m.user_id = private.user_by_email(p_email);
  return found;
end;
$$;
comment on function service.remove_member is
  'Ends a membership; true when there was one. Fails: org_not_found 404, user_not_found 404, last_owner 409.';
revoke all on function service.remove_member(uuid, text) from public, anon, authenticated;
grant execute on function service.remove_member(uuid, text) to service_role;

create function service.list_locations(p_org_id uuid)
returns table (location_id uuid, name text, address text, is_active boolean, staff integer, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select l.id, l.name, l.address, l.is_active,
         (select count(*)::integer from public.staff_locations as s where s.org_id = l.org_id and s.location_id = l.id), l.created_at
    from public.locations as l
   where l.org_id = p_org_id
   order by l.name, l.id;
end;
$$;
comment on function service.list_locations is
  'An organisation''s locations by name, with how many of the staff are bound to each. Fails: org_not_found 404.';
revoke all on function service.list_locations(uuid) from public, anon, authenticated;
grant execute on function service.list_locations(uuid) to service_role;

create function service.create_location(p_org_id uuid, p_name text, p_address text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_name)) between 1 and 200, 'name');
  perform private.require_value(coalesce(char_length(p_address), 0) <= 500, 'address');
  insert into public.locations (org_id, name, address) values (p_org_id, btrim(p_name), p_address) returning id into v_id;
  return v_id;
end;
$$;
comment on function service.create_location is
  'Adds a location and returns its id. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.create_location(uuid, text, text) from public, anon, authenticated;
grant execute on function service.create_location(uuid, text, text) to service_role;
