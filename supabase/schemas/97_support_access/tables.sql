-- Support access: when a person of the platform is let in, where, for how long and why.
-- Invariant: it ends by itself; until then private.orgs_with and private.my_client_ids honour it.
-- Not here: who may start one (15_operations, private.admin_actions), what the role `support` may (10_tenancy, role_permissions).

create table public.support_access (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  client_id uuid,
  reason text not null,
  started_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  ended_by uuid references auth.users (id) on delete set null,
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  constraint support_access_is_time_boxed check (expires_at > started_at and expires_at <= started_at + interval '8 hours'),
  constraint support_access_reason_length check (char_length(btrim(reason)) between 1 and 500)
);
comment on table public.support_access is
  'When a person of the platform was let into an organisation, or into one client''s place, and why; honoured by orgs_with and my_client_ids until it ends.';
comment on column public.support_access.client_id is 'Whose place they see it from; null: as a member with the role support.';
comment on column public.support_access.ended_by is 'Who ended it; null where it ran out, or an operator did.';
create unique index support_access_open_once on public.support_access (org_id, user_id) where ended_at is null;
create index support_access_id_idx on public.support_access (id);
create index support_access_user_idx on public.support_access (user_id, expires_at);
create index support_access_client_idx on public.support_access (org_id, client_id) where client_id is not null;
create index support_access_ended_by_idx on public.support_access (ended_by) where ended_by is not null;
create index support_access_due_idx on public.support_access (expires_at) where ended_at is null;
