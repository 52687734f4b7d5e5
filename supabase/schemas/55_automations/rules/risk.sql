-- Risk: how likely a client is to leave, once for each local day, by what they did and did not do.

create function private.risk_settings_of(p_org_id uuid)
returns public.risk_settings
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s from public.risk_settings as s where s.org_id = p_org_id),
                  jsonb_populate_record(null::public.risk_settings, jsonb_build_object(
                    'org_id', p_org_id, 'red_from', 50, 'amber_from', 25, 'inactive_days', 14)));
$$;
comment on function private.risk_settings_of is 'An organisation''s thresholds as they are in force: the defaults where no row exists.';

-- Each reason has its points; the score is their sum, at most 100. A client who is new has been active.
create function private.risk_scores(p_org_id uuid, p_now timestamptz)
returns table (client_id uuid, score integer, reasons text[])
language sql stable security definer set search_path = ''
as $$
  with seen as (
    select f.client_id, (f.facts ->> 'days_since_activity')::integer as silent_days, f.facts ->> 'subscription_status' as subscription,
           (f.facts ->> 'sessions_remaining')::integer as remaining, (f.facts ->> 'sessions_booked')::integer as booked,
           (f.facts ->> 'days_as_client')::integer as days_as_client,
           (private.risk_settings_of(p_org_id)).inactive_days,
           (select count(*) from public.bookings as b
             where b.org_id = p_org_id and b.client_id = f.client_id and b.status = 'no_show' and b.start_time between p_now - interval '30 days' and p_now)::integer as missed,
           exists (select from public.client_purchases as p where p.org_id = p_org_id and p.client_id = f.client_id) as has_bought,
           (select count(*) from public.activity_events as e
             where e.org_id = p_org_id and e.client_id = f.client_id and e.created_at between p_now - interval '7 days' and p_now)::integer as this_week,
           (select count(*) from public.activity_events as e
             where e.org_id = p_org_id and e.client_id = f.client_id and e.created_at >= p_now - interval '14 days' and e.created_at < p_now - interval '7 days')::integer as last_week
      from (select array_agg(c.id) as ids from public.clients as c where c.org_id = p_org_id and c.status = 'active') as h
     cross join lateral private.client_facts(p_org_id, h.ids, p_now) as f
     where h.ids is not null)
  select s.client_id, least(100, coalesce(sum(r.points), 0))::integer, coalesce(array_agg(r.reason order by r.points desc, r.reason) filter (where r.reason is not null), '{}')
    from seen as s
    left join lateral (values
      (case when s.silent_days >= 2 * s.inactive_days then 50 when s.silent_days >= s.inactive_days then 30 end,
       format('No activity for %s', private.count_text(s.silent_days, 'day'))),
      (case when s.subscription = 'past_due' then 40 end, 'A payment is overdue'),
      (case when s.subscription = 'canceled' then 30 end, 'The subscription was cancelled'),
      (case when s.booked = 0 and s.days_as_client >= 7 then 15 end, 'No session is booked'),
      (case when s.remaining = 0 and s.has_bought then 15 end, 'No sessions are left'),
      (case when s.missed > 0 then least(20, 10 * s.missed) end, format('Missed %s in 30 days', private.count_text(s.missed, 'session'))),
      (case when s.last_week >= 3 and s.this_week * 2 < s.last_week then 10 end, 'Less than half as active as the week before')
    ) as r (points, reason) on r.points is not null
   group by s.client_id;
$$;
comment on function private.risk_scores is 'How likely each active client is to leave, 0 to 100, and why, the weightiest reason first.';

-- Whoever turns red today is an event; who was red stays so without one. Who is not active any more is not scored.
create function private.score_risk(p_org_id uuid, p_now timestamptz)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_today date := private.org_today(p_org_id, p_now);
  v_settings public.risk_settings := private.risk_settings_of(p_org_id);
  v_scored integer;
begin
  with before as materialized (
    select r.client_id, r.tier from public.client_risk as r where r.org_id = p_org_id),
  scored as (
    insert into public.client_risk as r (org_id, client_id, as_of_date, score, tier, reasons)
    select p_org_id, s.client_id, v_today, s.score,
           case when s.score >= v_settings.red_from then 'red' when s.score >= v_settings.amber_from then 'amber' else 'green' end, s.reasons
      from private.risk_scores(p_org_id, p_now) as s
    on conflict (org_id, client_id) do update
       set as_of_date = excluded.as_of_date, score = excluded.score, tier = excluded.tier, reasons = excluded.reasons
    returning r.client_id, r.tier),
  gone as (
    delete from public.client_risk as r
     where r.org_id = p_org_id and r.client_id not in (select c.id from public.clients as c where c.org_id = p_org_id and c.status = 'active')),
  told as materialized (
    select private.notice_event(p_org_id, 'risk_red', s.client_id, s.client_id || '-' || v_today, p_now)
      from scored as s
      left join before as b on b.client_id = s.client_id
     where s.tier = 'red' and b.tier is distinct from 'red')
  select (select count(*) from scored) + 0 * (select count(*) from told) into v_scored;
  return v_scored;
end;
$$;
comment on function private.score_risk is 'Scores an organisation''s active clients as of its local day; how many.';

-- Each organisation once for each of its local days; the row is the lock, and is skipped while another worker scores it.
create function private.sweep_risk(p_limit integer, p_now timestamptz, p_dry_run boolean, out orgs integer, out scored integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  orgs := 0;
  scored := 0;
  if not p_dry_run then
    insert into private.risk_schedule (org_id, next_at)
    select o.id, '-infinity' from public.orgs as o where not exists (select from private.risk_schedule as r where r.org_id = o.id)
    on conflict do nothing;
  end if;
  for v_org_id in
    select r.org_id from private.risk_schedule as r where r.next_at <= p_now order by r.next_at limit p_limit for update skip locked
  loop
    orgs := orgs + 1;
    continue when p_dry_run;
    scored := scored + private.score_risk(v_org_id, p_now);
    update private.risk_schedule as r
       set scored_on = private.org_today(v_org_id, p_now),
           next_at = private.local_to_instant(private.org_timezone(v_org_id), (private.org_today(v_org_id, p_now) + 1)::timestamp)
     where r.org_id = v_org_id;
  end loop;
end;
$$;
comment on function private.sweep_risk is 'Scores the clients of at most so many organisations whose local day has begun; how many of either.';
