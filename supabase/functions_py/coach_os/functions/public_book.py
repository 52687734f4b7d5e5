"""`POST /api/public/book`: books for somebody who names themselves; the answer does not tell if they were known."""

from __future__ import annotations

from pydantic import Field

from coach_os.database import Database
from coach_os.forms import Booked, Form, Id, Instant, Minutes, Slug, booked


class PublicBooking(Form):
    """Who they are and when they come."""

    slug: Slug
    start_time: Instant
    full_name: str = Field(min_length=1, max_length=200)
    email: str = Field(min_length=3, max_length=320)
    phone: str | None = Field(default=None, max_length=40)
    offer_id: Id | None = None
    session_type_id: Id | None = None
    staff_id: Id | None = Field(default=None, description="Left out: anyone.")
    duration: Minutes | None = Field(default=None, description="As it was listed with.")
    notes: str | None = Field(default=None, max_length=2000)
    request_id: Id | None = Field(default=None, description="The same id books once.")


class PubliclyBooked(Booked):
    """A booking that was made."""

    needs_waiver: bool = Field(description="It is pending until a waiver is signed.")


async def run(database: Database, caller: str, form: PublicBooking) -> PubliclyBooked:
    """Raises: Refusal page_not_found 404, online_booking_off 403, offer_not_found 404, slot_taken 409 and its like with
    alternatives, rate_limited 429."""
    answer = await database.rpc(
        "public.public_book",
        caller=caller,
        p_slug=form.slug,
        p_start_time=form.start_time,
        p_full_name=form.full_name,
        p_email=form.email,
        p_phone=form.phone,
        p_session_type_id=form.session_type_id,
        p_staff_id=form.staff_id,
        p_duration_mins=form.duration,
        p_notes=form.notes,
        p_request_id=form.request_id,
        p_offer_id=form.offer_id,
    )
    return PubliclyBooked(**booked(answer).model_dump(), needs_waiver=answer["needs_waiver"])
