"""Nobody is double-booked: all that takes or frees time, from 32 connections at once, on one calendar and on many."""

import random
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.db.calendars import HOUR, Calendars, answered, attempt, move, refused, set_status
from tests.db.exactness import assert_exact
from tests.db.gates import gate
from tests.db.studio import Studio
from tests.harness.database import Caller
from tests.harness.races import Outcome, barrier_race, values

WIDTH = 32
ROUNDS = 12
TAKEN = "private.occupancies"

# What a door may answer to somebody who was slower, or who acts on what another has changed in between.
LATE = {
    (409, "slot_taken"),
    (409, "booking_not_confirmed"),
    (404, "hold_not_found"),
    (404, "series_not_found"),
}


class Crowd:
    """People who do anything at all to some calendars; each step picks a door and a time at random, from a seed."""

    def __init__(self, calendars: Calendars, *, hours: int, staff: list[uuid.UUID | None]) -> None:
        self.calendars = calendars
        self.hours = hours
        self.staff = staff
        self.bookings: list[uuid.UUID] = []
        self.holds: list[str] = []
        self.series: list[uuid.UUID] = []
        once = [
            self.join_group,
            self.insert_group,
            self.reschedule,
            self.cancel,
            self.cancel_directly,
            self.book_series,
        ]
        once += [self.move_series, self.end_series, self.hold, self.confirm, self.wait, self.sweep]
        often = [self.book, self.insert, self.edit, self.revive]
        self.doors: list[Callable[[Caller, random.Random], Any]] = once + 2 * often

    def act(self, ready: tuple[Caller, int]) -> list[tuple[str, Outcome]]:
        tab, seed = ready
        chance = random.Random(seed)
        steps = []
        for _ in range(ROUNDS):
            door = chance.choice(self.doors)
            steps.append((door.__name__, attempt(lambda d=door: d(tab, chance))))
        return steps

    def when(self, chance: random.Random) -> datetime:
        return self.calendars.at(chance.randrange(self.hours * 4) / 4, days=7 * chance.randrange(3))

    def whom(self, chance: random.Random) -> dict[str, Any]:
        return {"p_staff_id": chance.choice(self.staff)}

    def client(self, chance: random.Random) -> uuid.UUID:
        return chance.choice(self.calendars.clients)

    def book(self, tab: Caller, chance: random.Random) -> Any:
        answer = self.calendars.book(tab, self.when(chance), self.client(chance), **self.whom(chance))
        return self.seen(answer)

    def insert(self, tab: Caller, chance: random.Random) -> Any:
        # Off the grid, as a coach may.
        start = self.when(chance) + timedelta(minutes=chance.choice([0, 0, 7]))
        self.bookings.append(self.calendars.insert(tab, start, self.client(chance)))

    def join_group(self, tab: Caller, chance: random.Random) -> Any:
        start = self.calendars.at(chance.randrange(self.hours), days=7 * chance.randrange(3))
        kind = {"p_session_type_id": self.calendars.types["group"]}
        return self.seen(self.calendars.book(tab, start, self.client(chance), **kind, **self.whom(chance)))

    def insert_group(self, tab: Caller, chance: random.Random) -> Any:
        start = self.calendars.at(chance.randrange(self.hours), days=7 * chance.randrange(3))
        self.bookings.append(self.calendars.insert(tab, start, self.client(chance), session_type="group"))

    def reschedule(self, tab: Caller, chance: random.Random) -> Any:
        if self.bookings:
            booking = chance.choice(self.bookings)
            arguments = {"p_booking_id": booking, "p_start_time": self.when(chance), **self.whom(chance)}
            return tab.call("public.reschedule_booking", **arguments)

    def edit(self, tab: Caller, chance: random.Random) -> Any:
        if self.bookings:
            move(tab, chance.choice(self.bookings), self.when(chance))

    def cancel(self, tab: Caller, chance: random.Random) -> Any:
        if self.bookings:
            tab.call("public.cancel_booking", p_booking_id=chance.choice(self.bookings))

    def cancel_directly(self, tab: Caller, chance: random.Random) -> Any:
        if self.bookings:
            set_status(tab, chance.choice(self.bookings), "cancelled")

    def revive(self, tab: Caller, chance: random.Random) -> Any:
        if self.bookings:
            set_status(tab, chance.choice(self.bookings), "confirmed")

    def book_series(self, tab: Caller, chance: random.Random) -> Any:
        start = self.calendars.at(chance.randrange(self.hours))
        answer = self.calendars.book_series(tab, start, self.client(chance), **self.whom(chance))
        if answer["outcome"] == "booked":
            self.series.append(answer["series_id"])
        for date in answer["dates"]:
            self.seen(date)
        return answer

    def move_series(self, tab: Caller, chance: random.Random) -> Any:
        if self.series:
            arguments = {"p_from": self.calendars.opens.date(), "p_shift_days": chance.choice([-7, 0, 7])}
            time = f"{6 + chance.randrange(self.hours):02}:30"
            return tab.call("public.move_series", p_series_id=chance.choice(self.series), p_time=time, **arguments)

    def end_series(self, tab: Caller, chance: random.Random) -> Any:
        if self.series:
            from_on = self.calendars.at(12, days=chance.randrange(14)).date()
            tab.call("public.end_series", p_series_id=chance.choice(self.series), p_from=from_on)

    def hold(self, tab: Caller, chance: random.Random) -> Any:
        answer = self.calendars.hold(tab, self.when(chance), self.client(chance), p_minutes=30, **self.whom(chance))
        if answer["outcome"] == "held":
            self.holds.append(answer["hold_id"])
        return answer

    def confirm(self, tab: Caller, chance: random.Random) -> Any:
        if self.holds:
            return self.seen(self.calendars.confirm(tab, chance.choice(self.holds)))

    def wait(self, tab: Caller, chance: random.Random) -> Any:
        self.calendars.wait(tab, self.when(chance), self.client(chance), that_start=chance.random() < 0.5)

    def sweep(self, tab: Caller, chance: random.Random) -> Any:
        later = timedelta(minutes=chance.choice([0, 31]))
        query = "select * from service.sweep_expired_holds(3, clock_timestamp() + %s)"
        with tab.transaction() as connection:
            connection.execute("set local role service_role")
            connection.execute(query, (later,))

    def seen(self, answer: dict[str, Any]) -> dict[str, Any]:
        if answer["outcome"] == "booked":
            self.bookings.append(uuid.UUID(answer["booking_id"]))
        return answer


