"""The doctor's look at settings and endpoints: each planted fault is found, alone, and no value is told."""

import base64
import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.http.conftest import settings_with

from coach_os.doctor.configuration import examine_settings
from coach_os.doctor.database import expected_grants, follow
from coach_os.doctor.stripe_endpoints import EVENTS, judge
from coach_os.providers.stripe import API_VERSION


def key_of(role: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"e30.{claims}.c2ln"


HEALTHY: dict[str, Any] = {
    "database_url": "postgresql://postgres@db.example.com/postgres",
    "supabase_publishable_key": key_of("anon"),
    "supabase_secret_key": key_of("service_role"),
    "cron_secret": "0123456789abcdef0123456789abcdef",
    "public_url": "https://api.kilo.example",
    "encryption_key": Fernet.generate_key().decode(),
    "twilio_account_sid": "AC" + "0" * 32,
    "twilio_auth_token": "f" * 32,
    "stripe_secret_key": "sk_live_0123456789",
    "stripe_webhook_secrets": "whsec_one,whsec_two",
    "cors_origins": "https://app.kilo.example",
}

FAULTS = [
    ("secret_placeholder", {"stripe_webhook_secrets": "whsec_changeme"}),
    ("cron_secret_weak", {"cron_secret": "hunter2"}),
    ("cron_secret_unset", {"cron_secret": None}),
    ("twilio_sid_form", {"twilio_account_sid": "SK" + "0" * 32}),
    ("twilio_token_form", {"twilio_auth_token": "hunter2"}),
    ("twilio_half_set", {"twilio_auth_token": None}),
    ("stripe_key_form", {"stripe_secret_key": "pk_live_0123456789"}),
    ("stripe_webhook_secret_form", {"stripe_webhook_secrets": "whsec_one,hunter2"}),
    ("stripe_webhook_secrets_unset", {"stripe_webhook_secrets": None}),
    ("encryption_key_invalid", {"encryption_key": "hunter2"}),
    ("encryption_key_missing", {"encryption_key": None}),
    ("secret_key_is_public", {"supabase_secret_key": key_of("anon")}),
    ("publishable_key_is_secret", {"supabase_publishable_key": key_of("service_role")}),
    ("public_url_unset", {"public_url": None}),
    ("public_url_insecure", {"public_url": "http://api.kilo.example"}),
    ("cors_open", {"cors_origins": "*"}),
]


def test_healthy_settings_are_silent() -> None:
    assert examine_settings(settings_with(**HEALTHY)) == []


def test_the_embedded_stack_needs_none_of_it() -> None:
    assert examine_settings(settings_with()) == []


@pytest.mark.parametrize(("check", "change"), FAULTS, ids=[check for check, _ in FAULTS])
def test_a_planted_fault_is_found_and_no_other(check: str, change: dict[str, Any]) -> None:
    values = {name: value for name, value in (HEALTHY | change).items() if value is not None}
    (finding,) = examine_settings(settings_with(**values))
    assert finding.check == check
    assert finding.fix
    told = json.dumps(finding.as_json())
    for secret in ("hunter2", "changeme", *map(str, change.values())):
        assert secret not in told or secret.startswith("http") or len(secret) < 5


ENDPOINT: dict[str, Any] = {
    "id": "we_1",
    "url": "https://api.kilo.example/functions/v1/stripe-webhook",
    "status": "enabled",
    "api_version": API_VERSION,
    "enabled_events": list(EVENTS),
}


def checks(*endpoints: dict[str, Any], public_url: str | None = "https://api.kilo.example/") -> list[str]:
    return [finding.check for finding in judge(endpoints, public_url)]


def test_endpoints_that_hear_everything_are_silent() -> None:
    assert checks(ENDPOINT) == []
    assert checks(ENDPOINT | {"enabled_events": ["*"]}) == []
    assert checks(ENDPOINT, public_url=None) == []
    # A platform endpoint and one for Connect share the events between them.
    halves = (ENDPOINT | {"enabled_events": list(EVENTS[:9])}, ENDPOINT | {"enabled_events": list(EVENTS[9:])})
    assert checks(*halves) == []
    assert checks(ENDPOINT, {**ENDPOINT, "url": "https://elsewhere.example/hook", "status": "disabled"}) == []


def test_each_fault_of_an_endpoint_is_found() -> None:
    assert checks() == ["stripe_endpoint_missing"]
    assert checks(ENDPOINT | {"url": "https://old.kilo.example/functions/v1/stripe-webhook"}) == [
        "stripe_endpoint_missing"
    ]
    assert checks(ENDPOINT, ENDPOINT | {"id": "we_2", "status": "disabled"}) == ["stripe_endpoint_disabled"]
    assert checks(ENDPOINT | {"api_version": None}) == ["stripe_endpoint_unpinned"]
    (missing,) = judge([ENDPOINT | {"enabled_events": list(EVENTS[2:])}], "https://api.kilo.example")
    assert (missing.check, missing.count) == ("stripe_events_missing", 2)
    assert EVENTS[0] in missing.fix


def test_what_an_endpoint_that_is_off_would_send_is_missing() -> None:
    assert checks(ENDPOINT | {"status": "disabled"}) == ["stripe_endpoint_disabled", "stripe_events_missing"]


def test_the_migrations_say_who_may_call_what() -> None:
    granted = expected_grants()
    assert granted["public.use_session"] == ["authenticated"]
    assert granted["service.health"] == ["service_role"]
    assert "anon" in granted["public.public_page"]
    assert "private.take_session" not in granted


def test_grants_follow_the_statements_in_their_order() -> None:
    granted: dict[str, set[str]] = {}
    follow(granted, ["grant execute on function public.a(uuid, text), public.b() to authenticated"])
    follow(granted, ["-- no more\nrevoke all on function public.a(uuid, text) from public, authenticated"])
    follow(granted, ["grant select on public.orgs to anon", "grant execute on function public.a(uuid, text) to anon"])
    assert granted == {"public.a": {"anon"}, "public.b": {"authenticated"}}
