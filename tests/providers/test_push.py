"""What became of a try to push: each way that Expo, or the line to it, can answer."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.harness.fake_expo import FakeExpo

from coach_os.providers import push
from coach_os.providers.outcome import CREDENTIALS_REST_SECONDS, Outcome
from coach_os.providers.push import ExpoPush

PHONE, TABLET, OLD = (f"ExponentPushToken[{name}]" for name in ("phone", "tablet", "old"))


@pytest.fixture
def expo() -> Iterator[FakeExpo]:
    with FakeExpo() as server:
        yield server


def send(api_url: str, *tokens: str, access_token: str | None = None, **columns: Any) -> Outcome:
    message = {
        "id": str(uuid4()),
        "to_tokens": list(tokens),
        "subject": "Kilo",
        "body": "A new message",
        "data": None,
        **columns,
    }

    async def once() -> Outcome:
        provider = ExpoPush(access_token=access_token, api_url=api_url)
        try:
            return await provider.send(message)
        finally:
            await provider.close()

    return asyncio.run(once())


def test_each_device_of_a_client_is_told_in_one_request(expo: FakeExpo) -> None:
    outcome = send(expo.url, PHONE, TABLET, PHONE, data={"thread_id": "7"})
    assert (outcome.kind, outcome.provider_message_id, outcome.gone_tokens) == ("sent", "ticket-1-0,ticket-1-1", ())
    (pushed,) = expo.pushes
    assert (pushed["to"], pushed["title"], pushed["data"]) == ([PHONE, TABLET], "Kilo", {"thread_id": "7"})
    assert "authorization" not in {name.lower() for name in expo.headers[0]}


def test_a_device_that_is_gone_is_named_and_the_others_are_told(expo: FakeExpo) -> None:
    expo.gone = {OLD}
    outcome = send(expo.url, OLD, PHONE)
    assert (outcome.kind, outcome.gone_tokens) == ("sent", (OLD,))
    outcome = send(expo.url, OLD)
    assert (outcome.kind, outcome.error_code, outcome.gone_tokens) == ("failed", "DeviceNotRegistered", (OLD,))


def test_devices_of_several_projects_take_a_request_each(expo: FakeExpo) -> None:
    expo.projects = {TABLET: "@kilo/trial"}
    expo.gone = {TABLET}
    outcome = send(expo.url, PHONE, TABLET)
    assert (outcome.kind, outcome.provider_message_id, outcome.gone_tokens) == ("sent", "ticket-1-0", (TABLET,))
    assert [pushed["to"] for pushed in expo.pushes] == [[PHONE], [TABLET]]


def test_of_several_requests_one_that_may_have_been_taken_leaves_it_open(expo: FakeExpo) -> None:
    expo.projects = {TABLET: "@kilo/trial"}
    parted = {"code": "PUSH_TOO_MANY_EXPERIENCE_IDS", "details": {"a": [PHONE], "b": [TABLET]}}
    expo.then(400, {"errors": [parted]})
    expo.then(500, {})
    expo.then(200, ends="after")
    assert send(expo.url, PHONE, TABLET).kind == "unknown"


def test_projects_that_name_other_tokens_are_not_believed(expo: FakeExpo) -> None:
    parted = {"code": "PUSH_TOO_MANY_EXPERIENCE_IDS", "details": {"a": [PHONE], "b": [OLD]}}
    expo.then(400, {"errors": [parted]})
    assert send(expo.url, PHONE, TABLET).kind == "failed"
    assert expo.pushes == []


def test_a_device_that_is_told_too_much_is_told_later(expo: FakeExpo) -> None:
    expo.too_fast = {PHONE}
    outcome = send(expo.url, PHONE)
    assert (outcome.kind, outcome.error_code, outcome.account_rest_secs) == ("deferred", "MessageRateExceeded", None)


def test_nobody_to_tell_is_final(expo: FakeExpo) -> None:
    assert send(expo.url).error_code == "token_missing"
    assert expo.pushes == []


@pytest.mark.parametrize(
    ("step", "kind", "code", "rest"),
    [
        ((429, {"errors": [{"code": "TOO_MANY_REQUESTS"}]}), "deferred", "TOO_MANY_REQUESTS", 9),
        ((401, {"errors": [{"code": "UNAUTHORIZED"}]}), "deferred", "UNAUTHORIZED", CREDENTIALS_REST_SECONDS),
        ((500, {"errors": [{"code": "INTERNAL_SERVER_ERROR"}]}), "deferred", "INTERNAL_SERVER_ERROR", None),
        ((503, b"<html>"), "deferred", "http_503", None),
        ((400, {"errors": [{"code": "VALIDATION_ERROR"}]}), "failed", "VALIDATION_ERROR", None),
        ((504, b"<html>"), "unknown", "http_504", None),
        ((301, b""), "unknown", "http_301", None),
        ((200, b"<html>"), "unknown", "answer_unreadable", None),
        ((200, {"data": []}), "unknown", "answer_unreadable", None),
        ((200, None, "before"), "unknown", "connection_cut", None),
        ((200, None, "after"), "unknown", "connection_cut", None),
        ((200, None, 1.5), "unknown", "read_timeout", None),
    ],
)
def test_every_answer_is_one_of_four_ends(
    expo: FakeExpo, monkeypatch: pytest.MonkeyPatch, step: tuple[Any, ...], kind: str, code: str, rest: int | None
) -> None:
    monkeypatch.setattr(push, "_TIMEOUT", httpx.Timeout(0.5))
    expo.then(*step, **({"retry_after": "9"} if step[0] == 429 else {}))
    outcome = send(expo.url, PHONE)
    assert (outcome.kind, outcome.error_code, outcome.account_rest_secs) == (kind, code, rest)
    assert len(expo.headers) == 1


def test_what_never_left_is_deferred() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = send(f"http://127.0.0.1:{unused.getsockname()[1]}", PHONE)
    assert (outcome.kind, outcome.error_code) == ("deferred", "connection_refused")


def test_a_project_that_asks_for_it_is_sent_its_token(expo: FakeExpo) -> None:
    send(expo.url, PHONE, access_token="expo-secret")
    assert {name.lower(): value for name, value in expo.headers[0].items()}["authorization"] == "Bearer expo-secret"
