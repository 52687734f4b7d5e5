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
