"""Email and push from the outbox to what carries them: a text's fallback, a calendar file, a device that is gone."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import vobject
from tests.db import outbox
from tests.harness.database import Database
from tests.harness.fake_expo import FakeExpo
from tests.harness.fake_post import FakePost
from tests.harness.fake_twilio import FakeTwilio, answer

from coach_os.database import PostgresDatabase
from coach_os.providers.carriers import carriers_of
from coach_os.settings import Settings
from coach_os.sweeps.messages import send_due_messages


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        yield server


@pytest.fixture
def post() -> Iterator[FakePost]:
    with FakePost() as server:
        yield server


@pytest.fixture
def expo() -> Iterator[FakeExpo]:
    with FakeExpo() as server:
        yield server


def send(
    db: Database, twilio: FakeTwilio, post: FakePost | None = None, expo: FakeExpo | None = None
) -> dict[str, int]:
    environment = dict(twilio.environment)
    if post:
        environment |= {"SMTP_URL": post.url, "SMTP_FROM": "Coach OS <post@coach.example>"}
    if expo:
        environment |= {"EXPO_API_URL": expo.url}

    async def once() -> dict[str, int]:
        async with PostgresDatabase(db.url) as database, carriers_of(Settings.model_validate(environment)) as carriers:
            return (await send_due_messages(database, carrier=carriers)).counts

    return asyncio.run(once())


def rows(db: Database) -> list[dict[str, Any]]:
    return db.owner.rows("select channel, status, cause, provider from public.outbox_messages order by created_at")


def test_a_text_that_does_not_come_is_sent_by_email_once(db: Database, twilio: FakeTwilio, post: FakePost) -> None:
    outbox.fill(db, clients=1, each=1)
    db.owner.rows("update public.sms_settings set falls_back_to_email = true")
    db.owner.rows("update public.clients set email = 'jo@client.example'")
    twilio.then(answer(400, 21211))
    assert send(db, twilio, post) == {"failed": 1, "sent": 1}
    assert send(db, twilio, post) == {}
    ((recipient, email),) = post.accepted
    assert recipient == "jo@client.example"
    assert outbox.BODY in email.get_content()
    assert email["from"].addresses[0].display_name == "kilo"
    assert {(row["channel"], row["status"], row["cause"], row["provider"]) for row in rows(db)} == {
        ("sms", "failed", None, "twilio"),
        ("email", "sent", "fallback", "smtp"),
    }


def test_a_confirmation_by_email_has_its_calendar_file(db: Database, twilio: FakeTwilio, post: FakePost) -> None:
    org_id = outbox.fill(db, clients=1, each=1)
    db.owner.rows("delete from public.outbox_messages")
    db.owner.rows("update public.clients set email = 'jo@client.example'")
    client_id = db.owner.value("select id from public.clients")
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    staff_id = db.owner.insert("public.staff", org_id=org_id, full_name="Sam")["id"]
    booking = {"org_id": org_id, "client_id": client_id, "staff_id": staff_id}
    booking_id = db.owner.insert(
        "public.bookings", **booking, start_time=start, end_time=start + timedelta(hours=1), status="confirmed"
    )["id"]
    db.owner.rows("delete from public.outbox_messages")
    db.owner.insert(
        "public.outbox_messages",
        org_id=org_id,
        channel="email",
        kind="booking_confirmation",
        client_id=client_id,
        booking_id=booking_id,
        status="queued",
        next_at=datetime.now(UTC) - timedelta(minutes=1),
        expires_at=start,
    )
    assert send(db, twilio, post) == {"sent": 1}
    ((_, email),) = post.accepted
    (attachment,) = email.iter_attachments()
    event = vobject.readOne(attachment.get_payload(decode=True).decode()).vevent
    assert (event.dtstart.value, event.dtend.value) == (start, start + timedelta(hours=1))
    body = email.get_body().get_content()
    assert body.strip()
    assert "{" not in body


def test_without_a_mail_server_email_waits_for_one(db: Database, twilio: FakeTwilio, post: FakePost) -> None:
    outbox.fill(db, clients=1, each=1)
    db.owner.rows("update public.outbox_messages set channel = 'email'")
    db.owner.rows("update public.clients set email = 'jo@client.example'")
    assert send(db, twilio) == {}
    assert outbox.statuses(db) == {"queued": 1}
    post.refuse_recipient = "450 4.2.1 busy"
    assert send(db, twilio, post) == {"deferred": 1}
    post.refuse_recipient = None
    outbox.let_time_pass(db)
    assert send(db, twilio, post) == {"sent": 1}
    assert len(post.accepted) == 1


def test_a_push_goes_to_each_device_and_forgets_those_that_are_gone(
    db: Database, twilio: FakeTwilio, expo: FakeExpo
) -> None:
    org_id = outbox.fill(db, clients=1, each=1)
    db.owner.rows("delete from public.outbox_messages")
    client_id = db.owner.value("select id from public.clients")
    for token in ("ExponentPushToken[new]", "ExponentPushToken[old]"):
        db.owner.insert("public.push_tokens", org_id=org_id, client_id=client_id, expo_token=token)
    expo.gone = {"ExponentPushToken[old]"}
    push = {"p_client_id": client_id, "p_title": "Kilo", "p_body": "See you soon"}
    db.owner.call("service.push_message", **push)
    assert send(db, twilio, expo=expo) == {"sent": 1}
    assert sorted(expo.pushes[0]["to"]) == ["ExponentPushToken[new]", "ExponentPushToken[old]"]
    assert db.owner.values("select expo_token from public.push_tokens") == ["ExponentPushToken[new]"]
    expo.gone = {"ExponentPushToken[new]"}
    db.owner.call("service.push_message", **push)
    assert send(db, twilio, expo=expo) == {"failed": 1}
    assert db.owner.values("select expo_token from public.push_tokens") == []
