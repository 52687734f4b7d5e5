-- Queueing: an intent becomes a message once, at the time it is wanted, and is cancelled when what it is about changes.

create function private.sms_settings_of(p_org_id uuid)
returns public.sms_settings
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.sms_settings;
begin
  select s.* into v_settings from public.sms_settings as s where s.org_id = p_org_id;
  if not found then
    v_settings := jsonb_populate_record(null::public.sms_settings, jsonb_build_object(
      'org_id', p_org_id, 'enabled', true, 'quiet_hours_start', 21, 'quiet_hours_end', 8, 'max_sms_per_hour', 100,
      'max_sms_per_client_per_day', 5, 'send_booking_confirmations', true, 'send_session_reminders', true,
      'send_feedback_requests', true, 'send_unconfirmed_nudges', true, 'low_package_sessions', 0, 'falls_back_to_email', true,
      'urgent_kinds', jsonb_build_array(), 'locale', 'en-AU', 'phone_region', 'AU'));
  end if;
  return v_settings;
end;
$$;
comment on function private.sms_settings_of is 'An organisation''s messaging settings as they are in force: the defaults where no row exists.';

-- p_expires_at null: of use for a day. Returns null when the intent is a message already.
create function private.queue_message(
  p_org_id uuid, p_channel text, p_kind text, p_client_id uuid, p_idempotency_key text, p_booking_id uuid default null,
  p_scheduled_for timestamptz default now(), p_expires_at timestamptz default null, p_metadata jsonb default '{}',
  p_to_address text default null, p_body text default null, p_subject text default null, p_template_key text default null,
  p_variables jsonb default '{}', p_created_by uuid default null, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_expires_at timestamptz := coalesce(p_expires_at, greatest(p_scheduled_for, p_now) + interval '1 day');
  v_allowed_at timestamptz := case
    when private.is_urgent(p_org_id, p_kind, p_booking_id, p_metadata, (private.sms_settings_of(p_org_id)).urgent_kinds, p_now) then p_scheduled_for
    else private.message_allowed_at(p_org_id, p_channel, p_scheduled_for, v_expires_at, p_now) end;
  v_id uuid;
begin
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, template_key, to_address, subject, body, variables, metadata, status, priority,
    scheduled_for, next_at, expires_at, idempotency_key, created_by, created_at)
  select p_org_id, p_channel, p_kind, p_client_id, p_booking_id, p_template_key, p_to_address, p_subject, p_body, p_variables, p_metadata,
         case when coalesce(v_allowed_at, p_scheduled_for) <= p_now then 'queued' else 'pending' end, k.priority,
         p_scheduled_for, coalesce(v_allowed_at, p_scheduled_for), v_expires_at, p_idempotency_key, p_created_by, p_now
    from private.message_kinds as k where k.kind = p_kind
  on conflict (org_id, idempotency_key) do nothing
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.queue_message is
  'Puts a message into the outbox and returns its id; null when its intent (idempotency key) has one already.';

