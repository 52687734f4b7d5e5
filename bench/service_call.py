"""Row I: a call through the product's own `rpc()` against the driver alone.

The call is one that reads a package's ledger: short, so that the way there is most of what it costs. Both variants keep
eight calls in flight on one event loop; the driver has its connections, its role and its prepared statement ready and
does nothing else.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

import psycopg

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import seeded_id
from bench.world import add_packages
from coach_os.database import PostgresDatabase

IN_FLIGHT = 8
CALLS = 400
DIRECT = "select * from service.list_session_entries(%s)"

Call = Callable[[], Awaitable[object]]


def steps(bench: Bench) -> int:
    return 1 + 2 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's line, of calls per second."""
    bench.say("I: seeding")
    database = bench.database()
    add_packages(bench.server, database, orgs=1, packages=10, sessions=10)
    url, calls = bench.server.url(database), bench.size.of(CALLS, 50)
    rates = bench.interleave(
        "I",
        {
            "ours": lambda _: asyncio.run(through_the_product(url, calls)),
            "driver": lambda _: asyncio.run(by_the_driver(url, calls)),
        },
    )
    bench.drop(database)
    share = ratios(rates, "ours", "driver")
    work = f"a short call through rpc(), {IN_FLIGHT} in flight"
    return [Result("I", work, "psycopg alone", median(share), 0.35, figures=per_second(rates), rounds=share)]


async def through_the_product(url: str, calls: int) -> float:
    async with PostgresDatabase(url, min_size=IN_FLIGHT, max_size=IN_FLIGHT) as database:
        purchase = seeded_id("package1")

        async def call() -> object:
            return await database.rpc("service.list_session_entries", p_purchase_id=purchase)

        return await _rate([call] * IN_FLIGHT, calls)


async def by_the_driver(url: str, calls: int) -> float:
    connections = [
        await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=0, options="-c role=service_role")
        for _ in range(IN_FLIGHT)
    ]
    try:
        return await _rate([_caller(connection) for connection in connections], calls)
    finally:
        for connection in connections:
            await connection.close()


def _caller(connection: psycopg.AsyncConnection) -> Call:
    purchase = seeded_id("package1")

    async def call() -> object:
        cursor = await connection.execute(DIRECT, (purchase,))
        return await cursor.fetchall()

    return call


async def _rate(callers: list[Call], calls: int) -> float:
    async def repeat(call: Call, times: int) -> None:
        for _ in range(times):
            await call()

    await asyncio.gather(*(repeat(call, 3) for call in callers))
    start = time.perf_counter()
    await asyncio.gather(*(repeat(call, calls) for call in callers))
    return calls * len(callers) / (time.perf_counter() - start)
