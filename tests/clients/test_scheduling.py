"""The existing apps' own writes to the calendar, by real supabase-js: statuses and slugs as apps see them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.stack import Person, Stack
from tests.clients.supabase_js import Answer, Client

HOUR = timedelta(hours=1)


@dataclass
class Business:
    """A business that has just signed up, through the app's own requests, with one client."""

    stack: Stack
    coach: Person
    org_id: str
    client_id: str

    def at(self, hours: float) -> datetime:
        """So many hours after six in the morning, in Brisbane, of a day two weeks ahead."""
        day = (datetime.now(UTC) + timedelta(days=14)).replace(hour=0, minute=0, second=0, microsecond=0)
        return day + timedelta(hours=20 - 24 + hours)

    def new_booking(self, start: datetime, *, hours: float = 1, **columns: Any) -> dict[str, Any]:
        """What the calendar's dialog sends."""
        return {
            "org_id": self.org_id,
            "client_id": self.client_id,
            "start_time": start.isoformat(),
            "end_time": (start + timedelta(hours=hours)).isoformat(),
            "duration_mins": round(60 * hours),
            "session_type": "pt_session",
            "location_type": "in_person",
            "status": "confirmed",
            "booked_by": self.coach.id,
            "booking_source": "trainer",
            "notes": None,
            "purchase_id": None,
            **columns,
        }

    def insert(self, start: datetime, **columns: Any) -> Answer:
        call = self.coach.from_("bookings").insert(self.new_booking(start, **columns))
        answer: Answer = call.select("*").single().run()
        return answer

    def update(self, booking: str, **columns: Any) -> Answer:
        """The calendar's updates, by id alone."""
        answer: Answer = self.coach.from_("bookings").update(columns).eq("id", booking).run()
        return answer

    def is_free(self, start: datetime, **arguments: Any) -> Any:
        """The contract's question, as the portal's server asks it."""
        asked = {"p_org_id": self.org_id, "p_start_time": start.isoformat(), "p_end_time": (start + HOUR).isoformat()}
        return self.stack.service().rpc("is_slot_available", {**asked, **arguments}).run().ok()

    def listed(self, tab: Any = None) -> list[str]:
        """The starts of that day, in UTC."""
        on = (self.at(0) + timedelta(hours=10)).date().isoformat()
        rows = (tab or self.coach).rpc("find_slots", {"p_org_id": self.org_id, "p_on": on}).run().ok()
        return [datetime.fromisoformat(row["start_time"]).astimezone(UTC).isoformat() for row in rows]

    def wizard(self) -> Answer:
        """The onboarding wizard's hours: without user_id, as one insert."""
        rows = [
            {"org_id": self.org_id, "day_of_week": n, "start_time": "06:00", "end_time": "20:00", "is_available": True}
            for n in range(7)
        ]
        answer: Answer = self.coach.from_("availability").insert(rows).run()
        return answer

    def sign_client_in(self) -> Person:
        """The client with an account, as the invite leaves it."""
        person = self.stack.sign_up("client")
        self.stack.owner.execute(
            "update public.clients set auth_user_id = %s where id = %s", (person.id, self.client_id)
        )
        return person


@pytest.fixture
def business(stack: Stack) -> Business:
    coach = stack.sign_up("coach")
    org = (
        coach.from_("orgs")
        .insert({"name": "Kilo", "slug": f"kilo-{uuid.uuid4().hex[:8]}"})
        .select("*")
        .single()
        .run()
        .ok()
    )
    coach.from_("org_members").insert({"org_id": org["id"], "user_id": coach.id, "role": "owner"}).run().ok()
    coach.from_("booking_settings").insert({"org_id": org["id"], "timezone": "Australia/Brisbane"}).run().ok()
    row = {"org_id": org["id"], "full_name": "A Client", "email": "a.client@example.com"}
    client = coach.from_("clients").insert(row).select("*").single().run().ok()
    return Business(stack, coach, org["id"], client["id"])


