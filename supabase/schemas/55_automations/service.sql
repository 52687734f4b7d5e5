-- Automations for workers and operators.

create function service.sweep_automations(p_limit integer default 500, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (planned integer, fired integer, ok integer, failed integer, left_out integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_fired record;
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  planned := 0;
  fired := 0;
  ok := 0;
  failed := 0;
  left_out := 0;
  if not private.is_braked('automations') then
    planned := private.plan_automations(p_limit, coalesce(p_now, now()), p_dry_run);
    if p_dry_run then
      select count(*)::integer into fired
        from (select from public.automation_firings as f
               where f.status = 'pending' and f.next_at <= coalesce(p_now, now()) and f.org_id <> all (private.braked_orgs('automations'))
               limit p_limit) as d;
    else
      v_fired := private.fire_automations(p_limit, coalesce(p_now, now()));
      fired := v_fired.fired;
      ok := v_fired.ok;
      failed := v_fired.failed;
      left_out := v_fired.left_out;
    end if;
  end if;
  return next;
end;
$$;
comment on function service.sweep_automations is
  'Fires the automations that are due, at most p_limit (1 to 100000) a call, each once for its due time or event: how many were due by the clock and how many fired, for how many clients it worked, failed, or was left out. Fails: value_not_allowed 422.';
revoke all on function service.sweep_automations(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_automations(integer, timestamptz, boolean) to service_role;

create function service.sweep_risk(p_limit integer default 100, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (orgs integer, scored integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.orgs, s.scored from private.sweep_risk(p_limit, coalesce(p_now, now()), p_dry_run) as s;
end;
$$;
comment on function service.sweep_risk is
  'Scores the clients of organisations whose local day has begun, at most p_limit (1 to 100000) organisations a call; how many organisations and clients. Fails: value_not_allowed 422.';
revoke all on function service.sweep_risk(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_risk(integer, timestamptz, boolean) to service_role;

create function service.sweep_automation_leftovers(p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  with old as (
    select f.org_id, f.id from public.automation_firings as f
     where f.fired_at < coalesce(p_now, now()) - interval '400 days' and f.status <> 'pending'
     order by f.fired_at
     limit p_limit for update skip locked),
  gone as (
    delete from public.automation_firings as f using old as o where f.org_id = o.org_id and f.id = o.id and not p_dry_run returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_automation_leftovers is
  'Deletes what fired more than 400 days ago, with its runs and posts, at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_automation_leftovers(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_automation_leftovers(integer, timestamptz, boolean) to service_role;

create function service.claim_webhooks(p_worker text, p_limit integer default 100, p_lease_secs integer default 60, p_now timestamptz default now())
returns table (org_id uuid, id uuid, claim uuid, attempt_number integer, url text, secret_encrypted text, payload jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  perform private.require_value(p_lease_secs between 5 and 3600, 'lease_secs');
  return query select c.* from private.claim_webhooks(p_worker, p_limit, make_interval(secs => p_lease_secs), coalesce(p_now, now())) as c;
end;
$$;
comment on function service.claim_webhooks is
  'Claims posts of webhook actions that are due, at most p_limit (1 to 1000), each for p_lease_secs (5 to 3600): record_webhooks must name the claim. A lease that runs out lets another worker try. None: nothing may be posted now. Fails: value_not_allowed 422.';
revoke all on function service.claim_webhooks(text, integer, integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_webhooks(text, integer, integer, timestamptz) to service_role;

create function service.record_webhooks(p_results jsonb, p_now timestamptz default now())
returns table (recorded integer, stale integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(jsonb_typeof(p_results) = 'array' and jsonb_array_length(p_results) <= 1000
    and not exists (select from jsonb_array_elements(p_results) as r where r ->> 'outcome' is null or r ->> 'outcome' not in ('ok', 'retry', 'failed')), 'results');
  return query select r.recorded, r.stale from private.record_webhooks(p_results, coalesce(p_now, now())) as r;
end;
$$;
comment on function service.record_webhooks is
  'Keeps what became of claimed posts, an array of {org_id, id, claim, outcome: ok | retry | failed, http_status, error_code, is_away, retry_after_secs}; stale: the claim was another''s by then. Fails: value_not_allowed 422.';
revoke all on function service.record_webhooks(jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_webhooks(jsonb, timestamptz) to service_role;

create function service.webhooks_state()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'due', (select count(*) from public.webhook_deliveries as d where d.status in ('pending', 'sending') and d.next_at <= now()),
    'waiting', (select count(*) from public.webhook_deliveries as d where d.status in ('pending', 'sending')),
    'resting', (select count(*) from public.webhook_endpoints as e where e.rests_until > now()));
$$;
comment on function service.webhooks_state is 'How many posts are due, and wait at all, and how many endpoints rest since they could not be reached: {due, waiting, resting}.';
revoke all on function service.webhooks_state() from public, anon, authenticated;
grant execute on function service.webhooks_state() to service_role;

create function service.add_webhook_endpoint(p_org_id uuid, p_name text, p_url text, p_secret_encrypted text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.add_webhook_endpoint(p_org_id, p_name, p_url, p_secret_encrypted);
end;
$$;
comment on function service.add_webhook_endpoint is
  'Adds where webhook actions of an organisation post to; the secret comes encrypted. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.add_webhook_endpoint(uuid, text, text, text) from public, anon, authenticated;
grant execute on function service.add_webhook_endpoint(uuid, text, text, text) to service_role;

create function service.list_webhook_endpoints(p_org_id uuid)
returns table (id uuid, name text, url text, is_active boolean, failures integer, rests_until timestamptz, waiting bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select e.id, e.name, e.url, e.is_active, e.failures, e.rests_until,
         (select count(*) from public.webhook_deliveries as d where d.org_id = e.org_id and d.endpoint_id = e.id and d.status in ('pending', 'sending'))
    from public.webhook_endpoints as e
   where e.org_id = p_org_id
   order by e.name, e.id;
end;
$$;
comment on function service.list_webhook_endpoints is 'Where an organisation''s webhook actions post to, and how many posts wait. Fails: org_not_found 404.';
revoke all on function service.list_webhook_endpoints(uuid) from public, anon, authenticated;
grant execute on function service.list_webhook_endpoints(uuid) to service_role;

create function service.remove_webhook_endpoint(p_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from public.webhook_endpoints as e where e.id = p_id;
  if not found then
    perform private.refuse_endpoint();
  end if;
end;
$$;
comment on function service.remove_webhook_endpoint is
  'Removes an endpoint with what waits for it; actions that name it fail from then on. Fails: webhook_endpoint_not_found 404.';
revoke all on function service.remove_webhook_endpoint(uuid) from public, anon, authenticated;
grant execute on function service.remove_webhook_endpoint(uuid) to service_role;

create function service.list_automations(p_org_id uuid)
returns table (id uuid, name text, enabled boolean, trigger jsonb, next_run_at timestamptz, last_fired_at timestamptz, last_status text, last_reason text)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select a.id, a.name, a.enabled, a.trigger, a.next_run_at, f.fired_at, f.status, f.reason
    from public.automations as a
    left join lateral (
      select x.fired_at, x.status, x.reason from public.automation_firings as x
       where x.org_id = a.org_id and x.automation_id = a.id and x.status <> 'pending'
       order by x.due_at desc limit 1) as f on true
   where a.org_id = p_org_id
   order by a.name, a.id;
end;
$$;
comment on function service.list_automations is 'An organisation''s automations, and how each ended when it last fired. Fails: org_not_found 404.';
revoke all on function service.list_automations(uuid) from public, anon, authenticated;
grant execute on function service.list_automations(uuid) to service_role;

create function service.show_automation(p_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.known_automation_org(p_id);
begin
  return (
    select to_jsonb(a) || jsonb_build_object('firings', (
             select coalesce(jsonb_agg(to_jsonb(f) - '{org_id,automation_id,created_at}'::text[] order by f.due_at desc), '[]')
               from (select x.* from public.automation_firings as x
                      where x.org_id = a.org_id and x.automation_id = a.id order by x.due_at desc limit 10) as f))
      from public.automations as a where a.org_id = v_org_id and a.id = p_id);
end;
$$;
comment on function service.show_automation is 'One automation as it is stored, with its ten latest firings. Fails: automation_not_found 404.';
revoke all on function service.show_automation(uuid) from public, anon, authenticated;
grant execute on function service.show_automation(uuid) to service_role;

create function service.automation_preview(p_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  return private.automation_preview(private.known_automation_org(p_id), p_id, coalesce(p_now, now()));
end;
$$;
comment on function service.automation_preview is 'What an automation would do, without doing it: its next five due times, today''s audience, its words. Fails: automation_not_found 404.';
revoke all on function service.automation_preview(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.automation_preview(uuid, timestamptz) to service_role;

create function service.run_automation(p_id uuid, p_client_id uuid default null, p_request_id uuid default null, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.run_automation(private.known_automation_org(p_id), p_id, p_client_id, p_request_id, coalesce(p_now, now()));
end;
$$;
comment on function service.run_automation is
  'Fires an automation now, within its guardrails, for its audience or one client: {firing_id, status, reason, ok, failed, skipped, next_at}. Fails: automation_not_found 404, client_not_found 404, client_missing 422, brake_on 423.';
revoke all on function service.run_automation(uuid, uuid, uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.run_automation(uuid, uuid, uuid, timestamptz) to service_role;

create function service.enable_automation(p_id uuid, p_enabled boolean)
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.known_automation_org(p_id);
  v_next_run_at timestamptz;
begin
  perform private.require_value(p_enabled is not null, 'enabled');
  update public.automations as a set enabled = p_enabled where a.org_id = v_org_id and a.id = p_id and a.enabled <> p_enabled;
  select a.next_run_at into v_next_run_at from public.automations as a where a.org_id = v_org_id and a.id = p_id;
  return v_next_run_at;
end;
$$;
comment on function service.enable_automation is
  'Switches an automation on or off; returns when it is due next, null where nothing is planned. Fails: automation_not_found 404, value_not_allowed 422.';
revoke all on function service.enable_automation(uuid, boolean) from public, anon, authenticated;
grant execute on function service.enable_automation(uuid, boolean) to service_role;

create function service.list_automation_runs(p_org_id uuid, p_automation_id uuid default null, p_status text default null, p_limit integer default 50)
returns table (id uuid, fired_at timestamptz, automation text, client_id uuid, client_name text, status text, reason text, actions_fired jsonb)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select r.id, r.fired_at, a.name, r.client_id, c.full_name, r.status, r.reason, r.actions_fired
    from public.automation_runs as r
    join public.automations as a on a.org_id = r.org_id and a.id = r.automation_id
    join public.clients as c on c.org_id = r.org_id and c.id = r.client_id
   where r.org_id = p_org_id and (p_automation_id is null or r.automation_id = p_automation_id) and (p_status is null or r.status = p_status)
   order by r.fired_at desc, r.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_automation_runs is
  'What automations of an organisation did for whom, newest first, at most p_limit (1 to 1000). Fails: org_not_found 404.';
revoke all on function service.list_automation_runs(uuid, uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_automation_runs(uuid, uuid, text, integer) to service_role;

create function service.list_risk(p_org_id uuid, p_tier text default null, p_limit integer default 100)
returns table (client_id uuid, client_name text, tier text, score integer, reasons text[], as_of_date date)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(coalesce(p_tier in ('green', 'amber', 'red'), true), 'tier');
  return query
  select r.client_id, c.full_name, r.tier, r.score, r.reasons, r.as_of_date
    from public.client_risk as r
    join public.clients as c on c.org_id = r.org_id and c.id = r.client_id
   where r.org_id = p_org_id and (p_tier is null or r.tier = p_tier)
   order by r.score desc, c.full_name
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_risk is
  'The clients of an organisation by how likely they are to leave, and why, at most p_limit (1 to 1000). Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.list_risk(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_risk(uuid, text, integer) to service_role;

create function service.score_risk(p_org_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.score_risk(p_org_id, coalesce(p_now, now()));
end;
$$;
comment on function service.score_risk is 'Scores an organisation''s active clients now, whenever they were scored last; how many. Fails: org_not_found 404.';
revoke all on function service.score_risk(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.score_risk(uuid, timestamptz) to service_role;
