-- Clients for operators.

create function service.list_clients(p_org_id uuid, p_search text default null, p_limit integer default 100)
returns table (client_id uuid, full_name text, email text, phone text, status text, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select c.id, c.full_name, c.email, c.phone, c.status, c.created_at
    from public.clients as c
   where c.org_id = p_org_id
     and (p_search is null
          or position(lower(p_search) in lower(concat_ws(' ', c.full_name, c.email, c.phone))) > 0)
   order by c.full_name, c.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_clients is
  'An organisation''s clients by name, at most p_limit (1 to 1000), by part of name, email or phone. Fails: org_not_found 404.';
revoke all on function service.list_clients(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_clients(uuid, text, integer) to service_role;

create function service.create_client(
  p_org_id uuid, p_full_name text, p_email text default null,
  p_phone text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(coalesce(char_length(p_email) <= 320 and position('@' in p_email) > 1, p_email is null), 'email');
  perform private.require_value(coalesce(char_length(p_phone), 0) <= 40, 'phone');
  insert into public.clients (org_id, full_name, email, phone) values (p_org_id, btrim(p_full_name), p_email, p_phone)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function service.create_client is
  'Adds a client and returns their id. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.create_client(uuid, text, text, text) from public, anon, authenticated;
grant execute on function service.create_client(uuid, text, text, text) to service_role;
