-- Actions: what is done for each client of a firing, in one statement each; and what becomes later of what was only queued.

-- What an action came to for each run; a run fails with its first failed action. An action that is left out for a client's wish
-- (opted out) is no failure.
create function private.do_action(p_firing public.automation_firings, p_automation public.automations, p_nth integer, p_action jsonb, p_now timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.automation_runs as r
     set actions_fired = r.actions_fired || jsonb_strip_nulls(jsonb_build_object('type', p_action ->> 'type') || o.outcome),
         status = case when o.outcome ->> 'status' = 'failed' then 'failed' else r.status end,
         reason = case when o.outcome ->> 'status' = 'failed' and r.status <> 'failed'
                       then (p_action ->> 'type') || ': ' || (o.outcome ->> 'reason') else r.reason end
    from private.action_outcomes(p_firing, p_automation, p_nth, p_action, p_now) as o
   where r.org_id = p_firing.org_id and r.id = o.run_id;
$$;
comment on function private.do_action is 'Does one action for every client of a firing, and keeps what it came to.';

create function private.action_outcomes(
  p_firing public.automation_firings, p_automation public.automations, p_nth integer, p_action jsonb, p_now timestamptz)
returns table (run_id uuid, outcome jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_params jsonb := case jsonb_typeof(p_action -> 'params') when 'object' then p_action -> 'params' else '{}' end;
begin
  case p_action ->> 'type'
    when 'send_message' then
      if coalesce(v_params ->> 'channel', 'thread') = 'thread' then
        return query select * from private.act_write(p_firing, v_params, p_now);
      else
        return query select * from private.act_send(p_firing, p_nth, v_params, v_params ->> 'channel', p_now);
      end if;
    when 'send_push' then
      return query select * from private.act_send(p_firing, p_nth, v_params, 'push', p_now);
    when 'notify_trainer' then
      return query select * from private.act_notify(p_firing, p_automation, p_nth, v_params, p_now);
    when 'webhook' then
      return query select * from private.act_post(p_firing, p_automation, p_nth, v_params, p_now);
    else
      return query select r.run_id, jsonb_build_object('status', 'failed', 'reason', 'action_unknown')
                     from private.recipients(p_firing, null) as r;
  end case;
end;
$$;
comment on function private.action_outcomes is 'What an action came to for each run: {status: ok | pending | skipped | failed, reason, message_id | delivery_id}.';

-- Rendered now: what it says is true of the moment that it is about.
create function private.recipients(p_firing public.automation_firings, p_text text)
returns table (run_id uuid, client_id uuid, text text, variables jsonb)
language sql stable security definer set search_path = ''
as $$
  select r.id, r.client_id, case when p_text is not null then private.render(p_text, v.variables) end, v.variables
    from public.automation_runs as r
   cross join lateral (
     select case when p_text is not null then private.message_variables(jsonb_populate_record(
       null::public.outbox_messages, jsonb_build_object('org_id', r.org_id, 'client_id', r.client_id, 'metadata', '{}'::jsonb, 'variables', '{}'::jsonb))) end
     as variables) as v
   where r.org_id = p_firing.org_id and r.firing_id = p_firing.id and r.status <> 'skipped';
$$;
comment on function private.recipients is 'The clients of a firing, each with what a text says to them.';

-- Into the conversation, as the coach's words; devices are told by the thread itself.
create function private.act_write(p_firing public.automation_firings, p_params jsonb, p_now timestamptz)
returns table (run_id uuid, outcome jsonb)
language sql volatile security definer set search_path = ''
as $$
  with said as materialized (
    select r.run_id, r.client_id, r.text, private.thread_of(p_firing.org_id, r.client_id) as thread_id, gen_random_uuid() as message_id
      from private.recipients(p_firing, coalesce(private.action_text(p_params), '')) as r),
  written as (
    insert into public.messages (org_id, id, thread_id, sender_type, body, created_at)
    select p_firing.org_id, s.message_id, s.thread_id, 'trainer', left(s.text, 10000), p_now from said as s where s.text <> ''
    returning id)
  select s.run_id, case when w.id is not null then jsonb_build_object('status', 'ok', 'message_id', w.id)
                        else jsonb_build_object('status', 'failed', 'reason', 'message_empty') end
    from said as s
    left join written as w on w.id = s.message_id;
$$;
comment on function private.act_write is 'Writes into each client''s thread.';

-- Into the outbox: it is sent later, and may fail then (tg_outbox_messages__tell_run).
create function private.act_send(p_firing public.automation_firings, p_nth integer, p_params jsonb, p_channel text, p_now timestamptz)
returns table (run_id uuid, outcome jsonb)
language sql volatile security definer set search_path = ''
as $$
  with said as materialized (
    select r.run_id, r.client_id, r.text, private.render(coalesce(p_params ->> 'title', p_params ->> 'subject', '{business_name}'), r.variables) as subject,
           case when r.text = '' then 'message_empty'
                when p_channel = 'sms' and not (private.sms_settings_of(c.org_id)).enabled then 'messaging_off'
                when p_channel = 'sms' and c.phone_e164 is null then 'no_phone'
                when p_channel = 'sms' and (c.sms_opt_in is false or private.is_suppressed(c.org_id, c.phone_e164)) then 'opted_out'
                when p_channel = 'email' and coalesce(c.email, '') not like '%_@_%' then 'no_email'
                when p_channel = 'email' and c.email_opt_in is false then 'opted_out'
                when p_channel = 'push' and not exists (
                  select from public.push_tokens as t where t.org_id = c.org_id and t.client_id = c.id) then 'no_device' end as reason
      from private.recipients(p_firing, coalesce(private.action_text(p_params), '')) as r
      join public.clients as c on c.org_id = p_firing.org_id and c.id = r.client_id),
  queued as materialized (
    select s.run_id, private.queue_message(
             p_firing.org_id, p_channel, 'automation', s.client_id, format('automation-%s-%s', s.run_id, p_nth), p_scheduled_for => p_now,
             p_body => s.text, p_subject => s.subject,
             p_metadata => jsonb_build_object('automation_run_id', s.run_id, 'action', p_nth), p_now => p_now) as message_id
      from said as s where s.reason is null)
  select s.run_id,
         case when s.reason = 'opted_out' then jsonb_build_object('status', 'skipped', 'reason', s.reason)
              when s.reason is not null then jsonb_build_object('status', 'failed', 'reason', s.reason)
              else jsonb_build_object('status', 'pending', 'message_id', q.message_id) end
    from said as s
    left join queued as q on q.run_id = s.run_id;
$$;
comment on function private.act_send is 'Queues a text, an email or a push to each client.';

-- An alert, and where params.sms is true a text to booking_settings.notify_phone.
create function private.act_notify(
  p_firing public.automation_firings, p_automation public.automations, p_nth integer, p_params jsonb, p_now timestamptz)
returns table (run_id uuid, outcome jsonb)
language sql volatile security definer set search_path = ''
as $$
  with said as materialized (
    select r.run_id, r.client_id, coalesce(nullif(r.text, ''), p_automation.name) as text,
           private.e164(s.notify_phone, private.phone_region(p_firing.org_id)) as phone
      from private.recipients(p_firing, coalesce(private.action_text(p_params), '')) as r
      left join public.booking_settings as s on s.org_id = p_firing.org_id),
  told as (
    insert into public.alerts (org_id, kind, client_id, note, created_at)
    select p_firing.org_id, 'automation_notice', s.client_id, s.text, p_now
      from said as s
     where not exists (select from public.alerts as a
                        where a.org_id = p_firing.org_id and a.kind = 'automation_notice' and a.client_id = s.client_id and a.note = s.text
                          and a.resolved_at is null)),
  queued as materialized (
    select s.run_id, private.queue_message(
             p_firing.org_id, 'sms', 'coach_notice', s.client_id, format('automation-%s-%s', s.run_id, p_nth), p_scheduled_for => p_now,
             p_to_address => s.phone, p_metadata => jsonb_build_object('notice', s.text, 'automation_run_id', s.run_id, 'action', p_nth), p_now => p_now) as message_id
      from said as s where s.phone is not null and p_params -> 'sms' = 'true')
  select s.run_id,
         case when p_params -> 'sms' is distinct from 'true' then jsonb_build_object('status', 'ok')
              when s.phone is null then jsonb_build_object('status', 'failed', 'reason', 'no_notify_phone')
              else jsonb_build_object('status', 'pending', 'message_id', q.message_id) end
    from said as s
    left join queued as q on q.run_id = s.run_id;
$$;
comment on function private.act_notify is 'Tells the organisation about each client.';

-- Ids and facts, no names: whoever receives it asks for what it may see.
create function private.act_post(
  p_firing public.automation_firings, p_automation public.automations, p_nth integer, p_params jsonb, p_now timestamptz)
returns table (run_id uuid, outcome jsonb)
language sql volatile security definer set search_path = ''
as $$
  with endpoint as (
    select e.id from public.webhook_endpoints as e
     where e.org_id = p_firing.org_id and e.id::text = p_params ->> 'endpoint_id' and e.is_active),
  runs as materialized (
    select r.run_id, r.client_id, gen_random_uuid() as delivery_id from private.recipients(p_firing, null) as r),
  posted as (
    insert into public.webhook_deliveries (org_id, id, endpoint_id, run_id, action_index, payload, next_at, expires_at, created_at)
    select p_firing.org_id, r.delivery_id, e.id, r.run_id, p_nth,
           jsonb_build_object('type', 'automation.fired', 'timestamp', p_now, 'data', jsonb_build_object(
             'org_id', p_firing.org_id, 'automation_id', p_automation.id, 'automation', p_automation.name, 'run_id', r.run_id,
             'client_id', r.client_id, 'event', p_firing.event, 'due_at', p_firing.due_at, 'facts', f.facts)),
           p_now, p_now + interval '3 days', p_now
      from runs as r
     cross join endpoint as e
      join private.client_facts(p_firing.org_id, (select array_agg(x.client_id) from runs as x), p_now) as f on f.client_id = r.client_id
    returning id)
  select r.run_id, case when p.id is not null then jsonb_build_object('status', 'pending', 'delivery_id', p.id)
                        else jsonb_build_object('status', 'failed', 'reason', 'endpoint_off') end
    from runs as r
    left join posted as p on p.id = r.delivery_id;
$$;
comment on function private.act_post is 'Queues a post to the action''s endpoint for each client.';

-- What became later of an action that was under way. A failed action makes its run and its firing failed, whatever they were; it
-- stays so when an email stood in for its text.
create function private.settle_action(p_org_id uuid, p_run_id uuid, p_nth integer, p_status text, p_reason text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before public.automation_runs;
  v_after public.automation_runs;
begin
  select r.* into v_before from public.automation_runs as r where r.org_id = p_org_id and r.id = p_run_id for no key update;
  if not found or coalesce(v_before.actions_fired -> (p_nth - 1) ->> 'status', 'failed') = 'failed' then
    return;
  end if;
  update public.automation_runs as r
     set actions_fired = jsonb_set(r.actions_fired, array[(p_nth - 1)::text], jsonb_strip_nulls(
           r.actions_fired -> (p_nth - 1) || jsonb_build_object('status', p_status, 'reason', p_reason))),
         status = case when p_status = 'failed' then 'failed' else r.status end,
         reason = case when p_status = 'failed' and r.status <> 'failed'
                       then (r.actions_fired -> (p_nth - 1) ->> 'type') || ': ' || p_reason else r.reason end
   where r.org_id = p_org_id and r.id = p_run_id
  returning r.* into v_after;
  if v_before.status = 'ok' and v_after.status = 'failed' then
    update public.automation_firings as f
       set status = 'failed', reason = case when f.status = 'failed' then f.reason else v_after.reason end,
           ok_count = f.ok_count - 1, failed_count = f.failed_count + 1
     where f.org_id = p_org_id and f.id = v_after.firing_id;
  end if;
end;
$$;
comment on function private.settle_action is 'Keeps what became of an action that was queued: ok, or failed for a reason.';

create function private.tg_outbox_messages__tell_run()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.settle_action(
    new.org_id, (new.metadata ->> 'automation_run_id')::uuid, (new.metadata ->> 'action')::integer,
    case when new.status in ('sent', 'delivered') then 'ok' else 'failed' end,
    case when new.status not in ('sent', 'delivered') then coalesce(new.error_code, new.status) end);
  return null;
end;
$$;
comment on function private.tg_outbox_messages__tell_run is 'Tells an automation''s run what became of its message.';
create trigger outbox_messages__tell_run after update of status on public.outbox_messages
  for each row when (new.status <> old.status and new.metadata ? 'automation_run_id'
                     and new.status in ('sent', 'delivered', 'undelivered', 'failed', 'expired', 'cancelled'))
  execute function private.tg_outbox_messages__tell_run();
