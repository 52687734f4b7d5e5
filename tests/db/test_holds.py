"""Holds and the waitlist at their limits: by the clock passed in, beside others, and after a sweep was killed."""

import os
import signal
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.db.calendars import Calendars, answered, attempt, refused, set_status
from tests.db.exactness import assert_exact
from tests.db.gates import gate
from tests.db.studio import Studio
from tests.harness.database import Caller, refuses
from tests.harness.races import barrier_race, values

WIDTH = 32
TAKEN = "private.occupancies"
MINUTE = timedelta(minutes=1)


def confirm(calendars: Calendars, tab: Caller, hold: dict[str, Any], *, after: timedelta) -> dict[str, Any]:
    """private.confirm_hold for the hold's own client, so long after it was made."""
    query = """
        select private.confirm_hold(h.org_id, h.id, h.client_id, null, 'coach', 'system', null, null, h.created_at + %s)
          from private.holds as h where h.id = %s"""
    answer: dict[str, Any] = tab.value(query, (after, hold["hold_id"]))
    return answer


def sweep(tab: Caller, *, after: timedelta, limit: int = 1000) -> dict[str, Any]:
    return tab.row("select * from service.sweep_expired_holds(%s, now() + %s)", (limit, after))


@pytest.mark.parametrize(
    ("minutes", "outcome"), [(0, "booked"), (9, "booked"), (10, "hold_expired"), (11, "hold_expired")]
)
def test_hold_is_booked_until_its_limit_and_not_after(studio: Studio, minutes: int, outcome: str) -> None:
    calendars = Calendars.open(studio)
    hold = calendars.hold(studio.coach, calendars.at(2))
    answer = confirm(calendars, calendars.owner, hold, after=minutes * MINUTE)
    assert answer["outcome"] == outcome
    assert (outcome == "booked") or answer["alternatives"], "who comes late is told where to go"
    again = confirm(calendars, calendars.owner, hold, after=(minutes + 30) * MINUTE)
    assert again.get("booking_id") == answer.get("booking_id"), "the same answer, also later"
    assert len(calendars.live()) == (outcome == "booked")
    assert_exact(studio.db)


def test_held_time_is_nobody_elses_until_its_limit(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    calendars.hold(studio.coach, start)
    assert calendars.book(studio.coach, start)["outcome"] == "taken"
    with refuses(409, "slot_taken"):
        calendars.insert(studio.coach, start)
    query = """
        select private.book(%s, %s, null, %s, null, null, null, null, 'coach', 'system', null, null, null,
                            p_now => now() + %s)"""
    arguments = [studio.org_id, calendars.clients[1], start]
    assert calendars.owner.value(query, [*arguments, 9 * MINUTE])["outcome"] == "taken"
    late = calendars.owner.value(query, [*arguments, 10 * MINUTE])
    assert late["outcome"] == "booked", "no sweep is needed for that"
    assert sweep(calendars.owner, after=10 * MINUTE) == {"expired": 1, "offered": 0}
    assert len(calendars.live()) == 1
    assert_exact(studio.db)


def test_32_people_hold_one_time_and_one_has_it(studio: Studio) -> None:
    calendars = Calendars.open(studio)

    def hold(ready: tuple[int, Caller]) -> Any:
        return calendars.hold(ready[1], calendars.at(2), calendars.clients[ready[0]])

    with gate(studio.db, TAKEN, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, hold, prepare=lambda n: (n, studio.tab()))
    assert answered(outcomes) == {"held": 1, "taken": WIDTH - 1}
    assert_exact(studio.db)


@pytest.mark.parametrize("attempt", range(4))
def test_hold_is_confirmed_or_expires_beside_people_who_book(studio: Studio, attempt: int) -> None:
    """Some say it is in time, some say it is over, some sweep: the time goes to one of them."""
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    held = calendars.hold(studio.coach, start)
    book = """
        select private.book(%s, %s, null, %s, null, null, null, null, 'coach', 'system', null, null, null,
                            p_now => now() + interval '11 minutes')"""

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if (n + attempt) % 3 == 0:
            return confirm(calendars, tab, held, after=9 * MINUTE)["outcome"]
        if (n + attempt) % 3 == 1:
            return tab.value(book, (studio.org_id, calendars.clients[n], start))["outcome"]
        sweep(tab, after=11 * MINUTE)
        return None

    with gate(studio.db, TAKEN, waiting=WIDTH // 3):
        outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.db.connect("postgres"))))
    kept = outcomes[(3 - attempt) % 3 :: 3]
    assert set(kept) in ({"booked"}, {"hold_expired"})
    assert outcomes[(4 - attempt) % 3 :: 3].count("booked") == (0 if "booked" in kept else 1)
    assert len(calendars.live()) == 1
    assert_exact(studio.db)


