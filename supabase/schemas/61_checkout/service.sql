-- Checkout for the Python side: what is carried to Stripe and what came of it, and the operator's doors.

create function service.open_deposit(p_deposit_id uuid)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.open_deposit(p_deposit_id);
$$;
comment on function service.open_deposit is
  'Marks a deposit''s PaymentIntent as asked for: {org_id, deposit_id, client_id, account, payment_intent_id, amount_cents, currency, application_fee_cents, action: create | read}; null when it cannot be paid any more. Fails: deposit_not_found 404, brake_on 423.';
revoke all on function service.open_deposit(uuid) from public, anon, authenticated;
grant execute on function service.open_deposit(uuid) to service_role;

create function service.claim_deposits(p_limit integer default 50, p_lease_secs integer default 120, p_now timestamptz default now(), p_dry_run boolean default false)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 10000, 'limit');
  perform private.require_value(p_lease_secs between 10 and 3600, 'lease_secs');
  if p_dry_run then
    return jsonb_build_object('due', (select count(*) from public.deposits as d where d.next_at <= p_now));
  end if;
  return (select jsonb_build_object('expired', count(*) filter (where w is null), 'work', coalesce(jsonb_agg(w) filter (where w is not null), '[]'))
            from private.claim_deposits(p_limit, p_now, make_interval(secs => p_lease_secs)) as w);
end;
$$;
comment on function service.claim_deposits is
  'Claims deposits whose intent is to be created or cancelled, for a lease: {expired: how many ended with nothing to do, work: [as open_deposit, action create | read | cancel]}; a dry run answers {due}. Fails: value_not_allowed 422.';
revoke all on function service.claim_deposits(integer, integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.claim_deposits(integer, integer, timestamptz, boolean) to service_role;

create function service.record_deposit(p_deposit_id uuid, p_intent jsonb default null, p_error_code text default null)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.record_deposit(p_deposit_id, p_intent, p_error_code);
$$;
comment on function service.record_deposit is
  'Takes in how a deposit''s intent stands ({id, status, amount, amount_received, currency, latest_charge}), or why it is not known; returns the deposit''s status, or cancel where it expired meanwhile. Fails: deposit_not_found 404, payment_mismatch 409.';
revoke all on function service.record_deposit(uuid, jsonb, text) from public, anon, authenticated;
grant execute on function service.record_deposit(uuid, jsonb, text) to service_role;

create function service.claim_refunds(p_limit integer default 50, p_lease_secs integer default 120, p_now timestamptz default now())
returns table (
  org_id uuid, refund_id uuid, claim uuid, attempt integer, account text, payment_intent_id text, stripe_refund_id text, amount_cents bigint,
  currency text, reason text)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 10000, 'limit');
  perform private.require_value(p_lease_secs between 10 and 3600, 'lease_secs');
  return query select * from private.claim_refunds(p_limit, make_interval(secs => p_lease_secs), p_now);
end;
$$;
comment on function service.claim_refunds is
  'Claims refunds that are due, for a lease: one with a stripe_refund_id is to be asked about, one with attempt > 1 is to be looked for before it is made. Fails: value_not_allowed 422.';
revoke all on function service.claim_refunds(integer, integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_refunds(integer, integer, timestamptz) to service_role;

create function service.record_refund(p_refund_id uuid, p_claim uuid, p_stripe_refund jsonb default null, p_error_code text default null, p_is_final boolean default false)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.record_refund(p_refund_id, p_claim, p_stripe_refund, p_error_code, p_is_final);
$$;
comment on function service.record_refund is
  'Takes in what came of carrying a refund: Stripe''s refund ({id, status, amount}), or why there is none and whether that is final; returns its status, or stale. Fails: refund_not_found 404.';
revoke all on function service.record_refund(uuid, uuid, jsonb, text, boolean) from public, anon, authenticated;
grant execute on function service.record_refund(uuid, uuid, jsonb, text, boolean) to service_role;

create function service.refunds_state()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'due', count(*) filter (where r.next_at <= now()), 'requested', count(*) filter (where r.status = 'requested'),
    'sending', count(*) filter (where r.status = 'sending'), 'pending', count(*) filter (where r.status = 'pending'))
    from public.refunds as r where r.next_at is not null;
$$;
comment on function service.refunds_state is
  'How many refunds are on their way: {due, requested, sending, pending}.';
