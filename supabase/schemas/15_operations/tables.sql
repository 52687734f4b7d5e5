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

create table private.rate_limits (
  bucket text not null,
  key_hash bytea not null,
  window_started_at timestamptz not null,
  hits integer not null default 1,
  primary key (bucket, key_hash, window_started_at)
);
comment on table private.rate_limits is 'How often somebody has called what anybody may call, in windows of time; whose calls is kept as a hash.';
create index rate_limits_window_idx on private.rate_limits (window_started_at);
