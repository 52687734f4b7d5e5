"""coach staff, location, slot, booking: an operator sees what is free, books it, moves it and gives it back."""

from typing import Any
from uuid import uuid4

import pytest
from tests.cli.conftest import Coach
from tests.harness.world import World

ORG = ("--org", "kilo")


@pytest.fixture
def day(world: World) -> str:
    """A local date far enough ahead, on which kilo is open from 6 to 12."""
    kilo = world.kilo
    for weekday in range(7):
        kilo.coach.insert(
            "public.availability", org_id=kilo.id, day_of_week=weekday, start_time="06:00", end_time="12:00"
        )
    return str(kilo.coach.value("select (now() at time zone 'Australia/Brisbane')::date + 9"))


def slots(coach: Coach, day: str, *options: object) -> list[dict[str, Any]]:
    return list(coach("slot", "list", day, *ORG, *options, "--json").data)


def book(coach: Coach, world: World, start: str, *options: object) -> Any:
    return coach("booking", "book", start, *ORG, "--client", world.kilo.client_id, *options, "--json")


def test_a_booking_is_made_moved_and_cancelled(coach: Coach, world: World, day: str) -> None:
    free = slots(coach, day)
    assert list(free[0]) == ["starts_local", "start_time", "end_time", "staff_id", "staff_name", "rank", "seats_left"]
    assert free[0]["starts_local"] == f"{day} 06:00"
    made = book(coach, world, free[0]["start_time"], "--package", world.kilo.package_id).data
    assert (made["outcome"], made["start_time"]) == ("booked", free[0]["start_time"])
    moved = coach("booking", "reschedule", made["booking_id"], free[-1]["start_time"], "--json").data
    assert (moved["outcome"], moved["booking_id"]) == ("rescheduled", made["booking_id"])
    assert free[0] in [{**slot, "rank": free[0]["rank"]} for slot in slots(coach, day)]
    assert coach("booking", "cancel", made["booking_id"], "--reason", "Ill", "--json").data == {"settlement": None}
    assert slots(coach, day) == free
    row = world.kilo.db.owner.row("select * from public.bookings where id = %s", (made["booking_id"],))
    assert (row["status"], row["cancellation_reason"], row["booking_source"]) == ("cancelled", "Ill", "system")


def test_an_operators_cancellation_is_the_staffs_also_when_it_is_late(coach: Coach, world: World) -> None:
    booking = world.kilo.booking_id
    world.kilo.db.owner.rows(
        "update public.booking_settings set cancel_notice_hours = 100, allow_client_cancel = false"
    )
    assert coach("booking", "cancel", booking, "--json").data == {"settlement": None}
    assert world.kilo.sessions() == (0, 0)


def test_a_cancellation_may_be_charged(coach: Coach, world: World) -> None:
    assert coach("booking", "cancel", world.kilo.booking_id, "--charge", "--json").data == {"settlement": "charged"}
    assert world.kilo.sessions() == (1, 1)


def test_a_session_that_is_taken_stays_taken_when_its_cancellation_is_charged(coach: Coach, world: World) -> None:
    world.kilo.coach.call("public.use_session", p_purchase_id=world.kilo.package_id, p_booking_id=world.kilo.booking_id)
    assert coach("booking", "cancel", world.kilo.booking_id, "--charge", "--json").data == {"settlement": "charged"}
    assert world.kilo.sessions() == (1, 1)


def test_a_booking_does_not_move_past_the_end_of_its_package(coach: Coach, world: World, day: str) -> None:
    free = slots(coach, day)
    made = book(coach, world, free[0]["start_time"], "--package", world.kilo.package_id).data
    world.kilo.db.owner.rows(
        "update public.client_purchases set expires_at = %s where id = %s",
        (free[1]["start_time"], world.kilo.package_id),
    )
    refused = coach("booking", "reschedule", made["booking_id"], free[-1]["start_time"])
    assert (refused.code, "not valid at that start" in refused.err) == (1, True)
    refused = coach("booking", "reschedule", made["booking_id"], free[-1]["start_time"], "--json")
    assert (refused.code, '"outcome": "package_expired"' in refused.out) == (1, True)
    assert free[0]["start_time"] not in [slot["start_time"] for slot in slots(coach, day)]


