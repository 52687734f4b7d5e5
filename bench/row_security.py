"""Row F: one organisation's bookings among all organisations', as its coach under row level security and without.

The queries are the existing app's: a month of the calendar, in order, at most 100; and the dashboard's number of
bookings that were not cancelled, here of all the organisation has. Both variants send the same text with the same
organisation; the floor sends it as the owner, whom no policy binds. A bare `count(*)` is shown besides: it is answered
from an index alone, where looking at a row to ask whose it is costs as much as counting it.
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

COUNT = """select count(*)
  from public.bookings as b
 where b.org_id = md5('org' || :org)::uuid
   and b.start_time >= now() - interval '1 year' and b.start_time < now() + interval '1 year'
   and b.status <> 'cancelled';
"""

INDEX_COUNT = "select count(*) from public.bookings as b where b.org_id = md5('org' || :org)::uuid;"


def steps(bench: Bench) -> int:
    return 1 + 3 * 2 * (bench.size.rounds + 1)


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
        _compare(bench, database, "index", INDEX_COUNT, f"count(*) {among}, from the index", None),
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
