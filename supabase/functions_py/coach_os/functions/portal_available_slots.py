"""`GET /api/portal/available-slots`: the starts of one day that the link's client can book."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from coach_os.database import Database
from coach_os.forms import Slots


async def run(
    database: Database,
    caller: str,
    token: UUID,
    on: date,
    duration: int | None,
    session_type: UUID | None,
    staff: UUID | None,
) -> Slots:
    """Raises: Refusal link_not_found 404, rate_limited 429, value_not_allowed 422."""
    answer = await database.rpc(
        "public.portal_slots",
        caller=caller,
        p_token=str(token),
        p_on=on,
        p_session_type_id=session_type,
        p_staff_id=staff,
        p_duration_mins=duration,
    )
    return Slots.model_validate(answer)
