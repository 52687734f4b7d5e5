"""`GET /api/calendar/feed/{token}.ics`: a staff member's or client's bookings, for a calendar that subscribes."""

from __future__ import annotations

from starlette.responses import Response

from coach_os.calendar_files import feed_file
from coach_os.calendar_response import calendar_response
from coach_os.database import Database

#: Calendars ask when they like; what stands between may answer them for so long.
MAX_AGE_SECONDS = 300


async def run(database: Database, token: str, if_none_match: str | None) -> Response:
    """Raises: Refusal feed_not_found 404."""
    feed = await database.rpc("service.calendar_feed", p_token=token)
    return calendar_response(
        feed_file(feed["name"], feed["events"]),
        method="PUBLISH",
        filename="calendar.ics",
        cache_control=f"private, max-age={MAX_AGE_SECONDS}",
        if_none_match=if_none_match,
    )
