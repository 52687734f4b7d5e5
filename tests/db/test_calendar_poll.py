"""What open calendars are told while others edit: from poll to poll nothing is missed, and nobody waits for a note."""

from typing import Any

import pytest
from tests.db.calendars import Calendars
from tests.db.studio import Studio


@pytest.fixture
def calendars(studio: Studio) -> Calendars:
    return Calendars.open(studio)


def poll(calendars: Calendars, since: str | None = None) -> dict[str, Any]:
    """The month of the Monday, or what changed in it."""
    on = calendars.opens.date()
    org_id = calendars.studio.org_id
    answer: dict[str, Any] = calendars.studio.coach.call(
        "public.calendar", p_org_id=org_id, p_view="month", p_on=on, p_since=since
    )
    return answer


def let_it_lie(calendars: Calendars) -> None:
    """As if everything so far had happened an hour ago."""
    calendars.owner.rows("update private.calendar_changes set changed_at = changed_at - interval '1 hour'")
    calendars.owner.rows("update public.bookings set updated_at = updated_at - interval '1 hour'")


def test_polls_add_up_to_what_there_is(calendars: Calendars) -> None:
    coach, org_id = calendars.studio.coach, calendars.studio.org_id
    let_it_lie(calendars)
    shown = poll(calendars)
    assert "left" not in shown
    quiet = poll(calendars, shown["as_of"])
    assert (quiet["bookings"], quiet["left"]) == ([], [])
    assert quiet.keys().isdisjoint({"blocks", "free"})
    steps = [
        lambda: calendars.book(coach, calendars.at(2)),
        lambda: coach.insert("blocked_times", org_id=org_id, day_of_week=1, start_time="06:00", end_time="07:00"),
        lambda: coach.rows("delete from availability where day_of_week = 3"),
        lambda: calendars.hold(coach, calendars.at(5)),
        lambda: coach.rows("update bookings set status = 'cancelled' where start_time = %s", (calendars.at(2),)),
        lambda: coach.rows("update booking_settings set timezone = 'Australia/Perth'"),
    ]
    for step in steps:
        step()
        told = poll(calendars, shown["as_of"])
        if "left" not in told:
            shown = told
        bookings = {row["id"]: row for row in shown["bookings"]} | {row["id"]: row for row in told["bookings"]}
        shown |= told | {"bookings": [row for row in bookings.values() if row["id"] not in told.get("left", [])]}
        whole = poll(calendars)
        for key in ("bookings", "blocks", "free", "from", "until", "timezone"):
            assert shown[key] == whole[key]


def test_nobody_waits_for_who_edits_hours(calendars: Calendars) -> None:
    studio = calendars.studio
    columns = {"org_id": studio.org_id, "day_of_week": 1, "start_time": "21:00", "end_time": "22:00"}
    # Old notes are there to be cleared away, which must not make anybody wait either.
    calendars.owner.rows("update private.calendar_changes set changed_at = now() - interval '30 days'")
    insert = """insert into {} (org_id, day_of_week, start_time, end_time)
                values (%(org_id)s, %(day_of_week)s, %(start_time)s, %(end_time)s)"""
    with studio.coach.transaction() as editing:
        editing.execute(insert.format("availability"), columns)
        with studio.tab().transaction() as tab:
            tab.execute("set local lock_timeout = '2s'")
            tab.execute(insert.format("availability"), columns)
            tab.execute(insert.format("blocked_times"), columns)
            booked = tab.execute(
                "select public.book(%s, %s, %s, p_staff_id => %s) ->> 'outcome' as outcome",
                (studio.org_id, calendars.clients[0], calendars.at(3), calendars.staff[0]),
            ).fetchone()
            assert booked == {"outcome": "booked"}
