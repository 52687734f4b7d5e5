"""A gate that makes a race certain: all have read what they decide by before anybody may write."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from tests.harness.database import Database

# Participants who need not write never come to the gate: it opens for those who did.
PATIENCE_SECONDS = 5.0
POLL_SECONDS = 0.01

_WAITING = """
select count(distinct l.pid) from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
 where not l.granted and a.datname = current_database()"""


@contextmanager
def gate(db: Database, table: str, *, waiting: int) -> Iterator[None]:
    """Lets everybody read `table` and nobody write it, until `waiting` connections wait for any lock.

    A rule that checks before it locks has then checked in every connection, and they all write at once.
    """
    ready, over = threading.Event(), threading.Event()

    def keep() -> None:
        with psycopg.connect(db.admin_url) as connection, psycopg.connect(db.admin_url, autocommit=True) as watch:
            connection.execute(sql.SQL("lock table {} in share mode").format(sql.Identifier(*table.split("."))))
            ready.set()
            wait_for_waiting(watch, waiting, until=over)

    keeper = threading.Thread(target=keep)
    keeper.start()
    ready.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        over.set()
        keeper.join()


def wait_for_waiting(watch: psycopg.Connection[Any], number: int, *, until: threading.Event | None = None) -> None:
    """Returns once so many connections to the database of `watch` wait for a lock, or patience is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and not (until and until.is_set()):
        row = watch.execute(_WAITING).fetchone()
        if row is not None and row[0] >= number:
            return
        threading.Event().wait(POLL_SECONDS)
