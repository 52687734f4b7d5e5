"""Calendar files: what one library writes another one reads, and unchanged bookings stay the same text."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import vobject
from hypothesis import given
from hypothesis import strategies as st

from coach_os.calendar_files import booking_file, feed_file
from coach_os.calendar_links import calendar_links
from coach_os.calendar_response import calendar_response

EVENT: dict[str, Any] = {
    "uid": "0d0f9a4e-4a9f-4d0e-9f5e-1d6f7c0f8a11@coach-os",
    "sequence": 3,
    "start_time": "2026-11-01T05:30:00+00:00",
    "end_time": "2026-11-01T06:30:00+00:00",
    "status": "CONFIRMED",
    "summary": "Session with Ines",
    "location": "Harbour pool, 1 Quay Street",
    "organizer": "Harbour Strength",
    "created_at": "2026-10-01T00:00:00.123456+00:00",
    "updated_at": "2026-10-02T00:00:00.999999+00:00",
}
# What a person may be called, and what somebody who means harm would be.
NASTY = 'Zoë; "O\'Neil", back\\slash\nBEGIN:VEVENT\r\nSUMMARY:x 👩‍👩‍👧 ' + "漢" * 60
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
events = st.fixed_dictionaries(
    {
        "uid": st.uuids().map(lambda id: f"{id}@coach-os"),
        "sequence": st.integers(0, 10_000),
        "start_time": instants.map(datetime.isoformat),
        "end_time": instants.map(datetime.isoformat),
        "status": st.sampled_from(["CONFIRMED", "TENTATIVE", "CANCELLED"]),
        "summary": texts,
        "location": st.none() | texts,
        "organizer": texts,
        "created_at": instants.map(datetime.isoformat),
        "updated_at": instants.map(datetime.isoformat),
    }
)


def read(body: bytes) -> Any:
    """The calendar as the other library understands it."""
    (calendar,) = vobject.readComponents(body.decode())
    calendar.validate(raiseException=True)
    return calendar


def written(text: str) -> str:
    """What is left of a text once what no calendar may hold is out."""
    kept = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]", "", kept)


def test_a_booking_is_one_event_in_utc() -> None:
    calendar = read(booking_file(EVENT))
    assert (calendar.version.value, calendar.method.value) == ("2.0", "PUBLISH")
    event = calendar.vevent
    assert event.uid.value == EVENT["uid"]
    assert event.dtstart.value == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert event.dtend.value == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    assert event.dtstamp.value == datetime(2026, 10, 2, tzinfo=UTC)
    assert (event.sequence.value, event.status.value, event.summary.value) == ("3", "CONFIRMED", EVENT["summary"])
    assert event.location.value == EVENT["location"]
    text = booking_file(EVENT).decode()
    assert "\r\nDTSTART:20261101T053000Z\r\n" in text
    assert "TZID" not in text
    assert "\r\nLOCATION:Harbour pool\\, 1 Quay Street\r\n" in text


@pytest.mark.parametrize("offset", ["+00:00", "+10:00", "-03:30", "+05:45"])
def test_an_instant_is_the_same_by_whatever_offset_it_came(offset: str) -> None:
    hours, minutes = int(offset[:3]), int(offset[0] + offset[4:])
    local = datetime(2026, 11, 1, 5, 30) + timedelta(hours=hours, minutes=minutes)
    assert booking_file({**EVENT, "start_time": local.isoformat() + offset}) == booking_file(EVENT)


def test_a_cancellation_has_the_same_uid_a_higher_sequence_and_says_so() -> None:
    before = read(booking_file(EVENT))
    after = read(booking_file({**EVENT, "status": "CANCELLED", "sequence": 4}))
    assert (before.method.value, after.method.value) == ("PUBLISH", "CANCEL")
    assert before.vevent.uid.value == after.vevent.uid.value
    assert int(after.vevent.sequence.value) > int(before.vevent.sequence.value)
    assert after.vevent.status.value == "CANCELLED"


def test_a_feed_keeps_what_was_cancelled_and_has_a_name() -> None:
    gone = {**EVENT, "uid": "1@coach-os", "status": "CANCELLED"}
    calendar = read(feed_file("Kilo, Perth", [EVENT, gone]))
    assert calendar.method.value == "PUBLISH"
    assert [event.status.value for event in calendar.vevent_list] == ["CONFIRMED", "CANCELLED"]
    assert b"\r\nX-WR-CALNAME:Kilo\\, Perth\r\n" in feed_file("Kilo, Perth", [])
    assert b"\r\nREFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in feed_file("Kilo", [])


def test_a_name_cannot_write_lines_of_its_own() -> None:
    body = booking_file({**EVENT, "summary": NASTY, "location": NASTY, "organizer": NASTY})
    assert body.count(b"BEGIN:VEVENT\r\n") == 1
    event = read(body).vevent
    assert event.summary.value == event.location.value == written(NASTY)


@given(st.lists(events, max_size=4), texts)
def test_whatever_is_in_a_booking_comes_out_as_it_went_in(booked: list[dict[str, Any]], name: str) -> None:
    body = feed_file(name, booked)
    lines = body.split(b"\r\n")
    assert lines[-1] == b""
    for line in lines:
        assert len(line) <= 75
        assert b"\r" not in line
        assert b"\n" not in line
        # A fold between the bytes of one character would break it.
        line.decode()
    found = getattr(read(body), "vevent_list", [])
    assert len(found) == len(booked)
    for event, expected in zip(found, booked, strict=True):
        assert event.uid.value == expected["uid"]
        assert event.summary.value == written(expected["summary"])
        assert event.dtstart.value == datetime.fromisoformat(expected["start_time"]).replace(microsecond=0)
        if expected["location"]:
            assert event.location.value == written(expected["location"])


@given(events)
def test_an_unchanged_booking_is_the_same_text(event: dict[str, Any]) -> None:
    assert booking_file(event) == booking_file(dict(event))


def test_a_calendar_that_has_it_already_is_told_unchanged() -> None:
    def answer(given: str | None, body: bytes = b"x") -> Any:
        return calendar_response(body, method="PUBLISH", filename="x.ics", cache_control="private", if_none_match=given)

    first = answer(None)
    etag = first.headers["etag"]
    assert (first.status_code, first.headers["content-type"]) == (200, "text/calendar; charset=utf-8; method=PUBLISH")
    for same in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        assert (answer(same).status_code, answer(same).body) == (304, b"")
        assert answer(same).headers["etag"] == etag
    for other in ('"other"', etag.strip('"'), ""):
        assert answer(other).status_code == 200
    assert answer(etag, b"y").status_code == 200


def test_links_open_the_event_in_other_calendars() -> None:
    links = calendar_links("b1", {**EVENT, "summary": "Yoga & tea, with #1"})
    assert links.ics == "/api/calendar/b1"
    google, outlook = (parse_qs(urlsplit(link).query) for link in (links.google, links.outlook))
    assert google["text"] == outlook["subject"] == ["Yoga & tea, with #1"]
    assert google["dates"] == ["20261101T053000Z/20261101T063000Z"]
    assert (outlook["startdt"], outlook["enddt"]) == (["2026-11-01T05:30:00Z"], ["2026-11-01T06:30:00Z"])
    assert google["location"] == outlook["location"] == [EVENT["location"]]
    assert "location" not in calendar_links("b1", {**EVENT, "location": None}).google
