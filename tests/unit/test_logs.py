"""Logs carry ids and counts; what is personal or secret is taken out wherever it stands."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from coach_os.errors import Refusal
from coach_os.logs import configure_logging, get_logger, redact_event
from coach_os.redaction import REDACTED, is_sensitive, redacted_text

ID = UUID("0a412345-6789-4bcd-8123-456789012345")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged during the test; the logging of the test run is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("debug", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_ids(written: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request_id=str(ID))
    get_logger("coach_os.sweeps").info("sweep_finished", completed=3, run_id=ID, text="two\nlines")
    (event,) = events(written)
    assert event["event"] == "sweep_finished"
    assert event["completed"] == 3
    assert event["run_id"] == event["request_id"] == str(ID)
    assert event["level"] == "info"
    assert datetime.fromisoformat(event["timestamp"]).tzinfo == UTC


def test_a_library_s_records_pass_the_same_redaction(written: io.StringIO) -> None:
    logging.getLogger("psycopg.pool").warning("error connecting: %s", "password=hunter2 for jo@kilo.example")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=ValueError("+61412345678"))
    logging.getLogger("uvicorn.access").error("GET /rest/v1/clients?email=eq.jo@kilo.example")
    logging.getLogger("httpx").info("HTTP Request: GET https://kilo.example/?phone=0412345678")
    text = written.getvalue()
    assert len(events(written)) == 2
    for secret in ("hunter2", "jo@", "412345678"):
        assert secret not in text


def test_an_exception_is_its_types_and_places_without_its_words(written: io.StringIO) -> None:
    try:
        try:
            raise ValueError("Failing row contains (Jo Bloggs, somewhere)")
        except ValueError as error:
            raise Refusal(409, "slot_taken", "That time is taken.") from error
    except Refusal:
        get_logger("coach_os.app").exception("request_failed")
    (event,) = events(written)
    assert "Jo Bloggs" not in written.getvalue()
    assert event["exception"]["type"] == "Refusal"
    assert event["exception"]["slug"] == "slot_taken"
    assert event["exception"]["cause"]["type"] == "ValueError"
    assert "test_logs.py" in event["exception"]["frames"][0]


@pytest.mark.parametrize(
    "secret",
    [
        "jo.bloggs+coach@kilo.example",
        "o'brien@kilo.example",
        "jo%40kilo.example",
        "+61412345678",
        "+61 412 345 678",
        "+61 (0)412-345-678",
        "0412 345 678",
        "0412345678",
        "(04) 1234 5678",
        "555-123-4567",
        "(555) 123-4567",
        "61412345678",
        "0412\u2011345\u2011678",
        "Bearer abc.DEF-123",
        "sb_secret_abcdefghijklmnopqrstuv_12345678",
        "sb_publishable_abcdefghijklmnopqrstuv_12345678",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "sk_live_abcdefghijkl",
        "postgresql://owner:hunter2@db.kilo.example:5432/app",
        "https://kilo.example/portal?token=abcdef123456",
        "host=db.kilo.example password='hunter2'",
        'whatever {"access_token": "abcdef123456"}',
    ],
)
@pytest.mark.parametrize("frame", ["{}", "before {} after", "<{}>", '"{}",', "x:{}", "{0} {0}"])
def test_a_secret_s_form_gives_it_away(secret: str, frame: str) -> None:
    redacted = redacted_text(frame.format(secret))
    assert REDACTED in redacted
    for part in ("jo", "brien", "345", "412", "4567", "abc", "sb_s", "sb_p", "eyJ", "hunter2", "abcdef"):
        assert part not in redacted


@pytest.mark.parametrize(
    "text",
    [
        str(ID),
        f"booking {ID} of org 3f8a1c52-90de-4b7a-9c41-d25e6f708192",
        "2026-11-21T03:26:38.071229+00:00",
        "2026-11-21 03:26:38.071229+00",
        "2026-11-21",
        "20261121032211_baseline.sql",
        "127.0.0.1:54322",
        "service.sweep_overdue_bookings",
        "PT409 package_exhausted",
    ],
)
def test_ids_instants_and_measures_stay(text: str) -> None:
    assert redacted_text(text) == text


@pytest.mark.parametrize("key", ["email", "clientPhone", "x-api-key", "Authorization", "full_name", "user_id", "token"])
def test_a_sensitive_key_withholds_its_value_at_any_depth(key: str) -> None:
    for event in ({key: "Jo"}, {"a": [{"b": ({key: ["Jo"]},)}]}, {"a": {key: {"c": "Jo"}}}):
        assert "Jo" not in json.dumps(redact_event(None, "info", dict(event)))


@pytest.mark.parametrize(
    "key", ["purchase_id", "org_id", "completed", "status", "route", "duration_ms", "slug", "event"]
)
def test_an_ordinary_key_keeps_its_value(key: str) -> None:
    assert not is_sensitive(key)


def test_an_object_is_named_not_shown() -> None:
    class Client:
        def __repr__(self) -> str:
            return "Client(Jo Bloggs)"

    assert redact_event(None, "info", {"event": Client()}) == {"event": "<Client>"}


digits = st.text("0123456789", min_size=9, max_size=12)
separators = st.sampled_from(["", " ", "-", ".", " (", ") ", "\u00a0"])
around = st.text(st.sampled_from("abc ,;:<>\n\t\"'"), max_size=20)


@given(digits, separators, around, around)
def test_no_grouping_hides_a_telephone_number(number: str, separator: str, before: str, after: str) -> None:
    grouped = separator.join([number[:3], number[3:6], number[6:]])
    redacted = redacted_text(f"{before}+{grouped}{after}")
    assert not any(character.isdigit() for character in redacted)


local_parts = st.from_regex(r"[a-z0-9]([a-z0-9.+_-]{0,20}[a-z0-9])?", fullmatch=True)
domains = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True)


@given(local_parts, domains, around, around)
def test_no_surroundings_hide_an_address(local: str, domain: str, before: str, after: str) -> None:
    assert "@" not in redacted_text(f"{before}{local}@{domain}{after}")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_whatever_is_passed_can_be_written_on_one_line(event: dict[str, Any]) -> None:
    written = json.dumps(redact_event(None, "info", dict(event)), allow_nan=False)
    assert len(written.splitlines()) == 1


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redacted_text(text)
    assert redacted_text(once) == once


@pytest.mark.timeout(5)
@pytest.mark.parametrize("piece", ["a", "1-", "a.", "x://", "token", " ", "bearer ", "eyJ", "(", "sb_secret_", "a@"])
def test_a_long_text_costs_one_pass(piece: str) -> None:
    redacted_text(piece * (200_000 // len(piece)))
