-- The baseline: supabase/schemas as it was when this file was generated, room by room. Change it there, not here.

-- A rule may call one that stands further on.
set local check_function_bodies = off;

-- ── 00_foundation/tables.sql ──

-- Foundation: the schemas beside `public`, and the rule that nobody may do anything unless a line says so.
-- Invariant: what the owner creates carries no grant to PUBLIC or to an API role until an `access`, `api` or `service` room gives one.
-- Hosted projects differ in their default privileges (older ones grant everything), so they are taken back here, first.

create extension if not exists btree_gist with schema extensions;

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

create table public.locations (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  address text,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint locations_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint locations_address_length check (char_length(address) <= 500)
);
comment on table public.locations is 'A place where an organisation works.';
create index locations_id_idx on public.locations (id);

create table public.location_hours (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  location_id uuid not null,
  day_of_week integer not null,
  opens_time time not null,
  closes_time time not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, location_id) references public.locations (org_id, id) on delete cascade,
  constraint location_hours_day_of_week_range check (day_of_week between 0 and 6),
  constraint location_hours_closes_after_opening check (closes_time > opens_time)
);
comment on table public.location_hours is 'When a location is open, in the organisation''s local time; a location without rows is always open.';
comment on column public.location_hours.day_of_week is '0 is Sunday.';
create index location_hours_location_idx on public.location_hours (org_id, location_id, day_of_week);

-- ── 15_operations/tables.sql ──

-- Operations: who did what, what ran, and what a person must be told.
-- Invariant: the audit logs only grow; they hold ids and column names, and values of the columns in private.audited_columns alone.
-- Not here: pulse (95_overview), what a brake stops (each domain asks private.is_braked).

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
  before jsonb,
  after jsonb,
  reason text,
  refused text,
  support_access_id uuid,
  request_id text,
  primary key (org_id, id)
);
comment on table public.audit_log is 'Who changed what in an organisation, and when; append-only.';
comment on column public.audit_log.actor_id is 'The signed-in person; null for the service and the owner (see actor_role). No key: the log outlives people.';
comment on column public.audit_log.actor_role is 'The database role that the change came through.';
comment on column public.audit_log.changed_columns is 'The names of what changed, whether its values may be kept or not.';
comment on column public.audit_log.before is 'The values before, of the columns in private.audited_columns alone; null where there are none.';
comment on column public.audit_log.after is 'The values after, likewise.';
comment on column public.audit_log.refused is 'The slug of the refusal, where the attempt is what must be known; null: it was done.';
comment on column public.audit_log.support_access_id is 'The support access it was done under: the actor is the person of the platform, not a member.';
comment on column public.audit_log.request_id is 'The request it came with, as the service''s log names it.';
create index audit_log_latest_idx on public.audit_log (org_id, happened_at desc);
create index audit_log_happened_idx on public.audit_log (happened_at);
comment on index public.audit_log_happened_idx is 'Retention, and the operators'' list across organisations.';

create table private.platform_audit_log (
  id uuid not null default gen_random_uuid() primary key,
  happened_at timestamptz not null default clock_timestamp(),
  actor_id uuid,
  actor_role text not null,
  action text not null,
  subject_type text not null,
  subject_id uuid,
  changed_columns text[] not null default '{}',
  before jsonb,
  after jsonb,
  reason text,
  refused text,
  request_id text
);
comment on table private.platform_audit_log is 'What was done to the platform itself, or refused to an operator; append-only, columns as in audit_log.';
create index platform_audit_log_happened_idx on private.platform_audit_log (happened_at desc);

create table private.audited_columns (
  subject_type text not null,
  column_name text not null,
  primary key (subject_type, column_name)
);
comment on table private.audited_columns is 'Whose values the audit logs may keep: nothing of a person, no secret. Any other column is kept by name alone.';

create table private.brakes (
  id uuid not null default gen_random_uuid() primary key,
  kind text not null,
  org_id uuid references public.orgs (id) on delete cascade,
  reason text not null,
  banner text,
  pulled_by uuid references auth.users (id) on delete set null,
  pulled_at timestamptz not null default now(),
  constraint brakes_kind_known check (kind in ('sms', 'email', 'push', 'payments', 'imports', 'automations', 'assistant', 'sign_up')),
  constraint brakes_reason_length check (char_length(btrim(reason)) between 1 and 500),
  constraint brakes_banner_length check (char_length(btrim(banner)) between 1 and 500),
  constraint brakes_kind_once unique nulls not distinct (kind, org_id)
);
comment on table private.brakes is 'What is stopped now: a row is a brake that is on, its history is in the audit logs.';
comment on column private.brakes.org_id is 'Null: for everybody.';
comment on column private.brakes.reason is 'For the operators; apps show the banner.';
comment on column private.brakes.banner is 'What people read meanwhile; null: the apps'' own words.';
create index brakes_org_idx on private.brakes (org_id) where org_id is not null;
create index brakes_pulled_by_idx on private.brakes (pulled_by) where pulled_by is not null;

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

create table private.rate_limits (
  bucket text not null,
  key_hash bytea not null,
  window_started_at timestamptz not null,
  hits integer not null default 1,
  primary key (bucket, key_hash, window_started_at)
);
comment on table private.rate_limits is 'How often somebody has called what anybody may call, in windows of time; whose calls is kept as a hash.';
create index rate_limits_window_idx on private.rate_limits (window_started_at);

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
  phone_e164 text,
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
comment on column public.clients.phone_e164 is 'phone in the one form in which numbers are compared; written here, null where it is none.';
comment on column public.clients.status is 'Free text of the organisation; `active` is the default.';
comment on column public.clients.preferred_time_windows is 'Array of {day, start, end}.';
comment on column public.clients.onboarding_token is 'The open link of the onboarding page; null when none is open.';
comment on column public.clients.portal_token is 'The open link of the portal; null when none is open.';
comment on column public.clients.sms_opt_in is 'Null: never asked.';
create index clients_id_idx on public.clients (id);
create index clients_auth_user_idx on public.clients (auth_user_id) where auth_user_id is not null;
create index clients_name_idx on public.clients (org_id, full_name);
create index clients_phone_idx on public.clients (phone_e164) where phone_e164 is not null;
create index clients_email_idx on public.clients (org_id, lower(email)) where email is not null;
create index clients_onboarding_token_idx on public.clients (onboarding_token) where onboarding_token is not null;
create index clients_portal_token_idx on public.clients (portal_token) where portal_token is not null;

-- ── 27_progress/tables.sql ──

-- Progress: what clients do between sessions and how they develop: check-ins, habits, measurements, photos.
-- Invariant: a photo's path begins with the id of the client it shows, in a row as in the bucket, so that one rule guards both.
-- Not here: what happens in a session (40_scheduling), training plans and imported activities (70_training).

create table public.activity_events (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  type text not null,
  payload jsonb not null,
  photo_paths text[],
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint activity_events_type_known check (type in ('weight', 'habit', 'workout', 'checkin')),
  constraint activity_events_payload_is_object check (jsonb_typeof(payload) = 'object'),
  constraint activity_events_payload_length check (octet_length(payload::text) <= 20000),
  constraint activity_events_photo_paths_count check (cardinality(photo_paths) <= 20)
);
comment on table public.activity_events is 'What a client reports: a weight, a habit kept, a workout, a check-in. Facts: added, never changed.';
comment on column public.activity_events.payload is
  'By type: weight {value, unit}, habit {habit_id, habit_name}, workout {completed}, checkin {notes}; further keys are kept.';
comment on column public.activity_events.photo_paths is 'Paths in the bucket progress-photos, each beginning with the client''s id.';
create index activity_events_id_idx on public.activity_events (id);
create index activity_events_client_idx on public.activity_events (org_id, client_id, created_at desc);
create index activity_events_latest_idx on public.activity_events (client_id, created_at desc);
comment on index public.activity_events_latest_idx is 'The mobile app and the automations ask by client alone.';

create table public.habits (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint habits_name_length check (char_length(btrim(name)) between 1 and 200)
);
comment on table public.habits is 'What an organisation''s clients may be asked to keep up every day.';
create index habits_id_idx on public.habits (id);

create table public.client_habits (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  habit_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, habit_id) references public.habits (org_id, id) on delete cascade,
  constraint client_habits_once unique (org_id, client_id, habit_id)
);
comment on table public.client_habits is 'Which habits a client keeps up; that one was kept is an activity event.';
create index client_habits_client_idx on public.client_habits (client_id);
create index client_habits_habit_idx on public.client_habits (org_id, habit_id);

create table public.measurement_types (
  id uuid primary key,
  name text not null,
  unit text not null,
  category text not null,
  sort_order integer default 0,
  constraint measurement_types_name_unique unique (name)
);
comment on table public.measurement_types is 'What the apps propose to measure, the same for every organisation.';

create table public.client_measurements (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  measurement_type text not null,
  value numeric not null,
  unit text not null,
  notes text,
  measured_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint client_measurements_measurement_type_length check (char_length(btrim(measurement_type)) between 1 and 100),
  constraint client_measurements_value_plausible check (value between -100000 and 100000),
  constraint client_measurements_unit_length check (char_length(unit) between 1 and 20),
  constraint client_measurements_notes_length check (char_length(notes) <= 2000),
  constraint client_measurements_measured_at_past check (measured_at <= created_at + interval '1 day')
);
comment on table public.client_measurements is 'What a coach has measured of a client.';
comment on column public.client_measurements.measurement_type is 'A name of measurement_types, or the coach''s own.';
create index client_measurements_id_idx on public.client_measurements (id);
create index client_measurements_client_idx on public.client_measurements (org_id, client_id, measured_at desc);
create index client_measurements_latest_idx on public.client_measurements (client_id, measured_at desc);

create table public.checkin_photos (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  activity_event_id uuid,
  storage_path text not null,
  photo_type text,
  notes text,
  taken_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, activity_event_id) references public.activity_events (org_id, id) on delete cascade,
  constraint checkin_photos_storage_path_once unique (org_id, storage_path),
  constraint checkin_photos_storage_path_is_the_clients check (starts_with(storage_path, client_id::text || '/')),
  constraint checkin_photos_storage_path_form check (char_length(storage_path) <= 500 and storage_path !~ '(^|/)\.{1,2}(/|$)'),
  constraint checkin_photos_photo_type_known check (photo_type in ('front', 'side', 'back', 'other')),
  constraint checkin_photos_notes_length check (char_length(notes) <= 2000)
);
comment on table public.checkin_photos is 'Progress photos of a client; the picture itself lies in the private bucket progress-photos.';
comment on column public.checkin_photos.storage_path is 'Its path in the bucket, <client_id>/…; shown by a signed URL, since the bucket is never public.';
create index checkin_photos_id_idx on public.checkin_photos (id);
create index checkin_photos_client_idx on public.checkin_photos (org_id, client_id, taken_at desc);
create index checkin_photos_latest_idx on public.checkin_photos (client_id, taken_at desc);
create index checkin_photos_event_idx on public.checkin_photos (org_id, activity_event_id) where activity_event_id is not null;

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

-- ── 35_products/tables.sql ──

-- Products: goods an organisation sells beside its sessions.
-- Not here: sessions and subscriptions (offers, 30_sessions), money taken for goods (60_payments).

create table public.products (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  description text,
  category text,
  price_cents integer not null default 0,
  cost_cents integer,
  currency text not null default 'aud',
  stock_quantity integer,
  sku text,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint products_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint products_description_length check (char_length(description) <= 5000),
  constraint products_category_length check (char_length(category) <= 100),
  constraint products_price_cents_range check (price_cents between 0 and 100000000),
  constraint products_cost_cents_range check (cost_cents between 0 and 100000000),
  constraint products_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint products_stock_quantity_range check (stock_quantity between -1000000 and 1000000),
  constraint products_sku_length check (char_length(sku) <= 100)
);
comment on table public.products is 'Goods that an organisation sells: price, cost and how many are in stock.';
comment on column public.products.price_cents is 'In the minor unit of `currency`, as is cost_cents.';
comment on column public.products.stock_quantity is 'Null: not counted; below zero: sold before it was counted.';
create index products_id_idx on public.products (id);
create index products_name_idx on public.products (org_id, name);

-- ── 40_scheduling/tables.sql ──

-- Scheduling: an organisation's booking settings with THE timezone, staff, session types, hours, and bookings.
-- Invariant: no two occupancies of a staff member overlap, and every booking that is not cancelled has one.
-- Invariant: a booking that is over ends settled: charged, waived or uncovered when it has a package, none when it has not.
-- Not here: two-way sync with external calendars; the feed is one-way.

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
  hold_mins integer not null default 10,
  waitlist_offer_mins integer not null default 60,
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
  constraint booking_settings_hold_mins_range check (hold_mins between 1 and 1440),
  constraint booking_settings_waitlist_offer_mins_range check (waitlist_offer_mins between 1 and 10080),
  constraint booking_settings_no_show_policy_known check (no_show_policy in ('free', 'charge')),
  constraint booking_settings_late_cancellation_policy_known check (late_cancellation_policy in ('refuse', 'free', 'charge'))
);
comment on table public.booking_settings is 'How an organisation takes bookings; an absent row means the defaults.';
comment on column public.booking_settings.timezone is 'The one timezone of the organisation, an IANA name. No other column or setting holds one.';
comment on column public.booking_settings.session_click_window_secs is
  'Two clicks of one person on one package within so many seconds are one click; 0 = every click counts.';
comment on column public.booking_settings.no_show_policy is 'free, or charge: a no-show takes a session like a completed booking.';
comment on column public.booking_settings.hold_mins is 'How long a slot stays held for somebody who is about to book it.';
comment on column public.booking_settings.waitlist_offer_mins is 'How long a freed slot stays held for the one on the waitlist to whom it is offered.';
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
  capacity integer not null default 1,
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
  constraint session_types_capacity_range check (capacity between 1 and 1000),
  constraint session_types_max_per_day_range check (max_per_day between 1 and 1000)
);
comment on table public.session_types is 'Kinds of appointment an organisation offers: length, price, buffers.';
comment on column public.session_types.capacity is 'How many clients one session takes; above one it is a group session.';
comment on column public.session_types.max_per_day is 'At most so many sessions of this type on one local day; a group session is one.';
create index session_types_id_idx on public.session_types (id);

create table public.staff (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete set null,
  full_name text not null,
  email text,
  is_active boolean not null default true,
  deactivated_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint staff_user_once unique (org_id, user_id),
  constraint staff_full_name_length check (char_length(btrim(full_name)) between 1 and 200),
  constraint staff_email_form check (char_length(email) <= 320 and position('@' in email) > 1),
  constraint staff_deactivated_is_inactive check (is_active = (deactivated_at is null))
);
comment on table public.staff is 'Who gives sessions, and so has a calendar; may be a member who signs in, or never sign in.';
comment on column public.staff.email is 'Removed when the person is deactivated; the name stays, for history.';
create index staff_id_idx on public.staff (id);
create index staff_user_idx on public.staff (user_id) where user_id is not null;

create table public.staff_locations (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  staff_id uuid not null,
  location_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  foreign key (org_id, location_id) references public.locations (org_id, id) on delete cascade,
  constraint staff_locations_pair_once unique (org_id, staff_id, location_id)
);
comment on table public.staff_locations is 'Where a staff member works; one without rows works everywhere.';
create index staff_locations_location_idx on public.staff_locations (org_id, location_id);

create table public.session_type_staff (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  session_type_id uuid not null,
  staff_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete cascade,
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  constraint session_type_staff_pair_once unique (org_id, session_type_id, staff_id)
);
comment on table public.session_type_staff is 'Who gives a session type; a type without rows is given by everyone.';
create index session_type_staff_staff_idx on public.session_type_staff (org_id, staff_id);

create table public.session_type_prices (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  session_type_id uuid not null,
  location_id uuid not null,
  price_cents integer not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete cascade,
  foreign key (org_id, location_id) references public.locations (org_id, id) on delete cascade,
  constraint session_type_prices_pair_once unique (org_id, session_type_id, location_id),
  constraint session_type_prices_price_cents_range check (price_cents between 0 and 100000000)
);
comment on table public.session_type_prices is 'A session type''s price at one location, where it differs from session_types.price_cents.';
create index session_type_prices_location_idx on public.session_type_prices (org_id, location_id);

create table public.availability (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete set null,
  staff_id uuid,
  day_of_week integer not null,
  start_time time not null,
  end_time time not null,
  specific_date date,
  is_available boolean default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  constraint availability_day_of_week_range check (day_of_week between 0 and 6),
  constraint availability_ends_after_start check (end_time > start_time),
  constraint availability_specific_date_is_that_day
    check (specific_date is null or extract(dow from specific_date) = day_of_week)
);
comment on table public.availability is
  'When sessions may be booked, in the organisation''s local time: weekly, or for one date, whose open hours replace the whole week''s for that day.';
comment on column public.availability.staff_id is 'Whose hours; null: everyone''s who has no hours of their own.';
comment on column public.availability.user_id is 'The existing app''s word for staff_id; kept in step by trigger.';
comment on column public.availability.is_available is
  'False takes the time away instead: of one date from whatever is open on it, weekly from the weekly hours alone, not from a date''s own.';
create index availability_org_idx on public.availability (org_id, staff_id);
create index availability_user_idx on public.availability (user_id) where user_id is not null;

create table public.blocked_times (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid references auth.users (id) on delete set null,
  staff_id uuid,
  date date,
  day_of_week integer,
  start_time time not null,
  end_time time not null,
  reason text,
  created_at timestamptz default now(),
  primary key (org_id, id),
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  constraint blocked_times_date_or_day check ((date is null) <> (day_of_week is null)),
  constraint blocked_times_day_of_week_range check (day_of_week between 0 and 6),
  constraint blocked_times_ends_after_start check (end_time > start_time),
  constraint blocked_times_reason_length check (char_length(reason) <= 500)
);
comment on table public.blocked_times is 'When nothing may be booked, in the organisation''s local time: on one date, or every week.';
comment on column public.blocked_times.staff_id is 'Whose time; null: everyone''s.';
comment on column public.blocked_times.user_id is 'The existing app''s word for staff_id; kept in step by trigger.';
create index blocked_times_id_idx on public.blocked_times (id);
create index blocked_times_org_idx on public.blocked_times (org_id, staff_id);
create index blocked_times_user_idx on public.blocked_times (user_id) where user_id is not null;

create table public.booking_series (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  interval_weeks integer not null,
  request_id uuid,
  clashes jsonb not null default '[]',
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint booking_series_interval_weeks_known check (interval_weeks in (1, 2))
);
comment on table public.booking_series is 'Bookings that repeat weekly or fortnightly at one local time; each date is a booking of its own.';
comment on column public.booking_series.clashes is
  'The dates that were asked for and not booked, as {on, start_time, outcome}: the same request is told of them again.';
create index booking_series_client_idx on public.booking_series (org_id, client_id);
create index booking_series_created_by_idx on public.booking_series (created_by) where created_by is not null;
create unique index booking_series_request_once on public.booking_series (org_id, request_id) where request_id is not null;

-- The staff member's time as it is taken, buffers included: by the seats of one session, or by a hold. One row carries the
-- exclusion constraint for all bookings of a group session.
create table private.occupancies (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  staff_id uuid not null,
  session_type_id uuid,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  blocked tstzrange not null,
  capacity integer not null,
  seats integer not null,
  expires_at timestamptz,
  primary key (org_id, id),
  -- Carries the key to orgs too, one look less at every booking. Their bookings keep staff from being deleted, not what is held.
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete restrict,
  constraint occupancies_seats_within_capacity check (seats between 0 and capacity),
  constraint occupancies_blocked_covers_session check (blocked @> tstzrange(starts_at, ends_at)),
  constraint occupancies_no_overlap exclude using gist (
    org_id extensions.gist_uuid_ops with =, staff_id extensions.gist_uuid_ops with =, blocked with &&) where (seats > 0)
) with (fillfactor = 80);
comment on table private.occupancies is 'The time of a staff member that is taken, buffers included; no two overlap.';
comment on column private.occupancies.seats is 'Seats taken; at 0 the time is free again and the row is on its way out.';
comment on column private.occupancies.expires_at is 'Set while all seats are only held, to the end of the last hold: from then on it is in nobody''s way.';
create index occupancies_staff_idx on private.occupancies (org_id, staff_id, starts_at);
create index occupancies_session_type_idx on private.occupancies (org_id, session_type_id) where session_type_id is not null;
create index occupancies_held_idx on private.occupancies (org_id, staff_id, expires_at) where expires_at is not null;
comment on index private.occupancies_held_idx is 'What is only held: a refusal asks whether it has run out.';

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
  staff_id uuid not null,
  location_id uuid,
  occupancy_id uuid,
  series_id uuid,
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
  ics_sequence integer not null default 0,
  timed_at timestamptz not null default now(),
  request_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete restrict,
  foreign key (org_id, location_id) references public.locations (org_id, id) on delete restrict,
  foreign key (org_id, occupancy_id) references private.occupancies (org_id, id) on delete restrict,
  foreign key (org_id, series_id) references public.booking_series (org_id, id) on delete restrict,
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
  constraint bookings_cancelled_takes_no_time check ((occupancy_id is null) = (status = 'cancelled')),
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
comment on column public.bookings.staff_id is 'Whose calendar; a direct insert by the existing app takes the signed-in member''s own.';
comment on column public.bookings.occupancy_id is 'The time it takes; null when cancelled. Bookings of one group session share it.';
comment on column public.bookings.ics_sequence is 'Rises with each change that a calendar file must show (RFC 5545 SEQUENCE).';
comment on column public.bookings.timed_at is 'When it was last given its start: reminders that were due before are not sent late.';
comment on column public.bookings.request_id is 'The caller''s id of one booking; the same id books once.';
create index bookings_id_idx on public.bookings (id);
create index bookings_calendar_idx on public.bookings (org_id, start_time);
create index bookings_client_idx on public.bookings (org_id, client_id, purchase_id);
create index bookings_package_open_idx on public.bookings (org_id, purchase_id, end_time)
  where purchase_id is not null and (settlement = 'due' or (settlement is null and status in ('pending', 'confirmed')));
create index bookings_follow_up_idx on public.bookings (org_id, purchase_id) where follow_up_by is not null;
create index bookings_overdue_idx on public.bookings (end_time)
  where status = 'confirmed' and completion_undone_at is null;
create index bookings_due_idx on public.bookings (due_since) where settlement = 'due';
create index bookings_staff_idx on public.bookings (org_id, staff_id, start_time);
create index bookings_location_idx on public.bookings (org_id, location_id) where location_id is not null;
create index bookings_occupancy_idx on public.bookings (org_id, occupancy_id) where occupancy_id is not null;
create index bookings_series_idx on public.bookings (org_id, series_id, start_time) where series_id is not null;
create index bookings_unconfirmed_idx on public.bookings (org_id, start_time)
  where status = 'confirmed' and confirmation_sent_at is not null and client_confirmed is not true;
create index bookings_changed_idx on public.bookings (org_id, updated_at);
create unique index bookings_request_once on public.bookings (org_id, request_id) where request_id is not null;
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

create table private.holds (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  occupancy_id uuid,
  client_id uuid,
  session_type_id uuid,
  location_id uuid,
  staff_id uuid not null,
  start_time timestamptz not null,
  end_time timestamptz not null,
  expires_at timestamptz not null,
  status text not null default 'held',
  booking_id uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, occupancy_id) references private.occupancies (org_id, id) on delete restrict,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete cascade,
  foreign key (org_id, location_id) references public.locations (org_id, id) on delete cascade,
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete cascade,
  constraint holds_status_known check (status in ('held', 'booked', 'expired', 'released')),
  constraint holds_held_takes_time check ((status = 'held') = (occupancy_id is not null)),
  constraint holds_booked_names_booking check ((status = 'booked') = (booking_id is not null))
);
-- No key of its own to orgs: its staff member's carries it, and a second path from bookings to orgs would make the embed
-- `bookings … orgs(…)` ambiguous to the embedded Data API.
comment on table private.holds is 'A slot kept for some minutes for somebody who is about to book it. Its id is the secret that books it.';
create index holds_id_idx on private.holds (id);
create index holds_occupancy_idx on private.holds (org_id, occupancy_id) where occupancy_id is not null;
create index holds_client_idx on private.holds (org_id, client_id) where client_id is not null;
create index holds_session_type_idx on private.holds (org_id, session_type_id) where session_type_id is not null;
create index holds_location_idx on private.holds (org_id, location_id) where location_id is not null;
create index holds_staff_idx on private.holds (org_id, staff_id);
create index holds_booking_idx on private.holds (org_id, booking_id) where booking_id is not null;
create index holds_expiry_idx on private.holds (expires_at) where status = 'held';
create index holds_changed_idx on private.holds (org_id, updated_at);
comment on index private.holds_changed_idx is 'Whether free time changed since a calendar last asked.';

create table public.waitlist_entries (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  session_type_id uuid,
  staff_id uuid,
  on_date date not null,
  start_time timestamptz,
  status text not null default 'waiting',
  hold_id uuid,
  offered_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, session_type_id) references public.session_types (org_id, id) on delete cascade,
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  foreign key (org_id, hold_id) references private.holds (org_id, id) on delete restrict,
  constraint waitlist_entries_status_known check (status in ('waiting', 'offered', 'booked', 'expired', 'cancelled')),
  constraint waitlist_entries_offered_is_held check (status not in ('offered', 'booked') or hold_id is not null)
);
comment on table public.waitlist_entries is 'A client who waits for a local day, or for one start; a cancellation is offered to the first who fits.';
comment on column public.waitlist_entries.start_time is 'The one start that is wanted; null: any on that day.';
create index waitlist_entries_id_idx on public.waitlist_entries (id);
create unique index waitlist_entries_once on public.waitlist_entries (org_id, client_id, on_date, session_type_id, start_time)
  where status in ('waiting', 'offered');
create index waitlist_entries_client_idx on public.waitlist_entries (org_id, client_id);
create index waitlist_entries_waiting_idx on public.waitlist_entries (org_id, on_date, created_at) where status = 'waiting';
create index waitlist_entries_session_type_idx on public.waitlist_entries (org_id, session_type_id) where session_type_id is not null;
create index waitlist_entries_staff_idx on public.waitlist_entries (org_id, staff_id) where staff_id is not null;
create index waitlist_entries_hold_idx on public.waitlist_entries (org_id, hold_id) where hold_id is not null;

-- Added to and never updated: whoever changes hours waits for nobody, and a booking writes nothing here.
create table private.calendar_changes (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  kind text not null,
  booking_id uuid,
  changed_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint calendar_changes_kind_known check (kind in ('timezone', 'blocks', 'free', 'removed')),
  constraint calendar_changes_removed_names_booking check ((kind = 'removed') = (booking_id is not null))
);
comment on table private.calendar_changes is
  'What open calendars cannot read off bookings and holds: when timezone, blocks or hours changed, and which bookings were deleted. Kept for eight days.';
comment on column private.calendar_changes.kind is
  'timezone: every local time; blocks: blocked times; free: hours, staff, a deleted hold; removed: a booking was deleted.';
comment on column private.calendar_changes.booking_id is 'The booking that is no more; so not a foreign key.';
create index calendar_changes_org_idx on private.calendar_changes (org_id, changed_at);

create table private.calendar_feeds (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  staff_id uuid,
  client_id uuid,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  revoked_at timestamptz,
  primary key (org_id, id),
  foreign key (org_id, staff_id) references public.staff (org_id, id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint calendar_feeds_one_subject check ((staff_id is null) <> (client_id is null))
);
comment on table private.calendar_feeds is
  'A calendar that other programs may subscribe to: a staff member''s or a client''s bookings. Ends when it is revoked, its staff member deactivated, or whoever opened it leaves.';
create index calendar_feeds_staff_idx on private.calendar_feeds (org_id, staff_id) where staff_id is not null;
create index calendar_feeds_client_idx on private.calendar_feeds (org_id, client_id) where client_id is not null;
create index calendar_feeds_created_by_idx on private.calendar_feeds (created_by) where created_by is not null;

-- A directory: unique across organisations, found without one, so it is not sharded.
create table private.calendar_feed_tokens (
  token_hash bytea primary key,
  org_id uuid not null,
  feed_id uuid not null,
  foreign key (org_id, feed_id) references private.calendar_feeds (org_id, id) on delete cascade
);
comment on table private.calendar_feed_tokens is 'Which feed a token opens; only its hash is kept, so that nobody can read it back.';
create index calendar_feed_tokens_feed_idx on private.calendar_feed_tokens (org_id, feed_id);

-- ── 50_messaging/tables.sql ──

-- Messaging: one outbox for SMS, email and push; what the world answers; threads, templates, reminders.
-- Invariant: a message only moves forward; what a provider may have accepted is never sent again by itself.
-- Invariant: one intent is one message (idempotency_key), and no SMS leaves inside an organisation's quiet hours.
-- Not here: the text of a waiver or onboarding form, and leads (they come with the client's journey).

create table private.message_kinds (
  kind text primary key,
  variables text[] not null,
  subject text not null,
  body text not null,
  asks_confirmation boolean not null default false,
  is_urgent_allowed boolean not null default false,
  priority smallint not null default 0,
  constraint message_kinds_priority_range check (priority between 0 and 1)
);
comment on table private.message_kinds is 'What a message can be about: its placeholders and the words it has until an organisation saves its own.';
comment on column private.message_kinds.asks_confirmation is 'Invites Y and R: a client''s Y confirms the booking it is about.';
comment on column private.message_kinds.is_urgent_allowed is 'An organisation may exempt it from quiet hours when its session is within the hour.';
comment on column private.message_kinds.priority is '0: about a session; 1: may wait behind all of these, however many there are.';

create table private.phone_regions (
  region text primary key,
  calling_code text not null,
  trunk_prefix text,
  mobile_digits smallint not null,
  constraint phone_regions_region_form check (region ~ '^[A-Z]{2}$')
);
comment on table private.phone_regions is 'How phone numbers are dialled: the calling code of a region (ISO 3166-1) and what a national number begins with.';
comment on column private.phone_regions.mobile_digits is 'How long a mobile number is at most, without what it begins with: more digits hold the country code.';

create table private.platform_settings (
  name text primary key,
  value text not null,
  constraint platform_settings_name_known check (name in ('app_url'))
);
comment on table private.platform_settings is 'What holds for the whole platform: app_url, the address of the apps'' pages in links.';

create table public.sms_settings (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  enabled boolean not null default true,
  twilio_account_sid text,
  twilio_auth_token_encrypted text,
  twilio_messaging_service_sid text,
  twilio_phone_number text,
  quiet_hours_start integer default 21,
  quiet_hours_end integer default 8,
  max_sms_per_hour integer default 100,
  max_sms_per_client_per_day integer default 5,
  send_booking_confirmations boolean default true,
  send_session_reminders boolean default true,
  send_feedback_requests boolean default true,
  send_unconfirmed_nudges boolean not null default true,
  low_package_sessions integer not null default 0,
  falls_back_to_email boolean not null default true,
  urgent_kinds text[] not null default '{}',
  locale text not null default 'en-AU',
  phone_region text not null default 'AU' references private.phone_regions (region) on delete restrict,
  updated_at timestamptz not null default now(),
  constraint sms_settings_quiet_hours_start_range check (quiet_hours_start between 0 and 23),
  constraint sms_settings_quiet_hours_end_range check (quiet_hours_end between 0 and 23),
  constraint sms_settings_max_sms_per_hour_range check (max_sms_per_hour between 1 and 100000),
  constraint sms_settings_max_sms_per_client_per_day_range check (max_sms_per_client_per_day between 1 and 1000),
  constraint sms_settings_low_package_sessions_range check (low_package_sessions between 0 and 3),
  constraint sms_settings_locale_known check (locale in ('en-AU', 'en-NZ', 'en-GB', 'en-IE', 'en-CA', 'en-US')),
  constraint sms_settings_phone_number_form check (twilio_phone_number ~ '^\+[1-9][0-9]{6,14}$'),
  constraint sms_settings_account_is_whole check (
    (twilio_account_sid is null) = (twilio_auth_token_encrypted is null)
    and (twilio_account_sid is null or num_nonnulls(twilio_messaging_service_sid, twilio_phone_number) > 0))
);
comment on table public.sms_settings is 'How an organisation sends messages; an absent row means the defaults.';
comment on column public.sms_settings.twilio_auth_token_encrypted is 'Encrypted by the service with COACH_ENCRYPTION_KEY; no app reads it.';
comment on column public.sms_settings.quiet_hours_start is 'Local hour from which no SMS leaves; equal to quiet_hours_end: no quiet hours.';
comment on column public.sms_settings.max_sms_per_hour is 'In any sixty minutes; null: no limit.';
comment on column public.sms_settings.max_sms_per_client_per_day is 'To one client on one local day; null: no limit.';
comment on column public.sms_settings.low_package_sessions is 'Tell the client when so many sessions are left of a package; 0: never.';
comment on column public.sms_settings.urgent_kinds is 'Kinds that may break quiet hours when their session is within the hour, of those that allow it.';
comment on column public.sms_settings.locale is 'How dates and times are written.';
comment on column public.sms_settings.phone_region is 'Where a phone number without a country code is from.';
create index sms_settings_phone_region_idx on public.sms_settings (phone_region);
create index sms_settings_phone_number_idx on public.sms_settings (twilio_phone_number) where twilio_phone_number is not null;
create index sms_settings_account_idx on public.sms_settings (twilio_account_sid) where twilio_account_sid is not null;

create table public.sms_templates (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  template_key text not null,
  name text not null,
  description text,
  body text not null,
  variables_schema jsonb not null default '[]',
  is_active boolean not null default true,
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint sms_templates_version_once unique (org_id, template_key, version),
  constraint sms_templates_template_key_form check (template_key ~ '^[a-z0-9][a-z0-9_-]{0,79}$'),
  constraint sms_templates_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint sms_templates_body_length check (char_length(btrim(body)) between 1 and 1600)
);
comment on table public.sms_templates is 'An organisation''s own words: the newest active version of a key is used, also in emails.';
comment on column public.sms_templates.template_key is 'A kind of message (booking_confirmation, …), or a name of the organisation''s own.';
comment on column public.sms_templates.version is 'Given here: one more than the key has.';
comment on column public.sms_templates.variables_schema is 'The placeholders of the body, as an array of names; written here.';

create table public.sms_schedules (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  type text not null,
  label text not null,
  mins_offset integer not null default 60,
  body text not null,
  enabled boolean not null default true,
  sort_order integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint sms_schedules_type_known check (type in ('pre_session', 'post_session')),
  constraint sms_schedules_label_length check (char_length(btrim(label)) between 1 and 200),
  constraint sms_schedules_mins_offset_range check (mins_offset between 1 and 20160),
  constraint sms_schedules_body_length check (char_length(btrim(body)) between 1 and 1600)
);
comment on table public.sms_schedules is 'When clients are reminded before, or written to after, a session.';
comment on column public.sms_schedules.mins_offset is 'Minutes before its start or after its end.';

create table public.sms_suppression (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  phone text not null,
  reason text not null,
  source text not null default 'system',
  notes text,
  client_id uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete set null (client_id),
  constraint sms_suppression_phone_once unique (org_id, phone),
  constraint sms_suppression_reason_known check (reason in ('opt_out', 'invalid_number', 'carrier_violation', 'manual')),
  constraint sms_suppression_phone_form check (phone ~ '^\+[1-9][0-9]{6,14}$')
);
comment on table public.sms_suppression is 'Numbers (E.164) that an organisation sends no SMS to, and why.';
create index sms_suppression_client_idx on public.sms_suppression (org_id, client_id) where client_id is not null;

create table public.marketing_sends (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  body text not null,
  recipient_filter text not null,
  total integer not null default 0,
  queued integer not null default 0,
  skipped jsonb not null default '{}',
  request_id uuid,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint marketing_sends_recipient_filter_known check (recipient_filter in ('all', 'active', 'manual')),
  constraint marketing_sends_body_length check (char_length(btrim(body)) between 1 and 1600)
);
comment on table public.marketing_sends is 'One text to many clients; its messages are in the outbox.';
comment on column public.marketing_sends.skipped is 'How many were left out, by reason.';
create unique index marketing_sends_request_once on public.marketing_sends (org_id, request_id) where request_id is not null;
create index marketing_sends_created_by_idx on public.marketing_sends (created_by) where created_by is not null;

create table public.outbox_messages (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  channel text not null,
  kind text not null,
  client_id uuid,
  booking_id uuid,
  schedule_id uuid,
  template_id uuid,
  template_key text,
  marketing_send_id uuid,
  to_address text,
  subject text,
  body text,
  variables jsonb not null default '{}',
  metadata jsonb not null default '{}',
  related_entity_type text,
  related_entity_id uuid,
  status text not null,
  priority smallint not null default 0,
  scheduled_for timestamptz not null default now(),
  next_at timestamptz not null,
  expires_at timestamptz not null,
  idempotency_key text,
  cause_id uuid,
  cause text,
  composed_at timestamptz,
  claim uuid,
  claimed_at timestamptz,
  worker text,
  attempts integer not null default 0,
  provider text,
  provider_account text,
  provider_message_id text,
  sent_at timestamptz,
  delivered_at timestamptz,
  failed_at timestamptz,
  error_code text,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete cascade,
  foreign key (org_id, schedule_id) references public.sms_schedules (org_id, id) on delete set null (schedule_id),
  foreign key (org_id, template_id) references public.sms_templates (org_id, id) on delete set null (template_id),
  foreign key (org_id, marketing_send_id) references public.marketing_sends (org_id, id) on delete set null (marketing_send_id),
  foreign key (org_id, cause_id) references public.outbox_messages (org_id, id) on delete set null (cause_id),
  constraint outbox_messages_intent_once unique (org_id, idempotency_key),
  constraint outbox_messages_channel_known check (channel in ('sms', 'email', 'push')),
  constraint outbox_messages_status_known check (status in (
    'pending', 'queued', 'sending', 'sent', 'delivered', 'undelivered', 'failed', 'cancelled', 'expired', 'unknown')),
  constraint outbox_messages_sending_is_claimed check (status <> 'sending' or claim is not null),
  constraint outbox_messages_cause_known check ((cause_id is null or cause is not null) and cause in ('fallback', 'retry')),
  constraint outbox_messages_address_or_client check (client_id is not null or to_address is not null),
  constraint outbox_messages_body_length check (char_length(body) <= 10000)
) with (fillfactor = 70);
comment on table public.outbox_messages is 'Every message to a client or coach, whatever its channel, from the intent to what became of it.';
comment on column public.outbox_messages.kind is 'What it is about: a row of private.message_kinds.';
comment on column public.outbox_messages.body is 'Null until it is sent where it is composed from a template: its words are those of that moment.';
comment on column public.outbox_messages.composed_at is 'When its words were made for an attempt; null where they were given, which are never made anew.';
comment on column public.outbox_messages.to_address is 'Phone (E.164) or email; where it is for a client, filled in when it is sent.';
comment on column public.outbox_messages.scheduled_for is 'When it was meant to leave; next_at is when it may.';
comment on column public.outbox_messages.next_at is 'When it may next be claimed; while sending, until when it is the claim''s; while unknown, when to look it up.';
comment on column public.outbox_messages.expires_at is 'From when on it is of no use to anybody.';
comment on column public.outbox_messages.cause_id is 'The message it stands in for: a fallback to email, or an operator''s retry.';
comment on column public.outbox_messages.claim is 'Whose attempt it is: a result must name it.';
comment on column public.outbox_messages.metadata is 'What composing needs besides: the link, the previous start.';
create index outbox_messages_id_idx on public.outbox_messages (id);
create index outbox_messages_due_idx on public.outbox_messages (priority, next_at) where status in ('pending', 'queued');
create index outbox_messages_leased_idx on public.outbox_messages (next_at) where status in ('sending', 'unknown');
create index outbox_messages_sent_idx on public.outbox_messages (org_id, claimed_at) where channel = 'sms' and claimed_at is not null;
create index outbox_messages_history_idx on public.outbox_messages (org_id, created_at desc, id desc);
create index outbox_messages_client_idx on public.outbox_messages (org_id, client_id, created_at desc) where client_id is not null;
create index outbox_messages_booking_idx on public.outbox_messages (org_id, booking_id) where booking_id is not null;
create index outbox_messages_schedule_idx on public.outbox_messages (org_id, schedule_id) where schedule_id is not null;
create index outbox_messages_template_idx on public.outbox_messages (org_id, template_id) where template_id is not null;
create index outbox_messages_marketing_idx on public.outbox_messages (org_id, marketing_send_id) where marketing_send_id is not null;
create unique index outbox_messages_fallback_once on public.outbox_messages (org_id, cause_id) where cause = 'fallback';
create index outbox_messages_cause_idx on public.outbox_messages (org_id, cause_id) where cause_id is not null;
create index outbox_messages_provider_idx on public.outbox_messages (provider_message_id) where provider_message_id is not null;
create index outbox_messages_to_idx on public.outbox_messages (to_address, claimed_at desc) where channel = 'sms' and claimed_at is not null;
create index outbox_messages_created_by_idx on public.outbox_messages (created_by) where created_by is not null;
comment on index public.outbox_messages_due_idx is 'The claim''s work list; its cost grows with what is due, not with the history.';
comment on index public.outbox_messages_sent_idx is 'What counts towards an organisation''s hourly limit.';
comment on index public.outbox_messages_to_idx is 'Whose answer an incoming SMS on a shared number is.';

create table public.outbox_attempts (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  message_id uuid not null,
  attempt_number integer not null,
  claim uuid not null,
  provider text not null,
  provider_message_id text,
  status text not null,
  http_status integer,
  error_code text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, message_id) references public.outbox_messages (org_id, id) on delete cascade,
  constraint outbox_attempts_claim_once unique (org_id, message_id, claim),
  constraint outbox_attempts_status_known check (status in ('sent', 'deferred', 'failed', 'unknown'))
);
comment on table public.outbox_attempts is 'Each try to hand a message to a provider, and how it ended.';

create table public.outbox_events (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  message_id uuid not null,
  provider text not null,
  provider_message_id text not null,
  event_type text not null,
  event_status text,
  error_code text,
  event_payload jsonb not null default '{}',
  dedupe_key text not null,
  received_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, message_id) references public.outbox_messages (org_id, id) on delete cascade,
  constraint outbox_events_once unique (org_id, dedupe_key)
);
comment on table public.outbox_events is 'What a provider told of a message, in the order it told; append-only.';
create index outbox_events_message_idx on public.outbox_events (org_id, message_id);

create table private.unmatched_sms_events (
  id uuid primary key default gen_random_uuid(),
  provider_message_id text not null,
  event_status text not null,
  error_code text,
  event_payload jsonb not null default '{}',
  received_at timestamptz not null default clock_timestamp(),
  constraint unmatched_sms_events_once unique (provider_message_id, event_status)
);
comment on table private.unmatched_sms_events is 'Status callbacks of messages that are not known yet; matched when they are, kept for a week.';
create index unmatched_sms_events_received_idx on private.unmatched_sms_events (received_at);

create table private.provider_limits (
  id uuid primary key default gen_random_uuid(),
  channel text not null,
  account text not null default '',
  until_at timestamptz not null,
  constraint provider_limits_account_once unique (channel, account)
);
comment on table private.provider_limits is 'Providers'' accounts that asked to be left alone, and until when; '''' is the platform''s own.';

create table public.inbound_messages (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid,
  booking_id uuid,
  from_phone text not null,
  to_phone text not null,
  body text not null,
  media_count integer not null default 0,
  kind text not null,
  provider_message_id text not null,
  received_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete set null (booking_id),
  constraint inbound_messages_kind_known check (kind in (
    'confirmed', 'nothing_to_confirm', 'reschedule_requested', 'opted_out', 'cancel_requested', 'opted_in', 'help', 'message',
    'ambiguous', 'sender_unknown')),
  constraint inbound_messages_body_length check (char_length(body) <= 10000)
);
comment on table public.inbound_messages is 'Every SMS that came in, and what it was taken for.';
comment on column public.inbound_messages.client_id is 'Null where the number is nobody''s, or more than one client''s: that is told, never guessed.';
create index inbound_messages_latest_idx on public.inbound_messages (org_id, received_at desc);
create index inbound_messages_client_idx on public.inbound_messages (org_id, client_id) where client_id is not null;
create index inbound_messages_booking_idx on public.inbound_messages (org_id, booking_id) where booking_id is not null;

create table private.inbound_sids (
  message_sid text primary key,
  answer jsonb not null default '{}',
  received_at timestamptz not null default clock_timestamp()
);
comment on table private.inbound_sids is 'Which incoming messages were taken in: the same one again has no effect and the same answer.';
create index inbound_sids_received_idx on private.inbound_sids (received_at);

create table public.message_threads (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  trainer_last_read_at timestamptz,
  client_last_read_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade
);
comment on table public.message_threads is 'The conversation with one client.';
create unique index message_threads_client_once on public.message_threads (org_id, client_id);
create index message_threads_id_idx on public.message_threads (id);

create table public.messages (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  thread_id uuid not null,
  sender_type text not null,
  sender_user_id uuid references auth.users (id) on delete set null,
  body text not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, thread_id) references public.message_threads (org_id, id) on delete cascade,
  constraint messages_sender_type_known check (sender_type in ('trainer', 'client', 'system')),
  constraint messages_body_length check (char_length(btrim(body)) between 1 and 10000)
);
comment on table public.messages is 'What was said in a conversation.';
create index messages_thread_idx on public.messages (org_id, thread_id, created_at);
create index messages_sender_idx on public.messages (sender_user_id) where sender_user_id is not null;

-- Its key is the app's upsert key, so it is a directory: a device belongs to one row wherever its client is.
create table public.push_tokens (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  expo_token text not null,
  device_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint push_tokens_device_once unique (client_id, expo_token),
  constraint push_tokens_expo_token_length check (char_length(expo_token) between 1 and 300)
);
comment on table public.push_tokens is 'The devices of a client that push messages go to.';
create index push_tokens_client_idx on public.push_tokens (org_id, client_id);
create index push_tokens_expo_token_idx on public.push_tokens (expo_token);

create table public.client_communications (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  user_id uuid references auth.users (id) on delete set null,
  type text not null,
  direction text not null,
  subject text,
  content text not null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint client_communications_type_known check (type in ('phone', 'sms', 'email', 'in_person', 'note', 'video')),
  constraint client_communications_direction_known check (direction in ('outbound', 'inbound')),
  constraint client_communications_subject_length check (char_length(subject) <= 500),
  constraint client_communications_content_length check (char_length(content) <= 20000)
);
comment on table public.client_communications is 'The log of what was exchanged with a client, by hand or by message.';
create index client_communications_client_idx on public.client_communications (org_id, client_id, created_at desc);
create index client_communications_user_idx on public.client_communications (user_id) where user_id is not null;

-- ── 55_automations/tables.sql ──

-- Automations: what happens to clients by itself, at a local time or when something happened; and how likely a client is to leave.
-- Invariant: an automation fires once for each due time and once for each event, however many workers there are.
-- Invariant: a run with a failed action is failed, and says which.
-- Not here: the outbox that texts and pushes leave through (50_messaging).

create table public.automations (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  enabled boolean not null default true,
  trigger jsonb not null,
  conditions jsonb not null,
  actions jsonb not null,
  guardrails jsonb not null,
  next_run_at timestamptz,
  enabled_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint automations_name_length check (char_length(btrim(name)) between 1 and 200)
) with (fillfactor = 80);
comment on table public.automations is 'What happens by itself: when (trigger), to whom (conditions), what (actions), and how often at most (guardrails).';
comment on column public.automations.trigger is
  '{type: schedule, schedule: hourly | daily | weekly | fortnightly | monthly, time, minute, day_of_week, day_of_month, starts_on, missed, grace_hours} or {type: event, event, days}; checked when saved.';
comment on column public.automations.conditions is 'Array of {field, operator, value}: a client meets all of them.';
comment on column public.automations.actions is 'Array of {type: send_message | send_push | notify_trainer | webhook, params}; checked when saved.';
comment on column public.automations.guardrails is
  '{max_per_client_per_day, max_per_client_per_week, quiet_hours_start, quiet_hours_end, dedupe_hours}, each of which may be left out.';
comment on column public.automations.next_run_at is 'When it is due next; null where an event starts it, and while it is off.';
comment on column public.automations.enabled_at is 'Since when it is on: what happened before starts nothing.';
create index automations_id_idx on public.automations (id);
create index automations_due_idx on public.automations (next_run_at) where next_run_at is not null;
-- What is looked up whenever something happens.
create index automations_event_idx on public.automations (org_id, (trigger ->> 'event')) where enabled and trigger ->> 'event' is not null;

create table public.automation_firings (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  automation_id uuid not null,
  due_at timestamptz not null,
  next_at timestamptz not null,
  event text,
  event_key text,
  client_id uuid,
  status text not null default 'pending',
  reason text,
  missed integer not null default 0,
  ok_count integer not null default 0,
  failed_count integer not null default 0,
  skipped jsonb not null default '{}',
  fired_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, automation_id) references public.automations (org_id, id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint automation_firings_status_known check (status in ('pending', 'ok', 'failed', 'skipped')),
  constraint automation_firings_event_is_whole check (num_nonnulls(event, event_key, client_id) in (0, 3))
) with (fillfactor = 80);
comment on table public.automation_firings is 'Each time an automation was due, by its schedule or by an event, and what came of it; its recipients are in automation_runs.';
comment on column public.automation_firings.next_at is 'When it may fire: due_at, or when quiet hours end.';
comment on column public.automation_firings.event_key is 'What happened, by the name its rule gave: the same again fires nothing.';
comment on column public.automation_firings.client_id is 'Whom the event is about; null where a schedule is due for everybody.';
comment on column public.automation_firings.reason is 'Why it is skipped or failed: a slug, or the action that failed.';
comment on column public.automation_firings.missed is 'How many due times before this one were passed over, since nothing swept then.';
comment on column public.automation_firings.skipped is 'How many of the audience were left out, by reason.';
create unique index automation_firings_due_once on public.automation_firings (org_id, automation_id, due_at) where event_key is null;
create unique index automation_firings_event_once on public.automation_firings (org_id, automation_id, event_key) where event_key is not null;
create index automation_firings_pending_idx on public.automation_firings (next_at) where status = 'pending';
create index automation_firings_automation_idx on public.automation_firings (org_id, automation_id, due_at desc);
create index automation_firings_client_idx on public.automation_firings (org_id, client_id) where client_id is not null;

create table public.automation_runs (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  firing_id uuid not null,
  automation_id uuid not null,
  client_id uuid not null,
  fired_at timestamptz not null default now(),
  status text not null,
  reason text,
  actions_fired jsonb not null default '[]',
  primary key (org_id, id),
  foreign key (org_id, firing_id) references public.automation_firings (org_id, id) on delete cascade,
  foreign key (org_id, automation_id) references public.automations (org_id, id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint automation_runs_recipient_once unique (org_id, firing_id, client_id),
  constraint automation_runs_status_known check (status in ('ok', 'skipped', 'failed'))
) with (fillfactor = 80);
comment on table public.automation_runs is 'What an automation did for one client: ok, skipped for a reason, or failed.';
comment on column public.automation_runs.reason is 'skipped: the guardrail; failed: the first action that failed, and why. Who is skipped for the same reason again has no new row.';
comment on column public.automation_runs.actions_fired is 'Array of {type, status: ok | failed | pending, reason, message_id | delivery_id}, in the order of the actions.';
-- Caps and dedupe count what a client got of an automation lately; the app lists an organisation's latest.
create index automation_runs_client_idx on public.automation_runs (org_id, automation_id, client_id, fired_at desc);
create index automation_runs_latest_idx on public.automation_runs (org_id, fired_at desc);
create index automation_runs_of_client_idx on public.automation_runs (org_id, client_id);

create table public.webhook_endpoints (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  name text not null,
  url text not null,
  secret_encrypted text not null,
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint webhook_endpoints_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint webhook_endpoints_url_form check (url ~ '^https?://[^\s@/?#]+([/?][^\s#]*)?$' and char_length(url) <= 2000)
);
comment on table public.webhook_endpoints is 'Where an organisation''s webhook actions post to.';
comment on column public.webhook_endpoints.secret_encrypted is 'What signs a post, encrypted by the service with COACH_ENCRYPTION_KEY; no app reads it.';

create table public.webhook_deliveries (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  endpoint_id uuid not null,
  run_id uuid not null,
  action_index integer not null,
  payload jsonb not null,
  status text not null default 'pending',
  next_at timestamptz not null default now(),
  expires_at timestamptz not null,
  attempts integer not null default 0,
  claim uuid,
  http_status integer,
  error_code text,
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, endpoint_id) references public.webhook_endpoints (org_id, id) on delete cascade,
  foreign key (org_id, run_id) references public.automation_runs (org_id, id) on delete cascade,
  constraint webhook_deliveries_action_once unique (org_id, run_id, action_index),
  constraint webhook_deliveries_status_known check (status in ('pending', 'sending', 'ok', 'failed'))
) with (fillfactor = 70);
comment on table public.webhook_deliveries is 'Each post of a webhook action: tried again with growing pauses until it is taken or expires; its id lets the receiver tell a repeat.';
comment on column public.webhook_deliveries.next_at is 'When it may be tried; while sending, until when it is the claim''s.';
create index webhook_deliveries_due_idx on public.webhook_deliveries (next_at) where status in ('pending', 'sending');
create index webhook_deliveries_endpoint_idx on public.webhook_deliveries (org_id, endpoint_id, created_at desc);

create table public.risk_settings (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  red_from integer not null default 50,
  amber_from integer not null default 25,
  inactive_days integer not null default 14,
  updated_at timestamptz not null default now(),
  constraint risk_settings_red_from_range check (red_from between 1 and 100),
  constraint risk_settings_amber_from_range check (amber_from between 1 and 100),
  constraint risk_settings_amber_below_red check (amber_from < red_from),
  constraint risk_settings_inactive_days_range check (inactive_days between 1 and 365)
);
comment on table public.risk_settings is 'From which score on a client is at risk; an absent row means the defaults.';
comment on column public.risk_settings.inactive_days is 'After so many days without activity a client counts as inactive.';

-- One row for each client, their latest: a list of who is at risk shows nobody twice, and nobody as they were.
create table public.client_risk (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  as_of_date date not null,
  score integer not null,
  tier text not null,
  reasons text[] not null default '{}',
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint client_risk_score_range check (score between 0 and 100),
  constraint client_risk_tier_known check (tier in ('green', 'amber', 'red'))
) with (fillfactor = 80);
comment on table public.client_risk is 'How likely a client is to leave, as of their organisation''s latest scored day: 0 to 100, the tier by risk_settings, and why.';
-- An index, not a constraint: the apps read a client's risk as an array.
create unique index client_risk_client_once on public.client_risk (org_id, client_id);
create index client_risk_day_idx on public.client_risk (org_id, as_of_date);
create index client_risk_tier_idx on public.client_risk (org_id, tier, score desc);

-- ── 65_billing/tables.sql ──

-- Billing: what an organisation pays the platform, and what it may therefore use.
-- Invariant: what an organisation may use is derived, whenever it is asked, from grants that know nothing of each other: trials and
-- comps (plan_grants), the mirror of its subscriptions (org_subscriptions), the default plan. No event of one changes another.
-- Not here: what clients pay an organisation (60_payments). Where there is no plan at all, everything is allowed.

create table private.features (
  feature text primary key,
  description text not null,
  is_limit boolean not null default false,
  constraint features_feature_form check (feature ~ '^[a-z_]{1,40}$')
);
comment on table private.features is 'What a plan can have: doors that ask for it, and what is counted.';
comment on column private.features.is_limit is 'True where a plan gives a number: how many there may be.';

create table public.plans (
  plan text primary key,
  name text not null,
  description text not null default '',
  price_cents bigint not null,
  currency text not null default 'aud',
  billing_period text not null default 'monthly',
  commission_rate numeric,
  features text[] not null default '{}',
  limits jsonb not null default '{}',
  trial_days integer not null default 7,
  grace_days integer not null default 7,
  rank integer not null default 0,
  is_default boolean not null default false,
  is_active boolean not null default true,
  stripe_price_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint plans_plan_form check (plan ~ '^[a-z0-9_-]{1,40}$'),
  constraint plans_name_length check (char_length(btrim(name)) between 1 and 100),
  constraint plans_description_length check (char_length(description) <= 2000),
  constraint plans_price_cents_range check (price_cents between 0 and 1000000000),
  constraint plans_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint plans_billing_period_known check (billing_period in ('monthly', 'yearly')),
  constraint plans_commission_rate_share check (commission_rate between 0 and 1),
  constraint plans_limits_object check (jsonb_typeof(limits) = 'object'),
  constraint plans_trial_days_range check (trial_days between 0 and 365),
  constraint plans_grace_days_range check (grace_days between 0 and 90),
  constraint plans_stripe_price_id_form check (stripe_price_id ~ '^price_[A-Za-z0-9_]{1,200}$')
);
comment on table public.plans is 'What an organisation can subscribe to; the platform''s, written by coach plan set alone. Without a row everything is allowed.';
comment on column public.plans.commission_rate is 'The platform''s share of sales under this plan, 0 to 1; null: orgs.commission_rate.';
comment on column public.plans.features is 'What it opens; see coach plan features.';
comment on column public.plans.limits is '{name: how many}; a name that is missing is unlimited.';
comment on column public.plans.trial_days is 'How long an owner may try it, once; 0: not.';
comment on column public.plans.grace_days is 'How long a subscription still counts after its payment failed, or its renewal was not heard of.';
comment on column public.plans.rank is 'Which of two plans is the better one: an organisation with both has the higher.';
comment on column public.plans.is_default is 'What every organisation has that has nothing else.';
comment on column public.plans.is_active is 'Whether it can still be chosen; who has it keeps it.';
comment on column public.plans.stripe_price_id is 'What Checkout sells; earlier prices stay known in plan_prices.';
create unique index plans_one_default on public.plans (is_default) where is_default;

create table private.plan_prices (
  stripe_price_id text primary key,
  plan text not null references public.plans (plan) on delete cascade,
  created_at timestamptz not null default now()
);
comment on table private.plan_prices is 'Every price a plan was ever sold at: a subscriber keeps the old one.';
create index plan_prices_plan_idx on private.plan_prices (plan);

create table public.plan_grants (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  source text not null,
  plan text not null references public.plans (plan) on delete restrict,
  starts_at timestamptz not null default now(),
  ends_at timestamptz not null,
  reason text,
  is_self_serve boolean not null default false,
  granted_by uuid,
  request_id uuid,
  revoked_at timestamptz,
  revoked_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint plan_grants_source_known check (source in ('trial', 'comp')),
  constraint plan_grants_ends_after_start check (ends_at > starts_at),
  constraint plan_grants_self_serve_is_trial check (source = 'trial' or not is_self_serve),
  constraint plan_grants_reason_length check (char_length(reason) <= 500)
);
comment on table public.plan_grants is 'A plan that somebody was given for a time without paying: counts from starts_at until ends_at or revoked_at, whatever else happens.';
comment on column public.plan_grants.source is 'trial (the organisation''s own, once, or given by the platform) or comp (given by the platform).';
comment on column public.plan_grants.granted_by is 'Who gave it; null: an operator at the command line. No key: grants outlive people.';
create unique index plan_grants_self_serve_once on public.plan_grants (org_id) where is_self_serve;
create unique index plan_grants_request_once on public.plan_grants (org_id, request_id) where request_id is not null;
create index plan_grants_id_idx on public.plan_grants (id);
create index plan_grants_plan_idx on public.plan_grants (plan);

-- Whose customer it is at the provider is decided here, once, by us: an event's metadata is never asked.
create table private.billing_customers (
  stripe_customer_id text primary key,
  org_id uuid not null references public.orgs (id) on delete cascade,
  created_at timestamptz not null default now(),
  constraint billing_customers_org_once unique (org_id)
);
comment on table private.billing_customers is 'The directory from the platform''s customers at the provider to organisations.';

create table public.org_subscriptions (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  stripe_subscription_id text not null,
  stripe_price_id text not null,
  plan text references public.plans (plan) on delete restrict,
  status text not null,
  started_at timestamptz not null,
  current_period_ends_at timestamptz not null,
  cancels_at timestamptz,
  ended_at timestamptz,
  past_due_since timestamptz,
  as_of timestamptz not null,
  event_id text,
  refetch_at timestamptz,
  revision bigint not null default 0,
  fetched_at timestamptz,
  fetch_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint org_subscriptions_status_known check (status in (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused')),
  constraint org_subscriptions_past_due_since_when check ((status = 'past_due') = (past_due_since is not null)),
  constraint org_subscriptions_fetch_error_length check (char_length(fetch_error) <= 200)
);
comment on table public.org_subscriptions is 'The mirror of the organisation''s subscriptions at the provider; written by its events and by asking it, and by nothing else.';
comment on column public.org_subscriptions.plan is 'The plan of its price; null: a price that no plan was sold at, which gives nothing.';
comment on column public.org_subscriptions.past_due_since is 'When the payment failed first; the plan''s grace runs from here.';
comment on column public.org_subscriptions.as_of is 'The provider''s time of what is written here: an earlier event changes nothing.';
comment on column public.org_subscriptions.event_id is 'The event it comes from; null: asked for.';
comment on column public.org_subscriptions.refetch_at is 'When the provider is to be asked: an event left open in which order things happened. Null: no need.';
comment on column public.org_subscriptions.revision is 'Counts reasons to ask: an answer that was under way when another came does not settle it.';
create unique index org_subscriptions_stripe_once on public.org_subscriptions (org_id, stripe_subscription_id);
create index org_subscriptions_plan_idx on public.org_subscriptions (plan);
-- The sweep's: what is to be asked about.
create index org_subscriptions_refetch_idx on public.org_subscriptions (refetch_at) where refetch_at is not null;
create index org_subscriptions_live_idx on public.org_subscriptions (current_period_ends_at) where status in ('trialing', 'active', 'past_due');

-- ── 95_overview/tables.sql ──

-- Overviews keep nothing but the list of work that runs by itself, with the thresholds that the pulse judges it by.

create table private.work_kinds (
  kind text primary key,
  description text not null,
  jobs text[] not null default '{}',
  done_keys text[] not null default '{}',
  brake text,
  degraded_after interval not null,
  failing_after interval not null,
  degraded_error_rate numeric not null default 0.05,
  failing_error_rate numeric not null default 0.25,
  least_errors integer not null default 3,
  fix text not null,
  constraint work_kinds_kind_form check (kind ~ '^[a-z_]{1,40}$'),
  constraint work_kinds_failing_later check (failing_after > degraded_after and degraded_after > interval '0'),
  constraint work_kinds_error_rates_ordered check (0 < degraded_error_rate and degraded_error_rate < failing_error_rate and failing_error_rate <= 1),
  constraint work_kinds_least_errors_range check (least_errors >= 1)
);
comment on table private.work_kinds is
  'The kinds of work that run by themselves and how the pulse judges each. A kind is a row here and a function private.pulse_<kind>(now) that reads what waits; a domain adds its own.';
comment on column private.work_kinds.jobs is 'The jobs (private.job_runs) that do it: a last run that ended in an error counts against it.';
comment on column private.work_kinds.done_keys is 'Which counts of those jobs'' results are its throughput, where its function does not say.';
comment on column private.work_kinds.brake is 'The brake that stops it, if any: what waits then is no fault of its own.';
comment on column private.work_kinds.degraded_after is 'How long what is due longest may wait; failing_after: from when on nobody can be said to work on it.';
comment on column private.work_kinds.degraded_error_rate is 'Share of the last hour''s attempts that failed, judged from least_errors failures on.';
comment on column private.work_kinds.fix is 'The command that gets it going.';
-- What was tried in the last hour; a range index, since attempts come in the order of their time and a queue must not pay for a look at it.
create index outbox_attempts_created_idx on public.outbox_attempts using brin (created_at) with (pages_per_range = 32, autosummarize = on);

-- ── 97_doctor/tables.sql ──

-- The doctor's list of what to look at.
-- Invariant: a check is a row here and a function private.check_<name>(now) that finds what is wrong; a domain adds its own.
-- Not here: how the work that runs by itself is getting on (the pulse, which one check reads), and what only the service's side knows:
-- its settings, the provider's endpoints, other clocks (coach_os.doctor).

create type private.found as (org_id uuid, subject text, detail text);
comment on type private.found is 'One thing that is wrong: whose it is (null: the platform''s), the id or name of it, and what else helps, never a person''s words.';

create table private.doctor_checks (
  name text primary key,
  severity text not null,
  meaning text not null,
  fix text not null,
  is_thorough boolean not null default false,
  constraint doctor_checks_name_form check (name ~ '^[a-z_]{1,50}$'),
  constraint doctor_checks_severity_known check (severity in ('error', 'warning'))
);
comment on table private.doctor_checks is 'What coach doctor looks at in the database, by private.check_<name>(now).';
comment on column private.doctor_checks.severity is 'error: something is wrong, or money or sessions may be; warning: it will be, or somebody waits.';
comment on column private.doctor_checks.fix is 'The command that mends it, or shows what to mend; {subject} and {org} are the first found''s.';
comment on column private.doctor_checks.is_thorough is 'Reads whole tables: left out of a quick look.';

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
  -- Where apps upsert by the primary key: that it is taken is what they mean to meet.
  v_is_upserted boolean := tg_nargs > 0 and tg_argv[0] = 'upserted';
  v_is_outsider boolean := auth.role() = 'authenticated' and v_row ? 'org_id'
    and not ((v_row ->> 'org_id')::uuid = any (private.orgs_with('org.read')) or private.founds((v_row ->> 'org_id')::uuid)
             or coalesce((v_row ->> 'client_id')::uuid = any (private.my_client_ids()), false));
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
      -- Whether a row or a value exists in an organisation is not told to people outside it, unless the row is about themselves as
      -- its client: the policies refuse them next.
      -- A key that is made here (an id) collides with nothing.
      continue when v_is_outsider or v_rule.contype = 'p' and (v_rule.is_made_here or v_is_upserted);
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

-- Operations rules: what other tables attach to (auditing of their writes), alerts, and who calls how often.

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
  if tg_op = 'UPDATE' then
    if v_changed = '{}' then
      return null;
    end if;
    select jsonb_object_agg(c.name, v_old -> c.name), jsonb_object_agg(c.name, v_new -> c.name)
      into v_old, v_new from unnest(v_changed) as c (name);
  end if;
  perform private.write_audit(
    (case tg_table_name when 'orgs' then v_row ->> 'id' else v_row ->> 'org_id' end)::uuid, lower(tg_op), tg_table_name,
    coalesce(v_row ->> 'id', v_row ->> 'org_id')::uuid, v_changed, v_old, v_new, null, null);
  return null;
end;
$$;
comment on function private.tg__audit is
  'Writes one audit row for an insert, update or delete: the names of the changed columns, and the values that may be kept.';

create trigger audit_log__append_only before update or delete on public.audit_log
  for each row execute function private.tg__append_only();
create trigger audit_log__no_truncate before truncate on public.audit_log
  for each statement execute function private.tg__append_only();

create trigger platform_audit_log__append_only before update or delete on private.platform_audit_log
  for each row execute function private.tg__append_only();
create trigger platform_audit_log__no_truncate before truncate on private.platform_audit_log
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
  select p_org_id, p_kind, p_client_id, p_purchase_id, p_booking_id
   where p_booking_id is not null
      or not exists (select from public.alerts as a
                      where a.org_id = p_org_id and a.kind = p_kind and a.booking_id is null and a.resolved_at is null
                        and (a.client_id, a.purchase_id) is not distinct from (p_client_id, p_purchase_id))
  on conflict do nothing;
$$;
comment on function private.raise_alert is 'Tells the organisation something once; repeating it while it is open adds nothing.';

-- Counts a call and says whether it is still within the limit of its window. A refused call counts too, so a caller who is
-- refused must not raise: raising would take the count back (see private.refusal).
create function private.is_within_rate(p_bucket text, p_key text, p_limit integer, p_window interval)
returns boolean
language sql volatile security definer set search_path = ''
as $$
  insert into private.rate_limits as r (bucket, key_hash, window_started_at)
  values (p_bucket, sha256(convert_to(coalesce(p_key, ''), 'UTF8')),
          to_timestamp(floor(extract(epoch from now()) / extract(epoch from p_window)) * extract(epoch from p_window)))
  on conflict (bucket, key_hash, window_started_at) do update set hits = r.hits + 1
  returning r.hits <= p_limit;
$$;
comment on function private.is_within_rate is 'Counts one call of a key in a bucket; false once there are more than p_limit in the window.';

-- Who calls, as far as it can be told. In x-forwarded-for each proxy appends whom it was called by, and callers write what they like
-- before that: the first counts from our own service alone, which has checked it. The hosted platform's edge says it in
-- cf-connecting-ip, whatever a caller sent there.
create function private.caller_address()
returns text
language sql stable security invoker set search_path = ''
as $$
  select btrim(coalesce(
           case when auth.role() = 'service_role' then split_part(h.forwarded, ',', 1) else h.edge end,
           split_part(h.forwarded, ',', -1), ''))
    from (select x.headers ->> 'x-forwarded-for' as forwarded, x.headers ->> 'cf-connecting-ip' as edge
            from (select nullif(current_setting('request.headers', true), '')::json as headers) as x) as h;
$$;
comment on function private.caller_address is
  'The caller''s address: the service''s word for it, else the edge''s, else the nearest proxy''s; empty when there is none.';

-- A refusal that must leave its evidence behind: returned, with the status set for the Data API, instead of raised.
create function private.refusal(p_status integer, p_slug text, p_message text, p_hint text)
returns jsonb
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform set_config('response.status', p_status::text, true);
  return jsonb_build_object('code', 'PT' || p_status, 'message', p_message, 'details', p_slug, 'hint', p_hint);
end;
$$;
comment on function private.refusal is 'A refusal as an answer: {code, message, details: slug, hint}, with the HTTP status set.';

create function private.rate_limited()
returns jsonb
language sql volatile security invoker set search_path = ''
as $$
  select private.refusal(429, 'rate_limited', 'There were too many requests.', 'Try again in a few minutes.');
$$;
comment on function private.rate_limited is 'The answer to a caller who calls too often: rate_limited 429.';

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

-- ── 27_progress/rules.sql ──

-- Progress rules: what a reported fact must hold, and whose photos a path may name.

-- A number as the apps send it: as a number, or as text from a field.
create function private.json_number(p_value jsonb)
returns numeric
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_value) = 'number' or jsonb_typeof(p_value) = 'string' and p_value #>> '{}' ~ '^\s*-?[0-9]{1,9}(\.[0-9]{1,9})?\s*$'
              then (p_value #>> '{}')::numeric end;
$$;
comment on function private.json_number is 'A JSON number, or a text that is one; null for anything else.';

-- What a fact says of its type is what screens and automations count on. Photos and habits must be the client's own: a row of one
-- client that names another's would be shown as theirs.
create function private.tg_activity_events__check_fact()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_weight numeric;
begin
  -- People outside the organisation learn nothing of its habits here: the policies refuse them next.
  if auth.role() = 'authenticated' and not (new.org_id = any (private.orgs_with('progress.write')) or new.client_id = any (private.my_client_ids())) then
    return new;
  end if;
  if exists (select from unnest(new.photo_paths) as p (path)
              where p.path is null or char_length(p.path) > 500 or p.path ~ '(^|/)\.{1,2}(/|$)' or not starts_with(p.path, new.client_id::text || '/')) then
    perform private.fail(422, 'photo_path_invalid', 'A photo does not lie in the client''s own folder.', 'Upload it below the client''s id.');
  end if;
  case new.type
    when 'weight' then
      v_weight := private.json_number(new.payload -> 'value');
      if v_weight is null or v_weight <= 0 or v_weight >= 2500 then
        perform private.fail(422, 'fact_invalid', 'This fact lacks what its type needs.', 'Send a weight as {value, unit}.');
      end if;
    when 'habit' then
      -- A habit that was taken off the client's list since the screen was opened still is a fact.
      if not exists (select from public.habits as h
                      where h.org_id = new.org_id and h.id::text = lower(new.payload ->> 'habit_id')) then
        perform private.fail(422, 'fact_invalid', 'This fact lacks what its type needs.', 'Send a habit as {habit_id, habit_name}, one of the organisation''s.');
      end if;
    else null;
  end case;
  return new;
end;
$$;
comment on function private.tg_activity_events__check_fact is
  'Refuses a weight without a number, a habit that is none and a photo outside the client''s folder: fact_invalid 422, photo_path_invalid 422.';
create trigger activity_events__check_fact before insert on public.activity_events
  for each row execute function private.tg_activity_events__check_fact();

-- A photo belongs to the check-in of the same client.
create function private.tg_checkin_photos__check_event()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.activity_events as e
              where e.org_id = new.org_id and e.id = new.activity_event_id and e.client_id <> new.client_id) then
    perform private.fail(404, 'reference_not_found', 'Something this row points to does not exist.', 'Check activity_event_id.');
  end if;
  return new;
end;
$$;
comment on function private.tg_checkin_photos__check_event is 'Refuses a photo on another client''s check-in: reference_not_found 404.';
create trigger checkin_photos__check_event before insert on public.checkin_photos
  for each row when (new.activity_event_id is not null) execute function private.tg_checkin_photos__check_event();

-- For the bucket's policies: the client whose folder a path lies in, null where it lies in none.
create function private.photo_client(p_path text)
returns uuid
language sql immutable security invoker set search_path = ''
as $$
  select case when split_part(p_path, '/', 1) ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' and split_part(p_path, '/', 2) <> ''
                   and char_length(p_path) <= 500 and p_path !~ '(^|/)\.{1,2}(/|$)'
              then split_part(p_path, '/', 1)::uuid end;
$$;
comment on function private.photo_client is 'The client whose folder of progress-photos a path lies in; null where it lies in none.';

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

-- ── 35_products/rules.sql ──

-- Product rules: a product stays where it is; the app sends org_id with every change.

create trigger products__keep_org before update of org_id on public.products
  for each row when (new.org_id is distinct from old.org_id) execute function private.tg__keep_org();
create trigger products__touch before update on public.products
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger products__audit after insert or update or delete on public.products
  for each row execute function private.tg__audit('stock_quantity');

-- ── 40_scheduling/rules.sql ──

-- Scheduling rules, first cut: the organisation's settings with their defaults, how a booking moves from one status to the
-- next, and completing it exactly once.
-- A direct write has locked the booking, so these triggers wait for no package: they mark the booking `due`, and
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
  -- The mobile app's own insert: a client is bound by all that binds a client, and says nothing of staff or package.
  if auth.role() = 'authenticated' then
    if not new.org_id = any (private.orgs_with('bookings.read')) then
      perform private.check_client_insert(new);
      new.booking_source := 'client';
    end if;
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

create function private.check_client_insert(p_booking public.bookings)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type public.session_types := private.session_type_of(p_booking.org_id, p_booking.session_type_id, p_booking.session_type);
begin
  if not exists (select from public.clients as c
                  where c.org_id = p_booking.org_id and c.id = p_booking.client_id and c.auth_user_id = auth.uid()) then
    perform private.refuse_permission();
  elsif p_booking.purchase_id is not null then
    perform private.refuse_column();
  end if;
  -- What is missing is refused by the row's own rules.
  if p_booking.start_time is null or p_booking.end_time is null then
    return;
  end if;
  perform private.require_value(
    p_booking.start_time between '2000-01-01' and '2100-01-01' and p_booking.end_time > p_booking.start_time
    and p_booking.end_time <= p_booking.start_time + interval '24 hours', 'end_time');
  perform private.lock_day(v_type, private.org_timezone(p_booking.org_id), p_booking.start_time);
  if not exists (
    select from private.offered_slots(
      p_booking.org_id, v_type.id, extract(epoch from p_booking.end_time - p_booking.start_time)::integer / 60, null,
      p_booking.location_id, tstzrange(p_booking.start_time, p_booking.start_time, '[]'), 'client') as s
     where s.staff_id = coalesce(p_booking.staff_id, private.default_staff(p_booking.org_id, null))) then
    perform private.refuse_slot();
  end if;
end;
$$;
comment on function private.check_client_insert is
  'Refuses a client''s direct booking that is not on offer to clients: permission_missing 403, column_protected 403, slot_taken 409, value_not_allowed 422.';

create function private.refuse_column()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(403, 'column_protected', 'This part of a booking is kept by the coach.', 'Ask your coach to change it.');
$$;
comment on function private.refuse_column is 'Refuses what a client may not say of a booking: column_protected 403.';

-- Coaches and clients are both `authenticated`: a client may only cancel, in time, what is theirs.
create function private.tg_bookings__guard_audience()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.org_id = any (private.orgs_with('bookings.write'))
     and (new.status <> 'cancelled'
          or to_jsonb(new) - '{status,cancelled_at}'::text[] is distinct from to_jsonb(old) - '{status,cancelled_at}'::text[]) then
    perform private.refuse_column();
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
-- refused, free or charged as the organisation has it. An operator is nobody signed in: cancel_booking says for whom it cancels.
create function private.cancellation_settlement(p_booking public.bookings)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
begin
  if p_booking.org_id = any (private.orgs_with('bookings.write')) or current_setting('coach.cancels_for', true) = 'staff' then
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
    -- cancel_booking and client_cancel have decided about a session that is taken already; a direct write has not.
    if old.settlement = 'charged' and coalesce(current_setting('coach.cancels_for', true), '') = '' then
      perform private.refuse_charged();
    end if;
    new.cancelled_at := now();
    new.cancelled_by := auth.uid();
    new.settlement := private.cancellation_settlement(new);
    -- What was never confirmed takes no session, and what is settled stays as it is.
    if old.status = 'pending' or old.settlement is not null then
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

create function private.refuse_moving()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'booking_moving', 'This booking is being changed by somebody else.', 'Reload the calendar and try again.');
$$;
comment on function private.refuse_moving is 'Refuses what meets another change of the same booking: booking_moving 409.';

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
  perform private.refuse_moving();
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

-- ── 65_billing/rules.sql ──

-- Entitlements: what an organisation may use now, until when, and why. Nothing is stored; every answer is derived.

-- When a subscription stops to count. A renewal that nobody heard of counts for the plan's grace: the sweep asks the provider meanwhile.
create function private.subscription_counts_until(p_subscription public.org_subscriptions, p_grace_days integer)
returns timestamptz
language sql immutable security invoker set search_path = ''
as $$
  select case
           when p_subscription.status in ('trialing', 'active') then
             least(p_subscription.cancels_at, p_subscription.current_period_ends_at + make_interval(days => p_grace_days))
           when p_subscription.status = 'past_due' then
             least(p_subscription.cancels_at, p_subscription.past_due_since + make_interval(days => p_grace_days)) end;
$$;
comment on function private.subscription_counts_until is
  'Until when a subscription gives its plan: to its end where it is cancelled, else over its period by the grace; past_due: the grace from the first failure. Null: not at all.';

create function private.current_grants(p_org_id uuid, p_now timestamptz default now())
returns table (source text, plan text, id uuid, starts_at timestamptz, ends_at timestamptz, reason text)
language sql stable security definer set search_path = ''
as $$
  select g.source, g.plan, g.id, g.starts_at, least(g.ends_at, g.revoked_at), g.source
    from public.plan_grants as g
   where g.org_id = p_org_id and g.starts_at <= p_now and p_now < least(g.ends_at, g.revoked_at)
  union all
  select 'subscription', s.plan, s.id, s.started_at, u.ends_at,
         case when s.status = 'past_due' then 'payment_failed_grace'
              when s.cancels_at is not null then 'subscription_ending'
              when s.current_period_ends_at <= p_now then 'renewal_awaited'
              when s.status = 'trialing' then 'subscription_trialing'
              else 'subscription_active' end
    from public.org_subscriptions as s
    join public.plans as p on p.plan = s.plan
   cross join lateral (select private.subscription_counts_until(s, p.grace_days) as ends_at) as u
   where s.org_id = p_org_id and s.started_at <= p_now and p_now < u.ends_at
  union all
  select 'default', p.plan, null, null, null, 'default_plan'
    from public.plans as p where p.is_default;
$$;
comment on function private.current_grants is
  'What gives an organisation a plan now, each by itself: source trial, comp, subscription or default; ends_at null: no end.';

create function private.has_feature(p_org_id uuid, p_feature text, p_now timestamptz default now())
returns boolean
language sql stable security definer set search_path = ''
as $$
  select not exists (select from public.plans)
      or exists (select from private.current_grants(p_org_id, p_now) as g
                   join public.plans as p on p.plan = g.plan
                  where p_feature = any (p.features));
$$;
comment on function private.has_feature is 'Whether an organisation may use a feature now; true where there are no plans.';

create function private.require_feature(p_org_id uuid, p_feature text, p_now timestamptz default now())
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not private.has_feature(p_org_id, p_feature, p_now) then
    perform private.fail(402, 'feature_not_in_plan', 'This is not part of the organisation''s plan.',
                         'Choose a plan that has it, or start its trial.');
  end if;
end;
$$;
comment on function private.require_feature is 'Refuses what the organisation''s plan does not have: feature_not_in_plan 402.';

-- The most generous of what counts now. Nothing that counts is nothing allowed; a plan that names no number allows any.
create function private.plan_limit(p_org_id uuid, p_name text, p_now timestamptz default now())
returns integer
language sql stable security definer set search_path = ''
as $$
  select case when not exists (select from public.plans) or bool_or(not p.limits ? p_name) then null
              else coalesce(max((p.limits ->> p_name)::integer), 0) end
    from private.current_grants(p_org_id, p_now) as g
    join public.plans as p on p.plan = g.plan;
$$;
comment on function private.plan_limit is 'How many of something an organisation may have now; null: any number.';

-- For triggers that count after the fact: the organisation's row is the lock, so that two at once do not both fit.
create function private.require_room(p_org_id uuid, p_name text, p_at_least integer default 0)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_limit integer := private.plan_limit(p_org_id, p_name);
begin
  if v_limit is null then
    return;
  end if;
  perform from public.orgs as o where o.id = p_org_id for no key update;
  if private.counted(p_org_id, p_name) > greatest(v_limit, p_at_least) then
    perform private.fail(402, 'plan_limit_reached', 'The organisation''s plan allows no more of these.',
                         'Choose a larger plan, or make one inactive.');
  end if;
end;
$$;
comment on function private.require_room is 'Refuses what is one too many for the organisation''s plan: plan_limit_reached 402.';

create function private.counted(p_org_id uuid, p_name text)
returns bigint
language sql volatile security definer set search_path = ''
as $$
  select case p_name
           when 'clients' then (select count(*) from public.clients as c where c.org_id = p_org_id and c.status = 'active')
           when 'staff' then (select count(*) from public.staff as s where s.org_id = p_org_id and s.is_active)
           when 'automations' then (select count(*) from public.automations as a where a.org_id = p_org_id and a.enabled) end;
$$;
comment on function private.counted is 'How many an organisation has of what a plan limits: active ones. Volatile, so that it sees what was committed while it waited.';

-- Arguments: what is counted, the least that is always allowed. Once a statement: an import of thousands is counted once.
create function private.tg__require_room()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  if exists (select from public.plans) then
    for v_org_id in select distinct a.org_id from added as a order by 1 loop
      perform private.require_room(v_org_id, tg_argv[0], tg_argv[1]::integer);
    end loop;
  end if;
  return null;
end;
$$;

-- What was inactive counts again: one row, since nobody wakes thousands.
create function private.tg__require_room_again()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_room(new.org_id, tg_argv[0], tg_argv[1]::integer);
  return null;
end;
$$;

create trigger clients__require_room after insert on public.clients
  referencing new table as added for each statement execute function private.tg__require_room('clients', '0');
create trigger clients__require_room_again after update of status on public.clients
  for each row when (new.status = 'active' and old.status <> 'active') execute function private.tg__require_room_again('clients', '0');
create trigger staff__require_room after insert on public.staff
  referencing new table as added for each statement execute function private.tg__require_room('staff', '1');
create trigger staff__require_room_again after update of is_active on public.staff
  for each row when (new.is_active and not old.is_active) execute function private.tg__require_room_again('staff', '1');

create trigger automations__require_room after insert on public.automations
  referencing new table as added for each statement execute function private.tg__require_room('automations', '0');
create trigger automations__require_room_again after update of enabled on public.automations
  for each row when (new.enabled and not old.enabled) execute function private.tg__require_room_again('automations', '0');

create function private.current_plan(p_org_id uuid, p_now timestamptz default now())
returns public.plans
language sql stable security definer set search_path = ''
as $$
  select p.* from private.current_grants(p_org_id, p_now) as g join public.plans as p on p.plan = g.plan
   order by p.rank desc, p.plan limit 1;
$$;
comment on function private.current_plan is 'The best of the plans that an organisation has now; null: none.';

create function private.platform_fee_rate(p_org_id uuid, p_now timestamptz default now())
returns numeric
language sql stable security definer set search_path = ''
as $$
  select coalesce((private.current_plan(p_org_id, p_now)).commission_rate,
                  (select o.commission_rate from public.orgs as o where o.id = p_org_id));
$$;
comment on function private.platform_fee_rate is
  'The platform''s share of an organisation''s sales, 0 to 1: its plan''s, where that names one, else orgs.commission_rate.';

create function private.entitlements(p_org_id uuid, p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with configured as (select exists (select from public.plans) as yes),
  granted as materialized (
    select g.source, g.plan, g.id, g.starts_at, g.ends_at, g.reason, p.name, p.features, p.limits, p.rank
      from private.current_grants(p_org_id, p_now) as g join public.plans as p on p.plan = g.plan),
  best as (select c.plan, c.name from private.current_plan(p_org_id, p_now) as c where c.plan is not null)
  select jsonb_build_object(
    'org_id', p_org_id, 'is_configured', c.yes,
    'plan', (select b.plan from best as b), 'plan_name', (select b.name from best as b),
    'until', (select case when bool_or(g.ends_at is null) then null else max(g.ends_at) end from granted as g join best as b using (plan)),
    'commission_rate', private.platform_fee_rate(p_org_id, p_now),
    'trial', (select jsonb_build_object('is_used', count(*) filter (where t.is_self_serve) > 0) from public.plan_grants as t where t.org_id = p_org_id),
    'grants', (select coalesce(jsonb_agg(jsonb_build_object(
                 'source', g.source, 'id', g.id, 'plan', g.plan, 'from', g.starts_at, 'until', g.ends_at, 'why', g.reason)
                 order by g.rank desc, g.plan, g.source, g.starts_at, g.id), '[]') from granted as g),
    'features', (
      select coalesce(jsonb_object_agg(f.feature, jsonb_build_object(
               'is_allowed', not c.yes or x.n > 0, 'until', case when x.open then null else x.until end,
               'why', case when not c.yes then '["no_plans"]' else coalesce(x.why, '[]') end)), '{}')
        from private.features as f
       cross join lateral (
         select count(*) as n, bool_or(g.ends_at is null) as open, max(g.ends_at) as until,
                jsonb_agg(jsonb_build_object('source', g.source, 'id', g.id, 'plan', g.plan, 'until', g.ends_at, 'why', g.reason)
                          order by g.rank desc, g.plan, g.source, g.starts_at, g.id) as why
           from granted as g where f.feature = any (g.features)) as x
       where not f.is_limit),
    'limits', (
      select coalesce(jsonb_object_agg(f.feature, jsonb_build_object(
               'allowed', private.plan_limit(p_org_id, f.feature, p_now), 'used', private.counted(p_org_id, f.feature))), '{}')
        from private.features as f where f.is_limit))
    from configured as c;
$$;
comment on function private.entitlements is
  '{org_id, is_configured, plan, plan_name, until, commission_rate, trial: {is_used}, grants: [{source, id, plan, from, until, why}], features: {name: {is_allowed, until, why: [{source, id, plan, until, why}]}}, limits: {name: {allowed, used}}}; until null: no end.';

-- ── 95_overview/rules.sql ──

-- Overviews: what a page shows at once, in sections that stand or fall alone; money by month; the pulse of the work that runs by itself.
-- Invariant: nothing here writes, and no figure is kept: each is read off the tables whose it is, at the moment it is asked for.
-- Not here: the rules that make those rows.

-- One section. Each is a function (organisation, whom or when it is about, now) returning its data; what goes wrong in it stays in it.
-- The words of a foreign error may quote a row, so an answer names our slug or none, and the log the SQLSTATE.
create function private.section(p_function text, p_is_allowed boolean, p_org_id uuid, p_subject text, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_data jsonb;
  v_state text;
  v_slug text;
begin
  if not p_is_allowed then
    return jsonb_build_object('status', 'refused', 'data', null, 'error', 'permission_missing');
  end if;
  execute format('select private.%I($1, %L, $2)', p_function, p_subject) into v_data using p_org_id, p_now;
  return jsonb_build_object('status', 'ok', 'data', v_data, 'error', null);
exception when others then
  get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail;
  raise log 'overview section % failed: SQLSTATE %', p_function, v_state;
  return jsonb_build_object('status', 'failed', 'data', null, 'error', case when v_state ~ '^PT4' then v_slug else 'section_failed' end);
end;
$$;
comment on function private.section is
  'One section of an overview: {status: ok | refused | failed, data, error}, error being a slug: permission_missing, section_failed, or the rule''s own.';

-- ── 97_doctor/rules.sql ──

-- The doctor: looks, finds, and changes nothing. A check costs what is wrong and not what is there, but for the thorough ones.

create function private.check_package_counter_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select p.org_id, p.id::text, format('used %s, ledger %s', p.sessions_used, coalesce(e.used, 0))
    from public.client_purchases as p
    left join (select x.org_id, x.purchase_id, sum(x.used_delta) as used, count(*) as entries
                 from public.session_entries as x group by 1, 2) as e on e.org_id = p.org_id and e.purchase_id = p.id
   where p.sessions_used <> coalesce(e.used, 0) or p.entry_count <> coalesce(e.entries, 0);
$$;
comment on function private.check_package_counter_drift is 'Doctor: packages whose counters are not their ledger''s.';

create function private.check_booking_charge_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  with charges as (
    select e.org_id, coalesce(e.booking_id, u.booking_id) as booking_id, sum(e.used_delta) as net
      from public.session_entries as e
      left join public.session_entries as u on u.org_id = e.org_id and u.id = e.released_entry_id
     where coalesce(e.booking_id, u.booking_id) is not null
     group by 1, 2)
  select b.org_id, b.id::text, format('%s, ledger %s', coalesce(b.settlement, 'open'), coalesce(c.net, 0))
    from public.bookings as b
    left join charges as c on c.org_id = b.org_id and c.booking_id = b.id
   where (b.settlement is not distinct from 'charged') <> (coalesce(c.net, 0) > 0) or c.net > 1;
$$;
comment on function private.check_booking_charge_drift is 'Doctor: bookings that are charged without an entry, or have one without being charged.';

create function private.occupancy_counts()
returns table (org_id uuid, id uuid, seats integer, counted bigint)
language sql stable security definer set search_path = ''
as $$
  select o.org_id, o.id, o.seats,
         (select count(*) from public.bookings as b where b.org_id = o.org_id and b.occupancy_id = o.id)
         + (select count(*) from private.holds as h where h.org_id = o.org_id and h.occupancy_id = o.id)
    from private.occupancies as o
   where o.seats > 0;
$$;
comment on function private.occupancy_counts is 'Taken times: the seats they count, and how many bookings and holds take one.';

create function private.check_occupancy_seats_drift(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select c.org_id, c.id::text, format('seats %s, taken %s', c.seats, c.counted) from private.occupancy_counts() as c
   where c.counted > 0 and c.counted <> c.seats;
$$;
comment on function private.check_occupancy_seats_drift is 'Doctor: taken times that count other seats than are taken.';

create function private.check_occupancy_orphaned(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select c.org_id, c.id::text, format('seats %s', c.seats) from private.occupancy_counts() as c where c.counted = 0;
$$;
comment on function private.check_occupancy_orphaned is 'Doctor: taken times that nobody takes.';

create function private.check_org_without_owner(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select m.org_id, m.org_id::text, format('%s members', count(*)) from public.org_members as m group by m.org_id
  having not bool_or(m.role = 'owner');
$$;
comment on function private.check_org_without_owner is 'Doctor: organisations with members and no owner.';

create function private.check_timezone_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  with used as materialized (select distinct b.timezone from public.booking_settings as b),
  unknown as materialized (select u.timezone from used as u where not exists (select from pg_catalog.pg_timezone_names as n where n.name = u.timezone))
  select b.org_id, b.org_id::text, b.timezone from public.booking_settings as b join unknown as u on u.timezone = b.timezone;
$$;
comment on function private.check_timezone_unknown is 'Doctor: organisations in a timezone that this server''s data does not have.';

-- Billing.

create function private.check_subscription_price_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_price_id, s.status from public.org_subscriptions as s
   where s.plan is null and s.status in ('trialing', 'active', 'past_due');
$$;
comment on function private.check_subscription_price_unknown is 'Doctor: live subscriptions at a price that is no plan''s.';

create function private.check_subscription_twice(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.org_id::text, string_agg(s.stripe_subscription_id, ' ' order by s.started_at) from public.org_subscriptions as s
   where s.status in ('trialing', 'active', 'past_due') group by s.org_id having count(*) > 1;
$$;
comment on function private.check_subscription_twice is 'Doctor: organisations with two live subscriptions.';

create function private.check_subscription_unanswered(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_subscription_id, s.fetch_error from public.org_subscriptions as s
   where s.refetch_at < p_now - interval '1 hour' or (s.refetch_at is not null and s.fetch_error is not null);
$$;
comment on function private.check_subscription_unanswered is 'Doctor: subscriptions that the provider was to be asked about.';

create function private.check_renewal_unheard(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select s.org_id, s.stripe_subscription_id, s.status from public.org_subscriptions as s
   where s.status in ('trialing', 'active') and s.current_period_ends_at < p_now - interval '1 day';
$$;
comment on function private.check_renewal_unheard is 'Doctor: live subscriptions whose period ended a day ago.';

create function private.check_plan_feature_unknown(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.plan, n.name
    from public.plans as p
   cross join lateral (select unnest(p.features), false union all select jsonb_object_keys(p.limits), true) as n (name, is_limit)
   where not exists (select from private.features as f where f.feature = n.name and f.is_limit = n.is_limit);
$$;
comment on function private.check_plan_feature_unknown is 'Doctor: plans with a feature or limit that does not exist.';

create function private.check_org_without_plan(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select o.id, o.slug, null::text from public.orgs as o
   where exists (select from public.plans) and not exists (select from public.plans as p where p.is_default)
     and not exists (select from private.current_grants(o.id, p_now));
$$;
comment on function private.check_org_without_plan is 'Doctor: organisations without any plan, where there are plans.';

create function private.check_automation_never_due(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select a.org_id, a.id::text, a.trigger ->> 'schedule' from public.automations as a
   where a.enabled and a.trigger ->> 'type' = 'schedule' and a.next_run_at is null;
$$;
comment on function private.check_automation_never_due is 'Doctor: automations that are on and will never be due.';

-- Work that runs by itself: as the pulse judges it, of every kind that it knows.

create function private.work_in(p_verdict text, p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, k ->> 'kind',
         coalesce(k #>> '{stuck,0,fix}', k ->> 'fix') || format(' (%s; %s waiting)',
           array_to_string(array(select jsonb_array_elements_text(k -> 'reasons')), ', '), k ->> 'backlog')
    from jsonb_array_elements(private.pulse(p_now) -> 'kinds') as k
   where k ->> 'verdict' = p_verdict and k -> 'reasons' <> '["brake_on"]';
$$;
comment on function private.work_in is 'Kinds of work that the pulse judges so, each with its fix; a brake alone is no fault.';

create function private.check_work_failing(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$ select * from private.work_in('failing', p_now); $$;
comment on function private.check_work_failing is 'Doctor: work that the pulse calls failing.';

create function private.check_work_degraded(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$ select * from private.work_in('degraded', p_now); $$;
comment on function private.check_work_degraded is 'Doctor: work that the pulse calls degraded.';

-- Five times its usual pause, and at least an hour: a sweep by cron once a day is not missed after an hour.
create function private.check_sweep_stopped(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, j.job, 'last started ' || to_char(max(j.started_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
    from private.job_runs as j
   where j.started_at > p_now - interval '14 days' and j.job like 'sweep\_%'
   group by j.job
  having count(*) >= 3
     and max(j.started_at) < p_now - greatest(interval '1 hour', 5 * (max(j.started_at) - min(j.started_at)) / (count(*) - 1));
$$;
comment on function private.check_sweep_stopped is 'Doctor: sweeps that were started regularly and no longer are.';

create function private.check_job_killed(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, j.job, j.id::text from private.job_runs as j
   where j.finished_at is null and j.started_at between p_now - interval '14 days' and p_now - interval '1 hour'
     and not exists (select from private.job_runs as l where l.job = j.job and l.started_at > j.started_at and l.finished_at is not null);
$$;
comment on function private.check_job_killed is 'Doctor: runs that never ended and were not made up for.';

create function private.check_brake_left_on(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select b.org_id, b.kind, 'since ' || to_char(b.pulled_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC' from private.brakes as b
   where b.pulled_at < p_now - interval '1 day';
$$;
comment on function private.check_brake_left_on is 'Doctor: brakes that have been on for more than a day.';

create function private.check_app_url_unset(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, 'app_url', null::text where not exists (select from private.platform_settings as s where s.name = 'app_url');
$$;
comment on function private.check_app_url_unset is 'Doctor: nobody has said where links lead.';

-- The database itself.

create function private.check_extension_missing(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, n.name, null::text from unnest('{btree_gist}'::text[]) as n (name)
   where not exists (select from pg_catalog.pg_extension as e where e.extname = n.name and e.extnamespace = to_regnamespace('extensions'));
$$;
comment on function private.check_extension_missing is 'Doctor: extensions that the schema needs.';

create function private.check_row_security_off(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, c.oid::regclass::text, null::text from pg_catalog.pg_class as c
   where c.relkind in ('r', 'p') and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace) and not c.relrowsecurity;
$$;
comment on function private.check_row_security_off is 'Doctor: tables without row level security.';

create function private.check_table_open_to_visitors(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, c.oid::regclass::text, null::text from pg_catalog.pg_class as c
   where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'public'::regnamespace
     and (has_table_privilege('anon', c.oid, 'select, insert, update, delete, truncate')
          or has_any_column_privilege('anon', c.oid, 'select, insert, update'));
$$;
comment on function private.check_table_open_to_visitors is 'Doctor: tables and views that anon may read or write.';

create function private.check_private_open(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, 'schema ' || n.name, r.role
    from unnest('{private}'::text[]) as n (name) cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where has_schema_privilege(r.role, n.name, 'usage, create')
  union all
  select null, 'schema service', r.role from unnest('{anon,authenticated}'::text[]) as r (role) where has_schema_privilege(r.role, 'service', 'usage, create')
  union all
  select null, c.oid::regclass::text, r.role
    from pg_catalog.pg_class as c cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace = 'private'::regnamespace
     and (has_table_privilege(r.role, c.oid, 'select, insert, update, delete, truncate')
          or has_any_column_privilege(r.role, c.oid, 'select, insert, update'));
$$;
comment on function private.check_private_open is 'Doctor: what API roles reach of private, and client roles of service.';

create function private.check_definer_exposed(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.oid::regprocedure::text, null::text from pg_catalog.pg_proc as p
   where p.pronamespace = 'public'::regnamespace and p.prosecdef
     and (has_function_privilege('anon', p.oid, 'execute') or has_function_privilege('authenticated', p.oid, 'execute'));
$$;
comment on function private.check_definer_exposed is 'Doctor: definers in the exposed schema that clients may call.';

create function private.check_function_open_to_all(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, p.oid::regprocedure::text, null::text
    from pg_catalog.pg_proc as p
   cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a
   where p.pronamespace in ('public'::regnamespace, 'private'::regnamespace, 'service'::regnamespace) and a.grantee = 0
     -- An extension's are its own; where it lies is another check.
     and not exists (select from pg_catalog.pg_depend as d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');
$$;
comment on function private.check_function_open_to_all is 'Doctor: functions that PUBLIC may execute.';

create function private.check_trigger_disabled(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, t.tgname::text, c.oid::regclass::text from pg_catalog.pg_trigger as t join pg_catalog.pg_class as c on c.oid = t.tgrelid
   where not t.tgisinternal and t.tgenabled <> 'O' and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_trigger_disabled is 'Doctor: triggers that are off.';

create function private.check_constraint_not_valid(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, k.conname::text, k.conrelid::regclass::text from pg_catalog.pg_constraint as k
   where not k.convalidated and k.connamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_constraint_not_valid is 'Doctor: constraints that were never validated.';

create function private.check_index_invalid(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, i.indexrelid::regclass::text, i.indrelid::regclass::text
    from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indrelid
   where not i.indisvalid and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace);
$$;
comment on function private.check_index_invalid is 'Doctor: indexes that were not finished.';

create function private.check_transaction_open_long(p_now timestamptz)
returns setof private.found
language sql stable security definer set search_path = ''
as $$
  select null::uuid, a.pid::text, a.state from pg_catalog.pg_stat_activity as a
   where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
     and a.xact_start < p_now - interval '15 minutes';
$$;
comment on function private.check_transaction_open_long is 'Doctor: transactions that have been open for a quarter of an hour.';

-- Runs every check; one that cannot look says so and hides no other.
create function private.examine(p_now timestamptz, p_is_quick boolean)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_check private.doctor_checks;
  v_found private.found[];
  v_findings jsonb := '[]';
  v_blind jsonb := '[]';
  v_checked integer := 0;
begin
  for v_check in
    select c.* from private.doctor_checks as c where not (p_is_quick and c.is_thorough) order by c.severity, c.name
  loop
    begin
      execute format('select array_agg(x::private.found) from (select f.* from private.%I($1) as f limit 1000) as x', 'check_' || v_check.name)
         into v_found using p_now;
      v_checked := v_checked + 1;
      if v_found is not null then
        v_findings := v_findings || jsonb_build_object(
          'check', v_check.name, 'severity', v_check.severity, 'meaning', v_check.meaning,
          'fix', replace(replace(replace(v_check.fix, '{subject}', coalesce(v_found[1].subject, '')), '{org}', coalesce(v_found[1].org_id::text, 'ORG')),
                         '{detail}', coalesce(v_found[1].detail, '')),
          'count', cardinality(v_found),
          'examples', (select jsonb_agg(jsonb_build_object('org_id', f.org_id, 'subject', f.subject, 'detail', f.detail))
                         from (select u.* from unnest(v_found) as u limit 5) as f));
      end if;
    exception when others then
      v_blind := v_blind || jsonb_build_object('check', v_check.name, 'sqlstate', sqlstate);
    end;
  end loop;
  return jsonb_build_object('checked', v_checked, 'findings', v_findings, 'blind', v_blind);
end;
$$;
comment on function private.examine is
  '{checked: n, findings: [{check, severity, meaning, fix, count (at most 1000), examples: [{org_id, subject, detail}] (at most 5)}], blind: [{check, sqlstate}]}.';

create function private.function_grants()
returns table (function text, role text)
language sql stable security definer set search_path = ''
as $$
  select n.nspname || '.' || p.proname, r.role
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
   cross join unnest('{anon,authenticated,service_role}'::text[]) as r (role)
   where n.nspname in ('public', 'private', 'service') and has_function_privilege(r.role, p.oid, 'execute');
$$;
comment on function private.function_grants is 'Which API role may call which function, by name.';

-- ── 15_operations/rules/audit.sql ──

-- The audit logs: who did what to what, on whose behalf, and why. One writer; who did it is never an argument.
-- Invariant: a value is kept only where private.audited_columns names its column. Everything else leaves its name.

create function private.audited_values(p_subject_type text, p_values jsonb)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_object_agg(v.key, v.value)
    from jsonb_each(p_values) as v
    join private.audited_columns as c on c.subject_type = p_subject_type and c.column_name = v.key;
$$;
comment on function private.audited_values is 'Of a row''s values those that the audit logs may keep; null where there are none.';

create function private.request_id()
returns text
language sql stable security invoker set search_path = ''
as $$
  select left(nullif(current_setting('request.headers', true), '')::json ->> 'x-request-id', 100);
$$;
comment on function private.request_id is 'The id that the caller gave its request (x-request-id); null where there is none.';

create function private.write_audit(
  p_org_id uuid, p_action text, p_subject_type text, p_subject_id uuid, p_changed_columns text[], p_before jsonb, p_after jsonb,
  p_reason text, p_refused text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_role text := coalesce(nullif(current_setting('role', true), 'none'), session_user);
  v_before jsonb := private.audited_values(p_subject_type, p_before);
  v_after jsonb := private.audited_values(p_subject_type, p_after);
begin
  if p_org_id is null then
    insert into private.platform_audit_log
      (actor_id, actor_role, action, subject_type, subject_id, changed_columns, before, after, reason, refused, request_id)
    values (auth.uid(), v_role, p_action, p_subject_type, p_subject_id, p_changed_columns, v_before, v_after,
            left(p_reason, 500), p_refused, private.request_id());
  else
    insert into public.audit_log
      (org_id, actor_id, actor_role, action, subject_type, subject_id, changed_columns, before, after, reason, refused, request_id)
    -- Not where the organisation itself is going: its log goes with it.
    select o.id, auth.uid(), v_role, p_action, p_subject_type, p_subject_id, p_changed_columns, v_before, v_after,
           left(p_reason, 500), p_refused, private.request_id()
      from public.orgs as o where o.id = p_org_id;
  end if;
end;
$$;
comment on function private.write_audit is 'Adds one row to an organisation''s audit log, or with no organisation to the platform''s; who did it is found here.';

create function private.record_audit(
  p_org_id uuid, p_action text, p_subject_type text, p_subject_id uuid, p_before jsonb default null, p_after jsonb default null,
  p_reason text default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.write_audit(
           p_org_id, p_action, p_subject_type, p_subject_id,
           coalesce((select array_agg(k.name order by k.name)
                       from (select jsonb_object_keys(p_before) union select jsonb_object_keys(p_after)) as k (name)
                      where p_before -> k.name is distinct from p_after -> k.name), '{}'),
           p_before, p_after, p_reason, null);
$$;
comment on function private.record_audit is
  'One audit row (no organisation: the platform''s). p_before and p_after are values by column, of which only those in private.audited_columns are kept; actor, support access and request are filled in.';

-- ── 15_operations/rules/brakes.sql ──

-- Brakes: an operator stops a kind of work, everywhere or in one organisation, at once and with a reason.
-- Invariant: a brake loses nothing. What is due stays due; whoever asks is told (423) and has changed nothing.
-- Each sweep and RPC asks for itself: a sweep leaves the braked out of what it claims (braked_orgs), an RPC refuses (require_unbraked).

create function private.is_braked(p_kind text, p_org_id uuid default null)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from private.brakes as b where b.kind = p_kind and (b.org_id is null or b.org_id = p_org_id));
$$;
comment on function private.is_braked is
  'True while a kind of work (sms, email, push, payments, imports, automations, assistant, sign_up) is stopped for everybody, or for this organisation.';

create function private.braked_orgs(p_kind text)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(b.org_id), '{}') from private.brakes as b where b.kind = p_kind and b.org_id is not null;
$$;
comment on function private.braked_orgs is 'The organisations that a kind of work is stopped for, for set-based sweeps; is_braked(kind) tells of everybody.';

create function private.require_unbraked(p_kind text, p_org_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if private.is_braked(p_kind, p_org_id) then
    perform private.fail(423, 'brake_on', 'This is paused for the moment.', 'Nothing was changed; try again later.');
  end if;
end;
$$;
comment on function private.require_unbraked is 'Refuses while a kind of work is stopped: brake_on 423.';

-- Pulled twice is pulled once: the first reason stays, and one audit row is written.
create function private.pull_brake(p_kind text, p_org_id uuid, p_reason text, p_banner text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_brake_kind(p_kind);
  perform private.require_reason(p_reason);
  perform private.require_value(coalesce(char_length(btrim(p_banner)), 1) between 1 and 500, 'banner');
  insert into private.brakes (kind, org_id, reason, banner, pulled_by)
  values (p_kind, p_org_id, btrim(p_reason), btrim(p_banner), auth.uid())
  on conflict (kind, org_id) do nothing
  returning id into v_id;
  if v_id is null then
    return false;
  end if;
  perform private.record_audit(p_org_id, 'pull_brake', 'brakes', v_id, null, jsonb_build_object('kind', p_kind), p_reason);
  return true;
end;
$$;
comment on function private.pull_brake is 'Stops a kind of work; false when it was stopped already. The caller has authorised.';

create function private.release_brake(p_kind text, p_org_id uuid, p_reason text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_brake_kind(p_kind);
  perform private.require_reason(p_reason);
  delete from private.brakes as b where b.kind = p_kind and b.org_id is not distinct from p_org_id returning b.id into v_id;
  if v_id is null then
    return false;
  end if;
  perform private.record_audit(p_org_id, 'release_brake', 'brakes', v_id, jsonb_build_object('kind', p_kind), null, p_reason);
  return true;
end;
$$;
comment on function private.release_brake is 'Lets a kind of work go on; false when nothing stopped it there. The caller has authorised.';

create function private.require_brake_kind(p_kind text)
returns void
language sql stable security definer set search_path = ''
as $$
  select private.require_value(
           coalesce(p_kind in ('sms', 'email', 'push', 'payments', 'imports', 'automations', 'assistant', 'sign_up'), false), 'kind');
$$;
comment on function private.require_brake_kind is 'Refuses a kind of work that has no brake: value_not_allowed 422.';

create function private.require_reason(p_reason text)
returns void
language plpgsql stable security invoker set search_path = ''
as $$
begin
  if coalesce(char_length(btrim(p_reason)), 0) not between 1 and 500 then
    perform private.fail(422, 'reason_missing', 'This needs a reason.', 'Say why, in at most 500 characters.');
  end if;
end;
$$;
comment on function private.require_reason is 'Refuses what an operator must account for without a reason: reason_missing 422.';

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

-- ── 40_scheduling/rules/book.sql ──

-- Booking and rescheduling by RPC: they answer with an outcome, never with an exception per refusal.
-- Lock order: as in occupy.sql; a request id is locked after its package.

-- Up to five other starts: the same staff member's nearest first, then the others'.
create function private.alternatives(
  p_org_id uuid, p_session_type_id uuid, p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_start_time timestamptz,
  p_audience text, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('start_time', a.start_time, 'end_time', a.end_time, 'staff_id', a.staff_id, 'rank', a.rank)
                            order by a.is_other, a.distance, a.rank, a.start_time, a.staff_id), '[]')
    from (select s.start_time, s.end_time, s.staff_id, s.rank, s.staff_id is distinct from p_staff_id as is_other,
                 abs(extract(epoch from s.start_time - p_start_time)) as distance
            from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, null, p_location_id,
                                       tstzrange(p_start_time - interval '3 days', p_start_time + interval '7 days', '[]'),
                                       p_audience, p_now) as s
           where (s.staff_id, s.start_time) is distinct from (p_staff_id, p_start_time)
           order by is_other, distance, s.rank, s.start_time, s.staff_id
           limit 5) as a;
$$;
comment on function private.alternatives is 'Up to five other starts as an array of {start_time, end_time, staff_id, rank}, nearest first, the same staff member before others.';

create function private.outcome(p_outcome text, p_rest jsonb default '{}')
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select jsonb_build_object('outcome', p_outcome) || p_rest;
$$;
comment on function private.outcome is 'The answer of an RPC that does not raise: {outcome, …}.';

-- The caller has authorised, and has found the client, type, staff member and location to be the organisation's.
-- p_staff_id null is anyone; p_hold_id turns a hold into the booking.
create function private.book(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_start_time timestamptz, p_duration_mins integer, p_staff_id uuid,
  p_location_id uuid, p_purchase_id uuid, p_audience text, p_source text, p_notes text, p_actor_id uuid, p_request_id uuid,
  p_series_id uuid default null, p_status text default 'confirmed', p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
  v_type public.session_types;
  v_shape record;
  v_slot record;
  v_booking public.bookings;
  v_occupancy_id uuid;
begin
  if p_purchase_id is not null then
    -- The package is locked before its free sessions are counted: the last one is booked once.
    if (private.lock_package(p_org_id, p_purchase_id)).client_id <> p_client_id then
      perform private.refuse_purchase();
    end if;
  end if;
  if p_request_id is not null then
    -- The second click waits for the first and reads its answer; without the wait it would find its own time taken.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_org_id::text || p_request_id, 0));
    select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.request_id = p_request_id;
    if found then
      if (v_booking.client_id, v_booking.purchase_id) is distinct from (p_client_id, p_purchase_id) then
        perform private.refuse_request();
      end if;
      return private.booked(v_booking);
    end if;
  end if;
  if p_purchase_id is not null and coalesce(private.bookable_at(p_org_id, p_purchase_id, p_start_time), 0) < 1 then
    return private.outcome('package_exhausted');
  end if;

  v_settings := private.settings_of(p_org_id);
  v_type := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape := private.session_shape(v_settings, v_type, p_duration_mins);
  perform private.lock_day(v_type, v_settings.timezone, p_start_time);
  for v_slot in
    select s.* from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                                          tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now) as s
     order by s.seats_left < v_shape.capacity desc, s.rank, s.staff_id
  loop
    v_occupancy_id := private.occupy(
      p_org_id, v_slot.staff_id, v_type.id, v_shape.capacity, v_slot.start_time, v_slot.end_time,
      tstzrange(v_slot.start_time - v_shape.before, v_slot.end_time + v_shape.after), p_now => p_now);
    exit when v_occupancy_id is not null;
  end loop;
  if v_occupancy_id is null then
    return private.outcome(case when private.is_taken(p_org_id, private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id),
                                                      tstzrange(p_start_time - v_shape.before, p_start_time + v_shape.duration + v_shape.after),
                                                      p_now)
                                then 'taken' else 'unavailable' end, jsonb_build_object(
      'alternatives', private.alternatives(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id, p_start_time,
                                           p_audience, p_now)));
  end if;

  insert into public.bookings (
    org_id, client_id, start_time, end_time, duration_mins, session_type, session_type_id, staff_id, location_id, occupancy_id,
    purchase_id, series_id, status, booked_by, booking_source, notes, client_notes, request_id)
  values (
    p_org_id, p_client_id, v_slot.start_time, v_slot.end_time, extract(epoch from v_shape.duration)::integer / 60,
    coalesce(v_type.slug, 'pt_session'), v_type.id, v_slot.staff_id, p_location_id, v_occupancy_id, p_purchase_id, p_series_id,
    p_status, p_actor_id, p_source, case when p_audience = 'coach' then p_notes end, case when p_audience = 'client' then p_notes end,
    p_request_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning * into v_booking;
  if not found then
    -- The same request at the same time booked it; this one gives its seat back.
    perform private.fail(409, 'request_in_progress', 'The same request is being answered.', 'Ask again with the same request id.');
  end if;
  return private.booked(v_booking);
end;
$$;
comment on function private.book is
  'Books one session: {outcome: booked, booking_id, staff_id, start_time, end_time}, {outcome: taken | unavailable, alternatives}, or {outcome: package_exhausted}. Fails: purchase_not_found 404, request_reused 409, request_in_progress 409.';

-- Tells "somebody has it" from "it was never on offer" (hours, notice, off the grid).
create function private.is_taken(p_org_id uuid, p_staff_ids uuid[], p_blocked tstzrange, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from private.occupancies as o
                  where o.org_id = p_org_id and o.staff_id = any (p_staff_ids) and o.seats > 0
                    and (o.expires_at is null or o.expires_at > p_now) and o.blocked && p_blocked);
$$;
comment on function private.is_taken is 'True when one of these staff members has something in that time.';

create function private.booked(p_booking public.bookings)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select private.outcome('booked', jsonb_build_object(
    'booking_id', p_booking.id, 'staff_id', p_booking.staff_id, 'start_time', p_booking.start_time, 'end_time', p_booking.end_time));
$$;
comment on function private.booked is 'The outcome of a booking that was made.';

-- Sessions a package can still give to a booking at that start: remaining less what is held by other bookings.
create function private.bookable_at(p_org_id uuid, p_purchase_id uuid, p_start_time timestamptz)
returns integer
language sql stable security definer set search_path = ''
as $$
  select case when p.valid_during @> p_start_time then p.sessions_remaining - (
           select count(*)::integer
             from public.bookings as b
            where b.org_id = p.org_id and b.purchase_id = p.id
              and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed')))) end
    from public.client_purchases as p
   where p.org_id = p_org_id and p.id = p_purchase_id;
$$;
comment on function private.bookable_at is 'Sessions of a package free for a booking at that start; null when it is not valid then.';

-- Keeps the booking's identity: the move is one update of its row.
create function private.reschedule(
  p_org_id uuid, p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid, p_audience text, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_booking public.bookings;
  v_minutes integer;
  v_type public.session_types;
  v_shape record;
  v_staff_id uuid;
  v_occupancy_id uuid;
begin
  select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.id = p_booking_id for no key update;
  if not found then
    perform private.refuse_booking();
  elsif v_booking.status not in ('pending', 'confirmed') or (p_audience = 'client' and v_booking.start_time <= p_now) then
    perform private.refuse_transition();
  end if;
  v_minutes := extract(epoch from v_booking.end_time - v_booking.start_time)::integer / 60;
  if p_audience = 'client' then
    perform private.require_cancellable(v_booking, p_now);
  end if;
  -- Its package would not pay for it there. One that pays nothing where it is either (unpaid, frozen) is not made worse by a move.
  if v_booking.settlement is distinct from 'waived' and exists (
       select from public.client_purchases as p
        where p.org_id = p_org_id and p.id = v_booking.purchase_id
          and p.valid_during @> v_booking.start_time and not p.valid_during @> p_start_time) then
    return private.outcome('package_expired');
  end if;
  v_staff_id := coalesce(p_staff_id, v_booking.staff_id);
  v_type := private.session_type_of(p_org_id, v_booking.session_type_id, v_booking.session_type);
  v_shape := private.session_shape(v_settings, v_type, v_minutes);
  perform from public.staff as s
    where s.org_id = p_org_id and s.id in (v_booking.staff_id, v_staff_id) order by s.id for no key update;
  -- The day it comes to, and those that its old time may be offered for, in one order.
  perform private.lock_days(
    d.session_type_ids || case when v_type.max_per_day is not null then v_type.id end,
    d.dates || case when v_type.max_per_day is not null then (p_start_time at time zone v_settings.timezone)::date end)
    from private.waited_days(p_org_id, array[v_booking.start_time]) as d;
  if exists (select from private.offered_slots(p_org_id, v_type.id, v_minutes, v_staff_id, v_booking.location_id,
                                               tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now,
                                               p_except => v_booking.occupancy_id)) then
    begin
      -- The buffers of a booking by RPC, which the trigger of a direct write does not give.
      perform private.vacate(p_org_id, v_booking.occupancy_id);
      v_occupancy_id := private.occupy(
        p_org_id, v_staff_id, v_type.id, v_shape.capacity, p_start_time, p_start_time + v_shape.duration,
        tstzrange(p_start_time - v_shape.before, p_start_time + v_shape.duration + v_shape.after), p_now => p_now);
      if v_occupancy_id is null then
        perform private.refuse_slot();
      end if;
      update public.bookings as b
         set start_time = p_start_time, end_time = p_start_time + v_shape.duration, staff_id = v_staff_id,
             occupancy_id = v_occupancy_id, ics_sequence = b.ics_sequence + 1, client_confirmed = false, confirmation_sent_at = null
       where b.org_id = p_org_id and b.id = p_booking_id
      returning b.* into v_booking;
      return private.booked(v_booking) || '{"outcome": "rescheduled"}';
    exception when sqlstate 'PT409' then
      null;
    end;
  end if;
  return private.outcome('taken', jsonb_build_object('alternatives', private.alternatives(
    p_org_id, v_type.id, v_minutes, v_staff_id, v_booking.location_id, p_start_time, p_audience, p_now)));
end;
$$;
comment on function private.reschedule is
  'Moves a booking: {outcome: rescheduled, …}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start. Fails: booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';

-- Cancels for a coach: the time and the held session are free again, a session taken early returns. With p_is_charged the session
-- is taken all the same, and one taken early stays taken.
create function private.cancel_booking(
  p_org_id uuid, p_booking_id uuid, p_reason text, p_is_charged boolean, p_actor_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
begin
  if v_booking.status = 'cancelled' then
    return v_booking.settlement;
  elsif v_booking.status not in ('pending', 'confirmed') then
    perform private.refuse_transition();
  end if;
  if v_booking.settlement = 'charged' and not p_is_charged then
    perform private.give_session_back(p_org_id, v_booking.purchase_id, p_booking_id, null, p_actor_id, p_now);
  end if;
  perform set_config('coach.cancels_for', 'staff', true);
  update public.bookings as b
     set status = 'cancelled', cancellation_reason = left(p_reason, 500)
   where b.org_id = p_org_id and b.id = p_booking_id
  returning b.* into v_booking;
  perform set_config('coach.cancels_for', '', true);
  if p_is_charged and v_booking.purchase_id is not null and v_booking.settlement is null then
    update public.bookings as b
       set settlement = 'due', due_since = p_now
     where b.org_id = p_org_id and b.id = p_booking_id
    returning b.* into v_booking;
    return private.settle_booking(v_locked.package, v_booking, 'late_cancellation', null, p_actor_id, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.cancel_booking is
  'Cancels a booking and says what became of its session: null (free again), waived (given back), charged or uncovered. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';

-- Cancels for the client whose booking it is. In time the session is free again, also one taken at check-in; inside the notice the
-- organisation's policy refuses, lets it go, or charges.
create function private.client_cancel(p_org_id uuid, p_client_id uuid, p_booking_id uuid, p_now timestamptz default clock_timestamp())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_locked record := private.lock_booking(p_org_id, p_booking_id);
  v_booking public.bookings := v_locked.booking;
  v_settings public.booking_settings := private.settings_of(p_org_id);
begin
  if v_booking.client_id <> p_client_id then
    perform private.refuse_booking();
  elsif v_booking.status = 'cancelled' then
    return v_booking.settlement;
  elsif v_booking.settlement = 'charged'
        and not (v_settings.late_cancellation_policy = 'charge'
                 and now() > v_booking.start_time - make_interval(hours => v_settings.cancel_notice_hours)) then
    -- Undone with all the rest where the policy refuses, next.
    perform private.give_session_back(p_org_id, v_booking.purchase_id, p_booking_id, null, null, p_now);
  end if;
  perform set_config('coach.cancels_for', 'client', true);
  update public.bookings as b set status = 'cancelled'
   where b.org_id = p_org_id and b.id = p_booking_id
  returning b.* into v_booking;
  perform set_config('coach.cancels_for', '', true);
  if v_booking.settlement = 'due' then
    return private.settle_booking(v_locked.package, v_booking, 'late_cancellation', null, null, p_now);
  end if;
  return v_booking.settlement;
end;
$$;
comment on function private.client_cancel is
  'Cancels a client''s own booking and says what became of its session. Fails: booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';

-- A client may move what they may cancel: not late, not where the organisation keeps that to itself.
create function private.require_cancellable(p_booking public.bookings, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_booking.org_id);
begin
  if not v_settings.allow_client_cancel then
    perform private.fail(403, 'cancellation_not_allowed', 'This booking cannot be cancelled here.', 'Ask your coach to cancel it.');
  elsif p_now > p_booking.start_time - make_interval(hours => v_settings.cancel_notice_hours) then
    perform private.fail(403, 'cancellation_too_late', 'It is too late to cancel this booking here.', 'Ask your coach to cancel it.');
  end if;
end;
$$;
comment on function private.require_cancellable is 'Refuses a client''s move inside the notice. Fails: cancellation_not_allowed 403, cancellation_too_late 403.';

-- ── 40_scheduling/rules/broadcast.sql ──

-- Telling open calendars that something changed, where Supabase Realtime is there. A message carries no booking: the app answers it
-- with its next `calendar(…, p_since)`.

create function private.tg_bookings__broadcast()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_ids uuid[];
begin
  if to_regprocedure('realtime.send(jsonb, text, text, boolean)') is not null then
    select array_agg(distinct c.org_id) into v_org_ids from changed as c;
    execute $send$
      select realtime.send(jsonb_build_object('org_id', o.id, 'changed_at', now()), 'bookings_changed', 'calendar:' || o.id, true)
        from unnest($1) as o (id)
    $send$ using v_org_ids;
  end if;
  return null;
end;
$$;
comment on function private.tg_bookings__broadcast is
  'Sends one private message per organisation and statement to the topic calendar:<org_id>, where Realtime exists.';
create trigger bookings__broadcast_new after insert on public.bookings
  referencing new table as changed for each statement execute function private.tg_bookings__broadcast();
create trigger bookings__broadcast_changed after update on public.bookings
  referencing new table as changed for each statement execute function private.tg_bookings__broadcast();

-- ── 40_scheduling/rules/calendar.sql ──

-- The calendar: one call for a view, its range computed here from view and date in the organisation's timezone; with p_since only
-- what changed, for the poll of 15 seconds.
-- What changed is read off bookings and holds; what they do not tell (hours, blocks, the timezone, a deleted row) is noted in
-- private.calendar_changes, by adding rows: nobody who books waits for somebody who edits hours, nor the other way round.

create function private.view_range(p_org_id uuid, p_view text, p_on date)
returns daterange
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_value(p_view in ('day', 'week', 'month'), 'view');
  perform private.require_value(p_on between '2000-01-01' and '2100-01-01', 'on');
  return case p_view
    when 'day' then daterange(p_on, p_on + 1)
    when 'week' then daterange(date_trunc('week', p_on::timestamp)::date, date_trunc('week', p_on::timestamp)::date + 7)
    else daterange(date_trunc('month', p_on::timestamp)::date, (date_trunc('month', p_on::timestamp) + interval '1 month')::date) end;
end;
$$;
comment on function private.view_range is 'The local dates of a view; a week begins on Monday. Fails: value_not_allowed 422.';

create function private.calendar(
  p_org_id uuid, p_view text, p_on date, p_staff_id uuid, p_since timestamptz, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  -- Where too much has changed to be told piece by piece, or it is told no longer, the answer is whole again.
  v_since timestamptz := case when p_since >= p_now - interval '7 days' and not exists (
    select from private.calendar_changes as x
     where x.org_id = p_org_id and x.kind = 'timezone' and x.changed_at > p_since) then p_since end;
  v_days daterange := private.view_range(p_org_id, p_view, coalesce(p_on, private.org_today(p_org_id, p_now)));
  v_range tstzrange := tstzrange(private.local_to_instant(v_timezone, lower(v_days)::timestamp),
                                 private.local_to_instant(v_timezone, upper(v_days)::timestamp));
  v_staff_ids uuid[];
  v_answer jsonb;
begin
  select coalesce(array_agg(s.id), '{}') into v_staff_ids
    from public.staff as s where s.org_id = p_org_id and s.is_active and (p_staff_id is null or s.id = p_staff_id);
  select jsonb_build_object(
    'view', p_view, 'from_on', lower(v_days), 'until_on', upper(v_days) - 1, 'from', lower(v_range), 'until', upper(v_range),
    'timezone', v_timezone,
    -- Ten seconds back: a change that is being committed at this moment is in the next poll, and twice is harmless.
    'as_of', p_now - interval '10 seconds',
    'bookings', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'id', b.id, 'client_id', b.client_id, 'client_name', c.full_name, 'staff_id', b.staff_id, 'location_id', b.location_id,
               'session_type', b.session_type, 'session_type_id', b.session_type_id, 'series_id', b.series_id,
               'purchase_id', b.purchase_id, 'start_time', b.start_time, 'end_time', b.end_time,
               'local_start', to_char(b.start_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'),
               'local_end', to_char(b.end_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'),
               'status', b.status, 'settlement', b.settlement, 'client_confirmed', b.client_confirmed, 'updated_at', b.updated_at)
             order by b.start_time, b.id), '[]')
        from public.bookings as b
        join public.clients as c on c.org_id = b.org_id and c.id = b.client_id
       where b.org_id = p_org_id and b.start_time < upper(v_range) and b.start_time >= lower(v_range) - interval '24 hours'
         and b.end_time > lower(v_range)
         and (p_staff_id is null or b.staff_id = p_staff_id) and (v_since is null or b.updated_at > v_since)))
    -- What the view may still show although it is there no more: changed since then and now outside of it, or deleted.
    || case when v_since is null then '{}' else jsonb_build_object('left', (
         select coalesce(jsonb_agg(l.id order by l.id), '[]')
           from (select b.id
                   from public.bookings as b
                  where b.org_id = p_org_id and b.updated_at > v_since
                    and not (b.start_time < upper(v_range) and b.end_time > lower(v_range)
                             and (p_staff_id is null or b.staff_id = p_staff_id))
                 union all
                 select x.booking_id
                   from private.calendar_changes as x
                  where x.org_id = p_org_id and x.kind = 'removed' and x.changed_at > v_since) as l)) end
    || case when v_since is null or private.is_calendar_changed(p_org_id, '{blocks}', v_since) then jsonb_build_object('blocks', (
         select coalesce(jsonb_agg(jsonb_build_object('id', t.id, 'staff_id', t.staff_id, 'reason', t.reason,
                  'start_time', lower(s.span), 'end_time', upper(s.span)) order by d, t.start_time, t.id), '[]')
           from generate_series(lower(v_days)::timestamp, upper(v_days)::timestamp - interval '1 day', interval '1 day') as d
           join public.blocked_times as t
             on t.org_id = p_org_id and (t.date = d::date or t.day_of_week = extract(dow from d)::integer)
            and (p_staff_id is null or t.staff_id is null or t.staff_id = p_staff_id)
          cross join lateral private.local_span(v_timezone, d::date + t.start_time, d::date + t.end_time) as s (span)
          where not isempty(s.span))) else '{}' end
    || case when v_since is null or private.is_free_time_changed(p_org_id, v_since, p_now) then jsonb_build_object('free', (
         select coalesce(jsonb_agg(jsonb_build_object('staff_id', f.staff_id, 'start_time', lower(s), 'end_time', upper(s))
                                   order by f.staff_id, lower(s)), '[]')
           from private.free_time(p_org_id, v_staff_ids, lower(v_days), upper(v_days) - 1, null, p_now) as f
          cross join lateral unnest(f.free * tstzmultirange(v_range)) as s)) else '{}' end
    into v_answer;
  return v_answer;
end;
$$;
comment on function private.calendar is
  'The calendar of a view as one document. With p_since what changed after it: bookings, the ids that are outside of it or gone, and blocks and free whole where they changed; whole again, without `left`, when p_since is more than seven days back or the timezone changed.';

create function private.is_calendar_changed(p_org_id uuid, p_kinds text[], p_since timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (
    select from private.calendar_changes as x
     where x.org_id = p_org_id and x.changed_at > p_since and x.kind = any (p_kinds));
$$;
comment on function private.is_calendar_changed is 'True when something of these kinds was noted after an instant.';

-- A booking that left the view has freed time in it: any that changed counts. A hold takes time, and gives it back when it runs out.
create function private.is_free_time_changed(p_org_id uuid, p_since timestamptz, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select private.is_calendar_changed(p_org_id, '{blocks,free,removed}', p_since)
      or exists (select from public.bookings as b where b.org_id = p_org_id and b.updated_at > p_since)
      or exists (select from private.holds as h where h.org_id = p_org_id and h.updated_at > p_since)
      or exists (select from private.holds as h
                  where h.org_id = p_org_id and h.status = 'held' and h.expires_at > p_since and h.expires_at <= p_now);
$$;
comment on function private.is_free_time_changed is 'True when an organisation''s hours, blocks, bookings or holds changed after an instant.';

create trigger holds__touch before update on private.holds
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- Argument: the kind. One row a transaction, but for bookings, which are named. What is older than any p_since that is answered in
-- part goes; rows that somebody else is removing are left to them.
create function private.tg__note_calendar()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := case when tg_op = 'DELETE' then old.org_id else new.org_id end;
begin
  -- An organisation that is being deleted needs no notes.
  insert into private.calendar_changes (org_id, kind, booking_id)
  select o.id, tg_argv[0], case when tg_argv[0] = 'removed' then old.id end
    from public.orgs as o
   where o.id = v_org_id
     and (tg_argv[0] = 'removed'
          or not exists (select from private.calendar_changes as x
                          where x.org_id = o.id and x.kind = tg_argv[0] and x.changed_at = now()));
  if found then
    delete from private.calendar_changes as x
     where x.org_id = v_org_id
       and x.id in (select y.id from private.calendar_changes as y
                     where y.org_id = v_org_id and y.changed_at < now() - interval '8 days' for update skip locked);
  end if;
  return null;
end;
$$;
comment on function private.tg__note_calendar is 'Notes for open calendars that hours, blocks or the timezone changed, or that a booking was deleted.';
create trigger availability__note_calendar after insert or update or delete on public.availability
  for each row execute function private.tg__note_calendar('free');
create trigger blocked_times__note_calendar after insert or update or delete on public.blocked_times
  for each row execute function private.tg__note_calendar('blocks');
create trigger staff__note_calendar after insert or delete on public.staff
  for each row execute function private.tg__note_calendar('free');
create trigger staff__note_activity after update on public.staff
  for each row when (old.is_active is distinct from new.is_active) execute function private.tg__note_calendar('free');
create trigger booking_settings__note_calendar after insert or delete on public.booking_settings
  for each row execute function private.tg__note_calendar('timezone');
create trigger booking_settings__note_timezone after update on public.booking_settings
  for each row when (old.timezone is distinct from new.timezone) execute function private.tg__note_calendar('timezone');
create trigger bookings__note_calendar after delete on public.bookings
  for each row execute function private.tg__note_calendar('removed');
create trigger holds__note_calendar after delete on private.holds
  for each row execute function private.tg__note_calendar('free');

create function private.member_calendar(p_org_id uuid, p_view text, p_on date, p_staff_id uuid, p_since timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.read');
  perform private.require_in_org(p_org_id, null, p_staff_id, null);
  return private.calendar(p_org_id, p_view, p_on, p_staff_id, p_since);
end;
$$;
comment on function private.member_calendar is 'calendar for a member with bookings.read.';

-- ── 40_scheduling/rules/feeds.sql ──

-- Calendar files: what a booking's file and a subscribed feed contain. Python only writes it down as RFC 5545.
-- One-way on purpose: nothing is read back from other calendars.

create function private.feed_token_hash(p_token text)
returns bytea
language sql immutable security invoker set search_path = ''
as $$
  select sha256(convert_to(p_token, 'UTF8'));
$$;
comment on function private.feed_token_hash is 'How a feed''s token is kept.';

-- The token is shown once, here.
create function private.create_feed(p_org_id uuid, p_staff_id uuid, p_client_id uuid, p_actor_id uuid)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_token text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
  v_feed_id uuid;
begin
  insert into private.calendar_feeds (org_id, staff_id, client_id, created_by) values (p_org_id, p_staff_id, p_client_id, p_actor_id)
  returning id into v_feed_id;
  insert into private.calendar_feed_tokens (token_hash, org_id, feed_id) values (private.feed_token_hash(v_token), p_org_id, v_feed_id);
  return v_token;
end;
$$;
comment on function private.create_feed is 'Opens a feed of a staff member''s or a client''s bookings; returns its token, which cannot be read again.';

create function private.revoke_feeds(p_org_id uuid, p_staff_id uuid, p_client_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_revoked integer;
begin
  with gone as (
    update private.calendar_feeds as f
       set revoked_at = clock_timestamp()
     where f.org_id = p_org_id and f.revoked_at is null and (f.staff_id = p_staff_id or f.client_id = p_client_id)
    returning f.id)
  select count(*)::integer into v_revoked from gone;
  return v_revoked;
end;
$$;
comment on function private.revoke_feeds is 'Closes every feed of a staff member or client; returns how many.';

-- One booking as a calendar event. Cancelled ones stay, so that subscribers are told.
create function private.booking_event(p_booking public.bookings, p_is_for_staff boolean)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'uid', p_booking.id || '@coach-os', 'sequence', p_booking.ics_sequence, 'start_time', p_booking.start_time, 'end_time', p_booking.end_time,
    'status', case p_booking.status when 'cancelled' then 'CANCELLED' when 'pending' then 'TENTATIVE' else 'CONFIRMED' end,
    'updated_at', p_booking.updated_at, 'created_at', p_booking.created_at,
    'summary', coalesce((select t.name from public.session_types as t where t.org_id = p_booking.org_id and t.id = p_booking.session_type_id), 'Session')
      || case when p_is_for_staff then ': ' || c.full_name else ' with ' || s.full_name end,
    'location', coalesce((select concat_ws(', ', l.name, l.address) from public.locations as l
                           where l.org_id = p_booking.org_id and l.id = p_booking.location_id), p_booking.location_details),
    'organizer', o.name)
    from public.orgs as o
    join public.clients as c on c.org_id = o.id and c.id = p_booking.client_id
    join public.staff as s on s.org_id = o.id and s.id = p_booking.staff_id
   where o.id = p_booking.org_id;
$$;
comment on function private.booking_event is
  'A booking as {uid, sequence, start_time, end_time, status, summary, location, organizer, created_at, updated_at}.';

create function private.feed(p_token text, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_feed private.calendar_feeds;
begin
  select f.* into v_feed
    from private.calendar_feed_tokens as t
    join private.calendar_feeds as f on f.org_id = t.org_id and f.id = t.feed_id
   where t.token_hash = private.feed_token_hash(coalesce(p_token, '')) and f.revoked_at is null;
  if not found then
    return private.refusal(404, 'feed_not_found', 'There is no such calendar.', 'Ask for a new address.');
  end if;
  return jsonb_build_object(
    'name', (select o.name from public.orgs as o where o.id = v_feed.org_id),
    'events', (select coalesce(jsonb_agg(private.booking_event(b, v_feed.staff_id is not null) order by b.start_time, b.id), '[]')
                 from public.bookings as b
                where b.org_id = v_feed.org_id and (b.staff_id = v_feed.staff_id or b.client_id = v_feed.client_id)
                  and b.start_time between p_now - interval '90 days' and p_now + interval '366 days'));
end;
$$;
comment on function private.feed is 'The bookings of a feed from 90 days back to a year ahead: {name, events}, or feed_not_found 404.';

create function private.member_create_feed(p_staff_id uuid, p_client_id uuid)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_feed_org(p_staff_id, p_client_id);
begin
  return private.create_feed(v_org_id, p_staff_id, p_client_id, auth.uid());
end;
$$;
comment on function private.member_create_feed is 'create_feed for whom member_feed_org lets in.';

create function private.member_revoke_feeds(p_staff_id uuid, p_client_id uuid)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_feed_org(p_staff_id, p_client_id);
begin
  return private.revoke_feeds(v_org_id, p_staff_id, p_client_id);
end;
$$;
comment on function private.member_revoke_feeds is 'revoke_feeds for whom member_feed_org lets in.';

-- A feed shows every booking of its subject to whoever has its address. A staff member opens their own with bookings.read, another's
-- takes staff.write; a client's clients.write, and a client who signs in opens their own.
create function private.member_feed_org(p_staff_id uuid, p_client_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
  v_is_own boolean;
begin
  perform private.require_value((p_staff_id is null) <> (p_client_id is null), 'staff_id');
  if p_staff_id is not null then
    select s.org_id, coalesce(s.user_id = auth.uid(), false) into v_org_id, v_is_own
      from public.staff as s where s.id = p_staff_id and s.org_id = any (private.orgs_with('bookings.read'));
  else
    select c.org_id, c.id = any (private.my_client_ids()) into v_org_id, v_is_own
      from public.clients as c
     where c.id = p_client_id and (c.org_id = any (private.orgs_with('bookings.read')) or c.id = any (private.my_client_ids()));
  end if;
  if v_org_id is null then
    perform private.fail(404, 'feed_subject_not_found', 'There is no such staff member or client.', 'Reload the page.');
  elsif not v_is_own
        and not v_org_id = any (private.orgs_with(case when p_staff_id is not null then 'staff.write' else 'clients.write' end)) then
    perform private.refuse_permission();
  end if;
  return v_org_id;
end;
$$;
comment on function private.member_feed_org is
  'The organisation of a feed''s subject, for whom may open and close its feeds. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';

-- Who leaves keeps no window: neither on their own calendar nor through an address that they were shown. What they see as a client
-- of the organisation stays theirs.
create function private.tg_org_members__close_feeds()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update private.calendar_feeds as f
     set revoked_at = clock_timestamp()
   where f.org_id = old.org_id and f.revoked_at is null
     and (f.created_by = old.user_id
          or f.staff_id in (select s.id from public.staff as s where s.org_id = old.org_id and s.user_id = old.user_id))
     and not exists (select from public.clients as c where c.org_id = f.org_id and c.id = f.client_id and c.auth_user_id = old.user_id);
  return null;
end;
$$;
comment on function private.tg_org_members__close_feeds is 'Closes the calendar feeds of a member who leaves, and those they opened.';
create trigger org_members__close_feeds after delete on public.org_members
  for each row execute function private.tg_org_members__close_feeds();

-- ── 40_scheduling/rules/free_time.sql ──

-- What is free: one function for listing and for booking alike, so that every slot ever offered can be booked.
-- private.open_time says when sessions may take place, private.free_starts where a session fits between what is taken,
-- private.offered_slots adds what the audience may know and book. Booking asks the same function about the one start it wants:
-- planning these queries takes longer than answering that, so they are planned once a session (plpgsql, since a server before 18
-- plans an SQL function at every call), for any arguments.

-- Hours less blocked times, as instants, for each staff member and local day. A date's own hours replace the week's for that
-- day, what the week takes away included; a staff member with hours of their own is not bound by those that name nobody.
create function private.open_time(p_org_id uuid, p_staff_ids uuid[], p_from date, p_until date, p_location_id uuid default null)
returns table (staff_id uuid, open tstzmultirange)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with days as (
    select p_from + n as on_date, extract(dow from p_from + n)::integer as dow from generate_series(0, p_until - p_from) as n),
  hours as (
    select s.id as staff_id, a.day_of_week, a.specific_date, a.start_time, a.end_time, coalesce(a.is_available, true) as is_open
      from unnest(p_staff_ids) as s (id)
      join public.availability as a
        on a.org_id = p_org_id
       and (a.staff_id = s.id
            or a.staff_id is null and not exists (
                 select from public.availability as own
                  where own.org_id = p_org_id and own.staff_id = s.id and own.specific_date is null and coalesce(own.is_available, true)))),
  spans as (
    select h.staff_id, h.is_open, d.on_date + h.start_time as starts, d.on_date + h.end_time as ends
      from days as d
      join hours as h on h.specific_date is null and h.day_of_week = d.dow
     where not exists (
             select from hours as x
              where x.staff_id = h.staff_id and x.specific_date = d.on_date and x.is_open)
    union all
    select h.staff_id, h.is_open, h.specific_date + h.start_time, h.specific_date + h.end_time
      from hours as h
     where h.specific_date between p_from and p_until
    union all
    select s.id, false, d.on_date + b.start_time, d.on_date + b.end_time
      from days as d
      join public.blocked_times as b on b.org_id = p_org_id and (b.date = d.on_date or b.day_of_week = d.dow)
      join unnest(p_staff_ids) as s (id) on b.staff_id is null or b.staff_id = s.id),
  walls as (
    select w.starts, w.ends, w.span
      from (select array_agg(x.starts) as starts, array_agg(x.ends) as ends from (select distinct s.starts, s.ends from spans as s) as x) as a
     cross join lateral private.local_spans(private.org_timezone(p_org_id), a.starts, a.ends) as w),
  instants as (
    select p.staff_id, p.is_open, w.span
      from spans as p
      join walls as w on w.starts = p.starts and w.ends = p.ends)
  select i.staff_id,
         (range_agg(i.span) filter (where i.is_open) - coalesce(range_agg(i.span) filter (where not i.is_open), '{}'))
         * case when exists (select from public.location_hours as l where l.org_id = p_org_id and l.location_id = p_location_id)
                then coalesce((
                  select range_agg(w.span)
                    from (select array_agg(d.on_date + l.opens_time) as starts, array_agg(d.on_date + l.closes_time) as ends
                            from public.location_hours as l
                            join days as d on d.dow = l.day_of_week
                           where l.org_id = p_org_id and l.location_id = p_location_id) as a
                   cross join lateral private.local_spans(private.org_timezone(p_org_id), a.starts, a.ends) as w), '{}')
                else '{(,)}'::tstzmultirange end
    from instants as i
   where not isempty(i.span)
   group by i.staff_id
  having bool_or(i.is_open);
end;
$$;
comment on function private.open_time is
  'When each staff member may give sessions between two local dates, both included: hours less blocked times, within the location''s opening hours.';

-- What is free as it stands: open time less what is taken. The calendar shows it; booking looks through free_starts.
create function private.free_time(
  p_org_id uuid, p_staff_ids uuid[], p_from date, p_until date, p_location_id uuid default null, p_now timestamptz default now())
returns table (staff_id uuid, free tstzmultirange)
language sql stable security definer set search_path = ''
as $$
  select o.staff_id, o.open - coalesce(t.busy, '{}')
    from private.open_time(p_org_id, p_staff_ids, p_from, p_until, p_location_id) as o
    left join lateral (
      select range_agg(x.blocked) as busy
        from private.occupancies as x
       where x.org_id = p_org_id and x.staff_id = o.staff_id and x.seats > 0 and coalesce(x.expires_at > p_now, true)
         and x.blocked && tstzrange(lower(o.open), upper(o.open))) as t on true;
$$;
comment on function private.free_time is 'Open time less what is booked or held, for each staff member.';

-- Where a session of that length fits: it lies in open time, and its buffers reach into nobody else's. Starts lie on the grid of
-- 15 minutes. The rank is how many minutes lie between it and the nearest taken time, at most a day: 0 is adjacent.
create function private.free_starts(
  p_org_id uuid, p_staff_ids uuid[], p_location_id uuid, p_duration interval, p_before interval, p_after interval,
  p_within tstzrange, p_now timestamptz, p_except uuid default null)
returns table (staff_id uuid, start_time timestamptz, rank integer)
language plpgsql stable security definer set search_path = '' set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  with zone as (select private.org_timezone(p_org_id) as name),
  open as materialized (
    select o.staff_id, o.open
      from zone as z
     cross join lateral private.open_time(p_org_id, p_staff_ids, (lower(p_within) at time zone z.name)::date - 1,
                                          (upper(p_within) at time zone z.name)::date + 1, p_location_id) as o),
  -- A day further than any session reaches: no rank looks beyond.
  seen as (
    select tstzrange(lower(p_within) - p_before - interval '1 day', upper(p_within) + p_duration + p_after + interval '1 day') as span),
  taken as (
    select o.staff_id, '-infinity'::timestamptz as starts, lower(z.span) as ends from open as o cross join seen as z
    union all
    select o.staff_id, lower(x.blocked), upper(x.blocked)
      from open as o
     cross join seen as z
      join private.occupancies as x on x.org_id = p_org_id and x.staff_id = o.staff_id and x.blocked && z.span
     where x.seats > 0 and (x.expires_at is null or x.expires_at > p_now) and x.id is distinct from p_except),
  -- What is taken does not overlap: free is what lies between neighbours.
  gaps as (
    select t.staff_id, t.ends as after, lead(t.starts, 1, upper(z.span)) over (partition by t.staff_id order by t.starts) as before
      from taken as t cross join seen as z),
  fits as (
    select g.staff_id, g.after + p_before as earliest, g.before - p_duration - p_after as latest
      from gaps as g
     where g.after + p_before <= g.before - p_duration - p_after),
  spans as (
    select f.staff_id, f.earliest as first, f.latest as last,
           greatest(f.earliest, lower(s.span), lower(p_within)) as earliest,
           least(f.latest, upper(s.span) - p_duration, upper(p_within)) as latest
      from fits as f
      join open as o on o.staff_id = f.staff_id
     cross join lateral unnest(o.open * tstzmultirange(tstzrange(f.earliest, f.latest + p_duration))) as s (span))
  select f.staff_id, c.start_time,
         least(1440, floor(extract(epoch from least(c.start_time - f.first, f.last - c.start_time)) / 60))::integer
    from spans as f
   cross join lateral (
     select to_timestamp(e * 900)
       from generate_series(ceil(extract(epoch from f.earliest) / 900)::bigint, floor(extract(epoch from f.latest) / 900)::bigint) as e
    ) as c (start_time)
   where f.earliest <= f.latest;
end;
$$;
comment on function private.free_starts is
  'The starts, on a grid of 15 minutes, at which a session with its buffers fits; rank is the minutes to the nearest taken time, 0 = adjacent.';

-- The staff who may give it: active, of the type, at the place, which is active too.
create function private.eligible_staff(p_org_id uuid, p_session_type_id uuid, p_location_id uuid, p_staff_id uuid)
returns uuid[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(s.id order by s.created_at, s.id), '{}')
    from public.staff as s
   where s.org_id = p_org_id and s.is_active and (p_staff_id is null or s.id = p_staff_id)
     and (p_session_type_id is null
          or not exists (select from public.session_type_staff as x where x.org_id = p_org_id and x.session_type_id = p_session_type_id)
          or exists (select from public.session_type_staff as x
                      where x.org_id = p_org_id and x.session_type_id = p_session_type_id and x.staff_id = s.id))
     and (p_location_id is null
          or exists (select from public.locations as l where l.org_id = p_org_id and l.id = p_location_id and l.is_active))
     and (p_location_id is null
          or not exists (select from public.staff_locations as x where x.org_id = p_org_id and x.staff_id = s.id)
          or exists (select from public.staff_locations as x
                      where x.org_id = p_org_id and x.staff_id = s.id and x.location_id = p_location_id));
$$;
comment on function private.eligible_staff is 'The active staff who give this session type at this active location; all that are null do not bind.';

-- An organisation's booking settings, defaults where no row exists.
create function private.settings_of(p_org_id uuid)
returns public.booking_settings
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
begin
  select s.* into v_settings from public.booking_settings as s where s.org_id = p_org_id;
  v_settings.timezone := coalesce(v_settings.timezone, 'Australia/Brisbane');
  v_settings.allow_client_booking := coalesce(v_settings.allow_client_booking, true);
  v_settings.min_notice_hours := coalesce(v_settings.min_notice_hours, 24);
  v_settings.max_advance_days := coalesce(v_settings.max_advance_days, 30);
  v_settings.allow_client_cancel := coalesce(v_settings.allow_client_cancel, true);
  v_settings.cancel_notice_hours := coalesce(v_settings.cancel_notice_hours, 24);
  v_settings.slot_duration_mins := coalesce(v_settings.slot_duration_mins, 60);
  v_settings.buffer_between_mins := coalesce(v_settings.buffer_between_mins, 15);
  v_settings.early_cutoff_before_hour := coalesce(v_settings.early_cutoff_before_hour, 9);
  v_settings.early_cutoff_time := coalesce(v_settings.early_cutoff_time, '20:00');
  v_settings.late_notice_hours := coalesce(v_settings.late_notice_hours, 2);
  v_settings.late_cancellation_policy := coalesce(v_settings.late_cancellation_policy, 'refuse');
  return v_settings;
end;
$$;
comment on function private.settings_of is 'An organisation''s booking settings as they are in force: the defaults where no row or value exists.';

-- How long, how far apart, how many: of the type, else of the settings. The buffer between bookings is the larger of the type's
-- and the settings'; a coach's direct write keeps to the type's alone.
create function private.session_shape(
  p_settings public.booking_settings, p_type public.session_types, p_duration_mins integer,
  out duration interval, out before interval, out after interval, out capacity integer)
language sql stable security definer set search_path = ''
as $$
  select make_interval(mins => coalesce(p_duration_mins, p_type.duration_mins, p_settings.slot_duration_mins)),
         make_interval(mins => coalesce(p_type.buffer_before_mins, 0)),
         make_interval(mins => greatest(p_type.buffer_after_mins, p_settings.buffer_between_mins)),
         coalesce(p_type.capacity, 1);
$$;
comment on function private.session_shape is 'The length, buffers and capacity with which a session is offered and booked.';

-- When booking for that start closes, for a client: the notice, the evening before for early starts, the late notice otherwise.
create function private.booking_closes_at(p_settings public.booking_settings, p_start_time timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select least(
    p_start_time - make_interval(hours => p_settings.min_notice_hours),
    case when extract(hour from l.start) < p_settings.early_cutoff_before_hour
         then private.local_to_instant(p_settings.timezone, l.start::date - 1 + p_settings.early_cutoff_time)
         else p_start_time - make_interval(hours => p_settings.late_notice_hours) end)
    from (select p_start_time at time zone p_settings.timezone as start) as l;
$$;
comment on function private.booking_closes_at is 'The last instant at which a client may book that start.';

-- What may be booked within a range of starts, by whom it is asked: 'coach' is bound by hours and by what is taken, 'client' by
-- notice, cutoffs, horizon and online booking too. Sessions of a group that have seats left are offered with them.
create function private.offered_slots(
  p_org_id uuid, p_session_type_id uuid, p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_within tstzrange,
  p_audience text, p_now timestamptz default now(), p_except uuid default null)
returns table (staff_id uuid, start_time timestamptz, end_time timestamptz, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_type public.session_types := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape record := private.session_shape(v_settings, v_type, p_duration_mins);
  v_staff_ids uuid[] := private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id);
  v_earliest timestamptz := greatest(lower(p_within), p_now);
  v_latest timestamptz := upper(p_within);
  v_full_days date[];
  -- Who leaves a session that others stay in leaves its time taken.
  v_except uuid := (
    select o.id from private.occupancies as o
     where o.org_id = p_org_id and o.id = p_except
       and o.seats - 1 = (select count(*) from private.holds as h
                           where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now));
begin
  if p_audience = 'client' then
    v_latest := least(v_latest, private.local_to_instant(
      v_settings.timezone, ((p_now at time zone v_settings.timezone)::date + v_settings.max_advance_days + 1)::timestamp) - interval '1 minute');
    if not v_settings.allow_client_booking or not coalesce(v_type.allow_online_booking, true) then
      return;
    end if;
  end if;
  if v_earliest > v_latest or not coalesce(v_type.is_active, true) then
    return;
  end if;
  v_full_days := private.full_days(v_type, v_settings.timezone, tstzrange(v_earliest, v_latest, '[]'), v_except, p_now);
  return query
  with candidates as (
    select f.staff_id, f.start_time, f.rank, v_shape.capacity as seats_left
      from private.free_starts(p_org_id, v_staff_ids, p_location_id, v_shape.duration, v_shape.before, v_shape.after,
                               tstzrange(v_earliest, v_latest, '[]'), p_now, v_except) as f
    union all
    select o.staff_id, o.starts_at, 0, v_shape.capacity - o.seats + x.expired
      from private.occupancies as o
     cross join lateral (
       select count(*)::integer as expired
         from private.holds as h
        where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now) as x
     where v_shape.capacity > 1
       and o.org_id = p_org_id and o.staff_id = any (v_staff_ids) and o.session_type_id = p_session_type_id
       and o.starts_at between v_earliest and v_latest and o.ends_at = o.starts_at + v_shape.duration
       and o.seats > 0 and o.seats - x.expired < v_shape.capacity and (o.expires_at is null or o.expires_at > p_now))
  select c.staff_id, c.start_time, c.start_time + v_shape.duration, c.rank, c.seats_left
    from candidates as c
   where (p_audience <> 'client' or p_now <= private.booking_closes_at(v_settings, c.start_time))
     and (c.seats_left < v_shape.capacity or (c.start_time at time zone v_settings.timezone)::date <> all (v_full_days));
end;
$$;
comment on function private.offered_slots is
  'The starts that may be booked, with staff, end, rank and seats left. Listing and booking both ask this.';

-- Sessions, not seats: a group counts once.
create function private.full_days(
  p_type public.session_types, p_timezone text, p_within tstzrange, p_except uuid, p_now timestamptz)
returns date[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(d.on_date), '{}')
    from (select (o.starts_at at time zone p_timezone)::date as on_date
            from private.occupancies as o
           where p_type.max_per_day is not null and o.org_id = p_type.org_id and o.session_type_id = p_type.id
             and o.starts_at between lower(p_within) - interval '2 days' and upper(p_within) + interval '2 days'
             and o.seats > 0 and coalesce(o.expires_at > p_now, true) and o.id is distinct from p_except
           group by 1 having count(*) >= p_type.max_per_day) as d;
$$;
comment on function private.full_days is 'The local days around a range on which a type has as many sessions as its max_per_day.';

-- The day's limit is counted: whoever takes or holds time for the type on that day queues here.
create function private.lock_day(p_type public.session_types, p_timezone text, p_start_time timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_type.max_per_day is not null then
    perform private.lock_days(array[p_type.id], array[(p_start_time at time zone p_timezone)::date]);
  end if;
end;
$$;
comment on function private.lock_day is 'Locks a local day of a session type that has max_per_day, until the transaction ends.';

create function private.lock_days(p_session_type_ids uuid[], p_dates date[])
returns void
language sql volatile security definer set search_path = ''
as $$
  -- By number: a date's text depends on the session's DateStyle.
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(d.session_type_id::text || (d.on_date - date '2000-01-01'), 0))
    from (select distinct u.on_date, u.session_type_id from unnest(p_session_type_ids, p_dates) as u (session_type_id, on_date)
           order by u.on_date, u.session_type_id) as d;
$$;
comment on function private.lock_days is 'Locks several types'' local days, in the order of days, until the transaction ends.';

-- What is freed is offered on, and the offer takes time for a type that may have a limit: its day is locked before the time is
-- given back, since nobody waits for a day who holds time already.
create function private.waited_days(
  p_org_id uuid, p_freed timestamptz[], out session_type_ids uuid[], out dates date[])
language sql stable security definer set search_path = ''
as $$
  select array_agg(w.session_type_id), array_agg(w.on_date)
    from public.waitlist_entries as w
    join public.session_types as t on t.org_id = w.org_id and t.id = w.session_type_id
   where w.org_id = p_org_id and w.status = 'waiting' and t.max_per_day is not null
     and w.on_date in (select (f.start_time at time zone private.org_timezone(p_org_id))::date from unnest(p_freed) as f (start_time));
$$;
comment on function private.waited_days is 'The types with max_per_day for which somebody waits on the local days of these starts, each with its day.';

-- ── 40_scheduling/rules/holds.sql ──

-- Holds and the waitlist: a slot kept for some minutes, for whoever is about to book it or was waiting for it.
-- A hold that has run out is in nobody's way at once (private.occupy); the sweep tidies up and passes waitlist offers on.
-- Lock order: as in occupy.sql. A hold is changed by whoever has locked its occupancy.

create function private.hold_slot(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_start_time timestamptz, p_duration_mins integer, p_staff_id uuid,
  p_location_id uuid, p_audience text, p_minutes integer default null, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings := private.settings_of(p_org_id);
  v_type public.session_types := private.session_type_of(p_org_id, p_session_type_id, null);
  v_shape record := private.session_shape(v_settings, v_type, p_duration_mins);
  v_expires_at timestamptz := p_now + make_interval(mins => coalesce(p_minutes, v_settings.hold_mins, 10));
  v_slot record;
  v_occupancy_id uuid;
  v_hold private.holds;
begin
  perform private.lock_day(v_type, v_settings.timezone, p_start_time);
  for v_slot in
    select s.* from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                                          tstzrange(p_start_time, p_start_time, '[]'), p_audience, p_now) as s
     order by s.seats_left < v_shape.capacity desc, s.rank, s.staff_id
  loop
    v_occupancy_id := private.occupy(
      p_org_id, v_slot.staff_id, v_type.id, v_shape.capacity, v_slot.start_time, v_slot.end_time,
      tstzrange(v_slot.start_time - v_shape.before, v_slot.end_time + v_shape.after), v_expires_at, p_now);
    exit when v_occupancy_id is not null;
  end loop;
  if v_occupancy_id is null then
    return private.outcome('taken', jsonb_build_object('alternatives', private.alternatives(
      p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id, p_start_time, p_audience, p_now)));
  end if;
  insert into private.holds (org_id, occupancy_id, client_id, session_type_id, location_id, staff_id, start_time, end_time, expires_at)
  values (p_org_id, v_occupancy_id, p_client_id, v_type.id, p_location_id, v_slot.staff_id, v_slot.start_time, v_slot.end_time, v_expires_at)
  returning * into v_hold;
  return private.held(v_hold);
end;
$$;
comment on function private.hold_slot is
  'Keeps a slot for some minutes: {outcome: held, hold_id, staff_id, start_time, end_time, expires_at} or {outcome: taken, alternatives}.';

create function private.held(p_hold private.holds)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select private.outcome('held', jsonb_build_object(
    'hold_id', p_hold.id, 'staff_id', p_hold.staff_id, 'start_time', p_hold.start_time, 'end_time', p_hold.end_time,
    'expires_at', p_hold.expires_at));
$$;
comment on function private.held is 'The outcome of a hold that was made.';

-- Turns a hold into a booking. One that has run out is told so, also when its time is still free.
create function private.confirm_hold(
  p_org_id uuid, p_hold_id uuid, p_client_id uuid, p_purchase_id uuid, p_audience text, p_source text, p_notes text, p_actor_id uuid,
  p_now timestamptz default clock_timestamp())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold private.holds;
  v_booking public.bookings;
begin
  if p_purchase_id is not null then
    if (private.lock_package(p_org_id, p_purchase_id)).client_id <> p_client_id then
      perform private.refuse_purchase();
    end if;
  end if;
  -- The seat is ours until now: whoever lets go of holds that have run out waits for this row.
  perform from private.occupancies as o
    where o.org_id = p_org_id and o.id = (select h.occupancy_id from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id)
      for no key update;
  select h.* into v_hold from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id for no key update;
  if not found or v_hold.client_id <> p_client_id then
    perform private.fail(404, 'hold_not_found', 'There is no such hold.', 'Choose a time again.');
  elsif v_hold.status = 'booked' then
    select b.* into v_booking from public.bookings as b where b.org_id = p_org_id and b.id = v_hold.booking_id;
    return private.booked(v_booking);
  elsif v_hold.status <> 'held' or v_hold.expires_at <= p_now then
    return private.outcome('hold_expired', jsonb_build_object('alternatives', private.alternatives(
      p_org_id, v_hold.session_type_id, extract(epoch from v_hold.end_time - v_hold.start_time)::integer / 60, v_hold.staff_id,
      v_hold.location_id, v_hold.start_time, p_audience, p_now)));
  elsif p_purchase_id is not null and coalesce(private.bookable_at(p_org_id, p_purchase_id, v_hold.start_time), 0) < 1 then
    return private.outcome('package_exhausted');
  end if;
  update private.occupancies as o
     set expires_at = null
   where o.org_id = p_org_id and o.id = v_hold.occupancy_id and o.seats > 0;
  if not found then
    return private.outcome('hold_expired', '{"alternatives": []}');
  end if;
  insert into public.bookings (
    org_id, client_id, start_time, end_time, duration_mins, session_type, session_type_id, staff_id, location_id, occupancy_id,
    purchase_id, status, booked_by, booking_source, notes, client_notes)
  select p_org_id, p_client_id, v_hold.start_time, v_hold.end_time, extract(epoch from v_hold.end_time - v_hold.start_time)::integer / 60,
         coalesce(t.slug, 'pt_session'), v_hold.session_type_id, v_hold.staff_id, v_hold.location_id, v_hold.occupancy_id,
         p_purchase_id, 'confirmed', p_actor_id, p_source, case when p_audience = 'coach' then p_notes end,
         case when p_audience = 'client' then p_notes end
    from (select private.session_type_of(p_org_id, v_hold.session_type_id, null) as t) as x
   cross join lateral (select (x.t).slug) as t
  returning * into v_booking;
  update private.holds as h
     set status = 'booked', booking_id = v_booking.id, occupancy_id = null
   where h.org_id = p_org_id and h.id = p_hold_id;
  update public.waitlist_entries as w
     set status = 'booked', updated_at = p_now
   where w.org_id = p_org_id and w.hold_id = p_hold_id;
  return private.booked(v_booking);
end;
$$;
comment on function private.confirm_hold is
  'Books a held slot: {outcome: booked, …}, {outcome: hold_expired, alternatives} or {outcome: package_exhausted}. Fails: hold_not_found 404, purchase_not_found 404.';

-- A freed time goes to the first on the waitlist whom it fits, as a hold with a time limit; the coach sees the offer, and
-- messaging carries it to the client.
create function private.offer_to_waitlist(
  p_org_id uuid, p_staff_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.booking_settings;
  v_entry public.waitlist_entries;
  v_slot record;
  v_held jsonb;
  v_offered integer := 0;
begin
  if p_end_time <= p_now then
    return 0;
  end if;
  v_settings := private.settings_of(p_org_id);
  for v_entry in
    select w.*
      from public.waitlist_entries as w
     where w.org_id = p_org_id and w.status = 'waiting' and w.on_date = (p_start_time at time zone v_settings.timezone)::date
       and (w.staff_id is null or w.staff_id = p_staff_id)
       and (w.start_time is null or w.start_time < p_end_time)
     order by w.created_at, w.id
  loop
    select s.staff_id, s.start_time into v_slot
      from private.offered_slots(p_org_id, v_entry.session_type_id, null, p_staff_id, null,
                                 tstzrange(coalesce(v_entry.start_time, p_start_time),
                                           coalesce(v_entry.start_time, p_end_time - interval '1 second'), '[]'),
                                 'coach', p_now) as s
     order by abs(extract(epoch from s.start_time - p_start_time)), s.start_time
     limit 1;
    continue when not found;
    -- Only whom it fits is locked: another time that is freed at this moment finds the others.
    perform from public.waitlist_entries as w
      where w.org_id = p_org_id and w.id = v_entry.id and w.status = 'waiting' for no key update skip locked;
    continue when not found;
    v_held := private.hold_slot(p_org_id, v_entry.client_id, v_entry.session_type_id, v_slot.start_time, null, v_slot.staff_id, null,
                                'coach', coalesce(v_settings.waitlist_offer_mins, 60), p_now);
    if v_held ->> 'outcome' = 'held' then
      update public.waitlist_entries as w
         set status = 'offered', hold_id = (v_held ->> 'hold_id')::uuid, offered_at = p_now, updated_at = p_now
       where w.org_id = p_org_id and w.id = v_entry.id;
      perform private.raise_alert(p_org_id, 'waitlist_offered', v_entry.client_id, null, null);
      v_offered := v_offered + 1;
    end if;
  end loop;
  return v_offered;
end;
$$;
comment on function private.offer_to_waitlist is 'Offers a freed time to those on the waitlist whom it fits, first come first; returns how many offers were made.';

create function private.tg__offer_freed()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.offer_to_waitlist(old.org_id, old.staff_id, old.start_time, old.end_time);
  return null;
end;
$$;
comment on function private.tg__offer_freed is 'Offers the time that a booking or a hold leaves: cancelled, moved or deleted.';
create trigger bookings__offer_freed after update on public.bookings
  for each row when (old.occupancy_id is not null and old.occupancy_id is distinct from new.occupancy_id)
  execute function private.tg__offer_freed();
create trigger bookings__offer_freed_by_delete after delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg__offer_freed();
create trigger holds__offer_freed_by_delete after delete on private.holds
  for each row when (old.occupancy_id is not null) execute function private.tg__offer_freed();

-- Expired holds are let go and their times offered on; one batch a call, safe on any number of machines. What somebody else is at
-- work on (a calendar that is being moved or swept, a session that is being joined) is left for the next call.
create function private.sweep_expired_holds(p_limit integer, p_now timestamptz, p_dry_run boolean, out expired integer, out offered integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_holds private.holds[];
  v_hold private.holds;
  v_gone integer;
begin
  expired := 0;
  offered := 0;
  if p_dry_run then
    select least(count(*), p_limit) into expired from private.holds as h where h.status = 'held' and h.expires_at <= p_now;
    return;
  end if;
  select array_agg(d.hold) into v_holds
    from (select h as hold
            from private.holds as h
            join public.staff as s on s.org_id = h.org_id and s.id = h.staff_id
           where h.status = 'held' and h.expires_at <= p_now
           order by h.expires_at, h.id
           limit p_limit
             for no key update of s skip locked) as d;
  perform private.lock_days(array_agg(t.id), array_agg(t.on_date))
    from (select h.org_id, array_agg(h.start_time) as freed from unnest(v_holds) as h group by h.org_id) as o
   cross join lateral private.waited_days(o.org_id, o.freed) as w
   cross join lateral unnest(w.session_type_ids, w.dates) as t (id, on_date);
  foreach v_hold in array coalesce(v_holds, '{}') loop
    perform from private.occupancies as o
      where o.org_id = v_hold.org_id and o.id = v_hold.occupancy_id for no key update skip locked;
    continue when not found;
    v_gone := private.expire_holds(v_hold.org_id, v_hold.occupancy_id, p_now);
    -- Those of one session go together, and somebody may have been faster.
    continue when v_gone = 0;
    perform private.drop_empty(v_hold.org_id, v_hold.occupancy_id);
    expired := expired + v_gone;
    offered := offered + private.offer_to_waitlist(v_hold.org_id, v_hold.staff_id, v_hold.start_time, v_hold.end_time, p_now);
  end loop;
end;
$$;
comment on function private.sweep_expired_holds is 'Lets go of expired holds and offers their times to the waitlist; returns both counts.';

-- A client waits for a day, or for one start; asking again changes nothing.
create function private.join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_start_time timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_on date := coalesce(p_on, (p_start_time at time zone private.org_timezone(p_org_id))::date);
  v_id uuid;
begin
  perform private.require_value(v_on between private.org_today(p_org_id) and private.org_today(p_org_id) + 366, 'on');
  perform private.require_value(p_start_time is null or v_on = (p_start_time at time zone private.org_timezone(p_org_id))::date, 'start_time');
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  -- The client's row is the lock: two tabs wait once.
  perform from public.clients as c where c.org_id = p_org_id and c.id = p_client_id for no key update;
  select w.id into v_id
    from public.waitlist_entries as w
   where w.org_id = p_org_id and w.client_id = p_client_id and w.on_date = v_on and w.status in ('waiting', 'offered')
     and (w.session_type_id, w.start_time) is not distinct from (p_session_type_id, p_start_time);
  if not found then
    insert into public.waitlist_entries (org_id, client_id, on_date, session_type_id, staff_id, start_time)
    values (p_org_id, p_client_id, v_on, p_session_type_id, p_staff_id, p_start_time)
    returning id into v_id;
  end if;
  return v_id;
end;
$$;
comment on function private.join_waitlist is
  'Puts a client on the waitlist of a local day or of one start; returns the entry''s id. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404.';

-- Another tenant's type, staff member or location does not exist.
create function private.require_in_org(p_org_id uuid, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  if p_session_type_id is not null
     and not exists (select from public.session_types as t where t.org_id = p_org_id and t.id = p_session_type_id) then
    perform private.fail(404, 'session_type_not_found', 'There is no such session type.', 'Reload the session types.');
  elsif p_staff_id is not null and not exists (select from public.staff as s where s.org_id = p_org_id and s.id = p_staff_id) then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  elsif p_location_id is not null and not exists (select from public.locations as l where l.org_id = p_org_id and l.id = p_location_id) then
    perform private.fail(404, 'location_not_found', 'There is no such location.', 'Reload the locations.');
  end if;
end;
$$;
comment on function private.require_in_org is
  'Refuses ids that are not the organisation''s; null passes. Fails: session_type_not_found 404, staff_not_found 404, location_not_found 404.';

-- ── 40_scheduling/rules/leave_waitlist.sql ──

-- Leaving the waitlist: who waits no more is offered nothing more, and what they were offered is in nobody's way from now on.
-- The time itself is passed on where all holds that have run out are: by the sweep (holds.sql).

create function private.leave_waitlist(p_org_id uuid, p_client_id uuid, p_entry_id uuid, p_now timestamptz default now())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold_id uuid;
  v_occupancy_id uuid;
begin
  perform from public.waitlist_entries as w
    where w.org_id = p_org_id and w.id = p_entry_id and (p_client_id is null or w.client_id = p_client_id);
  if not found then
    perform private.fail(404, 'waitlist_entry_not_found', 'There is no such entry on the waitlist.', 'Reload the page.');
  end if;
  for v_attempt in 1 .. 3 loop
    update public.waitlist_entries as w
       set status = 'cancelled', updated_at = p_now
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'waiting';
    if found then
      return true;
    end if;
    -- Whoever confirms the hold at this moment is waited for. From its first moment on it was none, so that one who has begun to
    -- confirm it does not find it good yet.
    select h.id, h.occupancy_id into v_hold_id, v_occupancy_id
      from public.waitlist_entries as w
      join private.holds as h on h.org_id = w.org_id and h.id = w.hold_id
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'offered';
    exit when not found;
    update private.holds as h
       set expires_at = h.created_at
     where h.org_id = p_org_id and h.id = v_hold_id and h.status = 'held';
    continue when not found;
    -- Out of turn, so never waited for: what is locked is freed by whoever has it, or by the sweep.
    perform from private.occupancies as o
      where o.org_id = p_org_id and o.id = v_occupancy_id and o.expires_at is not null for no key update skip locked;
    if found then
      update private.occupancies as o
         set expires_at = (select max(h.expires_at) from private.holds as h
                            where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held')
       where o.org_id = p_org_id and o.id = v_occupancy_id and o.expires_at is not null;
    end if;
    update public.waitlist_entries as w
       set status = 'cancelled', updated_at = p_now
     where w.org_id = p_org_id and w.id = p_entry_id and w.status = 'offered';
    return found;
  end loop;
  return false;
end;
$$;
comment on function private.leave_waitlist is
  'Ends a client''s wait (any client''s where p_client_id is null), with the offer they may have; false when it is over already: booked, let pass or left. Fails: waitlist_entry_not_found 404.';

create function private.member_leave_waitlist(p_entry_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select w.org_id into v_org_id
    from public.waitlist_entries as w where w.id = p_entry_id and w.org_id = any (private.orgs_with('bookings.read'));
  if not found then
    perform private.fail(404, 'waitlist_entry_not_found', 'There is no such entry on the waitlist.', 'Reload the page.');
  end if;
  perform private.require_org(v_org_id, 'bookings.write');
  return private.leave_waitlist(v_org_id, null, p_entry_id);
end;
$$;
comment on function private.member_leave_waitlist is
  'leave_waitlist for a member with bookings.write. Fails: waitlist_entry_not_found 404, permission_missing 403.';

-- ── 40_scheduling/rules/members.sql ──

-- Scheduling for members: who may, in front of the rules that book, hold, move and list.

-- The organisation of a session type, client or the like is the one the member names; the rest must be in it.
create function private.require_booking_in_org(p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid)
returns void
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.write');
  if not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
end;
$$;
comment on function private.require_booking_in_org is
  'Refuses unless the person may book there and everything named is the organisation''s. Fails: org_not_found 404, permission_missing 403, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404.';

create function private.require_duration(p_duration_mins integer)
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.require_value(coalesce(p_duration_mins, 60) between 5 and 1440, 'duration_mins');
$$;
comment on function private.require_duration is 'Refuses a length outside 5 minutes to a day: value_not_allowed 422.';

-- A listing looks at two months at the most.
create function private.listing_range(p_org_id uuid, p_on date, p_until date)
returns tstzrange
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_value(p_on is not null and coalesce(p_until, p_on) between p_on and p_on + 62
                                and p_on between '2000-01-01' and '2100-01-01', 'until');
  return tstzrange(private.local_to_instant(p_org_id, p_on, '00:00'),
                   private.local_to_instant(p_org_id, coalesce(p_until, p_on) + 1, '00:00') - interval '1 second');
end;
$$;
comment on function private.listing_range is 'The instants of some local days, at most 63. Fails: value_not_allowed 422.';

create function private.member_find_slots(
  p_org_id uuid, p_on date, p_until date, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid, p_duration_mins integer)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.read');
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return query
  select s.start_time, s.end_time, s.staff_id, s.rank, s.seats_left
    from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                               private.listing_range(p_org_id, p_on, p_until), 'coach') as s
   order by s.start_time, s.rank, s.staff_id;
end;
$$;
comment on function private.member_find_slots is 'offered_slots for a member with bookings.read.';

create function private.member_book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid,
  p_purchase_id uuid, p_duration_mins integer, p_notes text, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.book(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, p_purchase_id,
                      'coach', 'trainer', p_notes, auth.uid(), p_request_id);
end;
$$;
comment on function private.member_book is 'book for a member with bookings.write.';

create function private.member_hold(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz, p_session_type_id uuid, p_staff_id uuid, p_location_id uuid,
  p_duration_mins integer, p_minutes integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_hold private.holds;
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(p_minutes, 10) between 1 and 1440, 'minutes');
  -- Asked again for a client who holds that start already: it is theirs, not taken. Two clicks queue here.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(p_client_id::text || extract(epoch from p_start_time), 2));
  select h.* into v_hold
    from private.holds as h
   where h.org_id = p_org_id and h.client_id = p_client_id and h.start_time = p_start_time and h.status = 'held' and h.expires_at > now()
     and (h.session_type_id, h.location_id) is not distinct from (p_session_type_id, p_location_id)
     and (p_staff_id is null or h.staff_id = p_staff_id)
     and (p_duration_mins is null or h.end_time = p_start_time + make_interval(mins => p_duration_mins))
   order by h.created_at, h.id limit 1;
  if found then
    return private.held(v_hold);
  end if;
  return private.hold_slot(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, 'coach',
                           p_minutes);
end;
$$;
comment on function private.member_hold is 'hold_slot for a member with bookings.write.';

create function private.member_confirm_hold(p_org_id uuid, p_hold_id uuid, p_purchase_id uuid, p_notes text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'bookings.write');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.confirm_hold(
    p_org_id, p_hold_id, (select h.client_id from private.holds as h where h.org_id = p_org_id and h.id = p_hold_id),
    p_purchase_id, 'coach', 'trainer', p_notes, auth.uid());
end;
$$;
comment on function private.member_confirm_hold is 'confirm_hold for a member with bookings.write.';

create function private.member_reschedule(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_booking_org(p_booking_id, 'bookings.write');
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.reschedule(v_org_id, p_booking_id, p_start_time, p_staff_id, 'coach');
end;
$$;
comment on function private.member_reschedule is 'reschedule for a member with bookings.write.';

create function private.member_cancel_booking(p_booking_id uuid, p_reason text, p_is_charged boolean)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.cancel_booking(private.member_booking_org(p_booking_id, 'bookings.write'), p_booking_id, p_reason,
                                coalesce(p_is_charged, false), auth.uid());
end;
$$;
comment on function private.member_cancel_booking is 'cancel_booking for a member with bookings.write.';

create function private.member_book_series(
  p_org_id uuid, p_client_id uuid, p_from date, p_time time, p_interval_weeks integer, p_count integer, p_session_type_id uuid,
  p_staff_id uuid, p_location_id uuid, p_purchase_id uuid, p_duration_mins integer, p_is_partial boolean, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return private.book_series(p_org_id, p_client_id, p_session_type_id, p_from, p_time, p_interval_weeks, p_count, p_duration_mins,
                             p_staff_id, p_location_id, p_purchase_id, coalesce(p_is_partial, true), auth.uid(), p_request_id);
end;
$$;
comment on function private.member_book_series is 'book_series for a member with bookings.write.';

create function private.member_series_org(p_series_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id
    from public.booking_series as s where s.id = p_series_id and s.org_id = any (private.orgs_with('bookings.read'));
  if not found then
    perform private.fail(404, 'series_not_found', 'There is no such series.', 'Reload the calendar.');
  end if;
  perform private.require_org(v_org_id, 'bookings.write');
  return v_org_id;
end;
$$;
comment on function private.member_series_org is
  'The organisation of a series in which the person has bookings.write. Fails: series_not_found 404, permission_missing 403.';

create function private.member_move_series(p_series_id uuid, p_from date, p_shift_days integer, p_time time, p_staff_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.member_series_org(p_series_id);
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  return private.move_series(v_org_id, p_series_id, p_from, coalesce(p_shift_days, 0), p_time, p_staff_id);
end;
$$;
comment on function private.member_move_series is 'move_series for a member with bookings.write.';

create function private.member_end_series(p_series_id uuid, p_from date)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  return private.end_series(private.member_series_org(p_series_id), p_series_id, p_from, auth.uid());
end;
$$;
comment on function private.member_end_series is 'end_series for a member with bookings.write.';

create function private.member_join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_start_time timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_booking_in_org(p_org_id, p_client_id, p_session_type_id, p_staff_id, null);
  return private.join_waitlist(p_org_id, p_client_id, p_on, p_session_type_id, p_staff_id, p_start_time);
end;
$$;
comment on function private.member_join_waitlist is 'join_waitlist for a member with bookings.write.';

create function private.member_staff_org(p_staff_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id from public.staff as s where s.id = p_staff_id and s.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  end if;
  perform private.require_org(v_org_id, 'staff.write');
  return v_org_id;
end;
$$;
comment on function private.member_staff_org is
  'The organisation of a staff member in which the person has staff.write. Fails: staff_not_found 404, permission_missing 403.';

create function private.member_deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.deactivate_staff(private.member_staff_org(p_staff_id), p_staff_id);
$$;
comment on function private.member_deactivate_staff is 'deactivate_staff for a member with staff.write.';

create function private.member_reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.reactivate_staff(private.member_staff_org(p_staff_id), p_staff_id);
$$;
comment on function private.member_reactivate_staff is 'reactivate_staff for a member with staff.write.';

-- The contract's question, for members and for the portal's server (which holds the secret key).
create function private.is_slot_free(p_org_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_exclude_booking_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_org_id = any (private.orgs_with('bookings.read')) or auth.role() = 'service_role', false)
     and coalesce(p_end_time > p_start_time, false)
     and exists (
       select
         from public.staff as s
        where s.org_id = p_org_id and s.is_active
          and not exists (
            select from private.occupancies as o
             where o.org_id = p_org_id and o.staff_id = s.id and o.seats > 0 and coalesce(o.expires_at > now(), true)
               and o.blocked && tstzrange(p_start_time, p_end_time)
               and not exists (select from public.bookings as b
                                where b.org_id = p_org_id and b.id = p_exclude_booking_id and b.occupancy_id = o.id))
          and not exists (
            select
              from public.blocked_times as t
             cross join lateral (select private.org_timezone(p_org_id) as name) as z
             cross join lateral generate_series((p_start_time at time zone z.name)::date::timestamp,
                                                (p_end_time at time zone z.name)::date::timestamp, interval '1 day') as d
             where t.org_id = p_org_id and (t.staff_id is null or t.staff_id = s.id)
               and (t.date = d::date or t.day_of_week = extract(dow from d)::integer)
               and private.local_span(z.name, d::date + t.start_time, d::date + t.end_time) && tstzrange(p_start_time, p_end_time)));
$$;
comment on function private.is_slot_free is 'True when somebody on the staff has that time neither booked, held nor blocked, and the caller may know.';

-- ── 40_scheduling/rules/occupy.sql ──

-- Taking and giving back a staff member's time. Every booking that is not cancelled occupies: by trigger, so that the existing
-- app's direct inserts and updates, re-activation and rescheduling all meet the one exclusion constraint.
-- Lock order, in all of scheduling: package, booking, staff (moves, series and the sweep of holds), day, occupancy, hold, waitlist
-- entry. Whoever needs one out of turn skips what is locked.

-- A seat in that time, or null when it is taken. `on conflict do nothing` waits for whoever is taking it at this moment and
-- needs no subtransaction.
create function private.occupy(
  p_org_id uuid, p_staff_id uuid, p_session_type_id uuid, p_capacity integer, p_starts_at timestamptz, p_ends_at timestamptz,
  p_blocked tstzrange, p_expires_at timestamptz default null, p_now timestamptz default clock_timestamp())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
  v_there record;
begin
  -- Whoever was in the way may be gone after the wait for them: then it is tried again.
  for v_attempt in 1 .. 5 loop
    -- A look first, at what is most often in the way: somebody at that very start. It grants nothing. Whatever else overlaps, the
    -- constraint sees, before a row is written.
    select o.id, o.session_type_id, o.ends_at into v_there
      from private.occupancies as o
     where o.org_id = p_org_id and o.staff_id = p_staff_id and o.starts_at = p_starts_at and o.seats > 0
       and (o.expires_at is null or o.expires_at > p_now);
    if not found then
      insert into private.occupancies (
        org_id, staff_id, session_type_id, starts_at, ends_at, blocked, capacity, seats, expires_at)
      values (p_org_id, p_staff_id, p_session_type_id, p_starts_at, p_ends_at, p_blocked, p_capacity, 1, p_expires_at)
      on conflict on constraint occupancies_no_overlap do nothing
      returning id into v_id;
      exit when v_id is not null;
      -- Holds that have run out are in nobody's way, swept or not.
      update private.occupancies as o
         set seats = 0
       where o.org_id = p_org_id and o.staff_id = p_staff_id and o.blocked && p_blocked and o.seats > 0 and o.expires_at <= p_now;
      -- Who would join looks once more: the session may have begun to fill at this moment.
      exit when not found and (p_capacity = 1 or v_attempt > 1);
      continue;
    end if;
    exit when p_capacity = 1 or (v_there.session_type_id, v_there.ends_at) is distinct from (p_session_type_id, p_ends_at);
    -- A session that is on, be it only held so far, has room while a seat is free or held no longer.
    perform from private.occupancies as o
      where o.org_id = p_org_id and o.id = v_there.id
        and (o.seats < p_capacity
             or exists (select from private.holds as h
                         where h.org_id = o.org_id and h.occupancy_id = o.id and h.status = 'held' and h.expires_at <= p_now))
        for no key update;
    exit when not found;
    perform private.expire_holds(p_org_id, v_there.id, p_now);
    update private.occupancies as o
       set seats = o.seats + 1, capacity = p_capacity,
           expires_at = case when p_expires_at > o.expires_at then p_expires_at when p_expires_at is not null then o.expires_at end
     where o.org_id = p_org_id and o.id = v_there.id and o.seats between 1 and p_capacity - 1
       and (o.expires_at is null or o.expires_at > p_now)
    returning o.id into v_id;
    exit when v_id is not null;
  end loop;
  return v_id;
end;
$$;
comment on function private.occupy is
  'Takes one seat of a staff member''s time and returns the occupancy, or null when it is taken; a group session is joined while it has seats.';

-- The caller has locked the occupancy, in a statement before: what this one sees of its holds is what holds.
create function private.expire_holds(p_org_id uuid, p_occupancy_id uuid, p_now timestamptz)
returns integer
language sql volatile security definer set search_path = ''
as $$
  with gone as (
    update private.holds as h
       set status = 'expired', occupancy_id = null
     where h.org_id = p_org_id and h.occupancy_id = p_occupancy_id and h.status = 'held' and h.expires_at <= p_now
    returning h.id),
  passed as (
    update public.waitlist_entries as w
       set status = 'expired', updated_at = p_now
      from gone as g
     where w.org_id = p_org_id and w.hold_id = g.id and w.status = 'offered'),
  given_back as (
    update private.occupancies as o
       set seats = greatest(o.seats - g.n, 0)
      from (select count(*)::integer as n from gone) as g
     where o.org_id = p_org_id and o.id = p_occupancy_id and g.n > 0)
  select count(*)::integer from gone;
$$;
comment on function private.expire_holds is
  'Lets go of the holds in one occupancy that have run out, and of the offers they were; returns how many.';

create function private.vacate(p_org_id uuid, p_occupancy_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_left integer;
begin
  update private.occupancies as o
     set seats = o.seats - 1
   where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats > 0
  returning o.seats into v_left;
  if v_left > 0 then
    -- Where the last booking has left and seats are held yet, the time is taken as long as the last of these holds.
    update private.occupancies as o
       set expires_at = h.last_at
      from (select count(*)::integer as n, max(h.expires_at) as last_at
              from private.holds as h where h.org_id = p_org_id and h.occupancy_id = p_occupancy_id and h.status = 'held') as h
     where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats = h.n;
  end if;
end;
$$;
comment on function private.vacate is 'Gives one seat back; at none the time is free, and when only holds are left it is free when they have run out.';

create function private.drop_empty(p_org_id uuid, p_occupancy_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  delete from private.occupancies as o
   where o.org_id = p_org_id and o.id = p_occupancy_id and o.seats = 0
     and not exists (select from private.holds as h where h.org_id = o.org_id and h.occupancy_id = o.id);
$$;
comment on function private.drop_empty is 'Removes an occupancy that everybody has left, once the holds that had run out in it are swept.';

-- Whose calendar a booking lands on when nobody says: the signed-in member's own, else the organisation's first who is active. A solo
-- coach gets their staff row here, with their first booking.
create function private.default_staff(p_org_id uuid, p_user_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  -- A desk books for the coaches, unless it has a calendar of its own already.
  v_user_id uuid := (
    select m.user_id from public.org_members as m
     where m.org_id = p_org_id and m.user_id = p_user_id
       and (m.role not in ('front_desk', 'accountant_readonly')
            or exists (select from public.staff as s where s.org_id = p_org_id and s.user_id = p_user_id)));
  v_staff_id uuid;
begin
  -- Whoever takes no sessions books for those who do.
  if v_user_id is null
     or exists (select from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id and not s.is_active) then
    select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.is_active order by s.created_at, s.id limit 1;
    if found then
      return v_staff_id;
    end if;
    v_user_id := coalesce(v_user_id, (
      select m.user_id from public.org_members as m where m.org_id = p_org_id order by m.role <> 'owner', m.created_at, m.id limit 1));
  end if;
  select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id;
  if not found then
    insert into public.staff as s (org_id, user_id, full_name)
    select o.id, v_user_id, coalesce((select p.full_name from public.profiles as p where p.id = v_user_id and btrim(p.full_name) <> ''), o.name)
      from public.orgs as o where o.id = p_org_id
    on conflict (org_id, user_id) do nothing
    returning s.id into v_staff_id;
    -- Not `do update`: writing a key column would lock out the bookings that point to the row, and they hold time we may wait for.
    if v_staff_id is null then
      select s.id into v_staff_id from public.staff as s where s.org_id = p_org_id and s.user_id = v_user_id;
    end if;
  end if;
  return v_staff_id;
end;
$$;
comment on function private.default_staff is 'The staff member whose calendar a booking takes by default; made when there is none yet.';

-- The founder gives sessions until somebody else does: a solo coach's hours are offered without setting up staff.
create function private.tg_org_members__first_staff()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not exists (select from public.staff as s where s.org_id = new.org_id) then
    perform private.default_staff(new.org_id, new.user_id);
  end if;
  return null;
end;
$$;
comment on function private.tg_org_members__first_staff is 'Gives the organisation''s first member a calendar.';
create trigger org_members__first_staff after insert on public.org_members
  for each row execute function private.tg_org_members__first_staff();

-- The session type a booking means: named, or by the slug the existing app writes into session_type.
create function private.session_type_of(p_org_id uuid, p_session_type_id uuid, p_slug text)
returns public.session_types
language sql stable security definer set search_path = ''
as $$
  select t.* from public.session_types as t
   where t.org_id = p_org_id and (t.id = p_session_type_id or (p_session_type_id is null and t.slug = p_slug));
$$;
comment on function private.session_type_of is 'The session type named by id, else by slug; null when it is free text.';

create function private.refuse_slot()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(409, 'slot_taken', 'This time is taken.', 'Choose another time or another staff member.');
$$;
comment on function private.refuse_slot is 'Refuses a time that overlaps what is booked or held: slot_taken 409.';

-- Not fired by completing, nor by what an RPC has occupied already.
create function private.tg_bookings__occupy()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type public.session_types;
  v_is_active boolean;
begin
  if tg_op = 'UPDATE' and old.occupancy_id is not null then
    if new.status <> 'cancelled' then
      -- Two bookings that swap times would wait for each other's old time: rescheduling queues on the staff row.
      perform from public.staff as s
        where s.org_id = new.org_id and s.id in (old.staff_id, new.staff_id) order by s.id for no key update;
    end if;
    perform private.lock_days(d.session_type_ids, d.dates) from private.waited_days(old.org_id, array[old.start_time]) as d;
    perform private.vacate(old.org_id, old.occupancy_id);
    new.occupancy_id := null;
    new.ics_sequence := old.ics_sequence + 1;
  elsif tg_op = 'UPDATE' then
    new.ics_sequence := old.ics_sequence + 1;
  end if;
  -- What is missing is refused by the row's own rules.
  if new.status = 'cancelled' or new.start_time is null or new.end_time is null then
    return new;
  end if;
  if new.end_time <= new.start_time or new.end_time > new.start_time + interval '24 hours' then
    perform private.require_value(false, 'end_time');
  end if;
  if new.staff_id is null then
    new.staff_id := private.default_staff(new.org_id, new.booked_by);
  end if;
  -- Staff and type (as session_type_of finds it) in one look.
  select s.is_active, t.id, t.capacity, t.buffer_before_mins, t.buffer_after_mins
    into v_is_active, v_type.id, v_type.capacity, v_type.buffer_before_mins, v_type.buffer_after_mins
    from public.staff as s
    left join public.session_types as t
      on t.org_id = s.org_id and (t.id = new.session_type_id or new.session_type_id is null and t.slug = new.session_type)
   where s.org_id = new.org_id and s.id = new.staff_id;
  if v_is_active is not true then
    perform private.fail(409, 'staff_inactive', 'This staff member takes no bookings.', 'Choose another staff member.');
  end if;
  new.occupancy_id := private.occupy(
    new.org_id, new.staff_id, v_type.id, coalesce(v_type.capacity, 1), new.start_time, new.end_time,
    tstzrange(new.start_time - make_interval(mins => coalesce(v_type.buffer_before_mins, 0)),
              new.end_time + make_interval(mins => coalesce(v_type.buffer_after_mins, 0))));
  if new.occupancy_id is null then
    perform private.refuse_slot();
  end if;
  return new;
end;
$$;
comment on function private.tg_bookings__occupy is
  'Keeps a booking''s time taken exactly while it is not cancelled. Fails: slot_taken 409, staff_inactive 409, value_not_allowed 422.';
-- Named to run after the checks of status and client, which may still refuse.
create trigger bookings__occupy_new before insert on public.bookings
  for each row when (new.occupancy_id is null) execute function private.tg_bookings__occupy();
create trigger bookings__occupy_moved before update on public.bookings
  for each row when (
    new.occupancy_id is not distinct from old.occupancy_id
    and ((old.status = 'cancelled') <> (new.status = 'cancelled')
         or new.status <> 'cancelled'
            and (old.start_time, old.end_time, old.staff_id) is distinct from (new.start_time, new.end_time, new.staff_id)))
  execute function private.tg_bookings__occupy();

create function private.tg_bookings__drop_empty()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.drop_empty(old.org_id, old.occupancy_id);
  return null;
end;
$$;
comment on function private.tg_bookings__drop_empty is 'Removes an occupancy that its last booking has left.';
create trigger bookings__drop_empty after update on public.bookings
  for each row when (old.occupancy_id is distinct from new.occupancy_id and old.occupancy_id is not null)
  execute function private.tg_bookings__drop_empty();

-- A client who is deleted takes their bookings and holds along, not the staff's time.
create function private.tg__give_time_back()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.vacate(old.org_id, old.occupancy_id);
  perform private.drop_empty(old.org_id, old.occupancy_id);
  return null;
end;
$$;
comment on function private.tg__give_time_back is 'Gives back the time of a deleted booking or hold.';
create trigger bookings__give_time_back after delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg__give_time_back();
create trigger holds__give_time_back after delete on private.holds
  for each row when (old.occupancy_id is not null) execute function private.tg__give_time_back();

create function private.tg_bookings__lock_freed()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.lock_days(d.session_type_ids, d.dates) from private.waited_days(old.org_id, array[old.start_time]) as d;
  return old;
end;
$$;
comment on function private.tg_bookings__lock_freed is 'Locks the days on which a deleted booking''s time may be offered, before any time is given back.';
create trigger bookings__lock_freed before delete on public.bookings
  for each row when (old.occupancy_id is not null) execute function private.tg_bookings__lock_freed();

-- A type may go when nothing but holds that have run out refers to it; what a booking of it takes, by whatever name, keeps it.
create function private.tg_session_types__let_go()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_occupancy_id uuid;
begin
  if not exists (
    select from private.occupancies as o
     where o.org_id = old.org_id and o.session_type_id = old.id and o.seats > 0 and coalesce(o.expires_at > clock_timestamp(), true)) then
    -- Out of turn, the type's own row being locked already: what somebody else has locked is in use.
    for v_occupancy_id in
      select o.id from private.occupancies as o where o.org_id = old.org_id and o.session_type_id = old.id for no key update skip locked
    loop
      perform private.expire_holds(old.org_id, v_occupancy_id, clock_timestamp());
      perform private.drop_empty(old.org_id, v_occupancy_id);
    end loop;
  end if;
  if exists (select from private.occupancies as o where o.org_id = old.org_id and o.session_type_id = old.id) then
    perform private.fail(409, 'session_type_in_use', 'This is in use and keeps history readable.', 'Make it inactive instead.');
  end if;
  return old;
end;
$$;
comment on function private.tg_session_types__let_go is
  'Refuses to delete a session type whose sessions take time, and lets go of its holds that have run out: session_type_in_use 409.';
-- Named to run after the look at bookings that name the type.
create trigger session_types__refuse_delete_occupied before delete on public.session_types
  for each row execute function private.tg_session_types__let_go();

-- The existing app says user_id where we say staff_id; whichever is sent decides.
create function private.tg__name_staff()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.staff_id is not null then
    new.user_id := (select s.user_id from public.staff as s where s.org_id = new.org_id and s.id = new.staff_id);
  elsif new.user_id is not null and not private.is_outsider(new.org_id) then
    select s.id into new.staff_id from public.staff as s where s.org_id = new.org_id and s.user_id = new.user_id;
    if not found then
      -- Nobody named is everyone, so a person who cannot be found must not become nobody.
      if not exists (select from public.org_members as m where m.org_id = new.org_id and m.user_id = new.user_id) then
        perform private.refuse_stranger();
      end if;
      new.staff_id := private.default_staff(new.org_id, new.user_id);
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg__name_staff is
  'Fills staff_id from user_id, for rows the existing app writes; user_id from staff_id, where both are sent too. Fails: staff_not_member 422.';
create trigger availability__name_staff before insert on public.availability
  for each row execute function private.tg__name_staff();
create trigger blocked_times__name_staff before insert on public.blocked_times
  for each row execute function private.tg__name_staff();

-- ── 40_scheduling/rules/portal.sql ──

-- The portal and the public page: what a client may do with the token of their link, and anybody with an organisation's slug.
-- Anonymous and rate-limited, so refusals that count are returned, not raised (private.refusal); tokens and slugs that do not exist
-- are counted by the caller's address. Nothing here tells whether a client exists.

-- The client whose portal a token opens; null when it opens none, which is counted.
create function private.portal_client(p_token text, out client public.clients, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_token ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
    select c.* into client from public.clients as c where c.portal_token = p_token::uuid limit 1;
  end if;
  if client.id is null then
    refusal := case when private.is_within_rate('portal_miss', private.caller_address(), 20, '10 minutes')
                    then private.refusal(404, 'link_not_found', 'This link does not work any more.', 'Ask your coach for a new link.')
                    else private.rate_limited() end;
  elsif not private.is_within_rate('portal', client.id::text, 120, '1 minute') then
    refusal := private.rate_limited();
  end if;
end;
$$;
comment on function private.portal_client is 'The client whose portal the token opens, or the refusal to answer: link_not_found 404, rate_limited 429.';

create function private.public_org(p_slug text, out org public.orgs, out refusal jsonb)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  select o.* into org from public.orgs as o where o.slug = lower(p_slug);
  if org.id is null then
    refusal := case when private.is_within_rate('public_miss', private.caller_address(), 60, '10 minutes')
                    then private.refusal(404, 'page_not_found', 'There is no such booking page.', 'Check the address.')
                    else private.rate_limited() end;
  elsif not private.is_within_rate('public', private.caller_address() || '/' || org.id, 120, '1 minute') then
    refusal := private.rate_limited();
  end if;
end;
$$;
comment on function private.public_org is 'The organisation of a public page, or the refusal to answer: page_not_found 404, rate_limited 429.';

-- What is listed is what would be booked. A client who has packages is listed the starts that one of them pays, each as long as
-- that package says (a length that is asked for, or a type, goes before); anybody else is listed all of one length.
create function private.listed_slots(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_within tstzrange)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer)
language sql stable security definer set search_path = ''
as $$
  with packages as materialized (
    select p.valid_during, row_number() over (order by p.expires_at, p.purchased_at, p.id) as nth,
           coalesce(p_duration_mins, case when p_session_type_id is null then p.session_duration_mins end) as minutes
      from public.client_purchases as p
     where p.org_id = p_org_id and p.client_id = p_client_id
       -- Counted once, at the first instant to come at which it pays.
       and private.bookable_at(p.org_id, p.id, lower(p.valid_during * tstzmultirange(tstzrange(now(), null)))) > 0),
  lengths as (
    select distinct k.minutes from packages as k
    union all
    select p_duration_mins where not exists (select from packages))
  select o.start_time, o.end_time, o.staff_id, o.rank
    from lengths as l
   cross join lateral private.offered_slots(p_org_id, p_session_type_id, l.minutes, p_staff_id, null, p_within, 'client') as o
   where not exists (select from packages)
      or exists (select from (select k.minutes from packages as k where k.valid_during @> o.start_time order by k.nth limit 1) as pays
                  where pays.minutes is not distinct from l.minutes);
$$;
comment on function private.listed_slots is 'The starts that a page lists, for a client or (null) for anybody: each is booked by portal_book or public_book as it is listed.';

-- The slots of one local day as the pages read them: recommended are the three that keep the day most compact.
create function private.slots_document(
  p_org_id uuid, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_client_id uuid default null)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_slots jsonb;
begin
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  select coalesce(jsonb_agg(jsonb_build_object(
           'start', d.start_time, 'end', d.end_time, 'staff_id', d.staff_id, 'score', 1440 - d.rank, 'recommended', d.nth <= 3 and d.rank < 1440)
           order by d.start_time), '[]')
    into v_slots
    from (select s.*, row_number() over (order by s.rank, s.start_time) as nth
            from (select distinct on (o.start_time) o.*
                    from private.listed_slots(p_org_id, p_client_id, p_session_type_id, p_staff_id, p_duration_mins,
                                              private.listing_range(p_org_id, p_on, p_on)) as o
                   order by o.start_time, o.rank, o.staff_id) as s) as d;
  return jsonb_build_object(
    'slots', v_slots, 'timezone', private.org_timezone(p_org_id),
    'durationMins', extract(epoch from coalesce(
       (v_slots #>> '{0,end}')::timestamptz - (v_slots #>> '{0,start}')::timestamptz,
       (private.session_shape(private.settings_of(p_org_id), private.session_type_of(p_org_id, p_session_type_id, null),
                              p_duration_mins)).duration))::integer / 60);
end;
$$;
comment on function private.slots_document is
  'What a client may book on a local day: {slots: [{start, end, staff_id, score, recommended}], timezone, durationMins}, the length being that of the first. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404.';

create function private.dates_document(
  p_org_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_client_id uuid default null)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_today date := private.org_today(p_org_id);
begin
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  return jsonb_build_object(
    'timezone', v_timezone,
    'dates', (select coalesce(jsonb_agg(d.on_date order by d.on_date), '[]')
                from (select distinct (s.start_time at time zone v_timezone)::date as on_date
                        from private.listed_slots(
                          p_org_id, p_client_id, p_session_type_id, p_staff_id, p_duration_mins,
                          private.listing_range(p_org_id, v_today, v_today + least((private.settings_of(p_org_id)).max_advance_days, 62))) as s) as d));
end;
$$;
comment on function private.dates_document is 'The local dates on which a client may book: {dates, timezone}. Fails as slots_document.';

-- How long a client's session is when the page does not say: a session type has its own length, else the package that pays has.
-- listed_slots says the same of many starts at once.
create function private.portal_duration(
  p_org_id uuid, p_client_id uuid, p_purchase_id uuid, p_session_type_id uuid, p_duration_mins integer)
returns integer
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_duration_mins, case when p_session_type_id is null then (
    select p.session_duration_mins
      from public.client_purchases as p
     where p.org_id = p_org_id and p.client_id = p_client_id and p.id = p_purchase_id) end);
$$;
comment on function private.portal_duration is 'The length a client''s session is booked with; null where type or settings say it.';

create function private.paying_purchase(p_org_id uuid, p_client_id uuid, p_start_time timestamptz)
returns uuid
language sql stable security definer set search_path = ''
as $$
  select p.id
    from public.client_purchases as p
   where p.org_id = p_org_id and p.client_id = p_client_id and private.bookable_at(p.org_id, p.id, p_start_time) > 0
   order by p.expires_at, p.purchased_at, p.id
   limit 1;
$$;
comment on function private.paying_purchase is 'The package that pays when none is named: of those with a free session at that start, the one that expires first.';

-- Counted like any other call, so returned.
create function private.refuse_closed(p_org_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not (private.settings_of(p_org_id)).allow_client_booking then
    return private.refusal(403, 'online_booking_off', 'Online booking is closed.', 'Ask for a time directly.');
  end if;
  return null;
end;
$$;
comment on function private.refuse_closed is 'The refusal where an organisation takes no bookings online: online_booking_off 403; else null.';

create function private.portal_overview(p_token text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
  v_timezone text;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  v_timezone := private.org_timezone(v_client.org_id);
  return (
    select jsonb_build_object(
      'client_id', v_client.id, 'client_name', v_client.full_name, 'org_id', o.id, 'org_name', o.name, 'timezone', v_timezone,
      'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                     from public.branding as b where b.org_id = o.id),
      'active_purchases', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', p.id, 'offer_id', p.offer_id, 'offer_name', f.name, 'sessions_total', p.sessions_total,
                 'sessions_used', p.sessions_used, 'sessions_remaining', p.sessions_remaining, 'expires_at', p.expires_at,
                 'session_duration_mins', p.session_duration_mins,
                 'bookable_remaining', greatest(coalesce(private.bookable_at(p.org_id, p.id, now()), 0), 0)) order by p.expires_at, p.id), '[]')
          from public.client_purchases as p
          join public.offers as f on f.org_id = p.org_id and f.id = p.offer_id
         where p.org_id = o.id and p.client_id = v_client.id and p.valid_during @> now() and p.sessions_remaining > 0),
      'session_types', private.online_session_types(o.id),
      'bookings', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'id', b.id, 'start_time', b.start_time, 'end_time', b.end_time, 'status', b.status, 'session_type', b.session_type,
                 'staff_name', s.full_name, 'local_start', to_char(b.start_time at time zone v_timezone, 'YYYY-MM-DD"T"HH24:MI'))
                 order by b.start_time, b.id), '[]')
          from public.bookings as b
          join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id
         where b.org_id = o.id and b.client_id = v_client.id and b.status in ('pending', 'confirmed') and b.end_time > now()),
      'waitlist_offers', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'entry_id', w.id, 'hold_id', h.id, 'start_time', h.start_time, 'end_time', h.end_time, 'expires_at', h.expires_at) order by h.start_time), '[]')
          from public.waitlist_entries as w
          join private.holds as h on h.org_id = w.org_id and h.id = w.hold_id
         where w.org_id = o.id and w.client_id = v_client.id and w.status = 'offered' and h.status = 'held' and h.expires_at > now()),
      'waitlist', (
        select coalesce(jsonb_agg(jsonb_build_object(
                 'entry_id', w.id, 'on_date', w.on_date, 'start_time', w.start_time, 'session_type_id', w.session_type_id)
                 order by w.on_date, w.start_time, w.id), '[]')
          from public.waitlist_entries as w
         where w.org_id = o.id and w.client_id = v_client.id and w.status = 'waiting' and w.on_date >= private.org_today(o.id)))
      from public.orgs as o where o.id = v_client.org_id);
end;
$$;
comment on function private.portal_overview is 'Everything the portal''s first page shows, for the token''s client.';

create function private.online_session_types(p_org_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'id', t.id, 'name', t.name, 'slug', t.slug, 'description', t.description, 'duration_mins', t.duration_mins,
           'price_cents', t.price_cents, 'color', t.color) order by t.sort_order, t.name, t.id), '[]')
    from public.session_types as t
   where t.org_id = p_org_id and coalesce(t.is_active, true) and coalesce(t.allow_online_booking, true);
$$;
comment on function private.online_session_types is 'The session types that clients may book themselves, as an array.';

create function private.portal_dates(p_token text, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
begin
  return coalesce(v_portal.refusal, private.refuse_closed((v_portal.client).org_id), private.dates_document(
    (v_portal.client).org_id, p_session_type_id, p_staff_id, p_duration_mins, (v_portal.client).id));
end;
$$;
comment on function private.portal_dates is 'dates_document for the token''s client.';

create function private.portal_slots(p_token text, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
begin
  return coalesce(v_portal.refusal, private.slots_document(
    (v_portal.client).org_id, p_on, p_session_type_id, p_staff_id, p_duration_mins, (v_portal.client).id));
end;
$$;
comment on function private.portal_slots is 'slots_document for the token''s client.';

-- Books for the token's client: a hold that is theirs, or a start. Without a package named, the one that expires first pays; without
-- any, nothing is booked.
create function private.portal_book(
  p_token text, p_start_time timestamptz, p_purchase_id uuid, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer,
  p_notes text, p_hold_id uuid, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
  v_purchase_id uuid := p_purchase_id;
  v_hold private.holds;
  v_refusal jsonb := coalesce(v_portal.refusal, case when p_hold_id is null then private.refuse_closed(v_client.org_id) end);
begin
  if v_refusal is not null then
    return v_refusal;
  end if;
  perform private.require_in_org(v_client.org_id, p_session_type_id, p_staff_id, null);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_hold_id is not null or p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 2000, 'notes');
  if v_purchase_id is null then
    -- Asked again, what has paid pays still.
    select h.* into v_hold from private.holds as h where h.org_id = v_client.org_id and h.id = p_hold_id and h.client_id = v_client.id;
    select coalesce(
             (select b.purchase_id from public.bookings as b
               where b.org_id = v_client.org_id and b.client_id = v_client.id
                 and (b.request_id = p_request_id or b.id = v_hold.booking_id)
               limit 1),
             private.paying_purchase(v_client.org_id, v_client.id, coalesce(v_hold.start_time, p_start_time, now()))) into v_purchase_id;
    if v_purchase_id is null then
      return private.outcome('package_exhausted');
    end if;
  end if;
  if p_hold_id is not null then
    return private.with_event(v_client.org_id, private.confirm_hold(
      v_client.org_id, p_hold_id, v_client.id, v_purchase_id, 'client', 'client', p_notes, null));
  end if;
  return private.with_event(v_client.org_id, private.book(
    v_client.org_id, v_client.id, p_session_type_id, p_start_time,
    private.portal_duration(v_client.org_id, v_client.id, v_purchase_id, p_session_type_id, p_duration_mins), p_staff_id, null,
    v_purchase_id, 'client', 'client', p_notes, null, p_request_id));
end;
$$;
comment on function private.portal_book is 'book or confirm_hold for the token''s client, paid from one of their packages.';

-- What a page needs for its calendar links, in the same answer. Volatile, so as to see the booking that its argument has just made.
create function private.with_event(p_org_id uuid, p_answer jsonb)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select p_answer || coalesce((
    select jsonb_build_object('event', private.booking_event(b, false))
      from public.bookings as b
     where b.org_id = p_org_id and b.id = (p_answer ->> 'booking_id')::uuid), '{}');
$$;
comment on function private.with_event is 'A booking''s outcome with its calendar event, as a client''s feed has it; other outcomes as they are.';

create function private.portal_reschedule(p_token text, p_booking_id uuid, p_start_time timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  perform from public.bookings as b where b.org_id = v_client.org_id and b.id = p_booking_id and b.client_id = v_client.id;
  if not found then
    perform private.refuse_booking();
  end if;
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.with_event(v_client.org_id, private.reschedule(v_client.org_id, p_booking_id, p_start_time, null, 'client'));
end;
$$;
comment on function private.portal_reschedule is 'reschedule for the token''s client, their own bookings alone.';

create function private.portal_cancel(p_token text, p_booking_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome('cancelled', jsonb_build_object(
    'settlement', private.client_cancel(v_client.org_id, v_client.id, p_booking_id)));
end;
$$;
comment on function private.portal_cancel is 'client_cancel for the token''s client.';

create function private.portal_join_waitlist(p_token text, p_on date, p_session_type_id uuid, p_start_time timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome('waiting', jsonb_build_object(
    'entry_id', private.join_waitlist(v_client.org_id, v_client.id, p_on, p_session_type_id, null, p_start_time)));
end;
$$;
comment on function private.portal_join_waitlist is 'join_waitlist for the token''s client.';

create function private.portal_leave_waitlist(p_token text, p_entry_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_portal record := private.portal_client(p_token);
  v_client public.clients := v_portal.client;
begin
  if v_portal.refusal is not null then
    return v_portal.refusal;
  end if;
  return private.outcome(case when private.leave_waitlist(v_client.org_id, v_client.id, p_entry_id) then 'left' else 'not_waiting' end);
end;
$$;
comment on function private.portal_leave_waitlist is 'leave_waitlist for the token''s client, their own entries alone.';

create function private.public_page(p_slug text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org public.orgs := v_page.org;
begin
  if v_page.refusal is not null then
    return v_page.refusal;
  end if;
  return jsonb_build_object(
    'org_id', v_org.id, 'name', v_org.name, 'slug', v_org.slug, 'timezone', private.org_timezone(v_org.id),
    'can_book', (private.settings_of(v_org.id)).allow_client_booking, 'needs_waiver', coalesce(btrim(v_org.waiver_template), '') <> '',
    'branding', (select jsonb_build_object('display_name', b.display_name, 'primary_color', b.primary_color, 'logo_url', b.logo_url)
                   from public.branding as b where b.org_id = v_org.id),
    'session_types', private.online_session_types(v_org.id),
    'offers', (select coalesce(jsonb_agg(jsonb_build_object(
                        'id', o.id, 'name', o.name, 'description', o.description, 'price_cents', o.price_cents, 'currency', o.currency,
                        'session_count', o.session_count, 'duration_minutes', o.duration_minutes) order by o.sort_order, o.price_cents, o.id), '[]')
                 from public.offers as o where o.org_id = v_org.id and o.is_active),
    'staff', (select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'full_name', s.full_name) order by s.full_name, s.id), '[]')
                from public.staff as s where s.org_id = v_org.id and s.is_active));
end;
$$;
comment on function private.public_page is 'What anybody may see of an organisation that takes bookings.';

-- The existing pages book what the price list offers: the offer says how long.
create function private.offer_duration(p_org_id uuid, p_offer_id uuid, p_duration_mins integer)
returns integer
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_minutes integer;
begin
  if p_offer_id is null then
    return p_duration_mins;
  end if;
  select o.session_duration_mins into v_minutes
    from public.offers as o where o.org_id = p_org_id and o.id = p_offer_id and o.is_active;
  if not found then
    perform private.fail(404, 'offer_not_found', 'There is no such offer.', 'Reload the price list.');
  end if;
  return coalesce(p_duration_mins, v_minutes);
end;
$$;
comment on function private.offer_duration is 'The length asked for, else the offer''s. Fails: offer_not_found 404.';

create function private.public_dates(p_slug text, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org_id uuid := (v_page.org).id;
begin
  return coalesce(v_page.refusal, private.refuse_closed(v_org_id), private.dates_document(
    v_org_id, p_session_type_id, p_staff_id, private.offer_duration(v_org_id, p_offer_id, p_duration_mins)));
end;
$$;
comment on function private.public_dates is 'dates_document for anybody.';

create function private.public_slots(
  p_slug text, p_on date, p_session_type_id uuid, p_staff_id uuid, p_duration_mins integer, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org_id uuid := (v_page.org).id;
begin
  return coalesce(v_page.refusal, private.refuse_closed(v_org_id), private.slots_document(
    v_org_id, p_on, p_session_type_id, p_staff_id, private.offer_duration(v_org_id, p_offer_id, p_duration_mins)));
end;
$$;
comment on function private.public_slots is 'slots_document for anybody.';

-- An email proves nothing: it finds the client's row so that the coach has one person once, but no package of theirs is spent and
-- the answer is the same whether they were known. Where a waiver is needed the booking waits for it as pending.
create function private.public_book(
  p_slug text, p_start_time timestamptz, p_full_name text, p_email text, p_phone text, p_session_type_id uuid, p_staff_id uuid,
  p_duration_mins integer, p_notes text, p_request_id uuid, p_offer_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_page record := private.public_org(p_slug);
  v_org public.orgs := v_page.org;
  v_minutes integer;
  v_closed jsonb;
  v_email text := lower(btrim(p_email));
  v_needs_waiver boolean;
  v_client_id uuid;
  v_is_new boolean := false;
  v_answer jsonb;
begin
  if v_page.refusal is not null then
    return v_page.refusal;
  elsif not private.is_within_rate('public_book', private.caller_address() || '/' || v_org.id, 10, '10 minutes')
     or not private.is_within_rate('public_book_org', v_org.id::text, 200, '1 hour') then
    return private.rate_limited();
  end if;
  v_closed := private.refuse_closed(v_org.id);
  if v_closed is not null then
    return v_closed;
  end if;
  perform private.require_in_org(v_org.id, p_session_type_id, p_staff_id, null);
  v_minutes := private.offer_duration(v_org.id, p_offer_id, p_duration_mins);
  perform private.require_duration(v_minutes);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(char_length(v_email) <= 320 and v_email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$', 'email');
  perform private.require_value(coalesce(char_length(p_phone), 0) <= 40, 'phone');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 2000, 'notes');
  v_needs_waiver := coalesce(btrim(v_org.waiver_template), '') <> '';

  -- One person once: two tabs with one new email queue here.
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(v_org.id::text || v_email, 1));
  select c.id into v_client_id
    from public.clients as c where c.org_id = v_org.id and lower(c.email) = v_email order by c.created_at, c.id limit 1;
  if not found then
    insert into public.clients (org_id, full_name, email, phone, source)
    values (v_org.id, btrim(p_full_name), v_email, nullif(btrim(p_phone), ''), 'public_page')
    returning id into v_client_id;
    v_is_new := true;
  end if;
  v_answer := private.book(v_org.id, v_client_id, p_session_type_id, p_start_time, v_minutes, p_staff_id, null, null, 'client',
                           'client', p_notes, null, p_request_id,
                           p_status => case when v_needs_waiver then 'pending' else 'confirmed' end);
  if v_answer ->> 'outcome' = 'booked' then
    update public.bookings as b
       set offer_id = p_offer_id
     where b.org_id = v_org.id and b.id = (v_answer ->> 'booking_id')::uuid and b.offer_id is distinct from p_offer_id;
    v_answer := v_answer || jsonb_build_object('needs_waiver', v_needs_waiver);
  elsif v_is_new then
    -- Who booked nothing has left nothing.
    delete from public.clients as c where c.org_id = v_org.id and c.id = v_client_id;
  end if;
  return private.with_event(v_org.id, v_answer);
end;
$$;
comment on function private.public_book is
  'Books for somebody who names themselves: as book, with needs_waiver. Fails: value_not_allowed 422, session_type_not_found 404, staff_not_found 404, request_reused 409.';

-- ── 40_scheduling/rules/series.sql ──

-- Recurring bookings: weekly or fortnightly at one local time, each date a booking of its own. Local dates are generated and then
-- converted, so that a series keeps its wall time across DST.

-- Books every date that is free, or none when p_is_partial is false and one clashes; says of each date what became of it.
create function private.book_series(
  p_org_id uuid, p_client_id uuid, p_session_type_id uuid, p_from date, p_time time, p_interval_weeks integer, p_count integer,
  p_duration_mins integer, p_staff_id uuid, p_location_id uuid, p_purchase_id uuid, p_is_partial boolean, p_actor_id uuid,
  p_request_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_series_id uuid;
  v_dates jsonb;
  v_clashes integer;
begin
  perform private.require_value(p_interval_weeks in (1, 2), 'interval_weeks');
  perform private.require_value(p_count between 1 and 104, 'count');
  perform private.require_value(p_time is not null and p_from between private.org_today(p_org_id, p_now) and private.org_today(p_org_id, p_now) + 366, 'from');
  insert into public.booking_series (org_id, client_id, interval_weeks, request_id, created_by)
  values (p_org_id, p_client_id, p_interval_weeks, p_request_id, p_actor_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning id into v_series_id;
  if v_series_id is null then
    select s.id into v_series_id
      from public.booking_series as s where s.org_id = p_org_id and s.request_id = p_request_id and s.client_id = p_client_id;
    if not found then
      perform private.refuse_request();
    end if;
    return private.outcome('booked', jsonb_build_object('series_id', v_series_id, 'dates', (
      select jsonb_agg(e.date order by (e.date ->> 'on')::date)
        from (select jsonb_array_elements(private.series_dates(p_org_id, v_series_id) || s.clashes)
                from public.booking_series as s where s.org_id = p_org_id and s.id = v_series_id) as e (date))));
  end if;

  -- What takes several times, or gives one up for another, queues on the staff row before it takes the first: otherwise a series
  -- and a move that meet twice would wait for each other.
  if p_purchase_id is not null then
    perform private.lock_package(p_org_id, p_purchase_id);
  end if;
  perform from public.staff as s
    where s.org_id = p_org_id and s.id = any (private.eligible_staff(p_org_id, p_session_type_id, p_location_id, p_staff_id))
    order by s.id for no key update;
  begin
    select jsonb_agg(jsonb_build_object('on', d.on_date, 'start_time', d.start_time) ||
             private.book(p_org_id, p_client_id, p_session_type_id, d.start_time, p_duration_mins, p_staff_id, p_location_id,
                          p_purchase_id, 'coach', 'trainer', null, p_actor_id, null, v_series_id, p_now => p_now) order by d.on_date)
      into v_dates
      from (select x.on_date, private.local_to_instant(v_timezone, x.on_date + p_time) as start_time
              from (select p_from + 7 * p_interval_weeks * n as on_date from generate_series(0, p_count - 1) as n) as x
             order by x.on_date) as d;
    select count(*) into v_clashes from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'booked';
    if v_clashes > 0 and not p_is_partial or v_clashes = p_count then
      raise exception using errcode = 'PT900';
    end if;
  exception when sqlstate 'PT900' then
    -- Nothing of it stands; the answer still says which dates clash and why.
    delete from public.booking_series as s where s.org_id = p_org_id and s.id = v_series_id;
    return private.outcome('clashes', jsonb_build_object('dates', private.undone_dates(v_dates, 'booked')));
  end;
  -- Without the alternatives, which are of the moment.
  update public.booking_series as s
     set clashes = (select coalesce(jsonb_agg(e - 'alternatives'), '[]') from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'booked')
   where s.org_id = p_org_id and s.id = v_series_id and v_clashes > 0;
  return private.outcome('booked', jsonb_build_object('series_id', v_series_id, 'dates', v_dates));
end;
$$;
comment on function private.book_series is
  'Books a weekly or fortnightly series: {outcome: booked, series_id, dates} or, where dates clash and it is not to be partial, {outcome: clashes, dates}; each date is {on, start_time, outcome, …}. Fails: value_not_allowed 422, purchase_not_found 404, request_reused 409.';

-- The dates that would have gone well, in an answer that undid them.
create function private.undone_dates(p_dates jsonb, p_done text)
returns jsonb
language sql immutable security invoker set search_path = ''
as $$
  select jsonb_agg(case when e.date ->> 'outcome' = p_done then (e.date - 'booking_id') || '{"outcome": "free"}' else e.date end order by e.n)
    from jsonb_array_elements(p_dates) with ordinality as e (date, n);
$$;
comment on function private.undone_dates is 'Dates that were tried and rolled back: what had gone well reads free.';

create function private.series_dates(p_org_id uuid, p_series_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('on', (b.start_time at time zone private.org_timezone(p_org_id))::date, 'start_time', b.start_time)
                            || private.booked(b) order by b.start_time), '[]')
    from public.bookings as b where b.org_id = p_org_id and b.series_id = p_series_id;
$$;
comment on function private.series_dates is 'The bookings of a series as an array, in order of time.';

-- Everything that moving or ending a series changes, before the first change: its packages, its bookings, their staff, each in the
-- order of ids. A date that is edited at the same time is waited for while nothing has been given up yet.
create function private.lock_series(p_org_id uuid, p_series_id uuid, p_staff_id uuid, p_shift_days integer default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_purchase_id uuid;
begin
  for v_purchase_id in
    select distinct b.purchase_id
      from public.bookings as b
     where b.org_id = p_org_id and b.series_id = p_series_id and b.purchase_id is not null
     order by 1
  loop
    perform private.lock_package(p_org_id, v_purchase_id);
  end loop;
  perform from public.bookings as b
    where b.org_id = p_org_id and b.series_id = p_series_id order by b.id for no key update;
  perform from public.staff as s
    where s.org_id = p_org_id
      and (s.id = p_staff_id
           or s.id in (select b.staff_id from public.bookings as b where b.org_id = p_org_id and b.series_id = p_series_id))
    order by s.id for no key update;
  -- The days it may free and the days it moves to, in one order: two series that move past each other would wait in turn.
  perform private.lock_days(array_agg(d.session_type_id), array_agg(d.on_date))
    from (select u.session_type_id, u.on_date
            from private.waited_days(p_org_id, (select array_agg(b.start_time) from public.bookings as b
                                                 where b.org_id = p_org_id and b.series_id = p_series_id)) as w
           cross join lateral unnest(w.session_type_ids, w.dates) as u (session_type_id, on_date)
          union all
          select t.id, (b.start_time at time zone private.org_timezone(p_org_id))::date + p_shift_days
            from public.bookings as b
           cross join lateral private.session_type_of(p_org_id, b.session_type_id, b.session_type) as t
           where b.org_id = p_org_id and b.series_id = p_series_id and p_shift_days is not null and t.max_per_day is not null) as d;
end;
$$;
comment on function private.lock_series is
  'Locks a series'' packages, bookings, staff and days (those waited for, and with p_shift_days those it moves to), in this order.';

-- Moves what lies ahead of a date by days and to another local time; the whole of it or nothing.
create function private.move_series(
  p_org_id uuid, p_series_id uuid, p_from date, p_shift_days integer, p_time time, p_staff_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_timezone text := private.org_timezone(p_org_id);
  v_booking record;
  v_answer jsonb;
  v_dates jsonb := '[]';
begin
  perform private.require_value(p_from is not null, 'from');
  perform private.require_value(p_shift_days between -27 and 27, 'shift_days');
  perform private.lock_series(p_org_id, p_series_id, p_staff_id, p_shift_days);
  -- Its dates are told to the client as one.
  perform set_config('coach.changes_series', p_series_id::text, true);
  begin
    -- Away from the direction of the move, so that a date never meets the series' own next one.
    for v_booking in
      select b.id, (b.start_time at time zone v_timezone)::date as on_date, (b.start_time at time zone v_timezone)::time as at_time
        from public.bookings as b
       where b.org_id = p_org_id and b.series_id = p_series_id and b.status in ('pending', 'confirmed')
         and b.start_time >= private.local_to_instant(v_timezone, p_from::timestamp) and b.start_time > p_now
       order by case when p_shift_days > 0 then -1 else 1 end * extract(epoch from b.start_time)
    loop
      v_answer := private.reschedule(
        p_org_id, v_booking.id,
        private.local_to_instant(v_timezone, v_booking.on_date + p_shift_days + coalesce(p_time, v_booking.at_time)), p_staff_id, 'coach', p_now);
      v_dates := v_dates || jsonb_build_array(
        jsonb_build_object('on', v_booking.on_date + p_shift_days, 'booking_id', v_booking.id) || v_answer);
    end loop;
    if exists (select from jsonb_array_elements(v_dates) as e where e ->> 'outcome' <> 'rescheduled') then
      raise exception using errcode = 'PT900';
    end if;
  exception when sqlstate 'PT900' then
    perform set_config('coach.changes_series', '', true);
    return private.outcome('clashes', jsonb_build_object('dates', private.undone_dates(v_dates, 'rescheduled')));
  end;
  perform set_config('coach.changes_series', '', true);
  return private.outcome('moved', jsonb_build_object('dates', v_dates));
end;
$$;
comment on function private.move_series is
  'Moves the bookings of a series from a local date on: {outcome: moved, dates}, or {outcome: clashes, dates} and nothing moved. Fails: value_not_allowed 422.';

create function private.end_series(p_org_id uuid, p_series_id uuid, p_from date, p_actor_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_booking_id uuid;
  v_ended integer := 0;
begin
  perform private.require_value(p_from is not null, 'from');
  perform private.lock_series(p_org_id, p_series_id, null);
  perform set_config('coach.changes_series', p_series_id::text, true);
  for v_booking_id in
    select b.id
      from public.bookings as b
     where b.org_id = p_org_id and b.series_id = p_series_id and b.status in ('pending', 'confirmed') and b.start_time > p_now
       and b.start_time >= private.local_to_instant(p_org_id, p_from, '00:00')
     order by b.start_time
  loop
    perform private.cancel_booking(p_org_id, v_booking_id, 'series_ended', false, p_actor_id);
    v_ended := v_ended + 1;
  end loop;
  perform set_config('coach.changes_series', '', true);
  return v_ended;
end;
$$;
comment on function private.end_series is 'Cancels what lies ahead of a series from a local date on; returns how many bookings. Fails: value_not_allowed 422.';

-- ── 40_scheduling/rules/staff.sql ──

-- Staff and places: who is linked to whom, and leaving without losing history.

create function private.refuse_stranger()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(422, 'staff_not_member', 'This person is no member of the organisation.', 'Add them as a member first.');
$$;
comment on function private.refuse_stranger is 'Refuses a person who is no member: staff_not_member 422.';

-- Who is a member is not told to people outside the organisation: the policies refuse their row next.
create function private.is_outsider(p_org_id uuid)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select coalesce(auth.role() = 'authenticated' and not p_org_id = any (private.orgs_with('org.read')), false);
$$;
comment on function private.is_outsider is 'True when an app''s user writes and is no member there.';

-- A calendar may only be linked to a member of the organisation.
create function private.tg_staff__check_member()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.user_id is not null and not private.is_outsider(new.org_id)
     and not exists (select from public.org_members as m where m.org_id = new.org_id and m.user_id = new.user_id) then
    perform private.refuse_stranger();
  end if;
  return new;
end;
$$;
comment on function private.tg_staff__check_member is 'Refuses a link to somebody who is no member: staff_not_member 422.';
create trigger staff__check_member before insert or update of user_id on public.staff
  for each row execute function private.tg_staff__check_member();

-- Hours and blocks are the staff member's; who signs in as them is said again, for the existing app.
create function private.tg_staff__link_hours()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.availability as a set user_id = new.user_id where a.org_id = new.org_id and a.staff_id = new.id;
  update public.blocked_times as b set user_id = new.user_id where b.org_id = new.org_id and b.staff_id = new.id;
  return null;
end;
$$;
comment on function private.tg_staff__link_hours is 'Keeps the user_id of a staff member''s hours and blocks in step with their own.';
create trigger staff__link_hours after update of user_id on public.staff
  for each row when (old.user_id is distinct from new.user_id) execute function private.tg_staff__link_hours();

create trigger staff__touch before update on public.staff
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger locations__touch before update on public.locations
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger availability__touch before update on public.availability
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

-- The caller has authorised; p_user_id null: somebody who does not sign in.
create function private.link_staff(p_org_id uuid, p_staff_id uuid, p_user_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.staff as s set user_id = p_user_id where s.org_id = p_org_id and s.id = p_staff_id;
exception when unique_violation then
  perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This member has a calendar: unlink that one first.');
end;
$$;
comment on function private.link_staff is
  'Links a staff member to the member who they are, or to nobody. Fails: staff_not_member 422, value_taken 409.';

-- Soft: name and bookings stay for history, the email goes. Bookings that lie ahead stay where they are and are counted, so that
-- somebody takes them over. What shows their clients elsewhere ends with it.
create function private.deactivate_staff(p_org_id uuid, p_staff_id uuid, p_now timestamptz default now())
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.staff as s
     set is_active = false, deactivated_at = coalesce(s.deactivated_at, p_now), email = null
   where s.org_id = p_org_id and s.id = p_staff_id;
  perform private.revoke_feeds(p_org_id, p_staff_id, null);
  return (select count(*)::integer from public.bookings as b
           where b.org_id = p_org_id and b.staff_id = p_staff_id and b.status in ('pending', 'confirmed') and b.start_time > p_now);
end;
$$;
comment on function private.deactivate_staff is 'Deactivates a staff member, closes their calendar feeds and returns how many bookings still lie ahead of them.';

create function private.reactivate_staff(p_org_id uuid, p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.staff as s set is_active = true, deactivated_at = null where s.org_id = p_org_id and s.id = p_staff_id;
$$;
comment on function private.reactivate_staff is 'Lets a staff member take bookings again.';

-- For operators: whose staff member it is.
create function private.staff_org(p_staff_id uuid)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select s.org_id into v_org_id from public.staff as s where s.id = p_staff_id;
  if not found then
    perform private.fail(404, 'staff_not_found', 'There is no such staff member.', 'Reload the staff.');
  end if;
  return v_org_id;
end;
$$;
comment on function private.staff_org is 'The organisation of a staff member. Fails: staff_not_found 404.';

create trigger staff__audit after insert or update or delete on public.staff
  for each row execute function private.tg__audit();
create trigger locations__audit after insert or update or delete on public.locations
  for each row execute function private.tg__audit();
create trigger location_hours__audit after insert or update or delete on public.location_hours
  for each row execute function private.tg__audit();
create trigger staff_locations__audit after insert or delete on public.staff_locations
  for each row execute function private.tg__audit();
create trigger session_type_staff__audit after insert or delete on public.session_type_staff
  for each row execute function private.tg__audit();
create trigger session_type_prices__audit after insert or update or delete on public.session_type_prices
  for each row execute function private.tg__audit();
create trigger availability__audit after insert or update or delete on public.availability
  for each row execute function private.tg__audit();

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

-- ── 40_scheduling/rules/time.sql ──

-- Local time and instants: the only place where one becomes the other.
-- A wall time in a gap moves forward (Postgres' own reading). In a fold a start takes the first instant and an end the
-- second, so that nothing open is lost; Postgres alone takes the second for both.

create function private.local_to_instant(p_timezone text, p_local timestamp, p_is_end boolean default false)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case when p_is_end then i.second else coalesce((
           select min(i.second - f.shift)
             from (values (interval '30 minutes'), (interval '1 hour'), (interval '2 hours')) as f (shift)
            where (i.second - f.shift) at time zone p_timezone = p_local), i.second) end
    from (select p_local at time zone p_timezone as second) as i;
$$;
comment on function private.local_to_instant(text, timestamp, boolean) is
  'The instant of a wall time in a timezone: forward out of a gap; in a fold the first for a start, the second for an end.';

create function private.local_to_instant(p_org_id uuid, p_on date, p_time time, p_is_end boolean default false)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select private.local_to_instant(private.org_timezone(p_org_id), p_on + p_time, p_is_end);
$$;
comment on function private.local_to_instant(uuid, date, time, boolean) is 'The instant of an organisation''s wall time.';

-- What begins in a gap moves forward, perhaps past its end: then nothing of it is left. All at once, and without a call each:
-- a listing of a month converts hundreds.
create function private.local_spans(p_timezone text, p_starts timestamp[], p_ends timestamp[])
returns table (starts timestamp, ends timestamp, span tstzrange)
language sql stable security definer set search_path = ''
as $$
  select s.starts, s.ends,
         tstzrange(least(case
           when (i.second - interval '2 hours') at time zone p_timezone = s.starts then i.second - interval '2 hours'
           when (i.second - interval '1 hour') at time zone p_timezone = s.starts then i.second - interval '1 hour'
           when (i.second - interval '30 minutes') at time zone p_timezone = s.starts then i.second - interval '30 minutes'
           else i.second end, i.ends), i.ends)
    from unnest(p_starts, p_ends) as s (starts, ends)
   cross join lateral (select s.starts at time zone p_timezone as second, s.ends at time zone p_timezone as ends) as i;
$$;
comment on function private.local_spans is
  'The instants between two wall times of a timezone, for each pair: as local_to_instant has them; empty when a gap swallows them.';

create function private.local_span(p_timezone text, p_starts timestamp, p_ends timestamp)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select s.span from private.local_spans(p_timezone, array[p_starts], array[p_ends]) as s;
$$;
comment on function private.local_span is 'The instants between two wall times of a timezone; empty when a gap swallows them.';

create function private.org_today(p_org_id uuid, p_now timestamptz default now())
returns date
language sql stable security definer set search_path = ''
as $$
  select (p_now at time zone private.org_timezone(p_org_id))::date;
$$;
comment on function private.org_today is 'The organisation''s local date.';

create function private.org_day_bounds(p_org_id uuid, p_on date)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select tstzrange(private.local_to_instant(p_org_id, p_on, '00:00'), private.local_to_instant(p_org_id, p_on + 1, '00:00'));
$$;
comment on function private.org_day_bounds is 'A local day as instants; where midnight does not exist it begins with the first instant that does.';

-- ── 50_messaging/rules/claim.sql ──

-- Claiming: what may be sent now, by any number of workers. A claim is a lease with a fencing token: a result must name it, and a lease
-- that runs out leaves the message unknown, since it may have been sent.
-- Lock order: messages (skipping what others hold), then the organisations' counters, each behind one of 64 advisory locks: an
-- organisation has one whether it has saved settings or not, and no batch can fill the server's table of locks. A claim waits for
-- them only before it holds any; later rounds pass over what another claim is counting.

create function private.claim_messages(
  p_worker text, p_limit integer, p_channels text[], p_lease interval, p_now timestamptz)
returns table (
  org_id uuid, id uuid, claim uuid, attempt_number integer, channel text, kind text, to_phone text, to_email text, to_tokens text[],
  from_name text, subject text, body text, data jsonb, event jsonb, account jsonb, lease_until timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
#variable_conflict use_column
declare
  v_ids uuid[];
  v_claimed uuid[] := '{}';
  v_passed uuid[] := '{}';
  v_take record;
begin
  perform private.expire_leases(p_now);
  -- Messages that may not go now are settled or put off, and others looked at instead: an answer with none means that none may go.
  for v_round in 1 .. 20 loop
    select array_agg(d.id) into v_ids
      from (select x.id
              from (select m.id, m.priority, m.next_at from public.outbox_messages as m
                     where m.status in ('pending', 'queued') and m.priority = 0 and m.next_at <= p_now
                       and (p_channels is null or m.channel = any (p_channels))
                       and not (m.channel = 'sms' and m.org_id = any (v_passed))
                     order by m.next_at limit p_limit for update skip locked) as x
            union all
            select x.id
              from (select m.id from public.outbox_messages as m
                     where m.status in ('pending', 'queued') and m.priority = 1 and m.next_at <= p_now
                       and (p_channels is null or m.channel = any (p_channels))
                       and not (m.channel = 'sms' and m.org_id = any (v_passed))
                     order by m.next_at limit p_limit for update skip locked) as x
             limit p_limit - cardinality(v_claimed)) as d;
    exit when v_ids is null;
    v_take := private.take_messages(v_ids, p_worker, p_lease, p_now, v_round = 1);
    v_claimed := v_claimed || v_take.taken;
    v_passed := v_passed || v_take.passed;
    exit when cardinality(v_claimed) >= p_limit;
  end loop;

  return query
  select m.org_id, m.id, m.claim, m.attempts, m.channel, m.kind,
         case when m.channel = 'sms' then m.to_address end, case when m.channel = 'email' then m.to_address end,
         case when m.channel = 'push' then (
           select array_agg(t.expo_token order by t.expo_token) from public.push_tokens as t where t.org_id = m.org_id and t.client_id = m.client_id) end,
         coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = m.org_id), o.name),
         m.subject, m.body, m.metadata -> 'data',
         case when m.channel = 'email' and m.kind in ('booking_confirmation', 'booking_rescheduled', 'booking_cancelled', 'booking_reminder')
              then (select private.booking_event(k, false) from public.bookings as k where k.org_id = m.org_id and k.id = m.booking_id) end,
         case when m.channel = 'sms' and s.twilio_account_sid is not null then jsonb_build_object(
           'account_sid', s.twilio_account_sid, 'auth_token_encrypted', s.twilio_auth_token_encrypted,
           'messaging_service_sid', s.twilio_messaging_service_sid, 'phone_number', s.twilio_phone_number) end,
         m.next_at
    from public.outbox_messages as m
    join public.orgs as o on o.id = m.org_id
    left join public.sms_settings as s on s.org_id = m.org_id
   where m.id = any (v_claimed)
   order by m.priority, m.scheduled_for, m.id;
end;
$$;
comment on function private.claim_messages is
  'Claims what may be sent now and returns it ready to carry; messages that never can be are settled on the way.';

-- Of the locked messages: settles those with an obstacle, puts off those that must wait, claims the rest. Returns what it claimed.
create function private.take_messages(
  p_ids uuid[], p_worker text, p_lease interval, p_now timestamptz, p_is_waiting boolean, out taken uuid[], out passed uuid[])
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_ids uuid[];
  v_settled uuid[];
  v_reasons text[];
  v_full uuid[];
begin
  -- One claim at a time counts towards an organisation's limits.
  with counted as materialized (
    select c.org_id, private.lock_counter(c.bucket, p_is_waiting) as is_mine
      from (select distinct m.org_id, pg_catalog.hashtext(m.org_id::text) & 63 as bucket
              from public.outbox_messages as m where m.id = any (p_ids) and m.channel = 'sms'
             order by bucket) as c)
  select array_agg(m.id) filter (where m.channel <> 'sms' or c.is_mine), coalesce(array_agg(distinct m.org_id) filter (where not c.is_mine), '{}')
    into v_ids, passed
    from public.outbox_messages as m
    left join counted as c on c.org_id = m.org_id
   where m.id = any (p_ids);

  with looked as materialized (
    select m.booking_id, m.metadata, m.org_id, m.id, m.channel, m.kind, m.client_id, m.priority, m.next_at, m.expires_at,
           -- An address that was given stays; a client's is the one they have now.
           case when m.kind = 'coach_notice' or m.client_id is null then m.to_address
                when m.channel = 'sms' then c.phone_e164
                when m.channel = 'email' then nullif(btrim(c.email), '') end as address,
           coalesce(c.sms_reminder_enabled, true) as takes_reminders, coalesce(c.sms_followup_enabled, true) as takes_follow_ups,
           case m.channel when 'sms' then c.sms_opt_in when 'email' then c.email_opt_in end is false and m.kind <> 'coach_notice' as is_opted_out,
           case when m.kind in ('series_booked', 'series_moved') then case when not exists (
                  select from public.bookings as x
                   where x.org_id = m.org_id and x.series_id = b.series_id and x.status in ('pending', 'confirmed') and x.start_time > p_now)
                  then 'booking_cancelled' end
                when m.kind not in ('booking_confirmation', 'booking_reminder', 'confirmation_nudge', 'booking_rescheduled', 'booking_follow_up') then null
                when b.status in ('cancelled', 'no_show') then 'booking_' || b.status
                when (m.metadata ->> 'start_time')::timestamptz <> b.start_time then 'booking_moved' end as change
      from public.outbox_messages as m
      left join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
      left join public.bookings as b on b.org_id = m.org_id and b.id = m.booking_id
     where m.id = any (v_ids)),
  settings as materialized (
    select x.settings, x.org_id, (x.settings).quiet_hours_start, (x.settings).quiet_hours_end, x.timezone
      from (select o.org_id, coalesce(b.timezone, private.org_timezone(o.org_id)) as timezone,
                   case when s.org_id is null then private.sms_settings_of(o.org_id) else s end as settings
              from (select distinct l.org_id from looked as l) as o
              left join public.sms_settings as s on s.org_id = o.org_id
              left join public.booking_settings as b on b.org_id = o.org_id) as x),
  -- Organisations are many, clocks few.
  clocks as materialized (
    select z.*,
           -- What could still be on its way when they begin waits too.
           coalesce(private.quiet_until(z.timezone, z.quiet_hours_start, z.quiet_hours_end, p_now),
                    private.quiet_until(z.timezone, z.quiet_hours_start, z.quiet_hours_end, p_now + p_lease)) as quiet_until,
           private.local_to_instant(z.timezone, (p_now at time zone z.timezone)::date::timestamp) as day_start,
           private.local_to_instant(z.timezone, ((p_now at time zone z.timezone)::date + 1)::timestamp) as day_end
      from (select distinct s.timezone, s.quiet_hours_start, s.quiet_hours_end from settings as s) as z),
  orgs as materialized (
    select s.org_id, s.settings, (s.settings).enabled, (s.settings).max_sms_per_client_per_day, (s.settings).urgent_kinds,
           coalesce((s.settings).twilio_account_sid, '') as account, c.day_start, c.day_end, c.quiet_until,
           (s.settings).max_sms_per_hour - h.sent as hour_left, coalesce(h.oldest_at, p_now) + interval '1 hour' as room_at
      from settings as s
     cross join lateral (
       select count(*) as sent, min(x.claimed_at) as oldest_at
         from (select m.claimed_at from public.outbox_messages as m
                where m.org_id = s.org_id and m.channel = 'sms' and m.claimed_at > p_now - interval '1 hour'
                  and (s.settings).max_sms_per_hour is not null
                order by m.claimed_at desc limit (s.settings).max_sms_per_hour) as x) as h
      join clocks as c on c.timezone = s.timezone
       and (c.quiet_hours_start, c.quiet_hours_end) is not distinct from (s.quiet_hours_start, s.quiet_hours_end)),
  days as materialized (
    select l.org_id, l.client_id, d.sent
      from (select distinct x.org_id, x.client_id from looked as x where x.channel = 'sms') as l
      join orgs as o on o.org_id = l.org_id and o.max_sms_per_client_per_day is not null
     cross join lateral (
       select count(*) as sent
         from (select from public.outbox_messages as m
                where m.org_id = l.org_id and m.client_id = l.client_id and m.channel = 'sms' and m.claimed_at >= o.day_start
                  and m.kind <> 'coach_notice'
                  -- Nothing is queued longer ahead than this.
                  and m.created_at >= o.day_start - interval '30 days'
                limit o.max_sms_per_client_per_day) as x) as d),
  judged as (
    select l.*, o.account, o.quiet_until, o.hour_left, o.room_at, o.day_end,
           o.max_sms_per_client_per_day - coalesce(d.sent, 0) as day_left, p.until_at as provider_until,
           case
             when l.change is not null then l.change
             when l.expires_at <= p_now then 'too_late'
             when l.channel = 'sms' and not o.enabled then 'messaging_off'
             when l.kind in ('booking_reminder', 'confirmation_nudge') and not l.takes_reminders
               or l.kind = 'booking_follow_up' and not l.takes_follow_ups then 'switched_off'
             when l.channel = 'push' then
               case when not exists (select from public.push_tokens as t where t.org_id = l.org_id and t.client_id = l.client_id) then 'no_address' end
             when l.address is null then 'no_address'
             when l.is_opted_out then 'opted_out'
             when x.phone is not null then 'suppressed'
           end as obstacle,
           l.channel = 'sms' and o.quiet_until is not null
             and not (l.kind = any (o.urgent_kinds) and private.is_urgent(l.org_id, l.kind, l.booking_id, l.metadata, o.urgent_kinds, p_now)) as is_quiet
      from looked as l
      join orgs as o on o.org_id = l.org_id
      left join days as d on d.org_id = l.org_id and d.client_id = l.client_id and l.channel = 'sms' and l.kind <> 'coach_notice'
      left join private.provider_limits as p
        on p.channel = l.channel and p.account = case when l.channel = 'sms' then o.account else '' end and p.until_at > p_now
      left join public.sms_suppression as x on x.org_id = l.org_id and x.phone = l.address and l.channel = 'sms'),
  ranked as (
    select j.*, j.obstacle is null and j.provider_until is null and not j.is_quiet as is_free,
           row_number() over (partition by j.org_id, j.channel, j.obstacle is null and j.provider_until is null and not j.is_quiet
                              order by j.priority, j.next_at, j.id) as nth_of_org,
           row_number() over (partition by j.org_id, case when j.kind = 'coach_notice' then j.id else coalesce(j.client_id, j.id) end, j.channel,
                                           j.obstacle is null and j.provider_until is null and not j.is_quiet
                              order by j.priority, j.next_at, j.id) as nth_of_client
      from judged as j),
  decided as materialized (
    select r.*,
           case when r.obstacle is not null then r.obstacle
                when r.is_quiet and r.quiet_until >= r.expires_at then 'quiet_hours'
                when r.is_free and r.channel = 'sms' and r.kind <> 'coach_notice' and r.nth_of_client > r.day_left and r.day_end >= r.expires_at
                then 'client_limit' end as reason,
           case when r.is_quiet then r.quiet_until
                when r.provider_until is not null then r.provider_until
                when r.channel <> 'sms' then null
                when r.nth_of_org > r.hour_left then r.room_at
                when r.nth_of_client > r.day_left and r.kind <> 'coach_notice' then r.day_end end as wait_until
      from ranked as r),
  waiting as (
    update public.outbox_messages as m
       set status = 'queued', next_at = least(d.wait_until, d.expires_at), updated_at = p_now
      from decided as d
     where m.org_id = d.org_id and m.id = d.id and d.reason is null and d.wait_until is not null),
  taken as (
    update public.outbox_messages as m
       set status = 'sending', claim = gen_random_uuid(), claimed_at = p_now, worker = p_worker, attempts = m.attempts + 1,
           next_at = p_now + p_lease, to_address = d.address, error_code = null, updated_at = p_now,
           provider_account = case when m.channel = 'sms' then d.account end
      from decided as d
     where m.org_id = d.org_id and m.id = d.id and d.reason is null and d.wait_until is null
    returning m.id)
  select (select coalesce(array_agg(t.id), '{}') from taken as t), array_agg(d.id) filter (where d.reason is not null),
         array_agg(d.reason) filter (where d.reason is not null),
         coalesce(array_agg(distinct d.org_id) filter (where d.is_free and d.nth_of_org > d.hour_left), '{}')
    into taken, v_settled, v_reasons, v_full
    from decided as d;
  passed := passed || v_full;

  -- The words of this moment, for those that have none of their own.
  update public.outbox_messages as m
     set subject = w.subject, body = w.body, template_id = w.template_id, composed_at = case when x.body is null then p_now end
    from public.outbox_messages as x
   cross join lateral private.compose(x) as w
   where x.id = any (taken) and (x.body is null or x.channel = 'email' and x.subject is null) and m.org_id = x.org_id and m.id = x.id;

  perform private.settle_unsent(m.org_id, m.id, s.reason, p_now)
     from unnest(v_settled, v_reasons) as s (id, reason)
     join public.outbox_messages as m on m.id = s.id;
end;
$$;
comment on function private.take_messages is
  'Decides for each locked message: settled, put off, or claimed. {taken: the claimed, passed: organisations whose SMS this claim leaves alone}.';

create function private.lock_counter(p_bucket integer, p_is_waiting boolean)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_is_waiting then
    perform pg_catalog.pg_advisory_xact_lock(50, p_bucket);
    return true;
  end if;
  return pg_catalog.pg_try_advisory_xact_lock(50, p_bucket);
end;
$$;
comment on function private.lock_counter is 'Lets one claim count towards the limits of a bucket''s organisations; false where another does and it is not to wait.';

create function private.is_urgent(
  p_org_id uuid, p_kind text, p_booking_id uuid, p_metadata jsonb, p_urgent_kinds text[], p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select p_kind = any (p_urgent_kinds) and exists (
    select from public.bookings as b
     where b.org_id = p_org_id and b.id = p_booking_id
       and least(b.start_time, coalesce((p_metadata ->> 'previous_start')::timestamptz, b.start_time)) <= p_now + interval '1 hour');
$$;
comment on function private.is_urgent is 'True for a kind that the organisation exempts from quiet hours, of a session within the hour.';

-- Ends a message that nobody was asked to send, and stands an email in for it where that helps.
create function private.settle_unsent(p_org_id uuid, p_message_id uuid, p_reason text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_status text := case when p_reason in ('too_late', 'quiet_hours', 'client_limit') then 'expired'
                        when p_reason in ('no_address', 'opted_out', 'suppressed') then 'failed' else 'cancelled' end;
begin
  update public.outbox_messages as m
     set status = v_status, error_code = p_reason, updated_at = p_now, failed_at = case when v_status = 'failed' then p_now end
   where m.org_id = p_org_id and m.id = p_message_id;
  if v_status in ('failed', 'expired') then
    perform private.fall_back(p_org_id, p_message_id, p_now);
  end if;
end;
$$;
comment on function private.settle_unsent is
  'Ends a message without an attempt: expired (too_late, quiet_hours, client_limit), cancelled (messaging_off, switched_off, booking_moved, booking_cancelled, booking_no_show), failed (no_address, opted_out, suppressed).';

-- Once per message (a unique index), and only while it is still of use.
create function private.fall_back(p_org_id uuid, p_message_id uuid, p_now timestamptz)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, schedule_id, template_key, subject, body, variables, metadata, related_entity_type,
    related_entity_id, status, priority, scheduled_for, next_at, expires_at, idempotency_key, cause_id, cause, created_by, created_at)
  select m.org_id, 'email', m.kind, m.client_id, m.booking_id, m.schedule_id, m.template_key, case when m.composed_at is null then m.subject end,
         -- Composed anew: an email cannot be answered with Y.
         case when m.composed_at is null then m.body end, m.variables, m.metadata,
         m.related_entity_type, m.related_entity_id, 'queued', m.priority, p_now, p_now, m.expires_at, null, m.id, 'fallback', m.created_by, p_now
    from public.outbox_messages as m
    join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
   where m.org_id = p_org_id and m.id = p_message_id and m.channel = 'sms' and m.kind not in ('coach_notice', 'marketing')
     and m.status in ('failed', 'undelivered') and m.expires_at > p_now
     and c.email like '%@%' and c.email_opt_in is distinct from false
     and (private.sms_settings_of(p_org_id)).falls_back_to_email
     -- The client has the email already where its kind is sent both ways.
     and not exists (select from private.stand_ins(m) as e where e.channel = 'email')
  on conflict (org_id, cause_id) where cause = 'fallback' do nothing
  returning id into v_id;
  if v_id is null then
    perform private.raise_alert(m.org_id, 'client_not_told', m.client_id, null, m.booking_id)
      from public.outbox_messages as m
     where m.org_id = p_org_id and m.id = p_message_id and m.kind in ('booking_cancelled', 'booking_rescheduled', 'series_moved', 'series_ended')
       and not exists (select from private.stand_ins(m) as e
                        where e.status in ('pending', 'queued', 'sending', 'sent', 'delivered', 'unknown'));
  end if;
  return v_id;
end;
$$;
comment on function private.fall_back is
  'Sends by email what an SMS did not bring, once; where that cannot be and the client should know, the coach is alerted.';

-- Its twin of the other channel, what it stands in for or was repeated from, and what stands in for these: one intent, however often told.
create function private.stand_ins(p_message public.outbox_messages)
returns setof public.outbox_messages
language sql stable security definer set search_path = ''
as $$
  with recursive back as (
    select p_message.id, p_message.cause_id, p_message.idempotency_key
    union
    select m.id, m.cause_id, m.idempotency_key
      from back as b join public.outbox_messages as m on m.org_id = p_message.org_id and m.id = b.cause_id),
  family as (
    select b.id from back as b
    union
    select m.id from back as b
      join public.outbox_messages as m
        on m.org_id = p_message.org_id and m.idempotency_key in (b.idempotency_key || '-email', regexp_replace(b.idempotency_key, '-email$', ''))
    union
    select m.id from family as f join public.outbox_messages as m on m.org_id = p_message.org_id and m.cause_id = f.id)
  select m.* from public.outbox_messages as m
   where m.org_id = p_message.org_id and m.id in (select f.id from family as f) and m.id <> p_message.id;
$$;
comment on function private.stand_ins is 'The other messages that tell the same: by email, instead of it, or again.';

-- A lease that ran out: the worker may have died before the provider, or after it.
create function private.expire_leases(p_now timestamptz)
returns integer
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_expired integer;
begin
  with lost as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'sending' and m.next_at <= p_now
     order by m.next_at limit 1000 for update skip locked),
  gone as (
    update public.outbox_messages as m
       set status = 'unknown', error_code = 'lease_expired', next_at = p_now + interval '1 minute', updated_at = p_now
      from lost as l where m.org_id = l.org_id and m.id = l.id
    returning m.*),
  tried as (
    insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, status, error_code)
    select g.org_id, g.id, g.attempts, g.claim, private.provider_of(g.channel), 'unknown', 'lease_expired' from gone as g
    on conflict (org_id, message_id, claim) do nothing)
  select count(*)::integer into v_expired from gone;
  return v_expired;
end;
$$;
comment on function private.expire_leases is 'Marks as unknown what was claimed and never reported; returns how many.';

create function private.provider_of(p_channel text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case p_channel when 'sms' then 'twilio' when 'email' then 'smtp' else 'expo' end;
$$;
comment on function private.provider_of is 'Who carries a channel.';

-- ── 50_messaging/rules/compose.sql ──

-- What a message says. Composed when it is sent, from what is true then: one function renders, one writes the time of a booking, so
-- that all messages of a booking show the same time, and follow the organisation's timezone and locale at once.

create function private.datetime_text(p_timezone text, p_locale text, p_at timestamptz)
returns text
language sql stable security definer set search_path = ''
as $$
  select case p_locale
           when 'en-US' then to_char(l.at, 'FMDy, FMMon FMDD') || ' at ' || to_char(l.at, 'FMHH12:MI AM')
           when 'en-CA' then to_char(l.at, 'FMDy, FMMon FMDD') || ' at ' || lower(to_char(l.at, 'FMHH12:MI AM'))
           when 'en-GB' then to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || to_char(l.at, 'HH24:MI')
           when 'en-IE' then to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || to_char(l.at, 'HH24:MI')
           else to_char(l.at, 'FMDy FMDD FMMon') || ' at ' || lower(to_char(l.at, 'FMHH12:MI AM'))
         end
    from (select p_at at time zone p_timezone as at) as l;
$$;
comment on function private.datetime_text is 'An instant as people of that locale read it, such as Tue 3 Mar at 9:30 am.';

create function private.org_datetime_text(p_org_id uuid, p_at timestamptz)
returns text
language sql stable security definer set search_path = ''
as $$
  select private.datetime_text(
    private.org_timezone(p_org_id),
    coalesce((select s.locale from public.sms_settings as s where s.org_id = p_org_id), 'en-AU'), p_at);
$$;
comment on function private.org_datetime_text is 'An instant in the organisation''s timezone and locale: the one form that messages show.';

create function private.placeholders(p_body text)
returns text[]
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(array_agg(distinct m.found[1] order by m.found[1]), '{}')
    from regexp_matches(p_body, '\{\{?\s*([A-Za-z0-9_.-]+)\s*\}\}?', 'g') as m (found);
$$;
comment on function private.placeholders is 'The names in {braces} or {{double braces}} of a template.';

-- Each placeholder once and none inside what another was replaced by: a client named "{link}" stays so.
create function private.render(p_body text, p_variables jsonb)
returns text
language plpgsql immutable security invoker set search_path = ''
as $$
declare
  v_rest text := coalesce(p_body, '');
  v_done text := '';
  v_found text[];
  v_at integer;
begin
  loop
    v_found := regexp_match(v_rest, '(\{\{?\s*([A-Za-z0-9_.-]+)\s*\}\}?)');
    exit when v_found is null;
    v_at := position(v_found[1] in v_rest);
    v_done := v_done || left(v_rest, v_at - 1) || coalesce(p_variables ->> v_found[2], '');
    v_rest := substr(v_rest, v_at + char_length(v_found[1]));
  end loop;
  return btrim(regexp_replace(v_done || v_rest, ' {2,}', ' ', 'g'));
end;
$$;
comment on function private.render is 'A template with its placeholders replaced; one without a value is left out.';

create function private.template_variables(p_template_key text)
returns text[]
language sql stable security definer set search_path = ''
as $$
  select coalesce((select k.variables from private.message_kinds as k where k.kind = p_template_key),
                  (select array_agg(distinct v) from private.message_kinds as k cross join unnest(k.variables) as v));
$$;
comment on function private.template_variables is 'The placeholders that a template of this key may use; a key of the organisation''s own may use all.';

create function private.check_template(p_body text, p_variables text[])
returns void
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_unknown text[] := (select array_agg(p) from unnest(private.placeholders(p_body)) as p where p <> all (p_variables));
begin
  if v_unknown is not null then
    perform private.fail(422, 'placeholder_unknown', 'This template uses a placeholder that does not exist here.',
                         format('Use only: %s.', array_to_string(p_variables, ', ')));
  elsif p_body ~ '[{}]' and regexp_replace(p_body, '\{\{?\s*[A-Za-z0-9_.-]+\s*\}\}?', '', 'g') ~ '[{}]' then
    perform private.fail(422, 'placeholder_malformed', 'A placeholder of this template is not closed.', 'Write it as {client_name}.');
  elsif p_body ~* '\m(reply|respond|text|send|answer|type)\M'
        and (p_body ~ '\mCANCEL\M' or p_body ~* '["''“‘]cancel["''”’]'
             or p_body ~* '\m(reply|respond|text|send|answer|type)\M(\s+(us|back|with|the|word|by|sms))*[\s:]+cancel\M'
             or p_body ~* '\mor\s+cancel\s+to\M') then
    perform private.fail(422, 'template_invites_cancel', 'Carriers take the answer CANCEL for an opt-out from all messages.',
                         'Invite R to reschedule instead.');
  end if;
end;
$$;
comment on function private.check_template is
  'Refuses a text that cannot be sent as meant: placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422.';

create function private.tg_sms_templates__check()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.body is null or new.template_key is null then
    return new;
  end if;
  perform private.check_template(new.body, private.template_variables(new.template_key));
  new.variables_schema := to_jsonb(private.placeholders(new.body));
  if tg_op = 'INSERT' then
    -- Two tabs that save one key get two versions.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(new.org_id::text || new.template_key, 2));
    new.version := 1 + coalesce((select max(t.version) from public.sms_templates as t
                                  where t.org_id = new.org_id and t.template_key = new.template_key), 0);
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_templates__check is 'Checks a template''s text and numbers its version.';
create trigger sms_templates__check before insert or update of body on public.sms_templates
  for each row execute function private.tg_sms_templates__check();

create function private.tg_sms_schedules__check()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if new.body is not null then
    perform private.check_template(new.body, private.template_variables(
      case new.type when 'pre_session' then 'booking_reminder' else 'booking_follow_up' end));
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_schedules__check is 'Checks a schedule''s text.';
create trigger sms_schedules__check before insert or update of body, type on public.sms_schedules
  for each row execute function private.tg_sms_schedules__check();
create trigger sms_templates__touch before update on public.sms_templates
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger sms_schedules__touch before update on public.sms_schedules
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger sms_settings__touch before update on public.sms_settings
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.app_link(p_path text)
returns text
language sql stable security definer set search_path = ''
as $$
  select rtrim(s.value, '/') || p_path from private.platform_settings as s where s.name = 'app_url';
$$;
comment on function private.app_link is 'The address of a page of the apps; null where the platform has not said where they are.';

-- What the placeholders stand for, at this moment.
create function private.message_variables(p_message public.outbox_messages)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
           'client_name', c.full_name,
           'first_name', split_part(c.full_name, ' ', 1),
           'business_name', coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = o.id), o.name),
           'coach_name', coalesce(s.full_name, o.name),
           'portal_link', private.app_link('/portal/' || c.portal_token),
           'feedback_link', case when k.id is not null then private.app_link('/feedback/' || k.id) end,
           'session_datetime', private.org_datetime_text(o.id, coalesce(x.next_start, k.start_time, (p_message.metadata ->> 'start_time')::timestamptz)),
           'session_type', coalesce(t.name, replace(k.session_type, '_', ' ')),
           'location', (select ' at ' || l.name from public.locations as l where l.org_id = o.id and l.id = coalesce(k.location_id, h.location_id)),
           'previous_datetime', private.org_datetime_text(o.id, (p_message.metadata ->> 'previous_start')::timestamptz),
           'offer_until', private.org_datetime_text(o.id, (p_message.metadata ->> 'offer_until')::timestamptz),
           'session_count', x.ahead,
           'sessions_remaining', r.remaining,
           'sessions_booked', r.booked,
           'session_summary', format('%s left, %s booked', private.count_text(r.remaining, 'session'), r.booked),
           'answer_hint', case p_message.channel when 'sms' then 'Reply Y to confirm or R to reschedule.' end,
           'link', p_message.metadata ->> 'link', 'notice', p_message.metadata ->> 'notice', 'message', p_message.metadata ->> 'message'))
         || p_message.variables
    from public.orgs as o
    left join public.clients as c on c.org_id = o.id and c.id = p_message.client_id
    left join public.bookings as k on k.org_id = o.id and k.id = p_message.booking_id
    left join private.holds as h on h.org_id = o.id and h.id = (p_message.metadata ->> 'hold_id')::uuid
    left join public.staff as s on s.org_id = o.id and s.id = coalesce(k.staff_id, h.staff_id)
    left join public.session_types as t on t.org_id = o.id and t.id = coalesce(k.session_type_id, h.session_type_id)
   -- What is told of a whole series: its next date, and how many there are.
   cross join lateral (
     select count(*) as ahead, case when p_message.kind in ('series_booked', 'series_moved') then min(b.start_time) end as next_start
       from public.bookings as b
      where b.org_id = o.id and b.series_id = k.series_id and b.status in ('pending', 'confirmed') and b.start_time > now()) as x
   cross join lateral (
     select coalesce(sum(p.sessions_remaining), 0)::integer as remaining,
            (select count(*)::integer from public.bookings as b
              where b.org_id = o.id and b.client_id = c.id and b.status in ('pending', 'confirmed') and b.start_time > now()) as booked
       from public.client_purchases as p
      where p.org_id = o.id and p.client_id = c.id and p.valid_during @> now()) as r
   where o.id = p_message.org_id;
$$;
comment on function private.message_variables is 'The values of every placeholder for one message, as they are now.';

create function private.count_text(p_count integer, p_noun text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select p_count || ' ' || p_noun || case when p_count = 1 then '' else 's' end;
$$;
comment on function private.count_text is 'A number with its noun, such as 2 sessions.';

-- The words: the schedule's or the text's to many, else the organisation's newest active template of the key, else what the kind says.
create function private.message_words(p_message public.outbox_messages, out subject text, out body text, out template_id uuid)
language sql stable security definer set search_path = ''
as $$
  select coalesce(p_message.subject, k.subject),
         coalesce((select x.body from public.sms_schedules as x where x.org_id = p_message.org_id and x.id = p_message.schedule_id),
                  (select x.body from public.marketing_sends as x where x.org_id = p_message.org_id and x.id = p_message.marketing_send_id),
                  t.body, k.body),
         t.id
    from private.message_kinds as k
    left join lateral (
      select x.id, x.body from public.sms_templates as x
       where x.org_id = p_message.org_id and x.template_key = coalesce(p_message.template_key, p_message.kind)
         -- A key of the organisation's own has no other words: those it had stay, for what waits already.
         and (x.is_active or k.kind <> coalesce(p_message.template_key, k.kind))
       order by x.is_active desc, x.version desc limit 1) as t on p_message.schedule_id is null and p_message.marketing_send_id is null
   where k.kind = p_message.kind;
$$;
comment on function private.message_words is 'The template that a message is composed from: {subject, body, template_id}.';

create function private.compose(p_message public.outbox_messages, out subject text, out body text, out template_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_words record;
  v_variables jsonb;
begin
  subject := p_message.subject;
  body := p_message.body;
  template_id := p_message.template_id;
  if body is null or p_message.channel = 'email' and subject is null then
    v_words := private.message_words(p_message);
    v_variables := private.message_variables(p_message);
    subject := coalesce(subject, left(private.render(v_words.subject, v_variables), 200));
  end if;
  if body is null then
    body := left(private.render(v_words.body, v_variables), 1600);
    template_id := v_words.template_id;
  end if;
end;
$$;
comment on function private.compose is 'What a message says: {subject, body, template_id}; a text that was given stays as it is.';

-- ── 50_messaging/rules/existing_app.sql ──

-- What the existing edge functions call with the secret key: they queue into the same outbox, under the same intents.

-- Their keys name a schedule and a booking, ours its start besides: with it theirs are the same intents, whoever is first.
create function private.insert_sms_direct(
  p_org_id uuid, p_client_id uuid, p_body text, p_scheduled_for timestamptz, p_related_entity_type text, p_related_entity_id uuid,
  p_idempotency_key text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client public.clients;
  v_booking public.bookings;
  v_named text[] := regexp_match(p_idempotency_key, '^(?:sched-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})|unconfirmed-24h)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$');
  v_schedule public.sms_schedules;
  v_kind text := 'direct';
  v_key text := p_idempotency_key;
  v_id uuid;
begin
  select c.* into v_client from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
  if v_client.phone_e164 is null or v_client.sms_opt_in is false or not (private.sms_settings_of(p_org_id)).enabled
     or private.is_suppressed(p_org_id, v_client.phone_e164) or coalesce(btrim(p_body), '') = ''
     or p_scheduled_for > now() + interval '29 days' then
    return null;
  end if;
  select b.* into v_booking
    from public.bookings as b
   where b.org_id = p_org_id and b.client_id = p_client_id
     and b.id = coalesce(v_named[2]::uuid, case when p_related_entity_type = 'booking' then p_related_entity_id end);
  if v_named is not null and v_booking.id is not null then
    select s.* into v_schedule from public.sms_schedules as s where s.org_id = p_org_id and s.id = v_named[1]::uuid;
    v_kind := case when v_named[1] is null then 'confirmation_nudge' when v_schedule.type = 'post_session' then 'booking_follow_up'
                   else 'booking_reminder' end;
    v_key := v_key || '-' || extract(epoch from v_booking.start_time)::bigint;
  end if;
  v_id := private.queue_message(
    p_org_id, 'sms', v_kind, p_client_id, v_key, v_booking.id, p_scheduled_for => coalesce(p_scheduled_for, now()),
    -- A reminder is of no use once its session has begun.
    p_expires_at => case when v_kind in ('booking_reminder', 'confirmation_nudge') then v_booking.start_time end,
    p_metadata => case when v_kind = 'direct' then '{}' else jsonb_build_object('start_time', v_booking.start_time) end,
    p_body => left(btrim(p_body), 1600));
  update public.outbox_messages as m
     set schedule_id = v_schedule.id, related_entity_type = p_related_entity_type, related_entity_id = p_related_entity_id
   where m.org_id = p_org_id and m.id = v_id;
  return v_id;
end;
$$;
comment on function private.insert_sms_direct is 'Queues an SMS for the service; null when it is refused or queued already.';

create function private.queue_pending_sms()
returns integer
language sql volatile security definer set search_path = ''
as $$
  with due as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'pending' and m.channel = 'sms' and m.next_at <= now()
       for update skip locked),
  queued as (
    update public.outbox_messages as m set status = 'queued', updated_at = now()
      from due as d where m.org_id = d.org_id and m.id = d.id
    returning 1)
  select count(*)::integer from queued;
$$;
comment on function private.queue_pending_sms is 'Marks SMS whose time has come as queued; returns how many.';

-- ── 50_messaging/rules/inbound.sql ──

-- What clients answer, by one handler: whose organisation, whose client, what it means. What cannot be told is said, never guessed.

create function private.inbound_meaning(p_body text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case
    when w.word in ('stop', 'stopall', 'unsubscribe', 'end', 'quit', 'optout', 'opt out', 'revoke') then 'opt_out'
    -- The carrier takes these for an opt-out; the client meant the session.
    when w.word in ('cancel', 'cancel session', 'cancel booking') then 'cancel'
    when w.word in ('start', 'unstop') then 'opt_in'
    when w.word in ('help', 'info') then 'help'
    when w.word in ('y', 'yes', 'yep', 'yeah', 'yup', 'ok', 'okay', 'confirm', 'confirmed', 'i confirm', 'yes please', 'yes thanks', 'yes thank you', 'y thanks') then 'confirm'
    when w.word in ('r', 'reschedule', 'reschedule please', 'please reschedule', 'r please') then 'reschedule'
    else 'message' end
    -- Punctuation and pictures say nothing; a figure or a letter of any alphabet does ("ok 5:30?", "нет ok"). Ranges, since what counts
    -- as a letter would depend on the database's locale.
    from (select btrim(regexp_replace(lower(normalize(coalesce(p_body, ''), nfkc)),
                   U&'[\0001-\002F\003A-\0060\007B-\00BF\02B0-\036F\2000-\2BFF\3000-\3003\FE00-\FE0F\FEFF\+01F000-\+01FAFF\+0E0000-\+0E01EF]+', ' ', 'g'))
                   as word) as w;
$$;
comment on function private.inbound_meaning is 'What the whole text says: opt_out, cancel, opt_in, help, confirm, reschedule, or message.';

-- Whoever holds a Twilio account's token can sign what they like for it: an account speaks for the organisations that send through
-- it, and the platform's for the others.
create function private.inbound_orgs(p_to text, p_from text, p_account_sid text)
returns uuid[]
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_account text := coalesce((select s.twilio_account_sid from public.sms_settings as s where s.twilio_account_sid = p_account_sid limit 1), '');
  v_ids uuid[] := array(select s.org_id from public.sms_settings as s
                         where s.twilio_phone_number = p_to and coalesce(s.twilio_account_sid, '') = v_account);
begin
  if cardinality(v_ids) = 1 then
    return v_ids;
  end if;
  return array(
    select m.org_id
      from public.outbox_messages as m
     where m.channel = 'sms' and m.to_address = p_from and m.claimed_at is not null and m.provider_account = v_account
       and m.status in ('sending', 'sent', 'delivered', 'undelivered', 'unknown') and (v_ids = '{}' or m.org_id = any (v_ids))
     group by m.org_id
     order by max(m.claimed_at) desc);
end;
$$;
comment on function private.inbound_orgs is
  'Whose message an incoming SMS is: the organisation of that number, or all that wrote to this phone from a shared one, the last first.';

create function private.receive_sms(
  p_message_sid text, p_account_sid text, p_to text, p_from text, p_body text, p_media_count integer, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_meaning text := private.inbound_meaning(p_body);
  -- Also where a plus was lost on the way, or a number came as people dial it.
  v_to text := coalesce(private.e164(p_to, 'AU'), p_to);
  v_from text := coalesce(private.e164(p_from, 'AU'), p_from);
  v_answer jsonb;
  v_org_ids uuid[];
begin
  insert into private.inbound_sids (message_sid, received_at) values (p_message_sid, p_now)
  on conflict (message_sid) do nothing;
  if not found then
    -- Whoever was first has committed: the same answer, and no effect.
    return (select i.answer from private.inbound_sids as i where i.message_sid = p_message_sid);
  end if;
  v_org_ids := private.inbound_orgs(v_to, v_from, p_account_sid);
  if v_org_ids = '{}' then
    v_answer := private.outcome('org_unknown', '{"reply": null}');
  else
    v_answer := private.answer_sms(v_org_ids[1], v_meaning, p_message_sid, v_to, v_from, p_body, p_media_count, p_now);
    -- One number, several senders: the carrier's opt-out is the number's.
    if v_meaning in ('opt_out', 'cancel') then
      perform private.suppress(o.id, v_from, 'opt_out') from unnest(v_org_ids[2:]) as o (id);
    elsif v_meaning = 'opt_in' then
      delete from public.sms_suppression as s where s.org_id = any (v_org_ids[2:]) and s.phone = v_from and s.reason = 'opt_out';
    end if;
  end if;
  update private.inbound_sids as i set answer = v_answer where i.message_sid = p_message_sid;
  return v_answer;
end;
$$;
comment on function private.receive_sms is 'Takes in an SMS once: {outcome, reply}; reply is the text to answer, or null.';

create function private.answer_sms(
  p_org_id uuid, p_meaning text, p_message_sid text, p_to text, p_from text, p_body text, p_media_count integer, p_now timestamptz)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client_ids uuid[] := array(select c.id from public.clients as c where c.org_id = p_org_id and c.phone_e164 = p_from order by c.created_at, c.id);
  v_client_id uuid := case when cardinality(v_client_ids) = 1 then v_client_ids[1] end;
  v_booking public.bookings;
  v_kind text;
  v_reply text;
  v_text text := coalesce(nullif(btrim(p_body, e' \t\r\n'), ''), case when p_media_count > 0 then '(a picture or file)' else '(no text)' end);
begin
  -- Whoever it is: an opt-out is the number's.
  if p_meaning in ('opt_out', 'cancel') then
    perform private.suppress(p_org_id, p_from, 'opt_out', v_client_id);
  elsif p_meaning = 'opt_in' then
    delete from public.sms_suppression as s where s.org_id = p_org_id and s.phone = p_from and s.reason = 'opt_out';
  end if;

  if p_meaning = 'help' then
    v_kind := 'help';
    v_reply := format('%s: reply Y to confirm your next session, R to reschedule it, STOP to end these messages.',
                      (select o.name from public.orgs as o where o.id = p_org_id));
  elsif p_meaning = 'opt_out' then
    v_kind := 'opted_out';
  elsif p_meaning = 'opt_in' then
    v_kind := 'opted_in';
  elsif v_client_id is null then
    -- Two clients share the phone, or nobody has it: the coach is told, nothing is guessed.
    v_kind := case when v_client_ids = '{}' then 'sender_unknown' else 'ambiguous' end;
    if v_kind = 'ambiguous' then
      perform private.raise_alert(p_org_id, 'sms_sender_ambiguous', v_client_ids[1], null, null);
    end if;
  elsif p_meaning = 'confirm' then
    select b.* into v_booking
      from public.bookings as b
     where b.org_id = p_org_id and b.client_id = v_client_id and b.status = 'confirmed' and b.start_time > p_now - interval '2 hours'
       and b.confirmation_sent_at is not null and b.client_confirmed is not true
     -- One that has just begun is meant only where nothing is ahead.
     order by b.start_time <= p_now, b.start_time limit 1
       for no key update;
    v_kind := case when v_booking.id is null then 'nothing_to_confirm' else 'confirmed' end;
    update public.bookings as b set client_confirmed = true where b.org_id = p_org_id and b.id = v_booking.id;
    v_reply := 'Thank you, your session on ' || private.org_datetime_text(p_org_id, v_booking.start_time) || ' is confirmed.';
  else
    v_kind := case p_meaning when 'reschedule' then 'reschedule_requested' when 'cancel' then 'cancel_requested' else 'message' end;
    if p_meaning in ('reschedule', 'cancel') then
      select b.* into v_booking
        from public.bookings as b
       where b.org_id = p_org_id and b.client_id = v_client_id and b.status in ('pending', 'confirmed') and b.start_time > p_now
       order by b.confirmation_sent_at is null, b.start_time limit 1;
      perform private.raise_alert(p_org_id, v_kind, v_client_id, null, v_booking.id);
      if p_meaning = 'reschedule' then
        v_reply := 'Thank you, your coach will be in touch about another time.';
      end if;
    end if;
  end if;

  if p_meaning <> 'help' and not private.may_answer(p_org_id, p_from, p_now) then
    v_reply := null;
  end if;
  insert into public.inbound_messages (
    org_id, client_id, booking_id, from_phone, to_phone, body, media_count, kind, provider_message_id, received_at)
  values (p_org_id, v_client_id, v_booking.id, p_from, p_to, left(coalesce(p_body, ''), 10000), coalesce(p_media_count, 0), v_kind, p_message_sid, p_now);
  if v_client_id is not null then
    perform private.log_communication(p_org_id, v_client_id, 'sms', 'inbound', v_text, null);
    if v_kind in ('message', 'nothing_to_confirm', 'reschedule_requested', 'cancel_requested') then
      insert into public.messages (org_id, thread_id, sender_type, body, created_at)
      values (p_org_id, private.thread_of(p_org_id, v_client_id), 'client', left(v_text, 10000), p_now);
    end if;
    if v_reply is not null then
      perform private.log_communication(p_org_id, v_client_id, 'sms', 'outbound', v_reply, null);
    end if;
  end if;
  return private.outcome(v_kind, jsonb_build_object('reply', v_reply));
end;
$$;
comment on function private.answer_sms is 'What an SMS does in its organisation, and the answer: {outcome, reply}.';

-- The answer is an SMS like any other: none while messaging is off, to a suppressed number, or inside quiet hours. Carriers want HELP
-- answered always.
create function private.may_answer(p_org_id uuid, p_phone text, p_now timestamptz)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select s.enabled
         and not private.is_quiet(private.org_timezone(p_org_id), s.quiet_hours_start, s.quiet_hours_end, p_now)
         and not exists (select from public.sms_suppression as x where x.org_id = p_org_id and x.phone = p_phone)
    from private.sms_settings_of(p_org_id) as s;
$$;
comment on function private.may_answer is 'True when an SMS may be answered by one at once.';

-- ── 50_messaging/rules/phone.sql ──

-- Phone numbers: one form (E.164) in which numbers are compared, suppressed and sent to.

-- How people write numbers: +61…, 0061…, 04…, with spaces, dots, dashes and brackets, an extension behind. Null where that is no phone
-- number, or longer than any that could take an SMS there.
create function private.e164(p_phone text, p_region text)
returns text
language sql stable security definer set search_path = ''
as $$
  with dialled as (
    select regexp_replace(regexp_replace(normalize(p_phone, nfkc), '\s*(,|;|#|x|ext).*$', '', 'i'), '[^0-9+]', '', 'g') as phone,
           r.calling_code, r.trunk_prefix, r.mobile_digits
      from private.phone_regions as r where r.region = p_region),
  number as (
    select case
             when d.phone ~ '^\+' then d.phone
             when d.calling_code = '61' and d.phone ~ '^0011[1-9]' then '+' || substr(d.phone, 5)
             when d.phone ~ '^00[1-9]' then '+' || substr(d.phone, 3)
             when d.calling_code = '1' and d.phone ~ '^011[1-9]' then '+' || substr(d.phone, 4)
             when d.calling_code = '1' and d.phone ~ '^1[2-9][0-9]{9}$' then '+' || d.phone
             when d.trunk_prefix is not null and d.calling_code <> '1' and starts_with(d.phone, d.trunk_prefix)
               then case when char_length(d.phone) <= char_length(d.trunk_prefix) + d.mobile_digits then '+' || d.calling_code || substr(d.phone, char_length(d.trunk_prefix) + 1) end
             -- Written with the country code but without its plus.
             when starts_with(d.phone, d.calling_code) and char_length(d.phone) > d.mobile_digits then '+' || d.phone
             else '+' || d.calling_code || d.phone
           end as phone
      from dialled as d)
  -- "+61 (0)4…": a zero that is dialled inside the country alone.
  select case when n.phone ~ '^\+[1-9][0-9]{6,14}$' then n.phone end
    from (select coalesce((select '+' || r.calling_code || substr(x.phone, char_length(r.calling_code) + 3)
                             from private.phone_regions as r
                            where starts_with(x.phone, '+' || r.calling_code || '0')
                            group by r.calling_code having bool_and(r.trunk_prefix in ('0', '80') is true)), x.phone) as phone
            from number as x) as n;
$$;
comment on function private.e164 is
  'A phone number as E.164, read as people of that region write it; null where it is none.';

create function private.phone_region(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select coalesce((select s.phone_region from public.sms_settings as s where s.org_id = p_org_id), 'AU');
$$;
comment on function private.phone_region is 'Where an organisation''s numbers without a country code are from.';

create function private.tg_clients__name_phone()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.phone_e164 := private.e164(new.phone, private.phone_region(new.org_id));
  return new;
end;
$$;
comment on function private.tg_clients__name_phone is 'Keeps phone_e164 in step with phone.';
create trigger clients__name_phone before insert or update of phone, phone_e164 on public.clients
  for each row execute function private.tg_clients__name_phone();

create function private.tg_sms_settings__name_phones()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.clients as c set phone = c.phone where c.org_id = new.org_id and c.phone is not null;
  return null;
end;
$$;
comment on function private.tg_sms_settings__name_phones is 'Reads an organisation''s phone numbers anew when its region changes.';
create trigger sms_settings__name_phones after update of phone_region on public.sms_settings
  for each row when (old.phone_region <> new.phone_region) execute function private.tg_sms_settings__name_phones();
create trigger sms_settings__name_first_phones after insert on public.sms_settings
  for each row when (new.phone_region <> 'AU') execute function private.tg_sms_settings__name_phones();

create function private.is_suppressed(p_org_id uuid, p_phone text)
returns boolean
language sql stable security definer set search_path = ''
as $$
  select exists (select from public.sms_suppression as s
                  where s.org_id = p_org_id and s.phone = private.e164(p_phone, private.phone_region(p_org_id)));
$$;
comment on function private.is_suppressed is 'True when an organisation sends no SMS to this number.';

create function private.suppress(p_org_id uuid, p_phone text, p_reason text, p_client_id uuid default null)
returns void
language sql volatile security definer set search_path = ''
as $$
  -- A short code or a sender's name is no number that we could write to.
  insert into public.sms_suppression as s (org_id, phone, reason, client_id)
  select p_org_id, p_phone, p_reason, p_client_id where p_phone ~ '^\+[1-9][0-9]{6,14}$'
  on conflict (org_id, phone) do update set reason = excluded.reason, created_at = excluded.created_at
    where excluded.reason = 'opt_out' and s.reason <> 'opt_out';
$$;
comment on function private.suppress is
  'Sends no SMS to a number (E.164) any more. The first reason stays, but for an opt-out: that one only the person lifts.';

-- ── 50_messaging/rules/queue.sql ──

-- Queueing: an intent becomes a message once, at the time it is wanted, and is cancelled when what it is about changes.

create function private.sms_settings_of(p_org_id uuid)
returns public.sms_settings
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_settings public.sms_settings;
begin
  select s.* into v_settings from public.sms_settings as s where s.org_id = p_org_id;
  if not found then
    v_settings := jsonb_populate_record(null::public.sms_settings, jsonb_build_object(
      'org_id', p_org_id, 'enabled', true, 'quiet_hours_start', 21, 'quiet_hours_end', 8, 'max_sms_per_hour', 100,
      'max_sms_per_client_per_day', 5, 'send_booking_confirmations', true, 'send_session_reminders', true,
      'send_feedback_requests', true, 'send_unconfirmed_nudges', true, 'low_package_sessions', 0, 'falls_back_to_email', true,
      'urgent_kinds', jsonb_build_array(), 'locale', 'en-AU', 'phone_region', 'AU'));
  end if;
  return v_settings;
end;
$$;
comment on function private.sms_settings_of is 'An organisation''s messaging settings as they are in force: the defaults where no row exists.';

-- p_expires_at null: of use for a day. Returns null when the intent is a message already.
create function private.queue_message(
  p_org_id uuid, p_channel text, p_kind text, p_client_id uuid, p_idempotency_key text, p_booking_id uuid default null,
  p_scheduled_for timestamptz default now(), p_expires_at timestamptz default null, p_metadata jsonb default '{}',
  p_to_address text default null, p_body text default null, p_subject text default null, p_template_key text default null,
  p_variables jsonb default '{}', p_created_by uuid default null, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_expires_at timestamptz := coalesce(p_expires_at, greatest(p_scheduled_for, p_now) + interval '1 day');
  v_allowed_at timestamptz := case
    when private.is_urgent(p_org_id, p_kind, p_booking_id, p_metadata, (private.sms_settings_of(p_org_id)).urgent_kinds, p_now) then p_scheduled_for
    else private.message_allowed_at(p_org_id, p_channel, p_scheduled_for, v_expires_at, p_now) end;
  v_id uuid;
begin
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, template_key, to_address, subject, body, variables, metadata, status, priority,
    scheduled_for, next_at, expires_at, idempotency_key, created_by, created_at)
  select p_org_id, p_channel, p_kind, p_client_id, p_booking_id, p_template_key, p_to_address, p_subject, p_body, p_variables, p_metadata,
         case when coalesce(v_allowed_at, p_scheduled_for) <= p_now then 'queued' else 'pending' end, k.priority,
         p_scheduled_for, coalesce(v_allowed_at, p_scheduled_for), v_expires_at, p_idempotency_key, p_created_by, p_now
    from private.message_kinds as k where k.kind = p_kind
  on conflict (org_id, idempotency_key) do nothing
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.queue_message is
  'Puts a message into the outbox and returns its id; null when its intent (idempotency key) has one already.';

-- Where no time is left it keeps the wanted one: the claim then says that it expired.
create function private.message_allowed_at(
  p_org_id uuid, p_channel text, p_wanted_at timestamptz, p_expires_at timestamptz, p_now timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case when p_channel = 'sms' then private.allowed_at(
           private.org_timezone(p_org_id), s.quiet_hours_start, s.quiet_hours_end, greatest(p_wanted_at, p_now), p_expires_at, p_now)
         else p_wanted_at end
    from private.sms_settings_of(p_org_id) as s;
$$;
comment on function private.message_allowed_at is 'When a message may leave by the organisation''s quiet hours, which bind SMS alone; null when never in time.';

-- Quiet hours or the timezone change: what waits is timed anew. What is being claimed at this moment is asked again there.
create function private.retime_messages(p_org_id uuid, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.outbox_messages as m
     set next_at = coalesce(private.message_allowed_at(m.org_id, m.channel, m.scheduled_for, m.expires_at, p_now), m.scheduled_for)
    from (select x.id from public.outbox_messages as x
           where x.org_id = p_org_id and x.status in ('pending', 'queued') and x.channel = 'sms' and x.attempts = 0
             for update skip locked) as w
   where m.org_id = p_org_id and m.id = w.id
     and not private.is_urgent(m.org_id, m.kind, m.booking_id, m.metadata, (private.sms_settings_of(p_org_id)).urgent_kinds, p_now);
$$;
comment on function private.retime_messages is 'Times an organisation''s waiting SMS anew.';

create function private.tg__retime_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.retime_messages(new.org_id);
  return null;
end;
$$;
comment on function private.tg__retime_messages is 'Lets a change of quiet hours or timezone hold for what waits already.';
create trigger sms_settings__retime_messages after update of quiet_hours_start, quiet_hours_end on public.sms_settings
  for each row when ((old.quiet_hours_start, old.quiet_hours_end) is distinct from (new.quiet_hours_start, new.quiet_hours_end))
  execute function private.tg__retime_messages();
create trigger booking_settings__retime_messages after update of timezone on public.booking_settings
  for each row when (old.timezone <> new.timezone) execute function private.tg__retime_messages();
-- The first row says what differs from the defaults that held before it.
create trigger sms_settings__retime_first after insert on public.sms_settings
  for each row when ((new.quiet_hours_start, new.quiet_hours_end) is distinct from (21, 8)) execute function private.tg__retime_messages();
create trigger booking_settings__retime_first after insert on public.booking_settings
  for each row when (new.timezone <> 'Australia/Brisbane') execute function private.tg__retime_messages();

-- A schedule that is changed, switched off or deleted: what waits by its old time goes. The sweep queues what is wanted now.
create function private.tg_sms_schedules__cancel_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.outbox_messages as m
     set status = 'cancelled', error_code = 'schedule_changed', updated_at = now()
   where m.org_id = old.org_id and m.schedule_id = old.id and m.status in ('pending', 'queued') and m.cause is null;
  return old;
end;
$$;
comment on function private.tg_sms_schedules__cancel_messages is 'Cancels what waits by a schedule that no longer asks for it.';
create trigger sms_schedules__cancel_changed after update of mins_offset, enabled, type on public.sms_schedules
  for each row when (old.mins_offset <> new.mins_offset or old.type <> new.type or (old.enabled and not new.enabled))
  execute function private.tg_sms_schedules__cancel_messages();
create trigger sms_schedules__cancel_deleted before delete on public.sms_schedules
  for each row execute function private.tg_sms_schedules__cancel_messages();

create function private.tg_sms_settings__check_urgent()
returns trigger
language plpgsql stable security definer set search_path = ''
as $$
begin
  if exists (select from unnest(new.urgent_kinds) as u (kind)
              where not exists (select from private.message_kinds as k where k.kind = u.kind and k.is_urgent_allowed)) then
    perform private.fail(422, 'urgent_kind_not_allowed', 'This kind of message may not break quiet hours.',
                         format('Choose of: %s.', (select string_agg(k.kind, ', ' order by k.kind) from private.message_kinds as k
                                                    where k.is_urgent_allowed)));
  end if;
  return new;
end;
$$;
comment on function private.tg_sms_settings__check_urgent is 'Refuses kinds that may not be exempt from quiet hours: urgent_kind_not_allowed 422.';
create trigger sms_settings__check_urgent before insert or update of urgent_kinds on public.sms_settings
  for each row execute function private.tg_sms_settings__check_urgent();

-- By SMS, and where the organisation sends confirmations by email also so, with the calendar file. Each once per booking and start.
create function private.queue_booking_messages(p_booking public.bookings, p_kind text, p_key text, p_metadata jsonb default '{}', p_now timestamptz default now())
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_settings public.sms_settings := private.sms_settings_of(p_booking.org_id);
  v_expires_at timestamptz := greatest(p_booking.start_time, p_now + interval '5 minutes');
begin
  if not coalesce(v_settings.send_booking_confirmations, true) then
    return;
  end if;
  if v_settings.enabled then
    perform private.queue_message(
      p_booking.org_id, 'sms', p_kind, p_booking.client_id, p_key, p_booking.id, p_expires_at => v_expires_at, p_metadata => p_metadata, p_now => p_now);
  end if;
  if coalesce((select s.send_confirmation_email from public.booking_settings as s where s.org_id = p_booking.org_id), true)
     and exists (select from public.clients as c
                  where c.org_id = p_booking.org_id and c.id = p_booking.client_id and c.email like '%@%' and c.email_opt_in is distinct from false) then
    perform private.queue_message(
      p_booking.org_id, 'email', p_kind, p_booking.client_id, p_key || '-email', p_booking.id, p_expires_at => v_expires_at, p_metadata => p_metadata, p_now => p_now);
  end if;
end;
$$;
comment on function private.queue_booking_messages is 'Tells the client of a booking what happened to it, once for each key.';

-- A client's own doing is told to the coach who asked for it (booking_settings.notify_phone).
create function private.queue_coach_notice(p_booking public.bookings, p_notice text, p_key text, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.queue_message(
           p_booking.org_id, 'sms', 'coach_notice', p_booking.client_id, p_key, p_booking.id,
           p_metadata => jsonb_build_object('notice', p_notice),
           p_to_address => private.e164(s.notify_phone, private.phone_region(p_booking.org_id)), p_now => p_now)
    from public.booking_settings as s
   where s.org_id = p_booking.org_id and private.e164(s.notify_phone, private.phone_region(p_booking.org_id)) is not null;
$$;
comment on function private.queue_coach_notice is 'Tells the coach''s phone what a client did, where the organisation wants it.';

-- Which transaction changed a series: one message tells it, however many dates it has.
create function private.tg_bookings__tell()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_series text := nullif(current_setting('coach.changes_series', true), '');
  v_key text := new.id || '-' || new.ics_sequence;
  -- Through the service nobody is signed in: then it is whoever booked it, and for a cancellation the door it came through.
  v_by_client boolean := case
    when auth.uid() is not null
    then exists (select from public.clients as c where c.org_id = new.org_id and c.id = new.client_id and c.auth_user_id = auth.uid())
    when auth.role() = 'anon' then true
    when new.status = 'cancelled' then current_setting('coach.cancels_for', true) is distinct from 'staff'
    else new.booking_source = 'client' end;
begin
  if new.start_time <= now() or (tg_op = 'INSERT' and new.status <> 'confirmed') then
    return null;
  end if;
  if tg_op = 'INSERT' or (old.status = 'pending' and new.status = 'confirmed') then
    if new.series_id is not null then
      perform private.queue_booking_messages(new, 'series_booked', 'series_booked-' || new.series_id,
                                             jsonb_build_object('series_id', new.series_id));
    else
      perform private.queue_booking_messages(new, 'booking_confirmation', 'booking_confirmation-' || v_key);
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'booked', 'coach_booked-' || v_key);
    end if;
  elsif new.status = 'cancelled' and old.status in ('pending', 'confirmed') then
    if v_series is not null then
      perform private.queue_booking_messages(new, 'series_ended', 'series_ended-' || v_series || pg_catalog.pg_current_xact_id());
    else
      perform private.queue_booking_messages(new, 'booking_cancelled', 'booking_cancelled-' || v_key);
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'cancelled', 'coach_cancelled-' || v_key);
    end if;
  elsif new.status in ('pending', 'confirmed') and new.start_time <> old.start_time then
    if v_series is not null then
      perform private.queue_booking_messages(new, 'series_moved', 'series_moved-' || v_series || pg_catalog.pg_current_xact_id());
    else
      perform private.queue_booking_messages(new, 'booking_rescheduled', 'booking_rescheduled-' || v_key,
                                             jsonb_build_object('previous_start', old.start_time));
    end if;
    if v_by_client then
      perform private.queue_coach_notice(new, 'moved', 'coach_moved-' || v_key);
    end if;
  end if;
  return null;
end;
$$;
comment on function private.tg_bookings__tell is 'Tells client and coach of a booking that our functions made, moved or cancelled.';
-- Not the existing app's direct writes: it sends its own texts (POST /api/send-sms). Nor the owner's.
create trigger bookings__tell_new after insert on public.bookings
  for each row when (current_user not in ('anon', 'authenticated', 'service_role')
                     and current_setting('role', true) in ('anon', 'authenticated', 'service_role'))
  execute function private.tg_bookings__tell();
create trigger bookings__tell_changed after update of status, start_time on public.bookings
  for each row when (current_user not in ('anon', 'authenticated', 'service_role')
                     and current_setting('role', true) in ('anon', 'authenticated', 'service_role')
                     and (old.status <> new.status or old.start_time <> new.start_time))
  execute function private.tg_bookings__tell();

-- Whoever moves or cancels: what waits for the old time goes. The sweep queues the reminders of the new one.
create function private.tg_bookings__cancel_messages()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.outbox_messages as m
     set status = 'cancelled', updated_at = now(),
         error_code = case when new.status in ('pending', 'confirmed') then 'booking_moved' else 'booking_' || new.status end
   where m.org_id = new.org_id and m.booking_id = new.id and m.status in ('pending', 'queued')
     and m.kind in ('booking_confirmation', 'booking_reminder', 'confirmation_nudge', 'booking_rescheduled', 'booking_follow_up')
     and (m.kind <> 'booking_follow_up' or new.status in ('cancelled', 'no_show'));
  return null;
end;
$$;
comment on function private.tg_bookings__cancel_messages is 'Cancels what waits to be sent about a booking that was moved, cancelled or missed.';
-- Its name runs before bookings__tell, which queues what is true now.
create trigger bookings__cancel_messages after update of status, start_time on public.bookings
  for each row when ((old.start_time <> new.start_time) or (old.status <> new.status and new.status in ('cancelled', 'no_show')))
  execute function private.tg_bookings__cancel_messages();

create function private.tg_bookings__time()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.timed_at := now();
  return new;
end;
$$;
comment on function private.tg_bookings__time is 'Keeps when a booking was last given its start.';
create trigger bookings__time before update of start_time on public.bookings
  for each row when (old.start_time <> new.start_time) execute function private.tg_bookings__time();

create function private.tg_client_purchases__tell_low()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if exists (select from public.sms_settings as s
              where s.org_id = new.org_id and s.enabled and s.low_package_sessions >= greatest(new.sessions_remaining, 1)) then
    perform private.queue_message(new.org_id, 'sms', 'low_package', new.client_id, 'low_package-' || new.id);
  end if;
  return null;
end;
$$;
comment on function private.tg_client_purchases__tell_low is 'Tells the client once that few sessions are left, where the organisation wants it.';
-- The setting allows up to three: packages with more left cost nothing here.
create trigger client_purchases__tell_low after update of sessions_used on public.client_purchases
  for each row when (new.sessions_used > old.sessions_used and new.sessions_remaining <= 3 and new.client_id is not null)
  execute function private.tg_client_purchases__tell_low();

create function private.tg_waitlist_entries__tell()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.queue_message(
            new.org_id, 'sms', 'waitlist_offer', new.client_id, 'waitlist_offer-' || h.id, p_expires_at => h.expires_at,
            p_metadata => jsonb_build_object('hold_id', h.id, 'start_time', h.start_time, 'offer_until', h.expires_at))
    from private.holds as h
   where h.org_id = new.org_id and h.id = new.hold_id;
  return null;
end;
$$;
comment on function private.tg_waitlist_entries__tell is 'Tells a client of the time that is held for them.';
create trigger waitlist_entries__tell after update of status on public.waitlist_entries
  for each row when (new.status = 'offered' and old.status <> 'offered')
  execute function private.tg_waitlist_entries__tell();

-- The order in which a status may follow another; what a provider may have accepted never goes back.
create function private.tg_outbox_messages__forward()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not (case old.status
            when 'pending' then new.status in ('queued', 'sending', 'cancelled', 'expired', 'failed')
            -- On its own way only where the provider tells of an attempt that it had said not to have accepted.
            when 'queued' then new.status in ('sending', 'cancelled', 'expired', 'failed')
                            or old.attempts > 0 and new.status in ('sent', 'delivered', 'undelivered')
            -- Back only where the provider has certainly not accepted it.
            when 'sending' then new.status in ('queued', 'sent', 'delivered', 'undelivered', 'failed', 'unknown')
            when 'unknown' then new.status in ('sent', 'delivered', 'undelivered', 'failed')
            when 'sent' then new.status in ('delivered', 'undelivered', 'failed')
            else false end) then
    perform private.fail(409, 'message_status_invalid', 'A message cannot go back to that status.', 'Make a new message.');
  end if;
  -- What was never sent may be wanted again: a booking that is moved back, a switch that is put back.
  if new.status = 'cancelled' then
    new.idempotency_key := null;
  end if;
  return new;
end;
$$;
comment on function private.tg_outbox_messages__forward is 'Lets a message only move forward: message_status_invalid 409.';
create trigger outbox_messages__forward before update of status on public.outbox_messages
  for each row when (old.status <> new.status) execute function private.tg_outbox_messages__forward();
create trigger outbox_events__append_only before update or delete on public.outbox_events
  for each row execute function private.tg__append_only();
create trigger outbox_events__no_truncate before truncate on public.outbox_events
  for each statement execute function private.tg__append_only();

-- ── 50_messaging/rules/quiet_hours.sql ──

-- Quiet hours, in the organisation's local time: 21 to 8 wraps midnight, 9 to 21 does not, equal means none.
-- A window is told by the clock's hour, so an hour that comes twice is quiet twice, and one that is left out is not missed.

create function private.is_quiet(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns boolean
language sql immutable security invoker set search_path = ''
as $$
  select coalesce(case
    when p_start < p_end then h.hour >= p_start and h.hour < p_end
    when p_start > p_end then h.hour >= p_start or h.hour < p_end end, false)
    from (select extract(hour from p_at at time zone p_timezone)::integer as hour) as h;
$$;
comment on function private.is_quiet is 'True when the local clock stands inside the window.';

-- The end is the first instant at which the clock has left the window: the wall time of the end, or where it comes twice or not at
-- all, whichever instant is the first that is not quiet.
create function private.quiet_until(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select min(x.ends)
    -- An hour that is left out that day is not quiet, or not free, until the day after.
    from generate_series(0, 2) as n (day)
   cross join lateral (select (p_at at time zone p_timezone)::date + n.day + make_time(p_end, 0, 0) as wall) as w
   cross join lateral (values (private.local_to_instant(p_timezone, w.wall)), (private.local_to_instant(p_timezone, w.wall, true))) as x (ends)
   where private.is_quiet(p_timezone, p_start, p_end, p_at)
     and x.ends > p_at and not private.is_quiet(p_timezone, p_start, p_end, x.ends);
$$;
comment on function private.quiet_until is 'When the quiet hours that an instant lies in end; null outside of them.';

create function private.quiet_from(p_timezone text, p_start integer, p_end integer, p_at timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select max(x.starts)
    from generate_series(-2, 0) as n (day)
   cross join lateral (select private.local_to_instant(
     p_timezone, (p_at at time zone p_timezone)::date + n.day + make_time(p_start, 0, 0))) as x (starts)
   where private.is_quiet(p_timezone, p_start, p_end, p_at) and x.starts <= p_at
     and not private.is_quiet(p_timezone, p_start, p_end, x.starts - interval '1 second');
$$;
comment on function private.quiet_from is 'When the quiet hours that an instant lies in began; null outside of them.';

-- Half an hour before they begin, so that it has left by then. That it is queued inside an earlier night's hours does not matter.
create function private.allowed_at(
  p_timezone text, p_start integer, p_end integer, p_wanted_at timestamptz, p_expires_at timestamptz, p_now timestamptz)
returns timestamptz
language sql stable security definer set search_path = ''
as $$
  select case
    when q.until is null then p_wanted_at
    when q.until < p_expires_at then q.until
    when private.quiet_from(p_timezone, p_start, p_end, p_wanted_at) > p_now
    then greatest(p_now, private.quiet_from(p_timezone, p_start, p_end, p_wanted_at) - interval '30 minutes') end
    from (select private.quiet_until(p_timezone, p_start, p_end, p_wanted_at) as until) as q;
$$;
comment on function private.allowed_at is
  'When an SMS that is wanted at an instant may leave: then, at the end of the quiet hours, or before they begin where their end is too late; null when none is left.';

-- ── 50_messaging/rules/record.sql ──

-- What became of it: a worker's result, a provider's callback, a look-up. Each is kept, whatever order they come in, and moves the
-- message forward or not at all.

-- What a provider's word means here; null where it says nothing new.
create function private.status_from_provider(p_status text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case lower(p_status)
           when 'delivered' then 'delivered' when 'read' then 'delivered'
           when 'undelivered' then 'undelivered' when 'failed' then 'failed' when 'canceled' then 'failed'
           when 'queued' then 'sent' when 'accepted' then 'sent' when 'scheduled' then 'sent' when 'sending' then 'sent' when 'sent' then 'sent' end;
$$;
comment on function private.status_from_provider is 'A provider''s status as ours: sent, delivered, undelivered or failed; null for others.';

-- Twilio's codes of what trying again cannot mend: the number opted out, does not exist, cannot take SMS.
create function private.suppression_reason(p_error_code text)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case when p_error_code = '21610' then 'opt_out'
              when p_error_code in ('21211', '21217', '21612', '21614', '30005', '30006') then 'invalid_number'
              -- Not 30007: that was about the words, not the number.
              when p_error_code = '30004' then 'carrier_violation' end;
$$;
comment on function private.suppression_reason is 'Why a number must not be written to after this error; null where it may.';

-- Moves a message as far as its state allows. What had been delivered stays so.
create function private.advance_message(
  p_org_id uuid, p_message_id uuid, p_status text, p_error_code text, p_provider_message_id text, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
  v_reason text := private.suppression_reason(p_error_code);
begin
  select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.id = p_message_id for no key update;
  if not (case v_message.status
            when 'sending' then p_status in ('sent', 'delivered', 'undelivered', 'failed', 'unknown')
            when 'unknown' then p_status in ('sent', 'delivered', 'undelivered', 'failed')
            when 'sent' then p_status in ('delivered', 'undelivered', 'failed')
            -- The provider said that it had not accepted it, and yet it did: it must not go again.
            when 'queued' then v_message.attempts > 0 and p_status in ('sent', 'delivered', 'undelivered', 'failed')
            else false end) then
    -- The id is worth knowing all the same.
    update public.outbox_messages as m
       set provider_message_id = p_provider_message_id
     where m.org_id = p_org_id and m.id = p_message_id and m.provider_message_id is null and p_provider_message_id is not null;
    return false;
  end if;
  update public.outbox_messages as m
     set status = p_status, updated_at = p_now,
         provider = coalesce(m.provider, private.provider_of(m.channel)),
         provider_message_id = coalesce(m.provider_message_id, p_provider_message_id),
         sent_at = case when p_status in ('sent', 'delivered', 'undelivered') then coalesce(m.sent_at, p_now) else m.sent_at end,
         delivered_at = case when p_status = 'delivered' then p_now else m.delivered_at end,
         failed_at = case when p_status in ('failed', 'undelivered') then p_now else m.failed_at end,
         error_code = case when p_status in ('failed', 'undelivered', 'unknown') then p_error_code end,
         next_at = case when p_status = 'unknown' then p_now + interval '1 minute' else m.next_at end
   where m.org_id = p_org_id and m.id = p_message_id
  returning m.* into v_message;
  if p_status in ('sent', 'delivered') then
    perform private.note_sent(v_message, p_now);
  end if;
  if v_reason is not null and v_message.channel = 'sms' and v_message.to_address is not null then
    perform private.suppress(p_org_id, v_message.to_address, v_reason, v_message.client_id);
  end if;
  if p_status in ('failed', 'undelivered') then
    perform private.fall_back(p_org_id, p_message_id, p_now);
  end if;
  return true;
end;
$$;
comment on function private.advance_message is
  'Moves a message forward and does what follows: suppression, fallback, the booking''s marks. False where it was further already.';

-- What the booking shows of it: it was asked to confirm, it was reminded.
create function private.note_sent(p_message public.outbox_messages, p_now timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.bookings as b
     set confirmation_sent_at = case when k.asks_confirmation or (p_message.metadata ->> 'asks_confirmation')::boolean
                                     then coalesce(b.confirmation_sent_at, p_now) else b.confirmation_sent_at end,
         reminder_sent = b.reminder_sent or p_message.kind = 'booking_reminder',
         feedback_sent = b.feedback_sent or p_message.kind = 'booking_follow_up'
    from private.message_kinds as k
   where k.kind = p_message.kind and b.org_id = p_message.org_id and b.id = p_message.booking_id
     and p_message.channel = 'sms'
     and ((coalesce(k.asks_confirmation or (p_message.metadata ->> 'asks_confirmation')::boolean, false) and b.confirmation_sent_at is null)
          or (p_message.kind = 'booking_reminder' and b.reminder_sent is not true)
          or (p_message.kind = 'booking_follow_up' and b.feedback_sent is not true));
$$;
comment on function private.note_sent is 'Marks a booking as asked, reminded or followed up when the SMS has left.';

-- As whoever moves a booking does: the bookings before the messages, each in the order of ids.
create function private.lock_messages(p_org_ids uuid[], p_ids uuid[])
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform from public.bookings as b
    where (b.org_id, b.id) in (
      select m.org_id, m.booking_id
        from unnest(p_org_ids, p_ids) as g (org_id, id)
        join public.outbox_messages as m on m.org_id = g.org_id and m.id = g.id
       where m.channel = 'sms' and m.booking_id is not null)
    order by b.org_id, b.id for no key update;
  perform from public.outbox_messages as m
    where (m.org_id, m.id) in (select g.org_id, g.id from unnest(p_org_ids, p_ids) as g (org_id, id))
    order by m.org_id, m.id for no key update;
end;
$$;
comment on function private.lock_messages is 'Locks messages whose fate is told, and the bookings that will show it.';

-- An array of {org_id, id, claim, outcome, provider_message_id, provider_status, http_status, error_code, retry_after_secs, gone_tokens}.
-- provider none: given back without a try.
-- Each is judged under the message's lock: two workers that report at once wait for each other, never both ways.
create function private.record_messages(p_results jsonb, p_now timestamptz)
returns table (recorded integer, stale integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_result record;
  v_message public.outbox_messages;
  v_done uuid[];
begin
  perform private.lock_messages(r.org_ids, r.ids)
     from (select array_agg(g.org_id) as org_ids, array_agg(g.id) as ids
             from jsonb_to_recordset(p_results) as g (org_id uuid, id uuid)) as r;
  -- Most of a batch is accepted and nothing more: these in one statement, the others one by one below.
  with given as materialized (
    select r.*
      from jsonb_to_recordset(p_results) as r (
        org_id uuid, id uuid, claim uuid, outcome text, provider text, provider_message_id text, provider_status text, http_status integer,
        gone_tokens text[])
     where r.outcome = 'sent' and r.gone_tokens is null and coalesce(private.status_from_provider(r.provider_status), 'sent') = 'sent'),
  locked as materialized (
    select g.*, m as message
      from given as g
      join public.outbox_messages as m on m.org_id = g.org_id and m.id = g.id
     order by g.org_id, g.id for no key update of m),
  mine as materialized (
    select l.* from locked as l
     where (l.message).status = 'sending' and (l.message).claim = l.claim
       and not exists (select from private.unmatched_sms_events as e where e.provider_message_id = l.provider_message_id)),
  moved as (
    update public.outbox_messages as m
       set status = 'sent', sent_at = p_now, updated_at = p_now, provider = coalesce(g.provider, private.provider_of(m.channel)),
           provider_message_id = g.provider_message_id
      from mine as g where m.org_id = g.org_id and m.id = g.id
    returning m.id, m.attempts, m.provider, g.claim, g.org_id, g.provider_message_id, g.http_status),
  tried as (
    insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, provider_message_id, status, http_status)
    select d.org_id, d.id, d.attempts, d.claim, d.provider, d.provider_message_id, 'sent', d.http_status from moved as d
    on conflict (org_id, message_id, claim) do nothing),
  noted as (
    select private.note_sent(g.message, p_now) from mine as g
     where (g.message).booking_id is not null and (g.message).channel = 'sms')
  select array_agg(d.id), count(*)::integer + 0 * (select count(*)::integer from noted) into v_done, recorded from moved as d;
  stale := 0;
  for v_result in
    select r.*
      from jsonb_to_recordset(p_results) as r (
        org_id uuid, id uuid, claim uuid, outcome text, provider text, provider_message_id text, provider_status text, http_status integer, error_code text,
        retry_after_secs integer, gone_tokens text[])
     where r.id <> all (coalesce(v_done, '{}'))
     order by r.org_id, r.id
  loop
    perform private.require_value(v_result.outcome in ('sent', 'deferred', 'failed', 'unknown'), 'outcome');
    select m.* into v_message
      from public.outbox_messages as m where m.org_id = v_result.org_id and m.id = v_result.id for no key update;
    -- A late result of its own claim is welcome, also when the lease had run out; another claim's is not.
    if not found or v_message.claim is distinct from v_result.claim
       or (v_message.status not in ('sending', 'unknown', 'sent', 'delivered', 'undelivered', 'failed')) then
      stale := stale + 1;
      continue;
    end if;
    -- No provider: it was given back without a try, which counts for none.
    if v_result.outcome = 'deferred' and v_result.provider = 'none' and v_message.status = 'sending' then
      update public.outbox_messages as m
         set status = 'queued', claim = null, claimed_at = null, attempts = m.attempts - 1, composed_at = null,
             subject = case when m.composed_at is null then m.subject end, body = case when m.composed_at is null then m.body end,
             error_code = v_result.error_code, updated_at = p_now,
             next_at = p_now + make_interval(secs => coalesce(v_result.retry_after_secs, 0))
       where m.org_id = v_message.org_id and m.id = v_message.id;
      recorded := recorded + 1;
      continue;
    end if;
    insert into public.outbox_attempts as a (
      org_id, message_id, attempt_number, claim, provider, provider_message_id, status, http_status, error_code)
    values (v_message.org_id, v_message.id, v_message.attempts, v_result.claim, coalesce(v_result.provider, private.provider_of(v_message.channel)),
            v_result.provider_message_id, v_result.outcome, v_result.http_status, v_result.error_code)
    on conflict (org_id, message_id, claim) do update
      set status = excluded.status, provider_message_id = excluded.provider_message_id, http_status = excluded.http_status, error_code = excluded.error_code
      where a.status = 'unknown';
    if v_result.provider is not null then
      update public.outbox_messages as m set provider = v_result.provider where m.org_id = v_message.org_id and m.id = v_message.id and m.provider is null;
    end if;
    if v_result.outcome = 'deferred' then
      -- Certainly not accepted; ten tries, the pauses doubling from half a minute to an hour.
      if v_message.status = 'sending' and v_message.attempts < 10 then
        update public.outbox_messages as m
           set status = 'queued', claim = null, claimed_at = null, composed_at = null,
               subject = case when m.composed_at is null then m.subject end, body = case when m.composed_at is null then m.body end,
               error_code = v_result.error_code, updated_at = p_now,
               next_at = p_now + greatest(make_interval(secs => coalesce(v_result.retry_after_secs, 0)),
                                          least(interval '30 seconds' * power(2, v_message.attempts - 1), interval '1 hour'))
         where m.org_id = v_message.org_id and m.id = v_message.id;
      elsif v_message.status in ('sending', 'unknown') then
        perform private.advance_message(v_message.org_id, v_message.id, 'failed', coalesce(v_result.error_code, 'provider_unavailable'), null, p_now);
      end if;
    else
      perform private.advance_message(
        v_message.org_id, v_message.id,
        case v_result.outcome when 'sent' then coalesce(private.status_from_provider(v_result.provider_status), 'sent') else v_result.outcome end,
        v_result.error_code, v_result.provider_message_id, p_now);
      if v_result.provider_message_id is not null then
        perform private.match_events(v_message.org_id, v_message.id, v_result.provider_message_id, p_now);
      end if;
    end if;
    delete from public.push_tokens as t
     where t.org_id = v_message.org_id and t.client_id = v_message.client_id and t.expo_token = any (v_result.gone_tokens);
    recorded := recorded + 1;
  end loop;
  return next;
end;
$$;
comment on function private.record_messages is 'Records what workers'' attempts came to: {recorded, stale}.';

-- Callbacks that came before anybody here knew the provider's id.
create function private.match_events(p_org_id uuid, p_message_id uuid, p_provider_message_id text, p_now timestamptz)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_event private.unmatched_sms_events;
begin
  perform private.lock_messages(array[p_org_id], array[p_message_id]);
  for v_event in
    delete from private.unmatched_sms_events as e where e.provider_message_id = p_provider_message_id returning e.*
  loop
    perform private.note_event(p_org_id, p_message_id, p_provider_message_id, v_event.event_status, v_event.error_code, v_event.event_payload, p_now);
  end loop;
end;
$$;
comment on function private.match_events is 'Gives a message the callbacks that were kept for its provider''s id.';

create function private.note_event(
  p_org_id uuid, p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text, p_payload jsonb, p_now timestamptz)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into public.outbox_events (
    org_id, message_id, provider, provider_message_id, event_type, event_status, error_code, event_payload, dedupe_key)
  values (p_org_id, p_message_id, 'twilio', p_provider_message_id, 'status', lower(p_status), p_error_code, p_payload,
          p_provider_message_id || '-' || lower(p_status))
  on conflict (org_id, dedupe_key) do nothing;
  if not found then
    return false;
  end if;
  perform private.advance_message(
            p_org_id, p_message_id, private.status_from_provider(p_status), p_error_code, p_provider_message_id, p_now)
    where private.status_from_provider(p_status) is not null;
  return true;
end;
$$;
comment on function private.note_event is 'Keeps one callback and lets it move its message; false where it was kept already.';

create function private.record_sms_status(
  p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text, p_payload jsonb, p_now timestamptz)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
begin
  -- Our own id in the callback's address; else the provider's, which we know once the attempt is recorded.
  select m.* into v_message
    from public.outbox_messages as m
   where m.id = p_message_id and m.channel = 'sms' and coalesce(m.provider_message_id, p_provider_message_id) = p_provider_message_id
     and m.attempts > 0;
  if not found then
    select m.* into v_message from public.outbox_messages as m where m.provider_message_id = p_provider_message_id;
  end if;
  if found then
    perform private.lock_messages(array[v_message.org_id], array[v_message.id]);
  else
    insert into private.unmatched_sms_events (provider_message_id, event_status, error_code, event_payload, received_at)
    values (p_provider_message_id, lower(p_status), p_error_code, p_payload, p_now)
    on conflict (provider_message_id, event_status) do nothing;
    return 'kept';
  end if;
  return case when private.note_event(v_message.org_id, v_message.id, p_provider_message_id, p_status, p_error_code, p_payload, p_now)
              then 'recorded' else 'repeated' end;
end;
$$;
comment on function private.record_sms_status is 'Takes in a status callback: recorded, repeated, or kept until its message is known.';

create function private.claim_unknown_messages(p_limit integer, p_now timestamptz)
returns table (org_id uuid, id uuid, channel text, to_phone text, body text, claimed_at timestamptz, account jsonb)
language sql volatile security definer set search_path = ''
as $$
  with due as (
    select m.org_id, m.id from public.outbox_messages as m
     where m.status = 'unknown' and m.channel = 'sms' and m.next_at <= p_now
     order by m.next_at limit p_limit for update skip locked),
  looked as (
    update public.outbox_messages as m
       set next_at = p_now + least(greatest(p_now - m.claimed_at, interval '1 minute'), interval '12 hours')
      from due as d where m.org_id = d.org_id and m.id = d.id
    returning m.*)
  select l.org_id, l.id, l.channel, l.to_address, l.body, l.claimed_at,
         case when s.twilio_account_sid is not null then jsonb_build_object(
           'account_sid', s.twilio_account_sid, 'auth_token_encrypted', s.twilio_auth_token_encrypted) end
    from looked as l left join public.sms_settings as s on s.org_id = l.org_id
   -- After three days nothing new is learnt; it stays unknown and is counted.
   where l.claimed_at > p_now - interval '3 days';
$$;
comment on function private.claim_unknown_messages is
  'Messages that may have been sent, to be looked up at the provider; each again after as long as it has been unknown.';

create function private.record_lookups(p_results jsonb, p_now timestamptz)
returns table (settled integer, unsettled integer)
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_result record;
begin
  settled := 0;
  unsettled := 0;
  perform private.lock_messages(r.org_ids, r.ids)
     from (select array_agg(g.org_id) as org_ids, array_agg(g.id) as ids
             from jsonb_to_recordset(p_results) as g (org_id uuid, id uuid)) as r;
  for v_result in
    select r.* from jsonb_to_recordset(p_results) as r (
      org_id uuid, id uuid, provider_message_id text, provider_status text, error_code text)
     order by r.org_id, r.id
  loop
    -- One message of the provider's answers one of ours.
    if v_result.provider_message_id is not null
       and not exists (select from public.outbox_messages as m
                        where m.provider_message_id = v_result.provider_message_id and m.id <> v_result.id)
       and private.advance_message(v_result.org_id, v_result.id, coalesce(private.status_from_provider(v_result.provider_status), 'sent'),
                                   v_result.error_code, v_result.provider_message_id, p_now) then
      perform private.match_events(v_result.org_id, v_result.id, v_result.provider_message_id, p_now);
      settled := settled + 1;
    else
      unsettled := unsettled + 1;
    end if;
  end loop;
  return next;
end;
$$;
comment on function private.record_lookups is 'Settles unknown messages that the provider knows; what it does not know stays unknown.';

create function private.defer_account(p_channel text, p_account text, p_until_at timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into private.provider_limits as l (channel, account, until_at) values (p_channel, coalesce(p_account, ''), p_until_at)
  on conflict (channel, account) do update set until_at = greatest(l.until_at, excluded.until_at);
$$;
comment on function private.defer_account is 'Sends nothing through a provider''s account until an instant.';

-- An operator's word: the same message again, as a new one that names the first.
create function private.retry_message(p_message_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_message public.outbox_messages;
  v_id uuid;
begin
  select m.* into v_message from public.outbox_messages as m where m.id = p_message_id for no key update;
  if not found then
    perform private.refuse_message();
  elsif v_message.status not in ('unknown', 'failed', 'undelivered', 'expired', 'cancelled') then
    perform private.fail(409, 'message_not_retryable', 'This message is on its way or has arrived.', 'See its history.');
  elsif exists (select from public.outbox_messages as m where m.org_id = v_message.org_id and m.cause_id = v_message.id and m.cause = 'retry'
                 and m.status in ('pending', 'queued', 'sending', 'sent', 'delivered')) then
    perform private.fail(409, 'message_retried', 'This message has been sent again already.', 'See the later one.');
  end if;
  insert into public.outbox_messages (
    org_id, channel, kind, client_id, booking_id, schedule_id, template_id, template_key, to_address, subject, body, variables, metadata,
    related_entity_type, related_entity_id, status, priority, scheduled_for, next_at, expires_at, cause_id, cause, created_by, created_at)
  values (
    v_message.org_id, v_message.channel, v_message.kind, v_message.client_id, v_message.booking_id, v_message.schedule_id, v_message.template_id,
    v_message.template_key, v_message.to_address, case when v_message.composed_at is null then v_message.subject end,
    case when v_message.composed_at is null then v_message.body end, v_message.variables, v_message.metadata,
    v_message.related_entity_type, v_message.related_entity_id, 'queued', v_message.priority, p_now, p_now,
    greatest(v_message.expires_at, p_now + interval '1 hour'), v_message.id, 'retry', auth.uid(), p_now)
  returning id into v_id;
  return v_id;
end;
$$;
comment on function private.retry_message is
  'Sends a message again that did not arrive or may not have; returns the new one. Fails: message_not_found 404, message_not_retryable 409, message_retried 409.';

create function private.refuse_message()
returns void
language sql volatile security invoker set search_path = ''
as $$
  select private.fail(404, 'message_not_found', 'There is no such message.', 'List the messages.');
$$;
comment on function private.refuse_message is 'Refuses an unknown message, or another tenant''s: message_not_found 404.';

-- ── 50_messaging/rules/reminders.sql ──

-- Reminders: what an organisation's schedules ask for, queued a day ahead so that one that falls into quiet hours can leave before
-- them. One message for each schedule, booking and start: moving a booking makes it another intent.

-- Of no use in the last minutes: half the offset, at most half an hour, before the start.
create function private.sweep_reminders(p_limit integer, p_now timestamptz, p_dry_run boolean)
returns table (queued integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  with wanted as materialized (
    select b.org_id, b.id as booking_id, b.client_id, b.start_time, x.id as schedule_id, 'booking_reminder' as kind,
           'sched-' || x.id || '-' || b.id || '-' || extract(epoch from b.start_time)::bigint as key,
           b.start_time - make_interval(mins => x.mins_offset) as wanted_at,
           b.start_time - least(make_interval(mins => x.mins_offset) / 2, interval '30 minutes') as expires_at, b.timed_at
      from public.sms_schedules as x
      join public.bookings as b
        on b.org_id = x.org_id and b.start_time > p_now
       and b.start_time <= p_now + make_interval(mins => x.mins_offset) + interval '1 day'
     where x.enabled and x.type = 'pre_session' and b.status = 'confirmed'
    union all
    select b.org_id, b.id, b.client_id, b.start_time, x.id, 'booking_follow_up',
           'sched-' || x.id || '-' || b.id || '-' || extract(epoch from b.start_time)::bigint,
           b.end_time + make_interval(mins => x.mins_offset), b.end_time + make_interval(mins => x.mins_offset) + interval '1 day', b.timed_at
      from public.sms_schedules as x
      join public.bookings as b
        on b.org_id = x.org_id and b.end_time <= p_now and b.start_time <= p_now
       and b.start_time > p_now - make_interval(mins => x.mins_offset) - interval '2 days'
     where x.enabled and x.type = 'post_session' and b.status in ('confirmed', 'completed')
       and b.end_time + make_interval(mins => x.mins_offset) between p_now - interval '12 hours' and p_now + interval '1 day'
    union all
    select b.org_id, b.id, b.client_id, b.start_time, null, 'confirmation_nudge', 'unconfirmed-24h-' || b.id || '-' || extract(epoch from b.start_time)::bigint,
           greatest(b.confirmation_sent_at, b.timed_at) + interval '24 hours', b.start_time - interval '2 hours', b.timed_at
      from public.bookings as b
     where b.status = 'confirmed' and b.confirmation_sent_at is not null and b.client_confirmed is not true
       and b.start_time > p_now + interval '2 hours' and b.confirmation_sent_at <= p_now - interval '24 hours'
       and b.timed_at <= p_now - interval '24 hours'),
  due as materialized (
    select w.*, private.message_allowed_at(w.org_id, 'sms', w.wanted_at, w.expires_at, p_now) as allowed_at
      from wanted as w
      join public.clients as c on c.org_id = w.org_id and c.id = w.client_id
     cross join lateral private.sms_settings_of(w.org_id) as s
     where s.enabled and w.expires_at > p_now
       -- A booking made or moved inside the window gets no stale reminder.
       and (w.kind = 'confirmation_nudge' or w.wanted_at >= w.timed_at)
       and (case w.kind when 'booking_reminder' then coalesce(s.send_session_reminders, true) and c.sms_reminder_enabled
                        when 'booking_follow_up' then coalesce(s.send_feedback_requests, true) and c.sms_followup_enabled
                        else s.send_unconfirmed_nudges and c.sms_reminder_enabled end)
       and not exists (select from public.outbox_messages as m where m.org_id = w.org_id and m.idempotency_key = w.key)
     order by w.wanted_at limit p_limit),
  made as (
    insert into public.outbox_messages (
      org_id, channel, kind, client_id, booking_id, schedule_id, status, scheduled_for, next_at, expires_at, idempotency_key, metadata, created_at)
    select d.org_id, 'sms', d.kind, d.client_id, d.booking_id, d.schedule_id,
           case when coalesce(d.allowed_at, d.wanted_at) <= p_now then 'queued' else 'pending' end,
           d.wanted_at, coalesce(d.allowed_at, d.wanted_at), d.expires_at, d.key, jsonb_build_object('start_time', d.start_time), p_now
      from due as d where not p_dry_run
    on conflict (org_id, idempotency_key) do nothing
    returning 1)
  select case when p_dry_run then (select count(*) from due) else (select count(*) from made) end::integer,
         case when p_dry_run then 0 else (select count(*) from due) - (select count(*) from made) end::integer
    into queued, skipped;
  return next;
end;
$$;
comment on function private.sweep_reminders is
  'Queues reminders, follow-ups and nudges that are wanted within a day; skipped were queued by another sweep meanwhile.';

-- ── 50_messaging/rules/send.sql ──

-- Sending by people: a coach's own words, a template, a link, a text to many; and the history of what was sent.

create function private.require_client(p_client_id uuid, p_permission text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id
    from public.clients as c where c.id = p_client_id and c.org_id = any (private.orgs_with('clients.read'));
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  perform private.require_org(v_org_id, p_permission);
  return v_org_id;
end;
$$;
comment on function private.require_client is 'The organisation of a client whom the person may see and use so. Fails: client_not_found 404, permission_missing 403.';

-- Says at once what the outbox would find later: an answer a coach can act on.
create function private.send_to_client(
  p_org_id uuid, p_client_id uuid, p_kind text, p_body text, p_booking_id uuid, p_metadata jsonb, p_template_key text, p_variables jsonb,
  p_scheduled_for timestamptz, p_idempotency_key text, p_actor_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_client public.clients;
  v_id uuid;
  v_message public.outbox_messages;
  v_text text;
begin
  select c.* into v_client from public.clients as c where c.org_id = p_org_id and c.id = p_client_id;
  if not (private.sms_settings_of(p_org_id)).enabled then
    return private.outcome('off');
  elsif v_client.phone_e164 is null then
    return private.outcome('no_phone');
  elsif v_client.sms_opt_in is false or private.is_suppressed(p_org_id, v_client.phone_e164) then
    return private.outcome('suppressed');
  end if;
  v_id := private.queue_message(
    p_org_id, 'sms', p_kind, p_client_id, p_idempotency_key, p_booking_id, p_scheduled_for => coalesce(p_scheduled_for, p_now),
    p_metadata => p_metadata, p_body => p_body, p_template_key => p_template_key, p_variables => coalesce(p_variables, '{}'),
    p_created_by => p_actor_id, p_now => p_now);
  if v_id is null then
    select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.idempotency_key = p_idempotency_key;
    if v_message.client_id is distinct from p_client_id then
      perform private.refuse_request();
    end if;
  else
    select m.* into v_message from public.outbox_messages as m where m.org_id = p_org_id and m.id = v_id;
    v_text := (private.compose(v_message)).body;
    perform private.require_value(btrim(v_text) <> '', 'variables');
    perform private.log_communication(p_org_id, p_client_id, 'sms', 'outbound', v_text, p_actor_id);
  end if;
  return private.outcome('queued', jsonb_build_object('message_id', v_message.id, 'status', v_message.status, 'next_at', v_message.next_at));
end;
$$;
comment on function private.send_to_client is
  'Queues an SMS to a client: {outcome: queued, message_id, status, next_at}, or {outcome: off | no_phone | suppressed}.';

create function private.member_send_message(
  p_client_id uuid, p_body text, p_booking_id uuid, p_asks_confirmation boolean, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
begin
  perform private.require_value(char_length(btrim(p_body)) between 1 and 1600, 'body');
  if p_booking_id is not null
     and not exists (select from public.bookings as b where b.org_id = v_org_id and b.id = p_booking_id and b.client_id = p_client_id) then
    perform private.refuse_booking();
  end if;
  perform private.require_value(not coalesce(p_asks_confirmation, false) or p_booking_id is not null, 'booking_id');
  return private.send_to_client(
    v_org_id, p_client_id, 'direct', btrim(p_body), p_booking_id, jsonb_build_object('asks_confirmation', coalesce(p_asks_confirmation, false)),
    null, null, null, coalesce('request-' || p_request_id, 'direct-' || gen_random_uuid()), auth.uid());
end;
$$;
comment on function private.member_send_message is 'send_to_client of a coach''s own words.';

create function private.member_send_template(
  p_client_id uuid, p_template_key text, p_variables jsonb, p_scheduled_for timestamptz, p_related_entity_type text,
  p_related_entity_id uuid, p_idempotency_key text)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
  v_booking_id uuid := case when p_related_entity_type = 'booking' then p_related_entity_id end;
  v_answer jsonb;
begin
  -- What is only a frame for somebody's words is no template.
  if not exists (select from public.sms_templates as t where t.org_id = v_org_id and t.template_key = p_template_key and t.is_active)
     and not exists (select from private.message_kinds as k
                      where k.kind = p_template_key and k.kind not in ('direct', 'thread_message', 'marketing', 'coach_notice')) then
    perform private.fail(404, 'template_not_found', 'There is no such template.', 'Choose one of the templates.');
  end if;
  perform private.require_value(jsonb_typeof(coalesce(p_variables, '{}')) = 'object', 'variables');
  -- What is counted towards a client's day was made within thirty (take_messages).
  perform private.require_value(coalesce(p_scheduled_for between now() - interval '1 day' and now() + interval '29 days', true), 'scheduled_for');
  perform private.require_value(coalesce(char_length(p_idempotency_key) between 1 and 200, true), 'idempotency_key');
  perform private.require_value(coalesce(char_length(p_related_entity_type) between 1 and 60, true), 'related_entity_type');
  if v_booking_id is not null
     and not exists (select from public.bookings as b where b.org_id = v_org_id and b.id = v_booking_id and b.client_id = p_client_id) then
    perform private.refuse_booking();
  end if;
  v_answer := private.send_to_client(
    v_org_id, p_client_id, coalesce((select k.kind from private.message_kinds as k where k.kind = p_template_key), 'direct'), null, v_booking_id, '{}',
    p_template_key, p_variables, p_scheduled_for, coalesce('app-' || p_idempotency_key, 'template-' || gen_random_uuid()), auth.uid());
  update public.outbox_messages as m
     set related_entity_type = p_related_entity_type, related_entity_id = p_related_entity_id
   where m.org_id = v_org_id and m.id = (v_answer ->> 'message_id')::uuid and m.related_entity_type is null and p_related_entity_type is not null;
  return v_answer;
end;
$$;
comment on function private.member_send_template is 'send_to_client of a template. Fails: template_not_found 404.';

-- The link that is open stays open: a client who has it keeps it.
create function private.member_send_portal_link(p_client_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'clients.write');
  v_token uuid;
  v_url text;
  v_answer jsonb;
begin
  update public.clients as c set portal_token = coalesce(c.portal_token, gen_random_uuid())
   where c.org_id = v_org_id and c.id = p_client_id
  returning c.portal_token into v_token;
  v_url := private.app_link('/portal/' || v_token);
  v_answer := case when v_url is null then private.outcome('off') else private.send_to_client(
    v_org_id, p_client_id, 'portal_link', null, null, jsonb_build_object('link', v_url), null, null, null,
    'portal_link-' || v_token || '-' || floor(extract(epoch from now()) / 60), auth.uid()) end;
  return jsonb_build_object('portal_token', v_token, 'portal_url', coalesce(v_url, '/portal/' || v_token),
                            'sms_sent', v_answer ->> 'outcome' = 'queued', 'outcome', v_answer ->> 'outcome');
end;
$$;
comment on function private.member_send_portal_link is
  'Texts a client the link of their portal: {portal_url, portal_token, sms_sent, outcome}; twice within a minute is once.';

-- One statement: the audience, who of it is left out and why, and the messages.
create function private.send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text, p_client_ids uuid[], p_request_id uuid, p_actor_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_send public.marketing_sends;
begin
  perform private.require_value(char_length(btrim(p_message)) between 1 and 1600, 'message');
  perform private.require_value(p_recipient_filter in ('all', 'active', 'manual'), 'recipient_filter');
  perform private.check_template(p_message, private.template_variables('marketing'));
  insert into public.marketing_sends (org_id, body, recipient_filter, request_id, created_by)
  values (p_org_id, btrim(p_message), p_recipient_filter, p_request_id, p_actor_id)
  on conflict (org_id, request_id) where request_id is not null do nothing
  returning * into v_send;
  if not found then
    select s.* into v_send from public.marketing_sends as s where s.org_id = p_org_id and s.request_id = p_request_id;
    if (v_send.body, v_send.recipient_filter) <> (btrim(p_message), p_recipient_filter) then
      perform private.refuse_request();
    end if;
    return private.marketing_answer(v_send);
  end if;
  perform private.require_feature(p_org_id, 'marketing');

  with audience as materialized (
    select c.id, c.phone_e164,
           case when not (private.sms_settings_of(p_org_id)).enabled then 'off'
                when c.phone_e164 is null then 'no_phone'
                when c.sms_opt_in is false then 'opted_out'
                when exists (select from public.sms_suppression as s where s.org_id = p_org_id and s.phone = c.phone_e164) then 'suppressed'
                -- A family's one phone gets it once, by whoever of them takes it.
                when row_number() over (partition by c.phone_e164, c.sms_opt_in is false order by c.created_at, c.id) > 1 then 'same_phone' end as reason
      from public.clients as c
     where c.org_id = p_org_id
       and case p_recipient_filter when 'all' then true when 'active' then c.status = 'active' else c.id = any (p_client_ids) end),
  made as (
    insert into public.outbox_messages (
      org_id, channel, kind, client_id, marketing_send_id, body, metadata, status, priority, scheduled_for, next_at, expires_at, idempotency_key,
      created_by, created_at)
    select p_org_id, 'sms', 'marketing', a.id, v_send.id,
           case when private.placeholders(v_send.body) = '{}' then v_send.body end, jsonb_build_object('message', v_send.body),
           case when x.allowed_at <= p_now then 'queued' else 'pending' end, 1, p_now, x.allowed_at, p_now + interval '2 days', 'marketing-' || v_send.id || '-' || a.id, p_actor_id, p_now
      from audience as a
     cross join (select coalesce(private.message_allowed_at(p_org_id, 'sms', p_now, p_now + interval '2 days', p_now), p_now) as allowed_at) as x
     where a.reason is null
    returning 1)
  update public.marketing_sends as s
     set total = (select count(*) from audience), queued = (select count(*) from made),
         skipped = coalesce((select jsonb_object_agg(r.reason, r.n)
                               from (select a.reason, count(*) as n from audience as a where a.reason is not null group by 1) as r), '{}')
   where s.org_id = p_org_id and s.id = v_send.id
  returning s.* into v_send;
  return private.marketing_answer(v_send);
end;
$$;
comment on function private.send_marketing is
  'Queues a text to many clients: {send_id, total, queued, skipped: {reason: n}}; the same request id sends once. Fails: value_not_allowed 422, placeholder_unknown 422, request_reused 409.';

create function private.marketing_answer(p_send public.marketing_sends)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('send_id', p_send.id, 'total', p_send.total, 'queued', p_send.queued, 'skipped', p_send.skipped, 'created_at', p_send.created_at);
$$;
comment on function private.marketing_answer is 'What a text to many came to when it was queued.';

create function private.member_send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text, p_client_ids uuid[], p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'marketing.send');
  return private.send_marketing(p_org_id, p_message, p_recipient_filter, p_client_ids, p_request_id, auth.uid());
end;
$$;
comment on function private.member_send_marketing is 'send_marketing for a member with marketing.send.';

create function private.member_marketing_progress(p_send_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_send public.marketing_sends;
begin
  select s.* into v_send from public.marketing_sends as s where s.id = p_send_id and s.org_id = any (private.orgs_with('messages.read'));
  if not found then
    perform private.fail(404, 'marketing_send_not_found', 'There is no such text to many.', 'Reload the page.');
  end if;
  return private.marketing_answer(v_send) || jsonb_build_object('messages', (
    select coalesce(jsonb_object_agg(x.status, x.n), '{}')
      from (select m.status, count(*) as n from public.outbox_messages as m
             where m.org_id = v_send.org_id and m.marketing_send_id = v_send.id group by 1) as x));
end;
$$;
comment on function private.member_marketing_progress is 'How far a text to many has come: marketing_answer with messages by status. Fails: marketing_send_not_found 404.';

-- Newest first; the cursor is the last row's created_at and id.
create function private.message_history(
  p_org_id uuid, p_client_id uuid, p_channel text, p_status text, p_kind text, p_before timestamptz, p_before_id uuid, p_limit integer)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language sql stable security definer set search_path = ''
as $$
  select m.id, m.created_at, m.scheduled_for, m.next_at, m.channel, m.kind, m.status, m.client_id, c.full_name, m.booking_id, m.to_address, m.subject, m.body,
         m.error_code, m.attempts, m.sent_at, m.delivered_at, m.cause, m.cause_id
    from public.outbox_messages as m
    left join public.clients as c on c.org_id = m.org_id and c.id = m.client_id
   where m.org_id = p_org_id and (p_client_id is null or m.client_id = p_client_id) and (p_channel is null or m.channel = p_channel)
     and (p_status is null or m.status = p_status) and (p_kind is null or m.kind = p_kind)
     and (p_before is null or (m.created_at, m.id) < (p_before, coalesce(p_before_id, '00000000-0000-0000-0000-000000000000'::uuid)))
   order by m.created_at desc, m.id desc
   limit least(greatest(coalesce(p_limit, 50), 1), 500);
$$;
comment on function private.message_history is 'An organisation''s messages, newest first, by client, channel, status and kind.';

create function private.member_message_history(
  p_org_id uuid, p_client_id uuid, p_channel text, p_status text, p_kind text, p_before timestamptz, p_before_id uuid, p_limit integer)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'messages.read');
  return query select h.* from private.message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
$$;
comment on function private.member_message_history is 'message_history for a member with messages.read.';

create function private.message_document(p_org_id uuid, p_message_id uuid)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select to_jsonb(m) - '{claim,worker,created_by,provider_account}'::text[] || jsonb_build_object(
           'preview', (private.compose(m)).body,
           'attempts_made', (select coalesce(jsonb_agg(jsonb_build_object(
                               'attempt_number', a.attempt_number, 'provider', a.provider, 'provider_message_id', a.provider_message_id, 'status', a.status,
                               'http_status', a.http_status, 'error_code', a.error_code, 'at', a.created_at) order by a.created_at), '[]')
                               from public.outbox_attempts as a where a.org_id = m.org_id and a.message_id = m.id),
           'events', (select coalesce(jsonb_agg(jsonb_build_object('status', e.event_status, 'error_code', e.error_code, 'at', e.received_at)
                               order by e.received_at), '[]')
                        from public.outbox_events as e where e.org_id = m.org_id and e.message_id = m.id),
           'followed_by', (select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'channel', f.channel, 'status', f.status, 'cause', f.cause)
                               order by f.created_at), '[]')
                             from public.outbox_messages as f where f.org_id = m.org_id and f.cause_id = m.id))
    from public.outbox_messages as m where m.org_id = p_org_id and m.id = p_message_id;
$$;
comment on function private.message_document is 'A message with its attempts, what the provider told, and what stood in for it.';

create function private.member_show_message(p_message_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select m.org_id into v_org_id from public.outbox_messages as m where m.id = p_message_id and m.org_id = any (private.orgs_with('messages.read'));
  if not found then
    perform private.refuse_message();
  end if;
  return private.message_document(v_org_id, p_message_id);
end;
$$;
comment on function private.member_show_message is 'message_document for a member with messages.read.';

create function private.member_preview_template(p_org_id uuid, p_body text, p_template_key text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_text text;
begin
  perform private.require_org(p_org_id, 'messages.read');
  perform private.require_value(char_length(btrim(p_body)) between 1 and 1600, 'body');
  perform private.check_template(p_body, private.template_variables(p_template_key));
  v_text := private.render(p_body, jsonb_build_object(
    'client_name', 'Alex Sample', 'first_name', 'Alex', 'business_name', (select o.name from public.orgs as o where o.id = p_org_id),
    'coach_name', 'Sam Coach', 'session_datetime', private.org_datetime_text(p_org_id, date_trunc('hour', now()) + interval '1 day'),
    'previous_datetime', private.org_datetime_text(p_org_id, date_trunc('hour', now())),
    'offer_until', private.org_datetime_text(p_org_id, date_trunc('hour', now()) + interval '1 hour'),
    'session_type', 'Personal training', 'location', ' at the studio', 'sessions_remaining', 3, 'sessions_booked', 1,
    'session_summary', '3 sessions left, 1 booked', 'session_count', 10, 'answer_hint', 'Reply Y to confirm or R to reschedule.', 'message', 'Your words', 'notice', 'booked',
    'link', 'https://example.com/l', 'portal_link', 'https://example.com/portal', 'feedback_link', 'https://example.com/feedback'));
  return jsonb_build_object('body', v_text, 'placeholders', private.placeholders(p_body), 'characters', char_length(v_text), 'segments', private.sms_segments(v_text));
end;
$$;
comment on function private.member_preview_template is 'A template with sample values, for a member with messages.read.';

-- GSM 03.38: 160 characters, 153 each when joined; anything outside of it makes the whole text UCS-2, 70 and 67.
create function private.sms_segments(p_text text)
returns integer
language sql immutable security invoker set search_path = ''
as $$
  select case when p_text ~ '^[A-Za-z0-9 \r\n@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!"#¤%&''()*+,./:;<=>?¡ÄÖÑÜ§¿äöñüà^{}\\[~\]|€-]*$'
              then case when x.septets <= 160 then 1 else ceil(x.septets / 153.0)::integer end
              when x.units <= 70 then 1 else ceil(x.units / 67.0)::integer end
    from (select char_length(p_text) + char_length(regexp_replace(p_text, '[^\^{}\\\[~\]|€]', '', 'g')) as septets,
                 char_length(p_text) + char_length(regexp_replace(p_text, U&'[^\+010000-\+10FFFF]', '', 'g')) as units) as x;
$$;
comment on function private.sms_segments is 'How many SMS a text is charged as.';

create function private.member_suppress_phone(p_client_id uuid, p_notes text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.require_client(p_client_id, 'messages.write');
  v_phone text := (select c.phone_e164 from public.clients as c where c.org_id = v_org_id and c.id = p_client_id);
begin
  if v_phone is null then
    perform private.fail(409, 'phone_missing', 'This client has no phone number that can be written to.', 'Add their number first.');
  end if;
  insert into public.sms_suppression (org_id, phone, reason, source, notes, client_id)
  values (v_org_id, v_phone, 'manual', 'coach', left(p_notes, 500), p_client_id)
  on conflict (org_id, phone) do nothing;
end;
$$;
comment on function private.member_suppress_phone is 'Sends a client''s phone no SMS any more. Fails: client_not_found 404, phone_missing 409.';

-- ── 50_messaging/rules/threads.sql ──

-- Conversations: one thread per client, wherever a message came from.

create function private.thread_of(p_org_id uuid, p_client_id uuid)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  select t.id into v_id from public.message_threads as t where t.org_id = p_org_id and t.client_id = p_client_id;
  if not found then
    insert into public.message_threads (org_id, client_id) values (p_org_id, p_client_id)
    on conflict (org_id, client_id) do nothing
    returning id into v_id;
    if v_id is null then
      select t.id into v_id from public.message_threads as t where t.org_id = p_org_id and t.client_id = p_client_id;
    end if;
  end if;
  return v_id;
end;
$$;
comment on function private.thread_of is 'The client''s thread, made with the first message.';

create function private.log_communication(
  p_org_id uuid, p_client_id uuid, p_type text, p_direction text, p_content text, p_user_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.client_communications (org_id, client_id, user_id, type, direction, content)
  values (p_org_id, p_client_id, p_user_id, p_type, p_direction, left(coalesce(nullif(btrim(p_content), ''), '(no text)'), 20000));
$$;
comment on function private.log_communication is 'Adds to the client''s log of communications.';

-- Coaches and clients are both `authenticated`: who writes is who they are, whatever the app sends.
create function private.tg_messages__check_sender()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if auth.role() = 'authenticated' then
    new.sender_user_id := auth.uid();
    if new.sender_type = 'trainer' and not new.org_id = any (private.orgs_with('messages.write'))
       or new.sender_type = 'client' and not exists (
         select from public.message_threads as t
          where t.org_id = new.org_id and t.id = new.thread_id and t.client_id = any (private.my_client_ids()))
       or new.sender_type = 'system' then
      perform private.fail(403, 'sender_not_you', 'You cannot write as somebody else.', 'Send your own sender_type.');
    end if;
  end if;
  return new;
end;
$$;
comment on function private.tg_messages__check_sender is 'Says who wrote a message, and refuses to write as somebody else: sender_not_you 403.';
create trigger messages__check_sender before insert on public.messages
  for each row execute function private.tg_messages__check_sender();

create function private.tg_messages__push()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.queue_message(
            new.org_id, 'push', 'thread_message', t.client_id, 'thread_message-' || new.id,
            p_body => left(new.body, 500),
            p_subject => coalesce((select nullif(btrim(b.display_name), '') from public.branding as b where b.org_id = o.id), o.name),
            p_metadata => jsonb_build_object('data', jsonb_build_object('thread_id', new.thread_id)))
    from public.message_threads as t
    join public.orgs as o on o.id = t.org_id
   where t.org_id = new.org_id and t.id = new.thread_id
     and exists (select from public.push_tokens as p where p.org_id = t.org_id and p.client_id = t.client_id);
  return null;
end;
$$;
comment on function private.tg_messages__push is 'Lets a client''s devices know what the coach wrote.';
create trigger messages__push after insert on public.messages
  for each row when (new.sender_type = 'trainer') execute function private.tg_messages__push();

create function private.tg_client_communications__sign()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  new.user_id := auth.uid();
  return new;
end;
$$;
comment on function private.tg_client_communications__sign is 'Says who made an entry of the log, whatever the app sends.';
create trigger client_communications__sign before insert on public.client_communications
  for each row when (current_user = 'authenticated') execute function private.tg_client_communications__sign();

-- Whoever signs in on a device gets its messages: those before them no longer, in whichever organisation. One person may be the
-- client of several.
create function private.tg_push_tokens__take_device()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  delete from public.push_tokens as t
   using public.clients as c, public.clients as own
   where t.expo_token = new.expo_token and c.org_id = t.org_id and c.id = t.client_id
     and own.org_id = new.org_id and own.id = new.client_id and c.auth_user_id is distinct from own.auth_user_id;
  return null;
end;
$$;
comment on function private.tg_push_tokens__take_device is 'Takes a device from the people who were signed in on it before.';
create trigger push_tokens__take_device after insert or update of client_id, expo_token on public.push_tokens
  for each row execute function private.tg_push_tokens__take_device();

-- The app's upsert sends updated_at; the client is its own.
create trigger push_tokens__touch before update on public.push_tokens
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();

create function private.member_unread_threads(p_org_id uuid)
returns table (thread_id uuid, client_id uuid, unread bigint, last_message_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'messages.read');
  return query
  select t.id, t.client_id, count(*), max(m.created_at)
    from public.message_threads as t
    join public.messages as m on m.org_id = t.org_id and m.thread_id = t.id
   where t.org_id = p_org_id and m.sender_type = 'client' and m.created_at > coalesce(t.trainer_last_read_at, '-infinity')
   group by t.id, t.client_id
   order by max(m.created_at) desc;
end;
$$;
comment on function private.member_unread_threads is 'Threads with messages that no member has read, latest first.';

create function private.read_thread(p_thread_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.message_threads as t
     set trainer_last_read_at = case when t.org_id = any (private.orgs_with('messages.read')) then clock_timestamp() else t.trainer_last_read_at end,
         client_last_read_at = case when t.client_id = any (private.my_client_ids()) then clock_timestamp() else t.client_last_read_at end
   where t.id = p_thread_id and (t.org_id = any (private.orgs_with('messages.read')) or t.client_id = any (private.my_client_ids()));
  if not found then
    perform private.fail(404, 'thread_not_found', 'There is no such conversation.', 'Reload the messages.');
  end if;
end;
$$;
comment on function private.read_thread is 'Marks a thread as read by its reader, member or client. Fails: thread_not_found 404.';

-- ── 55_automations/rules/events.sql ──

-- Events: something happened to a client; each automation that waits for it gets a firing, once.

-- Never fails its caller: an unknown client or organisation fires nothing, nor does what nobody waits for.
create function private.notice_event(
  p_org_id uuid, p_event text, p_client_id uuid, p_key text, p_at timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  insert into public.automation_firings (org_id, automation_id, due_at, next_at, event, event_key, client_id)
  select a.org_id, a.id, p_at, p_at, p_event, p_event || '-' || p_key, p_client_id
    from public.automations as a
    join public.clients as c on c.org_id = a.org_id and c.id = p_client_id
   where a.org_id = p_org_id and a.enabled and a.trigger ->> 'event' = p_event and a.enabled_at <= p_at
     and p_key is not null
  on conflict (org_id, automation_id, event_key) where event_key is not null do nothing;
$$;
comment on function private.notice_event is
  'Tells automations that something happened to a client: inactivity, risk_red, payment_failed, booking_completed, package_low, birthday. The same key again does nothing.';

-- ── 55_automations/rules/plan.sql ──

-- Planning: when an automation is due next.

create function private.tg_automations__plan()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not new.enabled then
    new.enabled_at := null;
  elsif tg_op = 'INSERT' or not old.enabled then
    new.enabled_at := now();
  end if;
  return new;
end;
$$;
comment on function private.tg_automations__plan is 'Says since when an automation is on.';
create trigger automations__plan before insert or update of enabled, trigger on public.automations
  for each row execute function private.tg_automations__plan();
create trigger automations__touch before update of name, enabled, trigger, conditions, actions, guardrails on public.automations
  for each row execute function private.tg__touch_updated_at();
create trigger webhook_endpoints__touch before update on public.webhook_endpoints
  for each row execute function private.tg__touch_updated_at();
create trigger risk_settings__touch before update on public.risk_settings
  for each row execute function private.tg__touch_updated_at();

-- ── 65_billing/rules/grants.sql ──

-- Plans and who was given one: trials and comps. Each grant stands by itself; what ends one ends no other.

create trigger plans__touch before update on public.plans
  for each row when (new.updated_at is not distinct from old.updated_at) execute function private.tg__touch_updated_at();
create trigger plan_grants__audit after insert or update or delete on public.plan_grants
  for each row execute function private.tg__audit();

create function private.require_plan(p_plan text)
returns public.plans
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_plan public.plans;
begin
  select p.* into v_plan from public.plans as p where p.plan = p_plan;
  if not found then
    perform private.fail(404, 'plan_not_found', 'There is no such plan.', 'Choose one that the list of plans has.');
  end if;
  return v_plan;
end;
$$;
comment on function private.require_plan is 'The plan of this name. Fails: plan_not_found 404.';

-- A price that was ever a plan's stays it: who subscribed at it keeps paying it.
create function private.tg_plans__remember_price()
returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  insert into private.plan_prices (stripe_price_id, plan) values (new.stripe_price_id, new.plan) on conflict do nothing;
  if not exists (select from private.plan_prices as p where p.stripe_price_id = new.stripe_price_id and p.plan = new.plan) then
    perform private.fail(409, 'price_in_use', 'This price belongs to another plan.', 'Make a price for each plan.');
  end if;
  return null;
end;
$$;
create trigger plans__remember_price after insert or update of stripe_price_id on public.plans
  for each row when (new.stripe_price_id is not null) execute function private.tg_plans__remember_price();

create function private.grant_of_request(p_org_id uuid, p_request_id uuid, p_source text, p_plan text)
returns public.plan_grants
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_grant public.plan_grants;
begin
  select g.* into v_grant from public.plan_grants as g where g.org_id = p_org_id and g.request_id = p_request_id;
  if found and (v_grant.source <> p_source or v_grant.plan <> coalesce(p_plan, v_grant.plan)) then
    perform private.refuse_request();
  end if;
  return v_grant;
end;
$$;
comment on function private.grant_of_request is 'What a request id was answered with before; refuses one that was used for something else: request_reused 409.';

-- The unique index on self-serve trials decides between two tabs; both ask, one gets it.
create function private.start_trial(p_org_id uuid, p_plan text, p_actor_id uuid, p_request_id uuid, p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_plan public.plans;
  v_grant public.plan_grants := private.grant_of_request(p_org_id, p_request_id, 'trial', p_plan);
begin
  if v_grant.id is not null then
    return v_grant.id;
  end if;
  if p_plan is null then
    select p.* into v_plan from public.plans as p where p.is_active and p.trial_days > 0 order by p.rank desc, p.plan limit 1;
  else
    v_plan := private.require_plan(p_plan);
  end if;
  if v_plan.plan is null or v_plan.trial_days = 0 or not v_plan.is_active then
    perform private.fail(409, 'trial_unavailable', 'This plan cannot be tried.', 'Choose another plan.');
  end if;
  insert into public.plan_grants (org_id, source, plan, starts_at, ends_at, is_self_serve, granted_by, request_id)
  values (p_org_id, 'trial', v_plan.plan, p_now, p_now + make_interval(days => v_plan.trial_days), true, p_actor_id, p_request_id)
  on conflict do nothing
  returning * into v_grant;
  if v_grant.id is null then
    -- The same click on another connection, or another one that came first.
    v_grant := private.grant_of_request(p_org_id, p_request_id, 'trial', p_plan);
  end if;
  if v_grant.id is null then
    perform private.fail(409, 'trial_used', 'The organisation has had its trial.', 'Subscribe to a plan.');
  end if;
  return v_grant.id;
end;
$$;
comment on function private.start_trial is
  'An organisation''s own trial, once, for the plan''s trial_days; returns the grant. Fails: plan_not_found 404, trial_unavailable 409, trial_used 409, request_reused 409.';

create function private.grant_plan(
  p_org_id uuid, p_source text, p_plan text, p_ends_at timestamptz, p_reason text, p_actor_id uuid, p_request_id uuid,
  p_now timestamptz default now())
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_plan public.plans := private.require_plan(p_plan);
  v_grant public.plan_grants := private.grant_of_request(p_org_id, p_request_id, p_source, p_plan);
begin
  if v_grant.id is not null then
    return v_grant.id;
  end if;
  perform private.require_value(p_source in ('trial', 'comp'), 'source');
  perform private.require_value(p_ends_at is not null or p_source = 'trial', 'ends_at');
  perform private.require_value(coalesce(p_ends_at > p_now and p_ends_at <= p_now + interval '10 years', true), 'ends_at');
  perform private.require_value(coalesce(char_length(p_reason) <= 500, true), 'reason');
  insert into public.plan_grants (org_id, source, plan, starts_at, ends_at, reason, granted_by, request_id)
  values (p_org_id, p_source, v_plan.plan, p_now,
          coalesce(p_ends_at, p_now + make_interval(days => greatest(v_plan.trial_days, 1))), p_reason, p_actor_id, p_request_id)
  on conflict do nothing
  returning * into v_grant;
  if v_grant.id is null then
    v_grant := private.grant_of_request(p_org_id, p_request_id, p_source, p_plan);
  end if;
  return v_grant.id;
end;
$$;
comment on function private.grant_plan is
  'Gives an organisation a plan for a time: a comp until p_ends_at, or a trial (without an end: as long as the plan''s trials are). Returns the grant. Fails: plan_not_found 404, value_not_allowed 422, request_reused 409.';

-- Other grants and subscriptions go on: an organisation keeps what those give.
create function private.revoke_grant(p_org_id uuid, p_grant_id uuid, p_actor_id uuid, p_now timestamptz default now())
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  update public.plan_grants as g set revoked_at = p_now, revoked_by = p_actor_id
   where g.org_id = p_org_id and g.id = p_grant_id and g.revoked_at is null and p_now < g.ends_at;
  if found then
    return true;
  end if;
  if not exists (select from public.plan_grants as g where g.org_id = p_org_id and g.id = p_grant_id) then
    perform private.fail(404, 'grant_not_found', 'There is no such grant.', 'List the organisation''s entitlements.');
  end if;
  return false;
end;
$$;
comment on function private.revoke_grant is
  'Ends one grant now; false where it had ended. Nothing else the organisation has is touched. Fails: grant_not_found 404.';

-- ── 65_billing/rules/subscriptions.sql ──

-- The mirror of what organisations subscribed to. What the provider says of a moment replaces what it said of earlier ones; where two
-- things were said of the same second, nobody knows which came last, so the provider is asked (refetch_at, coach sweep billing).
-- Lock: the customer's directory row; all that is said of one customer queues here.

create trigger org_subscriptions__audit after insert or update or delete on public.org_subscriptions
  for each row execute function private.tg__audit('as_of', 'event_id', 'refetch_at', 'revision', 'fetched_at', 'fetch_error');

-- A reference is an id, or the whole thing where it was expanded.
create function private.stripe_id(p_reference jsonb)
returns text
language sql immutable security invoker set search_path = ''
as $$
  select case jsonb_typeof(p_reference) when 'object' then p_reference ->> 'id' when 'string' then p_reference #>> '{}' end;
$$;
comment on function private.stripe_id is 'The id of a reference in a Stripe object, expanded or not.';

create function private.stripe_instant(p_seconds jsonb)
returns timestamptz
language sql immutable security invoker set search_path = ''
as $$
  select case when jsonb_typeof(p_seconds) = 'number' then to_timestamp((p_seconds #>> '{}')::double precision) end;
$$;
comment on function private.stripe_instant is 'An instant of a Stripe object; null where there is none.';

create function private.require_stripe_field(p_is_there boolean, p_name text)
returns void
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if p_is_there is not true then
    perform private.fail(422, 'stripe_field_missing', 'The provider''s answer lacks something that is needed.',
                         format('Look at %s; the API version may have changed.', p_name));
  end if;
end;
$$;
comment on function private.require_stripe_field is 'Refuses what the provider sent without a field that counts: stripe_field_missing 422.';

-- Both shapes: until 2025-03-31 the period was the subscription's, since then it is the item's.
create function private.mirror_subscription(p_subscription jsonb, p_as_of timestamptz, p_event_id text, p_revision bigint, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
  v_id text := p_subscription ->> 'id';
  v_item jsonb := p_subscription #> '{items,data,0}';
  v_status text := p_subscription ->> 'status';
  v_price text := coalesce(private.stripe_id(v_item -> 'price'), private.stripe_id(p_subscription -> 'plan'));
  v_ends_at timestamptz := private.stripe_instant(coalesce(nullif(p_subscription -> 'current_period_end', 'null'), v_item -> 'current_period_end'));
  v_ended_at timestamptz := private.stripe_instant(p_subscription -> 'ended_at');
  v_mirror public.org_subscriptions;
  v_since timestamptz;
begin
  perform private.require_stripe_field(v_id is not null, 'id'),
          private.require_stripe_field(private.stripe_id(p_subscription -> 'customer') is not null, 'customer'),
          private.require_stripe_field(v_status is not null, 'status'),
          private.require_stripe_field(v_price is not null, 'items.price'),
          private.require_stripe_field(p_subscription ? 'created', 'created'),
          private.require_stripe_field(v_ends_at is not null, 'current_period_end');
  perform private.require_value(v_status in (
    'incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'canceled', 'unpaid', 'paused'), 'status');
  select c.org_id into v_org_id from private.billing_customers as c
   where c.stripe_customer_id = private.stripe_id(p_subscription -> 'customer') for no key update;
  if not found then
    perform private.fail(404, 'billing_customer_unknown', 'Nobody here is this customer.', 'Link the customer, or leave the event.');
  end if;

  select s.* into v_mirror from public.org_subscriptions as s where s.org_id = v_org_id and s.stripe_subscription_id = v_id for no key update;
  if found and p_as_of < v_mirror.as_of then
    return 'stale';
  elsif v_mirror.id is not null and p_as_of = v_mirror.as_of and p_event_id is not null then
    if p_event_id = v_mirror.event_id then
      return 'repeated';
    end if;
    perform private.ask_about_subscription(v_org_id, v_mirror.id, p_now);
    -- What has ended does not begin again, so that much is known.
    if v_status not in ('canceled', 'incomplete_expired') then
      return 'refetch';
    end if;
  end if;

  if v_status = 'past_due' then
    v_since := coalesce(v_mirror.past_due_since, p_as_of);
  end if;
  insert into public.org_subscriptions as s (
    org_id, stripe_subscription_id, stripe_price_id, plan, status, started_at, current_period_ends_at, cancels_at, ended_at, past_due_since,
    as_of, event_id, fetched_at)
  values (
    v_org_id, v_id, v_price, (select p.plan from private.plan_prices as p where p.stripe_price_id = v_price), v_status,
    private.stripe_instant(p_subscription -> 'created'), v_ends_at,
    coalesce(private.stripe_instant(p_subscription -> 'cancel_at'),
             case when (p_subscription ->> 'cancel_at_period_end')::boolean then v_ends_at end),
    coalesce(v_ended_at, case when v_status in ('canceled', 'incomplete_expired') then p_as_of end), v_since,
    p_as_of, p_event_id, case when p_event_id is null then p_now end)
  on conflict (org_id, stripe_subscription_id) do update
     set (stripe_price_id, plan, status, current_period_ends_at, cancels_at, ended_at, past_due_since, as_of, event_id, updated_at)
       = (excluded.stripe_price_id, excluded.plan, excluded.status, excluded.current_period_ends_at, excluded.cancels_at, excluded.ended_at,
          excluded.past_due_since, excluded.as_of, excluded.event_id, p_now),
         fetched_at = coalesce(excluded.fetched_at, s.fetched_at),
         fetch_error = case when excluded.fetched_at is null then s.fetch_error end,
         -- An answer settles what was open when it was asked for, and not what came since.
         refetch_at = case when excluded.fetched_at is not null and s.revision = p_revision then null else s.refetch_at end;
  return 'mirrored';
end;
$$;
comment on function private.mirror_subscription is
  'Writes what the provider says of a subscription at a moment: mirrored, stale (something later is known), repeated, or refetch (something else was said of that second). p_event_id null: it was asked for, with the revision at that time. Fails: billing_customer_unknown 404, stripe_field_missing 422, value_not_allowed 422.';

create function private.ask_about_subscription(p_org_id uuid, p_id uuid, p_now timestamptz default now())
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.org_subscriptions as s
     set refetch_at = least(s.refetch_at, p_now), revision = s.revision + 1
   where s.org_id = p_org_id and s.id = p_id;
$$;
comment on function private.ask_about_subscription is 'Has the provider asked about a subscription by the next sweep.';

-- Effects of the platform account's events; what comes from a connected account is the organisation's own matter and never reaches this.
create function private.apply_platform_event(p_event jsonb, p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_type text := p_event ->> 'type';
  v_object jsonb := p_event #> '{data,object}';
  v_subscription_id text;
  v_mirror public.org_subscriptions;
begin
  if v_type like 'customer.subscription.%' and v_type <> 'customer.subscription.trial_will_end' then
    perform private.require_stripe_field(p_event ? 'created', 'created');
    return private.mirror_subscription(v_object, private.stripe_instant(p_event -> 'created'), p_event ->> 'id', null, p_now);
  elsif v_type in ('invoice.paid', 'invoice.payment_failed') then
    -- The subscription's own event says what became of it; this one notices when that event is missing.
    v_subscription_id := private.stripe_id(coalesce(nullif(v_object -> 'subscription', 'null'),
                                                    v_object #> '{parent,subscription_details,subscription}'));
    select s.* into v_mirror
      from private.billing_customers as c
      join public.org_subscriptions as s on s.org_id = c.org_id and s.stripe_subscription_id = v_subscription_id
     where c.stripe_customer_id = private.stripe_id(v_object -> 'customer');
    if not found then
      return 'ignored';
    end if;
    if (v_mirror.status in ('active', 'trialing')) <> (v_type = 'invoice.paid') then
      perform private.ask_about_subscription(v_mirror.org_id, v_mirror.id, p_now);
      return 'refetch';
    end if;
    return 'agreed';
  end if;
  return 'ignored';
end;
$$;
comment on function private.apply_platform_event is
  'The effect of an event of the platform''s own account: mirrored, stale, repeated, refetch, agreed or ignored. Fails as mirror_subscription does; the event is then kept with its error and can be replayed.';

-- ── 95_overview/rules/client_detail.sql ──

-- client_detail: all a coach's page of one client shows, in one call. Lists are the latest and say how many there are in all.

create function private.client_profile(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  -- Open links are not shown: whoever may send one makes a new one.
  select to_jsonb(c) - '{onboarding_token,portal_token,auth_user_id,phone_e164}'::text[]
         || jsonb_build_object('has_account', c.auth_user_id is not null, 'has_portal_link', c.portal_token is not null)
    from public.clients as c
   where c.org_id = p_org_id and c.id = p_client_id;
$$;
comment on function private.client_profile is 'Section profile: the client''s record, without the tokens of open links.';

create function private.client_packages(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with open_bookings as (
    select b.purchase_id, count(*)::integer as n
      from public.bookings as b
     where b.org_id = p_org_id and b.client_id = p_client_id and b.purchase_id is not null
       and (b.settlement = 'due' or (b.settlement is null and b.status in ('pending', 'confirmed')))
     group by b.purchase_id),
  packages as (
    select p.*, o.name as offer_name, p.valid_during @> p_now as is_valid,
           case when p.valid_during @> p_now then greatest(p.sessions_remaining - coalesce(b.n, 0), 0) else 0 end as bookable
      from public.client_purchases as p
      join public.offers as o on o.org_id = p.org_id and o.id = p.offer_id
      left join open_bookings as b on b.purchase_id = p.id
     where p.org_id = p_org_id and p.client_id = p_client_id)
  select jsonb_build_object(
    'total', (select count(*) from packages),
    'sessions_left', (select coalesce(sum(p.sessions_remaining), 0) from packages as p where p.is_valid),
    'sessions_bookable', (select coalesce(sum(p.bookable), 0) from packages as p),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object(
               'id', p.id, 'offer_id', p.offer_id, 'offer_name', p.offer_name, 'amount_paid_cents', p.amount_paid_cents, 'currency', p.currency,
               'sessions_total', p.sessions_total, 'sessions_used', p.sessions_used, 'sessions_remaining', p.sessions_remaining,
               'sessions_bookable', p.bookable, 'is_valid', p.is_valid, 'is_frozen', p.frozen_periods @> p_now,
               'payment_status', p.payment_status, 'payment_method', p.payment_method,
               'purchased_at', p.purchased_at, 'expires_at', p.expires_at) order by p.purchased_at desc, p.id), '[]')
        from (select * from packages as q order by q.purchased_at desc, q.id limit 50) as p));
$$;
comment on function private.client_packages is
  'Section packages: {total, sessions_left, sessions_bookable, latest: the newest 50}.';

create function private.client_bookings(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with bookings as (
    select b.*, s.full_name as staff_name, b.status in ('pending', 'confirmed') and b.end_time > p_now as is_upcoming,
           jsonb_build_object(
             'id', b.id, 'start_time', b.start_time, 'end_time', b.end_time, 'status', b.status, 'settlement', b.settlement,
             'session_type', b.session_type, 'session_type_id', b.session_type_id, 'staff_id', b.staff_id, 'staff_name', s.full_name,
             'purchase_id', b.purchase_id, 'client_confirmed', coalesce(b.client_confirmed, false)) as shown
      from public.bookings as b
      join public.staff as s on s.org_id = b.org_id and s.id = b.staff_id
     where b.org_id = p_org_id and b.client_id = p_client_id)
  select jsonb_build_object(
    'total', count(*),
    'upcoming_total', count(*) filter (where b.is_upcoming),
    'completed', count(*) filter (where b.status = 'completed'),
    'cancelled', count(*) filter (where b.status = 'cancelled'),
    'no_shows', count(*) filter (where b.status = 'no_show'),
    'upcoming', (select coalesce(jsonb_agg(u.shown order by u.start_time, u.id), '[]')
                   from (select * from bookings as x where x.is_upcoming order by x.start_time, x.id limit 20) as u),
    'latest', (select coalesce(jsonb_agg(l.shown order by l.start_time desc, l.id), '[]')
                 from (select * from bookings as x where not x.is_upcoming order by x.start_time desc, x.id limit 20) as l))
    from bookings as b;
$$;
comment on function private.client_bookings is
  'Section bookings: {total, upcoming_total, completed, cancelled, no_shows, upcoming: the next 20, latest: of the others the last 20}.';

create function private.client_communications_log(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'total', (select count(*) from public.client_communications as c where c.org_id = p_org_id and c.client_id = p_client_id),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'type', c.type, 'direction', c.direction, 'subject', c.subject,
                                                   'content', c.content, 'created_at', c.created_at) order by c.created_at desc, c.id), '[]')
        from (select * from public.client_communications as x
               where x.org_id = p_org_id and x.client_id = p_client_id order by x.created_at desc, x.id limit 50) as c));
$$;
comment on function private.client_communications_log is 'Section communications: {total, latest: the newest 50}.';

create function private.client_threads(p_org_id uuid, p_client_id uuid, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
    'id', t.id, 'trainer_last_read_at', t.trainer_last_read_at,
    'unread', (select count(*) from public.messages as m
                where m.org_id = t.org_id and m.thread_id = t.id and m.sender_type = 'client'
                  and m.created_at > coalesce(t.trainer_last_read_at, '-infinity')),
    'latest', (
      select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'sender_type', m.sender_type, 'body', m.body, 'created_at', m.created_at)
                                order by m.created_at desc, m.id), '[]')
        from (select * from public.messages as x
               where x.org_id = t.org_id and x.thread_id = t.id order by x.created_at desc, x.id limit 20) as m))), '[]')
    from public.message_threads as t
   where t.org_id = p_org_id and t.client_id = p_client_id;
$$;
comment on function private.client_threads is 'Section threads: an array of {id, trainer_last_read_at, unread, latest: the newest 20 messages}.';

-- A member of the client's organisation is told of each section what their role allows; for anybody else there is no such client.
create function private.member_client_detail(p_client_id uuid, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select c.org_id into v_org_id
    from public.clients as c where c.id = p_client_id and c.org_id = any (private.orgs_with('org.read'));
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  return (
    select jsonb_build_object('client_id', p_client_id, 'org_id', v_org_id, 'as_of', p_now, 'sections', jsonb_object_agg(
             s.name, private.section(s.function, v_org_id = any (private.orgs_with(s.permission)), v_org_id, p_client_id::text, p_now)))
      from (values
        ('profile', 'client_profile', 'clients.read'),
        ('packages', 'client_packages', 'packages.read'),
        ('bookings', 'client_bookings', 'bookings.read'),
        ('communications', 'client_communications_log', 'messages.read'),
        ('threads', 'client_threads', 'messages.read')) as s (name, function, permission));
end;
$$;
comment on function private.member_client_detail is 'client_detail for a member of the client''s organisation. Fails: client_not_found 404.';

-- ── 95_overview/rules/dashboard.sql ──

-- dashboard: an organisation's figures around one of its local days. Every day and month is the organisation's own: bounds are local dates
-- that are converted once, so a day has 23 or 25 hours where it has, and begins at 01:00 where it does.

create function private.local_range(p_org_id uuid, p_days daterange)
returns tstzrange
language sql stable security definer set search_path = ''
as $$
  select tstzrange(private.local_to_instant(t.timezone, lower(p_days)::timestamp), private.local_to_instant(t.timezone, upper(p_days)::timestamp))
    from (select private.org_timezone(p_org_id) as timezone) as t;
$$;
comment on function private.local_range is 'The instants of an organisation''s local dates: [first moment of the first, first moment after the last).';

-- A booking belongs to the day it starts on.
create function private.booking_figures(p_org_id uuid, p_days daterange, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'from_on', lower(p_days), 'until_on', upper(p_days) - 1, 'from', lower(r.range), 'until', upper(r.range),
    'sessions', count(b.id) filter (where b.status <> 'cancelled'),
    'completed', count(b.id) filter (where b.status = 'completed'),
    'no_shows', count(b.id) filter (where b.status = 'no_show'),
    'upcoming', count(b.id) filter (where b.status in ('pending', 'confirmed') and b.start_time > p_now),
    'cancelled', count(b.id) filter (where b.status = 'cancelled'))
    from (select private.local_range(p_org_id, p_days) as range offset 0) as r
    left join public.bookings as b on b.org_id = p_org_id and b.start_time >= lower(r.range) and b.start_time < upper(r.range)
   group by r.range;
$$;
comment on function private.booking_figures is
  'Bookings that start on these local dates: {from_on, until_on, from, until, sessions (all that are not cancelled), completed, no_shows, upcoming, cancelled}.';

create function private.dashboard_today(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.booking_figures(p_org_id, daterange(p_on, p_on + 1), p_now);
$$;
comment on function private.dashboard_today is 'Section today: booking_figures of the local day.';

create function private.dashboard_week(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.booking_figures(p_org_id, private.view_range(p_org_id, 'week', p_on), p_now);
$$;
comment on function private.dashboard_week is 'Section week: booking_figures of the local week, which begins on Monday.';

-- Of the sessions that came to an end one way or the other; a cancelled one was not missed.
create function private.dashboard_no_show(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'from_on', f ->> 'from_on', 'until_on', f ->> 'until_on', 'no_shows', f -> 'no_shows',
    'denominator', (f ->> 'completed')::integer + (f ->> 'no_shows')::integer, 'denominator_is', 'completed and no_show',
    'rate', round((f ->> 'no_shows')::numeric / nullif((f ->> 'completed')::integer + (f ->> 'no_shows')::integer, 0), 4))
    from private.booking_figures(p_org_id, daterange(p_on - 29, p_on + 1), p_now) as f;
$$;
comment on function private.dashboard_no_show is
  'Section no_show: over the 30 local days up to the date, {no_shows, denominator: completed and no-shows, rate: null when there were none}.';

create function private.dashboard_outstanding(p_org_id uuid, p_on date, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('sessions', coalesce(sum(p.sessions_remaining), 0), 'packages', count(*), 'clients', count(distinct p.client_id))
    from public.client_purchases as p
   where p.org_id = p_org_id and p.payment_status = 'succeeded' and p.sessions_remaining > 0
     and (p.expires_at is null or p.expires_at > p_now);
$$;
comment on function private.dashboard_outstanding is
  'Section outstanding: sessions that are paid, not used and not expired, frozen ones too: {sessions, packages, clients}.';

create function private.member_dashboard(p_org_id uuid, p_on date, p_now timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_on date;
begin
  perform private.require_org(p_org_id, 'org.read');
  v_on := coalesce(p_on, private.org_today(p_org_id, p_now));
  perform private.require_value(v_on between '2000-01-01' and '2100-01-01', 'on');
  return (
    select jsonb_build_object('org_id', p_org_id, 'on', v_on, 'timezone', private.org_timezone(p_org_id), 'as_of', p_now, 'sections', jsonb_object_agg(
             s.name, private.section(s.function, p_org_id = any (private.orgs_with(s.permission)), p_org_id, v_on::text, p_now)))
      from (values
        ('today', 'dashboard_today', 'bookings.read'),
        ('week', 'dashboard_week', 'bookings.read'),
        ('no_show', 'dashboard_no_show', 'bookings.read'),
        ('outstanding', 'dashboard_outstanding', 'packages.read')) as s (name, function, permission));
end;
$$;
comment on function private.member_dashboard is 'dashboard for a member. Fails: org_not_found 404, permission_missing 403, value_not_allowed 422.';

-- ── 95_overview/rules/pulse.sql ──

-- Pulse: for every kind of work that runs by itself, what waits and since when, how it goes, what is stuck, and what fixes it.
-- Each kind's function is a few looks at partial indexes of what is due, so that it costs what waits and not what was ever done; a count
-- stops at 10,000. The thresholds are rows of private.work_kinds.

-- What waits for one kind: {backlog, oldest_due_at, done, failed, deferred_until, failures: [{reason, count}], stuck: [{id, since, reason, fix}]},
-- each of which a function may leave out.
create function private.pulse_bookings(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with due as (
    (select b.id, b.end_time as due_at from public.bookings as b
      where b.status = 'confirmed' and b.completion_undone_at is null and b.end_time < p_now order by b.end_time limit 10000)
    union all
    (select b.id, b.due_since + interval '2 minutes' from public.bookings as b
      where b.settlement = 'due' and b.due_since < p_now - interval '2 minutes' order by b.due_since limit 10000))
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.due_at), 'stuck', (
    select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.due_at, 'reason', 'not_settled', 'fix', 'coach booking complete ' || s.id) order by s.due_at)
      from (select * from due as x where x.due_at < p_now - interval '1 day' order by x.due_at limit 10) as s))
    from due as d;
$$;
comment on function private.pulse_bookings is 'Pulse: bookings that are over and not completed, or due and not settled; stuck after a day.';

create function private.pulse_holds(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(d.expires_at))
    from (select h.expires_at from private.holds as h where h.status = 'held' and h.expires_at < p_now order by h.expires_at limit 10000) as d;
$$;
comment on function private.pulse_holds is 'Pulse: holds that have run out and still keep their row.';

-- What is due is what the sweep itself finds out, at its cost; here it is enough that it has run where somebody wants reminders.
create function private.pulse_reminders(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('oldest_due_at', greatest(
    (select min(s.created_at) from public.sms_schedules as s where s.enabled),
    (select j.started_at from private.job_runs as j
      where j.job = 'sweep_reminders' and j.error is null and j.finished_at is not null order by j.started_at desc limit 1)));
$$;
comment on function private.pulse_reminders is 'Pulse: since when nobody has asked what reminders are due, where an organisation has a schedule.';

create function private.pulse_channel(p_channel text, p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with due as (
    select m.next_at
      from (select x.channel, x.org_id, x.next_at from public.outbox_messages as x
             where x.status in ('pending', 'queued') and x.priority in (0, 1) and x.next_at <= p_now limit 30000) as m
     where m.channel = p_channel and m.org_id <> all (private.braked_orgs(p_channel))),
  tries as (
    select a.status, a.error_code
      from public.outbox_attempts as a
      join public.outbox_messages as m on m.org_id = a.org_id and m.id = a.message_id
     where a.created_at > p_now - interval '1 hour' and m.channel = p_channel),
  stuck as (
    select m.id, m.claimed_at from public.outbox_messages as m
     where m.status = 'sending' and m.next_at < p_now - interval '15 minutes' and m.channel = p_channel order by m.next_at limit 10)
  select jsonb_build_object(
    'backlog', (select count(*) from due), 'oldest_due_at', (select min(d.next_at) from due as d),
    'done', (select count(*) from tries as t where t.status = 'sent'),
    'failed', (select count(*) from tries as t where t.status in ('failed', 'unknown')),
    'deferred_until', (select max(l.until_at) from private.provider_limits as l where l.channel = p_channel and l.until_at > p_now),
    'failures', (select jsonb_agg(jsonb_build_object('reason', f.reason, 'count', f.n) order by f.n desc, f.reason)
                   from (select coalesce(t.error_code, t.status) as reason, count(*) as n
                           from tries as t where t.status in ('failed', 'unknown') group by 1 order by 2 desc, 1 limit 5) as f),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.claimed_at, 'reason', 'lease_ran_out', 'fix', 'coach sweep messages') order by s.claimed_at)
                from stuck as s));
$$;
comment on function private.pulse_channel is 'Pulse of one channel: what may leave and has not, the last hour''s attempts, and claims that were never given back.';

create function private.pulse_sms(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('sms', p_now); $$;
comment on function private.pulse_sms is 'Pulse: texts.';

create function private.pulse_email(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('email', p_now); $$;
comment on function private.pulse_email is 'Pulse: emails.';

create function private.pulse_push(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$ select private.pulse_channel('push', p_now); $$;
comment on function private.pulse_push is 'Pulse: push messages.';

-- A text is looked up for three days; of an email or a push message nobody can be asked. What is not found then is for somebody to send
-- again or to leave, and told for a day.
create function private.pulse_unknown_messages(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with unknown as (
    select m.org_id, m.id, m.next_at, m.claimed_at, case m.channel when 'sms' then m.claimed_at + interval '3 days' else m.claimed_at end as given_up_at
      from public.outbox_messages as m
     where m.status = 'unknown' order by m.next_at limit 10000)
  select jsonb_build_object(
    'backlog', count(*) filter (where u.given_up_at > p_now), 'oldest_due_at', min(u.next_at) filter (where u.next_at <= p_now and u.given_up_at > p_now),
    'stuck', (select jsonb_agg(jsonb_build_object('id', s.id, 'since', s.claimed_at, 'reason', 'never_found', 'fix', 'coach messages retry ' || s.id) order by s.claimed_at)
                from (select * from unknown as x
                       where x.given_up_at between p_now - interval '1 day' and p_now
                         and not exists (select from public.outbox_messages as f where f.org_id = x.org_id and f.cause_id = x.id)
                       order by x.claimed_at limit 10) as s))
    from unknown as u;
$$;
comment on function private.pulse_unknown_messages is 'Pulse: messages that may have been sent; stuck when they can no longer be looked up and nobody has sent them again, for a day.';

create function private.pulse_callbacks(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  -- Kept for a week, for messages that are recorded late: what lies there longer was not cleared.
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(e.received_at) filter (where e.received_at < p_now - interval '7 days') + interval '7 days')
    from (select x.received_at from private.unmatched_sms_events as x order by x.received_at limit 10000) as e;
$$;
comment on function private.pulse_callbacks is 'Pulse: status callbacks of messages that nobody knows.';

create function private.pulse_clean_up(p_now timestamptz)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object('backlog', count(*), 'oldest_due_at', min(r.window_started_at) + interval '1 day')
    from (select x.window_started_at from private.rate_limits as x
           where x.window_started_at < p_now - interval '1 day' order by x.window_started_at limit 10000) as r;
$$;
comment on function private.pulse_clean_up is 'Pulse: counts of calls that are older than a day.';

-- What a kind's function says; one that cannot be read says so and hides no other.
create function private.read_pulse(p_kind text, p_now timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_reading jsonb;
begin
  execute format('select private.%I($1)', 'pulse_' || p_kind) into v_reading using p_now;
  return jsonb_strip_nulls(v_reading);
exception when others then
  raise log 'pulse of % failed: SQLSTATE %', p_kind, sqlstate;
  return jsonb_build_object('unreadable', sqlstate);
end;
$$;
comment on function private.read_pulse is 'The reading of private.pulse_<kind>, or {unreadable: SQLSTATE}.';

create function private.pulse(p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  with readings as (
    select k.*, r.reading, j.runs, j.failed_runs, j.last_run_at, j.last_error, j.done as jobs_done,
           coalesce((r.reading ->> 'backlog')::bigint, 0) as backlog, (r.reading ->> 'oldest_due_at')::timestamptz as oldest_due_at,
           coalesce((r.reading ->> 'done')::bigint, j.done) as done, coalesce((r.reading ->> 'failed')::bigint, 0) as failed,
           (r.reading ->> 'deferred_until')::timestamptz as deferred_until, coalesce(r.reading -> 'failures', '[]') as failures,
           coalesce(r.reading -> 'stuck', '[]') as stuck, r.reading ? 'unreadable' as is_unreadable,
           k.brake is not null and private.is_braked(k.brake) as is_braked
      from private.work_kinds as k
     cross join lateral (select private.read_pulse(k.kind, p_now) as reading offset 0) as r
     cross join lateral (
       select count(*) as runs, count(*) filter (where x.error is not null) as failed_runs, max(x.started_at) as last_run_at,
              (array_agg(x.error order by x.started_at desc))[1] as last_error,
              coalesce(sum((select sum((x.result ->> key)::bigint) from unnest(k.done_keys) as key)), 0)::bigint as done
         from private.job_runs as x
        where x.job = any (k.jobs) and x.started_at > p_now - interval '1 hour' and x.started_at <= p_now and x.finished_at is not null) as j),
  judged as (
    select r.*, r.failed::numeric / nullif(r.done + r.failed, 0) as error_rate, w.failing, w.degraded
      from readings as r
     cross join lateral (
       select array_remove(array[
                case when r.is_unreadable then 'unreadable' end,
                case when not r.is_braked and r.oldest_due_at < p_now - r.failing_after then 'overdue' end,
                case when r.failed >= r.least_errors and r.failed >= r.failing_error_rate * (r.done + r.failed) then 'errors' end,
                case when r.runs >= 3 and r.failed_runs = r.runs then 'runs_fail' end], null) as failing,
              array_remove(array[
                case when r.is_braked then 'brake_on' end,
                case when not r.is_braked and r.oldest_due_at < p_now - r.degraded_after then 'overdue' end,
                case when r.failed >= r.least_errors and r.failed >= r.degraded_error_rate * (r.done + r.failed) then 'errors' end,
                case when r.last_error is not null then 'last_run_failed' end,
                case when r.deferred_until > p_now then 'deferred' end,
                case when r.stuck <> '[]' then 'stuck' end], null) as degraded) as w),
  verdicts as (
    select j.*, case when j.failing <> '{}' then 'failing' when j.degraded <> '{}' then 'degraded' else 'healthy' end as verdict,
           case when j.failing <> '{}' then j.failing else j.degraded end as reasons
      from judged as j)
  select jsonb_build_object(
    'as_of', p_now,
    'verdict', coalesce((array_agg(v.verdict order by array_position('{failing,degraded,healthy}'::text[], v.verdict)))[1], 'healthy'),
    'kinds', jsonb_agg(jsonb_build_object(
      'kind', v.kind, 'description', v.description, 'verdict', v.verdict, 'reasons', v.reasons,
      'backlog', v.backlog, 'oldest_due_at', v.oldest_due_at,
      'oldest_due_secs', greatest(extract(epoch from p_now - v.oldest_due_at), 0)::bigint,
      'done', v.done, 'failed', v.failed, 'error_rate', round(v.error_rate, 4), 'deferred_until', v.deferred_until,
      'failures', v.failures || case when v.last_error is null then '[]' else jsonb_build_array(jsonb_build_object('reason', v.last_error, 'count', v.failed_runs)) end,
      'stuck', v.stuck, 'runs', v.runs, 'last_run_at', v.last_run_at,
      'degraded_after_secs', extract(epoch from v.degraded_after)::bigint, 'failing_after_secs', extract(epoch from v.failing_after)::bigint,
      'fix', case when v.verdict = 'healthy' then null when v.is_braked then 'coach brake list' else v.fix end) order by v.kind))
    from verdicts as v;
$$;
comment on function private.pulse is
  'The pulse: {as_of, verdict: healthy | degraded | failing, kinds: [{kind, description, verdict, reasons, backlog, oldest_due_at, oldest_due_secs, done, failed, error_rate, deferred_until, failures, stuck, runs, last_run_at, degraded_after_secs, failing_after_secs, fix}]}; done, failed and runs are of the last hour.';

create function private.admin_pulse()
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  if not private.is_platform_admin() then
    perform private.refuse_permission();
  end if;
  return private.pulse();
end;
$$;
comment on function private.admin_pulse is 'The pulse, for a platform admin. Fails: permission_missing 403.';

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

-- locations and their hours: members read, owners and managers write, a client reads.
alter table public.locations enable row level security;
alter table public.location_hours enable row level security;
revoke all on public.locations, public.location_hours from public, anon, authenticated, service_role;
grant select, insert (org_id, name, address), update (name, address, is_active) on public.locations to authenticated;
grant select, insert (org_id, location_id, day_of_week, opens_time, closes_time), update (opens_time, closes_time), delete
  on public.location_hours to authenticated;
grant select on public.locations, public.location_hours to service_role;
create policy locations_select_people on public.locations for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy locations_insert_members on public.locations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy locations_update_members on public.locations for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_select_people on public.location_hours for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy location_hours_insert_members on public.location_hours for insert to authenticated
  with check (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_update_members on public.location_hours for update to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create policy location_hours_delete_members on public.location_hours for delete to authenticated
  using (org_id = any ((select private.orgs_with('org.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.locations
  for each row when (current_user in ('authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.location_hours
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

alter table private.rate_limits enable row level security;
revoke all on private.rate_limits from public, anon, authenticated, service_role;
create policy rate_limits_select_nobody on private.rate_limits for select to service_role using (false);

alter table private.platform_audit_log enable row level security;
alter table private.audited_columns enable row level security;
alter table private.brakes enable row level security;
revoke all on private.platform_audit_log, private.audited_columns, private.brakes from public, anon, authenticated, service_role;
create policy platform_audit_log_select_nobody on private.platform_audit_log for select to service_role using (false);
create policy audited_columns_select_nobody on private.audited_columns for select to service_role using (false);
create policy brakes_select_nobody on private.brakes for select to service_role using (false);

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

-- ── 27_progress/access.sql ──

-- Who may see and write progress: the client whose it is, and those who train them. The desk and the accountant see none of it.

alter table public.activity_events enable row level security;
alter table public.habits enable row level security;
alter table public.client_habits enable row level security;
alter table public.measurement_types enable row level security;
alter table public.client_measurements enable row level security;
alter table public.checkin_photos enable row level security;
revoke all on public.activity_events, public.habits, public.client_habits, public.measurement_types, public.client_measurements,
  public.checkin_photos from public, anon, authenticated, service_role;

-- activity_events: the client reports, a coach may for them.
grant select on public.activity_events to authenticated, service_role;
grant insert (org_id, client_id, type, payload, photo_paths) on public.activity_events to authenticated;
create policy activity_events_select_people on public.activity_events for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy activity_events_insert_people on public.activity_events for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));

-- habits and who keeps them: coaches write, a client sees their own.
grant select, insert (org_id, name), update (name, is_active) on public.habits to authenticated;
grant select on public.habits to service_role;
create policy habits_select_people on public.habits for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[])
         or id in (select h.habit_id from public.client_habits as h where h.client_id = any ((select private.my_client_ids())::uuid[])));
create policy habits_insert_members on public.habits for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy habits_update_members on public.habits for update to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

grant select, insert (org_id, client_id, habit_id), delete on public.client_habits to authenticated;
grant select on public.client_habits to service_role;
create policy client_habits_select_people on public.client_habits for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_habits_insert_members on public.client_habits for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy client_habits_delete_members on public.client_habits for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

-- measurement_types: the same for everyone who signs in.
grant select on public.measurement_types to authenticated, service_role;
create policy measurement_types_select_all on public.measurement_types for select to authenticated
  using ((select auth.uid()) is not null);

grant select, insert (org_id, client_id, measurement_type, value, unit, notes, measured_at), delete on public.client_measurements to authenticated;
grant select on public.client_measurements to service_role;
create policy client_measurements_select_people on public.client_measurements for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy client_measurements_insert_members on public.client_measurements for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));
create policy client_measurements_delete_members on public.client_measurements for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]));

-- checkin_photos: a client adds and takes away their own, a coach who takes the picture does too.
grant select, insert (org_id, client_id, activity_event_id, storage_path, photo_type), delete on public.checkin_photos to authenticated;
grant select on public.checkin_photos to service_role;
create policy checkin_photos_select_people on public.checkin_photos for select to authenticated
  using (org_id = any ((select private.orgs_with('progress.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy checkin_photos_insert_people on public.checkin_photos for insert to authenticated
  with check (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy checkin_photos_delete_people on public.checkin_photos for delete to authenticated
  using (org_id = any ((select private.orgs_with('progress.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));

create trigger zz_refuse_clearly before insert on public.activity_events
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.habits
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.client_habits
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.client_measurements
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert on public.checkin_photos
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- The pictures themselves, where Supabase Storage is there: a private bucket whose folders are clients.
grant execute on function private.photo_client(text) to authenticated;
do $$
declare
  v_is_allowed constant text := $allowed$(
        private.photo_client(name) = any ((select private.my_client_ids())::uuid[])
        or exists (select from public.clients as c
                    where c.id = private.photo_client(objects.name) and c.org_id = any ((select private.orgs_with(%L))::uuid[])))$allowed$;
begin
  if to_regclass('storage.objects') is null or to_regclass('storage.buckets') is null then
    return;
  end if;
  insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
  values ('progress-photos', 'progress-photos', false, 10485760, '{image/jpeg,image/png,image/webp,image/heic}')
  on conflict (id) do update
     set public = false, file_size_limit = excluded.file_size_limit, allowed_mime_types = excluded.allowed_mime_types;
  execute format($policy$
    create policy progress_photos_select_people on storage.objects for select to authenticated
      using (bucket_id = 'progress-photos' and %1$s);
    create policy progress_photos_insert_people on storage.objects for insert to authenticated
      with check (bucket_id = 'progress-photos' and %2$s);
    create policy progress_photos_update_people on storage.objects for update to authenticated
      using (bucket_id = 'progress-photos' and %2$s) with check (bucket_id = 'progress-photos' and %2$s);
    create policy progress_photos_delete_people on storage.objects for delete to authenticated
      using (bucket_id = 'progress-photos' and %2$s) $policy$,
    format(v_is_allowed, 'progress.read'), format(v_is_allowed, 'progress.write'));
end;
$$;

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

-- ── 35_products/access.sql ──

-- Who may see and write products: members. What a thing cost is nobody else's to know.

alter table public.products enable row level security;
revoke all on public.products from public, anon, authenticated, service_role;
grant select, delete on public.products to authenticated;
grant select on public.products to service_role;
grant insert (org_id, name, description, category, price_cents, cost_cents, currency, stock_quantity, sku, is_active) on public.products to authenticated;
grant update (org_id, name, description, category, price_cents, cost_cents, currency, stock_quantity, sku, is_active) on public.products to authenticated;
create policy products_select_members on public.products for select to authenticated
  using (org_id = any ((select private.orgs_with('offers.read'))::uuid[]));
create policy products_insert_members on public.products for insert to authenticated
  with check (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy products_update_members on public.products for update to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create policy products_delete_members on public.products for delete to authenticated
  using (org_id = any ((select private.orgs_with('offers.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.products
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- ── 40_scheduling/access.sql ──

-- Who may see and write settings, staff, hours, session types and bookings directly.

alter table public.booking_settings enable row level security;
alter table public.session_types enable row level security;
alter table public.bookings enable row level security;
revoke all on public.booking_settings, public.session_types, public.bookings from public, anon, authenticated, service_role;

-- booking_settings: members, the founder's first insert; a client reads the rules they book by.
grant select, insert (org_id, timezone) on public.booking_settings to authenticated;
grant select on public.booking_settings to service_role;
grant update (allow_client_booking, buffer_between_mins, early_cutoff_before_hour, early_cutoff_time, gst_registered, late_notice_hours,
              max_advance_days, min_notice_hours, pass_stripe_fees, slot_duration_mins, timezone,
              session_click_window_secs, hold_mins, waitlist_offer_mins, no_show_policy, late_cancellation_policy, cancel_notice_hours, allow_client_cancel)
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
              buffer_after_mins, max_per_day, capacity, sort_order)
  on public.session_types to authenticated;
grant update (name, slug, description, duration_mins, price_cents, color, is_active, allow_online_booking, buffer_before_mins,
              buffer_after_mins, max_per_day, capacity, updated_at)
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
create policy bookings_insert_people on public.bookings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('bookings.write'))::uuid[])
              or client_id = any ((select private.my_client_ids())::uuid[]));
create policy bookings_update_people on public.bookings for update to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.booking_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.session_types
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.bookings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- Staff, hours and blocks: members write as their role allows; a client reads who works when, not what is blocked.
alter table public.staff enable row level security;
alter table public.staff_locations enable row level security;
alter table public.session_type_staff enable row level security;
alter table public.session_type_prices enable row level security;
alter table public.availability enable row level security;
alter table public.blocked_times enable row level security;
alter table public.booking_series enable row level security;
alter table public.waitlist_entries enable row level security;
alter table private.occupancies enable row level security;
alter table private.holds enable row level security;
revoke all on public.staff, public.staff_locations, public.session_type_staff, public.session_type_prices, public.availability, public.blocked_times, public.booking_series, public.waitlist_entries
  from public, anon, authenticated, service_role;
revoke all on private.occupancies, private.holds from public, anon, authenticated, service_role;
create policy occupancies_select_nobody on private.occupancies for select to service_role using (false);
create policy holds_select_nobody on private.holds for select to service_role using (false);

grant select on public.staff to authenticated;
grant select on public.staff to service_role;
grant insert (org_id, user_id, full_name, email) on public.staff to authenticated;
grant update (user_id, full_name, email) on public.staff to authenticated;
create policy staff_select_people on public.staff for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy staff_insert_members on public.staff for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy staff_update_members on public.staff for update to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.staff
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.staff_locations to authenticated;
grant select on public.staff_locations to service_role;
grant insert (org_id, staff_id, location_id) on public.staff_locations to authenticated;
create policy staff_locations_select_people on public.staff_locations for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy staff_locations_insert_members on public.staff_locations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy staff_locations_delete_members on public.staff_locations for delete to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.staff_locations
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.session_type_staff to authenticated;
grant select on public.session_type_staff to service_role;
grant insert (org_id, session_type_id, staff_id) on public.session_type_staff to authenticated;
create policy session_type_staff_select_people on public.session_type_staff for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_type_staff_insert_members on public.session_type_staff for insert to authenticated
  with check (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create policy session_type_staff_delete_members on public.session_type_staff for delete to authenticated
  using (org_id = any ((select private.orgs_with('staff.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.session_type_staff
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.session_type_prices to authenticated;
grant select on public.session_type_prices to service_role;
grant insert (org_id, session_type_id, location_id, price_cents) on public.session_type_prices to authenticated;
grant update (price_cents) on public.session_type_prices to authenticated;
create policy session_type_prices_select_people on public.session_type_prices for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy session_type_prices_insert_members on public.session_type_prices for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_type_prices_update_members on public.session_type_prices for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy session_type_prices_delete_members on public.session_type_prices for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.session_type_prices
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.availability to authenticated;
grant select on public.availability to service_role;
grant insert (org_id, user_id, staff_id, day_of_week, start_time, end_time, specific_date, is_available) on public.availability to authenticated;
create policy availability_select_people on public.availability for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[])
         or org_id = any ((select private.my_client_org_ids())::uuid[]));
create policy availability_insert_members on public.availability for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy availability_delete_members on public.availability for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.availability
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

grant select, delete on public.blocked_times to authenticated;
grant select on public.blocked_times to service_role;
grant insert (org_id, user_id, staff_id, date, day_of_week, start_time, end_time, reason) on public.blocked_times to authenticated;
grant update (date, day_of_week, start_time, end_time, reason) on public.blocked_times to authenticated;
create policy blocked_times_select_members on public.blocked_times for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy blocked_times_insert_members on public.blocked_times for insert to authenticated
  with check (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create policy blocked_times_update_members on public.blocked_times for update to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create policy blocked_times_delete_members on public.blocked_times for delete to authenticated
  using (org_id = any ((select private.orgs_with('bookings.write'))::uuid[]));
create trigger zz_refuse_clearly before insert or update on public.blocked_times
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- Series and the waitlist are written by RPC alone.
grant select on public.booking_series, public.waitlist_entries to authenticated, service_role;
create policy booking_series_select_people on public.booking_series for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));
create policy waitlist_entries_select_people on public.waitlist_entries for select to authenticated
  using (org_id = any ((select private.orgs_with('bookings.read'))::uuid[])
         or client_id = any ((select private.my_client_ids())::uuid[]));

alter table private.calendar_changes enable row level security;
alter table private.calendar_feeds enable row level security;
alter table private.calendar_feed_tokens enable row level security;
revoke all on private.calendar_changes, private.calendar_feeds, private.calendar_feed_tokens from public, anon, authenticated, service_role;
create policy calendar_changes_select_nobody on private.calendar_changes for select to service_role using (false);
create policy calendar_feeds_select_nobody on private.calendar_feeds for select to service_role using (false);
create policy calendar_feed_tokens_select_nobody on private.calendar_feed_tokens for select to service_role using (false);

-- Who may listen: members with bookings.read, to their organisation's topic. Only where Realtime exists.
do $$
begin
  if to_regclass('realtime.messages') is not null then
    execute $policy$
      create policy calendar_topic_select_members on realtime.messages for select to authenticated
        using (realtime.topic() = any (select 'calendar:' || o.id from unnest((select private.orgs_with('bookings.read'))) as o (id)))
    $policy$;
  end if;
end;
$$;

-- ── 50_messaging/access.sql ──

-- Who may see and write what: members write settings, templates, schedules and conversations; the outbox is written by RPC alone.

alter table private.message_kinds enable row level security;
alter table private.phone_regions enable row level security;
alter table private.platform_settings enable row level security;
alter table private.unmatched_sms_events enable row level security;
alter table private.provider_limits enable row level security;
alter table private.inbound_sids enable row level security;
revoke all on private.message_kinds, private.phone_regions, private.platform_settings, private.unmatched_sms_events, private.provider_limits,
  private.inbound_sids from public, anon, authenticated, service_role;
create policy message_kinds_select_nobody on private.message_kinds for select to service_role using (false);
create policy phone_regions_select_nobody on private.phone_regions for select to service_role using (false);
create policy platform_settings_select_nobody on private.platform_settings for select to service_role using (false);
create policy unmatched_sms_events_select_nobody on private.unmatched_sms_events for select to service_role using (false);
create policy provider_limits_select_nobody on private.provider_limits for select to service_role using (false);
create policy inbound_sids_select_nobody on private.inbound_sids for select to service_role using (false);

alter table public.sms_settings enable row level security;
alter table public.sms_templates enable row level security;
alter table public.sms_schedules enable row level security;
alter table public.sms_suppression enable row level security;
alter table public.marketing_sends enable row level security;
alter table public.outbox_messages enable row level security;
alter table public.outbox_attempts enable row level security;
alter table public.outbox_events enable row level security;
alter table public.inbound_messages enable row level security;
alter table public.message_threads enable row level security;
alter table public.messages enable row level security;
alter table public.push_tokens enable row level security;
alter table public.client_communications enable row level security;
revoke all on public.sms_settings, public.sms_templates, public.sms_schedules, public.sms_suppression, public.marketing_sends,
  public.outbox_messages, public.outbox_attempts, public.outbox_events, public.inbound_messages, public.message_threads, public.messages,
  public.push_tokens, public.client_communications from public, anon, authenticated, service_role;

-- sms_settings: the account's secret is nobody's to read.
grant select (org_id, enabled, twilio_messaging_service_sid, twilio_phone_number, quiet_hours_start, quiet_hours_end, max_sms_per_hour,
              max_sms_per_client_per_day, send_booking_confirmations, send_session_reminders, send_feedback_requests, send_unconfirmed_nudges,
              low_package_sessions, falls_back_to_email, urgent_kinds, locale, phone_region, updated_at)
  on public.sms_settings to authenticated, service_role;
grant insert (org_id, enabled, quiet_hours_start, quiet_hours_end, max_sms_per_hour, max_sms_per_client_per_day, send_booking_confirmations,
              send_session_reminders, send_feedback_requests, send_unconfirmed_nudges, low_package_sessions, falls_back_to_email, urgent_kinds, locale,
              phone_region)
  on public.sms_settings to authenticated;
grant update (org_id, enabled, quiet_hours_start, quiet_hours_end, max_sms_per_hour, max_sms_per_client_per_day, send_booking_confirmations,
              send_session_reminders, send_feedback_requests, send_unconfirmed_nudges, low_package_sessions, falls_back_to_email, urgent_kinds, locale,
              phone_region)
  on public.sms_settings to authenticated;
create policy sms_settings_select_members on public.sms_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_settings_insert_members on public.sms_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_settings_update_members on public.sms_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_settings__keep_org before update of org_id on public.sms_settings
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();
create trigger sms_settings__audit after insert or update on public.sms_settings
  for each row execute function private.tg__audit();

grant select on public.sms_templates to authenticated, service_role;
grant insert (org_id, template_key, name, description, body, is_active) on public.sms_templates to authenticated;
grant update (is_active, name, description) on public.sms_templates to authenticated;
create policy sms_templates_select_members on public.sms_templates for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_templates_insert_members on public.sms_templates for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_templates_update_members on public.sms_templates for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_templates__audit after insert or update on public.sms_templates
  for each row execute function private.tg__audit();

grant select, delete on public.sms_schedules to authenticated;
grant select on public.sms_schedules to service_role;
grant insert (org_id, type, label, mins_offset, body, enabled, sort_order) on public.sms_schedules to authenticated;
grant update (label, mins_offset, body, enabled, sort_order, updated_at) on public.sms_schedules to authenticated;
create policy sms_schedules_select_members on public.sms_schedules for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy sms_schedules_insert_members on public.sms_schedules for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_schedules_update_members on public.sms_schedules for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy sms_schedules_delete_members on public.sms_schedules for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger sms_schedules__audit after insert or update or delete on public.sms_schedules
  for each row execute function private.tg__audit();

-- sms_suppression: an opt-out is lifted by the person alone, what a coach wrote by a coach.
grant select, delete on public.sms_suppression to authenticated;
grant select on public.sms_suppression to service_role;
create policy sms_suppression_select_members on public.sms_suppression for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy sms_suppression_delete_members on public.sms_suppression for delete to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]) and reason in ('manual', 'invalid_number'));
create trigger sms_suppression__audit after insert or delete on public.sms_suppression
  for each row execute function private.tg__audit();

grant select on public.marketing_sends, public.outbox_messages, public.outbox_attempts, public.outbox_events, public.inbound_messages
  to authenticated, service_role;
create policy marketing_sends_select_members on public.marketing_sends for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_messages_select_members on public.outbox_messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_attempts_select_members on public.outbox_attempts for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy outbox_events_select_members on public.outbox_events for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy inbound_messages_select_members on public.inbound_messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));

-- Conversations: members, and the client whose it is.
grant select on public.message_threads to authenticated, service_role;
grant insert (org_id, client_id) on public.message_threads to authenticated, service_role;
grant update (trainer_last_read_at) on public.message_threads to authenticated;
create policy message_threads_select_people on public.message_threads for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy message_threads_insert_people on public.message_threads for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[]) or client_id = any ((select private.my_client_ids())::uuid[]));
create policy message_threads_update_members on public.message_threads for update to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));

grant select on public.messages to authenticated, service_role;
grant insert (org_id, thread_id, sender_type, body) on public.messages to authenticated, service_role;
create policy messages_select_people on public.messages for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[])
         or thread_id in (select t.id from public.message_threads as t where t.client_id = any ((select private.my_client_ids())::uuid[])));
create policy messages_insert_people on public.messages for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[])
              or thread_id in (select t.id from public.message_threads as t where t.client_id = any ((select private.my_client_ids())::uuid[])));

grant select on public.push_tokens to authenticated, service_role;
grant insert (org_id, client_id, expo_token, device_id, updated_at), update (org_id, client_id, expo_token, device_id, updated_at)
  on public.push_tokens to authenticated;
grant delete on public.push_tokens to authenticated;
create policy push_tokens_select_clients on public.push_tokens for select to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_insert_clients on public.push_tokens for insert to authenticated
  with check (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_update_clients on public.push_tokens for update to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create policy push_tokens_delete_clients on public.push_tokens for delete to authenticated
  using (client_id = any ((select private.my_client_ids())::uuid[]));
create trigger push_tokens__keep_org before update of org_id on public.push_tokens
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();

grant select on public.client_communications to authenticated, service_role;
grant insert (org_id, client_id, user_id, type, direction, subject, content) on public.client_communications to authenticated, service_role;
create policy client_communications_select_members on public.client_communications for select to authenticated
  using (org_id = any ((select private.orgs_with('messages.read'))::uuid[]));
create policy client_communications_insert_members on public.client_communications for insert to authenticated
  with check (org_id = any ((select private.orgs_with('messages.write'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.sms_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly('upserted');
create trigger zz_refuse_clearly before insert or update on public.sms_templates
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.sms_schedules
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.message_threads
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.messages
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.client_communications
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();

-- The apps listen to new messages where Supabase Realtime is there.
do $$
begin
  if exists (select from pg_catalog.pg_publication as p where p.pubname = 'supabase_realtime' and not p.puballtables) then
    execute 'alter publication supabase_realtime add table public.messages';
  end if;
end;
$$;

-- ── 55_automations/access.sql ──

-- Who may see and write what: members write automations and thresholds; what fired, scores and posts are written by RPC alone.

alter table public.automations enable row level security;
alter table public.automation_firings enable row level security;
alter table public.automation_runs enable row level security;
alter table public.webhook_endpoints enable row level security;
alter table public.webhook_deliveries enable row level security;
alter table public.risk_settings enable row level security;
alter table public.client_risk enable row level security;
revoke all on public.automations, public.automation_firings, public.automation_runs, public.webhook_endpoints, public.webhook_deliveries,
  public.risk_settings, public.client_risk from public, anon, authenticated, service_role;

grant select, delete on public.automations to authenticated;
grant select on public.automations to service_role;
grant insert (org_id, name, enabled, trigger, conditions, actions, guardrails) on public.automations to authenticated;
grant update (name, enabled, trigger, conditions, actions, guardrails) on public.automations to authenticated;
create policy automations_select_members on public.automations for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy automations_insert_members on public.automations for insert to authenticated
  with check (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy automations_update_members on public.automations for update to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy automations_delete_members on public.automations for delete to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create trigger automations__audit after insert or update or delete on public.automations
  for each row execute function private.tg__audit('next_run_at', 'enabled_at');

grant select on public.automation_firings, public.automation_runs, public.webhook_deliveries to authenticated, service_role;
create policy automation_firings_select_members on public.automation_firings for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy automation_runs_select_members on public.automation_runs for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy webhook_deliveries_select_members on public.webhook_deliveries for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));

-- webhook_endpoints: made by the service, which encrypts the secret; nobody reads that.
grant select (org_id, id, name, url, is_active, created_at, updated_at) on public.webhook_endpoints to authenticated, service_role;
grant update (name, is_active), delete on public.webhook_endpoints to authenticated;
create policy webhook_endpoints_select_members on public.webhook_endpoints for select to authenticated
  using (org_id = any ((select private.orgs_with('automations.read'))::uuid[]));
create policy webhook_endpoints_update_members on public.webhook_endpoints for update to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create policy webhook_endpoints_delete_members on public.webhook_endpoints for delete to authenticated
  using (org_id = any ((select private.orgs_with('automations.write'))::uuid[]));
create trigger webhook_endpoints__audit after insert or update or delete on public.webhook_endpoints
  for each row execute function private.tg__audit();

grant select on public.risk_settings to authenticated, service_role;
grant insert (org_id, red_from, amber_from, inactive_days), update (org_id, red_from, amber_from, inactive_days)
  on public.risk_settings to authenticated;
create policy risk_settings_select_members on public.risk_settings for select to authenticated
  using (org_id = any ((select private.orgs_with('org.read'))::uuid[]));
create policy risk_settings_insert_members on public.risk_settings for insert to authenticated
  with check (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create policy risk_settings_update_members on public.risk_settings for update to authenticated
  using (org_id = any ((select private.orgs_with('settings.write'))::uuid[]));
create trigger risk_settings__keep_org before update of org_id on public.risk_settings
  for each row when (old.org_id <> new.org_id) execute function private.tg__keep_org();
create trigger risk_settings__audit after insert or update on public.risk_settings
  for each row execute function private.tg__audit();

grant select on public.client_risk to authenticated, service_role;
create policy client_risk_select_members on public.client_risk for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]));

create trigger zz_refuse_clearly before insert or update on public.automations
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.webhook_endpoints
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly();
create trigger zz_refuse_clearly before insert or update on public.risk_settings
  for each row when (current_user in ('anon', 'authenticated', 'service_role')) execute function private.tg__refuse_clearly('upserted');

-- ── 65_billing/access.sql ──

-- Who may see what an organisation pays for. Nobody writes here directly.

alter table private.features enable row level security;
alter table private.plan_prices enable row level security;
alter table private.billing_customers enable row level security;
alter table public.plans enable row level security;
alter table public.plan_grants enable row level security;
alter table public.org_subscriptions enable row level security;
revoke all on private.features, private.plan_prices, private.billing_customers, public.plans, public.plan_grants, public.org_subscriptions
  from public, anon, authenticated, service_role;

-- Row level security without a policy for apps: only definers of the owner reach these.
create policy features_select_nobody on private.features for select to service_role using (false);
create policy plan_prices_select_nobody on private.plan_prices for select to service_role using (false);
create policy billing_customers_select_nobody on private.billing_customers for select to service_role using (false);

-- plans: what can be chosen, for everyone who signs in; and what one's own organisation has, chosen or not.
grant select on public.plans to authenticated, service_role;
create policy plans_select_offered on public.plans for select to authenticated
  using (is_active and (select auth.uid()) is not null or is_default
         or plan in (select s.plan from public.org_subscriptions as s) or plan in (select g.plan from public.plan_grants as g)
         or (select private.is_platform_admin()));

grant select on public.plan_grants, public.org_subscriptions to authenticated, service_role;
create policy plan_grants_select_members on public.plan_grants for select to authenticated
  using (org_id = any ((select private.orgs_with('billing.read'))::uuid[]));
create policy org_subscriptions_select_members on public.org_subscriptions for select to authenticated
  using (org_id = any ((select private.orgs_with('billing.read'))::uuid[]));

-- ── 95_overview/access.sql ──

-- Who may see what overviews keep: nobody but the definers here.

alter table private.work_kinds enable row level security;
revoke all on private.work_kinds from public, anon, authenticated, service_role;
create policy work_kinds_select_nobody on private.work_kinds for select to service_role using (false);

-- ── 97_doctor/access.sql ──

-- Row level security without a policy for anybody: only definers of the owner reach it.

alter table private.doctor_checks enable row level security;
revoke all on private.doctor_checks from public, anon, authenticated, service_role;
create policy doctor_checks_select_nobody on private.doctor_checks for select to service_role using (false);

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

-- Scheduling for apps: settling bookings, and finding, booking and moving time.

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

create function public.find_slots(
  p_org_id uuid, p_on date, p_until date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null)
returns table (start_time timestamptz, end_time timestamptz, staff_id uuid, rank integer, seats_left integer)
language sql stable security invoker set search_path = ''
begin atomic
  select t.start_time, t.end_time, t.staff_id, t.rank, t.seats_left from private.member_find_slots(p_org_id, p_on, p_until, p_session_type_id, p_staff_id, p_location_id, p_duration_mins) as t;
end;
comment on function public.find_slots is
  'The starts that can be booked on some local days (p_on to p_until, at most 63), with staff and rank: the minutes to the nearest taken time, 0 = adjacent, so that the lowest keep a day compact. Needs bookings.read. Fails: org_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, value_not_allowed 422.';
revoke all on function public.find_slots(uuid, date, date, uuid, uuid, uuid, integer) from public, anon, service_role;
grant execute on function public.find_slots(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;
grant execute on function private.member_find_slots(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;

create function public.available_dates(
  p_org_id uuid, p_on date, p_until date, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_location_id uuid default null, p_duration_mins integer default null)
returns table (on_date date, slots bigint)
language sql stable security invoker set search_path = ''
begin atomic
  select (s.start_time at time zone private.org_timezone(p_org_id))::date, count(*)
    from private.member_find_slots(p_org_id, p_on, p_until, p_session_type_id, p_staff_id, p_location_id, p_duration_mins) as s
   group by 1 order by 1;
end;
comment on function public.available_dates is
  'The local dates that have a start to book, with how many. Needs bookings.read. Fails as find_slots.';
revoke all on function public.available_dates(uuid, date, date, uuid, uuid, uuid, integer) from public, anon, service_role;
grant execute on function public.available_dates(uuid, date, date, uuid, uuid, uuid, integer) to authenticated;
grant execute on function private.org_timezone(uuid) to authenticated;

create function public.book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_book(p_org_id, p_client_id, p_start_time, p_session_type_id, p_staff_id, p_location_id, p_purchase_id, p_duration_mins, p_notes, p_request_id);
end;
comment on function public.book is
  'Books a start that find_slots offers, with a staff member or (null) anyone: {outcome: booked, booking_id, staff_id, start_time, end_time}; {outcome: taken, alternatives} when somebody was faster and {outcome: unavailable, alternatives} when it was never offered, with up to five {start_time, end_time, staff_id, rank}; {outcome: package_exhausted}. The same request id books once. Needs bookings.write. Fails: org_not_found 404, permission_missing 403, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, purchase_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function public.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) from public, anon, service_role;
grant execute on function public.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to authenticated;
grant execute on function private.member_book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to authenticated;

create function public.reschedule_booking(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_reschedule(p_booking_id, p_start_time, p_staff_id);
end;
comment on function public.reschedule_booking is
  'Moves a booking and keeps its identity: {outcome: rescheduled, booking_id, staff_id, start_time, end_time}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start; then nothing changes. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, staff_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.reschedule_booking(uuid, timestamptz, uuid) from public, anon, service_role;
grant execute on function public.reschedule_booking(uuid, timestamptz, uuid) to authenticated;
grant execute on function private.member_reschedule(uuid, timestamptz, uuid) to authenticated;

create function public.cancel_booking(
  p_booking_id uuid, p_reason text default null, p_is_charged boolean default false)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_cancel_booking(p_booking_id, p_reason, p_is_charged);
end;
comment on function public.cancel_booking is
  'Cancels a booking: its time and its held session are free again, a session taken early returns. With p_is_charged the session is taken all the same, or stays taken. Says what became of the session: null (free), waived, charged or uncovered. Needs bookings.write. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409, permission_missing 403.';
revoke all on function public.cancel_booking(uuid, text, boolean) from public, anon, service_role;
grant execute on function public.cancel_booking(uuid, text, boolean) to authenticated;
grant execute on function private.member_cancel_booking(uuid, text, boolean) to authenticated;

create function public.hold_slot(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null, p_minutes integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_hold(p_org_id, p_client_id, p_start_time, p_session_type_id, p_staff_id, p_location_id, p_duration_mins, p_minutes);
end;
comment on function public.hold_slot is
  'Keeps a start for a client for some minutes (1 to 1440, else booking_settings.hold_mins): {outcome: held, hold_id, staff_id, start_time, end_time, expires_at} or {outcome: taken, alternatives}. A client who holds that start already is answered with their hold, as it is. Needs bookings.write. Fails as book.';
revoke all on function public.hold_slot(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) from public, anon, service_role;
grant execute on function public.hold_slot(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) to authenticated;
grant execute on function private.member_hold(uuid, uuid, timestamptz, uuid, uuid, uuid, integer, integer) to authenticated;

create function public.confirm_hold(
  p_org_id uuid, p_hold_id uuid, p_purchase_id uuid default null,
  p_notes text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_confirm_hold(p_org_id, p_hold_id, p_purchase_id, p_notes);
end;
comment on function public.confirm_hold is
  'Books what a hold keeps: {outcome: booked, …}, {outcome: hold_expired, alternatives} when it comes too late, or {outcome: package_exhausted}. Needs bookings.write. Fails: org_not_found 404, hold_not_found 404, purchase_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.confirm_hold(uuid, uuid, uuid, text) from public, anon, service_role;
grant execute on function public.confirm_hold(uuid, uuid, uuid, text) to authenticated;
grant execute on function private.member_confirm_hold(uuid, uuid, uuid, text) to authenticated;

create function public.book_series(
  p_org_id uuid, p_client_id uuid, p_from date,
  p_time time, p_interval_weeks integer default 1, p_count integer default 10,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_is_partial boolean default true,
  p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_book_series(p_org_id, p_client_id, p_from, p_time, p_interval_weeks, p_count, p_session_type_id, p_staff_id, p_location_id, p_purchase_id, p_duration_mins, p_is_partial, p_request_id);
end;
comment on function public.book_series is
  'Books a series from a local date on, weekly or fortnightly at one local time, across DST: {outcome: booked, series_id, dates} with what became of each date, or {outcome: clashes, dates} and nothing booked when every date clashes, or any does and p_is_partial is false. 1 to 104 dates. Needs bookings.write. Fails as book.';
revoke all on function public.book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) from public, anon, service_role;
grant execute on function public.book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) to authenticated;
grant execute on function private.member_book_series(uuid, uuid, date, time, integer, integer, uuid, uuid, uuid, uuid, integer, boolean, uuid) to authenticated;

create function public.move_series(
  p_series_id uuid, p_from date, p_shift_days integer default 0,
  p_time time default null, p_staff_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_move_series(p_series_id, p_from, p_shift_days, p_time, p_staff_id);
end;
comment on function public.move_series is
  'Moves the bookings of a series from a local date on, by days (-27 to 27), to another local time, to another staff member: {outcome: moved, dates}, or {outcome: clashes, dates} and nothing moved; dates say what becomes of each, package_expired where its package is not valid then. Needs bookings.write. Fails: series_not_found 404, staff_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.move_series(uuid, date, integer, time, uuid) from public, anon, service_role;
grant execute on function public.move_series(uuid, date, integer, time, uuid) to authenticated;
grant execute on function private.member_move_series(uuid, date, integer, time, uuid) to authenticated;

create function public.end_series(p_series_id uuid, p_from date)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_end_series(p_series_id, p_from);
end;
comment on function public.end_series is
  'Cancels the bookings of a series from a local date on and returns how many. Needs bookings.write. Fails: series_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.end_series(uuid, date) from public, anon, service_role;
grant execute on function public.end_series(uuid, date) to authenticated;
grant execute on function private.member_end_series(uuid, date) to authenticated;

create function public.join_waitlist(
  p_org_id uuid, p_client_id uuid, p_on date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_start_time timestamptz default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_join_waitlist(p_org_id, p_client_id, p_on, p_session_type_id, p_staff_id, p_start_time);
end;
comment on function public.join_waitlist is
  'Puts a client on the waitlist of a local day, or of one start, and returns the entry; a cancellation is offered to the first who fits, with a hold and a time limit. Asking again changes nothing. Needs bookings.write. Fails as book.';
revoke all on function public.join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) from public, anon, service_role;
grant execute on function public.join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) to authenticated;
grant execute on function private.member_join_waitlist(uuid, uuid, date, uuid, uuid, timestamptz) to authenticated;

create function public.leave_waitlist(p_entry_id uuid)
returns boolean
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_leave_waitlist(p_entry_id);
end;
comment on function public.leave_waitlist is
  'Takes a client off the waitlist, with the offer they may have; false when it is over already (booked, let pass or left). Needs bookings.write. Fails: waitlist_entry_not_found 404, permission_missing 403.';
revoke all on function public.leave_waitlist(uuid) from public, anon, service_role;
grant execute on function public.leave_waitlist(uuid) to authenticated;
grant execute on function private.member_leave_waitlist(uuid) to authenticated;

create function public.deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_deactivate_staff(p_staff_id);
end;
comment on function public.deactivate_staff is
  'Deactivates a staff member: no new bookings, the email is removed, history stays. Returns how many bookings still lie ahead of them. Needs staff.write. Fails: staff_not_found 404, permission_missing 403.';
revoke all on function public.deactivate_staff(uuid) from public, anon, service_role;
grant execute on function public.deactivate_staff(uuid) to authenticated;
grant execute on function private.member_deactivate_staff(uuid) to authenticated;

create function public.reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_reactivate_staff(p_staff_id);
end;
comment on function public.reactivate_staff is
  'Lets a staff member take bookings again. Needs staff.write. Fails: staff_not_found 404, permission_missing 403.';
revoke all on function public.reactivate_staff(uuid) from public, anon, service_role;
grant execute on function public.reactivate_staff(uuid) to authenticated;
grant execute on function private.member_reactivate_staff(uuid) to authenticated;

create function public.calendar(
  p_org_id uuid, p_view text, p_on date default null,
  p_staff_id uuid default null, p_since timestamptz default null)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_calendar(p_org_id, p_view, p_on, p_staff_id, p_since);
end;
comment on function public.calendar is
  'The calendar of a day, week (from Monday) or month around a local date (default today), in the organisation''s timezone: {view, from_on, until_on, from, until, timezone, as_of, bookings, blocks, free}. With p_since (the last answer''s as_of) only what changed: {…, bookings, left}, left being the ids that are outside of the view now or deleted, and blocks and free, each whole, when they changed; a key that is absent has not changed. An answer without left is whole (p_since was more than seven days back, or the timezone changed): it replaces all there was. Needs bookings.read. Fails: org_not_found 404, permission_missing 403, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.calendar(uuid, text, date, uuid, timestamptz) from public, anon, service_role;
grant execute on function public.calendar(uuid, text, date, uuid, timestamptz) to authenticated;
grant execute on function private.member_calendar(uuid, text, date, uuid, timestamptz) to authenticated;

-- Runs as whoever asks: a member or the portal's server. Knows what is booked, held and blocked, no hours and no notice.
create function public.is_slot_available(
  p_org_id uuid, p_start_time timestamptz, p_end_time timestamptz, p_exclude_booking_id uuid default null)
returns boolean
language sql stable security invoker set search_path = ''
begin atomic
  select private.is_slot_free(p_org_id, p_start_time, p_end_time, p_exclude_booking_id);
end;
comment on function public.is_slot_available is
  'True when some staff member''s time is neither booked, held nor blocked between two instants; false for another''s organisation. Hours, buffers and notice are find_slots'' matter.';
revoke all on function public.is_slot_available(uuid, timestamptz, timestamptz, uuid) from public, anon;
grant execute on function public.is_slot_available(uuid, timestamptz, timestamptz, uuid) to authenticated, service_role;
grant execute on function private.is_slot_free(uuid, timestamptz, timestamptz, uuid) to authenticated, service_role;

-- The portal and the public page: for anybody with the link or the slug, rate-limited. A refusal that is counted is the answer
-- itself, with its status: {code, message, details: slug, hint}.

create function public.portal_overview(p_token text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_overview(p_token);
end;
comment on function public.portal_overview is
  'The portal''s first page: {client_id, client_name, org_id, org_name, timezone, branding, active_purchases: [{id, offer_id, offer_name, sessions_total, sessions_used, sessions_remaining, bookable_remaining, expires_at, session_duration_mins}], session_types, bookings, waitlist_offers: [{entry_id, hold_id, start_time, end_time, expires_at}], waitlist: [{entry_id, on_date, start_time, session_type_id}]}. Fails: link_not_found 404, rate_limited 429.';
revoke all on function public.portal_overview(text) from public;
grant execute on function public.portal_overview(text) to anon, authenticated, service_role;
grant execute on function private.portal_overview(text) to anon, authenticated, service_role;

create function public.portal_dates(
  p_token text, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_duration_mins integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_dates(p_token, p_session_type_id, p_staff_id, p_duration_mins);
end;
comment on function public.portal_dates is
  'The local dates that have a start the client may book: {dates, timezone}; the length is the one asked for, the type''s, that of the package that pays on that day, or the settings''. A client who has packages is listed what one of them pays. Fails: link_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_dates(text, uuid, uuid, integer) from public;
grant execute on function public.portal_dates(text, uuid, uuid, integer) to anon, authenticated, service_role;
grant execute on function private.portal_dates(text, uuid, uuid, integer) to anon, authenticated, service_role;

create function public.portal_slots(
  p_token text, p_on date, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_slots(p_token, p_on, p_session_type_id, p_staff_id, p_duration_mins);
end;
comment on function public.portal_slots is
  'The starts of a local day that the client may book: {slots: [{start, end, staff_id, score, recommended}], timezone, durationMins}; recommended are those that keep the day compact. Each start has the length it is booked with, durationMins that of the first. Fails: link_not_found 404, rate_limited 429, session_type_not_found 404, staff_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_slots(text, date, uuid, uuid, integer) from public;
grant execute on function public.portal_slots(text, date, uuid, uuid, integer) to anon, authenticated, service_role;
grant execute on function private.portal_slots(text, date, uuid, uuid, integer) to anon, authenticated, service_role;

create function public.portal_book(
  p_token text, p_start_time timestamptz default null, p_purchase_id uuid default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_duration_mins integer default null,
  p_notes text default null, p_hold_id uuid default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_book(p_token, p_start_time, p_purchase_id, p_session_type_id, p_staff_id, p_duration_mins, p_notes, p_hold_id, p_request_id);
end;
comment on function public.portal_book is
  'Books a start, or a hold (a waitlist offer), paid from the named package or the one that expires first: {outcome: booked, booking_id, …, event}, {outcome: taken | unavailable | hold_expired, alternatives} or {outcome: package_exhausted}; event is the calendar''s. The same request id books once. Fails: link_not_found 404, rate_limited 429, online_booking_off 403, purchase_not_found 404, hold_not_found 404, session_type_not_found 404, staff_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function public.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) from public;
grant execute on function public.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_book(text, timestamptz, uuid, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;

create function public.portal_reschedule(p_token text, p_booking_id uuid, p_start_time timestamptz)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_reschedule(p_token, p_booking_id, p_start_time);
end;
comment on function public.portal_reschedule is
  'Moves one of the client''s bookings, while they may still cancel it: {outcome: rescheduled, …, event}, {outcome: taken, alternatives}, or {outcome: package_expired} where its package is not valid at the new start; then nothing changes. Fails: link_not_found 404, rate_limited 429, booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403, value_not_allowed 422.';
revoke all on function public.portal_reschedule(text, uuid, timestamptz) from public;
grant execute on function public.portal_reschedule(text, uuid, timestamptz) to anon, authenticated, service_role;
grant execute on function private.portal_reschedule(text, uuid, timestamptz) to anon, authenticated, service_role;

create function public.portal_cancel(p_token text, p_booking_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_cancel(p_token, p_booking_id);
end;
comment on function public.portal_cancel is
  'Cancels one of the client''s bookings: {outcome: cancelled, settlement}, settlement being null (the session is free again), waived, charged or uncovered. Fails: link_not_found 404, rate_limited 429, booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed 403, cancellation_too_late 403.';
revoke all on function public.portal_cancel(text, uuid) from public;
grant execute on function public.portal_cancel(text, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_cancel(text, uuid) to anon, authenticated, service_role;

create function public.portal_join_waitlist(
  p_token text, p_on date default null, p_session_type_id uuid default null,
  p_start_time timestamptz default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_join_waitlist(p_token, p_on, p_session_type_id, p_start_time);
end;
comment on function public.portal_join_waitlist is
  'Puts the client on the waitlist of a local day or of one start: {outcome: waiting, entry_id}. Fails: link_not_found 404, rate_limited 429, session_type_not_found 404, value_not_allowed 422.';
revoke all on function public.portal_join_waitlist(text, date, uuid, timestamptz) from public;
grant execute on function public.portal_join_waitlist(text, date, uuid, timestamptz) to anon, authenticated, service_role;
grant execute on function private.portal_join_waitlist(text, date, uuid, timestamptz) to anon, authenticated, service_role;

create function public.portal_leave_waitlist(p_token text, p_entry_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.portal_leave_waitlist(p_token, p_entry_id);
end;
comment on function public.portal_leave_waitlist is
  'Ends one of the client''s waits, with the offer they may have: {outcome: left}, or {outcome: not_waiting} when it is over already (booked, let pass or left). Fails: link_not_found 404, rate_limited 429, waitlist_entry_not_found 404.';
revoke all on function public.portal_leave_waitlist(text, uuid) from public;
grant execute on function public.portal_leave_waitlist(text, uuid) to anon, authenticated, service_role;
grant execute on function private.portal_leave_waitlist(text, uuid) to anon, authenticated, service_role;

create function public.public_page(p_slug text)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_page(p_slug);
end;
comment on function public.public_page is
  'What anybody may see of an organisation that takes bookings: {org_id, name, slug, timezone, can_book, needs_waiver, branding, session_types, offers, staff}. Fails: page_not_found 404, rate_limited 429.';
revoke all on function public.public_page(text) from public;
grant execute on function public.public_page(text) to anon, authenticated, service_role;
grant execute on function private.public_page(text) to anon, authenticated, service_role;

create function public.public_dates(
  p_slug text, p_session_type_id uuid default null, p_staff_id uuid default null,
  p_duration_mins integer default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_dates(p_slug, p_session_type_id, p_staff_id, p_duration_mins, p_offer_id);
end;
comment on function public.public_dates is
  'The local dates that have a start anybody may book: {dates, timezone}; an offer says how long where p_duration_mins does not. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422.';
revoke all on function public.public_dates(text, uuid, uuid, integer, uuid) from public;
grant execute on function public.public_dates(text, uuid, uuid, integer, uuid) to anon, authenticated, service_role;
grant execute on function private.public_dates(text, uuid, uuid, integer, uuid) to anon, authenticated, service_role;

create function public.public_slots(
  p_slug text, p_on date, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_slots(p_slug, p_on, p_session_type_id, p_staff_id, p_duration_mins, p_offer_id);
end;
comment on function public.public_slots is
  'The starts of a local day that anybody may book, as portal_slots; an offer says how long where p_duration_mins does not. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422.';
revoke all on function public.public_slots(text, date, uuid, uuid, integer, uuid) from public;
grant execute on function public.public_slots(text, date, uuid, uuid, integer, uuid) to anon, authenticated, service_role;
grant execute on function private.public_slots(text, date, uuid, uuid, integer, uuid) to anon, authenticated, service_role;

create function public.public_book(
  p_slug text, p_start_time timestamptz, p_full_name text,
  p_email text, p_phone text default null, p_session_type_id uuid default null,
  p_staff_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null, p_offer_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.public_book(p_slug, p_start_time, p_full_name, p_email, p_phone, p_session_type_id, p_staff_id, p_duration_mins, p_notes, p_request_id, p_offer_id);
end;
comment on function public.public_book is
  'Books for somebody who names themselves: {outcome: booked, …, needs_waiver, event} or {outcome: taken | unavailable, alternatives}. The same answer whether they are known or not; no package is ever spent; where a waiver is needed the booking is pending until it is signed. Fails: page_not_found 404, rate_limited 429, online_booking_off 403, session_type_not_found 404, staff_not_found 404, offer_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function public.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) from public;
grant execute on function public.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;
grant execute on function private.public_book(text, timestamptz, text, text, text, uuid, uuid, integer, text, uuid, uuid) to anon, authenticated, service_role;

-- Calendar files.

create function public.create_calendar_feed(p_staff_id uuid default null, p_client_id uuid default null)
returns text
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_create_feed(p_staff_id, p_client_id);
end;
comment on function public.create_calendar_feed is
  'Opens a calendar that other programs may subscribe to, and returns its token, once: of one''s own staff row with bookings.read, of another''s with staff.write, of a client with clients.write, or a client''s for themselves. It ends when it is revoked, the staff member is deactivated, or whoever opened it leaves the organisation. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.create_calendar_feed(uuid, uuid) from public, anon, service_role;
grant execute on function public.create_calendar_feed(uuid, uuid) to authenticated;
grant execute on function private.member_create_feed(uuid, uuid) to authenticated;

create function public.revoke_calendar_feeds(p_staff_id uuid default null, p_client_id uuid default null)
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_revoke_feeds(p_staff_id, p_client_id);
end;
comment on function public.revoke_calendar_feeds is
  'Closes every calendar feed of a staff member or client; returns how many. For whom create_calendar_feed is. Fails: feed_subject_not_found 404, permission_missing 403, value_not_allowed 422.';
revoke all on function public.revoke_calendar_feeds(uuid, uuid) from public, anon, service_role;
grant execute on function public.revoke_calendar_feeds(uuid, uuid) to authenticated;
grant execute on function private.member_revoke_feeds(uuid, uuid) to authenticated;

-- ── 50_messaging/api.sql ──

-- Messaging for apps: sending, conversations, history. The contract's sms_* are views of the one outbox.

create view public.sms_messages with (security_invoker = true) as
  select m.org_id, m.id, m.client_id, coalesce(m.to_address, '') as to_phone,
         coalesce((select s.twilio_phone_number from public.sms_settings as s where s.org_id = m.org_id), '') as from_phone, m.template_id, m.template_key,
         coalesce(m.body, '') as body, m.variables, m.related_entity_type, m.related_entity_id, m.status, m.scheduled_for, m.sent_at, m.delivered_at,
         m.failed_at, m.idempotency_key, m.error_code, null::text as error_message, m.metadata,
         case when m.status = 'sending' then m.next_at end as locked_until, m.created_at, m.updated_at
    from public.outbox_messages as m where m.channel = 'sms';
comment on view public.sms_messages is 'The outbox''s SMS by the names that the existing system reads.';
revoke all on public.sms_messages from public, anon, authenticated, service_role;
grant select on public.sms_messages to authenticated, service_role;

create view public.sms_attempts with (security_invoker = true) as
  select a.id, a.message_id, a.attempt_number, a.provider, a.provider_message_id, '{}'::jsonb as request_payload, null::jsonb as response_payload,
         a.http_status as response_status, a.status, a.error_code, null::text as error_message, a.created_at
    from public.outbox_attempts as a
   where exists (select from public.outbox_messages as m where m.org_id = a.org_id and m.id = a.message_id and m.channel = 'sms');
comment on view public.sms_attempts is 'Attempts to send an SMS by the names that the existing system reads.';
revoke all on public.sms_attempts from public, anon, authenticated, service_role;
grant select on public.sms_attempts to authenticated, service_role;

create view public.sms_events with (security_invoker = true) as
  select e.org_id, e.id, e.message_id, e.provider, e.provider_message_id, e.event_type, e.event_status, e.error_code, null::text as error_message,
         e.event_payload, e.dedupe_key, e.received_at, e.received_at as processed_at
    from public.outbox_events as e
   where exists (select from public.outbox_messages as m where m.org_id = e.org_id and m.id = e.message_id and m.channel = 'sms');
comment on view public.sms_events is 'What was told of SMS by the names that the existing system reads.';
revoke all on public.sms_events from public, anon, authenticated, service_role;
grant select on public.sms_events to authenticated, service_role;

create function private.tg__read_only()
returns trigger
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform private.fail(403, 'view_read_only', 'This shows what another table holds.', 'Call the function that changes it.');
  return null;
end;
$$;
comment on function private.tg__read_only is 'Refuses to write through a view: view_read_only 403. A role without the privilege is refused before.';
create trigger sms_messages__read_only instead of insert or update or delete on public.sms_messages
  for each row execute function private.tg__read_only();
create trigger sms_attempts__read_only instead of insert or update or delete on public.sms_attempts
  for each row execute function private.tg__read_only();
create trigger sms_events__read_only instead of insert or update or delete on public.sms_events
  for each row execute function private.tg__read_only();

create function public.send_message(
  p_client_id uuid, p_body text, p_booking_id uuid default null, p_asks_confirmation boolean default false, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_message(p_client_id, p_body, p_booking_id, p_asks_confirmation, p_request_id);
end;
comment on function public.send_message is
  'Queues an SMS with a coach''s own words: {outcome: queued, message_id, status, next_at}, or {outcome: off | no_phone | suppressed}. With p_asks_confirmation the client''s Y confirms that booking. The same request id sends once. Needs messages.write. Fails: client_not_found 404, booking_not_found 404, value_not_allowed 422, request_reused 409, permission_missing 403.';
revoke all on function public.send_message(uuid, text, uuid, boolean, uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_message(uuid, text, uuid, boolean, uuid) to authenticated;
grant execute on function private.member_send_message(uuid, text, uuid, boolean, uuid) to authenticated;

create function public.send_template(
  p_client_id uuid, p_template_key text, p_variables jsonb default '{}', p_scheduled_for timestamptz default null, p_related_entity_type text default null, p_related_entity_id uuid default null, p_idempotency_key text default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_template(p_client_id, p_template_key, p_variables, p_scheduled_for, p_related_entity_type, p_related_entity_id, p_idempotency_key);
end;
comment on function public.send_template is
  'Queues an SMS from a template of the organisation, or from a kind''s own words; answers as send_message. Scheduled at most 29 days ahead. The same idempotency key sends once. Needs messages.write. Fails: client_not_found 404, template_not_found 404, booking_not_found 404, value_not_allowed 422, permission_missing 403.';
revoke all on function public.send_template(uuid, text, jsonb, timestamptz, text, uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.send_template(uuid, text, jsonb, timestamptz, text, uuid, text) to authenticated;
grant execute on function private.member_send_template(uuid, text, jsonb, timestamptz, text, uuid, text) to authenticated;

create function public.send_portal_link(p_client_id uuid)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_portal_link(p_client_id);
end;
comment on function public.send_portal_link is
  'Texts a client the link of their portal, making its token where there is none: {portal_url, portal_token, sms_sent, outcome}. Needs clients.write. Fails: client_not_found 404, permission_missing 403.';
revoke all on function public.send_portal_link(uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_portal_link(uuid) to authenticated;
grant execute on function private.member_send_portal_link(uuid) to authenticated;

create function public.send_marketing(
  p_org_id uuid, p_message text, p_recipient_filter text default 'active', p_client_ids uuid[] default '{}', p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_send_marketing(p_org_id, p_message, p_recipient_filter, p_client_ids, p_request_id);
end;
comment on function public.send_marketing is
  'Queues a text to all, to active, or to named clients: {send_id, total, queued, skipped: {reason: n}, created_at}; left out are off (messaging is), no_phone, opted_out, suppressed and same_phone. Placeholders are filled in for each. The same request id sends once. Needs marketing.send. Fails: org_not_found 404, request_reused 409, value_not_allowed 422, placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422, permission_missing 403.';
revoke all on function public.send_marketing(uuid, text, text, uuid[], uuid) from public, anon, authenticated, service_role;
grant execute on function public.send_marketing(uuid, text, text, uuid[], uuid) to authenticated;
grant execute on function private.member_send_marketing(uuid, text, text, uuid[], uuid) to authenticated;

create function public.marketing_progress(p_send_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_marketing_progress(p_send_id);
end;
comment on function public.marketing_progress is
  'How far a text to many has come: as send_marketing, with messages: {status: n}. Needs messages.read. Fails: marketing_send_not_found 404.';
revoke all on function public.marketing_progress(uuid) from public, anon, authenticated, service_role;
grant execute on function public.marketing_progress(uuid) to authenticated;
grant execute on function private.member_marketing_progress(uuid) to authenticated;

create function public.message_history(
  p_org_id uuid, p_client_id uuid default null, p_channel text default null, p_status text default null, p_kind text default null, p_before timestamptz default null, p_before_id uuid default null, p_limit integer default 50)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, next_at timestamptz, channel text, kind text, status text, client_id uuid, client_name text,
  booking_id uuid, to_address text, subject text, body text, error_code text, attempts integer, sent_at timestamptz, delivered_at timestamptz,
  cause text, cause_id uuid)
language sql stable security invoker set search_path = ''
begin atomic
  select h.id, h.created_at, h.scheduled_for, h.next_at, h.channel, h.kind, h.status, h.client_id, h.client_name, h.booking_id, h.to_address, h.subject, h.body, h.error_code, h.attempts, h.sent_at, h.delivered_at, h.cause, h.cause_id
    from private.member_message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
comment on function public.message_history is
  'What was sent, is waiting or failed, newest first (1 to 500): by client, channel (sms, email, push), status and kind. For the next page send the last row''s created_at and id as p_before and p_before_id. Needs messages.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) from public, anon, authenticated, service_role;
grant execute on function public.message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) to authenticated;
grant execute on function private.member_message_history(uuid, uuid, text, text, text, timestamptz, uuid, integer) to authenticated;

create function public.show_message(p_message_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_show_message(p_message_id);
end;
comment on function public.show_message is
  'One message with its attempts, what the provider told, and what stood in for it. Needs messages.read. Fails: message_not_found 404.';
revoke all on function public.show_message(uuid) from public, anon, authenticated, service_role;
grant execute on function public.show_message(uuid) to authenticated;
grant execute on function private.member_show_message(uuid) to authenticated;

create function public.preview_template(p_org_id uuid, p_body text, p_template_key text default 'booking_confirmation')
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_preview_template(p_org_id, p_body, p_template_key);
end;
comment on function public.preview_template is
  'A template as a client would read it, with sample values: {body, placeholders, characters, segments}. Needs messages.read. Fails: org_not_found 404, placeholder_unknown 422, placeholder_malformed 422, template_invites_cancel 422, permission_missing 403.';
revoke all on function public.preview_template(uuid, text, text) from public, anon, authenticated, service_role;
grant execute on function public.preview_template(uuid, text, text) to authenticated;
grant execute on function private.member_preview_template(uuid, text, text) to authenticated;

create function public.unread_threads(p_org_id uuid)
returns table (thread_id uuid, client_id uuid, unread bigint, last_message_at timestamptz)
language sql stable security invoker set search_path = ''
begin atomic
  select u.thread_id, u.client_id, u.unread, u.last_message_at from private.member_unread_threads(p_org_id) as u;
end;
comment on function public.unread_threads is
  'Conversations with messages of the client that no member has read, latest first. Needs messages.read. Fails: org_not_found 404, permission_missing 403.';
revoke all on function public.unread_threads(uuid) from public, anon, authenticated, service_role;
grant execute on function public.unread_threads(uuid) to authenticated;
grant execute on function private.member_unread_threads(uuid) to authenticated;

create function public.read_thread(p_thread_id uuid)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.read_thread(p_thread_id);
end;
comment on function public.read_thread is
  'Marks a conversation as read by whoever reads it, member or client. Fails: thread_not_found 404.';
revoke all on function public.read_thread(uuid) from public, anon, authenticated, service_role;
grant execute on function public.read_thread(uuid) to authenticated;
grant execute on function private.read_thread(uuid) to authenticated;

create function public.suppress_phone(p_client_id uuid, p_notes text default null)
returns void
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_suppress_phone(p_client_id, p_notes);
end;
comment on function public.suppress_phone is
  'Sends a client''s phone no SMS any more; a coach can take it back by deleting the row of sms_suppression. Needs messages.write. Fails: client_not_found 404, phone_missing 409, permission_missing 403.';
revoke all on function public.suppress_phone(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.suppress_phone(uuid, text) to authenticated;
grant execute on function private.member_suppress_phone(uuid, text) to authenticated;

-- The existing edge functions' doors, for the secret key. Sending itself is the service's: `coach sweep messages`.

create function public.insert_sms_direct(
  p_org_id uuid, p_client_id uuid, p_body text, p_scheduled_for timestamptz default null, p_related_entity_type text default null,
  p_related_entity_id uuid default null, p_idempotency_key text default null)
returns uuid
language sql volatile security invoker set search_path = ''
begin atomic
  select private.insert_sms_direct(p_org_id, p_client_id, p_body, p_scheduled_for, p_related_entity_type, p_related_entity_id, p_idempotency_key);
end;
comment on function public.insert_sms_direct is
  'Queues an SMS for the secret key; its id, or null when it is refused (no such client, no phone, opted out, suppressed, messaging off, no text, more than 29 days ahead) or its idempotency key has been used. The keys sched-<schedule>-<booking> and unconfirmed-24h-<booking> are what service.sweep_reminders queues: whoever is first, it is sent once.';
revoke all on function public.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) to service_role;
grant execute on function private.insert_sms_direct(uuid, uuid, text, timestamptz, text, uuid, text) to service_role;

create function public.queue_pending_sms()
returns integer
language sql volatile security invoker set search_path = ''
begin atomic
  select private.queue_pending_sms();
end;
comment on function public.queue_pending_sms is
  'Marks SMS whose time has come as queued, and says how many. Nothing depends on it: service.claim_messages takes what is due.';
revoke all on function public.queue_pending_sms() from public, anon, authenticated, service_role;
grant execute on function public.queue_pending_sms() to service_role;
grant execute on function private.queue_pending_sms() to service_role;

create function public.is_phone_suppressed(p_org_id uuid, p_phone text)
returns boolean
language sql stable security invoker set search_path = ''
begin atomic
  select private.is_suppressed(p_org_id, p_phone);
end;
comment on function public.is_phone_suppressed is
  'True when an organisation sends no SMS to this number, in whichever way it is written.';
revoke all on function public.is_phone_suppressed(uuid, text) from public, anon, authenticated, service_role;
grant execute on function public.is_phone_suppressed(uuid, text) to service_role;
grant execute on function private.is_suppressed(uuid, text) to service_role;

create function public.render_sms_template(p_template_body text, p_variables jsonb)
returns text
language sql immutable security invoker set search_path = ''
begin atomic
  select private.render(p_template_body, p_variables);
end;
comment on function public.render_sms_template is
  'A template with its placeholders replaced; one without a value is left out.';
revoke all on function public.render_sms_template(text, jsonb) from public, anon, authenticated, service_role;
grant execute on function public.render_sms_template(text, jsonb) to service_role;
grant execute on function private.render(text, jsonb) to service_role;

-- ── 65_billing/api.sql ──

-- Billing for apps: what the organisation may use, its trial, and what the service needs to open Checkout and the Billing Portal.

create function private.member_entitlements(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'org.read');
  return private.entitlements(p_org_id);
end;
$$;
comment on function private.member_entitlements is 'entitlements for any member.';

create function public.entitlements(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_entitlements(p_org_id);
end;
comment on function public.entitlements is
  'What your organisation may use now, until when, and why: {org_id, is_configured, plan, plan_name, until, commission_rate, trial: {is_used}, grants: [{source: trial | comp | subscription | default, id, plan, from, until, why}], features: {name: {is_allowed, until, why: [{source, id, plan, until, why}]}}, limits: {name: {allowed, used}}}. until null: no end; allowed null: any number; is_configured false: the platform has no plans, and everything is allowed. Fails: org_not_found 404.';
revoke all on function public.entitlements(uuid) from public, anon, service_role;
grant execute on function public.entitlements(uuid) to authenticated;
grant execute on function private.member_entitlements(uuid) to authenticated;

create function private.member_start_trial(p_org_id uuid, p_plan text, p_request_id uuid)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_org(p_org_id, 'billing.write');
  perform private.start_trial(p_org_id, p_plan, auth.uid(), p_request_id);
  -- Of this moment: who waited for another tab began before that tab's trial did.
  return private.entitlements(p_org_id, clock_timestamp());
end;
$$;
comment on function private.member_start_trial is 'start_trial for a member with billing.write.';

create function public.start_trial(p_org_id uuid, p_plan text default null, p_request_id uuid default null)
returns jsonb
language sql volatile security invoker set search_path = ''
begin atomic
  select private.member_start_trial(p_org_id, p_plan, p_request_id);
end;
comment on function public.start_trial is
  'Starts your organisation''s trial, once: of the plan named, else of the best that can be tried. Returns its entitlements. Needs billing.write. Fails: org_not_found 404, permission_missing 403, plan_not_found 404, trial_unavailable 409, trial_used 409, request_reused 409.';
revoke all on function public.start_trial(uuid, text, uuid) from public, anon, service_role;
grant execute on function public.start_trial(uuid, text, uuid) to authenticated;
grant execute on function private.member_start_trial(uuid, text, uuid) to authenticated;

create function private.member_plan_checkout(p_org_id uuid, p_plan text)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_plan public.plans;
begin
  perform private.require_org(p_org_id, 'billing.write');
  v_plan := private.require_plan(p_plan);
  if v_plan.stripe_price_id is null or not v_plan.is_active then
    perform private.fail(409, 'plan_not_sold', 'This plan is not for sale.', 'Choose another plan.');
  end if;
  -- A second one would be charged beside the first; changing plans is the portal's.
  if exists (select from public.org_subscriptions as s
              where s.org_id = p_org_id and s.status in ('trialing', 'active', 'past_due', 'unpaid', 'paused')) then
    perform private.fail(409, 'subscribed_already', 'The organisation has a subscription.', 'Change it in the billing portal.');
  end if;
  return jsonb_build_object('org_id', p_org_id, 'plan', v_plan.plan, 'stripe_price_id', v_plan.stripe_price_id);
end;
$$;
comment on function private.member_plan_checkout is 'Whether a member with billing.write may subscribe their organisation to a plan, and at what price.';

create function public.plan_checkout(p_org_id uuid, p_plan text)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_plan_checkout(p_org_id, p_plan);
end;
comment on function public.plan_checkout is
  'Whether your organisation can subscribe to a plan: {org_id, plan, stripe_price_id}; POST /api/billing/checkout then opens the payment page. Needs billing.write. Fails: org_not_found 404, permission_missing 403, plan_not_found 404, plan_not_sold 409, subscribed_already 409.';
revoke all on function public.plan_checkout(uuid, text) from public, anon, service_role;
grant execute on function public.plan_checkout(uuid, text) to authenticated;
grant execute on function private.member_plan_checkout(uuid, text) to authenticated;

create function private.member_billing_customer(p_org_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_customer_id text;
begin
  perform private.require_org(p_org_id, 'billing.write');
  select c.stripe_customer_id into v_customer_id from private.billing_customers as c where c.org_id = p_org_id;
  if not found then
    perform private.fail(409, 'not_a_customer', 'The organisation has never subscribed.', 'Choose a plan first.');
  end if;
  return jsonb_build_object('org_id', p_org_id, 'stripe_customer_id', v_customer_id);
end;
$$;
comment on function private.member_billing_customer is 'Who the organisation is at the provider, for a member with billing.write.';

create function public.billing_customer(p_org_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_billing_customer(p_org_id);
end;
comment on function public.billing_customer is
  'Who your organisation is at the provider: {org_id, stripe_customer_id}; POST /api/billing/portal then opens the portal. Needs billing.write. Fails: org_not_found 404, permission_missing 403, not_a_customer 409.';
revoke all on function public.billing_customer(uuid) from public, anon, service_role;
grant execute on function public.billing_customer(uuid) to authenticated;
grant execute on function private.member_billing_customer(uuid) to authenticated;

-- ── 95_overview/api.sql ──

-- Overviews for apps.

create function public.client_detail(p_client_id uuid)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_client_detail(p_client_id);
end;
comment on function public.client_detail is
  'All of one client in one call: {client_id, org_id, as_of, sections: {profile, packages, bookings, money, waivers, communications, measurements, threads}}. Each section is {status: ok | refused | failed, data, error}: refused (permission_missing) where the caller''s role may not see it, failed (section_failed, or the slug of a rule) where it could not be read; neither touches the others, and a page shows a failed one as failed, with a retry. Lists are the newest, beside a total. For members of the client''s organisation. Fails: client_not_found 404.';
revoke all on function public.client_detail(uuid) from public, anon, service_role;
grant execute on function public.client_detail(uuid) to authenticated;
grant execute on function private.member_client_detail(uuid, timestamptz) to authenticated;

create function public.dashboard(p_org_id uuid, p_on date default null)
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.member_dashboard(p_org_id, p_on);
end;
comment on function public.dashboard is
  'An organisation''s day at a glance, around a local date (default today): {org_id, on, timezone, as_of, sections: {today, week, no_show, outstanding, …}}, each section {status: ok | refused | failed, data, error} as in client_detail. Cheap enough to be asked every minute. Needs org.read, and each section its own permission. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function public.dashboard(uuid, date) from public, anon, service_role;
grant execute on function public.dashboard(uuid, date) to authenticated;
grant execute on function private.member_dashboard(uuid, date, timestamptz) to authenticated;

create function public.pulse()
returns jsonb
language sql stable security invoker set search_path = ''
begin atomic
  select private.admin_pulse();
end;
comment on function public.pulse is
  'How the work that runs by itself goes, for platform admins: {as_of, verdict: healthy | degraded | failing, kinds: […]} as service.pulse has it. Fails: permission_missing 403.';
revoke all on function public.pulse() from public, anon, service_role;
grant execute on function public.pulse() to authenticated;
grant execute on function private.admin_pulse() to authenticated;

-- ── 10_tenancy/service.sql ──

-- Tenancy for operators: organisations, their members and their locations.
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

create function service.list_locations(p_org_id uuid)
returns table (location_id uuid, name text, address text, is_active boolean, staff integer, created_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select l.id, l.name, l.address, l.is_active,
         (select count(*)::integer from public.staff_locations as s where s.org_id = l.org_id and s.location_id = l.id), l.created_at
    from public.locations as l
   where l.org_id = p_org_id
   order by l.name, l.id;
end;
$$;
comment on function service.list_locations is
  'An organisation''s locations by name, with how many of the staff are bound to each. Fails: org_not_found 404.';
revoke all on function service.list_locations(uuid) from public, anon, authenticated;
grant execute on function service.list_locations(uuid) to service_role;

create function service.create_location(p_org_id uuid, p_name text, p_address text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_name)) between 1 and 200, 'name');
  perform private.require_value(coalesce(char_length(p_address), 0) <= 500, 'address');
  insert into public.locations (org_id, name, address) values (p_org_id, btrim(p_name), p_address) returning id into v_id;
  return v_id;
end;
$$;
comment on function service.create_location is
  'Adds a location and returns its id. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.create_location(uuid, text, text) from public, anon, authenticated;
grant execute on function service.create_location(uuid, text, text) to service_role;

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

create function service.sweep_rate_limits(
  p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  with old as (
    select r.bucket, r.key_hash, r.window_started_at
      from private.rate_limits as r where r.window_started_at < p_now - interval '1 day'
     limit p_limit for update skip locked),
  gone as (
    delete from private.rate_limits as r using old as o
     where (r.bucket, r.key_hash, r.window_started_at) = (o.bucket, o.key_hash, o.window_started_at) and not p_dry_run
    returning 1)
  select case when p_dry_run then (select count(*) from old) else (select count(*) from gone) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_rate_limits is
  'Deletes counts of calls that are older than a day, at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_rate_limits(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_rate_limits(integer, timestamptz, boolean) to service_role;

create function service.pull_brake(p_kind text, p_reason text, p_org_id uuid default null, p_banner text default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_org_id is not null then
    perform private.require_known_org(p_org_id);
  end if;
  return private.pull_brake(p_kind, p_org_id, p_reason, p_banner);
end;
$$;
comment on function service.pull_brake is
  'Stops a kind of work (sms, email, push, payments, imports, automations, assistant, sign_up) for an organisation, or with none for everybody; false when it was stopped. Fails: org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function service.pull_brake(text, text, uuid, text) from public, anon, authenticated;
grant execute on function service.pull_brake(text, text, uuid, text) to service_role;

create function service.release_brake(p_kind text, p_reason text, p_org_id uuid default null)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if p_org_id is not null then
    perform private.require_known_org(p_org_id);
  end if;
  return private.release_brake(p_kind, p_org_id, p_reason);
end;
$$;
comment on function service.release_brake is
  'Lets a kind of work go on that a brake stopped; false when none was on there. Fails: org_not_found 404, value_not_allowed 422, reason_missing 422.';
revoke all on function service.release_brake(text, text, uuid) from public, anon, authenticated;
grant execute on function service.release_brake(text, text, uuid) to service_role;

create function service.list_brakes()
returns table (kind text, org_id uuid, slug text, reason text, banner text, pulled_by uuid, pulled_at timestamptz)
language sql stable security definer set search_path = ''
as $$
  select b.kind, b.org_id, o.slug, b.reason, b.banner, b.pulled_by, b.pulled_at
    from private.brakes as b left join public.orgs as o on o.id = b.org_id
   order by b.pulled_at, b.id;
$$;
comment on function service.list_brakes is 'The brakes that are on, oldest first; without an organisation: for everybody.';
revoke all on function service.list_brakes() from public, anon, authenticated;
grant execute on function service.list_brakes() to service_role;

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

-- Scheduling for sweeps, calendar files and operators.

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
   limit least(greatest(coalesce(p_limit, 100), 1), 1000);
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

create function service.sweep_expired_holds(
  p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (expired integer, offered integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select s.expired, s.offered
                 from private.sweep_expired_holds(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as s;
end;
$$;
comment on function service.sweep_expired_holds is
  'Frees holds that have run out, about p_limit (1 to 100000) a call, those of one session together, and offers their times to the waitlist; call again until nothing comes back. What somebody else is at work on is left for the next call. A dry run changes nothing. Fails: value_not_allowed 422.';
revoke all on function service.sweep_expired_holds(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_expired_holds(integer, timestamptz, boolean) to service_role;

create function service.calendar_feed(p_token text)
returns jsonb
language sql volatile security definer set search_path = ''
as $$
  select private.feed(p_token);
$$;
comment on function service.calendar_feed is
  'The bookings behind a feed''s token, from 90 days back to a year ahead: {name, events: [{uid, sequence, start_time, end_time, status, summary, location, organizer, created_at, updated_at}]}. Fails: feed_not_found 404.';
revoke all on function service.calendar_feed(text) from public, anon, authenticated;
grant execute on function service.calendar_feed(text) to service_role;

create function service.booking_event(p_booking_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_booking public.bookings;
begin
  select b.* into v_booking from public.bookings as b where b.id = p_booking_id;
  if not found then
    perform private.refuse_booking();
  end if;
  return private.booking_event(v_booking, false);
end;
$$;
comment on function service.booking_event is 'One booking as a calendar event, as a client''s feed has it. Fails: booking_not_found 404.';
revoke all on function service.booking_event(uuid) from public, anon, authenticated;
grant execute on function service.booking_event(uuid) to service_role;

create function service.list_staff(p_org_id uuid)
returns table (staff_id uuid, full_name text, email text, is_member boolean, is_active boolean, upcoming integer, deactivated_at timestamptz)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select s.id, s.full_name, s.email, s.user_id is not null, s.is_active,
         (select count(*)::integer from public.bookings as b
           where b.org_id = s.org_id and b.staff_id = s.id and b.status in ('pending', 'confirmed') and b.start_time > now()),
         s.deactivated_at
    from public.staff as s
   where s.org_id = p_org_id
   order by s.is_active desc, s.full_name, s.id;
end;
$$;
comment on function service.list_staff is
  'An organisation''s staff, the active first, with how many bookings lie ahead of each. Fails: org_not_found 404.';
revoke all on function service.list_staff(uuid) from public, anon, authenticated;
grant execute on function service.list_staff(uuid) to service_role;

create function service.create_staff(
  p_org_id uuid, p_full_name text, p_email text default null,
  p_member_email text default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_user_id uuid := case when p_member_email is not null then private.user_by_email(p_member_email) end;
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(char_length(btrim(p_full_name)) between 1 and 200, 'full_name');
  perform private.require_value(coalesce(char_length(p_email) <= 320 and position('@' in p_email) > 1, p_email is null), 'email');
  insert into public.staff (org_id, full_name, email, user_id) values (p_org_id, btrim(p_full_name), p_email, v_user_id)
  on conflict (org_id, user_id) where user_id is not null do nothing
  returning id into v_id;
  if v_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This member has a calendar: see the staff.');
  end if;
  return v_id;
end;
$$;
comment on function service.create_staff is
  'Adds a staff member, linked to a member of the organisation or not, and returns their id. Fails: org_not_found 404, user_not_found 404, staff_not_member 422, value_taken 409, value_not_allowed 422.';
revoke all on function service.create_staff(uuid, text, text, text) from public, anon, authenticated;
grant execute on function service.create_staff(uuid, text, text, text) to service_role;

create function service.link_staff(p_staff_id uuid, p_member_email text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.staff_org(p_staff_id);
begin
  perform private.link_staff(v_org_id, p_staff_id, case when p_member_email is not null then private.user_by_email(p_member_email) end);
end;
$$;
comment on function service.link_staff is
  'Links a staff member to the member who signs in as them; without an email, to nobody. Their hours and blocks follow. Fails: staff_not_found 404, user_not_found 404, staff_not_member 422, value_taken 409.';
revoke all on function service.link_staff(uuid, text) from public, anon, authenticated;
grant execute on function service.link_staff(uuid, text) to service_role;

create function service.deactivate_staff(p_staff_id uuid)
returns integer
language sql volatile security definer set search_path = ''
as $$
  select private.deactivate_staff(private.staff_org(p_staff_id), p_staff_id);
$$;
comment on function service.deactivate_staff is
  'public.deactivate_staff for operators. Fails: staff_not_found 404.';
revoke all on function service.deactivate_staff(uuid) from public, anon, authenticated;
grant execute on function service.deactivate_staff(uuid) to service_role;

create function service.reactivate_staff(p_staff_id uuid)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.reactivate_staff(private.staff_org(p_staff_id), p_staff_id);
$$;
comment on function service.reactivate_staff is
  'public.reactivate_staff for operators. Fails: staff_not_found 404.';
revoke all on function service.reactivate_staff(uuid) from public, anon, authenticated;
grant execute on function service.reactivate_staff(uuid) to service_role;

create function service.find_session_type(p_org_id uuid, p_type text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform private.require_known_org(p_org_id);
  -- A slug may look like another type's id: the id wins.
  select t.id into v_id
    from public.session_types as t
   where t.org_id = p_org_id and (t.slug = p_type or t.id::text = p_type)
   order by (t.id::text = p_type) desc limit 1;
  if not found then
    perform private.fail(404, 'session_type_not_found', 'There is no such session type.', 'Reload the session types.');
  end if;
  return v_id;
end;
$$;
comment on function service.find_session_type is
  'The id of an organisation''s session type with this slug or id. Fails: org_not_found 404, session_type_not_found 404.';
revoke all on function service.find_session_type(uuid, text) from public, anon, authenticated;
grant execute on function service.find_session_type(uuid, text) to service_role;

create function service.find_slots(
  p_org_id uuid, p_on date, p_until date default null,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_duration_mins integer default null, p_limit integer default 100)
returns table (starts_local text, start_time timestamptz, end_time timestamptz, staff_id uuid, staff_name text, rank integer, seats_left integer)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  return query
  select to_char(o.start_time at time zone private.org_timezone(p_org_id), 'YYYY-MM-DD HH24:MI'), o.start_time, o.end_time,
         o.staff_id, s.full_name, o.rank, o.seats_left
    from private.offered_slots(p_org_id, p_session_type_id, p_duration_mins, p_staff_id, p_location_id,
                               private.listing_range(p_org_id, p_on, p_until), 'coach') as o
    join public.staff as s on s.org_id = p_org_id and s.id = o.staff_id
   order by o.start_time, o.rank, o.staff_id
   limit least(greatest(coalesce(p_limit, 100), 1), 1000);
end;
$$;
comment on function service.find_slots is
  'public.find_slots for operators, with local starts and the staff''s names, at most p_limit (1 to 1000). Fails: org_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, value_not_allowed 422.';
revoke all on function service.find_slots(uuid, date, date, uuid, uuid, uuid, integer, integer) from public, anon, authenticated;
grant execute on function service.find_slots(uuid, date, date, uuid, uuid, uuid, integer, integer) to service_role;

create function service.book(
  p_org_id uuid, p_client_id uuid, p_start_time timestamptz,
  p_session_type_id uuid default null, p_staff_id uuid default null, p_location_id uuid default null,
  p_purchase_id uuid default null, p_duration_mins integer default null, p_notes text default null,
  p_request_id uuid default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  if not exists (select from public.clients as c where c.org_id = p_org_id and c.id = p_client_id) then
    perform private.refuse_client();
  end if;
  perform private.require_in_org(p_org_id, p_session_type_id, p_staff_id, p_location_id);
  perform private.require_duration(p_duration_mins);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  perform private.require_value(coalesce(char_length(p_notes), 0) <= 20000, 'notes');
  return private.book(p_org_id, p_client_id, p_session_type_id, p_start_time, p_duration_mins, p_staff_id, p_location_id, p_purchase_id,
                      'coach', 'system', p_notes, null, p_request_id);
end;
$$;
comment on function service.book is
  'public.book for operators, with the same outcomes. Fails: org_not_found 404, client_not_found 404, session_type_not_found 404, staff_not_found 404, location_not_found 404, purchase_not_found 404, value_not_allowed 422, request_reused 409, request_in_progress 409.';
revoke all on function service.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) from public, anon, authenticated;
grant execute on function service.book(uuid, uuid, timestamptz, uuid, uuid, uuid, uuid, integer, text, uuid) to service_role;

create function service.reschedule_booking(p_booking_id uuid, p_start_time timestamptz, p_staff_id uuid default null)
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid := private.booking_org(p_booking_id);
begin
  perform private.require_in_org(v_org_id, null, p_staff_id, null);
  perform private.require_value(p_start_time between '2000-01-01' and '2100-01-01', 'start_time');
  return private.reschedule(v_org_id, p_booking_id, p_start_time, p_staff_id, 'coach');
end;
$$;
comment on function service.reschedule_booking is
  'public.reschedule_booking for operators, with the same outcomes. Fails: booking_not_found 404, booking_not_confirmed 409, staff_not_found 404, value_not_allowed 422.';
revoke all on function service.reschedule_booking(uuid, timestamptz, uuid) from public, anon, authenticated;
grant execute on function service.reschedule_booking(uuid, timestamptz, uuid) to service_role;

create function service.cancel_booking(p_booking_id uuid, p_reason text default null, p_is_charged boolean default false)
returns text
language sql volatile security definer set search_path = ''
as $$
  select private.cancel_booking(private.booking_org(p_booking_id), p_booking_id, p_reason, coalesce(p_is_charged, false), null);
$$;
comment on function service.cancel_booking is
  'public.cancel_booking for operators. Fails: booking_not_found 404, booking_not_confirmed 409, booking_moving 409.';
revoke all on function service.cancel_booking(uuid, text, boolean) from public, anon, authenticated;
grant execute on function service.cancel_booking(uuid, text, boolean) to service_role;

-- ── 50_messaging/service.sql ──

-- Messaging for workers, webhooks and operators.

create function service.claim_messages(
  p_worker text, p_limit integer default 100, p_channels text[] default null, p_lease_secs integer default 120, p_now timestamptz default now())
returns table (
  org_id uuid, id uuid, claim uuid, attempt_number integer, channel text, kind text, to_phone text, to_email text, to_tokens text[],
  from_name text, subject text, body text, data jsonb, event jsonb, account jsonb, lease_until timestamptz)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  perform private.require_value(p_lease_secs between 5 and 3600, 'lease_secs');
  return query select c.* from private.claim_messages(p_worker, p_limit, p_channels, make_interval(secs => p_lease_secs), coalesce(p_now, now())) as c;
end;
$$;
comment on function service.claim_messages is
  'Claims what may be sent now, at most p_limit (1 to 1000), each for p_lease_secs (5 to 3600): record_messages must name the claim. A lease that runs out leaves its message unknown. None: nothing may be sent now. Fails: value_not_allowed 422.';
revoke all on function service.claim_messages(text, integer, text[], integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_messages(text, integer, text[], integer, timestamptz) to service_role;

create function service.record_messages(p_results jsonb, p_now timestamptz default now())
returns table (recorded integer, stale integer)
language sql volatile security definer set search_path = ''
as $$
  select r.recorded, r.stale from private.record_messages(p_results, coalesce(p_now, now())) as r;
$$;
comment on function service.record_messages is
  'Records attempts, an array of {org_id, id, claim, outcome: sent | deferred | failed | unknown, provider (none: given back without a try), provider_message_id, provider_status, http_status, error_code, retry_after_secs, gone_tokens}. stale are of a claim that is no longer the message''s. Fails: value_not_allowed 422.';
revoke all on function service.record_messages(jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_messages(jsonb, timestamptz) to service_role;

create function service.defer_account(p_channel text, p_account_sid text, p_until timestamptz)
returns void
language sql volatile security definer set search_path = ''
as $$
  select private.defer_account(p_channel, p_account_sid, least(p_until, now() + interval '1 day'));
$$;
comment on function service.defer_account is
  'Sends nothing through a provider''s account (null: the platform''s) until an instant; what is waiting goes on by itself then.';
revoke all on function service.defer_account(text, text, timestamptz) from public, anon, authenticated;
grant execute on function service.defer_account(text, text, timestamptz) to service_role;

create function service.claim_unknown_messages(p_limit integer default 50, p_now timestamptz default now())
returns table (org_id uuid, id uuid, channel text, to_phone text, body text, claimed_at timestamptz, account jsonb)
language sql volatile security definer set search_path = ''
as $$
  select c.* from private.claim_unknown_messages(least(greatest(p_limit, 1), 1000), coalesce(p_now, now())) as c;
$$;
comment on function service.claim_unknown_messages is
  'SMS that may have been sent, to be looked up at the provider, each again after as long as it has been unknown, for three days.';
revoke all on function service.claim_unknown_messages(integer, timestamptz) from public, anon, authenticated;
grant execute on function service.claim_unknown_messages(integer, timestamptz) to service_role;

create function service.record_lookups(p_results jsonb, p_now timestamptz default now())
returns table (settled integer, unsettled integer)
language sql volatile security definer set search_path = ''
as $$
  select r.settled, r.unsettled from private.record_lookups(p_results, coalesce(p_now, now())) as r;
$$;
comment on function service.record_lookups is
  'Records what the provider knows, an array of {org_id, id, provider_message_id (null: not found), provider_status, error_code}; not found stays unknown.';
revoke all on function service.record_lookups(jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_lookups(jsonb, timestamptz) to service_role;

create function service.record_sms_status(
  p_message_id uuid, p_provider_message_id text, p_status text, p_error_code text default null, p_payload jsonb default '{}', p_now timestamptz default now())
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(char_length(p_provider_message_id) between 1 and 100, 'provider_message_id');
  perform private.require_value(char_length(p_status) between 1 and 40, 'status');
  return private.record_sms_status(p_message_id, p_provider_message_id, p_status, nullif(p_error_code, ''), coalesce(p_payload, '{}'), coalesce(p_now, now()));
end;
$$;
comment on function service.record_sms_status is
  'Takes in a status callback: recorded, repeated, or kept (of a message that is not known yet). Fails: value_not_allowed 422.';
revoke all on function service.record_sms_status(uuid, text, text, text, jsonb, timestamptz) from public, anon, authenticated;
grant execute on function service.record_sms_status(uuid, text, text, text, jsonb, timestamptz) to service_role;

create function service.receive_sms(
  p_message_sid text, p_account_sid text, p_to text, p_from text, p_body text, p_media_count integer default 0, p_now timestamptz default now())
returns jsonb
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(char_length(p_message_sid) between 1 and 100, 'message_sid');
  perform private.require_value(p_from ~ '^[+]?[A-Za-z0-9 ]{1,20}$', 'from');
  perform private.require_value(char_length(p_to) between 1 and 40, 'to');
  return private.receive_sms(p_message_sid, p_account_sid, p_to, p_from, p_body, coalesce(p_media_count, 0), coalesce(p_now, now()));
end;
$$;
comment on function service.receive_sms is
  'Takes in an SMS once: {outcome, reply}; reply is the text to answer, or null. The same message again has no effect and the same answer. Fails: value_not_allowed 422.';
revoke all on function service.receive_sms(text, text, text, text, text, integer, timestamptz) from public, anon, authenticated;
grant execute on function service.receive_sms(text, text, text, text, text, integer, timestamptz) to service_role;

create function service.twilio_secrets(p_account_sid text)
returns text[]
language sql stable security definer set search_path = ''
as $$
  select coalesce(array_agg(distinct s.twilio_auth_token_encrypted), '{}') from public.sms_settings as s where s.twilio_account_sid = p_account_sid;
$$;
comment on function service.twilio_secrets is
  'The encrypted tokens of a Twilio account, to verify a signature with; empty: the platform''s own, or nobody''s.';
revoke all on function service.twilio_secrets(text) from public, anon, authenticated;
grant execute on function service.twilio_secrets(text) to service_role;

create function service.connect_twilio(
  p_org_id uuid, p_account_sid text, p_auth_token_encrypted text, p_messaging_service_sid text default null, p_phone_number text default null)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_account_sid ~ '^AC[0-9a-fA-F]{32}$', 'account_sid');
  perform private.require_value(char_length(p_auth_token_encrypted) between 20 and 2000, 'auth_token_encrypted');
  perform private.require_value(coalesce(p_messaging_service_sid ~ '^MG[0-9a-fA-F]{32}$', true), 'messaging_service_sid');
  perform private.require_value(coalesce(p_phone_number ~ '^[+][1-9][0-9]{6,14}$', p_messaging_service_sid is not null), 'phone_number');
  insert into public.sms_settings as s (org_id, twilio_account_sid, twilio_auth_token_encrypted, twilio_messaging_service_sid, twilio_phone_number)
  values (p_org_id, p_account_sid, p_auth_token_encrypted, p_messaging_service_sid, p_phone_number)
  on conflict (org_id) do update
    set twilio_account_sid = excluded.twilio_account_sid, twilio_auth_token_encrypted = excluded.twilio_auth_token_encrypted,
        twilio_messaging_service_sid = excluded.twilio_messaging_service_sid, twilio_phone_number = excluded.twilio_phone_number;
end;
$$;
comment on function service.connect_twilio is
  'Lets an organisation send through its own Twilio account; the token comes encrypted. Fails: org_not_found 404, value_not_allowed 422.';
revoke all on function service.connect_twilio(uuid, text, text, text, text) from public, anon, authenticated;
grant execute on function service.connect_twilio(uuid, text, text, text, text) to service_role;

create function service.disconnect_twilio(p_org_id uuid)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  update public.sms_settings as s
     set twilio_account_sid = null, twilio_auth_token_encrypted = null, twilio_messaging_service_sid = null, twilio_phone_number = null
   where s.org_id = p_org_id;
end;
$$;
comment on function service.disconnect_twilio is
  'Lets an organisation send through the platform''s account again. Fails: org_not_found 404.';
revoke all on function service.disconnect_twilio(uuid) from public, anon, authenticated;
grant execute on function service.disconnect_twilio(uuid) to service_role;

create function service.sweep_reminders(p_limit integer default 1000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (queued integer, skipped integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  return query select r.queued, r.skipped from private.sweep_reminders(p_limit, coalesce(p_now, now()), coalesce(p_dry_run, false)) as r;
end;
$$;
comment on function service.sweep_reminders is
  'Queues the reminders, follow-ups and nudges that are wanted within a day, at most p_limit (1 to 100000) a call. Fails: value_not_allowed 422.';
revoke all on function service.sweep_reminders(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_reminders(integer, timestamptz, boolean) to service_role;

create function service.sweep_message_leftovers(p_limit integer default 10000, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (deleted integer)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 100000, 'limit');
  -- One that came in the moment its message was being recorded is matched here.
  if not p_dry_run then
    perform private.match_events(m.org_id, m.id, m.provider_message_id, coalesce(p_now, now()))
       from (select distinct e.provider_message_id from private.unmatched_sms_events as e limit p_limit) as e
       join public.outbox_messages as m on m.provider_message_id = e.provider_message_id;
  end if;
  with old_events as (
    select e.id from private.unmatched_sms_events as e where e.received_at < p_now - interval '7 days' limit p_limit for update skip locked),
  old_sids as (
    select i.message_sid from private.inbound_sids as i where i.received_at < p_now - interval '30 days' limit p_limit for update skip locked),
  gone_events as (
    delete from private.unmatched_sms_events as e using old_events as o where e.id = o.id and not p_dry_run returning 1),
  gone_sids as (
    delete from private.inbound_sids as i using old_sids as o where i.message_sid = o.message_sid and not p_dry_run returning 1)
  select case when p_dry_run then (select count(*) from old_events) + (select count(*) from old_sids)
              else (select count(*) from gone_events) + (select count(*) from gone_sids) end::integer into deleted;
  return next;
end;
$$;
comment on function service.sweep_message_leftovers is
  'Deletes callbacks that nobody asked for after a week, and ids of incoming messages after a month, at most p_limit of each. Fails: value_not_allowed 422.';
revoke all on function service.sweep_message_leftovers(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.sweep_message_leftovers(integer, timestamptz, boolean) to service_role;

create function service.list_messages(
  p_org_id uuid, p_client_id uuid default null, p_channel text default null, p_status text default null, p_kind text default null, p_before timestamptz default null, p_limit integer default 50, p_before_id uuid default null)
returns table (
  id uuid, created_at timestamptz, scheduled_for timestamptz, channel text, kind text, status text, client_id uuid, client_name text, error_code text,
  attempts integer, sent_at timestamptz, cause_id uuid)
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return query
  select h.id, h.created_at, h.scheduled_for, h.channel, h.kind, h.status, h.client_id, h.client_name, h.error_code, h.attempts, h.sent_at, h.cause_id
    from private.message_history(p_org_id, p_client_id, p_channel, p_status, p_kind, p_before, p_before_id, p_limit) as h;
end;
$$;
comment on function service.list_messages is
  'An organisation''s messages, newest first, at most p_limit (1 to 500). For the next page send the last row''s created_at and id as p_before and p_before_id. Fails: org_not_found 404.';
revoke all on function service.list_messages(uuid, uuid, text, text, text, timestamptz, integer, uuid) from public, anon, authenticated;
grant execute on function service.list_messages(uuid, uuid, text, text, text, timestamptz, integer, uuid) to service_role;

create function service.show_message(p_id uuid)
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  select m.org_id into v_org_id from public.outbox_messages as m where m.id = p_id;
  if not found then
    perform private.refuse_message();
  end if;
  return private.message_document(v_org_id, p_id);
end;
$$;
comment on function service.show_message is
  'One message with its attempts, what the provider told, and what stood in for it. Fails: message_not_found 404.';
revoke all on function service.show_message(uuid) from public, anon, authenticated;
grant execute on function service.show_message(uuid) to service_role;

create function service.retry_message(p_id uuid)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  select private.retry_message(p_id);
$$;
comment on function service.retry_message is
  'Sends a message again that did not arrive or may not have; returns the new one. Of an unknown one this may be the second. Fails: message_not_found 404, message_not_retryable 409, message_retried 409.';
revoke all on function service.retry_message(uuid) from public, anon, authenticated;
grant execute on function service.retry_message(uuid) to service_role;

create function service.messages_state(p_org_id uuid default null)
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select jsonb_build_object(
    'channels', (select coalesce(jsonb_object_agg(x.channel, x.states), '{}')
                   from (select y.channel, jsonb_object_agg(y.status, y.n) as states
                           from (select m.channel, m.status, count(*) as n from public.outbox_messages as m
                                  where p_org_id is null or m.org_id = p_org_id group by 1, 2) as y group by 1) as x),
    'due', (select count(*) from public.outbox_messages as m
             where m.status in ('pending', 'queued') and m.next_at <= now() and (p_org_id is null or m.org_id = p_org_id)),
    'oldest_due_at', (select min(m.next_at) from public.outbox_messages as m
                       where m.status in ('pending', 'queued') and m.next_at <= now() and (p_org_id is null or m.org_id = p_org_id)),
    'unknown', (select count(*) from public.outbox_messages as m where m.status = 'unknown' and (p_org_id is null or m.org_id = p_org_id)),
    'deferred', (select coalesce(jsonb_agg(jsonb_build_object('channel', l.channel, 'until', l.until_at) order by l.until_at), '[]')
                   from private.provider_limits as l where l.until_at > now()));
$$;
comment on function service.messages_state is
  'How many messages are in which state: {channels: {channel: {status: n}}, due, oldest_due_at, unknown, deferred: [{channel, until}]}; of one organisation, or of all.';
revoke all on function service.messages_state(uuid) from public, anon, authenticated;
grant execute on function service.messages_state(uuid) to service_role;

create function service.push_message(p_client_id uuid, p_title text, p_body text, p_data jsonb default '{}')
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_org_id uuid;
begin
  perform private.require_value(char_length(btrim(p_title)) between 1 and 200, 'title');
  perform private.require_value(char_length(btrim(p_body)) between 1 and 2000, 'body');
  select c.org_id into v_org_id from public.clients as c where c.id = p_client_id;
  if not found then
    perform private.fail(404, 'client_not_found', 'There is no such client.', 'Reload the clients.');
  end if;
  if not exists (select from public.push_tokens as t where t.org_id = v_org_id and t.client_id = p_client_id) then
    return null;
  end if;
  return private.queue_message(v_org_id, 'push', 'thread_message', p_client_id, null, p_body => p_body, p_subject => p_title,
                               p_metadata => jsonb_build_object('data', coalesce(p_data, '{}')));
end;
$$;
comment on function service.push_message is
  'Queues a push message to a client''s devices; null where they have none. Fails: client_not_found 404, value_not_allowed 422.';
revoke all on function service.push_message(uuid, text, text, jsonb) from public, anon, authenticated;
grant execute on function service.push_message(uuid, text, text, jsonb) to service_role;

create function service.set_platform_setting(p_name text, p_value text)
returns void
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_name in ('app_url'), 'name');
  perform private.require_value(p_value ~ '^https?://[^ ]+$' and char_length(p_value) <= 500, 'value');
  insert into private.platform_settings as s (name, value) values (p_name, p_value)
  on conflict (name) do update set value = excluded.value;
end;
$$;
comment on function service.set_platform_setting is
  'Sets what holds for the whole platform: app_url, the address of the apps'' pages in links. Fails: value_not_allowed 422.';
revoke all on function service.set_platform_setting(text, text) from public, anon, authenticated;
grant execute on function service.set_platform_setting(text, text) to service_role;

-- ── 65_billing/service.sql ──

-- Billing for the Python side and for operators: plans, grants, the customer's directory, and what the sweep asks about.

create function service.list_features()
returns table (feature text, description text, is_limit boolean)
language sql stable security definer set search_path = ''
as $$
  select f.feature, f.description, f.is_limit from private.features as f order by f.is_limit, f.feature;
$$;
comment on function service.list_features is 'What a plan can have: features, then limits.';
revoke all on function service.list_features() from public, anon, authenticated;
grant execute on function service.list_features() to service_role;

create function service.list_plans()
returns table (
  plan text, name text, price_cents bigint, currency text, billing_period text, commission_rate numeric, features text[], limits jsonb,
  trial_days integer, grace_days integer, rank integer, is_default boolean, is_active boolean, stripe_price_id text, orgs bigint)
language sql stable security definer set search_path = ''
as $$
  select p.plan, p.name, p.price_cents, p.currency, p.billing_period, p.commission_rate, p.features, p.limits, p.trial_days, p.grace_days,
         p.rank, p.is_default, p.is_active, p.stripe_price_id,
         (select count(distinct x.org_id)
            from (select s.org_id from public.org_subscriptions as s
                   where s.plan = p.plan and private.subscription_counts_until(s, p.grace_days) > now()
                  union all
                  select g.org_id from public.plan_grants as g
                   where g.plan = p.plan and g.starts_at <= now() and now() < least(g.ends_at, g.revoked_at)) as x)
    from public.plans as p order by p.rank desc, p.plan;
$$;
comment on function service.list_plans is 'The plans, best first, with how many organisations have each by a subscription, a trial or a comp.';
revoke all on function service.list_plans() from public, anon, authenticated;
grant execute on function service.list_plans() to service_role;

-- A parameter that is left out leaves an existing plan as it is.
create function service.set_plan(
  p_plan text, p_name text default null, p_price_cents bigint default null, p_currency text default null, p_billing_period text default null,
  p_commission_rate numeric default null, p_features text[] default null, p_limits jsonb default null, p_trial_days integer default null,
  p_grace_days integer default null, p_rank integer default null, p_is_default boolean default null, p_is_active boolean default null,
  p_stripe_price_id text default null, p_description text default null)
returns public.plans
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_before jsonb := (select to_jsonb(p) from public.plans as p where p.plan = p_plan);
  v_plan public.plans;
begin
  perform private.require_value(p_plan ~ '^[a-z0-9_-]{1,40}$', 'plan'),
          private.require_value(coalesce(char_length(btrim(p_name)) between 1 and 100, true), 'name'),
          private.require_value(coalesce(p_price_cents between 0 and 1000000000, true), 'price'),
          private.require_value(coalesce(p_currency ~ '^[a-z]{3}$', true), 'currency'),
          private.require_value(coalesce(p_billing_period in ('monthly', 'yearly'), true), 'billing_period'),
          private.require_value(coalesce(p_commission_rate between 0 and 1, true), 'commission_rate'),
          private.require_value(coalesce(p_features <@ (select array_agg(f.feature) from private.features as f where not f.is_limit), true), 'features'),
          private.require_value(coalesce(jsonb_typeof(p_limits) = 'object', true), 'limits'),
          private.require_value(coalesce(p_trial_days between 0 and 365, true), 'trial_days'),
          private.require_value(coalesce(p_grace_days between 0 and 90, true), 'grace_days'),
          private.require_value(coalesce(p_stripe_price_id ~ '^price_[A-Za-z0-9_]{1,200}$', true), 'stripe_price_id'),
          private.require_value(coalesce(char_length(p_description) <= 2000, true), 'description');
  perform private.require_value(not exists (
    select from jsonb_each(coalesce(p_limits, '{}')) as l
     where not exists (select from private.features as f where f.is_limit and f.feature = l.key)
        or jsonb_typeof(l.value) <> 'number' or (l.value #>> '{}') !~ '^[0-9]{1,7}$'), 'limits');
  if v_before is null then
    perform private.require_value(p_name is not null, 'name'), private.require_value(p_price_cents is not null, 'price');
  end if;
  if p_is_default then
    update public.plans as p set is_default = false where p.is_default and p.plan <> p_plan;
  end if;
  insert into public.plans as p (
    plan, name, description, price_cents, currency, billing_period, commission_rate, features, limits, trial_days, grace_days, rank, is_default,
    is_active, stripe_price_id)
  values (
    p_plan, coalesce(btrim(p_name), p_plan), coalesce(p_description, ''), coalesce(p_price_cents, 0), coalesce(p_currency, 'aud'),
    coalesce(p_billing_period, 'monthly'), p_commission_rate, coalesce(p_features, '{}'), coalesce(p_limits, '{}'), coalesce(p_trial_days, 7),
    coalesce(p_grace_days, 7), coalesce(p_rank, 0), coalesce(p_is_default, false), coalesce(p_is_active, true), p_stripe_price_id)
  on conflict (plan) do update
     set name = coalesce(btrim(p_name), p.name), description = coalesce(p_description, p.description),
         price_cents = coalesce(p_price_cents, p.price_cents), currency = coalesce(p_currency, p.currency),
         billing_period = coalesce(p_billing_period, p.billing_period), commission_rate = coalesce(p_commission_rate, p.commission_rate),
         features = coalesce(p_features, p.features), limits = coalesce(p_limits, p.limits), trial_days = coalesce(p_trial_days, p.trial_days),
         grace_days = coalesce(p_grace_days, p.grace_days), rank = coalesce(p_rank, p.rank), is_default = coalesce(p_is_default, p.is_default),
         is_active = coalesce(p_is_active, p.is_active), stripe_price_id = coalesce(p_stripe_price_id, p.stripe_price_id)
  returning p.* into v_plan;
  -- Who subscribed at this price before it was a plan's.
  update public.org_subscriptions as s set plan = v_plan.plan where s.stripe_price_id = v_plan.stripe_price_id and s.plan is distinct from v_plan.plan;
  perform private.record_audit(null, 'set_plan', 'plans', null, v_before - '{updated_at}'::text[], to_jsonb(v_plan) - '{updated_at}'::text[]);
  return v_plan;
end;
$$;
comment on function service.set_plan is
  'Makes a plan, or changes what is given of it. Features and limits ({name: number}) replace the old ones; see list_features. Fails: value_not_allowed 422, price_in_use 409.';
revoke all on function service.set_plan(text, text, bigint, text, text, numeric, text[], jsonb, integer, integer, integer, boolean, boolean, text, text)
  from public, anon, authenticated;
grant execute on function service.set_plan(text, text, bigint, text, text, numeric, text[], jsonb, integer, integer, integer, boolean, boolean, text, text)
  to service_role;

create function service.entitlements(p_org_id uuid, p_at timestamptz default now())
returns jsonb
language plpgsql stable security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.entitlements(p_org_id, p_at);
end;
$$;
comment on function service.entitlements is
  'What an organisation may use at an instant, until when, and why; as public.entitlements. Fails: org_not_found 404.';
revoke all on function service.entitlements(uuid, timestamptz) from public, anon, authenticated;
grant execute on function service.entitlements(uuid, timestamptz) to service_role;

create function service.grant_plan(
  p_org_id uuid, p_source text, p_plan text, p_ends_at timestamptz default null, p_reason text default null, p_request_id uuid default null)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.grant_plan(p_org_id, p_source, p_plan, p_ends_at, p_reason, null, p_request_id);
end;
$$;
comment on function service.grant_plan is
  'Gives an organisation a plan for a time: source comp (with its end) or trial. Returns the grant''s id. Fails: org_not_found 404, plan_not_found 404, value_not_allowed 422, request_reused 409.';
revoke all on function service.grant_plan(uuid, text, text, timestamptz, text, uuid) from public, anon, authenticated;
grant execute on function service.grant_plan(uuid, text, text, timestamptz, text, uuid) to service_role;

create function service.revoke_grant(p_org_id uuid, p_grant_id uuid)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_known_org(p_org_id);
  return private.revoke_grant(p_org_id, p_grant_id, null);
end;
$$;
comment on function service.revoke_grant is
  'Ends a trial or comp now; false where it had ended. Fails: org_not_found 404, grant_not_found 404.';
revoke all on function service.revoke_grant(uuid, uuid) from public, anon, authenticated;
grant execute on function service.revoke_grant(uuid, uuid) to service_role;

create function service.billing_customer(p_org_id uuid)
returns text
language sql stable security definer set search_path = ''
as $$
  select c.stripe_customer_id from private.billing_customers as c where c.org_id = p_org_id;
$$;
comment on function service.billing_customer is 'The organisation''s customer at the provider; null: none yet.';
revoke all on function service.billing_customer(uuid) from public, anon, authenticated;
grant execute on function service.billing_customer(uuid) to service_role;

-- The first one stays: two tabs that both made a customer go on with the same one.
create function service.link_billing_customer(p_org_id uuid, p_customer_id text)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_customer_id text;
begin
  perform private.require_known_org(p_org_id);
  perform private.require_value(p_customer_id ~ '^cus_[A-Za-z0-9_]{1,200}$', 'customer_id');
  insert into private.billing_customers (stripe_customer_id, org_id) values (p_customer_id, p_org_id) on conflict do nothing;
  select c.stripe_customer_id into v_customer_id from private.billing_customers as c where c.org_id = p_org_id;
  if v_customer_id is null then
    perform private.fail(409, 'value_taken', 'There is already one with this value.', 'This customer is another organisation''s.');
  end if;
  return v_customer_id;
end;
$$;
comment on function service.link_billing_customer is
  'Notes which customer at the provider an organisation is; returns the one that counts, which is the first. Fails: org_not_found 404, value_not_allowed 422, value_taken 409.';
revoke all on function service.link_billing_customer(uuid, text) from public, anon, authenticated;
grant execute on function service.link_billing_customer(uuid, text) to service_role;

-- Besides what events left open: a period that ended an hour ago, of which nobody has heard since.
create function service.claim_subscription_checks(p_limit integer default 100, p_now timestamptz default now(), p_dry_run boolean default false)
returns table (org_id uuid, id uuid, stripe_subscription_id text, revision bigint)
language plpgsql volatile security definer set search_path = ''
as $$
begin
  perform private.require_value(p_limit between 1 and 1000, 'limit');
  if p_dry_run then
    return query
    select s.org_id, s.id, s.stripe_subscription_id, s.revision from public.org_subscriptions as s
     where s.refetch_at <= p_now
        or (s.status in ('trialing', 'active', 'past_due') and s.current_period_ends_at < p_now - interval '1 hour' and s.refetch_at is null
            and coalesce(s.fetched_at < p_now - interval '6 hours', true))
     limit p_limit;
    return;
  end if;
  return query
  with left_open as (
    select s.org_id, s.id from public.org_subscriptions as s where s.refetch_at <= p_now
     order by s.refetch_at limit p_limit for no key update skip locked),
  unheard as (
    select s.org_id, s.id from public.org_subscriptions as s
     where s.status in ('trialing', 'active', 'past_due') and s.current_period_ends_at < p_now - interval '1 hour' and s.refetch_at is null
       and coalesce(s.fetched_at < p_now - interval '6 hours', true)
     order by s.current_period_ends_at limit p_limit for no key update skip locked),
  due as (select o.org_id, o.id from left_open as o union all select u.org_id, u.id from unheard as u limit p_limit)
  update public.org_subscriptions as s set refetch_at = p_now + interval '2 minutes'
    from due as d where s.org_id = d.org_id and s.id = d.id
  returning s.org_id, s.id, s.stripe_subscription_id, s.revision;
end;
$$;
comment on function service.claim_subscription_checks is
  'Subscriptions to ask the provider about, lent for two minutes: what events left open, and renewals nobody heard of. Fails: value_not_allowed 422.';
revoke all on function service.claim_subscription_checks(integer, timestamptz, boolean) from public, anon, authenticated;
grant execute on function service.claim_subscription_checks(integer, timestamptz, boolean) to service_role;

create function service.record_subscription(p_org_id uuid, p_id uuid, p_subscription jsonb, p_as_of timestamptz, p_revision bigint)
returns text
language plpgsql volatile security definer set search_path = ''
as $$
begin
  if not exists (select from public.org_subscriptions as s
                  where s.org_id = p_org_id and s.id = p_id and s.stripe_subscription_id = p_subscription ->> 'id') then
    perform private.fail(404, 'subscription_not_found', 'There is no such subscription.', 'Ask again.');
  end if;
  return private.mirror_subscription(p_subscription, p_as_of, null, p_revision);
end;
$$;
comment on function service.record_subscription is
  'Writes the provider''s answer about a subscription, as of the provider''s own time; revision: as it was claimed. Returns mirrored, or stale where an event said something later. Fails: subscription_not_found 404, stripe_field_missing 422.';
revoke all on function service.record_subscription(uuid, uuid, jsonb, timestamptz, bigint) from public, anon, authenticated;
grant execute on function service.record_subscription(uuid, uuid, jsonb, timestamptz, bigint) to service_role;

create function service.record_subscription_failure(p_org_id uuid, p_id uuid, p_error text)
returns void
language sql volatile security definer set search_path = ''
as $$
  update public.org_subscriptions as s set fetch_error = left(p_error, 200), refetch_at = now() + interval '15 minutes'
   where s.org_id = p_org_id and s.id = p_id;
$$;
comment on function service.record_subscription_failure is 'Notes that the provider could not be asked, by a slug, and asks again in a quarter of an hour.';
revoke all on function service.record_subscription_failure(uuid, uuid, text) from public, anon, authenticated;
grant execute on function service.record_subscription_failure(uuid, uuid, text) to service_role;

-- ── 95_overview/service.sql ──

-- Overviews for operators and monitors.

create function service.pulse()
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.pulse();
$$;
comment on function service.pulse is
  'Every kind of work that runs by itself: {as_of, verdict: healthy | degraded | failing, kinds: [{kind, description, verdict, reasons, backlog, oldest_due_at, oldest_due_secs, done, failed, error_rate, deferred_until, failures: [{reason, count}], stuck: [{id, since, reason, fix}], runs, last_run_at, degraded_after_secs, failing_after_secs, fix}]}. done, failed and runs are of the last hour.';
revoke all on function service.pulse() from public, anon, authenticated;
grant execute on function service.pulse() to service_role;

-- ── 97_doctor/service.sql ──

-- The doctor for operators.

create function service.examine(p_is_quick boolean default false, p_now timestamptz default now())
returns jsonb
language sql stable security definer set search_path = ''
as $$
  select private.examine(p_now, p_is_quick);
$$;
comment on function service.examine is
  'Looks at everything that private.doctor_checks lists, or quickly at what costs little: {checked, findings: [{check, severity, meaning, fix, count, examples: [{org_id, subject, detail}]}], blind: [{check, sqlstate}]}. Changes nothing.';
revoke all on function service.examine(boolean, timestamptz) from public, anon, authenticated;
grant execute on function service.examine(boolean, timestamptz) to service_role;

-- What the migrations say is given by whoever has them; both directions are drift.
create function service.grant_drift(p_expected jsonb)
returns table (function text, role text, is_extra boolean)
language sql stable security definer set search_path = ''
as $$
  with expected as (
    select f.key as function, jsonb_array_elements_text(f.value) as role from jsonb_each(p_expected) as f)
  select coalesce(a.function, e.function), coalesce(a.role, e.role), e.function is null
    from (select distinct g.function, g.role from private.function_grants() as g) as a
    full join expected as e on e.function = a.function and e.role = a.role
   where a.function is null or e.function is null
   order by 1, 2;
$$;
comment on function service.grant_drift is
  'Where the right to call functions differs from what the migrations gave: p_expected {function: [role]}; is_extra: may be called and should not.';
revoke all on function service.grant_drift(jsonb) from public, anon, authenticated;
grant execute on function service.grant_drift(jsonb) to service_role;

create function service.clock()
returns timestamptz
language sql volatile security definer set search_path = ''
as $$
  select clock_timestamp();
$$;
comment on function service.clock is 'What time it is in the database.';
revoke all on function service.clock() from public, anon, authenticated;
grant execute on function service.clock() to service_role;

create function service.timezones(p_limit integer default 200)
returns table (timezone text, utc_offset_secs integer, utc_offset_secs_in_half_a_year integer)
language sql stable security definer set search_path = ''
as $$
  select b.timezone,
         extract(epoch from (now() at time zone b.timezone) - (now() at time zone 'UTC'))::integer,
         extract(epoch from ((now() + interval '182 days') at time zone b.timezone) - ((now() + interval '182 days') at time zone 'UTC'))::integer
    from (select distinct s.timezone from public.booking_settings as s
           where exists (select from pg_catalog.pg_timezone_names as n where n.name = s.timezone)) as b
   order by 1 limit least(greatest(p_limit, 1), 1000);
$$;
comment on function service.timezones is 'The timezones that organisations have, with their offsets from UTC by the database''s data: now, and in half a year.';
revoke all on function service.timezones(integer) from public, anon, authenticated;
grant execute on function service.timezones(integer) to service_role;

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
    ('progress.read',     '{owner,manager,coach,staff}'),
    ('progress.write',    '{owner,manager,coach,staff}'),
    ('finance.read',      '{owner,manager,accountant_readonly}'),
    ('offers.read',       '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('offers.write',      '{owner,manager,coach,staff}'),
    ('packages.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('packages.sell',     '{owner,manager,coach,staff,front_desk}'),
    ('packages.correct',  '{owner,manager,coach,staff}'),
    ('sessions.use',      '{owner,manager,coach,staff,front_desk}'),
    ('sessions.release',  '{owner,manager,coach,staff,front_desk}'),
    ('staff.write',       '{owner,manager}'),
    ('bookings.read',     '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('bookings.write',    '{owner,manager,coach,staff,front_desk}'),
    ('messages.read',     '{owner,manager,coach,staff,front_desk}'),
    ('messages.write',    '{owner,manager,coach,staff,front_desk}'),
    ('marketing.send',    '{owner,manager,coach,staff}'),
    ('billing.read',      '{owner,manager,accountant_readonly}'),
    ('billing.write',     '{owner,manager}'),
    ('automations.read',  '{owner,manager,coach,staff,front_desk,accountant_readonly}'),
    ('automations.write', '{owner,manager,coach,staff}')
  ) as p (permission, roles)
 cross join unnest(p.roles) as r (role);

-- ── 15_operations/data.sql ──

-- Whose values the audit logs keep: settings, prices and states. Never a name, an address, a text that a person wrote, or a secret.

insert into private.audited_columns (subject_type, column_name)
select t.subject_type, c.column_name
  from (values
    ('brakes', '{kind}'::text[]),
    ('orgs', '{commission_rate,onboarding_completed}'),
    ('org_members', '{role}'),
    ('offers', '{offer_type,price_cents,sessions_included,is_active}'),
    ('promo_codes', '{discount_type,discount_value,is_active}'),
    ('client_purchases', '{payment_status,expires_at,sessions_total}'),
    ('booking_settings', '{timezone,no_show_policy,late_cancellation_policy,buffer_between_mins,min_notice_hours,max_advance_days}'),
    ('session_types', '{duration_mins,price_cents,is_active}')
  ) as t (subject_type, columns)
 cross join unnest(t.columns) as c (column_name);

-- ── 27_progress/data.sql ──

-- What the apps propose to measure.

insert into public.measurement_types (id, name, unit, category, sort_order) values
  ('ae76e1e4-6e12-5bc7-82ea-b2f95c735677', 'Weight', 'kg', 'body', 10),
  ('6364fb28-f15b-5416-8aba-cd199c7f7e09', 'Body fat', '%', 'body', 20),
  ('b3aa4bcf-5507-58ce-9e63-6b5f12cb9df9', 'Muscle mass', 'kg', 'body', 30),
  ('9dbc17fd-a00b-5111-b4f6-32e3d83e9fd0', 'Neck', 'cm', 'circumference', 40),
  ('5f3e29f6-2f96-58a2-bf42-54981b9edaf9', 'Chest', 'cm', 'circumference', 50),
  ('76449381-a449-5661-8a53-93dedc52363a', 'Waist', 'cm', 'circumference', 60),
  ('c3f8d7de-61b0-5dc7-aed2-f69ff255d483', 'Hips', 'cm', 'circumference', 70),
  ('390798cf-b5a4-56fb-837d-0cc8ad4508d4', 'Upper arm', 'cm', 'circumference', 80),
  ('062dbe65-e159-589b-b314-6397822f1f98', 'Thigh', 'cm', 'circumference', 90),
  ('f0bfe9c6-98af-57a3-a5b9-a3af75ab8882', 'Calf', 'cm', 'circumference', 100),
  ('7d6db5c1-1d19-5c33-b45e-598ea2e9f7d7', 'Resting heart rate', 'bpm', 'health', 110),
  ('730c6ece-b037-56c8-b300-4b9dfec490a5', 'Systolic blood pressure', 'mmHg', 'health', 120),
  ('17fa4b5e-ff07-5149-9cad-ef184deb51bf', 'Diastolic blood pressure', 'mmHg', 'health', 130),
  ('f9b8dc40-e09f-5ebd-b88a-ad94a301e634', 'VO2 max', 'ml/kg/min', 'fitness', 140),
  ('197be251-86b3-52ec-bfa7-2e89aed75c4a', 'Plank', 's', 'fitness', 150),
  ('f3f599f8-a7e1-5666-b1f8-282269ebf613', 'Push-ups', 'reps', 'fitness', 160);

-- ── 50_messaging/data.sql ──

-- What every organisation's messages say until it saves its own words.
-- They invite Y and R; never CANCEL, which the carriers take for an opt-out.

insert into private.message_kinds (kind, variables, subject, body, asks_confirmation, is_urgent_allowed, priority)
select k.kind,
       '{client_name,first_name,business_name,coach_name,portal_link,sessions_remaining,sessions_booked,session_summary,answer_hint}'::text[] || k.variables,
       k.subject, k.body, k.asks_confirmation, k.is_urgent_allowed, k.priority
  from (values
    ('booking_confirmation', '{session_datetime,session_type,location,feedback_link}'::text[], 'Your session on {session_datetime}',
     'Hi {first_name}, your session with {coach_name} is booked for {session_datetime}{location}. {answer_hint} {business_name}', true, false, 0),
    ('series_booked', '{session_datetime,session_type,location,session_count}', 'Your sessions from {session_datetime}',
     'Hi {first_name}, {session_count} sessions with {coach_name} are booked, the first for {session_datetime}. {business_name}', false, false, 0),
    ('booking_reminder', '{session_datetime,session_type,location,feedback_link}', 'Reminder: your session on {session_datetime}',
     'Hi {first_name}, a reminder of your session with {coach_name} on {session_datetime}{location}. {answer_hint}', true, false, 0),
    ('confirmation_nudge', '{session_datetime,session_type,location}', 'Please confirm your session on {session_datetime}',
     'Hi {first_name}, we have not heard from you about your session on {session_datetime}. {answer_hint}', true, false, 0),
    ('booking_follow_up', '{session_datetime,session_type,location,feedback_link}', 'How was your session?',
     'Hi {first_name}, thank you for your session on {session_datetime}. How was it? {feedback_link}', false, false, 0),
    ('booking_rescheduled', '{session_datetime,previous_datetime,session_type,location}', 'Your session is now on {session_datetime}',
     'Hi {first_name}, your session with {coach_name} has moved to {session_datetime}{location}. {answer_hint} {business_name}', true, true, 0),
    ('series_moved', '{session_datetime,session_type,location,session_count}', 'Your sessions have moved',
     'Hi {first_name}, your sessions with {coach_name} have moved; the next is on {session_datetime}. {business_name}', false, true, 0),
    ('booking_cancelled', '{session_datetime,session_type,location}', 'Your session on {session_datetime} is cancelled',
     'Hi {first_name}, your session with {coach_name} on {session_datetime} is cancelled. {portal_link} {business_name}', false, true, 0),
    ('series_ended', '{session_datetime,session_type,location,session_count}', 'Your sessions have ended',
     'Hi {first_name}, your sessions with {coach_name} from {session_datetime} on are cancelled. {business_name}', false, true, 0),
    ('waitlist_offer', '{session_datetime,session_type,location,offer_until}', 'A time is free: {session_datetime}',
     'Hi {first_name}, a time you waited for is free: {session_datetime}. It is held for you until {offer_until}. {portal_link}', false, true, 0),
    ('low_package', '{}', 'Your sessions with {business_name}',
     'Hi {first_name}, {session_summary}. Reply here or see {portal_link} to renew. {business_name}', false, false, 0),
    ('portal_link', '{link}', 'Your page at {business_name}',
     'Hi {first_name}, your sessions and bookings with {business_name}: {link}', false, false, 0),
    ('waiver_link', '{link}', 'Please sign: {business_name}',
     'Hi {first_name}, please read and sign before your session: {link} {business_name}', false, false, 0),
    ('onboarding_link', '{link}', 'Welcome to {business_name}',
     'Hi {first_name}, welcome! Please tell us about you: {link} {business_name}', false, false, 0),
    ('direct', '{session_datetime,session_type,location}', 'A message from {business_name}', '{message}', false, false, 0),
    ('thread_message', '{}', '{business_name}', '{message}', false, false, 0),
    ('coach_notice', '{session_datetime,notice}', '{notice}: {client_name}', '{client_name}: {notice}. {session_datetime}', false, true, 0),
    ('marketing', '{}', 'News from {business_name}', '{message}', false, false, 1)
  ) as k (kind, variables, subject, body, asks_confirmation, is_urgent_allowed, priority);

-- Source: the metadata of the phonenumbers package (Google's libphonenumber); a test holds it against them.
insert into private.phone_regions (region, calling_code, trunk_prefix, mobile_digits) values
  ('AC', '247', null, 5), ('AD', '376', null, 9), ('AE', '971', '0', 9), ('AF', '93', '0', 9),
  ('AG', '1', '1', 10), ('AI', '1', '1', 10), ('AL', '355', '0', 9), ('AM', '374', '0', 8),
  ('AO', '244', null, 9), ('AR', '54', '0', 11), ('AS', '1', '1', 10), ('AT', '43', '0', 13),
  ('AU', '61', '0', 9), ('AW', '297', null, 7), ('AX', '358', '0', 10), ('AZ', '994', '0', 9),
  ('BA', '387', '0', 9), ('BB', '1', '1', 10), ('BD', '880', '0', 10), ('BE', '32', '0', 9),
  ('BF', '226', null, 8), ('BG', '359', '0', 9), ('BH', '973', null, 8), ('BI', '257', null, 8),
  ('BJ', '229', null, 10), ('BL', '590', '0', 9), ('BM', '1', '1', 10), ('BN', '673', null, 7),
  ('BO', '591', '0', 8), ('BQ', '599', null, 7), ('BR', '55', '0', 11), ('BS', '1', '1', 10),
  ('BT', '975', null, 8), ('BW', '267', null, 8), ('BY', '375', '80', 9), ('BZ', '501', null, 7),
  ('CA', '1', '1', 10), ('CC', '61', '0', 9), ('CD', '243', '0', 9), ('CF', '236', null, 8),
  ('CG', '242', null, 9), ('CH', '41', '0', 9), ('CI', '225', null, 10), ('CK', '682', null, 5),
  ('CL', '56', null, 9), ('CM', '237', null, 9), ('CN', '86', '0', 11), ('CO', '57', '0', 10),
  ('CR', '506', null, 8), ('CU', '53', '0', 8), ('CV', '238', null, 7), ('CW', '599', null, 8),
  ('CX', '61', '0', 9), ('CY', '357', null, 8), ('CZ', '420', null, 9), ('DE', '49', '0', 11),
  ('DJ', '253', null, 8), ('DK', '45', null, 8), ('DM', '1', '1', 10), ('DO', '1', '1', 10),
  ('DZ', '213', '0', 9), ('EC', '593', '0', 9), ('EE', '372', null, 8), ('EG', '20', '0', 10),
  ('EH', '212', '0', 9), ('ER', '291', '0', 7), ('ES', '34', null, 9), ('ET', '251', '0', 9),
  ('FI', '358', '0', 10), ('FJ', '679', null, 7), ('FK', '500', null, 5), ('FM', '691', null, 7),
  ('FO', '298', null, 6), ('FR', '33', '0', 9), ('GA', '241', null, 8), ('GB', '44', '0', 10),
  ('GD', '1', '1', 10), ('GE', '995', '0', 9), ('GF', '594', '0', 9), ('GG', '44', '0', 10),
  ('GH', '233', '0', 9), ('GI', '350', null, 8), ('GL', '299', null, 6), ('GM', '220', null, 9),
  ('GN', '224', null, 9), ('GP', '590', '0', 9), ('GQ', '240', null, 9), ('GR', '30', null, 10),
  ('GT', '502', null, 8), ('GU', '1', '1', 10), ('GW', '245', null, 9), ('GY', '592', null, 7),
  ('HK', '852', null, 8), ('HN', '504', null, 8), ('HR', '385', '0', 9), ('HT', '509', null, 8),
  ('HU', '36', '06', 9), ('ID', '62', '0', 12), ('IE', '353', '0', 9), ('IL', '972', '0', 9),
  ('IM', '44', '0', 10), ('IN', '91', '0', 10), ('IO', '246', null, 7), ('IQ', '964', '0', 10),
  ('IR', '98', '0', 10), ('IS', '354', null, 9), ('IT', '39', null, 10), ('JE', '44', '0', 10),
  ('JM', '1', '1', 10), ('JO', '962', '0', 9), ('JP', '81', '0', 10), ('KE', '254', '0', 9),
  ('KG', '996', '0', 9), ('KH', '855', '0', 9), ('KI', '686', '0', 8), ('KM', '269', null, 7),
  ('KN', '1', '1', 10), ('KP', '850', '0', 10), ('KR', '82', '0', 10), ('KW', '965', null, 8),
  ('KY', '1', '1', 10), ('KZ', '7', '8', 10), ('LA', '856', '0', 10), ('LB', '961', '0', 8),
  ('LC', '1', '1', 10), ('LI', '423', '0', 9), ('LK', '94', '0', 9), ('LR', '231', '0', 9),
  ('LS', '266', null, 8), ('LT', '370', '0', 8), ('LU', '352', null, 9), ('LV', '371', null, 8),
  ('LY', '218', '0', 9), ('MA', '212', '0', 9), ('MC', '377', '0', 9), ('MD', '373', '0', 8),
  ('ME', '382', '0', 8), ('MF', '590', '0', 9), ('MG', '261', '0', 9), ('MH', '692', '1', 7),
  ('MK', '389', '0', 8), ('ML', '223', null, 8), ('MM', '95', '0', 10), ('MN', '976', '0', 8),
  ('MO', '853', null, 8), ('MP', '1', '1', 10), ('MQ', '596', '0', 9), ('MR', '222', null, 8),
  ('MS', '1', '1', 10), ('MT', '356', null, 8), ('MU', '230', null, 8), ('MV', '960', null, 7),
  ('MW', '265', '0', 9), ('MX', '52', null, 10), ('MY', '60', '0', 10), ('MZ', '258', null, 9),
  ('NA', '264', '0', 9), ('NC', '687', null, 6), ('NE', '227', null, 8), ('NF', '672', null, 6),
  ('NG', '234', '0', 10), ('NI', '505', null, 8), ('NL', '31', '0', 11), ('NO', '47', null, 8),
  ('NP', '977', '0', 10), ('NR', '674', null, 7), ('NU', '683', null, 7), ('NZ', '64', '0', 10),
  ('OM', '968', null, 8), ('PA', '507', null, 8), ('PE', '51', '0', 9), ('PF', '689', null, 8),
  ('PG', '675', null, 8), ('PH', '63', '0', 10), ('PK', '92', '0', 10), ('PL', '48', null, 9),
  ('PM', '508', '0', 9), ('PR', '1', '1', 10), ('PS', '970', '0', 9), ('PT', '351', null, 9),
  ('PW', '680', null, 7), ('PY', '595', '0', 9), ('QA', '974', null, 8), ('RE', '262', '0', 9),
  ('RO', '40', '0', 9), ('RS', '381', '0', 10), ('RU', '7', '8', 10), ('RW', '250', '0', 9),
  ('SA', '966', '0', 9), ('SB', '677', null, 7), ('SC', '248', null, 7), ('SD', '249', '0', 9),
  ('SE', '46', '0', 9), ('SG', '65', null, 8), ('SH', '290', null, 5), ('SI', '386', '0', 8),
  ('SJ', '47', null, 8), ('SK', '421', '0', 9), ('SL', '232', '0', 8), ('SM', '378', null, 8),
  ('SN', '221', null, 9), ('SO', '252', '0', 9), ('SR', '597', null, 7), ('SS', '211', '0', 9),
  ('ST', '239', null, 7), ('SV', '503', null, 8), ('SX', '1', '1', 10), ('SY', '963', '0', 9),
  ('SZ', '268', null, 8), ('TA', '290', null, 4), ('TC', '1', '1', 10), ('TD', '235', null, 8),
  ('TG', '228', null, 8), ('TH', '66', '0', 9), ('TJ', '992', null, 9), ('TK', '690', null, 7),
  ('TL', '670', null, 8), ('TM', '993', '8', 8), ('TN', '216', null, 8), ('TO', '676', null, 7),
  ('TR', '90', '0', 10), ('TT', '1', '1', 10), ('TV', '688', null, 7), ('TW', '886', '0', 9),
  ('TZ', '255', '0', 9), ('UA', '380', '0', 9), ('UG', '256', '0', 9), ('US', '1', '1', 10),
  ('UY', '598', '0', 8), ('UZ', '998', null, 9), ('VA', '39', null, 10), ('VC', '1', '1', 10),
  ('VE', '58', '0', 10), ('VG', '1', '1', 10), ('VI', '1', '1', 10), ('VN', '84', '0', 9),
  ('VU', '678', null, 7), ('WF', '681', null, 6), ('WS', '685', null, 10), ('XK', '383', '0', 8),
  ('YE', '967', '0', 9), ('YT', '262', '0', 9), ('ZA', '27', '0', 9), ('ZM', '260', '0', 9),
  ('ZW', '263', '0', 9);

-- ── 65_billing/data.sql ──

-- What plans can have. A feature is here once a door asks for it.

insert into private.features (feature, description, is_limit) values
  ('marketing', 'Texts to many clients', false),
  ('clients', 'Active clients', true),
  ('automations', 'Automations that are on', true),
  ('staff', 'Active staff members; the first is always free', true);

insert into private.audited_columns (subject_type, column_name)
select t.subject_type, c.column_name
  from (values
    ('plans', '{plan,price_cents,currency,billing_period,commission_rate,features,limits,trial_days,grace_days,rank,is_default,is_active}'::text[]),
    ('plan_grants', '{source,plan,starts_at,ends_at,revoked_at,is_self_serve}'),
    ('org_subscriptions', '{plan,status,cancels_at,ended_at}')
  ) as t (subject_type, columns)
 cross join unnest(t.columns) as c (column_name);

-- ── 95_overview/data.sql ──

-- The work that runs by itself, and when it is late. A sweep that runs every minute or ten leaves nothing waiting this long.

insert into private.work_kinds (kind, description, jobs, done_keys, brake, degraded_after, failing_after, fix) values
  ('bookings', 'Bookings that are over are completed and settled', '{sweep_bookings}', '{completed}', null, '30 minutes', '3 hours', 'coach sweep bookings'),
  ('holds', 'Held times that ran out are freed and offered on', '{sweep_holds}', '{expired}', null, '20 minutes', '2 hours', 'coach sweep holds'),
  ('reminders', 'Reminders and follow-ups are queued', '{sweep_reminders}', '{queued}', null, '1 hour', '6 hours', 'coach sweep reminders'),
  ('sms', 'Texts leave', '{sweep_messages}', '{}', 'sms', '10 minutes', '1 hour', 'coach sweep messages'),
  ('email', 'Emails leave', '{sweep_messages}', '{}', 'email', '10 minutes', '1 hour', 'coach sweep messages'),
  ('push', 'Push messages leave', '{sweep_messages}', '{}', 'push', '10 minutes', '1 hour', 'coach sweep messages'),
  ('unknown_messages', 'Texts that may have been sent are looked up', '{sweep_messages_unknown}', '{settled}', null, '30 minutes', '6 hours', 'coach sweep messages-unknown'),
  ('callbacks', 'Status callbacks find their message', '{sweep_message_leftovers}', '{}', null, '1 day', '3 days', 'coach sweep message-leftovers'),
  ('clean_up', 'Counts that no limit asks about are deleted', '{sweep_rate_limits}', '{deleted}', null, '3 days', '14 days', 'coach sweep rate-limits');

-- ── 97_doctor/data.sql ──

-- What the doctor looks at. The order is the order of the report within a severity.

insert into private.doctor_checks (name, severity, meaning, fix, is_thorough) values
  ('package_counter_drift', 'error', 'A package''s used sessions are not its ledger''s sum.', 'coach package show {subject}', true),
  ('booking_charge_drift', 'error', 'A booking says it is charged and the ledger does not, or the other way round.', 'coach session list --booking {subject}', true),
  ('occupancy_seats_drift', 'error', 'A taken time counts other seats than its bookings and holds take.', 'coach booking list --org {org}', true),
  ('occupancy_orphaned', 'error', 'A time is taken that no booking and no hold takes: nobody can book it.', 'coach booking list --org {org}', true),
  ('org_without_owner', 'error', 'An organisation has members, and no owner among them.', 'coach member set --org {org} EMAIL owner', false),
  ('timezone_unknown', 'error', 'The timezone of an organisation is none that this database knows.', 'coach org show {org}', false),
  ('subscription_price_unknown', 'error', 'An organisation pays at a price that is no plan''s, so it has nothing for it.', 'coach plan set PLAN --stripe-price {subject}', false),
  ('subscription_twice', 'error', 'An organisation pays for two subscriptions at once.', 'coach billing show {org}', false),
  ('subscription_unanswered', 'error', 'The provider was to be asked about a subscription, and has not answered for an hour.', 'coach sweep billing', false),
  ('renewal_unheard', 'warning', 'A subscription''s period ended a day ago and nobody has heard of its renewal: its webhooks may not arrive.', 'coach sweep billing', false),
  ('plan_feature_unknown', 'error', 'A plan has a feature or limit that nothing asks for.', 'coach plan features', false),
  ('org_without_plan', 'warning', 'There are plans, and an organisation has none: it can do nothing new.', 'coach plan set PLAN --default', false),
  ('automation_never_due', 'error', 'An automation with a schedule is on and has no next time.', 'coach automation show {subject}', false),
  ('work_failing', 'error', 'Work that runs by itself does not run, or fails.', '{detail}', false),
  ('work_degraded', 'warning', 'Work that runs by itself is late, stuck, or its last run failed.', '{detail}', false),
  ('sweep_stopped', 'error', 'A sweep that used to run has not been started for long.', 'coach sweep all', false),
  ('job_killed', 'warning', 'A run ended without a word and no later one of its kind has finished.', 'coach sweep all', false),
  ('brake_left_on', 'warning', 'A brake has been on for more than a day.', 'coach brake list', false),
  ('app_url_unset', 'warning', 'Nobody has said where the apps'' pages are: messages that are nothing but a link are not sent.', 'coach messages link-to https://…', false),
  ('extension_missing', 'error', 'An extension is missing or lies outside the schema extensions.', 'create extension {subject} with schema extensions;', false),
  ('row_security_off', 'error', 'Row level security is off for a table: whoever may read it reads everybody''s.', 'alter table {subject} enable row level security;', false),
  ('table_open_to_visitors', 'error', 'A visitor who is not signed in reaches a table.', 'revoke all on {subject} from anon;', false),
  ('private_open', 'error', 'An API role reaches the schema private or a table in it.', 'revoke all on {subject} from anon, authenticated, service_role;', false),
  ('definer_exposed', 'error', 'A function of public runs as its owner, for whoever calls it.', 'alter function {subject} security invoker;', false),
  ('function_open_to_all', 'error', 'A function may be called by every role there is.', 'revoke execute on function {subject} from public;', false),
  ('trigger_disabled', 'error', 'A trigger is off: the rule that it keeps is not kept.', 'alter table {detail} enable trigger {subject};', false),
  ('constraint_not_valid', 'warning', 'A constraint was never checked against the rows that were there before it.', 'alter table {detail} validate constraint {subject};', false),
  ('index_invalid', 'warning', 'An index is not used, and slows every write: it was not finished.', 'reindex index concurrently {subject};', false),
  ('transaction_open_long', 'warning', 'A transaction has been open for more than a quarter of an hour: it keeps rows from being cleaned up, and may hold locks.', 'select pg_terminate_backend({subject});', false);
