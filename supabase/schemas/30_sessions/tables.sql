-- Sessions: what is offered, prepaid sessions (a row of client_purchases is a package) and the ledger that spends them.
-- Invariant: sessions_used equals the sum of used_delta over the package's entries, entry_count equals their number, and
-- 0 <= sessions_used <= sessions_total. Only the rules of this domain write entries and counters.
-- Not here: money paid for a package (it comes with payments), bookings (40_scheduling).

create table public.offers (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  description text,
  offer_type text not null,
  price_cents integer not null,
  currency text not null default 'aud',
  billing_period text,
  sessions_included integer,
  bonus_sessions integer default 0,
  pack_validity_days integer,
  session_duration_mins integer default 60,
  included_items jsonb,
  is_featured boolean default false,
  sort_order integer default 0,
  is_active boolean default true,
  stripe_price_id text,
  stripe_product_id text,
  duration_minutes integer generated always as (session_duration_mins) stored,
  session_count integer generated always as (sessions_included) stored,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint offers_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint offers_offer_type_known check (offer_type in ('subscription', 'session_pack', 'single_session')),
  constraint offers_billing_period_known check (billing_period in ('weekly', 'fortnightly', 'monthly', 'quarterly', 'yearly')),
  constraint offers_price_cents_range check (price_cents between 0 and 100000000),
  constraint offers_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint offers_sessions_included_range check (sessions_included between 0 and 10000),
  constraint offers_bonus_sessions_range check (bonus_sessions between 0 and 10000),
  constraint offers_pack_validity_days_range check (pack_validity_days between 1 and 3650),
  constraint offers_session_duration_mins_range check (session_duration_mins between 1 and 1440)
);
comment on table public.offers is 'What an organisation sells: a pack of sessions, a single session, a subscription.';
comment on column public.offers.price_cents is 'In the minor unit of `currency`.';
comment on column public.offers.duration_minutes is 'session_duration_mins under the name the public pages read.';
comment on column public.offers.session_count is 'sessions_included under the name the public pages read.';
create index offers_id_idx on public.offers (id);

create table public.promo_codes (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  code text not null,
  discount_type text not null,
  discount_value numeric not null,
  valid_from date,
  valid_until date,
  max_uses integer,
  times_used integer not null default 0,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint promo_codes_code_once unique (org_id, code),
  constraint promo_codes_code_length check (char_length(btrim(code)) between 1 and 60),
  constraint promo_codes_discount_type_known check (discount_type in ('percentage', 'fixed')),
  constraint promo_codes_discount_value_range
    check (discount_value >= 0 and (discount_type <> 'percentage' or discount_value <= 100) and discount_value <= 1000000),
  constraint promo_codes_max_uses_range check (max_uses between 1 and 1000000),
  constraint promo_codes_times_used_range check (times_used >= 0)
);
comment on table public.promo_codes is 'A discount a coach gives away; its uses are counted by the sales that carry it.';
comment on column public.promo_codes.discount_value is 'Percent, or the currency''s major unit (dollars) when the type is fixed.';
comment on column public.promo_codes.times_used is 'Counted when a package is sold with the code; what an app writes here changes nothing.';
create index promo_codes_id_idx on public.promo_codes (id);

create table public.client_purchases (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  offer_id uuid not null,
  amount_paid_cents integer not null,
  currency text not null default 'aud',
  sessions_total integer,
  sessions_used integer not null default 0,
  sessions_remaining integer generated always as (sessions_total - sessions_used) stored,
  purchased_at timestamptz not null default now(),
  expires_at timestamptz,
  stripe_payment_intent_id text,
  payment_status text not null default 'pending',
  promo_code_id uuid,
  discount_cents integer not null default 0,
  payment_method text,
  session_duration_mins integer,
  source text not null default 'manual',
  frozen_periods tstzmultirange not null default '{}',
  valid_during tstzmultirange generated always as (
    case when payment_status = 'succeeded' and sessions_total is not null
         then tstzmultirange(tstzrange(null, expires_at)) - frozen_periods
         else '{}'::tstzmultirange end) stored,
  entry_count integer not null default 0,
  request_id uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, offer_id) references public.offers (org_id, id) on delete restrict,
  foreign key (org_id, promo_code_id) references public.promo_codes (org_id, id) on delete restrict,
  constraint client_purchases_sessions_within_total check (sessions_used >= 0 and sessions_used <= coalesce(sessions_total, 0)),
  constraint client_purchases_sessions_total_range check (sessions_total between 0 and 20000),
  constraint client_purchases_amount_paid_cents_range check (amount_paid_cents between 0 and 100000000),
  constraint client_purchases_discount_cents_range check (discount_cents between 0 and 100000000),
  constraint client_purchases_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint client_purchases_payment_status_known check (payment_status in ('pending', 'succeeded', 'failed', 'refunded')),
  constraint client_purchases_payment_method_known check (payment_method in ('cash', 'card', 'bank_transfer', 'stripe')),
  constraint client_purchases_source_known check (source in ('manual', 'stripe', 'import', 'reward')),
  constraint client_purchases_session_duration_mins_range check (session_duration_mins between 1 and 1440)
) with (fillfactor = 70);
comment on table public.client_purchases is 'A package: sessions a client has bought and how many of them are used.';
comment on column public.client_purchases.sessions_total is 'Sessions bought, bonus included; null when the purchase holds no sessions.';
comment on column public.client_purchases.sessions_used is
  'The ledger''s sum. What an app writes here becomes a correction, or nothing when the value is stale.';
