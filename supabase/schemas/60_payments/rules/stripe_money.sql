-- What else moves money at Stripe: fees, refunds, disputes, payouts. Each is booked by its own id, in whatever order it is told.

create function private.apply_stripe_account(p_org_id uuid, p_account jsonb, p_at timestamptz, p_is_gone boolean)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_known public.stripe_accounts;
begin
  select a.* into v_known from public.stripe_accounts as a where a.org_id = p_org_id for no key update;
  if p_at < v_known.as_of then
    return 'applied';
  elsif p_at = v_known.as_of and not p_is_gone then
    perform private.want_stripe_object(p_org_id, v_known.stripe_account_id, 'account', v_known.stripe_account_id);
    return 'applied';
  end if;
  perform private.require_stripe_field(p_is_gone or p_account ? 'charges_enabled', 'charges_enabled'),
          private.require_stripe_field(p_is_gone or p_account ? 'payouts_enabled', 'payouts_enabled');
  update public.stripe_accounts as a
     set charges_enabled = not p_is_gone and (p_account ->> 'charges_enabled')::boolean,
         payouts_enabled = not p_is_gone and (p_account ->> 'payouts_enabled')::boolean,
         details_submitted = coalesce((p_account ->> 'details_submitted')::boolean, a.details_submitted),
         as_of = coalesce(p_at, a.as_of)
   where a.org_id = p_org_id;
  return 'applied';
end;
$$;
comment on function private.apply_stripe_account is 'Mirrors what a connected account may do; nothing once it has taken its leave.';

-- The charge says what the platform took; what Stripe took is in its balance transaction, which may come later.
create function private.apply_charge(p_org_id uuid, p_account text, p_charge jsonb, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_charge_id text := p_charge ->> 'id';
  v_intent_id text := private.stripe_id(p_charge -> 'payment_intent');
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, v_intent_id, v_charge_id, private.stripe_id(p_charge -> 'invoice'));
  v_transaction jsonb := p_charge -> 'balance_transaction';
begin
  status := 'applied';
  if p_charge ->> 'status' is distinct from 'succeeded' then
    return;
  elsif v_payment.id is null then
    if v_intent_id is null then
      status := 'ignored';
    else
      select w.status, w.waits_for into status, waits_for from private.stripe_waits(v_intent_id) as w;
    end if;
    return;
  end if;
  update private.stripe_payments as p
     set charge_id = v_charge_id, payment_intent_id = coalesce(p.payment_intent_id, v_intent_id)
   where p.org_id = p_org_id and p.id = v_payment.id and p.charge_id is distinct from v_charge_id;
  if coalesce(jsonb_typeof(p_charge -> 'application_fee_amount'), 'null') <> 'null' then
    perform private.book_money(
      p_org_id, 'PLATFORM_FEE', -private.stripe_amount(p_charge, 'application_fee_amount'), private.stripe_currency(p_charge), 'stripe', v_charge_id,
      private.stripe_instant(p_charge -> 'created'), v_payment.client_id, v_payment.purchase_id, v_payment.booking_id, v_payment.payment_intent_id,
      v_payment.invoice_id);
  end if;
  if jsonb_typeof(v_transaction) = 'object' then
    status := private.apply_balance_transaction(p_org_id, v_transaction);
  else
    perform private.want_stripe_object(p_org_id, p_account, 'balance_transaction', private.stripe_id(v_transaction));
  end if;
end;
$$;
comment on function private.apply_charge is
  'A charge of a payment of ours: books the platform''s fee, and asks for the balance transaction that has Stripe''s; one of a payment not known yet waits.';

create function private.apply_balance_transaction(p_org_id uuid, p_transaction jsonb)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_charge_id text := private.stripe_id(p_transaction -> 'source');
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, null, v_charge_id, null);
  v_fee bigint := private.stripe_amount(p_transaction, 'fee');
