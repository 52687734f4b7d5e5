"""coach demo: the first run makes the studio, a second one adds nothing; with and without Node."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.cli.conftest import COMMAND
from tests.harness import lacking

from coach_os.settings import Settings
from coach_os.stack.supervisor import down

pytestmark = pytest.mark.slow


class Demo:
    """The demonstration in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.settings = Settings(COACH_HOME=home, COACH_API_PORT=None, COACH_DB_PORT=None)  # type: ignore[call-arg]

    def run(self, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COACH_", "SUPABASE_"))}
        environment = {**kept, "COACH_HOME": str(self.home), "PATH": path or os.environ["PATH"]}
        command = [str(COMMAND), "demo", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    def summary(self, path: str | None = None) -> Any:
        return json.loads(self.run("--json", path=path).stdout)

    def counts(self) -> dict[str, int]:
        """The rows of every table that apps see."""
        state = self.settings.with_embedded()
        assert state.database_url is not None
        with psycopg.connect(state.database_url.get_secret_value()) as connection:
            tables = connection.execute("select tablename from pg_tables where schemaname = 'public' order by 1")
            return {
                name: connection.execute(f"select count(*) from public.{name}").fetchone()[0]  # type: ignore[index]
                for (name,) in tables.fetchall()
            }


@pytest.fixture
def demo() -> Iterator[Demo]:
    home = Path(tempfile.mkdtemp(prefix="coach-demo-"))
    demo = Demo(home)
    yield demo
    down(demo.settings)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def path_without_node(tmp_path: Path) -> str:
    """A PATH with everything but Node."""
    for directory in map(Path, os.environ["PATH"].split(":")):
        for program in directory.iterdir() if directory.is_dir() else ():
            if program.name != "node" and not (tmp_path / program.name).is_symlink():
                (tmp_path / program.name).symlink_to(program)
    return str(tmp_path)


@pytest.fixture
def needs_node() -> None:
    lacking.node()


def answers(summary: Any, who: str) -> list[str]:
    return [scene["answer"] for scene in summary["scenes"] if scene["who"].startswith(who)]


def check_story(summary: Any) -> None:
    """What the demonstration promises to show, whichever way its people came in."""
    used = {row["client_name"]: (row["sessions_used"], row["sessions_total"]) for row in summary["packages"]}
    assert used == {
        "Ben Carter": (0, 6),
        "Jonas Weber": (3, 10),
        "Lena Fischer": (3, 10),
        "Mia Tanaka": (6, 10),
        "Priya Nair": (4, 6),
        "Sofia Rossi": (3, 3),
        "Tom Okafor": (3, 3),
    }
    for name, (counted, _) in used.items():
        entered = [entry["used_delta"] for entry in summary["session_entries"] if entry["client_name"] == name]
        assert sum(entered) == counted, name
    reasons = {entry["reason"] for entry in summary["session_entries"]}
    assert reasons == {
        *("click", "check_in", "completion", "sweep", "no_show", "released", "editor"),
        *("package_exhausted", "package_invalid"),
    }
    settlements = {booking["settlement"] for booking in summary["bookings"]}
    assert settlements == {None, "charged", "waived", "uncovered", "none"}
    # One of the two tabs got the last session, and the click that arrived twice was one.
    assert sorted(answer[:5] for answer in answers(summary, "tab")) == ["false", "true "]
    assert answers(summary, "the same click") == ["true (taken at a click)"]
    assert answers(summary, "another studio's coach")[0].startswith("404 purchase_not_found")
    assert answers(summary, "a second calendar")[0].startswith("409 booking_not_confirmed")
    assert [alert["kind"] for alert in summary["alerts"]] == ["booking_uncovered"]
    # Texts leave by themselves; an answer that arrives twice confirms once.
    assert answers(summary, "Mia Tanaka")[-1] == answers(summary, "the same text")[0] == "true (confirmed)"
    assert {message["status"] for message in summary["messages"]} <= {"delivered", "pending", "cancelled"}
    assert any("Reply Y to confirm" in message["body"] for message in summary["messages"])
    # A deposit is booked once however often it is told, and goes back by the policy.
    assert answers(summary, "Stripe") == ["true (paid: booked once, receipt 8 of 8)"]
    assert answers(summary, "Sofia Rossi")[-1].startswith("true (AUD 25.00 back by the policy, requested")


@pytest.mark.usefixtures("needs_node")
def test_a_second_run_finds_everything_and_adds_nothing(demo: Demo) -> None:
    first = demo.summary()
    check_story(first)
    assert first["made"] > 0
    assert first["supabase_url"]
    counts = demo.counts()
    second = demo.summary()
    check_story(second)
    assert second["made"] == 0
    assert demo.counts() == counts
    for unchanged in ("org_id", "packages", "session_entries", "bookings", "alerts", "scenes"):
        assert second[unchanged] == first[unchanged]
    assert second["seconds"] < 10
    passwords = demo.home / ".coach" / "demo.json"
    assert stat.S_IMODE(passwords.stat().st_mode) == 0o600
    shown = demo.run()
    assert "Where to go next" in shown.stdout
    kept = list(json.loads(passwords.read_text()).values())
    logs = "".join(log.read_text() for log in (demo.home / ".coach").glob("*.log"))
    for said in (shown.stdout, shown.stderr, json.dumps(second), logs):
        assert not any(password in said for password in kept)


@pytest.mark.usefixtures("needs_node")
def test_without_node_it_goes_on_and_node_may_come_later(demo: Demo, path_without_node: str) -> None:
    alone = demo.run("--json", path=path_without_node)
    assert "Node is missing" in alone.stderr
    assert "goes on" in alone.stderr
    first = json.loads(alone.stdout)
    check_story(first)
    assert first["supabase_url"] is None
    assert demo.summary(path=path_without_node)["made"] == 0
    # The people have no password yet; they reset it as anybody would who has forgotten theirs.
    (demo.home / ".coach" / "demo.json").unlink()
    later = demo.summary()
    assert later["made"] == 0
    assert later["supabase_url"]
    assert later["session_entries"] == first["session_entries"]
