-- Where deposits and refunds meet the ledger: each fact is booked by its own id, whoever tells it first.

create function private.paid_amount(p_intent jsonb)
returns bigint
language sql volatile security invoker set search_path = ''
as $$
  select private.stripe_amount(p_intent, case when p_intent ->> 'amount_received' is not null then 'amount_received' else 'amount' end);
$$;
comment on function private.paid_amount is 'What a PaymentIntent that succeeded brought, in its minor unit. Fails: stripe_field_missing 422, stripe_amount_invalid 422.';

create function private.book_payment(p_org_id uuid, p_intent jsonb, p_client_id uuid, p_booking_id uuid, p_now timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into private.stripe_payments (org_id, kind, payment_intent_id, charge_id, client_id, booking_id, amount_cents, currency, paid_at)
  values (p_org_id, 'deposit', p_intent ->> 'id', p_intent ->> 'latest_charge', p_client_id, p_booking_id,
          private.paid_amount(p_intent), private.stripe_currency(p_intent), p_now)
  on conflict do nothing;
  perform private.book_money(
            p_org_id, 'INCOME', private.paid_amount(p_intent), private.stripe_currency(p_intent), 'stripe',
            p_intent ->> 'id', p_now, p_client_id, p_booking_id => p_booking_id, p_stripe_payment_intent_id => p_intent ->> 'id');
  return (select e.id from public.money_events as e
           where e.org_id = p_org_id and e.source = 'stripe' and e.reference_id = p_intent ->> 'id' and e.type = 'INCOME');
end;
$$;
comment on function private.book_payment is 'Books a deposit''s payment, once, and returns the INCOME event''s id.';

-- The sweep's answer and the webhook's event are one fact, booked by one rule (private.apply_stripe_refund), which comes back here.
-- The platform gives back its share with the money: as much of it in all as of the payment.
create function private.book_returned_fee(p_refund public.refunds, p_stripe_refund_id text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_payment public.money_events;
  v_fee bigint;
  v_given_back bigint;
  v_returned bigint;
begin
  select e.* into v_payment from public.money_events as e where e.org_id = p_refund.org_id and e.id = p_refund.payment_id;
  select coalesce(-sum(e.amount_cents) filter (where e.type = 'PLATFORM_FEE' and e.amount_cents < 0),
                  (select d.application_fee_cents from public.deposits as d where d.org_id = p_refund.org_id and d.id = p_refund.deposit_id)),
         coalesce(-sum(e.amount_cents) filter (where e.type = 'REFUND'), 0),
         coalesce(sum(e.amount_cents) filter (where e.type = 'PLATFORM_FEE' and e.amount_cents > 0), 0)
    into v_fee, v_given_back, v_returned
    from public.money_events as e
   where e.org_id = p_refund.org_id and e.stripe_payment_intent_id = p_refund.stripe_payment_intent_id;
  perform private.book_money(
            p_refund.org_id, 'PLATFORM_FEE', round(v_fee * v_given_back / v_payment.amount_cents::numeric)::bigint - v_returned, p_refund.currency,
            'stripe', p_stripe_refund_id, p_now, p_refund.client_id, p_refund.purchase_id, v_payment.booking_id, p_refund.stripe_payment_intent_id)
    where v_fee > 0;
end;
$$;
comment on function private.book_returned_fee is 'Books what the platform gives back of its share with a refund, once.';

create function private.book_manual_refund(p_refund public.refunds, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.book_money(p_refund.org_id, 'REFUND', -p_refund.amount_cents, p_refund.currency, 'manual', p_refund.id::text, p_now,
                             p_refund.client_id, p_refund.purchase_id);
  update public.refunds as r
     set status = 'succeeded', settled_at = p_now, updated_at = p_now
   where r.org_id = p_refund.org_id and r.id = p_refund.id;
  update public.client_purchases as p
     set payment_status = 'refunded'
   where p.org_id = p_refund.org_id and p.id = p_refund.purchase_id
     and private.refundable_cents((select e from public.money_events as e where e.org_id = p_refund.org_id and e.id = p_refund.payment_id)) = 0;
end;
$$;
comment on function private.book_manual_refund is 'Books a refund that the coach hands over; a package of which nothing is left paid becomes refunded.';
