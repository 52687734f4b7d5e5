"""The routes of a client's way in: the lead form of any website, and the links of waivers and onboarding.

Each checks a form, makes one call and answers; `functions/` has a module for each.
"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from coach_os.functions import inquiry_capture, notify_coach, send_onboarding, send_waiver
from coach_os.messaging_routes import Person, Token
from coach_os.routes import Caller, Db, PageRoute

#: What the form of any website may post to, whatever CORS_ORIGINS says.
OPEN_PATHS = ("/functions/v1/inquiry-capture",)

forms = APIRouter(tags=["leads"], route_class=PageRoute)
coach = APIRouter(prefix="/api", tags=["clients"], route_class=PageRoute)
ROUTERS = (forms, coach)


@forms.post(
    OPEN_PATHS[0],
    summary="Somebody asks",
    status_code=201,
    responses={200: {"model": inquiry_capture.Captured, "description": "Known: added to their open inquiry."}},
)
async def capture(
    database: Db, caller: Caller, response: Response, form: inquiry_capture.Inquiry
) -> inquiry_capture.Captured:
    """From any origin. 404 `page_not_found`, 429 `rate_limited`."""
    return await inquiry_capture.run(database, caller, response, form)


@coach.post("/send-waiver", summary="Ask a client to sign")
async def waiver(person: Person, token: Token, form: send_waiver.SendWaiver) -> send_waiver.WaiverSent:
    """Makes the waiver, and queues a text with its link. 409 `waiver_text_missing` where there is no text to sign."""
    return await send_waiver.run(person, token, form)


@coach.post("/send-onboarding", summary="Ask a client about themselves")
async def onboarding(
    person: Person, token: Token, form: send_onboarding.SendOnboarding
) -> send_onboarding.OnboardingSent:
    """Makes the link where none is open, and queues a text with it."""
    return await send_onboarding.run(person, token, form)


@coach.post("/onboard/notify-coach", summary="Tell the coach that a form was filled in")
async def notified(database: Db, caller: Caller, form: notify_coach.Onboarded) -> notify_coach.CoachNotified:
    """Tells nothing but what has happened within the hour, and that once."""
    return await notify_coach.run(database, caller, form)
