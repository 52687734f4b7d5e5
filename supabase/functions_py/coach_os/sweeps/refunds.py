"""Refunds on their way to Stripe: claim some, carry each, record what came of it. Any number of workers may.

A claim is a lease. A try whose answer was lost is repeated: Stripe is asked first what it has of it, and the refund's
id is its idempotency key, so nothing is paid back twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from stripe import StripeError

from coach_os.database import Database
from coach_os.errors import CoachError, Refusal
from coach_os.logs import get_logger
from coach_os.providers import payments
from coach_os.providers.stripe import Stripe, stripe_of
from coach_os.settings import load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

BATCH_SIZE = 16
LEASE_SECONDS = 300

#: Stripe refuses, and may not later: the request is under way, or the account's balance does not cover it yet.
_TEMPORARY = frozenset(("idempotency_key_in_use", "lock_timeout", "balance_insufficient", "insufficient_funds"))


async def carry_refunds(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    stripe: Stripe | None = None,
) -> SweepResult:
    """Carry the refunds that are due, at most `limit`.

    Without a key for Stripe nothing is claimed: what is due stays due.

    Args:
        stripe: default: the client that the environment has a key for.

    Raises:
        Unavailable: the database went away; what was claimed is looked for at Stripe after its lease.
    """

    async def sweep(result: SweepResult) -> None:
        due = (await database.rpc("service.refunds_state"))["due"]
        settings = load_settings()
        if dry_run:
            result.counts["due"] = due
        elif stripe is not None:
            await _carry_all(database, stripe, result, limit, should_stop)
        elif settings.stripe_secret_key is None:
            result.counts["skipped"], result.is_complete = due, due == 0
        else:
            async with stripe_of(settings) as client:
                await _carry_all(database, client, result, limit, should_stop)

    return await recorded(database, "refunds", sweep, dry_run=dry_run)


async def _carry_all(
    database: Database, stripe: Stripe, result: SweepResult, limit: int | None, should_stop: ShouldStop
) -> None:
    remaining = limit
    while not should_stop() and remaining != 0:
        size = min(BATCH_SIZE, remaining or BATCH_SIZE)
        rows = await database.rpc("service.claim_refunds", p_limit=size, p_lease_secs=LEASE_SECONDS)
        if not rows:
            result.is_complete = True
            return
        result.batches += 1
        remaining = None if remaining is None else remaining - len(rows)
        for status in await asyncio.gather(*(_carry(database, stripe, row) for row in rows)):
            result.counts[status] = result.counts.get(status, 0) + 1


async def _carry(database: Database, stripe: Stripe, row: Mapping[str, Any]) -> str:
    refund, code, is_final = None, None, False
    try:
        refund = payments.told_refund(await payments.make_refund(stripe, row))
    except CoachError as error:
        code = _code(error)
        is_final = isinstance(error, Refusal) and error.status != 409 and code not in _TEMPORARY
    status: str = await database.rpc(
        "service.record_refund",
        p_refund_id=row["refund_id"],
        p_claim=row["claim"],
        p_stripe_refund=refund,
        p_error_code=code,
        p_is_final=is_final,
    )
    log.info("refund_tried", refund_id=row["refund_id"], attempt=row["attempt"], status=status, error_code=code)
    return status


def _code(error: CoachError) -> str:
    """Stripe's own code where it gave one, else our slug."""
    cause = error.__cause__
    return str(cause.code) if isinstance(cause, StripeError) and cause.code else error.slug
