-- Claiming: what may be sent now, by any number of workers. A claim is a lease with a fencing token: a result must name it, and a lease
-- that runs out leaves the message unknown, since it may have been sent.
-- Lock order: messages (skipping what others hold), then the organisations' counters, each behind one of 64 advisory locks: an
-- organisation has one whether it has saved settings or not, and no batch can fill the server's table of locks. A claim waits for
-- them only before it holds any; later rounds pass over what another claim is counting.

create function private.claim_messages(
  p_worker text, p_limit integer, p_channels text[], p_lease interval, p_now timestamptz)
returns table (
  org_id uuid, id uuid, claim uuid, attempt_number integer, channel text, kind text, to_phone text, to_email text, to_tokens text[],
  from_name text, subject text, body text, data jsonb, event jsonb, account jsonb, lease_until timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_claimed uuid[] := '{}';
  v_passed uuid[] := '{}';
  v_take record;
  v_open text[];
  v_braked jsonb;
begin
  perform private.expire_leases(p_now);
  -- What a brake stops is not claimed and stays due.
  select coalesce(array_agg(c.channel), '{}'), jsonb_object_agg(c.channel, to_jsonb(private.braked_orgs(c.channel)))
    into v_open, v_braked
    from unnest('{sms,email,push}'::text[]) as c (channel)
   where (p_channels is null or c.channel = any (p_channels)) and not private.is_braked(c.channel);
  -- Messages that may not go now are settled or put off, and others looked at instead: an answer with none means that none may go.
  for v_round in 1 .. 20 loop
    select array_agg(d.id) into v_ids
      from (select x.id
              from (select m.id, m.priority, m.next_at from public.outbox_messages as m
                     where m.status in ('pending', 'queued') and m.priority = 0 and m.next_at <= p_now
                       and m.channel = any (v_open) and not v_braked -> m.channel ? m.org_id::text
                       and not (m.channel = 'sms' and m.org_id = any (v_passed))
                     order by m.next_at limit p_limit for update skip locked) as x
            union all
            select x.id
              from (select m.id from public.outbox_messages as m
                     where m.status in ('pending', 'queued') and m.priority = 1 and m.next_at <= p_now
                       and m.channel = any (v_open) and not v_braked -> m.channel ? m.org_id::text
                       and not (m.channel = 'sms' and m.org_id = any (v_passed))
                     order by m.next_at limit p_limit for update skip locked) as x
             limit p_limit - cardinality(v_claimed)) as d;
    exit when v_ids is null;
    v_take := private.take_messages(v_ids, p_worker, p_lease, p_now, v_round = 1);
    v_claimed := v_claimed || v_take.taken;
    v_passed := v_passed || v_take.passed;
    exit when cardinality(v_claimed) >= p_limit;
  end loop;

  return query
  select m.org_id, m.id, m.claim, m.attempts, m.channel, m.kind,
         case when m.channel = 'sms' then m.to_address end, case when m.channel = 'email' then m.to_address end,
         case when m.channel = 'push' then (
           select array_agg(t.expo_token order by t.expo_token) from public.push_tokens as t where t.org_id = m.org_id and t.client_id = m.client_id) end,
         coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = m.org_id), o.name),
         m.subject, m.body, m.metadata -> 'data',
         case when m.channel = 'email' and m.kind in ('booking_confirmation', 'booking_rescheduled', 'booking_cancelled', 'booking_reminder')
              then (select private.booking_event(k, false) from public.bookings as k where k.org_id = m.org_id and k.id = m.booking_id) end,
         case when m.channel = 'sms' and s.twilio_account_sid is not null then jsonb_build_object(
           'account_sid', s.twilio_account_sid, 'auth_token_encrypted', s.twilio_auth_token_encrypted,
           'messaging_service_sid', s.twilio_messaging_service_sid, 'phone_number', s.twilio_phone_number) end,
         m.next_at
    from public.outbox_messages as m
    join public.orgs as o on o.id = m.org_id
    left join public.sms_settings as s on s.org_id = m.org_id
   where m.id = any (v_claimed)
   order by m.priority, m.scheduled_for, m.id;
end;
$$;
comment on function private.claim_messages is
  'Claims what may be sent now and returns it ready to carry; messages that never can be are settled on the way.';

