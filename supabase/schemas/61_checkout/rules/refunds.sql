-- Refunds: what is given back of a payment. A rule or a person asks, in the database; a sweep carries it to Stripe; it is booked once.
-- Invariant: what is asked for and not failed, and what is booked besides (refunds made at Stripe), never exceeds the payment.
-- Carrying may be repeated: the refund's id is Stripe's idempotency key and lies in its metadata, and whoever repeats looks first.
-- Lock order: package, booking, payment (the INCOME event's row), refund.

create function private.refund_policy(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(
    (select jsonb_agg(jsonb_build_object('hours_before', t.hours_before, 'percent', t.percent) order by t.hours_before desc)
       from public.refund_tiers as t where t.org_id = p_org_id),
    jsonb_build_array(jsonb_build_object('hours_before', (private.settings_of(p_org_id)).cancel_notice_hours, 'percent', 100)));
$$;
comment on function private.refund_policy is
  'What a client who cancels gets back of a deposit: [{hours_before, percent}], the most hours first; nothing below the last.';

create function private.refund_percent(p_org_id uuid, p_start_time timestamptz, p_now timestamptz)
returns integer
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select (t ->> 'percent')::integer
      from jsonb_array_elements(private.refund_policy(p_org_id)) as t
     where p_start_time >= p_now + make_interval(hours => (t ->> 'hours_before')::integer)
     order by (t ->> 'hours_before')::integer desc limit 1), 0);
$$;
comment on function private.refund_percent is 'How many percent of a deposit go back to a client who cancels now.';

