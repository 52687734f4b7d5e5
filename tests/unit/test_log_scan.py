"""The scan of the run's logs finds whoever is in them, and nobody in what may be there."""

from pathlib import Path

import pytest
from tests.harness.log_scan import LogScan

USER = "0a412345-6789-4bcd-8123-456789012345"
PEOPLE = [
    ("user id", USER),
    ("email", "jo@kilo.example"),
    ("name", "Jo Bloggs"),
    ("name", "Kilo"),
    ("phone", "0412 345 678"),
    ("token", "11111111-1111-4111-8111-111111111111"),
    ("token", "ExponentPushToken[abc]"),
    ("email", None),
]


def scan(line: str) -> list[str]:
    found = LogScan()
    found.know(PEOPLE)
    found.hear("a test", line)
    return found.findings()


@pytest.mark.parametrize(
    "value",
    [
        *(value for _, value in PEOPLE if value and value != "Kilo"),
        USER.upper(),
        "another.person@elsewhere.example",
        "an%40address.example",
        "+61400000001",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "sb_secret_abcdefghijk",
        "whsec_abcdefghijklmnop",
        "Bearer abcdefghijklmnop",
    ],
)
@pytest.mark.parametrize(
    "form", ['{{"event": "message_sent", "said": "{}"}}', "2026-11-29 02:42 [info     ] sent to={}"]
)
def test_whoever_is_in_a_log_line_is_found(value: str, form: str) -> None:
    assert scan(form.format(value))


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "sweep_finished", "run_id": "22222222-2222-4222-8222-222222222222", "sent": 3}',
        '{"event": "message_tried", "timestamp": "2026-11-29T02:42:18.800544Z", "organisation": "Kilo"}',
        '{"event": "request_finished", "said": "[redacted]"}',
        "a table that people read: Jo Bloggs jo@kilo.example",
    ],
)
def test_ids_counts_and_what_is_no_log_line_are_let_through(line: str) -> None:
    assert scan(line) == []


def test_a_log_file_is_read_whole(tmp_path: Path) -> None:
    # Somebody whom no database knows: the run's own scan reads this file, too.
    (tmp_path / "server.log").write_text("ERROR:  Failing row contains (Zed Quixote)\n")
    (tmp_path / "notes.txt").write_text("Zed Quixote\n")
    found = LogScan()
    found.know([("name", "Zed Quixote")])
    found.read(tmp_path)
    (finding,) = found.findings()
    assert finding.startswith("name in ")
    assert "server.log" in finding
