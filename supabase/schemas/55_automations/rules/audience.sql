-- Whom an automation is about: what is known of each client, which conditions they meet, and which guardrail holds them back.

-- Set-based: one statement for an organisation, or for some of its clients.
create function private.last_activities(p_org_id uuid, p_client_ids uuid[], p_now timestamptz)
returns table (client_id uuid, at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select c.id, greatest(
           c.created_at,
           (select max(b.end_time) from public.bookings as b
             where b.org_id = c.org_id and b.client_id = c.id and b.status = 'completed' and b.end_time <= p_now),
           (select max(e.created_at) from public.activity_events as e
             where e.org_id = c.org_id and e.client_id = c.id and e.created_at <= p_now),
           (select max(m.created_at)
              from public.message_threads as t join public.messages as m on m.org_id = t.org_id and m.thread_id = t.id
             where t.org_id = c.org_id and t.client_id = c.id and m.sender_type = 'client' and m.created_at <= p_now))
    from public.clients as c
   where c.org_id = p_org_id and (p_client_ids is null or c.id = any (p_client_ids));
$$;
comment on function private.last_activities is
  'When each client last did something: a session held, something reported, a message written; else when they became one.';

create function private.client_facts(p_org_id uuid, p_client_ids uuid[], p_now timestamptz)
returns table (client_id uuid, facts jsonb)
language sql stable security definer set search_path = ''
as $$
  select c.id, jsonb_build_object(
           'status', c.status, 'risk_tier', r.tier, 'risk_score', r.score,
           'subscription_status', private.subscription_status(c.org_id, c.id),
           'days_since_activity', d.today - (a.at at time zone d.timezone)::date,
           'days_as_client', d.today - (c.created_at at time zone d.timezone)::date,
           'sessions_remaining', coalesce((select sum(p.sessions_remaining) from public.client_purchases as p
                                            where p.org_id = c.org_id and p.client_id = c.id and p.valid_during @> p_now), 0),
           'sessions_booked', (select count(*) from public.bookings as b
                                where b.org_id = c.org_id and b.client_id = c.id and b.status in ('pending', 'confirmed') and b.start_time > p_now))
    from public.clients as c
   cross join lateral (select z.timezone, (p_now at time zone z.timezone)::date as today
                         from (select private.org_timezone(p_org_id) as timezone offset 0) as z) as d
    join private.last_activities(p_org_id, p_client_ids, p_now) as a on a.client_id = c.id
    left join public.client_risk as r on r.org_id = c.org_id and r.client_id = c.id
   where c.org_id = p_org_id and (p_client_ids is null or c.id = any (p_client_ids));
$$;
comment on function private.client_facts is 'What conditions may ask about each client, as of an instant: an object of their fields.';

create function private.subscription_status(p_org_id uuid, p_client_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select s.status from public.subscriptions as s where s.org_id = p_org_id and s.client_id = p_client_id and s.status <> 'none';
$$;
comment on function private.subscription_status is 'The status of a client''s subscription: active, past_due or canceled; null without one.';

-- What is not known meets no comparison but `!=` and `not_in`.
create function private.meets(p_facts jsonb, p_conditions jsonb)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(bool_and(coalesce(case o.operator
           when '=' then case o.kind when 'number' then o.own = private.condition_number(c -> 'value') else p_facts ->> (c ->> 'field') = c ->> 'value' end
           when '<>' then case o.kind when 'number' then o.own is distinct from private.condition_number(c -> 'value')
                          else p_facts ->> (c ->> 'field') is distinct from c ->> 'value' end
           when '<' then o.own < private.condition_number(c -> 'value')
           when '<=' then o.own <= private.condition_number(c -> 'value')
           when '>' then o.own > private.condition_number(c -> 'value')
           when '>=' then o.own >= private.condition_number(c -> 'value')
           when 'in' then private.is_among(p_facts -> (c ->> 'field'), c -> 'value')
           when 'not_in' then not private.is_among(p_facts -> (c ->> 'field'), c -> 'value') end, false)), true)
    from jsonb_array_elements(p_conditions) as c
   cross join lateral (select private.condition_operator(c ->> 'operator') as operator, private.condition_kind(c ->> 'field') as kind,
                              private.condition_number(p_facts -> (c ->> 'field')) as own) as o;
$$;
comment on function private.meets is 'True when what is known of a client meets every condition.';

create function private.is_among(p_value jsonb, p_list jsonb)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select exists (select from jsonb_array_elements_text(case jsonb_typeof(p_list) when 'array' then p_list else '[]' end) as x
                  where x = p_value #>> '{}');
$$;
comment on function private.is_among is 'True when a value is in a list.';

-- Active clients, unless a condition asks for a status. Who meets the conditions is told, with the guardrail that holds them back.
-- The caller holds the automation's row, so that what is counted here is not being added to.
create function private.automation_audience(p_automation public.automations, p_client_id uuid, p_now timestamptz)
returns table (client_id uuid, reason text)
language sql stable security definer set search_path = ''
as $$
  with chosen as (
    select c.id
      from public.clients as c
     where c.org_id = p_automation.org_id and (p_client_id is null or c.id = p_client_id)
       and (c.status = 'active' or exists (select from jsonb_array_elements(p_automation.conditions) as x where x ->> 'field' = 'status'))),
  -- Where nothing is asked nothing is looked up.
  met as (
    select h.id from chosen as h where p_automation.conditions = '[]'
    union all
    select f.client_id
      from (select array_agg(h.id) as ids from chosen as h where p_automation.conditions <> '[]') as x
     cross join lateral private.client_facts(p_automation.org_id, x.ids, p_now) as f
     where x.ids is not null and private.meets(f.facts, p_automation.conditions)),
  day as (
    select lower(d.bounds) as starts, lower(private.org_day_bounds(p_automation.org_id, d.today - 6)) as week_starts
      from (select private.org_today(p_automation.org_id, p_now) as today,
                   private.org_day_bounds(p_automation.org_id, private.org_today(p_automation.org_id, p_now)) as bounds) as d)
  select m.id,
         case when (p_automation.guardrails ->> 'dedupe_hours')::integer > 0 and n.last_at > p_now - make_interval(hours => (p_automation.guardrails ->> 'dedupe_hours')::integer)
              then 'dedupe'
              when n.today >= (p_automation.guardrails ->> 'max_per_client_per_day')::integer then 'daily_cap'
              when n.week >= (p_automation.guardrails ->> 'max_per_client_per_week')::integer then 'weekly_cap' end
    from met as m
   cross join day as d
   cross join lateral (
     select max(r.fired_at) as last_at, count(*) filter (where r.fired_at >= d.starts) as today, count(*) filter (where r.fired_at >= d.week_starts) as week
       from public.automation_runs as r
      where r.org_id = p_automation.org_id and r.automation_id = p_automation.id and r.client_id = m.id and r.status <> 'skipped'
        and r.fired_at >= least(d.week_starts, p_now - make_interval(hours => coalesce((p_automation.guardrails ->> 'dedupe_hours')::integer, 0)))) as n;
$$;
comment on function private.automation_audience is
  'The clients who meet an automation''s conditions, or the one an event is about if they do, each with the guardrail that holds them back: dedupe, daily_cap, weekly_cap, or null.';
