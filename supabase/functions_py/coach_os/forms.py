"""What the portal and public routes have in common: how what was sent is read, and how an outcome is answered.

A form is checked for its shape alone; whether a value makes sense is the database's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from coach_os.calendar_links import CalendarLinks, calendar_links
from coach_os.errors import Refusal

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII | re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def _of_form(pattern: re.Pattern[str], kind: str) -> Callable[[Any], Any]:
    # pydantic alone would read 1e9 as a date and take an id in any spelling.
    def check(value: Any) -> Any:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise ValueError(f"not {kind}")
        return value

    return check


Id = Annotated[UUID, BeforeValidator(_of_form(_UUID, "a UUID"))]
Token = Annotated[UUID, BeforeValidator(_of_form(_UUID, "a token")), Field(description="The token of the portal link.")]
Day = Annotated[
    date, BeforeValidator(_of_form(_DATE, "a date")), Field(description="A local date of the organisation.")
]
Instant = Annotated[
    datetime,
    BeforeValidator(_of_form(_INSTANT, "an instant")),
    Field(description="ISO 8601 with an offset.", examples=["2026-11-23T07:00:00+10:00"]),
]
Slug = Annotated[str, Field(min_length=1, max_length=100, description="The organisation's name in addresses.")]
Minutes = Annotated[int, Field(ge=5, le=1440, strict=False, description="How long, in minutes.")]


class Form(BaseModel):
    """A body; what it does not know is passed over, as the existing pages may send more."""

    model_config = ConfigDict(extra="ignore", str_max_length=20_000)


class Alternative(BaseModel):
    """Another start that can be booked."""

    start_time: datetime
    end_time: datetime
    staff_id: UUID
    rank: int = Field(description="Minutes to the nearest taken time; the lowest keep a day compact.")


class Booked(BaseModel):
    """A booking that was made or moved."""

    success: bool = True
    booking_id: UUID
    staff_id: UUID
    start_time: datetime
    end_time: datetime
    calendar: CalendarLinks


class Dates(BaseModel):
    """The days that have a start to book."""

    dates: list[date] = Field(description="Local dates of the organisation.")
    timezone: str = Field(examples=["Australia/Brisbane"])


class Slot(BaseModel):
    """A start that can be booked."""

    start: datetime
    end: datetime
    staff_id: UUID
    score: int = Field(description="The higher, the more compact the day becomes; at most 1440.")
    recommended: bool


class Slots(BaseModel):
    """The starts of a day."""

    slots: list[Slot]
    durationMins: int
    timezone: str


class TimeTaken(Refusal):
    """A start that cannot be had, with others that can."""

    def __init__(self, slug: str, message: str, alternatives: list[Any]) -> None:
        super().__init__(409, slug, message, "Choose another time.")
        self.alternatives = alternatives

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "alternatives": self.alternatives}


class DepositDue(Refusal):
    """A time that is held while its deposit is paid; `deposit` is what the page needs for that."""

    def __init__(self, deposit: Mapping[str, Any]) -> None:
        super().__init__(
            402, "deposit_due", "This session is booked with a deposit.", "Pay the deposit; the time is held meanwhile."
        )
        self.deposit = dict(deposit)

    def as_json(self) -> dict[str, Any]:
        return {**super().as_json(), "deposit": self.deposit}


_DEPOSIT = ("deposit_id", "amount_cents", "currency", "start_time", "expires_at", "refund_policy")
_NOT_HAD = {
    "taken": ("slot_taken", "This time is taken."),
    "unavailable": ("slot_unavailable", "This time is not on offer."),
    "hold_expired": ("hold_expired", "This time was held for you, and the hold has run out."),
}


def booked(answer: Mapping[str, Any]) -> Booked:
    """The answer to a booking by its outcome.

    Raises:
        Refusal: 402 where it is held for a deposit, 409 with alternatives where the time could not be had, 403 where no
            package could pay, or the booking's own not for that start.
    """
    outcome = answer["outcome"]
    if outcome == "deposit_due":
        raise DepositDue({name: answer[name] for name in _DEPOSIT})
    if outcome in _NOT_HAD:
        raise TimeTaken(*_NOT_HAD[outcome], answer["alternatives"])
    if outcome == "package_exhausted":
        raise Refusal(403, "package_exhausted", "No session is left to book.", "Buy a package, or ask your coach.")
    if outcome == "package_expired":
        raise Refusal(403, "package_expired", "The package ends before that time.", "Choose an earlier time.")
    return Booked.model_validate({**answer, "calendar": calendar_links(answer["booking_id"], answer["event"])})
