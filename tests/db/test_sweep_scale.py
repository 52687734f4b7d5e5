"""A sweep costs what is due, not what exists: beside a hundred times the history it touches the same pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.db.exactness import assert_exact, assert_settled
from tests.db.studio import Studio
from tests.harness.database import Database

DUE = 60
HISTORY = 400
SWEEP = "select * from service.sweep_overdue_bookings(500, clock_timestamp() + interval '5 minutes')"

# Years of settled sessions, and a full calendar ahead: rows that a sweep has no business with. Written without
# triggers, as they would lie there after the rules had made them.
GROW = """
with offer as (select org_id, id, sessions_included from public.offers order by sessions_included desc limit 1),
clients as (
  insert into public.clients (org_id, full_name)
  select o.org_id, 'Client ' || n from offer as o, generate_series(1, %(rows)s / 10) as n
  returning org_id, id),
packages as (
  insert into public.client_purchases (org_id, client_id, offer_id, amount_paid_cents, sessions_total, sessions_used,
                                       entry_count, payment_status)
  select c.org_id, c.id, o.id, 5000, o.sessions_included, 5, 5, 'succeeded'
    from clients as c join offer as o on o.org_id = c.org_id
  returning org_id, id, client_id),
past as (
  insert into public.bookings (org_id, client_id, purchase_id, staff_id, occupancy_id, start_time, end_time, status,
                               settlement, completed_at)
  select p.org_id, p.client_id, p.id, gen_random_uuid(), gen_random_uuid(), t, t + interval '1 hour', 'completed',
         'charged', t + interval '1 hour'
    from packages as p, generate_series(1, 5) as n, lateral (select now() - n * interval '7 days' as t) as at
  returning org_id, id, purchase_id),
ahead as (
  insert into public.bookings (org_id, client_id, purchase_id, staff_id, occupancy_id, start_time, end_time)
  select p.org_id, p.client_id, p.id, gen_random_uuid(), gen_random_uuid(), t, t + interval '1 hour'
    from packages as p, generate_series(1, 5) as n, lateral (select now() + n * interval '7 days' as t) as at)
insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason)
select b.org_id, b.purchase_id, 'use', 1, b.id, 1, 'sweep' from past as b"""

OCCUPY = """
insert into private.occupancies (org_id, id, staff_id, starts_at, ends_at, blocked, capacity, seats)
select b.org_id, b.occupancy_id, b.staff_id, b.start_time, b.end_time, tstzrange(b.start_time, b.end_time), 1, 1
  from public.bookings as b
 where not exists (select from private.occupancies as o where o.org_id = b.org_id and o.id = b.occupancy_id)"""


# What the packages that are due have ahead of them.
AHEAD = """
insert into public.bookings (org_id, client_id, purchase_id, staff_id, occupancy_id, start_time, end_time)
select p.org_id, p.client_id, p.purchase_id, gen_random_uuid(), gen_random_uuid(), t, t + interval '1 hour'
  from (select distinct b.org_id, b.client_id, b.purchase_id from public.bookings as b
         where b.status = 'confirmed' and b.end_time < now()) as p,
       generate_series(1, %(rows)s) as n, lateral (select now() + n * interval '1 day' as t) as at"""


@dataclass
class Cost:
    """What one sweep touched."""

    pages: int
    scans: dict[str, int]
    whole_tables: dict[str, int]


@pytest.fixture
def busy(db: Database) -> Studio:
    """A studio with some history and a fixed amount of work for the sweep, of each kind."""
    studio = Studio.open(db)
    packages = [studio.package(20), studio.package(5)]
    for number in range(DUE):
        booking = studio.booking(packages[number % 2], hours=-2 - number)
        if number % 3 == 0:
            studio.db.owner.rows("update bookings set status = 'completed' where id = %s", (booking,))
    grow(db, HISTORY)
    return studio


def grow(db: Database, rows: int) -> None:
    with psycopg.connect(db.admin_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(GROW, {"rows": rows})
        connection.execute(OCCUPY)
        connection.execute("vacuum analyze")


@contextmanager
def rolled_back(db: Database) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    connection: psycopg.Connection[dict[str, Any]]
    with psycopg.connect(db.url, row_factory=dict_row) as connection:
        yield connection
        connection.rollback()


def cost(db: Database) -> Cost:
    """Sweeps once and takes it back; the first run fills the session's caches and is not counted."""
    with rolled_back(db) as connection:
        connection.execute("savepoint before")
        done = connection.execute(SWEEP).fetchone()
        assert done == {"completed": 40, "charged": 25, "uncovered": 35, "skipped": 0}
        connection.execute("rollback to before")
        plan = connection.execute("explain (analyze, buffers, format json) " + SWEEP).fetchone()
        assert plan is not None
        (top,) = plan["QUERY PLAN"]
        scans = connection.execute(
            """select c.relname, pg_stat_get_xact_numscans(c.oid) as scans from pg_class as c
                where c.relname = any (%s)""",
            (["bookings_overdue_idx", "bookings_due_idx"],),
        ).fetchall()
        tables = connection.execute(
            "select relname, seq_tup_read from pg_stat_xact_user_tables where relname = any (%s) and seq_tup_read > 0",
            (["bookings", "client_purchases", "session_entries", "alerts"],),
        ).fetchall()
        return Cost(
            top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"],
            {row["relname"]: row["scans"] for row in scans},
            {row["relname"]: row["seq_tup_read"] for row in tables},
        )


def test_sweep_costs_what_is_due_not_what_exists(busy: Studio) -> None:
    small = cost(busy.db)
    grow(busy.db, HISTORY * 100)
    large = cost(busy.db)
    assert all(large.scans.values()), "the work lists are read by their own partial indexes"
    assert large.whole_tables == {}
    # A tree over a hundred times the rows is a level deeper; that is all that may grow.
    assert large.pages < small.pages * 1.5, (small, large)
    assert_settled(busy.db)


def test_what_a_package_has_ahead_costs_its_sweep_nothing(busy: Studio) -> None:
    small = cost(busy.db)
    with psycopg.connect(busy.db.admin_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(AHEAD, {"rows": HISTORY * 20})
        connection.execute("vacuum analyze")
    large = cost(busy.db)
    # Each of a booking's indexes grows a level; no booking to come is looked at.
    assert large.pages < small.pages * 1.5, (small, large)


def test_empty_sweep_touches_next_to_nothing(busy: Studio) -> None:
    assert_settled(busy.db)
    with rolled_back(busy.db) as connection:
        connection.execute(SWEEP)
        plan = connection.execute("explain (analyze, buffers, format json) " + SWEEP).fetchone()
    assert plan is not None
    assert plan["QUERY PLAN"][0]["Plan"]["Shared Hit Blocks"] < 100
    assert_exact(busy.db)
