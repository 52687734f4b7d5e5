"""Messages of which nobody knows whether they were sent: ask the provider. What it does not have stays unknown.

That a message is not found is no proof that it was not sent, so nothing here sends again; an operator may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from coach_os.database import Database
from coach_os.logs import get_logger
from coach_os.providers.carriers import carriers_of
from coach_os.providers.sms import FoundSms
from coach_os.settings import load_settings
from coach_os.sweeps.recording import Recorder
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

BATCH_SIZE = 50
CONCURRENCY = 8


class Finder(Protocol):
    """What looks messages up; see `coach_os.providers.carriers.Carriers`."""

    async def find(self, row: Mapping[str, Any]) -> FoundSms | None: ...


async def reconcile_unknown_messages(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    finder: Finder | None = None,
) -> SweepResult:
    """Look up what is unknown, at most `limit` messages; each is asked about again later, ever more rarely.

    Args:
        finder: default: the providers that the environment gives credentials for.

    Raises:
        Unavailable: the database went away; what was settled before it is.
        Fault: a setting cannot be meant.
    """

    async def sweep(result: SweepResult) -> None:
        if dry_run:
            result.counts["unknown"] = (await database.rpc("service.messages_state"))["unknown"]
        elif finder is not None:
            await _look_up(database, finder, result, limit, should_stop)
        else:
            async with carriers_of(load_settings(), threads=CONCURRENCY) as carriers:
                await _look_up(database, carriers, result, limit, should_stop)

    return await recorded(database, "messages_unknown", sweep, dry_run=dry_run)


async def _look_up(
    database: Database, finder: Finder, result: SweepResult, limit: int | None, should_stop: ShouldStop
) -> None:
    def count(_: object, answer: Mapping[str, Any]) -> None:
        for key in ("settled", "unsettled"):
            result.counts[key] = result.counts.get(key, 0) + int(answer[key])

    slots = asyncio.Semaphore(CONCURRENCY)

    async def look_up(row: Mapping[str, Any]) -> None:
        async with slots:
            try:
                found = await finder.find(row)
            except OSError:
                found = None
            log.info("message_looked_up", message_id=row["id"], channel=row["channel"], is_found=found is not None)
            await recorder.add(
                {
                    "org_id": row["org_id"],
                    "id": row["id"],
                    "provider_message_id": found.sid if found else None,
                    "provider_status": found.status if found else None,
                    "error_code": found.error_code if found else None,
                }
            )

    remaining = limit
    async with Recorder(database, "service.record_lookups", count) as recorder:
        while not should_stop() and remaining != 0:
            rows = await database.rpc(
                "service.claim_unknown_messages", p_limit=min(BATCH_SIZE, remaining or BATCH_SIZE)
            )
            if not rows:
                result.is_complete = True
                return
            result.batches += 1
            remaining = None if remaining is None else remaining - len(rows)
            await asyncio.gather(*map(look_up, rows))