-- Where no time is left it keeps the wanted one: the claim then says that it expired.
create function private.message_allowed_at(
  p_org_id uuid, p_channel text, p_wanted_at timestamptz, p_expires_at timestamptz, p_now timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case when p_channel = 'sms' then private.allowed_at(
           private.org_timezone(p_org_id), s.quiet_hours_start, s.quiet_hours_end, greatest(p_wanted_at, p_now), p_expires_at, p_now)
         else p_wanted_at end
    from private.sms_settings_of(p_org_id) as s;
$$;
comment on function private.message_allowed_at is 'When a message may leave by the organisation''s quiet hours, which bind SMS alone; null when never in time.';

-- Quiet hours or the timezone change: what waits is timed anew. What is being claimed at this moment is asked again there.
create function private.retime_messages(p_org_id uuid, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.outbox_messages as m
     set next_at = coalesce(private.message_allowed_at(m.org_id, m.channel, m.scheduled_for, m.expires_at, p_now), m.scheduled_for)
    from (select x.id from public.outbox_messages as x
           where x.org_id = p_org_id and x.status in ('pending', 'queued') and x.channel = 'sms' and x.attempts = 0
             for update skip locked) as w
   where m.org_id = p_org_id and m.id = w.id
     and not private.is_urgent(m.org_id, m.kind, m.booking_id, m.metadata, (private.sms_settings_of(p_org_id)).urgent_kinds, p_now);
$$;
comment on function private.retime_messages is 'Times an organisation''s waiting SMS anew.';

create function private.tg__retime_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.retime_messages(new.org_id);
  return null;
end;
$$;
comment on function private.tg__retime_messages is 'Lets a change of quiet hours or timezone hold for what waits already.';
create trigger sms_settings__retime_messages after update of quiet_hours_start, quiet_hours_end on public.sms_settings
  for each row when ((old.quiet_hours_start, old.quiet_hours_end) is distinct from (new.quiet_hours_start, new.quiet_hours_end))
  execute function private.tg__retime_messages();
create trigger booking_settings__retime_messages after update of timezone on public.booking_settings
  for each row when (old.timezone <> new.timezone) execute function private.tg__retime_messages();
-- The first row says what differs from the defaults that held before it.
create trigger sms_settings__retime_first after insert on public.sms_settings
  for each row when ((new.quiet_hours_start, new.quiet_hours_end) is distinct from (21, 8)) execute function private.tg__retime_messages();
create trigger booking_settings__retime_first after insert on public.booking_settings
  for each row when (new.timezone <> 'Australia/Brisbane') execute function private.tg__retime_messages();

-- A schedule that is changed, switched off or deleted: what waits by its old time goes. The sweep queues what is wanted now.
create function private.tg_sms_schedules__cancel_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.outbox_messages as m
     set status = 'cancelled', error_code = 'schedule_changed', updated_at = now()
   where m.org_id = old.org_id and m.schedule_id = old.id and m.status in ('pending', 'queued') and m.cause is null;
  return old;
end;
$$;
comment on function private.tg_sms_schedules__cancel_messages is 'Cancels what waits by a schedule that no longer asks for it.';
create trigger sms_schedules__cancel_changed after update of mins_offset, enabled, type on public.sms_schedules
  for each row when (old.mins_offset <> new.mins_offset or old.type <> new.type or (old.enabled and not new.enabled))
  execute function private.tg_sms_schedules__cancel_messages();
create trigger sms_schedules__cancel_deleted before delete on public.sms_schedules
  for each row execute function private.tg_sms_schedules__cancel_messages();

create function private.tg_sms_settings__check_urgent()
returns trigger
language plpgsql stable security definer set search_path = ''
as $$
begin
  if exists (select from unnest(new.urgent_kinds) as u (kind)
              where not exists (select from private.message_kinds as k where k.kind = u.kind and k.is_urgent_allowed)) then
    perform private.fail(422, 'urgent_kind_not_allowed', 'This kind of message may not break quiet hours.',
                         format('Choose of: %s.', (select string_agg(k.kind, ', ' order by k.kind) from private.message_kinds as k
                                                    where k.is_urgent_allowed)));
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_settings__check_urgent is 'Refuses kinds that may not be exempt from quiet hours: urgent_kind_not_allowed 422.';
create trigger sms_settings__check_urgent before insert or update of urgent_kinds on public.sms_settings
  for each row execute function private.tg_sms_settings__check_urgent();

-- By SMS, and where the organisation sends confirmations by email also so, with the calendar file. Each once per booking and start.
create function private.queue_booking_messages(p_booking public.bookings, p_kind text, p_key text, p_metadata jsonb default '{}', p_now timestamptz default now())
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.sms_settings := private.sms_settings_of(p_booking.org_id);
  v_expires_at timestamptz := greatest(p_booking.start_time, p_now + interval '5 minutes');
begin
  if not coalesce(v_settings.send_booking_confirmations, true) then
    return;
  end if;
  if v_settings.enabled then
    perform private.queue_message(
      p_booking.org_id, 'sms', p_kind, p_booking.client_id, p_key, p_booking.id, p_expires_at => v_expires_at, p_metadata => p_metadata, p_now => p_now);
  end if;
  if coalesce((select s.send_confirmation_email from public.booking_settings as s where s.org_id = p_booking.org_id), true)
     and exists (select from public.clients as c
                  where c.org_id = p_booking.org_id and c.id = p_booking.client_id and c.email like '%@%' and c.email_opt_in is distinct from false) then
    perform private.queue_message(
      p_booking.org_id, 'email', p_kind, p_booking.client_id, p_key || '-email', p_booking.id, p_expires_at => v_expires_at, p_metadata => p_metadata, p_now => p_now);
  end if;
end;
$$;
comment on function private.queue_booking_messages is 'Tells the client of a booking what happened to it, once for each key.';

-- A client's own doing is told to the coach who asked for it (booking_settings.notify_phone).
create function private.queue_coach_notice(p_booking public.bookings, p_notice text, p_key text, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.queue_message(
           p_booking.org_id, 'sms', 'coach_notice', p_booking.client_id, p_key, p_booking.id,
           p_metadata => jsonb_build_object('notice', p_notice),
           p_to_address => private.e164(s.notify_phone, private.phone_region(p_booking.org_id)), p_now => p_now)
    from public.booking_settings as s
   where s.org_id = p_booking.org_id and private.e164(s.notify_phone, private.phone_region(p_booking.org_id)) is not null;
$$;
comment on function private.queue_coach_notice is 'Tells the coach''s phone what a client did, where the organisation wants it.';

-- Which transaction changed a series: one message tells it, however many dates it has.
create function private.tg_bookings__tell()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_series text := nullif(current_setting('coach.changes_series', true), '');
  v_key text := new.id || '-' || new.ics_sequence;
  -- Through the service nobody is signed in: then it is whoever booked it, and for a cancellation the door it came through.
  v_by_client boolean := case
    when auth.uid() is not null
    then exists (select from public.clients as c where c.org_id = new.org_id and c.id = new.client_id and c.auth_user_id = auth.uid())
    when auth.role() = 'anon' then true
    when new.status = 'cancelled' then current_setting('coach.cancels_for', true) is distinct from 'staff'
    else new.booking_source = 'client' end;
begin
  if new.start_time <= now() or (tg_op = 'INSERT' and new.status <> 'confirmed') then
    return null;
  end if;
  if tg_op = 'INSERT' or (old.status = 'pending' and new.status = 'confirmed') then
    if new.series_id is not null then
      perform private.queue_booking_messages(new, 'series_booked', 'series_booked-' || new.series_id,
                                             jsonb_build_object('series_id', new.series_id));
    else
      perform private.queue_booking_messages(new, 'booking_confirmation', 'booking_confirmation-' || v_key);
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'booked', 'coach_booked-' || v_key);
    end if;
  elsif new.status = 'cancelled' and old.status in ('pending', 'confirmed') then
    if v_series is not null then
      perform private.queue_booking_messages(new, 'series_ended', 'series_ended-' || v_series || pg_catalog.pg_current_xact_id());
    else
      perform private.queue_booking_messages(new, 'booking_cancelled', 'booking_cancelled-' || v_key);
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'cancelled', 'coach_cancelled-' || v_key);
    end if;
  elsif new.status in ('pending', 'confirmed') and new.start_time <> old.start_time then
    if v_series is not null then
      perform private.queue_booking_messages(new, 'series_moved', 'series_moved-' || v_series || pg_catalog.pg_current_xact_id());
    else
      perform private.queue_booking_messages(new, 'booking_rescheduled', 'booking_rescheduled-' || v_key,
                                             jsonb_build_object('previous_start', old.start_time));
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'moved', 'coach_moved-' || v_key);
    end if;
  end if;
  return null;
