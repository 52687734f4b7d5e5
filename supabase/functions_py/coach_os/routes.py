"""The routes of the portal, the public booking page and calendar files, under the paths that the existing pages call.

Each checks a form, makes one call and answers; `functions/` has a module for each.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response

from coach_os.callers import caller_address
from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.forms import Booked, Dates, Day, Id, Minutes, Slots, Slug, Token
from coach_os.functions import (
    calendar_booking,
    calendar_feed,
    portal_available_dates,
    portal_available_slots,
    portal_cancel_booking,
    portal_create_booking,
    portal_join_waitlist,
    portal_leave_waitlist,
    portal_reschedule_booking,
    portal_validate,
    public_available_dates,
    public_available_slots,
    public_book,
    public_page,
)
from coach_os.problems import form_hint

#: What the existing pages expect where our own status is another one: a value out of range, a link that opens nothing.
_STATUSES = {422: 400}
_POSTED_TOKEN_STATUSES = {"link_not_found": 401}
#: That page knows no conflict: what cannot be cancelled any more is a bad request.
_CANCEL_STATUSES = {"booking_not_confirmed": 400}


class PageRoute(APIRoute):
    """A route whose refusals have the statuses that the existing pages branch on; slugs are the same everywhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        by_slug = {**(_POSTED_TOKEN_STATUSES if "POST" in (self.methods or ()) else {})}
        if self.path.endswith("/cancel-booking"):
            by_slug |= _CANCEL_STATUSES

        async def handle_as_pages_expect(request: Request) -> Response:
            try:
                response = await handle(request)
                if request.method == "HEAD":
                    # The headers of the file, its length included.
                    response.body = b""
                return response
            except RequestValidationError as error:
                sentence = "The request does not have the form it needs."
                raise Refusal(400, "request_invalid", sentence, form_hint(error)) from None
            except Refusal as refusal:
                refusal.status = by_slug.get(refusal.slug, _STATUSES.get(refusal.status, refusal.status))
                raise

        return handle_as_pages_expect


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _caller(request: Request) -> str:
    return caller_address(request, request.app.state.settings.trusted_proxies)


Db = Annotated[Database, Depends(_database)]
Caller = Annotated[str, Depends(_caller)]
TokenQuery = Annotated[Token, Query(description="The token of the portal link.")]
SlugQuery = Annotated[Slug, Query(description="The organisation's name in addresses.")]
DayQuery = Annotated[Day, Query(description="A local date of the organisation.", examples=["2026-11-23"])]
Duration = Annotated[Minutes | None, Query(description="How long, in minutes.")]
OfferQuery = Annotated[Id | None, Query(description="An offer, which says how long.")]
TypeQuery = Annotated[Id | None, Query(description="A session type.")]
StaffQuery = Annotated[Id | None, Query(description="A staff member; left out: anyone.")]
IfNoneMatch = Annotated[str | None, Header(description="The ETag of the last answer.")]

portal = APIRouter(prefix="/api/portal", tags=["portal"], route_class=PageRoute)
public = APIRouter(prefix="/api/public", tags=["public"], route_class=PageRoute)
calendar = APIRouter(prefix="/api/calendar", tags=["calendar"], route_class=PageRoute)
ROUTERS = (portal, public, calendar)

_ICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/calendar": {"schema": {"type": "string"}}}, "description": "An iCalendar file."},
    304: {"description": "Unchanged since If-None-Match."},
}


@portal.get("/validate", summary="Whose portal is it?")
async def validate(database: Db, caller: Caller, token: TokenQuery) -> portal_validate.Portal:
    """The client, their packages, bookings and waitlist offers. 404 `link_not_found` once the link is revoked."""
    return await portal_validate.run(database, caller, token)


@portal.get("/available-dates", summary="On which days can the client book?")
async def portal_dates(
    database: Db,
    caller: Caller,
    token: TokenQuery,
    duration: Duration = None,
    session_type_id: TypeQuery = None,
    staff_id: StaffQuery = None,
) -> Dates:
    """Local dates that have a start to book. 403 `online_booking_off` where clients cannot book."""
    return await portal_available_dates.run(database, caller, token, duration, session_type_id, staff_id)


@portal.get("/available-slots", summary="When on that day?")
async def portal_slots(
    database: Db,
    caller: Caller,
    token: TokenQuery,
    date: DayQuery,
    duration: Duration = None,
    session_type_id: TypeQuery = None,
    staff_id: StaffQuery = None,
) -> Slots:
    """The starts of a local day. Without `duration` a session is as long as the package that pays says."""
    return await portal_available_slots.run(database, caller, token, date, duration, session_type_id, staff_id)


