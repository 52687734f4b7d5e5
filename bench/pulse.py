"""Row K: the pulse of a database with a million messages, against one with a hundredth of them, and in milliseconds.

Alone of all rows this one has a limit in milliseconds, since a monitor has one: fifty, where two processors are shared.
"""

from statistics import median

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import rate
from bench.world import add_sent_messages

MESSAGES = 1_000_000
SHARE = 100
ORGS = 100
CLIENTS = 2_000
CALLS = 100

OURS = "select service.pulse();"


def steps(bench: Bench) -> int:
    return 2 + 2 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """Two lines: how much slower, and how long."""
    databases = {}
    messages = bench.size.of(MESSAGES, 10 * SHARE)
    for name, number in (("ours", messages), ("few", messages // SHARE)):
        bench.say(f"K: seeding {number} messages")
        databases[name] = bench.database()
        add_sent_messages(bench.server, databases[name], orgs=ORGS, clients=CLIENTS, messages=number)
    calls = bench.size.of(CALLS, 10)
    rates = bench.interleave(
        "K",
        {
            name: lambda n, name=name: rate(bench.server, databases[name], OURS, clients=1, calls=calls)
            for name in databases
        },
    )
    for database in databases.values():
        bench.drop(database)
    slower = ratios(rates, "few", "ours")
    work, figures = f"the pulse, {messages:,} messages", per_second(rates)
    milliseconds = tuple(1000 / each for each in rates["ours"])
    return [
        Result(
            "K",
            work,
            f"the same with {messages // SHARE:,}",
            median(slower),
            None,
            True,
            figures=figures,
            rounds=slower,
        ),
        Result("K", "the same", "milliseconds", median(milliseconds), 50, True, rounds=milliseconds),
    ]
