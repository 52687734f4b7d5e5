-- Billing for the Python side and for operators: plans, grants, the customer's directory, and what the sweep asks about.

create function service.list_features()
returns table (feature text, description text, is_limit boolean)
language sql stable security definer set search_path = ''
as $$
  select f.feature, f.description, f.is_limit from private.features as f order by f.is_limit, f.feature;
$$;
comment on function service.list_features is 'What a plan can have: features, then limits.';
revoke all on function service.list_features() from public, anon, authenticated;
grant execute on function service.list_features() to service_role;

create function service.list_plans()
returns table (
  plan text, name text, price_cents bigint, currency text, billing_period text, commission_rate numeric, features text[], limits jsonb,
  trial_days integer, grace_days integer, rank integer, is_default boolean, is_active boolean, stripe_price_id text, orgs bigint)
language sql stable security definer set search_path = ''
as $$
  select p.plan, p.name, p.price_cents, p.currency, p.billing_period, p.commission_rate, p.features, p.limits, p.trial_days, p.grace_days,
         p.rank, p.is_default, p.is_active, p.stripe_price_id,
         (select count(distinct x.org_id)
            from (select s.org_id from public.org_subscriptions as s
                   where s.plan = p.plan and private.subscription_counts_until(s, p.grace_days) > now()
                  union all
                  select g.org_id from public.plan_grants as g
                   where g.plan = p.plan and g.starts_at <= now() and now() < least(g.ends_at, g.revoked_at)) as x)
    from public.plans as p order by p.rank desc, p.plan;
$$;
comment on function service.list_plans is 'The plans, best first, with how many organisations have each by a subscription, a trial or a comp.';
revoke all on function service.list_plans() from public, anon, authenticated;
grant execute on function service.list_plans() to service_role;

-- A parameter that is left out leaves an existing plan as it is.
create function service.set_plan(
  p_plan text, p_name text default null, p_price_cents bigint default null, p_currency text default null, p_billing_period text default null,
  p_commission_rate numeric default null, p_features text[] default null, p_limits jsonb default null, p_trial_days integer default null,
  p_grace_days integer default null, p_rank integer default null, p_is_default boolean default null, p_is_active boolean default null,
  p_stripe_price_id text default null, p_description text default null)
returns public.plans
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before jsonb := (select to_jsonb(p) from public.plans as p where p.plan = p_plan);
  v_plan public.plans;
