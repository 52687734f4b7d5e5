"""The server loses its power in the middle, again and again: what was answered is there, nothing is there twice."""

import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.db.exactness import assert_exact, assert_settled
from tests.db.studio import Studio
from tests.harness.cluster import Cluster
from tests.harness.database import Database

from coach_os.stack.versions import DEFAULT_VERSION

ROUNDS = 4
CLICKERS = 4
ANSWERS_PER_ROUND = 40


@pytest.fixture
def durable_db() -> Iterator[Database]:
    """A database on a server of its own that writes as a production server does."""
    directory = Path(tempfile.mkdtemp(prefix="coach-durable-"))
    cluster = Cluster(DEFAULT_VERSION, directory / "data", durable=True)
    cluster.start()
    database = cluster.clone(cluster.migrated_template())
    yield database
    database.close()
    cluster.stop()
    shutil.rmtree(directory, ignore_errors=True)


class Clicks:
    """People who click with request ids, and remember which were answered; an unanswered one is asked again."""

    def __init__(self, db: Database, package: uuid.UUID) -> None:
        self.db, self.package = db, package
        self.answered: set[uuid.UUID] = set()
        self.unanswered: set[uuid.UUID] = set()
        self.enough = threading.Event()

    def go_on(self) -> None:
        """Clicks until the server goes away."""
        try:
            caller = self.db.service()
            while True:
                request = self.unanswered.pop() if self.unanswered else uuid.uuid4()
                self.unanswered.add(request)
                assert caller.call("service.use_session", p_purchase_id=self.package, p_request_id=request) is True
                self.unanswered.discard(request)
                self.answered.add(request)
                if len(self.answered) % ANSWERS_PER_ROUND == 0:
                    self.enough.set()
        except psycopg.OperationalError:
            return


def sweep_on(db: Database, calendar: Studio, package: uuid.UUID) -> None:
    """Books what is over and sweeps it, until the server goes away."""
    try:
        sweeper, booker = db.service(), db.connect()
        while True:
            staff = booker.insert("staff", org_id=calendar.org_id, full_name="Somebody")
            booker.rows(
                """insert into public.bookings (org_id, client_id, purchase_id, staff_id, start_time, end_time)
                   select %s, %s, %s, %s, t, t + interval '1 hour' from generate_series(1, 5) as n,
                          lateral (select now() - make_interval(hours => n + 1) as t) as at""",
                (calendar.org_id, calendar.client_id, package, staff["id"]),
            )
            sweeper.call("service.sweep_overdue_bookings", p_limit=3)
    except psycopg.OperationalError:
        return


def test_power_cuts_lose_nothing_answered_and_repeat_nothing(durable_db: Database) -> None:
    db = durable_db
    studio = Studio.open(db)
    clicked, booked = studio.package(10_000), studio.package(10_000)
    clickers = [Clicks(db, clicked) for _ in range(CLICKERS)]
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=clicker.go_on) for clicker in clickers]
        threads += [threading.Thread(target=sweep_on, args=(db, studio, booked)) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert clickers[0].enough.wait(60)
        clickers[0].enough.clear()
        db.server.stop("immediate")
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        db.close()
        db.server.start()

        kept = {row["request_id"]: row["answer"] for row in studio.entries(clicked)}
        answered = set().union(*(clicker.answered for clicker in clickers))
        asked = answered.union(*(clicker.unanswered for clicker in clickers))
        assert {kept.get(request) for request in answered} == {1}, "what was answered is there"
        assert set(kept) <= asked
        assert len(kept) == len(studio.entries(clicked)) == studio.used(clicked), "and nothing twice"
        assert_exact(db)
    assert_settled(db)
    assert studio.used(booked) == db.owner.value("select count(*) from bookings where settlement = 'charged'") > 0
