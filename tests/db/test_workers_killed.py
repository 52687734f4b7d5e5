"""Workers that are killed at every step of sending: the provider accepts each message at most once, and none is lost.

What nobody can know is `unknown`, counted, and settled by what the provider tells; it is never sent again by itself.
"""

import asyncio
import itertools
import multiprocessing
import random
import signal
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tests.db import outbox
from tests.db.outbox import PERSONAL, STEPS
from tests.harness.database import Database
from tests.harness.fake_twilio import TOKEN, FakeTwilio, Step, accept, answer, cut

KILLS = 100
WORKERS = 4


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        yield server


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.ForkServerContext:
    """Processes that begin with everything imported: a worker starts in no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.db.outbox"])
    return context


def moody(chance: random.Random) -> Step:
    """Mostly well; slow, full, broken or cut off now and then."""
    mood = chance.random()
    if mood < 0.75:
        return accept(waits=chance.choice((0, 0, 0.005, 0.02)))
    if mood < 0.80:
        return cut("after")
    if mood < 0.83:
        return cut("before")
    if mood < 0.86:
        return cut("half")
    if mood < 0.95:
        return answer(503, 20503)
    if mood < 0.97:
        return answer(429, 20429, headers={"Retry-After": "1"})
    if mood < 0.99:
        return answer(400, 21211)
    return accept(waits=1.0)


def accepted(twilio: FakeTwilio) -> Counter[str]:
    return Counter(message.message_id for message in twilio.accepted)


def by_id(db: Database) -> dict[str, str]:
    rows = db.owner.rows("select id::text, status from public.outbox_messages")
    return {row["id"]: row["status"] for row in rows}


@pytest.mark.timeout(300)
def test_a_hundred_kills_send_nothing_twice_and_lose_nothing(
    db: Database, twilio: FakeTwilio, processes: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    chance = random.Random(4)
    lock = multiprocessing.Lock()

    def choose(_: dict[str, str]) -> Step:
        with lock:
            return moody(chance)

    twilio.choose = choose
    outbox.fill(db, clients=90, each=40)
    environment = twilio.environment | {"COACH_PUBLIC_URL": "http://127.0.0.1:9"}
    log = tmp_path / "workers.log"
    killed: Counter[str] = Counter()
    steps = itertools.cycle(STEPS)

    def start(step: str = "") -> tuple[str, BaseProcess]:
        arguments = (db.url, environment, log, step, chance.randint(1, 6))
        process = processes.Process(target=outbox.work, args=arguments)
        process.start()
        return step, process

    for _ in range(200):
        running = [start(next(steps)) for _ in range(WORKERS)]
        for step, process in running:
            process.join(60)
            assert process.exitcode in (-signal.SIGKILL, 0)
            killed[step] += process.exitcode == -signal.SIGKILL
        assert max(accepted(twilio).values(), default=0) <= 1, "a message was sent twice"
        outbox.let_time_pass(db)
        if sum(killed.values()) >= KILLS:
            break
    assert sum(killed.values()) >= KILLS
    assert all(killed[step] for step in STEPS), killed
    # Whatever is left is sent by workers that live, on a better day.
    twilio.choose = lambda form: accept()
    for _ in range(12):
        _, process = start()
        process.join(120)
        assert process.exitcode == 0
        outbox.let_time_pass(db)
        if not outbox.statuses(db).keys() & {"queued", "sending", "pending"}:
            break
    taken, states = accepted(twilio), by_id(db)
    assert max(taken.values()) == 1, "a message was sent twice"
    assert set(states.values()) <= {"sent", "failed", "unknown"}, "nothing is stuck on its way"
    assert {states[message] for message in taken} <= {"sent", "unknown"}, "what was accepted is not called failed"
    assert all(taken[message] for message, status in states.items() if status == "sent"), "what is called sent was"
    unknown = sum(status == "unknown" for status in states.values())
    assert db.owner.value("select service.messages_state()")["unknown"] == unknown > 0

    # The provider knows some of them; of the others nobody does, and nothing sends them again.
    outbox.let_time_pass(db)
    asyncio.run(outbox.reconcile(db.url, environment))
    settled = by_id(db)
    assert {settled[message] for message in taken} == {"sent"}
    never_accepted = {message for message, status in states.items() if status == "unknown" and not taken[message]}
    assert {settled[message] for message in never_accepted} == {"unknown"}
    assert db.owner.value("select service.messages_state()")["unknown"] == len(never_accepted)

    written = log.read_text()
    assert "message_tried" in written
    for secret in (*PERSONAL, TOKEN):
        assert secret not in written


def test_four_workers_on_one_queue_send_each_message_once(
    db: Database, twilio: FakeTwilio, processes: multiprocessing.context.ForkServerContext, tmp_path: Path
) -> None:
    outbox.fill(db, clients=50, each=8)
    workers = [
        processes.Process(target=outbox.work, args=(db.url, twilio.environment, tmp_path / f"{number}.log"))
        for number in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert outbox.statuses(db) == {"sent": 400}
    # Without an address to call back there is none of our ids: the texts differ.
    sent = Counter((message.to, message.body) for message in twilio.accepted)
    assert (len(sent), max(sent.values())) == (400, 1)
    logs = [(tmp_path / f"{number}.log").read_text() for number in range(WORKERS)]
    assert sum("message_tried" in text for text in logs) > 1, "one worker did everything"
