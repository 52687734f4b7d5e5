-- What clients answer, by one handler: whose organisation, whose client, what it means. What cannot be told is said, never guessed.

create function private.inbound_meaning(p_body text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case
    when w.word in ('stop', 'stopall', 'unsubscribe', 'end', 'quit', 'optout', 'opt out', 'revoke') then 'opt_out'
    -- The carrier takes these for an opt-out; the client meant the session.
    when w.word in ('cancel', 'cancel session', 'cancel booking') then 'cancel'
    when w.word in ('start', 'unstop') then 'opt_in'
    when w.word in ('help', 'info') then 'help'
    when w.word in ('y', 'yes', 'yep', 'yeah', 'yup', 'ok', 'okay', 'confirm', 'confirmed', 'i confirm', 'yes please', 'yes thanks', 'yes thank you', 'y thanks') then 'confirm'
    when w.word in ('r', 'reschedule', 'reschedule please', 'please reschedule', 'r please') then 'reschedule'
    else 'message' end
    -- Punctuation and pictures say nothing; a figure or a letter of any alphabet does ("ok 5:30?", "нет ok"). Ranges, since what counts
    -- as a letter would depend on the database's locale.
    from (select btrim(regexp_replace(lower(normalize(coalesce(p_body, ''), nfkc)),
                   U&'[\0001-\002F\003A-\0060\007B-\00BF\02B0-\036F\2000-\2BFF\3000-\3003\FE00-\FE0F\FEFF\+01F000-\+01FAFF\+0E0000-\+0E01EF]+', ' ', 'g'))
                   as word) as w;
$$;
comment on function private.inbound_meaning is 'What the whole text says: opt_out, cancel, opt_in, help, confirm, reschedule, or message.';

-- Whoever holds a Twilio account's token can sign what they like for it: an account speaks for the organisations that send through
-- it, and the platform's for the others.
create function private.inbound_orgs(p_to text, p_from text, p_account_sid text)
returns uuid[]
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_account text := coalesce((select s.twilio_account_sid from public.sms_settings as s where s.twilio_account_sid = p_account_sid limit 1), '');
  v_ids uuid[] := array(select s.org_id from public.sms_settings as s
                         where s.twilio_phone_number = p_to and coalesce(s.twilio_account_sid, '') = v_account);
begin
  if cardinality(v_ids) = 1 then
    return v_ids;
  end if;
  return array(
    select m.org_id
      from public.outbox_messages as m
     where m.channel = 'sms' and m.to_address = p_from and m.claimed_at is not null and m.provider_account = v_account
       and m.status in ('sending', 'sent', 'delivered', 'undelivered', 'unknown') and (v_ids = '{}' or m.org_id = any (v_ids))
     group by m.org_id
     order by max(m.claimed_at) desc);
end;
$$;
comment on function private.inbound_orgs is
  'Whose message an incoming SMS is: the organisation of that number, or all that wrote to this phone from a shared one, the last first.';

create function private.receive_sms(
  p_message_sid text, p_account_sid text, p_to text, p_from text, p_body text, p_media_count integer, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_meaning text := private.inbound_meaning(p_body);
  -- Also where a plus was lost on the way, or a number came as people dial it.
  v_to text := coalesce(private.e164(p_to, 'AU'), p_to);
  v_from text := coalesce(private.e164(p_from, 'AU'), p_from);
  v_answer jsonb;
  v_org_ids uuid[];
begin
  insert into private.inbound_sids (message_sid, received_at) values (p_message_sid, p_now)
  on conflict (message_sid) do nothing;
  if not found then
    -- Whoever was first has committed: the same answer, and no effect.
    return (select i.answer from private.inbound_sids as i where i.message_sid = p_message_sid);
  end if;
  v_org_ids := private.inbound_orgs(v_to, v_from, p_account_sid);
  if v_org_ids = '{}' then
    v_answer := private.outcome('org_unknown', '{"reply": null}');
  else
    v_answer := private.answer_sms(v_org_ids[1], v_meaning, p_message_sid, v_to, v_from, p_body, p_media_count, p_now);
    -- One number, several senders: the carrier's opt-out is the number's.
    if v_meaning in ('opt_out', 'cancel') then
      perform private.suppress(o.id, v_from, 'opt_out') from unnest(v_org_ids[2:]) as o (id);
    elsif v_meaning = 'opt_in' then
      delete from public.sms_suppression as s where s.org_id = any (v_org_ids[2:]) and s.phone = v_from and s.reason = 'opt_out';
    end if;
  end if;
  update private.inbound_sids as i set answer = v_answer where i.message_sid = p_message_sid;
  return v_answer;
end;
$$;
comment on function private.receive_sms is 'Takes in an SMS once: {outcome, reply}; reply is the text to answer, or null.';

create function private.answer_sms(
  p_org_id uuid, p_meaning text, p_message_sid text, p_to text, p_from text, p_body text, p_media_count integer, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client_ids uuid[] := array(select c.id from public.clients as c where c.org_id = p_org_id and c.phone_e164 = p_from order by c.created_at, c.id);
  v_client_id uuid := case when cardinality(v_client_ids) = 1 then v_client_ids[1] end;
  v_booking public.bookings;
  v_kind text;
  v_reply text;
  v_text text := coalesce(nullif(btrim(p_body, e' \t\r\n'), ''), case when p_media_count > 0 then '(a picture or file)' else '(no text)' end);
begin
  -- Whoever it is: an opt-out is the number's.
  if p_meaning in ('opt_out', 'cancel') then
    perform private.suppress(p_org_id, p_from, 'opt_out', v_client_id);
  elsif p_meaning = 'opt_in' then
    delete from public.sms_suppression as s where s.org_id = p_org_id and s.phone = p_from and s.reason = 'opt_out';
  end if;

  if p_meaning = 'help' then
    v_kind := 'help';
    v_reply := format('%s: reply Y to confirm your next session, R to reschedule it, STOP to end these messages.',
                      (select o.name from public.orgs as o where o.id = p_org_id));
  elsif p_meaning = 'opt_out' then
    v_kind := 'opted_out';
  elsif p_meaning = 'opt_in' then
    v_kind := 'opted_in';
  elsif v_client_id is null then
    -- Two clients share the phone, or nobody has it: the coach is told, nothing is guessed.
    v_kind := case when v_client_ids = '{}' then 'sender_unknown' else 'ambiguous' end;
    if v_kind = 'ambiguous' then
      perform private.raise_alert(p_org_id, 'sms_sender_ambiguous', v_client_ids[1], null, null);
    end if;
  elsif p_meaning = 'confirm' then
    select b.* into v_booking
      from public.bookings as b
     where b.org_id = p_org_id and b.client_id = v_client_id and b.status = 'confirmed' and b.start_time > p_now - interval '2 hours'
       and b.confirmation_sent_at is not null and b.client_confirmed is not true
     -- One that has just begun is meant only where nothing is ahead.
     order by b.start_time <= p_now, b.start_time limit 1
       for no key update;
    v_kind := case when v_booking.id is null then 'nothing_to_confirm' else 'confirmed' end;
    update public.bookings as b set client_confirmed = true where b.org_id = p_org_id and b.id = v_booking.id;
    v_reply := 'Thank you, your session on ' || private.org_datetime_text(p_org_id, v_booking.start_time) || ' is confirmed.';
  else
    v_kind := case p_meaning when 'reschedule' then 'reschedule_requested' when 'cancel' then 'cancel_requested' else 'message' end;
    if p_meaning in ('reschedule', 'cancel') then
      select b.* into v_booking
        from public.bookings as b
       where b.org_id = p_org_id and b.client_id = v_client_id and b.status in ('pending', 'confirmed') and b.start_time > p_now
       order by b.confirmation_sent_at is null, b.start_time limit 1;
      perform private.raise_alert(p_org_id, v_kind, v_client_id, null, v_booking.id);
      if p_meaning = 'reschedule' then
        v_reply := 'Thank you, your coach will be in touch about another time.';
      end if;
    end if;
  end if;

  if p_meaning <> 'help' and not private.may_answer(p_org_id, p_from, p_now) then
    v_reply := null;
  end if;
  insert into public.inbound_messages (
    org_id, client_id, booking_id, from_phone, to_phone, body, media_count, kind, provider_message_id, received_at)
  values (p_org_id, v_client_id, v_booking.id, p_from, p_to, left(coalesce(p_body, ''), 10000), coalesce(p_media_count, 0), v_kind, p_message_sid, p_now);
  if v_client_id is not null then
    perform private.log_communication(p_org_id, v_client_id, 'sms', 'inbound', v_text, null);
    if v_kind in ('message', 'nothing_to_confirm', 'reschedule_requested', 'cancel_requested') then
      insert into public.messages (org_id, thread_id, sender_type, body, created_at)
      values (p_org_id, private.thread_of(p_org_id, v_client_id), 'client', left(v_text, 10000), p_now);
    end if;
    if v_reply is not null then
      perform private.log_communication(p_org_id, v_client_id, 'sms', 'outbound', v_reply, null);
    end if;
  end if;
  return private.outcome(v_kind, jsonb_build_object('reply', v_reply));
end;
$$;
comment on function private.answer_sms is 'What an SMS does in its organisation, and the answer: {outcome, reply}.';

-- The answer is an SMS like any other: none while messaging is off, to a suppressed number, or inside quiet hours. Carriers want HELP
-- answered always.
create function private.may_answer(p_org_id uuid, p_phone text, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select s.enabled
         and not private.is_quiet(private.org_timezone(p_org_id), s.quiet_hours_start, s.quiet_hours_end, p_now)
         and not exists (select from public.sms_suppression as x where x.org_id = p_org_id and x.phone = p_phone)
    from private.sms_settings_of(p_org_id) as s;
$$;
comment on function private.may_answer is 'True when an SMS may be answered by one at once.';
