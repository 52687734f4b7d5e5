"""Row C: a backlog of 100,000 texts, claimed and recorded in batches of 100, by one worker and by four.

The peer is pgmq, whose SQL its package on PyPI carries: read with a visibility timeout, then archive, in the same
batches. It moves a payload; ours decides besides whether each text may leave now (limits, quiet hours, opt-outs, what
became of its booking), and keeps every attempt. The other peer is procrastinate with one worker, whose rate does not
depend on how many jobs follow, so that fewer are run.

Nothing is sent: every text is recorded as accepted.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from importlib.resources import files
from statistics import median
from typing import Any, NamedTuple

import psycopg

from bench.harness import Bench, Result, Variant, per_second, ratios
from bench.world import add_texts

TEXTS = 100_000
ORGS = 1_000
CLIENTS = 50_000
BATCH = 100
JOBS = 1_000
QUEUE = "texts"

CLAIM = "select org_id, id, claim, to_phone, body from service.claim_messages(%s, %s)"
RECORD = "select recorded from service.record_messages(%s)"
READ = "select msg_id, message from pgmq.read(%s, 120, %s)"
ARCHIVE = "select count(*) from pgmq.archive(%s, %s)"

FILL_QUEUE = """
select pgmq.create(%(queue)s);
select pgmq.send_batch(%(queue)s, array_agg(
         jsonb_build_object('to', '+614' || lpad(n::text, 8, '0'), 'body', 'See you at 9:00 am. Reply Y.')))
  from generate_series(1, %(texts)s) as n;
analyze
"""
FILL_JOBS = """
insert into procrastinate_jobs (queue_name, task_name, args)
select 'texts', 'send',
       jsonb_build_object('to', '+614' || lpad(n::text, 8, '0'), 'body', 'See you at 9:00 am. Reply Y.')
  from generate_series(1, %(texts)s) as n;
analyze
"""

Batch = Callable[[psycopg.Connection[Any], str], int]
"""Takes one batch and settles it; how many it was."""


class Peer(NamedTuple):
    """A backlog in a database of its own, and the batch that empties it."""

    template: str
    batch: Batch
    left: str


def steps(bench: Bench) -> int:
    return 3 + 3 * 2 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; every ratio is of texts per second."""
    texts = bench.size.of(TEXTS, 2 * BATCH)
    bench.say("C: seeding")
    ours = Peer(bench.database(), outbox_batch, "select count(*) from public.outbox_messages where status <> 'sent'")
    add_texts(bench.server, ours.template, orgs=bench.size.of(ORGS, 2), clients=bench.size.of(CLIENTS, 20), texts=texts)
    pgmq = Peer(bench.database(), pgmq_batch, f"select count(*) from pgmq.q_{QUEUE}")
    fill_queue(bench.server.url(pgmq.template), texts)
    jobs = bench.database()
    fill_jobs(bench.server.url(jobs), texts)

    def emptied(peer: Peer, workers: int) -> Variant:
        return lambda _: _turn(bench, peer, workers, texts)

    def looped(_: int) -> float:
        database = bench.database(jobs)
        try:
            return asyncio.run(procrastinate_rate(bench.server.url(database), bench.size.of(JOBS, 20)))
        finally:
            bench.drop(database)

    results = []
    for workers in (1, 4):
        variants = {"ours": emptied(ours, workers), "pgmq": emptied(pgmq, workers)}
        if workers == 1:
            variants["procrastinate"] = looped
        rates = bench.interleave("C", variants)
        figures = per_second(rates)
        work = f"{texts:,} texts, batches of {BATCH}, {workers} worker{'s' * (workers > 1)}"
        by_pgmq = ratios(rates, "ours", "pgmq")
        results.append(Result("C", work, "pgmq read + archive", median(by_pgmq), 1.2, figures=figures, rounds=by_pgmq))
        if workers == 1:
            by_jobs = ratios(rates, "ours", "procrastinate")
            results.append(
                Result(
                    "C", "the same", "procrastinate, one worker", median(by_jobs), 20, figures=figures, rounds=by_jobs
                )
            )
    for template in (ours.template, pgmq.template, jobs):
        bench.drop(template)
    return results


def _turn(bench: Bench, peer: Peer, workers: int, texts: int) -> float:
    database = bench.database(peer.template)
    url = bench.server.url(database)
    try:
        elapsed, done = drain(url, peer.batch, workers)
        with psycopg.connect(url) as owner:
            assert owner.execute(peer.left.encode()).fetchone() == (0,)
            assert done == texts
    finally:
        bench.drop(database)
    return texts / elapsed


def drain(url: str, batch: Batch, workers: int) -> tuple[float, int]:
    """Empties a backlog by so many workers at once: (seconds, how many)."""
    connections = [psycopg.connect(url, autocommit=True) for _ in range(workers)]
    done = [0] * workers
    barrier = threading.Barrier(workers + 1)

    def work(number: int) -> None:
        barrier.wait()
        while taken := batch(connections[number], f"worker{number}"):
            done[number] += taken

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return elapsed, sum(done)


def outbox_batch(connection: psycopg.Connection[Any], worker: str) -> int:
    """As the sweep does: claim, (send,) record; each a transaction of its own."""
    rows = connection.execute(CLAIM, (worker, BATCH)).fetchall()
    if not rows:
        return 0
    results = [
        {
            "org_id": str(org_id),
            "id": str(message_id),
            "claim": str(claim),
            "outcome": "sent",
            "provider": "twilio",
            "provider_message_id": f"SM{message_id.hex}",
            "provider_status": "queued",
            "http_status": 201,
        }
        for org_id, message_id, claim, _, _ in rows
    ]
    row = connection.execute(RECORD, (json.dumps(results),)).fetchone()
    assert row == (len(rows),)
    return len(rows)


def pgmq_batch(connection: psycopg.Connection[Any], worker: str) -> int:
    """The peer's: read, (send,) archive."""
    rows = connection.execute(READ, (QUEUE, BATCH)).fetchall()
    if not rows:
        return 0
    row = connection.execute(ARCHIVE, (QUEUE, [message_id for message_id, _ in rows])).fetchone()
    assert row == (len(rows),)
    return len(rows)


def fill_queue(url: str, texts: int) -> None:
    """Installs pgmq and queues as many payloads."""
    install = (files("pgmq.sql") / "pgmq.sql").read_text(encoding="utf-8")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(install.encode())
        with psycopg.ClientCursor(owner) as cursor:
            cursor.execute(FILL_QUEUE.encode(), {"queue": QUEUE, "texts": texts})


def fill_jobs(url: str, texts: int) -> None:
    """Installs procrastinate and defers as many jobs."""
    from procrastinate.schema import SchemaManager

    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(SchemaManager.get_schema().encode())
        with psycopg.ClientCursor(owner) as cursor:
            cursor.execute(FILL_JOBS.encode(), {"texts": texts})


async def procrastinate_rate(url: str, jobs: int) -> float:
    """Jobs per second of its own worker, from the first of them to the last."""
    from procrastinate import App, PsycopgConnector

    app = App(connector=PsycopgConnector(conninfo=url))
    moments: list[float] = []
    enough = asyncio.Event()

    @app.task(name="send", queue=QUEUE)
    async def send(to: str, body: str) -> None:
        moments.append(time.perf_counter())
        if len(moments) > jobs:
            enough.set()

    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=1, install_signal_handlers=False, listen_notify=False)
        )
        await asyncio.wait({worker, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    return jobs / (moments[jobs] - moments[0])
