-- Tenancy rules: whose organisation is it, who may do what in it, and how a coach signs up with the existing app alone.
-- A null user never means trusted: without a signed-in user every helper here answers with an empty array or false.

-- Every policy's helper. Written as `org_id = any ((select private.orgs_with('x.y'))::uuid[])` it runs once and drives the index.
-- plpgsql: its plan is kept for the connection, where a function in sql is planned anew in each statement (before PostgreSQL 18).
create function private.orgs_with(p_permission text)
returns uuid[]
language plpgsql stable security definer set search_path = ''
as $$
begin
  return (
    select coalesce(array_agg(m.org_id), '{}')
      from public.org_members as m
      join public.role_permissions as p on p.role = m.role and p.permission = p_permission
      -- Members of a blocked organisation read what is theirs, and change nothing.
      join public.orgs as o on o.id = m.org_id and (o.blocked_at is null or p_permission like '%.read')
     where m.user_id = (select auth.uid()) and (m.ends_at is null or m.ends_at > now()));
end;
$$;
comment on function private.orgs_with is 'The organisations in which the signed-in person has a permission; empty, never null.';

-- The active organisation; and until the person has joined it (a sign-up that stopped half-way), the one they are left with:
-- never two memberships, and none hidden by an organisation that was founded and not joined.
create function private.shown_org_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(s.org_id), '{}')
    from (select p.active_org_id as org_id from public.profiles as p where p.id = (select auth.uid())
          union all
          (select m.org_id from public.org_members as m
            where m.user_id = (select auth.uid()) and (m.ends_at is null or m.ends_at > now())
              and not exists (select
                                from public.profiles as p
                                join public.org_members as a on a.user_id = p.id and a.org_id = p.active_org_id
                                 and (a.ends_at is null or a.ends_at > now())
                               where p.id = (select auth.uid()))
            order by m.created_at, m.org_id limit 1)) as s
   where s.org_id is not null;
$$;
comment on function private.shown_org_ids is
  'Whose membership row the signed-in person sees: the active organisation''s, or while they have not joined it, their oldest.';

-- The founder is who made an organisation that nobody has joined yet: they may dress it up and join it, once.
create function private.has_members(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.org_members as m where m.org_id = p_org_id and m.role <> 'support');
$$;
comment on function private.has_members is 'True once somebody has joined the organisation.';

create function private.founds(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.orgs as o where o.id = p_org_id and o.created_by = (select auth.uid()))
     and not private.has_members(p_org_id);
$$;
comment on function private.founds is 'True for the person who made this organisation, as long as nobody has joined it.';

create function private.refuse_permission(p_org_id uuid default null)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.refuse_blocked_org(p_org_id);
  perform private.refuse_support_access(p_org_id);
  perform private.fail(403, 'permission_missing', 'Your role does not allow this.', 'Ask an owner of the organisation.');
end;
$$;
comment on function private.refuse_permission is
  'Refuses a member who lacks a permission, and says why: org_blocked 403, support_access_limited 403, else permission_missing 403.';

create function private.refuse_org()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'org_not_found', 'There is no such organisation.', 'Check the organisation, or switch to it.');
$$;
comment on function private.refuse_org is 'Refuses an unknown organisation, or another''s: org_not_found 404.';