-- Of the locked messages: settles those with an obstacle, puts off those that must wait, claims the rest. Returns what it claimed.
create function private.take_messages(
  p_ids uuid[], p_worker text, p_lease interval, p_now timestamptz, p_is_waiting boolean, out taken uuid[], out passed uuid[])
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_ids uuid[];
  v_settled uuid[];
  v_reasons text[];
  v_full uuid[];
begin
  -- One claim at a time counts towards an organisation's limits.
  with counted as materialized (
    select c.org_id, private.lock_counter(c.bucket, p_is_waiting) as is_mine
      from (select distinct m.org_id, pg_catalog.hashtext(m.org_id::text) & 63 as bucket
              from public.outbox_messages as m where m.id = any (p_ids) and m.channel = 'sms'
             order by bucket) as c)
  select array_agg(m.id) filter (where m.channel <> 'sms' or c.is_mine), coalesce(array_agg(distinct m.org_id) filter (where not c.is_mine), '{}')
    into v_ids, passed
    from public.outbox_messages as m
    left join counted as c on c.org_id = m.org_id
   where m.id = any (p_ids);

  with looked as materialized (
    select m.booking_id, m.metadata, m.org_id, m.id, m.channel, m.kind, m.client_id, m.priority, m.next_at, m.expires_at,
           -- An address that was given stays; a client's is the one they have now.
           case when m.kind = 'coach_notice' or m.client_id is null then m.to_address
                when m.channel = 'sms' then c.phone_e164
                when m.channel = 'email' then nullif(btrim(c.email), '') end as address,
           coalesce(c.sms_reminder_enabled, true) as takes_reminders, coalesce(c.sms_followup_enabled, true) as takes_follow_ups,
           case m.channel when 'sms' then c.sms_opt_in when 'email' then c.email_opt_in end is false and m.kind <> 'coach_notice' as is_opted_out,
           case when m.kind in ('series_booked', 'series_moved') then case when not exists (
                  select from public.bookings as x
                   where x.org_id = m.org_id and x.series_id = b.series_id and x.status in ('pending', 'confirmed') and x.start_time > p_now)
                  then 'booking_cancelled' end
                when m.kind not in ('booking_confirmation', 'booking_reminder', 'confirmation_nudge', 'booking_rescheduled', 'booking_follow_up') then null
                when b.status in ('cancelled', 'no_show') then 'booking_' || b.status
                when (m.metadata ->> 'start_time')::timestamptz <> b.start_time then 'booking_moved' end as change
      from public.outbox_messages as m
      left join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
      left join public.bookings as b on b.org_id = m.org_id and b.id = m.booking_id
     where m.id = any (v_ids)),
  settings as materialized (
    select x.settings, x.org_id, (x.settings).quiet_hours_start, (x.settings).quiet_hours_end, x.timezone
      from (select o.org_id, coalesce(b.timezone, private.org_timezone(o.org_id)) as timezone,
                   case when s.org_id is null then private.sms_settings_of(o.org_id) else s end as settings
              from (select distinct l.org_id from looked as l) as o
              left join public.sms_settings as s on s.org_id = o.org_id
              left join public.booking_settings as b on b.org_id = o.org_id) as x),
  -- Organisations are many, clocks few.
  clocks as materialized (
    select z.*,
           -- What could still be on its way when they begin waits too.
           coalesce(private.quiet_until(z.timezone, z.quiet_hours_start, z.quiet_hours_end, p_now),
                    private.quiet_until(z.timezone, z.quiet_hours_start, z.quiet_hours_end, p_now + p_lease)) as quiet_until,
           private.local_to_instant(z.timezone, (p_now at time zone z.timezone)::date::timestamp) as day_start,
           private.local_to_instant(z.timezone, ((p_now at time zone z.timezone)::date + 1)::timestamp) as day_end
      from (select distinct s.timezone, s.quiet_hours_start, s.quiet_hours_end from settings as s) as z),
  orgs as materialized (
    select s.org_id, s.settings, (s.settings).enabled, (s.settings).max_sms_per_client_per_day, (s.settings).urgent_kinds,
           coalesce((s.settings).twilio_account_sid, '') as account, c.day_start, c.day_end, c.quiet_until,
           (s.settings).max_sms_per_hour - h.sent as hour_left, coalesce(h.oldest_at, p_now) + interval '1 hour' as room_at
      from settings as s
     cross join lateral (
       select count(*) as sent, min(x.claimed_at) as oldest_at
         from (select m.claimed_at from public.outbox_messages as m
                where m.org_id = s.org_id and m.channel = 'sms' and m.claimed_at > p_now - interval '1 hour'
                  and (s.settings).max_sms_per_hour is not null
                order by m.claimed_at desc limit (s.settings).max_sms_per_hour) as x) as h
      join clocks as c on c.timezone = s.timezone
       and (c.quiet_hours_start, c.quiet_hours_end) is not distinct from (s.quiet_hours_start, s.quiet_hours_end)),
  days as materialized (
    select l.org_id, l.client_id, d.sent
      from (select distinct x.org_id, x.client_id from looked as x where x.channel = 'sms') as l
      join orgs as o on o.org_id = l.org_id and o.max_sms_per_client_per_day is not null
     cross join lateral (
       select count(*) as sent
         from (select from public.outbox_messages as m
                where m.org_id = l.org_id and m.client_id = l.client_id and m.channel = 'sms' and m.claimed_at >= o.day_start
                  and m.kind <> 'coach_notice'
                  -- Nothing is queued longer ahead than this.
                  and m.created_at >= o.day_start - interval '30 days'
                limit o.max_sms_per_client_per_day) as x) as d),
  judged as (
    select l.*, o.account, o.quiet_until, o.hour_left, o.room_at, o.day_end,
           o.max_sms_per_client_per_day - coalesce(d.sent, 0) as day_left, p.until_at as provider_until,
           case
             when l.change is not null then l.change
             when l.expires_at <= p_now then 'too_late'
             when l.channel = 'sms' and not o.enabled then 'messaging_off'
             when l.kind in ('booking_reminder', 'confirmation_nudge') and not l.takes_reminders
               or l.kind = 'booking_follow_up' and not l.takes_follow_ups then 'switched_off'
             when l.channel = 'push' then
               case when not exists (select from public.push_tokens as t where t.org_id = l.org_id and t.client_id = l.client_id) then 'no_address' end
             when l.address is null then 'no_address'
             when l.is_opted_out then 'opted_out'
             when x.phone is not null then 'suppressed'
           end as obstacle,
           l.channel = 'sms' and o.quiet_until is not null
             and not (l.kind = any (o.urgent_kinds) and private.is_urgent(l.org_id, l.kind, l.booking_id, l.metadata, o.urgent_kinds, p_now)) as is_quiet
      from looked as l
      join orgs as o on o.org_id = l.org_id
      left join days as d on d.org_id = l.org_id and d.client_id = l.client_id and l.channel = 'sms' and l.kind <> 'coach_notice'
      left join private.provider_limits as p
        on p.provider = private.provider_of(l.channel) and p.account = case when l.channel = 'sms' then o.account else '' end and p.until_at > p_now
      left join public.sms_suppression as x on x.org_id = l.org_id and x.phone = l.address and l.channel = 'sms'),
  ranked as (
    select j.*, j.obstacle is null and j.provider_until is null and not j.is_quiet as is_free,
           row_number() over (partition by j.org_id, j.channel, j.obstacle is null and j.provider_until is null and not j.is_quiet
                              order by j.priority, j.next_at, j.id) as nth_of_org,
           row_number() over (partition by j.org_id, case when j.kind = 'coach_notice' then j.id else coalesce(j.client_id, j.id) end, j.channel,
                                           j.obstacle is null and j.provider_until is null and not j.is_quiet
                              order by j.priority, j.next_at, j.id) as nth_of_client
      from judged as j),
  decided as materialized (
    select r.*,
           case when r.obstacle is not null then r.obstacle
                when r.is_quiet and r.quiet_until >= r.expires_at then 'quiet_hours'
                when r.is_free and r.channel = 'sms' and r.kind <> 'coach_notice' and r.nth_of_client > r.day_left and r.day_end >= r.expires_at
                then 'client_limit' end as reason,
           case when r.is_quiet then r.quiet_until
                when r.provider_until is not null then r.provider_until
                when r.channel <> 'sms' then null
                when r.nth_of_org > r.hour_left then r.room_at
                when r.nth_of_client > r.day_left and r.kind <> 'coach_notice' then r.day_end end as wait_until
      from ranked as r),
  waiting as (
    update public.outbox_messages as m
       set status = 'queued', next_at = least(d.wait_until, d.expires_at), updated_at = p_now
      from decided as d
     where m.org_id = d.org_id and m.id = d.id and d.reason is null and d.wait_until is not null),
  taken as (
    update public.outbox_messages as m
       set status = 'sending', claim = gen_random_uuid(), claimed_at = p_now, worker = p_worker, attempts = m.attempts + 1,
           next_at = p_now + p_lease, to_address = d.address, error_code = null, updated_at = p_now,
           provider_account = case when m.channel = 'sms' then d.account end
      from decided as d
     where m.org_id = d.org_id and m.id = d.id and d.reason is null and d.wait_until is null
    returning m.id)
  select (select coalesce(array_agg(t.id), '{}') from taken as t), array_agg(d.id) filter (where d.reason is not null),
         array_agg(d.reason) filter (where d.reason is not null),
         coalesce(array_agg(distinct d.org_id) filter (where d.is_free and d.nth_of_org > d.hour_left), '{}')
    into taken, v_settled, v_reasons, v_full
    from decided as d;
  passed := passed || v_full;

  -- The words of this moment, for those that have none of their own.
  update public.outbox_messages as m
     set subject = w.subject, body = w.body, template_id = w.template_id, composed_at = case when x.body is null then p_now end
    from public.outbox_messages as x
   cross join lateral private.compose(x) as w
   where x.id = any (taken) and (x.body is null or x.channel = 'email' and x.subject is null) and m.org_id = x.org_id and m.id = x.id;

  perform private.settle_unsent(m.org_id, m.id, s.reason, p_now)
     from unnest(v_settled, v_reasons) as s (id, reason)
     join public.outbox_messages as m on m.id = s.id;
