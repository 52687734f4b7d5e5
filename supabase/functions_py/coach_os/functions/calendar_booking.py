"""`GET /api/calendar/{booking_id}`: one booking as a calendar file."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response

from coach_os.calendar_files import booking_file, method_of
from coach_os.calendar_response import calendar_response
from coach_os.database import Database


async def run(database: Database, booking_id: UUID, if_none_match: str | None) -> Response:
    """Raises: Refusal booking_not_found 404."""
    event = await database.rpc("service.booking_event", p_booking_id=booking_id)
    # Asked again it may have moved: kept, but not used without asking.
    return calendar_response(
        booking_file(event),
        method=method_of(event),
        filename="booking.ics",
        cache_control="private, no-cache",
        if_none_match=if_none_match,
    )
