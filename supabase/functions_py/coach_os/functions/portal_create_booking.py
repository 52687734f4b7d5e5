"""`POST /api/portal/create-booking`: books a start, or a time that is held for the link's client."""

from __future__ import annotations

from pydantic import Field, model_validator

from coach_os.database import Database
from coach_os.forms import Booked, Form, Id, Instant, Minutes, Token, booked


class CreateBooking(Form):
    """A start, or a hold; whichever package expires first pays unless one is named."""

    token: Token
    start_time: Instant | None = Field(default=None, description="A start that available-slots lists.")
    purchase_id: Id | None = None
    hold_id: Id | None = Field(default=None, description="A waitlist offer, instead of a start.")
    duration: Minutes | None = Field(default=None, description="As it was listed with.")
    session_type_id: Id | None = None
    staff_id: Id | None = Field(default=None, description="Left out: anyone.")
    notes: str | None = Field(default=None, max_length=2000)
    request_id: Id | None = Field(default=None, description="The same id books once.")

    @model_validator(mode="after")
    def _names_a_time(self) -> CreateBooking:
        if (self.start_time is None) == (self.hold_id is None):
            raise ValueError("name a start_time or a hold_id")
        return self


async def run(database: Database, caller: str, form: CreateBooking) -> Booked:
    """Raises: Refusal link_not_found 404, online_booking_off 403, package_exhausted 403, slot_taken 409 and its like
    with alternatives, purchase_not_found 404, rate_limited 429."""
    answer = await database.rpc(
        "public.portal_book",
        caller=caller,
        p_token=str(form.token),
        p_start_time=form.start_time,
        p_purchase_id=form.purchase_id,
        p_session_type_id=form.session_type_id,
        p_staff_id=form.staff_id,
        p_duration_mins=form.duration,
        p_notes=form.notes,
        p_hold_id=form.hold_id,
        p_request_id=form.request_id,
    )
    return booked(answer)
