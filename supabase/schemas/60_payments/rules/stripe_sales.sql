-- What clients pay through Stripe: a checkout becomes a package once it is paid, a paid period of a subscription grants its sessions.
-- Metadata only names things of the account's own organisation; what it names is looked up there, and refused elsewhere.

create function private.refuse_metadata()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(422, 'stripe_metadata_foreign', 'The payment names something that is not the account''s organisation''s.',
                      'Look at who made the payment, and refund it if it is nobody''s.');
$$;
comment on function private.refuse_metadata is 'Refuses metadata that leads out of the account''s organisation: stripe_metadata_foreign 422.';

create function private.metadata_id(p_metadata jsonb, p_name text)
returns uuid
language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (p_metadata ->> p_name)::uuid;
exception when invalid_text_representation then
  perform private.refuse_metadata();
end;
$$;
comment on function private.metadata_id is 'An id in metadata; null where there is none. Fails: stripe_metadata_foreign 422.';

-- {client_id, offer_id}, of this organisation; both null where the payment was made elsewhere.
create function private.sale_of(p_org_id uuid, p_metadata jsonb, out client_id uuid, out offer_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  if coalesce(private.metadata_id(p_metadata, 'org_id') <> p_org_id, false) then
    perform private.refuse_metadata();
  end if;
  client_id := private.metadata_id(p_metadata, 'client_id');
  offer_id := private.metadata_id(p_metadata, 'offer_id');
  if client_id is null or offer_id is null then
    client_id := null;
    offer_id := null;
  elsif not exists (select from public.clients as c where c.org_id = p_org_id and c.id = sale_of.client_id)
     or not exists (select from public.offers as o where o.org_id = p_org_id and o.id = sale_of.offer_id) then
    perform private.refuse_metadata();
  end if;
end;
$$;
comment on function private.sale_of is 'Whom a payment''s metadata says it is from, and what for; nulls where it says nothing. Fails: stripe_metadata_foreign 422.';

create function private.stripe_amount(p_object jsonb, p_name text)
returns bigint
language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_amount jsonb := p_object -> p_name;
begin
  perform private.require_stripe_field(coalesce(jsonb_typeof(v_amount), 'null') <> 'null', p_name);
  if jsonb_typeof(v_amount) <> 'number' or (v_amount #>> '{}')::numeric <> trunc((v_amount #>> '{}')::numeric)
     or (v_amount #>> '{}')::numeric not between 0 and 999999999999 then
    perform private.fail(422, 'stripe_amount_invalid', 'An amount is not one that can be.', 'Look at the payment at Stripe.');
  end if;
  return (v_amount #>> '{}')::numeric::bigint;
end;
$$;
comment on function private.stripe_amount is 'An amount of a Stripe object in the minor unit. Fails: stripe_field_missing 422, stripe_amount_invalid 422.';

create function private.stripe_currency(p_object jsonb)
returns text
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform private.require_stripe_field(coalesce(p_object ->> 'currency' ~* '^[a-z]{3}$', false), 'currency');
  return lower(p_object ->> 'currency');
end;
$$;
comment on function private.stripe_currency is 'The currency of a Stripe object. Fails: stripe_field_missing 422.';

create function private.find_stripe_payment(p_org_id uuid, p_intent_id text, p_charge_id text, p_invoice_id text)
returns private.stripe_payments
language sql stable security definer set search_path = ''
as $$
  select p.* from private.stripe_payments as p
   where p.org_id = p_org_id
     and (p.payment_intent_id = p_intent_id or p.charge_id = p_charge_id or p.invoice_id = p_invoice_id)
   order by p.created_at limit 1;
$$;
comment on function private.find_stripe_payment is 'The payment that an intent, a charge or an invoice is of; an empty row where it is not known.';

-- One payment, one package, one income: the payment's row decides, under the account's lock.
create function private.sell_through_stripe(
  p_org_id uuid, p_kind text, p_intent_id text, p_invoice_id text, p_client_id uuid, p_offer_id uuid, p_amount_cents bigint, p_currency text,
  p_paid_at timestamptz, p_expires_at timestamptz, p_grants boolean)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_payment private.stripe_payments := private.find_stripe_payment(p_org_id, p_intent_id, null, p_invoice_id);
  v_offer public.offers;
  v_purchase_id uuid;
begin
  if v_payment.paid_at is not null then
    return;
  end if;
  select o.* into v_offer from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id;
  if v_offer.currency <> p_currency then
    perform private.fail(422, 'sale_currency_mismatch', 'The currency is not the offer''s.', 'Refund the payment, or correct the offer and replay the event.');
  elsif p_grants and p_amount_cents > 100000000 then
    perform private.fail(422, 'stripe_amount_invalid', 'An amount is not one that can be.', 'Look at the payment at Stripe.');
  end if;
  if p_grants then
    insert into public.client_purchases (
      org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total, purchased_at, expires_at, stripe_payment_intent_id,
      payment_status, payment_method, session_duration_mins, source)
    values (
      p_org_id, p_client_id, p_offer_id, p_amount_cents, p_currency,
      case when v_offer.offer_type <> 'subscription' or v_offer.sessions_included is not null
           then coalesce(v_offer.sessions_included, 1) + coalesce(v_offer.bonus_sessions, 0) end,
      p_paid_at, coalesce(p_paid_at + make_interval(days => v_offer.pack_validity_days), p_expires_at), coalesce(p_intent_id, p_invoice_id),
      'succeeded', 'stripe', v_offer.session_duration_mins, 'stripe')
    returning id into v_purchase_id;
  end if;
  if p_amount_cents > 0 then
    insert into private.stripe_payments (
      org_id, kind, payment_intent_id, invoice_id, client_id, offer_id, purchase_id, amount_cents, currency, paid_at)
    values (p_org_id, p_kind, p_intent_id, p_invoice_id, p_client_id, p_offer_id, v_purchase_id, p_amount_cents, p_currency, p_paid_at);
    perform private.book_money(p_org_id, 'INCOME', p_amount_cents, p_currency, 'stripe', coalesce(p_invoice_id, p_intent_id), p_paid_at,
                               p_client_id, v_purchase_id, null, p_intent_id, p_invoice_id);
  end if;
end;
$$;
comment on function private.sell_through_stripe is
  'Makes the package that a payment paid for and books its income, once. Fails: sale_currency_mismatch 422, stripe_amount_invalid 422.';

create function private.apply_checkout(p_org_id uuid, p_session jsonb, p_at timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_sale record := private.sale_of(p_org_id, p_session -> 'metadata');
  v_amount bigint;
  v_intent_id text;
begin
  if v_sale.client_id is null then
    return 'ignored';
  end if;
  perform private.require_stripe_field(p_session ? 'mode', 'mode');
  if p_session ->> 'mode' = 'subscription' then
    return private.link_subscription(p_org_id, v_sale.client_id, v_sale.offer_id, private.stripe_id(p_session -> 'customer'),
                                     private.stripe_id(p_session -> 'subscription'));
  elsif p_session ->> 'mode' <> 'payment' then
    return 'ignored';
  end if;
  perform private.require_stripe_field(p_session ? 'payment_status', 'payment_status');
  if p_session ->> 'payment_status' = 'unpaid' then
    -- Paid by a way that takes days: async_payment_succeeded follows.
    return 'applied';
  end if;
  v_amount := private.stripe_amount(p_session, 'amount_total');
  v_intent_id := private.stripe_id(p_session -> 'payment_intent');
  perform private.require_stripe_field(v_amount = 0 or v_intent_id is not null, 'payment_intent');
  -- What costs nothing has no intent; the session then stands for the payment.
  if v_intent_id is null and exists (select from public.client_purchases as p
                                      where p.org_id = p_org_id and p.stripe_payment_intent_id = p_session ->> 'id') then
    return 'applied';
  end if;
  perform private.sell_through_stripe(p_org_id, 'package', coalesce(v_intent_id, p_session ->> 'id'), null, v_sale.client_id, v_sale.offer_id,
                                      v_amount, private.stripe_currency(p_session), p_at, null, true);
  return 'applied';
end;
$$;
comment on function private.apply_checkout is 'A checkout was completed: the package is made once it is paid, a subscription is joined to its client.';

create function private.apply_payment_intent(p_org_id uuid, p_type text, p_intent jsonb, p_at timestamptz, p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_deposit_id uuid := private.metadata_id(p_intent -> 'metadata', 'deposit_id');
  v_sale record := private.sale_of(p_org_id, p_intent -> 'metadata');
begin
  if v_deposit_id is not null then
    return case when private.apply_deposit_event(p_org_id, v_deposit_id, p_type, p_intent, p_now) is null then 'ignored' else 'applied' end;
  elsif v_sale.client_id is null then
    return 'ignored';
  elsif p_type = 'payment_intent.payment_failed' then
    return private.notice_failed_payment(p_org_id, p_intent, p_at);
  elsif p_type = 'payment_intent.succeeded' then
    perform private.sell_through_stripe(
      p_org_id, 'package', p_intent ->> 'id', null, v_sale.client_id, v_sale.offer_id,
      private.stripe_amount(p_intent, case when p_intent ? 'amount_received' then 'amount_received' else 'amount' end),
      private.stripe_currency(p_intent), p_at, null, true);
  end if;
  return 'applied';
end;
$$;
comment on function private.apply_payment_intent is 'An intent succeeded, failed or was cancelled: of a deposit, or of a package that is sold without a checkout.';

create function private.notice_failed_payment(p_org_id uuid, p_object jsonb, p_at timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_sale record := private.sale_of(p_org_id, p_object -> 'metadata');
begin
  if v_sale.client_id is null then
    return 'ignored';
  end if;
  perform private.raise_alert(p_org_id, 'payment_failed', v_sale.client_id, null, null);
  perform private.notice_event(p_org_id, 'payment_failed', v_sale.client_id, p_object ->> 'id', p_at);
  return 'applied';
end;
$$;
comment on function private.notice_failed_payment is 'A client''s payment failed: tells the coach and the automations.';

create function private.link_subscription(p_org_id uuid, p_client_id uuid, p_offer_id uuid, p_customer_id text, p_subscription_id text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_stripe_field(p_subscription_id is not null, 'subscription');
  insert into public.subscriptions as s (org_id, client_id, offer_id, stripe_customer_id, stripe_subscription_id)
  values (p_org_id, p_client_id, p_offer_id, p_customer_id, p_subscription_id)
  on conflict (org_id, client_id) do update
     set offer_id = excluded.offer_id, stripe_customer_id = coalesce(excluded.stripe_customer_id, s.stripe_customer_id),
         status = case when s.stripe_subscription_id = excluded.stripe_subscription_id then s.status else 'none' end,
         as_of = case when s.stripe_subscription_id = excluded.stripe_subscription_id then s.as_of end,
         stripe_subscription_id = excluded.stripe_subscription_id;
  perform private.want_stripe_object(p_org_id, a.stripe_account_id, 'subscription', p_subscription_id)
     from public.stripe_accounts as a where a.org_id = p_org_id;
  return 'applied';
end;
$$;
comment on function private.link_subscription is 'Joins a subscription to the client who bought it; how it stands is asked of Stripe.';

-- An event is of its second; one of the same second as what is known may be older than it, so Stripe is asked.
create function private.apply_subscription(
  p_org_id uuid, p_account text, p_subscription jsonb, p_at timestamptz, p_is_fetched boolean, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id text := p_subscription ->> 'id';
  v_item jsonb := p_subscription #> '{items,data,0}';
  v_price jsonb := coalesce(v_item -> 'price', v_item -> 'plan', p_subscription -> 'plan');
  v_status text;
  v_ends_at timestamptz := private.stripe_instant(coalesce(nullif(p_subscription -> 'current_period_end', 'null'), v_item -> 'current_period_end'));
  v_sale record := private.sale_of(p_org_id, p_subscription -> 'metadata');
  v_mirror public.subscriptions;
begin
  perform private.require_stripe_field(v_id is not null, 'id'), private.require_stripe_field(p_subscription ->> 'status' is not null, 'status'),
          private.require_stripe_field(v_ends_at is not null, 'current_period_end');
  v_status := case when p_subscription ->> 'status' in ('active', 'trialing') then 'active'
                   when p_subscription ->> 'status' in ('past_due', 'unpaid') then 'past_due'
                   when p_subscription ->> 'status' in ('canceled', 'incomplete_expired') then 'canceled' else 'none' end;
  status := 'applied';
  select s.* into v_mirror from public.subscriptions as s where s.org_id = p_org_id and s.stripe_subscription_id = v_id;
  if not found and v_sale.client_id is not null then
    select s.* into v_mirror from public.subscriptions as s where s.org_id = p_org_id and s.client_id = v_sale.client_id;
    -- A client's mirror shows one: an ended one does not take the place of one that runs.
    if found and v_mirror.stripe_subscription_id <> v_id and v_mirror.status in ('active', 'past_due') and v_status <> 'active' then
      return;
    elsif v_mirror.stripe_subscription_id is distinct from v_id then
      v_mirror.as_of := null;
    end if;
  elsif not found then
    select w.status, w.waits_for into status, waits_for from private.stripe_waits(v_id) as w;
    return;
  end if;
  if not p_is_fetched and p_at < v_mirror.as_of then
    return;
  elsif not p_is_fetched and p_at = v_mirror.as_of then
    perform private.want_stripe_object(p_org_id, p_account, 'subscription', v_id);
    return;
  end if;
  insert into public.subscriptions as s (
    org_id, client_id, offer_id, stripe_customer_id, stripe_subscription_id, status, price_cents, currency, current_period_end,
    cancel_at_period_end, as_of)
  values (
    p_org_id, coalesce(v_mirror.client_id, v_sale.client_id), coalesce(v_sale.offer_id, v_mirror.offer_id),
    coalesce(private.stripe_id(p_subscription -> 'customer'), v_mirror.stripe_customer_id), v_id, v_status,
    private.monthly_cents(v_price, v_item -> 'quantity'), lower(v_price ->> 'currency'), v_ends_at,
    coalesce((p_subscription ->> 'cancel_at_period_end')::boolean, false), coalesce(p_at, v_mirror.as_of))
  on conflict (org_id, client_id) do update
     set (offer_id, stripe_customer_id, stripe_subscription_id, status, price_cents, currency, current_period_end, cancel_at_period_end, as_of)
       = (excluded.offer_id, excluded.stripe_customer_id, excluded.stripe_subscription_id, excluded.status, excluded.price_cents,
          excluded.currency, excluded.current_period_end, excluded.cancel_at_period_end, excluded.as_of);
end;
$$;
comment on function private.apply_subscription is
  'Mirrors a client''s subscription, in both shapes of the API; one that nobody here is known for waits. Fails: stripe_field_missing 422, stripe_metadata_foreign 422.';

create function private.monthly_cents(p_price jsonb, p_quantity jsonb)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select least(round(m.cents), 100000000)::integer
    from (select coalesce((p_price ->> 'unit_amount')::numeric, (p_price ->> 'amount')::numeric) * coalesce((p_quantity #>> '{}')::numeric, 1)
                 / coalesce((p_price #>> '{recurring,interval_count}')::numeric, (p_price ->> 'interval_count')::numeric, 1)
                 * case coalesce(p_price #>> '{recurring,interval}', p_price ->> 'interval')
                     when 'day' then 365 / 12.0 when 'week' then 52 / 12.0 when 'year' then 1 / 12.0 else 1 end as cents) as m
   where m.cents is not null;
$$;
comment on function private.monthly_cents is 'What a price comes to in a month; null where it has no amount of its own.';

-- Each paid period grants its sessions once: by the invoice's id, and only for invoices that open a period.
create function private.apply_paid_invoice(
  p_org_id uuid, p_account text, p_invoice jsonb, p_at timestamptz, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_invoice_id text := p_invoice ->> 'id';
  v_details jsonb := coalesce(p_invoice #> '{parent,subscription_details}', p_invoice -> 'subscription_details');
  v_subscription_id text := private.stripe_id(coalesce(nullif(p_invoice -> 'subscription', 'null'), v_details -> 'subscription'));
  v_sale record := private.sale_of(p_org_id, v_details -> 'metadata');
  v_mirror public.subscriptions;
  v_intent_id text := private.stripe_id(coalesce(nullif(p_invoice -> 'payment_intent', 'null'),
                                                 p_invoice #> '{payments,data,0,payment,payment_intent}'));
  v_opens_period boolean := p_invoice ->> 'billing_reason' in ('subscription_create', 'subscription_cycle');
  v_ends_at timestamptz;
  v_amount bigint := private.stripe_amount(p_invoice, 'amount_paid');
begin
  perform private.require_stripe_field(v_invoice_id is not null, 'id');
  status := 'applied';
  if v_subscription_id is null then
    status := 'ignored';
    return;
  end if;
  perform private.require_stripe_field(p_invoice ->> 'billing_reason' is not null, 'billing_reason');
  if v_sale.client_id is null then
    select s.* into v_mirror from public.subscriptions as s where s.org_id = p_org_id and s.stripe_subscription_id = v_subscription_id;
    v_sale.client_id := v_mirror.client_id;
    v_sale.offer_id := v_mirror.offer_id;
  end if;
  if v_sale.client_id is null or v_sale.offer_id is null then
    select w.status, w.waits_for into status, waits_for from private.stripe_waits(v_subscription_id) as w;
    return;
  elsif v_amount = 0 then
    -- A trial's first invoice, or one that a credit paid: no money, and no sessions for it.
    return;
  end if;
  if v_opens_period then
    select private.stripe_instant(to_jsonb(max((l.value #>> '{period,end}')::numeric))) into v_ends_at
      from jsonb_array_elements(p_invoice #> '{lines,data}') as l (value)
     where not coalesce((l.value ->> 'proration')::boolean, (l.value #>> '{parent,subscription_item_details,proration}')::boolean, false);
    perform private.require_stripe_field(v_ends_at is not null, 'lines.period');
  end if;
  perform private.sell_through_stripe(p_org_id, case when v_opens_period then 'renewal' else 'invoice' end, v_intent_id, v_invoice_id,
                                      v_sale.client_id, v_sale.offer_id, v_amount, private.stripe_currency(p_invoice), p_at, v_ends_at, v_opens_period);
  if v_intent_id is null then
    perform private.want_stripe_object(p_org_id, p_account, 'invoice', v_invoice_id);
  end if;
end;
$$;
comment on function private.apply_paid_invoice is
  'A subscription''s invoice was paid: books it, and grants the period''s sessions; waits for a subscription that is not known yet. Fails: stripe_field_missing 422, sale_currency_mismatch 422.';

create function private.apply_failed_invoice(p_org_id uuid, p_invoice jsonb, p_at timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_subscription_id text := private.stripe_id(coalesce(nullif(p_invoice -> 'subscription', 'null'), p_invoice #> '{parent,subscription_details,subscription}'));
  v_mirror public.subscriptions;
begin
  select s.* into v_mirror from public.subscriptions as s where s.org_id = p_org_id and s.stripe_subscription_id = v_subscription_id;
  if not found then
    return 'ignored';
  end if;
  perform private.raise_alert(p_org_id, 'payment_failed', v_mirror.client_id, null, null);
  perform private.notice_event(p_org_id, 'payment_failed', v_mirror.client_id, p_invoice ->> 'id' || '-' || coalesce(p_invoice ->> 'attempt_count', '1'), p_at);
  -- How the subscription stands now is asked: the invoice may have been paid since.
  perform private.want_stripe_object(p_org_id, a.stripe_account_id, 'subscription', v_subscription_id)
     from public.stripe_accounts as a where a.org_id = p_org_id;
  return 'applied';
end;
$$;
comment on function private.apply_failed_invoice is 'A subscription''s payment failed: tells the coach and the automations, and asks how the subscription stands.';

create function private.link_invoice_payment(p_org_id uuid, p_invoice_id text, p_intent_id text, out status text, out waits_for text)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_stripe_field(p_invoice_id is not null, 'invoice'), private.require_stripe_field(p_intent_id is not null, 'payment_intent');
  update private.stripe_payments as p set payment_intent_id = coalesce(p.payment_intent_id, p_intent_id)
   where p.org_id = p_org_id and p.invoice_id = p_invoice_id;
  if found then
    status := 'applied';
  else
    select w.status, w.waits_for into status, waits_for from private.stripe_waits(p_invoice_id) as w;
  end if;
end;
$$;
comment on function private.link_invoice_payment is 'Joins an invoice to the intent that paid it, which later versions of the API keep apart.';
