"""Automations beside each other: each due time and each event once, however many workers, and whoever dies."""

import signal
import subprocess
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from tests.db.automating import SAY, automate, clients, due, sweep
from tests.db.studio import Studio
from tests.harness.database import Database
from tests.harness.races import barrier_race, values

ROOT = Path(__file__).parents[2]
#: Nine o'clock in Brisbane on the first of March 2027.
NINE = datetime(2027, 2, 28, 23, tzinfo=UTC)
EVENT = {"type": "event", "event": "payment_failed"}


def said(studio: Studio) -> Counter[uuid.UUID]:
    """How many messages each client got."""
    return Counter(
        studio.db.owner.values(
            "select t.client_id from public.messages as m join public.message_threads as t on t.id = m.thread_id"
        )
    )


def runs(studio: Studio) -> Counter[tuple[str, str | None]]:
    rows = studio.db.owner.rows("select status, reason from public.automation_runs")
    return Counter((row["status"], row["reason"]) for row in rows)


def test_workers_at_once_fire_each_due_time_once(studio: Studio) -> None:
    clients(studio, 2)
    automations = [automate(studio) for _ in range(30)]
    due(studio, *automations, at=NINE)
    shares = values(barrier_race(8, lambda worker: sweep(worker, NINE, 3), prepare=lambda _: studio.db.connect()))
    # What everybody passed over, because somebody had it, is left to the next.
    shares.append(sweep(studio.db.owner, NINE))
    assert sum(share.get("planned", 0) for share in shares) == 30
    assert sum(share.get("ok", 0) for share in shares) == 90
    assert set(said(studio).values()) == {30}
    assert studio.db.owner.value("select count(*) from public.automation_firings") == 30
    assert studio.db.owner.value("select count(distinct next_run_at) from public.automations") == 1


def test_caps_hold_when_events_of_one_client_are_fired_at_once(studio: Studio) -> None:
    automate(studio, EVENT, max_per_client_per_day=3)
    automate(studio, EVENT, dedupe_hours=24)
    for number in range(20):
        studio.db.owner.rows(
            "select private.notice_event(%s, 'payment_failed', %s, %s)", (studio.org_id, studio.client_id, str(number))
        )
    now = datetime.now(UTC) + timedelta(seconds=5)
    shares = values(barrier_race(8, lambda worker: sweep(worker, now, 1), prepare=lambda _: studio.db.connect()))
    shares.append(sweep(studio.db.owner, now))
    assert sum(share.get("fired", 0) for share in shares) == 40
    assert runs(studio)["ok", None] == 3 + 1
    assert runs(studio)["skipped", "daily_cap"] == 1
    assert runs(studio)["skipped", "dedupe"] == 1
    assert said(studio)[studio.client_id] == 4


def test_an_event_that_is_noticed_at_once_fires_once(studio: Studio) -> None:
    automate(studio, EVENT)

    def notice(caller: Any) -> None:
        caller.rows("select private.notice_event(%s, 'payment_failed', %s, 'in_1')", (studio.org_id, studio.client_id))

    values(barrier_race(12, notice, prepare=lambda _: studio.db.connect()))
    assert sweep(studio.db.owner, datetime.now(UTC) + timedelta(seconds=5))["fired"] == 1
    assert said(studio)[studio.client_id] == 1


def test_what_a_killed_worker_did_not_commit_the_next_one_does(studio: Studio) -> None:
    clients(studio, 5)
    due(studio, *(automate(studio) for _ in range(3)), at=NINE)
    for _ in range(2):
        command = [sys.executable, "-m", "tests.db.automating", studio.db.url, NINE.isoformat()]
        doomed = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert doomed.stdout is not None
        assert doomed.stdout.readline() == "fired\n"
        # It holds everything: another passes it over, and does not wait.
        assert sweep(studio.db.owner, NINE) == {}
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate(timeout=30)
        wait_until_gone(studio.db)
    assert said(studio) == {}
    assert sweep(studio.db.owner, NINE)["ok"] == 18
    assert sweep(studio.db.owner, NINE + timedelta(hours=1)) == {}
    assert set(said(studio).values()) == {3}


def wait_until_gone(db: Database) -> None:
    """The server notices a killed client when it next speaks to it."""
    with psycopg.connect(db.url, autocommit=True) as watch:
        for _ in range(3000):
            query = "select count(*) from pg_stat_activity where application_name = 'doomed'"
            row = watch.execute(query).fetchone()
            if row is not None and row[0] == 0:
                return
            watch.execute("select pg_sleep(0.01)")
    raise AssertionError("the killed worker's connection stays")


def test_a_rule_that_breaks_holds_up_no_other(studio: Studio) -> None:
    """A defect of one automation, such as a trigger that raises, fails its firing alone."""
    good, bad = automate(studio), automate(studio, actions=[{"type": "send_message", "params": {"message": "boom"}}])
    studio.db.owner.rows(
        """create function public.boom() returns trigger language plpgsql as $$
           begin raise exception 'boom' using errcode = 'XX123'; end; $$"""
    )
    studio.db.owner.rows(
        """create trigger boom before insert on public.messages for each row when (new.body = 'boom')
           execute function public.boom()"""
    )
    due(studio, good, bad, at=NINE)
    done = sweep(studio.db.owner, NINE)
    assert (done["fired"], done["ok"], done["failed"]) == (2, 1, 1)
    query = "select automation_id, status, reason from public.automation_firings"
    ended = {row["automation_id"]: (row["status"], row["reason"]) for row in studio.db.owner.rows(query)}
    assert ended == {good: ("ok", None), bad: ("failed", "internal_error_xx123")}
    assert said(studio)[studio.client_id] == 1


def test_switching_off_beside_a_sweep_waits_for_nobody(studio: Studio) -> None:
    """Whichever comes first: it fired, or it did not and never will."""
    automations = [automate(studio, actions=SAY) for _ in range(12)]
    due(studio, *automations, at=NINE)

    def act(number: int) -> Any:
        caller = studio.db.connect()
        if number < 4:
            return sweep(caller, NINE, 2)
        for automation in automations[number - 4 :: 4]:
            caller.rows("update public.automations set enabled = false where id = %s", (automation,))
        return {}

    shares = values(barrier_race(8, act))
    shares.append(sweep(studio.db.owner, NINE))
    fired = sum(share.get("ok", 0) for share in shares)
    assert said(studio)[studio.client_id] == fired
    pending = studio.db.owner.value("select count(*) from public.automation_firings where status = 'pending'")
    assert pending == 0
