-- Checkout: how money is asked for, given back and receipted: deposits, refunds, the refund policy, receipts.
-- A payment is an INCOME event of the ledger (60_payments); what is given back of it is a row here, carried by a sweep.
-- Invariant: the refunds of a payment never exceed it. A booking has at most one deposit, and a deposit at most one intent.
-- Invariant: an organisation's receipts are numbered 1, 2, 3, … without a gap, one for each payment and refund.
-- Not here: the ledger and the webhook (60_payments); the slot that is held while a deposit is paid (40_scheduling).

create table public.refund_tiers (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  hours_before integer not null,
  percent integer not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint refund_tiers_hours_once unique (org_id, hours_before),
  constraint refund_tiers_hours_before_range check (hours_before between 0 and 8760),
  constraint refund_tiers_percent_range check (percent between 0 and 100)
);
comment on table public.refund_tiers is
  'What a client who cancels gets back: of the tiers whose hours they keep, the one with the most hours counts. Without rows: all outside cancel_notice_hours, else nothing.';
comment on column public.refund_tiers.hours_before is 'At least so many hours before the start.';

create table public.deposits (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  session_type_id uuid,
  hold_id uuid,
  booking_id uuid,
  payment_id uuid,
  amount_cents bigint not null,
  currency text not null,
  application_fee_cents bigint not null,
  booking_status text not null default 'confirmed',
  offer_id uuid,
  client_notes text,
  request_id uuid,
  start_time timestamptz not null,
  status text not null default 'due',
  expires_at timestamptz not null,
  stripe_account_id text not null,
  intent_status text not null default 'none',
  stripe_payment_intent_id text,
  next_at timestamptz,
  attempts integer not null default 0,
  error_code text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete set null (session_type_id),
  foreign key (org_id, hold_id) references private.holds (org_id, id) on delete set null (hold_id),
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete set null (booking_id),
  foreign key (org_id, payment_id) references public.money_events (org_id, id) on delete restrict,
  foreign key (org_id, offer_id) references public.offers (org_id, id) on delete set null (offer_id),
  constraint deposits_amount_cents_range check (amount_cents between 1 and 100000000),
  constraint deposits_application_fee_cents_range check (application_fee_cents between 0 and amount_cents),
  constraint deposits_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint deposits_booking_status_known check (booking_status in ('pending', 'confirmed')),
  constraint deposits_status_known check (status in ('due', 'paid', 'expired', 'late')),
  constraint deposits_intent_status_known check (intent_status in ('none', 'asked', 'open', 'canceled', 'succeeded')),
  constraint deposits_intent_is_known check (intent_status not in ('open', 'succeeded') or stripe_payment_intent_id is not null),
  constraint deposits_paid_is_booked check (status not in ('paid', 'late') or payment_id is not null),
  constraint deposits_client_notes_length check (char_length(client_notes) <= 2000)
) with (fillfactor = 80);
comment on table public.deposits is 'What is asked for a slot that is held: paid in time it becomes a booking, unpaid the slot is free again. Its id is the secret that pays it.';
comment on column public.deposits.status is 'due; paid: the slot is booked; expired: unpaid; late: paid after the slot was gone, and refunded in full.';
comment on column public.deposits.expires_at is 'Until when it can be paid; the slot is held two minutes longer, for the payment''s news to arrive.';
comment on column public.deposits.booking_status is 'What the booking begins as: pending where a waiver is still to be signed.';
comment on column public.deposits.intent_status is 'Of the PaymentIntent: none, asked (being created, or nobody knows), open, canceled, succeeded.';
comment on column public.deposits.next_at is 'When the sweep looks at it next: to create the intent or to cancel it; null when nothing is left to do.';
comment on column public.deposits.payment_id is 'The INCOME event of the ledger.';
create unique index deposits_hold_once on public.deposits (org_id, hold_id) where hold_id is not null;
create unique index deposits_booking_once on public.deposits (org_id, booking_id) where booking_id is not null;
create index deposits_id_idx on public.deposits (id);
create index deposits_client_idx on public.deposits (org_id, client_id, created_at desc);
create index deposits_session_type_idx on public.deposits (org_id, session_type_id) where session_type_id is not null;
create index deposits_offer_idx on public.deposits (org_id, offer_id) where offer_id is not null;
create index deposits_payment_idx on public.deposits (org_id, payment_id) where payment_id is not null;
create unique index deposits_request_once on public.deposits (org_id, request_id) where request_id is not null;
create index deposits_due_idx on public.deposits (next_at) where next_at is not null;
comment on index public.deposits_due_idx is 'The sweep''s work list; its cost grows with what is due.';