@pytest.mark.parametrize("people", [1, 4])
def test_anything_at_once_on_one_calendar_overlaps_nowhere(studio: Studio, people: int) -> None:
    calendars = Calendars.open(studio)
    calendars.add_type("group", capacity=3)
    crowd = Crowd(calendars, hours=6, staff=[calendars.staff[0]])
    # Who has no calendar of their own gets one with their first insert, so that some doors are other people's.
    tabs = [studio.coach, *(studio.colleague() for _ in range(people - 1))]
    done = barrier_race(WIDTH, crowd.act, prepare=lambda n: (studio.tab(tabs[n % people]), n))
    assert_nothing_broke(values(done))
    assert_exact(studio.db)
    assert len(calendars.live()) > 8


def test_anything_at_once_on_200_calendars_overlaps_nowhere(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=200)
    calendars.add_type("group", capacity=3)
    crowd = Crowd(calendars, hours=2, staff=[None, *calendars.staff])
    done = barrier_race(WIDTH, crowd.act, prepare=lambda n: (studio.tab(), 1000 + n))
    assert_nothing_broke(values(done))
    assert_exact(studio.db)
    assert len(calendars.live()) > WIDTH


def assert_nothing_broke(people: list[list[tuple[str, Outcome]]]) -> None:
    """No caller met an error but the refusals that somebody slower meets."""
    errors = [f"{door}: {step.error}" for steps in people for door, step in steps if step.error and not is_late(step)]
    assert not errors, "\n".join(errors)


def is_late(step: Outcome) -> bool:
    try:
        return set(refused([step])) <= LATE
    except Exception:
        return False


def test_32_people_want_one_time_and_one_gets_it(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, lambda tab: calendars.book(tab, start), prepare=lambda _: studio.tab())
    assert answered(outcomes) == {"booked": 1, "taken": WIDTH - 1}
    lost = [o.value for o in outcomes if o.value["outcome"] == "taken"]
    assert all(len(answer["alternatives"]) == 5 for answer in lost)
    assert_exact(studio.db)


