-- Automations for apps. Saving, switching and deleting are direct writes of public.automations, checked there.

create function public.automation_preview(p_automation_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_automation_preview(p_automation_id);
end;
comment on function public.automation_preview is
  'What an automation would do, without doing it: {next: [{due_at, fires_at, local}] (the next five), audience: {total, would_fire, skipped: {reason: n}, clients: [{client_id, full_name, reason}] (100)}, actions: [{type, channel, text}]}. Fails: automation_not_found 404.';
revoke all on function public.automation_preview(uuid) from public, anon, authenticated, service_role;
grant execute on function public.automation_preview(uuid), private.member_automation_preview(uuid) to authenticated;

create function public.run_automation(p_automation_id uuid, p_client_id uuid default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_run_automation(p_automation_id, p_client_id, p_request_id);
end;
comment on function public.run_automation is
  'Fires an automation now, for everybody it is about or one client, within its guardrails: {firing_id, status, reason, ok, failed, skipped, next_at}. The same request fires once. Fails: automation_not_found 404, client_not_found 404, client_missing 422, brake_on 423, permission_missing 403.';
revoke all on function public.run_automation(uuid, uuid, uuid) from public, anon, authenticated, service_role;
grant execute on function public.run_automation(uuid, uuid, uuid), private.member_run_automation(uuid, uuid, uuid) to authenticated;
