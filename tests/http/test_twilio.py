"""What Twilio calls: who is believed, what is read from a form, and what is answered."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest
from cryptography.fernet import Fernet
from tests.harness.fake_twilio import SID, TOKEN, inbound_form, signed
from tests.http.conftest import ScriptedDatabase, serving, settings_with

from coach_os.errors import Unavailable
from coach_os.providers.secrets import Keyring

BASE = "https://hooks.kilo.example"
INBOUND = ("/functions/v1/sms-inbound", "/api/sms-inbound", "/api/sms/webhook")
STATUS = "/functions/v1/twilio-webhook"
SENDER = "+61412345678"
OWN_SID = "AC" + "2" * 32
KEY = Fernet.generate_key().decode()
PLATFORM = {"public_url": BASE, "twilio_account_sid": SID, "twilio_auth_token": TOKEN, "encryption_key": KEY}


class Asked(ScriptedDatabase):
    """Keeps what each function was called with."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(answers)
        self.asked: dict[str, dict[str, Any]] = {}

    async def rpc(self, name: str, /, **params: Any) -> Any:
        self.asked[name] = params
        return await super().rpc(name, **params)


def post(
    path: str,
    form: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    *,
    database: ScriptedDatabase | None = None,
    settings: Mapping[str, Any] = PLATFORM,
    body: bytes | None = None,
) -> httpx.Response:
    answers = {"service.receive_sms": {"outcome": "message", "reply": None}, "service.record_sms_status": "recorded"}
    answers["service.twilio_secrets"] = []
    database = database or ScriptedDatabase(answers)
    given = {**(signed(BASE + path, form) if headers is None else headers)}
    given["content-type"] = "application/x-www-form-urlencoded"

    async def once() -> httpx.Response:
        async with serving(settings_with(**settings), database) as client:
            return await client.post(path, content=urlencode(form).encode() if body is None else body, headers=given)

    return asyncio.run(once())


def receiving(reply: str | None = None) -> Asked:
    return Asked({"service.receive_sms": {"outcome": "message", "reply": reply}, "service.twilio_secrets": []})


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["slug"]


@pytest.mark.parametrize("path", INBOUND)
def test_every_address_takes_a_text_in_and_answers_twiml(path: str) -> None:
    database = receiving("Thank you, Zoë & Co <3")
    response = post(path, inbound_form("y", sender=SENDER, sid="SM1"), database=database)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    twiml = ElementTree.fromstring(response.text)
    assert [(part.tag, part.text) for part in twiml] == [("Message", "Thank you, Zoë & Co <3")]
    assert database.asked["service.receive_sms"] == {
        "p_message_sid": "SM1",
        "p_account_sid": SID,
        "p_to": "+61400000000",
        "p_from": SENDER,
        "p_body": "y",
        "p_media_count": 0,
    }


def test_nothing_to_answer_is_empty_twiml() -> None:
    response = post(INBOUND[0], inbound_form("hello", sender=SENDER))
    assert list(ElementTree.fromstring(response.text)) == []


@pytest.mark.parametrize(
    ("body", "more", "expected"),
    [
        ("Grüße 🏋️\u200d♀️ \u202eRTL", {}, ("Grüße 🏋️\u200d♀️ \u202eRTL", 0)),
        ("", {}, ("", 0)),
        ("", {"NumMedia": "3", "MediaUrl0": "https://api.twilio.com/x"}, ("", 3)),
        ("photo", {"NumMedia": "one"}, ("photo", 0)),
        ("x" * 1600, {}, ("x" * 1600, 0)),
        ("x" * 30_000, {}, ("x" * 10_000, 0)),
        ("nul\x00byte & plus+ %41 = ;", {}, ("nulbyte & plus+ %41 = ;", 0)),
        ("line\r\nbreak", {"Empty": ""}, ("line\r\nbreak", 0)),
    ],
    ids=str,
)
def test_a_body_is_read_as_it_was_sent(body: str, more: dict[str, str], expected: tuple[str, int]) -> None:
    database = receiving()
    assert post(INBOUND[0], inbound_form(body, sender=SENDER, **more), database=database).status_code == 200
    asked = database.asked["service.receive_sms"]
    assert (asked["p_body"], asked["p_media_count"]) == expected


FORM = inbound_form("y", sender=SENDER, sid="SM1")


@pytest.mark.parametrize("path", [*INBOUND, STATUS])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Twilio-Signature": ""},
        {"X-Twilio-Signature": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        signed(BASE + INBOUND[0], FORM, "another token"),
        signed("https://elsewhere.example" + INBOUND[0], FORM),
        signed(BASE + INBOUND[0], {**FORM, "Body": "n"}),
        {"X-Twilio-Signature": "f\u00fcr".encode("latin-1").decode("latin-1")},
    ],
    ids=["missing", "empty", "invented", "other token", "other address", "other form", "no ascii"],
)
def test_what_twilio_did_not_sign_is_403_and_touches_nothing(path: str, headers: dict[str, Any]) -> None:
    database = ScriptedDatabase({})
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    assert problem(post(path, FORM, encoded, database=database)) == (403, "signature_wrong")
    assert database.calls == []


def test_without_a_token_nothing_is_believed() -> None:
    for token in ("", "x"):
        headers = signed(BASE + INBOUND[0], FORM, token)
        settings = {"public_url": BASE}
        assert problem(post(INBOUND[0], FORM, headers, settings=settings)) == (403, "signature_wrong")


def test_each_of_two_tokens_is_believed_while_one_is_replaced() -> None:
    settings = PLATFORM | {"twilio_auth_token": f"new, {TOKEN}"}
    for token in (TOKEN, "new"):
        headers = signed(BASE + INBOUND[0], FORM, token)
        assert post(INBOUND[0], FORM, headers, settings=settings).status_code == 200
    assert post(INBOUND[0], FORM, signed(BASE + INBOUND[0], FORM, "old"), settings=settings).status_code == 403


