-- Payments: the ledger of money, and what Stripe tells that moves it.
-- Invariant: money_events only grows, each fact once (organisation, source, reference, type), written by private.book_money alone.
-- The organisation of whatever Stripe tells follows from the event's account, never from what the event says.
-- Not here: what a client is charged before a session, refunds by policy, receipts (beside these); the platform's own plans (65_billing).

create type public.money_event_type as enum ('INCOME', 'REFUND', 'FEE', 'PLATFORM_FEE', 'PAYOUT', 'EXPENSE', 'ADJUSTMENT', 'DISPUTE');
comment on type public.money_event_type is 'What moved money: income is positive, what leaves is negative; ADJUSTMENT and DISPUTE go both ways.';

create type public.tax_category as enum ('GST', 'GST_FREE', 'NONE');
comment on type public.tax_category is 'How an amount is taxed: with GST inside, free of it, or not a taxable amount.';

-- A directory: what Stripe sends names the account alone.
create table public.stripe_accounts (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  stripe_account_id text not null,
  charges_enabled boolean not null default false,
  payouts_enabled boolean not null default false,
  details_submitted boolean not null default false,
  as_of timestamptz,
  updated_at timestamptz not null default now(),
  constraint stripe_accounts_account_once unique (stripe_account_id),
  constraint stripe_accounts_account_form check (stripe_account_id ~ '^acct_[A-Za-z0-9_]{1,100}$')
);
comment on table public.stripe_accounts is 'The connected account of an organisation: found by Stripe''s id, which says whose an event is.';
comment on column public.stripe_accounts.as_of is 'The instant of Stripe''s that the flags are of; an older event does not change them.';

-- A directory too: Stripe's ids of events are unique everywhere, and an event may be of nobody's account.
create table private.stripe_events (
  id text primary key,
  account text,
  org_id uuid references public.orgs (id) on delete cascade,
  type text not null,
  api_version text,
  livemode boolean not null default false,
  created_at timestamptz not null,
  payload jsonb not null,
  status text not null default 'received',
  error text,
  waits_for text,
  attempts integer not null default 1,
  received_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  constraint stripe_events_id_length check (char_length(id) between 1 and 255),
  constraint stripe_events_status_known
    check (status in ('received', 'applied', 'ignored', 'refused', 'failed', 'waiting', 'braked')),
  constraint stripe_events_error_form check (error ~ '^[a-z0-9_]{1,80}$')
);
comment on table private.stripe_events is
  'What Stripe told, each event once, and what came of it. Kept is what the effects read, by an allow-list (private.stripe_kept): ids, amounts, states, times; no card, name, email, address or secret. Deleted after 90 days, after 400 where it was refused or failed.';
comment on column private.stripe_events.payload is 'What is kept of the event, and all that its effect reads, so that a replay sees what the first try saw.';
comment on column private.stripe_events.account is 'The connected account that the event is of; null: the platform''s own.';
comment on column private.stripe_events.created_at is 'When it happened, by Stripe''s clock, to the second.';
comment on column private.stripe_events.status is
  'applied; ignored (of a type, or of something, that is not ours); refused (a rule said no, see error); failed (Stripe sends it again, or coach stripe replay does); waiting (for what waits_for names); braked (kept until the brake is off).';
comment on column private.stripe_events.error is 'The slug of what refused or failed it.';
comment on column private.stripe_events.waits_for is 'Stripe''s id of the payment or subscription that this is about and that has not been told of yet.';
create index stripe_events_org_idx on private.stripe_events (org_id, received_at desc);
create index stripe_events_received_idx on private.stripe_events (received_at desc);
create index stripe_events_open_idx on private.stripe_events (status, received_at) where status in ('failed', 'waiting', 'braked', 'refused');
create index stripe_events_waiting_idx on private.stripe_events (account, waits_for) where status = 'waiting';

-- What Python must ask Stripe for: an event names it, or may be older than what it tells.
create table private.stripe_fetches (
  account text not null,
  kind text not null,
  stripe_id text not null,
  org_id uuid references public.orgs (id) on delete cascade,
  attempts integer not null default 0,
  next_at timestamptz not null default now(),
  claim uuid,
  error text,
  primary key (account, kind, stripe_id),
  constraint stripe_fetches_kind_known check (kind in ('subscription', 'balance_transaction', 'invoice', 'charge', 'account'))
);
comment on table private.stripe_fetches is 'Objects to be fetched from Stripe: deleted once they are recorded, tried ever more rarely until then.';
comment on column private.stripe_fetches.claim is 'Of the worker that is fetching it; next_at is when its lease ends.';
create index stripe_fetches_due_idx on private.stripe_fetches (next_at);
create index stripe_fetches_org_idx on private.stripe_fetches (org_id);

create table private.stripe_cursors (
  account text primary key,
  seen_until timestamptz not null,
  listed_at timestamptz
);
comment on table private.stripe_cursors is
  'Up to when the events of an account (the empty text: the platform''s) have been listed and fed; reconciliation goes on from there.';

