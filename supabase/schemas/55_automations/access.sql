-- Who may see and write what: members write automations and thresholds; what fired, scores and posts are written by RPC alone.

alter table public.automations enable row level security;
alter table public.automation_firings enable row level security;
alter table public.automation_runs enable row level security;
alter table public.webhook_endpoints enable row level security;
alter table public.webhook_deliveries enable row level security;
alter table public.risk_settings enable row level security;
alter table public.client_risk enable row level security;
revoke all on public.automations, public.automation_firings, public.automation_runs, public.webhook_endpoints, public.webhook_deliveries,
  public.risk_settings, public.client_risk from public, anon, authenticated, service_role;

grant select, delete on public.automations to authenticated;
grant select on public.automations to service_role;
grant insert (org_id, name, enabled, trigger, conditions, actions, guardrails) on public.automations to authenticated;
grant update (name, enabled, trigger, conditions, actions, guardrails) on public.automations to authenticated;
create policy automations_select_members on public.automations for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy automations_insert_members on public.automations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy automations_update_members on public.automations for update to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy automations_delete_members on public.automations for delete to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create trigger automations__audit after insert or update or delete on public.automations
  for each row execute function private.tg__audit('next_run_at', 'enabled_at');

grant select on public.automation_firings, public.automation_runs, public.webhook_deliveries to authenticated, service_role;
create policy automation_firings_select_members on public.automation_firings for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy automation_runs_select_members on public.automation_runs for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy webhook_deliveries_select_members on public.webhook_deliveries for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));

-- webhook_endpoints: made by the service, which encrypts the secret; nobody reads that.
grant select (org_id, id, name, url, is_active, failures, rests_until, created_at, updated_at) on public.webhook_endpoints to authenticated, service_role;
grant update (name, is_active), delete on public.webhook_endpoints to authenticated;
create policy webhook_endpoints_select_members on public.webhook_endpoints for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy webhook_endpoints_update_members on public.webhook_endpoints for update to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy webhook_endpoints_delete_members on public.webhook_endpoints for delete to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create trigger webhook_endpoints__audit after insert or update or delete on public.webhook_endpoints
  for each row execute function private.tg__audit('failures', 'rests_until');

grant select on public.risk_settings to authenticated, service_role;
grant insert (org_id, red_from, amber_from, inactive_days), update (org_id, red_from, amber_from, inactive_days)
  on public.risk_settings to authenticated;
create policy risk_settings_select_members on public.risk_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy risk_settings_insert_members on public.risk_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy risk_settings_update_members on public.risk_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger risk_settings__keep_org before update of org_id on public.risk_settings
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();
create trigger risk_settings__audit after insert or update on public.risk_settings
  for each row execute function private.tg__audit();

grant select on public.client_risk to authenticated, service_role;
create policy client_risk_select_members on public.client_risk for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.automations
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.webhook_endpoints
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.risk_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly('upserted');

alter table private.risk_schedule enable row level security;
revoke all on private.risk_schedule from public, anon, authenticated, service_role;
create policy risk_schedule_select_nobody on private.risk_schedule for select to service_role using (false);
