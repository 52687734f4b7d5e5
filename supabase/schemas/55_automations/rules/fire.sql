-- Firing: what is due and allowed now happens, to each of the audience once.
-- Lock order: the firing with its automation (skipped where another worker holds either), then what it makes. While the automation's
-- row is held nobody else fires it, so caps and dedupe count exactly.

create function private.fire_automations(p_limit integer, p_now timestamptz, out fired integer, out ok integer, out failed integer, out left_out integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_due record;
  v_counts record;
begin
  fired := 0;
  ok := 0;
  failed := 0;
  left_out := 0;
  for v_due in
    select f, a
      from public.automation_firings as f
      join public.automations as a on a.org_id = f.org_id and a.id = f.automation_id
     where f.status = 'pending' and f.next_at <= p_now and f.org_id <> all (private.braked_orgs('automations'))
     order by f.next_at
     limit p_limit
       for no key update of f, a skip locked
  loop
    v_counts := private.fire(v_due.f, v_due.a, p_now);
    fired := fired + 1;
    ok := ok + v_counts.ok;
    failed := failed + v_counts.failed;
    left_out := left_out + v_counts.left_out;
  end loop;
end;
$$;
comment on function private.fire_automations is 'Fires at most so many of what is due; how many fired, and how many clients each way.';

create function private.fire(
  p_firing public.automation_firings, p_automation public.automations, p_now timestamptz, out ok integer, out failed integer, out left_out integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_until timestamptz := private.guard_until(p_automation.guardrails, private.org_timezone(p_automation.org_id), p_now);
  v_skipped jsonb;
  v_reason text;
begin
  ok := 0;
  failed := 0;
  left_out := 0;
  if not p_automation.enabled and p_firing.event is distinct from 'manual' then
    update public.automation_firings as f set status = 'skipped', reason = 'switched_off', fired_at = p_now
     where f.org_id = p_firing.org_id and f.id = p_firing.id;
    return;
  elsif v_until is not null then
    update public.automation_firings as f set next_at = v_until where f.org_id = p_firing.org_id and f.id = p_firing.id;
    return;
  end if;

  begin
    -- Who was left out for the same reason since it last worked has a row already, and is counted.
    with audience as materialized (
      select a.client_id, a.reason from private.automation_audience(p_automation, p_firing.client_id, p_now) as a),
    made as (
      insert into public.automation_runs (org_id, firing_id, automation_id, client_id, fired_at, status, reason)
      select p_firing.org_id, p_firing.id, p_automation.id, a.client_id, p_now, case when a.reason is null then 'ok' else 'skipped' end, a.reason
        from audience as a
       where a.reason is null
          or not exists (
               select from public.automation_runs as r
                where r.org_id = p_firing.org_id and r.automation_id = p_automation.id and r.client_id = a.client_id
                  and r.status = 'skipped' and r.reason = a.reason
                  and r.fired_at >= coalesce((select max(w.fired_at) from public.automation_runs as w
                                               where w.org_id = r.org_id and w.automation_id = r.automation_id and w.client_id = r.client_id
                                                 and w.status <> 'skipped'), '-infinity')))
    select coalesce((select jsonb_object_agg(x.reason, x.n)
                       from (select a.reason, count(*) as n from audience as a where a.reason is not null group by 1) as x), '{}'),
           case when count(*) = 0 then case when p_firing.client_id is null then 'no_audience' else 'conditions_not_met' end
                when count(*) filter (where a.reason is null) = 0 then min(a.reason) end
      into v_skipped, v_reason
      from audience as a;

    perform private.do_action(p_firing, p_automation, x.nth::integer, x.action, p_now)
       from jsonb_array_elements(p_automation.actions) with ordinality as x (action, nth);
    select count(*) filter (where r.status = 'ok'), count(*) filter (where r.status = 'failed'),
           coalesce((select sum(s.value::integer) from jsonb_each_text(v_skipped) as s), 0)
      into ok, failed, left_out
      from public.automation_runs as r
     where r.org_id = p_firing.org_id and r.firing_id = p_firing.id;
    if failed > 0 then
      select r.reason into v_reason from public.automation_runs as r
       where r.org_id = p_firing.org_id and r.firing_id = p_firing.id and r.status = 'failed' order by r.reason limit 1;
    end if;
    update public.automation_firings as f
       set status = case when failed > 0 then 'failed' when ok > 0 then 'ok' else 'skipped' end, reason = v_reason,
           ok_count = ok, failed_count = failed, skipped = v_skipped, fired_at = p_now
     where f.org_id = p_firing.org_id and f.id = p_firing.id;
  exception when others then
    -- A defect of one holds up no other: nothing of it has happened, and it says so.
    ok := 0;
    left_out := 0;
    failed := 1;
    update public.automation_firings as f
       set status = 'failed', reason = 'internal_error_' || lower(sqlstate), failed_count = 0, fired_at = p_now
     where f.org_id = p_firing.org_id and f.id = p_firing.id;
  end;
end;
$$;
comment on function private.fire is 'Does what an automation says, once for this firing; how many clients it worked for, failed for and left out.';
