"""`POST /api/portal/cancel-booking`: cancels one of the client's bookings and says what became of its session."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.forms import Form, Id, Token


class CancelBooking(Form):
    """A booking."""

    token: Token
    booking_id: Id


class Cancelled(BaseModel):
    """It is cancelled."""

    success: bool = True
    settlement: str | None = Field(
        description="What became of its session: waived, charged, uncovered; null: it is free again."
    )


async def run(database: Database, caller: str, form: CancelBooking) -> Cancelled:
    """Raises: Refusal link_not_found 404, booking_not_found 404, booking_not_confirmed 409, cancellation_not_allowed
    403, cancellation_too_late 403, rate_limited 429."""
    answer = await database.rpc(
        "public.portal_cancel", caller=caller, p_token=str(form.token), p_booking_id=form.booking_id
    )
    return Cancelled(settlement=answer["settlement"])
