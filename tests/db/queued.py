"""Messages in a test's database: made in bulk, claimed and reported as workers do, and where they then stand."""

import uuid
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb
from tests.db.studio import Studio
from tests.harness.database import Caller, Database

CLAIM = "select org_id, id, claim from service.claim_messages(%s, %s, p_now => %s)"

CLIENTS = """
insert into public.clients (org_id, full_name, phone)
select %(org)s, 'Client ' || n, '04' || (%(tag)s + n)::text from generate_series(1, %(number)s) as n
returning id"""

MESSAGES = """
insert into public.outbox_messages (org_id, channel, kind, client_id, metadata, status, priority, scheduled_for,
                                    next_at, expires_at)
select %(org)s, 'sms', 'direct', (%(clients)s::uuid[])[1 + n %% cardinality(%(clients)s::uuid[])],
       '{"message": "Hello"}', 'queued', 0, %(now)s, %(now)s::timestamptz - n * interval '1 second',
       %(now)s::timestamptz + interval '1 day'
  from generate_series(1, %(number)s) as n"""


def clients(studio: Studio, number: int, *, tag: int = 10_000_000) -> list[uuid.UUID]:
    """Further clients, each with a phone of their own."""
    return studio.db.owner.values(CLIENTS, {"org": studio.org_id, "number": number, "tag": tag})


def queue(studio: Studio, people: list[uuid.UUID], number: int, now: datetime) -> None:
    """So many messages to these clients in turn, all due."""
    studio.db.owner.rows(MESSAGES, {"org": studio.org_id, "clients": people, "number": number, "now": now})


def limits(studio: Studio, **columns: Any) -> None:
    """Saves messaging settings, without quiet hours unless they are named."""
    columns = {"quiet_hours_start": None, **columns}
    studio.db.owner.rows(
        "insert into public.sms_settings (org_id) values (%s) on conflict (org_id) do nothing", (studio.org_id,)
    )
    for name, value in columns.items():
        studio.db.owner.rows(f"update public.sms_settings set {name} = %s where org_id = %s", (value, studio.org_id))


def work(worker: Caller, name: str, now: datetime, *, batch: int = 7, outcome: str = "sent") -> list[uuid.UUID]:
    """Claims and reports until nothing may be sent; what it was given, in order."""
    carried: list[uuid.UUID] = []
    while rows := worker.rows(CLAIM, (name, batch, now)):
        carried += [row["id"] for row in rows]
        results = [
            {
                "org_id": str(row["org_id"]),
                "id": str(row["id"]),
                "claim": str(row["claim"]),
                "outcome": outcome,
                "provider_message_id": f"SM{row['id'].hex}",
            }
            for row in rows
        ]
        answer = worker.row("select * from service.record_messages(%s, %s)", (Jsonb(results), now))
        assert answer == {"recorded": len(rows), "stale": 0}
    return carried


def standing(db: Database) -> dict[str, int]:
    """How many messages stand where."""
    rows = db.owner.rows("select status, count(*) as n from public.outbox_messages group by 1")
    return {row["status"]: row["n"] for row in rows}
