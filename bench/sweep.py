"""Row G: completing overdue bookings and deducting their sessions.

The floor is what the work itself costs: three statements in one transaction on the same tables, which complete, count
and enter everything at once, hold every lock to the end, and check neither validity nor what is left. The peer is a
loop in Python that calls `complete_booking` for each row. Each turn starts from a fresh copy of one database.
"""

import time
from collections.abc import Callable
from statistics import median

import psycopg

from bench.harness import Bench, Result, per_second, ratios
from bench.world import add_overdue_bookings

ORGS = 100
PACKAGES = 50_000
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

SETTLED = """
select (select count(*) from public.bookings as b where b.status = 'completed' and b.settlement = 'charged'),
       (select count(*) from public.session_entries),
       (select sum(p.sessions_used) from public.client_purchases as p)
"""


def steps(bench: Bench) -> int:
    return 1 + 3 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """The row's lines; every ratio is of bookings per second."""
    bench.say("G: seeding")
    bookings = bench.size.of(BOOKINGS)
    template = bench.database()
    add_overdue_bookings(
        bench.server, template, orgs=bench.size.of(ORGS), packages=bench.size.of(PACKAGES), bookings=bookings
    )

    def turn(work: Callable[[psycopg.Connection], int]) -> float:
        database = bench.database(template)
        try:
            with psycopg.connect(bench.server.url(database), autocommit=True) as connection:
                start = time.perf_counter()
                settled = work(connection)
                elapsed = time.perf_counter() - start
                assert connection.execute(SETTLED.encode()).fetchone() == (bookings + settled,) * 3
        finally:
            bench.drop(database)
        return settled / elapsed

    rates = bench.interleave(
        "G",
        {
            "ours": lambda _: turn(sweep),
            "floor": lambda _: turn(lambda connection: three_statements(connection, bookings)),
            "loop": lambda _: turn(lambda connection: loop(connection, bench.size.of(LOOPED, 100))),
        },
    )
    bench.drop(template)
    work, figures = f"{bookings:,} overdue bookings completed and charged", per_second(rates)
    floor, peer = ratios(rates, "ours", "floor"), ratios(rates, "ours", "loop")
    return [
        Result("G", work, "three bare statements, one transaction", median(floor), 0.8, figures=figures, rounds=floor),
        Result("G", work, "one call per row from Python", median(peer), 20, figures=figures, rounds=peer),
    ]


def sweep(connection: psycopg.Connection) -> int:
    """As `coach sweep bookings` does: one call is one batch in its own transaction, until nothing comes back."""
    charged = 0
    while any(row := connection.execute(OURS).fetchone() or ()):
        charged += row[1]
    return charged


def three_statements(connection: psycopg.Connection, bookings: int) -> int:
    with connection.transaction():
        connection.execute(FLOOR.encode())
    return bookings


def loop(connection: psycopg.Connection, number: int) -> int:
    overdue = connection.execute(
        "select id from public.bookings where status = 'confirmed' and end_time < now() order by end_time limit %s",
        (number,),
    ).fetchall()
    for (booking,) in overdue:
        connection.execute(LOOP, (booking,))
    return number
