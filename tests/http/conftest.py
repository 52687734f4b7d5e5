"""The service as a test wants it: its settings given, no environment read, its log kept."""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
import pytest
import structlog

from coach_os.app import create_app
from coach_os.database import Database
from coach_os.settings import Settings

SECRET = "correct horse battery staple"


class ScriptedDatabase:
    """Answers each function by what the test says: a value, or an error to raise."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.calls: list[str] = []

    async def rpc(self, name: str, /, **params: Any) -> Any:
        self.calls.append(name)
        if name not in self.answers and name.startswith(("service.claim_", "service.list_")):
            # A sweep that carries to a provider has nothing to carry.
            return {"due": 0} if params.get("p_dry_run") else []
        if name not in self.answers and name.endswith("_state"):
            return defaultdict(int)
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def settings_with(**values: Any) -> Settings:
    """Settings as the environment would give them, from nothing but `values`."""
    known = {name: field.validation_alias for name, field in Settings.model_fields.items()}
    named = {getattr(known[name], "choices", [known[name]])[0]: value for name, value in values.items()}
    return Settings.model_validate(named)


@asynccontextmanager
async def serving(
    settings: Settings, database: Database | None = None, peer: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which has been started as a server starts it; it calls from the address `peer`."""
    app = create_app(settings, database)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 40_000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service.test") as client,
    ):
        yield client


Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The service takes over the process's logging; other tests get theirs back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
