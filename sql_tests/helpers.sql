-- Helpers of the pgTAP tests: who is speaking, what must be refused, and a world of two organisations.
-- Invariant: loaded into the test template alone, never by a migration; the world is made through the doors apps use.
--
-- How a file is written. It opens with `begin;`, plans, and ends with `select * from finish();` and `rollback;`; psql runs it, as the
-- non-superuser `postgres`, against a database that all files share. Every name in tests.names is at hand in two forms:
--   :'kilo_package'             a psql variable, for plain statements;
--   tests.id('kilo_package')    a function, also inside $$ … $$, where psql replaces nothing.
-- A test's own ids: `insert … returning id as purchase \gset` makes :'purchase'; `select tests.remember('purchase', :'purchase')` the other form.
--
--   begin;
--   select plan(2);
--   select tests.sign_in('coach@kilo.example');
--   select ok(use_session(:'kilo_package'), 'a click takes one session');
--   select tests.refuses($$ select complete_booking(tests.id('lima_booking')) $$, 404, 'booking_not_found', 'another tenant''s booking does not exist');
--   select * from finish();
--   rollback;
--
-- The world: organisations kilo and lima, each with NAME_owner (coach@NAME.example, signed up through the API), NAME_client
-- (client@NAME.example, may sign in), NAME_offer (10 sessions), NAME_package (10 left), NAME_booking (tomorrow, on the package);
-- in kilo also desk@, manager@ and accountant@kilo.example, and nobody@nowhere.example belongs to no organisation.

create schema tests;
grant usage on schema tests to public;
alter default privileges in schema tests grant execute on functions to public;

create table tests.names (
  name text primary key,
  id uuid not null
);
grant select on tests.names to public;

