"""The `coach` command: one clear sentence and an exit code for whatever is wrong, data on stdout, talk on stderr."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.harness.database import Database

from coach_cli import main, output
from coach_os.errors import Refusal, Unavailable
from coach_os.stack.state import new_state, write_state

Coach = Callable[..., subprocess.CompletedProcess[str]]


def test_before_the_first_up_status_says_so(coach: Coach, directory: Path) -> None:
    result = coach("status", "--json")
    assert result.returncode == 3
    assert {part["state"] for part in json.loads(result.stdout)["parts"]} == {"stopped"}
    assert coach("down").returncode == 0
    assert list(directory.iterdir()) == []


def test_status_on_a_terminal_or_a_pipe_shows_no_secret(coach: Coach, directory: Path) -> None:
    (directory / ".coach").mkdir()
    state = new_state()
    write_state(directory / ".coach", state)
    shown = coach("status").stdout
    assert state.publishable_key in shown
    for secret in (state.secret_key, state.owner_password, state.admin_password, state.jwt_secret):
        assert secret not in shown
    assert json.loads(coach("status", "--json").stdout)["SUPABASE_SECRET_KEY"] == state.secret_key


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_a_damaged_state_is_one_sentence(coach: Coach, directory: Path, command: str) -> None:
    (directory / ".coach").mkdir()
    (directory / ".coach" / "stack.json").write_text("{")
    result = coach(command)
    assert (result.returncode, result.stdout) == (3, "")
    assert "stack.json is damaged." in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_cluster_is_one_sentence(coach: Coach, directory: Path) -> None:
    (directory / ".coach" / "postgres").mkdir(parents=True)
    (directory / ".coach" / "postgres" / "PG_VERSION").write_text("18\n")
    result = coach("up")
    assert (result.returncode, result.stdout) == (3, "")
    assert "cannot be used" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_home_that_cannot_be_used_is_one_sentence(coach: Coach, directory: Path) -> None:
    (directory / ".coach").write_text("")
    result = coach("up")
    assert result.returncode == 3
    assert "cannot be used" in result.stderr


def test_an_unreadable_variable_is_one_sentence(coach: Coach) -> None:
    result = coach("status", environment={"COACH_POOL_SIZE": "many"})
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("These environment variables cannot be read: COACH_POOL_SIZE.")


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--api-port", "99999"], ["up", "--nonsense"]])
def test_wrong_usage_exits_with_2(coach: Coach, arguments: list[str]) -> None:
    result = coach(*arguments)
    assert (result.returncode, result.stdout) == (2, "")


def test_a_remote_database_is_left_alone(coach: Coach, directory: Path, bare_db: Database) -> None:
    remote = {"DATABASE_URL": bare_db.url}
    for command in ("up", "down"):
        result = coach(command, environment=remote)
        assert result.returncode == 0
        assert "DATABASE_URL names a database elsewhere" in result.stderr
    result = coach("status", environment=remote)
    assert result.returncode == 0
    assert "migrations are pending" in result.stdout
    assert list(directory.iterdir()) == []


def test_a_remote_that_does_not_answer_exits_with_3(coach: Coach) -> None:
    result = coach("status", "--json", environment={"DATABASE_URL": "postgresql://127.0.0.1:1/postgres"})
    assert result.returncode == 3
    assert json.loads(result.stdout)["parts"] == [{"part": "postgres", "state": "unreachable", "where": None}]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal(409, "package_exhausted", "No sessions are left.", "Sell a package."), 1),
        (Unavailable(), 3),
        (ValueError("emil@example.com"), 3),
    ],
)
def test_an_error_becomes_a_sentence_and_a_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.delenv("COACH_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "emil" not in said
    monkeypatch.setenv("COACH_DEBUG", "1")
    with pytest.raises(type(error)):
        main.main()


def test_rows_align_in_a_pipe_and_are_whole_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "Émile", "left": 12, "hidden": 1},
        {"name": "Bo\n\x1b[31m", "left": 3},
        {"name": None, "left": None},
    ]
    output.print_rows(rows, {"name": "client", "left": "sessions left"})
    assert capsys.readouterr().out.splitlines() == [
        "client    sessions left",
        "Émile                12",
        "Bo  [31m              3",
        "-                     -",
    ]
    output.print_rows(rows[:1], ["name", "left"], json=True)
    assert json.loads(capsys.readouterr().out) == [{"name": "Émile", "left": 12}]
