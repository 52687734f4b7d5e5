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
  blocked_at timestamptz,
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
comment on column public.clients.blocked_at is 'Since when the platform lets them in nowhere: not signed in, not by their link, not on the public page.';
comment on column public.clients.sms_opt_in is 'Null: never asked.';
create index clients_id_idx on public.clients (id);
create index clients_auth_user_idx on public.clients (auth_user_id) where auth_user_id is not null;
create index clients_name_idx on public.clients (org_id, full_name);
create index clients_phone_idx on public.clients (phone_e164) where phone_e164 is not null;
create index clients_email_idx on public.clients (org_id, lower(email)) where email is not null;
create index clients_onboarding_token_idx on public.clients (onboarding_token) where onboarding_token is not null;
create index clients_portal_token_idx on public.clients (portal_token) where portal_token is not null;
