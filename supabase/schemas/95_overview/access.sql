-- Who may see what overviews keep: nobody but the definers here.

alter table private.work_kinds enable row level security;
revoke all on private.work_kinds from public, anon, authenticated, service_role;
create policy work_kinds_select_nobody on private.work_kinds for select to service_role using (false);