def test_a_taken_time_is_refused_with_others(coach: Coach, world: World, day: str) -> None:
    free = slots(coach, day)
    start = free[0]["start_time"]
    assert book(coach, world, start).code == 0
    refused = coach("booking", "book", start, *ORG, "--client", world.kilo.client_id)
    assert refused.code == 1
    assert "This time is taken." in refused.err
    heading, first, *others = refused.out.splitlines()
    assert (heading.split()[:2], len(others)) == (["start", "end"], 4)
    pasted = coach("booking", "book", first.split()[0], *ORG, "--client", world.kilo.client_id)
    assert (pasted.code, "booked" in pasted.out) == (0, True), "what it names can be asked for next"
    again = book(coach, world, start)
    assert again.code == 1
    assert '"outcome": "taken"' in again.out
    off_grid = free[-1]["start_time"].replace(":00:00", ":53:00")
    assert "not on offer" in book(coach, world, off_grid).err
    empty = world.kilo.sell(sessions=1)
    free = slots(coach, day)
    assert book(coach, world, free[0]["start_time"], "--package", empty).code == 0
    assert "no session left" in book(coach, world, free[-1]["start_time"], "--package", empty).err


def test_instants_are_shown_in_the_offset_they_were_asked_for_with(coach: Coach, world: World, day: str) -> None:
    asked = (f"{day}T06:00+10:00", *ORG, "--client", world.kilo.client_id)
    made = coach("booking", "book", *asked)
    shown = dict(line.split(maxsplit=1) for line in made.out.splitlines())
    assert list(shown) == ["outcome", "booking_id", "start_time", "end_time", "staff_id"]
    assert (shown["start_time"], shown["end_time"]) == (f"{day}T06:00+10:00", f"{day}T07:00+10:00")
    others = [line.split()[0] for line in coach("booking", "book", *asked).out.splitlines()[1:]]
    assert all(other.startswith(f"{day}T") and other.endswith("+10:00") for other in others)


def test_the_same_request_books_once(coach: Coach, world: World, day: str) -> None:
    start, request = slots(coach, day)[0]["start_time"], uuid4()
    first, again = (book(coach, world, start, "--request-id", request).data for _ in range(2))
    assert first == again


def test_a_group_has_seats(coach: Coach, world: World, day: str) -> None:
    world.kilo.db.owner.insert(
        "public.session_types", org_id=world.kilo.id, name="Yoga", slug="yoga", duration_mins=45, capacity=2
    )
    start = slots(coach, day, "--type", "yoga")[0]["start_time"]
    assert book(coach, world, start, "--type", "yoga").data["outcome"] == "booked"
    (joined,) = [slot for slot in slots(coach, day, "--type", "yoga") if slot["start_time"] == start]
    assert (joined["seats_left"], joined["rank"]) == (1, 0)
    second = world.kilo.add_client(full_name="Second", email="second@x.example")
    coach("booking", "book", start, *ORG, "--client", second, "--type", "yoga")
    assert book(coach, world, start, "--type", "yoga").code == 1
    assert start not in [slot["start_time"] for slot in slots(coach, day, "--type", "yoga")]


def test_staff_come_go_and_return(coach: Coach, world: World, day: str) -> None:
    (owner,) = coach("staff", "list", *ORG, "--json").data
    assert (owner["is_member"], owner["is_active"], owner["upcoming"]) == (True, True, 1)
    added = coach("staff", "add", "Noah Kelly", *ORG, "--email", "noah@kilo.example", "--json").data["staff_id"]
    assert added in {slot["staff_id"] for slot in slots(coach, day)}
    assert {slot["staff_id"] for slot in slots(coach, day, "--staff", added)} == {added}
    assert coach("staff", "deactivate", added, "--json").data == {"upcoming": 0}
    assert coach("staff", "deactivate", added).out.split() == ["bookings", "ahead", "0"]
    assert slots(coach, day, "--staff", added) == []
    gone = coach("staff", "list", *ORG, "--json").data[-1]
    assert (gone["full_name"], gone["email"], gone["is_active"]) == ("Noah Kelly", None, False)
    assert coach("staff", "reactivate", added, "--json").data == {"staff_id": added}
    assert slots(coach, day, "--staff", added)
    assert "Noah Kelly" in coach("staff", "list", *ORG).out
    coach("staff", "add", "Nobody", *ORG, "--member", "nobody@nowhere.example").refused("no member")
    coach("staff", "add", "Kilo", *ORG, "--member", "coach@kilo.example").refused("already one")
    coach("staff", "add", " ", *ORG).refused()
    for verb in ("deactivate", "reactivate"):
        coach("staff", verb, uuid4()).refused("no such staff member")


