"""Row A: `use_session` from 32 clients, over 10,000 packages and on one.

The floor is one statement on the same tables: it takes, checks validity and enters the ledger, with no function, no
policy, no permission and no look at the request id. The peer of correctness is what an app does without a rule: read
the counter, add one, write it back.
"""

from statistics import median

import psycopg

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import rate, seeded_id
from bench.world import add_packages

CLIENTS = 32
PACKAGES = 10_000
SPARE = 64  # fresh packages behind the others: one for each turn on a hot row
CALLS = 200
SESSIONS = 20_000

_ANY = "\\set package random(1, :packages)\n"

OURS = "select public.use_session(md5('package' || :package)::uuid, null, gen_random_uuid());"

FLOOR = """with taken as (
  update public.client_purchases as p
     set sessions_used = p.sessions_used + 1, entry_count = p.entry_count + 1
   where p.id = md5('package' || :package)::uuid and p.sessions_used < p.sessions_total and p.valid_during @> now()
  returning p.org_id, p.id)
insert into public.session_entries (org_id, purchase_id, kind, used_delta, request_id, answer, reason, actor_id)
select t.org_id, t.id, 'use', 1, gen_random_uuid(), 1, 'click', md5('coach1')::uuid from taken as t
returning true;
"""

# Tables as an app without rules would have them: what the keys, checks and indexes of ours cost besides.
BARE_TABLES = """
create table public.bare_packages (
  id uuid primary key, used integer not null default 0, total integer not null, expires_at timestamptz
) with (fillfactor = 70);
create table public.bare_entries (
  id uuid primary key default gen_random_uuid(), package_id uuid not null, request_id uuid unique, actor_id uuid,
  created_at timestamptz not null default clock_timestamp()
);
create index on public.bare_entries (package_id, created_at);
insert into public.bare_packages (id, total, expires_at)
select p.id, p.sessions_total, p.expires_at from public.client_purchases as p;
"""

BARE = """with taken as (
  update public.bare_packages as p
     set used = p.used + 1
   where p.id = md5('package' || :package)::uuid and p.used < p.total and p.expires_at > now()
  returning p.id)
insert into public.bare_entries (package_id, request_id, actor_id)
select t.id, gen_random_uuid(), md5('coach1')::uuid from taken as t
returning true;
"""

READ_THEN_WRITE = """select p.used from public.bare_packages as p where p.id = md5('package' || :package)::uuid \\gset
update public.bare_packages as p set used = :used + 1 where p.id = md5('package' || :package)::uuid;
"""

BALANCE = """
select p.sessions_used, p.sessions_total, coalesce(sum(e.used_delta), 0), count(*) filter (where e.answer = 1),
       count(*) filter (where e.answer = 0)
  from public.client_purchases as p
  left join public.session_entries as e on e.org_id = p.org_id and e.purchase_id = p.id
 where p.id = %s
 group by p.org_id, p.id
"""


def steps(bench: Bench) -> int:
    return 1 + (3 + 2) * (bench.size.rounds + 1) + 2


def run(bench: Bench) -> list[Result]:
    """The row's lines; every ratio is of takes per second."""
    bench.say("A: seeding")
    packages = bench.size.of(PACKAGES, 200)
    database = bench.database()
    add_packages(bench.server, database, orgs=1, packages=packages + SPARE, sessions=SESSIONS)
    with psycopg.connect(bench.server.url(database)) as owner:
        owner.execute(BARE_TABLES)
    results = [*_many(bench, database, packages), *_hot(bench, database, packages), *_exact(bench, database, packages)]
    bench.drop(database)
    return results


def _many(bench: Bench, database: str, packages: int) -> list[Result]:
    def take(script: str, coach: str | None = None) -> float:
        return rate(
            bench.server,
            database,
            _ANY + script,
            coach=coach,
            clients=CLIENTS,
            calls=bench.size.of(CALLS, 10),
            packages=packages,
        )

    rates = bench.interleave(
        "A", {"ours": lambda _: take(OURS, "coach1"), "floor": lambda _: take(FLOOR), "bare": lambda _: take(BARE)}
    )
    work, figures = f"use_session, {packages:,} packages, {CLIENTS} clients", per_second(rates)
    floor, bare = ratios(rates, "ours", "floor"), ratios(rates, "ours", "bare")
    return [
        Result("A", work, "one statement, no function, no policy", median(floor), 0.60, figures=figures, rounds=floor),
        Result("A", work, "the same on tables without keys and checks", median(bare), figures=figures, rounds=bare),
    ]


def _hot(bench: Bench, database: str, packages: int) -> list[Result]:
    # A package for each turn: its row's versions must not slow the next one down.
    def take(package: int, script: str, coach: str | None = None) -> float:
        calls = bench.size.of(CALLS // 2, 10)
        return rate(bench.server, database, script, coach=coach, clients=CLIENTS, calls=calls, package=package)

    rates = bench.interleave(
        "A hot",
        {
            "ours": lambda n: take(packages + 2 * n + 1, OURS, "coach1"),
            "floor": lambda n: take(packages + 2 * n + 2, FLOOR),
        },
    )
    hot = ratios(rates, "ours", "floor")
    work = f"use_session, one hot package, {CLIENTS} clients"
    figures = per_second(rates)
    return [Result("A", work, "one statement, no function, no policy", median(hot), 0.80, figures=figures, rounds=hot)]


def _exact(bench: Bench, database: str, packages: int) -> list[Result]:
    """What gets lost and what is overspent when 32 clients want half as many sessions again as there are."""
    calls = bench.size.of(CALLS // 2, 10)
    wanted, total = CLIENTS * calls, CLIENTS * calls * 2 // 3
    hot, contested = packages + SPARE - 1, packages + SPARE
    with psycopg.connect(bench.server.url(database), autocommit=True) as owner:
        bench.say("A: a client that reads, then writes")
        rate(bench.server, database, READ_THEN_WRITE, clients=CLIENTS, calls=calls, package=hot)
        counted = one(owner, "select used from public.bare_packages where id = %s", hot)[0]
        rate(bench.server, database, OURS, coach="coach1", clients=CLIENTS, calls=calls, package=hot)
        used, _, entered, answered, _ = one(owner, BALANCE, hot)
        lost = abs(wanted - used) + abs(wanted - entered) + abs(wanted - answered)

        bench.say("A: more clicks than sessions")
        owner.execute(
            "update public.client_purchases set sessions_total = %s, entry_count = entry_count + 1 where id = %s",
            (total, seeded_id(f"package{contested}")),
        )
        rate(bench.server, database, OURS, coach="coach1", clients=CLIENTS, calls=calls, package=contested)
        used, total, entered, answered, refused = one(owner, BALANCE, contested)
        overspent = abs(used - total) + abs(entered - total) + abs(answered - total) + abs(wanted - total - refused)
    peer = f"a client's read, then write, lost {1 - counted / wanted:.1%}"
    wanting = f"{wanted:,} clicks, {total:,} sessions"
    return [
        Result("A", f"deductions lost of {wanted:,}, one hot package", peer, lost, 0, at_most=True, is_exact=True),
        Result(
            "A", f"sessions overspent, {wanting}", "the ledger's balance", overspent, 0, at_most=True, is_exact=True
        ),
    ]


def one(owner: psycopg.Connection, query: str, package: int) -> tuple[int, ...]:
    """The numbers of one row about the package of this number."""
    row = owner.execute(query.encode(), (seeded_id(f"package{package}"),)).fetchone()
    assert row is not None
    return tuple(int(value) for value in row)