-- For operators, who may name any organisation.
create function private.require_known_org(p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not exists (select from public.orgs as o where o.id = p_org_id) then
    perform private.refuse_org();
  end if;
end;
$$;
comment on function private.require_known_org is 'Refuses an organisation that does not exist: org_not_found 404.';

create function private.user_by_email(p_email text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  select u.id into v_id from auth.users as u where lower(u.email::text) = lower(btrim(p_email)) order by u.created_at limit 1;
  if not found then
    perform private.fail(404, 'user_not_found', 'Nobody has signed up with this email.', 'Let them sign up first.');
  end if;
  return v_id;
end;
$$;
comment on function private.user_by_email is 'The account with this email. Fails: user_not_found 404.';

-- For RPCs that name an organisation: another's is 404, one's own without the permission is 403.
create function private.require_org(p_org_id uuid, p_permission text)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_org_id = any (private.orgs_with(p_permission)) then
    return;
  end if;
  if p_org_id = any (private.orgs_with('org.read')) then
    perform private.refuse_permission(p_org_id);
  end if;
  perform private.refuse_org();
end;
$$;
comment on function private.require_org is 'Returns when the signed-in person has the permission there; else org_not_found 404, org_blocked 403, support_access_limited 403 or permission_missing 403.';

create function private.slug_from(p_name text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select left(coalesce(nullif(btrim(regexp_replace(lower(p_name), '[^a-z0-9]+', '-', 'g'), '-'), ''), 'org'), 60);
$$;
comment on function private.slug_from is 'A slug made from a name: lower-case letters, digits and single dashes.';

create function private.tg_orgs__name_slug()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.slug is null then
    new.slug := private.slug_from(new.name);
    if exists (select from public.orgs as o where o.slug = new.slug) then
      new.slug := new.slug || '-' || left(new.id::text, 8);
    end if;
  end if;
  return new;
end;
$$;
create trigger orgs__name_slug before insert on public.orgs
  for each row execute function private.tg_orgs__name_slug();

-- commission_rate is the platform's column: a column grant alone cannot tell an owner from a platform admin.
create function private.tg_orgs__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.commission_rate is distinct from (case tg_op when 'INSERT' then 0.05 else old.commission_rate end)
     and auth.role() = 'authenticated' and not private.may_operate('orgs.write') then
    perform private.fail(403, 'commission_rate_protected', 'The commission rate is set by the platform.',
                         'Leave commission_rate as it is.');
  end if;
  if tg_op = 'INSERT' and auth.role() = 'authenticated' then
    perform private.require_unbraked('sign_up', null);
    new.created_by := auth.uid();
  end if;
  return new;
end;
$$;
create trigger orgs__guard_audience before insert or update on public.orgs
  for each row execute function private.tg_orgs__guard_audience();

-- Sign-up makes the new organisation the founder's active one; the membership row is the app's own insert.
create function private.tg_orgs__activate()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' and not private.is_platform_admin() then
    insert into public.profiles as p (id, active_org_id) values (new.created_by, new.id)
    on conflict (id) do update set active_org_id = excluded.active_org_id;
  end if;
  return null;
end;
$$;
create trigger orgs__activate after insert on public.orgs
  for each row execute function private.tg_orgs__activate();

-- Two tabs of one founder would both see an organisation without members: the organisation's row is the lock.
create function private.tg_org_members__guard_join()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.orgs as o where o.id = new.org_id for no key update;
  if not private.founds(new.org_id) or new.user_id is distinct from auth.uid() or new.role <> 'owner' then
    perform private.fail(403, 'membership_by_invitation', 'Nobody can add themselves to an organisation.',
                         'Ask an owner for an invitation.');
  end if;
  return new;
end;
$$;
create trigger org_members__guard_join before insert on public.org_members
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_org_members__guard_join();

create function private.tg_org_members__activate()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    insert into public.profiles as p (id, active_org_id) values (new.user_id, new.org_id)
    on conflict (id) do update set active_org_id = coalesce(p.active_org_id, excluded.active_org_id);
  else
    update public.profiles as p
       set active_org_id = (select m.org_id from public.org_members as m where m.user_id = old.user_id
                             order by m.created_at, m.org_id limit 1)
     where p.id = old.user_id and p.active_org_id = old.org_id;
  end if;
  return null;
end;
$$;
create trigger org_members__activate after insert or delete on public.org_members
  for each row execute function private.tg_org_members__activate();

-- An organisation keeps an owner. The organisation's row is the lock: two owners who leave at once queue here.
create function private.tg_org_members__keep_owner()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.role = 'owner' and (tg_op = 'DELETE' or new.role <> 'owner') then
    perform from public.orgs as o where o.id = old.org_id for no key update;
    if found and not exists (select from public.org_members as m
                              where m.org_id = old.org_id and m.role = 'owner' and m.id <> old.id) then
      perform private.fail(409, 'last_owner', 'An organisation keeps at least one owner.', 'Make another member an owner first.');
    end if;
  end if;
  return case tg_op when 'DELETE' then old else new end;
end;
$$;
create trigger org_members__keep_owner before update of role or delete on public.org_members
  for each row execute function private.tg_org_members__keep_owner();

create trigger profiles__touch before update on public.profiles
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger branding__touch before update on public.branding
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.member_switch_org(p_org_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'org.read');
  insert into public.profiles as p (id, active_org_id) values (auth.uid(), p_org_id)
  on conflict (id) do update set active_org_id = excluded.active_org_id;
  return p_org_id;
end;
$$;
comment on function private.member_switch_org is 'Makes one of the signed-in person''s organisations the active one.';

create function private.team(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select m.id, m.user_id, p.full_name, u.email::text, m.role, m.created_at
    from public.org_members as m
    join auth.users as u on u.id = m.user_id
    left join public.profiles as p on p.id = m.user_id
   where m.org_id = p_org_id and (m.ends_at is null or m.ends_at > now())
   order by m.created_at, m.id;
$$;
comment on function private.team is 'The members of an organisation; the caller has authorised.';

create function private.member_team(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'members.read');
  return query select * from private.team(p_org_id);
end;
$$;
comment on function private.member_team is 'The team, for a member with members.read.';
