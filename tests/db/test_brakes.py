"""A brake that is pulled while workers send: what is begun ends, nothing begins, nothing is lost; then all goes on."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import pytest
from tests.db import outbox
from tests.harness.database import Database
from tests.harness.fake_twilio import FakeTwilio, Step, accept

from coach_os.database import PostgresDatabase
from coach_os.providers.carriers import carriers_of
from coach_os.settings import Settings
from coach_os.sweeps import SweepResult
from coach_os.sweeps.messages import CONCURRENCY, send_due_messages

WORKERS = 3
EACH = 120


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        yield server


def sweep(db: Database, twilio: FakeTwilio) -> list[SweepResult]:
    """Several workers at once, each until nothing is due."""

    async def work() -> SweepResult:
        settings = Settings.model_validate(twilio.environment)
        async with PostgresDatabase(db.url) as database, carriers_of(settings) as carriers:
            return await send_due_messages(database, carrier=carriers)

    async def all_at_once() -> list[SweepResult]:
        return list(await asyncio.gather(*(work() for _ in range(WORKERS))))

    return asyncio.run(all_at_once())


def act(db: Database, action: str, org_id: UUID | None = None) -> None:
    answer = db.owner.value(
        "select service.act(%s, jsonb_build_object('kind', 'sms', 'reason', 'complaints', 'org_id', %s::uuid))",
        (action, org_id),
    )
    assert answer["is_changed"]


def accepted(twilio: FakeTwilio) -> Counter[str]:
    return Counter(message.body for message in twilio.accepted)


@pytest.mark.parametrize("everybody", [True, False], ids=["everybody", "one-organisation"])
def test_a_brake_pulled_in_the_middle_of_a_sweep_loses_nothing_and_lets_nothing_begin(
    db: Database, twilio: FakeTwilio, everybody: bool
) -> None:
    kilo = outbox.fill(db, clients=EACH, each=1)
    outbox.fill(db, clients=EACH, each=1, slug="lima", start=EACH)
    pulled: list[datetime] = []
    lock = threading.Lock()

    def choose(_: object) -> Step:
        with lock:
            if not pulled and len(twilio.requests) >= 40:
                act(db, "pull_brake", None if everybody else kilo)
                pulled.append(db.owner.value("select clock_timestamp()"))
        return accept(waits=0.002)

    twilio.choose = choose
    assert all(result.is_complete for result in sweep(db, twilio))
    assert pulled, "the brake was pulled while there was work"

    braked = "true" if everybody else f"org_id = '{kilo}'"
    begun = db.owner.value(
        f"select count(*) from public.outbox_messages where {braked} and claimed_at > %s", (pulled[0],)
    )
    assert begun == 0, "what was not begun stays"
    if everybody:
        assert len(twilio.accepted) <= 40 + WORKERS * CONCURRENCY
    assert outbox.statuses(db).keys() == {"sent", "queued"}
    assert sum(outbox.statuses(db).values()) == 2 * EACH
    waiting = db.owner.value(f"select count(*) from public.outbox_messages where status = 'queued' and {braked}")
    assert waiting == outbox.statuses(db)["queued"] > 0
    before = len(twilio.accepted)
    sweep(db, twilio)
    assert len(twilio.accepted) == before, "a braked sweep sends nothing"

    act(db, "release_brake", None if everybody else kilo)
    sweep(db, twilio)
    assert outbox.statuses(db) == {"sent": 2 * EACH}
    assert len(twilio.accepted) == 2 * EACH, "each once"


def test_a_blocked_organisation_sends_nothing_and_goes_on_when_it_is_unblocked(
    db: Database, twilio: FakeTwilio
) -> None:
    kilo = outbox.fill(db, clients=5, each=1)
    outbox.fill(db, clients=5, each=1, slug="lima", start=5)
    for action, sent in (("block_org", 5), ("unblock_org", 10)):
        db.owner.value(
            "select service.act(%s, jsonb_build_object('org_id', %s::uuid, 'reason', 'a question'))", (action, kilo)
        )
        sweep(db, twilio)
        assert len(twilio.accepted) == sent
    assert outbox.statuses(db) == {"sent": 10}
