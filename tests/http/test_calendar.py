"""Calendar files over HTTP: a booking's own, and feeds that are revoked when somebody says so."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import vobject
from tests.harness.world import World
from tests.http.pages import Pages, Studio, open_studio, problem, visiting


@pytest.fixture
def studio(world: World) -> Studio:
    return open_studio(world.kilo)


@pytest.fixture
def pages(studio: Studio) -> Iterator[Pages]:
    with visiting(studio) as pages:
        yield pages


def event_of(pages: Pages, booking: str) -> vobject.base.Component:
    answer = pages.get(f"/api/calendar/{booking}")
    assert answer.status_code == 200
    (calendar,) = vobject.readComponents(answer.text)
    assert answer.headers["content-type"].endswith(f"method={calendar.method.value}")
    return calendar.vevent


def feed(pages: Pages, token: str, **headers: str) -> list[vobject.base.Component]:
    answer = pages.send("GET", f"/api/calendar/feed/{token}.ics", headers=headers)
    assert answer.status_code == 200, answer.text
    (calendar,) = vobject.readComponents(answer.text)
    return list(getattr(calendar, "vevent_list", []))


def test_a_bookings_file_follows_it_from_the_first_to_the_last_step(pages: Pages) -> None:
    slots = pages.slots()
    made = pages.post("portal/create-booking", start_time=slots[0]["start"]).json()
    booking = made["booking_id"]
    first = event_of(pages, booking)
    assert pages.get(made["calendar"]["ics"]).status_code == 200
    pages.post("portal/reschedule-booking", booking_id=booking, start_time=slots[20]["start"])
    moved = event_of(pages, booking)
    pages.post("portal/cancel-booking", booking_id=booking)
    gone = event_of(pages, booking)
    assert len({event.uid.value for event in (first, moved, gone)}) == 1
    assert int(first.sequence.value) < int(moved.sequence.value) < int(gone.sequence.value)
    assert moved.dtstart.value > first.dtstart.value
    assert [event.status.value for event in (first, moved, gone)] == ["CONFIRMED", "CONFIRMED", "CANCELLED"]
    assert "Client of Kilo" not in pages.get(f"/api/calendar/{booking}").text


def test_a_booking_that_is_not_there_is_404_and_no_id_400(pages: Pages) -> None:
    assert problem(pages.get(f"/api/calendar/{uuid4()}")) == (404, "booking_not_found")
    for wrong in ("x", "0" * 36, f"{uuid4()}.ics", f"{uuid4().hex}"):
        assert problem(pages.get(f"/api/calendar/{wrong}")) == (400, "request_invalid")


def test_a_feed_is_a_persons_own_and_ends_when_it_is_revoked(pages: Pages, studio: Studio) -> None:
    coach = studio.org.coach
    staff = studio.db.owner.value("select id from public.staff where org_id = %s", (studio.org.id,))
    stranger = studio.org.add_client(full_name="Somebody Else", email="else@x.example")
    start = pages.slots()[0]["start"]
    pages.post("portal/create-booking", start_time=start)
    for_staff = coach.call("public.create_calendar_feed", p_staff_id=staff)
    for_client = coach.call("public.create_calendar_feed", p_client_id=studio.org.client_id)
    for_stranger = coach.call("public.create_calendar_feed", p_client_id=stranger)
    assert len({for_staff, for_client, for_stranger}) == 3
    assert {"Client of Kilo" in event.summary.value for event in feed(pages, for_staff)} == {True}
    assert {"Client of Kilo" in event.summary.value for event in feed(pages, for_client)} == {False}
    assert (len(feed(pages, for_staff)), len(feed(pages, for_client)), feed(pages, for_stranger)) == (2, 2, [])
    assert coach.call("public.revoke_calendar_feeds", p_client_id=studio.org.client_id) == 1
    assert problem(pages.get(f"/api/calendar/feed/{for_client}.ics")) == (404, "feed_not_found")
    assert len(feed(pages, for_staff)) == 2


def test_a_feed_is_sent_again_only_when_it_changed(pages: Pages, studio: Studio) -> None:
    token = studio.org.coach.call("public.create_calendar_feed", p_client_id=studio.org.client_id)
    path = f"/api/calendar/feed/{token}.ics"
    first = pages.get(path)
    assert first.headers["cache-control"] == "private, max-age=300"
    assert first.headers["x-content-type-options"] == "nosniff"
    etag = {"if-none-match": first.headers["etag"]}
    unchanged = pages.send("GET", path, headers=etag)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    pages.post("portal/create-booking", start_time=pages.slots()[0]["start"])
    assert pages.send("GET", path, headers=etag).status_code == 200


def test_a_calendar_may_look_before_it_fetches(pages: Pages, studio: Studio) -> None:
    token = studio.org.coach.call("public.create_calendar_feed", p_client_id=studio.org.client_id)
    for path in (f"/api/calendar/{studio.org.booking_id}", f"/api/calendar/feed/{token}.ics"):
        fetched, looked = pages.get(path), pages.send("HEAD", path)
        assert (looked.status_code, looked.content) == (200, b"")
        for name in ("content-type", "content-length", "content-disposition", "etag", "cache-control"):
            assert looked.headers[name] == fetched.headers[name]
        assert int(looked.headers["content-length"]) == len(fetched.content)
        assert pages.send("HEAD", path, headers={"if-none-match": fetched.headers["etag"]}).status_code == 304
        assert pages.send("POST", path).status_code == 405
    assert pages.send("HEAD", f"/api/calendar/{uuid4()}").status_code == 404
    assert pages.send("HEAD", f"/api/calendar/feed/{'0' * 64}.ics").status_code == 404
    studio.org.coach.call("public.revoke_calendar_feeds", p_client_id=studio.org.client_id)
    assert pages.send("HEAD", path).status_code == 404


@pytest.mark.parametrize("token", ["x", "0" * 64, "%00", "' or 1=1 --", "\u6f22", "a" * 200])
def test_a_token_that_opens_nothing_is_404(pages: Pages, token: str) -> None:
    answer = pages.get(f"/api/calendar/feed/{token}.ics")
    assert problem(answer) in ((404, "feed_not_found"), (400, "argument_invalid"))
    assert "no-store" in answer.headers["cache-control"]


def test_a_feeds_address_is_not_in_the_log(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    token = studio.org.coach.call("public.create_calendar_feed", p_client_id=studio.org.client_id)
    with visiting(studio) as pages:
        feed(pages, token)
    log = capsys.readouterr().err
    assert "/api/calendar/feed/{token}.ics" in log
    assert token not in log