end;
$$;
comment on function private.take_messages is
  'Decides for each locked message: settled, put off, or claimed. {taken: the claimed, passed: organisations whose SMS this claim leaves alone}.';

create function private.lock_counter(p_bucket integer, p_is_waiting boolean)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_is_waiting then
    perform pg_catalog.pg_advisory_xact_lock(50, p_bucket);
    return true;
  end if;
  return pg_catalog.pg_try_advisory_xact_lock(50, p_bucket);
end;
$$;
comment on function private.lock_counter is 'Lets one claim count towards the limits of a bucket''s organisations; false where another does and it is not to wait.';

create function private.is_urgent(
  p_org_id uuid, p_kind text, p_booking_id uuid, p_metadata jsonb, p_urgent_kinds text[], p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_kind = any (p_urgent_kinds) and exists (
    select from public.bookings as b
     where b.org_id = p_org_id and b.id = p_booking_id
       and least(b.start_time, coalesce((p_metadata ->> 'previous_start')::timestamptz, b.start_time)) <= p_now + interval '1 hour');
$$;
comment on function private.is_urgent is 'True for a kind that the organisation exempts from quiet hours, of a session within the hour.';

-- Ends a message that nobody was asked to send, and stands an email in for it where that helps.
create function private.settle_unsent(p_org_id uuid, p_message_id uuid, p_reason text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_status text := case when p_reason in ('too_late', 'quiet_hours', 'client_limit') then 'expired'
                        when p_reason in ('no_address', 'opted_out', 'suppressed') then 'failed' else 'cancelled' end;
begin
  update public.outbox_messages as m
     set status = v_status, error_code = p_reason, updated_at = p_now, failed_at = case when v_status = 'failed' then p_now end
   where m.org_id = p_org_id and m.id = p_message_id;
  if v_status in ('failed', 'expired') then
    perform private.fall_back(p_org_id, p_message_id, p_now);
  end if;
end;
$$;
comment on function private.settle_unsent is
  'Ends a message without an attempt: expired (too_late, quiet_hours, client_limit), cancelled (messaging_off, switched_off, booking_moved, booking_cancelled, booking_no_show), failed (no_address, opted_out, suppressed).';

-- Once per message (a unique index), and only while it is still of use.
create function private.fall_back(p_org_id uuid, p_message_id uuid, p_now timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, schedule_id, template_key, subject, body, variables, metadata, related_entity_type,
    related_entity_id, status, priority, scheduled_for, next_at, expires_at, idempotency_key, cause_id, cause, created_by, created_at)
  select m.org_id, 'email', m.kind, m.client_id, m.booking_id, m.schedule_id, m.template_key, case when m.composed_at is null then m.subject end,
         -- Composed anew: an email cannot be answered with Y.
         case when m.composed_at is null then m.body end, m.variables, m.metadata,
         m.related_entity_type, m.related_entity_id, 'queued', m.priority, p_now, p_now, m.expires_at, null, m.id, 'fallback', m.created_by, p_now
    from public.outbox_messages as m
    join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
   where m.org_id = p_org_id and m.id = p_message_id and m.channel = 'sms' and m.kind not in ('coach_notice', 'marketing')
     and m.status in ('failed', 'undelivered') and m.expires_at > p_now
     and c.email like '%@%' and c.email_opt_in is distinct from false
     and (private.sms_settings_of(p_org_id)).falls_back_to_email
     -- The client has the email already where its kind is sent both ways.
     and not exists (select from private.stand_ins(m) as e where e.channel = 'email')
  on conflict (org_id, cause_id) where cause = 'fallback' do nothing
  returning id into v_id;
  if v_id is null then
    perform private.raise_alert(m.org_id, 'client_not_told', m.client_id, null, m.booking_id)
      from public.outbox_messages as m
     where m.org_id = p_org_id and m.id = p_message_id and m.kind in ('booking_cancelled', 'booking_rescheduled', 'series_moved', 'series_ended')
       and not exists (select from private.stand_ins(m) as e
                        where e.status in ('pending', 'queued', 'sending', 'sent', 'delivered', 'unknown'));
  end if;
  return v_id;
end;
$$;
comment on function private.fall_back is
  'Sends by email what an SMS did not bring, once; where that cannot be and the client should know, the coach is alerted.';

-- Its twin of the other channel, what it stands in for or was repeated from, and what stands in for these: one intent, however often told.
create function private.stand_ins(p_message public.outbox_messages)
returns setof public.outbox_messages
language sql stable security definer set search_path = ''
as $$
  with recursive back as (
    select p_message.id, p_message.cause_id, p_message.idempotency_key
    union
    select m.id, m.cause_id, m.idempotency_key
      from back as b join public.outbox_messages as m on m.org_id = p_message.org_id and m.id = b.cause_id),
  family as (
    select b.id from back as b
    union
    select m.id from back as b
      join public.outbox_messages as m
        on m.org_id = p_message.org_id and m.idempotency_key in (b.idempotency_key || '-email', regexp_replace(b.idempotency_key, '-email$', ''))
    union
    select m.id from family as f join public.outbox_messages as m on m.org_id = p_message.org_id and m.cause_id = f.id)
  select m.* from public.outbox_messages as m
   where m.org_id = p_message.org_id and m.id in (select f.id from family as f) and m.id <> p_message.id;
$$;
comment on function private.stand_ins is 'The other messages that tell the same: by email, instead of it, or again.';

-- A lease that ran out: the worker may have died before the provider, or after it.
create function private.expire_leases(p_now timestamptz)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_expired integer;
begin
  with lost as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'sending' and m.next_at <= p_now
     order by m.next_at limit 1000 for update skip locked),
  gone as (
    update public.outbox_messages as m
       set status = 'unknown', error_code = 'lease_expired', next_at = p_now + interval '1 minute', updated_at = p_now
      from lost as l where m.org_id = l.org_id and m.id = l.id
    returning m.*),
  tried as (
    insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, status, error_code)
    select g.org_id, g.id, g.attempts, g.claim, private.provider_of(g.channel), 'unknown', 'lease_expired' from gone as g
    on conflict (org_id, message_id, claim) do nothing)
  select count(*)::integer into v_expired from gone;
  return v_expired;
end;
$$;
comment on function private.expire_leases is 'Marks as unknown what was claimed and never reported; returns how many.';

create function private.provider_of(p_channel text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case p_channel when 'sms' then 'twilio' when 'email' then 'smtp' else 'expo' end;
$$;
comment on function private.provider_of is 'Who carries a channel.';
