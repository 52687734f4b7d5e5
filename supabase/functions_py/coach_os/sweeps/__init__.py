"""The sweeps: what must happen although nobody asks, each safe to run at any time and on any number of machines.

`SWEEPS` is the list that the `coach sweep` command and the cron route read; a new sweep is a line here, and a line in
`in_database` or, where it talks to a provider, a module of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from coach_os.database import Database
from coach_os.errors import CoachError, Refusal
from coach_os.sweeps.deposits import settle_deposits
from coach_os.sweeps.in_database import (
    AUDIT,
    AUTOMATION_LEFTOVERS,
    AUTOMATIONS,
    BOOKINGS,
    HOLDS,
    IMPORT_LEFTOVERS,
    MESSAGE_LEFTOVERS,
    RATE_LIMITS,
    RECEIPTS,
    REMINDERS,
    RISK,
    SUPPORT_ACCESS,
    WAIVERS,
)
from coach_os.sweeps.messages import send_due_messages
from coach_os.sweeps.refunds import carry_refunds
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, stop_on_signals
from coach_os.sweeps.stripe import reconcile_stripe
from coach_os.sweeps.subscriptions import check_subscriptions
from coach_os.sweeps.unknown_messages import reconcile_unknown_messages
from coach_os.sweeps.webhooks import post_due_webhooks

__all__ = ["SWEEPS", "Sweep", "SweepResult", "run_all", "run_sweep", "stop_on_signals"]


class Run(Protocol):
    """The one signature of every sweep."""

    async def __call__(
        self, database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
    ) -> SweepResult: ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep by its name; `description` is the help text and the API documentation."""

    name: str
    description: str
    run: Run


SWEEPS: Mapping[str, Sweep] = {
    sweep.name: sweep
    for sweep in (
        Sweep("bookings", "Complete bookings that are over and take the sessions they cost.", BOOKINGS),
        Sweep("holds", "Free held times whose hold ran out, and offer them to the waitlist.", HOLDS),
        Sweep(
            "waivers", "End waivers nobody signed in time, and let go of the bookings that waited for them.", WAIVERS
        ),
        Sweep(
            "deposits",
            "Make the payments of deposits that wait for one, and cancel those not paid in time.",
            settle_deposits,
        ),
        Sweep("refunds", "Carry the refunds that are due to Stripe.", carry_refunds),
        Sweep("receipts", "Number the receipts of payments and refunds, and queue their emails.", RECEIPTS),
        Sweep("reminders", "Queue the reminders and follow-ups that are due soon.", REMINDERS),
        Sweep("risk", "Score how likely clients are to leave, once for each local day.", RISK),
        Sweep("automations", "Fire the automations that are due, each once.", AUTOMATIONS),
        Sweep("messages", "Send the messages that are due and may be sent now.", send_due_messages),
        Sweep(
            "messages_unknown",
            "Look up at the provider what may have been sent; nothing is sent again.",
            reconcile_unknown_messages,
        ),
        Sweep(
            "message_leftovers",
            "Delete callbacks that matched no message, and ids of messages that came in long ago.",
            MESSAGE_LEFTOVERS,
        ),
        Sweep("import_leftovers", "Delete what is kept of imports of clients after thirty days.", IMPORT_LEFTOVERS),
        Sweep("webhooks", "Post what automations send to organisations' own servers.", post_due_webhooks),
        Sweep("automation_leftovers", "Delete what automations did more than 400 days ago.", AUTOMATION_LEFTOVERS),
        Sweep("support_access", "Put away support accesses that have run out.", SUPPORT_ACCESS),
        Sweep("audit", "Delete audit rows that are older than seven years.", AUDIT),
        Sweep("billing", "Ask the provider about subscriptions that its events left in doubt.", check_subscriptions),
        Sweep(
            "stripe",
            "Make up for events of Stripe's that never came or failed, and fetch what they named.",
            reconcile_stripe,
        ),
        Sweep("rate_limits", "Delete counts of calls that no limit asks about any more.", RATE_LIMITS),
    )
}


async def run_sweep(
    database: Database,
    name: str,
    *,
    limit: int | None = None,
    dry_run: bool = False,
    should_stop: ShouldStop = never,
) -> SweepResult:
    """Run one sweep by its name.

    Raises:
        Refusal: there is no such sweep (404), or the limit is not positive (422).
        CoachError: what stopped it.
    """
    if name not in SWEEPS:
        raise Refusal(404, "sweep_unknown", "There is no such sweep.", f"Choose one of: {', '.join(SWEEPS)}, all.")
    if limit is not None and limit < 1:
        raise Refusal(422, "limit_invalid", "A limit must be at least 1.", "Leave it out to run until nothing is due.")
    return await SWEEPS[name].run(database, limit=limit, dry_run=dry_run, should_stop=should_stop)


async def run_all(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> list[SweepResult]:
    """Run every sweep, each at most `limit`; one that fails is reported in its result and holds up no other."""
    results = []
    for name in SWEEPS:
        try:
            results.append(await run_sweep(database, name, limit=limit, dry_run=dry_run, should_stop=should_stop))
        except CoachError as error:
            results.append(SweepResult(name, dry_run=dry_run, error=error.slug))
    return results