create table public.org_payouts (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  period_start date not null,
  period_end date not null,
  gross_amount_cents integer not null,
  commission_cents integer not null,
  net_amount_cents integer not null,
  currency text not null default 'aud',
  status text not null default 'pending',
  paid_at timestamptz,
  payout_method text,
  payout_reference text,
  notes text,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint org_payouts_period_ordered check (period_end >= period_start),
  constraint org_payouts_amounts_range check (least(gross_amount_cents, commission_cents) >= 0),
  constraint org_payouts_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint org_payouts_status_known check (status in ('pending', 'processing', 'paid')),
  constraint org_payouts_payout_method_known check (payout_method in ('bank_transfer', 'paypal')),
  constraint org_payouts_payout_reference_length check (char_length(payout_reference) <= 200),
  constraint org_payouts_notes_length check (char_length(notes) <= 2000)
);
comment on table public.org_payouts is 'What the platform pays out to an organisation for a period; written by platform admins.';
create index org_payouts_latest_idx on public.org_payouts (org_id, created_at desc);
create index org_payouts_id_idx on public.org_payouts (id);

create table public.org_payout_settings (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  payout_method text not null default 'bank_transfer',
  bank_account_name text,
  bank_bsb text,
  bank_account_number text,
  paypal_email text,
  minimum_payout_cents integer not null default 5000,
  payout_frequency text not null default 'weekly',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint org_payout_settings_payout_method_known check (payout_method in ('bank_transfer', 'paypal')),
  constraint org_payout_settings_payout_frequency_known check (payout_frequency in ('weekly', 'fortnightly', 'monthly')),
  constraint org_payout_settings_minimum_payout_cents_range check (minimum_payout_cents between 0 and 100000000),
  constraint org_payout_settings_lengths
    check (greatest(char_length(bank_account_name), char_length(bank_bsb), char_length(bank_account_number), char_length(paypal_email)) <= 320)
);
comment on table public.org_payout_settings is 'Where and how often an organisation is paid out; its owner writes it, and nobody in their place.';

create table public.money_events (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  event_date timestamptz not null,
  type public.money_event_type not null,
  amount_cents bigint not null,
  currency text not null default 'aud',
  tax_cat public.tax_category not null default 'NONE',
  tax_cents bigint not null default 0,
  source text not null,
  reference_id text not null,
  client_id uuid,
  purchase_id uuid,
  booking_id uuid,
  payout_id uuid,
  notes text,
  payment_status text,
  failure_reason text,
  stripe_payment_intent_id text,
  stripe_invoice_id text,
  retry_count integer default 0,
  next_retry_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, purchase_id) references public.client_purchases (org_id, id) on delete restrict,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete restrict,
  foreign key (org_id, payout_id) references public.org_payouts (org_id, id) on delete restrict,
  constraint money_events_fact_once unique (org_id, source, reference_id, type),
  constraint money_events_amount_cents_range check (amount_cents between -999999999999 and 999999999999 and amount_cents <> 0),
  constraint money_events_income_comes_in check (type <> 'INCOME' or amount_cents > 0),
  constraint money_events_refund_goes_out check (type <> 'REFUND' or amount_cents < 0),
  constraint money_events_tax_within_amount check (abs(tax_cents) <= abs(amount_cents)),
  constraint money_events_tax_has_category check (tax_cat = 'GST' or tax_cents = 0),
  constraint money_events_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint money_events_source_known check (source in ('stripe', 'manual')),
  constraint money_events_reference_length check (char_length(reference_id) between 1 and 255)
);
comment on table public.money_events is
  'The ledger of money: income, refunds, fees, payouts, disputes, each fact once. Append-only; what was wrong is corrected by an ADJUSTMENT.';
comment on column public.money_events.event_date is 'When the money moved: a refund has its own date.';
comment on column public.money_events.amount_cents is 'In the minor unit of `currency` (yen for jpy); INCOME is positive, what leaves is negative.';
comment on column public.money_events.tax_cents is 'The GST inside the amount, with its sign; a refund takes back the income''s share of it.';
comment on column public.money_events.reference_id is
  'The fact''s own id: Stripe''s of the payment, invoice, charge, refund, dispute or payout; a package''s for a manual sale, with /n for its n-th change.';
comment on column public.money_events.payment_status is 'succeeded for income; what failed is no money, so it is not here.';
create index money_events_date_idx on public.money_events (org_id, event_date desc);
create index money_events_client_idx on public.money_events (org_id, client_id, event_date desc);
create index money_events_purchase_idx on public.money_events (org_id, purchase_id) where purchase_id is not null;
create index money_events_booking_idx on public.money_events (org_id, booking_id) where booking_id is not null;
create index money_events_payout_idx on public.money_events (org_id, payout_id) where payout_id is not null;
create index money_events_intent_idx on public.money_events (org_id, stripe_payment_intent_id) where stripe_payment_intent_id is not null;

