"""Seats of a class that are held: joined by others, given back in time, never more than there are and never lost."""

import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.db.calendars import Calendars, Id, attempt, refused, set_status
from tests.db.exactness import assert_exact
from tests.db.gates import gate, wait_for_waiting
from tests.db.studio import Studio
from tests.harness.database import Caller
from tests.harness.races import barrier_race, values

WIDTH = 32
SEATS = 10
TAKEN = "private.occupancies"
MINUTE = timedelta(minutes=1)

BOOK = """
    select private.book(%(org)s, %(client)s, %(kind)s, %(start)s, null, %(staff)s, null, null, 'coach', 'system', null,
                        null, null, p_now => clock_timestamp() + %(after)s)"""
HOLD = """
    select private.hold_slot(%(org)s, %(client)s, %(kind)s, %(start)s, null, %(staff)s, null, 'coach', 10,
                             clock_timestamp() + %(after)s)"""
CONFIRM = """
    select private.confirm_hold(%(org)s, %(hold)s, %(client)s, null, 'coach', 'system', null, null,
                                clock_timestamp() + %(after)s)"""


class Class:
    """One session of a class, and what its clients do with its seats, so long from now."""

    def __init__(self, studio: Studio, *, seats: int, **columns: Any) -> None:
        self.calendars = Calendars.open(studio)
        self.kind = self.calendars.add_type("class", capacity=seats, **columns)
        self.start = self.calendars.at(3)
        self.here = {"org": studio.org_id, "kind": self.kind, "start": self.start, "staff": self.calendars.staff[0]}

    def book(self, tab: Caller, client: Id, *, after: timedelta = timedelta()) -> dict[str, Any]:
        return tab.value(BOOK, {**self.here, "client": client, "after": after})  # type: ignore[no-any-return]

    def hold(self, tab: Caller, client: Id, *, after: timedelta = timedelta()) -> dict[str, Any]:
        return tab.value(HOLD, {**self.here, "client": client, "after": after})  # type: ignore[no-any-return]

    def confirm(self, tab: Caller, client: Id, hold: str, *, after: timedelta = timedelta()) -> dict[str, Any]:
        return tab.value(CONFIRM, {**self.here, "client": client, "hold": hold, "after": after})  # type: ignore[no-any-return]

    def seats_left(self, tab: Caller, *, after: timedelta = timedelta()) -> int:
        """What the listing says, 0 when it does not list the class."""
        query = """
            select coalesce(max(s.seats_left), 0)
              from private.offered_slots(%(org)s, %(kind)s, null, %(staff)s, null,
                                         tstzrange(%(start)s, %(start)s, '[]'), 'coach',
                                         clock_timestamp() + %(after)s) as s"""
        return tab.value(query, {**self.here, "after": after})  # type: ignore[no-any-return]


def wait_for_waiting_or_done(watch: psycopg.Connection[Any], work: Future[Any]) -> None:
    """Returns once a connection waits for a lock, or the work is done without."""
    query = "select exists (select from pg_locks where not granted) as is_waiting"
    while not work.done() and watch.execute(query).fetchone() == (False,):
        pass


def sweep(tab: Caller, *, after: timedelta) -> dict[str, Any]:
    return tab.row("select * from service.sweep_expired_holds(1000, clock_timestamp() + %s)", (after,))


@pytest.mark.parametrize("begun", ["empty", "held", "booked"])
def test_32_people_hold_and_book_a_class_to_its_last_seat(studio: Studio, begun: str) -> None:
    session = Class(studio, seats=SEATS)
    clients = session.calendars.clients
    if begun != "empty":
        (session.hold if begun == "held" else session.book)(studio.db.owner, clients[0])

    def act(ready: tuple[int, Caller]) -> str:
        n, tab = ready
        answer: str = (session.hold if n % 2 else session.book)(tab, clients[n])["outcome"]
        return answer

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.db.connect())))
    left = SEATS - (begun != "empty")
    assert outcomes.count("held") + outcomes.count("booked") == left
    assert outcomes.count("taken") == WIDTH - left
    assert_exact(studio.db)


