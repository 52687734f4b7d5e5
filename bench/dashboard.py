"""Row J: an organisation's dashboard among a thousand organisations', as its owner, against the same among ten.

What others have must not cost: the dashboard is asked for every minute by everybody who has it open. The seed's coaches
are made owners, who may read finances: every section is computed.
"""

from statistics import median

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import rate
from bench.world import add_businesses

ORGS = 1_000
FEW = 10
BOOKINGS_EACH = 1_000
CLIENTS_EACH = 20
CALLS = 300

OURS = "select public.dashboard(md5('org' || :org)::uuid);"
OWNERS = "update public.org_members set role = 'owner'"


def steps(bench: Bench) -> int:
    return 2 + 2 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's line; the ratio is of time."""
    databases = {}
    for name, orgs in (("ours", bench.size.of(ORGS, FEW)), ("few", FEW)):
        bench.say(f"J: seeding {orgs} organisations")
        databases[name] = bench.database()
        add_businesses(
            bench.server, databases[name], orgs=orgs, clients=orgs * CLIENTS_EACH, bookings=orgs * BOOKINGS_EACH
        )
        bench.own(databases[name], OWNERS)
    calls = bench.size.of(CALLS, 20)

    def ask(name: str, number: int) -> float:
        org = 1 + number % FEW
        return rate(bench.server, databases[name], OURS, coach=f"coach{org}", clients=1, calls=calls, org=org)

    rates = bench.interleave("J", {name: lambda n, name=name: ask(name, n) for name in databases})
    slower = ratios(rates, "few", "ours")
    for database in databases.values():
        bench.drop(database)
    orgs = bench.size.of(ORGS, FEW)
    work = f"a dashboard, {orgs * BOOKINGS_EACH:,} bookings, {orgs:,} organisations"
    against = f"the same among {FEW} organisations"
    return [Result("J", work, against, median(slower), 1.5, True, figures=per_second(rates), rounds=slower)]
