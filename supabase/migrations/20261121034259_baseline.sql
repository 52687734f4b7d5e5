-- The baseline: supabase/schemas as it was when this file was generated, room by room. Change it there, not here.

-- A rule may call one that stands further on.
set local check_function_bodies = off;

-- ── 00_foundation/tables.sql ──

-- Foundation: the schemas beside `public`, and the rule that nobody may do anything unless a line says so.
-- Invariant: what the owner creates carries no grant to PUBLIC or to an API role until an `access`, `api` or `service` room gives one.
-- Hosted projects differ in their default privileges (older ones grant everything), so they are taken back here, first.

create schema private;
comment on schema private is 'How it is done: rules, trigger functions, policy helpers, tables no app may see. No API role has USAGE.';

create schema service;
comment on schema service is 'The contract with webhooks, sweeps and operators: functions for service_role alone.';

alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;

revoke all on schema private from public, anon, authenticated, service_role;
revoke all on schema service from public, anon, authenticated, service_role;
grant usage on schema service to service_role;

-- ── 10_tenancy/tables.sql ──

-- Tenancy: organisations, who belongs to them, what a role may do, and how an organisation looks.
-- Invariant: every tenant table's key starts with org_id, and a person's rights come from org_members and role_permissions alone.
-- Not here: the timezone and booking rules of an organisation (40_scheduling), platform admins (15_operations).

create table public.orgs (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  slug text not null,
  commission_rate numeric not null default 0.05,
  waiver_template text,
  proforma_disclaimer text,
  onboarding_completed boolean not null default false,
  created_by uuid default auth.uid() references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  constraint orgs_slug_unique unique (slug),
  constraint orgs_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint orgs_slug_form check (slug ~ '^[^\s[:upper:]/?#]{1,100}$'),
  constraint orgs_commission_rate_share check (commission_rate between 0 and 1)
);
comment on table public.orgs is 'An organisation: one business, one tenant.';
comment on column public.orgs.slug is 'The organisation''s name in addresses, unique everywhere; made from the name when it is not sent.';
comment on column public.orgs.commission_rate is 'The platform''s share of sales, 0 to 1; only a platform admin changes it.';
comment on column public.orgs.created_by is 'Who signed the organisation up: the only one who may join it as its first member.';
create index orgs_created_by_idx on public.orgs (created_by);

create table public.roles (
  role text primary key,
  description text not null
);
comment on table public.roles is 'The roles a member can have.';

create table public.role_permissions (
  role text not null references public.roles (role) on delete cascade,
  permission text not null,
  primary key (role, permission),
  constraint role_permissions_permission_form check (permission ~ '^[a-z_]+\.[a-z_]+$')
);
comment on table public.role_permissions is 'What each role may do; permissions are noun.verb.';

create table public.org_members (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  role text not null references public.roles (role) on delete restrict,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint org_members_user_once unique (org_id, user_id)
);
comment on table public.org_members is
  'Who belongs to an organisation, and as what. A person sees their own row of their active organisation; list_members shows the team.';
create index org_members_user_idx on public.org_members (user_id);
create index org_members_role_idx on public.org_members (role);

create table public.profiles (
  id uuid primary key references auth.users (id) on delete cascade,
  full_name text,
  active_org_id uuid references public.orgs (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint profiles_full_name_length check (char_length(full_name) <= 200)
);
comment on table public.profiles is 'A person who signs in: name and active organisation. Made when they first belong to one.';
comment on column public.profiles.active_org_id is 'The organisation the apps show; changed by switch_org.';
create index profiles_active_org_idx on public.profiles (active_org_id);

create table public.branding (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  display_name text not null,
  primary_color text not null default '#111111',
  logo_path text,
  logo_url text,
  updated_at timestamptz not null default now(),
  constraint branding_display_name_length check (char_length(btrim(display_name)) between 1 and 200),
  constraint branding_primary_color_hex check (primary_color ~ '^#[0-9A-Fa-f]{3,8}$')
);
comment on table public.branding is 'How an organisation looks to its clients; an absent row means the defaults.';

-- ── 15_operations/tables.sql ──

-- Operations: who did what, what ran, and what a person must be told.
-- Invariant: audit_log only grows and holds ids and column names, never values.
-- Not here: brakes, support access, pulse (they come with the operator's console).

create table public.platform_admins (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  email text not null,
  role text not null default 'admin',
  created_at timestamptz not null default now(),
  constraint platform_admins_user_once unique (user_id)
);
comment on table public.platform_admins is 'People who run the platform itself; written by its owner alone.';

create table public.audit_log (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  happened_at timestamptz not null default clock_timestamp(),
  actor_id uuid,
  actor_role text not null,
  action text not null,
  subject_type text not null,
  subject_id uuid,
  changed_columns text[] not null default '{}',
  primary key (org_id, id)
);
comment on table public.audit_log is 'Who changed a rule, when, and which columns: ids and names only, append-only.';
comment on column public.audit_log.actor_id is 'The signed-in person; null for the service and the owner (see actor_role). No key: the log outlives people.';
comment on column public.audit_log.actor_role is 'The database role that the change came through.';
create index audit_log_latest_idx on public.audit_log (org_id, happened_at desc);

create table public.alerts (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null,
  client_id uuid,
  purchase_id uuid,
  booking_id uuid,
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  primary key (org_id, id),
  constraint alerts_kind_form check (kind ~ '^[a-z_]+$')
);
comment on table public.alerts is 'What a coach must be told and can act on; the app shows the open ones.';
comment on column public.alerts.kind is 'A slug: booking_uncovered (a session was held that no package could pay for).';
comment on column public.alerts.booking_id is 'What it is about; without a key, since an alert is a note and not a part of the booking.';
create unique index alerts_booking_once on public.alerts (org_id, kind, booking_id) where booking_id is not null and resolved_at is null;
create index alerts_open_idx on public.alerts (org_id, created_at desc) where resolved_at is null;

create table private.job_runs (
  id uuid primary key default gen_random_uuid(),
  job text not null,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  result jsonb,
  error text,
  constraint job_runs_job_form check (job ~ '^[a-z_]{1,60}$')
);
comment on table private.job_runs is 'Each run of a sweep: one that never finished was killed, and the next run did its work.';
comment on column private.job_runs.error is 'The slug of what stopped it; null when it finished.';
create index job_runs_latest_idx on private.job_runs (job, started_at desc);

-- ── 20_clients/tables.sql ──

-- Clients: the people an organisation trains or treats.
-- Invariant: a client belongs to one organisation; whoever signs in as a client sees the rows that carry their auth_user_id.
-- Not here: waivers, invites, portal pages, communications, measurements (they come with the client's journey).

create table public.clients (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  full_name text not null,
  email text,
  phone text,
  status text not null default 'active',
  date_of_birth date,
  gender text,
  height_cm numeric,
  weight_kg numeric,
  target_weight_kg numeric,
  goals text[],
  health_conditions text[],
  injuries text[],
  medications text[],
  dietary_restrictions text[],
  experience_level text,
  preferred_training_days text[],
  preferred_time_windows jsonb,
  emergency_contact_name text,
  emergency_contact_phone text,
  notes text,
  avatar_path text,
  address_line1 text,
  address_line2 text,
  city text,
  state text,
  postcode text,
  country text default 'Australia',
  source text,
  onboarding_completed_at timestamptz,
  onboarding_sent_at timestamptz,
  auth_user_id uuid references auth.users (id) on delete set null,
  referral_id uuid,
  referral_code text,
  onboarding_token uuid,
  portal_token uuid,
  sms_reminder_enabled boolean not null default true,
  sms_followup_enabled boolean not null default true,
  sms_opt_in boolean,
  email_opt_in boolean,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint clients_full_name_length check (char_length(btrim(full_name)) between 1 and 200),
  constraint clients_email_form check (char_length(email) <= 320 and (email = '' or position('@' in email) > 1)),
  constraint clients_phone_length check (char_length(phone) <= 40),
  constraint clients_status_length check (char_length(status) between 1 and 40),
  constraint clients_gender_known check (gender in ('', 'male', 'female', 'other', 'prefer_not_to_say')),
  constraint clients_experience_level_known check (experience_level in ('', 'beginner', 'intermediate', 'advanced')),
  constraint clients_height_cm_plausible check (height_cm > 0 and height_cm < 300),
  constraint clients_weight_kg_plausible check (weight_kg > 0 and weight_kg < 1000),
  constraint clients_target_weight_kg_plausible check (target_weight_kg > 0 and target_weight_kg < 1000),
  constraint clients_notes_length check (char_length(notes) <= 20000)
);
comment on table public.clients is 'A person whom an organisation trains or treats; may sign in (auth_user_id) or never.';
comment on column public.clients.status is 'Free text of the organisation; `active` is the default.';
comment on column public.clients.preferred_time_windows is 'Array of {day, start, end}.';
comment on column public.clients.onboarding_token is 'The open link of the onboarding page; null when none is open.';
comment on column public.clients.portal_token is 'The open link of the portal; null when none is open.';
comment on column public.clients.sms_opt_in is 'Null: never asked.';
create index clients_id_idx on public.clients (id);
create index clients_auth_user_idx on public.clients (auth_user_id) where auth_user_id is not null;
create index clients_name_idx on public.clients (org_id, full_name);
create index clients_email_idx on public.clients (org_id, lower(email)) where email is not null;
create index clients_onboarding_token_idx on public.clients (onboarding_token) where onboarding_token is not null;
create index clients_portal_token_idx on public.clients (portal_token) where portal_token is not null;

-- ── 30_sessions/tables.sql ──

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
  constraint client_purchases_source_known check (source in ('manual', 'stripe', 'import')),
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
  'A slug: click, check_in, completion, sweep, no_show, late_cancellation, released, completion_undone, editor, correction, sold_with_used, or why nothing moved.';
create unique index session_entries_request_once on public.session_entries (org_id, request_id) where request_id is not null;
create unique index session_entries_charge_once on public.session_entries (org_id, booking_id, charge_no) where booking_id is not null;
create unique index session_entries_release_once on public.session_entries (org_id, released_entry_id) where released_entry_id is not null;
create index session_entries_latest_idx on public.session_entries (org_id, purchase_id, created_at desc);
comment on index public.session_entries_charge_once is
  'One charge of a booking per number; entries without a number never collide, and every entry of a booking is found here.';

-- ── 40_scheduling/tables.sql ──

-- Scheduling, first cut: an organisation's booking settings with THE timezone, its session types, and bookings.
-- Invariant: a booking that is over ends settled: charged, waived or uncovered when it has a package, none when it has not.
-- Not here: staff, availability, what is free, overlaps, holds (they come with scheduling proper).

create table public.booking_settings (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  timezone text not null default 'Australia/Brisbane',
  allow_client_booking boolean default true,
  min_notice_hours integer default 24,
  max_advance_days integer default 30,
  allow_client_cancel boolean default true,
  cancel_notice_hours integer default 24,
  slot_duration_mins integer default 60,
  buffer_between_mins integer default 15,
  early_cutoff_before_hour integer default 9,
  early_cutoff_time time default '20:00',
  late_notice_hours integer default 2,
  send_confirmation_email boolean default true,
  send_reminder_24h boolean default true,
  send_reminder_1h boolean default true,
  notify_phone text,
  gst_registered boolean not null default false,
  pass_stripe_fees boolean not null default false,
  session_click_window_secs integer not null default 5,
  no_show_policy text not null default 'free',
  late_cancellation_policy text not null default 'refuse',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint booking_settings_min_notice_hours_range check (min_notice_hours between 0 and 8760),
  constraint booking_settings_max_advance_days_range check (max_advance_days between 0 and 3650),
  constraint booking_settings_cancel_notice_hours_range check (cancel_notice_hours between 0 and 8760),
  constraint booking_settings_slot_duration_mins_range check (slot_duration_mins between 5 and 1440),
  constraint booking_settings_buffer_between_mins_range check (buffer_between_mins between 0 and 1440),
  constraint booking_settings_early_cutoff_before_hour_range check (early_cutoff_before_hour between 0 and 24),
  constraint booking_settings_late_notice_hours_range check (late_notice_hours between 0 and 8760),
  constraint booking_settings_session_click_window_secs_range check (session_click_window_secs between 0 and 3600),
  constraint booking_settings_no_show_policy_known check (no_show_policy in ('free', 'charge')),
  constraint booking_settings_late_cancellation_policy_known check (late_cancellation_policy in ('refuse', 'free', 'charge'))
);
comment on table public.booking_settings is 'How an organisation takes bookings; an absent row means the defaults.';
comment on column public.booking_settings.timezone is 'The one timezone of the organisation, an IANA name. No other column or setting holds one.';
comment on column public.booking_settings.session_click_window_secs is
  'Two clicks of one person on one package within so many seconds are one click; 0 = every click counts.';
comment on column public.booking_settings.no_show_policy is 'free, or charge: a no-show takes a session like a completed booking.';
comment on column public.booking_settings.late_cancellation_policy is
  'What a client''s cancellation inside cancel_notice_hours does: refuse it, let it go free, or charge the session.';

create table public.session_types (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  slug text not null,
  description text,
  duration_mins integer not null default 60,
  price_cents integer,
  color text default '#3B82F6',
  is_active boolean default true,
  allow_online_booking boolean default true,
  buffer_before_mins integer default 0,
  buffer_after_mins integer default 0,
  max_per_day integer,
  sort_order integer default 0,
  created_at timestamptz default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint session_types_slug_once unique (org_id, slug),
  constraint session_types_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint session_types_duration_mins_range check (duration_mins between 1 and 1440),
  constraint session_types_price_cents_range check (price_cents between 0 and 100000000),
  constraint session_types_buffer_before_mins_range check (buffer_before_mins between 0 and 1440),
  constraint session_types_buffer_after_mins_range check (buffer_after_mins between 0 and 1440),
  constraint session_types_max_per_day_range check (max_per_day between 1 and 1000)
);
comment on table public.session_types is 'Kinds of appointment an organisation offers: length, price, buffers.';
create index session_types_id_idx on public.session_types (id);

create table public.bookings (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  start_time timestamptz not null,
  end_time timestamptz not null,
  duration_mins integer not null default 60,
  offer_id uuid,
  session_type text not null default 'pt_session',
  session_type_id uuid,
  purchase_id uuid,
  location_type text not null default 'in_person',
  location_details text,
  status text not null default 'confirmed',
  settlement text,
  due_since timestamptz,
  completed_at timestamptz,
  completion_undone_at timestamptz,
  follow_up_by uuid,
  follow_up_until timestamptz,
  cancelled_at timestamptz,
  cancelled_by uuid references auth.users (id) on delete set null,
  cancellation_reason text,
  booked_by uuid references auth.users (id) on delete set null,
  booking_source text not null default 'trainer',
  notes text,
  client_notes text,
  reminder_sent boolean default false,
  reminder_24h_sent boolean default false,
  feedback_sent boolean default false,
  client_confirmed boolean default false,
  confirmation_sent_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, offer_id) references public.offers (org_id, id) on delete restrict,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete restrict,
  foreign key (org_id, client_id, purchase_id) references public.client_purchases (org_id, client_id, id) on delete restrict,
  constraint bookings_ends_after_start check (end_time > start_time and end_time <= start_time + interval '24 hours'),
  constraint bookings_start_plausible check (start_time between '2000-01-01 00:00+00' and '2100-01-01 00:00+00'),
  constraint bookings_duration_mins_range check (duration_mins between 1 and 1440),
  constraint bookings_status_known check (status in ('pending', 'confirmed', 'completed', 'cancelled', 'no_show')),
  constraint bookings_location_type_known check (location_type in ('in_person', 'online', 'outdoor')),
  constraint bookings_booking_source_known check (booking_source in ('trainer', 'client', 'system')),
  constraint bookings_settlement_known check (settlement in ('due', 'charged', 'waived', 'uncovered', 'none')),
  constraint bookings_settlement_due_since check ((settlement = 'due') <= (due_since is not null)),
  constraint bookings_completed_is_settled check (status <> 'completed' or settlement is not null),
  constraint bookings_settlement_needs_package check (settlement is null or (settlement = 'none') = (purchase_id is null)),
  constraint bookings_notes_length check (char_length(notes) <= 20000 and char_length(client_notes) <= 20000)
) with (fillfactor = 80);
comment on table public.bookings is 'An appointment of one client; with a package it ends by taking a session from it, or says why not.';
comment on column public.bookings.session_type is 'The slug of a session type, or free text.';
comment on column public.bookings.settlement is
  'Null until it is over or charged; then due (to be settled), charged, waived (given back), uncovered (no package could pay), none (no package).';
comment on column public.bookings.due_since is 'When it became due; the sweep settles it two minutes later if nobody has.';
comment on column public.bookings.completion_undone_at is 'A person took the completion back: the sweep leaves it alone until it is completed again.';
comment on column public.bookings.follow_up_by is
  'Who completed it by a direct write and will ask use_session for its session without naming it: that call is this booking''s, once.';
comment on column public.bookings.follow_up_until is 'How long that call is waited for: as long as the sweep leaves the booking to it.';
create index bookings_id_idx on public.bookings (id);
create index bookings_calendar_idx on public.bookings (org_id, start_time);
create index bookings_client_idx on public.bookings (org_id, client_id, purchase_id);
create index bookings_package_open_idx on public.bookings (org_id, purchase_id, end_time)
  where purchase_id is not null and (settlement = 'due' or (settlement is null and status in ('pending', 'confirmed')));
create index bookings_follow_up_idx on public.bookings (org_id, purchase_id) where follow_up_by is not null;
create index bookings_overdue_idx on public.bookings (end_time)
  where status = 'confirmed' and completion_undone_at is null;
create index bookings_due_idx on public.bookings (due_since) where settlement = 'due';
create index bookings_offer_idx on public.bookings (org_id, offer_id) where offer_id is not null;
create index bookings_session_type_idx on public.bookings (org_id, session_type_id) where session_type_id is not null;
create index bookings_booked_by_idx on public.bookings (booked_by) where booked_by is not null;
create index bookings_cancelled_by_idx on public.bookings (cancelled_by) where cancelled_by is not null;
comment on index public.bookings_package_open_idx is
  'What a package still owes: bookable_sessions_remaining, the oldest due booking, and which of them are over.';
comment on index public.bookings_follow_up_idx is 'The calls that use_session waits for on a package.';
comment on index public.bookings_overdue_idx is 'The sweep''s work list; its cost grows with what is due.';

-- The ledger is older than the booking it may charge.
alter table public.session_entries
  add foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete restrict;

-- ── 00_foundation/rules.sql ──

-- Foundation rules: how everything here refuses, and the trigger functions that any table may use.
-- Not here: what is refused. That is said where the rule lives.

-- Raises SQLSTATE PT<status>; the Data API answers with that HTTP status and `details` = the slug.
create function private.fail(p_status integer, p_slug text, p_message text, p_hint text default null)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  raise exception using
    errcode = 'PT' || p_status, message = p_message, detail = p_slug, hint = coalesce(p_hint, '');
end;
$$;
comment on function private.fail is
  'Refuses: SQLSTATE PT<status>, detail = the stable slug, message = a sentence without data, hint = the next action.';

create function private.tg__touch_updated_at()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.updated_at := now();
  return new;
end;
$$;
comment on function private.tg__touch_updated_at is 'Sets updated_at; attach it with a WHEN that lets a caller who sends updated_at have their way.';

-- A ledger is only ever added to. The one exception is the owner who has opened the erase door in this transaction
-- (retention, GDPR): set local coach.erase = 'on'. No API role owns a table, so none can pass.
create function private.tg__append_only()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if tg_level = 'ROW' and tg_op = 'DELETE' and current_setting('coach.erase', true) = 'on'
     and current_user = (select c.relowner::regrole::text from pg_catalog.pg_class as c where c.oid = tg_relid) then
    return old;
  end if;
  perform private.fail(403, 'ledger_append_only', 'Entries of a ledger are never changed or deleted.',
                       'Add an entry that corrects it.');
end;
$$;
comment on function private.tg__append_only is 'Refuses update, delete and truncate on a ledger, but for its owner''s erase door.';

-- Turns a constraint violation into our own error before Postgres raises its own, whose DETAIL carries the row's values
-- to the caller and into the server's log. Reads the constraints from the catalogue, so a table only has to attach it:
-- last among its BEFORE triggers, and for direct writes by API roles alone (functions check for themselves).
create function private.tg__refuse_clearly()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_row jsonb := to_jsonb(new);
  v_rule record;
  v_ok boolean;
  v_is_outsider boolean := auth.role() = 'authenticated' and v_row ? 'org_id'
    and not ((v_row ->> 'org_id')::uuid = any (private.orgs_with('org.read')) or private.founds((v_row ->> 'org_id')::uuid));
begin
  for v_rule in
    select a.attname
      from pg_catalog.pg_attribute as a
     where a.attrelid = tg_relid and a.attnum > 0 and not a.attisdropped and a.attnotnull and a.attgenerated = ''
       and v_row ->> a.attname::text is null
  loop
    perform private.fail(422, 'value_missing', 'A required value is missing.', format('Send a value for %s.', v_rule.attname));
  end loop;

  for v_rule in
    select c.conname, c.contype, pg_catalog.pg_get_expr(c.conbin, c.conrelid) as expression,
           c.confrelid::regclass as parent, k.own, k.pairs, k.is_made_here
      from pg_catalog.pg_constraint as c
      left join lateral (
        select array_agg(a.attname::text) as own,
               string_agg(format('p.%I = ($1).%I', coalesce(f.attname, a.attname), a.attname), ' and ') as pairs,
               bool_or(a.atthasdef) as is_made_here
          from unnest(c.conkey, c.confkey) as u (own, parent)
          join pg_catalog.pg_attribute as a on a.attrelid = c.conrelid and a.attnum = u.own
          left join pg_catalog.pg_attribute as f on f.attrelid = c.confrelid and f.attnum = u.parent) as k on c.contype <> 'c'
     where c.conrelid = tg_relid and c.contype in ('c', 'f', 'u', 'p')
     order by c.contype, c.conname
  loop
    if v_rule.contype = 'c' then
      execute format('select (%s) from (select ($1).*) as %I', v_rule.expression, tg_table_name) into v_ok using new;
      if v_ok is false then
        perform private.fail(422, 'value_not_allowed', 'A value is not one that is allowed here.',
                             format('The rule is %s.', v_rule.conname));
      end if;
    elsif not exists (select from unnest(v_rule.own) as c (name) where v_row ->> c.name is null) then
      -- Whether a row or a value exists in an organisation is not told to people outside it: the policies refuse them next.
      -- A key that is made here (an id) collides with nothing.
      continue when v_is_outsider or v_rule.contype = 'p' and v_rule.is_made_here;
      -- Only what this write sets: an update that leaves a key alone is not asked about it again.
      continue when tg_op = 'UPDATE'
        and not exists (select from unnest(v_rule.own) as c (name) where v_row -> c.name is distinct from to_jsonb(old) -> c.name);
      -- A key to the tenant or to a person is the policies' matter; asking here would tell who exists.
      if v_rule.contype = 'f' then
        continue when cardinality(v_rule.own) = 1;
        execute format('select exists (select from %s as p where %s)', v_rule.parent, v_rule.pairs) into v_ok using new;
        if not v_ok then
          perform private.fail(404, 'reference_not_found', 'Something this row points to does not exist.',
                               format('Check %s.', array_to_string(v_rule.own, ', ')));
        end if;
      else
        execute format('select exists (select from %s as p where %s)', tg_relid::regclass, v_rule.pairs) into v_ok using new;
        if v_ok then
          perform private.fail(409, 'value_taken', 'There is already one with this value.',
                               format('Choose another value for %s.', array_to_string(v_rule.own, ', ')));
        end if;
      end if;
    end if;
  end loop;
  return new;
end;
$$;
comment on function private.tg__refuse_clearly is
  'Refuses a direct write that a constraint would refuse, with a slug and without the row''s values: value_missing 422, value_not_allowed 422, value_taken 409, reference_not_found 404.';

-- Arguments: the referencing table, its column, the slug. Keys are (org_id, id).
create function private.tg__refuse_delete_in_use()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_used boolean;
begin
  execute format('select exists (select from public.%I as r where r.org_id = $1 and r.%I = $2)', tg_argv[0], tg_argv[1])
     into v_used using old.org_id, old.id;
  if v_used then
    perform private.fail(409, tg_argv[2], 'This is in use and keeps history readable.', 'Make it inactive instead.');
  end if;
  return old;
end;
$$;
comment on function private.tg__refuse_delete_in_use is 'Refuses to delete a row that another table still points to, with the slug given as third argument.';

-- The app sends org_id with every change of some tables, so the column is granted there.
create function private.tg__keep_org()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.fail(422, 'org_fixed', 'This stays in the organisation it belongs to.', 'Leave org_id as it is, or make a new one there.');
  return new;
end;
$$;
comment on function private.tg__keep_org is 'Refuses to move a row to another organisation, also for a member of both: org_fixed 422.';

-- ── 10_tenancy/rules.sql ──

-- Tenancy rules: whose organisation is it, who may do what in it, and how a coach signs up with the existing app alone.
-- A null user never means trusted: without a signed-in user every helper here answers with an empty array or false.

-- Every policy's helper. Written as `org_id = any ((select private.orgs_with('x.y'))::uuid[])` it runs once and drives the index.
create function private.orgs_with(p_permission text)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(m.org_id), '{}')
    from public.org_members as m
    join public.role_permissions as p on p.role = m.role and p.permission = p_permission
   where m.user_id = (select auth.uid());
$$;
comment on function private.orgs_with is 'The organisations in which the signed-in person has a permission; empty, never null.';

-- The active organisation; and until the person has joined it (a sign-up that stopped half-way), the one they are left with:
-- never two memberships, and none hidden by an organisation that was founded and not joined.
create function private.shown_org_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(s.org_id), '{}')
    from (select p.active_org_id as org_id from public.profiles as p where p.id = (select auth.uid())
          union all
          (select m.org_id from public.org_members as m
            where m.user_id = (select auth.uid())
              and not exists (select
                                from public.profiles as p
                                join public.org_members as a on a.user_id = p.id and a.org_id = p.active_org_id
                               where p.id = (select auth.uid()))
            order by m.created_at, m.org_id limit 1)) as s
   where s.org_id is not null;