def test_a_booking_is_made_and_another_in_its_time_is_refused(business: Business) -> None:
    booked = business.insert(business.at(2))
    assert booked.status == 201
    assert booked.data["status"] == "confirmed"
    assert booked.data["staff_id"] is not None
    for hours in (2, 1.5, 2.75):
        assert business.insert(business.at(hours)).refusal == (409, "slot_taken")
    assert business.insert(business.at(2.25), hours=0.25).refusal == (409, "slot_taken")
    assert business.insert(business.at(3)).status == 201, "where one ends the next may begin"
    assert business.insert(business.at(-5)).status == 201, "the coach is bound by nobody's hours"


def test_an_edit_moves_a_booking_but_not_onto_another(business: Business) -> None:
    first, second = (business.insert(business.at(h)).ok()["id"] for h in (2, 5))
    edit = {"session_type": "pt_session", "notes": "moved", "client_confirmed": False, "confirmation_sent_at": None}

    def move(booking: str, hours: float) -> Answer:
        times = {"start_time": business.at(hours).isoformat(), "end_time": business.at(hours + 1).isoformat()}
        return business.update(booking, client_id=business.client_id, duration_mins=60, **times, **edit)

    assert move(second, 2.5).refusal == (409, "slot_taken")
    assert move(second, 3).status == 204
    assert move(second, 3.25).status == 204, "over its own old time"
    assert move(first, 2.25).status == 204
    assert move(first, 2.5).refusal == (409, "slot_taken")
    assert business.update(first, notes="only notes").status == 204


@pytest.mark.parametrize("times", [{"end_time": 2}, {"end_time": 1}, {"end_time": 40}])
def test_a_booking_without_a_sound_length_is_refused(business: Business, times: dict[str, float]) -> None:
    answer = business.insert(business.at(2), end_time=business.at(times["end_time"]).isoformat())
    assert answer.status == 422


def test_a_cancelled_time_is_free_and_revives_only_while_it_is(business: Business) -> None:
    booking = business.insert(business.at(2)).ok()["id"]
    assert business.update(booking, status="cancelled").status == 204
    assert business.update(booking, status="confirmed").status == 204
    assert business.update(booking, status="cancelled").status == 204
    other = business.insert(business.at(2.5))
    assert other.status == 201
    assert business.update(booking, status="confirmed").refusal == (409, "slot_taken")


