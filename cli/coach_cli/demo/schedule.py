"""What the demonstration does with its calendar: a class that fills, a freed time for who waits, a time that is taken.

Each may be repeated: a request id books once, and nobody waits twice.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from coach_cli.demo.doors import Row
from coach_cli.demo.people import BEN, JONAS, LENA, LOCAL, MIA, TOM, Client
from coach_cli.demo.scenes import Scene
from coach_cli.demo.studio import Studio

OPENS, CLOSES = "06:00", "20:00"
CLASS_NAME, CLASS_SLUG, CLASS_SEATS = "Mobility class", "mobility-class", 2
CLASS_AFTER = timedelta(days=5, hours=10)
WANTED_AFTER = timedelta(days=6, hours=10)


def open_hours(studio: Studio) -> None:
    """The studio's hours and its class, where they are missing."""
    tab, org_id = studio.tab, studio.org_id
    if not tab.select("availability", org_id=org_id):
        for day in range(7):
            tab.insert("availability", org_id=org_id, day_of_week=day, start_time=OPENS, end_time=CLOSES)
        studio.made += 1
    if not tab.select("session_types", org_id=org_id, slug=CLASS_SLUG):
        tab.insert(
            "session_types", org_id=org_id, name=CLASS_NAME, slug=CLASS_SLUG, duration_mins=45, capacity=CLASS_SEATS
        )
        studio.made += 1


def scenes(studio: Studio, today: datetime) -> list[Scene]:
    """The class, the waitlist, then the time that Mia has."""
    return [*_class(studio, today), *_waitlist(studio, today), _taken(studio)]


def _class(studio: Studio, today: datetime) -> list[Scene]:
    (kind,) = studio.tab.select("session_types", org_id=studio.org_id, slug=CLASS_SLUG)
    first = _book(studio, MIA, (today + CLASS_AFTER).isoformat(), CLASS_NAME, kind["id"])
    # In a later run the class is where the first run put it.
    start = first.get("start_time", (today + CLASS_AFTER).isoformat())
    others = [_book(studio, client, start, CLASS_NAME, kind["id"]) for client in (LENA, BEN)]
    told = f"joins the {CLASS_NAME.lower()} of {CLASS_SEATS}"
    return [
        Scene(client.name, told, _told(answer))
        for client, answer in zip((MIA, LENA, BEN), (first, *others), strict=True)
    ]


def _waitlist(studio: Studio, today: datetime) -> list[Scene]:
    tab = studio.tab
    tom = studio.clients[TOM.name]["id"]
    booked = _book(studio, JONAS, (today + WANTED_AFTER).isoformat(), "the wanted time")
    if not tab.select("waitlist_entries", org_id=studio.org_id, client_id=tom):
        tab.rpc("join_waitlist", p_org_id=studio.org_id, p_client_id=tom, p_start_time=booked["start_time"])
        studio.made += 1
    tab.rpc("cancel_booking", p_booking_id=booked["booking_id"], p_reason="away")
    (entry,) = tab.select("waitlist_entries", org_id=studio.org_id, client_id=tom)
    for alert in tab.select("alerts", org_id=studio.org_id, kind="waitlist_offered", client_id=tom):
        if alert["resolved_at"] is None:
            tab.update("alerts", {"id": alert["id"]}, resolved_at=datetime.now(UTC).isoformat())
    offered = f"{TOM.name}, who waits for it, is {entry['status']} it"
    return [Scene("the coach", f"cancels {JONAS.name}'s session", f"true ({offered})")]


def _taken(studio: Studio) -> Scene:
    start = studio.bookings[MIA.name, "Conditioning"]["start_time"]
    return Scene("the coach", f"books {BEN.name} where {MIA.name} is", _told(_book(studio, BEN, start, "taken")))


def _book(studio: Studio, client: Client, start: str, what: str, session_type_id: str | None = None) -> Row:
    answer: Row = studio.tab.rpc(
        "book",
        p_org_id=studio.org_id,
        p_client_id=studio.clients[client.name]["id"],
        p_start_time=start,
        p_session_type_id=session_type_id,
        p_request_id=studio.request_id(f"{client.name}: {what}"),
    )
    return answer


def _told(answer: Row) -> str:
    """An outcome in words, with the first of the alternatives.

    >>> _told({"outcome": "taken", "alternatives": [{"start_time": "2026-11-22T22:15:00+00:00"}]})
    'taken; free: Mon 08:15'
    """
    if answer["outcome"] == "booked":
        return "true (booked)"
    others = ", ".join(f"{_local(other['start_time']):%a %H:%M}" for other in answer["alternatives"][:3])
    return f"{answer['outcome']}; free: {others}" if others else str(answer["outcome"])


def _local(instant: Any) -> datetime:
    return datetime.fromisoformat(instant).astimezone(LOCAL)