$$;
comment on function private.shown_org_ids is
  'Whose membership row the signed-in person sees: the active organisation''s, or while they have not joined it, their oldest.';

-- The founder is who made an organisation that nobody has joined yet: they may dress it up and join it, once.
create function private.has_members(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.org_members as m where m.org_id = p_org_id);
$$;
comment on function private.has_members is 'True once somebody has joined the organisation.';

create function private.founds(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.orgs as o where o.id = p_org_id and o.created_by = (select auth.uid()))
     and not private.has_members(p_org_id);
$$;
comment on function private.founds is 'True for the person who made this organisation, as long as nobody has joined it.';

create function private.refuse_permission()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(403, 'permission_missing', 'Your role does not allow this.', 'Ask an owner of the organisation.');
$$;
comment on function private.refuse_permission is 'Refuses a member whose role lacks the permission: permission_missing 403.';

create function private.refuse_org()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'org_not_found', 'There is no such organisation.', 'Check the organisation, or switch to it.');
$$;
comment on function private.refuse_org is 'Refuses an unknown organisation, or another''s: org_not_found 404.';

-- For operators, who may name any organisation.
create function private.require_known_org(p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not exists (select from public.orgs as o where o.id = p_org_id) then
    perform private.refuse_org();
  end if;
end;
$$;
comment on function private.require_known_org is 'Refuses an organisation that does not exist: org_not_found 404.';

create function private.user_by_email(p_email text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  select u.id into v_id from auth.users as u where lower(u.email::text) = lower(btrim(p_email)) order by u.created_at limit 1;
  if not found then
    perform private.fail(404, 'user_not_found', 'Nobody has signed up with this email.', 'Let them sign up first.');
  end if;
  return v_id;
end;
$$;
comment on function private.user_by_email is 'The account with this email. Fails: user_not_found 404.';

-- For RPCs that name an organisation: another's is 404, one's own without the permission is 403.
create function private.require_org(p_org_id uuid, p_permission text)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_org_id = any (private.orgs_with(p_permission)) then
    return;
  end if;
  if p_org_id = any (private.orgs_with('org.read')) then
    perform private.refuse_permission();
  end if;
  perform private.refuse_org();
end;
$$;
comment on function private.require_org is 'Returns when the signed-in person has the permission there; else org_not_found 404 or permission_missing 403.';

create function private.slug_from(p_name text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select left(coalesce(nullif(btrim(regexp_replace(lower(p_name), '[^a-z0-9]+', '-', 'g'), '-'), ''), 'org'), 60);
$$;
comment on function private.slug_from is 'A slug made from a name: lower-case letters, digits and single dashes.';

create function private.tg_orgs__name_slug()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.slug is null then
    new.slug := private.slug_from(new.name);
    if exists (select from public.orgs as o where o.slug = new.slug) then
      new.slug := new.slug || '-' || left(new.id::text, 8);
    end if;
  end if;
  return new;
end;
$$;
create trigger orgs__name_slug before insert on public.orgs
  for each row execute function private.tg_orgs__name_slug();

-- commission_rate is the platform's column: a column grant alone cannot tell an owner from a platform admin.
create function private.tg_orgs__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.commission_rate is distinct from (case tg_op when 'INSERT' then 0.05 else old.commission_rate end)
     and auth.role() = 'authenticated' and not private.is_platform_admin() then
    perform private.fail(403, 'commission_rate_protected', 'The commission rate is set by the platform.',
                         'Leave commission_rate as it is.');
  end if;
  if tg_op = 'INSERT' and auth.role() = 'authenticated' then
    new.created_by := auth.uid();
  end if;
  return new;
end;
$$;
create trigger orgs__guard_audience before insert or update on public.orgs
  for each row execute function private.tg_orgs__guard_audience();

-- Sign-up makes the new organisation the founder's active one; the membership row is the app's own insert.
create function private.tg_orgs__activate()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' and not private.is_platform_admin() then
    insert into public.profiles as p (id, active_org_id) values (new.created_by, new.id)
    on conflict (id) do update set active_org_id = excluded.active_org_id;
  end if;
  return null;
end;
$$;
create trigger orgs__activate after insert on public.orgs
  for each row execute function private.tg_orgs__activate();

-- Two tabs of one founder would both see an organisation without members: the organisation's row is the lock.
create function private.tg_org_members__guard_join()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.orgs as o where o.id = new.org_id for no key update;
  if not private.founds(new.org_id) or new.user_id is distinct from auth.uid() or new.role <> 'owner' then
    perform private.fail(403, 'membership_by_invitation', 'Nobody can add themselves to an organisation.',
                         'Ask an owner for an invitation.');
  end if;
  return new;
end;
$$;
create trigger org_members__guard_join before insert on public.org_members
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_org_members__guard_join();

create function private.tg_org_members__activate()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    insert into public.profiles as p (id, active_org_id) values (new.user_id, new.org_id)
    on conflict (id) do update set active_org_id = coalesce(p.active_org_id, excluded.active_org_id);
  else
    update public.profiles as p
       set active_org_id = (select m.org_id from public.org_members as m where m.user_id = old.user_id
                             order by m.created_at, m.org_id limit 1)
     where p.id = old.user_id and p.active_org_id = old.org_id;
  end if;
  return null;
end;
$$;
create trigger org_members__activate after insert or delete on public.org_members
  for each row execute function private.tg_org_members__activate();

-- An organisation keeps an owner. The organisation's row is the lock: two owners who leave at once queue here.
create function private.tg_org_members__keep_owner()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.role = 'owner' and (tg_op = 'DELETE' or new.role <> 'owner') then
    perform from public.orgs as o where o.id = old.org_id for no key update;
    if found and not exists (select from public.org_members as m
                              where m.org_id = old.org_id and m.role = 'owner' and m.id <> old.id) then
      perform private.fail(409, 'last_owner', 'An organisation keeps at least one owner.', 'Make another member an owner first.');
    end if;
  end if;
  return case tg_op when 'DELETE' then old else new end;
end;
$$;
create trigger org_members__keep_owner before update of role or delete on public.org_members
  for each row execute function private.tg_org_members__keep_owner();

create trigger profiles__touch before update on public.profiles
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger branding__touch before update on public.branding
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.member_switch_org(p_org_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'org.read');
  insert into public.profiles as p (id, active_org_id) values (auth.uid(), p_org_id)
  on conflict (id) do update set active_org_id = excluded.active_org_id;
  return p_org_id;
end;
$$;
comment on function private.member_switch_org is 'Makes one of the signed-in person''s organisations the active one.';

create function private.team(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select m.id, m.user_id, p.full_name, u.email::text, m.role, m.created_at
    from public.org_members as m
    join auth.users as u on u.id = m.user_id
    left join public.profiles as p on p.id = m.user_id
   where m.org_id = p_org_id
   order by m.created_at, m.id;
$$;
comment on function private.team is 'The members of an organisation; the caller has authorised.';

create function private.member_team(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'members.read');
  return query select * from private.team(p_org_id);
end;
$$;
comment on function private.member_team is 'The team, for a member with members.read.';

-- ── 15_operations/rules.sql ──

-- Operations rules: auditing of every write that changes a rule, and the record of job runs.

create function private.is_platform_admin()
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.platform_admins as a where a.user_id = (select auth.uid()));
$$;
comment on function private.is_platform_admin is 'True when the signed-in person runs the platform.';

-- Arguments: columns whose change is no change of a rule (counters, timestamps).
create function private.tg__audit()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_new jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
  v_old jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
  v_row jsonb := coalesce(v_new, v_old);
  v_changed text[];
begin
  select coalesce(array_agg(k order by k), '{}') into v_changed
    from jsonb_object_keys(v_row) as k
   where tg_op = 'UPDATE' and v_new -> k is distinct from v_old -> k and k <> all (tg_argv::text[] || '{updated_at}'::text[]);
  if tg_op <> 'UPDATE' or v_changed <> '{}' then
    insert into public.audit_log (org_id, actor_id, actor_role, action, subject_type, subject_id, changed_columns)
    select o.id, auth.uid(), coalesce(nullif(current_setting('role', true), 'none'), session_user), lower(tg_op), tg_table_name,
           coalesce(v_row ->> 'id', v_row ->> 'org_id')::uuid, v_changed
      from public.orgs as o
     where o.id = (case tg_table_name when 'orgs' then v_row ->> 'id' else v_row ->> 'org_id' end)::uuid;
  end if;
  return null;
end;
$$;
comment on function private.tg__audit is 'Writes one audit row for an insert, update or delete: names of the changed columns, no values.';

create trigger audit_log__append_only before update or delete on public.audit_log
  for each row execute function private.tg__append_only();
create trigger audit_log__no_truncate before truncate on public.audit_log
  for each statement execute function private.tg__append_only();

create trigger orgs__audit after insert or update on public.orgs
  for each row execute function private.tg__audit();
create trigger org_members__audit after insert or update or delete on public.org_members
  for each row execute function private.tg__audit();
create trigger branding__audit after insert or update or delete on public.branding
  for each row execute function private.tg__audit();
create trigger offers__audit after insert or update or delete on public.offers
  for each row execute function private.tg__audit();
create trigger promo_codes__audit after insert or update or delete on public.promo_codes
  for each row execute function private.tg__audit('times_used');
create trigger booking_settings__audit after insert or update or delete on public.booking_settings
  for each row execute function private.tg__audit();
create trigger session_types__audit after insert or update or delete on public.session_types
  for each row execute function private.tg__audit();

create function private.raise_alert(
  p_org_id uuid, p_kind text, p_client_id uuid, p_purchase_id uuid, p_booking_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
  values (p_org_id, p_kind, p_client_id, p_purchase_id, p_booking_id)
  on conflict do nothing;
$$;
comment on function private.raise_alert is 'Tells the organisation something once; repeating it while it is open adds nothing.';

-- ── 20_clients/rules.sql ──

-- Client rules: who a signed-in client is, and which of their own columns they may write.

create function private.my_client_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(c.id), '{}') from public.clients as c where c.auth_user_id = (select auth.uid());
$$;
comment on function private.my_client_ids is 'The client rows of the signed-in person; empty, never null.';

create function private.my_client_org_ids()
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(distinct c.org_id), '{}') from public.clients as c where c.auth_user_id = (select auth.uid());
$$;
comment on function private.my_client_org_ids is 'The organisations the signed-in person is a client of; empty, never null.';

-- Coaches and clients are both `authenticated`: the column grant is the coach's, so a client's columns are said here.
create function private.tg_clients__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('clients.write'))
     and to_jsonb(new) - '{weight_kg,email}'::text[] is distinct from to_jsonb(old) - '{weight_kg,email}'::text[] then
    perform private.fail(403, 'column_protected', 'This part of a client''s record is kept by the coach.',
                         'Ask your coach to change it.');
  end if;
  return new;
end;
$$;
create trigger clients__guard_audience before update on public.clients
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_clients__guard_audience();

create trigger zz_refuse_clearly before insert or update on public.clients
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- ── 30_sessions/rules.sql ──

-- Session rules for direct writes by apps: a sale is checked against its offer, an editor's absolute counter becomes a
-- ledgered correction, a package with history is never deleted.
-- The rules that take and give back sessions are in rules/.

-- Writes one entry, then moves the counter by it; the caller holds the package's lock. Returns the new sessions_used.
create function private.enter_session(
  p_package public.client_purchases, p_kind text, p_used_delta integer, p_reason text, p_actor_id uuid, p_now timestamptz,
  p_booking_id uuid default null, p_charge_no integer default null, p_released_entry_id uuid default null,
  p_request_id uuid default null, p_answer integer default null, p_total_delta integer default 0)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_used integer;
begin
  insert into public.session_entries (
    org_id, purchase_id, kind, used_delta, total_delta, booking_id, charge_no, released_entry_id, request_id, answer, reason,
    actor_id, created_at)
  values (
    p_package.org_id, p_package.id, p_kind, p_used_delta, p_total_delta, p_booking_id, p_charge_no, p_released_entry_id,
    p_request_id, case when p_request_id is not null then p_answer end, p_reason, p_actor_id, p_now)
  on conflict (org_id, request_id) where request_id is not null do nothing;
  -- Under the package's lock only a request id can collide: with the same id on another package, a moment ago.
  if not found then
    perform private.refuse_request();
  end if;
  update public.client_purchases as p
     set sessions_used = p.sessions_used + p_used_delta,
         sessions_total = p.sessions_total + p_total_delta,
         entry_count = p.entry_count + 1
   where p.org_id = p_package.org_id and p.id = p_package.id
  returning p.sessions_used into v_used;
  return v_used;
end;
$$;
comment on function private.enter_session is 'Adds one ledger entry and moves the counter by it; returns the new sessions_used.';

create function private.refuse_request()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'request_reused', 'This request id was already used for something else.',
                      'Make a new request id for each click.');
