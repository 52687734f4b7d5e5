-- Client rules: who a signed-in client is, and which of their own columns they may write.

create function private.my_client_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(c.id), '{}') from public.clients as c where c.auth_user_id = (select auth.uid());
$$;
comment on function private.my_client_ids is 'The client rows of the signed-in person; empty, never null.';

create function private.my_client_org_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(distinct c.org_id), '{}') from public.clients as c where c.auth_user_id = (select auth.uid());
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