begin
  perform private.require_stripe_field(v_charge_id is not null, 'source');
  if v_payment.id is null then
    return 'ignored';
  end if;
  -- Its fee includes what the platform took, which is booked by itself.
  select v_fee - coalesce(sum((d.value ->> 'amount')::bigint), 0) into v_fee
    from jsonb_array_elements(case jsonb_typeof(p_transaction -> 'fee_details') when 'array' then p_transaction -> 'fee_details' else '[]' end) as d (value)
   where d.value ->> 'type' = 'application_fee';
  perform private.book_money(
    p_org_id, 'FEE', -v_fee, private.stripe_currency(p_transaction), 'stripe', v_charge_id, private.stripe_instant(p_transaction -> 'created'),
    v_payment.client_id, v_payment.purchase_id, v_payment.booking_id, v_payment.payment_intent_id, v_payment.invoice_id);
  return 'applied';
end;
$$;
comment on function private.apply_balance_transaction is 'Books Stripe''s fee of a charge, as its balance transaction has it.';

-- Locks in order, so that a refund never meets a check-in the other way round.
create function private.lock_stripe_payment(p_payment private.stripe_payments)
returns private.stripe_payments
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_payment.purchase_id is not null then
    perform private.lock_package(p_payment.org_id, p_payment.purchase_id);
  end if;
  perform from public.bookings as b where b.org_id = p_payment.org_id and b.id = p_payment.booking_id for no key update;
  select p.* into p_payment from private.stripe_payments as p where p.org_id = p_payment.org_id and p.id = p_payment.id for no key update;
  return p_payment;
end;
$$;
comment on function private.lock_stripe_payment is 'Locks a payment after the package and the booking it paid for.';

create function private.book_of_payment(
  p_payment private.stripe_payments, p_type public.money_event_type, p_amount_cents bigint, p_currency text, p_reference_id text, p_at timestamptz)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.book_money(p_payment.org_id, p_type, p_amount_cents, p_currency, 'stripe', p_reference_id, p_at, p_payment.client_id,
                            p_payment.purchase_id, p_payment.booking_id, p_payment.payment_intent_id, p_payment.invoice_id);
$$;
comment on function private.book_of_payment is 'book_money for something that happened to a payment: with its client, package, booking and ids.';

create function private.refunded_cents(p_payment private.stripe_payments)
returns bigint
language sql stable security definer set search_path = ''
as $$
  select coalesce(-sum(e.amount_cents), 0)::bigint
    from public.money_events as e
   where e.org_id = p_payment.org_id and e.source = 'stripe' and e.type in ('REFUND', 'ADJUSTMENT')
     and (e.stripe_payment_intent_id = p_payment.payment_intent_id or e.stripe_invoice_id = p_payment.invoice_id);
$$;
comment on function private.refunded_cents is 'What was given back of a payment, less refunds that failed.';

-- One refund, by its own id: cumulative amounts of a charge say nothing about which.
create function private.apply_stripe_refund(p_org_id uuid, p_refund jsonb, p_now timestamptz, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text := p_refund ->> 'id';
  v_intent_id text := private.stripe_id(p_refund -> 'payment_intent');
  v_charge_id text := private.stripe_id(p_refund -> 'charge');
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, v_intent_id, v_charge_id, null);
  v_amount bigint := private.stripe_amount(p_refund, 'amount');
  v_currency text := private.stripe_currency(p_refund);
  v_at timestamptz := private.stripe_instant(p_refund -> 'created');
  v_refund_id uuid := private.metadata_id(p_refund -> 'metadata', 'refund_id');