def test_an_organisation_s_own_account_signs_with_its_own_token() -> None:
    form = {**FORM, "AccountSid": OWN_SID}
    answers = {
        "service.twilio_secrets": [Keyring(KEY).encrypt("theirs")],
        "service.receive_sms": {"outcome": "message", "reply": None},
    }
    for token, status in (("theirs", 200), (TOKEN, 403)):
        database = Asked(answers)
        headers = signed(BASE + INBOUND[0], form, token)
        assert post(INBOUND[0], form, headers, database=database).status_code == status
        assert database.asked["service.twilio_secrets"] == {"p_account_sid": OWN_SID}
    # With its account named, one organisation's token speaks for no other account.
    assert post(INBOUND[0], FORM, signed(BASE + INBOUND[0], FORM, "theirs")).status_code == 403


def test_a_token_that_cannot_be_read_is_our_fault() -> None:
    form = {**FORM, "AccountSid": OWN_SID}
    database = ScriptedDatabase({"service.twilio_secrets": [Keyring(KEY).encrypt("theirs")]})
    settings = {key: value for key, value in PLATFORM.items() if key != "encryption_key"}
    response = post(INBOUND[0], form, signed(BASE + INBOUND[0], form, "theirs"), database=database, settings=settings)
    assert problem(response) == (500, "encryption_key_missing")


@pytest.mark.parametrize(
    ("settings", "signed_for"),
    [
        ({"public_url": f"{BASE}/"}, BASE),
        ({"public_url": f"{BASE}:8443"}, f"{BASE}:8443"),
        ({"public_url": f"{BASE}/coach"}, f"{BASE}/coach"),
        ({"public_url": None, "service_url": BASE}, BASE),
        # Twilio signs with the port or without it; either is the same address.
        ({"public_url": f"{BASE}:443"}, BASE),
        ({"public_url": None}, "http://service.test"),
    ],
    ids=str,
)
def test_the_address_is_the_one_that_twilio_calls_whatever_proxies_stand_before(
    settings: dict[str, Any], signed_for: str
) -> None:
    given = {key: value for key, value in {**PLATFORM, **settings}.items() if value is not None}
    headers = signed(signed_for + INBOUND[0], FORM)
    assert post(INBOUND[0], FORM, headers, settings=given).status_code == 200
    # What a caller writes about itself changes nothing.
    forged = headers | {"host": "elsewhere.example", "x-forwarded-host": "elsewhere.example"}
    expected = 200 if "public_url" in given or "service_url" in given else 403
    assert post(INBOUND[0], FORM, forged, settings=given).status_code == expected


@pytest.mark.parametrize("missing", ["MessageSid", "From", "To"])
def test_a_form_without_what_it_needs_is_400(missing: str) -> None:
    form = {key: value for key, value in FORM.items() if key != missing and not key.startswith("Sms")}
    assert problem(post(INBOUND[0], form)) == (400, "request_invalid")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 500, b"%ff=%fe"])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    assert post(INBOUND[0], {}, body=body).status_code in (400, 403)


def test_a_status_is_passed_on_with_our_id_and_without_numbers() -> None:
    message = UUID(int=7)
    path = f"{STATUS}?message={message}"
    form = {
        "AccountSid": SID,
        "MessageSid": "SM1",
        "MessageStatus": "undelivered",
        "ErrorCode": "30003",
        "To": SENDER,
        "From": "+61400000000",
    }
    database = Asked({"service.record_sms_status": "recorded"})
    response = post(path, form, database=database)
    assert (response.status_code, response.text) == (200, "OK")
    assert database.asked["service.record_sms_status"] == {
        "p_message_id": message,
        "p_provider_message_id": "SM1",
        "p_status": "undelivered",
        "p_error_code": "30003",
        "p_payload": {"MessageStatus": "undelivered", "ErrorCode": "30003"},
    }


def test_a_status_of_a_message_that_does_not_name_ours_is_taken_too() -> None:
    database = Asked({"service.record_sms_status": "kept"})
    form = {"AccountSid": SID, "SmsSid": "SM1", "SmsStatus": "delivered"}
    assert post(STATUS, form, database=database).status_code == 200
    asked = database.asked["service.record_sms_status"]
    assert (asked["p_message_id"], asked["p_provider_message_id"], asked["p_status"]) == (None, "SM1", "delivered")


def test_our_id_cannot_be_exchanged_under_a_signature() -> None:
    form = {"AccountSid": SID, "MessageSid": "SM1", "MessageStatus": "delivered"}
    headers = signed(f"{BASE}{STATUS}?message={UUID(int=7)}", form)
    assert post(f"{STATUS}?message={UUID(int=8)}", form, headers).status_code == 403
    assert post(STATUS, form, headers).status_code == 403


def test_a_database_that_is_away_is_503_so_that_twilio_asks_elsewhere() -> None:
    database = ScriptedDatabase({"service.receive_sms": Unavailable()})
    assert problem(post(INBOUND[0], FORM, database=database)) == (503, "database_unavailable")


def test_the_log_holds_nothing_of_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    form = inbound_form("my secret code is heron", sender=SENDER)
    post(INBOUND[0], form)
    post(INBOUND[0], form, {})
    post(INBOUND[0], form, database=ScriptedDatabase({"service.receive_sms": RuntimeError(f"heron {SENDER}")}))
    log = capsys.readouterr().err
    assert log.count("request_finished") == 3
    for secret in ("heron", SENDER, "412345678", TOKEN, form["MessageSid"]):
        assert secret not in log
