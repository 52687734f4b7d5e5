-- Stripe's events: each taken in once, its effect whole or not at all, and what became of it kept.
-- The claim (the event's row) and its effect are one transaction, the effect in a subtransaction: an effect that fails leaves the
-- event with the slug of why. Events of one account are applied one after another, so that what waits for another is never missed.
-- Lock order: the account (advisory), package, booking, payment.

-- What may be kept of an event. Anything else, and any text that is no id, word or number, is gone before it is written.
create function private.stripe_kept(p_value jsonb, p_is_metadata boolean default false)
returns jsonb
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  c_ours constant text[] := '{org_id,client_id,offer_id,promo_code_id,purchase_id,booking_id,hold_id,deposit_id,refund_id,request_id,plan,kind}';
  c_things constant text[] :=
    '{data,object,metadata,items,lines,price,plan,recurring,period,parent,subscription_details,subscription_item_details,refunds,charges,payments,
      payment,balance_transaction,balance_transactions,fee_details,requirements,last_payment_error,payment_intent,customer,subscription,invoice,
      charge,latest_charge,dispute,pricing,price_details}';
  c_values constant text[] :=
    '{id,object,type,created,account,api_version,livemode,status,amount,amount_total,amount_paid,amount_due,amount_received,amount_refunded,
      amount_remaining,total,currency,customer,payment_intent,latest_charge,charge,invoice,subscription,price,plan,interval,interval_count,
      unit_amount,quantity,proration,start,end,current_period_start,current_period_end,cancel_at,cancel_at_period_end,canceled_at,ended_at,
      trial_start,trial_end,start_date,billing_reason,attempt_count,next_payment_attempt,paid,refunded,captured,disputed,dispute,
      balance_transaction,fee,net,source,application_fee,application_fee_amount,mode,payment_status,charges_enabled,payouts_enabled,
      details_submitted,disabled_reason,arrival_date,failure_code,decline_code,code,reason,is_charge_refundable,is_default,has_more,
      pause_collection,collection_method}';