create function tests.id(p_name text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid := (select n.id from tests.names as n where n.name = p_name);
begin
  if v_id is null then
    raise exception 'the world knows nothing by the name %', p_name;
  end if;
  return v_id;
end;
$$;

create function tests.remember(p_name text, p_id uuid)
returns uuid
language sql volatile security definer set search_path = ''
as $$
  insert into tests.names values (p_name, p_id) on conflict (name) do update set id = excluded.id returning id;
$$;

-- Auth's part of a sign-up; only Auth may write auth.users.
create function tests.sign_up(p_email text, p_name text)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid := gen_random_uuid();
begin
  insert into auth.users (id, email, email_confirmed_at) values (v_id, p_email, now());
  return tests.remember(p_name, v_id);
end;
$$;

create function tests.user_id(p_email text)
returns uuid
language plpgsql stable security definer set search_path = ''
as $$
declare
  v_id uuid := (select u.id from auth.users as u where u.email = p_email);
begin
  if v_id is null then
    raise exception 'nobody has signed up as %', p_email;
  end if;
  return v_id;
end;
$$;

-- Not definers: a definer function may not change the role.
create function tests.become(p_role text, p_claims jsonb)
returns void
language plpgsql volatile
as $$
begin
  perform set_config('role', p_role, true), set_config('request.jwt.claims', p_claims::text, true);
end;
$$;

create function tests.sign_in(p_email text)
returns void
language sql volatile
as $$
  select tests.become('authenticated',
    jsonb_build_object('sub', tests.user_id(p_email), 'email', p_email, 'role', 'authenticated'));
$$;

create function tests.sign_out()
returns void
language sql volatile
as $$
  select tests.become('anon', '{"role": "anon"}');
$$;

create function tests.as_service()
returns void
language sql volatile
as $$
  select tests.become('service_role', '{"role": "service_role"}');
$$;

-- Back to `postgres`, who owns the tables: to arrange and to look.
create function tests.as_owner()
returns void
language sql volatile
as $$
  select tests.become('none', '{}');
$$;

-- True when the statement is refused by SQLSTATE PT<status> with this slug; the message is for people and may change.
create function tests.refuses(p_sql text, p_status integer, p_slug text, p_description text)
returns text
language plpgsql volatile
as $$
declare
  v_state text;
  v_slug text;
  v_message text;
begin
  begin
    execute p_sql;
  exception when others then
    get stacked diagnostics v_state = returned_sqlstate, v_slug = pg_exception_detail, v_message = message_text;
  end;
  if v_state = 'PT' || p_status and v_slug = p_slug then
    return extensions.ok(true, p_description);
  end if;
  return extensions.ok(false, p_description) || e'\n' || extensions.diag(
    format('wanted: PT%s %s', p_status, p_slug) || e'\n'
    || coalesce(format('got: %s %s (%s)', v_state, v_slug, v_message), 'got: no refusal'));
end;
$$;

-- True when Postgres itself forbids it: no grant, no policy that lets the row in, no usage of the schema.
create function tests.forbids(p_sql text, p_description text)
returns text
language plpgsql volatile
as $$
begin
  return extensions.throws_ok(p_sql, '42501', null, p_description);
end;
$$;

-- True when the statement runs and finds no row to change: what row level security hides is not refused but absent.
create function tests.changes_nothing(p_sql text, p_description text)
returns text
language plpgsql volatile
as $$
declare
  v_rows bigint;
  v_state text;
begin
  begin
    execute p_sql;
    get diagnostics v_rows = row_count;
  exception when others then
    get stacked diagnostics v_state = returned_sqlstate;
  end;
  if v_rows = 0 then
    return extensions.ok(true, p_description);
  end if;
  return extensions.ok(false, p_description) || e'\n'
    || extensions.diag(coalesce(format('got: refused with %s', v_state), format('got: %s rows', v_rows)));
end;
$$;

-- Six promises of one RPC that acts on kilo's things: whoever has no business there is kept out, each in their own way.
-- p_unpermitted is the email of a kilo member whose role lacks the permission.
create function tests.only_for_members(p_call text, p_slug text, p_unpermitted text, p_name text)
returns setof text
language plpgsql volatile
as $$
begin
  perform tests.sign_in('coach@lima.example');
  return next tests.refuses(p_call, 404, p_slug, p_name || ': for a coach of another organisation it does not exist');
  perform tests.sign_in('nobody@nowhere.example');
  return next tests.refuses(p_call, 404, p_slug, p_name || ': for somebody without a membership it does not exist');
  perform tests.sign_in('client@kilo.example');
  return next tests.refuses(p_call, 404, p_slug, p_name || ': for a signed-in client it does not exist');
  perform tests.sign_in(p_unpermitted);
  return next tests.refuses(p_call, 403, 'permission_missing', p_name || ': a role without the permission is told so');
  perform tests.sign_out();
  return next tests.forbids(p_call, p_name || ': a visitor may not call it');
  perform tests.as_service();
  return next tests.forbids(p_call, p_name || ': the service has its own door');
  perform tests.as_owner();
end;
$$;

-- Everything a refusal says: SQLSTATE, message, detail, hint; null when there is none.
create function tests.refusal_of(p_sql text)
returns text
language plpgsql volatile
as $$
declare
  v_message text;
  v_detail text;
  v_hint text;
begin
  execute p_sql;
  return null;
exception when others then
  get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint;
  return concat_ws(' | ', sqlstate, v_message, v_detail, v_hint);
end;
$$;

-- The invariant of the ledger, over every package there is; leaves the owner signed in.
create function tests.ledger_holds(p_description text)
returns text
language plpgsql volatile
as $$
begin
  perform tests.as_owner();
  return extensions.is_empty(
    $q$ select p.id, p.sessions_used, p.entry_count
          from public.client_purchases as p
          left join public.session_entries as e on e.org_id = p.org_id and e.purchase_id = p.id
         group by p.org_id, p.id
        having p.sessions_used <> coalesce(sum(e.used_delta), 0) or p.entry_count <> count(e.id)
            or p.sessions_used < 0 or p.sessions_used > coalesce(p.sessions_total, 0) $q$, p_description);
end;
$$;

-- A package of kilo's with its own offer, for tests that need a small, an expiring or an unpaid one. As the owner.
create function tests.make_package(
  p_name text, p_sessions integer, p_expires_at timestamptz default null, p_payment_status text default 'succeeded')
returns uuid
language plpgsql volatile
as $$
declare
  v_id uuid;
begin
  insert into public.client_purchases
    (org_id, client_id, offer_id, amount_paid_cents, sessions_total, payment_status, expires_at, source)
  values (tests.id('kilo'), tests.id('kilo_client'), tests.id('kilo_offer'), 0, p_sessions, p_payment_status, p_expires_at, 'import')
  returning id into v_id;
  return tests.remember(p_name, v_id);
end;
$$;

-- An hour's booking of kilo's client on one of these packages (null: on none), by its start. As the owner.
create function tests.make_booking(p_name text, p_package text, p_start timestamptz, p_status text default 'confirmed')
returns uuid
language plpgsql volatile
as $$
declare
  v_staff_id uuid;
  v_id uuid;
begin
  if current_user = 'postgres' and exists (
       select from private.occupancies as o
        where o.org_id = tests.id('kilo') and o.staff_id = private.default_staff(tests.id('kilo'), null)
          and o.blocked && tstzrange(p_start, p_start + interval '1 hour')) then
    -- Where the coach is taken, on a calendar of its own: what is tested is the booking, not who else is there at that time.
    insert into public.staff (org_id, full_name) values (tests.id('kilo'), p_name) returning id into v_staff_id;
    insert into public.bookings (org_id, client_id, purchase_id, start_time, end_time, staff_id)
    values (tests.id('kilo'), tests.id('kilo_client'), case when p_package is not null then tests.id(p_package) end,
            p_start, p_start + interval '1 hour', v_staff_id)
    returning id into v_id;
  else
    insert into public.bookings (org_id, client_id, purchase_id, start_time, end_time)
    values (tests.id('kilo'), tests.id('kilo_client'), case when p_package is not null then tests.id(p_package) end,
            p_start, p_start + interval '1 hour')
    returning id into v_id;
  end if;
  if p_status <> 'confirmed' then
    update public.bookings set status = p_status where org_id = tests.id('kilo') and id = v_id;
  end if;
  return tests.remember(p_name, v_id);
end;
$$;

create function tests.make_org(p_name text)
returns void
language plpgsql volatile
as $$
declare
  v_coach text := format('coach@%s.example', p_name);
  v_id uuid;
  v_offer uuid;
  v_client uuid;
begin
  perform tests.sign_up(v_coach, p_name || '_owner'), tests.sign_up(format('client@%s.example', p_name), p_name || '_client_user');
  perform tests.sign_in(v_coach);

  insert into public.orgs (name, slug) values (initcap(p_name), p_name) returning id into v_id;
  perform tests.remember(p_name, v_id);
  insert into public.org_members (org_id, user_id, role) values (v_id, auth.uid(), 'owner');
  insert into public.branding (org_id, display_name) values (v_id, initcap(p_name));
  insert into public.booking_settings (org_id, timezone) values (v_id, 'Australia/Brisbane');

  insert into public.clients (org_id, full_name, email, phone)
  values (v_id, format('Client of %s', initcap(p_name)), format('client@%s.example', p_name), '+61400000000')
  returning id into v_client;
  perform tests.remember(p_name || '_client', v_client);

  insert into public.offers (org_id, name, offer_type, price_cents, sessions_included)
  values (v_id, 'Ten sessions', 'session_pack', 80000, 10)
  returning id into v_offer;
  perform tests.remember(p_name || '_offer', v_offer);

  perform tests.remember(p_name || '_package', tests.sell(p_name, p_name || '_client', p_name || '_offer'));
  perform tests.remember(p_name || '_booking',
    tests.book(p_name, p_name || '_client', p_name || '_package', now() + interval '1 day'));
  perform tests.as_owner();
  update public.clients set auth_user_id = tests.id(p_name || '_client_user') where org_id = v_id and id = v_client;
end;
$$;

-- A manual sale, as the app's package form makes it; the caller is signed in.
create function tests.sell(p_org text, p_client text, p_offer text, p_sessions integer default 10)
returns uuid
language sql volatile
as $$
  insert into public.client_purchases
    (org_id, client_id, offer_id, amount_paid_cents, sessions_total, sessions_used, payment_status, payment_method)
  values (tests.id(p_org), tests.id(p_client), tests.id(p_offer), 80000, p_sessions, 0, 'succeeded', 'cash')
  returning id;
$$;

-- A booking of an hour, as the calendar makes it; the caller is signed in.
create function tests.book(p_org text, p_client text, p_package text, p_start timestamptz)
returns uuid
language sql volatile
as $$
  insert into public.bookings (org_id, client_id, purchase_id, start_time, end_time, duration_mins)
  values (tests.id(p_org), tests.id(p_client), tests.id(p_package), p_start, p_start + interval '1 hour', 60)
  returning id;
$$;

create function tests.join_org(p_org text, p_email text, p_role text, p_name text)
returns void
language plpgsql volatile
as $$
begin
  perform tests.sign_up(p_email, p_name);
  insert into public.org_members (org_id, user_id, role) values (tests.id(p_org), tests.id(p_name), p_role);
end;
$$;

create function tests.make_world()
returns void
language plpgsql volatile
as $$
begin
  perform tests.make_org('kilo'), tests.make_org('lima');
  perform tests.join_org('kilo', 'manager@kilo.example', 'manager', 'kilo_manager'),
          tests.join_org('kilo', 'desk@kilo.example', 'front_desk', 'kilo_desk'),
          tests.join_org('kilo', 'accountant@kilo.example', 'accountant_readonly', 'kilo_accountant'),
          tests.sign_up('nobody@nowhere.example', 'nobody');
end;
$$;

-- For scheduling. Kilo's studio: 09:00 to 12:00 every day for everyone, no notice, no gap between sessions, a second staff member
-- who never signs in, a session type of an hour (pt), a group of three (class), and a portal link for the client. As the owner.
create function tests.open_studio()
returns void
language plpgsql volatile
as $$
begin
  update public.booking_settings
     set buffer_between_mins = 0, min_notice_hours = 0, late_notice_hours = 0, early_cutoff_before_hour = 0, max_advance_days = 60
   where org_id = tests.id('kilo');
  insert into public.availability (org_id, day_of_week, start_time, end_time)
  select tests.id('kilo'), d, '09:00', '12:00' from generate_series(0, 6) as d;
  perform tests.remember('staff', (select s.id from public.staff as s where s.org_id = tests.id('kilo'))),
          tests.remember('second', gen_random_uuid()), tests.remember('pt', gen_random_uuid()), tests.remember('class', gen_random_uuid()),
          tests.remember('ann', gen_random_uuid()), tests.remember('ben', gen_random_uuid()), tests.remember('token', gen_random_uuid());
  insert into public.staff (org_id, id, full_name, created_at)
  values (tests.id('kilo'), tests.id('second'), 'Second Coach', now() + interval '1 minute');
  insert into public.session_types (org_id, id, name, slug, capacity)
  values (tests.id('kilo'), tests.id('pt'), 'Personal training', 'pt', 1), (tests.id('kilo'), tests.id('class'), 'Class', 'class', 3);
  insert into public.clients (org_id, id, full_name, email)
  values (tests.id('kilo'), tests.id('ann'), 'Ann', 'ann@kilo.example'), (tests.id('kilo'), tests.id('ben'), 'Ben', 'ben@kilo.example');
  update public.clients set portal_token = tests.id('token') where org_id = tests.id('kilo') and id = tests.id('kilo_client');
end;
$$;

-- A local day of kilo's (Brisbane, which has no DST), counted from today, and a wall time on it.
create function tests.day(p_days integer)
returns date
language sql stable
as $$
  select (now() at time zone 'Australia/Brisbane')::date + p_days;
$$;

create function tests.at(p_days integer, p_time time)
returns timestamptz
language sql stable
as $$
  select (tests.day(p_days) + p_time) at time zone 'Australia/Brisbane';
$$;

-- Starts as people read them: those 15 minutes apart as one run, '09:00-10:00 10:30'; empty when there is none.
create function tests.runs(p_starts timestamptz[], p_timezone text)
returns text
language sql stable
as $$
  select coalesce(string_agg(case when r.first = r.last then r.first else r.first || '-' || r.last end, ' ' order by r.begins), '')
    from (select min(i.start) as begins, to_char(min(i.start) at time zone p_timezone, 'HH24:MI') as first,
                 to_char(max(i.start) at time zone p_timezone, 'HH24:MI') as last
            from (select s.start, s.start - interval '15 minutes' * row_number() over (order by s.start) as island
                    from (select distinct unnest(p_starts)) as s (start)) as i
           group by i.island) as r;
$$;

-- What is on offer on a day of kilo's studio: of one staff member, of one type, to the audience, as of p_now. As the owner.
create function tests.starts(
  p_on date, p_staff text default 'staff', p_type text default 'pt', p_audience text default 'coach', p_now timestamptz default now(),
  p_location uuid default null)
returns text
language sql volatile
as $$
  select tests.runs(array_agg(s.start_time), private.org_timezone(tests.id('kilo')))
    from private.offered_slots(
      tests.id('kilo'), case when p_type is not null then tests.id(p_type) end, null, case when p_staff is not null then tests.id(p_staff) end,
      p_location, tstzrange(lower(private.org_day_bounds(tests.id('kilo'), p_on)),
                            upper(private.org_day_bounds(tests.id('kilo'), p_on)) - interval '1 second'), p_audience, p_now) as s;
$$;

create function tests.starts(p_days integer, p_staff text default 'staff', p_type text default 'pt', p_audience text default 'coach')
returns text
language sql volatile
as $$
  select tests.starts(tests.day(p_days), p_staff, p_type, p_audience);
$$;

-- No two occupancies of a staff member overlap, and bookings and their time agree. Leaves the owner signed in.
create function tests.calendar_holds(p_description text)
returns text
language plpgsql volatile
as $$
begin
  perform tests.as_owner();
  return extensions.is_empty(
    $q$ select 'overlap' from private.occupancies as a
          join private.occupancies as b on b.org_id = a.org_id and b.staff_id = a.staff_id and b.id > a.id and b.blocked && a.blocked
         where a.seats > 0 and b.seats > 0
        union all
        select 'seats' from private.occupancies as o
         where o.seats <> (select count(*) from public.bookings as b where b.org_id = o.org_id and b.occupancy_id = o.id)
                        + (select count(*) from private.holds as h where h.org_id = o.org_id and h.occupancy_id = o.id)
           and o.seats > 0
        union all
        select 'place' from public.bookings as b
          join private.occupancies as o on o.org_id = b.org_id and o.id = b.occupancy_id
         where (o.staff_id, o.starts_at, o.ends_at) <> (b.staff_id, b.start_time, b.end_time)
        union all
        select 'cancelled' from public.bookings as b where (b.occupancy_id is null) <> (b.status = 'cancelled') $q$, p_description);
end;
$$;

-- For payments. Each organisation's connected account (acct_kilo, acct_lima); kilo has something of every kind. As the owner.
create function tests.open_payments()
returns void
language plpgsql volatile
as $$
declare
  v_kilo uuid := tests.id('kilo');
  v_payment uuid;
begin
  insert into public.stripe_accounts (org_id, stripe_account_id, charges_enabled) values
    (v_kilo, 'acct_kilo', true), (tests.id('lima'), 'acct_lima', true);
  insert into public.subscriptions (org_id, client_id, status) values (v_kilo, tests.id('kilo_client'), 'active');
  insert into public.org_payouts (org_id, period_start, period_end, gross_amount_cents, commission_cents, net_amount_cents)
  values (v_kilo, '2026-11-01', '2026-11-30', 80000, 4000, 76000);
  insert into public.org_payout_settings (org_id, bank_bsb) values (v_kilo, '062000');
  insert into private.stripe_payments (org_id, kind, payment_intent_id, client_id, amount_cents, currency)
  values (v_kilo, 'package', 'pi_of_kilo', tests.id('kilo_client'), 80000, 'aud') returning id into v_payment;
  insert into public.disputes (org_id, stripe_dispute_id, payment_id, client_id, amount_cents, currency, opened_at)
  values (v_kilo, 'du_of_kilo', v_payment, tests.id('kilo_client'), 80000, 'aud', now());
end;
$$;

-- For messaging. Kilo's studio with phones for ann and ben, no quiet hours, and pages that links lead to. As the owner.
create function tests.open_messaging()
returns void
language plpgsql volatile
as $$
begin
  perform tests.open_studio();
  insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end) values (tests.id('kilo'), 0, 0);
  insert into private.platform_settings (name, value) values ('app_url', 'https://app.example/');
  update public.clients as c set phone = n.phone
    from (values ('ann', '0400 000 001'), ('ben', '0400 000 002')) as n (name, phone) where c.id = (select tests.id(n.name));
