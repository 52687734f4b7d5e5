"""Sweeps beside each other and beside whoever holds something: each booking once, nobody waited for, nobody starved."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from tests.db.exactness import assert_exact, assert_settled
from tests.db.gates import wait_for_waiting
from tests.db.studio import Studio, mark_completed, use
from tests.harness.database import Caller
from tests.harness.races import barrier_race, values

SWEEP = "select * from service.sweep_overdue_bookings(%s, clock_timestamp() + interval '5 minutes')"
NOTHING = {"completed": 0, "charged": 0, "uncovered": 0, "skipped": 0}


def sweep_until_nothing(sweeper: Caller) -> list[dict[str, Any]]:
    """As the sweep's process does: batch after batch until one makes no progress."""
    batches: list[dict[str, Any]] = []
    while True:
        counts = sweeper.row(SWEEP, (7,))
        if not any(counts[name] for name in ("completed", "charged", "uncovered")):
            return batches
        batches.append(counts)


def test_sweeps_at_once_share_the_work(studio: Studio) -> None:
    packages = [studio.package(10) for _ in range(6)]
    bookings = [studio.booking(packages[n % 6], hours=-2 - n) for n in range(72)]
    for booking in bookings[::5]:
        mark_completed(studio.coach, booking)
    shares = values(barrier_race(8, sweep_until_nothing, prepare=lambda _: studio.db.connect()))
    # A booking that everybody passed over, because somebody else had its package, is left to the next run.
    shares.append(sweep_until_nothing(studio.db.owner))
    done = {name: sum(counts[name] for share in shares for counts in share) for name in NOTHING if name != "skipped"}
    assert done == {"completed": 72 - len(bookings[::5]), "charged": 60, "uncovered": 12}
    assert [studio.used(package) for package in packages] == [10] * 6
    assert_settled(studio.db)


@pytest.mark.parametrize("held", ["client_purchases", "bookings"])
def test_what_somebody_holds_is_passed_over_not_waited_for(studio: Studio, held: str) -> None:
    packages = [studio.package(5), studio.package(5)]
    bookings = [studio.booking(package) for package in packages]
    held_id = {"client_purchases": packages, "bookings": bookings}[held][0]
    sweeper = studio.db.connect()
    sweeper.rows("set lock_timeout = '2s'")
    with studio.db.connect().transaction() as somebody:
        somebody.execute(f"select from {held} where id = %s for no key update", (held_id,))
        counts = sweeper.row(SWEEP, (100,))
        assert counts == {"completed": 1, "charged": 1, "uncovered": 0, "skipped": 1}
        assert [studio.state(booking) for booking in bookings] == [("confirmed", None), ("completed", "charged")]
    assert sweeper.row(SWEEP, (100,)) == {"completed": 1, "charged": 1, "uncovered": 0, "skipped": 0}
    assert_settled(studio.db)


def test_sweep_looks_again_at_what_changed_after_it_first_looked(studio: Studio) -> None:
    """Between its first look and its locks a tab completes the booking: its second request is still to come."""
    package = studio.package(5)
    booking = studio.booking(package)
    sweeper = studio.db.service()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(studio.db.admin_url, autocommit=True) as watch:
        with psycopg.connect(studio.db.admin_url) as barrier:
            # Rows may be read, none may be locked: the sweep has looked and stands before its first lock.
            barrier.execute("lock table public.client_purchases in exclusive mode")
            counts = pool.submit(sweeper.call, "service.sweep_overdue_bookings")
            wait_for_waiting(watch, 1)
            mark_completed(studio.coach, booking)
        assert counts.result(30) == [{"completed": 0, "charged": 0, "uncovered": 0, "skipped": 1}]
    assert studio.state(booking) == ("completed", "due")
    assert use(studio.coach, package) is True
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 1)
    assert_settled(studio.db)


def test_exhausted_packages_starve_nobody(studio: Studio) -> None:
    empty, full = studio.package(1, used=1), studio.package(5)
    for n in range(30):
        studio.booking(empty, hours=-50 - n)
    last = studio.booking(full)
    batches = sweep_until_nothing(studio.db.owner)
    assert len(batches) == 5
    assert studio.state(last) == ("completed", "charged")
    assert studio.db.owner.row(SWEEP, (7,)) == NOTHING, "what is uncovered is never looked at again"
    assert_settled(studio.db)


def test_a_charge_that_is_there_already_is_not_counted_again(studio: Studio) -> None:
    """The counter follows what the ledger took, not what the sweep meant to enter."""
    package = studio.package(5)
    booking = studio.booking(package)
    with studio.db.owner.transaction() as connection:
        connection.execute(
            """insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason)
               values (%s, %s, 'use', 1, %s, 1, 'sweep')""",
            (studio.org_id, package, booking),
        )
        connection.execute(
            "update client_purchases set sessions_used = 1, entry_count = entry_count + 1 where id = %s", (package,)
        )
    sweep_until_nothing(studio.db.owner)
    assert (studio.used(package), len(studio.entries(package))) == (1, 1)


def test_a_dry_run_foretells_and_changes_nothing(studio: Studio) -> None:
    package = studio.package(2)
    bookings = [studio.booking(package, hours=-2 - n) for n in range(3)]
    foretold = studio.db.owner.call("service.sweep_overdue_bookings", p_dry_run=True)
    assert [studio.state(booking) for booking in bookings] == [("confirmed", None)] * 3
    assert_exact(studio.db)
    assert studio.db.owner.call("service.sweep_overdue_bookings") == foretold
    assert foretold == [{"completed": 3, "charged": 2, "uncovered": 1, "skipped": 0}]
