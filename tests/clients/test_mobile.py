"""A client's week on their phone, by real supabase-js: row level security alone decides what they see and write."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.conftest import Studio, found
from tests.clients.stack import Person, Stack

Row = dict[str, Any]

#: What a client has of their own, by the table that the app asks.
OWN = (
    *("clients", "bookings", "client_purchases", "message_threads", "messages"),
    *("activity_events", "client_habits", "habits", "client_measurements", "checkin_photos"),
)


@pytest.fixture(scope="module")
def studio(stack: Stack) -> Studio:
    return found(stack, "november")


def _account(stack: Stack, client_id: str) -> Person:
    person = stack.sign_up("client")
    stack.owner.execute("update public.clients set auth_user_id = %s where id = %s", (person.id, client_id))
    return person


@pytest.fixture(scope="module")
def client(stack: Stack, studio: Studio) -> Person:
    return _account(stack, studio.client_id)


@pytest.fixture(scope="module")
def another(stack: Stack, studio: Studio) -> Person:
    """Another client of the same coach."""
    row = {"org_id": studio.id, "full_name": "Another"}
    return _account(stack, studio.coach.from_("clients").insert(row).select("id").single().run().ok()["id"])


@pytest.fixture(scope="module")
def habit(studio: Studio) -> str:
    """What the coach has asked this client to keep up."""
    coach = studio.coach
    habit = coach.from_("habits").insert({"org_id": studio.id, "name": "Walk"}).select("id").single().run().ok()["id"]
    keeps = {"org_id": studio.id, "client_id": studio.client_id, "habit_id": habit}
    coach.from_("client_habits").insert(keeps).run().ok()
    return str(habit)


def _report(person: Person, studio: Studio, type: str, payload: Row, **more: Any) -> Row:
    row = {"org_id": studio.id, "client_id": studio.client_id, "type": type, "payload": payload, **more}
    event: Row = person.from_("activity_events").insert(row).select("*").single().run().ok()
    return event


def test_a_client_keeps_a_habit_and_sees_it_kept_today(studio: Studio, client: Person, habit: str) -> None:
    (kept,) = (
        client.from_("client_habits").select("id, habit_id, habits(name)").eq("client_id", studio.client_id).run().ok()
    )
    assert (kept["habit_id"], kept["habits"]) == (habit, {"name": "Walk"})
    _report(client, studio, "habit", {"habit_id": habit, "habit_name": "Walk"})
    _report(client, studio, "workout", {"completed": True})
    now = datetime.now(UTC)
    today = client.from_("activity_events").select("type, payload").eq("client_id", studio.client_id)
    today = today.gte("created_at", (now - timedelta(hours=1)).isoformat())
    facts = today.lte("created_at", (now + timedelta(hours=1)).isoformat()).run().ok()
    assert {(fact["type"], fact["payload"].get("habit_id")) for fact in facts} == {("habit", habit), ("workout", None)}


def test_a_weekly_check_in_carries_weight_and_photos(studio: Studio, client: Person) -> None:
    paths = [f"{studio.client_id}/2026-11-29/{side}-1.jpg" for side in ("front", "side")]
    _report(client, studio, "weight", {"value": 71.5, "unit": "kg"})
    client.from_("clients").update({"weight_kg": 71.5}).eq("id", studio.client_id).run().ok()
    event = _report(client, studio, "checkin", {"notes": "A good week"}, photo_paths=paths)
    shown = {"org_id": studio.id, "client_id": studio.client_id, "activity_event_id": event["id"]}
    rows = [{**shown, "storage_path": path, "photo_type": path.split("/")[2].split("-")[0]} for path in paths]
    client.from_("checkin_photos").insert(rows).run().ok()
    photos = client.from_("checkin_photos").select("*").eq("client_id", studio.client_id)
    photos = photos.order("taken_at", {"ascending": False}).limit(50).run().ok()
    assert {photo["photo_type"] for photo in photos} == {"front", "side"}
    weights = client.from_("activity_events").select("created_at, payload").eq("client_id", studio.client_id)
    (weight,) = weights.eq("type", "weight").order("created_at", {"ascending": True}).run().ok()
    assert weight["payload"] == {"value": 71.5, "unit": "kg"}
    # The coach sees the same on the client's page.
    seen = studio.coach.from_("activity_events").select("*").eq("client_id", studio.client_id)
    seen = seen.order("created_at", {"ascending": False}).limit(20).run().ok()
    assert event["id"] in {fact["id"] for fact in seen}


def test_what_a_phone_sends_wrong_is_refused_with_a_slug(studio: Studio, client: Person, habit: str) -> None:
    wrong: list[tuple[str, Row, tuple[int, str]]] = [
        ("weight", {"value": "much"}, (422, "fact_invalid")),
        ("habit", {"habit_id": studio.id}, (422, "fact_invalid")),
        ("checkin", {"notes": "x" * 20_000}, (422, "value_not_allowed")),
        ("dream", {}, (422, "value_not_allowed")),
    ]
    for type, payload, refusal in wrong:
        row = {"org_id": studio.id, "client_id": studio.client_id, "type": type, "payload": payload}
        assert client.from_("activity_events").insert(row).run().refusal == refusal, type


def test_photos_and_all_else_of_another_client_do_not_exist(
    studio: Studio, client: Person, another: Person, habit: str
) -> None:
    studio.book(studio.sell())
    measured = {
        "org_id": studio.id,
        "client_id": studio.client_id,
        "measurement_type": "Waist",
        "value": 80,
        "unit": "cm",
    }
    studio.coach.from_("client_measurements").insert(measured).run().ok()
    thread = client.from_("message_threads").insert({"org_id": studio.id, "client_id": studio.client_id})
    thread_id = thread.select("id").single().run().ok()["id"]
    said = {"org_id": studio.id, "thread_id": thread_id, "sender_type": "client", "body": "Hello"}
    client.from_("messages").insert(said).run().ok()
    own = client.from_("clients").select("id").run().ok()
    assert own == [{"id": studio.client_id}]
    for table in OWN:
        assert client.from_(table).select("*").run().ok(), f"{table}: their own"
        column = "id" if table == "clients" else "client_id"
        theirs = another.from_(table).select("*")
        theirs = theirs if table in ("messages", "habits") else theirs.eq(column, studio.client_id)
        assert theirs.run().ok() == [], f"{table}: another's"
    forged = {"org_id": studio.id, "client_id": studio.client_id}
    photo = {**forged, "storage_path": f"{studio.client_id}/x.jpg"}
    assert another.from_("checkin_photos").insert(photo).run().status == 403
    fact = {**forged, "type": "checkin", "payload": {"notes": "not mine"}}
    assert another.from_("activity_events").insert(fact).run().status == 403
    assert another.from_("messages").insert({**said, "body": "not mine"}).run().status in (403, 404)
