-- Waivers and onboarding: what a client reads and signs by a link, without an account.
-- Invariant: a signed waiver names the very text that was read, who signed, when and from where, and none of it changes again.
-- Not here: the onboarding answers, which are columns of clients, nor its link (clients.onboarding_token).

create table public.waiver_texts (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  version integer not null,
  body text not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint waiver_texts_version_once unique (org_id, version)
);
comment on table public.waiver_texts is 'Every text that orgs.waiver_template ever held, numbered: the latest is what is signed now. Append-only.';
comment on column public.waiver_texts.created_by is 'Who wrote it. No key: the text outlives people.';

create table public.client_waivers (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  name text not null default 'Waiver',
  token uuid not null default gen_random_uuid(),
  status text not null default 'sent',
  sent_at timestamptz not null default now(),
  signed_at timestamptz,
  signed_ip text,
  expires_at timestamptz default now() + interval '30 days',
  source text not null default 'coach',
  waiver_text_id uuid,
  signer_name text,
  recorded_by uuid,
  booking_id uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete cascade,
  foreign key (org_id, waiver_text_id) references public.waiver_texts (org_id, id) on delete restrict,
  foreign key (org_id, booking_id) references public.bookings (org_id, id) on delete set null (booking_id),
  constraint client_waivers_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint client_waivers_status_known check (status in ('sent', 'signed', 'expired')),
  constraint client_waivers_source_known check (source in ('coach', 'onboarding', 'public_page')),
  constraint client_waivers_signer_name_length check (char_length(btrim(signer_name)) between 1 and 200),
  constraint client_waivers_signed_is_dated check (status <> 'signed' or signed_at is not null),
  constraint client_waivers_signer_read_it check ((signer_name is null) = (waiver_text_id is null))
);
comment on table public.client_waivers is 'A waiver that a client is asked to sign, and the evidence that they did.';
comment on column public.client_waivers.token is 'What opens the signing page, once; members hand it over.';
comment on column public.client_waivers.status is 'sent, signed, or expired: no longer to be signed, or no longer valid.';
comment on column public.client_waivers.expires_at is 'Until when the link works.';
comment on column public.client_waivers.source is 'coach: sent; onboarding: signed with the form; public_page: a booking waits for it.';
comment on column public.client_waivers.waiver_text_id is 'The text as it was read and signed.';
comment on column public.client_waivers.signed_ip is 'The address it was signed from.';
comment on column public.client_waivers.recorded_by is 'The member who marked it as signed, on paper say; null when the client signed by the link. No key: the evidence outlives people.';
comment on column public.client_waivers.booking_id is 'The booking that is confirmed when this is signed, and let go when it is not in time.';
create index client_waivers_id_idx on public.client_waivers (id);
create index client_waivers_token_idx on public.client_waivers (token);
create index client_waivers_client_idx on public.client_waivers (org_id, client_id, created_at desc);
create index client_waivers_text_idx on public.client_waivers (org_id, waiver_text_id) where waiver_text_id is not null;
create index client_waivers_booking_idx on public.client_waivers (org_id, booking_id) where booking_id is not null;
create index client_waivers_open_idx on public.client_waivers (expires_at) where status = 'sent';
