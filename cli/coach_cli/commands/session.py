"""coach session: take a session from a package, give it back, and read the ledger."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, PackageId, RequestId, noun, rpc
from coach_cli.words import reason, with_moments

app = noun("Use and release sessions, and show a package's ledger.")

Booking = Annotated[UUID | None, typer.Option("--booking", metavar="BOOKING_ID", help="The booking it is for.")]

COLUMNS = (*("entry_id", "kind", "used_delta", "total_delta", "reason", "booking_id", "actor_id", "created_at"),)
HEADINGS = {"created_at": "when (UTC)", "used_delta": "used", "reason": "why", "booking_id": "booking"}


@app.command("use", epilog="Example: coach session use 0b9d… --request-id $(uuidgen)")
def use_session(package: PackageId, booking: Booking = None, request_id: RequestId = None, json: Json = False) -> None:
    """Take one session from a package.

    With --booking it is that booking's session, once. Exits 1 when none can be taken.
    """
    taken = rpc("service.use_session", p_purchase_id=package, p_booking_id=booking, p_request_id=request_id)
    output.print_record({"taken": taken}, json=json)
    if not taken:
        output.fail("No session was taken: none is left, or the package is not valid.", "See coach package show.")
        raise typer.Exit(output.REFUSED)


@app.command("release", epilog="Example: coach session release 0b9d… --booking 77e0…")
def release_session(
    package: PackageId, booking: Booking = None, request_id: RequestId = None, json: Json = False
) -> None:
    """Give one session back to a package, and show how many are used then.

    It is the latest one taken, or the one of --booking, which is then waived: the sweep does not take it again.
    Exits 1 when there is nothing to give back.
    """
    used = rpc("service.release_session", p_purchase_id=package, p_booking_id=booking, p_request_id=request_id)
    output.print_record({"sessions_used": used}, json=json)
    if used < 0:
        output.fail("There was no session to give back.", "See coach session history.")
        raise typer.Exit(output.REFUSED)


@app.command("history", epilog="Example: coach session history 0b9d…")
def list_session_entries(package: PackageId, limit: Limit = 200, json: Json = False) -> None:
    """Show a package's ledger, latest first: each session taken, given back or corrected, and why."""
    rows = rpc("service.list_session_entries", p_purchase_id=package, p_limit=limit)
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [{**row, "reason": _why(row)} for row in with_moments(rows, "created_at")]
    output.print_rows(readable, HEADINGS, title="Ledger")


def _why(row: Mapping[str, Any]) -> str:
    total = row["total_delta"]
    return reason(row["reason"]) + (f", total {total:+d}" if total else "")
