-- Messaging for apps: sending, conversations, history. The contract's sms_* are views of the one outbox.

create view public.sms_messages with (security_invoker = true) as
  select m.org_id, m.id, m.client_id, coalesce(m.to_address, '') as to_phone,
         coalesce((select s.twilio_phone_number from public.sms_settings as s where s.org_id = m.org_id), '') as from_phone, m.template_id, m.template_key,
         coalesce(m.body, '') as body, m.variables, m.related_entity_type, m.related_entity_id, m.status, m.scheduled_for, m.sent_at, m.delivered_at,
         m.failed_at, m.idempotency_key, m.error_code, null::text as error_message, m.metadata,
         case when m.status = 'sending' then m.next_at end as locked_until, m.created_at, m.updated_at
    from public.outbox_messages as m where m.channel = 'sms';
comment on view public.sms_messages is 'The outbox''s SMS by the names that the existing system reads.';
revoke all on public.sms_messages from public, anon, authenticated, service_role;
grant select on public.sms_messages to authenticated, service_role;

create view public.sms_attempts with (security_invoker = true) as
  select a.id, a.message_id, a.attempt_number, a.provider, a.provider_message_id, '{}'::jsonb as request_payload, null::jsonb as response_payload,
         a.http_status as response_status, a.status, a.error_code, null::text as error_message, a.created_at
    from public.outbox_attempts as a
   where exists (select from public.outbox_messages as m where m.org_id = a.org_id and m.id = a.message_id and m.channel = 'sms');
comment on view public.sms_attempts is 'Attempts to send an SMS by the names that the existing system reads.';
revoke all on public.sms_attempts from public, anon, authenticated, service_role;
grant select on public.sms_attempts to authenticated, service_role;

create view public.sms_events with (security_invoker = true) as
  select e.org_id, e.id, e.message_id, e.provider, e.provider_message_id, e.event_type, e.event_status, e.error_code, null::text as error_message,
         e.event_payload, e.dedupe_key, e.received_at, e.received_at as processed_at
    from public.outbox_events as e
   where exists (select from public.outbox_messages as m where m.org_id = e.org_id and m.id = e.message_id and m.channel = 'sms');
comment on view public.sms_events is 'What was told of SMS by the names that the existing system reads.';
revoke all on public.sms_events from public, anon, authenticated, service_role;
grant select on public.sms_events to authenticated, service_role;

create function private.tg__read_only()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform private.fail(403, 'view_read_only', 'This shows what another table holds.', 'Call the function that changes it.');
  return null;
end;
$$;
comment on function private.tg__read_only is 'Refuses to write through a view: view_read_only 403. A role without the privilege is refused before.';
create trigger sms_messages__read_only instead of insert or update or delete on public.sms_messages
  for each row execute function private.tg__read_only();
create trigger sms_attempts__read_only instead of insert or update or delete on public.sms_attempts
  for each row execute function private.tg__read_only();
create trigger sms_events__read_only instead of insert or update or delete on public.sms_events
  for each row execute function private.tg__read_only();