$$;
comment on function private.refuse_request is 'Refuses a request id that is bound to other arguments: request_reused 409.';

-- Null when this request is new. A request id binds to its kind, package and booking.
create function private.first_answer(p_org_id uuid, p_request_id uuid, p_kind text, p_purchase_id uuid, p_booking_id uuid)
returns integer
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_entry public.session_entries;
begin
  if p_request_id is null then
    return null;
  end if;
  select e.* into v_entry from public.session_entries as e where e.org_id = p_org_id and e.request_id = p_request_id;
  if found and (v_entry.kind, v_entry.purchase_id, v_entry.booking_id) is distinct from (p_kind, p_purchase_id, p_booking_id) then
    perform private.refuse_request();
  end if;
  return v_entry.answer;
end;
$$;
comment on function private.first_answer is 'What this request was answered the first time; null when it is new. Fails: request_reused 409.';

create function private.lock_package(p_org_id uuid, p_purchase_id uuid)
returns public.client_purchases
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases;
begin
  -- The package row is the lock: two check-ins queue here instead of both seeing the last session.
  select p.* into v_package
    from public.client_purchases as p
   where p.org_id = p_org_id and p.id = p_purchase_id
     for no key update;
  if not found then
    perform private.refuse_purchase();
  end if;
  return v_package;
end;
$$;
comment on function private.lock_package is 'Locks and returns the package. Lock order everywhere: package, then booking.';

create function private.refuse_purchase()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'purchase_not_found', 'There is no such package.', 'Reload the client''s packages.');
$$;
comment on function private.refuse_purchase is 'Refuses an unknown package, or another tenant''s: purchase_not_found 404.';

-- For operators: whose package it is.
create function private.package_org(p_purchase_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select p.org_id into v_org_id from public.client_purchases as p where p.id = p_purchase_id;
  if not found then
    perform private.refuse_purchase();
  end if;
  return v_org_id;
end;
$$;
comment on function private.package_org is 'The organisation of a package. Fails: purchase_not_found 404.';

-- Whose package is it: 404 unless the person belongs there, 403 when their role does not suffice.
create function private.member_package_org(p_purchase_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select p.org_id into v_org_id from public.client_purchases as p where p.id = p_purchase_id;
  if v_org_id = any (private.orgs_with(p_permission)) then
    return v_org_id;
  end if;
  if v_org_id = any (private.orgs_with('packages.read')) then
    perform private.refuse_permission();
  end if;
  perform private.refuse_purchase();
end;
$$;
comment on function private.member_package_org is
  'The organisation of a package in which the signed-in person has the permission. Fails: purchase_not_found 404, permission_missing 403.';

-- What a promo code takes off a price, in the price's minor unit.
create function private.discount_cents(p_promo public.promo_codes, p_price_cents integer)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case p_promo.discount_type
           when 'percentage' then round(p_price_cents * p_promo.discount_value / 100)
           else least(p_price_cents, round(p_promo.discount_value * 100)) end::integer;
$$;
comment on function private.discount_cents is 'The discount of a promo code on a price, in minor units, never above the price.';

-- Counts one use of a promo code within its limit; the row is the lock, so the last use is given once.
create function private.redeem_promo_code(p_org_id uuid, p_promo_code_id uuid, p_now timestamptz)
returns public.promo_codes
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_today date := (p_now at time zone private.org_timezone(p_org_id))::date;
  v_promo public.promo_codes;
begin
  update public.promo_codes as c
     set times_used = c.times_used + 1
   where c.org_id = p_org_id and c.id = p_promo_code_id and c.is_active
     and v_today >= coalesce(c.valid_from, v_today) and v_today <= coalesce(c.valid_until, v_today)
     and c.times_used < coalesce(c.max_uses, c.times_used + 1)
  returning c.* into v_promo;
  if found then
    return v_promo;
  end if;
  perform from public.promo_codes as c where c.org_id = p_org_id and c.id = p_promo_code_id;
  if not found then
    perform private.fail(404, 'promo_code_not_found', 'There is no such promo code.', 'Reload the promo codes.');
  end if;
  perform private.fail(409, 'promo_code_unavailable', 'This promo code is inactive, out of its dates or used up.',
                       'Sell without it, or change the code.');
end;
$$;
comment on function private.redeem_promo_code is
  'Counts one use of a promo code, or refuses: promo_code_not_found 404, promo_code_unavailable 409.';

-- A manual sale says what its offer says. Sales made by rules (stripe, import) compute the same and carry their source.
create function private.tg_client_purchases__check_sale()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_offer public.offers;
  v_discount integer := 0;
  v_sessions integer;
  v_expires_at timestamptz;
begin
  -- Asked first: what follows would tell people outside the organisation its prices.
  if auth.role() = 'authenticated' and not new.org_id = any (private.orgs_with('packages.sell')) then
    perform private.refuse_permission();
  end if;
  select o.* into v_offer from public.offers as o where o.org_id = new.org_id and o.id = new.offer_id;
  if not found then
    perform private.fail(404, 'offer_not_found', 'There is no such offer.', 'Reload the price list.');
  end if;
  if new.payment_status = 'refunded' then
    perform private.fail(422, 'sale_status_invalid', 'A sale does not begin refunded.', 'Send pending, succeeded or failed.');
  end if;
  if new.currency <> v_offer.currency then
    perform private.fail(422, 'sale_currency_mismatch', 'The currency is not the offer''s.', 'Sell in the offer''s currency.');
  end if;
  if new.promo_code_id is not null then
    v_discount := private.discount_cents(private.redeem_promo_code(new.org_id, new.promo_code_id, now()), v_offer.price_cents);
  end if;
  if new.discount_cents <> v_discount or new.amount_paid_cents <> v_offer.price_cents - v_discount then
    perform private.fail(422, 'sale_price_mismatch', 'The amount is not the offer''s price less the promo code''s discount.',
                         'Reload the offer and the promo code, then sell again.');
  end if;

  -- An offer that includes no number holds one session, a subscription without one may hold none.
  v_sessions := coalesce(v_offer.sessions_included, 1) + coalesce(v_offer.bonus_sessions, 0);
  if v_offer.offer_type <> 'subscription' or v_offer.sessions_included is not null then
    new.sessions_total := coalesce(new.sessions_total, v_sessions);
  end if;
  if new.sessions_total <> v_sessions then
    perform private.fail(422, 'sale_sessions_mismatch', 'The number of sessions is not the offer''s.', 'Reload the offer, then sell again.');
  end if;
  if new.sessions_used < 0 or new.sessions_used > coalesce(new.sessions_total, 0) then
    perform private.refuse_sessions_range();
  end if;

  -- The app's clock and calendar may differ from ours by a day; an expiry that it leaves out is the offer's.
  v_expires_at := new.purchased_at + make_interval(days => v_offer.pack_validity_days);
  new.expires_at := coalesce(new.expires_at, v_expires_at);
  if new.expires_at is distinct from v_expires_at
     and coalesce(new.expires_at not between v_expires_at - interval '36 hours' and v_expires_at + interval '36 hours', true) then
    perform private.fail(422, 'sale_expiry_mismatch', 'The expiry is not the offer''s.', 'Sell it first, then extend the package.');
  end if;
  new.session_duration_mins := coalesce(new.session_duration_mins, v_offer.session_duration_mins);
  return new;
end;
$$;
comment on function private.tg_client_purchases__check_sale is 'Checks a manual sale against its offer and counts the promo code''s use.';
create trigger client_purchases__check_sale before insert on public.client_purchases
  for each row when (new.source = 'manual') execute function private.tg_client_purchases__check_sale();

create function private.refuse_sessions_range()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(422, 'sessions_out_of_range', 'Used sessions must stay between zero and the total.',
                      'Send a total and a number used that fit each other.');
$$;
comment on function private.refuse_sessions_range is 'Refuses a counter below zero or above the total: sessions_out_of_range 422.';

-- Sessions already used when a package is written into the books: the ledger opens with them.
create function private.tg_client_purchases__open_ledger()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.session_entries (org_id, purchase_id, kind, used_delta, reason, actor_id)
  values (new.org_id, new.id, 'opening', new.sessions_used, 'sold_with_used', auth.uid());
  return null;
end;
$$;
create trigger client_purchases__open_ledger after insert on public.client_purchases
  for each row when (new.sessions_used <> 0) execute function private.tg_client_purchases__open_ledger();

create function private.tg_client_purchases__count_opening()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.entry_count := case when new.sessions_used <> 0 then 1 else 0 end;
  return new;
end;
$$;
create trigger client_purchases__count_opening before insert on public.client_purchases
  for each row execute function private.tg_client_purchases__count_opening();

-- A value the counter held within the last hour: written by a page that was opened before a take or a correction.
create function private.held_recently(p_package public.client_purchases, p_column text, p_value integer, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select
      from (select case p_column
                     when 'sessions_used' then p_package.sessions_used
                       - sum(e.used_delta) over (order by e.entry_no desc)
                     else p_package.sessions_total
                       - sum(e.total_delta) over (order by e.entry_no desc) end as value
              from public.session_entries as e
             where e.org_id = p_package.org_id and e.purchase_id = p_package.id
               and e.kind <> 'opening' and e.created_at > p_now - interval '1 hour') as held
     where held.value = p_value);
$$;
comment on function private.held_recently is 'True when the counter held this value within the last hour.';

-- The package editor writes absolute counters. Rules raise entry_count with them, so what arrives here came from outside.
create function private.tg_client_purchases__correct()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' and not new.org_id = any (private.orgs_with('packages.correct')) then
    perform private.refuse_permission();
  end if;
  if private.held_recently(old, 'sessions_used', new.sessions_used, now()) then
    new.sessions_used := old.sessions_used;
  end if;
  if private.held_recently(old, 'sessions_total', new.sessions_total, now()) then
    new.sessions_total := old.sessions_total;
  end if;
  if (new.sessions_used, new.sessions_total) is not distinct from (old.sessions_used, old.sessions_total) then
    return new;
  end if;
  if new.sessions_used is null or new.sessions_used < 0 or new.sessions_used > coalesce(new.sessions_total, 0)
     or new.sessions_total > 20000 or (new.sessions_total is null) <> (old.sessions_total is null) then
    perform private.refuse_sessions_range();
  end if;
  insert into public.session_entries (org_id, purchase_id, kind, used_delta, total_delta, reason, actor_id)
  values (new.org_id, new.id, 'correction', new.sessions_used - old.sessions_used,
          coalesce(new.sessions_total - old.sessions_total, 0), 'editor', auth.uid());
  new.entry_count := old.entry_count + 1;
  return new;
end;
$$;
comment on function private.tg_client_purchases__correct is
  'Turns a direct write of sessions_used or sessions_total into a ledgered correction, or into nothing when the value is stale.';
create trigger client_purchases__correct before update of sessions_used, sessions_total on public.client_purchases
  for each row when (new.entry_count = old.entry_count
                     and (new.sessions_used is distinct from old.sessions_used
                          or new.sessions_total is distinct from old.sessions_total))
  execute function private.tg_client_purchases__correct();

create function private.tg_client_purchases__guard_delete()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.session_entries as e where e.org_id = old.org_id and e.purchase_id = old.id)
     or exists (select from public.bookings as b where b.org_id = old.org_id and b.client_id = old.client_id and b.purchase_id = old.id)
  then
    perform private.fail(409, 'purchase_in_use', 'A package with sessions taken or booked keeps its history.',
                         'Refund it, or let it expire.');
  end if;
  return old;
end;
$$;
comment on function private.tg_client_purchases__guard_delete is 'Refuses to delete a package with history: purchase_in_use 409.';
create trigger client_purchases__guard_delete before delete on public.client_purchases
  for each row execute function private.tg_client_purchases__guard_delete();

-- The RPC's rule binds the editor too: a role that may sell but not correct leaves the expiry alone.
create function private.tg_client_purchases__guard_expiry()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('packages.correct')) then
    perform private.refuse_permission();
  end if;
  return new;
end;
$$;
comment on function private.tg_client_purchases__guard_expiry is 'Lets members with packages.correct alone change an expiry: permission_missing 403.';
create trigger client_purchases__guard_expiry before update of expires_at on public.client_purchases
  for each row when (current_user in ('anon', 'authenticated') and new.expires_at is distinct from old.expires_at)
  execute function private.tg_client_purchases__guard_expiry();

