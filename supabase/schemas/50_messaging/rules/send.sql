-- Sending by people: a coach's own words, a template, a link, a text to many; and the history of what was sent.

create function private.require_client(p_client_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id
    from public.clients as c where c.id = p_client_id and c.org_id = any (private.orgs_with('clients.read'));
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  perform private.require_org(v_org_id, p_permission);
  return v_org_id;
end;
$$;
comment on function private.require_client is 'The organisation of a client whom the person may see and use so. Fails: client_not_found 404, permission_missing 403.';

-- Says at once what the outbox would find later: an answer a coach can act on.
create function private.send_to_client(
  p_org_id uuid, p_client_id uuid, p_kind text, p_body text, p_booking_id uuid, p_metadata jsonb, p_template_key text, p_variables jsonb,
  p_scheduled_for timestamptz, p_idempotency_key text, p_actor_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client public.clients;
  v_id uuid;
  v_message public.outbox_messages;
  v_text text;
begin
  select c.* into v_client from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
  if not (private.sms_settings_of(p_org_id)).enabled then
    return private.outcome('off');
  elsif v_client.phone_e164 is null then
    return private.outcome('no_phone');
  elsif v_client.sms_opt_in is false or private.is_suppressed(p_org_id, v_client.phone_e164) then
    return private.outcome('suppressed');
  end if;
  v_id := private.queue_message(
    p_org_id, 'sms', p_kind, p_client_id, p_idempotency_key, p_booking_id, p_scheduled_for => coalesce(p_scheduled_for, p_now),
    p_metadata => p_metadata, p_body => p_body, p_template_key => p_template_key, p_variables => coalesce(p_variables, '{}'),
    p_created_by => p_actor_id, p_now => p_now);
  if v_id is null then
    select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.idempotency_key = p_idempotency_key;
    if v_message.client_id is distinct from p_client_id then
      perform private.refuse_request();
    end if;
  else
    select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.id = v_id;
    v_text := (private.compose(v_message)).body;
    perform private.require_value(btrim(v_text) <> '', 'variables');
    perform private.log_communication(p_org_id, p_client_id, 'sms', 'outbound', v_text, p_actor_id);
  end if;
  return private.outcome('queued', jsonb_build_object('message_id', v_message.id, 'status', v_message.status, 'next_at', v_message.next_at));
end;
$$;
comment on function private.send_to_client is
  'Queues an SMS to a client: {outcome: queued, message_id, status, next_at}, or {outcome: off | no_phone | suppressed}.';

create function private.member_send_message(
  p_client_id uuid, p_body text, p_booking_id uuid, p_asks_confirmation boolean, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
begin
  perform private.require_value(char_length(btrim(p_body)) between 1 and 1600, 'body');
  if p_booking_id is not null
     and not exists (select from public.bookings as b where b.org_id = v_org_id and b.id = p_booking_id and b.client_id = p_client_id) then
    perform private.refuse_booking();
  end if;
  perform private.require_value(not coalesce(p_asks_confirmation, false) or p_booking_id is not null, 'booking_id');
  return private.send_to_client(
    v_org_id, p_client_id, 'direct', btrim(p_body), p_booking_id, jsonb_build_object('asks_confirmation', coalesce(p_asks_confirmation, false)),
    null, null, null, coalesce('request-' || p_request_id, 'direct-' || gen_random_uuid()), auth.uid());
end;
$$;
comment on function private.member_send_message is 'send_to_client of a coach''s own words.';

create function private.member_send_template(
  p_client_id uuid, p_template_key text, p_variables jsonb, p_scheduled_for timestamptz, p_related_entity_type text,
  p_related_entity_id uuid, p_idempotency_key text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
  v_booking_id uuid := case when p_related_entity_type = 'booking' then p_related_entity_id end;
  v_answer jsonb;
begin
  -- What is only a frame for somebody's words is no template.
  if not exists (select from public.sms_templates as t where t.org_id = v_org_id and t.template_key = p_template_key and t.is_active)
     and not exists (select from private.message_kinds as k
                      where k.kind = p_template_key and k.kind not in ('direct', 'thread_message', 'automation', 'marketing', 'coach_notice')) then
    perform private.fail(404, 'template_not_found', 'There is no such template.', 'Choose one of the templates.');
  end if;
  perform private.require_value(jsonb_typeof(coalesce(p_variables, '{}')) = 'object', 'variables');
  -- What is counted towards a client's day was made within thirty (take_messages).
  perform private.require_value(coalesce(p_scheduled_for between now() - interval '1 day' and now() + interval '29 days', true), 'scheduled_for');
  perform private.require_value(coalesce(char_length(p_idempotency_key) between 1 and 200, true), 'idempotency_key');
  perform private.require_value(coalesce(char_length(p_related_entity_type) between 1 and 60, true), 'related_entity_type');
  if v_booking_id is not null
     and not exists (select from public.bookings as b where b.org_id = v_org_id and b.id = v_booking_id and b.client_id = p_client_id) then
    perform private.refuse_booking();
  end if;
  v_answer := private.send_to_client(
    v_org_id, p_client_id, coalesce((select k.kind from private.message_kinds as k where k.kind = p_template_key), 'direct'), null, v_booking_id, '{}',
    p_template_key, p_variables, p_scheduled_for, coalesce('app-' || p_idempotency_key, 'template-' || gen_random_uuid()), auth.uid());
  update public.outbox_messages as m
     set related_entity_type = p_related_entity_type, related_entity_id = p_related_entity_id
   where m.org_id = v_org_id and m.id = (v_answer ->> 'message_id')::uuid and m.related_entity_type is null and p_related_entity_type is not null;
  return v_answer;
end;
$$;
comment on function private.member_send_template is 'send_to_client of a template. Fails: template_not_found 404.';

-- The link that is open stays open: a client who has it keeps it.
create function private.member_send_portal_link(p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'clients.write');
  v_token uuid;
  v_url text;
  v_answer jsonb;
begin
  -- The answer holds the link.
  perform private.refuse_support_access(v_org_id);
  update public.clients as c set portal_token = coalesce(c.portal_token, gen_random_uuid())
   where c.org_id = v_org_id and c.id = p_client_id
  returning c.portal_token into v_token;
  v_url := private.app_link('/portal/' || v_token);
  v_answer := case when v_url is null then private.outcome('off') else private.send_to_client(
    v_org_id, p_client_id, 'portal_link', null, null, jsonb_build_object('link', v_url), null, null, null,
    'portal_link-' || v_token || '-' || floor(extract(epoch from now()) / 60), auth.uid()) end;
  return jsonb_build_object('portal_token', v_token, 'portal_url', coalesce(v_url, '/portal/' || v_token),
                            'sms_sent', v_answer ->> 'outcome' = 'queued', 'outcome', v_answer ->> 'outcome');
end;
$$;
comment on function private.member_send_portal_link is
  'Texts a client the link of their portal: {portal_url, portal_token, sms_sent, outcome}; twice within a minute is once.';

-- One statement: the audience, who of it is left out and why, and the messages.
create function private.send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text, p_client_ids uuid[], p_request_id uuid, p_actor_id uuid, p_now timestamptz default now(),
  p_lead_ids uuid[] default '{}')
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_send public.marketing_sends;
begin
  perform private.require_value(char_length(btrim(p_message)) between 1 and 1600, 'message');
  perform private.require_value(p_recipient_filter in ('all', 'active', 'manual'), 'recipient_filter');
  perform private.check_template(p_message, private.template_variables('marketing'));
  insert into public.marketing_sends (org_id, body, recipient_filter, request_id, created_by)
  values (p_org_id, btrim(p_message), p_recipient_filter, p_request_id, p_actor_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning * into v_send;
  if not found then
    select s.* into v_send from public.marketing_sends as s where s.org_id = p_org_id and s.request_id = p_request_id;
    if (v_send.body, v_send.recipient_filter) <> (btrim(p_message), p_recipient_filter) then
      perform private.refuse_request();
    end if;
    return private.marketing_answer(v_send);
  end if;
  perform private.require_feature(p_org_id, 'marketing');

  with people as materialized (
    select c.id, c.id as client_id, c.full_name, c.phone_e164, c.sms_opt_in is false as is_opted_out, c.created_at
      from public.clients as c
     where c.org_id = p_org_id
       and case p_recipient_filter when 'all' then true when 'active' then c.status = 'active' else c.id = any (p_client_ids) end
    union all
    -- A lead who is a client too is asked as such whether they want it.
    select i.id, null, i.name, i.phone_e164,
           exists (select from public.clients as c where c.org_id = i.org_id and c.phone_e164 = i.phone_e164 and c.sms_opt_in is false), i.created_at
      from public.inquiries as i
     where i.org_id = p_org_id and i.id = any (p_lead_ids)),
  audience as materialized (
    select c.*,
           case when not (private.sms_settings_of(p_org_id)).enabled then 'off'
                when c.phone_e164 is null then 'no_phone'
                when c.is_opted_out then 'opted_out'
                when exists (select from public.sms_suppression as s where s.org_id = p_org_id and s.phone = c.phone_e164) then 'suppressed'
                -- A family's one phone gets it once, by whoever of them takes it, clients before leads.
                when row_number() over (partition by c.phone_e164, c.is_opted_out order by c.client_id is null, c.created_at, c.id) > 1 then 'same_phone' end as reason
      from people as c),
  made as (
    insert into public.outbox_messages (
      org_id, channel, kind, client_id, to_address, variables, marketing_send_id, body, metadata, status, priority, scheduled_for, next_at, expires_at,
      idempotency_key, created_by, created_at)
    select p_org_id, 'sms', 'marketing', a.client_id, case when a.client_id is null then a.phone_e164 end,
           case when a.client_id is null then jsonb_build_object('client_name', a.full_name, 'first_name', split_part(a.full_name, ' ', 1)) else '{}' end,
           v_send.id,
           case when private.placeholders(v_send.body) = '{}' then v_send.body end, jsonb_build_object('message', v_send.body),
           case when x.allowed_at <= p_now then 'queued' else 'pending' end, 1, p_now, x.allowed_at, p_now + interval '2 days', 'marketing-' || v_send.id || '-' || a.id, p_actor_id, p_now
      from audience as a
     cross join (select coalesce(private.message_allowed_at(p_org_id, 'sms', p_now, p_now + interval '2 days', p_now), p_now) as allowed_at) as x
     where a.reason is null
    returning 1)
  update public.marketing_sends as s
     set total = (select count(*) from audience), queued = (select count(*) from made),
         skipped = coalesce((select jsonb_object_agg(r.reason, r.n)
                               from (select a.reason, count(*) as n from audience as a where a.reason is not null group by 1) as r), '{}')
   where s.org_id = p_org_id and s.id = v_send.id
  returning s.* into v_send;
  return private.marketing_answer(v_send);
end;
$$;
comment on function private.send_marketing is
  'Queues a text to many clients and leads: {send_id, total, queued, skipped: {reason: n}}; the same request id sends once. Fails: value_not_allowed 422, placeholder_unknown 422, request_reused 409.';

create function private.marketing_answer(p_send public.marketing_sends)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('send_id', p_send.id, 'total', p_send.total, 'queued', p_send.queued, 'skipped', p_send.skipped, 'created_at', p_send.created_at);
$$;
comment on function private.marketing_answer is 'What a text to many came to when it was queued.';

create function private.member_send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text, p_client_ids uuid[], p_request_id uuid, p_lead_ids uuid[])
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'marketing.send');
  if cardinality(coalesce(p_lead_ids, '{}')) > 0 then
    perform private.require_org(p_org_id, 'leads.read');
  end if;
  return private.send_marketing(p_org_id, p_message, p_recipient_filter, p_client_ids, p_request_id, auth.uid(), p_lead_ids => p_lead_ids);
end;
$$;
comment on function private.member_send_marketing is 'send_marketing for a member with marketing.send.';

create function private.member_marketing_progress(p_send_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_send public.marketing_sends;
begin
  select s.* into v_send from public.marketing_sends as s where s.id = p_send_id and s.org_id = any (private.orgs_with('messages.read'));
  if not found then
    perform private.fail(404, 'marketing_send_not_found', 'There is no such text to many.', 'Reload the page.');
  end if;
  return private.marketing_answer(v_send) || jsonb_build_object('messages', (
    select coalesce(jsonb_object_agg(x.status, x.n), '{}')
      from (select m.status, count(*) as n from public.outbox_messages as m
             where m.org_id = v_send.org_id and m.marketing_send_id = v_send.id group by 1) as x));
end;
$$;
comment on function private.member_marketing_progress is 'How far a text to many has come: marketing_answer with messages by status. Fails: marketing_send_not_found 404.';

-- Newest first; the cursor is the last row's created_at and id.
create function private.message_history(
  p_org_id uuid, p_client_id uuid, p_channel text, p_status text, p_kind text, p_before timestamptz, p_before_id uuid, p_limit integer)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.id, m.created_at, m.scheduled_for, m.next_at, m.channel, m.kind, m.status, m.client_id, c.full_name, m.booking_id, m.to_address, m.subject, m.body,
         m.error_code, m.attempts, m.sent_at, m.delivered_at, m.cause, m.cause_id
    from public.outbox_messages as m
    left join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
   where m.org_id = p_org_id and (p_client_id is null or m.client_id = p_client_id) and (p_channel is null or m.channel = p_channel)
     and (p_status is null or m.status = p_status) and (p_kind is null or m.kind = p_kind)
     and (p_before is null or (m.created_at, m.id) < (p_before, coalesce(p_before_id, '00000000-0000-0000-0000-000000000000'::uuid)))
   order by m.created_at desc, m.id desc
   limit least(greatest(coalesce(p_limit, 50), 1), 500);
$$;
comment on function private.message_history is 'An organisation''s messages, newest first, by client, channel, status and kind.';

create function private.member_message_history(
  p_org_id uuid, p_client_id uuid, p_channel text, p_status text, p_kind text, p_before timestamptz, p_before_id uuid, p_limit integer)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'messages.read');
  return query select h.* from private.message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
$$;
comment on function private.member_message_history is 'message_history for a member with messages.read.';

create function private.message_document(p_org_id uuid, p_message_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select to_jsonb(m) - '{claim,worker,created_by,provider_account}'::text[] || jsonb_build_object(
           'preview', (private.compose(m)).body,
           'attempts_made', (select coalesce(jsonb_agg(jsonb_build_object(
                               'attempt_number', a.attempt_number, 'provider', a.provider, 'provider_message_id', a.provider_message_id, 'status', a.status,
                               'http_status', a.http_status, 'error_code', a.error_code, 'at', a.created_at) order by a.created_at), '[]')
                               from public.outbox_attempts as a where a.org_id = m.org_id and a.message_id = m.id),
           'events', (select coalesce(jsonb_agg(jsonb_build_object('status', e.event_status, 'error_code', e.error_code, 'at', e.received_at)
                               order by e.received_at), '[]')
                        from public.outbox_events as e where e.org_id = m.org_id and e.message_id = m.id),
           'followed_by', (select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'channel', f.channel, 'status', f.status, 'cause', f.cause)
                               order by f.created_at), '[]')
                             from public.outbox_messages as f where f.org_id = m.org_id and f.cause_id = m.id))
    from public.outbox_messages as m where m.org_id = p_org_id and m.id = p_message_id;
