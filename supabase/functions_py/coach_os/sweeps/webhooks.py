"""Webhook posts that are due: claim some, post them at once, record what became of them. Any number of workers may.

A post that a worker died over is tried again when its lease ends: its receiver knows a repeat by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from coach_os.database import Database
from coach_os.logs import get_logger
from coach_os.providers.carriers import keyring_of
from coach_os.providers.webhook import Posted, Row, WebhookPoster
from coach_os.settings import load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

CONCURRENCY = 16
#: Longer than a try and its record may take.
LEASE_SECONDS = 60


def _now() -> datetime:
    return datetime.now(UTC)


async def post_due_webhooks(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    poster: WebhookPoster | None = None,
    now: Callable[[], datetime] = _now,
) -> SweepResult:
    """Post what is due, at most `limit` posts.

    Args:
        poster: default: by the settings.
        now: the clock that the database is told.

    Raises:
        Unavailable: the database went away; what was posted and could not be recorded is posted again.
        Fault: a setting cannot be meant.
    """

    async def sweep(result: SweepResult) -> None:
        if dry_run:
            result.counts["due"] = (await database.rpc("service.webhooks_state"))["due"]
        elif poster is not None:
            await _post(database, poster, result, limit, should_stop, now)
        else:
            settings = load_settings()
            async with WebhookPoster(keyring_of(settings), allows_private=settings.webhooks_allow_private) as own:
                await _post(database, own, result, limit, should_stop, now)

    return await recorded(database, "webhooks", sweep, dry_run=dry_run)


async def _post(
    database: Database,
    poster: WebhookPoster,
    result: SweepResult,
    limit: int | None,
    should_stop: ShouldStop,
    now: Callable[[], datetime],
) -> None:
    worker, remaining = str(uuid4()), limit
    while not should_stop() and remaining != 0:
        rows: list[Row] = await database.rpc(
            "service.claim_webhooks",
            p_worker=worker,
            p_limit=min(CONCURRENCY, remaining or CONCURRENCY),
            p_lease_secs=LEASE_SECONDS,
            p_now=now(),
        )
        if not rows:
            result.is_complete = True
            return
        posted = await asyncio.gather(*(_try(poster, row) for row in rows))
        results = [outcome.as_result(row) for outcome, row in zip(posted, rows, strict=True)]
        (answer,) = await database.rpc("service.record_webhooks", p_results=results, p_now=now())
        for outcome in posted:
            result.counts[outcome.outcome] = result.counts.get(outcome.outcome, 0) + 1
        if answer["stale"]:
            result.counts["stale"] = result.counts.get("stale", 0) + int(answer["stale"])
        result.batches += 1
        remaining = None if remaining is None else remaining - len(rows)


async def _try(poster: WebhookPoster, row: Row) -> Posted:
    try:
        posted = await poster.post(row)
    except Exception as error:
        # A defect of ours with this row: the others of the batch are recorded all the same.
        log.exception("webhook_try_failed", delivery_id=row["id"], exc_info=error)
        posted = Posted("retry", error_code="internal_error")
    log.info(
        "webhook_tried",
        delivery_id=row["id"],
        org_id=row["org_id"],
        outcome=posted.outcome,
        error_code=posted.error_code,
        attempt=row["attempt_number"],
    )
    return posted