create table public.refunds (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  payment_id uuid not null,
  client_id uuid,
  deposit_id uuid,
  purchase_id uuid,
  amount_cents bigint not null,
  currency text not null,
  reason text not null,
  note text,
  source text not null,
  status text not null default 'requested',
  stripe_account_id text,
  stripe_payment_intent_id text,
  stripe_refund_id text,
  request_id uuid,
  requested_by uuid references auth.users (id) on delete set null,
  claim uuid,
  next_at timestamptz,
  attempts integer not null default 0,
  error_code text,
  settled_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, payment_id) references public.money_events (org_id, id) on delete restrict,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, deposit_id) references public.deposits (org_id, id) on delete restrict,
  foreign key (org_id, purchase_id) references public.client_purchases (org_id, id) on delete restrict,
  constraint refunds_amount_cents_range check (amount_cents between 1 and 100000000),
  constraint refunds_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint refunds_reason_known check (reason in ('cancellation', 'by_hand', 'late_payment', 'paid_twice')),
  constraint refunds_note_length check (char_length(note) <= 500),
  constraint refunds_source_known check (source in ('stripe', 'manual')),
  constraint refunds_status_known check (status in ('requested', 'sending', 'pending', 'succeeded', 'failed')),
  constraint refunds_sending_is_claimed check (status <> 'sending' or claim is not null),
  constraint refunds_stripe_names_intent check (source <> 'stripe' or (stripe_account_id is not null and stripe_payment_intent_id is not null)),
  constraint refunds_settled_has_time check ((status in ('succeeded', 'failed')) = (settled_at is not null))
) with (fillfactor = 80);
comment on table public.refunds is 'What is given back of a payment: requested by a rule or a person, carried to Stripe by the sweep, booked once.';
comment on column public.refunds.payment_id is 'The INCOME event of the ledger that it gives back; its row is the lock of what is left.';
comment on column public.refunds.source is 'stripe: carried by the sweep; manual: handed over by the coach, so done when it is recorded.';
comment on column public.refunds.status is 'requested, sending (a worker''s, by lease), pending (Stripe has it and has not paid it out), succeeded, failed.';
comment on column public.refunds.next_at is 'When it may next be claimed; while sending, until when it is the claim''s.';
create index refunds_id_idx on public.refunds (id);
create index refunds_payment_idx on public.refunds (org_id, payment_id);
create index refunds_client_idx on public.refunds (org_id, client_id, created_at desc);
create index refunds_deposit_idx on public.refunds (org_id, deposit_id) where deposit_id is not null;
create index refunds_purchase_idx on public.refunds (org_id, purchase_id) where purchase_id is not null;
create index refunds_requested_by_idx on public.refunds (requested_by) where requested_by is not null;
create unique index refunds_request_once on public.refunds (org_id, request_id) where request_id is not null;
create unique index refunds_stripe_refund_once on public.refunds (org_id, stripe_refund_id) where stripe_refund_id is not null;
create index refunds_due_idx on public.refunds (next_at) where next_at is not null;
create index refunds_latest_idx on public.refunds (org_id, created_at desc);
comment on index public.refunds_due_idx is 'The sweep''s work list; its cost grows with what is due.';

create table public.receipts (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  number bigint not null,
  kind text not null,
  money_event_id uuid not null,
  client_id uuid,
  issuer_name text not null,
  description text not null,
  method text,
  amount_cents bigint not null,
  currency text not null,
  tax_cat text not null,
  tax_cents bigint not null,
  happened_at timestamptz not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, money_event_id) references public.money_events (org_id, id) on delete restrict,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  constraint receipts_number_once unique (org_id, number),
  constraint receipts_event_once unique (org_id, money_event_id),
  constraint receipts_kind_known check (kind in ('payment', 'refund')),
  constraint receipts_number_positive check (number > 0),
  constraint receipts_amount_positive check (amount_cents > 0 and tax_cents between 0 and amount_cents),
  constraint receipts_currency_form check (currency ~ '^[a-z]{3}$')
);
comment on table public.receipts is 'A numbered receipt for each payment and refund of the ledger. Append-only; its id is the secret that shows it.';
comment on column public.receipts.number is 'From 1, without a gap, in its organisation.';
comment on column public.receipts.amount_cents is 'In the currency''s minor unit, tax included; positive for refunds too.';
comment on column public.receipts.issuer_name is 'The business by its name of that day. The client''s name is not kept here.';
create index receipts_id_idx on public.receipts (id);
create index receipts_client_idx on public.receipts (org_id, client_id, number desc);

create table private.receipt_counters (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  last_number bigint not null default 0
);
comment on table private.receipt_counters is 'The number an organisation gave last; its row is the lock under which the next is given.';

create table private.receipts_due (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  money_event_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, money_event_id) references public.money_events (org_id, id) on delete cascade
);
comment on table private.receipts_due is 'Payments and refunds that wait for their receipt, so that booking money waits for no counter.';
create index receipts_due_event_idx on private.receipts_due (org_id, money_event_id);
create index receipts_due_created_idx on private.receipts_due (created_at);

-- A platform admin who clicks twice pays a period once.
alter table public.org_payouts add constraint org_payouts_period_once unique (org_id, currency, period_start, period_end);
