-- Where deposits and refunds meet the ledger: each fact is booked by its own id, whoever tells it first.

create function private.book_payment(p_org_id uuid, p_intent jsonb, p_client_id uuid, p_deposit_id uuid, p_now timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into private.stripe_payments (org_id, kind, payment_intent_id, charge_id, client_id, amount_cents, currency, paid_at)
  values (p_org_id, 'deposit', p_intent ->> 'id', p_intent ->> 'latest_charge', p_client_id,
          coalesce(p_intent ->> 'amount_received', p_intent ->> 'amount')::bigint, lower(p_intent ->> 'currency'), p_now)
  on conflict do nothing;
  perform private.book_money(
            p_org_id, 'INCOME', coalesce(p_intent ->> 'amount_received', p_intent ->> 'amount')::bigint, p_intent ->> 'currency', 'stripe',
            p_intent ->> 'id', p_now, p_client_id, p_stripe_payment_intent_id => p_intent ->> 'id');
  return (select e.id from public.money_events as e
           where e.org_id = p_org_id and e.source = 'stripe' and e.reference_id = p_intent ->> 'id' and e.type = 'INCOME');
end;
$$;
comment on function private.book_payment is 'Books a deposit''s payment, once, and returns the INCOME event''s id.';

create function private.book_stripe_refund(p_refund public.refunds, p_stripe_refund jsonb, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.book_money(
            p_refund.org_id, 'REFUND', -(p_stripe_refund ->> 'amount')::bigint, p_refund.currency, 'stripe', p_stripe_refund ->> 'id', p_now,
            p_refund.client_id, p_refund.purchase_id, p_stripe_payment_intent_id => p_refund.stripe_payment_intent_id);
end;
$$;
comment on function private.book_stripe_refund is 'Books a refund that Stripe paid out, once.';

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
