"""coach lead: people who have asked, until they are clients."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("List, show, add and convert the leads of an organisation.")

COLUMNS = ("inquiry_id", "name", "email", "phone", "status", "source", "client_id", "created_at")
HEADINGS = {
    "inquiry_id": "lead",
    "name": "name",
    "email": "email",
    "status": "status",
    "source": "source",
    "created_at": "asked (UTC)",
}
LeadId = Annotated[UUID, typer.Argument(metavar="LEAD_ID", help="See coach lead list.")]


@app.command("list", epilog="Example: coach lead list --org kilo --status NEW")
def list_leads(
    org: Org,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only NEW, CONTACTED, BOOKED, WON or LOST.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List leads, newest first."""
    rows = asyncio.run(rpc_in_org("service.list_inquiries", org, p_status=status, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "created_at"), HEADINGS, title="Leads")


@app.command("show", epilog="Example: coach lead show 6f1c…")
def show_lead(lead: LeadId, json: Json = False) -> None:
    """Show a lead and what happened to it."""
    found = rpc("service.show_inquiry", p_inquiry_id=lead)
    if json:
        output.print_record(found, json=True)
    else:
        output.print_record(found["inquiry"], json=False)
        events = with_moments(found["events"], "happened_at")
        output.print_rows(
            events, {"happened_at": "when (UTC)", "kind": "what", "status": "status", "message": "message"}
        )


@app.command("pipeline", epilog="Example: coach lead pipeline --org kilo")
def pipeline(org: Org, json: Json = False) -> None:
    """Count the leads by where they stand, and what they are expected to be worth."""
    found: dict[str, dict[str, Any]] = asyncio.run(rpc_in_org("service.inquiry_pipeline", org))
    order = ("NEW", "CONTACTED", "BOOKED", "WON", "LOST")
    rows = [{"status": status, **found[status]} for status in order]
    output.print_rows(rows, ("status", "count", "expected_value"), title="Pipeline", json=json)


@app.command("add", epilog="Example: coach lead add 'Ann Lee' --email ann@example.com --org kilo")
def add_lead(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who asked.")],
    org: Org,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Their email.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="Their phone; one of the two is needed.")] = None,
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="What they asked.")] = None,
    json: Json = False,
) -> None:
    """Add a lead, or note the question on the open one of the same person."""
    question = {"p_name": name, "p_email": email, "p_phone": phone, "p_message": message}
    output.print_record(asyncio.run(rpc_in_org("service.create_inquiry", org, **question)), json=json)


@app.command("convert", epilog="Example: coach lead convert 6f1c…")
def convert_lead(
    lead: LeadId,
    client: Annotated[
        UUID | None, typer.Option(metavar="CLIENT_ID", help="Who they are; left out: found by email, or made.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a lead a client, once; a referral is rewarded with it."""
    answer = rpc("service.convert_inquiry", p_inquiry_id=lead, p_client_id=client)
    output.print_record(answer, json=json)
