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
  allows_support boolean not null default true,
  blocked_at timestamptz,
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
comment on column public.orgs.allows_support is 'Whether the platform''s people may be let in to help (support access).';
comment on column public.orgs.blocked_at is
  'Since when the platform has stopped it: its members read and write nothing, its clients and visitors are let in nowhere, nothing leaves.';
comment on column public.orgs.created_by is 'Who signed the organisation up: the only one who may join it as its first member.';
create index orgs_blocked_idx on public.orgs (id) where blocked_at is not null;
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
  ends_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint org_members_user_once unique (org_id, user_id),
  constraint org_members_support_ends check ((role = 'support') = (ends_at is not null))
);
comment on table public.org_members is
  'Who belongs to an organisation, and as what. A person sees their own row of their active organisation; list_members shows the team.';
comment on column public.org_members.ends_at is 'From when on it counts no more: support access alone ends by itself.';
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
