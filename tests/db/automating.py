"""Automations of a small business, made as its coach makes them, and workers that sweep them."""

import json
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
from tests.db.studio import Studio
from tests.harness.database import Caller

DAILY = {"type": "schedule", "schedule": "daily", "time": "09:00"}
SAY = [{"type": "send_message", "params": {"message": "Hi {first_name}"}}]
SWEEP = "select * from service.sweep_automations(%s, %s)"


def automate(
    studio: Studio, trigger: dict[str, Any] = DAILY, actions: list[dict[str, Any]] = SAY, **guardrails: Any
) -> uuid.UUID:
    """A new automation for everybody."""
    row = studio.coach.row(
        """insert into automations (org_id, name, enabled, trigger, conditions, actions, guardrails)
           values (%s, 'Automation', true, %s, '[]', %s, %s) returning id""",
        (studio.org_id, json.dumps(trigger), json.dumps(actions), json.dumps(guardrails)),
    )
    automation_id: uuid.UUID = row["id"]
    return automation_id


def clients(studio: Studio, number: int) -> list[uuid.UUID]:
    """So many clients besides the first."""
    return studio.db.owner.values(
        """insert into public.clients (org_id, full_name) select %s, 'Client ' || n from generate_series(1, %s) as n
           returning id""",
        (studio.org_id, number),
    )


def due(studio: Studio, *automations: uuid.UUID, at: datetime) -> None:
    """They are due then."""
    studio.db.owner.rows("update public.automations set next_run_at = %s where id = any (%s)", (at, [*automations]))


def sweep(worker: Caller, now: datetime, limit: int = 100) -> dict[str, int]:
    """Until nothing is due; what was done."""
    done: dict[str, int] = {}
    while True:
        counts = worker.row(SWEEP, (limit, now))
        if not counts["planned"] and not counts["fired"]:
            return done
        done = {name: done.get(name, 0) + count for name, count in counts.items()}


def main(url: str, now: str) -> None:
    """A worker to be killed: it fires everything in one transaction, says so, and waits before it commits."""
    with psycopg.connect(url, application_name="doomed") as connection:
        connection.execute(SWEEP, (100, datetime.fromisoformat(now).astimezone(UTC)))
        print("fired", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
