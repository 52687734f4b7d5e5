"""coach slot: what can be booked."""

import asyncio
from datetime import date
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Duration, Json, Limit, Location, Org, SessionType, Staff, day, noun, rpc_for_type

app = noun("List what can be booked.")

COLUMNS = ("starts_local", "start_time", "end_time", "staff_id", "staff_name", "rank", "seats_left")
HEADINGS = {
    "starts_local": "starts (local)",
    "start_time": "start",
    "staff_name": "staff",
    "staff_id": "staff id",
    "rank": "minutes to the next",
    "seats_left": "seats",
}


@app.command("list", epilog="Example: coach slot list 2026-11-23 --org kilo --type yoga --until 2026-11-25")
def list_slots(
    on: Annotated[date, typer.Argument(metavar="DATE", parser=day, help="A local date of the organisation.")],
    org: Org,
    until: Annotated[
        date | None, typer.Option(metavar="DATE", parser=day, help="The last date, at most 62 days later.")
    ] = None,
    session_type: SessionType = None,
    staff: Staff = None,
    location: Location = None,
    duration: Duration = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the starts that staff can book, with the minutes to the nearest taken time: 0 keeps a day compact."""
    rows = asyncio.run(
        rpc_for_type(
            "service.find_slots",
            org,
            session_type,
            p_on=on,
            p_until=until,
            p_staff_id=staff,
            p_location_id=location,
            p_duration_mins=duration,
            p_limit=limit,
        )
    )
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Slots")