begin
  perform private.require_stripe_field(v_id is not null, 'id'), private.require_stripe_field(p_refund ->> 'status' is not null, 'status'),
          private.require_stripe_field(v_at is not null, 'created');
  status := 'applied';
  if v_payment.id is null then
    if coalesce(v_intent_id, v_charge_id) is null then
      status := 'ignored';
    else
      select w.status, w.waits_for into status, waits_for from private.stripe_waits(coalesce(v_intent_id, v_charge_id)) as w;
    end if;
    return;
  end if;
  v_payment := private.lock_stripe_payment(v_payment);
  if v_currency <> v_payment.currency then
    perform private.fail(422, 'stripe_currency_mismatch', 'A refund is not in its payment''s currency.', 'Look at the payment at Stripe.');
  elsif not exists (select from public.money_events as e where e.org_id = p_org_id and e.source = 'stripe' and e.reference_id = v_id and e.type = 'REFUND')
        and p_refund ->> 'status' not in ('failed', 'canceled') and private.refunded_cents(v_payment) + v_amount > v_payment.amount_cents then
    perform private.fail(422, 'stripe_refund_too_large', 'More would be given back than was paid.', 'Look at the payment at Stripe.');
  end if;
  perform private.book_of_payment(v_payment, 'REFUND', -v_amount, v_currency, v_id, v_at);
  if p_refund ->> 'status' in ('failed', 'canceled') then
    perform private.book_of_payment(v_payment, 'ADJUSTMENT', v_amount, v_currency, v_id, p_now);
  end if;
  if exists (select from public.refunds as r where r.org_id = p_org_id and r.id = v_refund_id) then
    perform private.apply_refund(p_org_id, v_refund_id, p_refund, p_now);
  end if;
end;
$$;
comment on function private.apply_stripe_refund is
  'Books a refund once, on its own date, and takes it back where it failed; waits for a payment not known yet. Fails: stripe_refund_too_large 422, stripe_currency_mismatch 422, stripe_field_missing 422.';

-- Earlier versions of the API list a charge's refunds; later ones leave them to be asked for.
create function private.apply_charge_refunded(p_org_id uuid, p_account text, p_charge jsonb, p_now timestamptz, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_intent_id text := private.stripe_id(p_charge -> 'payment_intent');
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, v_intent_id, p_charge ->> 'id', private.stripe_id(p_charge -> 'invoice'));
  v_refund jsonb;
