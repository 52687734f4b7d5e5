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
