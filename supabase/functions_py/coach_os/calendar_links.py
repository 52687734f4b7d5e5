"""Links that put a booking into a calendar: its file, and the pages of Google and Outlook that add an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, Field

GOOGLE = "https://calendar.google.com/calendar/render"
OUTLOOK = "https://outlook.live.com/calendar/0/deeplink/compose"


class CalendarLinks(BaseModel):
    """Ways into the client's own calendar."""

    ics: str = Field(description="The path of the booking's file on this service.", examples=["/api/calendar/0190…"])
    google: str = Field(description="Opens Google Calendar with the event filled in.")
    outlook: str = Field(description="Opens Outlook on the web with the event filled in.")


def calendar_links(booking_id: str, event: Mapping[str, Any]) -> CalendarLinks:
    """The links of a booking, from its event as the database answers it."""
    start, end = (datetime.fromisoformat(event[key]).astimezone(UTC) for key in ("start_time", "end_time"))
    title = event["summary"]
    place = {"location": event["location"]} if event.get("location") else {}
    google = {
        "action": "TEMPLATE",
        "text": title,
        "dates": f"{start:%Y%m%dT%H%M%SZ}/{end:%Y%m%dT%H%M%SZ}",
        **place,
    }
    outlook = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title,
        "startdt": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "enddt": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        **place,
    }
    return CalendarLinks(
        ics=f"/api/calendar/{booking_id}",
        google=f"{GOOGLE}?{urlencode(google)}",
        outlook=f"{OUTLOOK}?{urlencode(outlook)}",
    )