create trigger client_purchases__audit after update of payment_status, payment_method, expires_at, frozen_periods on public.client_purchases
  for each row when ((old.payment_status, old.payment_method, old.expires_at, old.frozen_periods)
                     is distinct from (new.payment_status, new.payment_method, new.expires_at, new.frozen_periods))
  execute function private.tg__audit('sessions_used', 'sessions_remaining', 'sessions_total', 'entry_count', 'valid_during');
create trigger client_purchases__audit_delete after delete on public.client_purchases
  for each row execute function private.tg__audit();

-- The app adds to a stale copy of times_used after each sale; the sale itself has counted, as the owner.
create function private.tg_promo_codes__keep_count()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.times_used := case tg_op when 'INSERT' then 0 else old.times_used end;
  return new;
end;
$$;
comment on function private.tg_promo_codes__keep_count is 'Drops what an app writes into times_used: the sales count it.';
create trigger promo_codes__keep_count before insert or update of times_used on public.promo_codes
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg_promo_codes__keep_count();

create trigger offers__keep_org before update of org_id on public.offers
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();
create trigger promo_codes__keep_org before update of org_id on public.promo_codes
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();

create trigger offers__refuse_delete_in_use before delete on public.offers
  for each row execute function private.tg__refuse_delete_in_use('client_purchases', 'offer_id', 'offer_in_use');
create trigger offers__refuse_delete_booked before delete on public.offers
  for each row execute function private.tg__refuse_delete_in_use('bookings', 'offer_id', 'offer_in_use');
create trigger promo_codes__refuse_delete_in_use before delete on public.promo_codes
  for each row execute function private.tg__refuse_delete_in_use('client_purchases', 'promo_code_id', 'promo_code_in_use');

create trigger session_entries__append_only before update or delete on public.session_entries
  for each row execute function private.tg__append_only();
create trigger session_entries__no_truncate before truncate on public.session_entries
  for each statement execute function private.tg__append_only();

create trigger offers__touch before update on public.offers
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger promo_codes__touch before update on public.promo_codes
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- ── 40_scheduling/rules.sql ──

-- Scheduling rules, first cut: the organisation's settings with their defaults, how a booking moves from one status to the
-- next, and completing it exactly once.
-- A direct write locks the booking alone, so these triggers never touch a package: they mark the booking `due`, and
-- use_session, complete_booking or the sweep settle it in the lock order package, then booking.

create function private.org_timezone(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s.timezone from public.booking_settings as s where s.org_id = p_org_id), 'Australia/Brisbane');
$$;
comment on function private.org_timezone is 'The organisation''s timezone; the default where no settings row exists.';

create function private.click_window(p_org_id uuid)
returns interval
language sql stable security definer set search_path = ''
as $$
  select make_interval(secs => coalesce(
    (select s.session_click_window_secs from public.booking_settings as s where s.org_id = p_org_id), 5));
$$;
comment on function private.click_window is 'Within what time two clicks are one; 5 seconds where no settings row exists.';

-- POSIX strings such as FOO+5 are accepted by AT TIME ZONE and mean the opposite of what they say: only names count.
create function private.tg_booking_settings__check_timezone()
returns trigger
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not exists (select from pg_catalog.pg_timezone_names as z where z.name = new.timezone and z.name !~ '^(posix|right)/') then
    perform private.fail(422, 'timezone_unknown', 'There is no such timezone.', 'Send an IANA name such as Australia/Brisbane.');
  end if;
  return new;
end;
$$;
comment on function private.tg_booking_settings__check_timezone is 'Refuses a timezone that is not an IANA name: timezone_unknown 422.';
create trigger booking_settings__check_timezone before insert or update of timezone on public.booking_settings
  for each row execute function private.tg_booking_settings__check_timezone();

create trigger booking_settings__touch before update on public.booking_settings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger session_types__touch before update on public.session_types
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger bookings__touch before update on public.bookings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger session_types__refuse_delete_in_use before delete on public.session_types
  for each row execute function private.tg__refuse_delete_in_use('bookings', 'session_type_id', 'session_type_in_use');

create function private.refuse_booking()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'booking_not_found', 'There is no such booking.', 'Reload the calendar.');
$$;
comment on function private.refuse_booking is 'Refuses an unknown booking, or another tenant''s: booking_not_found 404.';

-- A member who books is the one who booked, whatever the app sends; a booking begins pending or confirmed.
create function private.tg_bookings__check_new()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.status not in ('pending', 'confirmed') then
    perform private.fail(422, 'booking_status_invalid', 'A booking begins pending or confirmed.', 'Send one of these as status.');
  end if;
  if auth.uid() is not null then
    new.booked_by := auth.uid();
  end if;
  if new.purchase_id is not null then
    -- The lock that the foreign key takes later: a delete of the package that is under way is waited for, and refused clearly.
    perform from public.client_purchases as p
      where p.org_id = new.org_id and p.client_id = new.client_id and p.id = new.purchase_id
        for key share;
    if not found then
      perform private.refuse_purchase();
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__check_new is 'Checks a new booking''s status and package, and says who booked.';
create trigger bookings__check_new before insert on public.bookings
  for each row execute function private.tg_bookings__check_new();

-- Coaches and clients are both `authenticated`: a client may only cancel, in time, what is theirs.
create function private.tg_bookings__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('bookings.write'))
     and (new.status <> 'cancelled'
          or to_jsonb(new) - '{status,cancelled_at}'::text[] is distinct from to_jsonb(old) - '{status,cancelled_at}'::text[]) then
    perform private.fail(403, 'column_protected', 'This part of a booking is kept by the coach.', 'Ask your coach to change it.');
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__guard_audience is 'Lets a client cancel and nothing else: column_protected 403.';
-- Named to run before the other triggers, which set columns that a client may not.
create trigger aa_guard_audience before update on public.bookings
  for each row when (current_user in ('anon', 'authenticated')) execute function private.tg_bookings__guard_audience();

-- The calendar may give a booking to another client: the first client's package then pays nothing for it.
create function private.tg_bookings__keep_package()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.settlement in ('charged', 'due') then
    perform private.refuse_charged();
  end if;
  if new.client_id <> old.client_id and new.purchase_id is not distinct from old.purchase_id then
    new.purchase_id := null;
    new.settlement := case when new.status = 'completed' then 'none' end;
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__keep_package is 'Keeps a settled booking with its package, and detaches the package when the client changes.';
create trigger bookings__keep_package before update of client_id, purchase_id on public.bookings
  for each row when ((old.client_id, old.purchase_id) is distinct from (new.client_id, new.purchase_id) and old.purchase_id is not null)
  execute function private.tg_bookings__keep_package();

create function private.refuse_charged()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_charged', 'A session has been taken, or is being taken, for this booking.',
                      'Give the session back first, or take the completion back with undo_completion.');
$$;
comment on function private.refuse_charged is 'Refuses to move a booking whose session is taken: booking_charged 409.';

create function private.is_late_cancellation(p_booking public.bookings)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_booking.cancelled_at > p_booking.start_time - make_interval(hours => coalesce(
    (select s.cancel_notice_hours from public.booking_settings as s where s.org_id = p_booking.org_id), 24));
$$;
comment on function private.is_late_cancellation is 'True when the booking was cancelled inside the organisation''s notice.';

-- What a cancellation means for the session. A coach's own cancellation is free; anybody else's inside the notice is
-- refused, free or charged as the organisation has it.
create function private.cancellation_settlement(p_booking public.bookings)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
begin
  if p_booking.org_id = any (private.orgs_with('bookings.write')) then
    return null;
  end if;
  select s.* into v_settings from public.booking_settings as s where s.org_id = p_booking.org_id;
  if coalesce(v_settings.allow_client_cancel, true) is false or p_booking.start_time <= now() then
    perform private.fail(403, 'cancellation_not_allowed', 'This booking cannot be cancelled here.', 'Ask your coach to cancel it.');
  elsif not private.is_late_cancellation(p_booking) then
    return null;
  elsif coalesce(v_settings.late_cancellation_policy, 'refuse') = 'refuse' then
    perform private.fail(403, 'cancellation_too_late', 'It is too late to cancel this booking here.', 'Ask your coach to cancel it.');
  end if;
  return case when v_settings.late_cancellation_policy = 'charge' and p_booking.purchase_id is not null then 'due' end;
end;
$$;
comment on function private.cancellation_settlement is
  'due when a cancellation takes a session, else null. Fails: cancellation_not_allowed 403, cancellation_too_late 403.';

-- The transitions. A rule that settles in the same statement has decided already (see the trigger's WHEN).
create function private.tg_bookings__guard_transition()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.status = 'completed' then
    -- Also when it is completed already: the second tab must not go on to take another session.
    if old.status <> 'confirmed' then
      perform private.refuse_transition();
    end if;
    new.completed_at := now();
    new.completion_undone_at := null;
    new.settlement := coalesce(old.settlement, case when new.purchase_id is null then 'none' else 'due' end);
  elsif new.status = old.status then
    return new;
  elsif old.status in ('completed', 'no_show', 'cancelled') and new.status in ('pending', 'confirmed') then
    if old.settlement = 'charged' then
      perform private.refuse_charged();
    end if;
    new.completion_undone_at := case when old.status in ('completed', 'no_show') then now() end;
    new.completed_at := null;
    new.cancelled_at := null;
    new.cancelled_by := null;
    new.settlement := null;
    new.follow_up_by := null;
    new.follow_up_until := null;
  elsif old.status in ('pending', 'confirmed') and new.status = 'cancelled' then
    if old.settlement = 'charged' then
      perform private.refuse_charged();
    end if;
    new.cancelled_at := now();
    new.cancelled_by := auth.uid();
    new.settlement := private.cancellation_settlement(new);
    -- What was never confirmed takes no session.
    if old.status = 'pending' or new.settlement is null then
      new.settlement := old.settlement;
    end if;
  elsif old.status = 'confirmed' and new.status = 'no_show' then
    new.settlement := coalesce(old.settlement, (
      select 'due' from public.booking_settings as s
       where s.org_id = new.org_id and s.no_show_policy = 'charge' and new.purchase_id is not null));
  elsif not (old.status in ('pending', 'confirmed') and new.status in ('pending', 'confirmed')) then
    perform private.refuse_transition();
  end if;
  new.due_since := case when new.settlement = 'due' then clock_timestamp() end;
  return new;
end;
$$;
comment on function private.tg_bookings__guard_transition is
  'Lets a booking move only as it may, and marks it due when it owes a session. Fails: booking_not_confirmed 409, booking_charged 409, cancellation_not_allowed 403, cancellation_too_late 403.';
create trigger bookings__guard_transition before update of status on public.bookings
  for each row when (new.settlement is not distinct from old.settlement) execute function private.tg_bookings__guard_transition();

-- The existing calendar completes by a bare update and then calls use_session without naming the booking. Whoever settles the
-- booking in between (complete_booking, a check-in by name) must not turn that call into a second session.
create function private.tg_bookings__expect_follow_up()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.follow_up_by := auth.uid();
  new.follow_up_until := clock_timestamp() + interval '2 minutes';
  return new;
end;
$$;
comment on function private.tg_bookings__expect_follow_up is 'Remembers who completed a booking directly: their use_session call for it is still to come.';
create trigger bookings__expect_follow_up before update of status on public.bookings
  for each row when (new.status = 'completed' and new.purchase_id is not null and current_user = 'authenticated')
  execute function private.tg_bookings__expect_follow_up();

-- A session that was taken or waived before the end (a check-in): the calendar would complete the booking and then ask for
-- a session that it does not name, a second one. Refused, it does not ask; the sweep completes the booking. Nor may its poll
-- complete again within seconds what a person has just taken back.
create function private.tg_bookings__guard_settled()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if old.settlement is not null then
    perform private.fail(409, 'booking_settled', 'The session of this booking has been taken or waived already.',
                         'Complete it with complete_booking, which takes nothing more.');
  end if;
  perform private.fail(409, 'completion_undone', 'The completion of this booking was taken back.',
                       'Complete it with complete_booking if it took place after all.');
  return new;
end;
$$;
comment on function private.tg_bookings__guard_settled is
  'Refuses a direct completion of a booking whose session is settled, or whose completion was taken back: booking_settled 409, completion_undone 409.';
create trigger bookings__guard_settled before update of status on public.bookings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')
                     and old.status = 'confirmed' and new.status = 'completed'
                     and (old.settlement is not null or old.completion_undone_at is not null))
  execute function private.tg_bookings__guard_settled();

-- What the coach was told ends with its cause: charged later, waived, or taken back.
create function private.tg_bookings__resolve_alert()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.alerts as a
     set resolved_at = clock_timestamp()
   where a.org_id = new.org_id and a.booking_id = new.id and a.kind = 'booking_uncovered' and a.resolved_at is null;
  return null;
end;
$$;
comment on function private.tg_bookings__resolve_alert is 'Resolves the alert about a booking that is uncovered no longer.';
create trigger bookings__resolve_alert after update on public.bookings
  for each row when (old.settlement = 'uncovered' and new.settlement is distinct from 'uncovered')
  execute function private.tg_bookings__resolve_alert();

create function private.refuse_transition()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_not_confirmed', 'Only a confirmed booking can take this step.', 'Reload the calendar.');
$$;
comment on function private.refuse_transition is 'Refuses a status that does not follow from the present one: booking_not_confirmed 409.';

-- The booking's package is read without a lock, the package locked, then the booking: and looked at again.
create function private.lock_booking(p_org_id uuid, p_booking_id uuid, out package public.client_purchases, out booking public.bookings)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  for v_attempt in 1 .. 3 loop
    select b.* into booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id;
    if not found then
      perform private.refuse_booking();
    end if;
    package := case when booking.purchase_id is not null then private.lock_package(p_org_id, booking.purchase_id) end;
    select b.* into booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id for no key update;
    if booking.purchase_id is not distinct from package.id then
      return;
    end if;
  end loop;
  perform private.fail(409, 'booking_moving', 'This booking is being changed by somebody else.', 'Reload the calendar and try again.');
end;
$$;
comment on function private.lock_booking is 'Locks a booking''s package, then the booking. Fails: booking_not_found 404, booking_moving 409.';

