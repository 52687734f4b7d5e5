"""A sweep that is killed at any point: what it did stays, what it did not the next run does, nothing twice."""

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from tests.db.exactness import assert_exact, assert_settled
from tests.db.gates import gate, wait_for_waiting
from tests.db.studio import Studio
from tests.harness.database import Database

ROOT = Path(__file__).parents[2]
BOOKINGS = 300
BATCH = 8
_AT_WORK = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'coach-os'"


class Sweep:
    """A sweep in a process of its own that does one call for each `allow`."""

    def __init__(self, db: Database) -> None:
        command = [sys.executable, "-m", "tests.db.sweeping", db.url, str(BATCH)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def allow(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def do(self, calls: int) -> None:
        """So many calls, each answered; the first records the run, the others are batches."""
        assert self.process.stdout is not None
        for _ in range(calls):
            self.allow()
            assert self.process.stdout.readline() != ""

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)
        assert self.process.returncode == -signal.SIGKILL, "it was at work when it was killed"

    def finish(self) -> None:
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def wait_until_gone(db: Database) -> None:
    """The server notices a killed client when it next speaks to it; until then its last batch may still commit."""
    with psycopg.connect(db.url, autocommit=True) as watch:
        for _ in range(3000):
            row = watch.execute(_AT_WORK).fetchone()
            if row is not None and row[0] == 0:
                return
            watch.execute("select pg_sleep(0.01)")
    raise AssertionError("the killed sweep's connection stays")


@pytest.fixture
def overdue(studio: Studio) -> Studio:
    """Packages that can pay for all but every fifth of their bookings."""
    packages = [studio.package(BOOKINGS // 10 * 4 // 5) for _ in range(10)]
    for number in range(BOOKINGS):
        studio.booking(packages[number % 10], hours=-2 - number)
    return studio


def outcome(db: Database) -> dict[str, int]:
    rows = db.owner.rows("select coalesce(settlement, status) as how, count(*) as n from bookings group by 1")
    return {row["how"]: row["n"] for row in rows}


def test_sweep_killed_again_and_again_is_finished_by_the_next(overdue: Studio) -> None:
    db = overdue.db
    sweeps = [Sweep(db) for _ in range(5)]
    for calls, sweep in enumerate(sweeps[:-1], start=1):
        sweep.do(calls)
        # One more batch is on its way; how far it comes is chance.
        sweep.allow()
        if calls % 2:
            sweeps[calls].do(1)
        sweep.kill()
        assert_exact(db)
    wait_until_gone(db)
    left = outcome(db).get("confirmed", 0)
    assert 0 < left < BOOKINGS
    sweeps[-1].finish()
    assert outcome(db) == {"charged": BOOKINGS * 4 // 5, "uncovered": BOOKINGS // 5}
    runs = db.owner.rows("select * from service.list_job_runs('sweep_bookings') order by finished_at")
    assert [run["finished_at"] is None for run in runs] == [False, *[True] * 4], "a killed run never finished"
    assert runs[0]["result"]["completed"] == left
    assert_settled(db)


@pytest.mark.parametrize("is_backend_ended", [False, True])
def test_sweep_killed_inside_a_batch_leaves_all_or_nothing_of_it(overdue: Studio, is_backend_ended: bool) -> None:
    """The batch has its locks and is about to write when its process dies, with its connection's backend or without."""
    db = overdue.db
    sweep = Sweep(db)
    sweep.do(2)
    before = outcome(db)["confirmed"]
    with gate(db, "public.session_entries", waiting=99):
        sweep.allow()
        with psycopg.connect(db.admin_url, autocommit=True) as watch:
            wait_for_waiting(watch, 1)
        sweep.kill()
        if is_backend_ended:
            db.owner.rows("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'coach-os'")
    wait_until_gone(db)
    assert before - outcome(db)["confirmed"] == (0 if is_backend_ended else BATCH)
    assert_exact(db)
    assert_settled(db)
    assert outcome(db) == {"charged": BOOKINGS * 4 // 5, "uncovered": BOOKINGS // 5}
