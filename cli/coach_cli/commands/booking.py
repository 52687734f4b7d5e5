"""coach booking: appointments, from the first to the last step."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import (
    BookingId,
    Duration,
    Json,
    Limit,
    Location,
    Org,
    RequestId,
    SessionType,
    Staff,
    instant,
    noun,
    rpc,
    rpc_for_type,
    rpc_in_org,
)
from coach_cli.words import as_asked

app = noun("List, book, move, cancel, complete and reopen bookings.")

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


@app.command("book", epilog="Example: coach booking book 2026-11-23T07:00+10:00 --org kilo --client 6f1c… --type yoga")
def book(
    start: Annotated[
        datetime, typer.Argument(metavar="INSTANT", parser=instant, help="A start that coach slot list shows.")
    ],
    org: Org,
    client: Annotated[UUID, typer.Option(metavar="CLIENT_ID", help="Who comes; see coach client list.")],
    session_type: SessionType = None,
    staff: Staff = None,
    location: Location = None,
    package: Annotated[
        UUID | None, typer.Option(metavar="PACKAGE_ID", help="What pays for it; see coach package list.")
    ] = None,
    duration: Duration = None,
    notes: Annotated[str | None, typer.Option(metavar="TEXT", help="A note for the staff.")] = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Book a start for a client.

    Where it cannot be had it says why and prints up to five others, nearest first, and exits 1.
    """
    answer = asyncio.run(
        rpc_for_type(
            "service.book",
            org,
            session_type,
            p_client_id=client,
            p_start_time=start,
            p_staff_id=staff,
            p_location_id=location,
            p_purchase_id=package,
            p_duration_mins=duration,
            p_notes=notes,
            p_request_id=request_id,
        )
    )
    _print_outcome(answer, start, json)


@app.command("reschedule", epilog="Example: coach booking reschedule 77e0… 2026-11-24T07:00+10:00")
def reschedule_booking(
    booking: BookingId,
    start: Annotated[
        datetime, typer.Argument(metavar="INSTANT", parser=instant, help="A start that coach slot list shows.")
    ],
    staff: Annotated[
        UUID | None, typer.Option(metavar="STAFF_ID", help="Who takes it over; left out: whoever has it.")
    ] = None,
    json: Json = False,
) -> None:
    """Move a booking; it keeps its identity, its client and its package.

    Where the time cannot be had nothing changes; it prints up to five others, nearest first, and exits 1. So it does
    where the package is not valid then.
    """
    moved = rpc("service.reschedule_booking", p_booking_id=booking, p_start_time=start, p_staff_id=staff)
    _print_outcome(moved, start, json)


@app.command("cancel", epilog="Example: coach booking cancel 77e0… --reason 'The pool is closed'")
def cancel_booking(
    booking: BookingId,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the staff.")] = None,
    charge: Annotated[bool, typer.Option("--charge", help="Take its session all the same, or keep it taken.")] = False,
    json: Json = False,
) -> None:
    """Cancel a booking, and show what became of its session.

    Nothing (-) means that it is free again; else waived, charged or uncovered.
    """
    settlement = rpc("service.cancel_booking", p_booking_id=booking, p_reason=reason, p_is_charged=charge)
    output.print_record({"settlement": settlement}, json=json)


@app.command("complete", epilog="Example: coach booking complete 77e0…")
def complete_booking(booking: BookingId, json: Json = False) -> None:
    """Complete a booking and take its session, and show how it ended: charged, waived, uncovered or none."""
    output.print_record({"settlement": rpc("service.complete_booking", p_booking_id=booking)}, json=json)


@app.command("undo", epilog="Example: coach booking undo 77e0…")
def undo_completion(booking: BookingId, json: Json = False) -> None:
    """Take a completion or a no-show back, and show how many sessions of its package are used then."""
    output.print_record({"sessions_used": rpc("service.undo_completion", p_booking_id=booking)}, json=json)


REFUSED_OUTCOMES = {
    "taken": "This time is taken.",
    "unavailable": "This time is not on offer: outside hours, in the past, or off the grid of 15 minutes.",
    "package_exhausted": "This package has no session left for that start.",
    "package_expired": "Its package is not valid at that start.",
}
BOOKED = ("outcome", "booking_id", "start_time", "end_time", "staff_id")
ALTERNATIVES = {"start_time": "start", "end_time": "end", "staff_id": "staff id", "rank": "minutes to the next"}


def _print_outcome(answer: dict[str, Any], asked: datetime, json: bool) -> None:
    """Print what was booked; or say why not, print what could be instead, and end with exit code 1."""
    refused = REFUSED_OUTCOMES.get(answer["outcome"])
    if json:
        output.print_record(answer, json=True)
    elif refused is None:
        (booked,) = as_asked([answer], asked, "start_time", "end_time")
        output.print_record({key: booked[key] for key in BOOKED})
    if refused is not None:
        others = answer.get("alternatives", [])
        output.fail(refused, "These can be had:" if others and not json else "Choose another: see coach slot list.")
        if others and not json:
            output.print_rows(as_asked(others, asked, "start_time", "end_time"), ALTERNATIVES)
        raise typer.Exit(output.REFUSED)
