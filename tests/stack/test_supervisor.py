"""up, down and status: quick when there is nothing to do, whole or not at all, and never against each other."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from coach_os.settings import Settings
from coach_os.stack import supervisor
from coach_os.stack.data_api import NoDataApi, find_node
from coach_os.stack.errors import PortInUse
from coach_os.stack.migrations import pending
from coach_os.stack.processes import is_alive, strays
from coach_os.stack.state import read_state
from coach_os.stack.status import local_status

Coach = Callable[..., subprocess.CompletedProcess[str]]

try:
    HAS_NODE = bool(find_node())
except NoDataApi:
    HAS_NODE = False
PARTS = ["postgres", "data_api", "service"] if HAS_NODE else ["postgres", "service"]


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def kill(pid: int | None) -> None:
    assert pid
    os.kill(pid, signal.SIGKILL)
    # The test is the parent of what it started: reaping makes the id vanish as it would in a shell.
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)


def states(settings: Settings) -> dict[Any, Any]:
    return {part["part"]: part["state"] for part in local_status(settings).parts}


def test_a_stack_lives_through_up_crashes_and_down(settings: Settings) -> None:
    first = supervisor.up(settings)
    assert first.started == PARTS
    assert pending(first.state.database_url) == []
    assert states(settings) == {part: "running" if part in PARTS else "stopped" for part in states(settings)}

    started = time.monotonic()
    again = supervisor.up(settings)
    assert (again.started, again.applied) == ([], [])
    assert time.monotonic() - started < 3

    for part in PARTS[1:]:
        kill(again.state.processes[part].pid)
        assert states(settings)[part] == "stopped"
        assert supervisor.up(settings).started == [part]

    with psycopg.connect(first.state.database_url) as connection:
        connection.execute("create table public.kept as select 1 as id")
    kill(supervisor.postgres_server(first.state, settings.stack_home).pid)
    assert states(settings)["postgres"] == "stopped"
    assert supervisor.up(settings).started == ["postgres"]

    assert sorted(supervisor.down(settings)) == sorted(PARTS)
    assert set(states(settings).values()) == {"stopped"}
    assert supervisor.down(settings) == []

    # A state that was lost costs keys, not data.
    (settings.stack_home / "stack.json").unlink()
    anew = supervisor.up(settings)
    assert anew.state.secret_key != first.state.secret_key
    with psycopg.connect(anew.state.database_url) as connection:
        assert connection.execute("select id from public.kept").fetchone() == (1,)


def test_two_ups_at_once_start_one_stack(settings: Settings, coach: Coach) -> None:
    results: list[subprocess.CompletedProcess[str]] = []
    threads = [threading.Thread(target=lambda: results.append(coach("up", "--json"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0], [result.stderr for result in results]
    one, two = (json.loads(result.stdout) for result in results)
    assert one == two
    assert len(strays(settings.stack_home)) == len(PARTS) - 1
    assert sorted("Everything was running already." in result.stderr for result in results) == [False, True]


@pytest.mark.parametrize("variable", ["COACH_DB_PORT", "COACH_API_PORT"])
def test_a_taken_port_starts_nothing(settings: Settings, coach: Coach, variable: str) -> None:
    with taken_port() as port:
        result = coach("up", environment={variable: str(port)})
    assert (result.returncode, result.stdout) == (3, "")
    message, hint = result.stderr.strip().splitlines()
    assert str(port) in message
    assert variable in hint
    assert not (settings.stack_home / "postgres").exists()
    assert read_state(settings.stack_home) is None


def test_what_a_failing_up_started_is_stopped_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PortInUse(1, "a test")

    monkeypatch.setattr(supervisor, "start_service", fail)
    with pytest.raises(PortInUse):
        supervisor.up(settings)
    assert set(states(settings).values()) == {"stopped"}
    assert strays(settings.stack_home) == []


def test_ports_are_kept_and_can_be_chosen(settings: Settings) -> None:
    first = supervisor.up(settings).state
    with taken_port() as port:
        pass
    moved = supervisor.up(settings.model_copy(update={"api_port": port}))
    assert (moved.started, moved.state.api_port) == (["service"], port)
    assert moved.state.db_port == first.db_port
    supervisor.down(settings)
    assert supervisor.up(settings).state.api_port == port


def test_without_node_everything_else_goes_on(settings: Settings, coach: Coach, directory: Path) -> None:
    (directory / "bin").mkdir()
    result = coach("up", "--json", environment={"PATH": str(directory / "bin")})
    assert result.returncode == 0, result.stderr
    assert "Node is missing" in result.stderr
    found = json.loads(result.stdout)
    assert found["SUPABASE_URL"] is None
    assert {part["part"]: part["state"] for part in found["parts"]} == {
        "postgres": "running", "data_api": "stopped", "service": "running"
    }  # fmt: skip
    if HAS_NODE:  # it was installed meanwhile
        assert supervisor.up(settings).started == ["data_api", "service"]


def test_the_service_ends_with_its_process_id_recorded(settings: Settings) -> None:
    state = supervisor.up(settings).state
    assert is_alive(state.processes["service"])
    supervisor.down(settings)
    assert not is_alive(state.processes["service"])
    assert strays(settings.stack_home) == []
