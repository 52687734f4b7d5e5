"""What the stack remembers: kept from others, whole or refused, and the settings that read it."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from coach_os.settings import InvalidSettings, Settings, read_environment
from coach_os.stack.errors import StackError
from coach_os.stack.state import STATE_FILE, locked, new_state, read_state, write_state


def test_a_state_is_read_as_it_was_written_and_by_nobody_else(directory: Path) -> None:
    state = new_state()
    write_state(directory, state)
    assert read_state(directory) == state
    assert (directory / STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_two_states_share_nothing() -> None:
    one, two = new_state(), new_state()
    for secret in ("publishable_key", "secret_key", "jwt_secret", "admin_password", "owner_password"):
        assert getattr(one, secret) != getattr(two, secret)
    assert one.publishable_key.startswith("sb_publishable_")
    assert one.secret_key.startswith("sb_secret_")


def test_no_state_is_no_error(directory: Path) -> None:
    assert read_state(directory) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"processes": {}}', "null", "\0\0\0"])
def test_a_damaged_state_is_named(directory: Path, content: str) -> None:
    (directory / STATE_FILE).write_text(content)
    with pytest.raises(StackError, match="is damaged"):
        read_state(directory)


@pytest.mark.parametrize(("key", "value"), [("db_port", "5432"), ("secret_key", ""), ("format", 99), ("more", 1)])
def test_a_state_with_a_strange_value_is_damaged(directory: Path, key: str, value: object) -> None:
    write_state(directory, new_state())
    kept = json.loads((directory / STATE_FILE).read_text())
    (directory / STATE_FILE).write_text(json.dumps({**kept, key: value}))
    with pytest.raises(StackError, match="is damaged"):
        read_state(directory)


def test_a_second_command_waits_for_the_first(directory: Path) -> None:
    order: list[str] = []
    inside = threading.Event()

    def first() -> None:
        with locked(directory):
            inside.set()
            time.sleep(0.2)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with locked(directory):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_command_does_not_wait_for_ever(directory: Path) -> None:
    with locked(directory), pytest.raises(StackError, match="for too long"), locked(directory, seconds=0.1):
        pass


def test_a_home_that_is_a_file_is_named(directory: Path) -> None:
    (directory / "file").write_text("")
    with pytest.raises(StackError, match="cannot be used"), locked(directory / "file"):
        pass


def test_the_environment_goes_before_the_embedded_stack(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / ".coach").mkdir()
    state = new_state()
    write_state(directory / ".coach", state)
    monkeypatch.setenv("COACH_HOME", str(directory))
    embedded = read_environment().with_embedded()
    assert embedded.database_url
    assert embedded.database_url.get_secret_value() == state.database_url
    assert not embedded.is_remote
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/postgres")
    remote = read_environment().with_embedded()
    assert remote.is_remote
    # Keys of one project are never sent to another.
    assert remote.supabase_secret_key is None


def test_an_unreadable_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COACH_API_PORT", "99999")
    monkeypatch.setenv("COACH_POOL_SIZE", "many")
    with pytest.raises(InvalidSettings) as refused:
        read_environment()
    assert refused.value.message == "These environment variables cannot be read: COACH_API_PORT, COACH_POOL_SIZE."


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert not read_environment().is_remote


def test_every_variable_is_described_and_secrets_hide_themselves() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
    settings = Settings.model_validate({"DATABASE_URL": "postgresql://me:hush@host/db", "CRON_SECRET": "hush"})
    assert "hush" not in repr(settings)


@pytest.mark.parametrize("name", ["HOME", "DEBUG", "USER", "PATH"])
def test_common_variables_are_not_taken_for_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, os.environ.get(name) or "1")
    settings = read_environment()
    assert (settings.home, settings.debug) == (None, False)
