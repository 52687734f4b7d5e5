"""The stack as `coach up` starts it, on free ports and in a directory of its own, once per test session."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from coach_os.settings import Settings
from coach_os.stack.postgres import SUPERUSER
from coach_os.stack.state import State
from coach_os.stack.supervisor import down, up
from tests.clients.supabase_js import Client, Driver, missing_packages
from tests.harness import lacking
from tests.harness.log_scan import SCAN

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Somebody who has signed up through Auth: their id, email, and the tab they are signed in with."""

    id: str
    email: str
    tab: Client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tab, name)


class Stack:
    """The running stack: clients of every audience, and the owner's connection to arrange and to look."""

    def __init__(self, state: State, driver: Driver) -> None:
        self.state = state
        self.driver = driver

    @property
    def url(self) -> str:
        """SUPABASE_URL: the front."""
        return self.state.service_url

    def open(self, key: str | None = None, **options: Any) -> Client:
        """A new supabase-js client; without a key, nobody is signed in."""
        return self.driver.open(self.url, key or self.state.publishable_key, **options)

    def service(self, schema: str = "public") -> Client:
        """A client with the secret key."""
        return self.open(self.state.secret_key, schema=schema)

    def sign_up(self, name: str = "person") -> Person:
        """Signs somebody new up, as the app's sign-up page does; they are signed in then."""
        email = f"{name}-{uuid.uuid4().hex[:8]}@example.com"
        tab = self.open()
        data = tab.auth.signUp({"email": email, "password": PASSWORD}).run().ok()
        return Person(data["user"]["id"], email, tab)

    def sign_in(self, person: Person) -> Client:
        """A further tab of somebody who has signed up."""
        tab = self.open()
        tab.auth.signInWithPassword({"email": person.email, "password": PASSWORD}).run().ok()
        return tab

    def token(self, person: Person) -> str:
        """The access token of their session."""
        token: str = person.auth.getSession().run().ok()["session"]["access_token"]
        return token

    @cached_property
    def owner(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection as `postgres`."""
        return psycopg.connect(self.state.database_url, autocommit=True, row_factory=dict_row)

    @cached_property
    def admin(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection as the superuser: for what the owner may not see."""
        url = self.state.url(SUPERUSER, self.state.admin_password)
        return psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def value(self, query: str, *parameters: Any) -> Any:
        """The only column of the only row, as the owner."""
        row = self.owner.execute(query, parameters).fetchone()
        assert row is not None
        (value,) = row.values()
        return value

    def close(self) -> None:
        for name in ("owner", "admin"):
            if name in self.__dict__:
                self.__dict__[name].close()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running stack; skipped with the reason where this machine cannot run the Data API."""
    node = lacking.node()
    if missing_packages():
        lacking.lacking(f"npm packages are missing ({', '.join(missing_packages())})")
    home = Path(tempfile.mkdtemp(prefix="coach-stack-"))
    # Ports are said here: a developer's own would otherwise be taken.
    settings = Settings(COACH_HOME=home, COACH_API_PORT=None, COACH_DB_PORT=None)  # type: ignore[call-arg]
    try:
        state = up(settings).state
        driver = Driver(node)
        running = Stack(state, driver)
        yield running
        SCAN.learn(state.url(SUPERUSER, state.admin_password))
        running.close()
        driver.close()
    finally:
        down(settings)
        SCAN.read(home)
        shutil.rmtree(home, ignore_errors=True)
