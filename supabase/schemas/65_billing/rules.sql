-- Entitlements: what an organisation may use now, until when, and why. Nothing is stored; every answer is derived.

-- When a subscription stops to count. A renewal that nobody heard of counts for the plan's grace: the sweep asks the provider meanwhile.
create function private.subscription_counts_until(p_subscription public.org_subscriptions, p_grace_days integer)
returns timestamptz
language sql immutable security invoker set search_path = ''
as $$
  select case
           when p_subscription.status in ('trialing', 'active') then
             least(p_subscription.cancels_at, p_subscription.current_period_ends_at + make_interval(days => p_grace_days))
           when p_subscription.status = 'past_due' then
             least(p_subscription.cancels_at, p_subscription.past_due_since + make_interval(days => p_grace_days)) end;
$$;
comment on function private.subscription_counts_until is
  'Until when a subscription gives its plan: to its end where it is cancelled, else over its period by the grace; past_due: the grace from the first failure. Null: not at all.';

create function private.current_grants(p_org_id uuid, p_now timestamptz default now())
returns table (source text, plan text, id uuid, starts_at timestamptz, ends_at timestamptz, reason text)
language sql stable security definer set search_path = ''
as $$
  select g.source, g.plan, g.id, g.starts_at, least(g.ends_at, g.revoked_at), g.source
    from public.plan_grants as g
   where g.org_id = p_org_id and g.starts_at <= p_now and p_now < least(g.ends_at, g.revoked_at)
  union all
  select 'subscription', s.plan, s.id, s.started_at, u.ends_at,
         case when s.status = 'past_due' then 'payment_failed_grace'
              when s.cancels_at is not null then 'subscription_ending'
              when s.current_period_ends_at <= p_now then 'renewal_awaited'
              when s.status = 'trialing' then 'subscription_trialing'
              else 'subscription_active' end
    from public.org_subscriptions as s
    join public.plans as p on p.plan = s.plan
   cross join lateral (select private.subscription_counts_until(s, p.grace_days) as ends_at) as u
   where s.org_id = p_org_id and s.started_at <= p_now and p_now < u.ends_at
  union all
  select 'default', p.plan, null, null, null, 'default_plan'
    from public.plans as p where p.is_default;
$$;
comment on function private.current_grants is
  'What gives an organisation a plan now, each by itself: source trial, comp, subscription or default; ends_at null: no end.';

create function private.has_feature(p_org_id uuid, p_feature text, p_now timestamptz default now())
returns boolean
language sql stable security definer set search_path = ''
as $$
  select not exists (select from public.plans)
      or exists (select from private.current_grants(p_org_id, p_now) as g
                   join public.plans as p on p.plan = g.plan
                  where p_feature = any (p.features));
$$;
comment on function private.has_feature is 'Whether an organisation may use a feature now; true where there are no plans.';

create function private.require_feature(p_org_id uuid, p_feature text, p_now timestamptz default now())
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not private.has_feature(p_org_id, p_feature, p_now) then
    perform private.fail(402, 'feature_not_in_plan', 'This is not part of the organisation''s plan.',
                         'Choose a plan that has it, or start its trial.');
  end if;
end;
$$;
comment on function private.require_feature is 'Refuses what the organisation''s plan does not have: feature_not_in_plan 402.';

-- The most generous of what counts now. Nothing that counts is nothing allowed; a plan that names no number allows any.
create function private.plan_limit(p_org_id uuid, p_name text, p_now timestamptz default now())
returns integer
language sql stable security definer set search_path = ''
as $$
  select case when not exists (select from public.plans) or bool_or(not p.limits ? p_name) then null
              else coalesce(max((p.limits ->> p_name)::integer), 0) end
    from private.current_grants(p_org_id, p_now) as g
    join public.plans as p on p.plan = g.plan;
$$;
comment on function private.plan_limit is 'How many of something an organisation may have now; null: any number.';

-- For triggers that count after the fact: the organisation's row is the lock, so that two at once do not both fit.
create function private.require_room(p_org_id uuid, p_name text, p_at_least integer default 0)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_limit integer := private.plan_limit(p_org_id, p_name);
begin
  if v_limit is null then
    return;
  end if;
  perform from public.orgs as o where o.id = p_org_id for no key update;
  if private.counted(p_org_id, p_name) > greatest(v_limit, p_at_least) then
    perform private.fail(402, 'plan_limit_reached', 'The organisation''s plan allows no more of these.',
                         'Choose a larger plan, or make one inactive.');
  end if;
end;
$$;
comment on function private.require_room is 'Refuses what is one too many for the organisation''s plan: plan_limit_reached 402.';

create function private.counted(p_org_id uuid, p_name text)
returns bigint
language sql volatile security definer set search_path = ''
as $$
  select case p_name
           when 'clients' then (select count(*) from public.clients as c where c.org_id = p_org_id and c.status = 'active')
           when 'staff' then (select count(*) from public.staff as s where s.org_id = p_org_id and s.is_active)
           when 'automations' then (select count(*) from public.automations as a where a.org_id = p_org_id and a.enabled) end;
$$;
comment on function private.counted is 'How many an organisation has of what a plan limits: active ones. Volatile, so that it sees what was committed while it waited.';

-- Arguments: what is counted, the least that is always allowed. Once a statement: an import of thousands is counted once.
create function private.tg__require_room()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  if exists (select from public.plans) then
    for v_org_id in select distinct a.org_id from added as a order by 1 loop
      perform private.require_room(v_org_id, tg_argv[0], tg_argv[1]::integer);
    end loop;
  end if;
  return null;