create function private.set_refund_policy(p_org_id uuid, p_tiers jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hours integer[];
  v_percent integer[];
begin
  perform private.require_value(jsonb_typeof(p_tiers) = 'array' and jsonb_array_length(p_tiers) <= 10, 'tiers');
  perform private.require_value(
            not exists (select from jsonb_array_elements(p_tiers) as t
                         where coalesce(t ->> 'hours_before' !~ '^\d{1,4}$' or t ->> 'percent' !~ '^\d{1,3}$', true)
                            or (t ->> 'hours_before')::integer > 8760 or (t ->> 'percent')::integer > 100), 'tiers');
  select array_agg(x.hours order by x.hours), array_agg(x.percent order by x.hours) into v_hours, v_percent
    from (select (t ->> 'hours_before')::integer as hours, (t ->> 'percent')::integer as percent from jsonb_array_elements(p_tiers) as t) as x;
  -- Who cancels earlier gets no less.
  perform private.require_value(
            not exists (select from unnest(v_hours, v_percent) with ordinality as a (hours, percent, nth)
                          join unnest(v_hours, v_percent) with ordinality as b (hours, percent, nth) on b.nth = a.nth + 1
                         where b.hours = a.hours or b.percent < a.percent), 'tiers');
  perform from public.orgs as o where o.id = p_org_id for no key update;
  delete from public.refund_tiers as t where t.org_id = p_org_id and t.hours_before <> all (coalesce(v_hours, '{}'));
  insert into public.refund_tiers as t (org_id, hours_before, percent)
  select p_org_id, x.hours, x.percent from unnest(v_hours, v_percent) as x (hours, percent)
  on conflict (org_id, hours_before) do update set percent = excluded.percent where t.percent <> excluded.percent;
  return private.refund_policy(p_org_id);
end;
$$;
comment on function private.set_refund_policy is
  'Replaces an organisation''s refund tiers and returns the policy; an empty array brings back the default. Fails: value_not_allowed 422.';

create function private.member_set_refund_policy(p_org_id uuid, p_tiers jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'settings.write');
  perform private.refuse_support_access(p_org_id);
  return private.set_refund_policy(p_org_id, p_tiers);
end;
$$;
comment on function private.member_set_refund_policy is 'set_refund_policy for a member with settings.write.';

create trigger refund_tiers__audit after insert or update or delete on public.refund_tiers
  for each row execute function private.tg__audit();
create trigger refunds__audit after insert on public.refunds
  for each row execute function private.tg__audit();

-- What is booked of it already, at Stripe's end too, and what is on its way.
create function private.refundable_cents(p_payment public.money_events)
returns bigint
language sql stable security definer set search_path = ''
as $$
  select p_payment.amount_cents
         + coalesce((select sum(e.amount_cents) from public.money_events as e
                      where e.org_id = p_payment.org_id and e.type = 'REFUND'
                        and case when p_payment.stripe_payment_intent_id is not null
                                 then e.stripe_payment_intent_id = p_payment.stripe_payment_intent_id
                                 when p_payment.stripe_invoice_id is not null then e.stripe_invoice_id = p_payment.stripe_invoice_id
                                 else e.purchase_id = p_payment.purchase_id and e.source = 'manual' end), 0)
         - coalesce((select sum(r.amount_cents) from public.refunds as r
                      where r.org_id = p_payment.org_id and r.payment_id = p_payment.id and r.status in ('requested', 'sending', 'pending')
                        and not exists (select from public.money_events as e
                                         where e.org_id = r.org_id and e.type = 'REFUND' and e.source = 'stripe' and e.reference_id = r.stripe_refund_id)), 0);
$$;
comment on function private.refundable_cents is 'What is left of a payment to give back.';

-- p_amount_cents null: all that is left. The same request id is answered with the same refund.
create function private.request_refund(
  p_org_id uuid, p_payment_id uuid, p_amount_cents bigint, p_reason text, p_note text default null, p_request_id uuid default null,
  p_actor_id uuid default null, p_deposit_id uuid default null, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_payment public.money_events;
  v_refund public.refunds;
  v_left bigint;
begin
  perform private.lock_package(p_org_id, e.purchase_id)
     from public.money_events as e where e.org_id = p_org_id and e.id = p_payment_id and e.purchase_id is not null;
  -- The payment's row is the lock: two refunds of its last cent queue here.
  select e.* into v_payment from public.money_events as e
   where e.org_id = p_org_id and e.id = p_payment_id and e.type = 'INCOME' for no key update;
  if not found then
    perform private.refuse_payment();
  end if;
  select r.* into v_refund from public.refunds as r where r.org_id = p_org_id and r.request_id = p_request_id;
  if found then
    if v_refund.payment_id <> p_payment_id or v_refund.amount_cents <> coalesce(p_amount_cents, v_refund.amount_cents) then
      perform private.refuse_request();
    end if;
    return v_refund.id;
  end if;
  v_left := private.refundable_cents(v_payment);
  if coalesce(p_amount_cents, v_left) not between 1 and v_left then
    perform private.fail(409, 'refund_exceeds_payment', 'More would be refunded than is left of this payment.',
                         'Reload the payment, and refund at most what is left.');
  end if;
  insert into public.refunds (
    org_id, payment_id, client_id, deposit_id, purchase_id, amount_cents, currency, reason, note, source, stripe_account_id,
    stripe_payment_intent_id, request_id, requested_by, next_at, created_at)
  values (
    p_org_id, p_payment_id, v_payment.client_id, coalesce(p_deposit_id, (select d.id from public.deposits as d where d.org_id = p_org_id and d.payment_id = p_payment_id)),
    v_payment.purchase_id, coalesce(p_amount_cents, v_left), v_payment.currency, p_reason, p_note, v_payment.source,
    case when v_payment.source = 'stripe' then (select a.stripe_account_id from public.stripe_accounts as a where a.org_id = p_org_id) end,
    v_payment.stripe_payment_intent_id, p_request_id, p_actor_id, case when v_payment.source = 'stripe' then p_now end, p_now)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning * into v_refund;
  if not found then
    perform private.fail(409, 'request_in_progress', 'The same request is being answered.', 'Ask again with the same request id.');
  end if;
  if v_refund.source = 'manual' then
    perform private.book_manual_refund(v_refund, p_now);
  end if;
  return v_refund.id;
end;
$$;
comment on function private.request_refund is
  'Asks for a refund of a payment and returns its id; a payment taken by hand is given back by hand, so its refund is booked at once. Fails: payment_not_found 404, refund_exceeds_payment 409, request_reused 409, request_in_progress 409.';

create function private.refuse_payment()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'payment_not_found', 'There is no such payment.', 'Reload the payments.');
$$;
comment on function private.refuse_payment is 'Refuses an unknown payment, or another tenant''s: payment_not_found 404.';

create function private.member_refund_payment(p_payment_id uuid, p_amount_cents bigint, p_note text, p_request_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select e.org_id into v_org_id from public.money_events as e where e.id = p_payment_id;
  if v_org_id is null or not v_org_id = any (private.orgs_with('org.read')) then
    perform private.refuse_payment();
  end if;
  perform private.require_org(v_org_id, 'payments.refund');
  perform private.require_value(coalesce(p_amount_cents, 1) between 1 and 100000000, 'amount_cents');
  perform private.require_value(coalesce(char_length(p_note), 0) <= 500, 'note');
  return private.request_refund(v_org_id, p_payment_id, p_amount_cents, 'by_hand', p_note, p_request_id, auth.uid());
end;
$$;
comment on function private.member_refund_payment is 'request_refund for a member with payments.refund.';

-- What the client of a cancelled booking is entitled to, less what they have had: cancelled again it adds nothing.
create function private.refund_cancelled(p_booking public.bookings, p_percent integer, p_actor_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit public.deposits;
  v_payment public.money_events;
  v_amount bigint;
begin
  select d.* into v_deposit from public.deposits as d
   where d.org_id = p_booking.org_id and d.booking_id = p_booking.id and d.status = 'paid';
  if not found then
    return null;
  end if;
  select e.* into v_payment from public.money_events as e
   where e.org_id = v_deposit.org_id and e.id = v_deposit.payment_id for no key update;
  v_amount := round(v_payment.amount_cents * p_percent / 100.0) - (v_payment.amount_cents - private.refundable_cents(v_payment));
  if v_amount < 1 then
    return null;
  end if;
  return private.request_refund(v_deposit.org_id, v_payment.id, v_amount, 'cancellation', p_actor_id => p_actor_id, p_deposit_id => v_deposit.id);
end;
$$;
comment on function private.refund_cancelled is 'Asks for the refund of a cancelled booking''s deposit, up to so many percent of it; null when nothing is due.';

-- Whichever door cancels. The coach's own cancellation gives everything back, unless they hold the client to the policy.
create function private.tg_bookings__refund()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_is_staff boolean := new.org_id = any (private.orgs_with('bookings.write')) or current_setting('coach.cancels_for', true) = 'staff';
begin
  perform private.refund_cancelled(
            new, case when v_is_staff and coalesce(current_setting('coach.cancel_is_charged', true), '') <> 'true' then 100
                      else private.refund_percent(new.org_id, new.start_time, now()) end, auth.uid());
  return null;
end;
$$;
comment on function private.tg_bookings__refund is 'Asks, in the cancellation''s own transaction, for what it gives back of the booking''s deposit.';
create trigger bookings__refund after update of status on public.bookings
  for each row when (new.status = 'cancelled' and old.status in ('pending', 'confirmed')) execute function private.tg_bookings__refund();

create function private.claim_refunds(p_limit integer, p_lease interval, p_now timestamptz)
returns table (
  org_id uuid, refund_id uuid, claim uuid, attempt integer, account text, payment_intent_id text, stripe_refund_id text, amount_cents bigint,
  currency text, reason text)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if private.is_braked('payments') then
    return;
  end if;
  return query
  update public.refunds as r
     set status = case when r.stripe_refund_id is null then 'sending' else r.status end, claim = gen_random_uuid(),
         attempts = r.attempts + 1, next_at = p_now + p_lease, updated_at = p_now
    from (select d.org_id, d.id
            from public.refunds as d
           where d.next_at <= p_now and d.org_id <> all (private.braked_orgs('payments'))
           order by d.next_at
           limit p_limit
             for no key update skip locked) as due
   where r.org_id = due.org_id and r.id = due.id
  returning r.org_id, r.id, r.claim, r.attempts, r.stripe_account_id, r.stripe_payment_intent_id, r.stripe_refund_id, r.amount_cents,
            r.currency, r.reason;
end;
$$;
comment on function private.claim_refunds is
  'Claims refunds that are due, for a lease; one with a stripe_refund_id is asked about, one with attempt > 1 is looked for before it is made.';

-- p_stripe_refund: {id, status, amount} as Stripe has it; null where nothing came of the try: p_error_code says why, p_is_final whether
-- Stripe said no. A fact is booked whoever tells it; only the state of the try needs its claim.
create function private.record_refund(
  p_refund_id uuid, p_claim uuid, p_stripe_refund jsonb, p_error_code text, p_is_final boolean, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_refund public.refunds;
begin
  select r.* into v_refund from public.refunds as r where r.id = p_refund_id;
  if not found then
    perform private.fail(404, 'refund_not_found', 'There is no such refund.', 'Reload the refunds.');
  elsif p_stripe_refund is not null then
    return private.apply_refund(v_refund.org_id, v_refund.id, p_stripe_refund, p_now);
  end if;
  update public.refunds as r
     set status = case when p_is_final then 'failed' when r.status = 'sending' then 'requested' else r.status end, claim = null,
         error_code = left(p_error_code, 100), updated_at = p_now, settled_at = case when p_is_final then p_now end,
         next_at = case when not p_is_final then p_now + least(interval '1 hour', interval '15 seconds' * power(2, least(r.attempts, 8))) end
   where r.org_id = v_refund.org_id and r.id = v_refund.id and r.claim = p_claim and r.settled_at is null
  returning r.* into v_refund;
  if not found then
    return 'stale';
  elsif v_refund.status = 'failed' then
    perform private.raise_alert(v_refund.org_id, 'refund_failed', v_refund.client_id, v_refund.purchase_id, null);
  end if;
  return v_refund.status;
end;
$$;
comment on function private.record_refund is 'Takes in what came of a try and returns the refund''s status, or stale where the claim was another''s by then. Fails: refund_not_found 404.';

-- From the sweep and from the webhook, in any order and as often as they like.
create function private.apply_refund(p_org_id uuid, p_refund_id uuid, p_stripe_refund jsonb, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_status text := case p_stripe_refund ->> 'status' when 'succeeded' then 'succeeded' when 'failed' then 'failed' when 'canceled' then 'failed'
                        else 'pending' end;
  v_refund public.refunds;
begin
  select r.* into v_refund from public.refunds as r where r.org_id = p_org_id and r.id = p_refund_id;
  if v_status = 'succeeded' then
    perform private.book_stripe_refund(v_refund, p_stripe_refund, p_now);
  end if;
  update public.refunds as r
     set status = v_status, stripe_refund_id = p_stripe_refund ->> 'id', claim = null, error_code = case when v_status = 'failed' then coalesce(p_stripe_refund ->> 'failure_reason', 'refund_failed') end,
         next_at = case when v_status = 'pending' then p_now + interval '6 hours' end, updated_at = p_now,
         settled_at = case when v_status <> 'pending' then p_now end
   where r.org_id = p_org_id and r.id = p_refund_id
     -- A refund that was paid out may still bounce; nothing else follows an end.
     and (r.settled_at is null or (r.status = 'succeeded' and v_status = 'failed'))
  returning r.* into v_refund;
  if found and v_refund.status = 'failed' then
    perform private.raise_alert(v_refund.org_id, 'refund_failed', v_refund.client_id, v_refund.purchase_id, null);
  end if;
  return (select r.status from public.refunds as r where r.org_id = p_org_id and r.id = p_refund_id);
end;
$$;
comment on function private.apply_refund is 'Applies how Stripe has a refund of ours: books it when it is paid out, alerts when it failed; returns its status.';
