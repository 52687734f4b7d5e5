"""A claim costs what is due, not what exists: beside a hundred times the history it touches the same pages."""

from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg.rows import dict_row
from tests.db.queued import clients, limits, queue
from tests.db.studio import Studio
from tests.harness.database import Database

NOW = datetime.now(UTC)
HISTORY = 700
CLAIM = "select * from service.claim_messages('w', 50, p_now => %s)"

# Years of messages that arrived, one a day to each of the clients who are written to now, and what lies ahead
# for others.
GROW = """
insert into public.outbox_messages (org_id, channel, kind, client_id, to_address, body, status, priority, scheduled_for,
                                    next_at, expires_at, claim, claimed_at, attempts, provider_message_id, created_at)
select c.org_id, 'sms', 'booking_reminder', c.id, c.phone_e164, 'A reminder',
       case when n %% 10 = 0 then 'pending' else 'delivered' end, 0, x.at, x.at, x.at + interval '1 day',
       case when n %% 10 > 0 then gen_random_uuid() end, case when n %% 10 > 0 then x.at end, 1,
       case when n %% 10 > 0 then 'SM' || gen_random_uuid() end, least(x.at, %(now)s) - interval '1 day'
  from generate_series(1, %(rows)s) as n
  join lateral (select c.* from public.clients as c where c.phone is not null order by c.id 
                 offset case when n %% 10 = 0 then 20 + n %% 400 / 10 else n %% 20 end limit 1) as c on true
 cross join lateral (select %(now)s::timestamptz + case when n %% 10 = 0 then 1 else -1 end
                            * (interval '25 hours' + (n + %(before)s) * interval '72 minutes') as at) as x"""


@dataclass
class Cost:
    """What one claim touched."""

    pages: int
    due_scans: int
    whole_tables: dict[str, int]


def grow(db: Database, rows: int, *, before: int = 0) -> None:
    with psycopg.connect(db.admin_url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(GROW, {"rows": rows, "now": NOW, "before": before})
        connection.execute("vacuum analyze")


def cost(db: Database) -> Cost:
    """Claims a batch once and takes it back; the first run fills the session's caches and is not counted."""
    with psycopg.connect(db.url, row_factory=dict_row) as connection:
        # A small table is read whole: what is compared is what the indexes cost.
        connection.execute("set local enable_seqscan = off")
        connection.execute("savepoint before")
        assert len(connection.execute(CLAIM, (NOW,)).fetchall()) == 50
        connection.execute("rollback to before")
        plan = connection.execute("explain (analyze, buffers, format json) " + CLAIM, (NOW,)).fetchone()
        assert plan is not None
        (top,) = plan["QUERY PLAN"]
        scans = connection.execute(
            "select pg_stat_get_xact_numscans('public.outbox_messages_due_idx'::regclass) as n"
        ).fetchone()
        tables = connection.execute(
            """select relname, seq_tup_read from pg_stat_xact_user_tables
                where relname like 'outbox%%' and seq_tup_read > 0"""
        ).fetchall()
        connection.rollback()
    assert scans is not None
    return Cost(
        top["Plan"]["Shared Hit Blocks"] + top["Plan"]["Shared Read Blocks"],
        scans["n"],
        {row["relname"]: row["seq_tup_read"] for row in tables},
    )


def test_a_claim_costs_what_is_due_not_what_exists(studio: Studio) -> None:
    limits(studio, max_sms_per_hour=1000, max_sms_per_client_per_day=20)
    people = sorted(clients(studio, 60))
    queue(studio, people[:20], 200, NOW)
    grow(studio.db, HISTORY)
    small = cost(studio.db)
    grow(studio.db, HISTORY * 100, before=HISTORY)
    large = cost(studio.db)
    assert large.due_scans > 0, "the work list is read by its own partial index"
    assert large.whole_tables == {}
    # A tree over a hundred times the rows is a level deeper; that is all that may grow.
    assert large.pages < small.pages * 1.5, (small, large)


def test_a_claim_of_nothing_touches_next_to_nothing(studio: Studio) -> None:
    clients(studio, 60)
    grow(studio.db, HISTORY * 20)
    with psycopg.connect(studio.db.url, row_factory=dict_row) as connection:
        assert connection.execute(CLAIM, (NOW,)).fetchall() == []
        plan = connection.execute("explain (analyze, buffers, format json) " + CLAIM, (NOW,)).fetchone()
    assert plan is not None
    # Brakes, blocked organisations and providers that asked for time are looked up too: each an empty index.
    assert plan["QUERY PLAN"][0]["Plan"]["Shared Hit Blocks"] < 150
