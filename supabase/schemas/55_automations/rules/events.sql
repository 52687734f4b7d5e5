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
