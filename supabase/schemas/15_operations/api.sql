-- Operations for apps: who I am, what is stopped, and the platform's console. Each admin_* leaves one audit row, also when it is refused;
-- a refusal comes as {code, message, details, hint} with its HTTP status, as an error would.

create function public.whoami()
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.person_whoami();
end;
comment on function public.whoami is
  'Who you are here: {user_id, active_org_id, organisations: [{org_id, name, role, ends_at, blocked_at}], clients: [{org_id, client_id}], is_platform_admin, platform_permissions, support_access: [{id, org_id, org_name, client_id, reason, started_at, expires_at}]}. While support_access is not empty, show it, with a button for end_support_access.';
revoke all on function public.whoami() from public, anon, service_role;
grant execute on function public.whoami() to authenticated;
grant execute on function private.person_whoami() to authenticated;

create function public.banner()
returns table (kind text, org_id uuid, message text, since timestamptz)
language sql stable security invoker set search_path = ''
begin atomic
  select b.kind, b.org_id, b.message, b.since from private.banners() as b;
end;
comment on function public.banner is
  'What is stopped for you now (sms, email, push, payments, imports, automations, assistant, sign_up), for everybody (org_id null) or in an organisation of yours; message null: say it in your own words.';
revoke all on function public.banner() from public, service_role;
grant execute on function public.banner() to anon, authenticated;
grant execute on function private.banners() to anon, authenticated;

create function public.end_support_access(p_access_id uuid)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.person_end_support_access(p_access_id);
end;
comment on function public.end_support_access is
  'Ends a support access at once: your own, one to an organisation where you have audit.read, or any with support.start; false when it had ended. Fails: support_access_not_found 404, support_access_limited 403.';
revoke all on function public.end_support_access(uuid) from public, anon, service_role;
grant execute on function public.end_support_access(uuid) to authenticated;
grant execute on function private.person_end_support_access(uuid) to authenticated;

grant execute on function private.admin_act(text, jsonb) to authenticated;

