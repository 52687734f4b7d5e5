"""Bookings as iCalendar text (RFC 5545): one booking's file, or a feed that calendars subscribe to.

The database says what an event is (`private.booking_event`); this writes it down, the same text for the same events, so
that an answer's hash is its ETag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from icalendar import Calendar, vCalAddress, vText
from icalendar import Event as Component

Event = Mapping[str, Any]

PRODUCT = "-//Coach OS//Bookings//EN"
REFRESH = timedelta(hours=1)

# What TEXT may not hold: control characters but tab and line feed, and halves of a character.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def booking_file(event: Event) -> bytes:
    """The file of one booking: METHOD PUBLISH, or CANCEL once it is cancelled, with the same UID."""
    return _calendar(method_of(event), [event])


def feed_file(name: str, events: Iterable[Event]) -> bytes:
    """A calendar to subscribe to; what was cancelled stays in it as such, so that subscribers are told."""
    return _calendar("PUBLISH", events, name=name)


def method_of(event: Event) -> str:
    """What a calendar is to do with one event's file."""
    return "CANCEL" if event["status"] == "CANCELLED" else "PUBLISH"


def _calendar(method: str, events: Iterable[Event], name: str | None = None) -> bytes:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method)
    if name is not None:
        # RFC 7986's name, and the one that calendars knew before it.
        calendar["name"] = calendar["x-wr-calname"] = _text(name)
        calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
        calendar["x-published-ttl"] = vText("PT1H")
    for event in events:
        calendar.add_component(_component(event))
    text: bytes = calendar.to_ical()
    return text


def _component(event: Event) -> Component:
    component = Component()
    component["uid"] = vText(event["uid"])
    component.add("sequence", event["sequence"])
    # The instant of the revision, not of this answer: an unchanged booking is the same text.
    component.add("dtstamp", _instant(event["updated_at"]))
    component.add("last-modified", _instant(event["updated_at"]))
    component.add("created", _instant(event["created_at"]))
    component.add("dtstart", _instant(event["start_time"]))
    component.add("dtend", _instant(event["end_time"]))
    component["summary"] = _text(event["summary"])
    component["status"] = vText(event["status"])
    component["transp"] = vText("TRANSPARENT" if event["status"] == "CANCELLED" else "OPAQUE")
    if event.get("location"):
        component["location"] = _text(event["location"])
    # METHOD asks for an organiser, whose address is nobody's business here: the address that means none.
    organizer = vCalAddress("invalid:nomail")
    organizer.params["CN"] = _text(event["organizer"]).replace("\n", " ")
    component["organizer"] = organizer
    return component


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)


def _text(text: str) -> vText:
    return vText(_UNWRITABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
