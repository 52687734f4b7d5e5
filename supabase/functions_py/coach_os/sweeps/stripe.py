"""Reconciliation with Stripe: events that never came are listed and fed, objects that were named are fetched.

A webhook that was away for days is made up for by one run; what had come is not applied again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stripe import StripeObject

from coach_os.database import Database
from coach_os.errors import CoachError, Fault
from coach_os.logs import get_logger
from coach_os.providers.stripe import Stripe, stripe_errors, stripe_of
from coach_os.settings import Settings, load_settings
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

log = get_logger(__name__)

BATCH_SIZE = 100
CONCURRENCY = 4


async def reconcile_stripe(
    database: Database,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
    settings: Settings | None = None,
) -> SweepResult:
    """List each account's events since the last seen and feed those that never came; then fetch what is due.

    What is kept and can be applied now is, whether or not there is a key for Stripe. One account that cannot be listed
    (it was disconnected) holds up no other.

    Args:
        limit: at most so many events are fed, and so many objects fetched.

    Raises:
        Unavailable: the database went away; what was done before stays.
    """
    settings = settings or load_settings()

    async def sweep(result: SweepResult) -> None:
        for key in ("fed", "fetched", "unreachable"):
            result.counts.setdefault(key, 0)
        await _settle(database, result, limit, dry_run)
        if settings.stripe_secret_key is None:
            log.info("stripe_not_listed", slug="stripe_unset")
            result.is_complete = True
            return
        async with stripe_of(settings) as stripe:
            for account in await database.rpc("service.list_stripe_accounts"):
                if should_stop() or (limit is not None and result.counts["fed"] >= limit):
                    return
                await _feed(database, stripe, account, result, limit, dry_run)
        if not dry_run:
            result.counts["fetched"] += await fetch_due(database, settings, limit=limit or 10_000)
            await _settle(database, result, limit, dry_run)
        result.is_complete = not result.counts["unreachable"]

    return await recorded(database, "stripe", sweep, dry_run=dry_run)


async def _settle(database: Database, result: SweepResult, limit: int | None, dry_run: bool) -> None:
    (counts,) = await database.rpc("service.sweep_stripe_events", p_limit=min(limit or 500, 500), p_dry_run=dry_run)
    for key, count in counts.items():
        result.counts[key] = result.counts.get(key, 0) + count


async def _feed(
    database: Database, stripe: Stripe, row: Mapping[str, Any], result: SweepResult, limit: int | None, dry_run: bool
) -> None:
    """One account: Stripe lists the newest first, and they are fed oldest first, so that a stop leaves no hole."""
    account, since = row["account"], datetime.fromisoformat(row["seen_until"])
    began = datetime.now(UTC)
    try:
        with stripe_errors():
            events = await _listed(stripe, account, since)
    except CoachError as error:
        log.warning("stripe_account_not_listed", slug=error.slug)
        result.counts["unreachable"] += 1
        return
    missing: set[str] = set()
    for start in range(0, len(events), BATCH_SIZE):
        ids = [event["id"] for event in events[start : start + BATCH_SIZE]]
        missing.update(await database.rpc("service.missing_stripe_events", p_event_ids=ids))
    for event in events:
        if event["id"] not in missing:
            continue
        if limit is not None and result.counts["fed"] >= limit:
            return
        result.counts["fed"] += 1
        if not dry_run:
            # A list of one's own account leaves out whose it is.
            told = {**event, "account": account} if account else event
            await database.rpc("service.receive_stripe_event", p_event=told)
            result.batches += 1
    if not dry_run:
        await database.rpc("service.record_stripe_listing", p_account=account, p_seen_until=began)


async def _listed(stripe: Stripe, account: str, since: datetime) -> list[dict[str, Any]]:
    page = await stripe.client.v1.events.list_async(
        {"created": {"gte": int(since.timestamp())}, "limit": BATCH_SIZE},
        {"stripe_account": account} if account else {},
    )
    listed = [_plain(event) async for event in page.auto_paging_iter()]
    # Stripe filters by itself; the order within a second is what it lists.
    return [event for event in reversed(listed) if event["created"] >= int(since.timestamp())]


async def fetch_due(database: Database, settings: Settings, *, limit: int) -> int:
    """Fetch the objects that events have named, at most `limit`, and record each; returns how many were applied.

    Raises:
        CoachError: the database went away; the claims that were not recorded are given back by their leases.
    """
    done, remaining = 0, limit
    slots = asyncio.Semaphore(CONCURRENCY)

    async def carry(stripe: Stripe, row: Mapping[str, Any]) -> bool:
        async with slots:
            found, problem = await _fetched(stripe, row)
            answer = await database.rpc("service.record_stripe_object", **_keys(row), p_object=found, p_error=problem)
            log.info("stripe_object_fetched", kind=row["kind"], outcome=answer, slug=problem)
            return bool(answer != "failed")

    while remaining > 0:
        rows = await database.rpc("service.claim_stripe_fetches", p_limit=min(BATCH_SIZE, remaining))
        if not rows:
            break
        remaining -= len(rows)
        async with stripe_of(settings) as stripe:
            done += sum(await asyncio.gather(*(carry(stripe, row) for row in rows)))
    return done


def _keys(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"p_{name}": row[name] for name in ("account", "kind", "stripe_id", "claim")}


async def _fetched(stripe: Stripe, row: Mapping[str, Any]) -> tuple[dict[str, Any] | None, str | None]:
    v1, stripe_id = stripe.client.v1, row["stripe_id"]
    options: Any = {"stripe_account": row["account"]}
    try:
        with stripe_errors():
            found: StripeObject
            match row["kind"]:
                case "subscription":
                    found = await v1.subscriptions.retrieve_async(stripe_id, None, options)
                case "balance_transaction":
                    found = await v1.balance_transactions.retrieve_async(stripe_id, None, options)
                case "invoice":
                    found = await v1.invoices.retrieve_async(stripe_id, {"expand": ["payments"]}, options)
                case "charge":
                    found = await v1.charges.retrieve_async(stripe_id, {"expand": ["refunds"]}, options)
                case "account":
                    found = await v1.accounts.retrieve_async(stripe_id)
                case kind:
                    raise Fault("fetch_kind_unknown", f"There is no {kind} to fetch.")
    except CoachError as error:
        return None, error.slug
    return _plain(found), None


def _plain(found: StripeObject) -> dict[str, Any]:
    plain: dict[str, Any] = found.to_dict()
    return plain
