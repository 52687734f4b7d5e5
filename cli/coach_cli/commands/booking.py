"""coach booking: appointments, and completing them."""

import asyncio
from datetime import datetime
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import BookingId, Json, Limit, Org, instant, noun, rpc, rpc_in_org

app = noun("List, complete and reopen bookings.")

COLUMNS = (
    "booking_id",
    "client_id",
    "client_name",
    "starts_local",
    "start_time",
    "status",
    "settlement",
    "purchase_id",
)
HEADINGS = {
    "booking_id": "booking",
    "starts_local": "starts (local)",
    "client_name": "client",
    "status": "status",
    "settlement": "session",
}


@app.command("list", epilog="Example: coach booking list --org kilo --from 2026-11-21T00:00+10:00")
def list_bookings(
    org: Org,
    since: Annotated[
        datetime | None,
        typer.Option("--from", metavar="INSTANT", parser=instant, help="Only those that start then or later."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", parser=instant, help="Only those that start before.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List bookings, latest first, with their start in the organisation's timezone.

    `session` says how a booking ended for its package: charged, waived, uncovered, none, or due.
    """
    rows = asyncio.run(rpc_in_org("service.list_bookings", org, p_from=since, p_until=until, p_limit=limit))
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Bookings")


@app.command("complete", epilog="Example: coach booking complete 77e0…")
def complete_booking(booking: BookingId, json: Json = False) -> None:
    """Complete a booking and take its session, and show how it ended: charged, waived, uncovered or none."""
    output.print_record({"settlement": rpc("service.complete_booking", p_booking_id=booking)}, json=json)


@app.command("undo", epilog="Example: coach booking undo 77e0…")
def undo_completion(booking: BookingId, json: Json = False) -> None:
    """Take a completion or a no-show back, and show how many sessions of its package are used then."""
    output.print_record({"sessions_used": rpc("service.undo_completion", p_booking_id=booking)}, json=json)
