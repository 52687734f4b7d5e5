"""What became of a try to send a text: each way that Twilio, or the line to it, can answer."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from tests.harness.fake_twilio import NUMBER, SID, TOKEN, FakeTwilio, Step, accept, answer, cut

from coach_os.providers import sms
from coach_os.providers.outcome import CREDENTIALS_REST_SECONDS, LIMIT_REST_SECONDS, Outcome
from coach_os.providers.sms import FoundSms, SmsAccount, TwilioSms

PLATFORM = SmsAccount(SID, TOKEN, phone_number=NUMBER)
HOOKS = "https://hooks.kilo.example"
TO = "+61412345678"


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        yield server


def row(**columns: Any) -> dict[str, Any]:
    return {"id": str(uuid4()), "to_phone": TO, "body": "See you at 9:00 am. Reply Y to confirm.", **columns}


def send(api_url: str, message: dict[str, Any] | None = None, account: SmsAccount = PLATFORM) -> Outcome:
    async def once() -> Outcome:
        provider = TwilioSms(callback_url=HOOKS, api_url=api_url, threads=2)
        try:
            return await provider.send(account, message or row())
        finally:
            await provider.close()

    return asyncio.run(once())


def test_a_message_is_sent_with_our_id_in_its_callback(twilio: FakeTwilio) -> None:
    message = row(body="Grüße an Zoë 🏋️, 9 Uhr")
    outcome = send(twilio.url, message)
    (accepted,) = twilio.accepted
    assert (outcome.kind, outcome.provider, outcome.provider_message_id) == ("sent", "twilio", accepted.sid)
    assert (outcome.provider_status, outcome.http_status) == ("queued", 201)
    assert (accepted.to, accepted.body, accepted.sender, accepted.service) == (TO, message["body"], NUMBER, None)
    assert accepted.callback == f"{HOOKS}/functions/v1/twilio-webhook?message={message['id']}"
    assert UUID(accepted.message_id) == UUID(message["id"])


def test_a_messaging_service_chooses_the_number(twilio: FakeTwilio) -> None:
    send(twilio.url, account=SmsAccount(SID, TOKEN, "MG" + "1" * 32, NUMBER))
    assert (twilio.accepted[0].sender, twilio.accepted[0].service) == (None, "MG" + "1" * 32)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            answer(429, 20429, headers={"Retry-After": "7"}),
            Outcome("deferred", "twilio", None, None, 429, "20429", 7, 7),
        ),
        (
            answer(429),
            Outcome("deferred", "twilio", None, None, 429, "http_429", LIMIT_REST_SECONDS, LIMIT_REST_SECONDS),
        ),
        (
            answer(400, 14107),
            Outcome("deferred", "twilio", None, None, 400, "14107", LIMIT_REST_SECONDS, LIMIT_REST_SECONDS),
        ),
        (answer(500, 20500), Outcome("deferred", "twilio", None, None, 500, "20500")),
        (
            answer(503, raw=b"<html>", headers={"Retry-After": "40"}),
            Outcome("deferred", "twilio", None, None, 503, "http_503", 40),
        ),
        (answer(502, 20502), Outcome("deferred", "twilio", None, None, 502, "20502")),
        (answer(400, 21211), Outcome("failed", "twilio", None, None, 400, "21211")),
        (answer(400, 21610), Outcome("failed", "twilio", None, None, 400, "21610")),
        (answer(403, 20403), Outcome("failed", "twilio", None, None, 403, "20403")),
        # Neither names an end: a gateway does not know what became of the request behind it.
        (answer(502, raw=b"<html>bad gateway"), Outcome("unknown", "twilio", None, None, 502, "http_502")),
        (answer(504, raw=b""), Outcome("unknown", "twilio", None, None, 504, "http_504")),
        (answer(302, headers={"Location": "/elsewhere"}), Outcome("unknown", "twilio", None, None, 302, "http_302")),
        (accept(raw=b"<html>welcome to the hotel"), Outcome("unknown", "twilio", error_code="answer_unreadable")),
        (accept(raw=b"{}"), Outcome("unknown", "twilio", error_code="answer_unreadable")),
        (cut("before"), Outcome("unknown", "twilio", error_code="connection_cut")),
        (cut("after"), Outcome("unknown", "twilio", error_code="connection_cut")),
        (cut("half"), Outcome("unknown", "twilio", error_code="connection_cut")),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, Step) else "",
)
def test_every_answer_is_one_of_four_ends(twilio: FakeTwilio, step: Step, expected: Outcome) -> None:
    twilio.then(step)
    assert send(twilio.url) == expected
    assert len(twilio.requests) == 1, "nothing below repeats a request"
    # What promises that nothing was accepted keeps it.
    assert expected.kind not in ("deferred", "failed") or twilio.accepted == []


def test_a_wrong_token_rests_the_account_and_fails_no_message(twilio: FakeTwilio) -> None:
    outcome = send(twilio.url, account=SmsAccount(SID, "another", phone_number=NUMBER))
    assert (outcome.kind, outcome.error_code) == ("deferred", "20003")
    assert outcome.account_rest_secs == CREDENTIALS_REST_SECONDS


def test_an_answer_that_does_not_come_is_unknown(twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms, "READ_SECONDS", 0.3)
    twilio.then(accept(waits=1.5))
    assert send(twilio.url) == Outcome("unknown", "twilio", error_code="read_timeout")
    assert len(twilio.accepted) == 1


def test_what_never_left_is_deferred(monkeypatch: pytest.MonkeyPatch) -> None:
    never_left = Outcome("deferred", "twilio", error_code="connection_refused")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert send(f"http://127.0.0.1:{unused.getsockname()[1]}") == never_left, "nobody listens"
    assert send("http://nowhere.invalid") == never_left, "no such name"

    monkeypatch.setattr(sms, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        assert send(f"http://127.0.0.1:{address[1]}") == never_left, "the handshake is not answered"
        for one in waiting:
            one.close()


def test_a_certificate_that_is_refused_is_deferred_and_a_later_fault_is_not() -> None:
    before = requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed certificate"))
    assert sms.classified(before).kind == "deferred"
    assert sms.classified(requests.exceptions.SSLError(ssl.SSLEOFError("cut"))).kind == "unknown"


def test_a_line_cut_while_the_request_is_written_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(10)
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        outcome = send(f"http://127.0.0.1:{server.getsockname()[1]}", row(body="x" * 200_000))
    assert (outcome.kind, outcome.error_code) == ("unknown", "connection_cut")


def test_threads_do_not_mix_up_whose_retry_after_it_was(twilio: FakeTwilio) -> None:
    def choose(form: dict[str, str]) -> Step:
        number = int(form["Body"])
        return (
            answer(503, 20503, headers={"Retry-After": str(number)}, waits=0.02 * (number % 3)) if number else accept()
        )

    twilio.choose = choose

    async def all_at_once() -> list[Outcome]:
        provider = TwilioSms(api_url=twilio.url, threads=8)
        outcomes = await asyncio.gather(*(provider.send(PLATFORM, row(body=str(number))) for number in range(40)))
        await provider.close()
        return list(outcomes)

    outcomes = asyncio.run(all_at_once())
    assert [outcome.retry_after_secs for outcome in outcomes] == [None, *range(1, 40)]


def find(twilio: FakeTwilio, message: dict[str, Any]) -> FoundSms | None:
    async def once() -> FoundSms | None:
        provider = TwilioSms(api_url=twilio.url, threads=1)
        try:
            return await provider.find(PLATFORM, message)
        finally:
            await provider.close()

    return asyncio.run(once())


def test_a_message_is_found_by_number_text_and_time(twilio: FakeTwilio) -> None:
    now = datetime.now(UTC)
    message = row(claimed_at=now.isoformat())
    assert find(twilio, message) is None, "absence is an answer too"
    form = {"To": TO, "Body": message["body"], "From": NUMBER}
    earlier = twilio.take(SID, form)
    earlier.created_at = now - timedelta(minutes=5)
    twilio.take(SID, form | {"Body": "another text"})
    twilio.take(SID, form | {"To": "+61400000009"})
    twilio.take(SID, form).direction = "inbound"
    assert find(twilio, message) is None
    ours = twilio.take(SID, form)
    ours.status, ours.error_code = "undelivered", 30003
    assert find(twilio, message) == FoundSms(ours.sid, "undelivered", "30003")
    twilio.take(SID, form)
    assert find(twilio, message) is None, "two that might be it are none"


def test_a_trial_accounts_words_do_not_hide_a_message(twilio: FakeTwilio) -> None:
    message = row(claimed_at=datetime.now(UTC).isoformat())
    taken = twilio.take(SID, {"To": TO, "Body": "Sent from your Twilio trial account - " + message["body"]})
    found = find(twilio, message)
    assert found is not None
    assert found.sid == taken.sid


def test_a_look_up_without_an_answer_is_none(twilio: FakeTwilio) -> None:
    twilio.accounts[SID] = "replaced"
    with pytest.raises(OSError, match="did not answer"):
        find(twilio, row(claimed_at=datetime.now(UTC).isoformat()))


def test_neither_environment_nor_netrc_is_asked(twilio: FakeTwilio, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("TWILIO_EDGE", "TWILIO_REGION"):
        monkeypatch.setenv(name, "nowhere")
    assert send(twilio.url).kind == "sent"


def test_an_account_shows_no_token() -> None:
    assert TOKEN not in repr(PLATFORM)
