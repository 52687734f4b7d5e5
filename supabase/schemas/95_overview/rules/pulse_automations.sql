-- Pulse of automations: what is due to fire, what their webhooks have to post, and the daily scores.

create function private.pulse_automations(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with due as (
    (select a.next_run_at as due_at from public.automations as a
      where a.next_run_at <= p_now and a.org_id <> all ((select private.braked_orgs('automations'))::uuid[]) order by a.next_run_at limit 10000)
    union all
    (select f.next_at from public.automation_firings as f
      where f.status = 'pending' and f.next_at <= p_now and f.org_id <> all ((select private.braked_orgs('automations'))::uuid[]) order by f.next_at limit 10000)),
  failed as (
    select f.reason from public.automation_firings as f where f.status = 'failed' and f.fired_at > p_now - interval '1 hour')
  select jsonb_build_object(
    'backlog', (select count(*) from due), 'oldest_due_at', (select min(d.due_at) from due as d), 'failed', (select count(*) from failed),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(x.reason, 'failed') as reason, count(*) as n from failed as x group by 1 order by 2 desc, 1 limit 5) as f));
$$;
comment on function private.pulse_automations is 'Pulse: automations that are due and have not fired, and those that failed.';

create function private.pulse_webhooks(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with failed as (
    select d.error_code from public.webhook_deliveries as d where d.status = 'failed' and d.created_at > p_now - interval '1 day')
  select jsonb_build_object(
    'backlog', count(*), 'oldest_due_at', min(d.next_at),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(x.error_code, 'failed') as reason, count(*) as n from failed as x group by 1 order by 2 desc, 1 limit 5) as f),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.created_at, 'reason', coalesce(s.error_code, 'not_taken'), 'fix', 'coach automation endpoints --org ' || s.org_id) order by s.created_at)
                from (select * from public.webhook_deliveries as x
                       where x.status in ('pending', 'sending') and x.attempts >= 5 order by x.next_at limit 10) as s))
    from (select x.next_at from public.webhook_deliveries as x
            join public.webhook_endpoints as e on e.org_id = x.org_id and e.id = x.endpoint_id
           where x.status in ('pending', 'sending') and x.next_at <= p_now and x.org_id <> all ((select private.braked_orgs('automations'))::uuid[])
             -- A server that asked for time, or that its organisation switched off, is waited for.
             and e.is_active and coalesce(e.rests_until, '-infinity') <= p_now
           order by x.next_at limit 10000) as d;
$$;
comment on function private.pulse_webhooks is 'Pulse: posts of webhook actions; stuck after five tries, failures are of the last day.';

create function private.pulse_risk(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('oldest_due_at', interval '1 day' + greatest(
    (select min(o.created_at) from public.orgs as o),
    (select j.started_at from private.job_runs as j
      where j.job = 'sweep_risk' and j.error is null and j.finished_at is not null order by j.started_at desc limit 1)));
$$;
comment on function private.pulse_risk is 'Pulse: since when clients have not been scored, a day after they last were.';
