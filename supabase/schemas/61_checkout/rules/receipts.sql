-- Receipts: one for every payment and refund of the ledger, numbered in each organisation without a gap.
-- Booking money waits for no counter: the ledger's insert leaves a note, and the sweep, or whoever wants the receipt now, gives the number.
-- The counter's row is the lock: a number is given only to a receipt that is written in the same transaction.

create function private.tg_money_events__want_receipt()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into private.receipts_due (org_id, money_event_id) values (new.org_id, new.id);
  return null;
end;
$$;
comment on function private.tg_money_events__want_receipt is 'Notes that a payment or refund wants a receipt.';
create trigger money_events__want_receipt after insert on public.money_events
  for each row when (new.type in ('INCOME', 'REFUND')) execute function private.tg_money_events__want_receipt();

create trigger receipts__append_only before update or delete on public.receipts
  for each row execute function private.tg__append_only();
create trigger receipts__no_truncate before truncate on public.receipts
  for each statement execute function private.tg__append_only();

-- Minor units by ISO 4217 as Stripe counts them.
create function private.currency_digits(p_currency text)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case when lower(p_currency) in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'ugx', 'vnd', 'vuv', 'xaf', 'xof', 'xpf') then 0
              when lower(p_currency) in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then 3 else 2 end;
$$;
comment on function private.currency_digits is 'How many digits of a currency lie behind its point: 0 for jpy, 2 for most, 3 for kwd.';

create function private.money_text(p_amount_cents bigint, p_currency text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select upper(p_currency) || ' ' || round(p_amount_cents / power(10::numeric, d.digits), d.digits)
    from private.currency_digits(p_currency) as d (digits);
$$;
comment on function private.money_text is 'An amount in minor units as people read it, such as AUD 25.00 or JPY 2500.';

-- What was paid for, in words.
create function private.receipt_description(p_event public.money_events)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce(
    (select o.name from public.client_purchases as p join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
      where p.org_id = p_event.org_id and p.id = p_event.purchase_id),
    (select 'Deposit: ' || coalesce(t.name, 'session') || ', ' || private.org_datetime_text(d.org_id, d.start_time)
       from public.deposits as d
       left join public.session_types as t on t.org_id = d.org_id and t.id = d.session_type_id
      where d.org_id = p_event.org_id and d.payment_id = (
        select e.id from public.money_events as e
         where e.org_id = p_event.org_id and e.type = 'INCOME' and e.stripe_payment_intent_id = p_event.stripe_payment_intent_id limit 1)
      limit 1),
    'Payment');
$$;
comment on function private.receipt_description is 'What a payment or refund is for: the offer''s name, or the session that a deposit is for.';

-- Payments before their refunds, each in the order it was booked. Several organisations are taken in the order of their ids.
create function private.issue_receipts(p_org_id uuid, p_event_ids uuid[], p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_last bigint;
  v_ids uuid[];
begin
  insert into private.receipt_counters (org_id) values (p_org_id) on conflict do nothing;
  select c.last_number into v_last from private.receipt_counters as c where c.org_id = p_org_id for update;
  with given as (
    insert into public.receipts (
      org_id, number, kind, money_event_id, client_id, issuer_name, description, method, amount_cents, currency, tax_cat, tax_cents,
      happened_at, created_at)
    select e.org_id, v_last + row_number() over (order by e.created_at, e.type, e.id), case e.type when 'INCOME' then 'payment' else 'refund' end,
           e.id, e.client_id,
           coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = o.id), o.name),
           private.receipt_description(e),
           case e.source when 'stripe' then 'card'
                         else (select replace(p.payment_method, '_', ' ') from public.client_purchases as p where p.org_id = e.org_id and p.id = e.purchase_id) end,
           abs(e.amount_cents), e.currency, e.tax_cat::text, abs(e.tax_cents), e.event_date, p_now
      from public.money_events as e
      join public.orgs as o on o.id = e.org_id
     where e.org_id = p_org_id and e.id = any (p_event_ids) and e.type in ('INCOME', 'REFUND')
       and not exists (select from public.receipts as r where r.org_id = e.org_id and r.money_event_id = e.id)
    returning id)
  select array_agg(g.id) into v_ids from given as g;
  update private.receipt_counters as c
     set last_number = v_last + coalesce(cardinality(v_ids), 0)
   where c.org_id = p_org_id and v_ids is not null;
  perform private.queue_receipt(r, p_now) from public.receipts as r where r.org_id = p_org_id and r.id = any (v_ids);
  return coalesce(cardinality(v_ids), 0);
end;
$$;
comment on function private.issue_receipts is 'Numbers receipts for these money events of an organisation, those that have none; queues their emails and returns how many were issued.';

-- What a receipt shows; who it is for is read as it is now.
create function private.receipt_document(p_receipt public.receipts)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'receipt_id', p_receipt.id, 'number', p_receipt.number, 'kind', p_receipt.kind, 'issuer_name', p_receipt.issuer_name,
    'client_name', (select c.full_name from public.clients as c where c.org_id = p_receipt.org_id and c.id = p_receipt.client_id),
    'description', p_receipt.description, 'method', p_receipt.method, 'amount_cents', p_receipt.amount_cents,
    'currency', p_receipt.currency, 'amount', private.money_text(p_receipt.amount_cents, p_receipt.currency),
    'tax_cat', p_receipt.tax_cat, 'tax_cents', p_receipt.tax_cents,
    'tax', case when p_receipt.tax_cat = 'GST' then private.money_text(p_receipt.tax_cents, p_receipt.currency) end,
    'paid_on', (p_receipt.happened_at at time zone private.org_timezone(p_receipt.org_id))::date,
    'refunds_number', private.refunded_number(p_receipt));
