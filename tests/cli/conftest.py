"""The `coach` command over a test's own database: in this process, and as a shell would start it."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.harness.database import Database
from tests.harness.log_scan import SCAN

from coach_cli.main import main

COMMAND = Path(sys.executable).parent / "coach"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: starts a whole stack; takes seconds")


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said on which stream."""

    code: int
    out: str
    err: str

    def __post_init__(self) -> None:
        SCAN.hear("coach", self.err)

    @property
    def data(self) -> Any:
        """What `--json` printed."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    def refused(self, *words: str) -> None:
        """A rule said no: one sentence and a hint on stderr, nothing on stdout, exit 1."""
        self._failed(1, words)
        assert self.out == ""

    def misused(self, *words: str) -> None:
        """Wrong usage: a sentence on stderr, exit 2."""
        self._failed(2, words)

    def broke(self, *words: str) -> None:
        """The machine is at fault: a sentence on stderr, exit 3."""
        self._failed(3, words)

    def _failed(self, code: int, words: tuple[str, ...]) -> None:
        assert self.code == code, (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        said = " ".join(self.err.split())
        assert said
        for word in words:
            assert word in said


Coach = Callable[..., Ran]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a command: nothing of the developer's, and a database that is not there."""
    for name in os.environ:
        if name.startswith(("COACH_", "SUPABASE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", "postgresql://postgres@127.0.0.1:9/postgres")
    monkeypatch.setenv("COACH_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield monkeypatch
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def coach_alone(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Coach:
    """`coach` without a database, for what must end before one is asked."""

    def run(*arguments: object) -> Ran:
        environment.setattr(sys, "argv", ["coach", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def coach(coach_alone: Coach, environment: pytest.MonkeyPatch, db: Database) -> Coach:
    """Runs a command in this process, from the arguments to the exit code: `coach("org", "list", "--json").data`."""
    environment.setenv("DATABASE_URL", db.url)
    return coach_alone


@pytest.fixture
def process(environment: pytest.MonkeyPatch, db: Database) -> Coach:
    """Runs a command as a shell does."""
    environment.setenv("DATABASE_URL", db.url)

    def run(*arguments: object, environment: Mapping[str, str] | None = None) -> Ran:
        command = [str(COMMAND), *map(str, arguments)]
        done = subprocess.run(
            command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=120
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
