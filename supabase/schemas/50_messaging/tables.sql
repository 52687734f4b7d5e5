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
  constraint platform_settings_name_known check (name in ('app_url', 'sign_up_mode'))
);
comment on table private.platform_settings is 'What holds for the whole platform: app_url, the address of the apps'' pages in links; sign_up_mode, open or invite_only.';

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