def test_32_people_insert_one_time_and_one_gets_it(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(
            WIDTH, lambda tab: calendars.insert(tab, calendars.at(2)), prepare=lambda _: studio.tab()
        )
    assert refused(outcomes) == {(409, "slot_taken"): WIDTH - 1}
    assert_exact(studio.db)


def test_anyone_of_32_is_found_for_each_of_32_people(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=WIDTH)

    def book(tab: Caller) -> Any:
        return calendars.book(tab, calendars.at(2), p_staff_id=None)

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, book, prepare=lambda _: studio.tab())
    assert answered(outcomes) == {"booked": WIDTH}
    assert {outcome.value["staff_id"] for outcome in outcomes} == set(map(str, calendars.staff))
    assert_exact(studio.db)


@pytest.mark.parametrize("door", ["book", "insert", "both"])
def test_group_session_is_filled_to_its_last_seat(studio: Studio, door: str) -> None:
    calendars = Calendars.open(studio)
    group = calendars.add_type("group", capacity=10)
    start = calendars.at(3)

    def join(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        client = calendars.clients[n]
        if door == "book" or (door == "both" and n % 2):
            return calendars.book(tab, start, client, p_session_type_id=group)["outcome"] == "booked"
        return calendars.insert(tab, start, client, session_type="group")

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, join, prepare=lambda n: (n, studio.tab()))
    assert set(refused(outcomes)) <= {(409, "slot_taken")}
    assert sum(bool(outcome.value) for outcome in outcomes) == 10
    assert len(calendars.live()) == 10
    assert_exact(studio.db)


def test_last_seat_goes_to_one_of_32(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    group = calendars.add_type("group", capacity=3)
    start = calendars.at(3)
    for client in calendars.clients[:2]:
        calendars.book(studio.coach, start, client, p_session_type_id=group)

    def join(ready: tuple[int, Caller]) -> Any:
        return calendars.book(ready[1], start, calendars.clients[ready[0]], p_session_type_id=group)

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, join, prepare=lambda n: (n, studio.tab()))
    assert answered(outcomes) == {"booked": 1, "taken": WIDTH - 1}
    assert_exact(studio.db)


