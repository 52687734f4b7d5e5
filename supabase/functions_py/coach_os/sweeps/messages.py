"""Messages that are due: claim some, carry each to its provider, record what became of it. Any number of workers may.

The database decides what may be sent now, and lends it out for as long as a lease; this only carries it. A worker that
dies leaves its messages to run out of their lease: they become `unknown`, and are looked up, never sent again blindly.
So a worker claims only what it begins at once, and a kill leaves no more open than was under way.
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
from coach_os.errors import CoachError
from coach_os.logs import get_logger
from coach_os.providers.carriers import carriers_of
from coach_os.providers.outcome import LIMIT_REST_SECONDS, Outcome
from coach_os.settings import load_settings
from coach_os.sweeps.recording import Recorder
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

#: Tries under way at once, in one worker.
CONCURRENCY = 16
LEASE_SECONDS = 120
#: What a try and its record may take: one that cannot end within its lease does not begin.
TRY_SECONDS = 70
#: So many tries in a row that the provider could not take: it is left alone for a while.
MAX_DEFERRED_IN_A_ROW = 5

#: Who carries a channel, as `private.provider_of` says it: the outcome of a try may be a development's console.
_PROVIDERS = {"sms": "twilio", "email": "smtp", "push": "expo"}

Row = Mapping[str, Any]
Queue = tuple[str, str | None]
"""A channel and an account (None: the platform's): what a provider's limit counts."""


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
            result.counts["due"] = (await database.rpc("service.messages_state"))["due"]
        elif carrier is not None:
            await _Worker(database, carrier, result).run(limit, should_stop)
        else:
            async with carriers_of(load_settings(), threads=CONCURRENCY) as carriers:
                await _Worker(database, carriers, result).run(limit, should_stop)

    return await recorded(database, "messages", sweep, dry_run=dry_run)


class _Worker:
    """One run of the sweep: what is under way, and which queues rest."""

    def __init__(self, database: Database, carrier: Carrier, result: SweepResult) -> None:
        self._database, self._carrier, self._result = database, carrier, result
        self._name = str(uuid4())
        self._recorder = Recorder(database, "service.record_messages", self._count)
        self._tries: set[asyncio.Task[None]] = set()
        self._resting: dict[Queue, float] = {}
        self._deferred_in_a_row: Counter[Queue] = Counter()

    async def run(self, limit: int | None, should_stop: ShouldStop) -> None:
        remaining = limit
        async with self._recorder:
            try:
                while remaining != 0 and not self._recorder.has_failed:
                    free = await self._free()
                    if should_stop():
                        break
                    # Before the call: the lease cannot end earlier, whatever the two clocks say.
                    claimed_at = time.monotonic()
                    rows = await self._claim(min(free, remaining or free))
                    if not rows:
                        # What is under way may leave something due behind, such as an email in a text's place.
                        if await self._settled():
                            continue
                        self._result.is_complete = not self._recorder.has_failed
                        break
                    self._result.batches += 1
                    remaining = None if remaining is None else remaining - len(rows)
                    for row in rows:
                        task = asyncio.create_task(self._try(row, claimed_at + LEASE_SECONDS))
                        self._tries.add(task)
                        task.add_done_callback(self._tries.discard)
            finally:
                # What is under way ends, and is recorded, whatever ended the loop.
                await asyncio.gather(*self._tries)

    async def _free(self) -> int:
        """How many tries may begin; waits until half of the worker is free, so that a claim is worth its call."""
        while len(self._tries) > CONCURRENCY // 2:
            await asyncio.wait(self._tries, return_when=asyncio.FIRST_COMPLETED)
        return CONCURRENCY - len(self._tries)

    async def _settled(self) -> bool:
        """Waits until every try has ended and is recorded; false where there was nothing to wait for."""
        waited = bool(self._tries) or self._recorder.unrecorded > 0
        if self._tries:
            await asyncio.wait(self._tries)
        await self._recorder.settled()
        return waited and not self._recorder.has_failed

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
        outcome = self._given_back(row, lease_ends) or await self._send(row)
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
        await self._heed(row, outcome)

    def _given_back(self, row: Row, lease_ends: float) -> Outcome | None:
        """Why a claimed message is not begun, if it is not."""
        now, resting = time.monotonic(), self._resting.get(_queue(row), 0.0)
        if now < resting:
            return Outcome("deferred", "none", error_code="account_resting", retry_after_secs=int(resting - now) + 1)
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
        queue, rest = _queue(row), outcome.account_rest_secs
        if outcome.kind != "deferred":
            self._deferred_in_a_row[queue] = 0
        elif outcome.error_code not in ("account_resting", "lease_over"):
            self._deferred_in_a_row[queue] += 1
            if rest is None and self._deferred_in_a_row[queue] >= MAX_DEFERRED_IN_A_ROW:
                rest = outcome.retry_after_secs or LIMIT_REST_SECONDS
        if rest is None:
            return
        ends = time.monotonic() + rest
        # Others of the same moment say the same.
        if self._resting.get(queue, 0.0) >= ends - 1:
            return
        self._resting[queue] = ends
        channel, account = queue
        until = datetime.now(UTC) + timedelta(seconds=rest)
        log.warning("account_rests", channel=channel, provider=outcome.provider, error_code=outcome.error_code)
        try:
            await self._database.rpc(
                "service.defer_provider",
                p_provider=_PROVIDERS[channel],
                p_account=account,
                p_until=until,
                p_reason=outcome.error_code,
            )
        except CoachError as error:
            # This worker heeds it all the same; others find out by themselves.
            log.warning("account_rest_not_recorded", channel=channel, slug=error.slug)

    def _count(self, results: list[dict[str, Any]], answer: Mapping[str, Any]) -> None:
        counts = self._result.counts
        for result in results:
            counts[result["outcome"]] = counts.get(result["outcome"], 0) + 1
        if answer["stale"]:
            counts["stale"] = counts.get("stale", 0) + int(answer["stale"])


def _queue(row: Row) -> Queue:
    account = row.get("account")
    return row["channel"], (account["account_sid"] if account else None)