def test_staff_are_linked_to_the_members_who_they_are(coach: Coach, world: World) -> None:
    def signing_in() -> dict[str, bool]:
        return {row["full_name"]: row["is_member"] for row in coach("staff", "list", *ORG, "--json").data}

    added = coach("staff", "add", "Noah Kelly", *ORG, "--json").data["staff_id"]
    coach("staff", "link", added, "--member", "coach@kilo.example").refused("already one")
    coach("staff", "link", added, "--member", "nobody@nowhere.example").refused("no member")
    assert signing_in()["Noah Kelly"] is False
    (owner,) = [row["staff_id"] for row in coach("staff", "list", *ORG, "--json").data if row["is_member"]]
    assert coach("staff", "link", owner, "--nobody", "--json").data == {"staff_id": owner}
    assert coach("staff", "link", added, "--member", "coach@kilo.example", "--json").data == {"staff_id": added}
    assert [name for name, is_member in signing_in().items() if is_member] == ["Noah Kelly"]
    coach("staff", "link", uuid4(), "--nobody").refused("no such staff member")
    coach("staff", "link", added).misused()
    coach("staff", "link", added, "--member", "coach@kilo.example", "--nobody").misused()


def test_locations_are_listed_and_added(coach: Coach, world: World, day: str) -> None:
    assert coach("location", "list", *ORG, "--json").data == []
    place = coach("location", "add", "Pool", "--address", "1 Quay Street", *ORG, "--json").data["location_id"]
    (listed,) = coach("location", "list", *ORG, "--json").data
    assert (listed["location_id"], listed["name"], listed["staff"]) == (place, "Pool", 0)
    assert "Pool" in coach("location", "list", *ORG).out
    weekday = "extract(dow from %s::date)::integer"
    world.kilo.db.owner.rows(
        "insert into public.location_hours (org_id, location_id, day_of_week, opens_time, closes_time)"
        f" values (%s, %s, {weekday}, '08:00', '10:00')",
        (world.kilo.id, place, day),
    )
    there = slots(coach, day, "--location", place)
    assert (there[0]["starts_local"], there[-1]["starts_local"]) == (f"{day} 08:00", f"{day} 09:00")
    coach("location", "add", "x" * 201, *ORG).refused()


def test_another_organisations_things_do_not_exist(coach: Coach, world: World, day: str) -> None:
    start = slots(coach, day)[0]["start_time"]
    lima = world.lima
    client = ("booking", "book", start, *ORG, "--client")
    coach(*client, lima.client_id).refused("no such client")
    coach(*client, world.kilo.client_id, "--package", lima.package_id).refused("no such package")
    (staff,) = coach("staff", "list", "--org", "lima", "--json").data
    coach(*client, world.kilo.client_id, "--staff", staff["staff_id"]).refused("no such staff member")
    coach("slot", "list", day, *ORG, "--staff", staff["staff_id"]).refused("no such staff member")
    coach("slot", "list", day, *ORG, "--type", "no-such").refused("no such session type")
    coach("slot", "list", day, *ORG, "--location", uuid4()).refused("no such location")
    coach("slot", "list", day, "--org", "no-such").refused("no such organisation")
    coach("booking", "reschedule", uuid4(), start).refused("no such booking")
    coach("booking", "cancel", uuid4()).refused("no such booking")


@pytest.mark.parametrize(
    "wrong",
    [
        ("slot", "list", "tomorrow", *ORG),
        ("slot", "list", "2027-02-30", *ORG),
        ("slot", "list", "2027-02-01", *ORG, "--duration", "0"),
        ("slot", "list", "2027-02-01", *ORG, "--duration", "1441"),
        ("slot", "list", "2027-02-01", *ORG, "--staff", "x"),
        ("booking", "book", "2027-02-01T07:00", *ORG, "--client", str(uuid4())),
        ("booking", "book", "2027-02-01T07:00+10:00", *ORG),
        ("booking", "cancel", "x"),
        ("staff", "deactivate", "x"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(coach_alone: Coach, wrong: tuple[str, ...]) -> None:
    coach_alone(*wrong).misused()


def test_a_range_or_a_start_that_makes_no_sense_is_refused(coach: Coach, world: World, day: str) -> None:
    coach("slot", "list", day, *ORG, "--until", "2020-01-01").refused()
    coach("slot", "list", day, *ORG, "--until", "2099-01-01").refused()
    for start in ("1999-01-01T07:00+10:00", "2100-01-02T07:00+10:00"):
        coach("booking", "book", start, *ORG, "--client", world.kilo.client_id).refused()


def test_every_sweep_has_a_command(coach: Coach, world: World) -> None:
    for command, name, counts in (
        ("holds", "holds", {"expired", "offered"}),
        ("rate-limits", "rate_limits", {"deleted"}),
    ):
        (done,) = coach("sweep", command, "--json").data
        assert done["sweep"] == name
        assert counts <= done.keys()
        assert done["is_complete"]
        assert "nothing" in coach("sweep", command, "--dry-run").out
    assert {"bookings", "holds", "rate_limits"} <= {row["sweep"] for row in coach("sweep", "all", "--json").data}