end;
$$;
comment on function private.tg_bookings__tell is 'Tells client and coach of a booking that our functions made, moved or cancelled.';
-- Not the existing app's direct writes: it sends its own texts (POST /api/send-sms). Nor the owner's.
create trigger bookings__tell_new after insert on public.bookings
  for each row when (current_user not in ('anon', 'authenticated', 'service_role')
                     and current_setting('role', true) in ('anon', 'authenticated', 'service_role'))
  execute function private.tg_bookings__tell();
create trigger bookings__tell_changed after update of status, start_time on public.bookings
  for each row when (current_user not in ('anon', 'authenticated', 'service_role')
                     and current_setting('role', true) in ('anon', 'authenticated', 'service_role')
                     and (old.status <> new.status or old.start_time <> new.start_time))
  execute function private.tg_bookings__tell();

-- Whoever moves or cancels: what waits for the old time goes. The sweep queues the reminders of the new one.
create function private.tg_bookings__cancel_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.outbox_messages as m
     set status = 'cancelled', updated_at = now(),
         error_code = case when new.status in ('pending', 'confirmed') then 'booking_moved' else 'booking_' || new.status end
   where m.org_id = new.org_id and m.booking_id = new.id and m.status in ('pending', 'queued')
     and m.kind in ('booking_confirmation', 'booking_reminder', 'confirmation_nudge', 'booking_rescheduled', 'booking_follow_up')
     and (m.kind <> 'booking_follow_up' or new.status in ('cancelled', 'no_show'));
  return null;
