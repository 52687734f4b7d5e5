-- Plans and who was given one: trials and comps. Each grant stands by itself; what ends one ends no other.

create trigger plans__touch before update on public.plans
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger plan_grants__audit after insert or update or delete on public.plan_grants
  for each row execute function private.tg__audit();

create function private.require_plan(p_plan text)
returns public.plans
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_plan public.plans;
begin
  select p.* into v_plan from public.plans as p where p.plan = p_plan;
  if not found then
    perform private.fail(404, 'plan_not_found', 'There is no such plan.', 'Choose one that the list of plans has.');
  end if;
  return v_plan;
end;
$$;
comment on function private.require_plan is 'The plan of this name. Fails: plan_not_found 404.';

-- A price that was ever a plan's stays it: who subscribed at it keeps paying it.
create function private.tg_plans__remember_price()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into private.plan_prices (stripe_price_id, plan) values (new.stripe_price_id, new.plan) on conflict do nothing;
  if not exists (select from private.plan_prices as p where p.stripe_price_id = new.stripe_price_id and p.plan = new.plan) then
    perform private.fail(409, 'price_in_use', 'This price belongs to another plan.', 'Make a price for each plan.');
  end if;
  return null;
end;
$$;
create trigger plans__remember_price after insert or update of stripe_price_id on public.plans
  for each row when (new.stripe_price_id is not null) execute function private.tg_plans__remember_price();

create function private.grant_of_request(p_org_id uuid, p_request_id uuid, p_source text, p_plan text)
returns public.plan_grants
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_grant public.plan_grants;
begin
  select g.* into v_grant from public.plan_grants as g where g.org_id = p_org_id and g.request_id = p_request_id;
  if found and (v_grant.source <> p_source or v_grant.plan <> coalesce(p_plan, v_grant.plan)) then
    perform private.refuse_request();
  end if;
  return v_grant;
end;
$$;
comment on function private.grant_of_request is 'What a request id was answered with before; refuses one that was used for something else: request_reused 409.';

