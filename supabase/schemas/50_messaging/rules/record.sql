-- What became of it: a worker's result, a provider's callback, a look-up. Each is kept, whatever order they come in, and moves the
-- message forward or not at all.

-- What a provider's word means here; null where it says nothing new.
create function private.status_from_provider(p_status text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case lower(p_status)
           when 'delivered' then 'delivered' when 'read' then 'delivered'
           when 'undelivered' then 'undelivered' when 'failed' then 'failed' when 'canceled' then 'failed'
           when 'queued' then 'sent' when 'accepted' then 'sent' when 'scheduled' then 'sent' when 'sending' then 'sent' when 'sent' then 'sent' end;
$$;
comment on function private.status_from_provider is 'A provider''s status as ours: sent, delivered, undelivered or failed; null for others.';

-- Twilio's codes of what trying again cannot mend: the number opted out, does not exist, cannot take SMS.
create function private.suppression_reason(p_error_code text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case when p_error_code = '21610' then 'opt_out'
              when p_error_code in ('21211', '21217', '21612', '21614', '30005', '30006') then 'invalid_number'
              -- Not 30007: that was about the words, not the number.
              when p_error_code = '30004' then 'carrier_violation' end;
$$;
comment on function private.suppression_reason is 'Why a number must not be written to after this error; null where it may.';

-- Moves a message as far as its state allows. What had been delivered stays so.
create function private.advance_message(
  p_org_id uuid, p_message_id uuid, p_status text, p_error_code text, p_provider_message_id text, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
  v_reason text := private.suppression_reason(p_error_code);
begin
  select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.id = p_message_id for no key update;
  if not (case v_message.status
            when 'sending' then p_status in ('sent', 'delivered', 'undelivered', 'failed', 'unknown')
            when 'unknown' then p_status in ('sent', 'delivered', 'undelivered', 'failed')
            when 'sent' then p_status in ('delivered', 'undelivered', 'failed')
            -- The provider said that it had not accepted it, and yet it did: it must not go again.
            when 'queued' then v_message.attempts > 0 and p_status in ('sent', 'delivered', 'undelivered', 'failed')
            else false end) then
    -- The id is worth knowing all the same.
    update public.outbox_messages as m
       set provider_message_id = p_provider_message_id
     where m.org_id = p_org_id and m.id = p_message_id and m.provider_message_id is null and p_provider_message_id is not null;
    return false;
  end if;
  update public.outbox_messages as m
     set status = p_status, updated_at = p_now,
         provider = coalesce(m.provider, private.provider_of(m.channel)),
         provider_message_id = coalesce(m.provider_message_id, p_provider_message_id),
         sent_at = case when p_status in ('sent', 'delivered', 'undelivered') then coalesce(m.sent_at, p_now) else m.sent_at end,
         delivered_at = case when p_status = 'delivered' then p_now else m.delivered_at end,
         failed_at = case when p_status in ('failed', 'undelivered') then p_now else m.failed_at end,
         error_code = case when p_status in ('failed', 'undelivered', 'unknown') then p_error_code end,
         next_at = case when p_status = 'unknown' then p_now + interval '1 minute' else m.next_at end
   where m.org_id = p_org_id and m.id = p_message_id
  returning m.* into v_message;
  if p_status in ('sent', 'delivered') then
    perform private.note_sent(v_message, p_now);
  end if;
  if v_reason is not null and v_message.channel = 'sms' and v_message.to_address is not null then
    perform private.suppress(p_org_id, v_message.to_address, v_reason, v_message.client_id);
  end if;
  if p_status in ('failed', 'undelivered') then
    perform private.fall_back(p_org_id, p_message_id, p_now);
  end if;
  return true;
end;
$$;
comment on function private.advance_message is
  'Moves a message forward and does what follows: suppression, fallback, the booking''s marks. False where it was further already.';

-- What the booking shows of it: it was asked to confirm, it was reminded.
create function private.note_sent(p_message public.outbox_messages, p_now timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.bookings as b
     set confirmation_sent_at = case when k.asks_confirmation or (p_message.metadata ->> 'asks_confirmation')::boolean
                                     then coalesce(b.confirmation_sent_at, p_now) else b.confirmation_sent_at end,
         reminder_sent = b.reminder_sent or p_message.kind = 'booking_reminder',
         feedback_sent = b.feedback_sent or p_message.kind = 'booking_follow_up'
    from private.message_kinds as k
   where k.kind = p_message.kind and b.org_id = p_message.org_id and b.id = p_message.booking_id
     and p_message.channel = 'sms'
     and ((coalesce(k.asks_confirmation or (p_message.metadata ->> 'asks_confirmation')::boolean, false) and b.confirmation_sent_at is null)
          or (p_message.kind = 'booking_reminder' and b.reminder_sent is not true)
          or (p_message.kind = 'booking_follow_up' and b.feedback_sent is not true));
$$;
comment on function private.note_sent is 'Marks a booking as asked, reminded or followed up when the SMS has left.';

-- As whoever moves a booking does: the bookings before the messages, each in the order of ids.
create function private.lock_messages(p_org_ids uuid[], p_ids uuid[])
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.bookings as b
    where (b.org_id, b.id) in (
      select m.org_id, m.booking_id
        from unnest(p_org_ids, p_ids) as g (org_id, id)
        join public.outbox_messages as m on m.org_id = g.org_id and m.id = g.id
       where m.channel = 'sms' and m.booking_id is not null)
    order by b.org_id, b.id for no key update;
  perform from public.outbox_messages as m
    where (m.org_id, m.id) in (select g.org_id, g.id from unnest(p_org_ids, p_ids) as g (org_id, id))
    order by m.org_id, m.id for no key update;
end;
$$;
comment on function private.lock_messages is 'Locks messages whose fate is told, and the bookings that will show it.';

-- An array of {org_id, id, claim, outcome, provider_message_id, provider_status, http_status, error_code, retry_after_secs, gone_tokens}.
-- provider none: given back without a try.
-- Each is judged under the message's lock: two workers that report at once wait for each other, never both ways.
create function private.record_messages(p_results jsonb, p_now timestamptz)
returns table (recorded integer, stale integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_result record;
  v_message public.outbox_messages;
  v_done uuid[];
begin
  perform private.lock_messages(r.org_ids, r.ids)
     from (select array_agg(g.org_id) as org_ids, array_agg(g.id) as ids
             from jsonb_to_recordset(p_results) as g (org_id uuid, id uuid)) as r;
  -- Most of a batch is accepted and nothing more: these in one statement, the others one by one below.
  with given as materialized (
    select r.*
      from jsonb_to_recordset(p_results) as r (
        org_id uuid, id uuid, claim uuid, outcome text, provider text, provider_message_id text, provider_status text, http_status integer,
        gone_tokens text[])
     where r.outcome = 'sent' and r.gone_tokens is null and coalesce(private.status_from_provider(r.provider_status), 'sent') = 'sent'),
  locked as materialized (
    select g.*, m as message
      from given as g
      join public.outbox_messages as m on m.org_id = g.org_id and m.id = g.id
     order by g.org_id, g.id for no key update of m),
  mine as materialized (
    select l.* from locked as l
     where (l.message).status = 'sending' and (l.message).claim = l.claim
       and not exists (select from private.unmatched_sms_events as e where e.provider_message_id = l.provider_message_id)),
  moved as (
    update public.outbox_messages as m
       set status = 'sent', sent_at = p_now, updated_at = p_now, provider = coalesce(g.provider, private.provider_of(m.channel)),
           provider_message_id = g.provider_message_id
      from mine as g where m.org_id = g.org_id and m.id = g.id
    returning m.id, m.attempts, m.provider, g.claim, g.org_id, g.provider_message_id, g.http_status),
  tried as (
    insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, provider_message_id, status, http_status)
    select d.org_id, d.id, d.attempts, d.claim, d.provider, d.provider_message_id, 'sent', d.http_status from moved as d
    on conflict (org_id, message_id, claim) do nothing),
  noted as (
    select private.note_sent(g.message, p_now) from mine as g
     where (g.message).booking_id is not null and (g.message).channel = 'sms')
  select array_agg(d.id), count(*)::integer + 0 * (select count(*)::integer from noted) into v_done, recorded from moved as d;
  stale := 0;
  for v_result in
    select r.*
      from jsonb_to_recordset(p_results) as r (
        org_id uuid, id uuid, claim uuid, outcome text, provider text, provider_message_id text, provider_status text, http_status integer, error_code text,
        retry_after_secs integer, gone_tokens text[])
     where r.id <> all (coalesce(v_done, '{}'))
     order by r.org_id, r.id
  loop
    perform private.require_value(v_result.outcome in ('sent', 'deferred', 'failed', 'unknown'), 'outcome');
    select m.* into v_message
      from public.outbox_messages as m where m.org_id = v_result.org_id and m.id = v_result.id for no key update;
    -- A late result of its own claim is welcome, also when the lease had run out; another claim's is not.
    if not found or v_message.claim is distinct from v_result.claim
       or (v_message.status not in ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'failed')) then
      stale := stale + 1;
      continue;
    end if;
    -- No provider: it was given back without a try, which counts for none.
    if v_result.outcome = 'deferred' and v_result.provider = 'none' and v_message.status = 'sending' then
      update public.outbox_messages as m
         set status = 'queued', claim = null, claimed_at = null, attempts = m.attempts - 1, composed_at = null,
             subject = case when m.composed_at is null then m.subject end, body = case when m.composed_at is null then m.body end,
             error_code = v_result.error_code, updated_at = p_now,
             next_at = p_now + make_interval(secs => coalesce(v_result.retry_after_secs, 0))
       where m.org_id = v_message.org_id and m.id = v_message.id;
      recorded := recorded + 1;
      continue;
    end if;
    insert into public.outbox_attempts as a (
      org_id, message_id, attempt_number, claim, provider, provider_message_id, status, http_status, error_code)
    values (v_message.org_id, v_message.id, v_message.attempts, v_result.claim, coalesce(v_result.provider, private.provider_of(v_message.channel)),
            v_result.provider_message_id, v_result.outcome, v_result.http_status, v_result.error_code)
    on conflict (org_id, message_id, claim) do update
      set status = excluded.status, provider_message_id = excluded.provider_message_id, http_status = excluded.http_status, error_code = excluded.error_code
      where a.status = 'unknown';
    if v_result.provider is not null then
      update public.outbox_messages as m set provider = v_result.provider where m.org_id = v_message.org_id and m.id = v_message.id and m.provider is null;
    end if;
    if v_result.outcome = 'deferred' then
      -- Certainly not accepted; ten tries, the pauses doubling from half a minute to an hour.
      if v_message.status = 'sending' and v_message.attempts < 10 then
        update public.outbox_messages as m
           set status = 'queued', claim = null, claimed_at = null, composed_at = null,
               subject = case when m.composed_at is null then m.subject end, body = case when m.composed_at is null then m.body end,
               error_code = v_result.error_code, updated_at = p_now,
               next_at = p_now + greatest(make_interval(secs => coalesce(v_result.retry_after_secs, 0)),
                                          least(interval '30 seconds' * power(2, v_message.attempts - 1), interval '1 hour'))
         where m.org_id = v_message.org_id and m.id = v_message.id;
      elsif v_message.status in ('sending', 'unknown') then
        perform private.advance_message(v_message.org_id, v_message.id, 'failed', coalesce(v_result.error_code, 'provider_unavailable'), null, p_now);
      end if;
    else
      perform private.advance_message(
        v_message.org_id, v_message.id,
        case v_result.outcome when 'sent' then coalesce(private.status_from_provider(v_result.provider_status), 'sent') else v_result.outcome end,
        v_result.error_code, v_result.provider_message_id, p_now);
      if v_result.provider_message_id is not null then
        perform private.match_events(v_message.org_id, v_message.id, v_result.provider_message_id, p_now);
      end if;
    end if;
    delete from public.push_tokens as t
     where t.org_id = v_message.org_id and t.client_id = v_message.client_id and t.expo_token = any (v_result.gone_tokens);
    recorded := recorded + 1;
  end loop;
  return next;
end;
$$;
comment on function private.record_messages is 'Records what workers'' attempts came to: {recorded, stale}.';

-- Callbacks that came before anybody here knew the provider's id.
create function private.match_events(p_org_id uuid, p_message_id uuid, p_provider_message_id text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_event private.unmatched_sms_events;
begin
  perform private.lock_messages(array[p_org_id], array[p_message_id]);
  for v_event in
    delete from private.unmatched_sms_events as e where e.provider_message_id = p_provider_message_id returning e.*
  loop
    perform private.note_event(p_org_id, p_message_id, p_provider_message_id, v_event.event_status, v_event.error_code, v_event.event_payload, p_now);
  end loop;
end;
$$;
comment on function private.match_events is 'Gives a message the callbacks that were kept for its provider''s id.';

create function private.note_event(
  p_org_id uuid, p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text, p_payload jsonb, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.outbox_events (
    org_id, message_id, provider, provider_message_id, event_type, event_status, error_code, event_payload, dedupe_key)
  values (p_org_id, p_message_id, 'twilio', p_provider_message_id, 'status', lower(p_status), p_error_code, p_payload,
          p_provider_message_id || '-' || lower(p_status))
  on conflict (org_id, dedupe_key) do nothing;
  if not found then
    return false;
  end if;
  perform private.advance_message(
            p_org_id, p_message_id, private.status_from_provider(p_status), p_error_code, p_provider_message_id, p_now)
    where private.status_from_provider(p_status) is not null;
  return true;
end;
$$;
comment on function private.note_event is 'Keeps one callback and lets it move its message; false where it was kept already.';

create function private.record_sms_status(
  p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text, p_payload jsonb, p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
begin
  -- Our own id in the callback's address; else the provider's, which we know once the attempt is recorded.
  select m.* into v_message
    from public.outbox_messages as m
   where m.id = p_message_id and m.channel = 'sms' and coalesce(m.provider_message_id, p_provider_message_id) = p_provider_message_id
     and m.attempts > 0;
  if not found then
    select m.* into v_message from public.outbox_messages as m where m.provider_message_id = p_provider_message_id;
  end if;
  if found then
    perform private.lock_messages(array[v_message.org_id], array[v_message.id]);
  else
    insert into private.unmatched_sms_events (provider_message_id, event_status, error_code, event_payload, received_at)
    values (p_provider_message_id, lower(p_status), p_error_code, p_payload, p_now)
    on conflict (provider_message_id, event_status) do nothing;
    return 'kept';
  end if;
  return case when private.note_event(v_message.org_id, v_message.id, p_provider_message_id, p_status, p_error_code, p_payload, p_now)
              then 'recorded' else 'repeated' end;
end;
$$;
comment on function private.record_sms_status is 'Takes in a status callback: recorded, repeated, or kept until its message is known.';

create function private.claim_unknown_messages(p_limit integer, p_now timestamptz)
returns table (org_id uuid, id uuid, channel text, to_phone text, body text, claimed_at timestamptz, account jsonb)
language sql volatile security definer set search_path = ''
as $$
  with due as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'unknown' and m.channel = 'sms' and m.next_at <= p_now
     order by m.next_at limit p_limit for update skip locked),
  looked as (
    update public.outbox_messages as m
       set next_at = p_now + least(greatest(p_now - m.claimed_at, interval '1 minute'), interval '12 hours')
      from due as d where m.org_id = d.org_id and m.id = d.id
    returning m.*)
  select l.org_id, l.id, l.channel, l.to_address, l.body, l.claimed_at,
         case when s.twilio_account_sid is not null then jsonb_build_object(
           'account_sid', s.twilio_account_sid, 'auth_token_encrypted', s.twilio_auth_token_encrypted) end
    from looked as l left join public.sms_settings as s on s.org_id = l.org_id
   -- After three days nothing new is learnt; it stays unknown and is counted.
   where l.claimed_at > p_now - interval '3 days';
$$;
comment on function private.claim_unknown_messages is
  'Messages that may have been sent, to be looked up at the provider; each again after as long as it has been unknown.';

create function private.record_lookups(p_results jsonb, p_now timestamptz)
returns table (settled integer, unsettled integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_result record;
begin
  settled := 0;
  unsettled := 0;
  perform private.lock_messages(r.org_ids, r.ids)
     from (select array_agg(g.org_id) as org_ids, array_agg(g.id) as ids
             from jsonb_to_recordset(p_results) as g (org_id uuid, id uuid)) as r;
  for v_result in
    select r.* from jsonb_to_recordset(p_results) as r (
      org_id uuid, id uuid, provider_message_id text, provider_status text, error_code text)
     order by r.org_id, r.id
  loop
    -- One message of the provider's answers one of ours.
    if v_result.provider_message_id is not null
       and not exists (select from public.outbox_messages as m
                        where m.provider_message_id = v_result.provider_message_id and m.id <> v_result.id)
       and private.advance_message(v_result.org_id, v_result.id, coalesce(private.status_from_provider(v_result.provider_status), 'sent'),
                                   v_result.error_code, v_result.provider_message_id, p_now) then
      perform private.match_events(v_result.org_id, v_result.id, v_result.provider_message_id, p_now);
      settled := settled + 1;
    else
      unsettled := unsettled + 1;
    end if;
  end loop;
  return next;
end;
$$;
comment on function private.record_lookups is 'Settles unknown messages that the provider knows; what it does not know stays unknown.';

-- An operator's word: the same message again, as a new one that names the first.
create function private.retry_message(p_message_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
  v_id uuid;
begin
  select m.* into v_message from public.outbox_messages as m where m.id = p_message_id for no key update;
  if not found then
    perform private.refuse_message();
  elsif v_message.status not in ('unknown', 'failed', 'undelivered', 'expired', 'cancelled') then
    perform private.fail(409, 'message_not_retryable', 'This message is on its way or has arrived.', 'See its history.');
  elsif exists (select from public.outbox_messages as m where m.org_id = v_message.org_id and m.cause_id = v_message.id and m.cause = 'retry'
                 and m.status in ('pending', 'queued', 'sending', 'sent', 'delivered')) then
    perform private.fail(409, 'message_retried', 'This message has been sent again already.', 'See the later one.');
  end if;
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, schedule_id, template_id, template_key, to_address, subject, body, variables, metadata,
    related_entity_type, related_entity_id, status, priority, scheduled_for, next_at, expires_at, cause_id, cause, created_by, created_at)
  values (
    v_message.org_id, v_message.channel, v_message.kind, v_message.client_id, v_message.booking_id, v_message.schedule_id, v_message.template_id,
    v_message.template_key, v_message.to_address, case when v_message.composed_at is null then v_message.subject end,
    case when v_message.composed_at is null then v_message.body end, v_message.variables, v_message.metadata,
    v_message.related_entity_type, v_message.related_entity_id, 'queued', v_message.priority, p_now, p_now,
    greatest(v_message.expires_at, p_now + interval '1 hour'), v_message.id, 'retry', auth.uid(), p_now)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.retry_message is
  'Sends a message again that did not arrive or may not have; returns the new one. Fails: message_not_found 404, message_not_retryable 409, message_retried 409.';

create function private.refuse_message()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'message_not_found', 'There is no such message.', 'List the messages.');
$$;
comment on function private.refuse_message is 'Refuses an unknown message, or another tenant''s: message_not_found 404.';