def test_a_group_is_joined_until_it_is_full(business: Business) -> None:
    """The existing dialog names a type by its slug; how many it admits is the type's."""
    kind = {"org_id": business.org_id, "name": "Yoga", "slug": "yoga", "duration_mins": 60, "price_cents": 2000}
    business.coach.from_("session_types").insert({**kind, "capacity": 2}).run().ok()
    first, second = (business.insert(business.at(2), session_type="yoga") for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert business.insert(business.at(2), session_type="yoga").refusal == (409, "slot_taken"), "it is full"
    assert business.insert(business.at(2)).refusal == (409, "slot_taken"), "another type does not join it"
    assert business.insert(business.at(2.5), session_type="yoga").refusal == (409, "slot_taken"), "nor another start"
    later = business.insert(business.at(5), session_type="yoga").ok()["id"]
    times = {"start_time": business.at(2).isoformat(), "end_time": business.at(3).isoformat()}
    assert business.update(later, **times).refusal == (409, "slot_taken")
    assert business.update(second.data["id"], status="cancelled").status == 204
    assert business.update(later, **times).status == 204, "into the seat that was left"
    assert business.update(second.data["id"], status="confirmed").refusal == (409, "slot_taken")


def test_tabs_that_book_one_time_at_once_book_it_once(business: Business) -> None:
    tabs = [business.stack.sign_in(business.coach) for _ in range(6)]
    row = business.new_booking(business.at(2))
    answers = business.stack.driver.together(*(tab.from_("bookings").insert(row) for tab in tabs))
    assert sorted(a.status or 0 for a in answers) == [201] + [409] * 5
    assert {a.slug for a in answers} == {None, "slot_taken"}


def test_the_wizards_hours_are_offered(business: Business) -> None:
    assert business.listed() == []
    assert business.wizard().status == 201
    listed = business.listed()
    assert (listed[0], listed[-1], len(listed)) == (business.at(0).isoformat(), business.at(13).isoformat(), 53)
    assert business.coach.from_("availability").delete().eq("org_id", business.org_id).run().status == 204
    assert business.listed() == []


def test_what_the_calendar_blocks_is_not_offered(business: Business) -> None:
    business.wizard().ok()
    local = business.at(2) + timedelta(hours=10)
    block = {
        "org_id": business.org_id,
        "user_id": business.coach.id,
        "date": local.date().isoformat(),
        "day_of_week": None,
        "start_time": "08:00:00",
        "end_time": "09:00:00",
    }
    made = business.coach.from_("blocked_times").insert(block).select("*").single().run()
    assert made.status == 201
    assert business.at(2).isoformat() not in business.listed()
    assert business.is_free(business.at(2)) is False
    weekly = {"date": None, "day_of_week": local.isoweekday() % 7, "start_time": "10:00:00", "end_time": "11:00:00"}
    call = business.coach.from_("blocked_times").update(weekly).eq("id", made.data["id"]).eq("org_id", business.org_id)
    assert call.select("*").single().run().status == 200
    assert business.at(2).isoformat() in business.listed()
    assert business.at(4).isoformat() not in business.listed()
    assert (business.is_free(business.at(2)), business.is_free(business.at(4))) == (True, False)
    both = {**weekly, "org_id": business.org_id, "user_id": business.coach.id, "date": local.date().isoformat()}
    assert business.coach.from_("blocked_times").insert(both).run().status == 422, "a date and a day of the week"
    assert business.coach.from_("blocked_times").delete().eq("id", made.data["id"]).run().status == 204
    assert business.is_free(business.at(4)) is True


def test_the_portals_server_asks_and_inserts(business: Business) -> None:
    business.wizard().ok()
    booking = business.insert(business.at(2)).ok()["id"]
    assert business.is_free(business.at(2.5)) is False
    assert business.is_free(business.at(2.5), p_exclude_booking_id=booking) is True
    assert business.is_free(business.at(3)) is True
    row = business.new_booking(business.at(3), booking_source="client", booked_by=None)
    row.pop("notes")
    server = business.stack.service()
    assert server.from_("bookings").insert(row).select("id").single().run().status == 201
    assert server.from_("bookings").insert(row).run().refusal == (409, "slot_taken")


def test_a_signed_in_client_books_what_is_offered_and_cancels_in_time(business: Business) -> None:
    """The mobile app's insert: a signed-in client, whose own id it sends as booked_by."""
    business.wizard().ok()
    client = business.sign_client_in()

    def insert(start: datetime, tab: Client, **columns: Any) -> Answer:
        row = business.new_booking(
            start, booking_source="client", booked_by=business.client_id, offer_id=None, client_notes=None
        )
        del row["notes"], row["purchase_id"]
        answer: Answer = tab.from_("bookings").insert({**row, **columns}).run()
        return answer

    assert insert(business.at(2), client.tab).status == 201
    assert insert(business.at(2), client.tab).refusal == (409, "slot_taken")
    assert insert(business.at(-5), client.tab).refusal == (409, "slot_taken"), "a client is bound by the hours"
    assert insert(business.at(4.1), client.tab).refusal == (409, "slot_taken"), "and by the grid"
    soon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + 3 * HOUR
    assert insert(soon, client.tab).refusal == (409, "slot_taken"), "and by notice"
    stranger = business.stack.sign_up("stranger")
    assert insert(business.at(8), stranger.tab).status == 403
    (mine,) = client.from_("bookings").select("id, booking_source, booked_by").run().ok()
    assert (mine["booking_source"], mine["booked_by"]) == ("client", client.id)

    def update(**columns: Any) -> Answer:
        answer: Answer = client.from_("bookings").update(columns).eq("id", mine["id"]).run()
        return answer

    moved = {"start_time": business.at(9).isoformat(), "end_time": business.at(10).isoformat()}
    assert update(**moved).refusal == (403, "column_protected")
    assert update(status="cancelled", cancelled_at=datetime.now(UTC).isoformat()).status == 204
    assert business.is_free(business.at(2)) is True
    assert update(status="confirmed").refusal == (403, "column_protected")
    late = business.insert(soon).ok()["id"]
    cancel = client.from_("bookings").update({"status": "cancelled"}).eq("id", late).run()
    assert cancel.refusal == (403, "cancellation_too_late")