create function public.admin_search(p_query text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('search', jsonb_build_object('query', p_query));
end;
comment on function public.admin_search is
  'What a word or an id finds in every organisation, by kind (org, member, client, booking, package, message): [{kind, org_id, id, label, detail, blocked_at}]. Needs orgs.read. Fails: platform_permission_missing 403, value_not_allowed 422.';
revoke all on function public.admin_search(text) from public, anon, service_role;
grant execute on function public.admin_search(text) to authenticated;

create function public.admin_org(p_org_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('show_org', jsonb_build_object('org_id', p_org_id));
end;
comment on function public.admin_org is
  'One organisation''s whole state: {org, members, clients, bookings, messages, message_errors, money, alerts, jobs, brakes, support_access, audit}. Needs orgs.read. Fails: platform_permission_missing 403, org_not_found 404.';
revoke all on function public.admin_org(uuid) from public, anon, service_role;
grant execute on function public.admin_org(uuid) to authenticated;

create function public.admin_client(p_client_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('show_client', jsonb_build_object('client_id', p_client_id));
end;
comment on function public.admin_client is
  'One client''s whole state: {client, packages, bookings, messages, message_errors, alerts}. Needs clients.read. Fails: platform_permission_missing 403, client_not_found 404.';
revoke all on function public.admin_client(uuid) from public, anon, service_role;
grant execute on function public.admin_client(uuid) to authenticated;

create function public.admin_block_org(p_org_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('block_org', jsonb_build_object('org_id', p_org_id, 'reason', p_reason));
end;
comment on function public.admin_block_org is
  'Blocks an organisation: its members read and change nothing, its clients and visitors are let in nowhere, nothing leaves. Needs orgs.block. Fails: platform_permission_missing 403, org_not_found 404, reason_missing 422.';
revoke all on function public.admin_block_org(uuid, text) from public, anon, service_role;
grant execute on function public.admin_block_org(uuid, text) to authenticated;

create function public.admin_unblock_org(p_org_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('unblock_org', jsonb_build_object('org_id', p_org_id, 'reason', p_reason));
end;
comment on function public.admin_unblock_org is
  'Unblocks an organisation. Needs orgs.block. Fails: platform_permission_missing 403, org_not_found 404, reason_missing 422.';
revoke all on function public.admin_unblock_org(uuid, text) from public, anon, service_role;
grant execute on function public.admin_unblock_org(uuid, text) to authenticated;

create function public.admin_block_client(p_client_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('block_client', jsonb_build_object('client_id', p_client_id, 'reason', p_reason));
end;
comment on function public.admin_block_client is
  'Blocks a client: they are let in nowhere, neither signed in nor by their link nor on the public page. Needs clients.block. Fails: platform_permission_missing 403, client_not_found 404, reason_missing 422.';
revoke all on function public.admin_block_client(uuid, text) from public, anon, service_role;
grant execute on function public.admin_block_client(uuid, text) to authenticated;

create function public.admin_unblock_client(p_client_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('unblock_client', jsonb_build_object('client_id', p_client_id, 'reason', p_reason));
end;
comment on function public.admin_unblock_client is
  'Unblocks a client. Needs clients.block. Fails: platform_permission_missing 403, client_not_found 404, reason_missing 422.';
revoke all on function public.admin_unblock_client(uuid, text) from public, anon, service_role;
grant execute on function public.admin_unblock_client(uuid, text) to authenticated;

create function public.admin_reset_onboarding(p_org_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('reset_org_onboarding', jsonb_build_object('org_id', p_org_id, 'reason', p_reason));
end;
comment on function public.admin_reset_onboarding is
  'Lets an organisation go through its onboarding again. Needs orgs.onboard. Fails: platform_permission_missing 403, org_not_found 404, reason_missing 422.';
revoke all on function public.admin_reset_onboarding(uuid, text) from public, anon, service_role;
grant execute on function public.admin_reset_onboarding(uuid, text) to authenticated;

create function public.admin_reset_client_onboarding(p_client_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('reset_client_onboarding', jsonb_build_object('client_id', p_client_id, 'reason', p_reason));
end;
comment on function public.admin_reset_client_onboarding is
  'Lets a client be onboarded again; their open link is closed. Needs clients.onboard. Fails: platform_permission_missing 403, client_not_found 404, reason_missing 422.';
revoke all on function public.admin_reset_client_onboarding(uuid, text) from public, anon, service_role;
grant execute on function public.admin_reset_client_onboarding(uuid, text) to authenticated;

create function public.admin_resend(p_message_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('resend_message', jsonb_build_object('message_id', p_message_id, 'reason', p_reason));
end;
comment on function public.admin_resend is
  'Sends a message again that did not arrive or may not have; {id, org_id, message_id: the new one}. Needs messages.resend. Fails: platform_permission_missing 403, message_not_found 404, message_not_retryable 409, message_retried 409, reason_missing 422.';
revoke all on function public.admin_resend(uuid, text) from public, anon, service_role;
grant execute on function public.admin_resend(uuid, text) to authenticated;

create function public.admin_retry(p_kind text, p_id text, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('retry_work', jsonb_build_object('kind', p_kind, 'id', p_id, 'reason', p_reason));
end;
comment on function public.admin_retry is
  'Does once more what failed (kind message or stripe_event), where doing it twice does nothing twice. Needs work.retry. Fails: platform_permission_missing 403, message_not_found 404, stripe_event_not_found 404, message_not_retryable 409, message_retried 409, value_not_allowed 422, reason_missing 422.';
revoke all on function public.admin_retry(text, text, text) from public, anon, service_role;
grant execute on function public.admin_retry(text, text, text) to authenticated;

create function public.admin_pull_brake(p_kind text, p_reason text, p_org_id uuid default null, p_banner text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('pull_brake', jsonb_build_object('kind', p_kind, 'org_id', p_org_id, 'reason', p_reason, 'banner', p_banner));
end;
comment on function public.admin_pull_brake is
  'Stops a kind of work for an organisation, or with none for everybody: {kind, org_id, is_on, is_changed}. Needs system.brakes. Fails: platform_permission_missing 403, org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function public.admin_pull_brake(text, text, uuid, text) from public, anon, service_role;
grant execute on function public.admin_pull_brake(text, text, uuid, text) to authenticated;

create function public.admin_release_brake(p_kind text, p_reason text, p_org_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('release_brake', jsonb_build_object('kind', p_kind, 'org_id', p_org_id, 'reason', p_reason));
end;
comment on function public.admin_release_brake is
  'Lets a kind of work go on: {kind, org_id, is_on, is_changed}. Needs system.brakes. Fails: platform_permission_missing 403, org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function public.admin_release_brake(text, text, uuid) from public, anon, service_role;
grant execute on function public.admin_release_brake(text, text, uuid) to authenticated;

create function public.admin_brakes()
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('list_brakes', '{}');
end;
comment on function public.admin_brakes is
  'The brakes that are on: [{kind, org_id, slug, reason, banner, pulled_by, pulled_at}]. Needs system.brakes. Fails: platform_permission_missing 403.';
revoke all on function public.admin_brakes() from public, anon, service_role;
grant execute on function public.admin_brakes() to authenticated;

create function public.start_support_access(p_org_id uuid, p_reason text, p_client_id uuid default null, p_minutes integer default 60)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('start_support', jsonb_build_object('org_id', p_org_id, 'reason', p_reason, 'client_id', p_client_id, 'minutes', p_minutes));
end;
comment on function public.start_support_access is
  'Lets you into an organisation with the role support, or into one client''s place, for 5 to 480 minutes; its owners are told. {id, org_id, client_id, expires_at}. Needs support.start. Fails: platform_permission_missing 403, org_not_found 404, client_not_found 404, support_access_declined 403, support_access_open 409, already_member 409, reason_missing 422, value_not_allowed 422.';
revoke all on function public.start_support_access(uuid, text, uuid, integer) from public, anon, service_role;
grant execute on function public.start_support_access(uuid, text, uuid, integer) to authenticated;

create function public.admin_support(p_org_id uuid default null, p_all boolean default false, p_limit integer default 100)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('list_support', jsonb_build_object('org_id', p_org_id, 'all', p_all, 'limit', p_limit));
end;
comment on function public.admin_support is
  'The support accesses that are open, or all: [{id, org_id, slug, user_id, email, client_id, reason, started_at, expires_at, ended_at, is_open}]. Needs support.start. Fails: platform_permission_missing 403.';
revoke all on function public.admin_support(uuid, boolean, integer) from public, anon, service_role;
grant execute on function public.admin_support(uuid, boolean, integer) to authenticated;

create function public.admin_audit(p_org_id uuid default null, p_action text default null, p_actor_id uuid default null, p_before timestamptz default null, p_limit integer default 100)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('list_audit', jsonb_build_object('org_id', p_org_id, 'action', p_action, 'actor_id', p_actor_id, 'before', p_before, 'limit', p_limit));
end;
comment on function public.admin_audit is
  'The audit logs, newest first; without an organisation all of them and the platform''s. Needs audit.read. Fails: platform_permission_missing 403.';
revoke all on function public.admin_audit(uuid, text, uuid, timestamptz, integer) from public, anon, service_role;
grant execute on function public.admin_audit(uuid, text, uuid, timestamptz, integer) to authenticated;

create function public.admin_list()
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('list_admins', '{}');
end;
comment on function public.admin_list is
  'Who runs the platform: [{user_id, email, permissions, created_at}]. Needs system.admins. Fails: platform_permission_missing 403.';
revoke all on function public.admin_list() from public, anon, service_role;
grant execute on function public.admin_list() to authenticated;

create function public.admin_set(p_email text, p_permissions text[], p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('set_admin', jsonb_build_object('email', p_email, 'permissions', p_permissions, 'reason', p_reason));
end;
comment on function public.admin_set is
  'Makes somebody who has signed up a platform admin, or changes what they may do. Needs system.admins. Fails: platform_permission_missing 403, user_not_found 404, platform_permission_unknown 422, last_admin 409, reason_missing 422.';
revoke all on function public.admin_set(text, text[], text) from public, anon, service_role;
grant execute on function public.admin_set(text, text[], text) to authenticated;

create function public.admin_remove(p_email text, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('remove_admin', jsonb_build_object('email', p_email, 'reason', p_reason));
end;
comment on function public.admin_remove is
  'Takes the platform from somebody, and ends their support accesses. Needs system.admins. Fails: platform_permission_missing 403, user_not_found 404, platform_admin_not_found 404, last_admin 409, reason_missing 422.';
revoke all on function public.admin_remove(text, text) from public, anon, service_role;
grant execute on function public.admin_remove(text, text) to authenticated;
