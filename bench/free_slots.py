"""Row E: the free slots of 10 staff over 30 days with 5,000 bookings.

Ours is `find_slots` as the signed-in coach calls it: the starts on a grid of 15 minutes at which half an hour and the
buffer after it fit, with staff, end and rank, in order. The floor fetches the busy rows alone, which anyone who
calculates elsewhere has to do first; both are asked by pgbench, so that no client's parsing hides the difference. The
peer fetches hours and busy rows in Python and calculates the same starts (without ranks) with `portion`, a library of
intervals; against it ours is asked from Python too, and the answers are compared before anything is measured.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

import portion  # type: ignore[import-untyped]
import psycopg

from bench.harness import Bench, Result, ratios
from bench.pgbench import claims, rate
from bench.world import add_diaries

STAFF = 10
DAYS = 30
BOOKINGS = 5_000
CALLS = 100
TIMEZONE = "Australia/Brisbane"
LENGTH, BUFFER, STEP = timedelta(minutes=30), timedelta(minutes=15), timedelta(minutes=15)

OURS = """select s.start_time, s.end_time, s.staff_id, s.rank, s.seats_left
  from public.find_slots(md5('org1')::uuid, current_date + 1, current_date + 30, p_duration_mins => 30) as s;
"""
BUSY = """select o.staff_id, lower(o.blocked), upper(o.blocked)
  from private.occupancies as o
 where o.org_id = md5('org1')::uuid
   and o.starts_at >= (current_date + 1)::timestamp at time zone 'Australia/Brisbane'
   and o.starts_at < (current_date + 31)::timestamp at time zone 'Australia/Brisbane';
"""
HOURS = (
    "select a.day_of_week, a.start_time, a.end_time from public.availability as a where a.org_id = md5('org1')::uuid"
)
ONES = "select s.id from public.staff as s where s.org_id = md5('org1')::uuid and s.is_active"

Start = tuple[UUID, datetime]


def steps(bench: Bench) -> int:
    return 1 + 4 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; against the floor a ratio of time, against the peer of calls per second."""
    bench.say("E: seeding")
    staff, bookings = bench.size.of(STAFF, 2), bench.size.of(BOOKINGS, 1000)
    database = bench.database()
    add_diaries(bench.server, database, staff=staff, days=DAYS, bookings=bookings)

    def ask(query: str, coach: str | None = None) -> float:
        return rate(bench.server, database, query, coach=coach, clients=1, calls=bench.size.of(CALLS, 10))

    served = bench.interleave("E", {"ours": lambda _: ask(OURS, "coach1"), "floor": lambda _: ask(BUSY)})
    member = f"-c role=authenticated -c request.jwt.claims={claims('coach1')}"
    with (
        psycopg.connect(bench.server.url(database, "authenticator"), autocommit=True, options=member) as coach,
        psycopg.connect(bench.server.url(database), autocommit=True) as owner,
    ):
        starts = sorted((row[2], row[0]) for row in find_slots(coach))
        assert starts == sorted(by_portion(owner)), "the two do not offer the same starts"
        fetched = bench.interleave(
            "E in Python",
            {
                "ours": lambda _: _rate(bench, lambda: find_slots(coach)),
                "portion": lambda _: _rate(bench, lambda: by_portion(owner)),
            },
        )
    bench.drop(database)
    work = f"{len(starts):,} free starts, {staff} staff, {DAYS} days, {bookings:,} bookings"
    floor, peer = ratios(served, "floor", "ours"), ratios(fetched, "ours", "portion")
    busy, library = "fetching the busy rows alone", "a Python interval library (portion)"
    return [
        Result("E", work, busy, median(floor), 3.5, at_most=True, figures=_milliseconds(served), rounds=floor),
        Result("E", work, library, median(peer), 5, figures=_milliseconds(fetched), rounds=peer),
    ]


def find_slots(coach: psycopg.Connection) -> list[tuple[datetime, datetime, UUID, int, int]]:
    return coach.execute(OURS.encode()).fetchall()


def by_portion(owner: psycopg.Connection) -> list[Start]:
    """Staff by staff and day by day, which suits the library: its subtraction looks at every pair."""
    zone, tomorrow = ZoneInfo(TIMEZONE), _tomorrow(owner)
    hours = owner.execute(HOURS).fetchall()
    busy: dict[tuple[UUID, date], list[portion.Interval]] = defaultdict(list)
    for member, start, end in owner.execute(BUSY.encode()).fetchall():
        # What comes before must end, and leave its buffer, before a booking starts.
        busy[member, start.astimezone(zone).date()].append(portion.closedopen(start - BUFFER, end))
    starts: list[Start] = []
    for (member,) in owner.execute(ONES).fetchall():
        for day in (tomorrow + timedelta(day) for day in range(DAYS)):
            spans = [
                portion.closedopen(datetime.combine(day, opens, zone), datetime.combine(day, closes, zone))
                for weekday, opens, closes in hours
                if weekday == day.isoweekday() % 7
            ]
            for free in portion.Interval(*spans) - portion.Interval(*busy[member, day]):
                start = _on_grid(free.lower)
                while start + LENGTH <= free.upper:
                    starts.append((member, start))
                    start += STEP
    return starts


def _on_grid(instant: datetime) -> datetime:
    late = (instant - datetime(2000, 1, 1, tzinfo=UTC)) % STEP
    return instant + (STEP - late if late else timedelta(0))


def _tomorrow(owner: psycopg.Connection) -> date:
    row = owner.execute("select current_date + 1").fetchone()
    assert row is not None
    return cast(date, row[0])


def _rate(bench: Bench, call: Callable[[], object]) -> float:
    calls = bench.size.of(CALLS // 10, 2)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - start)


def _milliseconds(rates: Mapping[str, list[float]]) -> dict[str, str]:
    return {name: f"{1000 / median(values):,.1f} ms" for name, values in rates.items()}
