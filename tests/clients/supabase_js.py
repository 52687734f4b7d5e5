"""supabase-js from Python: the calls a test writes down are made by the real library, in one Node process."""

import itertools
import json
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).parent / "js" / "driver.mjs"
#: What it needs beside Node; `npm install` without development packages leaves it out.
PACKAGES = ("@supabase/supabase-js", "ws")
#: supabase-js members that are no Python names.
_NAMES = {"from_": "from", "in_": "in", "is_": "is", "not_": "not", "or_": "or"}


@dataclass(frozen=True)
class Answer:
    """What an awaited call resolved to; `status` is None where supabase-js does not tell (auth)."""

    status: int | None
    data: Any
    count: int | None
    error: dict[str, Any] | None

    @property
    def slug(self) -> str | None:
        """The slug of a refusal by one of our rules: what apps branch on."""
        return self.error["details"] if self.error and str(self.error["code"]).startswith("PT") else None

    @property
    def refusal(self) -> tuple[int | None, str | None]:
        """Status and slug."""
        return self.status, self.slug

    def ok(self) -> Any:
        """The data, of a call that must have succeeded."""
        assert self.error is None, f"{self.status} {self.error}"
        return self.data


class Call:
    """A chain of supabase-js calls, sent by `run()`: `client.from_("orgs").select("*").single().run().ok()`."""

    def __init__(self, client: "Client", steps: tuple[tuple[Any, ...], ...] = ()) -> None:
        self.client = client
        self.steps = steps

    def step(self, member: str, *arguments: Any) -> "Call":
        """The chain with one more call."""
        return Call(self.client, (*self.steps, (member, *arguments)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *arguments: self.step(_NAMES.get(name, name), *arguments)

    def run(self) -> Answer:
        """Makes the call and waits for its answer."""
        return Answer(**self.client.driver.ask(self.command))

    @property
    def command(self) -> dict[str, Any]:
        return {"client": self.client.name, "steps": self.steps}


@dataclass(frozen=True)
class Client:
    """One supabase-js client with its own session: a browser tab, a phone, a server."""

    driver: "Driver"
    name: str

    def __getattr__(self, name: str) -> Any:
        return getattr(Call(self), name)

    @property
    def auth(self) -> Call:
        """What comes after `supabase.auth.`."""
        return Call(self, (("auth",),))


def missing_packages() -> list[str]:
    """The npm packages that the driver cannot find."""
    modules = Path(__file__).parents[2] / "node_modules"
    return [package for package in PACKAGES if not (modules / package).exists()]


class Driver:
    """The Node process that holds the clients."""

    def __init__(self, node: str) -> None:
        self._process = subprocess.Popen(
            [node, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self, url: str, key: str, **options: Any) -> Client:
        """A new client; options: schema, headers."""
        name = f"client_{next(self._numbers)}"
        self.ask({"open": name, "url": url, "key": key, **options})
        return Client(self, name)

    def together(self, *calls: Call) -> list[Answer]:
        """Makes all calls at once, as tabs do that do not know of each other."""
        return [Answer(**result) for result in self.ask({"together": [call.command for call in calls]})]

    def ask(self, command: dict[str, Any]) -> Any:
        with self._lock:
            number = next(self._numbers)
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"id": number, **command}, default=str) + "\n")
            reply = json.loads(self._process.stdout.readline())
        assert reply["id"] == number
        if "failed" in reply:
            raise AssertionError(f"supabase-js threw: {reply['failed']}")
        return reply["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
