"""Deposits whose intent is to be made or cancelled: unpaid ones end here, and nothing of them is left to pay."""

from __future__ import annotations

from typing import Any

from coach_os.database import Database
from coach_os.deposits import carry_deposit
from coach_os.errors import CoachError, Unavailable
from coach_os.providers.stripe import Stripe, stripe_of
from coach_os.settings import load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

BATCH_SIZE = 20
LEASE_SECONDS = 600


async def settle_deposits(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    stripe: Stripe | None = None,
) -> SweepResult:
    """Make the intents that no page made, and cancel those whose time is over, at most `limit` deposits.

    Without a key for Stripe nothing is claimed: what is due stays due.

    Args:
        stripe: default: the client that the environment has a key for.

    Raises:
        Unavailable: the database or Stripe went away; what was claimed is due again after its lease.
    """

    async def sweep(result: SweepResult) -> None:
        due = (await database.rpc("service.claim_deposits", p_limit=1, p_dry_run=True))["due"]
        settings = load_settings()
        if dry_run:
            result.counts["due"] = due
        elif stripe is not None:
            await _settle(database, stripe, result, limit, should_stop)
        elif settings.stripe_secret_key is None:
            result.counts["skipped"], result.is_complete = due, due == 0
        else:
            async with stripe_of(settings) as client:
                await _settle(database, client, result, limit, should_stop)

    return await recorded(database, "deposits", sweep, dry_run=dry_run)


async def _settle(
    database: Database, stripe: Stripe, result: SweepResult, limit: int | None, should_stop: ShouldStop
) -> None:
    remaining = limit
    while not should_stop() and remaining != 0:
        size = min(BATCH_SIZE, remaining or BATCH_SIZE)
        claimed: dict[str, Any] = await database.rpc("service.claim_deposits", p_limit=size, p_lease_secs=LEASE_SECONDS)
        _count(result, "expired", claimed["expired"])
        if not claimed["work"] and not claimed["expired"]:
            result.is_complete = True
            return
        result.batches += 1
        remaining = None if remaining is None else remaining - len(claimed["work"]) - claimed["expired"]
        for work in claimed["work"]:
            try:
                status, intent = await carry_deposit(database, stripe, work)
            except Unavailable:
                raise
            except CoachError as error:
                # This one is tried again later; it is no reason to leave the others.
                _count(result, "failed", 1)
                result.counts.setdefault(error.slug, 0)
                result.counts[error.slug] += 1
                continue
            _count(result, "cancelled" if intent["status"] == "canceled" else status, 1)


def _count(result: SweepResult, name: str, number: int) -> None:
    if number:
        result.counts[name] = result.counts.get(name, 0) + number
