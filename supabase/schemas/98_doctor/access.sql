-- Row level security without a policy for anybody: only definers of the owner reach it.

alter table private.doctor_checks enable row level security;
revoke all on private.doctor_checks from public, anon, authenticated, service_role;
create policy doctor_checks_select_nobody on private.doctor_checks for select to service_role using (false);
