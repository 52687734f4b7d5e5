-- Payments for the webhook, sweeps and operators.

create function service.receive_stripe_event(p_event jsonb)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.receive_stripe_event(p_event);
$$;
comment on function service.receive_stripe_event is
  'Takes an event of Stripe''s in, its signature checked by the caller: {event_id, outcome: applied | ignored | refused | failed | waiting | braked | repeated, error: a slug or null}. The same event again is repeated, unless it had failed. Whose it is follows from its account alone. Fails: value_not_allowed 422.';
revoke all on function service.receive_stripe_event(jsonb) from public, anon, authenticated;
grant execute on function service.receive_stripe_event(jsonb) to service_role;

create function service.missing_stripe_events(p_event_ids text[])
returns setof text
language sql stable security definer set search_path = ''
as $$
  select i from unnest(p_event_ids[:1000]) as i
   where not exists (select from private.stripe_events as e where e.id = i and e.status <> 'failed');
$$;
comment on function service.missing_stripe_events is
  'Of these events (at most 1000 are read) those that never came, or failed.';
revoke all on function service.missing_stripe_events(text[]) from public, anon, authenticated;
grant execute on function service.missing_stripe_events(text[]) to service_role;

create function service.claim_stripe_fetches(p_limit integer default 20, p_lease_secs integer default 120, p_now timestamptz default now())
returns table (account text, kind text, stripe_id text, claim uuid)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  perform private.require_value(p_lease_secs between 5 and 3600, 'lease_secs');
  return query select c.account, c.kind, c.stripe_id, c.claim from private.claim_stripe_fetches(p_limit, make_interval(secs => p_lease_secs), p_now) as c;
end;
$$;
comment on function service.claim_stripe_fetches is
  'Claims objects to be fetched from Stripe: subscription, balance_transaction, invoice (its payments expanded), charge (its refunds expanded), account; at most p_limit (1 to 1000), each for p_lease_secs (5 to 3600). Fails: value_not_allowed 422.';
