-- Deposits: a slot is held while its deposit is paid; paid in time it is booked, unpaid it is free again, paid late it is paid back.
-- SQL does no I/O: it says which PaymentIntent is to be made or cancelled (claim), and takes in what came of it (record). The key of
-- a creation is the deposit's id, so that a creation that nobody recorded is the same intent when it is asked for again.
-- Lock order: deposit, then what confirm_hold locks (occupancy, hold). Whoever makes a deposit holds the slot first, and waits for none.

create function private.deposit_amount(p_type public.session_types)
returns bigint
language sql immutable security invoker set search_path = ''
as $$
  select nullif(case when p_type.deposit_percent is not null then round(p_type.price_cents * p_type.deposit_percent / 100.0)
                     when p_type.deposit_cents is not null then least(p_type.deposit_cents, p_type.price_cents) end, 0)::bigint;
$$;
comment on function private.deposit_amount is 'What a session type asks as a deposit, in its currency''s minor unit; null when it asks none.';

create function private.card_account(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select a.stripe_account_id from public.stripe_accounts as a where a.org_id = p_org_id and a.charges_enabled;
$$;
comment on function private.card_account is 'The connected account that takes an organisation''s card payments; null while it has none that may.';

create function private.require_card_account(p_org_id uuid)
returns text
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_account text := private.card_account(p_org_id);
begin
  perform private.require_unbraked('payments', p_org_id);
  if v_account is null then
    perform private.fail(409, 'payments_not_set_up', 'Card payments are not set up here yet.', 'Ask to pay in another way.');
  end if;
  return v_account;
end;
$$;
comment on function private.require_card_account is 'card_account, or a refusal: payments_not_set_up 409, brake_on 423.';

create function private.application_fee(p_org_id uuid, p_amount_cents bigint)
returns bigint
language sql stable security definer set search_path = ''
as $$
  select round(p_amount_cents * private.platform_fee_rate(p_org_id))::bigint;
$$;
comment on function private.application_fee is 'The platform''s share of a sale, in its minor unit, by platform_fee_rate.';

-- The caller has found that no package pays. p_hold_id: a time that is held for the client already (a waitlist offer).
-- p_is_known: the client has shown who they are, so a deposit that is asked of them for that start is theirs to have again.
create function private.ask_deposit(
  p_org_id uuid, p_client_id uuid, p_type public.session_types, p_start_time timestamptz, p_duration_mins integer, p_staff_id uuid,
  p_hold_id uuid, p_is_known boolean, p_booking_status text, p_offer_id uuid, p_notes text, p_request_id uuid,
  p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_amount bigint := private.deposit_amount(p_type);
  v_account text;
  v_answer jsonb;
  v_hold private.holds;
  v_deposit public.deposits;
begin
  if v_amount is null then
    return null;
  end if;
  -- The second click waits for the first and has its answer.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text || coalesce(p_request_id, p_client_id), 3));
  select d.* into v_deposit
    from public.deposits as d
   where d.org_id = p_org_id
     and (d.request_id = p_request_id or d.hold_id = p_hold_id
          or (p_is_known and p_request_id is null and p_hold_id is null and d.client_id = p_client_id and d.session_type_id = p_type.id
              and d.start_time = p_start_time and d.status = 'due' and d.expires_at > p_now))
   order by d.created_at desc limit 1;
  if found then
    if v_deposit.client_id <> p_client_id then
      perform private.refuse_request();
    end if;
    return private.deposit_outcome(v_deposit, p_now);
  end if;
  v_account := private.require_card_account(p_org_id);
  if p_hold_id is null then
    v_answer := private.hold_slot(p_org_id, p_client_id, p_type.id, p_start_time, p_duration_mins, p_staff_id, null, 'client',
                                  (private.settings_of(p_org_id)).hold_mins + 2, p_now);
    if v_answer ->> 'outcome' <> 'held' then
      return v_answer;
    end if;
  end if;
  select h.* into v_hold from private.holds as h
   where h.org_id = p_org_id and h.id = coalesce(p_hold_id, (v_answer ->> 'hold_id')::uuid) and h.client_id = p_client_id;
  if not found then
    perform private.fail(404, 'hold_not_found', 'There is no such hold.', 'Choose a time again.');
  elsif v_hold.status <> 'held' or v_hold.expires_at - interval '2 minutes' <= p_now then
    return private.outcome('hold_expired', '{"alternatives": []}');
  end if;
  insert into public.deposits (
    org_id, client_id, session_type_id, hold_id, amount_cents, currency, application_fee_cents, booking_status, offer_id, client_notes,
    request_id, start_time, expires_at, stripe_account_id, next_at)
  values (
    p_org_id, p_client_id, p_type.id, v_hold.id, v_amount, p_type.currency, private.application_fee(p_org_id, v_amount), p_booking_status,
    p_offer_id, p_notes, p_request_id, v_hold.start_time, v_hold.expires_at - interval '2 minutes', v_account, p_now + interval '1 minute')
  returning * into v_deposit;
  return private.deposit_outcome(v_deposit, p_now);
