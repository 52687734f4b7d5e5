"""`GET /api/public/available-slots`: the starts of one day that anybody can book."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from coach_os.database import Database
from coach_os.forms import Slots


async def run(
    database: Database,
    caller: str,
    slug: str,
    on: date,
    offer: UUID | None,
    duration: int | None,
    session_type: UUID | None,
    staff: UUID | None,
) -> Slots:
    """Raises: Refusal page_not_found 404, online_booking_off 403, offer_not_found 404, rate_limited 429."""
    answer = await database.rpc(
        "public.public_slots",
        caller=caller,
        p_slug=slug,
        p_on=on,
        p_session_type_id=session_type,
        p_staff_id=staff,
        p_duration_mins=duration,
        p_offer_id=offer,
    )
    return Slots.model_validate(answer)
