"""Subscriptions that events left in doubt, or whose renewal nobody heard of: ask the provider, write down the answer.

A claim lends a subscription out for two minutes; a worker that dies leaves it to the next.
"""

from __future__ import annotations

from coach_os.database import Database
from coach_os.errors import CoachError
from coach_os.logs import get_logger
from coach_os.providers.stripe import stripe_of
from coach_os.providers.stripe_billing import read_subscription
from coach_os.settings import load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

BATCH_SIZE = 20


async def check_subscriptions(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Ask about every subscription that is due, at most `limit`.

    Raises:
        Unavailable: the database went away; what was asked is asked again.
        Fault: stripe_unset, where something is due and there is no key.
    """

    async def sweep(result: SweepResult) -> None:
        remaining = limit
        while not should_stop() and remaining != 0:
            size = min(BATCH_SIZE, remaining or BATCH_SIZE)
            if dry_run:
                rows = await database.rpc("service.claim_subscription_checks", p_limit=1000, p_dry_run=True)
                result.counts["due"] = len(rows)
                return
            rows = await database.rpc("service.claim_subscription_checks", p_limit=size)
            if not rows:
                result.is_complete = True
                return
            result.batches += 1
            remaining = None if remaining is None else remaining - len(rows)
            async with stripe_of(load_settings()) as stripe:
                for row in rows:
                    outcome = "failed"
                    try:
                        subscription, as_of = await read_subscription(stripe, row["stripe_subscription_id"])
                        outcome = await database.rpc(
                            "service.record_subscription",
                            p_org_id=row["org_id"],
                            p_id=row["id"],
                            p_subscription=subscription,
                            p_as_of=as_of,
                            p_revision=row["revision"],
                        )
                    except CoachError as error:
                        log.warning("subscription_not_checked", org_id=row["org_id"], slug=error.slug)
                        await database.rpc(
                            "service.record_subscription_failure",
                            p_org_id=row["org_id"],
                            p_id=row["id"],
                            p_error=error.slug,
                        )
                    result.counts[outcome] = result.counts.get(outcome, 0) + 1

    return await recorded(database, "billing", sweep, dry_run=dry_run)