end;
$$;

-- A message of kilo's, wanted now, by name. As the owner.
create function tests.queue(
  p_name text, p_kind text default 'direct', p_client text default 'ann', p_channel text default 'sms', p_booking text default null,
  p_at timestamptz default now(), p_expires_at timestamptz default null, p_metadata jsonb default '{"message": "Hello"}', p_body text default null,
  p_now timestamptz default now())
returns uuid
language sql volatile
as $$
  select tests.remember(p_name, private.queue_message(
    tests.id('kilo'), p_channel, p_kind, case when p_client is not null then tests.id(p_client) end, p_name,
    case when p_booking is not null then tests.id(p_booking) end, p_at, p_expires_at, p_metadata, p_body => p_body,
    p_to_address => case when p_client is null then '+61499999999' end, p_now => p_now));
$$;

-- What a worker would carry, by the names of tests.queue in the order of the claim; another's are left out.
create function tests.claim(p_now timestamptz default now(), p_limit integer default 100)
returns text
language sql volatile
as $$
  select coalesce(string_agg(n.name, ' ' order by c.ordinality), '')
    from service.claim_messages('worker', p_limit, p_now => p_now) with ordinality as c
    join tests.names as n on n.id = c.id;
$$;

-- A worker's report on a message by the claim it has now: recorded or stale.
create function tests.report(p_name text, p_outcome text, p_more jsonb default '{}', p_now timestamptz default now())
returns text
language sql volatile
as $$
  select case when r.recorded = 1 then 'recorded' when r.stale = 1 then 'stale' end
    from public.outbox_messages as m
   cross join lateral service.record_messages(
     jsonb_build_array(jsonb_build_object('org_id', m.org_id, 'id', m.id, 'claim', m.claim, 'outcome', p_outcome) || p_more), p_now) as r
   where m.id = tests.id(p_name);
