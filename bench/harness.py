"""What every row of the table shares: a durable server of its own, interleaved rounds, and a result with its verdict.

A figure here is a ratio inside one run: each round measures every variant once, right after one another and in an order
that rotates, gives one ratio, and the median of the rounds is the result. Machines differ and are shared, so absolute
figures are shown and never judged.
"""

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

import psycopg
from psycopg import sql

from coach_os.stack.platform import apply_platform
from coach_os.stack.postgres import SUPERUSER, PostgresServer
from coach_os.stack.schemas import load_schemas

BROKEN = 3
"""The exit code when nothing could be measured."""

# In the checkout: a temporary directory may be memory, where a flush costs nothing.
HOME = Path(__file__).parents[1] / ".artifacts"

# Nothing of the server's own may fall into one variant's turn: no checkpoint, no vacuum.
SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "512MB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
}

Variant = Callable[[int], float]
"""Measures one variant in the round of this number; returns calls, rows or whatever is counted, per second."""


@dataclass(frozen=True)
class Size:
    """How much work a run does; `QUICK` shows that everything works, `FULL` is what the targets are meant for."""

    rounds: int
    share: float

    def of(self, full: int, least: int = 1) -> int:
        """A quantity of the full run, scaled down."""
        return max(least, round(full * self.share))


FULL = Size(rounds=7, share=1.0)
QUICK = Size(rounds=3, share=0.05)


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `value` is judged against `target`: a ratio, or a number of things that went wrong. Without a target it is context.
    """

    row: str
    work: str
    against: str
    value: float
    target: float | None = None
    at_most: bool = False
    is_exact: bool = False
    figures: Mapping[str, str] = field(default_factory=dict)
    rounds: tuple[float, ...] = ()

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


class Bench:
    """One run: its server, its size, and where progress is told."""

    def __init__(self, server: PostgresServer, size: Size, advance: Callable[[str], None]) -> None:
        self.server = server
        self.size = size
        self.say = advance
        self._names = count(1)

    def database(self, template: str | None = None) -> str:
        """The name of a new database: a copy of `template`, or one with the schemas of this checkout."""
        name = f"bench_{next(self._names)}"
        create = sql.SQL("create database {} template {} strategy {}").format(
            sql.Identifier(name),
            sql.Identifier(template or "template0"),
            sql.Literal("file_copy" if template else "wal_log"),
        )
        with psycopg.connect(self.server.url("postgres", SUPERUSER), autocommit=True) as connection:
            connection.execute(create + sql.SQL(" owner postgres" if template else ""))
        if template is None:
            apply_platform(self.server.url(name, SUPERUSER))
            load_schemas(self.server.url(name))
        return name

    def own(self, database: str, statement: str) -> None:
        """Runs a statement as the owner of the tables."""
        with psycopg.connect(self.server.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def drop(self, database: str) -> None:
        with psycopg.connect(self.server.url("postgres", SUPERUSER), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))

    def interleave(self, label: str, variants: Mapping[str, Variant]) -> dict[str, list[float]]:
        """The rates of each variant, round by round; a first round warms up and is thrown away."""
        rates: dict[str, list[float]] = {name: [] for name in variants}
        names = list(variants)
        for number in range(self.size.rounds + 1):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                self.say(f"{label}: {name}")
                rate = variants[name](number)
                if number:
                    rates[name].append(rate)
        return rates


def ratios(rates: Mapping[str, list[float]], ours: str, other: str) -> tuple[float, ...]:
    """Ours by the other's, in each round."""
    return tuple(a / b for a, b in zip(rates[ours], rates[other], strict=True))


def per_second(rates: Mapping[str, list[float]], unit: str = "/s") -> dict[str, str]:
    """The medians, for a reader."""
    return {name: f"{median(values):,.0f}{unit}" for name, values in rates.items()}


@contextmanager
def durable_server() -> Iterator[PostgresServer]:
    """A server that flushes every commit to the disk; it and its data are gone afterwards."""
    # An impatient `kill` or a closed terminal must not leave a server behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(BROKEN))
    HOME.mkdir(exist_ok=True)
    # Of this run alone: another one may be under way.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=HOME))
    server = PostgresServer(directory / "data", options=SETTINGS, durable=True)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(directory, ignore_errors=True)
