-- Leads: people who have asked, the pipeline they go through, and who sent them.
-- Invariant: an inquiry becomes one client, a referral is rewarded once for each side, and what a client is owed is the sum of their credit entries.
-- Not here: the packages and promo codes that rewards become (30_sessions), texts to leads (50_messaging).

create table public.referral_links (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  code text not null,
  name text not null,
  description text,
  reward_type text default 'discount',
  reward_value integer,
  referrer_reward_type text default 'credit',
  referrer_reward_value integer,
  clicks integer not null default 0,
  signups integer not null default 0,
  conversions integer not null default 0,
  is_active boolean not null default true,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (org_id, id),
  constraint referral_links_code_form check (code ~ '^[A-Za-z0-9_-]{3,60}$'),
  constraint referral_links_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint referral_links_description_length check (char_length(description) <= 2000),
  constraint referral_links_reward_type_known check (reward_type in ('discount', 'free_session', 'credit', 'none')),
  constraint referral_links_referrer_reward_type_known check (referrer_reward_type in ('discount', 'free_session', 'credit', 'none')),
  constraint referral_links_reward_value_range
    check (reward_value between 0 and case reward_type when 'credit' then 10000000 else 100 end),
  constraint referral_links_referrer_reward_value_range
    check (referrer_reward_value between 0 and case referrer_reward_type when 'credit' then 10000000 else 100 end)
);
comment on table public.referral_links is 'A link that clients hand on: whoever comes by it, and whoever handed it on, is rewarded.';
comment on column public.referral_links.code is 'The link''s name in addresses, unique everywhere whatever its case.';
comment on column public.referral_links.reward_value is
  'What the referred person gets: percent (discount), sessions (free_session), or the minor unit of the organisation''s currency (credit).';
comment on column public.referral_links.referrer_reward_value is 'What the referrer gets, in the same units.';
comment on column public.referral_links.clicks is 'Visitors, each counted once; counted here alone, as are signups and conversions.';
create index referral_links_id_idx on public.referral_links (id);

create table private.referral_codes (
  code text primary key,
  org_id uuid not null,
  referral_link_id uuid not null,
  foreign key (org_id, referral_link_id) references public.referral_links (org_id, id) on delete cascade,
  constraint referral_codes_code_lower check (code = lower(code))
);
comment on table private.referral_codes is 'Which link a code leads to: unique across organisations, in lower case.';
create index referral_codes_link_idx on private.referral_codes (org_id, referral_link_id);

create table private.referral_clicks (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  referral_link_id uuid not null,
  visitor_hash bytea not null,
  clicked_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, referral_link_id) references public.referral_links (org_id, id) on delete cascade,
  constraint referral_clicks_visitor_once unique (org_id, referral_link_id, visitor_hash)
);
comment on table private.referral_clicks is 'Who has opened a referral link, as a hash: each visitor is counted once.';

create table public.referrals (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  referral_link_id uuid not null,
  referrer_client_id uuid,
  referred_email text not null,
  referred_name text,
  referred_client_id uuid,
  status text not null default 'pending',
  referrer_rewarded boolean not null default false,
  referrer_reward_cents integer,
  referred_rewarded boolean not null default false,
  referred_reward_cents integer,
  clicked_at timestamptz not null default now(),
  signed_up_at timestamptz,
  converted_at timestamptz,
  rewarded_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, referral_link_id) references public.referral_links (org_id, id) on delete cascade,
  foreign key (org_id, referrer_client_id) references public.clients (org_id, id) on delete set null (referrer_client_id),
  foreign key (org_id, referred_client_id) references public.clients (org_id, id) on delete set null (referred_client_id),
  constraint referrals_status_known check (status in ('pending', 'signed_up', 'converted', 'rewarded', 'expired')),
  constraint referrals_referred_email_length check (char_length(referred_email) <= 320),
  constraint referrals_referred_name_length check (char_length(referred_name) <= 200)
);
comment on table public.referrals is 'One person whom a link brought: from signing up, through becoming a client, to the rewards.';
comment on column public.referrals.status is
  'signed_up: they left their details; converted: they became a client; rewarded: both sides have what they were promised; expired: they were a client before.';
comment on column public.referrals.referrer_client_id is 'Who handed the link on; null when nobody was named.';
comment on column public.referrals.referrer_reward_cents is 'Of a credit; what else was given stands in referral_rewards.';
create unique index referrals_person_once on public.referrals (org_id, referral_link_id, lower(referred_email));
create index referrals_id_idx on public.referrals (id);
create index referrals_link_idx on public.referrals (org_id, referral_link_id);
create index referrals_referrer_idx on public.referrals (org_id, referrer_client_id) where referrer_client_id is not null;
create index referrals_referred_idx on public.referrals (org_id, referred_client_id) where referred_client_id is not null;