begin
  if jsonb_typeof(p_value) = 'object' then
    return (
      select coalesce(jsonb_object_agg(m.key, case m.kind when 'thing' then private.stripe_kept(m.value, m.key = 'metadata') else m.value end), '{}')
        from (select e.key, e.value, case when jsonb_typeof(e.value) in ('object', 'array') then 'thing' else 'value' end as kind
                from jsonb_each(p_value) as e (key, value)) as m
       where m.key = any (case when p_is_metadata then c_ours when m.kind = 'thing' then c_things else c_values end)
         and (jsonb_typeof(m.value) <> 'string' or m.value #>> '{}' ~ '^[A-Za-z0-9_.:/+-]{0,255}$')
         and not (p_is_metadata and m.kind = 'thing'));
  elsif jsonb_typeof(p_value) = 'array' then
    -- Of a list the things in it: what is no more than a text or a number says nothing without its name.
    return (select coalesce(jsonb_agg(private.stripe_kept(v.value)), '[]') from jsonb_array_elements(p_value) as v (value)
             where jsonb_typeof(v.value) in ('object', 'array'));
  end if;
  return p_value;
end;
$$;
comment on function private.stripe_kept is 'What is kept of something that Stripe sent, by an allow-list: ids, amounts, states, times.';

create function private.receive_stripe_event(p_event jsonb, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_kept jsonb := private.stripe_kept(p_event);
  v_event private.stripe_events;
begin
  perform private.require_value(v_kept ->> 'id' ~ '^evt_[A-Za-z0-9_]{1,250}$', 'id'),
          private.require_value(v_kept ->> 'type' ~ '^[a-z0-9_.]{1,100}$', 'type'),
          private.require_value(jsonb_typeof(v_kept -> 'created') = 'number', 'created'),
          private.require_value(jsonb_typeof(v_kept #> '{data,object}') = 'object', 'data.object');
  -- A second delivery waits here for the first, and then finds what came of it.
  insert into private.stripe_events (id, account, org_id, type, api_version, livemode, created_at, payload)
  values (v_kept ->> 'id', v_kept ->> 'account',
          (select a.org_id from public.stripe_accounts as a where a.stripe_account_id = v_kept ->> 'account'),
          v_kept ->> 'type', v_kept ->> 'api_version', coalesce((v_kept ->> 'livemode')::boolean, false),
          private.stripe_instant(v_kept -> 'created'), v_kept)
  on conflict (id) do nothing
  returning * into v_event;
  if not found then
    select e.* into v_event from private.stripe_events as e where e.id = v_kept ->> 'id' for no key update;
    if v_event.status <> 'failed' then
      return jsonb_build_object('event_id', v_event.id, 'outcome', 'repeated', 'error', null);
    end if;
    update private.stripe_events as e set attempts = e.attempts + 1 where e.id = v_event.id;
  end if;
  return private.settle_stripe_event(v_event.id, p_now);
end;
$$;
comment on function private.receive_stripe_event is
  'Takes an event in: {event_id, outcome: applied | ignored | refused | failed | waiting | braked | repeated, error}. Fails: value_not_allowed 422 where it is no event.';

-- Applies an event that is kept, and whatever waited for what it brought.
create function private.settle_stripe_event(p_id text, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_event private.stripe_events;
  v_state text;
  v_slug text;
  v_status text;
  v_waits_for text;
  v_error text;
begin
  select e.* into v_event from private.stripe_events as e where e.id = p_id for no key update;
  if v_event.account is not null and v_event.org_id is null then
    -- The account may have been connected since.
    select a.org_id into v_event.org_id from public.stripe_accounts as a where a.stripe_account_id = v_event.account;
  end if;
  if private.is_braked('payments', v_event.org_id) then
    v_status := 'braked';
  elsif v_event.account is not null and v_event.org_id is null then
    v_status := 'refused';
    v_error := 'stripe_account_unknown';
  else
    begin
      if v_event.account is null then
        v_status := case private.apply_platform_event(v_event.payload, p_now) when 'ignored' then 'ignored' else 'applied' end;
      else
        select a.status, a.waits_for into v_status, v_waits_for from private.apply_stripe_event(v_event, p_now) as a;
      end if;
    exception when others then
      get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail;
      -- A rule's no is final; anything else may be otherwise next time.
      v_status := case when v_state in ('PT404', 'PT422') then 'refused' else 'failed' end;
      v_error := case when v_state like 'PT%' and v_slug ~ '^[a-z0-9_]{1,80}$' then v_slug else 'sqlstate_' || lower(v_state) end;
    end;
  end if;
  update private.stripe_events as e
     set status = v_status, error = v_error, waits_for = v_waits_for, org_id = v_event.org_id,
         settled_at = case when v_status in ('applied', 'ignored', 'refused') then clock_timestamp() end
   where e.id = p_id;
  if v_status = 'refused' and v_event.org_id is not null then
    perform private.raise_alert(v_event.org_id, 'stripe_event_refused', null, null, null);
  elsif v_status = 'applied' and v_event.account is not null then
    perform private.wake_stripe_events(v_event.account, private.stripe_subjects(v_event.payload #> '{data,object}'), p_now);
  end if;
  return jsonb_build_object('event_id', p_id, 'outcome', v_status, 'error', v_error);
end;
$$;
comment on function private.settle_stripe_event is 'Applies a kept event, once more where it failed: {event_id, outcome, error}.';

create function private.stripe_subjects(p_object jsonb)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select array_remove(array[p_object ->> 'id', private.stripe_id(p_object -> 'payment_intent'), private.stripe_id(p_object -> 'charge'),
                            private.stripe_id(p_object -> 'latest_charge'), private.stripe_id(p_object -> 'invoice'), private.stripe_id(p_object -> 'subscription'),
                            private.stripe_id(p_object #> '{payment,payment_intent}'),
                            private.stripe_id(p_object #> '{payments,data,0,payment,payment_intent}')], null);
$$;
comment on function private.stripe_subjects is 'What others may have waited for that an object brings: itself, and what it is joined to.';

create function private.wake_stripe_events(p_account text, p_subjects text[], p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text;
begin
  for v_id in
    select e.id from private.stripe_events as e
     where e.account = p_account and e.status = 'waiting' and e.waits_for = any (p_subjects)
     order by e.created_at, e.received_at, e.id
  loop
    -- What one of them brings may have woken it already.
    if exists (select from private.stripe_events as e where e.id = v_id and e.status = 'waiting') then
      perform private.settle_stripe_event(v_id, p_now);
    end if;
  end loop;
end;
$$;
comment on function private.wake_stripe_events is 'Applies the events of an account that waited for one of these ids.';

create function private.stripe_waits(p_for text, out status text, out waits_for text)
language sql immutable security invoker set search_path = ''
as $$
  select 'waiting', p_for;
$$;
comment on function private.stripe_waits is 'The answer of an effect that needs what has not been told of yet.';

create function private.apply_stripe_event(p_event private.stripe_events, p_now timestamptz, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_object jsonb := p_event.payload #> '{data,object}';
  v_org_id uuid := p_event.org_id;
begin
  if p_event.type !~ '^(account|checkout|payment_intent|charge|refund|invoice|invoice_payment|customer\.subscription|payout)\.' then
    status := 'ignored';
    return;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('stripe:' || p_event.account, 0));
  status := 'applied';
  case
    when p_event.type in ('account.updated', 'account.application.deauthorized') then
      status := private.apply_stripe_account(v_org_id, v_object, p_event.created_at, p_event.type = 'account.application.deauthorized');
    when p_event.type in ('checkout.session.completed', 'checkout.session.async_payment_succeeded') then
      status := private.apply_checkout(v_org_id, v_object, p_event.created_at);
    when p_event.type = 'checkout.session.async_payment_failed' then
      status := private.notice_failed_payment(v_org_id, v_object, p_event.created_at);
    when p_event.type in ('payment_intent.succeeded', 'payment_intent.canceled', 'payment_intent.payment_failed') then
      status := private.apply_payment_intent(v_org_id, p_event.type, v_object, p_event.created_at, p_now);
    when p_event.type in ('charge.succeeded', 'charge.updated', 'charge.captured') then
      select a.status, a.waits_for into status, waits_for from private.apply_charge(v_org_id, p_event.account, v_object) as a;
    when p_event.type = 'charge.refunded' then
      select a.status, a.waits_for into status, waits_for from private.apply_charge_refunded(v_org_id, p_event.account, v_object, p_now) as a;
    when p_event.type in ('refund.created', 'refund.updated', 'refund.failed', 'charge.refund.updated') then
      select a.status, a.waits_for into status, waits_for from private.apply_stripe_refund(v_org_id, v_object, p_now) as a;
    when p_event.type like 'charge.dispute.%' then
      select a.status, a.waits_for into status, waits_for from private.apply_dispute(v_org_id, p_event.type, v_object, p_event.created_at) as a;
    when p_event.type in ('invoice.paid', 'invoice.payment_succeeded') then
      select a.status, a.waits_for into status, waits_for from private.apply_paid_invoice(v_org_id, p_event.account, v_object, p_event.created_at) as a;
    when p_event.type = 'invoice.payment_failed' then
      status := private.apply_failed_invoice(v_org_id, v_object, p_event.created_at);
    when p_event.type = 'invoice_payment.paid' then
      select a.status, a.waits_for into status, waits_for from private.link_invoice_payment(
        v_org_id, private.stripe_id(v_object -> 'invoice'), private.stripe_id(v_object #> '{payment,payment_intent}')) as a;
    when p_event.type like 'customer.subscription.%' and p_event.type <> 'customer.subscription.trial_will_end' then
      select a.status, a.waits_for into status, waits_for
        from private.apply_subscription(v_org_id, p_event.account, v_object, p_event.created_at, false) as a;
    when p_event.type in ('payout.paid', 'payout.failed', 'payout.canceled') then
      status := private.apply_payout(v_org_id, p_event.type, v_object);
    else
      status := 'ignored';
  end case;
end;
$$;
comment on function private.apply_stripe_event is
  'The effect of an event of a connected account: applied, ignored (not ours), or waiting for an id. Fails where a rule refuses it.';

create function private.want_stripe_object(p_org_id uuid, p_account text, p_kind text, p_stripe_id text)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into private.stripe_fetches as f (account, kind, stripe_id, org_id)
  select p_account, p_kind, p_stripe_id, p_org_id where p_stripe_id is not null
  on conflict (account, kind, stripe_id) do update set next_at = now(), claim = null, attempts = 0;
$$;
comment on function private.want_stripe_object is 'Has Stripe asked for an object, soon; what was being fetched is fetched again, since something was said of it meanwhile.';

create function private.claim_stripe_fetches(p_limit integer, p_lease interval, p_now timestamptz)
returns setof private.stripe_fetches
language sql volatile security definer set search_path = ''
as $$
  update private.stripe_fetches as f
     set claim = gen_random_uuid(), next_at = p_now + p_lease, attempts = f.attempts + 1
    from (select d.account, d.kind, d.stripe_id from private.stripe_fetches as d
           where d.next_at <= p_now and not private.is_braked('payments', d.org_id)
           order by d.next_at limit p_limit for no key update skip locked) as due
   where (f.account, f.kind, f.stripe_id) = (due.account, due.kind, due.stripe_id)
  returning f.*;
$$;
comment on function private.claim_stripe_fetches is 'Claims objects to be fetched, for a lease; a claim that is not recorded by then is another''s.';

-- What was asked for is of the moment it was asked: newer than every event before.
create function private.record_stripe_object(p_account text, p_kind text, p_stripe_id text, p_claim uuid, p_object jsonb, p_error text, p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_fetch private.stripe_fetches;
  v_object jsonb := private.stripe_kept(p_object);
  v_status text := 'applied';
  v_state text;
  v_slug text;
begin
  perform pg_advisory_xact_lock(hashtextextended('stripe:' || p_account, 0));
  select f.* into v_fetch from private.stripe_fetches as f
   where (f.account, f.kind, f.stripe_id, f.claim) = (p_account, p_kind, p_stripe_id, p_claim) for update;
  if not found then
    return 'stale';
  end if;
  if p_error is null then
    begin
      case p_kind
        when 'subscription' then
          select a.status into v_status from private.apply_subscription(v_fetch.org_id, p_account, v_object, null, true) as a;
        when 'account' then
          v_status := private.apply_stripe_account(v_fetch.org_id, v_object, null, false);
        when 'balance_transaction' then
          v_status := private.apply_balance_transaction(v_fetch.org_id, v_object);
        when 'charge' then
          select a.status into v_status from private.apply_charge_refunded(v_fetch.org_id, null, v_object, p_now) as a;
        when 'invoice' then
          select a.status into v_status from private.link_invoice_payment(
            v_fetch.org_id, v_object ->> 'id', private.stripe_id(v_object #> '{payments,data,0,payment,payment_intent}')) as a;
      end case;
    exception when others then
      get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail;
      p_error := case when v_state like 'PT%' and v_slug ~ '^[a-z0-9_]{1,80}$' then v_slug else 'sqlstate_' || lower(v_state) end;
    end;
  end if;
  if p_error is null then
    delete from private.stripe_fetches as f where (f.account, f.kind, f.stripe_id) = (p_account, p_kind, p_stripe_id);
    perform private.wake_stripe_events(p_account, private.stripe_subjects(v_object), p_now);
    return v_status;
  end if;
  update private.stripe_fetches as f
     set claim = null, error = case when p_error ~ '^[a-z0-9_]{1,80}$' then p_error else 'unknown' end,
         next_at = p_now + least(interval '1 minute' * 2 ^ least(f.attempts, 12), interval '1 day')
   where (f.account, f.kind, f.stripe_id) = (p_account, p_kind, p_stripe_id);
  return 'failed';
end;
$$;
comment on function private.record_stripe_object is
  'Applies an object that was fetched, and what waited for it: applied, ignored, waiting, failed (it is fetched again later), or stale (the claim is no longer the caller''s).';
