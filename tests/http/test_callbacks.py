"""A text from the outbox to Twilio and back: the worker sends, the service takes in what Twilio tells, in any order."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.db import outbox
from tests.harness.database import Database
from tests.harness.fake_twilio import NUMBER, TOKEN, FakeTwilio, accept, answer, cut, inbound_form, signed
from tests.http.test_service import Service, running_service

from coach_os.database import PostgresDatabase
from coach_os.providers.carriers import carriers_of
from coach_os.settings import Settings
from coach_os.sweeps import SweepResult
from coach_os.sweeps.messages import send_due_messages


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        yield server


@pytest.fixture
def service(db: Database, twilio: FakeTwilio, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, DATABASE_URL=db.url, **twilio.environment) as running:
        yield running


def address(service: Service) -> str:
    return str(service.client.base_url).rstrip("/")


def send(db: Database, twilio: FakeTwilio, service: Service) -> SweepResult:
    settings = Settings.model_validate(twilio.environment | {"COACH_PUBLIC_URL": address(service)})

    async def once() -> SweepResult:
        async with PostgresDatabase(db.url) as database, carriers_of(settings) as carriers:
            return await send_due_messages(database, carrier=carriers)

    return asyncio.run(once())


def events(db: Database) -> list[str]:
    return db.owner.values("select event_status from public.outbox_events order by received_at")


def test_callbacks_that_come_before_the_answer_are_not_lost(db: Database, twilio: FakeTwilio, service: Service) -> None:
    outbox.fill(db, clients=3, each=1)
    twilio.then(accept(calls_back=("sent", "delivered")), accept(calls_back=("delivered", "sent")), accept())
    assert send(db, twilio, service).counts == {"sent": 3}
    assert [status for _, status in twilio.callbacks] == [200] * 4
    assert outbox.statuses(db) == {"delivered": 2, "sent": 1}
    late = next(message for message in twilio.accepted if message.status == "queued")
    assert twilio.call_back(late, "undelivered", 30003) == 200
    assert twilio.call_back(late, "sent") == 200
    assert twilio.call_back(late, "undelivered", 30003) == 200
    assert outbox.statuses(db) == {"delivered": 2, "undelivered": 1}
    assert len(events(db)) == 6, "each is kept once"


def test_a_callback_settles_what_was_unknown(db: Database, twilio: FakeTwilio, service: Service) -> None:
    outbox.fill(db, clients=2, each=1)
    twilio.then(cut("after"), cut("after"))
    assert send(db, twilio, service).counts == {"unknown": 2}
    for message, status in zip(twilio.accepted, ("delivered", "failed"), strict=True):
        twilio.call_back(message, status)
    assert outbox.statuses(db) == {"delivered": 1, "failed": 1}
    assert send(db, twilio, service).counts == {}
    assert len(twilio.accepted) == 2


def test_an_account_that_is_full_is_left_alone_by_every_worker(
    db: Database, twilio: FakeTwilio, service: Service
) -> None:
    outbox.fill(db, clients=40, each=1)
    twilio.choose = lambda form: answer(429, 20429, headers={"Retry-After": "600"})
    assert send(db, twilio, service).is_complete
    asked = len(twilio.requests)
    assert asked <= 16, "what was under way"
    assert send(db, twilio, service).counts == {}
    assert len(twilio.requests) == asked
    assert outbox.statuses(db) == {"queued": 40}
    assert db.owner.value("select max(until_at) > now() + interval '9 minutes' from private.provider_limits")


def test_a_provider_that_is_away_is_left_alone_after_a_few_tries(
    db: Database, twilio: FakeTwilio, service: Service
) -> None:
    outbox.fill(db, clients=90, each=1)
    twilio.choose = lambda form: answer(503, 20503)
    assert send(db, twilio, service).is_complete
    assert len(twilio.requests) <= 32
    assert outbox.statuses(db) == {"queued": 90}


def test_a_text_that_comes_in_is_answered_once_and_stops_what_it_stops(
    db: Database, twilio: FakeTwilio, service: Service
) -> None:
    org_id = outbox.fill(db, clients=1, each=2)
    phone = db.owner.value("select phone_e164 from public.clients")
    twilio.then(accept(), cut("before"))
    send(db, twilio, service)
    form = inbound_form("STOP", sender=phone, to=NUMBER)
    url = f"{address(service)}/api/sms/webhook"
    answers = {httpx.post(url, data=form, headers=signed(url, form)).text for _ in range(3)}
    assert len(answers) == 1, "the same message is answered the same"
    suppressed = db.owner.rows("select org_id, phone, reason from public.sms_suppression")
    assert suppressed == [{"org_id": org_id, "phone": phone, "reason": "opt_out"}]
    outbox.fill(db, clients=1, each=1, slug="lima", start=500)
    assert send(db, twilio, service).counts == {"sent": 1}, "another organisation's client is another"


def test_no_log_of_it_holds_anything_personal(
    db: Database, twilio: FakeTwilio, service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    outbox.fill(db, clients=2, each=1)
    twilio.then(answer(400, 21211), accept(calls_back=("delivered",)))
    send(db, twilio, service)
    phone = db.owner.values("select phone_e164 from public.clients")[0]
    form = inbound_form(outbox.BODY, sender=phone, to=NUMBER)
    url = f"{address(service)}/functions/v1/sms-inbound"
    assert httpx.post(url, data=form, headers=signed(url, form)).status_code == 200
    written = service.log.read_text() + "".join(capfd.readouterr())
    assert "request_finished" in written
    assert "message_tried" in written
    for secret in (*outbox.PERSONAL, TOKEN):
        assert secret not in written
