-- Billing for apps: what the organisation may use, its trial, and what the service needs to open Checkout and the Billing Portal.

create function private.member_entitlements(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'org.read');
  return private.entitlements(p_org_id);
end;
$$;
comment on function private.member_entitlements is 'entitlements for any member.';

create function public.entitlements(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_entitlements(p_org_id);
end;
comment on function public.entitlements is
  'What your organisation may use now, until when, and why: {org_id, is_configured, plan, plan_name, until, commission_rate, trial: {is_used}, grants: [{source: trial | comp | subscription | default, id, plan, from, until, why}], features: {name: {is_allowed, until, why: [{source, id, plan, until, why}]}}, limits: {name: {allowed, used}}}. until null: no end; allowed null: any number; is_configured false: the platform has no plans, and everything is allowed. Fails: org_not_found 404.';
revoke all on function public.entitlements(uuid) from public, anon, service_role;
grant execute on function public.entitlements(uuid) to authenticated;
grant execute on function private.member_entitlements(uuid) to authenticated;

create function private.member_start_trial(p_org_id uuid, p_plan text, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'billing.write');
  perform private.start_trial(p_org_id, p_plan, auth.uid(), p_request_id);
  -- Of this moment: who waited for another tab began before that tab's trial did.
  return private.entitlements(p_org_id, clock_timestamp());
end;
$$;
comment on function private.member_start_trial is 'start_trial for a member with billing.write.';

create function public.start_trial(p_org_id uuid, p_plan text default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_start_trial(p_org_id, p_plan, p_request_id);
end;
comment on function public.start_trial is
  'Starts your organisation''s trial, once: of the plan named, else of the best that can be tried. Returns its entitlements. Needs billing.write. Fails: org_not_found 404, permission_missing 403, plan_not_found 404, trial_unavailable 409, trial_used 409, request_reused 409.';
revoke all on function public.start_trial(uuid, text, uuid) from public, anon, service_role;
grant execute on function public.start_trial(uuid, text, uuid) to authenticated;
grant execute on function private.member_start_trial(uuid, text, uuid) to authenticated;

create function private.member_plan_checkout(p_org_id uuid, p_plan text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_plan public.plans;
begin
  perform private.require_org(p_org_id, 'billing.write');
  v_plan := private.require_plan(p_plan);
  if v_plan.stripe_price_id is null or not v_plan.is_active then
    perform private.fail(409, 'plan_not_sold', 'This plan is not for sale.', 'Choose another plan.');
  end if;
  -- A second one would be charged beside the first; changing plans is the portal's.
  if exists (select from public.org_subscriptions as s
              where s.org_id = p_org_id and s.status in ('trialing', 'active', 'past_due', 'unpaid', 'paused')) then
    perform private.fail(409, 'subscribed_already', 'The organisation has a subscription.', 'Change it in the billing portal.');
  end if;
  return jsonb_build_object('org_id', p_org_id, 'plan', v_plan.plan, 'stripe_price_id', v_plan.stripe_price_id,
                            'app_url', private.app_link(''));
end;
$$;
comment on function private.member_plan_checkout is 'Whether a member with billing.write may subscribe their organisation to a plan, and at what price.';

create function public.plan_checkout(p_org_id uuid, p_plan text)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_plan_checkout(p_org_id, p_plan);
end;
comment on function public.plan_checkout is
  'Whether your organisation can subscribe to a plan: {org_id, plan, stripe_price_id, app_url}; POST /api/billing/checkout then opens the payment page. Needs billing.write. Fails: org_not_found 404, permission_missing 403, plan_not_found 404, plan_not_sold 409, subscribed_already 409.';
revoke all on function public.plan_checkout(uuid, text) from public, anon, service_role;
grant execute on function public.plan_checkout(uuid, text) to authenticated;
grant execute on function private.member_plan_checkout(uuid, text) to authenticated;

create function private.member_billing_customer(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_customer_id text;
begin
  perform private.require_org(p_org_id, 'billing.write');
  select c.stripe_customer_id into v_customer_id from private.billing_customers as c where c.org_id = p_org_id;
  if not found then
    perform private.fail(409, 'not_a_customer', 'The organisation has never subscribed.', 'Choose a plan first.');
  end if;
  return jsonb_build_object('org_id', p_org_id, 'stripe_customer_id', v_customer_id, 'app_url', private.app_link(''));
end;
$$;
comment on function private.member_billing_customer is 'Who the organisation is at the provider, for a member with billing.write.';

create function public.billing_customer(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_billing_customer(p_org_id);
end;
comment on function public.billing_customer is
  'Who your organisation is at the provider: {org_id, stripe_customer_id, app_url}; POST /api/billing/portal then opens the portal. Needs billing.write. Fails: org_not_found 404, permission_missing 403, not_a_customer 409.';
revoke all on function public.billing_customer(uuid) from public, anon, service_role;
grant execute on function public.billing_customer(uuid) to authenticated;
grant execute on function private.member_billing_customer(uuid) to authenticated;

create function public.admin_entitlements(p_org_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('show_entitlements', jsonb_build_object('org_id', p_org_id));
end;
comment on function public.admin_entitlements is
  'What any organisation may use, until when, and why, as entitlements. Needs orgs.read. Fails: platform_permission_missing 403, org_not_found 404.';
revoke all on function public.admin_entitlements(uuid) from public, anon, service_role;
grant execute on function public.admin_entitlements(uuid) to authenticated;

create function public.admin_grant_plan(
  p_org_id uuid, p_source text, p_plan text, p_reason text, p_ends_at timestamptz default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('grant_plan', jsonb_build_object(
    'org_id', p_org_id, 'source', p_source, 'plan', p_plan, 'reason', p_reason, 'ends_at', p_ends_at, 'request_id', p_request_id));
end;
comment on function public.admin_grant_plan is
  'Gives an organisation a plan for a time without paying: source comp (with its end) or trial (without an end: as long as the plan''s trials are); {grant_id, plan, ends_at}. Whatever its subscription does, it stays. Needs billing.grant. Fails: platform_permission_missing 403, org_not_found 404, plan_not_found 404, reason_missing 422, value_not_allowed 422, request_reused 409.';
revoke all on function public.admin_grant_plan(uuid, text, text, text, timestamptz, uuid) from public, anon, service_role;
grant execute on function public.admin_grant_plan(uuid, text, text, text, timestamptz, uuid) to authenticated;

create function public.admin_revoke_grant(p_org_id uuid, p_grant_id uuid, p_reason text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.admin_act('revoke_grant', jsonb_build_object('org_id', p_org_id, 'grant_id', p_grant_id, 'reason', p_reason));
end;
comment on function public.admin_revoke_grant is
  'Ends a trial or comp now: {grant_id, is_revoked}; nothing else that the organisation has is touched. Needs billing.grant. Fails: platform_permission_missing 403, org_not_found 404, grant_not_found 404, reason_missing 422.';
revoke all on function public.admin_revoke_grant(uuid, uuid, text) from public, anon, service_role;
grant execute on function public.admin_revoke_grant(uuid, uuid, text) to authenticated;