create table public.subscriptions (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  offer_id uuid,
  stripe_customer_id text,
  stripe_subscription_id text,
  status text not null default 'none',
  price_cents integer,
  currency text,
  current_period_end timestamptz,
  cancel_at_period_end boolean not null default false,
  manage_url text,
  as_of timestamptz,
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, offer_id) references public.offers (org_id, id) on delete restrict,
  constraint subscriptions_status_known check (status in ('active', 'past_due', 'canceled', 'none')),
  constraint subscriptions_price_cents_range check (price_cents between 0 and 100000000),
  constraint subscriptions_currency_form check (currency ~ '^[a-z]{3}$')
);
comment on table public.subscriptions is 'The latest subscription of a client, as Stripe last told it.';
comment on column public.subscriptions.price_cents is 'For a month, whatever the billing period: what the dashboard adds up.';
comment on column public.subscriptions.as_of is 'The instant of Stripe''s that this is of; an older event does not change it, one of the same second is asked about.';
-- Indexes, not constraints: a unique constraint on the key would make the apps' embed an object where they read an array.
create unique index subscriptions_client_once on public.subscriptions (org_id, client_id);
create unique index subscriptions_stripe_once on public.subscriptions (org_id, stripe_subscription_id) where stripe_subscription_id is not null;
create index subscriptions_customer_idx on public.subscriptions (org_id, stripe_customer_id) where stripe_customer_id is not null;
create index subscriptions_offer_idx on public.subscriptions (org_id, offer_id) where offer_id is not null;

-- A payment of ours through Stripe: what joins an intent, a charge and an invoice to a package or a booking.
create table private.stripe_payments (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null,
  payment_intent_id text,
  charge_id text,
  invoice_id text,
  client_id uuid,
  offer_id uuid,
  purchase_id uuid,
  booking_id uuid,
  amount_cents bigint not null,
  currency text not null,
  paid_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, offer_id) references public.offers (org_id, id) on delete restrict,
  foreign key (org_id, purchase_id) references public.client_purchases (org_id, id) on delete restrict,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete restrict,
  constraint stripe_payments_kind_known check (kind in ('package', 'renewal', 'deposit', 'invoice')),
  constraint stripe_payments_is_named check (coalesce(payment_intent_id, invoice_id) is not null),
  constraint stripe_payments_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint stripe_payments_amount_range check (amount_cents between 1 and 999999999999)
);
comment on table private.stripe_payments is
  'A payment of ours through Stripe and what it paid for; a charge, refund or dispute that finds none here is not ours, or waits for it. Lock order: package, booking, payment.';
comment on column private.stripe_payments.kind is
  'package (a checkout), renewal (a period of a subscription that grants sessions), invoice (one that grants none), deposit (for a booking).';
comment on column private.stripe_payments.paid_at is 'Null until it is paid.';
create unique index stripe_payments_intent_once on private.stripe_payments (org_id, payment_intent_id) where payment_intent_id is not null;
create unique index stripe_payments_invoice_once on private.stripe_payments (org_id, invoice_id) where invoice_id is not null;
create index stripe_payments_charge_idx on private.stripe_payments (org_id, charge_id) where charge_id is not null;
create index stripe_payments_client_idx on private.stripe_payments (org_id, client_id) where client_id is not null;
create index stripe_payments_offer_idx on private.stripe_payments (org_id, offer_id) where offer_id is not null;
create index stripe_payments_purchase_idx on private.stripe_payments (org_id, purchase_id) where purchase_id is not null;
create index stripe_payments_booking_idx on private.stripe_payments (org_id, booking_id) where booking_id is not null;

create table public.disputes (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  stripe_dispute_id text not null,
  payment_id uuid not null,
  client_id uuid,
  purchase_id uuid,
  booking_id uuid,
  amount_cents bigint not null,
  currency text not null,
  reason text,
  status text not null default 'held',
  opened_at timestamptz not null,
  closed_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, payment_id) references private.stripe_payments (org_id, id) on delete restrict,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, purchase_id) references public.client_purchases (org_id, id) on delete restrict,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete restrict,
  constraint disputes_stripe_once unique (org_id, stripe_dispute_id),
  constraint disputes_status_known check (status in ('held', 'won', 'lost')),
  constraint disputes_currency_form check (currency ~ '^[a-z]{3}$')
);
comment on table public.disputes is
  'Payments that a client took up with their bank: held, then won or lost. While the money is gone its share of the package is too.';
create index disputes_payment_idx on public.disputes (org_id, payment_id);
create index disputes_client_idx on public.disputes (org_id, client_id) where client_id is not null;
create index disputes_purchase_idx on public.disputes (org_id, purchase_id) where purchase_id is not null;
create index disputes_booking_idx on public.disputes (org_id, booking_id) where booking_id is not null;

-- A package is made once for each payment.
create unique index client_purchases_payment_intent_once on public.client_purchases (org_id, stripe_payment_intent_id)
  where stripe_payment_intent_id is not null;