create table public.inquiries (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  source text not null default 'other',
  name text not null,
  email text,
  phone text,
  phone_e164 text,
  message text,
  status text not null default 'NEW',
  assigned_to uuid references auth.users (id) on delete set null,
  expected_value numeric,
  converted_client_id uuid,
  converted_at timestamptz,
  services_interested text[],
  follow_up_date date,
  referral_code text,
  referral_id uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id, converted_client_id) references public.clients (org_id, id) on delete set null (converted_client_id),
  foreign key (org_id, referral_id) references public.referrals (org_id, id) on delete set null (referral_id),
  constraint inquiries_source_known check (source in ('website', 'instagram', 'facebook', 'referral', 'other')),
  constraint inquiries_status_known check (status in ('NEW', 'CONTACTED', 'BOOKED', 'WON', 'LOST')),
  constraint inquiries_name_length check (char_length(btrim(name)) between 1 and 200),
  constraint inquiries_email_form check (char_length(email) <= 320 and (email = '' or position('@' in email) > 1)),
  constraint inquiries_phone_length check (char_length(phone) <= 40),
  constraint inquiries_message_length check (char_length(message) <= 5000),
  constraint inquiries_expected_value_range check (expected_value between 0 and 100000000),
  constraint inquiries_services_interested_count check (cardinality(services_interested) <= 50),
  constraint inquiries_referral_code_length check (char_length(referral_code) <= 60)
);
comment on table public.inquiries is 'A lead: somebody who asked, and how far they have come. Stays when they become a client.';
comment on column public.inquiries.status is 'NEW, CONTACTED, BOOKED are open; WON and LOST are closed.';
comment on column public.inquiries.phone_e164 is 'phone in the one form in which numbers are compared; written here, null where it is none.';
comment on column public.inquiries.expected_value is 'In the major unit of the organisation''s currency, as the app shows it.';
comment on column public.inquiries.converted_client_id is 'The client they became, set once.';
comment on column public.inquiries.referral_id is 'The referral that brought them; written here.';
create index inquiries_id_idx on public.inquiries (id);
create index inquiries_latest_idx on public.inquiries (org_id, created_at desc);
create index inquiries_email_idx on public.inquiries (org_id, lower(email)) where email is not null;
create index inquiries_phone_idx on public.inquiries (org_id, phone_e164) where phone_e164 is not null;
create index inquiries_assigned_to_idx on public.inquiries (assigned_to) where assigned_to is not null;
create index inquiries_client_idx on public.inquiries (org_id, converted_client_id) where converted_client_id is not null;
create index inquiries_referral_idx on public.inquiries (org_id, referral_id) where referral_id is not null;

create table public.inquiry_events (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  inquiry_id uuid not null,
  kind text not null,
  status text not null,
  message text,
  actor_id uuid,
  happened_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, inquiry_id) references public.inquiries (org_id, id) on delete cascade,
  constraint inquiry_events_kind_known check (kind in ('received', 'repeated', 'moved', 'converted'))
);
comment on table public.inquiry_events is 'What happened to a lead, in order: received, repeated (they asked again), moved along the pipeline, converted.';
comment on column public.inquiry_events.actor_id is 'The signed-in person; null for a visitor. No key: the history outlives people.';
create index inquiry_events_inquiry_idx on public.inquiry_events (org_id, inquiry_id, happened_at);

create table public.referral_rewards (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  referral_id uuid not null,
  side text not null,
  client_id uuid not null,
  reward_type text not null,
  reward_value integer not null,
  purchase_id uuid,
  promo_code_id uuid,
  created_at timestamptz not null default now(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, referral_id) references public.referrals (org_id, id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  constraint referral_rewards_side_once unique (org_id, referral_id, side),
  constraint referral_rewards_side_known check (side in ('referrer', 'referred')),
  constraint referral_rewards_reward_type_known check (reward_type in ('discount', 'free_session', 'credit'))
);
comment on table public.referral_rewards is 'What a side of a referral was given: at most one for each, which is what makes it once.';
comment on column public.referral_rewards.purchase_id is 'The package of free sessions; without a key, since packages with entries are never deleted.';
comment on column public.referral_rewards.promo_code_id is 'The discount, a promo code for one sale.';
create index referral_rewards_client_idx on public.referral_rewards (org_id, client_id);

create table public.credit_entries (
  org_id uuid not null,
  id uuid not null default gen_random_uuid(),
  client_id uuid not null,
  kind text not null,
  amount_cents bigint not null,
  currency text not null,
  referral_reward_id uuid,
  note text,
  request_id uuid,
  actor_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (org_id, id),
  foreign key (org_id) references public.orgs (id) on delete cascade,
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete restrict,
  foreign key (org_id, referral_reward_id) references public.referral_rewards (org_id, id) on delete restrict,
  constraint credit_entries_kind_known check (kind in ('reward', 'spent', 'correction')),
  constraint credit_entries_sign check (case kind when 'reward' then amount_cents > 0 when 'spent' then amount_cents < 0 else amount_cents <> 0 end),
  constraint credit_entries_currency_form check (currency ~ '^[a-z]{3}$'),
  constraint credit_entries_note_length check (char_length(note) <= 500)
);
comment on table public.credit_entries is 'The ledger of what an organisation owes its clients in credit: earned, spent, corrected. Append-only.';
comment on column public.credit_entries.amount_cents is 'In the minor unit of `currency`; spending is negative.';
create unique index credit_entries_reward_once on public.credit_entries (org_id, referral_reward_id) where referral_reward_id is not null;
create unique index credit_entries_request_once on public.credit_entries (org_id, request_id) where request_id is not null;
create index credit_entries_client_idx on public.credit_entries (org_id, client_id, created_at desc);
