"""What is known not to work yet, or never will, each with its reason: expected.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.contract.replay.calls import Call

FILE = Path(__file__).with_name("expected.toml")


@dataclass(frozen=True)
class Expected:
    """The problem that a call must have, and why; `domain` is what it waits for, None when it is refused on purpose."""

    problem: str
    why: str
    domain: str | None


@cache
def _refused() -> dict[str, Expected]:
    entries = tomllib.loads(FILE.read_text())["refused"]
    return {
        site: Expected(entry["problem"], entry["why"], entry.get("comes_with"))
        for entry in entries
        for site in entry["sites"]
    }


@cache
def absent() -> dict[str, str]:
    """The domain that each absent table, function or service comes with."""
    domains: dict[str, list[str]] = tomllib.loads(FILE.read_text())["absent"]
    return {name: domain for domain, names in domains.items() for name in names}


def listed_sites() -> set[str]:
    """Every place in the apps' source that is listed as refused."""
    return set(_refused())


def expected(call: Call) -> Expected | None:
    """What must come of a call; None when it must succeed."""
    name = call.table or call.function or call.kind
    if name in absent():
        return Expected(f"no {name}", f"comes with {absent()[name]}", absent()[name])
    return _refused().get(call.sites[0])