end;
$$;

-- What was inactive counts again: one row, since nobody wakes thousands.
create function private.tg__require_room_again()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_room(new.org_id, tg_argv[0], tg_argv[1]::integer);
  return null;
end;
$$;

create trigger clients__require_room after insert on public.clients
  referencing new table as added for each statement execute function private.tg__require_room('clients', '0');
create trigger clients__require_room_again after update of status on public.clients
  for each row when (new.status = 'active' and old.status <> 'active') execute function private.tg__require_room_again('clients', '0');
create trigger staff__require_room after insert on public.staff
  referencing new table as added for each statement execute function private.tg__require_room('staff', '1');
create trigger staff__require_room_again after update of is_active on public.staff
  for each row when (new.is_active and not old.is_active) execute function private.tg__require_room_again('staff', '1');

create trigger automations__require_room after insert on public.automations
  referencing new table as added for each statement execute function private.tg__require_room('automations', '0');
create trigger automations__require_room_again after update of enabled on public.automations
  for each row when (new.enabled and not old.enabled) execute function private.tg__require_room_again('automations', '0');

-- A type that asks for one goes on asking: what is refused is to begin, or to ask for another.
create function private.tg_session_types__require_deposits()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_feature(new.org_id, 'deposits');
  return null;
end;
$$;
create trigger session_types__require_deposits after insert on public.session_types
  for each row when (num_nonnulls(new.deposit_cents, new.deposit_percent) > 0)
  execute function private.tg_session_types__require_deposits();
create trigger session_types__require_deposits_again after update of deposit_cents, deposit_percent on public.session_types
  for each row when (num_nonnulls(new.deposit_cents, new.deposit_percent) > 0
                     and (new.deposit_cents, new.deposit_percent) is distinct from (old.deposit_cents, old.deposit_percent))
  execute function private.tg_session_types__require_deposits();

create function private.current_plan(p_org_id uuid, p_now timestamptz default now())
returns public.plans
language sql stable security definer set search_path = ''
as $$
  select p.* from private.current_grants(p_org_id, p_now) as g join public.plans as p on p.plan = g.plan
   order by p.rank desc, p.plan limit 1;
$$;
comment on function private.current_plan is 'The best of the plans that an organisation has now; null: none.';

create function private.platform_fee_rate(p_org_id uuid, p_now timestamptz default now())
returns numeric
language sql stable security definer set search_path = ''
as $$
  select coalesce((private.current_plan(p_org_id, p_now)).commission_rate,
                  (select o.commission_rate from public.orgs as o where o.id = p_org_id));
$$;
comment on function private.platform_fee_rate is
  'The platform''s share of an organisation''s sales, 0 to 1: its plan''s, where that names one, else orgs.commission_rate.';

create function private.entitlements(p_org_id uuid, p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with configured as (select exists (select from public.plans) as yes),
  granted as materialized (
    select g.source, g.plan, g.id, g.starts_at, g.ends_at, g.reason, p.name, p.features, p.limits, p.rank
      from private.current_grants(p_org_id, p_now) as g join public.plans as p on p.plan = g.plan),
  best as (select c.plan, c.name from private.current_plan(p_org_id, p_now) as c where c.plan is not null)
  select jsonb_build_object(
    'org_id', p_org_id, 'is_configured', c.yes,
    'plan', (select b.plan from best as b), 'plan_name', (select b.name from best as b),
    'until', (select case when bool_or(g.ends_at is null) then null else max(g.ends_at) end from granted as g join best as b using (plan)),
    'commission_rate', private.platform_fee_rate(p_org_id, p_now),
    'trial', (select jsonb_build_object('is_used', count(*) filter (where t.is_self_serve) > 0) from public.plan_grants as t where t.org_id = p_org_id),
    'grants', (select coalesce(jsonb_agg(jsonb_build_object(
                 'source', g.source, 'id', g.id, 'plan', g.plan, 'from', g.starts_at, 'until', g.ends_at, 'why', g.reason)
                 order by g.rank desc, g.plan, g.source, g.starts_at, g.id), '[]') from granted as g),
    'features', (
      select coalesce(jsonb_object_agg(f.feature, jsonb_build_object(
               'is_allowed', not c.yes or x.n > 0, 'until', case when x.open then null else x.until end,
               'why', case when not c.yes then '["no_plans"]' else coalesce(x.why, '[]') end)), '{}')
        from private.features as f
       cross join lateral (
         select count(*) as n, bool_or(g.ends_at is null) as open, max(g.ends_at) as until,
                jsonb_agg(jsonb_build_object('source', g.source, 'id', g.id, 'plan', g.plan, 'until', g.ends_at, 'why', g.reason)
                          order by g.rank desc, g.plan, g.source, g.starts_at, g.id) as why
           from granted as g where f.feature = any (g.features)) as x
       where not f.is_limit),
    'limits', (
      select coalesce(jsonb_object_agg(f.feature, jsonb_build_object(
               'allowed', private.plan_limit(p_org_id, f.feature, p_now), 'used', private.counted(p_org_id, f.feature))), '{}')
        from private.features as f where f.is_limit))
    from configured as c;
$$;
comment on function private.entitlements is
  '{org_id, is_configured, plan, plan_name, until, commission_rate, trial: {is_used}, grants: [{source, id, plan, from, until, why}], features: {name: {is_allowed, until, why: [{source, id, plan, until, why}]}}, limits: {name: {allowed, used}}}; until null: no end.';
