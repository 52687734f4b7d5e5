-- Who may see what operations keep. Nobody writes here directly but for ticking an alert off.

alter table public.platform_admins enable row level security;
alter table public.audit_log enable row level security;
alter table public.alerts enable row level security;
alter table private.job_runs enable row level security;
revoke all on public.platform_admins, public.audit_log, public.alerts from public, anon, authenticated, service_role;
revoke all on private.job_runs from public, anon, authenticated, service_role;

grant execute on function private.is_platform_admin(), private.may_operate(text) to authenticated;

grant select on public.platform_admins to authenticated, service_role;
create policy platform_admins_select_self on public.platform_admins for select to authenticated
  using (user_id = (select auth.uid()));

grant select on public.audit_log to authenticated, service_role;
create policy audit_log_select_members on public.audit_log for select to authenticated
  using (org_id = any ((select private.orgs_with('audit.read'))::uuid[]));

grant select, update (resolved_at) on public.alerts to authenticated;
grant select on public.alerts to service_role;
create policy alerts_select_members on public.alerts for select to authenticated
  using (org_id = any ((select private.orgs_with('alerts.read'))::uuid[]));
create policy alerts_update_members on public.alerts for update to authenticated
  using (org_id = any ((select private.orgs_with('alerts.read'))::uuid[]));

-- Row level security without a policy: only definers of the owner reach it.
create policy job_runs_select_nobody on private.job_runs for select to service_role using (false);

alter table private.rate_limits enable row level security;
revoke all on private.rate_limits from public, anon, authenticated, service_role;
create policy rate_limits_select_nobody on private.rate_limits for select to service_role using (false);

alter table private.platform_audit_log enable row level security;
alter table private.audited_columns enable row level security;
alter table private.brakes enable row level security;
revoke all on private.platform_audit_log, private.audited_columns, private.brakes from public, anon, authenticated, service_role;
create policy platform_audit_log_select_nobody on private.platform_audit_log for select to service_role using (false);
create policy audited_columns_select_nobody on private.audited_columns for select to service_role using (false);
create policy brakes_select_nobody on private.brakes for select to service_role using (false);

alter table private.admin_actions enable row level security;
revoke all on private.admin_actions from public, anon, authenticated, service_role;
create policy admin_actions_select_nobody on private.admin_actions for select to service_role using (false);
alter table private.provider_limits enable row level security;
revoke all on private.provider_limits from public, anon, authenticated, service_role;
create policy provider_limits_select_nobody on private.provider_limits for select to service_role using (false);