-- Completes and settles in one; the same again answers the same. The caller has authorised.
create function private.complete_booking(p_org_id uuid, p_booking_id uuid, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
begin
  if v_booking.status <> 'completed' then
    update public.bookings as b set status = 'completed'
     where b.org_id = p_org_id and b.id = p_booking_id
    returning b.* into v_booking;
  end if;
  if v_booking.settlement = 'due' then
    return private.settle_booking(v_locked.package, v_booking, 'completion', null, p_actor_id, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.complete_booking is
  'Completes a booking and settles it: charged, waived, uncovered or none. Fails: booking_not_found 404, booking_not_confirmed 409.';

-- Takes a completion or a no-show back: the session returns, nothing is waived, and the sweep leaves the booking alone.
create function private.undo_completion(p_org_id uuid, p_booking_id uuid, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
  v_package public.client_purchases := v_locked.package;
  v_entry_id uuid;
begin
  if v_booking.status not in ('completed', 'no_show') then
    if v_booking.completion_undone_at is null then
      perform private.fail(409, 'booking_not_completed', 'This booking is not completed.', 'Reload the calendar.');
    end if;
    return v_package.sessions_used;
  end if;
  if v_booking.settlement = 'charged' then
    select e.id into v_entry_id
      from public.session_entries as e
     where e.org_id = p_org_id and e.booking_id = p_booking_id and e.charge_no is not null
       and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id);
    -- A correction to zero has given it back already: then the entry is only marked as released.
    v_package.sessions_used := private.enter_session(v_package, 'release', -least(v_package.sessions_used, 1), 'completion_undone',
                                                     p_actor_id, p_now, p_released_entry_id => v_entry_id);
  end if;
  update public.bookings as b
     set status = 'confirmed', settlement = null, due_since = null, completed_at = null, completion_undone_at = p_now,
         follow_up_by = null, follow_up_until = null
   where b.org_id = p_org_id and b.id = p_booking_id;
  return v_package.sessions_used;
end;
$$;
comment on function private.undo_completion is
  'Takes a completion or no-show back and returns the package''s sessions_used (null without a package). Fails: booking_not_found 404, booking_not_completed 409.';

-- For operators: whose booking it is.
create function private.booking_org(p_booking_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select b.org_id into v_org_id from public.bookings as b where b.id = p_booking_id;
  if not found then
    perform private.refuse_booking();
  end if;
  return v_org_id;
end;
$$;
comment on function private.booking_org is 'The organisation of a booking. Fails: booking_not_found 404.';

-- Whose booking is it: 404 unless the person belongs there, 403 when their role does not suffice.
create function private.member_booking_org(p_booking_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select b.org_id into v_org_id from public.bookings as b where b.id = p_booking_id;
  if v_org_id = any (private.orgs_with(p_permission)) then
    return v_org_id;
  end if;
  if v_org_id = any (private.orgs_with('bookings.read')) then
    perform private.refuse_permission();
  end if;
  perform private.refuse_booking();
end;
$$;
comment on function private.member_booking_org is
  'The organisation of a booking in which the signed-in person has the permission. Fails: booking_not_found 404, permission_missing 403.';

create function private.member_complete_booking(p_booking_id uuid)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.complete_booking(private.member_booking_org(p_booking_id, 'bookings.write'), p_booking_id, (select auth.uid()));
$$;
comment on function private.member_complete_booking is 'complete_booking for a member with bookings.write.';

create function private.member_undo_completion(p_booking_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.undo_completion(private.member_booking_org(p_booking_id, 'sessions.release'), p_booking_id, (select auth.uid()));
$$;
comment on function private.member_undo_completion is 'undo_completion for a member with sessions.release.';

-- ── 30_sessions/rules/packages.sql ──

-- What else happens to a package: sold, frozen, unfrozen, extended, corrected on purpose.
-- Each takes the package's lock and is safe to repeat.

-- Sells one offer to one client at the offer's own price, sessions and expiry.
create function private.sell_package(
  p_org_id uuid, p_client_id uuid, p_offer_id uuid, p_payment_method text, p_payment_status text, p_promo_code_id uuid,
  p_request_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_offer public.offers;
  v_promo public.promo_codes;
  v_discount integer := 0;
  v_sale public.client_purchases;
begin
  select p.* into v_sale from public.client_purchases as p where p.org_id = p_org_id and p.request_id = p_request_id;
  if not found then
    perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
    if not found then
      perform private.refuse_client();
    end if;
    select o.* into v_offer from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id;
    select c.* into v_promo from public.promo_codes as c where c.org_id = p_org_id and c.id = p_promo_code_id;
    if found then
      v_discount := private.discount_cents(v_promo, v_offer.price_cents);
    end if;
    perform private.require_value(coalesce(p_payment_method, 'cash') in ('cash', 'card', 'bank_transfer', 'stripe'), 'payment_method');
    perform private.require_value(p_payment_status in ('pending', 'succeeded', 'failed'), 'payment_status');
    insert into public.client_purchases (
      org_id, client_id, offer_id, amount_paid_cents, currency, payment_status, payment_method, promo_code_id, discount_cents,
      purchased_at, request_id)
    values (
      p_org_id, p_client_id, p_offer_id, coalesce(v_offer.price_cents - v_discount, 0), coalesce(v_offer.currency, 'aud'),
      p_payment_status, p_payment_method, p_promo_code_id, v_discount, p_now, p_request_id)
    on conflict (org_id, request_id) where request_id is not null do nothing
    returning * into v_sale;
    -- Two calls with one id at once: the other one sold it, and this one undoes what it counted.
    if not found then
      perform private.fail(409, 'request_in_progress', 'The same request is being answered.', 'Ask again with the same request id.');
    end if;
  end if;
  if (v_sale.client_id, v_sale.offer_id) <> (p_client_id, p_offer_id) then
    perform private.refuse_request();
  end if;
  return v_sale.id;
end;
$$;
comment on function private.sell_package is
  'Sells an offer to a client and returns the package''s id. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409.';

create function private.refuse_client()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
$$;
comment on function private.refuse_client is 'Refuses an unknown client, or another tenant''s: client_not_found 404.';

-- For parameters of functions, what a check constraint is for columns.
create function private.require_value(p_is_allowed boolean, p_name text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_is_allowed is not true then
    perform private.fail(422, 'value_not_allowed', 'A value is not one that is allowed here.', format('Check %s.', p_name));
  end if;
end;
$$;
comment on function private.require_value is 'Refuses a parameter outside its range: value_not_allowed 422.';

-- Frozen from now on; a package that is frozen already stays so.
create function private.freeze_package(p_org_id uuid, p_purchase_id uuid, p_now timestamptz default clock_timestamp())
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if not upper_inf(v_package.frozen_periods) or isempty(v_package.frozen_periods) then
    perform private.require_live(v_package, p_now);
    update public.client_purchases as p
       set frozen_periods = p.frozen_periods + tstzmultirange(tstzrange(p_now, null))
     where p.org_id = p_org_id and p.id = p_purchase_id
    returning p.* into v_package;
  end if;
  return (select lower(r) from unnest(v_package.frozen_periods) as r where upper_inf(r));
end;
$$;
comment on function private.freeze_package is 'Freezes a package and returns since when it is frozen. Fails: package_ended 409.';

-- The expiry moves by as long as the package was frozen.
create function private.unfreeze_package(p_org_id uuid, p_purchase_id uuid, p_now timestamptz default clock_timestamp())
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if upper_inf(v_package.frozen_periods) then
    update public.client_purchases as p
       set frozen_periods = p.frozen_periods - tstzmultirange(tstzrange(p_now, null)),
           expires_at = p.expires_at + (p_now - (select lower(r) from unnest(p.frozen_periods) as r where upper_inf(r)))
     where p.org_id = p_org_id and p.id = p_purchase_id
    returning p.* into v_package;
  end if;
  return v_package.expires_at;
end;
$$;
comment on function private.unfreeze_package is 'Ends a freeze, moves the expiry by its length and returns the expiry (null: never).';

create function private.extend_package(p_org_id uuid, p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
begin
  if v_package.expires_at is null or p_expires_at is null or p_expires_at < v_package.expires_at
     or p_expires_at > now() + interval '20 years' then
    perform private.fail(422, 'expiry_not_later', 'The new expiry must be later than the present one.', 'Choose a later date.');
  end if;
  update public.client_purchases as p set expires_at = p_expires_at where p.org_id = p_org_id and p.id = p_purchase_id;
  return p_expires_at;
end;
$$;
comment on function private.extend_package is 'Sets a later expiry and returns it; the same again changes nothing. Fails: expiry_not_later 422.';

create function private.require_live(p_package public.client_purchases, p_now timestamptz)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_package.payment_status in ('failed', 'refunded') or p_package.expires_at <= p_now then
    perform private.fail(409, 'package_ended', 'This package has expired, failed or was refunded.', 'Extend it, or sell a new one.');
  end if;
end;
$$;
comment on function private.require_live is 'Refuses a package that has expired, failed or was refunded: package_ended 409.';

-- Sets the counters on purpose: unlike the editor's write it is never taken for a stale page.
create function private.correct_package(
  p_org_id uuid, p_purchase_id uuid, p_sessions_used integer, p_sessions_total integer, p_request_id uuid, p_actor_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_used integer := coalesce(p_sessions_used, v_package.sessions_used);
  v_total integer := coalesce(p_sessions_total, v_package.sessions_total);
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'correction', p_purchase_id, null);
begin
  if v_answer is not null then
    if p_sessions_used <> v_answer then
      perform private.refuse_request();
    end if;
    return v_answer;
  elsif v_used < 0 or v_used > coalesce(v_total, 0) or v_total > 20000 or v_package.sessions_total is null then
    perform private.refuse_sessions_range();
  elsif p_request_id is null and (v_used, v_total) = (v_package.sessions_used, v_package.sessions_total) then
    return v_used;
  end if;
  return private.enter_session(v_package, 'correction', v_used - v_package.sessions_used, 'correction', p_actor_id, clock_timestamp(),
                               p_request_id => p_request_id, p_answer => v_used, p_total_delta => v_total - v_package.sessions_total);
end;
$$;
comment on function private.correct_package is
  'Sets used and total sessions by a ledgered correction and returns sessions_used; null leaves a value as it is. Fails: sessions_out_of_range 422, request_reused 409.';

-- Who may: members, each with the permission that the act needs.
create function private.member_sell_package(
  p_client_id uuid, p_offer_id uuid, p_payment_method text, p_payment_status text, p_promo_code_id uuid, p_request_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id from public.clients as c
   where c.id = p_client_id and c.org_id = any (private.orgs_with('clients.read'));
  if not found then
    perform private.refuse_client();
  end if;
  perform private.require_org(v_org_id, 'packages.sell');
  return private.sell_package(v_org_id, p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
end;
$$;
comment on function private.member_sell_package is 'sell_package for a member with packages.sell.';

create function private.member_freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.freeze_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id);
$$;
comment on function private.member_freeze_package is 'freeze_package for a member with packages.correct.';

create function private.member_unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.unfreeze_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id);
$$;
comment on function private.member_unfreeze_package is 'unfreeze_package for a member with packages.correct.';

create function private.member_extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.extend_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id, p_expires_at);
$$;
comment on function private.member_extend_package is 'extend_package for a member with packages.correct.';

create function private.member_correct_package(p_purchase_id uuid, p_sessions_used integer, p_sessions_total integer, p_request_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.correct_package(private.member_package_org(p_purchase_id, 'packages.correct'), p_purchase_id, p_sessions_used,
                                 p_sessions_total, p_request_id, (select auth.uid()));
$$;
comment on function private.member_correct_package is 'correct_package for a member with packages.correct.';

-- ── 30_sessions/rules/release_session.sql ──

-- Giving a session back: the very entry that was taken, once. Releasing a booking's entry waives the booking.
-- Lock order: package, then booking.

-- Returns the new sessions_used, or -1 when there is nothing to give back; the caller has authorised.
create function private.give_session_back(
  p_org_id uuid, p_purchase_id uuid, p_booking_id uuid, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz default clock_timestamp())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_entry public.session_entries;
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'release', p_purchase_id, p_booking_id);
begin
  if v_answer is not null then
    return v_answer;
  end if;
  if p_booking_id is not null then
    perform private.require_booking_in_package(v_package, p_booking_id);
  elsif p_request_id is null and private.is_same_release(v_package, p_actor_id, p_now) then
    return v_package.sessions_used;
  end if;

  select e.* into v_entry
    from public.session_entries as e
   where e.org_id = p_org_id and e.purchase_id = p_purchase_id and e.kind = 'use' and e.used_delta = 1
     and (p_booking_id is null or e.booking_id = p_booking_id)
     and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id)
   order by e.entry_no desc
   limit 1;
  -- A package that came with used sessions, or was corrected upwards, has them to give back without an entry of their own.
  if v_package.sessions_used = 0 or (v_entry.id is null and p_booking_id is not null) then
    if p_request_id is not null then
      perform private.enter_session(v_package, 'release', 0, 'nothing_to_release', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_request_id => p_request_id, p_answer => -1);
    end if;
    return -1;
  end if;
  v_answer := private.enter_session(v_package, 'release', -1, 'released', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_released_entry_id => v_entry.id,
                                    p_request_id => p_request_id, p_answer => v_package.sessions_used - 1);
  update public.bookings as b
     set settlement = 'waived', due_since = null
   where b.org_id = p_org_id and b.id = v_entry.booking_id;
  return v_answer;
end;
$$;
comment on function private.give_session_back is 'Gives one session back under the package''s lock: the new sessions_used, or -1. The caller has authorised.';

-- A double click: the last thing this person did to this package was a release, within the window.
create function private.is_same_release(p_package public.client_purchases, p_actor_id uuid, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce((
    select e.kind = 'release'
      from public.session_entries as e
     where private.click_window(p_package.org_id) > '0'
       and e.org_id = p_package.org_id and e.purchase_id = p_package.id and e.actor_id = p_actor_id
       and e.created_at > p_now - private.click_window(p_package.org_id)
       and (e.used_delta <> 0 or e.total_delta <> 0)
     order by e.entry_no desc
     limit 1), false);
$$;
comment on function private.is_same_release is 'True when this person''s last movement of this package is a release within the click window.';

create function private.require_booking_in_package(p_package public.client_purchases, p_booking_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_purchase_id uuid;
begin
  select b.purchase_id into v_purchase_id
    from public.bookings as b
   where b.org_id = p_package.org_id and b.id = p_booking_id
     for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_purchase_id is distinct from p_package.id then
    perform private.fail(422, 'booking_not_in_package', 'This booking is not paid from this package.',
                         'Name the booking''s own package.');
  end if;
end;
$$;
comment on function private.require_booking_in_package is
  'Locks a booking of a locked package. Fails: booking_not_found 404, booking_not_in_package 422.';

-- Who may: a member with sessions.release in the package's organisation.
create function private.member_give_session_back(p_purchase_id uuid, p_booking_id uuid, p_request_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.give_session_back(private.member_package_org(p_purchase_id, 'sessions.release'), p_purchase_id, p_booking_id,
                                   p_request_id, auth.uid());
end;
$$;
comment on function private.member_give_session_back is 'give_session_back for a member with sessions.release.';

-- ── 30_sessions/rules/take_session.sql ──

-- Taking a session: every door ends in private.take_session, and every charge of a booking in private.settle_booking.
-- Lock order: package, then booking.

-- Charges a locked booking to its locked package, or finds that nothing covers it. Validity is judged at the session's
-- start. A booking that is over and uncovered is told to the coach and never revisited.
create function private.settle_booking(
  p_package public.client_purchases, p_booking public.bookings, p_reason text, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settlement text;
  v_charge_no integer;
begin
  if p_package.valid_during @> p_booking.start_time and p_package.sessions_used < p_package.sessions_total then
    -- One charge per release: a second one would meet the unique index.
    select count(*) + 1 into v_charge_no
      from public.session_entries as u
      join public.session_entries as r on r.org_id = u.org_id and r.released_entry_id = u.id
     where u.org_id = p_booking.org_id and u.booking_id = p_booking.id;
    perform private.enter_session(p_package, 'use', 1, p_reason, p_actor_id, p_now,
                                  p_booking_id => p_booking.id, p_charge_no => v_charge_no,
                                  p_request_id => p_request_id, p_answer => 1);
    v_settlement := 'charged';
  else
    if p_request_id is not null then
      perform private.enter_session(p_package, 'use', 0, 'uncovered', p_actor_id, p_now,
                                    p_booking_id => p_booking.id, p_request_id => p_request_id, p_answer => 0);
    end if;
    if p_booking.settlement is null or p_booking.settlement = 'waived' then
      return p_booking.settlement;
    end if;
    perform private.raise_alert(p_booking.org_id, 'booking_uncovered', p_booking.client_id, p_package.id, p_booking.id);
    v_settlement := 'uncovered';
  end if;
  update public.bookings as b
     set settlement = v_settlement, due_since = null
   where b.org_id = p_booking.org_id and b.id = p_booking.id;
  return v_settlement;
end;
$$;
comment on function private.settle_booking is
  'Charges one booking to its package: charged, or uncovered when it is over and nothing covers it; the caller holds both locks.';

-- The booking's own session, once; again only when it is named after a release.
create function private.charge_booking(
  p_package public.client_purchases, p_booking_id uuid, p_request_id uuid, p_actor_id uuid, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_booking public.bookings;
begin
  select b.* into v_booking
    from public.bookings as b
   where b.org_id = p_package.org_id and b.id = p_booking_id
     for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_booking.purchase_id is distinct from p_package.id then
    perform private.fail(422, 'booking_not_in_package', 'This booking is not paid from this package.',
                         'Name the booking''s own package.');
  elsif v_booking.settlement = 'charged' then
    if p_request_id is not null then
      perform private.enter_session(p_package, 'use', 0, 'already_charged', p_actor_id, p_now,
                                    p_booking_id => p_booking_id, p_request_id => p_request_id, p_answer => 1);
    end if;
    return true;
  elsif v_booking.status = 'pending' or v_booking.status = 'cancelled' and not private.is_late_cancellation(v_booking) then
    perform private.fail(409, 'booking_not_chargeable', 'A booking that is pending, or was cancelled in time, takes no session.',
                         'Confirm it first, or use a session without naming it.');
  end if;
  return private.settle_booking(
    p_package, v_booking, case when v_booking.status = 'confirmed' then 'check_in' else private.settle_reason(v_booking.status) end,
    p_request_id, p_actor_id, p_now) is not distinct from 'charged';
end;
$$;
comment on function private.charge_booking is
  'Charges a named booking of a locked package; true when it is charged. Fails: booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409.';

create function private.settle_reason(p_status text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case p_status when 'no_show' then 'no_show' when 'cancelled' then 'late_cancellation' else 'completion' end;
$$;
comment on function private.settle_reason is 'The ledger''s reason for charging a booking that ended with this status.';

-- Takes one session; the caller has authorised. See use_session for what each combination of arguments means.
create function private.take_session(
  p_org_id uuid, p_purchase_id uuid, p_booking_id uuid, p_request_id uuid, p_actor_id uuid,
  p_now timestamptz default clock_timestamp())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_package public.client_purchases := private.lock_package(p_org_id, p_purchase_id);
  v_booking public.bookings;
  v_answer integer := private.first_answer(p_org_id, p_request_id, 'use', p_purchase_id, p_booking_id);
  v_refusal text;
begin
  if v_answer is not null then
    return v_answer = 1;
  elsif p_booking_id is not null then
    return private.charge_booking(v_package, p_booking_id, p_request_id, p_actor_id, p_now);
  elsif p_request_id is null then
    -- The existing app completes a booking and then asks without naming it: the oldest one that is due is meant. What a
    -- no-show or a late cancellation owes is not: the sweep takes that.
    for v_booking in
      select b.*
        from public.bookings as b
       where b.org_id = p_org_id and b.purchase_id = p_purchase_id and b.status = 'completed' and b.settlement = 'due'
       order by b.start_time, b.id
         for no key update
    loop
      perform private.meet_follow_up(v_package, v_booking.id, p_actor_id, p_now);
      return private.settle_booking(v_package, v_booking, private.settle_reason(v_booking.status), null, p_actor_id, p_now) = 'charged';
    end loop;
    v_booking := private.meet_follow_up(v_package, null, p_actor_id, p_now);
    if v_booking.id is not null then
      return v_booking.settlement is not distinct from 'charged';
    elsif private.is_same_click(v_package, p_actor_id, p_now) then
      return true;
    end if;
  end if;

  v_refusal := case
    when not v_package.valid_during @> p_now then 'package_invalid'
    when v_package.sessions_used >= v_package.sessions_total then 'package_exhausted' end;
  if v_refusal is null then
    perform private.enter_session(v_package, 'use', 1, 'click', p_actor_id, p_now, p_request_id => p_request_id, p_answer => 1);
  elsif p_request_id is not null then
    perform private.enter_session(v_package, 'use', 0, v_refusal, p_actor_id, p_now, p_request_id => p_request_id, p_answer => 0);
  end if;
  return v_refusal is null;
end;
$$;
comment on function private.take_session is 'Takes one session from a package under its lock; true when taken (or had been). The caller has authorised.';

-- The call that a direct completion announced: the person's own first, else the one for the booking they are settling. Null
-- when none was waited for. With several bookings and people it does not matter whose call settles which, only how many come.
create function private.meet_follow_up(p_package public.client_purchases, p_booking_id uuid, p_actor_id uuid, p_now timestamptz)
returns public.bookings
language sql volatile security definer set search_path = ''
as $$
  update public.bookings as b
     set follow_up_by = null, follow_up_until = null
    from (select w.id
            from public.bookings as w
           where w.org_id = p_package.org_id and w.purchase_id = p_package.id and w.follow_up_by is not null
             and (w.id = p_booking_id or w.follow_up_by = p_actor_id and w.follow_up_until > p_now)
           order by w.follow_up_by is not distinct from p_actor_id desc, w.start_time, w.id
           limit 1) as met
   where b.org_id = p_package.org_id and b.id = met.id
  returning b.*;
$$;
comment on function private.meet_follow_up is
  'Ends the wait for one unnamed use_session call on a locked package and returns the booking it was for, null when none was waited for.';

-- A double click: the same person took a session, not given back since, within the organisation's window. Clicks are
-- compared by when they arrived, not by when they got the lock.
create function private.is_same_click(p_package public.client_purchases, p_actor_id uuid, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_actor_id is not null and private.click_window(p_package.org_id) > '0' and exists (
    select
      from public.session_entries as e
     where e.org_id = p_package.org_id and e.purchase_id = p_package.id
       and e.created_at > p_now - private.click_window(p_package.org_id)
       and e.kind = 'use' and e.used_delta = 1 and e.actor_id = p_actor_id
       and not exists (select from public.session_entries as r where r.org_id = e.org_id and r.released_entry_id = e.id));
$$;
comment on function private.is_same_click is 'True when this person took a session from this package within the click window, not given back since.';

-- Who may: a member with sessions.use in the package's organisation.
create function private.member_take_session(p_purchase_id uuid, p_booking_id uuid, p_request_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.take_session(private.member_package_org(p_purchase_id, 'sessions.use'), p_purchase_id, p_booking_id, p_request_id,
                              auth.uid());
end;
$$;
comment on function private.member_take_session is 'take_session for a member with sessions.use.';

-- ── 40_scheduling/rules/sweep_overdue_bookings.sql ──

-- The sweep of overdue bookings: completes what is over and settles what stayed due, one batch a call.
-- Safe beside calendars, clicks and other sweeps: packages are locked first, in id order, then bookings; whatever somebody
-- else holds is skipped and left for the next call; entries are inserted first and counters follow what came back.
-- Every join starts from the batch and looks up by index, so that a call costs what is due, not what exists. Sequential
-- scans are off, since an estimate that is stale (a ledger that grew in the same run) must not choose one; and no two
-- CTEs are joined, since nobody knows their sizes when the plan is made.

create function private.sweep_overdue_bookings(
  p_limit integer, p_now timestamptz, p_dry_run boolean,
  out completed integer, out charged integer, out uncovered integer, out skipped integer)
language plpgsql volatile security definer set search_path = '' set enable_seqscan = off
as $$
declare
  v_candidates uuid[];
  v_packages uuid[];
begin
  -- Plain reads: what may be due, oldest first, each half by its own partial index; and with a booking the others of its
  -- package that are over, so that a package is locked and written once and not once a batch. A booking without a package,
  -- or one that is settled or due already, comes alone. num_nulls() says `is null` and keeps the planner from reading the
  -- work list once for each package.
  with oldest as (
    select w.*
      from ((select b.org_id, b.purchase_id, case when b.purchase_id is null or b.settlement is not null then b.id end as alone_id,
                    b.end_time as due_at
               from public.bookings as b
              where b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
              order by b.end_time limit p_limit)
            union all
            (select b.org_id, b.purchase_id, b.id, b.due_since
               from public.bookings as b
              where b.settlement = 'due' and b.due_since < p_now - interval '2 minutes'
              order by b.due_since limit p_limit)) as w
     order by w.due_at
     limit p_limit),
  turns as (
    select o.org_id, o.purchase_id, o.alone_id
      from oldest as o
     group by o.org_id, o.purchase_id, o.alone_id
     order by min(o.due_at))
  select coalesce(array_agg(c.id), '{}'), coalesce(array_agg(distinct c.purchase_id), '{}') into v_candidates, v_packages
    from (select d.id, t.purchase_id
            from turns as t
           cross join lateral (
                  select t.alone_id where t.alone_id is not null
                  union all
                  (select b.id
                     from public.bookings as b
                    where t.alone_id is null and b.org_id = t.org_id and b.purchase_id = t.purchase_id
                      and b.status = 'confirmed' and b.settlement is null and num_nulls(b.completion_undone_at) = 1
                      and b.end_time < p_now
                    order by b.end_time)) as d (id)
           limit p_limit) as c;

  select coalesce(array_agg(l.id), '{}') into v_packages
    from (select p.id
            from unnest(v_packages) as w (id)
            join public.client_purchases as p on p.id = w.id
           order by p.id
             for no key update of p skip locked) as l;

  -- The statement's fresh snapshot, now that the packages stand still: what is still due of what was read. The package is
  -- joined to the locked row, which may be newer than the snapshot, never to the row that was looked up.
  with locked as materialized (
    select b.org_id, b.id, b.client_id, b.purchase_id, b.start_time, b.status, b.settlement
      from unnest(v_candidates) as c (id)
      join public.bookings as b on b.id = c.id
     where (b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now
            or b.settlement = 'due' and b.due_since < p_now - interval '2 minutes')
       and (b.purchase_id is null or b.purchase_id in (select unnest(v_packages)))
       for no key update of b skip locked),
  -- Charged early (a check-in) or waived already: it only has to be completed.
  due as (
    select l.*, p.sessions_total - p.sessions_used as free,
           coalesce(l.settlement, 'due') = 'due' and p.valid_during @> l.start_time as is_payable
      from locked as l
      left join public.client_purchases as p on p.org_id = l.org_id and p.id = l.purchase_id),
  ranked as materialized (
    select d.*, d.is_payable and d.free >= row_number() over (
             partition by d.purchase_id, d.is_payable order by d.start_time, d.id) as is_covered
      from due as d),
  entered as (
    insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
    select k.org_id, k.purchase_id, 'use', 1, k.id,
           1 + (select count(*)
                  from public.session_entries as u
                  join public.session_entries as r on r.org_id = u.org_id and r.released_entry_id = u.id
                 where u.org_id = k.org_id and u.booking_id = k.id),
           case k.status when 'confirmed' then 'sweep' else private.settle_reason(k.status) end, p_now
      from ranked as k
     where k.is_covered and not p_dry_run
     order by k.purchase_id, k.start_time, k.id
    on conflict (org_id, booking_id, charge_no) where booking_id is not null do nothing
    returning org_id, purchase_id, booking_id),
  counted as (
    update public.client_purchases as p
       set sessions_used = p.sessions_used + c.n, entry_count = p.entry_count + c.n
      from (select e.org_id, e.purchase_id, count(*)::integer as n from entered as e group by e.org_id, e.purchase_id) as c
     where p.org_id = c.org_id and p.id = c.purchase_id
    returning p.id),
  -- What each booking ends as; a dry run foretells it.
  ended as (
    select k.*, case
             when k.purchase_id is null then 'none'
             when k.settlement in ('charged', 'waived', 'uncovered') then k.settlement
             when p_dry_run and k.is_covered or k.id in (select e.booking_id from entered as e) then 'charged'
             else 'uncovered' end as verdict
      from ranked as k),
  settled as (
    update public.bookings as b
       set status = case b.status when 'confirmed' then 'completed' else b.status end,
           completed_at = case b.status when 'confirmed' then p_now else b.completed_at end,
           settlement = d.verdict, due_since = null, follow_up_by = null, follow_up_until = null, updated_at = p_now
      from ended as d
     where b.org_id = d.org_id and b.id = d.id and not p_dry_run
    returning b.id),
  told as (
    insert into public.alerts (org_id, kind, client_id, purchase_id, booking_id)
    select d.org_id, 'booking_uncovered', d.client_id, d.purchase_id, d.id
      from ended as d
     where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered' and not p_dry_run
    on conflict do nothing)
  select count(*) filter (where d.status = 'confirmed'),
         count(*) filter (where d.verdict = 'charged' and d.settlement is distinct from 'charged'),
         count(*) filter (where d.verdict = 'uncovered' and d.settlement is distinct from 'uncovered'),
         cardinality(v_candidates) - count(*)
    into completed, charged, uncovered, skipped
    from ended as d;
end;
$$;
comment on function private.sweep_overdue_bookings is
  'Completes and settles one batch of bookings that are over; returns how many were completed, charged, uncovered and skipped because somebody held them.';

-- ── 10_tenancy/access.sql ──

-- Who may see and write the tables of tenancy directly. Everything else goes through an RPC.

alter table public.orgs enable row level security;
alter table public.roles enable row level security;
alter table public.role_permissions enable row level security;
alter table public.org_members enable row level security;
alter table public.profiles enable row level security;
alter table public.branding enable row level security;
revoke all on public.orgs, public.roles, public.role_permissions, public.org_members, public.profiles, public.branding
  from public, anon, authenticated, service_role;

grant execute on function private.orgs_with(text), private.shown_org_ids(), private.founds(uuid), private.has_members(uuid) to authenticated;

-- orgs: a member, a client of it, its founder before the first membership, a platform admin. The founder is told by the row's own
-- column: the insert asks for the row back, and no function can see it yet.
grant select, insert (name, slug, commission_rate) on public.orgs to authenticated;
grant update (name, commission_rate, waiver_template, proforma_disclaimer, onboarding_completed) on public.orgs to authenticated;
grant select on public.orgs to service_role;
create policy orgs_select_people on public.orgs for select to authenticated
  using (id = any ((select private.orgs_with('org.read'))::uuid[])
         or id = any ((select private.my_client_org_ids())::uuid[])
         or (created_by = (select auth.uid()) and not private.has_members(id))
         or (select private.is_platform_admin()));
create policy orgs_insert_founder on public.orgs for insert to authenticated
  with check (created_by = (select auth.uid()));
create policy orgs_update_members on public.orgs for update to authenticated
  using (id = any ((select private.orgs_with('org.write'))::uuid[]) or (select private.is_platform_admin()));

-- roles, role_permissions: the same for everyone who signs in.
grant select on public.roles, public.role_permissions to authenticated, service_role;
create policy roles_select_all on public.roles for select to authenticated using ((select auth.uid()) is not null);
create policy role_permissions_select_all on public.role_permissions for select to authenticated
  using ((select auth.uid()) is not null);

-- org_members: one's own row of the active organisation; the founder's own insert (guarded by trigger).
grant select, insert (org_id, user_id, role) on public.org_members to authenticated;
grant select on public.org_members to service_role;
create policy org_members_select_self on public.org_members for select to authenticated
  using (user_id = (select auth.uid()) and org_id = any ((select private.shown_org_ids())::uuid[]));
create policy org_members_insert_founder on public.org_members for insert to authenticated
  with check (user_id = (select auth.uid()) and role = 'owner');

-- profiles: one's own.
grant select, update (full_name) on public.profiles to authenticated;
grant select on public.profiles to service_role;
create policy profiles_select_self on public.profiles for select to authenticated using (id = (select auth.uid()));
create policy profiles_update_self on public.profiles for update to authenticated using (id = (select auth.uid()));

-- branding: members read, owners and managers write, the founder inserts.
grant select, insert (org_id, display_name, primary_color), update (display_name, primary_color) on public.branding to authenticated;
grant select on public.branding to service_role;
create policy branding_select_people on public.branding for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy branding_insert_members on public.branding for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]) or private.founds(org_id));
create policy branding_update_members on public.branding for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.orgs
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.org_members
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.branding
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before update on public.profiles
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- ── 15_operations/access.sql ──

-- Who may see what operations keep. Nobody writes here directly but for ticking an alert off.

alter table public.platform_admins enable row level security;
alter table public.audit_log enable row level security;
alter table public.alerts enable row level security;
alter table private.job_runs enable row level security;
revoke all on public.platform_admins, public.audit_log, public.alerts from public, anon, authenticated, service_role;
revoke all on private.job_runs from public, anon, authenticated, service_role;

grant execute on function private.is_platform_admin() to authenticated;

grant select on public.platform_admins to authenticated, service_role;
create policy platform_admins_select_self on public.platform_admins for select to authenticated
  using (user_id = (select auth.uid()));

grant select on public.audit_log to authenticated, service_role;
create policy audit_log_select_members on public.audit_log for select to authenticated
  using (org_id = any ((select private.orgs_with('audit.read'))::uuid[]));

grant select, update (resolved_at) on public.alerts to authenticated;
grant select on public.alerts to service_role;
create policy alerts_select_members on public.alerts for select to authenticated
  using (org_id = any ((select private.orgs_with('alerts.read'))::uuid[]));
create policy alerts_update_members on public.alerts for update to authenticated
  using (org_id = any ((select private.orgs_with('alerts.read'))::uuid[]));

-- Row level security without a policy: only definers of the owner reach it.
create policy job_runs_select_nobody on private.job_runs for select to service_role using (false);

-- ── 20_clients/access.sql ──

-- Who may see and write clients. Ids, tokens' owners and the sign-in link are never written by an app.

alter table public.clients enable row level security;
revoke all on public.clients from public, anon, authenticated, service_role;

grant execute on function private.my_client_ids(), private.my_client_org_ids() to authenticated;

grant select on public.clients to authenticated, service_role;
grant insert (org_id, full_name, email, phone, status, date_of_birth, gender, height_cm, weight_kg, target_weight_kg, goals,
              health_conditions, injuries, medications, dietary_restrictions, experience_level, preferred_training_days,
              preferred_time_windows, emergency_contact_name, emergency_contact_phone, notes, address_line1, address_line2,
              city, state, postcode)
  on public.clients to authenticated;
grant update (full_name, email, phone, date_of_birth, gender, height_cm, weight_kg, target_weight_kg, goals, health_conditions,
              injuries, medications, dietary_restrictions, experience_level, preferred_training_days, preferred_time_windows,
              emergency_contact_name, emergency_contact_phone, notes, address_line1, address_line2, city, state, postcode,
              email_opt_in, sms_opt_in, sms_reminder_enabled, sms_followup_enabled, onboarding_sent_at, onboarding_token,
              portal_token)
  on public.clients to authenticated;
grant update (portal_token) on public.clients to service_role;

create policy clients_select_people on public.clients for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]) or auth_user_id = (select auth.uid()));
create policy clients_insert_members on public.clients for insert to authenticated
  with check (org_id = any ((select private.orgs_with('clients.write'))::uuid[]));
create policy clients_update_people on public.clients for update to authenticated
  using (org_id = any ((select private.orgs_with('clients.write'))::uuid[]) or auth_user_id = (select auth.uid()));

-- ── 30_sessions/access.sql ──

-- Who may see and write offers, promo codes, packages and the ledger directly.
-- Counters, entries and settlement are never granted: sessions_used and sessions_total are, and a trigger corrects by ledger.

alter table public.offers enable row level security;
alter table public.promo_codes enable row level security;
alter table public.client_purchases enable row level security;
alter table public.session_entries enable row level security;
revoke all on public.offers, public.promo_codes, public.client_purchases, public.session_entries
  from public, anon, authenticated, service_role;

-- offers: members read and write, a client reads their organisation's.
grant select, delete on public.offers to authenticated;
grant select on public.offers to service_role;
grant insert (org_id, name, description, offer_type, price_cents, currency, billing_period, sessions_included, bonus_sessions,
              pack_validity_days, session_duration_mins, included_items, is_featured, is_active, sort_order, updated_at)
  on public.offers to authenticated;
grant update (org_id, name, description, offer_type, price_cents, currency, billing_period, sessions_included, bonus_sessions,
              pack_validity_days, session_duration_mins, included_items, is_featured, is_active, updated_at)
  on public.offers to authenticated;
create policy offers_select_people on public.offers for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy offers_insert_members on public.offers for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy offers_update_members on public.offers for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy offers_delete_members on public.offers for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));

-- promo_codes: members.
grant select, delete on public.promo_codes to authenticated;
grant select on public.promo_codes to service_role;
grant insert (org_id, code, discount_type, discount_value, valid_from, valid_until, max_uses, times_used, is_active)
  on public.promo_codes to authenticated;
grant update (org_id, code, discount_type, discount_value, valid_from, valid_until, max_uses, times_used, is_active)
  on public.promo_codes to authenticated;
create policy promo_codes_select_members on public.promo_codes for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[]));
create policy promo_codes_insert_members on public.promo_codes for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
-- A front desk that sells writes times_used after each sale, as the app does; the trigger keeps the count.
create policy promo_codes_update_members on public.promo_codes for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy promo_codes_delete_members on public.promo_codes for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));

-- client_purchases: members sell and edit (triggers check), a client reads their own.
grant select, delete on public.client_purchases to authenticated;
grant select on public.client_purchases to service_role;
grant insert (org_id, client_id, offer_id, amount_paid_cents, currency, sessions_total, sessions_used, expires_at, payment_status,
              payment_method, promo_code_id, discount_cents)
  on public.client_purchases to authenticated;
grant update (sessions_total, sessions_used, expires_at, payment_status, payment_method) on public.client_purchases to authenticated;
create policy client_purchases_select_people on public.client_purchases for select to authenticated
  using (org_id = any ((select private.orgs_with('packages.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_purchases_insert_members on public.client_purchases for insert to authenticated
  with check (org_id = any ((select private.orgs_with('packages.sell'))::uuid[]));
create policy client_purchases_update_members on public.client_purchases for update to authenticated
  using (org_id = any ((select private.orgs_with('packages.sell'))::uuid[]));
create policy client_purchases_delete_members on public.client_purchases for delete to authenticated
  using (org_id = any ((select private.orgs_with('packages.correct'))::uuid[]));

-- session_entries: read only.
grant select on public.session_entries to authenticated, service_role;
create policy session_entries_select_people on public.session_entries for select to authenticated
  using (org_id = any ((select private.orgs_with('packages.read'))::uuid[])
         or purchase_id in (select p.id from public.client_purchases as p
                             where p.client_id = any ((select private.my_client_ids())::uuid[])));

create trigger zz_refuse_clearly before insert or update on public.offers
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.promo_codes
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.client_purchases
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- ── 40_scheduling/access.sql ──

-- Who may see and write settings, session types and bookings directly.

alter table public.booking_settings enable row level security;
alter table public.session_types enable row level security;
alter table public.bookings enable row level security;
revoke all on public.booking_settings, public.session_types, public.bookings from public, anon, authenticated, service_role;

-- booking_settings: members, the founder's first insert; a client reads the rules they book by.
grant select, insert (org_id, timezone) on public.booking_settings to authenticated;
grant select on public.booking_settings to service_role;
grant update (allow_client_booking, buffer_between_mins, early_cutoff_before_hour, early_cutoff_time, gst_registered, late_notice_hours,
              max_advance_days, min_notice_hours, pass_stripe_fees, slot_duration_mins, timezone,
              session_click_window_secs, no_show_policy, late_cancellation_policy, cancel_notice_hours, allow_client_cancel)
  on public.booking_settings to authenticated;
create policy booking_settings_select_people on public.booking_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy booking_settings_insert_members on public.booking_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]) or private.founds(org_id));
create policy booking_settings_update_members on public.booking_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));

-- session_types: members write, a client reads.
grant select, delete on public.session_types to authenticated;
grant select on public.session_types to service_role;
grant insert (org_id, name, slug, description, duration_mins, price_cents, color, is_active, allow_online_booking, buffer_before_mins,
              buffer_after_mins, max_per_day, sort_order)
  on public.session_types to authenticated;
grant update (name, slug, description, duration_mins, price_cents, color, is_active, allow_online_booking, buffer_before_mins,
              buffer_after_mins, max_per_day, updated_at)
  on public.session_types to authenticated;
create policy session_types_select_people on public.session_types for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_types_insert_members on public.session_types for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_types_update_members on public.session_types for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_types_delete_members on public.session_types for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));

