"""The data that is measured on: organisations, each with a coach, clients, packages and bookings, of any size.

Names count from 1 (`org1`, `coach1`, `client1`, `package1`) and an id is `md5(name)::uuid`: spread like real ids, and
known to a script. Triggers and keys are off while it is written, since rows are right by construction.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from coach_os.stack.postgres import SUPERUSER, PostgresServer

_ORGS = """
insert into auth.users (id, email)
select md5('coach' || n)::uuid, 'coach' || n || '@bench.example' from generate_series(1, %(orgs)s) as n;

insert into public.orgs (id, name, slug, created_at)
select md5('org' || n)::uuid, 'Organisation ' || n, 'org-' || n, now() from generate_series(1, %(orgs)s) as n;

insert into public.org_members (org_id, user_id, role)
select md5('org' || n)::uuid, md5('coach' || n)::uuid, 'coach' from generate_series(1, %(orgs)s) as n;

insert into public.staff (org_id, id, user_id, full_name)
select md5('org' || n)::uuid, md5('staff' || n)::uuid, md5('coach' || n)::uuid, 'Coach ' || n
  from generate_series(1, %(orgs)s) as n;

insert into public.offers (org_id, id, name, offer_type, price_cents, sessions_included)
select md5('org' || n)::uuid, md5('offer' || n)::uuid, 'Pack', 'session_pack', 10000, 10
  from generate_series(1, %(orgs)s) as n;

insert into public.clients (org_id, id, full_name)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('client' || n)::uuid, 'Client ' || n
  from generate_series(1, %(clients)s) as n;
"""

# Of client n, and of the same number.
_PACKAGES = """
insert into public.client_purchases (
  org_id, id, client_id, offer_id, amount_paid_cents, sessions_total, payment_status, expires_at)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('package' || n)::uuid, md5('client' || n)::uuid,
       md5('offer' || (1 + (n - 1) %% %(orgs)s))::uuid, 10000, %(sessions)s, 'succeeded', now() + interval '1 year'
  from generate_series(1, %(clients)s) as n;