@portal.post("/create-booking", summary="Book")
async def create_booking(database: Db, caller: Caller, form: portal_create_booking.CreateBooking) -> Booked:
    """409 with `alternatives` where the time cannot be had, 403 `package_exhausted` where no session is left."""
    return await portal_create_booking.run(database, caller, form)


@portal.post("/reschedule-booking", summary="Move a booking")
async def reschedule_booking(database: Db, caller: Caller, form: portal_reschedule_booking.RescheduleBooking) -> Booked:
    """While the client may still cancel it. 409 with `alternatives` where the new time cannot be had, 403
    `package_expired` where its package is not valid then."""
    return await portal_reschedule_booking.run(database, caller, form)


@portal.post("/cancel-booking", summary="Cancel a booking")
async def cancel_booking(
    database: Db, caller: Caller, form: portal_cancel_booking.CancelBooking
) -> portal_cancel_booking.Cancelled:
    """By the organisation's rules for late cancellations: 403 where they refuse."""
    return await portal_cancel_booking.run(database, caller, form)


@portal.post("/join-waitlist", summary="Wait for a day or a start")
async def join_waitlist(
    database: Db, caller: Caller, form: portal_join_waitlist.JoinWaitlist
) -> portal_join_waitlist.Waiting:
    """What is cancelled is offered to the first who fits; `validate` lists offers, `create-booking` books one."""
    return await portal_join_waitlist.run(database, caller, form)


@portal.post("/leave-waitlist", summary="Wait no more")
async def leave_waitlist(
    database: Db, caller: Caller, form: portal_leave_waitlist.LeaveWaitlist
) -> portal_leave_waitlist.Left:
    """Also lets go of the time that was offered. `validate` lists what the client waits for."""
    return await portal_leave_waitlist.run(database, caller, form)


@public.get("/page", summary="What can anybody book?")
async def page(database: Db, caller: Caller, slug: SlugQuery) -> public_page.Page:
    """The organisation, its looks, session types, offers and staff. 404 `page_not_found`."""
    return await public_page.run(database, caller, slug)


@public.get("/available-dates", summary="On which days can anybody book?")
async def public_dates(
    database: Db,
    caller: Caller,
    slug: SlugQuery,
    offer_id: OfferQuery = None,
    duration: Duration = None,
    session_type_id: TypeQuery = None,
    staff_id: StaffQuery = None,
) -> Dates:
    """Local dates that have a start to book. 403 `online_booking_off` where nobody can."""
    return await public_available_dates.run(database, caller, slug, offer_id, duration, session_type_id, staff_id)


@public.get("/available-slots", summary="When on that day?")
async def public_slots(
    database: Db,
    caller: Caller,
    slug: SlugQuery,
    date: DayQuery,
    offer_id: OfferQuery = None,
    duration: Duration = None,
    session_type_id: TypeQuery = None,
    staff_id: StaffQuery = None,
) -> Slots:
    """The starts of a local day. 403 `online_booking_off` where nobody can book."""
    return await public_available_slots.run(database, caller, slug, date, offer_id, duration, session_type_id, staff_id)


@public.post("/book", summary="Book without an account")
async def book(database: Db, caller: Caller, form: public_book.PublicBooking) -> public_book.PubliclyBooked:
    """The same answer whether the person is known or not; no package is ever spent on the strength of an email."""
    return await public_book.run(database, caller, form)


# Calendars look before they fetch.
@calendar.head("/{booking_id}", include_in_schema=False, response_class=Response)
@calendar.get("/{booking_id}", summary="One booking's calendar file", responses=_ICS, response_class=Response)
async def booking_file(
    database: Db,
    booking_id: Annotated[Id, Path(description="The booking.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """METHOD PUBLISH, or CANCEL with the same UID once it is cancelled; SEQUENCE rises with each change."""
    return await calendar_booking.run(database, booking_id, if_none_match)


@calendar.head("/feed/{token}.ics", include_in_schema=False, response_class=Response)
@calendar.get("/feed/{token}.ics", summary="A calendar to subscribe to", responses=_ICS, response_class=Response)
async def feed(
    database: Db,
    token: Annotated[str, Path(max_length=200, description="From `create_calendar_feed`; revocable.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """From 90 days back to a year ahead, cancelled bookings included. 404 `feed_not_found` once it is revoked."""
    return await calendar_feed.run(database, token, if_none_match)
