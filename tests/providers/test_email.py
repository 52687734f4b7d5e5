"""What became of a try to send an email, against a real SMTP server, and what the recipient gets."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import vobject
from aiosmtpd.smtp import AuthResult
from tests.harness.fake_post import FakePost

from coach_os.errors import Fault
from coach_os.providers import email
from coach_os.providers.email import SmtpEmail, mail_server
from coach_os.providers.outcome import CREDENTIALS_REST_SECONDS, Outcome
from coach_os.stack.ports import free_port

FROM = "Coach OS <post@coach.example>"
EVENT = {
    "uid": "b1@coach",
    "sequence": 2,
    "created_at": "2026-11-20T00:00:00+00:00",
    "updated_at": "2026-11-20T01:00:00+00:00",
    "start_time": "2026-11-23T07:00:00+00:00",
    "end_time": "2026-11-23T08:00:00+00:00",
    "summary": "Session with Kilo",
    "status": "CONFIRMED",
    "location": "Shed 3",
    "organizer": "Kilo",
}


@pytest.fixture
def post() -> Iterator[FakePost]:
    with FakePost() as server:
        yield server


@pytest.fixture
def url(post: FakePost) -> str:
    return post.url


def row(**columns: Any) -> dict[str, Any]:
    message = {"id": str(uuid4()), "to_email": "jo@client.example", "from_name": "Kilo & Söhne", "event": None}
    return {**message, "subject": "Your session", "body": "See you at 9:00 am.", **columns}


def send(url: str, *messages: dict[str, Any], between: Callable[[], None] = lambda: None) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        provider = SmtpEmail(mail_server(url), FROM)
        outcomes = []
        for message in messages:
            outcomes.append(await provider.send(message))
            between()
        await provider.close()
        return outcomes

    return asyncio.run(all_of_them())


def test_an_email_arrives_as_it_was_written(url: str, post: FakePost) -> None:
    message = row(subject="Zoë: 9:00 am\r\nBcc: evil@example.com", body="Grüße 🏋️\n.\nSee you")
    (outcome,) = send(url, message)
    assert (outcome.kind, outcome.provider, outcome.http_status) == ("sent", "smtp", 250)
    ((recipient, email),) = post.accepted
    assert recipient == "jo@client.example"
    assert email["subject"] == "Zoë: 9:00 am Bcc: evil@example.com"
    assert email["bcc"] is None
    assert email["from"].addresses[0].display_name == "Kilo & Söhne"
    assert email["from"].addresses[0].addr_spec == "post@coach.example"
    assert email["message-id"] == f"<{message['id']}@coach.example>" == outcome.provider_message_id
    assert email.get_content().replace("\r\n", "\n").rstrip("\n") == "Grüße 🏋️\n.\nSee you"


@pytest.mark.parametrize(("status", "method"), [("CONFIRMED", "PUBLISH"), ("CANCELLED", "CANCEL")])
def test_a_booking_s_calendar_file_is_attached(url: str, post: FakePost, status: str, method: str) -> None:
    send(url, row(event=EVENT | {"status": status}))
    (attachment,) = post.accepted[0][1].iter_attachments()
    assert (attachment.get_content_type(), attachment.get_filename()) == ("text/calendar", "booking.ics")
    assert attachment["content-type"].params["method"] == method
    calendar = vobject.readOne(attachment.get_payload(decode=True).decode())
    assert calendar.method.value == method
    assert calendar.vevent.uid.value == "b1@coach"


def test_a_connection_is_used_again_and_one_that_was_closed_is_replaced(url: str, post: FakePost) -> None:
    assert [outcome.kind for outcome in send(url, row(), row(), row())] == ["sent"] * 3
    assert post.connections == 1
    assert [outcome.kind for outcome in send(url.replace("127.0.0.1", "localhost"), row())] == ["sent"]


def test_an_idle_connection_that_the_server_closed_costs_nothing(url: str, post: FakePost) -> None:
    assert [outcome.kind for outcome in send(url, row(), row(), between=post.restart)] == ["sent", "sent"]
    assert (len(post.accepted), post.connections) == (2, 2)


@pytest.mark.parametrize(
    ("where", "answer", "kind", "code"),
    [
        ("refuse_recipient", "450 4.2.1 mailbox busy", "deferred", "smtp_450"),
        ("refuse_recipient", "550 5.1.1 no such user jo@client.example", "failed", "smtp_550"),
        ("refuse_sender", "451 4.3.0 try again", "deferred", "smtp_451"),
        ("refuse_text", "452 4.3.1 full", "deferred", "smtp_452"),
        ("refuse_text", "554 5.7.1 spam", "failed", "smtp_554"),
    ],
)
def test_a_refusal_is_temporary_or_final(
    url: str, post: FakePost, where: str, answer: str, kind: str, code: str
) -> None:
    setattr(post, where, answer)
    refused, after = send(url, row(), row(), between=lambda: setattr(post, where, None))
    assert (refused.kind, refused.error_code, refused.account_rest_secs) == (kind, code, None)
    assert after.kind == "sent", "a refusal leaves the connection good for the next"
    assert len(post.accepted) == 1


@pytest.mark.parametrize(("where", "answer"), [("refuse_sender", "530 5.7.0 log in"), ("refuse_recipient", "421 busy")])
def test_a_server_that_wants_nothing_of_us_rests(url: str, post: FakePost, where: str, answer: str) -> None:
    setattr(post, where, answer)
    (outcome,) = send(url, row())
    assert outcome.kind == "deferred"
    assert outcome.account_rest_secs


def test_a_line_cut_before_the_text_is_deferred_and_after_it_unknown(url: str, post: FakePost) -> None:
    post.hangs_up = "envelope"
    assert send(url, row()) == [Outcome("deferred", "smtp", error_code="connection_refused")]
    assert post.accepted == []
    post.hangs_up = "answer"
    assert send(url, row()) == [Outcome("unknown", "smtp", error_code="connection_cut")]
    assert len(post.accepted) == 1


def test_an_answer_to_the_text_that_does_not_come_is_unknown(
    url: str, post: FakePost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email, "DATA_SECONDS", 0.3)
    post.waits = 1.0
    assert send(url, row()) == [Outcome("unknown", "smtp", error_code="read_timeout")]
    assert len(post.accepted) == 1


def test_nobody_there_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(f"smtp://127.0.0.1:{free_port()}", row())[0].error_code == "connection_refused"
    monkeypatch.setattr(email, "ENVELOPE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (outcome,) = send(f"smtp://127.0.0.1:{silent.getsockname()[1]}", row())
    assert outcome.kind == "deferred"


@pytest.mark.parametrize("address", ["", "jo", "@client.example", "jo@", "jo bloggs@client.example", "jö@x.example"])
def test_an_address_that_smtp_cannot_carry_is_final(url: str, post: FakePost, address: str) -> None:
    assert send(url, row(to_email=address)) == [Outcome("failed", "smtp", error_code="address_invalid")]
    assert post.connections == 0


def test_a_domain_in_its_own_script_is_carried(url: str, post: FakePost) -> None:
    assert send(url, row(to_email="jo@söhne.example"))[0].kind == "sent"
    assert post.accepted[0][0] == "jo@xn--shne-5qa.example"


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_password_is_used_and_a_wrong_one_rests_the_server() -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        is_right = (data.login, data.password) == (b"po st", b"p@ss/word")
        return AuthResult(success=is_right, handled=is_right)

    with FakePost(authenticator=check, auth_required=True, auth_require_tls=False) as post:
        assert send(f"smtp://po%20st:p%40ss%2Fword@127.0.0.1:{post.port}", row())[0].kind == "sent"
        for user in ("po%20st:wrong@", ""):
            (outcome,) = send(f"smtp://{user}127.0.0.1:{post.port}", row())
            assert (outcome.kind, outcome.account_rest_secs) == ("deferred", CREDENTIALS_REST_SECONDS)
        assert len(post.accepted) == 1


def test_a_password_is_not_sent_in_the_clear_to_another_machine() -> None:
    assert mail_server("smtp://post:secret@mail.example").must_encrypt
    assert not mail_server("smtps://post:secret@mail.example").must_encrypt
    assert not mail_server("smtp://post:secret@127.0.0.1:25").must_encrypt
    assert not mail_server("smtp://mail.example").must_encrypt
    assert "secret" not in repr(mail_server("smtp://post:secret@mail.example"))


@pytest.mark.parametrize("url", ["", "mail.example", "http://mail.example", "smtp://", "smtp://mail.example:port"])
def test_an_address_of_a_server_that_cannot_be_meant_is_a_fault(url: str) -> None:
    with pytest.raises(Fault) as caught:
        mail_server(url)
    assert caught.value.slug == "smtp_url_invalid"


def test_a_sender_that_is_no_address_is_a_fault() -> None:
    with pytest.raises(Fault) as caught:
        SmtpEmail(mail_server("smtp://mail.example"), "Kilo")
    assert caught.value.slug == "smtp_from_invalid"