def test_seats_are_given_back_while_others_join(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    group = calendars.add_type("group", capacity=16)
    start = calendars.at(3)
    joined = [calendars.book(studio.coach, start, c, p_session_type_id=group) for c in calendars.clients[:16]]

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 2:
            return set_status(tab, joined[n // 2]["booking_id"], "cancelled")
        return calendars.book(tab, start, calendars.clients[16 + n // 2], p_session_type_id=group)["outcome"]

    outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    assert set(outcomes[::2]) <= {"booked", "taken"}
    assert len(calendars.live()) == outcomes.count("booked")
    assert_exact(studio.db)


def test_last_session_of_a_package_is_booked_once(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=WIDTH)
    client = calendars.clients[0]
    package = calendars.package(1, client)

    def book(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return calendars.book(tab, calendars.at(n % 8), client, p_purchase_id=package, p_staff_id=calendars.staff[n])

    outcomes = barrier_race(WIDTH, book, prepare=lambda n: (n, studio.tab()))
    assert answered(outcomes) == {"booked": 1, "package_exhausted": WIDTH - 1}
    assert_exact(studio.db)


@pytest.mark.parametrize("with_package", [False, True])
@pytest.mark.parametrize("anyone", [False, True])
def test_one_request_id_books_once_and_answers_all_alike(studio: Studio, with_package: bool, anyone: bool) -> None:
    calendars = Calendars.open(studio, staff=3)
    client, request_id = calendars.clients[0], uuid.uuid4()
    arguments: dict[str, Any] = {"p_request_id": request_id}
    arguments["p_purchase_id"] = calendars.package(9, client) if with_package else None
    arguments["p_staff_id"] = None if anyone else calendars.staff[0]

    def click(tab: Caller) -> Any:
        return calendars.book(tab, calendars.at(2), client, **arguments)

    with gate(studio.db, TAKEN, waiting=WIDTH):
        answers = values(barrier_race(WIDTH, click, prepare=lambda _: studio.tab()))
    assert answers == [answers[0]] * WIDTH
    assert answers[0]["outcome"] == "booked"
    assert len(calendars.live()) == 1
    assert_exact(studio.db)


@pytest.mark.parametrize("door", ["book", "hold", "reschedule"])
def test_a_days_limit_holds_for_32_people_at_once(studio: Studio, door: str) -> None:
    calendars = Calendars.open(studio, staff=WIDTH)
    kind = {"p_session_type_id": calendars.add_type("rare", max_per_day=2)}
    elsewhere = [
        calendars.book(studio.coach, calendars.at(n % 8, days=7 + n // 2), p_staff_id=calendars.staff[n], **kind)
        for n in range(WIDTH if door == "reschedule" else 0)
    ]

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if door == "reschedule":
            booking = elsewhere[n]["booking_id"]
            return tab.call("public.reschedule_booking", p_booking_id=booking, p_start_time=calendars.at(n % 8))
        take = calendars.book if door == "book" else calendars.hold
        return take(tab, calendars.at(n % 8), calendars.clients[n], p_staff_id=calendars.staff[n], **kind)

    with gate(studio.db, TAKEN, waiting=WIDTH):
        done = answered(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    assert done[{"book": "booked", "hold": "held", "reschedule": "rescheduled"}[door]] == 2, done
    assert_exact(studio.db)


@pytest.mark.parametrize("door", ["edit", "reschedule"])
def test_swaps_wait_for_nobody_in_a_circle(studio: Studio, door: str) -> None:
    """Sixteen pairs that each want the other's time; later the same from calendar to calendar."""
    calendars = Calendars.open(studio, staff=2)
    times = [calendars.at(n) for n in range(8)] + [calendars.at(n, days=1) for n in range(8)]
    bookings = [calendars.insert(studio.coach, start) for start in times]

    def swap(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        booking, wanted = bookings[n % 16], times[(n % 16) ^ 1]
        if door == "edit":
            return move(tab, booking, wanted)
        return tab.call("public.reschedule_booking", p_booking_id=booking, p_start_time=wanted)

    with gate(studio.db, TAKEN, waiting=8):
        outcomes = barrier_race(WIDTH, swap, prepare=lambda n: (n, studio.tab()))
    assert set(refused(outcomes)) <= {(409, "slot_taken")}
    assert_exact(studio.db)


def test_swaps_between_two_calendars_wait_for_nobody_in_a_circle(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=2)
    bookings = [
        [calendars.book(studio.coach, calendars.at(n), p_staff_id=staff)["booking_id"] for n in range(8)]
        for staff in calendars.staff
    ]

    def swap(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        side, hour = n % 2, n // 2 % 8
        arguments = {"p_booking_id": bookings[side][hour], "p_start_time": calendars.at(hour)}
        return tab.call("public.reschedule_booking", p_staff_id=calendars.staff[1 - side], **arguments)

    with gate(studio.db, TAKEN, waiting=2):
        outcomes = barrier_race(WIDTH, swap, prepare=lambda n: (n, studio.tab()))
    assert set(answered(outcomes)) <= {"taken", "rescheduled"}
    assert_exact(studio.db)


def test_cancelled_booking_and_its_successor_are_never_both(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    start = calendars.at(4)
    cancelled = [calendars.insert(studio.coach, start) for _ in range(1)]
    set_status(studio.coach, cancelled[0], "cancelled")
    for _ in range(7):
        cancelled.append(calendars.insert(studio.coach, start))
        set_status(studio.coach, cancelled[-1], "cancelled")

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n < 8:
            return set_status(tab, cancelled[n], "confirmed")
        return calendars.insert(tab, start + timedelta(minutes=15 * (n % 4)))

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab()))
    assert set(refused(outcomes)) == {(409, "slot_taken")}
    assert len(calendars.live()) == 1
    assert_exact(studio.db)


def test_series_that_meet_wait_for_nobody_in_a_circle(studio: Studio) -> None:
    """Series, their moves to and fro, their ends, and edits of single dates, all on the same Mondays."""
    calendars = Calendars.open(studio, staff=1)
    series = [calendars.book_series(studio.coach, calendars.at(n), count=6)["series_id"] for n in range(4)]
    dates = calendars.live()
    from_on = calendars.opens.date()

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        kind, hour = n % 4, n // 4
        if kind == 0:
            shift, time = (7, "10:00") if hour % 2 else (-7, "10:30")
            arguments = {"p_from": from_on, "p_shift_days": shift, "p_time": time}
            return tab.call("public.move_series", p_series_id=series[hour % 4], **arguments)
        if kind == 1:
            return calendars.book_series(tab, calendars.at(4 + hour % 2), count=8)
        if kind == 2 and hour < 6:
            for booking in dates[hour::4][::-1]:
                attempted = attempt(lambda b=booking: move(tab, b, calendars.at(5, days=7 * (hour % 6))))
                refused([attempted])
            return None
        return tab.call("public.end_series", p_series_id=series[hour % 4], p_from=from_on) if kind == 2 else None

    for _ in range(2):
        outcomes = barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab()))
        assert set(refused(outcomes)) <= {(409, "slot_taken"), (409, "booking_not_confirmed")}
        assert_exact(studio.db)


def test_series_of_a_limited_type_that_move_past_each_other_wait_for_nobody_in_a_circle(studio: Studio) -> None:
    """Each moves to the days that the others come from, half of them forwards from the last date, half backwards."""
    calendars = Calendars.open(studio, staff=8)
    kind = {"p_session_type_id": calendars.add_type("rare", max_per_day=16)}
    series = [
        calendars.book_series(studio.coach, calendars.at(n % 2, days=n % 2), count=12, p_staff_id=staff, **kind)[
            "series_id"
        ]
        for n, staff in enumerate(calendars.staff)
    ]
    from_on = calendars.opens.date()

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        there = 7 if n % 2 else -7
        arguments = {"p_from": from_on + timedelta(days=14), "p_series_id": series[n % 8]}
        return [
            tab.call("public.move_series", p_shift_days=shift, **arguments)["outcome"] for shift in (there, -there) * 3
        ]

    outcomes = barrier_race(8, act, prepare=lambda n: (n, studio.tab()))
    assert not refused(outcomes)
    assert_exact(studio.db)


def test_two_tabs_of_a_founder_get_one_calendar(studio: Studio) -> None:
    founder = studio.db.sign_up("founder@lima.example")
    org_id = founder.insert("orgs", name="Lima", slug="lima")["id"]
    assert founder.user_id is not None
    user_id = founder.user_id

    def join(tab: Caller) -> Any:
        return tab.insert("org_members", org_id=org_id, user_id=user_id, role="owner")

    with gate(studio.db, "public.staff", waiting=8):
        outcomes = barrier_race(8, join, prepare=lambda _: studio.db.sign_in(user_id))
    assert refused(outcomes) == {(403, "membership_by_invitation"): 7}
    assert studio.db.owner.value("select count(*) from public.staff where org_id = %s", (org_id,)) == 1


def test_first_bookings_of_one_member_make_one_calendar(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    colleague = studio.colleague()

    def book(ready: tuple[int, Caller]) -> Any:
        return calendars.insert(ready[1], calendars.at(0) + ready[0] * HOUR)

    with gate(studio.db, "public.staff", waiting=8):
        values(barrier_race(8, book, prepare=lambda n: (n, studio.tab(colleague))))
    owned = studio.db.owner.values("select id from public.staff where user_id = %s", (colleague.user_id,))
    assert len(owned) == 1
    assert set(studio.db.owner.values("select staff_id from public.bookings")) == set(owned)
    assert_exact(studio.db)


def test_first_booking_of_a_member_locks_nobody_out_of_the_new_calendar(studio: Studio) -> None:
    """Who found the calendar being made does not keep those off it who book: each may want what the other has."""
    calendars = Calendars.open(studio)
    colleague = studio.colleague()
    slower, other = studio.tab(colleague), studio.tab(colleague)
    has_booked, is_over = threading.Event(), threading.Event()

    def book_and_stay() -> None:
        with slower.transaction() as connection:
            connection.execute(
                """insert into bookings (org_id, client_id, start_time, end_time)
                   select %s, %s, t, t + interval '1 hour' from (values (%s::timestamptz)) as v (t)""",
                (studio.org_id, calendars.clients[0], calendars.at(2)),
            )
            has_booked.set()
            is_over.wait(20)

    with psycopg.connect(studio.db.url) as first:
        first.execute(
            "insert into public.staff (org_id, user_id, full_name) values (%s, %s, 'A Colleague')",
            (studio.org_id, colleague.user_id),
        )
        thread = threading.Thread(target=book_and_stay)
        thread.start()
        has_booked.wait(0.5)
    assert has_booked.wait(20)
    try:
        other.connection.execute("set lock_timeout = '2s'")
        calendars.insert(other, calendars.at(4))
    finally:
        is_over.set()
        thread.join()
    assert len(calendars.live()) == 2
    assert_exact(studio.db)
