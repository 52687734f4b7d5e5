"""An outbox full of texts that are due, for tests of the workers that send them; and a worker to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.harness.database import Database

from coach_os.database import PostgresDatabase
from coach_os.logs import configure_logging
from coach_os.providers import sms
from coach_os.providers.carriers import Carriers, carriers_of
from coach_os.providers.outcome import Outcome
from coach_os.settings import Settings
from coach_os.sweeps.messages import send_due_messages
from coach_os.sweeps.unknown_messages import reconcile_unknown_messages

NAME = "Jo Bloggs of Kilo"
BODY = "Your locker code, Jo, is heron."
#: What no log line may hold.
PERSONAL = (NAME, "Bloggs", BODY, "heron", "+61412", "61412000", "0412000")

FILL = """
with org as (
  insert into public.orgs (name, slug) values (%(slug)s, %(slug)s) returning id),
settings as (
  insert into public.sms_settings (
    org_id, quiet_hours_start, quiet_hours_end, max_sms_per_hour, max_sms_per_client_per_day, falls_back_to_email)
  select id, 0, 0, null, null, false from org),
person as (
  insert into public.clients (org_id, full_name, phone)
  select o.id, %(name)s, '+6141200' || lpad((%(start)s + n)::text, 4, '0')
    from org as o, generate_series(1, %(clients)s) as n
  returning org_id, id),
numbered as (
  select p.org_id, p.id, row_number() over () as n from person as p)
insert into public.outbox_messages (
  org_id, channel, kind, client_id, body, status, next_at, expires_at, idempotency_key)
select p.org_id, 'sms', 'direct', p.id, %(body)s || ' ' || m, 'queued',
       now() - interval '1 minute' + m * interval '1 microsecond',
       now() + interval '2 days', 'test-' || p.n || '-' || m
  from numbered as p, generate_series(1, %(each)s) as m
"""


def fill(db: Database, *, clients: int, each: int, slug: str = "kilo", start: int = 0) -> UUID:
    """An organisation without quiet hours or limits, whose clients have so many texts to be sent to each."""
    values = {"slug": slug, "name": NAME, "body": BODY, "clients": clients, "each": each, "start": start}
    db.owner.rows(FILL, values)
    org_id: UUID = db.owner.value("select id from public.orgs where slug = %s", (slug,))
    return org_id


def statuses(db: Database) -> dict[str, int]:
    rows = db.owner.rows("select status, count(*)::integer as n from public.outbox_messages group by 1")
    return {row["status"]: row["n"] for row in rows}


def let_time_pass(db: Database) -> None:
    """Leases run out, accounts have rested, and what was put off is due: as an hour would do it."""
    db.owner.rows("select service.claim_messages('clock', 1, '{}', p_now => now() + interval '1 hour')")
    db.owner.rows("delete from private.provider_limits")
    db.owner.rows("update public.outbox_messages set next_at = now() where status in ('queued', 'unknown')")


class Fatal(PostgresDatabase):
    """Ends its process at a step: the `nth` time that it is about to `call`, or was answered."""

    def __init__(self, url: str, step: str, nth: int) -> None:
        super().__init__(url, max_size=4)
        self.step, self.left = step, nth

    def reach(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    async def rpc(self, name: str, /, **params: Any) -> Any:
        self.reach(f"before {name}")
        if self.step == f"during {name}":
            # The statement is on its way, and its answer is not awaited.
            asyncio.get_running_loop().call_later(0.002 * self.left, os.kill, os.getpid(), signal.SIGKILL)
        answer = await super().rpc(name, **params)
        self.reach(f"after {name}")
        return answer


class FatalCarrier:
    """Providers that end the process before or after a try."""

    def __init__(self, inner: Carriers, database: Fatal) -> None:
        self.inner, self.database = inner, database
        self.channels = inner.channels

    async def send(self, row: Mapping[str, Any]) -> Outcome:
        self.database.reach("before a try")
        outcome = await self.inner.send(row)
        self.database.reach("after a try")
        return outcome


STEPS = (
    "before service.claim_messages",
    "during service.claim_messages",
    "after service.claim_messages",
    "before a try",
    "after a try",
    "before service.record_messages",
    "during service.record_messages",
    "after service.record_messages",
    "anywhere",
)


def work(url: str, environment: dict[str, str], log: Path, step: str = "", nth: int = 1) -> None:
    """One worker, in a process of its own; `step` ends it there, "" lets it finish."""
    sms.READ_SECONDS = 0.5
    with log.open("a") as stream:
        configure_logging("debug", stream)
        settings = Settings.model_validate(environment)

        async def sweep() -> None:
            if step == "anywhere":
                asyncio.get_running_loop().call_later(0.01 * nth, os.kill, os.getpid(), signal.SIGKILL)
            async with Fatal(url, step, nth) as database, carriers_of(settings, threads=16) as carriers:
                carrier = FatalCarrier(carriers, database)
                await send_due_messages(database, carrier=carrier)

        asyncio.run(sweep())
        sys.stderr.flush()


async def reconcile(url: str, environment: dict[str, str]) -> dict[str, int]:
    """The look-up sweep, as the command runs it."""
    settings = Settings.model_validate(environment)
    async with PostgresDatabase(url) as database, carriers_of(settings) as carriers:
        return (await reconcile_unknown_messages(database, finder=carriers)).counts
