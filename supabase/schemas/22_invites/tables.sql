-- Invites: how a client comes into the mobile app, how a member comes into an organisation, and who may have an account at all.
-- Invariant: an invite is used once, by one person, before it ends; in invite-only mode no account is born that nothing allows.
-- Not here: links of waivers and onboarding (45_waivers), referral codes (25_leads).

create table public.client_invites (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  invite_code text not null,
  expires_at timestamptz not null,
  redeemed_at timestamptz,
  redeemed_by uuid references auth.users (id) on delete set null,
  revoked_at timestamptz,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint client_invites_invite_code_form check (invite_code ~ '^[A-Za-z0-9_-]{6,60}$')
);
comment on table public.client_invites is 'An invitation of a client into the mobile app, by a code that is redeemed once.';
comment on column public.client_invites.invite_code is
  'Ten random letters and digits without those that look alike; whoever has it becomes the client.';
comment on column public.client_invites.redeemed_by is 'Who signed up with it; clients.auth_user_id is set with it.';
create index client_invites_id_idx on public.client_invites (id);
create index client_invites_code_idx on public.client_invites (invite_code);
create index client_invites_client_idx on public.client_invites (org_id, client_id);
create index client_invites_redeemed_by_idx on public.client_invites (redeemed_by) where redeemed_by is not null;
create index client_invites_created_by_idx on public.client_invites (created_by) where created_by is not null;

create table public.member_invites (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  email text not null,
  role text not null references public.roles (role) on delete restrict,
  token_hash bytea not null,
  expires_at timestamptz not null,
  accepted_at timestamptz,
  accepted_by uuid references auth.users (id) on delete set null,
  revoked_at timestamptz,
  created_by uuid references auth.users (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint member_invites_email_form check (char_length(email) <= 320 and email = lower(btrim(email)) and position('@' in email) > 1)
);
comment on table public.member_invites is 'An invitation of a person, by email, to join an organisation with a role; accepted once, by whoever has that email.';
comment on column public.member_invites.token_hash is 'SHA-256 of the link''s token, which only the email holds.';
create unique index member_invites_open_once on public.member_invites (org_id, email) where accepted_at is null and revoked_at is null;
create index member_invites_id_idx on public.member_invites (id);
create index member_invites_token_idx on public.member_invites (token_hash);
create index member_invites_email_idx on public.member_invites (email) where accepted_at is null and revoked_at is null;
create index member_invites_role_idx on public.member_invites (role);
create index member_invites_accepted_by_idx on public.member_invites (accepted_by) where accepted_by is not null;
create index member_invites_created_by_idx on public.member_invites (created_by) where created_by is not null;

create table private.allow_list (
  entry text primary key,
  note text,
  created_at timestamptz not null default now(),
  constraint allow_list_entry_form check (entry = lower(btrim(entry)) and char_length(entry) between 3 and 320 and entry ~ '^[^@[:space:]]*@[^@[:space:]]+$'),
  constraint allow_list_note_length check (char_length(note) <= 500)
);
comment on table private.allow_list is 'Who may sign up while the platform is invite-only: an email, or @domain for all of a domain.';
