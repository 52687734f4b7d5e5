-- Client rules: who a signed-in client is, and which of their own columns they may write.

-- Their own rows, and the one that support access lends them. A blocked client is nobody's, nor is a blocked organisation's.
create function private.my_clients()
returns table (org_id uuid, id uuid)
language sql stable security definer set search_path = ''
as $$
  select c.org_id, c.id
    from public.clients as c join public.orgs as o on o.id = c.org_id
   where c.auth_user_id = (select auth.uid()) and c.blocked_at is null and o.blocked_at is null
  union
  select s.org_id, s.client_id
    from public.support_access as s
   where s.user_id = (select auth.uid()) and s.ended_at is null and s.expires_at > now() and s.client_id is not null;
$$;
comment on function private.my_clients is 'The client rows that the signed-in person acts for.';

-- In policies, so in one plan that is kept for the connection: the same rows as private.my_clients.
create function private.my_client_ids()
returns uuid[]
language plpgsql stable security definer set search_path = ''
as $$
begin
  return array(select c.id from public.clients as c
                where c.auth_user_id = (select auth.uid()) and c.blocked_at is null
                  and not exists (select from public.orgs as o where o.id = c.org_id and o.blocked_at is not null))
      || array(select s.client_id from public.support_access as s
                where s.user_id = (select auth.uid()) and s.client_id is not null and s.ended_at is null and s.expires_at > now());
end;
$$;
comment on function private.my_client_ids is 'The client rows of the signed-in person; empty, never null.';

create function private.my_client_org_ids()
returns uuid[]
language plpgsql stable security definer set search_path = ''
as $$
begin
  return array(select distinct c.org_id from public.clients as c
                where c.auth_user_id = (select auth.uid()) and c.blocked_at is null
                  and not exists (select from public.orgs as o where o.id = c.org_id and o.blocked_at is not null))
      || array(select s.org_id from public.support_access as s
                where s.user_id = (select auth.uid()) and s.client_id is not null and s.ended_at is null and s.expires_at > now());
end;
$$;
comment on function private.my_client_org_ids is 'The organisations the signed-in person is a client of; empty, never null.';

-- Coaches and clients are both `authenticated`: the column grant is the coach's, so a client's columns are said here.
create function private.tg_clients__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('clients.write'))
     and to_jsonb(new) - '{weight_kg,email}'::text[] is distinct from to_jsonb(old) - '{weight_kg,email}'::text[] then
    perform private.fail(403, 'column_protected', 'This part of a client''s record is kept by the coach.',
                         'Ask your coach to change it.');
  end if;
  return new;
end;
$$;
create trigger clients__guard_audience before update on public.clients
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_clients__guard_audience();

create trigger zz_refuse_clearly before insert or update on public.clients
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