"""

# A coach's bookings follow one another. As many again are settled history: a sweep never runs beside an empty ledger.
_OVERDUE = """
insert into public.bookings (org_id, id, client_id, purchase_id, staff_id, occupancy_id, start_time, end_time, status,
                             settlement, completed_at)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('booking' || n)::uuid,
       md5('client' || (1 + (n - 1) %% %(clients)s))::uuid, md5('package' || (1 + (n - 1) %% %(clients)s))::uuid,
       md5('staff' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('occupancy' || n)::uuid,
       s.starts_at, s.starts_at + interval '1 hour',
       case when n > %(bookings)s then 'confirmed' else 'completed' end,
       case when n > %(bookings)s then null else 'charged' end,
       case when n > %(bookings)s then null else s.starts_at + interval '1 hour' end
  from generate_series(1, 2 * %(bookings)s) as n,
       lateral (select now() - interval '2 hours'
                       - (2 * %(bookings)s - n) * interval '1 hour' / %(orgs)s as starts_at) as s;

insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
select b.org_id, b.purchase_id, 'use', 1, b.id, 1, 'sweep', b.completed_at
  from public.bookings as b
 where b.settlement = 'charged';

update public.client_purchases as p
   set sessions_used = e.n, entry_count = e.n
  from (select u.org_id, u.purchase_id, count(*) as n
          from public.session_entries as u
         group by u.org_id, u.purchase_id) as e
 where p.org_id = e.org_id and p.id = e.purchase_id;
"""

# Half a year behind, half a year ahead.
_CALENDARS = """
insert into public.bookings (
  org_id, id, client_id, staff_id, occupancy_id, start_time, end_time, status, settlement)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('booking' || n)::uuid,
       md5('client' || (1 + (n - 1) %% %(clients)s))::uuid, md5('staff' || (1 + (n - 1) %% %(orgs)s))::uuid,
       md5('occupancy' || n)::uuid, s.starts_at, s.starts_at + interval '1 hour',
       case when s.starts_at < now() then 'completed' else 'confirmed' end,
       case when s.starts_at < now() then 'none' end
  from generate_series(1, %(bookings)s) as n,
       lateral (select now() + interval '182 days' * (2.0 * n / %(bookings)s - 1) as starts_at) as s;
"""

# A year around now on packages, half of it held and charged; each client pays once a month and is scored once.
_BUSINESS = """
insert into public.bookings (
  org_id, id, client_id, purchase_id, staff_id, occupancy_id, start_time, end_time, status, settlement, completed_at)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('booking' || n)::uuid,
       md5('client' || (1 + (n - 1) %% %(clients)s))::uuid, md5('package' || (1 + (n - 1) %% %(clients)s))::uuid,
       md5('staff' || (1 + (n - 1) %% %(orgs)s))::uuid,
       md5('occupancy' || n)::uuid, s.starts_at, s.starts_at + interval '1 hour',
       case when s.starts_at < now() then 'completed' else 'confirmed' end,
       case when s.starts_at < now() then 'charged' end, case when s.starts_at < now() then s.starts_at end
  from generate_series(1, %(bookings)s) as n,
       lateral (select now() + interval '182 days' * (2.0 * n / %(bookings)s - 1) as starts_at) as s;

insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
select b.org_id, b.purchase_id, 'use', 1, b.id, 1, 'sweep', b.completed_at
  from public.bookings as b
 where b.settlement = 'charged';

update public.client_purchases as p
   set sessions_used = e.n, entry_count = e.n
  from (select u.org_id, u.purchase_id, count(*) as n
          from public.session_entries as u
         group by u.org_id, u.purchase_id) as e
 where p.org_id = e.org_id and p.id = e.purchase_id;

insert into public.money_events (org_id, event_date, type, amount_cents, source, reference_id, client_id, purchase_id)
select p.org_id, now() - m * interval '30 days', 'INCOME', 1000, 'manual', p.id || '/' || m, p.client_id, p.id
  from public.client_purchases as p, generate_series(0, 11) as m;

insert into public.client_risk (org_id, client_id, as_of_date, score, tier)
select c.org_id, c.id, current_date, 50, 'red' from public.clients as c;
"""

# A month of messages that left, 5,000 that are due, and the runs of a worker a minute.
_SENT = """
insert into public.outbox_messages (
  org_id, id, channel, kind, client_id, body, status, next_at, expires_at, claimed_at, sent_at, created_at)
select md5('org' || (1 + (n - 1) %% %(orgs)s))::uuid, md5('sent' || n)::uuid,
       (array['sms', 'sms', 'email', 'push'])[1 + n %% 4], 'direct',
       md5('client' || (1 + (n - 1) %% %(clients)s))::uuid,
       'See you at 9:00 am.', 'delivered', s.sent_at, s.sent_at + interval '1 day', s.sent_at, s.sent_at, s.sent_at
  from generate_series(1, %(messages)s) as n,
       lateral (select now() - interval '30 days' * (1 - n::numeric / %(messages)s) as sent_at) as s;

insert into public.outbox_attempts (org_id, message_id, attempt_number, claim, provider, status, created_at)
select m.org_id, m.id, 1, gen_random_uuid(), 'twilio', 'sent', m.sent_at
  from public.outbox_messages as m
 order by m.sent_at;

insert into public.outbox_messages (org_id, channel, kind, client_id, body, status, next_at, expires_at)
select md5('org1')::uuid, 'sms', 'direct', md5('client1')::uuid, 'x', 'queued', now(), now() + interval '1 day'
  from generate_series(1, 5000);

insert into private.job_runs (job, started_at, finished_at, result)
select j, now() - m * interval '1 minute', now() - m * interval '1 minute', '{"completed": 1}'
  from unnest(array['sweep_bookings', 'sweep_holds', 'sweep_messages', 'sweep_reminders']) as j,
       generate_series(1, 10000) as m;
"""

# Everybody is open from 8 to 20; of all these half hours as many are taken as asked for, strewn evenly.
_DIARIES = """
insert into public.staff (org_id, id, full_name)
select md5('org1')::uuid, md5('staff' || n)::uuid, 'Coach ' || n from generate_series(2, %(staff)s) as n;

insert into public.availability (org_id, day_of_week, start_time, end_time)
select md5('org1')::uuid, d, '08:00', '20:00' from generate_series(0, 6) as d;

insert into public.bookings (org_id, id, client_id, staff_id, occupancy_id, start_time, end_time, duration_mins)
select md5('org1')::uuid, md5('booking' || n)::uuid, md5('client1')::uuid, s.staff_id, md5('occupancy' || n)::uuid,
       s.starts_at, s.starts_at + interval '30 minutes', 30
  from (select md5('staff' || staff)::uuid as staff_id,
               (current_date + day + time '08:00' + slot * interval '30 minutes')
                 at time zone 'Australia/Brisbane' as starts_at,
               row_number() over (order by md5(staff || '-' || day || '-' || slot)) as n
          from generate_series(1, %(staff)s) as staff
         cross join generate_series(1, %(days)s) as day
         cross join generate_series(0, 23) as slot) as s
 where n <= %(bookings)s;
"""

# One calendar that is open around the clock, and nothing in it.
_OPEN_CALENDAR = """
insert into public.availability (org_id, day_of_week, start_time, end_time)
select md5('org1')::uuid, d, '00:00', '24:00' from generate_series(0, 6) as d;
"""

# As many texts for each client as for the next; the limits are the ones that every organisation has.
_TEXTS = """
update public.clients as c
   set phone = p.phone, phone_e164 = p.phone
  from (select md5('client' || n)::uuid as id, '+614' || lpad(n::text, 8, '0') as phone
          from generate_series(1, %(clients)s) as n) as p
 where c.id = p.id;

insert into public.sms_settings (org_id, quiet_hours_start, quiet_hours_end)
select md5('org' || n)::uuid, 0, 0 from generate_series(1, %(orgs)s) as n;

insert into public.outbox_messages (
  org_id, id, channel, kind, client_id, body, status, scheduled_for, next_at, expires_at, idempotency_key)
select md5('org' || (1 + (c.n - 1) %% %(orgs)s))::uuid, md5('text' || t)::uuid, 'sms', 'direct',
       md5('client' || c.n)::uuid, 'See you at 9:00 am. Reply Y.', 'queued', d.due_at, d.due_at,
       now() + interval '7 days', 'text-' || t
  from generate_series(1, %(texts)s) as t,
       lateral (select 1 + (t - 1) %% %(clients)s as n) as c,
       lateral (select now() - interval '1 hour' + t * interval '1 millisecond' as due_at) as d;
"""

_OCCUPANCIES = """
insert into private.occupancies (org_id, id, staff_id, starts_at, ends_at, blocked, capacity, seats)
select b.org_id, b.occupancy_id, b.staff_id, b.start_time, b.end_time, tstzrange(b.start_time, b.end_time), 1, 1
  from public.bookings as b;
"""


def add_packages(server: PostgresServer, database: str, *, orgs: int, packages: int, sessions: int) -> None:
    """Packages of `sessions` each, one for each client, dealt to the organisations in turn."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _PACKAGES, orgs=orgs, clients=packages, sessions=sessions)


def add_overdue_bookings(server: PostgresServer, database: str, *, orgs: int, packages: int, bookings: int) -> None:
    """Packages, and confirmed bookings of them that are over, dealt in turn; before each lies one that is settled."""
    with _unchecked(server, database) as connection:
        sessions = 3 * -(-bookings // packages)
        _run(
            connection,
            _ORGS + _PACKAGES + _OVERDUE + _OCCUPANCIES,
            orgs=orgs,
            clients=packages,
            sessions=sessions,
            bookings=bookings,
        )


def add_calendars(server: PostgresServer, database: str, *, orgs: int, clients: int, bookings: int) -> None:
    """Bookings without packages over a year around now, dealt to the organisations in turn."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _CALENDARS + _OCCUPANCIES, orgs=orgs, clients=clients, bookings=bookings)


def add_businesses(server: PostgresServer, database: str, *, orgs: int, clients: int, bookings: int) -> None:
    """Organisations with a year of bookings on packages, money and scores: what their dashboards sum up."""
    with _unchecked(server, database) as connection:
        script = _ORGS + _PACKAGES + _BUSINESS
        _run(connection, script, orgs=orgs, clients=clients, bookings=bookings, sessions=2 * -(-bookings // clients))


def add_sent_messages(server: PostgresServer, database: str, *, orgs: int, clients: int, messages: int) -> None:
    """A month of messages that left, 5,000 that are due, and the runs of four jobs."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _SENT, orgs=orgs, clients=clients, messages=messages)


def add_open_calendar(server: PostgresServer, database: str) -> None:
    """One coach with one client, whose calendar is open around the clock and empty."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _OPEN_CALENDAR, orgs=1, clients=1)


def add_diaries(server: PostgresServer, database: str, *, staff: int, days: int, bookings: int) -> None:
    """One organisation's staff, open from 8 to 20, with bookings of half an hour strewn over the days from tomorrow."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _DIARIES + _OCCUPANCIES, orgs=1, clients=1, staff=staff, days=days, bookings=bookings)


def add_texts(server: PostgresServer, database: str, *, orgs: int, clients: int, texts: int) -> None:
    """Texts that are due, dealt to the clients in turn, and these to the organisations; no quiet hours."""
    with _unchecked(server, database) as connection:
        _run(connection, _ORGS + _TEXTS, orgs=orgs, clients=clients, texts=texts)


@contextmanager
def _unchecked(server: PostgresServer, database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url(database, SUPERUSER), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection
        connection.execute("vacuum (analyze)")
        connection.execute("checkpoint")


def _run(connection: psycopg.Connection, script: str, **sizes: int) -> None:
    # A client-side cursor: several statements with parameters in one message.
    psycopg.ClientCursor(connection).execute(script.encode(), sizes)
