"""What Stripe calls: who is believed, what is answered, and what is fetched once it is."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from tests.harness import stripe_events as told
from tests.harness.local_stripe import CONNECT_SECRET, KEY, SECRET, signature, signed
from tests.http.conftest import ScriptedDatabase, serving, settings_with

from coach_os.errors import Refusal, Unavailable

PATH = "/functions/v1/stripe-webhook"
SETTINGS = {"stripe_webhook_secrets": f"{SECRET}, {CONNECT_SECRET}"}
EVENT = told.event("checkout.session.completed", told.checkout("pi_1", 100, {}), id="evt_1")


def database(outcome: str = "applied", error: str | None = None) -> ScriptedDatabase:
    answer = {"event_id": "evt_1", "outcome": outcome, "error": error}
    return ScriptedDatabase({"service.receive_stripe_event": answer, "service.claim_stripe_fetches": []})


def post(
    body: bytes,
    headers: Mapping[str, str],
    settings: Mapping[str, Any] = SETTINGS,
    given: ScriptedDatabase | None = None,
    method: str = "POST",
) -> httpx.Response:
    async def once() -> httpx.Response:
        async with serving(settings_with(**settings), given or database()) as client:
            return await client.request(method, PATH, content=body, headers=headers)

    return asyncio.run(once())


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["slug"]


@pytest.mark.parametrize("secret", [SECRET, CONNECT_SECRET])
@pytest.mark.parametrize("outcome", ["applied", "ignored", "refused", "waiting", "braked", "repeated"])
def test_event_of_either_endpoint_is_received(secret: str, outcome: str) -> None:
    given = database(outcome)
    response = post(*signed(EVENT, secret), given=given)
    assert (response.status_code, response.json()) == (200, {"received": True})
    assert given.calls == ["service.receive_stripe_event"], "without a key nothing is fetched"


def test_event_that_failed_is_asked_for_again() -> None:
    assert problem(post(*signed(EVENT), given=database("failed", "sqlstate_22012"))) == (500, "stripe_event_failed")


def test_objects_are_fetched_once_the_answer_is_out() -> None:
    given = database()
    assert post(*signed(EVENT), {**SETTINGS, "stripe_secret_key": KEY}, given).status_code == 200
    assert given.calls == ["service.receive_stripe_event", "service.claim_stripe_fetches"]
    given.answers["service.claim_stripe_fetches"] = Unavailable()
    assert post(*signed(EVENT), {**SETTINGS, "stripe_secret_key": KEY}, given).status_code == 200, (
        "what fails is left to the sweep"
    )


def test_only_what_stripe_signed_just_now_is_believed() -> None:
    body, headers = signed(EVENT)
    old = signed(EVENT, at=time.time() - 301)[1]
    wrong = [
        {},
        {"stripe-signature": ""},
        {"stripe-signature": "t=1"},
        {"stripe-signature": "t=x,v1=y"},
        {"stripe-signature": "v1=00"},
        signature(body.decode(), "whsec_of_somebody"),
        signature("another body"),
        old,
        {"stripe-signature": headers["stripe-signature"].replace("v1=", "v0=")},
    ]
    for given in wrong:
        script = database()
        assert problem(post(body, given, given=script)) == (400, "stripe_signature_wrong"), given
        assert script.calls == [], "nothing is asked of the database for a stranger"
    assert post(*signed(EVENT, at=time.time() - 290)).status_code == 200
    assert problem(post(body + b" ", headers)) == (400, "stripe_signature_wrong")
    assert problem(post(b"\xff", headers)) == (400, "stripe_signature_wrong")


def test_what_is_no_event_is_refused() -> None:
    for body in ("", "[]", "1", '{"object": "list"}', "{", '{"object": "v2.core.event"}'):
        assert problem(post(body.encode(), signature(body))) == (400, "request_invalid"), body
    script = ScriptedDatabase({"service.receive_stripe_event": Refusal(422, "value_not_allowed", "No.")})
    assert problem(post(*signed(EVENT), given=script)) == (400, "request_invalid")


def test_huge_body_is_refused_unread_by_the_database() -> None:
    for size in (600 * 1024, 2 * 1024 * 1024):
        body = json.dumps({**EVENT, "padding": "x" * size})
        script = database()
        assert problem(post(body.encode(), signature(body), given=script)) == (413, "request_too_large")
        assert script.calls == []


def test_service_without_secrets_says_so_and_stripe_tries_again() -> None:
    assert problem(post(*signed(EVENT), {})) == (500, "stripe_webhook_unset")
    assert problem(post(*signed(EVENT), {"stripe_webhook_secrets": " , "})) == (500, "stripe_webhook_unset")


def test_database_that_is_away_is_tried_again_by_stripe() -> None:
    assert problem(post(*signed(EVENT), given=ScriptedDatabase({"service.receive_stripe_event": Unavailable()}))) == (
        503,
        "database_unavailable",
    )
    assert post(b"", {}, method="GET").status_code == 405
