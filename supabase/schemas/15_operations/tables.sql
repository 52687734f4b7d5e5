-- Operations: who did what, what ran, and what a person must be told.
-- Invariant: the audit logs only grow; they hold ids and column names, and values of the columns in private.audited_columns alone.
-- Not here: pulse (95_overview), what a brake stops (each domain asks private.is_braked).

create table public.platform_admins (
  id uuid not null default gen_random_uuid() primary key,
  user_id uuid not null references auth.users (id) on delete cascade,
  email text not null,
  role text not null default 'admin',
  permissions text[] not null default '{}',
  created_at timestamptz not null default now(),
  constraint platform_admins_user_once unique (user_id),
  constraint platform_admins_permissions_form check (array_to_string(permissions, ' ', '-') ~ '^([a-z.* ]*)$')
);
comment on table public.platform_admins is 'People who run the platform itself, and what each may do; the first is made by the command line.';
comment on column public.platform_admins.permissions is
  'noun.verb, noun.* or *: neither star implies system.*, whose permissions are given one by one.';

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
  note text,
  created_at timestamptz not null default now(),
  resolved_at timestamptz,
  primary key (org_id, id),
  constraint alerts_kind_form check (kind ~ '^[a-z_]+$'),
  constraint alerts_note_length check (char_length(note) <= 2000)
);
comment on table public.alerts is 'What a coach must be told and can act on; the app shows the open ones.';
comment on column public.alerts.kind is 'A slug: booking_uncovered (a session was held that no package could pay for).';
comment on column public.alerts.note is 'What an automation of the organisation''s own says.';
comment on column public.alerts.booking_id is 'What it is about; without a key, since an alert is a note and not a part of the booking.';
create unique index alerts_booking_once on public.alerts (org_id, kind, booking_id) where booking_id is not null and resolved_at is null;
create index alerts_open_idx on public.alerts (org_id, created_at desc) where resolved_at is null;

create table private.provider_limits (
  id uuid not null default gen_random_uuid() primary key,
  provider text not null,
  account text not null default '',
  until_at timestamptz not null,
  reason text,
  constraint provider_limits_account_once unique (provider, account),
  constraint provider_limits_provider_form check (provider ~ '^[a-z][a-z0-9_-]{0,39}$'),
  constraint provider_limits_reason_form check (reason ~ '^[A-Za-z0-9_.-]{1,100}$')
);
comment on table private.provider_limits is
  'Providers'' accounts (twilio, smtp, expo, stripe, webhook, …) that asked to be left alone, and until when: no queue of theirs is claimed before.';
comment on column private.provider_limits.account is 'Whose limit it is: an account''s id, a webhook''s; empty: the platform''s own.';
comment on column private.provider_limits.reason is 'The provider''s code for it.';

create table private.admin_actions (
  action text primary key,
  permission text not null,
  needs_reason boolean not null default true,
  subject_type text not null,
  constraint admin_actions_permission_form check (permission ~ '^[a-z]+\.[a-z]+$')
);
comment on table private.admin_actions is
  'What operators do: private.act_<action> is the rule, the permission is the platform''s. private.act writes its one audit row.';

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
