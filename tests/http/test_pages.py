"""The portal and the public page over HTTP, from the link to the cancellation, on a real database."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.harness.world import World
from tests.http.pages import Pages, Studio, open_studio, problem, refusing_forms, visiting

VISITOR = {"full_name": "Ann Bonny", "email": "ann@bonny.example", "phone": "0412 345 678"}


@pytest.fixture
def studio(world: World) -> Studio:
    return open_studio(world.kilo)


@pytest.fixture
def pages(studio: Studio) -> Iterator[Pages]:
    with visiting(studio) as pages:
        yield pages


@pytest.fixture
def forms() -> Iterator[Pages]:
    with refusing_forms() as pages:
        yield pages


def purchase(pages: Pages) -> dict[str, Any]:
    (found,) = pages.portal("validate").json()["active_purchases"]
    return dict(found)


# The portal


def test_a_client_goes_from_the_link_to_a_booking_and_cancels_it(pages: Pages, studio: Studio) -> None:
    portal = pages.portal("validate").json()
    assert (portal["client_id"], portal["org_name"]) == (str(studio.org.client_id), "Kilo")
    assert portal["active_purchases"][0]["bookable_remaining"] == 9
    day = pages.a_day()
    slots = pages.slots(day)
    assert {"start", "end", "score", "recommended"} <= slots[0].keys()
    made = pages.post("portal/create-booking", start_time=slots[4]["start"], purchase_id=studio.org.package_id)
    assert made.status_code == 200
    booking = made.json()
    assert booking["success"] is True
    assert purchase(pages)["bookable_remaining"] == 8
    assert slots[4]["start"] not in [slot["start"] for slot in pages.slots(day)]
    (row,) = studio.bookings()
    assert (str(row["id"]), row["booking_source"], row["booked_by"]) == (booking["booking_id"], "client", None)
    gone = pages.post("portal/cancel-booking", booking_id=booking["booking_id"])
    assert (gone.status_code, gone.json()) == (200, {"success": True, "settlement": None})
    assert purchase(pages)["bookable_remaining"] == 9
    assert slots == pages.slots(day)


def test_every_slot_that_is_listed_can_be_booked(pages: Pages, studio: Studio) -> None:
    studio.set(buffer_between_mins=0)
    for slot in pages.slots()[::4][:9]:
        assert pages.post("portal/create-booking", start_time=slot["start"]).status_code == 200
    spent = pages.post("portal/create-booking", start_time=pages.slots()[-1]["start"])
    assert problem(spent) == (403, "package_exhausted")
    assert len(studio.bookings()) == 9


def test_a_session_is_as_long_as_the_package_that_pays_says(pages: Pages, studio: Studio) -> None:
    studio.db.owner.rows("update public.client_purchases set session_duration_mins = 45")
    answer = pages.portal("available-slots", date=pages.a_day()).json()
    assert answer["durationMins"] == 45
    made = pages.post("portal/create-booking", start_time=answer["slots"][0]["start"]).json()
    assert made["end_time"] == answer["slots"][0]["end"]
    assert pages.portal("available-slots", date=pages.a_day(), duration=30).json()["durationMins"] == 30


def test_what_is_listed_is_what_the_package_pays_that_day(pages: Pages, studio: Studio) -> None:
    """The first package ends before the second: each day is listed and booked with the length of its own."""
    studio.set(buffer_between_mins=0, min_notice_hours=0)
    short, long = studio.org.package_id, studio.org.sell()
    query = "update public.client_purchases set session_duration_mins = %s, expires_at = %s where id = %s"
    studio.db.owner.rows(query, (30, datetime.now(UTC) + timedelta(days=6), short))
    studio.db.owner.rows(query, (90, datetime.now(UTC) + timedelta(days=12), long))
    dates = pages.portal("available-dates").json()["dates"]
    lengths = set()
    for day in dates[2:]:
        answer = pages.portal("available-slots", date=day).json()
        for slot in (answer["slots"][0], answer["slots"][-1]):
            made = pages.post("portal/create-booking", start_time=slot["start"])
            assert made.status_code == 200, (day, slot, made.text)
            assert made.json()["end_time"] == slot["end"]
            minutes = datetime.fromisoformat(slot["end"]) - datetime.fromisoformat(slot["start"])
            lengths.add(minutes // timedelta(minutes=1))
            assert pages.post("portal/cancel-booking", booking_id=made.json()["booking_id"]).status_code == 200
        assert answer["durationMins"] in lengths
    assert lengths == {30, 90}
    assert max(dates) <= (datetime.now(UTC) + timedelta(days=13)).date().isoformat(), "no package pays after that"


def test_a_taken_time_is_409_with_others(pages: Pages) -> None:
    start = pages.slots()[8]["start"]
    assert pages.post("portal/create-booking", start_time=start).status_code == 200
    refused = pages.post("portal/create-booking", start_time=start)
    assert problem(refused) == (409, "slot_taken")
    first, *others = refused.json()["alternatives"]
    assert len(others) == 4
    assert pages.post("portal/create-booking", start_time=first["start_time"]).status_code == 200


def test_the_same_request_books_once(pages: Pages, studio: Studio) -> None:
    form = {"start_time": pages.slots()[8]["start"], "request_id": uuid4()}
    first, again = (pages.post("portal/create-booking", **form).json() for _ in range(2))
    assert first["booking_id"] == again["booking_id"]
    assert len(studio.bookings()) == 1


def test_a_booking_moves_and_keeps_its_identity(pages: Pages, studio: Studio) -> None:
    slots = pages.slots()
    booking = pages.post("portal/create-booking", start_time=slots[0]["start"]).json()["booking_id"]
    other = pages.post("portal/create-booking", start_time=slots[20]["start"]).json()["booking_id"]
    moved = pages.post("portal/reschedule-booking", booking_id=booking, start_time=slots[10]["start"])
    assert (moved.json()["booking_id"], moved.json()["start_time"]) == (booking, slots[10]["start"])
    refused = pages.post("portal/reschedule-booking", booking_id=other, start_time=slots[10]["start"])
    assert problem(refused) == (409, "slot_taken")
    assert refused.json()["alternatives"]


def test_a_booking_does_not_move_past_the_end_of_its_package(pages: Pages, studio: Studio) -> None:
    slots = pages.slots()
    booking = pages.post("portal/create-booking", start_time=slots[0]["start"]).json()["booking_id"]
    ends = "update public.client_purchases set expires_at = %s where id = %s"
    studio.db.owner.rows(ends, (slots[5]["start"], studio.org.package_id))
    beyond = pages.post("portal/reschedule-booking", booking_id=booking, start_time=slots[9]["start"])
    assert problem(beyond) == (403, "package_expired")
    assert [row["start_time"] for row in studio.bookings()] == [datetime.fromisoformat(slots[0]["start"])]
    moved = pages.post("portal/reschedule-booking", booking_id=booking, start_time=slots[4]["start"])
    assert moved.json()["start_time"] == slots[4]["start"]


def test_who_waits_is_offered_what_is_cancelled_and_books_it_by_its_hold(pages: Pages, studio: Studio) -> None:
    start = pages.slots()[8]["start"]
    booking = pages.post("portal/create-booking", start_time=start).json()["booking_id"]
    day = studio.db.owner.value("select (%s::timestamptz at time zone 'Australia/Brisbane')::date::text", (start,))
    waiting = pages.post("portal/join-waitlist", start_time=start)
    assert waiting.json() == pages.post("portal/join-waitlist", date=day, start_time=start).json()
    pages.post("portal/cancel-booking", booking_id=booking)
    (offer,) = pages.portal("validate").json()["waitlist_offers"]
    made = pages.post("portal/create-booking", hold_id=offer["hold_id"])
    assert (made.status_code, made.json()["start_time"]) == (200, start)
    assert pages.portal("validate").json()["waitlist_offers"] == []


def test_an_offer_is_paid_from_the_package_that_is_valid_then(pages: Pages, studio: Studio) -> None:
    start = pages.slots()[8]["start"]
    later = studio.org.sell()
    query = "update public.client_purchases set expires_at = %s where id = %s"
    studio.db.owner.rows(query, (datetime.fromisoformat(start) - timedelta(days=1), studio.org.package_id))
    booking = pages.post("portal/create-booking", start_time=start).json()["booking_id"]
    pages.post("portal/join-waitlist", start_time=start)
    pages.post("portal/cancel-booking", booking_id=booking)
    (offer,) = pages.portal("validate").json()["waitlist_offers"]
    made = pages.post("portal/create-booking", hold_id=offer["hold_id"])
    assert made.status_code == 200, made.text
    assert studio.bookings()[-1]["purchase_id"] == later


def test_who_waits_no_more_is_offered_nothing(pages: Pages) -> None:
    start = pages.slots()[8]["start"]
    booking = pages.post("portal/create-booking", start_time=start).json()["booking_id"]
    entry = pages.post("portal/join-waitlist", start_time=start).json()["entry_id"]
    (waiting,) = pages.portal("validate").json()["waitlist"]
    assert (waiting["entry_id"], datetime.fromisoformat(waiting["start_time"])) == (
        entry,
        datetime.fromisoformat(start),
    )
    for was_waiting in (True, False):
        left = pages.post("portal/leave-waitlist", entry_id=entry)
        assert (left.status_code, left.json()) == (200, {"success": True, "was_waiting": was_waiting})
    pages.post("portal/cancel-booking", booking_id=booking)
    portal = pages.portal("validate").json()
    assert (portal["waitlist"], portal["waitlist_offers"]) == ([], [])
    assert problem(pages.post("portal/leave-waitlist", entry_id=uuid4())) == (404, "waitlist_entry_not_found")
    assert problem(pages.post("portal/leave-waitlist", entry_id="x")) == (400, "request_invalid")


def test_an_offer_that_is_declined_is_anybodys(pages: Pages) -> None:
    start = pages.slots()[8]["start"]
    booking = pages.post("portal/create-booking", start_time=start).json()["booking_id"]
    pages.post("portal/join-waitlist", start_time=start)
    pages.post("portal/cancel-booking", booking_id=booking)
    (offer,) = pages.portal("validate").json()["waitlist_offers"]
    assert problem(pages.post("public/book", start_time=start, **VISITOR)) == (409, "slot_taken")
    assert pages.post("portal/leave-waitlist", entry_id=offer["entry_id"]).json()["was_waiting"] is True
    assert problem(pages.post("portal/create-booking", hold_id=offer["hold_id"])) == (409, "hold_expired")
    assert pages.post("public/book", start_time=start, **VISITOR).status_code == 200


def test_a_hold_that_ran_out_is_told_so(pages: Pages, studio: Studio) -> None:
    start = pages.slots()[8]["start"]
    pages.post("portal/join-waitlist", start_time=start)
    booking = pages.post("portal/create-booking", start_time=start).json()["booking_id"]
    pages.post("portal/cancel-booking", booking_id=booking)
    (offer,) = pages.portal("validate").json()["waitlist_offers"]
    studio.db.owner.rows("update private.holds set expires_at = now() - interval '1 second'")
    assert problem(pages.post("portal/create-booking", hold_id=offer["hold_id"])) == (409, "hold_expired")


def test_a_link_that_is_revoked_between_two_calls_opens_nothing_more(pages: Pages, studio: Studio) -> None:
    slot = pages.slots()[3]["start"]
    booking = pages.post("portal/create-booking", start_time=slot).json()["booking_id"]
    studio.revoke()
    for path in ("validate", "available-dates", "available-slots"):
        assert problem(pages.portal(path, date="2027-01-04")) == (404, "link_not_found")
    for path, form in (
        ("create-booking", {"start_time": slot}),
        ("cancel-booking", {"booking_id": booking}),
        ("reschedule-booking", {"booking_id": booking, "start_time": slot}),
        ("join-waitlist", {"start_time": slot}),
        ("leave-waitlist", {"entry_id": uuid4()}),
    ):
        assert problem(pages.post(f"portal/{path}", **form)) == (401, "link_not_found")
    assert [row["status"] for row in studio.bookings()] == ["confirmed"]


def test_another_clients_booking_or_package_does_not_exist(pages: Pages, studio: Studio, world: World) -> None:
    for org in (world.kilo, world.lima):
        client = org.add_client(full_name="Somebody Else", email="else@x.example")
        package = org.sell(client_id=client)
        start = datetime.now(UTC) + timedelta(days=9)
        booking = org.book(client_id=client, purchase_id=package, start=start)
        slot = pages.slots()[3]["start"]
        assert problem(pages.post("portal/cancel-booking", booking_id=booking)) == (404, "booking_not_found")
        moved = pages.post("portal/reschedule-booking", booking_id=booking, start_time=slot)
        assert problem(moved) == (404, "booking_not_found")
        made = pages.post("portal/create-booking", start_time=slot, purchase_id=package)
        assert problem(made) == (404, "purchase_not_found")


def test_the_organisations_rules_for_late_cancellation_hold(pages: Pages, studio: Studio) -> None:
    booking = pages.post("portal/create-booking", start_time=pages.slots()[3]["start"]).json()["booking_id"]
    studio.set(cancel_notice_hours=24 * 40)
    assert problem(pages.post("portal/cancel-booking", booking_id=booking)) == (403, "cancellation_too_late")
    studio.set(allow_client_cancel=False)
    assert problem(pages.post("portal/cancel-booking", booking_id=booking)) == (403, "cancellation_not_allowed")
    studio.db.owner.rows("update public.bookings set status = 'completed' where id = %s", (booking,))
    assert problem(pages.post("portal/cancel-booking", booking_id=booking)) == (400, "booking_not_confirmed")


def test_settings_hold_from_the_next_call_on(pages: Pages, studio: Studio) -> None:
    day, slot = pages.a_day(), pages.slots()[3]["start"]
    studio.set(allow_client_booking=False)
    for answer in (
        pages.portal("available-dates"),
        pages.public("available-dates"),
        pages.public("available-slots", date=day),
        pages.post("portal/create-booking", start_time=slot),
        pages.post("public/book", start_time=slot, **VISITOR),
    ):
        assert problem(answer) == (403, "online_booking_off")
    assert pages.portal("available-slots", date=day).json()["slots"] == []
    assert pages.public("page").json()["can_book"] is False
    assert studio.bookings() == []


# The public page


def test_a_visitor_books_from_the_page_and_never_spends_a_package(pages: Pages, studio: Studio) -> None:
    page = pages.public("page").json()
    (offer,) = page["offers"]
    assert (page["name"], page["can_book"], page["needs_waiver"]) == ("Kilo", True, False)
    day = pages.public("available-dates", offer_id=offer["id"]).json()["dates"][9]
    slots = pages.public("available-slots", offer_id=offer["id"], date=day).json()
    assert slots["durationMins"] == offer["duration_minutes"]
    form = {"start_time": slots["slots"][0]["start"], "offer_id": offer["id"], **VISITOR}
    stranger = pages.post("public/book", **form)
    # Somebody who knows a client's address is answered alike.
    known = form | {"email": "CLIENT@kilo.example", "start_time": slots["slots"][9]["start"]}
    client = pages.post("public/book", **known)
    assert (stranger.status_code, client.status_code) == (200, 200)
    assert stranger.json().keys() == client.json().keys()
    assert stranger.json()["needs_waiver"] is False
    rows = studio.bookings()
    assert [(row["purchase_id"], str(row["offer_id"])) for row in rows] == [(None, offer["id"])] * 2
    assert rows[1]["client_id"] == studio.org.client_id
    assert "Client of Kilo" not in client.text


def test_an_offer_says_how_long(pages: Pages, studio: Studio) -> None:
    short = studio.org.add_offer(name="Short", session_duration_mins=30)
    day = pages.a_day()
    assert pages.public("available-slots", date=day, offer_id=short).json()["durationMins"] == 30
    assert pages.public("available-slots", date=day).json()["durationMins"] == 60
    studio.org.coach.rows("update public.offers set is_active = false where id = %s", (short,))
    for path in ("available-slots", "available-dates"):
        assert problem(pages.public(path, date=day, offer_id=short)) == (404, "offer_not_found")


def test_where_a_waiver_is_needed_the_answer_says_so(pages: Pages, studio: Studio) -> None:
    studio.org.coach.rows("update public.orgs set waiver_template = 'Sign here.' where id = %s", (studio.org.id,))
    made = pages.post("public/book", start_time=pages.slots()[3]["start"], **VISITOR)
    assert made.json()["needs_waiver"] is True
    assert [row["status"] for row in studio.bookings()] == ["pending"]


def test_an_unknown_slug_is_404(pages: Pages) -> None:
    for slug in ("nobody", "KILO'; drop", "%", "k" * 100, "\u043a\u0438\u043b\u043e"):
        for path in ("page", "available-dates", "available-slots"):
            assert problem(pages.public(path, slug=slug, date="2027-01-04")) == (404, "page_not_found")
        booking = {"slug": slug, "start_time": "2027-01-04T07:00:00+10:00", **VISITOR}
        assert problem(pages.post("public/book", **booking)) == (404, "page_not_found")


# What was sent


def test_a_start_that_is_past_too_soon_or_too_far_books_nothing(pages: Pages, studio: Studio) -> None:
    now = datetime.now(UTC)
    for start, expected in (
        (now - timedelta(days=1), (409, "slot_unavailable")),
        (now + timedelta(minutes=5), (409, "slot_unavailable")),
        (now + timedelta(days=400), (409, "slot_unavailable")),
        (datetime(1999, 1, 1, tzinfo=UTC), (400, "value_not_allowed")),
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), (400, "value_not_allowed")),
    ):
        assert problem(pages.post("portal/create-booking", start_time=start.isoformat())) == expected
        assert problem(pages.post("public/book", start_time=start.isoformat(), **VISITOR)) == expected
    assert studio.bookings() == []


def test_a_start_off_the_grid_books_nothing_and_names_others(pages: Pages, studio: Studio) -> None:
    on_grid = datetime.fromisoformat(pages.slots()[8]["start"])
    for minutes in (1, 7, 14):
        answer = pages.post("portal/create-booking", start_time=(on_grid + timedelta(minutes=minutes)).isoformat())
        assert problem(answer) == (409, "slot_unavailable")
        assert len(answer.json()["alternatives"]) == 5
    assert studio.bookings() == []


@pytest.mark.parametrize("duration", ["0", "-60", "4", "1441", "999999999999", "1e3", "x", "60.5"])
def test_an_absurd_length_is_400(forms: Pages, duration: str) -> None:
    for ask in (forms.portal, forms.public):
        for path in ("available-dates", "available-slots"):
            assert problem(ask(path, date="2027-01-04", duration=duration)) == (400, "request_invalid")
    booking = {"start_time": "2027-01-04T07:00:00Z", "duration": duration}
    assert problem(forms.post("portal/create-booking", **booking)) == (400, "request_invalid")


@pytest.mark.parametrize(
    "date", ["", "today", "2027-1-4", "2027-02-30", "1e9", "1700000000", "2027-01-04T00:00:00Z", "\u0662027-01-04"]
)
def test_a_malformed_date_is_400(forms: Pages, date: str) -> None:
    assert problem(forms.portal("available-slots", date=date)) == (400, "request_invalid")
    assert problem(forms.public("available-slots", date=date)) == (400, "request_invalid")
    assert problem(forms.post("portal/join-waitlist", date=date)) == (400, "request_invalid")


def test_a_date_outside_of_all_calendars_is_400(pages: Pages) -> None:
    for date in ("0001-01-01", "9999-12-31"):
        assert problem(pages.portal("available-slots", date=date)) == (400, "value_not_allowed")


@pytest.mark.parametrize(
    "token", ["", "x", "0" * 36, "-" * 36, "0123456789abcdef" * 2, "../" * 12, "{" + "0" * 36 + "}", "' or true --"]
)
def test_a_malformed_token_is_400(forms: Pages, token: str) -> None:
    assert problem(forms.portal("validate", token=token)) == (400, "request_invalid")
    form = {"token": token, "booking_id": uuid4()}
    assert problem(forms.post("portal/cancel-booking", **form)) == (400, "request_invalid")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"start_time": None},
        {"start_time": "2027-01-04T07:00:00"},
        {"start_time": "tomorrow"},
        {"start_time": 1_700_000_000},
        {"start_time": "2027-13-04T07:00:00Z"},
        {"start_time": "2027-01-04T07:00:00Z", "hold_id": str(uuid4())},
        {"start_time": "2027-01-04T07:00:00Z", "purchase_id": "x"},
        {"start_time": "2027-01-04T07:00:00Z", "request_id": 7},
        {"start_time": "2027-01-04T07:00:00Z", "notes": "x" * 2001},
        {"start_time": ["2027-01-04T07:00:00Z"]},
    ],
)
def test_a_malformed_booking_is_400_and_is_not_repeated_back(forms: Pages, form: Any) -> None:
    answer = forms.post("portal/create-booking", **form)
    assert problem(answer) == (400, "request_invalid")
    assert str(forms.studio.token) not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"token": NaN}'])
def test_a_body_that_is_no_form_is_400(forms: Pages, body: bytes) -> None:
    for path in ("portal/create-booking", "portal/cancel-booking", "public/book"):
        headers = {"content-type": "application/json"}
        answer = forms.send("POST", f"/api/{path}", content=body, headers=headers)
        assert problem(answer) == (400, "request_invalid")


def test_a_visitor_without_a_sound_name_or_address_is_400(pages: Pages, studio: Studio) -> None:
    start = pages.slots()[8]["start"]
    for who in (
        {"full_name": ""},
        {"full_name": "x" * 201},
        {"full_name": "   "},
        {"full_name": "nul \u0000"},
        {"email": "nobody"},
        {"email": "a b@x.example"},
        {"email": "x" * 320 + "@x.example"},
        {"phone": "0" * 41},
    ):
        answer = pages.post("public/book", start_time=start, **{**VISITOR, **who})
        assert problem(answer)[0] == 400, who
        assert "Bonny" not in answer.text
    assert studio.bookings() == []


def test_another_method_is_405(forms: Pages) -> None:
    for method, path in (("POST", "portal/validate"), ("GET", "portal/create-booking"), ("DELETE", "public/book")):
        assert problem(forms.send(method, f"/api/{path}")) == (405, "method_not_allowed")


# Who calls


def test_links_that_are_tried_are_counted_by_address_and_refused(studio: Studio) -> None:
    with visiting(studio) as guesser:
        tried = [guesser.portal("validate", token=uuid4()).status_code for _ in range(21)]
        assert tried == [404] * 20 + [429]
        refused = guesser.portal("validate", token=uuid4())
        assert problem(refused) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "60"
        assert problem(
            guesser.post("portal/create-booking", token=str(uuid4()), start_time="2027-01-04T07:00:00Z")
        ) == (
            429,
            "rate_limited",
        )
    with visiting(studio, "203.0.113.8") as somebody_else:
        assert problem(somebody_else.portal("validate", token=uuid4())) == (404, "link_not_found")
    counted = "select sum(hits)::int from private.rate_limits where bucket = 'portal_miss'"
    assert studio.db.owner.value(counted) == 24


def test_a_visitor_books_so_often_and_no_more(pages: Pages, studio: Studio) -> None:
    studio.set(buffer_between_mins=0)
    starts = [slot["start"] for slot in pages.slots()[::4]]
    booked = [pages.post("public/book", start_time=start, **VISITOR).status_code for start in starts[:11]]
    assert booked == [200] * 10 + [429]
    assert len(studio.bookings()) == 10


@pytest.mark.parametrize(
    ("proxies", "forwarded", "is_fooled"),
    [
        (0, "{n}", False),
        (1, "{n}, 198.51.100.1", False),
        (1, "198.51.100.{n}", True),
        (2, "9.9.9.9, 198.51.100.{n}, 10.0.0.1", True),
        (3, "198.51.100.{n}", False),
    ],
)
def test_a_header_counts_as_far_as_proxies_are_trusted(
    studio: Studio, proxies: int, forwarded: str, is_fooled: bool
) -> None:
    """`is_fooled`: each call seems to come from elsewhere, as our own proxy says that it does."""
    with visiting(studio, trusted_proxies=proxies) as pages:
        for n in range(22):
            headers = {"x-forwarded-for": forwarded.format(n=n)}
            last = pages.send("GET", f"/api/portal/validate?token={uuid4()}", headers=headers)
    assert last.status_code == (404 if is_fooled else 429)


def test_pages_of_another_origin_may_call_where_the_settings_say_so(studio: Studio) -> None:
    origin = {"origin": "https://book.kilo.example"}
    with visiting(studio) as pages:
        answer = pages.send("GET", "/api/public/page?slug=kilo", headers=origin)
        assert "access-control-allow-origin" not in answer.headers
    with visiting(studio, cors_origins="https://book.kilo.example") as pages:
        answer = pages.send("GET", "/api/public/page?slug=kilo", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://book.kilo.example"
        asked = origin | {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        assert pages.send("OPTIONS", "/api/public/book", headers=asked).status_code == 200


def test_nothing_personal_leaves_in_errors_or_logs(
    studio: Studio, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = [
        str(studio.token),
        "Bonny",
        "bonny.example",
        "0412",
        "Client of Kilo",
        "client@kilo.example",
        "203.0.113.7",
    ]
    errors = []
    with visiting(studio) as pages:
        start = pages.slots()[3]["start"]
        booking = pages.post("public/book", start_time=start, **VISITOR).json()["booking_id"]
        errors.append(pages.post("public/book", start_time=start, **VISITOR))
        errors.append(pages.post("public/book", start_time="x", **VISITOR))
        errors.append(pages.post("portal/create-booking", start_time=start))
        errors.append(pages.post("portal/cancel-booking", booking_id=booking))
        errors.append(pages.portal("available-slots", date="x"))
        pages.get(f"/api/calendar/{booking}")
        studio.revoke()
        errors.append(pages.portal("validate"))
    log = capsys.readouterr().err
    assert all(answer.status_code >= 400 for answer in errors)
    routes = {json.loads(line)["route"] for line in log.splitlines()}
    assert {"/api/portal/validate", "/api/public/book", "/api/calendar/{booking_id}"} <= routes
    for secret in (*secrets, booking):
        assert secret not in log
    for secret in secrets:
        assert all(secret not in answer.text for answer in errors)