revoke all on function service.claim_stripe_fetches(integer, integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_stripe_fetches(integer, integer, timestamptz) to service_role;

create function service.record_stripe_object(
  p_account text, p_kind text, p_stripe_id text, p_claim uuid, p_object jsonb, p_error text default null, p_now timestamptz default now())
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.record_stripe_object(p_account, p_kind, p_stripe_id, p_claim, p_object, p_error, p_now);
$$;
comment on function service.record_stripe_object is
  'Applies an object that was fetched, or keeps the slug of why it could not be: applied, ignored, waiting, failed (fetched again later, ever more rarely), stale (the claim is another''s).';
revoke all on function service.record_stripe_object(text, text, text, uuid, jsonb, text, timestamptz) from public, anon, authenticated;
grant execute on function service.record_stripe_object(text, text, text, uuid, jsonb, text, timestamptz) to service_role;

create function service.list_stripe_events(
  p_org_id uuid default null, p_status text default null, p_type text default null, p_limit integer default 100)
returns table (
  event_id text, type text, org_id uuid, account text, status text, error text, waits_for text, attempts integer, happened_at timestamptz,
  received_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select e.id, e.type, e.org_id, e.account, e.status, e.error, e.waits_for, e.attempts, e.created_at, e.received_at
    from private.stripe_events as e
   where (p_org_id is null or e.org_id = p_org_id) and (p_status is null or e.status = p_status) and (p_type is null or e.type = p_type)
   order by e.received_at desc
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_stripe_events is
  'The events that Stripe sent, newest first, and what became of them.';
revoke all on function service.list_stripe_events(uuid, text, text, integer) from public, anon, authenticated;
grant execute on function service.list_stripe_events(uuid, text, text, integer) to service_role;

create function service.get_stripe_event(p_event_id text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_event private.stripe_events;
begin
  select e.* into v_event from private.stripe_events as e where e.id = p_event_id;
  if not found then
    perform private.fail(404, 'stripe_event_not_found', 'There is no such event.', 'See coach stripe events list.');
  end if;
  return jsonb_build_object(
    'event_id', v_event.id, 'type', v_event.type, 'org_id', v_event.org_id, 'account', v_event.account, 'api_version', v_event.api_version,
    'status', v_event.status, 'error', v_event.error, 'waits_for', v_event.waits_for, 'attempts', v_event.attempts,
    'happened_at', v_event.created_at, 'received_at', v_event.received_at, 'settled_at', v_event.settled_at, 'kept', v_event.payload #> '{data,object}');
end;
$$;
comment on function service.get_stripe_event is
  'One event: {event_id, type, org_id, account, api_version, status, error, waits_for, attempts, happened_at, received_at, settled_at, kept: what is kept of its object}. Fails: stripe_event_not_found 404.';
revoke all on function service.get_stripe_event(text) from public, anon, authenticated;
grant execute on function service.get_stripe_event(text) to service_role;

create function service.replay_stripe_event(p_event_id text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update private.stripe_events as e set attempts = e.attempts + 1 where e.id = p_event_id;
  if not found then
    perform private.fail(404, 'stripe_event_not_found', 'There is no such event.', 'See coach stripe events list.');
  end if;
  return private.settle_stripe_event(p_event_id);
end;
$$;
comment on function service.replay_stripe_event is
  'Applies a kept event once more: {event_id, outcome, error}. What was booked already is not booked again. Fails: stripe_event_not_found 404.';
revoke all on function service.replay_stripe_event(text) from public, anon, authenticated;
grant execute on function service.replay_stripe_event(text) to service_role;

create function service.list_stripe_accounts(p_now timestamptz default now())
returns table (account text, seen_until timestamptz)
language sql stable security definer set search_path = ''
as $$
  select a.account, greatest(coalesce(c.seen_until, p_now - interval '3 days') - interval '1 hour', p_now - interval '29 days')
    from (select '' as account union all select s.stripe_account_id from public.stripe_accounts as s) as a
    left join private.stripe_cursors as c on c.account = a.account
   order by c.listed_at nulls first, a.account desc;
$$;
comment on function service.list_stripe_accounts is
  'The accounts whose events are reconciled (the empty one: the platform''s), the longest unseen first, and from when on to list them: an hour before what was seen last, three days at first, 29 days at most, since Stripe keeps 30.';
revoke all on function service.list_stripe_accounts(timestamptz) from public, anon, authenticated;
grant execute on function service.list_stripe_accounts(timestamptz) to service_role;

create function service.record_stripe_listing(p_account text, p_seen_until timestamptz, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into private.stripe_cursors as c (account, seen_until, listed_at) values (p_account, least(p_seen_until, p_now), p_now)
  on conflict (account) do update set seen_until = greatest(c.seen_until, excluded.seen_until), listed_at = excluded.listed_at;
$$;
comment on function service.record_stripe_listing is
  'Records that an account''s events were listed and fed up to an instant.';
revoke all on function service.record_stripe_listing(text, timestamptz, timestamptz) from public, anon, authenticated;
grant execute on function service.record_stripe_listing(text, timestamptz, timestamptz) to service_role;

create function service.sweep_stripe_events(p_limit integer default 500, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (settled integer, failed integer, forgotten integer, deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text;
  v_outcome text;
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  settled := 0; failed := 0; forgotten := 0; deleted := 0;
  -- Kept while the brake was on, or failed some time ago; ever more rarely.
  for v_id in
    select e.id from private.stripe_events as e
     where (e.status = 'braked' and not private.is_braked('payments', e.org_id))
        or (e.status = 'failed' and e.attempts < 30 and e.received_at + interval '1 minute' * 2 ^ least(e.attempts, 12) < p_now)
     order by e.created_at, e.received_at, e.id
     limit p_limit for no key update skip locked
  loop
    if p_dry_run then
      v_outcome := 'applied';
    else
      update private.stripe_events as e set attempts = e.attempts + 1 where e.id = v_id;
      v_outcome := private.settle_stripe_event(v_id, p_now) ->> 'outcome';
    end if;
    settled := settled + case when v_outcome in ('failed', 'braked') then 0 else 1 end;
    failed := failed + case when v_outcome in ('failed', 'braked') then 1 else 0 end;
  end loop;
  -- What waits for a payment that was never told of is of one that is not ours.
  with old as (
    select e.id from private.stripe_events as e where e.status = 'waiting' and e.received_at < p_now - interval '3 days'
     limit p_limit for no key update skip locked),
  gone as (
    update private.stripe_events as e set status = 'ignored', settled_at = p_now from old as o where e.id = o.id and not p_dry_run returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end into forgotten;
  with old as (
    select e.id from private.stripe_events as e
     where e.received_at < p_now - interval '90 days' and (e.status in ('applied', 'ignored') or e.received_at < p_now - interval '400 days')
     limit p_limit for update skip locked),
  gone as (delete from private.stripe_events as e using old as o where e.id = o.id and not p_dry_run returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end into deleted;
  return next;
end;
$$;
comment on function service.sweep_stripe_events is
  'Applies events that were kept while the brake was on or that failed, forgets what waited three days for a payment that is not ours, and deletes events after 90 days (refused and failed ones after 400); at most p_limit (1 to 100000) of each. Fails: value_not_allowed 422.';
revoke all on function service.sweep_stripe_events(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_stripe_events(integer, timestamptz, boolean) to service_role;
