"""Webhook actions carried by workers: a receiver that is down for an hour misses nothing, and knows a repeat."""

import asyncio
import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from standardwebhooks.webhooks import Webhook
from tests.db.automating import automate, clients
from tests.db.studio import Studio
from tests.harness.fake_receiver import FakeReceiver

from coach_os.database import PostgresDatabase
from coach_os.providers.secrets import Keyring
from coach_os.providers.webhook import Posted, WebhookPoster, new_secret
from coach_os.sweeps.runner import SweepResult
from coach_os.sweeps.webhooks import post_due_webhooks

KEYRING = Keyring(Fernet.generate_key().decode())
SECRET = new_secret()


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as server:
        yield server


def endpoint(studio: Studio, url: str) -> uuid.UUID:
    return studio.db.owner.call(  # type: ignore[no-any-return]
        "service.add_webhook_endpoint",
        p_org_id=studio.org_id,
        p_name="Books",
        p_url=url,
        p_secret_encrypted=KEYRING.encrypt(SECRET),
    )


def posting(studio: Studio, url: str) -> uuid.UUID:
    return automate(studio, actions=[{"type": "webhook", "params": {"endpoint_id": str(endpoint(studio, url))}}])


def run(studio: Studio, automation: uuid.UUID, now: datetime) -> None:
    studio.db.owner.call("service.run_automation", p_id=automation, p_now=now)


def work(studio: Studio, *times: datetime, poster: WebhookPoster | None = None) -> SweepResult:
    """A worker's run at each of these times, or now; what the last one did."""

    async def once() -> SweepResult:
        result = SweepResult("webhooks")
        own = poster or WebhookPoster(KEYRING, allows_private=True)
        async with PostgresDatabase(studio.db.url) as database, own:
            for time in times or (datetime.now(UTC),):
                result = await post_due_webhooks(database, poster=own, now=lambda time=time: time)  # type: ignore[misc]
        return result

    return asyncio.run(once())


def states(studio: Studio) -> Counter[str]:
    return Counter(studio.db.owner.values("select status from public.webhook_deliveries"))


def test_a_receiver_that_is_down_for_an_hour_misses_nothing(studio: Studio, receiver: FakeReceiver) -> None:
    clients(studio, 49)
    automation = posting(studio, receiver.url)
    start = datetime.now(UTC)
    receiver.is_down = True
    run(studio, automation, start)
    # A worker looks every minute.
    work(studio, *(start + timedelta(minutes=minute) for minute in range(60)))
    tries = len(receiver.received)
    assert tries == 16 + 6, "a first batch, then one try at a time, further and further apart"
    assert states(studio) == {"pending": 50}
    assert studio.db.owner.value("select count(*) from public.automation_runs where status = 'ok'") == 50
    receiver.is_down = False
    work(studio, *(start + timedelta(minutes=minute) for minute in range(60, 125, 2)))
    assert states(studio) == {"ok": 50}
    assert Counter(Counter(receiver.taken).values()) == {1: 50}, "each is taken once"
    assert studio.db.owner.value("select failures from public.webhook_endpoints") == 0
    query = "select distinct actions_fired -> 0 ->> 'status' from public.automation_runs"
    assert studio.db.owner.values(query) == ["ok"]
    for post in receiver.received:
        told = Webhook(SECRET).verify(post.body.decode(), post.headers)
        assert told["data"]["automation_id"] == str(automation)
        assert "Client" not in json.dumps(told["data"])


def test_a_receiver_that_refuses_one_of_three_fails_that_run_alone(studio: Studio, receiver: FakeReceiver) -> None:
    clients(studio, 2)
    automation = posting(studio, receiver.url)
    now = datetime.now(UTC)
    run(studio, automation, now)
    receiver.then(400)
    work(studio, now)
    refused = studio.db.owner.row("select id, status, error_code from public.webhook_deliveries where status <> 'ok'")
    assert (refused["status"], refused["error_code"]) == ("pending", "http_400")
    for hours in range(1, 24, 2):
        receiver.then(400)
        work(studio, now + timedelta(hours=hours))
    assert states(studio) == {"ok": 2, "failed": 1}
    query = "select status, reason from public.automation_runs order by status"
    ended = [(row["status"], row["reason"]) for row in studio.db.owner.rows(query)]
    assert ended == [("failed", "webhook: http_400"), ("ok", None), ("ok", None)]
    firing = studio.db.owner.row("select status, reason, ok_count, failed_count from public.automation_firings")
    assert tuple(firing.values()) == ("failed", "webhook: http_400", 2, 1)


def test_workers_at_once_post_each_once(studio: Studio, receiver: FakeReceiver) -> None:
    clients(studio, 59)
    run(studio, posting(studio, receiver.url), datetime.now(UTC))
    errors: list[BaseException] = []

    def worker() -> None:
        try:
            work(studio)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert states(studio) == {"ok": 60}
    assert Counter(Counter(receiver.taken).values()) == {1: 60}


class Doomed(WebhookPoster):
    """Dies between the receiver's answer and the record."""

    async def post(self, row: Any) -> Posted:
        await super().post(row)
        raise KeyboardInterrupt


def test_what_a_worker_died_over_is_posted_again_under_the_same_id(studio: Studio, receiver: FakeReceiver) -> None:
    now = datetime.now(UTC)
    run(studio, posting(studio, receiver.url), now)
    with pytest.raises(KeyboardInterrupt):
        work(studio, now, poster=Doomed(KEYRING, allows_private=True))
    assert states(studio) == {"sending": 1}
    assert work(studio, now + timedelta(seconds=59)).counts == {}
    assert work(studio, now + timedelta(seconds=61)).counts == {"ok": 1}
    assert len(receiver.taken) == 2
    assert len(set(receiver.taken)) == 1


def test_an_address_of_ours_fails_the_run(studio: Studio, receiver: FakeReceiver) -> None:
    url = receiver.url.replace("http:", "https:")
    run(studio, posting(studio, url), datetime.now(UTC))
    assert work(studio, poster=WebhookPoster(KEYRING)).counts == {"failed": 1}
    assert studio.db.owner.values("select reason from public.automation_runs") == ["webhook: address_not_allowed"]
    assert receiver.received == []


def test_a_dry_run_posts_nothing(studio: Studio, receiver: FakeReceiver) -> None:
    run(studio, posting(studio, receiver.url), datetime.now(UTC))

    async def once() -> SweepResult:
        async with PostgresDatabase(studio.db.url) as database:
            return await post_due_webhooks(database, dry_run=True)

    assert asyncio.run(once()).counts == {"due": 1}
    assert receiver.received == []
