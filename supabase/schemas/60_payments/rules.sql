-- The ledger of money: private.book_money is the one way in, and manual sales book by it whichever door they come through.
-- Lock order: package, booking, payment.

-- Writes one fact, or finds it there. Tax follows from what it is: income has the organisation's, and what takes income back
-- takes back its share of the tax, so that an income returned in parts leaves none behind.
create function private.book_money(
  p_org_id uuid, p_type public.money_event_type, p_amount_cents bigint, p_currency text, p_source text, p_reference_id text,
  p_event_date timestamptz default now(), p_client_id uuid default null, p_purchase_id uuid default null, p_booking_id uuid default null,
  p_stripe_payment_intent_id text default null, p_stripe_invoice_id text default null, p_payout_id uuid default null,
  p_notes text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_income public.money_events;
  v_returned bigint;
  v_tax_returned bigint;
  v_tax_cat public.tax_category := 'NONE';
  v_tax bigint := 0;
  v_id uuid;
begin
  if p_amount_cents = 0 then
    return null;
  end if;
  if p_type = 'INCOME' then
    if exists (select from public.booking_settings as s where s.org_id = p_org_id and s.gst_registered) then
      v_tax_cat := 'GST';
      v_tax := round(p_amount_cents / 11.0);
    end if;
  elsif p_type in ('REFUND', 'DISPUTE', 'ADJUSTMENT') then
    select e.* into v_income from public.money_events as e
     where e.org_id = p_org_id and e.type = 'INCOME'
       and case when p_purchase_id is not null then e.purchase_id = p_purchase_id
                when p_stripe_invoice_id is not null then e.stripe_invoice_id = p_stripe_invoice_id
                when p_stripe_payment_intent_id is not null then e.stripe_payment_intent_id = p_stripe_payment_intent_id
                else e.booking_id = p_booking_id end
     order by e.created_at desc
     limit 1;
    if v_income.tax_cat = 'GST' and v_income.currency = lower(p_currency) then
      select coalesce(sum(e.amount_cents), 0), coalesce(sum(e.tax_cents), 0) into v_returned, v_tax_returned
        from public.money_events as e
       where e.org_id = p_org_id and e.type in ('REFUND', 'DISPUTE', 'ADJUSTMENT') and e.created_at >= v_income.created_at
         and case when p_purchase_id is not null then e.purchase_id = p_purchase_id
                  when p_stripe_invoice_id is not null then e.stripe_invoice_id = p_stripe_invoice_id
                  when p_stripe_payment_intent_id is not null then e.stripe_payment_intent_id = p_stripe_payment_intent_id
                  else e.booking_id = p_booking_id end;
      v_tax_cat := 'GST';
      v_tax := round(v_income.tax_cents * (v_returned + p_amount_cents) / v_income.amount_cents::numeric) - v_tax_returned;
    end if;
  end if;
  insert into public.money_events (
    org_id, event_date, type, amount_cents, currency, tax_cat, tax_cents, source, reference_id, client_id, purchase_id, booking_id,
    payout_id, notes, payment_status, stripe_payment_intent_id, stripe_invoice_id)
  values (
    p_org_id, p_event_date, p_type, p_amount_cents, lower(p_currency), v_tax_cat, v_tax, p_source, p_reference_id, p_client_id,
    p_purchase_id, p_booking_id, p_payout_id, p_notes, case when p_type = 'INCOME' then 'succeeded' end, p_stripe_payment_intent_id,
    p_stripe_invoice_id)
  on conflict (org_id, source, reference_id, type) do nothing
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.book_money is
  'Writes one money event and returns its id; null when the fact (organisation, source, reference, type) is booked already, or the amount is zero. Amounts carry their sign: income positive, what leaves negative. The caller has authorised.';

-- A package is worth the money that is still there for it: what was given back, or taken by a dispute, takes its share of the sessions
-- that were sold, never those that were used; what comes back brings them back. Whoever books the money, and in whatever order.
create function private.settle_package(p_org_id uuid, p_purchase_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_there bigint;
  v_sold integer;
  v_taken integer;
  v_due integer;
  v_delta integer;
  v_status text;
begin
  -- A sale by hand that does not count as paid is not valid as a whole; its sessions are there again once it does.
  if v_package.amount_paid_cents = 0 or (v_package.source <> 'stripe' and v_package.payment_status <> 'succeeded') then
    return;
  end if;
  select coalesce(sum(e.amount_cents), 0) into v_there
    from public.money_events as e
   where e.org_id = p_org_id and e.purchase_id = p_purchase_id and e.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT');
  v_there := greatest(least(v_there, v_package.amount_paid_cents), 0);
  if v_package.sessions_total is not null then
    select v_package.sessions_total - coalesce(sum(e.total_delta), 0), coalesce(-sum(e.total_delta) filter (where e.reason = 'refund'), 0)
      into v_sold, v_taken
      from public.session_entries as e
     where e.org_id = p_org_id and e.purchase_id = p_purchase_id;
    v_due := v_sold::bigint * (v_package.amount_paid_cents - v_there) / v_package.amount_paid_cents;
    v_delta := greatest(v_taken - v_due, v_package.sessions_used - v_package.sessions_total);
    if v_delta <> 0 then
      perform private.enter_session(v_package, 'correction', 0, 'refund', null, clock_timestamp(), p_total_delta => v_delta);
    end if;
    if v_due > v_taken - v_delta then
      perform private.raise_alert(p_org_id, 'refund_exceeds_unused', v_package.client_id, p_purchase_id, null);
    end if;
  end if;
  -- Held money may come back: the package is refunded once it is not coming.
  v_status := case when v_there = 0 and not exists (select from public.disputes as d where d.org_id = p_org_id
                                                       and d.purchase_id = p_purchase_id and d.status = 'held')
                   then 'refunded' else 'succeeded' end;
  if v_package.source = 'stripe' and v_status <> v_package.payment_status then
    update public.client_purchases as p set payment_status = v_status where p.org_id = p_org_id and p.id = p_purchase_id;
  end if;
end;
$$;
comment on function private.settle_package is
  'Brings a package''s sessions, and the status of one sold through Stripe, in line with the money that is there for it; alerts refund_exceeds_unused when more was given back than is unused.';

create function private.tg_money_events__settle_package()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.settle_package(new.org_id, new.purchase_id);
  return null;
end;
$$;
create trigger money_events__settle_package after insert on public.money_events
  for each row when (new.purchase_id is not null and new.type in ('INCOME', 'REFUND', 'DISPUTE', 'ADJUSTMENT'))
  execute function private.tg_money_events__settle_package();

create trigger money_events__append_only before update or delete on public.money_events
  for each row execute function private.tg__append_only();
create trigger money_events__no_truncate before truncate on public.money_events
  for each statement execute function private.tg__append_only();

-- A manual sale is worth its amount while it counts as paid, and nothing otherwise: the difference to what is booked is booked.
-- The package's row is locked by the write that fires this.
create function private.tg_client_purchases__book_sale()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_booked bigint;
  v_times bigint;
  v_due bigint := case when new.payment_status = 'succeeded' then new.amount_paid_cents else 0 end;
begin
  select coalesce(sum(e.amount_cents), 0), count(*) into v_booked, v_times
    from public.money_events as e
   where e.org_id = new.org_id and e.purchase_id = new.id and e.source = 'manual';
  perform private.book_money(
    new.org_id,
    case when v_due > v_booked and v_booked = 0 then 'INCOME' when new.payment_status = 'refunded' then 'REFUND' else 'ADJUSTMENT' end::public.money_event_type,
    v_due - v_booked, new.currency, 'manual', new.id || case when v_times > 0 then '/' || v_times else '' end,
    case tg_op when 'INSERT' then new.purchased_at else now() end, new.client_id, new.id);
  return null;
end;
$$;
comment on function private.tg_client_purchases__book_sale is 'Books a manual sale''s money when it is paid, refunded, or was not paid after all.';
create trigger client_purchases__book_sale after insert on public.client_purchases
  for each row when (new.source = 'manual' and new.payment_status = 'succeeded') execute function private.tg_client_purchases__book_sale();
create trigger client_purchases__book_change after update of payment_status on public.client_purchases
  for each row when (new.source = 'manual' and new.payment_status is distinct from old.payment_status)
  execute function private.tg_client_purchases__book_sale();

-- What Stripe was paid, Stripe refunds: a status set by hand would part the ledger from the money.
create function private.tg_client_purchases__guard_stripe_status()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.fail(409, 'paid_through_stripe', 'This package was paid through Stripe, which says whether it is paid.',
                       'Refund the payment instead.');
  return new;
end;
$$;
comment on function private.tg_client_purchases__guard_stripe_status is 'Refuses a direct change of a Stripe sale''s payment_status: paid_through_stripe 409.';
create trigger client_purchases__guard_stripe_status before update of payment_status on public.client_purchases
  for each row when (current_user in ('authenticated', 'service_role') and old.source = 'stripe'
                     and new.payment_status is distinct from old.payment_status)
  execute function private.tg_client_purchases__guard_stripe_status();

create function private.tg_client_purchases__guard_delete_booked()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.money_events as e where e.org_id = old.org_id and e.purchase_id = old.id) then
    perform private.fail(409, 'purchase_in_use', 'A package that was paid for keeps its history.', 'Set it refunded, or let it expire.');
  end if;
  return old;
end;
$$;
comment on function private.tg_client_purchases__guard_delete_booked is 'Refuses to delete a package with money booked: purchase_in_use 409.';
create trigger client_purchases__guard_delete_booked before delete on public.client_purchases
  for each row execute function private.tg_client_purchases__guard_delete_booked();

-- Whoever acts in an owner's place may not redirect their money; a platform admin opens the row and leaves it empty.
create function private.tg_org_payout_settings__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('payouts.write'))
     and coalesce(new.bank_account_name, new.bank_bsb, new.bank_account_number, new.paypal_email) is not null then
    perform private.fail(403, 'payout_account_protected', 'Only an owner says where an organisation is paid out.', 'Ask the owner.');
  end if;
  return new;
end;
$$;
comment on function private.tg_org_payout_settings__guard_audience is 'Lets owners alone write accounts to be paid to: payout_account_protected 403.';
create trigger org_payout_settings__guard_audience before insert on public.org_payout_settings
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg_org_payout_settings__guard_audience();
create trigger org_payout_settings__keep_org before update of org_id on public.org_payout_settings
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();

create trigger org_payout_settings__touch before update on public.org_payout_settings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger stripe_accounts__touch before update on public.stripe_accounts
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger subscriptions__touch before update on public.subscriptions
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create trigger org_payouts__audit after insert or update or delete on public.org_payouts
  for each row execute function private.tg__audit();
create trigger org_payout_settings__audit after insert or update or delete on public.org_payout_settings
  for each row execute function private.tg__audit();
create trigger stripe_accounts__audit after insert or update or delete on public.stripe_accounts
  for each row execute function private.tg__audit('as_of');
