-- Showing, previewing and firing by hand.

create function private.refuse_automation()
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform private.fail(404, 'automation_not_found', 'There is no such automation.', 'Reload the automations.');
end;
$$;
comment on function private.refuse_automation is 'Refuses an automation that is not there: automation_not_found 404.';

create function private.member_automation_org(p_automation_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select a.org_id into v_org_id
    from public.automations as a where a.id = p_automation_id and a.org_id = any (private.orgs_with('automations.read'));
  if not found then
    perform private.refuse_automation();
  end if;
  perform private.require_org(v_org_id, p_permission);
  return v_org_id;
end;
$$;
comment on function private.member_automation_org is 'The organisation of an automation that the person may use so. Fails: automation_not_found 404, permission_missing 403.';

create function private.known_automation_org(p_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select a.org_id into v_org_id from public.automations as a where a.id = p_id;
  if not found then
    perform private.refuse_automation();
  end if;
  return v_org_id;
end;
$$;
comment on function private.known_automation_org is 'The organisation of an automation. Fails: automation_not_found 404.';

-- As the sweep would do it: the same audience, the same schedule, and nothing written.
create function private.automation_preview(p_org_id uuid, p_automation_id uuid, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_automation public.automations;
  v_timezone text := private.org_timezone(p_org_id);
  v_next timestamptz[] := '{}';
  v_at timestamptz := p_now;
begin
  select a.* into v_automation from public.automations as a where a.org_id = p_org_id and a.id = p_automation_id;
  while cardinality(v_next) < 5 and private.is_planned(v_automation.trigger) loop
    v_at := private.next_due(v_automation.trigger, v_timezone, v_at);
    v_next := v_next || v_at;
  end loop;
  return (
    select jsonb_build_object(
             'automation_id', v_automation.id, 'name', v_automation.name, 'enabled', v_automation.enabled, 'timezone', v_timezone,
             'next', (select coalesce(jsonb_agg(jsonb_build_object(
                        'due_at', n.at, 'fires_at', coalesce(private.guard_until(v_automation.guardrails, v_timezone, n.at), n.at),
                        'local', to_char(n.at at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI')) order by n.at), '[]') from unnest(v_next) as n (at)),
             'audience', jsonb_build_object(
               'total', count(*), 'would_fire', count(*) filter (where a.reason is null),
               'skipped', (select coalesce(jsonb_object_agg(x.reason, x.n), '{}')
                             from (select b.reason, count(*) as n from private.automation_audience(v_automation, null, p_now) as b
                                    where b.reason is not null group by 1) as x),
               'clients', coalesce(jsonb_agg(jsonb_build_object('client_id', a.client_id, 'full_name', a.full_name, 'reason', a.reason)
                                             order by a.full_name, a.client_id) filter (where a.nth <= 100), '[]')),
             'actions', (select jsonb_agg(jsonb_build_object(
                           'type', x ->> 'type', 'channel', coalesce(x -> 'params' ->> 'channel', case x ->> 'type' when 'send_message' then 'thread' end),
                           'text', private.render(private.action_text(x -> 'params'), private.message_variables(jsonb_populate_record(
                             null::public.outbox_messages, jsonb_build_object('org_id', p_org_id, 'client_id', min(a.client_id::text),
                                                                              'metadata', '{}'::jsonb, 'variables', '{}'::jsonb)))) ))
                           from jsonb_array_elements(v_automation.actions) as x))
      from (select b.client_id, b.reason, c.full_name, row_number() over (order by c.full_name, b.client_id) as nth
              from private.automation_audience(v_automation, null, p_now) as b
              join public.clients as c on c.org_id = p_org_id and c.id = b.client_id) as a);
end;
$$;
comment on function private.automation_preview is
  'What an automation would do: {next: [{due_at, fires_at, local}] (five), audience: {total, would_fire, skipped: {reason: n}, clients (100)}, actions: [{type, channel, text}]}; the text as one of the audience would read it.';

create function private.member_automation_preview(p_automation_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  return private.automation_preview(private.member_automation_org(p_automation_id, 'automations.read'), p_automation_id, now());
end;
$$;
comment on function private.member_automation_preview is 'automation_preview for a member with automations.read. Fails: automation_not_found 404.';

-- The same guardrails hold; also for one that is off, so that it can be tried. The same request fires once.
create function private.run_automation(p_org_id uuid, p_automation_id uuid, p_client_id uuid, p_request_id uuid, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_automation public.automations;
  v_firing public.automation_firings;
  v_key text := 'manual-' || coalesce(p_request_id, gen_random_uuid());
begin
  perform private.require_unbraked('automations', p_org_id);
  select a.* into v_automation from public.automations as a where a.org_id = p_org_id and a.id = p_automation_id for no key update;
  if p_client_id is not null and not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  elsif p_client_id is null and v_automation.trigger ->> 'type' = 'event' then
    perform private.fail(422, 'client_missing', 'An event happens to somebody.', 'Say to which client.');
  end if;
  insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
  values (p_org_id, p_automation_id, p_now, p_now, 'manual', v_key, p_client_id)
  on conflict (org_id, automation_id, event_key) where event_key is not null do nothing
  returning * into v_firing;
  if found then
    perform private.fire(v_firing, v_automation, p_now);
  end if;
  return (select jsonb_build_object('firing_id', f.id, 'status', f.status, 'reason', f.reason, 'ok', f.ok_count, 'failed', f.failed_count,
                                    'skipped', f.skipped, 'next_at', case when f.status = 'pending' then f.next_at end)
            from public.automation_firings as f
           where f.org_id = p_org_id and f.automation_id = p_automation_id and f.event_key = v_key);
end;
$$;
comment on function private.run_automation is
  'Fires an automation now, for its audience or one client: {firing_id, status, reason, ok, failed, skipped, next_at}; pending where its quiet hours make it wait. Fails: client_not_found 404, client_missing 422, brake_on 423.';

create function private.member_run_automation(p_automation_id uuid, p_client_id uuid, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.run_automation(private.member_automation_org(p_automation_id, 'automations.write'), p_automation_id, p_client_id, p_request_id, now());
end;
$$;
comment on function private.member_run_automation is 'run_automation for a member with automations.write. Fails: automation_not_found 404, permission_missing 403.';