def test_one_freed_time_is_offered_to_the_first_who_waits(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    booking = calendars.insert(studio.coach, start)
    waiting = [
        calendars.wait(studio.coach, start, client, that_start=n % 2 == 0)
        for n, client in enumerate(calendars.clients[:4])
    ]

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 2:
            return calendars.book(tab, start, calendars.clients[n])["outcome"]
        return refused([attempt(lambda: set_status(tab, booking, "cancelled"))])

    with gate(studio.db, TAKEN, waiting=WIDTH // 2):
        values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    offered = studio.db.owner.values("select id from public.waitlist_entries where status = 'offered'")
    assert calendars.live() == []
    assert offered == waiting[:1]
    assert_exact(studio.db)


@pytest.mark.parametrize("attempt", range(4))
def test_an_offer_is_declined_or_booked_never_both(studio: Studio, attempt: int) -> None:
    """Tabs decline, tabs book, sweeps run, and somebody else wants the time: it goes to one of them at most."""
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    booking = calendars.insert(studio.coach, start)
    entry = calendars.wait(studio.coach, start, calendars.clients[0], that_start=True)
    set_status(studio.coach, booking, "cancelled")
    hold = {"hold_id": studio.db.owner.value("select hold_id from public.waitlist_entries where id = %s", (entry,))}

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        match (n + attempt) % 4:
            case 0:
                return tab.value("select private.leave_waitlist(%s, null, %s)", (studio.org_id, entry))
            case 1:
                return confirm(calendars, tab, hold, after=timedelta(0))["outcome"]
            case 2:
                return calendars.book(tab, start, calendars.clients[n])["outcome"]
        return sweep(tab, after=timedelta(0))["offered"]

    def ready(n: int) -> tuple[int, Caller]:
        return n, studio.tab() if (n + attempt) % 4 == 2 else studio.db.connect("postgres")

    with gate(studio.db, TAKEN, waiting=WIDTH // 4):
        outcomes = values(barrier_race(WIDTH, act, prepare=ready))
    left, kept, others = (outcomes[(kind - attempt) % 4 :: 4] for kind in range(3))
    assert left.count(True) <= 1
    assert set(kept) in ({"booked"}, {"hold_expired"})
    assert (True in left) == (kept[0] == "hold_expired")
    assert others.count("booked") <= (0 if kept[0] == "booked" else 1)
    assert len(calendars.live()) == (kept[0] == "booked") + others.count("booked")
    status = studio.db.owner.value("select status from public.waitlist_entries where id = %s", (entry,))
    assert status == ("booked" if kept[0] == "booked" else "cancelled")
    # A declined time that somebody had locked at that moment is let go by the next sweep.
    sweep(studio.db.connect("postgres"), after=timedelta(0))
    assert_exact(studio.db)


def test_an_offer_that_runs_out_goes_to_the_next(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    start = calendars.at(2)
    booking = calendars.insert(studio.coach, start)
    waiting = [calendars.wait(studio.coach, start, client, that_start=True) for client in calendars.clients[:3]]
    set_status(studio.coach, booking, "cancelled")
    for turn in range(1, 4):
        states = dict.fromkeys(waiting[: turn - 1], "expired") | {waiting[turn - 1]: "offered"}
        rows = studio.db.owner.rows("select id, status from public.waitlist_entries where status <> 'waiting'")
        assert {row["id"]: row["status"] for row in rows} == states
        assert sweep(studio.db.owner, after=turn * 61 * MINUTE)["offered"] == (turn < 3)
    assert calendars.book(studio.coach, start)["outcome"] == "booked"
    assert_exact(studio.db)


def test_two_freed_times_go_to_two_who_wait(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=2)
    start = calendars.at(2)
    booked = [calendars.book(studio.coach, start, p_staff_id=staff)["booking_id"] for staff in calendars.staff]
    for client in calendars.clients[:2]:
        calendars.wait(studio.coach, start, client, that_start=True)
    with gate(studio.db, TAKEN, waiting=2):
        values(barrier_race(2, lambda n: set_status(studio.tab(), booked[n], "cancelled")))
    states = studio.db.owner.values("select status from public.waitlist_entries")
    sweep(studio.db.owner, after=timedelta())
    assert states == ["offered", "offered"]
    assert_exact(studio.db)


OTHERS = """
    with others as (select * from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) """

SWEEPER = """
import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    while any(connection.execute("select * from service.sweep_expired_holds(5, now() + interval '1 hour')").fetchone()):
        print("swept", flush=True)
"""


@pytest.mark.parametrize("swept", [0, 3])
def test_sweep_that_is_killed_is_finished_by_the_next(studio: Studio, swept: int) -> None:
    """SIGKILL in the middle of a batch, after so many whole ones: nothing is half let go, nothing let go twice."""
    calendars = Calendars.open(studio, staff=4)
    holds = [
        calendars.hold(
            studio.coach, calendars.at(n % 10), calendars.clients[n % 32], p_staff_id=calendars.staff[n // 10]
        )
        for n in range(40)
    ]
    assert [hold["outcome"] for hold in holds] == ["held"] * 40
    calendars.wait(studio.coach, calendars.at(0), calendars.clients[0])
    oldest = studio.db.owner.values("select id from private.holds order by expires_at, id")
    with psycopg.connect(studio.db.admin_url) as blocker:
        # The batch stops at a hold that somebody else is looking at.
        blocker.execute("select from private.holds as h where h.id = %s for update", (oldest[5 * swept + 2],))
        sweeper = subprocess.Popen([sys.executable, "-c", SWEEPER, studio.db.url], stdout=subprocess.PIPE, text=True)
        assert sweeper.stdout is not None
        for _ in range(swept):
            assert sweeper.stdout.readline() == "swept\n"
        until_blocked(studio)
        os.kill(sweeper.pid, signal.SIGKILL)
        sweeper.wait()
        sweeper.stdout.close()
        states = "select count(*) from private.holds where status = 'expired'"
        assert studio.db.owner.value(states) == 5 * swept
    # The server notices that its client is gone when it next answers it; until then the batch may still end by itself.
    while any(sweep(studio.db.owner, after=timedelta(hours=1), limit=7).values()):
        pass
    until_alone(studio)
    while any(sweep(studio.db.owner, after=timedelta(hours=1), limit=7).values()):
        pass
    assert studio.db.owner.value("select count(*) from public.waitlist_entries where status = 'offered'") == 1
    assert studio.db.owner.value("select count(*) from private.holds where status = 'held'") == 1
    assert studio.db.owner.value("select count(*) from private.occupancies where seats > 0") == 1
    assert_exact(studio.db)


def test_sweeps_of_many_machines_share_the_work(studio: Studio) -> None:
    calendars = Calendars.open(studio, staff=4)
    for n in range(40):
        calendars.hold(
            studio.coach, calendars.at(n % 10), calendars.clients[n % 32], p_staff_id=calendars.staff[n // 10]
        )

    def work(tab: Caller) -> int:
        done = 0
        while expired := sweep(tab, after=timedelta(hours=1), limit=3)["expired"]:
            done += expired
        return done

    done = values(barrier_race(8, work, prepare=lambda _: studio.db.connect("postgres")))
    # A sweep whose batch another one has just let go of finds nothing and ends; what it left is the next one's.
    assert sum(done) + work(studio.db.owner) == 40
    assert studio.db.owner.value("select count(*) from private.occupancies") == 0
    assert_exact(studio.db)


def until_blocked(studio: Studio) -> None:
    """Waits for a connection that waits for a lock."""
    poll(studio, "select exists (select from others where wait_event_type = 'Lock')")


def until_alone(studio: Studio) -> None:
    """Waits until no statement runs beside this one."""
    poll(studio, "select not exists (select from others where state = 'active')")


def poll(studio: Studio, query: str) -> None:
    with psycopg.connect(studio.db.admin_url, autocommit=True) as watch:
        for _ in range(1000):
            row = watch.execute(OTHERS + query).fetchone()
            if row and row[0]:
                return
            watch.execute("select pg_sleep(0.01)")
    raise AssertionError(query)


def test_hold_of_another_client_is_not_there(studio: Studio) -> None:
    calendars = Calendars.open(studio)
    hold = calendars.hold(studio.coach, calendars.at(2), calendars.clients[0])
    query = "select private.confirm_hold(%s, %s, %s, null, 'client', 'client', null, null)"
    with refuses(404, "hold_not_found"):
        calendars.owner.value(query, (studio.org_id, hold["hold_id"], calendars.clients[1]))
    with refuses(404, "hold_not_found"):
        calendars.confirm(studio.coach, str(uuid.uuid4()))
