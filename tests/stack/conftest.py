"""Servers and stacks of a test's own, in short-lived directories."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.harness.fixtures import wanted_versions

from coach_os.settings import Settings
from coach_os.stack.accounts import SYSTEM_ACCOUNT
from coach_os.stack.binaries import Binaries
from coach_os.stack.postgres import PostgresServer
from coach_os.stack.supervisor import down
from coach_os.stack.versions import find_binaries

COACH = Path(sys.executable).parent / "coach"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "binaries" in metafunc.fixturenames:
        versions = wanted_versions(metafunc.config)
        metafunc.parametrize("binaries", versions, indirect=True, ids=[f"pg{version}" for version in versions])


@pytest.fixture
def binaries(request: pytest.FixtureRequest) -> Binaries:
    """Each PostgreSQL that this run is about."""
    return find_binaries(request.param)


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory with a short name, which a socket's path needs."""
    path = Path(tempfile.mkdtemp(prefix="coach-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_server(directory: Path) -> Iterator[Callable[..., PostgresServer]]:
    """Makes servers over `directory/data` that are gone when the test is."""
    made: list[PostgresServer] = []

    def make(**options: object) -> PostgresServer:
        server = PostgresServer(directory / "data", **({"durable": False} | options))  # type: ignore[arg-type]
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop("immediate")


@pytest.fixture
def settings(directory: Path) -> Iterator[Settings]:
    """The settings of a stack of the test's own, which is stopped when the test is over."""
    settings = Settings.model_validate({"COACH_HOME": directory})
    yield settings
    (directory / ".coach" / "stack.json").unlink(missing_ok=True)
    down(settings)


@pytest.fixture
def coach(directory: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the `coach` command as a shell would, on a stack in `directory`."""

    def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "COACH_HOME": str(directory), **(environment or {})}
        return subprocess.run([COACH, *arguments], env=env, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture
def another_user() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs Python code as an ordinary user; only root can, and only where a Python is found that others may execute."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    try:
        account = pwd.getpwnam(SYSTEM_ACCOUNT)
    except KeyError:
        pytest.skip("no server has been started as root yet")

    def run(code: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        packages = [
            *(p for p in sys.path if "site-packages" in p),
            str(Path(__file__).parents[2] / "supabase/functions_py"),
        ]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(packages), "HOME": "/tmp"}
        return subprocess.run(
            [python, "-c", code], user=account.pw_uid, group=account.pw_gid, extra_groups=[], env=env, cwd="/",
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    probe = f"import sys, psycopg; assert sys.version_info[:2] == {sys.version_info[:2]}"
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if run(probe, python).returncode == 0:
                return lambda code: run(code, python)
        except OSError:
            continue
    pytest.skip("no Python that another user may execute")