create function public.send_message(
  p_client_id uuid, p_body text, p_booking_id uuid default null, p_asks_confirmation boolean default false, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_message(p_client_id, p_body, p_booking_id, p_asks_confirmation, p_request_id);
end;
comment on function public.send_message is
  'Queues an SMS with a coach''s own words: {outcome: queued, message_id, status, next_at}, or {outcome: off | no_phone | suppressed}. With p_asks_confirmation the client''s Y confirms that booking. The same request id sends once. Needs messages.write. Fails: client_not_found 404, booking_not_found 404, value_not_allowed 422, request_reused 409, permission_missing 403.';
revoke all on function public.send_message(uuid, text, uuid, boolean, uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_message(uuid, text, uuid, boolean, uuid) to authenticated;
grant execute on function private.member_send_message(uuid, text, uuid, boolean, uuid) to authenticated;

create function public.send_template(
  p_client_id uuid, p_template_key text, p_variables jsonb default '{}', p_scheduled_for timestamptz default null, p_related_entity_type text default null, p_related_entity_id uuid default null, p_idempotency_key text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_template(p_client_id, p_template_key, p_variables, p_scheduled_for, p_related_entity_type, p_related_entity_id, p_idempotency_key);
end;
comment on function public.send_template is
  'Queues an SMS from a template of the organisation, or from a kind''s own words; answers as send_message. Scheduled at most 29 days ahead. The same idempotency key sends once. Needs messages.write. Fails: client_not_found 404, template_not_found 404, booking_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.send_template(uuid, text, jsonb, timestamptz, text, uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.send_template(uuid, text, jsonb, timestamptz, text, uuid, text) to authenticated;
grant execute on function private.member_send_template(uuid, text, jsonb, timestamptz, text, uuid, text) to authenticated;

create function public.send_portal_link(p_client_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_portal_link(p_client_id);
end;
comment on function public.send_portal_link is
  'Texts a client the link of their portal, making its token where there is none: {portal_url, portal_token, sms_sent, outcome}. Needs clients.write. Fails: client_not_found 404, permission_missing 403.';
revoke all on function public.send_portal_link(uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_portal_link(uuid) to authenticated;
grant execute on function private.member_send_portal_link(uuid) to authenticated;

create function public.send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text default 'active', p_client_ids uuid[] default '{}', p_request_id uuid default null,
  p_lead_ids uuid[] default '{}')
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_marketing(p_org_id, p_message, p_recipient_filter, p_client_ids, p_request_id, p_lead_ids);
end;
comment on function public.send_marketing is
  'Queues a text to all, to active, or to named clients (manual), and to named leads: {send_id, total, queued, skipped: {reason: n}, created_at}; left out are off (messaging is), no_phone, opted_out, suppressed and same_phone. Placeholders are filled in for each. The same request id sends once. Needs marketing.send. Fails: org_not_found 404, request_reused 409, value_not_allowed 422, placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422, permission_missing 403.';
revoke all on function public.send_marketing(uuid, text, text, uuid[], uuid, uuid[]) from public, anon, authenticated, service_role;
grant execute on function public.send_marketing(uuid, text, text, uuid[], uuid, uuid[]) to authenticated;
grant execute on function private.member_send_marketing(uuid, text, text, uuid[], uuid, uuid[]) to authenticated;

create function public.marketing_progress(p_send_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_marketing_progress(p_send_id);
end;
comment on function public.marketing_progress is
  'How far a text to many has come: as send_marketing, with messages: {status: n}. Needs messages.read. Fails: marketing_send_not_found 404.';
revoke all on function public.marketing_progress(uuid) from public, anon, authenticated, service_role;
grant execute on function public.marketing_progress(uuid) to authenticated;
grant execute on function private.member_marketing_progress(uuid) to authenticated;

create function public.message_history(
  p_org_id uuid, p_client_id uuid default null, p_channel text default null, p_status text default null, p_kind text default null, p_before timestamptz default null, p_before_id uuid default null, p_limit integer default 50)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language sql stable security invoker set search_path = ''
begin atomic
  select h.id, h.created_at, h.scheduled_for, h.next_at, h.channel, h.kind, h.status, h.client_id, h.client_name, h.booking_id, h.to_address, h.subject, h.body, h.error_code, h.attempts, h.sent_at, h.delivered_at, h.cause, h.cause_id
    from private.member_message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
comment on function public.message_history is
  'What was sent, is waiting or failed, newest first (1 to 500): by client, channel (sms, email, push), status and kind. For the next page send the last row''s created_at and id as p_before and p_before_id. Needs messages.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function public.message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) to authenticated;
grant execute on function private.member_message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) to authenticated;

create function public.show_message(p_message_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_show_message(p_message_id);
end;
comment on function public.show_message is
  'One message with its attempts, what the provider told, and what stood in for it. Needs messages.read. Fails: message_not_found 404.';
revoke all on function public.show_message(uuid) from public, anon, authenticated, service_role;
grant execute on function public.show_message(uuid) to authenticated;
grant execute on function private.member_show_message(uuid) to authenticated;

create function public.preview_template(p_org_id uuid, p_body text, p_template_key text default 'booking_confirmation')
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_preview_template(p_org_id, p_body, p_template_key);
end;
comment on function public.preview_template is
  'A template as a client would read it, with sample values: {body, placeholders, characters, segments}. Needs messages.read. Fails: org_not_found 404, placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422, permission_missing 403.';
revoke all on function public.preview_template(uuid, text, text) from public, anon, authenticated, service_role;
grant execute on function public.preview_template(uuid, text, text) to authenticated;
grant execute on function private.member_preview_template(uuid, text, text) to authenticated;

create function public.unread_threads(p_org_id uuid)
returns table (thread_id uuid, client_id uuid, unread bigint, last_message_at timestamptz)
language sql stable security invoker set search_path = ''
begin atomic
  select u.thread_id, u.client_id, u.unread, u.last_message_at from private.member_unread_threads(p_org_id) as u;
end;
comment on function public.unread_threads is
  'Conversations with messages of the client that no member has read, latest first. Needs messages.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.unread_threads(uuid) from public, anon, authenticated, service_role;
grant execute on function public.unread_threads(uuid) to authenticated;
grant execute on function private.member_unread_threads(uuid) to authenticated;

create function public.read_thread(p_thread_id uuid)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.read_thread(p_thread_id);
end;
comment on function public.read_thread is
  'Marks a conversation as read by whoever reads it, member or client. Fails: thread_not_found 404.';
revoke all on function public.read_thread(uuid) from public, anon, authenticated, service_role;
grant execute on function public.read_thread(uuid) to authenticated;
grant execute on function private.read_thread(uuid) to authenticated;

create function public.suppress_phone(p_client_id uuid, p_notes text default null)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_suppress_phone(p_client_id, p_notes);
end;
comment on function public.suppress_phone is
  'Sends a client''s phone no SMS any more; a coach can take it back by deleting the row of sms_suppression. Needs messages.write. Fails: client_not_found 404, phone_missing 409, permission_missing 403.';
revoke all on function public.suppress_phone(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.suppress_phone(uuid, text) to authenticated;
grant execute on function private.member_suppress_phone(uuid, text) to authenticated;

-- The existing edge functions' doors, for the secret key. Sending itself is the service's: `coach sweep messages`.

create function public.insert_sms_direct(
  p_org_id uuid, p_client_id uuid, p_body text, p_scheduled_for timestamptz default null, p_related_entity_type text default null,
  p_related_entity_id uuid default null, p_idempotency_key text default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.insert_sms_direct(p_org_id, p_client_id, p_body, p_scheduled_for, p_related_entity_type, p_related_entity_id, p_idempotency_key);
end;
comment on function public.insert_sms_direct is
  'Queues an SMS for the secret key; its id, or null when it is refused (no such client, no phone, opted out, suppressed, messaging off, no text, more than 29 days ahead) or its idempotency key has been used. The keys sched-<schedule>-<booking> and unconfirmed-24h-<booking> are what service.sweep_reminders queues: whoever is first, it is sent once.';
revoke all on function public.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) to service_role;
grant execute on function private.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) to service_role;

create function public.queue_pending_sms()
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.queue_pending_sms();
end;
comment on function public.queue_pending_sms is
  'Marks SMS whose time has come as queued, and says how many. Nothing depends on it: service.claim_messages takes what is due.';
revoke all on function public.queue_pending_sms() from public, anon, authenticated, service_role;
grant execute on function public.queue_pending_sms() to service_role;
grant execute on function private.queue_pending_sms() to service_role;

create function public.is_phone_suppressed(p_org_id uuid, p_phone text)
returns boolean
language sql stable security invoker set search_path = ''
begin atomic
  select private.is_suppressed(p_org_id, p_phone);
end;
comment on function public.is_phone_suppressed is
  'True when an organisation sends no SMS to this number, in whichever way it is written.';
revoke all on function public.is_phone_suppressed(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.is_phone_suppressed(uuid, text) to service_role;
grant execute on function private.is_suppressed(uuid, text) to service_role;

create function public.render_sms_template(p_template_body text, p_variables jsonb)
returns text
language sql immutable security invoker set search_path = ''
begin atomic
  select private.render(p_template_body, p_variables);
end;
comment on function public.render_sms_template is
  'A template with its placeholders replaced; one without a value is left out.';
revoke all on function public.render_sms_template(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.render_sms_template(text, jsonb) to service_role;
grant execute on function private.render(text, jsonb) to service_role;
