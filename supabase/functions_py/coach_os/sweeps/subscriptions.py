"""Subscriptions that events left in doubt, or whose renewal nobody heard of: ask the provider, write down the answer.

A claim lends a subscription out for two minutes; a worker that dies leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coach_os.database import Database
from coach_os.errors import CoachError
from coach_os.logs import get_logger
from coach_os.providers.stripe import Stripe, stripe_of
from coach_os.providers.stripe_billing import read_subscription
from coach_os.settings import load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

BATCH_SIZE = 20


async def check_subscriptions(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Ask about every subscription that is due, at most `limit`. Without a key for Stripe what is due stays due.

    Raises:
        Unavailable: the database went away; what was asked is asked again.
    """

    async def sweep(result: SweepResult) -> None:
        due = (await database.rpc("service.subscriptions_state"))["due"]
        settings = load_settings()
        if dry_run:
            result.counts["due"] = due
        elif settings.stripe_secret_key is None:
            result.counts["skipped"], result.is_complete = due, due == 0
        else:
            async with stripe_of(settings) as stripe:
                await _check(database, stripe, result, limit, should_stop)

    return await recorded(database, "billing", sweep, dry_run=dry_run)


async def _check(
    database: Database, stripe: Stripe, result: SweepResult, limit: int | None, should_stop: ShouldStop
) -> None:
    remaining = limit
    while not should_stop() and remaining != 0:
        size = min(BATCH_SIZE, remaining or BATCH_SIZE)
        rows = await database.rpc("service.claim_subscription_checks", p_limit=size)
        if not rows:
            result.is_complete = True
            return
        result.batches += 1
        remaining = None if remaining is None else remaining - len(rows)
        for row in rows:
            outcome = await _ask(database, stripe, row)
            result.counts[outcome] = result.counts.get(outcome, 0) + 1


async def _ask(database: Database, stripe: Stripe, row: Mapping[str, Any]) -> str:
    try:
        subscription, as_of = await read_subscription(stripe, row["stripe_subscription_id"])
        outcome: str = await database.rpc(
            "service.record_subscription",
            p_org_id=row["org_id"],
            p_id=row["id"],
            p_subscription=subscription,
            p_as_of=as_of,
            p_revision=row["revision"],
        )
        return outcome
    except CoachError as error:
        log.warning("subscription_not_checked", org_id=row["org_id"], slug=error.slug)
        await database.rpc(
            "service.record_subscription_failure", p_org_id=row["org_id"], p_id=row["id"], p_error=error.slug
        )
        return "failed"