-- The unique index on self-serve trials decides between two tabs; both ask, one gets it.
create function private.start_trial(p_org_id uuid, p_plan text, p_actor_id uuid, p_request_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_plan public.plans;
  v_grant public.plan_grants := private.grant_of_request(p_org_id, p_request_id, 'trial', p_plan);
begin
  if v_grant.id is not null then
    return v_grant.id;
  end if;
  if p_plan is null then
    select p.* into v_plan from public.plans as p where p.is_active and p.trial_days > 0 order by p.rank desc, p.plan limit 1;
  else
    v_plan := private.require_plan(p_plan);
  end if;
  if v_plan.plan is null or v_plan.trial_days = 0 or not v_plan.is_active then
    perform private.fail(409, 'trial_unavailable', 'This plan cannot be tried.', 'Choose another plan.');
  end if;
  insert into public.plan_grants (org_id, source, plan, starts_at, ends_at, is_self_serve, granted_by, request_id)
  values (p_org_id, 'trial', v_plan.plan, p_now, p_now + make_interval(days => v_plan.trial_days), true, p_actor_id, p_request_id)
  on conflict do nothing
  returning * into v_grant;
  if v_grant.id is null then
    -- The same click on another connection, or another one that came first.
    v_grant := private.grant_of_request(p_org_id, p_request_id, 'trial', p_plan);
  end if;
  if v_grant.id is null then
    perform private.fail(409, 'trial_used', 'The organisation has had its trial.', 'Subscribe to a plan.');
  end if;
  return v_grant.id;
end;
$$;
comment on function private.start_trial is
  'An organisation''s own trial, once, for the plan''s trial_days; returns the grant. Fails: plan_not_found 404, trial_unavailable 409, trial_used 409, request_reused 409.';

create function private.grant_plan(
  p_org_id uuid, p_source text, p_plan text, p_ends_at timestamptz, p_reason text, p_actor_id uuid, p_request_id uuid,
  p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_plan public.plans := private.require_plan(p_plan);
  v_grant public.plan_grants := private.grant_of_request(p_org_id, p_request_id, p_source, p_plan);
begin
  if v_grant.id is not null then
    return v_grant.id;
  end if;
  perform private.require_value(p_source in ('trial', 'comp'), 'source');
  perform private.require_value(p_ends_at is not null or p_source = 'trial', 'ends_at');
  perform private.require_value(coalesce(p_ends_at > p_now and p_ends_at <= p_now + interval '10 years', true), 'ends_at');
  perform private.require_value(coalesce(char_length(p_reason) <= 500, true), 'reason');
  insert into public.plan_grants (org_id, source, plan, starts_at, ends_at, reason, granted_by, request_id)
  values (p_org_id, p_source, v_plan.plan, p_now,
          coalesce(p_ends_at, p_now + make_interval(days => greatest(v_plan.trial_days, 1))), p_reason, p_actor_id, p_request_id)
  on conflict do nothing
  returning * into v_grant;
  if v_grant.id is null then
    v_grant := private.grant_of_request(p_org_id, p_request_id, p_source, p_plan);
  end if;
  return v_grant.id;
end;
$$;
comment on function private.grant_plan is
  'Gives an organisation a plan for a time: a comp until p_ends_at, or a trial (without an end: as long as the plan''s trials are). Returns the grant. Fails: plan_not_found 404, value_not_allowed 422, request_reused 409.';

-- Other grants and subscriptions go on: an organisation keeps what those give.
create function private.revoke_grant(p_org_id uuid, p_grant_id uuid, p_actor_id uuid, p_now timestamptz default now())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.plan_grants as g set revoked_at = p_now, revoked_by = p_actor_id
   where g.org_id = p_org_id and g.id = p_grant_id and g.revoked_at is null and p_now < g.ends_at;
  if found then
    return true;
  end if;
  if not exists (select from public.plan_grants as g where g.org_id = p_org_id and g.id = p_grant_id) then
    perform private.fail(404, 'grant_not_found', 'There is no such grant.', 'List the organisation''s entitlements.');
  end if;
  return false;
end;
$$;
comment on function private.revoke_grant is
  'Ends one grant now; false where it had ended. Nothing else the organisation has is touched. Fails: grant_not_found 404.';

-- The platform's own doors, each by private.act.

create function private.act_grant_plan(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_grant public.plan_grants;
begin
  perform private.require_known_org((p_args ->> 'org_id')::uuid);
  v_acted.org_id := (p_args ->> 'org_id')::uuid;
  v_acted.subject_id := private.grant_plan(
    v_acted.org_id, p_args ->> 'source', p_args ->> 'plan', (p_args ->> 'ends_at')::timestamptz, p_args ->> 'reason', auth.uid(),
    (p_args ->> 'request_id')::uuid);
  select g.* into v_grant from public.plan_grants as g where g.org_id = v_acted.org_id and g.id = v_acted.subject_id;
  v_acted.after := jsonb_build_object('source', v_grant.source, 'plan', v_grant.plan, 'starts_at', v_grant.starts_at, 'ends_at', v_grant.ends_at);
  v_acted.answer := jsonb_build_object('grant_id', v_grant.id, 'plan', v_grant.plan, 'ends_at', v_grant.ends_at);
  return v_acted;
end;
$$;
comment on function private.act_grant_plan is
  'Gives an organisation a plan for a time: {org_id, source: trial | comp, plan, ends_at, request_id}; answers {grant_id, plan, ends_at}.';

create function private.act_revoke_grant(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
  v_is_ended boolean;
begin
  perform private.require_known_org((p_args ->> 'org_id')::uuid);
  v_acted.org_id := (p_args ->> 'org_id')::uuid;
  v_acted.subject_id := (p_args ->> 'grant_id')::uuid;
  v_is_ended := private.revoke_grant(v_acted.org_id, v_acted.subject_id, auth.uid());
  v_acted.after := (select jsonb_build_object('revoked_at', g.revoked_at) from public.plan_grants as g
                     where g.org_id = v_acted.org_id and g.id = v_acted.subject_id and v_is_ended);
  v_acted.answer := jsonb_build_object('grant_id', v_acted.subject_id, 'is_revoked', v_is_ended);
  return v_acted;
end;
$$;
comment on function private.act_revoke_grant is 'Ends a trial or comp now: {org_id, grant_id}; answers {grant_id, is_revoked}.';

create function private.act_show_entitlements(p_args jsonb)
returns private.acted
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_acted private.acted;
begin
  perform private.require_known_org((p_args ->> 'org_id')::uuid);
  v_acted.org_id := (p_args ->> 'org_id')::uuid;
  v_acted.subject_id := v_acted.org_id;
  v_acted.answer := private.entitlements(v_acted.org_id);
  return v_acted;
end;
$$;
comment on function private.act_show_entitlements is 'What an organisation may use, until when, and why: {org_id}.';
