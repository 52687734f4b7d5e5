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