@pytest.mark.parametrize("attempt_no", range(4))
def test_held_seats_go_over_to_others_one_by_one(studio: Studio, attempt_no: int) -> None:
    """All are held; some say in time that they come, others book when it is too late, some sweep: all are filled."""
    session = Class(studio, seats=3)
    clients = session.calendars.clients
    holds = [session.hold(studio.db.owner, client)["hold_id"] for client in clients[:3]]

    def act(ready: tuple[int, Caller]) -> str | None:
        n, tab = ready
        match (n + attempt_no) % 3:
            case 0:
                return str(session.confirm(tab, clients[n % 3], holds[n % 3], after=9 * MINUTE)["outcome"])
            case 1:
                return str(session.book(tab, clients[n], after=11 * MINUTE)["outcome"])
        sweep(tab, after=11 * MINUTE)
        return None

    with gate(studio.db, TAKEN, waiting=WIDTH // 3):
        outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.db.connect())))
    assert set(outcomes) <= {"booked", "hold_expired", "taken", None}
    assert len(session.calendars.live()) == 3
    assert_exact(studio.db)


@pytest.mark.parametrize("seed", range(3))
def test_a_class_under_everything_at_once_keeps_its_seats(studio: Studio, seed: int) -> None:
    session = Class(studio, seats=SEATS)
    calendars, clients = session.calendars, session.calendars.clients
    holds: list[tuple[Id, str]] = []
    booked: list[Id] = []

    def hold(tab: Caller, client: Id, after: timedelta) -> None:
        answer = session.hold(tab, client, after=after)
        if answer["outcome"] == "held":
            holds.append((client, answer["hold_id"]))

    def book(tab: Caller, client: Id, after: timedelta) -> None:
        note(session.book(tab, client, after=after))

    def confirm(tab: Caller, client: Id, after: timedelta) -> None:
        if holds:
            note(session.confirm(tab, *random.choice(holds), after=after))

    def cancel(tab: Caller, client: Id, after: timedelta) -> None:
        if booked:
            set_status(tab, random.choice(booked), "cancelled")

    def expire(tab: Caller, client: Id, after: timedelta) -> None:
        sweep(tab, after=after)

    def wait(tab: Caller, client: Id, after: timedelta) -> None:
        tab.value(
            "select private.join_waitlist(%s, %s, null, %s, null, %s)",
            (studio.org_id, client, session.kind, session.start),
        )

    def note(answer: dict[str, Any]) -> None:
        if answer["outcome"] == "booked":
            booked.append(answer["booking_id"])

    doors: list[Callable[[Caller, Id, timedelta], None]] = [hold, hold, book, confirm, cancel, expire, wait]

    def act(ready: tuple[Caller, int]) -> list[Any]:
        tab, number = ready
        chance = random.Random(1000 * seed + number)
        steps = []
        for _ in range(12):
            door, after = chance.choice(doors), timedelta(minutes=chance.choice([0, 0, 11, 22, 61]))
            steps.append(attempt(lambda d=door, a=after: d(tab, clients[number], a)))
        return steps

    done = barrier_race(WIDTH, act, prepare=lambda n: (studio.db.connect(), n))
    late = {(409, "booking_not_confirmed")}
    for steps in values(done):
        assert set(refused(steps)) <= late
    assert_exact(studio.db)
    # Hours later nothing is held, and every seat that is not booked is to be had.
    hours = timedelta(hours=5)
    free = SEATS - len(calendars.live())
    assert session.seats_left(studio.db.owner, after=hours) == free
    assert [session.book(studio.db.owner, clients[0], after=hours)["outcome"] for _ in range(free + 1)] == [
        "booked"
    ] * free + ["taken"]
    assert_exact(studio.db)


def test_last_seats_that_were_held_are_offered_again_swept_or_not(studio: Studio) -> None:
    """Nobody takes what is listed from under those who book it: the listing and the 32 bookings say the same."""
    session = Class(studio, seats=SEATS)
    clients = session.calendars.clients
    for client in clients[:SEATS]:
        session.hold(studio.db.owner, client)
    assert session.seats_left(studio.db.owner, after=9 * MINUTE) == 0
    assert session.seats_left(studio.db.owner, after=11 * MINUTE) == SEATS

    def act(ready: tuple[int, Caller]) -> str:
        answer: str = session.book(ready[1], clients[ready[0]], after=11 * MINUTE)["outcome"]
        return answer

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.db.connect())))
    assert outcomes.count("booked") == SEATS
    assert_exact(studio.db)