$$;
comment on function private.message_document is 'A message with its attempts, what the provider told, and what stood in for it.';

create function private.member_show_message(p_message_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select m.org_id into v_org_id from public.outbox_messages as m where m.id = p_message_id and m.org_id = any (private.orgs_with('messages.read'));
  if not found then
    perform private.refuse_message();
  end if;
  return private.message_document(v_org_id, p_message_id);
end;
$$;
comment on function private.member_show_message is 'message_document for a member with messages.read.';

create function private.member_preview_template(p_org_id uuid, p_body text, p_template_key text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_text text;
begin
  perform private.require_org(p_org_id, 'messages.read');
  perform private.require_value(char_length(btrim(p_body)) between 1 and 1600, 'body');
  perform private.check_template(p_body, private.template_variables(p_template_key));
  v_text := private.render(p_body, jsonb_build_object(
    'client_name', 'Alex Sample', 'first_name', 'Alex', 'business_name', (select o.name from public.orgs as o where o.id = p_org_id),
    'coach_name', 'Sam Coach', 'session_datetime', private.org_datetime_text(p_org_id, date_trunc('hour', now()) + interval '1 day'),
    'previous_datetime', private.org_datetime_text(p_org_id, date_trunc('hour', now())),
    'offer_until', private.org_datetime_text(p_org_id, date_trunc('hour', now()) + interval '1 hour'),
    'session_type', 'Personal training', 'location', ' at the studio', 'sessions_remaining', 3, 'sessions_booked', 1,
    'session_summary', '3 sessions left, 1 booked', 'session_count', 10, 'answer_hint', 'Reply Y to confirm or R to reschedule.', 'message', 'Your words', 'notice', 'booked',
    'link', 'https://example.com/l', 'portal_link', 'https://example.com/portal', 'feedback_link', 'https://example.com/feedback'));
  return jsonb_build_object('body', v_text, 'placeholders', private.placeholders(p_body), 'characters', char_length(v_text), 'segments', private.sms_segments(v_text));
end;
$$;
comment on function private.member_preview_template is 'A template with sample values, for a member with messages.read.';

-- GSM 03.38: 160 characters, 153 each when joined; anything outside of it makes the whole text UCS-2, 70 and 67.
create function private.sms_segments(p_text text)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case when p_text ~ '^[A-Za-z0-9 \r\n@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!"#¤%&''()*+,./:;<=>?¡ÄÖÑÜ§¿äöñüà^{}\\[~\]|€-]*$'
              then case when x.septets <= 160 then 1 else ceil(x.septets / 153.0)::integer end
              when x.units <= 70 then 1 else ceil(x.units / 67.0)::integer end
    from (select char_length(p_text) + char_length(regexp_replace(p_text, '[^\^{}\\\[~\]|€]', '', 'g')) as septets,
                 char_length(p_text) + char_length(regexp_replace(p_text, U&'[^\+010000-\+10FFFF]', '', 'g')) as units) as x;
$$;
comment on function private.sms_segments is 'How many SMS a text is charged as.';

create function private.member_suppress_phone(p_client_id uuid, p_notes text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
  v_phone text := (select c.phone_e164 from public.clients as c where c.org_id = v_org_id and c.id = p_client_id);
begin
  if v_phone is null then
    perform private.fail(409, 'phone_missing', 'This client has no phone number that can be written to.', 'Add their number first.');
  end if;
  insert into public.sms_suppression (org_id, phone, reason, source, notes, client_id)
  values (v_org_id, v_phone, 'manual', 'coach', left(p_notes, 500), p_client_id)
  on conflict (org_id, phone) do nothing;
end;
$$;
comment on function private.member_suppress_phone is 'Sends a client''s phone no SMS any more. Fails: client_not_found 404, phone_missing 409.';
