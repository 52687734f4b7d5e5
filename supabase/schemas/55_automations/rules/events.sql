-- Events: something happened to a client; each automation that waits for it gets a firing, once.

-- Never fails its caller: an unknown client or organisation fires nothing, nor does what nobody waits for.
create function private.notice_event(
  p_org_id uuid, p_event text, p_client_id uuid, p_key text, p_at timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
  select a.org_id, a.id, p_at, p_at, p_event, p_event || '-' || p_key, p_client_id
    from public.automations as a
    join public.clients as c on c.org_id = a.org_id and c.id = p_client_id
   where a.org_id = p_org_id and a.enabled and a.trigger ->> 'event' = p_event and a.enabled_at <= p_at
     and p_key is not null
  on conflict (org_id, automation_id, event_key) where event_key is not null do nothing;
$$;
comment on function private.notice_event is
  'Tells automations that something happened to a client: inactivity, risk_red, payment_failed, booking_completed, package_low, birthday. The same key again does nothing.';

create function private.find_events(p_org_id uuid, p_trigger jsonb, p_from date, p_now timestamptz)
returns table (client_id uuid, key text)
language sql stable security definer set search_path = ''
as $$
  -- Of yesterday too, where the look of yesterday was missed. Who was born on a 29 February has a birthday every year.
  select c.id, c.id || '-' || extract(year from d.day)
    from generate_series(greatest(p_from, private.org_today(p_org_id, p_now) - 1), private.org_today(p_org_id, p_now), interval '1 day') as d (day)
    join public.clients as c
      on c.org_id = p_org_id and c.status = 'active'
     and (to_char(c.date_of_birth, 'MMDD') = to_char(d.day, 'MMDD')
          or to_char(c.date_of_birth, 'MMDD') = '0229' and to_char(d.day, 'MMDD') = '0228' and extract(day from d.day + interval '1 day') = 1)
   where p_trigger ->> 'event' = 'birthday'
  union all
  -- Once for each time that somebody falls silent.
  select a.client_id, a.client_id || '-' || floor(extract(epoch from a.at))
    from private.last_activities(p_org_id, null, p_now) as a
    join public.clients as c on c.org_id = p_org_id and c.id = a.client_id and c.status = 'active'
   where p_trigger ->> 'event' = 'inactivity'
     and private.org_today(p_org_id, p_now) - (a.at at time zone private.org_timezone(p_org_id))::date
         >= coalesce((p_trigger ->> 'days')::integer, (private.risk_settings_of(p_org_id)).inactive_days);
$$;
comment on function private.find_events is 'Whose birthday it is, or who has been inactive for long enough, with the key that makes it one event.';

-- Direct writes of the app; complete_booking and the sweep tell of theirs themselves.
create function private.tg_bookings__notice_completed()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.notice_event(new.org_id, 'booking_completed', new.client_id, new.id::text);
  return null;
end;
$$;
comment on function private.tg_bookings__notice_completed is 'Tells automations of a booking that is completed one by one.';
-- The sweep completes thousands in one statement, and tells of them in it.
create trigger bookings__notice_completed after update of status on public.bookings
  for each row when (new.status = 'completed' and old.status <> 'completed' and current_setting('coach.sweeps_bookings', true) is distinct from 'on')
  execute function private.tg_bookings__notice_completed();

-- Each automation says how many sessions are few; a top-up makes it possible again.
create function private.tg_client_purchases__notice_low()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
  select a.org_id, a.id, now(), now(), 'package_low', format('package_low-%s-%s', new.id, new.sessions_total), new.client_id
    from public.automations as a
   where a.org_id = new.org_id and a.enabled and a.trigger ->> 'event' = 'package_low' and a.enabled_at <= now()
     and new.sessions_remaining <= coalesce((a.trigger ->> 'sessions')::integer, 2)
  on conflict (org_id, automation_id, event_key) where event_key is not null do nothing;
  return null;
end;
$$;
comment on function private.tg_client_purchases__notice_low is 'Tells automations, once, that few sessions are left of a package.';
create trigger client_purchases__notice_low after update of sessions_used on public.client_purchases
  for each row when (new.sessions_used > old.sessions_used and new.sessions_remaining <= 20 and new.client_id is not null)
  execute function private.tg_client_purchases__notice_low();
