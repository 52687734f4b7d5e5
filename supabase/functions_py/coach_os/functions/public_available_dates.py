"""`GET /api/public/available-dates`: the days on which anybody can book."""

from __future__ import annotations

from uuid import UUID

from coach_os.database import Database
from coach_os.forms import Dates


async def run(
    database: Database,
    caller: str,
    slug: str,
    offer: UUID | None,
    duration: int | None,
    session_type: UUID | None,
    staff: UUID | None,
) -> Dates:
    """Raises: Refusal page_not_found 404, online_booking_off 403, offer_not_found 404, rate_limited 429."""
    answer = await database.rpc(
        "public.public_dates",
        caller=caller,
        p_slug=slug,
        p_session_type_id=session_type,
        p_staff_id=staff,
        p_duration_mins=duration,
        p_offer_id=offer,
    )
    return Dates.model_validate(answer)
