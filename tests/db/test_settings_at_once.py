"""What is set decides the next call, everywhere; and no setting, the timezone least of all, moves what is booked."""

from datetime import timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from tests.db.calendars import HOUR, Calendars, set_status
from tests.db.exactness import assert_exact
from tests.db.studio import Studio
from tests.harness.database import refuses


def listed(calendars: Calendars, *, days: int = 0, **arguments: Any) -> list[Any]:
    """Where public.find_slots lists a start on the Monday, or some days after it."""
    on = (calendars.opens + timedelta(days=days, hours=10)).date()
    rows = calendars.studio.coach.call(
        "public.find_slots", p_org_id=calendars.studio.org_id, p_on=on, p_until=on, **arguments
    )
    return [row["start_time"] for row in rows]


def set_by_app(calendars: Calendars, **columns: Any) -> None:
    """As the settings page writes: a direct update by organisation."""
    for name, value in columns.items():
        query = f"update booking_settings set {name} = %s where org_id = %s"
        calendars.studio.coach.rows(query, (value, calendars.studio.org_id))


def test_changing_the_timezone_moves_no_booking(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    group = calendars.add_type("group", capacity=3)
    calendars.book(studio.coach, calendars.at(1), p_session_type_id=group)
    calendars.insert(studio.coach, calendars.at(3))
    calendars.book_series(studio.coach, calendars.at(5))
    calendars.hold(studio.coach, calendars.at(7))
    everything = """
        select b.*, o.blocked
          from public.bookings as b join private.occupancies as o on o.id = b.occupancy_id order by b.id"""
    held = "select start_time, end_time, expires_at from private.holds"
    before = [studio.db.owner.rows(query) for query in (everything, held)]
    first_in_brisbane = listed(calendars)[0]
    set_by_app(calendars, timezone="America/New_York")
    assert [studio.db.owner.rows(query) for query in (everything, held)] == before
    six_in_new_york = calendars.opens.astimezone(ZoneInfo("Australia/Brisbane")).replace(
        tzinfo=ZoneInfo("America/New_York")
    )
    assert (first_in_brisbane, listed(calendars)[0]) == (calendars.opens, six_in_new_york)
    assert_exact(studio.db)


def test_hours_blocks_and_types_decide_the_next_call(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    coach, org_id = studio.coach, studio.org_id
    kind = calendars.add_type("short", duration_mins=30)
    six = calendars.at(0)
    assert listed(calendars)[0] == six
    block = coach.insert("blocked_times", org_id=org_id, day_of_week=1, start_time="06:00", end_time="08:00")
    assert listed(calendars)[0] == calendars.at(2)
    assert calendars.book(coach, six)["outcome"] == "unavailable"
    coach.rows("delete from blocked_times where id = %s", (block["id"],))
    assert calendars.book(coach, six)["outcome"] == "booked"
    assert calendars.at(1.25) in listed(calendars, p_session_type_id=kind)
    coach.rows("update session_types set duration_mins = 90 where id = %s", (kind,))
    assert listed(calendars, p_session_type_id=kind)[-1] == calendars.at(12.5)
    coach.rows("update session_types set is_active = false where id = %s", (kind,))
    assert listed(calendars, p_session_type_id=kind) == []
    assert calendars.book(coach, calendars.at(3), p_session_type_id=kind)["outcome"] == "unavailable"
    coach.rows("delete from availability where org_id = %s", (org_id,))
    assert listed(calendars) == []
    assert calendars.book(coach, calendars.at(4))["outcome"] == "unavailable"
    assert calendars.insert(coach, calendars.at(4)), "a coach's own insert is bound by nobody's hours"
    assert_exact(studio.db)


def test_a_buffer_set_between_two_bookings_binds_the_second(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    calendars.book(studio.coach, calendars.at(2))
    assert calendars.at(1) in listed(calendars)
    set_by_app(calendars, buffer_between_mins=15)
    assert calendars.at(1) not in listed(calendars), "it would end where the next begins"
    assert calendars.book(studio.coach, calendars.at(1))["outcome"] == "taken"
    assert calendars.book(studio.coach, calendars.at(0.75))["outcome"] == "booked"
    assert_exact(studio.db)


def test_a_move_keeps_the_buffer_of_a_booking(studio: Studio) -> None:
    calendars = Calendars.open(studio, buffer_between_mins=15)
    booking = calendars.book(studio.coach, calendars.at(2))["booking_id"]
    moved = studio.coach.call("public.reschedule_booking", p_booking_id=booking, p_start_time=calendars.at(4))
    assert moved["outcome"] == "rescheduled"
    assert calendars.at(2) in listed(calendars), "what it left is free"
    assert calendars.at(5) not in listed(calendars)
    assert calendars.at(5.25) in listed(calendars)
    assert_exact(studio.db)


def test_capacity_decides_the_next_seat(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    group = calendars.add_type("group", capacity=2)
    seats = iter(calendars.clients)

    def join() -> str:
        outcome: str = calendars.book(studio.coach, calendars.at(2), next(seats), p_session_type_id=group)["outcome"]
        return outcome

    assert [join(), join(), join()] == ["booked", "booked", "taken"]
    studio.coach.rows("update session_types set capacity = 3 where id = %s", (group,))
    assert [join(), join()] == ["booked", "taken"]
    with refuses(409, "slot_taken"):
        calendars.insert(studio.coach, calendars.at(2), next(seats), session_type="group")
    assert_exact(studio.db)


def test_a_days_limit_decides_the_next_booking(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    kind = calendars.add_type("rare", max_per_day=1)
    first = calendars.book(studio.coach, calendars.at(2), p_session_type_id=kind)
    assert listed(calendars, p_session_type_id=kind) == []
    assert calendars.book(studio.coach, calendars.at(4), p_session_type_id=kind)["outcome"] == "unavailable"
    moved = studio.coach.call(
        "public.reschedule_booking", p_booking_id=first["booking_id"], p_start_time=calendars.at(6)
    )
    assert moved["outcome"] == "rescheduled", "within its day it is still the only one"
    studio.coach.rows("update session_types set max_per_day = 2 where id = %s", (kind,))
    assert calendars.book(studio.coach, calendars.at(4), p_session_type_id=kind)["outcome"] == "booked"
    studio.coach.rows("update session_types set max_per_day = null where id = %s", (kind,))
    assert calendars.book(studio.coach, calendars.at(8), p_session_type_id=kind)["outcome"] == "booked"
    assert_exact(studio.db)


def test_notice_horizon_and_online_booking_decide_what_anybody_sees(studio: Studio) -> None:
    calendars = Calendars.open(studio, min_notice_hours=0, max_advance_days=60)
    slug = studio.db.owner.value("select slug from public.orgs where id = %s", (studio.org_id,))
    anybody, on = studio.db.anon(), (calendars.opens + 10 * HOUR).date()

    token = str(uuid4())
    studio.db.owner.rows("update public.clients set portal_token = %s where id = %s", (token, calendars.clients[0]))

    def seen() -> int:
        page = anybody.call("public.public_slots", p_slug=slug, p_on=on)
        portal = anybody.call("public.portal_slots", p_token=token, p_on=on)
        assert page.get("slots", []) == portal["slots"], "the page and the portal follow one rule"
        return len(portal["slots"])

    everything = 4 * 13 + 1
    assert seen() == everything
    days_ahead = (on - studio.db.owner.value("select private.org_today(%s)", (studio.org_id,))).days
    for columns, left in [
        ({"max_advance_days": days_ahead - 1}, 0),
        ({"max_advance_days": days_ahead}, everything),
        ({"min_notice_hours": 24 * 60}, 0),
        ({"min_notice_hours": 0}, everything),
        ({"late_notice_hours": 24 * 60}, 12),
        ({"early_cutoff_before_hour": 0}, 0),
        ({"early_cutoff_before_hour": 9, "late_notice_hours": 2}, everything),
        ({"allow_client_booking": False}, 0),
        ({"allow_client_booking": True}, everything),
    ]:
        set_by_app(calendars, **columns)
        assert seen() == left, columns


def test_cancelled_time_is_listed_and_revived_time_is_not(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    booking = calendars.insert(studio.coach, calendars.at(2))
    assert calendars.at(2) not in listed(calendars)
    set_status(studio.coach, booking, "cancelled")
    assert calendars.at(2) in listed(calendars)
    set_status(studio.coach, booking, "confirmed")
    assert calendars.at(2) not in listed(calendars)
    assert_exact(studio.db)
