"""coach stripe: organisations' accounts, what Stripe told, what became of it, and applying it once more."""

import asyncio
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, OrgName, noun, rpc, rpc_in_org
from coach_cli.words import with_moments
from coach_os.database import open_database
from coach_os.functions.stripe_connect import onboarding_link, record_account
from coach_os.providers.payments import read_account
from coach_os.providers.stripe import stripe_of
from coach_os.settings import load_settings

app = noun("Connect accounts, look at Stripe's events, and apply one once more.")
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


@app.command("connect", epilog="Example: coach stripe connect kilo")
def connect(org: OrgName, json: Json = False) -> None:
    """Print the link of Stripe's pages on which an owner connects the organisation's own account.

    The link is good once, for some minutes; asked again, it goes on with the same account.
    """
    output.print_record({"url": asyncio.run(_onboard(org))}, json=json)


@app.command("status", epilog="Example: coach stripe status kilo --refresh")
def show_status(
    org: OrgName,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask Stripe first, and record what it says.")] = False,
    json: Json = False,
) -> None:
    """Show how far an organisation's Stripe account is, and what is to be done next."""
    output.print_record(asyncio.run(_status(org, refresh=refresh)), json=json)


async def _onboard(org: str) -> str:
    settings = load_settings()
    async with stripe_of(settings) as stripe, open_database(settings) as database:
        org_id = await database.rpc("service.find_org", p_org=org)
        return await onboarding_link(database, stripe, await database.rpc("service.connect_begin", p_org_id=org_id))


async def _status(org: str, *, refresh: bool) -> dict[str, Any]:
    settings = load_settings()
    async with open_database(settings) as database:
        org_id = await database.rpc("service.find_org", p_org=org)
        found: dict[str, Any] = await database.rpc("service.connect_status", p_org_id=org_id)
        if refresh and found["account"]:
            async with stripe_of(settings) as stripe:
                return await record_account(database, org_id, await read_account(stripe, found["account"]))
    return found
