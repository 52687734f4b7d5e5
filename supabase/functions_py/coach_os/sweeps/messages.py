"""Messages that are due: claim some, carry each to its provider, record what became of it. Any number of workers may.

The database decides what may be sent now, and lends it out for as long as a lease; this only carries it. A worker that
dies leaves its messages to run out of their lease: they become `unknown`, and are looked up, never sent again blindly.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from coach_os.database import Database
from coach_os.errors import Unavailable
from coach_os.logs import get_logger
from coach_os.providers.carriers import carriers_of
from coach_os.providers.outcome import LIMIT_REST_SECONDS, Outcome
from coach_os.settings import load_settings
from coach_os.sweeps.recording import Recorder
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

#: Messages lent out in one call.
BATCH_SIZE = 100
#: Tries under way at once, in one worker.
CONCURRENCY = 16
LEASE_SECONDS = 120
#: What a try and its record may take: one that cannot end within its lease does not begin.
TRY_SECONDS = 70
#: So many tries in a row that the provider could not take: it is left alone for a while.
MAX_DEFERRED_IN_A_ROW = 5

Row = Mapping[str, Any]
Queue = tuple[str | None, str]
"""An account (None: the platform's) and a channel: what a provider's limit counts."""


class Carrier(Protocol):
    """What takes claimed rows to their providers; see `coach_os.providers.carriers.Carriers`."""

    @property
    def channels(self) -> list[str]: ...

    async def send(self, row: Row) -> Outcome: ...


async def send_due_messages(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    carrier: Carrier | None = None,
) -> SweepResult:
    """Send what is due and may be sent now, at most `limit` messages.

    Nothing is waited for with a message in hand: what a provider cannot take now is given back, and its account rests.

    Args:
        carrier: default: the providers that the environment gives credentials for.

    Raises:
        Unavailable: the database went away; what was sent and could not be recorded becomes `unknown`.
        Fault: a setting cannot be meant.
    """

    async def sweep(result: SweepResult) -> None:
        if dry_run:
            result.counts["due"] = await database.rpc("service.count_due_messages")
        elif carrier is not None:
            await _Worker(database, carrier, result, should_stop).run(limit)
        else:
            async with carriers_of(load_settings(), threads=CONCURRENCY) as carriers:
                await _Worker(database, carriers, result, should_stop).run(limit)

    return await recorded(database, "messages", sweep, dry_run=dry_run)


class _Worker:
    """One run of the sweep: what it holds, and which queues rest."""

    def __init__(self, database: Database, carrier: Carrier, result: SweepResult, should_stop: ShouldStop) -> None:
        self._database, self._carrier, self._result, self._should_stop = database, carrier, result, should_stop
        self._name = str(uuid4())
        self._recorder = Recorder(database, "service.record_messages", self._count)
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._resting: dict[Queue, float] = {}
        self._deferred_in_a_row: Counter[Queue] = Counter()

    async def run(self, limit: int | None) -> None:
        remaining = limit
        async with self._recorder, asyncio.TaskGroup() as tries:
            while not self._should_stop() and remaining != 0:
                # Before the call: the lease cannot end earlier, whatever the two clocks say.
                claimed_at = time.monotonic()
                size = min(BATCH_SIZE, remaining or BATCH_SIZE)
                rows = await self._claim(size)
                if not rows:
                    self._result.is_complete = True
                    break
                self._result.batches += 1
                remaining = None if remaining is None else remaining - len(rows)
                for row in rows:
                    await self._slots.acquire()
                    tries.create_task(self._try(row, claimed_at + LEASE_SECONDS))

    async def _claim(self, size: int) -> list[Row]:
        rows: list[Row] = await self._database.rpc(
            "service.claim_messages",
            p_worker=self._name,
            p_limit=size,
            p_channels=self._carrier.channels,
            p_lease_secs=LEASE_SECONDS,
        )
        return rows

    async def _try(self, row: Row, lease_ends: float) -> None:
        try:
            outcome = self._given_back(row, lease_ends) or await self._send(row)
            await self._heed(row, outcome)
            log.info(
                "message_tried",
                message_id=row["id"],
                org_id=row["org_id"],
                channel=row["channel"],
                provider=outcome.provider,
                outcome=outcome.kind,
                error_code=outcome.error_code,
                attempt=row["attempt_number"],
            )
            await self._recorder.add(outcome.as_result(row))
        finally:
            self._slots.release()

    def _given_back(self, row: Row, lease_ends: float) -> Outcome | None:
        """Why a claimed message is not begun, if it is not."""
        now = time.monotonic()
        resting = self._resting.get(_queue(row), 0.0)
        if now < resting:
            return Outcome("deferred", "none", error_code="account_resting", retry_after_secs=int(resting - now) + 1)
        if self._should_stop():
            return Outcome("deferred", "none", error_code="worker_stopped", retry_after_secs=0)
        if now > lease_ends - TRY_SECONDS:
            return Outcome("deferred", "none", error_code="lease_over", retry_after_secs=0)
        return None

    async def _send(self, row: Row) -> Outcome:
        try:
            return await self._carrier.send(row)
        except Exception as error:
            # A defect of ours, at a point that nobody knows: it may have been sent.
            log.exception("message_try_failed", message_id=row["id"], channel=row["channel"], exc_info=error)
            return Outcome("unknown", "none", error_code="internal_error")

    async def _heed(self, row: Row, outcome: Outcome) -> None:
        """Let the account rest that asked for it, or whose provider is away, for every worker."""
        queue = _queue(row)
        rest = outcome.account_rest_secs
        if outcome.kind == "deferred" and outcome.provider != "none":
            self._deferred_in_a_row[queue] += 1
            if rest is None and self._deferred_in_a_row[queue] >= MAX_DEFERRED_IN_A_ROW:
                rest = outcome.retry_after_secs or LIMIT_REST_SECONDS
        elif outcome.provider != "none":
            self._deferred_in_a_row[queue] = 0
        if rest is None:
            return
        ends = time.monotonic() + rest
        if self._resting.get(queue, 0.0) >= ends - 1:
            return
        self._resting[queue] = ends
        account, channel = queue
        until = datetime.now(UTC) + timedelta(seconds=rest)
        log.warning("account_rests", channel=channel, provider=outcome.provider, error_code=outcome.error_code)
        try:
            await self._database.rpc("service.defer_account", p_account_sid=account, p_channel=channel, p_until=until)
        except Unavailable:
            # Each message that is tried meanwhile says so again; the record of this one matters more.
            log.warning("account_rest_not_recorded", channel=channel)

    def _count(self, results: list[dict[str, Any]], answer: Mapping[str, Any]) -> None:
        counts = self._result.counts
        for result in results:
            counts[result["outcome"]] = counts.get(result["outcome"], 0) + 1
        if answer["stale"]:
            counts["stale"] = counts.get("stale", 0) + int(answer["stale"])


def _queue(row: Row) -> Queue:
    account = row.get("account")
    return (account["account_sid"] if account else None), row["channel"]