$$;

-- Where a message stands: its status, and why.
create function tests.standing(p_name text)
returns text
language sql volatile
as $$
  select concat_ws(' ', m.status, m.error_code) from public.outbox_messages as m where m.id = tests.id(p_name);
$$;

-- For checkout. Kilo's studio with a Stripe account that takes cards, a session type (paid) of 100.00 that asks 25.00, portal links for
-- ann and ben, and no quiet hours. As the owner.
create function tests.open_checkout()
returns void
language plpgsql volatile
as $$
begin
  perform tests.open_messaging();
  perform tests.remember('paid', gen_random_uuid()), tests.remember('ann_token', gen_random_uuid()), tests.remember('ben_token', gen_random_uuid());
  insert into public.stripe_accounts (org_id, stripe_account_id, charges_enabled, payouts_enabled, details_submitted)
  values (tests.id('kilo'), 'acct_kilo', true, true, true);
  insert into public.session_types (org_id, id, name, slug, price_cents, deposit_cents)
  values (tests.id('kilo'), tests.id('paid'), 'Massage', 'massage', 10000, 2500);
  update public.clients as c set portal_token = n.token
    from (values (tests.id('ann'), tests.id('ann_token')), (tests.id('ben'), tests.id('ben_token'))) as n (id, token) where c.id = n.id;
