-- Imports for operators: the rules do the work, the command reads the file.

create function service.list_import_columns()
returns table (name text, aliases text[])
language sql immutable security definer set search_path = ''
as $$
  select c.name, c.aliases from private.import_columns() as c;
$$;
comment on function service.list_import_columns is 'The columns that an import of clients understands, and what else each is called in files.';
revoke all on function service.list_import_columns() from public, anon, authenticated;
grant execute on function service.list_import_columns() to service_role;

create function service.open_client_import(p_org_id uuid, p_dry_run boolean default false, p_date_order text default 'iso')
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.open_client_import(p_org_id, p_dry_run, p_date_order);
end;
$$;
comment on function service.open_client_import is
  'Begins an import of clients and packages and returns its id; with p_dry_run its batches write nothing. p_date_order: iso, dmy or mdy. Fails: org_not_found 404, brake_on 423, value_not_allowed 422.';
revoke all on function service.open_client_import(uuid, boolean, text) from public, anon, authenticated;
grant execute on function service.open_client_import(uuid, boolean, text) to service_role;

create function service.import_clients(p_import_id uuid, p_rows jsonb)
returns table (line integer, outcome text, slug text, column_name text, changed text[], client_id uuid, package text, of_line integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_import private.client_imports;
begin
  select i.* into v_import from private.client_imports as i where i.id = p_import_id;
  if not found then
    perform private.fail(404, 'import_not_found', 'There is no such import.', 'Begin a new one.');
  end if;
  return query
  select r.line, r.outcome, r.slug, r.column_name, r.changed, r.client_id, r.package, r.of_line from private.import_clients(v_import, p_rows) as r;
end;
$$;
comment on function service.import_clients is
  'Imports a batch of 1 to 1,000 rows [{line, cells: {column: text}}] and says what became of each: created, updated, unchanged, or refused with a slug and the column. The same lines again are answered the same. Fails: import_not_found 404, brake_on 423, value_not_allowed 422.';
revoke all on function service.import_clients(uuid, jsonb) from public, anon, authenticated;
grant execute on function service.import_clients(uuid, jsonb) to service_role;

create function service.list_client_imports(p_org_id uuid, p_limit integer default 100)
returns table (
  import_id uuid, created_at timestamptz, is_dry_run boolean, created integer, updated integer, unchanged integer, refused integer)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select i.id, i.created_at, i.is_dry_run, count(*) filter (where r.outcome = 'created')::integer,
         count(*) filter (where r.outcome = 'updated')::integer, count(*) filter (where r.outcome = 'unchanged')::integer,
         count(*) filter (where r.outcome = 'refused')::integer
    from private.client_imports as i
    left join private.client_import_rows as r on r.org_id = i.org_id and r.import_id = i.id
   where i.org_id = p_org_id
   group by i.org_id, i.id
   order by i.created_at desc, i.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_client_imports is
  'An organisation''s imports of clients of the last thirty days, newest first, with how many rows came to what. Fails: org_not_found 404.';
revoke all on function service.list_client_imports(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_client_imports(uuid, integer) to service_role;

create function service.sweep_import_leftovers(
  p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  with old as (
    select i.org_id, i.id from private.client_imports as i where i.created_at < p_now - interval '30 days'
     limit p_limit for update skip locked),
  gone as (
    delete from private.client_imports as i using old as o where (i.org_id, i.id) = (o.org_id, o.id) and not p_dry_run
    returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_import_leftovers is
  'Deletes what is kept of imports that are older than thirty days, at most p_limit (1 to 100000) imports a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_import_leftovers(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_import_leftovers(integer, timestamptz, boolean) to service_role;
