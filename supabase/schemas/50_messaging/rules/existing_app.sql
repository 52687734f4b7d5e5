-- What the existing edge functions call with the secret key: they queue into the same outbox, under the same intents.

-- Their keys name a schedule and a booking, ours its start besides: with it theirs are the same intents, whoever is first.
create function private.insert_sms_direct(
  p_org_id uuid, p_client_id uuid, p_body text, p_scheduled_for timestamptz, p_related_entity_type text, p_related_entity_id uuid,
  p_idempotency_key text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client public.clients;
  v_booking public.bookings;
  v_named text[] := regexp_match(p_idempotency_key, '^(?:sched-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|unconfirmed-24h)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$');
  v_schedule public.sms_schedules;
  v_kind text := 'direct';
  v_key text := p_idempotency_key;
  v_id uuid;
begin
  select c.* into v_client from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
  if v_client.phone_e164 is null or v_client.sms_opt_in is false or not (private.sms_settings_of(p_org_id)).enabled
     or private.is_suppressed(p_org_id, v_client.phone_e164) or coalesce(btrim(p_body), '') = ''
     or p_scheduled_for > now() + interval '29 days' then
    return null;
  end if;
  select b.* into v_booking
    from public.bookings as b
   where b.org_id = p_org_id and b.client_id = p_client_id
     and b.id = coalesce(v_named[2]::uuid, case when p_related_entity_type = 'booking' then p_related_entity_id end);
  if v_named is not null and v_booking.id is not null then
    select s.* into v_schedule from public.sms_schedules as s where s.org_id = p_org_id and s.id = v_named[1]::uuid;
    v_kind := case when v_named[1] is null then 'confirmation_nudge' when v_schedule.type = 'post_session' then 'booking_follow_up'
                   else 'booking_reminder' end;
    v_key := v_key || '-' || extract(epoch from v_booking.start_time)::bigint;
  end if;
  v_id := private.queue_message(
    p_org_id, 'sms', v_kind, p_client_id, v_key, v_booking.id, p_scheduled_for => coalesce(p_scheduled_for, now()),
    -- A reminder is of no use once its session has begun.
    p_expires_at => case when v_kind in ('booking_reminder', 'confirmation_nudge') then v_booking.start_time end,
    p_metadata => case when v_kind = 'direct' then '{}' else jsonb_build_object('start_time', v_booking.start_time) end,
    p_body => left(btrim(p_body), 1600));
  update public.outbox_messages as m
     set schedule_id = v_schedule.id, related_entity_type = p_related_entity_type, related_entity_id = p_related_entity_id
   where m.org_id = p_org_id and m.id = v_id;
  return v_id;
end;
$$;
comment on function private.insert_sms_direct is 'Queues an SMS for the service; null when it is refused or queued already.';

create function private.queue_pending_sms()
returns integer
language sql volatile security definer set search_path = ''
as $$
  with due as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'pending' and m.channel = 'sms' and m.next_at <= now()
       for update skip locked),
  queued as (
    update public.outbox_messages as m set status = 'queued', updated_at = now()
      from due as d where m.org_id = d.org_id and m.id = d.id
    returning 1)
  select count(*)::integer from queued;
$$;
comment on function private.queue_pending_sms is 'Marks SMS whose time has come as queued; returns how many.';