-- bookings: members write (triggers guard), a client reads and cancels their own; the portal's server has its own columns.
grant select on public.bookings to authenticated, service_role;
grant insert (org_id, client_id, start_time, end_time, duration_mins, offer_id, session_type, purchase_id, location_type, status,
              booked_by, booking_source, notes, client_notes)
  on public.bookings to authenticated;
grant update (client_id, start_time, end_time, duration_mins, session_type, status, cancelled_at, notes, client_confirmed,
              confirmation_sent_at, reminder_sent)
  on public.bookings to authenticated;
grant insert (org_id, client_id, purchase_id, start_time, end_time, duration_mins, session_type, location_type, status, booking_source,
              booked_by)
  on public.bookings to service_role;
grant update (status, cancelled_at, confirmation_sent_at, client_confirmed) on public.bookings to service_role;
create policy bookings_select_people on public.bookings for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy bookings_insert_members on public.bookings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create policy bookings_update_people on public.bookings for update to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.booking_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.session_types
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.bookings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- ── 10_tenancy/api.sql ──

-- Tenancy for apps.

create function public.switch_org(p_org_id uuid)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_switch_org(p_org_id);
end;
comment on function public.switch_org is
  'Makes one of your organisations the active one and returns its id; org_members then shows that membership. Fails: org_not_found 404.';