$$;
comment on function private.receipt_document is
  'A receipt as it is shown: {receipt_id, number, kind, issuer_name, client_name, description, method, amount_cents, currency, amount, tax_cat, tax_cents, tax, paid_on, refunds_number}; tax is what of the amount is GST, paid_on a local date.';

create function private.refunded_number(p_receipt public.receipts)
returns bigint
language sql stable security definer set search_path = ''
as $$
  select x.number
    from public.money_events as r
    join public.money_events as p on p.org_id = r.org_id and p.type = 'INCOME' and p.currency = r.currency
     and case when r.stripe_payment_intent_id is not null then p.stripe_payment_intent_id = r.stripe_payment_intent_id
              when r.stripe_invoice_id is not null then p.stripe_invoice_id = r.stripe_invoice_id
              else p.purchase_id = r.purchase_id end
    join public.receipts as x on x.org_id = p.org_id and x.money_event_id = p.id
   where p_receipt.kind = 'refund' and r.org_id = p_receipt.org_id and r.id = p_receipt.money_event_id
   order by p.created_at desc limit 1;
$$;
comment on function private.refunded_number is 'The number of the receipt for what a refund gives back; null for a payment.';

create function private.queue_receipt(p_receipt public.receipts, p_now timestamptz)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.queue_message(
           p_receipt.org_id, 'email', 'receipt', p_receipt.client_id, 'receipt-' || p_receipt.id,
           p_metadata => jsonb_build_object('receipt_id', p_receipt.id, 'data', jsonb_build_object('receipt', private.receipt_document(p_receipt) - 'client_name')),
           p_variables => jsonb_strip_nulls(jsonb_build_object(
             'receipt_number', p_receipt.number::text, 'amount', private.money_text(p_receipt.amount_cents, p_receipt.currency),
             'receipt_kind', case p_receipt.kind when 'refund' then 'refund' else 'payment' end,
             'description', p_receipt.description)),
           p_expires_at => p_now + interval '7 days', p_now => p_now)
    from public.clients as c
   where c.org_id = p_receipt.org_id and c.id = p_receipt.client_id and c.email like '%@%'
     and (private.settings_of(p_receipt.org_id)).send_receipts;
$$;
comment on function private.queue_receipt is 'Queues the email that brings a client their receipt, where they have an address and the organisation sends receipts.';

create function private.sweep_receipts(p_limit integer, p_now timestamptz, p_dry_run boolean, out issued integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org record;
begin
  issued := 0;
  if p_dry_run then
    select count(*) into issued from (select from private.receipts_due as d limit p_limit) as x;
    return;
  end if;
  for v_org in
    select d.org_id, array_agg(d.id) as ids, array_agg(d.money_event_id) as event_ids
      from (select x.* from private.receipts_due as x order by x.created_at limit p_limit for update skip locked) as d
     group by d.org_id
     order by d.org_id
  loop
    issued := issued + private.issue_receipts(v_org.org_id, v_org.event_ids, p_now);
    delete from private.receipts_due as d where d.org_id = v_org.org_id and d.id = any (v_org.ids);
  end loop;
end;
$$;
comment on function private.sweep_receipts is 'Issues the receipts that are due, at most p_limit; any number of sweeps may run.';

-- For anybody who holds its id.
create function private.show_receipt(p_receipt_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_receipt public.receipts;
begin
  select r.* into v_receipt from public.receipts as r where r.id = p_receipt_id;
  if not found then
    return case when private.is_within_rate('receipt_miss', private.caller_address(), 20, '10 minutes')
                then private.refusal(404, 'receipt_not_found', 'There is no such receipt.', 'Ask for a new link.')
                else private.rate_limited() end;
  end if;
  return private.receipt_document(v_receipt);
end;
$$;
comment on function private.show_receipt is 'receipt_document for whoever has the link. Answers receipt_not_found 404, rate_limited 429.';

-- A coach who wants it now, at the desk.
create function private.issue_receipt(p_org_id uuid, p_payment_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_receipt public.receipts;
begin
  perform private.issue_receipts(p_org_id, array[p_payment_id]);
  select r.* into v_receipt from public.receipts as r where r.org_id = p_org_id and r.money_event_id = p_payment_id;
  if not found then
    perform private.refuse_payment();
  end if;
  return private.receipt_document(v_receipt);
end;
$$;
comment on function private.issue_receipt is 'The receipt of a payment or refund, issued now where it has none; the same again is the same receipt. Fails: payment_not_found 404.';

create function private.member_issue_receipt(p_payment_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select e.org_id into v_org_id from public.money_events as e where e.id = p_payment_id;
  if v_org_id is null or not v_org_id = any (private.orgs_with('org.read')) then
    perform private.refuse_payment();
  end if;
  perform private.require_org(v_org_id, 'packages.sell');
  return private.issue_receipt(v_org_id, p_payment_id);
end;
$$;
comment on function private.member_issue_receipt is 'issue_receipt for a member with packages.sell.';
