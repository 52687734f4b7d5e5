-- Messaging for workers, webhooks and operators.

create function service.claim_messages(
  p_worker text, p_limit integer default 100, p_channels text[] default null, p_lease_secs integer default 120, p_now timestamptz default now())
returns table (
  org_id uuid, id uuid, claim uuid, attempt_number integer, channel text, kind text, to_phone text, to_email text, to_tokens text[],
  from_name text, subject text, body text, data jsonb, event jsonb, account jsonb, lease_until timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  perform private.require_value(p_lease_secs between 5 and 3600, 'lease_secs');
  return query select c.* from private.claim_messages(p_worker, p_limit, p_channels, make_interval(secs => p_lease_secs), coalesce(p_now, now())) as c;
end;
$$;
comment on function service.claim_messages is
  'Claims what may be sent now, at most p_limit (1 to 1000), each for p_lease_secs (5 to 3600): record_messages must name the claim. A lease that runs out leaves its message unknown. None: nothing may be sent now. Fails: value_not_allowed 422.';
revoke all on function service.claim_messages(text, integer, text[], integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_messages(text, integer, text[], integer, timestamptz) to service_role;

create function service.record_messages(p_results jsonb, p_now timestamptz default now())
returns table (recorded integer, stale integer)
language sql volatile security definer set search_path = ''
as $$
  select r.recorded, r.stale from private.record_messages(p_results, coalesce(p_now, now())) as r;
$$;
comment on function service.record_messages is
  'Records attempts, an array of {org_id, id, claim, outcome: sent | deferred | failed | unknown, provider (none: given back without a try), provider_message_id, provider_status, http_status, error_code, retry_after_secs, gone_tokens}. stale are of a claim that is no longer the message''s. Fails: value_not_allowed 422.';
revoke all on function service.record_messages(jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_messages(jsonb, timestamptz) to service_role;

create function service.claim_unknown_messages(p_limit integer default 50, p_now timestamptz default now())
returns table (org_id uuid, id uuid, channel text, to_phone text, body text, claimed_at timestamptz, account jsonb)
language sql volatile security definer set search_path = ''
as $$
  select c.* from private.claim_unknown_messages(least(greatest(p_limit, 1), 1000), coalesce(p_now, now())) as c;
$$;
comment on function service.claim_unknown_messages is
  'SMS that may have been sent, to be looked up at the provider, each again after as long as it has been unknown, for three days.';
revoke all on function service.claim_unknown_messages(integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_unknown_messages(integer, timestamptz) to service_role;

create function service.record_lookups(p_results jsonb, p_now timestamptz default now())
returns table (settled integer, unsettled integer)
language sql volatile security definer set search_path = ''
as $$
  select r.settled, r.unsettled from private.record_lookups(p_results, coalesce(p_now, now())) as r;
$$;
comment on function service.record_lookups is
  'Records what the provider knows, an array of {org_id, id, provider_message_id (null: not found), provider_status, error_code}; not found stays unknown.';
revoke all on function service.record_lookups(jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_lookups(jsonb, timestamptz) to service_role;

create function service.record_sms_status(
  p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text default null, p_payload jsonb default '{}', p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(char_length(p_provider_message_id) between 1 and 100, 'provider_message_id');
  perform private.require_value(char_length(p_status) between 1 and 40, 'status');
  return private.record_sms_status(p_message_id, p_provider_message_id, p_status, nullif(p_error_code, ''), coalesce(p_payload, '{}'), coalesce(p_now, now()));
end;
$$;
comment on function service.record_sms_status is
  'Takes in a status callback: recorded, repeated, or kept (of a message that is not known yet). Fails: value_not_allowed 422.';
revoke all on function service.record_sms_status(uuid, text, text, text, jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_sms_status(uuid, text, text, text, jsonb, timestamptz) to service_role;

create function service.receive_sms(
  p_message_sid text, p_account_sid text, p_to text, p_from text, p_body text, p_media_count integer default 0, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(char_length(p_message_sid) between 1 and 100, 'message_sid');
  perform private.require_value(p_from ~ '^[+]?[A-Za-z0-9 ]{1,20}$', 'from');
  perform private.require_value(char_length(p_to) between 1 and 40, 'to');
  return private.receive_sms(p_message_sid, p_account_sid, p_to, p_from, p_body, coalesce(p_media_count, 0), coalesce(p_now, now()));
end;
$$;
comment on function service.receive_sms is
  'Takes in an SMS once: {outcome, reply}; reply is the text to answer, or null. The same message again has no effect and the same answer. Fails: value_not_allowed 422.';
revoke all on function service.receive_sms(text, text, text, text, text, integer, timestamptz) from public, anon, authenticated;
grant execute on function service.receive_sms(text, text, text, text, text, integer, timestamptz) to service_role;

create function service.twilio_secrets(p_account_sid text)
returns text[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(distinct s.twilio_auth_token_encrypted), '{}') from public.sms_settings as s where s.twilio_account_sid = p_account_sid;
$$;
comment on function service.twilio_secrets is
  'The encrypted tokens of a Twilio account, to verify a signature with; empty: the platform''s own, or nobody''s.';
revoke all on function service.twilio_secrets(text) from public, anon, authenticated;
grant execute on function service.twilio_secrets(text) to service_role;

create function service.connect_twilio(
  p_org_id uuid, p_account_sid text, p_auth_token_encrypted text, p_messaging_service_sid text default null, p_phone_number text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_account_sid ~ '^AC[0-9a-fA-F]{32}$', 'account_sid');
  perform private.require_value(char_length(p_auth_token_encrypted) between 20 and 2000, 'auth_token_encrypted');
  perform private.require_value(coalesce(p_messaging_service_sid ~ '^MG[0-9a-fA-F]{32}$', true), 'messaging_service_sid');
  perform private.require_value(coalesce(p_phone_number ~ '^[+][1-9][0-9]{6,14}$', p_messaging_service_sid is not null), 'phone_number');
  insert into public.sms_settings as s (org_id, twilio_account_sid, twilio_auth_token_encrypted, twilio_messaging_service_sid, twilio_phone_number)
  values (p_org_id, p_account_sid, p_auth_token_encrypted, p_messaging_service_sid, p_phone_number)
  on conflict (org_id) do update
    set twilio_account_sid = excluded.twilio_account_sid, twilio_auth_token_encrypted = excluded.twilio_auth_token_encrypted,
        twilio_messaging_service_sid = excluded.twilio_messaging_service_sid, twilio_phone_number = excluded.twilio_phone_number;
end;
$$;
comment on function service.connect_twilio is
  'Lets an organisation send through its own Twilio account; the token comes encrypted. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.connect_twilio(uuid, text, text, text, text) from public, anon, authenticated;
grant execute on function service.connect_twilio(uuid, text, text, text, text) to service_role;

create function service.disconnect_twilio(p_org_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  update public.sms_settings as s
     set twilio_account_sid = null, twilio_auth_token_encrypted = null, twilio_messaging_service_sid = null, twilio_phone_number = null
   where s.org_id = p_org_id;
end;
$$;
comment on function service.disconnect_twilio is
  'Lets an organisation send through the platform''s account again. Fails: org_not_found 404.';
revoke all on function service.disconnect_twilio(uuid) from public, anon, authenticated;
grant execute on function service.disconnect_twilio(uuid) to service_role;

create function service.sweep_reminders(p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (queued integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select r.queued, r.skipped from private.sweep_reminders(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as r;
end;
$$;
comment on function service.sweep_reminders is
  'Queues the reminders, follow-ups and nudges that are wanted within a day, at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_reminders(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_reminders(integer, timestamptz, boolean) to service_role;

create function service.sweep_message_leftovers(p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  -- One that came in the moment its message was being recorded is matched here.
  if not p_dry_run then
    perform private.match_events(m.org_id, m.id, m.provider_message_id, coalesce(p_now, now()))
       from (select distinct e.provider_message_id from private.unmatched_sms_events as e limit p_limit) as e
       join public.outbox_messages as m on m.provider_message_id = e.provider_message_id;
  end if;
  with old_events as (
    select e.id from private.unmatched_sms_events as e where e.received_at < p_now - interval '7 days' limit p_limit for update skip locked),
  old_sids as (
    select i.message_sid from private.inbound_sids as i where i.received_at < p_now - interval '30 days' limit p_limit for update skip locked),
  gone_events as (
    delete from private.unmatched_sms_events as e using old_events as o where e.id = o.id and not p_dry_run returning 1),
  gone_sids as (
    delete from private.inbound_sids as i using old_sids as o where i.message_sid = o.message_sid and not p_dry_run returning 1)
  select case when p_dry_run then (select count(*) from old_events) + (select count(*) from old_sids)
              else (select count(*) from gone_events) + (select count(*) from gone_sids) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_message_leftovers is
  'Deletes callbacks that nobody asked for after a week, and ids of incoming messages after a month, at most p_limit of each. Fails: value_not_allowed 422.';
revoke all on function service.sweep_message_leftovers(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_message_leftovers(integer, timestamptz, boolean) to service_role;

create function service.list_messages(
  p_org_id uuid, p_client_id uuid default null, p_channel text default null, p_status text default null, p_kind text default null, p_before timestamptz default null, p_limit integer default 50, p_before_id uuid default null)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, channel text, kind text, status text, client_id uuid, client_name text, error_code text,
  attempts integer, sent_at timestamptz, cause_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select h.id, h.created_at, h.scheduled_for, h.channel, h.kind, h.status, h.client_id, h.client_name, h.error_code, h.attempts, h.sent_at, h.cause_id
    from private.message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
$$;
comment on function service.list_messages is
  'An organisation''s messages, newest first, at most p_limit (1 to 500). For the next page send the last row''s created_at and id as p_before and p_before_id. Fails: org_not_found 404.';
revoke all on function service.list_messages(uuid, uuid, text, text, text, timestamptz, integer, uuid) from public, anon, authenticated;
grant execute on function service.list_messages(uuid, uuid, text, text, text, timestamptz, integer, uuid) to service_role;

create function service.show_message(p_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select m.org_id into v_org_id from public.outbox_messages as m where m.id = p_id;
  if not found then
    perform private.refuse_message();
  end if;
  return private.message_document(v_org_id, p_id);
end;
$$;
comment on function service.show_message is
  'One message with its attempts, what the provider told, and what stood in for it. Fails: message_not_found 404.';
revoke all on function service.show_message(uuid) from public, anon, authenticated;
grant execute on function service.show_message(uuid) to service_role;

create function service.retry_message(p_id uuid)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.retry_message(p_id);
$$;
comment on function service.retry_message is
  'Sends a message again that did not arrive or may not have; returns the new one. Of an unknown one this may be the second. Fails: message_not_found 404, message_not_retryable 409, message_retried 409.';
revoke all on function service.retry_message(uuid) from public, anon, authenticated;
grant execute on function service.retry_message(uuid) to service_role;

create function service.messages_state(p_org_id uuid default null)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'channels', (select coalesce(jsonb_object_agg(x.channel, x.states), '{}')
                   from (select y.channel, jsonb_object_agg(y.status, y.n) as states
                           from (select m.channel, m.status, count(*) as n from public.outbox_messages as m
                                  where p_org_id is null or m.org_id = p_org_id group by 1, 2) as y group by 1) as x),
    'due', (select count(*) from public.outbox_messages as m
             where m.status in ('pending', 'queued') and m.next_at <= now() and (p_org_id is null or m.org_id = p_org_id)),
    'oldest_due_at', (select min(m.next_at) from public.outbox_messages as m
                       where m.status in ('pending', 'queued') and m.next_at <= now() and (p_org_id is null or m.org_id = p_org_id)),
    'unknown', (select count(*) from public.outbox_messages as m where m.status = 'unknown' and (p_org_id is null or m.org_id = p_org_id)),
    'deferred', (select coalesce(jsonb_agg(jsonb_build_object('provider', l.provider, 'until', l.until_at) order by l.until_at), '[]')
                   from private.provider_limits as l
                  where l.until_at > now() and l.provider in ('twilio', 'smtp', 'expo')));
$$;
comment on function service.messages_state is
  'How many messages are in which state: {channels: {channel: {status: n}}, due, oldest_due_at, unknown, deferred: [{provider, until}]}; of one organisation, or of all.';
revoke all on function service.messages_state(uuid) from public, anon, authenticated;
grant execute on function service.messages_state(uuid) to service_role;

create function service.push_message(p_client_id uuid, p_title text, p_body text, p_data jsonb default '{}')
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  perform private.require_value(char_length(btrim(p_title)) between 1 and 200, 'title');
  perform private.require_value(char_length(btrim(p_body)) between 1 and 2000, 'body');
  select c.org_id into v_org_id from public.clients as c where c.id = p_client_id;
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  if not exists (select from public.push_tokens as t where t.org_id = v_org_id and t.client_id = p_client_id) then
    return null;
  end if;
  return private.queue_message(v_org_id, 'push', 'thread_message', p_client_id, null, p_body => p_body, p_subject => p_title,
                               p_metadata => jsonb_build_object('data', coalesce(p_data, '{}')));
end;
$$;
comment on function service.push_message is
  'Queues a push message to a client''s devices; null where they have none. Fails: client_not_found 404, value_not_allowed 422.';
revoke all on function service.push_message(uuid, text, text, jsonb) from public, anon, authenticated;
grant execute on function service.push_message(uuid, text, text, jsonb) to service_role;

create function service.set_platform_setting(p_name text, p_value text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_name in ('app_url'), 'name');
  perform private.require_value(p_value ~ '^https?://[^ ]+$' and char_length(p_value) <= 500, 'value');
  insert into private.platform_settings as s (name, value) values (p_name, p_value)
  on conflict (name) do update set value = excluded.value;
end;
$$;
comment on function service.set_platform_setting is
  'Sets what holds for the whole platform: app_url, the address of the apps'' pages in links. Fails: value_not_allowed 422.';
revoke all on function service.set_platform_setting(text, text) from public, anon, authenticated;
grant execute on function service.set_platform_setting(text, text) to service_role;
