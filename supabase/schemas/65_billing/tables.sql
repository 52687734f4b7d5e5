-- Billing: what an organisation pays the platform, and what it may therefore use.
-- Invariant: what an organisation may use is derived, whenever it is asked, from grants that know nothing of each other: trials and
-- comps (plan_grants), the mirror of its subscriptions (org_subscriptions), the default plan. No event of one changes another.
-- Not here: what clients pay an organisation (60_payments). Where there is no plan at all, everything is allowed.

create table private.features (
  feature text primary key,
  description text not null,
  is_limit boolean not null default false,
  constraint features_feature_form check (feature ~ '^[a-z_]{1,40}$')
);
comment on table private.features is 'What a plan can have: doors that ask for it, and what is counted.';
comment on column private.features.is_limit is 'True where a plan gives a number: how many there may be.';

create table public.plans (
  plan text primary key,
  name text not null,
  description text not null default '',
  price_cents bigint not null,
  currency text not null default 'aud',
  billing_period text not null default 'monthly',
  commission_rate numeric,
  features text[] not null default '{}',
  limits jsonb not null default '{}',
  trial_days integer not null default 7,
  grace_days integer not null default 7,
  rank integer not null default 0,
  is_default boolean not null default false,
  is_active boolean not null default true,
  stripe_price_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint plans_plan_form check (plan ~ '^[a-z0-9_-]{1,40}$'),
  constraint plans_name_length check (char_length(btrim(name)) between 1 and 100),
  constraint plans_description_length check (char_length(description) <= 2000),
  constraint plans_price_cents_range check (price_cents between 0 and 1000000000),
  constraint plans_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint plans_billing_period_known check (billing_period in ('monthly', 'yearly')),
  constraint plans_commission_rate_share check (commission_rate between 0 and 1),
  constraint plans_limits_object check (jsonb_typeof(limits) = 'object'),
  constraint plans_trial_days_range check (trial_days between 0 and 365),
  constraint plans_grace_days_range check (grace_days between 0 and 90),
  constraint plans_stripe_price_id_form check (stripe_price_id ~ '^price_[A-Za-z0-9_]{1,200}$')
);
comment on table public.plans is 'What an organisation can subscribe to; the platform''s, written by coach plan set alone. Without a row everything is allowed.';
comment on column public.plans.commission_rate is 'The platform''s share of sales under this plan, 0 to 1; null: orgs.commission_rate.';
comment on column public.plans.features is 'What it opens; see coach plan features.';
comment on column public.plans.limits is '{name: how many}; a name that is missing is unlimited.';
comment on column public.plans.trial_days is 'How long an owner may try it, once; 0: not.';
comment on column public.plans.grace_days is 'How long a subscription still counts after its payment failed, or its renewal was not heard of.';
comment on column public.plans.rank is 'Which of two plans is the better one: an organisation with both has the higher.';
comment on column public.plans.is_default is 'What every organisation has that has nothing else.';
comment on column public.plans.is_active is 'Whether it can still be chosen; who has it keeps it.';
comment on column public.plans.stripe_price_id is 'What Checkout sells; earlier prices stay known in plan_prices.';
create unique index plans_one_default on public.plans (is_default) where is_default;

create table private.plan_prices (
  stripe_price_id text primary key,
  plan text not null references public.plans (plan) on delete cascade,
  created_at timestamptz not null default now()
);
comment on table private.plan_prices is 'Every price a plan was ever sold at: a subscriber keeps the old one.';
create index plan_prices_plan_idx on private.plan_prices (plan);

create table public.plan_grants (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  source text not null,
  plan text not null references public.plans (plan) on delete restrict,
  starts_at timestamptz not null default now(),
  ends_at timestamptz not null,
  reason text,
  is_self_serve boolean not null default false,
  granted_by uuid,
  request_id uuid,
  revoked_at timestamptz,
  revoked_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint plan_grants_source_known check (source in ('trial', 'comp')),
  constraint plan_grants_ends_after_start check (ends_at > starts_at),
  constraint plan_grants_self_serve_is_trial check (source = 'trial' or not is_self_serve),
  constraint plan_grants_reason_length check (char_length(reason) <= 500)
);
comment on table public.plan_grants is 'A plan that somebody was given for a time without paying: counts from starts_at until ends_at or revoked_at, whatever else happens.';
comment on column public.plan_grants.source is 'trial (the organisation''s own, once, or given by the platform) or comp (given by the platform).';
comment on column public.plan_grants.granted_by is 'Who gave it; null: an operator at the command line. No key: grants outlive people.';
create unique index plan_grants_self_serve_once on public.plan_grants (org_id) where is_self_serve;
create unique index plan_grants_request_once on public.plan_grants (org_id, request_id) where request_id is not null;
create index plan_grants_id_idx on public.plan_grants (id);
create index plan_grants_plan_idx on public.plan_grants (plan);

-- Whose customer it is at the provider is decided here, once, by us: an event's metadata is never asked.
create table private.billing_customers (
  stripe_customer_id text primary key,
  org_id uuid not null references public.orgs (id) on delete cascade,
  created_at timestamptz not null default now(),
  constraint billing_customers_org_once unique (org_id)
);
comment on table private.billing_customers is 'The directory from the platform''s customers at the provider to organisations.';

create table public.org_subscriptions (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  stripe_subscription_id text not null,
  stripe_price_id text not null,
  plan text references public.plans (plan) on delete restrict,
  status text not null,
  started_at timestamptz not null,
  current_period_ends_at timestamptz not null,
  cancels_at timestamptz,
  ended_at timestamptz,
  past_due_since timestamptz,
  as_of timestamptz not null,
  event_id text,
  refetch_at timestamptz,
  revision bigint not null default 0,
  fetched_at timestamptz,
  fetch_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint org_subscriptions_status_known check (status in (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused')),
  constraint org_subscriptions_past_due_since_when check ((status = 'past_due') = (past_due_since is not null)),
  constraint org_subscriptions_fetch_error_length check (char_length(fetch_error) <= 200)
);
comment on table public.org_subscriptions is 'The mirror of the organisation''s subscriptions at the provider; written by its events and by asking it, and by nothing else.';
comment on column public.org_subscriptions.plan is 'The plan of its price; null: a price that no plan was sold at, which gives nothing.';
comment on column public.org_subscriptions.past_due_since is 'When the payment failed first; the plan''s grace runs from here.';
comment on column public.org_subscriptions.as_of is 'The provider''s time of what is written here: an earlier event changes nothing.';
comment on column public.org_subscriptions.event_id is 'The event it comes from; null: asked for.';
comment on column public.org_subscriptions.refetch_at is 'When the provider is to be asked: an event left open in which order things happened. Null: no need.';
comment on column public.org_subscriptions.revision is 'Counts reasons to ask: an answer that was under way when another came does not settle it.';
create unique index org_subscriptions_stripe_once on public.org_subscriptions (org_id, stripe_subscription_id);
create index org_subscriptions_plan_idx on public.org_subscriptions (plan);
-- The sweep's: what is to be asked about.
create index org_subscriptions_refetch_idx on public.org_subscriptions (refetch_at) where refetch_at is not null;
create index org_subscriptions_live_idx on public.org_subscriptions (current_period_ends_at) where status in ('trialing', 'active', 'past_due');