comment on column public.client_purchases.source is 'How it was sold; `manual` is checked against the offer, the others compute it.';
comment on column public.client_purchases.frozen_periods is 'When the package is or was frozen; open-ended while it is.';
comment on column public.client_purchases.valid_during is
  'The instants at which a session may be paid from it: paid, before expiry, not frozen. The one definition of validity.';
comment on column public.client_purchases.entry_count is
  'Entries in the ledger. Every rule that writes the counters raises it, which is how a direct write is told apart.';
comment on column public.client_purchases.request_id is 'The seller''s id of one sale; the same id sells once.';
create index client_purchases_id_idx on public.client_purchases (id);
create unique index client_purchases_client_idx on public.client_purchases (org_id, client_id, id);
create index client_purchases_offer_idx on public.client_purchases (org_id, offer_id);
create index client_purchases_promo_code_idx on public.client_purchases (org_id, promo_code_id) where promo_code_id is not null;
create unique index client_purchases_request_once on public.client_purchases (org_id, request_id) where request_id is not null;
create index client_purchases_latest_idx on public.client_purchases (org_id, purchased_at desc);

-- Drawn under the package's lock, so within a package it follows the order of the counter; created_at is when a caller arrived.
create sequence private.session_entry_no;

create table public.session_entries (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  entry_no bigint not null default nextval('private.session_entry_no'),
  purchase_id uuid not null,
  kind text not null,
  used_delta integer not null,
  total_delta integer not null default 0,
  booking_id uuid,
  charge_no integer,
  released_entry_id uuid,
  request_id uuid,
  answer integer,
  reason text not null,
  actor_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, purchase_id) references public.client_purchases (org_id, id) on delete restrict,
  foreign key (org_id, released_entry_id) references public.session_entries (org_id, id) on delete restrict,
  constraint session_entries_kind_known check (kind in ('opening', 'use', 'release', 'correction')),
  constraint session_entries_use_takes_one check (kind <> 'use' or used_delta in (0, 1)),
  constraint session_entries_release_gives_one check (kind <> 'release' or used_delta in (0, -1)),
  constraint session_entries_charge_is_numbered
    check ((charge_no is not null) = (kind = 'use' and used_delta = 1 and booking_id is not null)),
  constraint session_entries_release_names_entry check (released_entry_id is null or kind = 'release'),
  constraint session_entries_request_is_answered check ((request_id is null) = (answer is null))
);
comment on table public.session_entries is
  'The ledger of sessions: each taken, given back or corrected, once, with its reason. Append-only.';
comment on column public.session_entries.entry_no is 'The order in which the counter moved; created_at is when the caller arrived, before waiting for the package.';
comment on column public.session_entries.used_delta is 'Change of sessions_used; 0 keeps the answer of a request that moved nothing.';
comment on column public.session_entries.total_delta is 'Change of sessions_total by a correction.';
comment on column public.session_entries.charge_no is 'The how-manieth charge of this booking: unique, so that a booking is charged once per release.';
comment on column public.session_entries.released_entry_id is 'The very entry a release gives back, at most once.';
comment on column public.session_entries.request_id is 'The caller''s id of one click; unique in the organisation and bound to its arguments.';
comment on column public.session_entries.answer is 'What that request was answered: 1 or 0 for a use, the new sessions_used or -1 for a release.';
comment on column public.session_entries.reason is
  'A slug: click, check_in, completion, sweep, no_show, late_cancellation, released, completion_undone, editor, correction, sold_with_used, referral_reward, imported, or why nothing moved.';
create unique index session_entries_request_once on public.session_entries (org_id, request_id) where request_id is not null;
create unique index session_entries_charge_once on public.session_entries (org_id, booking_id, charge_no) where booking_id is not null;
create unique index session_entries_release_once on public.session_entries (org_id, released_entry_id) where released_entry_id is not null;
create index session_entries_latest_idx on public.session_entries (org_id, purchase_id, created_at desc);
comment on index public.session_entries_charge_once is
  'One charge of a booking per number; entries without a number never collide, and every entry of a booking is found here.';
