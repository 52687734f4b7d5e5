-- Who may see what an organisation pays for. Nobody writes here directly.

alter table private.features enable row level security;
alter table private.plan_prices enable row level security;
alter table private.billing_customers enable row level security;
alter table public.plans enable row level security;
alter table public.plan_grants enable row level security;
alter table public.org_subscriptions enable row level security;
revoke all on private.features, private.plan_prices, private.billing_customers, public.plans, public.plan_grants, public.org_subscriptions
  from public, anon, authenticated, service_role;

-- Row level security without a policy for apps: only definers of the owner reach these.
create policy features_select_nobody on private.features for select to service_role using (false);
create policy plan_prices_select_nobody on private.plan_prices for select to service_role using (false);
create policy billing_customers_select_nobody on private.billing_customers for select to service_role using (false);

-- plans: what can be chosen, for everyone who signs in; and what one's own organisation has, chosen or not.
grant select on public.plans to authenticated, service_role;
create policy plans_select_offered on public.plans for select to authenticated
  using (is_active and (select auth.uid()) is not null or is_default
         or plan in (select s.plan from public.org_subscriptions as s) or plan in (select g.plan from public.plan_grants as g)
         or (select private.is_platform_admin()));

grant select on public.plan_grants, public.org_subscriptions to authenticated, service_role;
create policy plan_grants_select_members on public.plan_grants for select to authenticated
  using (org_id = any ((select private.orgs_with('billing.read'))::uuid[]));
create policy org_subscriptions_select_members on public.org_subscriptions for select to authenticated
  using (org_id = any ((select private.orgs_with('billing.read'))::uuid[]));