revoke all on function service.refunds_state() from public, anon, authenticated;
grant execute on function service.refunds_state() to service_role;

create function service.list_refunds(p_org_id uuid, p_status text default null, p_limit integer default 100)
returns table (
  refund_id uuid, payment_id uuid, client_id uuid, amount_cents bigint, currency text, reason text, source text, status text, error_code text,
  attempts integer, created_at timestamptz, settled_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select r.id, r.payment_id, r.client_id, r.amount_cents, r.currency, r.reason, r.source, r.status, r.error_code, r.attempts, r.created_at, r.settled_at
    from public.refunds as r
   where r.org_id = p_org_id and (p_status is null or r.status = p_status)
   order by r.created_at desc, r.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_refunds is
  'An organisation''s refunds, newest first. Fails: org_not_found 404.';
revoke all on function service.list_refunds(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_refunds(uuid, text, integer) to service_role;

create function service.refund_payment(p_payment_id uuid, p_amount_cents bigint default null, p_note text default null, p_request_id uuid default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := (select e.org_id from public.money_events as e where e.id = p_payment_id);
begin
  if v_org_id is null then
    perform private.refuse_payment();
  end if;
  perform private.require_value(coalesce(p_amount_cents, 1) between 1 and 100000000, 'amount_cents');
  perform private.require_value(coalesce(char_length(p_note), 0) <= 500, 'note');
  return private.request_refund(v_org_id, p_payment_id, p_amount_cents, 'by_hand', p_note, p_request_id);
end;
$$;
comment on function service.refund_payment is
  'public.refund_payment for operators. Fails: payment_not_found 404, value_not_allowed 422, refund_exceeds_payment 409, request_reused 409, request_in_progress 409.';
revoke all on function service.refund_payment(uuid, bigint, text, uuid) from public, anon, authenticated;
grant execute on function service.refund_payment(uuid, bigint, text, uuid) to service_role;

create function service.refund_policy(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.refund_policy(p_org_id);
end;
$$;
comment on function service.refund_policy is
  'What clients who cancel get back of a deposit: [{hours_before, percent}]. Fails: org_not_found 404.';
revoke all on function service.refund_policy(uuid) from public, anon, authenticated;
grant execute on function service.refund_policy(uuid) to service_role;

create function service.set_refund_policy(p_org_id uuid, p_tiers jsonb)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.set_refund_policy(p_org_id, p_tiers);
end;
$$;
comment on function service.set_refund_policy is
  'public.set_refund_policy for operators. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.set_refund_policy(uuid, jsonb) from public, anon, authenticated;
grant execute on function service.set_refund_policy(uuid, jsonb) to service_role;

create function service.sweep_receipts(p_limit integer default 500, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (issued integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select * from private.sweep_receipts(p_limit, p_now, p_dry_run);
end;
$$;
comment on function service.sweep_receipts is
  'Issues the receipts of payments and refunds that have none, at most p_limit (1 to 100000), and queues their emails. Fails: value_not_allowed 422.';
revoke all on function service.sweep_receipts(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_receipts(integer, timestamptz, boolean) to service_role;

create function service.list_receipts(p_org_id uuid, p_client_id uuid default null, p_limit integer default 100)
returns table (
  receipt_id uuid, number bigint, kind text, client_id uuid, description text, amount_cents bigint, currency text, tax_cents bigint,
  happened_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select r.id, r.number, r.kind, r.client_id, r.description, r.amount_cents, r.currency, r.tax_cents, r.happened_at
    from public.receipts as r
   where r.org_id = p_org_id and (p_client_id is null or r.client_id = p_client_id)
   order by r.number desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_receipts is
  'An organisation''s or a client''s receipts, the latest first. Fails: org_not_found 404.';
revoke all on function service.list_receipts(uuid, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_receipts(uuid, uuid, integer) to service_role;

create function service.issue_receipt(p_payment_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := (select e.org_id from public.money_events as e where e.id = p_payment_id);
begin
  if v_org_id is null then
    perform private.refuse_payment();
  end if;
  return private.issue_receipt(v_org_id, p_payment_id);
end;
$$;
comment on function service.issue_receipt is
  'public.issue_receipt for operators. Fails: payment_not_found 404.';
revoke all on function service.issue_receipt(uuid) from public, anon, authenticated;
grant execute on function service.issue_receipt(uuid) to service_role;

create function service.list_payments(p_org_id uuid, p_client_id uuid default null, p_limit integer default 100)
returns table (
  payment_id uuid, client_id uuid, happened_at timestamptz, amount_cents bigint, currency text, source text, purchase_id uuid, refundable_cents bigint)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select e.id, e.client_id, e.event_date, e.amount_cents, e.currency, e.source, e.purchase_id, private.refundable_cents(e)
    from public.money_events as e
   where e.org_id = p_org_id and e.type = 'INCOME' and (p_client_id is null or e.client_id = p_client_id)
   order by e.event_date desc, e.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_payments is
  'An organisation''s or a client''s payments, newest first, and what is left of each to give back. Fails: org_not_found 404.';
revoke all on function service.list_payments(uuid, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_payments(uuid, uuid, integer) to service_role;

create function service.connect_begin(p_org_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_unbraked('payments', p_org_id);
  return private.connect_begin(p_org_id);
end;
$$;
comment on function service.connect_begin is
  'public.connect_begin for operators. Fails: org_not_found 404, brake_on 423.';
revoke all on function service.connect_begin(uuid) from public, anon, authenticated;
grant execute on function service.connect_begin(uuid) to service_role;

create function service.connect_status(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.connect_status(p_org_id);
end;
$$;
comment on function service.connect_status is
  'public.connect_status for operators. Fails: org_not_found 404.';
revoke all on function service.connect_status(uuid) from public, anon, authenticated;
grant execute on function service.connect_status(uuid) to service_role;

create function service.record_stripe_account(p_org_id uuid, p_account text, p_charges_enabled boolean, p_payouts_enabled boolean, p_details_submitted boolean, p_now timestamptz default now())
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.record_account(p_org_id, p_account, p_charges_enabled, p_payouts_enabled, p_details_submitted, p_now);
$$;
comment on function service.record_stripe_account is
  'Records an organisation''s Stripe account as Stripe has it, and returns connect_status. Fails: org_not_found 404, value_not_allowed 422, stripe_account_taken 409.';
revoke all on function service.record_stripe_account(uuid, text, boolean, boolean, boolean, timestamptz) from public, anon, authenticated;
grant execute on function service.record_stripe_account(uuid, text, boolean, boolean, boolean, timestamptz) to service_role;

create function service.list_payouts(p_org_id uuid default null, p_status text default null, p_limit integer default 100)
returns table (
  payout_id uuid, org_id uuid, org_name text, period_start date, period_end date, gross_amount_cents integer, commission_cents integer,
  net_amount_cents integer, currency text, status text, paid_at timestamptz, payout_reference text)
language sql stable security definer set search_path = ''
as $$
  select o.id, o.org_id, g.name, o.period_start, o.period_end, o.gross_amount_cents, o.commission_cents, o.net_amount_cents, o.currency, o.status,
         o.paid_at, o.payout_reference
    from public.org_payouts as o
    join public.orgs as g on g.id = o.org_id
   where (p_org_id is null or o.org_id = p_org_id) and (p_status is null or o.status = p_status)
   order by o.created_at desc, o.id
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_payouts is
  'Payouts of one organisation or of all, newest first.';
revoke all on function service.list_payouts(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_payouts(uuid, text, integer) to service_role;

create function service.create_payout(p_org_id uuid, p_period_start date, p_period_end date, p_gross_cents integer, p_commission_cents integer, p_currency text default 'aud', p_reference text default null)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.create_payout(p_org_id, p_period_start, p_period_end, p_gross_cents, p_commission_cents, p_currency, p_reference);
$$;
comment on function service.create_payout is
  'Prepares a payout of an organisation for a period, once, and returns its id; it pays gross less commission. Fails: org_not_found 404, value_not_allowed 422, payout_exists 409.';
revoke all on function service.create_payout(uuid, date, date, integer, integer, text, text) from public, anon, authenticated;
grant execute on function service.create_payout(uuid, date, date, integer, integer, text, text) to service_role;

create function service.pay_payout(p_payout_id uuid, p_reference text default null, p_paid_at timestamptz default null)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.pay_payout(p_payout_id, p_reference, p_paid_at);
$$;
comment on function service.pay_payout is
  'Marks a payout as paid, books it, and returns since when; the same again changes nothing. Fails: payout_not_found 404, value_not_allowed 422.';
revoke all on function service.pay_payout(uuid, text, timestamptz) from public, anon, authenticated;
grant execute on function service.pay_payout(uuid, text, timestamptz) to service_role;
