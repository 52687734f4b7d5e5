-- Reminders: what an organisation's schedules ask for, queued a day ahead so that one that falls into quiet hours can leave before
-- them. One message for each schedule, booking and start: moving a booking makes it another intent.

-- Of no use in the last minutes: half the offset, at most half an hour, before the start.
create function private.sweep_reminders(p_limit integer, p_now timestamptz, p_dry_run boolean)
returns table (queued integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  with wanted as materialized (
    select b.org_id, b.id as booking_id, b.client_id, b.start_time, x.id as schedule_id, 'booking_reminder' as kind,
           'sched-' || x.id || '-' || b.id || '-' || extract(epoch from b.start_time)::bigint as key,
           b.start_time - make_interval(mins => x.mins_offset) as wanted_at,
           b.start_time - least(make_interval(mins => x.mins_offset) / 2, interval '30 minutes') as expires_at, b.timed_at
      from public.sms_schedules as x
      join public.bookings as b
        on b.org_id = x.org_id and b.start_time > p_now
       and b.start_time <= p_now + make_interval(mins => x.mins_offset) + interval '1 day'
     where x.enabled and x.type = 'pre_session' and b.status = 'confirmed'
    union all
    select b.org_id, b.id, b.client_id, b.start_time, x.id, 'booking_follow_up',
           'sched-' || x.id || '-' || b.id || '-' || extract(epoch from b.start_time)::bigint,
           b.end_time + make_interval(mins => x.mins_offset), b.end_time + make_interval(mins => x.mins_offset) + interval '1 day', b.timed_at
      from public.sms_schedules as x
      join public.bookings as b
        on b.org_id = x.org_id and b.end_time <= p_now and b.start_time <= p_now
       and b.start_time > p_now - make_interval(mins => x.mins_offset) - interval '2 days'
     where x.enabled and x.type = 'post_session' and b.status in ('confirmed', 'completed')
       and b.end_time + make_interval(mins => x.mins_offset) between p_now - interval '12 hours' and p_now + interval '1 day'
    union all
    select b.org_id, b.id, b.client_id, b.start_time, null, 'confirmation_nudge', 'unconfirmed-24h-' || b.id || '-' || extract(epoch from b.start_time)::bigint,
           greatest(b.confirmation_sent_at, b.timed_at) + interval '24 hours', b.start_time - interval '2 hours', b.timed_at
      from public.bookings as b
     where b.status = 'confirmed' and b.confirmation_sent_at is not null and b.client_confirmed is not true
       and b.start_time > p_now + interval '2 hours' and b.confirmation_sent_at <= p_now - interval '24 hours'
       and b.timed_at <= p_now - interval '24 hours'),
  due as materialized (
    select w.*, private.message_allowed_at(w.org_id, 'sms', w.wanted_at, w.expires_at, p_now) as allowed_at
      from wanted as w
      join public.clients as c on c.org_id = w.org_id and c.id = w.client_id
     cross join lateral private.sms_settings_of(w.org_id) as s
     where s.enabled and w.expires_at > p_now
       -- A booking made or moved inside the window gets no stale reminder.
       and (w.kind = 'confirmation_nudge' or w.wanted_at >= w.timed_at)
       and (case w.kind when 'booking_reminder' then coalesce(s.send_session_reminders, true) and c.sms_reminder_enabled
                        when 'booking_follow_up' then coalesce(s.send_feedback_requests, true) and c.sms_followup_enabled
                        else s.send_unconfirmed_nudges and c.sms_reminder_enabled end)
       and not exists (select from public.outbox_messages as m where m.org_id = w.org_id and m.idempotency_key = w.key)
     order by w.wanted_at limit p_limit),
  made as (
    insert into public.outbox_messages (
      org_id, channel, kind, client_id, booking_id, schedule_id, status, scheduled_for, next_at, expires_at, idempotency_key, metadata, created_at)
    select d.org_id, 'sms', d.kind, d.client_id, d.booking_id, d.schedule_id,
           case when coalesce(d.allowed_at, d.wanted_at) <= p_now then 'queued' else 'pending' end,
           d.wanted_at, coalesce(d.allowed_at, d.wanted_at), d.expires_at, d.key, jsonb_build_object('start_time', d.start_time), p_now
      from due as d where not p_dry_run
    on conflict (org_id, idempotency_key) do nothing
    returning 1)
  select case when p_dry_run then (select count(*) from due) else (select count(*) from made) end::integer,
         case when p_dry_run then 0 else (select count(*) from due) - (select count(*) from made) end::integer
    into queued, skipped;
  return next;
end;
$$;
comment on function private.sweep_reminders is
  'Queues reminders, follow-ups and nudges that are wanted within a day; skipped were queued by another sweep meanwhile.';