begin
  status := 'applied';
  if v_payment.id is null then
    select w.status, w.waits_for into status, waits_for from private.stripe_waits(coalesce(v_intent_id, p_charge ->> 'id')) as w;
    return;
  end if;
  for v_refund in
    select r.value || jsonb_build_object('payment_intent', v_payment.payment_intent_id, 'charge', p_charge ->> 'id')
      from jsonb_array_elements(case jsonb_typeof(p_charge #> '{refunds,data}') when 'array' then p_charge #> '{refunds,data}' else '[]' end) as r (value)
  loop
    perform private.apply_stripe_refund(p_org_id, v_refund, p_now);
  end loop;
  if p_account is not null and private.refunded_cents(v_payment) < private.stripe_amount(p_charge, 'amount_refunded') then
    perform private.want_stripe_object(p_org_id, p_account, 'charge', p_charge ->> 'id');
  end if;
end;
$$;
comment on function private.apply_charge_refunded is 'A charge was refunded: books the refunds it lists, and asks for them where it lists none.';

create function private.apply_dispute(p_org_id uuid, p_type text, p_dispute jsonb, p_at timestamptz, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text := p_dispute ->> 'id';
  v_intent_id text := private.stripe_id(p_dispute -> 'payment_intent');
  v_charge_id text := private.stripe_id(p_dispute -> 'charge');
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, v_intent_id, v_charge_id, null);
  v_amount bigint := private.stripe_amount(p_dispute, 'amount');
  v_currency text := private.stripe_currency(p_dispute);
  v_status text := case p_dispute ->> 'status' when 'won' then 'won' when 'warning_closed' then 'won' when 'lost' then 'lost' else 'held' end;
  v_transactions jsonb := case jsonb_typeof(p_dispute -> 'balance_transactions') when 'array' then p_dispute -> 'balance_transactions' else '[]' end;
  v_transaction record;
  v_before public.disputes;
begin
  perform private.require_stripe_field(v_id is not null, 'id'), private.require_stripe_field(p_dispute ->> 'status' is not null, 'status');
  status := 'applied';
  if v_payment.id is null then
    select w.status, w.waits_for into status, waits_for from private.stripe_waits(coalesce(v_intent_id, v_charge_id)) as w;
    return;
  end if;
  v_payment := private.lock_stripe_payment(v_payment);
  select d.* into v_before from public.disputes as d where d.org_id = p_org_id and d.stripe_dispute_id = v_id;
  insert into public.disputes as d (
    org_id, stripe_dispute_id, payment_id, client_id, purchase_id, booking_id, amount_cents, currency, reason, status, opened_at, closed_at)
  values (
    p_org_id, v_id, v_payment.id, v_payment.client_id, v_payment.purchase_id, v_payment.booking_id, v_amount, v_currency, p_dispute ->> 'reason',
    v_status, coalesce(private.stripe_instant(p_dispute -> 'created'), p_at), case when v_status <> 'held' then p_at end)
  on conflict (org_id, stripe_dispute_id) do update
     set status = excluded.status, closed_at = excluded.closed_at
   where d.status = 'held' and excluded.status <> 'held';

  -- The money leaves when the dispute opens and comes back when it is won; a question of the bank's moves none.
  if p_type = 'charge.dispute.funds_withdrawn' or v_status = 'lost'
     or exists (select from jsonb_array_elements(v_transactions) as t (value) where (t.value ->> 'amount')::bigint < 0) then
    perform private.book_of_payment(v_payment, 'DISPUTE', -v_amount, v_currency, v_id, coalesce(private.stripe_instant(p_dispute -> 'created'), p_at));
  end if;
  if p_type = 'charge.dispute.funds_reinstated'
     or exists (select from jsonb_array_elements(v_transactions) as t (value) where (t.value ->> 'amount')::bigint > 0) then
    perform private.book_of_payment(v_payment, 'DISPUTE', -v_amount, v_currency, v_id, coalesce(private.stripe_instant(p_dispute -> 'created'), p_at)),
            private.book_of_payment(v_payment, 'DISPUTE', v_amount, v_currency, v_id || '/reinstated', p_at);
  end if;
  for v_transaction in
    select t.value ->> 'id' as id, (t.value ->> 'fee')::bigint as fee, lower(t.value ->> 'currency') as currency,
           private.stripe_instant(t.value -> 'created') as created_at
      from jsonb_array_elements(v_transactions) as t (value)
     where coalesce((t.value ->> 'fee')::bigint, 0) <> 0
  loop
    perform private.book_of_payment(v_payment, 'FEE', -v_transaction.fee, coalesce(v_transaction.currency, v_currency), v_transaction.id,
                                    coalesce(v_transaction.created_at, p_at));
  end loop;
  if v_before.id is null then
    perform private.raise_alert(p_org_id, 'payment_disputed', v_payment.client_id, v_payment.purchase_id, v_payment.booking_id);
  end if;
  if v_status = 'lost' and coalesce(v_before.status, 'held') = 'held' then
    perform private.raise_alert(p_org_id, 'dispute_lost', v_payment.client_id, v_payment.purchase_id, v_payment.booking_id);
  end if;
  if v_payment.purchase_id is not null then
    perform private.settle_package(p_org_id, v_payment.purchase_id);
  end if;
end;
$$;
comment on function private.apply_dispute is
  'A payment is disputed: held, then won or lost, only forward; its money leaves and comes back once each, its fees by their transactions.';

create function private.apply_payout(p_org_id uuid, p_type text, p_payout jsonb)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text := p_payout ->> 'id';
  v_amount bigint := private.stripe_amount(p_payout, 'amount');
  v_at timestamptz := coalesce(private.stripe_instant(p_payout -> 'arrival_date'), private.stripe_instant(p_payout -> 'created'));
begin
  perform private.require_stripe_field(v_id is not null, 'id'), private.require_stripe_field(v_at is not null, 'arrival_date');
  perform private.book_money(p_org_id, 'PAYOUT', -v_amount, private.stripe_currency(p_payout), 'stripe', v_id, v_at);
  if p_type <> 'payout.paid' then
    perform private.book_money(p_org_id, 'PAYOUT', v_amount, private.stripe_currency(p_payout), 'stripe', v_id || '/returned', v_at),
            private.raise_alert(p_org_id, 'payout_failed', null, null, null);
  end if;
  return 'applied';
end;
$$;
comment on function private.apply_payout is 'A payout to the bank: booked once; where it failed it came back.';