begin
  perform private.require_value(p_plan ~ '^[a-z0-9_-]{1,40}$', 'plan'),
          private.require_value(coalesce(char_length(btrim(p_name)) between 1 and 100, true), 'name'),
          private.require_value(coalesce(p_price_cents between 0 and 1000000000, true), 'price'),
          private.require_value(coalesce(p_currency ~ '^[a-z]{3}$', true), 'currency'),
          private.require_value(coalesce(p_billing_period in ('monthly', 'yearly'), true), 'billing_period'),
          private.require_value(coalesce(p_commission_rate between 0 and 1, true), 'commission_rate'),
          private.require_value(coalesce(p_features <@ (select array_agg(f.feature) from private.features as f where not f.is_limit), true), 'features'),
          private.require_value(coalesce(jsonb_typeof(p_limits) = 'object', true), 'limits'),
          private.require_value(coalesce(p_trial_days between 0 and 365, true), 'trial_days'),
          private.require_value(coalesce(p_grace_days between 0 and 90, true), 'grace_days'),
          private.require_value(coalesce(p_stripe_price_id ~ '^price_[A-Za-z0-9_]{1,200}$', true), 'stripe_price_id'),
          private.require_value(coalesce(char_length(p_description) <= 2000, true), 'description');
  perform private.require_value(not exists (
    select from jsonb_each(coalesce(p_limits, '{}')) as l
     where not exists (select from private.features as f where f.is_limit and f.feature = l.key)
        or jsonb_typeof(l.value) <> 'number' or (l.value #>> '{}') !~ '^[0-9]{1,7}$'), 'limits');
  if v_before is null then
    perform private.require_value(p_name is not null, 'name'), private.require_value(p_price_cents is not null, 'price');
  end if;
  if p_is_default then
    update public.plans as p set is_default = false where p.is_default and p.plan <> p_plan;
  end if;
  insert into public.plans as p (
    plan, name, description, price_cents, currency, billing_period, commission_rate, features, limits, trial_days, grace_days, rank, is_default,
    is_active, stripe_price_id)
  values (
    p_plan, coalesce(btrim(p_name), p_plan), coalesce(p_description, ''), coalesce(p_price_cents, 0), coalesce(p_currency, 'aud'),
    coalesce(p_billing_period, 'monthly'), p_commission_rate, coalesce(p_features, '{}'), coalesce(p_limits, '{}'), coalesce(p_trial_days, 7),
    coalesce(p_grace_days, 7), coalesce(p_rank, 0), coalesce(p_is_default, false), coalesce(p_is_active, true), p_stripe_price_id)
  on conflict (plan) do update
     set name = coalesce(btrim(p_name), p.name), description = coalesce(p_description, p.description),
         price_cents = coalesce(p_price_cents, p.price_cents), currency = coalesce(p_currency, p.currency),
         billing_period = coalesce(p_billing_period, p.billing_period), commission_rate = coalesce(p_commission_rate, p.commission_rate),
         features = coalesce(p_features, p.features), limits = coalesce(p_limits, p.limits), trial_days = coalesce(p_trial_days, p.trial_days),
         grace_days = coalesce(p_grace_days, p.grace_days), rank = coalesce(p_rank, p.rank), is_default = coalesce(p_is_default, p.is_default),
         is_active = coalesce(p_is_active, p.is_active), stripe_price_id = coalesce(p_stripe_price_id, p.stripe_price_id)
  returning p.* into v_plan;
  -- Who subscribed at this price before it was a plan's.
  update public.org_subscriptions as s set plan = v_plan.plan where s.stripe_price_id = v_plan.stripe_price_id and s.plan is distinct from v_plan.plan;
  perform private.record_audit(null, 'set_plan', 'plans', null, v_before - '{updated_at}'::text[], to_jsonb(v_plan) - '{updated_at}'::text[]);
  return v_plan;
end;
$$;
comment on function service.set_plan is
  'Makes a plan, or changes what is given of it. Features and limits ({name: number}) replace the old ones; see list_features. Fails: value_not_allowed 422, price_in_use 409.';
revoke all on function service.set_plan(text, text, bigint, text, text, numeric, text[], jsonb, integer, integer, integer, boolean, boolean, text, text)
  from public, anon, authenticated;
grant execute on function service.set_plan(text, text, bigint, text, text, numeric, text[], jsonb, integer, integer, integer, boolean, boolean, text, text)
  to service_role;

create function service.entitlements(p_org_id uuid, p_at timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.entitlements(p_org_id, p_at);
end;
$$;
comment on function service.entitlements is
  'What an organisation may use at an instant, until when, and why; as public.entitlements. Fails: org_not_found 404.';
revoke all on function service.entitlements(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.entitlements(uuid, timestamptz) to service_role;

create function service.billing_customer(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select c.stripe_customer_id from private.billing_customers as c where c.org_id = p_org_id;
$$;
comment on function service.billing_customer is 'The organisation''s customer at the provider; null: none yet.';
revoke all on function service.billing_customer(uuid) from public, anon, authenticated;
grant execute on function service.billing_customer(uuid) to service_role;

-- The first one stays: two tabs that both made a customer go on with the same one.
create function service.link_billing_customer(p_org_id uuid, p_customer_id text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_customer_id text;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_customer_id ~ '^cus_[A-Za-z0-9_]{1,200}$', 'customer_id');
  insert into private.billing_customers (stripe_customer_id, org_id) values (p_customer_id, p_org_id) on conflict do nothing;
  select c.stripe_customer_id into v_customer_id from private.billing_customers as c where c.org_id = p_org_id;
  if v_customer_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This customer is another organisation''s.');
  end if;
  return v_customer_id;
end;
$$;
comment on function service.link_billing_customer is
  'Notes which customer at the provider an organisation is; returns the one that counts, which is the first. Fails: org_not_found 404, value_not_allowed 422, value_taken 409.';
revoke all on function service.link_billing_customer(uuid, text) from public, anon, authenticated;
grant execute on function service.link_billing_customer(uuid, text) to service_role;

-- Besides what events left open: a period that ended an hour ago, of which nobody has heard since.
create function service.claim_subscription_checks(p_limit integer default 100, p_now timestamptz default now())
returns table (org_id uuid, id uuid, stripe_subscription_id text, revision bigint)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  return query
  with left_open as (
    select s.org_id, s.id from public.org_subscriptions as s where s.refetch_at <= p_now
     order by s.refetch_at limit p_limit for no key update skip locked),
  unheard as (
    select s.org_id, s.id from public.org_subscriptions as s
     where s.status in ('trialing', 'active', 'past_due') and s.current_period_ends_at < p_now - interval '1 hour' and s.refetch_at is null
       and coalesce(s.fetched_at < p_now - interval '6 hours', true)
     order by s.current_period_ends_at limit p_limit for no key update skip locked),
  due as (select o.org_id, o.id from left_open as o union all select u.org_id, u.id from unheard as u limit p_limit)
  update public.org_subscriptions as s set refetch_at = p_now + interval '2 minutes'
    from due as d where s.org_id = d.org_id and s.id = d.id
  returning s.org_id, s.id, s.stripe_subscription_id, s.revision;
end;
$$;
comment on function service.claim_subscription_checks is
  'Subscriptions to ask the provider about, lent for two minutes: what events left open, and renewals nobody heard of. Fails: value_not_allowed 422.';
revoke all on function service.claim_subscription_checks(integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_subscription_checks(integer, timestamptz) to service_role;

create function service.subscriptions_state(p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('due', count(*)) from public.org_subscriptions as s
   where s.refetch_at <= p_now
      or (s.status in ('trialing', 'active', 'past_due') and s.current_period_ends_at < p_now - interval '1 hour' and s.refetch_at is null
          and coalesce(s.fetched_at < p_now - interval '6 hours', true));
$$;
comment on function service.subscriptions_state is 'How many subscriptions the provider is to be asked about: {due}.';
revoke all on function service.subscriptions_state(timestamptz) from public, anon, authenticated;
grant execute on function service.subscriptions_state(timestamptz) to service_role;

create function service.record_subscription(p_org_id uuid, p_id uuid, p_subscription jsonb, p_as_of timestamptz, p_revision bigint)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not exists (select from public.org_subscriptions as s
                  where s.org_id = p_org_id and s.id = p_id and s.stripe_subscription_id = p_subscription ->> 'id') then
    perform private.fail(404, 'subscription_not_found', 'There is no such subscription.', 'Ask again.');
  end if;
  return private.mirror_subscription(p_subscription, p_as_of, null, p_revision);
end;
$$;
comment on function service.record_subscription is
  'Writes the provider''s answer about a subscription, as of the provider''s own time; revision: as it was claimed. Returns mirrored, or stale where an event said something later. Fails: subscription_not_found 404, stripe_field_missing 422.';
revoke all on function service.record_subscription(uuid, uuid, jsonb, timestamptz, bigint) from public, anon, authenticated;
grant execute on function service.record_subscription(uuid, uuid, jsonb, timestamptz, bigint) to service_role;

create function service.record_subscription_failure(p_org_id uuid, p_id uuid, p_error text)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.org_subscriptions as s set fetch_error = left(p_error, 200), refetch_at = now() + interval '15 minutes'
   where s.org_id = p_org_id and s.id = p_id;
$$;
comment on function service.record_subscription_failure is 'Notes that the provider could not be asked, by a slug, and asks again in a quarter of an hour.';
revoke all on function service.record_subscription_failure(uuid, uuid, text) from public, anon, authenticated;
grant execute on function service.record_subscription_failure(uuid, uuid, text) to service_role;
