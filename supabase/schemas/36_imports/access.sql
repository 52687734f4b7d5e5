-- Nobody but the rules reaches an import: the operator's door is service.import_clients.

alter table private.client_imports enable row level security;
alter table private.client_import_rows enable row level security;
revoke all on private.client_imports, private.client_import_rows from public, anon, authenticated, service_role;
create policy client_imports_select_nobody on private.client_imports for select to service_role using (false);
create policy client_import_rows_select_nobody on private.client_import_rows for select to service_role using (false);
