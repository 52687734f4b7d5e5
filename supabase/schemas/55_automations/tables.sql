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
  constraint automation_firings_event_is_whole check ((event is null) = (event_key is null) and (client_id is null or event is not null))
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
comment on column public.automation_runs.reason is 'skipped: the guardrail; failed: the first action that failed, and why. Who is skipped for the same reason again, before it works again, has no new row.';
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
  failures integer not null default 0,
  rests_until timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint webhook_endpoints_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint webhook_endpoints_url_form check (url ~ '^https?://[^\s@/?#]+([/?][^\s#]*)?$' and char_length(url) <= 2000)
);
comment on table public.webhook_endpoints is 'Where an organisation''s webhook actions post to.';
comment on column public.webhook_endpoints.rests_until is 'It could not be reached: nothing is posted to it before, so that what waits costs one try and not one each.';
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
  worker text,
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
create index webhook_deliveries_waiting_idx on public.webhook_deliveries (org_id, endpoint_id, next_at, id) where status in ('pending', 'sending');

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

create table private.risk_schedule (
  org_id uuid primary key references public.orgs (id) on delete cascade,
  scored_on date,
  next_at timestamptz not null
);
comment on table private.risk_schedule is 'For which local day an organisation''s clients were scored last, and when the next begins.';
create index risk_schedule_due_idx on private.risk_schedule (next_at);
