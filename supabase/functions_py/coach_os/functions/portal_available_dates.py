"""`GET /api/portal/available-dates`: the days on which the link's client can book."""

from __future__ import annotations

from uuid import UUID

from coach_os.database import Database
from coach_os.forms import Dates


async def run(
    database: Database, caller: str, token: UUID, duration: int | None, session_type: UUID | None, staff: UUID | None
) -> Dates:
    """Raises: Refusal link_not_found 404, online_booking_off 403, rate_limited 429, value_not_allowed 422."""
    answer = await database.rpc(
        "public.portal_dates",
        caller=caller,
        p_token=str(token),
        p_session_type_id=session_type,
        p_staff_id=staff,
        p_duration_mins=duration,
    )
    return Dates.model_validate(answer)
