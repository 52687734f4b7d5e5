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
  send_receipts boolean not null default true,
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
comment on column public.booking_settings.send_receipts is 'Whether clients are emailed a receipt of each payment and refund.';
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
  currency text not null default 'aud',
  deposit_cents integer,
  deposit_percent integer,
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
  constraint session_types_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint session_types_deposit_cents_range check (deposit_cents between 50 and 100000000),
  constraint session_types_deposit_percent_range check (deposit_percent between 1 and 100),
  constraint session_types_deposit_fixed_or_percent check (deposit_cents is null or deposit_percent is null),
  constraint session_types_deposit_percent_has_price check (deposit_percent is null or price_cents is not null),
  constraint session_types_buffer_before_mins_range check (buffer_before_mins between 0 and 1440),
  constraint session_types_buffer_after_mins_range check (buffer_after_mins between 0 and 1440),
  constraint session_types_capacity_range check (capacity between 1 and 1000),
  constraint session_types_max_per_day_range check (max_per_day between 1 and 1000)
);
comment on table public.session_types is 'Kinds of appointment an organisation offers: length, price, buffers.';
comment on column public.session_types.currency is 'Of price and deposit, which are in its minor unit.';
comment on column public.session_types.deposit_cents is 'What a client pays to book it where no package pays, never more than the price; or deposit_percent of the price.';
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