end;
$$;

-- Books the type that asks a deposit from the portal; remembers the deposit under this name and returns the outcome.
create function tests.ask_deposit(p_name text, p_start timestamptz, p_token text default 'ann_token', p_request uuid default null)
returns text
language plpgsql volatile
as $$
declare
  v_answer jsonb := portal_book(tests.id(p_token)::text, p_start, null, tests.id('paid'), tests.id('staff'), p_notes => 'Left knee', p_request_id => p_request);
begin
  if v_answer ? 'deposit_id' then
    perform tests.remember(p_name, (v_answer ->> 'deposit_id')::uuid);
  end if;
  return v_answer ->> 'outcome';
end;
$$;

-- The PaymentIntent of a deposit as Stripe tells it.
create function tests.intent(p_name text, p_status text default 'succeeded', p_more jsonb default '{}')
returns jsonb
language sql stable security definer
as $$
  select jsonb_build_object('id', 'pi_' || replace(d.id::text, '-', ''), 'status', p_status, 'amount', d.amount_cents, 'amount_received', d.amount_cents,
                            'currency', d.currency, 'latest_charge', 'ch_' || replace(d.id::text, '-', '')) || p_more
    from public.deposits as d where d.id = tests.id(p_name);
$$;

-- A deposit that was asked and paid: its booking is remembered as NAME_booking, its payment as NAME_payment. As the owner.
create function tests.pay_deposit(p_name text, p_start timestamptz, p_token text default 'ann_token')
returns text
language plpgsql volatile
as $$
declare
  v_deposit public.deposits;
begin
  perform tests.ask_deposit(p_name, p_start, p_token);
  perform private.apply_deposit_event(tests.id('kilo'), tests.id(p_name), 'payment_intent.succeeded', tests.intent(p_name));
  select d.* into v_deposit from public.deposits as d where d.id = (select n.id from tests.names as n where n.name = p_name);
  perform tests.remember(p_name || '_booking', v_deposit.booking_id), tests.remember(p_name || '_payment', v_deposit.payment_id);
  return v_deposit.status;
end;
$$;

-- What the ledger holds of kilo's, as 'TYPE amount', in the order it was booked. As the owner.
create function tests.money(p_client text default 'ann')
returns text
language sql stable
as $$
  select coalesce(string_agg(e.type || ' ' || e.amount_cents, ', ' order by e.created_at, e.id), '')
    from public.money_events as e where e.org_id = tests.id('kilo') and e.client_id = tests.id(p_client);
$$;
