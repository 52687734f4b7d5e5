"""`POST /api/portal/reschedule-booking`: moves one of the client's bookings, which keeps its identity."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.forms import Booked, Form, Id, Instant, Token, booked


class RescheduleBooking(Form):
    """A booking and its new start."""

    token: Token
    booking_id: Id
    start_time: Instant


async def run(database: Database, caller: str, form: RescheduleBooking) -> Booked:
    """Raises: Refusal link_not_found 404, booking_not_found 404, booking_not_confirmed 409, slot_taken 409 with
    alternatives, package_expired 403, cancellation_not_allowed 403, cancellation_too_late 403, rate_limited 429."""
    answer = await database.rpc(
        "public.portal_reschedule",
        caller=caller,
        p_token=str(form.token),
        p_booking_id=form.booking_id,
        p_start_time=form.start_time,
    )
    return booked(answer)
