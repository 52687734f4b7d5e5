"""Row G: finding the automations that are due, 300 of 100,000.

Ours is what the sweep claims by: due, not braked, oldest first, locked and passing over what another worker has. The
floor is the same rows by the partial index alone, locked likewise. Shown besides, and not judged: against the index
without locks; against a table a hundredth of the size, since a sweep must cost what is due and not what exists; and
what the whole sweep does, with firing.
"""

import time
from statistics import median

import psycopg

from bench.harness import Bench, Result, ratios
from bench.pgbench import rate
from coach_os.stack.postgres import SUPERUSER

AUTOMATIONS = 100_000
DUE = 300
ORGS = 1_000
CALLS = 200

OURS = "select count(*) from private.claim_automations(300, now());\n"
FLOOR = """select count(*) from (
  select a.id from public.automations as a where a.next_run_at <= now() order by a.next_run_at limit 300
     for no key update skip locked) as d;
"""
UNLOCKED = """select count(*) from (
  select a.id from public.automations as a where a.next_run_at <= now() order by a.next_run_at limit 300) as d;
"""
SWEEP = "select fired, ok from service.sweep_automations(300)"

_SEED = """
insert into public.orgs (id, name, slug)
select md5('org' || n)::uuid, 'Organisation ' || n, 'org-' || n from generate_series(1, %(orgs)s) as n;

insert into public.clients (org_id, full_name) select o.id, 'A Client' from public.orgs as o;

insert into public.automations (org_id, name, trigger, conditions, actions, guardrails, enabled_at, next_run_at)
select md5('org' || (1 + n %% %(orgs)s))::uuid, 'Automation ' || n, '{"type": "schedule", "schedule": "daily"}', '[]',
       '[{"type": "send_message", "params": {"message": "Hello"}}]', '{}', now(),
       case when n <= %(due)s then now() - n * interval '1 second' else now() + n * interval '10 seconds' end
  from generate_series(1, %(automations)s) as n
 order by md5(n::text);
"""


def steps(bench: Bench) -> int:
    return 2 + 4 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; the judged one is a ratio of time."""
    automations, due = bench.size.of(AUTOMATIONS, 3_000), DUE
    full, small = _database(bench, automations, due), _database(bench, max(automations // 100, due), due)

    def ask(query: str, database: str) -> float:
        return rate(bench.server, database, query, clients=1, calls=bench.size.of(CALLS, 10))

    rates = bench.interleave(
        "G",
        {
            "ours": lambda _: ask(OURS, full),
            "floor": lambda _: ask(FLOOR, full),
            "unlocked": lambda _: ask(UNLOCKED, full),
            "small": lambda _: ask(OURS, small),
        },
    )
    by_floor, by_unlocked, by_small = (ratios(rates, other, "ours") for other in ("floor", "unlocked", "small"))
    figures = {name: f"{1000 / median(values):,.2f} ms" for name, values in rates.items()}
    with psycopg.connect(bench.server.url(full), autocommit=True) as connection:
        start = time.perf_counter()
        assert connection.execute(SWEEP.encode()).fetchone() == (due, due)
        figures["fired"] = f"{due / (time.perf_counter() - start):,.0f} automations/s"
    for database in (full, small):
        bench.drop(database)
    work = f"{due} due automations of {automations:,}, claimed"
    scan = "partial index scan"
    return [
        Result("G", work, f"{scan}, locked", median(by_floor), 1.5, at_most=True, figures=figures, rounds=by_floor),
        Result("G", "the same", f"{scan}, not locked", median(by_unlocked), at_most=True, rounds=by_unlocked),
        Result("G", "the same", "a hundredth of the rows", median(by_small), at_most=True, rounds=by_small),
    ]


def _database(bench: Bench, automations: int, due: int) -> str:
    bench.say("G: seeding")
    database = bench.database()
    with psycopg.connect(bench.server.url(database, SUPERUSER), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in _SEED.split(";\n"):
            parameters = {"orgs": min(ORGS, automations), "automations": automations, "due": due}
            connection.execute(statement.encode(), parameters if "%(" in statement else None)
        connection.execute("vacuum analyze")
    return database
