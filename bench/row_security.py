"""Row F: one organisation's bookings among all organisations', as its coach under row level security and without.

Judged are a month of the calendar, in order, at most 100, as the existing app lists it; and `count(*)` of all an
organisation has. Both variants send the same text with the same organisation; the floor sends it as the owner, whom no
policy binds. The share that policies take depends on how much work a row is otherwise, so two counts with the
dashboard's conditions are shown besides: over a month, and over everything.
"""

from statistics import median

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import rate
from bench.world import add_calendars

ORGS = 1_000
BOOKINGS = 1_000_000
CLIENTS_EACH = 20
CALLS = 3_000

LIST = """select b.id, b.start_time, b.end_time, b.status, b.session_type, b.client_confirmed, b.purchase_id
  from public.bookings as b
 where b.org_id = md5('org' || :org)::uuid
   and b.start_time >= now() - interval '15 days' and b.start_time < now() + interval '15 days'
 order by b.start_time
 limit 100;
"""

COUNT = "select count(*) from public.bookings as b where b.org_id = md5('org' || :org)::uuid;"

_NOT_CANCELLED = """select count(*)
  from public.bookings as b
 where b.org_id = md5('org' || :org)::uuid
   and b.start_time >= now() - interval '{0}' and b.start_time < now() + interval '{0}' and b.status <> 'cancelled';
"""
MONTH_COUNT = _NOT_CANCELLED.format("15 days")
YEARS_COUNT = _NOT_CANCELLED.format("1 year")


def steps(bench: Bench) -> int:
    return 1 + 4 * 2 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; a ratio is of time, so that 1.5 reads as half as long again."""
    bench.say("F: seeding")
    orgs, bookings = bench.size.of(ORGS), bench.size.of(BOOKINGS)
    database = bench.database()
    add_calendars(bench.server, database, orgs=orgs, clients=orgs * CLIENTS_EACH, bookings=bookings)
    among = f"of one organisation's bookings, {bookings:,} rows, {orgs:,} organisations"
    results = [
        _compare(bench, database, "list", LIST, f"list {among}", 1.6),
        _compare(bench, database, "count", COUNT, f"count {among}", 1.3),
        _compare(bench, database, "month", MONTH_COUNT, "the same, a month's that are not cancelled", None),
        _compare(bench, database, "years", YEARS_COUNT, "the same, all that are not cancelled", None),
    ]
    bench.drop(database)
    return results


def _compare(bench: Bench, database: str, label: str, query: str, work: str, target: float | None) -> Result:
    def ask(org: int, coach: str | None) -> float:
        return rate(bench.server, database, query, coach=coach, clients=1, calls=bench.size.of(CALLS, 100), org=org)

    # Another organisation in each round: what is in memory is the same for both.
    rates = bench.interleave(
        f"F {label}", {"ours": lambda n: ask(n + 1, f"coach{n + 1}"), "floor": lambda n: ask(n + 1, None)}
    )
    slower = ratios(rates, "floor", "ours")
    floor, figures = "the same query without row level security", per_second(rates)
    return Result("F", work, floor, median(slower), target, at_most=True, figures=figures, rounds=slower)