end;
$$;
comment on function private.tg_bookings__cancel_messages is 'Cancels what waits to be sent about a booking that was moved, cancelled or missed.';
-- Its name runs before bookings__tell, which queues what is true now.
create trigger bookings__cancel_messages after update of status, start_time on public.bookings
  for each row when ((old.start_time <> new.start_time) or (old.status <> new.status and new.status in ('cancelled', 'no_show')))
  execute function private.tg_bookings__cancel_messages();

create function private.tg_bookings__time()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.timed_at := now();
  return new;
end;
$$;
comment on function private.tg_bookings__time is 'Keeps when a booking was last given its start.';
create trigger bookings__time before update of start_time on public.bookings
  for each row when (old.start_time <> new.start_time) execute function private.tg_bookings__time();

create function private.tg_client_purchases__tell_low()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.sms_settings as s
              where s.org_id = new.org_id and s.enabled and s.low_package_sessions >= greatest(new.sessions_remaining, 1)) then
    perform private.queue_message(new.org_id, 'sms', 'low_package', new.client_id, 'low_package-' || new.id);
  end if;
  return null;
end;
$$;
comment on function private.tg_client_purchases__tell_low is 'Tells the client once that few sessions are left, where the organisation wants it.';
-- The setting allows up to three: packages with more left cost nothing here.
create trigger client_purchases__tell_low after update of sessions_used on public.client_purchases
  for each row when (new.sessions_used > old.sessions_used and new.sessions_remaining <= 3 and new.client_id is not null)
  execute function private.tg_client_purchases__tell_low();

create function private.tg_waitlist_entries__tell()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.queue_message(
            new.org_id, 'sms', 'waitlist_offer', new.client_id, 'waitlist_offer-' || h.id, p_expires_at => h.expires_at,
            p_metadata => jsonb_build_object('hold_id', h.id, 'start_time', h.start_time, 'offer_until', h.expires_at))
    from private.holds as h
   where h.org_id = new.org_id and h.id = new.hold_id;
  return null;
end;
$$;
comment on function private.tg_waitlist_entries__tell is 'Tells a client of the time that is held for them.';
create trigger waitlist_entries__tell after update of status on public.waitlist_entries
  for each row when (new.status = 'offered' and old.status <> 'offered')
  execute function private.tg_waitlist_entries__tell();

-- The order in which a status may follow another; what a provider may have accepted never goes back.
create function private.tg_outbox_messages__forward()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not (case old.status
            when 'pending' then new.status in ('queued', 'sending', 'cancelled', 'expired', 'failed')
            -- On its own way only where the provider tells of an attempt that it had said not to have accepted.
            when 'queued' then new.status in ('sending', 'cancelled', 'expired', 'failed')
                            or old.attempts > 0 and new.status in ('sent', 'delivered', 'undelivered')
            -- Back only where the provider has certainly not accepted it.
            when 'sending' then new.status in ('queued', 'sent', 'delivered', 'undelivered', 'failed', 'unknown')
            when 'unknown' then new.status in ('sent', 'delivered', 'undelivered', 'failed')
            when 'sent' then new.status in ('delivered', 'undelivered', 'failed')
            else false end) then
    perform private.fail(409, 'message_status_invalid', 'A message cannot go back to that status.', 'Make a new message.');
  end if;
  -- What was never sent may be wanted again: a booking that is moved back, a switch that is put back.
  if new.status = 'cancelled' then
    new.idempotency_key := null;
  end if;
  return new;
end;
$$;
comment on function private.tg_outbox_messages__forward is 'Lets a message only move forward: message_status_invalid 409.';
create trigger outbox_messages__forward before update of status on public.outbox_messages
  for each row when (old.status <> new.status) execute function private.tg_outbox_messages__forward();
create trigger outbox_events__append_only before update or delete on public.outbox_events
  for each row execute function private.tg__append_only();
create trigger outbox_events__no_truncate before truncate on public.outbox_events
  for each statement execute function private.tg__append_only();
