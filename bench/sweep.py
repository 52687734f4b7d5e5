"""Row G: completing overdue bookings and deducting their sessions.

The floor is what the work itself costs: three statements in one transaction on the same tables, which complete, count
and enter everything at once, hold every lock to the end, and check neither validity nor what is left. The peer is a
loop in Python that calls `complete_booking` for each row, by the driver alone. Each turn starts from a fresh copy of
one database.

How much there is to group depends on how many bookings a package has, and the target's text gives no number. Judged are
10,000 packages, as in row A and as this row began. Shown besides are 50,000, which were judged for a while: that number
was chosen after results had been seen, and so was the settled history that lies beside every backlog. The loop is also
shown through the product's own `rpc()`.
"""

import asyncio
import time
from collections.abc import Callable
from statistics import median

import psycopg

from bench.harness import Bench, Result, Variant, per_second, ratios
from bench.world import add_overdue_bookings
from coach_os.database import PostgresDatabase

Work = Callable[[str], tuple[float, int]]
"""Settles bookings of the database at this address; the seconds it took and how many there were."""

ORGS = 100
PACKAGES = 10_000
MORE_PACKAGES = 50_000
BOOKINGS = 100_000
LOOPED = 1_000  # of the same bookings: the loop's rate does not depend on how many follow

FLOOR = """
update public.bookings
   set status = 'completed', completed_at = now(), settlement = 'charged', due_since = null, updated_at = now()
 where status = 'confirmed' and end_time < now();

update public.client_purchases as p
   set sessions_used = p.sessions_used + c.n, entry_count = p.entry_count + c.n
  from (select b.org_id, b.purchase_id, count(*)::integer as n
          from public.bookings as b
         where b.completed_at = now() and b.purchase_id is not null
         group by b.org_id, b.purchase_id) as c
 where p.org_id = c.org_id and p.id = c.purchase_id;

insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason, created_at)
select b.org_id, b.purchase_id, 'use', 1, b.id, 1, 'sweep', now()
  from public.bookings as b
 where b.completed_at = now() and b.purchase_id is not null;
"""

OURS = "select s.completed, s.charged, s.uncovered, s.skipped from service.sweep_overdue_bookings() as s"
LOOP = "select service.complete_booking(%s)"
OVERDUE = """
select id from public.bookings where status = 'confirmed' and end_time < now() order by end_time limit %s
"""

SETTLED = """
select (select count(*) from public.bookings as b where b.status = 'completed' and b.settlement = 'charged'),
       (select count(*) from public.session_entries),
       (select sum(p.sessions_used) from public.client_purchases as p)
"""


def steps(bench: Bench) -> int:
    return 2 + (4 + 2) * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; every ratio is of bookings per second."""
    bookings, packages = bench.size.of(BOOKINGS), bench.size.of(PACKAGES)
    looped = bench.size.of(LOOPED, 100)

    def floor(url: str) -> tuple[float, int]:
        return three_statements(url, bookings)

    work = f"{bookings:,} overdue bookings completed and charged"
    rates = _measure(
        bench,
        packages,
        {
            "ours": sweep,
            "floor": floor,
            "loop": lambda url: loop(url, looped),
            "rpc": lambda url: rpc_loop(url, looped),
        },
    )
    figures = per_second(rates)
    by_floor, by_loop, by_rpc = (ratios(rates, "ours", other) for other in ("floor", "loop", "rpc"))
    more = bench.size.of(MORE_PACKAGES)
    spread = _measure(bench, more, {"ours": sweep, "floor": floor})
    by_spread = ratios(spread, "ours", "floor")
    bare = "three bare statements, one transaction"
    return [
        Result("G", f"{work}, of {packages:,} packages", bare, median(by_floor), 0.8, figures=figures, rounds=by_floor),
        Result("G", "the same", "one call per row from Python", median(by_loop), 20, figures=figures, rounds=by_loop),
        Result("G", "the same", "one rpc() per row from Python", median(by_rpc), figures=figures, rounds=by_rpc),
        Result("G", f"the same, of {more:,}", bare, median(by_spread), figures=per_second(spread), rounds=by_spread),
    ]


def _measure(bench: Bench, packages: int, variants: dict[str, Work]) -> dict[str, list[float]]:
    bench.say("G: seeding")
    bookings = bench.size.of(BOOKINGS)
    template = bench.database()
    add_overdue_bookings(bench.server, template, orgs=bench.size.of(ORGS), packages=packages, bookings=bookings)

    def turn(work: Work) -> float:
        database = bench.database(template)
        url = bench.server.url(database)
        try:
            elapsed, settled = work(url)
            with psycopg.connect(url) as owner:
                assert owner.execute(SETTLED.encode()).fetchone() == (bookings + settled,) * 3
        finally:
            bench.drop(database)
        return settled / elapsed

    def variant(work: Work) -> Variant:
        return lambda _: turn(work)

    rates = bench.interleave("G", {name: variant(work) for name, work in variants.items()})
    bench.drop(template)
    return rates


def sweep(url: str) -> tuple[float, int]:
    """As `coach sweep bookings` does: one call is one batch in its own transaction, until nothing comes back."""
    with psycopg.connect(url, autocommit=True) as connection:
        start, charged = time.perf_counter(), 0
        while any(row := connection.execute(OURS).fetchone() or ()):
            charged += row[1]
        return time.perf_counter() - start, charged


def three_statements(url: str, bookings: int) -> tuple[float, int]:
    """The floor; it settles every booking there is."""
    with psycopg.connect(url, autocommit=True) as connection:
        start = time.perf_counter()
        with connection.transaction():
            connection.execute(FLOOR.encode())
        return time.perf_counter() - start, bookings


def loop(url: str, number: int) -> tuple[float, int]:
    """The peer, over the oldest so many."""
    with psycopg.connect(url, autocommit=True) as connection:
        overdue = connection.execute(OVERDUE, (number,)).fetchall()
        start = time.perf_counter()
        for (booking,) in overdue:
            connection.execute(LOOP, (booking,))
        return time.perf_counter() - start, number


def rpc_loop(url: str, number: int) -> tuple[float, int]:
    """The peer, as the product's own Python would call."""
    with psycopg.connect(url) as connection:
        overdue = connection.execute(OVERDUE, (number,)).fetchall()

    async def complete() -> float:
        async with PostgresDatabase(url) as database:
            start = time.perf_counter()
            for (booking,) in overdue:
                await database.rpc("service.complete_booking", p_booking_id=booking)
            return time.perf_counter() - start

    return asyncio.run(complete()), number
