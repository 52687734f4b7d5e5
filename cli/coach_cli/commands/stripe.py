"""coach stripe: what Stripe told, what became of it, and applying it once more."""

import asyncio
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("Look at Stripe's events, and apply one once more.")
events = noun("List and show the events that Stripe sent.")
app.add_typer(events, name="events")

COLUMNS = (
    *("event_id", "type", "org_id", "account", "status", "error", "waits_for", "attempts", "happened_at"),
    "received_at",
)
HEADINGS = {
    "event_id": "event",
    "type": "type",
    "status": "status",
    "error": "error",
    "waits_for": "waits for",
    "attempts": "tries",
    "happened_at": "happened (UTC)",
}

EventId = Annotated[str, typer.Argument(metavar="EVENT_ID", help="Stripe's id, as evt_…")]


@events.command("list", epilog="Example: coach stripe events list --status failed")
def list_events(
    org: Annotated[
        str | None, typer.Option("--org", metavar="SLUG|ID", envvar="COACH_ORG", help="Only this organisation's.")
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(metavar="STATUS", help="applied, ignored, refused, failed, waiting or braked."),
    ] = None,
    type: Annotated[str | None, typer.Option(metavar="TYPE", help="Such as refund.created.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List events, newest first, and what became of them."""
    asked = {"p_status": status, "p_type": type, "p_limit": limit}
    rows = (
        asyncio.run(rpc_in_org("service.list_stripe_events", org, **asked))
        if org
        else rpc("service.list_stripe_events", **asked)
    )
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "happened_at"), HEADINGS, title="Events")


@events.command("show", epilog="Example: coach stripe events show evt_1Pq… --json")
def show_event(event: EventId, json: Json = False) -> None:
    """Show one event, and what is kept of it: ids, amounts, states and times."""
    output.print_record(rpc("service.get_stripe_event", p_event_id=event), json=json)


@app.command("replay", epilog="Example: coach stripe replay evt_1Pq…")
def replay_event(event: EventId, json: Json = False) -> None:
    """Apply a kept event once more; what was booked already is not booked again."""
    answer: dict[str, Any] = rpc("service.replay_stripe_event", p_event_id=event)
    output.print_record(answer, json=json)