end;
$$;
comment on function private.ask_deposit is
  'Holds a slot for a deposit: null where the type asks none, else {outcome: deposit_due, …}, {outcome: taken | hold_expired, alternatives}, or for a request that was paid {outcome: booked, …}. Fails: payments_not_set_up 409, brake_on 423, hold_not_found 404, request_reused 409.';

create function private.deposit_outcome(p_deposit public.deposits, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_deposit.status = 'paid' and p_deposit.booking_id is not null then
    return (select private.booked(b) from public.bookings as b where b.org_id = p_deposit.org_id and b.id = p_deposit.booking_id);
  elsif p_deposit.status = 'due' and p_deposit.expires_at > p_now then
    return private.outcome('deposit_due', jsonb_build_object(
      'deposit_id', p_deposit.id, 'amount_cents', p_deposit.amount_cents, 'currency', p_deposit.currency,
      'start_time', p_deposit.start_time, 'expires_at', p_deposit.expires_at,
      'refund_policy', private.refund_policy(p_deposit.org_id)));
  end if;
  return private.outcome('hold_expired', '{"alternatives": []}');
end;
$$;
comment on function private.deposit_outcome is 'What a booking page is told of a deposit: deposit_due, booked or hold_expired.';

-- What its page may know; the id is the secret, so misses are counted by the caller's address.
create function private.deposit_state(p_deposit_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit public.deposits;
begin
  select d.* into v_deposit from public.deposits as d where d.id = p_deposit_id;
  if not found then
    return case when private.is_within_rate('deposit_miss', private.caller_address(), 20, '10 minutes')
                then private.refusal(404, 'deposit_not_found', 'There is no such deposit.', 'Choose a time again.')
                else private.rate_limited() end;
  elsif not private.is_within_rate('deposit', p_deposit_id::text, 60, '1 minute') then
    return private.rate_limited();
  end if;
  return jsonb_build_object(
    'deposit_id', v_deposit.id, 'booking_id', v_deposit.booking_id, 'amount_cents', v_deposit.amount_cents,
    'currency', v_deposit.currency, 'start_time', v_deposit.start_time, 'expires_at', v_deposit.expires_at,
    'status', case when v_deposit.status = 'due' and v_deposit.expires_at <= now() then 'expired' else v_deposit.status end,
    'refund_policy', private.refund_policy(v_deposit.org_id));
end;
$$;
comment on function private.deposit_state is
  'What a deposit''s page shows: {deposit_id, status, booking_id, amount_cents, currency, start_time, expires_at, refund_policy}. Answers deposit_not_found 404, rate_limited 429.';

-- What a provider needs to act for these deposits.
create function private.deposit_work(p_deposit public.deposits)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'org_id', p_deposit.org_id, 'deposit_id', p_deposit.id, 'account', p_deposit.stripe_account_id,
    'payment_intent_id', p_deposit.stripe_payment_intent_id, 'amount_cents', p_deposit.amount_cents, 'currency', p_deposit.currency,
    'application_fee_cents', p_deposit.application_fee_cents, 'client_id', p_deposit.client_id,
    'action', case when p_deposit.status <> 'due' then 'cancel' when p_deposit.intent_status in ('none', 'asked') then 'create' else 'read' end);
$$;
comment on function private.deposit_work is
  'A deposit as the service carries it: {org_id, deposit_id, client_id, account, payment_intent_id, amount_cents, currency, application_fee_cents, action: create | read | cancel}.';

-- The page's own step. What is asked for is marked before it is, so that a kill in between is found by the sweep.
create function private.open_deposit(p_deposit_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit public.deposits;
begin
  select d.* into v_deposit from public.deposits as d where d.id = p_deposit_id for no key update;
  if not found then
    perform private.fail(404, 'deposit_not_found', 'There is no such deposit.', 'Choose a time again.');
  elsif v_deposit.status <> 'due' or v_deposit.expires_at <= p_now then
    return null;
  end if;
  perform private.require_unbraked('payments', v_deposit.org_id);
  if v_deposit.intent_status = 'none' then
    update public.deposits as d
       set intent_status = 'asked', next_at = p_now + interval '2 minutes', updated_at = p_now
     where d.org_id = v_deposit.org_id and d.id = v_deposit.id
    returning d.* into v_deposit;
  end if;
  return private.deposit_work(v_deposit);
end;
$$;
comment on function private.open_deposit is 'Marks a deposit''s intent as asked for and says how: deposit_work; null when it cannot be paid any more. Fails: deposit_not_found 404, brake_on 423.';

-- A batch for the sweep: deposits whose time is over expire here; what is claimed is looked at again after the lease.
create function private.claim_deposits(p_limit integer, p_now timestamptz, p_lease interval)
returns setof jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if private.is_braked('payments') then
    return;
  end if;
  return query
  with due as (
    select d.org_id, d.id
      from public.deposits as d
     where d.next_at <= p_now and d.org_id <> all (private.braked_orgs('payments'))
     order by d.next_at
     limit p_limit
       for no key update skip locked),
  claimed as (
    update public.deposits as d
       set status = case when d.status = 'due' and d.expires_at <= p_now then 'expired' else d.status end,
           intent_status = case when d.intent_status = 'none' and d.expires_at > p_now then 'asked' else d.intent_status end,
           next_at = case when d.intent_status <> 'none' or d.expires_at > p_now then p_now + p_lease end,
           attempts = d.attempts + 1, updated_at = p_now
      from due where d.org_id = due.org_id and d.id = due.id
    returning d.*)
  select private.deposit_work(c::public.deposits) from claimed as c where c.next_at is not null
  union all
  -- Nothing was ever asked of Stripe for these: they only end.
  select null from claimed as c where c.next_at is null;
end;
$$;
comment on function private.claim_deposits is 'Claims deposits whose intent is to be created or cancelled, as deposit_work; null for one that just expired, with nothing to do.';

-- p_intent: {id, status, amount, amount_received, currency} as the provider has it, or null with an error's code.
create function private.record_deposit(p_deposit_id uuid, p_intent jsonb, p_error_code text, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit public.deposits;
begin
  select d.* into v_deposit from public.deposits as d where d.id = p_deposit_id for no key update;
  if not found then
    perform private.fail(404, 'deposit_not_found', 'There is no such deposit.', 'Choose a time again.');
  end if;
  if p_intent is null then
    update public.deposits as d
       set error_code = left(p_error_code, 100), updated_at = p_now,
           next_at = case when d.next_at is not null then p_now + least(interval '1 hour', interval '30 seconds' * power(2, least(d.attempts, 8))) end
     where d.org_id = v_deposit.org_id and d.id = v_deposit.id;
    return v_deposit.status;
  end if;
  if v_deposit.stripe_payment_intent_id is null then
    update public.deposits as d
       set stripe_payment_intent_id = p_intent ->> 'id'
     where d.org_id = v_deposit.org_id and d.id = v_deposit.id;
  end if;
  if p_intent ->> 'status' = 'succeeded' then
    return private.apply_deposit_payment(v_deposit.org_id, v_deposit.id, p_intent, p_now);
  end if;
  update public.deposits as d
     set intent_status = case when p_intent ->> 'status' = 'canceled' then 'canceled' else 'open' end,
         status = case when p_intent ->> 'status' = 'canceled' and d.status = 'due' then 'expired' else d.status end,
         error_code = null, updated_at = p_now, attempts = 0,
         next_at = case when p_intent ->> 'status' = 'canceled' then null when d.status = 'due' then d.expires_at else p_now end
   where d.org_id = v_deposit.org_id and d.id = v_deposit.id and d.status in ('due', 'expired') and d.intent_status <> 'succeeded'
  returning d.* into v_deposit;
  return case when v_deposit.status = 'expired' and v_deposit.intent_status = 'open' then 'cancel' else v_deposit.status end;
end;
$$;
comment on function private.record_deposit is
  'Takes in how a deposit''s intent stands and returns the deposit''s status; cancel: it expired meanwhile, so the intent is to be cancelled. Fails: deposit_not_found 404, payment_mismatch 409.';

-- The money is booked whatever becomes of the slot. Told twice, or by the webhook and the sweep at once, it is applied once.
create function private.apply_deposit_payment(p_org_id uuid, p_deposit_id uuid, p_intent jsonb, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit public.deposits;
  v_payment_id uuid;
  v_answer jsonb;
begin
  select d.* into v_deposit from public.deposits as d where d.org_id = p_org_id and d.id = p_deposit_id for no key update;
  if not found then
    perform private.fail(404, 'deposit_not_found', 'There is no such deposit.', 'Choose a time again.');
  elsif lower(p_intent ->> 'currency') <> v_deposit.currency
        or coalesce(p_intent ->> 'amount_received', p_intent ->> 'amount')::bigint <> v_deposit.amount_cents then
    perform private.fail(409, 'payment_mismatch', 'A payment is not of the amount and currency that were asked.',
                         'Look at the payment in Stripe, and refund it there.');
  end if;
  v_payment_id := private.book_payment(p_org_id, p_intent, v_deposit.client_id, v_deposit.id, p_now);
  if v_deposit.payment_id is not null then
    if v_deposit.payment_id <> v_payment_id then
      perform private.request_refund(p_org_id, v_payment_id, v_deposit.amount_cents, 'paid_twice', p_deposit_id => v_deposit.id, p_now => p_now);
      perform private.raise_alert(p_org_id, 'deposit_paid_twice', v_deposit.client_id, null, v_deposit.booking_id);
    end if;
    return v_deposit.status;
  end if;
  if v_deposit.hold_id is not null then
    v_answer := private.confirm_hold(p_org_id, v_deposit.hold_id, v_deposit.client_id, null, 'client', 'client', v_deposit.client_notes, null,
                                     p_now, v_deposit.booking_status);
  end if;
  update public.deposits as d
     set status = case when v_answer ->> 'outcome' = 'booked' then 'paid' else 'late' end, payment_id = v_payment_id,
         booking_id = (v_answer ->> 'booking_id')::uuid, stripe_payment_intent_id = coalesce(d.stripe_payment_intent_id, p_intent ->> 'id'),
         intent_status = 'succeeded', next_at = null, error_code = null, updated_at = p_now
   where d.org_id = p_org_id and d.id = p_deposit_id
  returning d.* into v_deposit;
  if v_deposit.status = 'paid' then
    update public.bookings as b
       set offer_id = coalesce(v_deposit.offer_id, b.offer_id), request_id = coalesce(b.request_id, v_deposit.request_id)
     where b.org_id = p_org_id and b.id = v_deposit.booking_id and (v_deposit.offer_id is not null or v_deposit.request_id is not null);
    return 'paid';
  end if;
  perform private.request_refund(p_org_id, v_payment_id, v_deposit.amount_cents, 'late_payment', p_deposit_id => v_deposit.id, p_now => p_now);
  perform private.raise_alert(p_org_id, 'deposit_late', v_deposit.client_id, null, null);
  perform private.queue_deposit_notice(v_deposit, p_now);
  return 'late';
end;
$$;
comment on function private.apply_deposit_payment is
  'A deposit''s payment has succeeded: books the money and the slot, or where the slot is gone refunds it and tells both; returns the deposit''s status. Fails: deposit_not_found 404, payment_mismatch 409.';

-- The client is told by whatever reaches them: a text, else an email.
create function private.queue_deposit_notice(p_deposit public.deposits, p_now timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.queue_message(
           p_deposit.org_id, c.channel, 'deposit_late', p_deposit.client_id, 'deposit_late-' || p_deposit.id || '-' || c.channel,
           p_metadata => jsonb_build_object('start_time', p_deposit.start_time),
           p_variables => jsonb_build_object('amount', private.money_text(p_deposit.amount_cents, p_deposit.currency)),
           p_expires_at => p_now + interval '3 days', p_now => p_now)
    from public.clients as k
   cross join lateral (values ('sms', k.phone_e164 is not null and (private.sms_settings_of(k.org_id)).enabled),
                              ('email', k.email like '%@%')) as c (channel, is_possible)
   where k.org_id = p_deposit.org_id and k.id = p_deposit.client_id and c.is_possible;
$$;
comment on function private.queue_deposit_notice is 'Tells a client that a deposit came too late and is paid back, by text and by email.';

-- Stripe's news of a deposit's intent, in any order and as often as it likes; the webhook has found deposit and organisation.
create function private.apply_deposit_event(p_org_id uuid, p_deposit_id uuid, p_event_type text, p_intent jsonb, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_event_type = 'payment_intent.succeeded' then
    return private.apply_deposit_payment(p_org_id, p_deposit_id, p_intent, p_now);
  elsif p_event_type = 'payment_intent.canceled' then
    update public.deposits as d
       set intent_status = 'canceled', next_at = null, updated_at = p_now, status = case d.status when 'due' then 'expired' else d.status end
     where d.org_id = p_org_id and d.id = p_deposit_id and d.intent_status <> 'succeeded'
       and coalesce(d.stripe_payment_intent_id, p_intent ->> 'id') = p_intent ->> 'id';
  end if;
  -- A card that was declined may be tried again until the time is over.
  return (select d.status from public.deposits as d where d.org_id = p_org_id and d.id = p_deposit_id);
end;
$$;
comment on function private.apply_deposit_event is
  'Applies payment_intent.succeeded, .canceled or .payment_failed of a deposit and returns its status; null when there is no such deposit. Fails: payment_mismatch 409, deposit_not_found 404.';