revoke all on function public.switch_org(uuid) from public, anon, service_role;
grant execute on function public.switch_org(uuid) to authenticated;
grant execute on function private.member_switch_org(uuid) to authenticated;

create function public.list_members(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language sql stable security invoker set search_path = ''
begin atomic
  select t.member_id, t.user_id, t.full_name, t.email, t.role, t.joined_at from private.member_team(p_org_id) as t;
end;
comment on function public.list_members is
  'The team of an organisation, oldest first. Needs members.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.list_members(uuid) from public, anon, service_role;
grant execute on function public.list_members(uuid) to authenticated;
grant execute on function private.member_team(uuid) to authenticated;

-- ── 30_sessions/api.sql ──

-- Sessions for apps. Each is a face: the rule and the right to use it stand behind it in `private`.

create function public.use_session(p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_take_session(p_purchase_id, p_booking_id, p_request_id);
end;
comment on function public.use_session is
  'Takes one session from a package: true when it was taken (or had been), false when none is left or the package is expired, refunded, unpaid or frozen. With a booking: that booking''s session, once (again only when named after a release). With a request id: that click takes one, ever. With neither: the package''s oldest completed, uncharged booking is settled first; else a second click of the same person within the organisation''s click window is the same click. Needs sessions.use. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409, request_reused 409, permission_missing 403.';
revoke all on function public.use_session(uuid, uuid, uuid) from public, anon, service_role;
grant execute on function public.use_session(uuid, uuid, uuid) to authenticated;
grant execute on function private.member_take_session(uuid, uuid, uuid) to authenticated;

create function public.release_session(p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_give_session_back(p_purchase_id, p_booking_id, p_request_id);
end;
comment on function public.release_session is
  'Gives back the very session that was taken: the booking''s when one is named, else the latest not given back yet; returns the new sessions_used, or -1 when there is nothing to give back. Once per click (request id, or the click window). Giving back a booking''s session waives the booking: the sweep does not take it again. Needs sessions.release. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, request_reused 409, permission_missing 403.';
revoke all on function public.release_session(uuid, uuid, uuid) from public, anon, service_role;
grant execute on function public.release_session(uuid, uuid, uuid) to authenticated;
grant execute on function private.member_give_session_back(uuid, uuid, uuid) to authenticated;

-- Runs with the caller's own rights: row level security decides whose package it may count.
create function public.bookable_sessions_remaining(p_purchase_id uuid)
returns integer
language sql stable security invoker set search_path = ''
begin atomic
  select case when p.valid_during @> now() then greatest(p.sessions_remaining - (
           select count(*)
             from public.bookings as b
            where b.org_id = p.org_id and b.purchase_id = p.id
              and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed'))))::integer, 0)
         else 0 end
    from public.client_purchases as p
   where p.id = p_purchase_id;
end;
comment on function public.bookable_sessions_remaining is
  'Sessions of a package that may still be booked: remaining minus every booking of it that is not settled yet, also one that has ended; 0 when the package is not valid now; null when there is no such package for the caller.';
revoke all on function public.bookable_sessions_remaining(uuid) from public, anon;
grant execute on function public.bookable_sessions_remaining(uuid) to authenticated, service_role;

create function public.sell_package(
  p_client_id uuid, p_offer_id uuid, p_payment_method text default null, p_payment_status text default 'succeeded',
  p_promo_code_id uuid default null, p_request_id uuid default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_sell_package(p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
end;
comment on function public.sell_package is
  'Sells an offer to a client at its price, less a promo code''s discount, and returns the package''s id; the same request id sells once. Needs packages.sell. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409, permission_missing 403.';
revoke all on function public.sell_package(uuid, uuid, text, text, uuid, uuid) from public, anon, service_role;
grant execute on function public.sell_package(uuid, uuid, text, text, uuid, uuid) to authenticated;
grant execute on function private.member_sell_package(uuid, uuid, text, text, uuid, uuid) to authenticated;

create function public.freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_freeze_package(p_purchase_id);
end;
comment on function public.freeze_package is
  'Freezes a package from now on and returns since when it is frozen; nothing can be taken from it until it is unfrozen. Needs packages.correct. Fails: purchase_not_found 404, package_ended 409, permission_missing 403.';
revoke all on function public.freeze_package(uuid) from public, anon, service_role;
grant execute on function public.freeze_package(uuid) to authenticated;
grant execute on function private.member_freeze_package(uuid) to authenticated;

create function public.unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_unfreeze_package(p_purchase_id);
end;
comment on function public.unfreeze_package is
  'Ends a package''s freeze, moves its expiry by as long as it was frozen and returns the expiry (null: never). Needs packages.correct. Fails: purchase_not_found 404, permission_missing 403.';
revoke all on function public.unfreeze_package(uuid) from public, anon, service_role;
grant execute on function public.unfreeze_package(uuid) to authenticated;
grant execute on function private.member_unfreeze_package(uuid) to authenticated;

create function public.extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_extend_package(p_purchase_id, p_expires_at);
end;
comment on function public.extend_package is
  'Moves a package''s expiry to a later instant and returns it. Needs packages.correct. Fails: purchase_not_found 404, expiry_not_later 422, permission_missing 403.';
revoke all on function public.extend_package(uuid, timestamptz) from public, anon, service_role;
grant execute on function public.extend_package(uuid, timestamptz) to authenticated;
grant execute on function private.member_extend_package(uuid, timestamptz) to authenticated;

create function public.correct_package(
  p_purchase_id uuid, p_sessions_used integer default null, p_sessions_total integer default null, p_request_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_correct_package(p_purchase_id, p_sessions_used, p_sessions_total, p_request_id);
end;
comment on function public.correct_package is
  'Sets the used and total sessions of a package on purpose, by a ledgered correction, and returns sessions_used; null leaves a value as it is. Needs packages.correct. Fails: purchase_not_found 404, sessions_out_of_range 422, request_reused 409, permission_missing 403.';
revoke all on function public.correct_package(uuid, integer, integer, uuid) from public, anon, service_role;
grant execute on function public.correct_package(uuid, integer, integer, uuid) to authenticated;
grant execute on function private.member_correct_package(uuid, integer, integer, uuid) to authenticated;

-- The app embeds `offer_id(name, …)`: PostgREST finds a relation by a column's name only on a single-column key.
create function public.offer_id(p_purchase public.client_purchases)
returns setof public.offers rows 1
language sql stable security invoker set search_path = ''
begin atomic
  select o.* from public.offers as o where o.org_id = p_purchase.org_id and o.id = p_purchase.offer_id;
end;
comment on function public.offer_id is 'Computed relationship: the offer of a package, for embeds written `offer_id(…)`.';
revoke all on function public.offer_id(public.client_purchases) from public, anon;
grant execute on function public.offer_id(public.client_purchases) to authenticated, service_role;

-- ── 40_scheduling/api.sql ──

-- Scheduling for apps, first cut.

create function public.complete_booking(p_booking_id uuid)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_complete_booking(p_booking_id);
end;
comment on function public.complete_booking is
  'Completes a booking and settles its session in one, and says how it ended: charged, waived, uncovered, or none (no package). The same again answers the same. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.complete_booking(uuid) from public, anon, service_role;
grant execute on function public.complete_booking(uuid) to authenticated;
grant execute on function private.member_complete_booking(uuid) to authenticated;

create function public.undo_completion(p_booking_id uuid)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_undo_completion(p_booking_id);
end;
comment on function public.undo_completion is
  'Takes a completion or a no-show back: the booking is confirmed again, its session returns to the package, and the sweep leaves it alone. Returns the package''s sessions_used, null without a package. Needs sessions.release. Fails: booking_not_found 404, booking_not_completed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.undo_completion(uuid) from public, anon, service_role;
grant execute on function public.undo_completion(uuid) to authenticated;
grant execute on function private.member_undo_completion(uuid) to authenticated;

-- ── 10_tenancy/service.sql ──

-- Tenancy for operators: organisations and their members.
-- An operator names people by email; nothing here makes an account, people sign up themselves.

create function service.list_orgs(p_limit integer default 100, p_search text default null)
returns table (org_id uuid, name text, slug text, timezone text, members integer, clients integer, created_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select o.id, o.name, o.slug, private.org_timezone(o.id),
         (select count(*)::integer from public.org_members as m where m.org_id = o.id),
         (select count(*)::integer from public.clients as c where c.org_id = o.id), o.created_at
    from public.orgs as o
   where p_search is null or position(lower(p_search) in lower(o.name || ' ' || o.slug)) > 0
   order by o.created_at desc, o.id
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_orgs is
  'The organisations, newest first, at most p_limit (1 to 1000), by part of name or slug.';
revoke all on function service.list_orgs(integer, text) from public, anon, authenticated;
grant execute on function service.list_orgs(integer, text) to service_role;

create function service.find_org(p_org text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  -- A slug may look like another organisation's id: the id wins.
  select o.id into v_id from public.orgs as o where o.slug = p_org or o.id::text = p_org
   order by (o.id::text = p_org) desc limit 1;
  if not found then
    perform private.refuse_org();
  end if;
  return v_id;
end;
$$;
comment on function service.find_org is
  'The id of the organisation with this slug or id. Fails: org_not_found 404.';
revoke all on function service.find_org(text) from public, anon, authenticated;
grant execute on function service.find_org(text) to service_role;

create function service.get_org(p_org text)
returns table (org_id uuid, name text, slug text, timezone text, members integer, clients integer, packages integer, open_alerts integer, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid := service.find_org(p_org);
begin
  return query
  select o.id, o.name, o.slug, private.org_timezone(o.id),
         (select count(*)::integer from public.org_members as m where m.org_id = o.id),
         (select count(*)::integer from public.clients as c where c.org_id = o.id),
         (select count(*)::integer from public.client_purchases as p where p.org_id = o.id),
         (select count(*)::integer from public.alerts as a where a.org_id = o.id and a.resolved_at is null), o.created_at
    from public.orgs as o
   where o.id = v_id;
end;
$$;
comment on function service.get_org is
  'The organisation with this slug or id, and how much it holds. Fails: org_not_found 404.';
revoke all on function service.get_org(text) from public, anon, authenticated;
grant execute on function service.get_org(text) to service_role;

create function service.create_org(
  p_name text, p_owner_email text, p_slug text default null,
  p_timezone text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_owner_id uuid := private.user_by_email(p_owner_email);
  v_org_id uuid;
begin
  perform private.require_value(char_length(btrim(p_name)) between 1 and 200, 'name');
  perform private.require_value(coalesce(p_slug, 'a') ~ '^[^\s[:upper:]/?#]{1,100}$', 'slug');
  insert into public.orgs (name, slug, created_by) values (btrim(p_name), p_slug, v_owner_id)
  on conflict (slug) do nothing
  returning id into v_org_id;
  if v_org_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'Choose another value for slug.');
  end if;
  insert into public.org_members (org_id, user_id, role) values (v_org_id, v_owner_id, 'owner');
  if p_timezone is not null then
    insert into public.booking_settings (org_id, timezone) values (v_org_id, p_timezone);
  end if;
  return v_org_id;
end;
$$;
comment on function service.create_org is
  'Makes an organisation whose owner has signed up with this email; returns its id. Fails: user_not_found 404, value_taken 409, value_not_allowed 422, timezone_unknown 422.';
revoke all on function service.create_org(text, text, text, text) from public, anon, authenticated;
grant execute on function service.create_org(text, text, text, text) to service_role;

create function service.list_members(p_org_id uuid)
returns table (member_id uuid, user_id uuid, full_name text, email text, role text, joined_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query select * from private.team(p_org_id);
end;
$$;
comment on function service.list_members is
  'The team of an organisation, oldest first. Fails: org_not_found 404.';
revoke all on function service.list_members(uuid) from public, anon, authenticated;
grant execute on function service.list_members(uuid) to service_role;

create function service.set_member(p_org_id uuid, p_email text, p_role text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user_id uuid := private.user_by_email(p_email);
  v_member_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(exists (select from public.roles as r where r.role = p_role), 'role');
  update public.org_members as m set role = p_role where m.org_id = p_org_id and m.user_id = v_user_id returning m.id into v_member_id;
  if not found then
    insert into public.org_members (org_id, user_id, role) values (p_org_id, v_user_id, p_role)
    on conflict (org_id, user_id) do update set role = excluded.role
    returning id into v_member_id;
  end if;
  return v_member_id;
end;
$$;
comment on function service.set_member is
  'Gives a person who has signed up a role in an organisation, whether they were a member or not; returns the membership''s id. Fails: org_not_found 404, user_not_found 404, value_not_allowed 422, last_owner 409.';
revoke all on function service.set_member(uuid, text, text) from public, anon, authenticated;
grant execute on function service.set_member(uuid, text, text) to service_role;

create function service.remove_member(p_org_id uuid, p_email text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  delete from public.org_members as m where m.org_id = p_org_id and m.user_id = private.user_by_email(p_email);
  return found;
end;
$$;
comment on function service.remove_member is
  'Ends a membership; true when there was one. Fails: org_not_found 404, user_not_found 404, last_owner 409.';
revoke all on function service.remove_member(uuid, text) from public, anon, authenticated;
grant execute on function service.remove_member(uuid, text) to service_role;

-- ── 15_operations/service.sql ──

-- Operations for the Python side: the record of job runs, health.

create function service.start_job_run(p_job text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_value(p_job ~ '^[a-z_]{1,60}$', 'job');
  insert into private.job_runs (job) values (p_job) returning id into v_id;
  return v_id;
end;
$$;
comment on function service.start_job_run is
  'Records that a job begins; returns the run''s id. Fails: value_not_allowed 422.';
revoke all on function service.start_job_run(text) from public, anon, authenticated;
grant execute on function service.start_job_run(text) to service_role;

create function service.finish_job_run(p_id uuid, p_result jsonb default null, p_error text default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  update private.job_runs as j
     set finished_at = clock_timestamp(), result = p_result, error = p_error
   where j.id = p_id and j.finished_at is null;
$$;
comment on function service.finish_job_run is
  'Records how a run ended, once: its counts, or the slug of what stopped it.';
revoke all on function service.finish_job_run(uuid, jsonb, text) from public, anon, authenticated;
grant execute on function service.finish_job_run(uuid, jsonb, text) to service_role;

create function service.list_job_runs(p_job text default null, p_limit integer default 20)
returns table (id uuid, job text, started_at timestamptz, finished_at timestamptz, result jsonb, error text)
language sql stable security definer set search_path = ''
as $$
  select j.id, j.job, j.started_at, j.finished_at, j.result, j.error
    from private.job_runs as j
   where p_job is null or j.job = p_job
   order by j.started_at desc
   limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.list_job_runs is
  'The latest runs, newest first; a run without finished_at is running or was killed.';
revoke all on function service.list_job_runs(text, integer) from public, anon, authenticated;
grant execute on function service.list_job_runs(text, integer) to service_role;

create function service.list_alerts(p_org_id uuid, p_limit integer default 100)
returns table (id uuid, kind text, client_id uuid, purchase_id uuid, booking_id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select a.id, a.kind, a.client_id, a.purchase_id, a.booking_id, a.created_at
    from public.alerts as a
   where a.org_id = p_org_id and a.resolved_at is null
   order by a.created_at desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_alerts is
  'An organisation''s open alerts, newest first. Fails: org_not_found 404.';
revoke all on function service.list_alerts(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_alerts(uuid, integer) to service_role;

create function service.health()
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_migration text;
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    execute 'select max(version) from supabase_migrations.schema_migrations' into v_migration;
  end if;
  return jsonb_build_object('database', 'ok', 'migration', v_migration, 'server_version', current_setting('server_version'));
end;
$$;
comment on function service.health is
  'Answers when the database does: its version and its latest migration.';
revoke all on function service.health() from public, anon, authenticated;
grant execute on function service.health() to service_role;

-- ── 20_clients/service.sql ──

-- Clients for operators.

create function service.list_clients(p_org_id uuid, p_search text default null, p_limit integer default 100)
returns table (client_id uuid, full_name text, email text, phone text, status text, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select c.id, c.full_name, c.email, c.phone, c.status, c.created_at
    from public.clients as c
   where c.org_id = p_org_id
     and (p_search is null
          or position(lower(p_search) in lower(concat_ws(' ', c.full_name, c.email, c.phone))) > 0)
   order by c.full_name, c.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_clients is
  'An organisation''s clients by name, at most p_limit (1 to 1000), by part of name, email or phone. Fails: org_not_found 404.';
revoke all on function service.list_clients(uuid, text, integer) from public, anon, authenticated;
grant execute on function service.list_clients(uuid, text, integer) to service_role;

create function service.create_client(
  p_org_id uuid, p_full_name text, p_email text default null,
  p_phone text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(coalesce(char_length(p_email) <= 320 and position('@' in p_email) > 1, p_email is null), 'email');
  perform private.require_value(coalesce(char_length(p_phone), 0) <= 40, 'phone');
  insert into public.clients (org_id, full_name, email, phone) values (p_org_id, btrim(p_full_name), p_email, p_phone)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function service.create_client is
  'Adds a client and returns their id. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.create_client(uuid, text, text, text) from public, anon, authenticated;
grant execute on function service.create_client(uuid, text, text, text) to service_role;

-- ── 30_sessions/service.sql ──

-- Sessions for operators: the same rules, without a signed-in person.

create function service.list_offers(p_org_id uuid)
returns table (offer_id uuid, name text, offer_type text, price_cents integer, currency text, sessions integer, is_active boolean)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select o.id, o.name, o.offer_type, o.price_cents, o.currency, coalesce(o.sessions_included, 1) + coalesce(o.bonus_sessions, 0), o.is_active
    from public.offers as o where o.org_id = p_org_id order by o.sort_order, o.name, o.id;
end;
$$;
comment on function service.list_offers is
  'An organisation''s offers; sessions include the bonus. Fails: org_not_found 404.';
revoke all on function service.list_offers(uuid) from public, anon, authenticated;
grant execute on function service.list_offers(uuid) to service_role;

create function service.list_packages(p_org_id uuid, p_client_id uuid default null, p_limit integer default 100)
returns table (purchase_id uuid, client_id uuid, client_name text, offer_name text, sessions_total integer, sessions_used integer, sessions_remaining integer, bookable integer, payment_status text, expires_at timestamptz, is_frozen boolean)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  if p_client_id is not null
     and not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  return query
  select p.id, p.client_id, c.full_name, o.name, p.sessions_total, p.sessions_used, p.sessions_remaining,
         public.bookable_sessions_remaining(p.id), p.payment_status, p.expires_at, upper_inf(p.frozen_periods)
    from public.client_purchases as p
    join public.clients as c on c.org_id = p.org_id and c.id = p.client_id
    join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
   where p.org_id = p_org_id and (p_client_id is null or p.client_id = p_client_id)
   order by p.purchased_at desc, p.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_packages is
  'An organisation''s or a client''s packages, newest first. Fails: org_not_found 404, client_not_found 404.';
revoke all on function service.list_packages(uuid, uuid, integer) from public, anon, authenticated;
grant execute on function service.list_packages(uuid, uuid, integer) to service_role;

create function service.get_package(p_purchase_id uuid)
returns table (
  purchase_id uuid, org_id uuid, client_id uuid, client_name text, offer_id uuid, offer_name text, amount_paid_cents integer,
  currency text, payment_status text, payment_method text, sessions_total integer, sessions_used integer,
  sessions_remaining integer, bookable integer, purchased_at timestamptz, expires_at timestamptz, frozen_since timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.package_org(p_purchase_id);
begin
  return query
  select p.id, p.org_id, p.client_id, c.full_name, p.offer_id, o.name, p.amount_paid_cents, p.currency, p.payment_status,
         p.payment_method, p.sessions_total, p.sessions_used, p.sessions_remaining, public.bookable_sessions_remaining(p.id),
         p.purchased_at, p.expires_at, (select lower(r) from unnest(p.frozen_periods) as r where upper_inf(r))
    from public.client_purchases as p
    join public.clients as c on c.org_id = p.org_id and c.id = p.client_id
    join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
   where p.org_id = v_org_id and p.id = p_purchase_id;
end;
$$;
comment on function service.get_package is
  'One package: whose, what was paid, what is used, left and bookable, and since when it is frozen. Fails: purchase_not_found 404.';
revoke all on function service.get_package(uuid) from public, anon, authenticated;
grant execute on function service.get_package(uuid) to service_role;

create function service.list_session_entries(p_purchase_id uuid, p_limit integer default 200)
returns table (entry_id uuid, kind text, used_delta integer, total_delta integer, reason text, booking_id uuid, actor_id uuid, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.package_org(p_purchase_id);
  return query
  select e.id, e.kind, e.used_delta, e.total_delta, e.reason, e.booking_id, e.actor_id, e.created_at
    from public.session_entries as e
   where e.org_id = private.package_org(p_purchase_id) and e.purchase_id = p_purchase_id
   order by e.entry_no desc
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_session_entries is
  'A package''s ledger, latest first. Fails: purchase_not_found 404.';
revoke all on function service.list_session_entries(uuid, integer) from public, anon, authenticated;
grant execute on function service.list_session_entries(uuid, integer) to service_role;

create function service.use_session(
  p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  select private.take_session(private.package_org(p_purchase_id), p_purchase_id, p_booking_id, p_request_id, null);
$$;
comment on function service.use_session is
  'public.use_session for operators, without a click window. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, booking_not_chargeable 409, request_reused 409.';
revoke all on function service.use_session(uuid, uuid, uuid) from public, anon, authenticated;
grant execute on function service.use_session(uuid, uuid, uuid) to service_role;

create function service.release_session(
  p_purchase_id uuid, p_booking_id uuid default null, p_request_id uuid default null)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.give_session_back(private.package_org(p_purchase_id), p_purchase_id, p_booking_id, p_request_id, null);
$$;
comment on function service.release_session is
  'public.release_session for operators, without a click window. Fails: purchase_not_found 404, booking_not_found 404, booking_not_in_package 422, request_reused 409.';
revoke all on function service.release_session(uuid, uuid, uuid) from public, anon, authenticated;
grant execute on function service.release_session(uuid, uuid, uuid) to service_role;

create function service.sell_package(
  p_org_id uuid, p_client_id uuid, p_offer_id uuid,
  p_payment_method text default null, p_payment_status text default 'succeeded', p_promo_code_id uuid default null,
  p_request_id uuid default null)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.sell_package(p_org_id, p_client_id, p_offer_id, p_payment_method, p_payment_status, p_promo_code_id, p_request_id);
$$;
comment on function service.sell_package is
  'public.sell_package for operators; the client and the offer are looked for in the organisation named. Fails: client_not_found 404, offer_not_found 404, promo_code_not_found 404, promo_code_unavailable 409, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function service.sell_package(uuid, uuid, uuid, text, text, uuid, uuid) from public, anon, authenticated;
grant execute on function service.sell_package(uuid, uuid, uuid, text, text, uuid, uuid) to service_role;

create function service.freeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.freeze_package(private.package_org(p_purchase_id), p_purchase_id);
$$;
comment on function service.freeze_package is
  'public.freeze_package for operators. Fails: purchase_not_found 404, package_ended 409.';
revoke all on function service.freeze_package(uuid) from public, anon, authenticated;
grant execute on function service.freeze_package(uuid) to service_role;

create function service.unfreeze_package(p_purchase_id uuid)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.unfreeze_package(private.package_org(p_purchase_id), p_purchase_id);
$$;
comment on function service.unfreeze_package is
  'public.unfreeze_package for operators. Fails: purchase_not_found 404.';
revoke all on function service.unfreeze_package(uuid) from public, anon, authenticated;
grant execute on function service.unfreeze_package(uuid) to service_role;

create function service.extend_package(p_purchase_id uuid, p_expires_at timestamptz)
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select private.extend_package(private.package_org(p_purchase_id), p_purchase_id, p_expires_at);
$$;
comment on function service.extend_package is
  'public.extend_package for operators. Fails: purchase_not_found 404, expiry_not_later 422.';
revoke all on function service.extend_package(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.extend_package(uuid, timestamptz) to service_role;

create function service.correct_package(
  p_purchase_id uuid, p_sessions_used integer default null, p_sessions_total integer default null,
  p_request_id uuid default null)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.correct_package(private.package_org(p_purchase_id), p_purchase_id, p_sessions_used, p_sessions_total, p_request_id, null);
$$;
comment on function service.correct_package is
  'public.correct_package for operators. Fails: purchase_not_found 404, sessions_out_of_range 422, request_reused 409.';
revoke all on function service.correct_package(uuid, integer, integer, uuid) from public, anon, authenticated;
grant execute on function service.correct_package(uuid, integer, integer, uuid) to service_role;

-- ── 40_scheduling/service.sql ──

-- Scheduling for sweeps and operators, first cut.

create function service.sweep_overdue_bookings(
  p_limit integer default 5000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (completed integer, charged integer, uncovered integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.completed, s.charged, s.uncovered, s.skipped
                 from private.sweep_overdue_bookings(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as s;
end;
$$;
comment on function service.sweep_overdue_bookings is
  'Completes bookings that are over and settles what stayed due for two minutes, at most p_limit (1 to 100000) a call; call again until nothing comes back. skipped are held by somebody else and left for the next call. A dry run changes nothing. Fails: value_not_allowed 422.';
revoke all on function service.sweep_overdue_bookings(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_overdue_bookings(integer, timestamptz, boolean) to service_role;

create function service.list_bookings(
  p_org_id uuid, p_from timestamptz default null, p_until timestamptz default null,
  p_limit integer default 100)
returns table (booking_id uuid, client_id uuid, client_name text, starts_local text, start_time timestamptz, status text, settlement text, purchase_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select b.id, b.client_id, c.full_name, to_char(b.start_time at time zone private.org_timezone(p_org_id), 'YYYY-MM-DD HH24:MI'),
         b.start_time, b.status, b.settlement, b.purchase_id
    from public.bookings as b
    join public.clients as c on c.org_id = b.org_id and c.id = b.client_id
   where b.org_id = p_org_id and b.start_time >= coalesce(p_from, '-infinity') and b.start_time < coalesce(p_until, 'infinity')
   order by b.start_time desc, b.id
   limit least(greatest(p_limit, 1), 1000);
end;
$$;
comment on function service.list_bookings is
  'An organisation''s bookings, latest first, with their start in its timezone. Fails: org_not_found 404.';
revoke all on function service.list_bookings(uuid, timestamptz, timestamptz, integer) from public, anon, authenticated;
grant execute on function service.list_bookings(uuid, timestamptz, timestamptz, integer) to service_role;

create function service.complete_booking(p_booking_id uuid)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.complete_booking(private.booking_org(p_booking_id), p_booking_id, null);
$$;
comment on function service.complete_booking is
  'public.complete_booking for operators. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';
revoke all on function service.complete_booking(uuid) from public, anon, authenticated;
grant execute on function service.complete_booking(uuid) to service_role;

create function service.undo_completion(p_booking_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.undo_completion(private.booking_org(p_booking_id), p_booking_id, null);
$$;
comment on function service.undo_completion is
  'public.undo_completion for operators. Fails: booking_not_found 404, booking_not_completed 409, booking_moving 409.';
revoke all on function service.undo_completion(uuid) from public, anon, authenticated;
grant execute on function service.undo_completion(uuid) to service_role;

-- ── 10_tenancy/data.sql ──

-- The roles and what each may do. `staff` and `accountant_readonly` are the existing app's names.

insert into public.roles (role, description) values
  ('owner', 'Owns the business: everything, including members and roles'),
  ('manager', 'Runs the business: everything but owners'),
  ('coach', 'Trains clients: clients, bookings, sessions and sales'),
  ('front_desk', 'Serves the desk: clients, bookings, check-ins and sales'),
  ('staff', 'The existing app''s coach'),
  ('accountant_readonly', 'Reads what accounting needs');

insert into public.role_permissions (role, permission)
select r.role, p.permission
  from (values
    ('org.read',          '{owner,manager,coach,staff,front_desk,accountant_readonly}'::text[]),
    ('org.write',         '{owner,manager}'),
    ('members.read',      '{owner,manager,coach,staff,front_desk}'),
    ('members.write',     '{owner,manager}'),
    ('owners.write',      '{owner}'),
    ('settings.write',    '{owner,manager,coach,staff}'),
    ('audit.read',        '{owner,manager}'),
    ('alerts.read',       '{owner,manager,coach,staff,front_desk}'),
    ('clients.read',      '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('clients.write',     '{owner,manager,coach,staff,front_desk}'),
    ('offers.read',       '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('offers.write',      '{owner,manager,coach,staff}'),
    ('packages.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('packages.sell',     '{owner,manager,coach,staff,front_desk}'),
    ('packages.correct',  '{owner,manager,coach,staff}'),
    ('sessions.use',      '{owner,manager,coach,staff,front_desk}'),
    ('sessions.release',  '{owner,manager,coach,staff,front_desk}'),
    ('bookings.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('bookings.write',    '{owner,manager,coach,staff,front_desk}')
  ) as p (permission, roles)
 cross join unnest(p.roles) as r (role);