def test_cancellation_that_is_offered_on_and_the_sweep_do_not_wait_for_each_other(studio: Studio) -> None:
    """The seat that is freed and the hold that has run out are of one class: each would want what the other has."""
    session = Class(studio, seats=2)
    calendars, clients = session.calendars, session.calendars.clients
    booking = session.book(studio.db.owner, clients[0])["booking_id"]
    # Held for ten minutes, a quarter of an hour ago.
    session.hold(studio.db.owner, clients[1], after=-15 * MINUTE)
    calendars.wait(studio.coach, session.start, clients[2], that_start=True)
    with psycopg.connect(studio.db.url) as cancelling:
        cancelling.execute("select from private.occupancies for no key update")
        with ThreadPoolExecutor(1) as beside, psycopg.connect(studio.db.admin_url, autocommit=True) as watch:
            swept = beside.submit(sweep, studio.db.connect(), after=timedelta())
            wait_for_waiting_or_done(watch, swept)
            cancelling.execute("update public.bookings set status = 'cancelled' where id = %s", (booking,))
            cancelling.commit()
            assert swept.result(20) == {"expired": 0, "offered": 0}, "it is at work already: the next sweep's"
    assert studio.db.owner.values("select status from public.waitlist_entries") == ["offered"]
    assert_exact(studio.db)


def test_two_sweeps_are_never_at_work_on_one_calendar(studio: Studio) -> None:
    """What each frees the other might offer on: they would wait for each other. Another calendar is another matter."""
    calendars = Calendars.open(studio, staff=2)
    for n in range(2):
        for staff in calendars.staff:
            calendars.hold(studio.coach, calendars.at(n), calendars.clients[n], p_staff_id=staff)
    query = "select expired from service.sweep_expired_holds(%s, clock_timestamp() + interval '1 hour')"
    with psycopg.connect(studio.db.url) as first, psycopg.connect(studio.db.url) as second:
        assert first.execute(query, (1,)).fetchone() == (1,)
        assert second.execute(query, (1000,)).fetchone() == (2,), "those of the other calendar"
    assert studio.db.owner.value(query, (1000,)) == 1
    assert_exact(studio.db)


@pytest.mark.parametrize("way", ["cancelled", "deleted"])
def test_day_is_waited_for_while_no_time_is_given_back_yet(studio: Studio, way: str) -> None:
    """Whoever books a type with a limit has its day and waits for time: what frees time must not have time and wait."""
    session = Class(studio, seats=2, max_per_day=1)
    calendars, clients = session.calendars, session.calendars.clients
    booking = session.book(studio.db.owner, clients[0])["booking_id"]
    waiting = studio.db.owner.value(
        "select private.join_waitlist(%s, %s, null, %s, null, %s)",
        (studio.org_id, clients[2], session.kind, session.start),
    )

    def free() -> None:
        tab = studio.db.connect()
        if way == "deleted":
            tab.rows("delete from public.bookings where id = %s", (booking,))
        else:
            set_status(tab, booking, "cancelled")

    with psycopg.connect(studio.db.url) as booker, psycopg.connect(studio.db.admin_url, autocommit=True) as watch:
        booker.execute(
            "select private.lock_day(t, 'Australia/Brisbane', %s) from public.session_types as t where t.id = %s",
            (session.start, session.kind),
        )
        with ThreadPoolExecutor(1) as beside:
            freed = beside.submit(free)
            wait_for_waiting(watch, 1)
            booker.execute("select from private.occupancies for no key update nowait")
            booker.commit()
            freed.result(20)
    assert calendars.live() == []
    offered = studio.db.owner.values("select id from public.waitlist_entries where status = 'offered'")
    assert offered == [waiting]
    assert_exact(studio.db)


def test_two_clicks_hold_one_start_once(studio: Studio) -> None:
    session = Class(studio, seats=SEATS)
    kind = {"p_session_type_id": session.kind}

    def click(tab: Caller) -> dict[str, Any]:
        return session.calendars.hold(tab, session.start, **kind)

    with gate(studio.db, TAKEN, waiting=8):
        answers = values(barrier_race(8, click, prepare=lambda _: studio.tab()))
    assert answers == [answers[0]] * 8
    assert answers[0]["outcome"] == "held"
    assert session.seats_left(studio.db.owner) == SEATS - 1
    assert_exact(studio.db)
