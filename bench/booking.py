"""Row B: booking one coach's calendar from 32 clients, and being refused by a full one.

Ours is an insert into `bookings`, as `book` makes it after its checks and an app makes it directly: every trigger runs,
and the booking and the time that it takes are written. The floor is the same insert, by the same owner, into a copy of
the table: the same columns, keys, checks and indexes, no trigger, and nothing that sees an overlap. The peer is the
design that locks the calendar and then looks, inside REPEATABLE READ; it gets the copy too, and the fewest round trips
it can do with. Shown without a target: the insert by the signed-in coach, whom row level security and the guard of
direct writes bind, and `book`, which also asks whether the start is on offer.

On a full calendar our rule that takes the time is set against the same rule with an `exception` block in the place of
`on conflict do nothing`: one table, one constraint, one call.
"""

from statistics import median

import psycopg
from psycopg import sql

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import rate
from bench.world import add_open_calendar

CLIENTS = 32
CALLS = 100
SLOW_CALLS = 20  # of what takes far longer: its rate is the same
FULL_CALENDARS = 2_000  # hours in each, of which one in a hundred is free

# Every call gets an hour of its own, strewn over 45 years: an insert at the end of every index would flatter.
_HOUR = "timestamptz '2030-01-01 00:00+00' + (7919 * nextval('public.bench_hours') % 400009) * interval '1 hour'"

_INSERT = """insert into {table} (
  org_id, client_id, staff_id, booked_by, start_time, end_time, duration_mins, booking_source)
select md5('org1')::uuid, md5('client1')::uuid, md5('staff1')::uuid, md5('coach1')::uuid,
       h.hour, h.hour + interval '30 minutes', 30, 'trainer'
  from (select {hour} as hour) as h
"""

OURS = _INSERT.format(table="public.bookings", hour=_HOUR) + "returning id;\n"
FLOOR = _INSERT.format(table="public.plain_bookings", hour=_HOUR) + "returning id;\n"

# What the app sends: whose calendar it is and who booked, the triggers say.
DIRECT = f"""insert into public.bookings (org_id, client_id, start_time, end_time, duration_mins, booking_source)
select md5('org1')::uuid, md5('client1')::uuid, h.hour, h.hour + interval '30 minutes', 30, 'trainer'
  from (select {_HOUR} as hour) as h
returning id;
"""

_LOCKED = """begin isolation level repeatable read;
select pg_advisory_xact_lock(hashtextextended('staff1', 0));
{insert} where not exists (
  select from public.plain_bookings as b
   where b.org_id = md5('org1')::uuid and b.staff_id = md5('staff1')::uuid
     and b.start_time < h.hour + interval '30 minutes' and b.start_time > h.hour - interval '24 hours'
     and b.end_time > h.hour)
returning id;
commit;
"""

LOCKED = _LOCKED.format(insert=_INSERT.format(table="public.plain_bookings", hour=_HOUR))

BOOK = f"""select public.book(md5('org1')::uuid, md5('client1')::uuid, h.hour, p_duration_mins => 30)
  from (select {_HOUR} as hour) as h;
"""

# Four calls want each hour.
_WANTED = "timestamptz '2010-01-01 00:00+00' + nextval('public.bench_wanted') / 4 * interval '1 hour'"

OURS_WANTED = f"select public.insert_or_refuse({_WANTED});"
LOCKED_WANTED = _LOCKED.format(insert=_INSERT.format(table="public.plain_bookings", hour=_WANTED))

# Bookings that overlap another with a smaller id.
_OVERLAPS = """
select count(*)
  from {} as b
 where b.start_time < '2030-01-01'
   and exists (select from {} as o
                where o.org_id = b.org_id and o.staff_id = b.staff_id and o.id < b.id
                  and o.start_time between b.start_time - interval '24 hours' and b.end_time
                  and tstzrange(o.start_time, o.end_time) && tstzrange(b.start_time, b.end_time))
"""
_BOOKED = "select count(*) from {} as b where b.start_time < '2030-01-01'"

SETUP = """
create sequence public.bench_hours;
create sequence public.bench_wanted;
grant usage on sequence public.bench_hours, public.bench_wanted to authenticated;

create table public.plain_bookings (like public.bookings including all);
-- What a booking refers to is checked in the copy too; it takes no time, so there is none to refer to.
alter table public.plain_bookings drop constraint bookings_cancelled_takes_no_time;
do $$
declare
  v_key record;
begin
  for v_key in
    select pg_get_constraintdef(c.oid) as definition
      from pg_constraint as c
     where c.conrelid = 'public.bookings'::regclass and c.contype = 'f'
       and c.confrelid <> 'private.occupancies'::regclass
  loop
    execute 'alter table public.plain_bookings add ' || v_key.definition;
  end loop;
end;
$$;

-- The app's insert; a refusal becomes an answer, as it does in the app, or the client that measures would stop.
create function public.insert_or_refuse(p_start_time timestamptz)
returns boolean
language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into public.bookings (org_id, client_id, start_time, end_time, duration_mins, booking_source)
  values (md5('org1')::uuid, md5('client1')::uuid, p_start_time, p_start_time + interval '30 minutes', 30, 'trainer');
  return true;
exception when sqlstate 'PT409' then
  return false;
end;
$$;

grant execute on function public.insert_or_refuse(timestamptz) to authenticated;

create function public.occupy_or_catch(
  p_org_id uuid, p_staff_id uuid, p_session_type_id uuid, p_capacity integer, p_starts_at timestamptz,
  p_ends_at timestamptz, p_blocked tstzrange)
returns uuid
language plpgsql volatile security definer set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into private.occupancies (org_id, staff_id, session_type_id, starts_at, ends_at, blocked, capacity, seats)
  values (p_org_id, p_staff_id, p_session_type_id, p_starts_at, p_ends_at, p_blocked, p_capacity, 1)
  returning id into v_id;
  return v_id;
exception when exclusion_violation then
  return null;
end;
$$;

insert into public.staff (org_id, id, full_name)
select md5('org1')::uuid, md5('full' || n)::uuid, 'Full ' || n from generate_series(1, %(calendars)s) as n;
insert into private.occupancies (org_id, staff_id, starts_at, ends_at, blocked, capacity, seats)
select md5('org1')::uuid, md5('full' || n)::uuid, h.hour, h.hour + interval '1 hour',
       tstzrange(h.hour, h.hour + interval '1 hour'), 1, 1
  from generate_series(1, %(calendars)s) as n
 cross join generate_series(1, %(hours)s) as m
 cross join lateral (select timestamptz '2028-01-01 00:00+00' + m * interval '1 hour' as hour) as h
 where m %% 100 <> 0;
analyze private.occupancies;
"""

_TAKE = """\\set hour random(1, :hours)
select {function}(md5('org1')::uuid, md5('full' || :calendar)::uuid, null, 1, h.hour, h.hour + interval '1 hour',
                  tstzrange(h.hour, h.hour + interval '1 hour'))
  from (select timestamptz '2028-01-01 00:00+00' + :hour * interval '1 hour' as hour) as h;
"""
OCCUPY = _TAKE.format(function="private.occupy")
CATCH = _TAKE.format(function="public.occupy_or_catch")

BOOK_FULL = """\\set hour random(1, :hours)
select public.book(md5('org1')::uuid, md5('client1')::uuid,
                   timestamptz '2028-01-01 00:00+00' + :hour * interval '1 hour',
                   p_staff_id => md5('full' || :calendar)::uuid, p_duration_mins => 60);
"""


def steps(bench: Bench) -> int:
    return 1 + (5 + 3) * (bench.size.rounds + 1) + 2


def run(bench: Bench) -> list[Result]:
    """The row's lines; every ratio is of attempts per second."""
    bench.say("B: seeding")
    database = bench.database()
    add_open_calendar(bench.server, database)
    with psycopg.connect(bench.server.url(database)) as owner:
        calendars = 3 * (bench.size.rounds + 1)
        psycopg.ClientCursor(owner).execute(SETUP.encode(), {"calendars": calendars, "hours": FULL_CALENDARS})
    results = [*_free(bench, database), *_full(bench, database), *_exact(bench, database)]
    bench.drop(database)
    return results


def _free(bench: Bench, database: str) -> list[Result]:
    def book(script: str, calls: int = CALLS, coach: str | None = None) -> float:
        return rate(bench.server, database, script, coach=coach, clients=CLIENTS, calls=bench.size.of(calls, 10))

    rates = bench.interleave(
        "B",
        {
            "ours": lambda _: book(OURS),
            "floor": lambda _: book(FLOOR),
            "locked": lambda _: book(LOCKED, SLOW_CALLS),
            "direct": lambda _: book(DIRECT, coach="coach1"),
            "book": lambda _: book(BOOK, SLOW_CALLS, "coach1"),
        },
    )
    plain, figures = "plain insert, no check", per_second(rates)

    def line(ours: str, other: str, against: str, work: str, target: float | None = None) -> Result:
        rounds = ratios(rates, ours, other)
        return Result("B", work, against, median(rounds), target, figures=figures, rounds=rounds)

    work = f"booking one calendar, {CLIENTS} clients"
    return [
        line("ours", "floor", plain, work, 0.50),
        line("ours", "locked", "advisory lock, REPEATABLE READ", work, 4),
        line("direct", "floor", plain, "the same by the coach, under policies and the guard"),
        line("book", "floor", plain, "the same through book, which asks what is on offer"),
    ]


def _full(bench: Bench, database: str) -> list[Result]:
    # A calendar for each turn: what the last one booked must not make the next one fuller.
    def take(calendar: int, script: str, coach: str | None = None) -> float:
        calls = bench.size.of(CALLS if coach is None else SLOW_CALLS, 10)
        return rate(
            bench.server,
            database,
            script,
            coach=coach,
            clients=CLIENTS,
            calls=calls,
            calendar=calendar,
            hours=FULL_CALENDARS,
        )

    rates = bench.interleave(
        "B full",
        {
            "ours": lambda n: take(3 * n + 1, OCCUPY),
            "caught": lambda n: take(3 * n + 2, CATCH),
            "book": lambda n: take(3 * n + 3, BOOK_FULL, "coach1"),
        },
    )
    figures, caught, offered = per_second(rates), ratios(rates, "ours", "caught"), ratios(rates, "book", "caught")
    block = "exception when exclusion_violation"
    rpc = "the same through book, which answers with other starts"
    return [
        Result("B", "a full calendar refuses", block, median(caught), 2, figures=figures, rounds=caught),
        Result("B", rpc, block, median(offered), figures=figures, rounds=offered),
    ]


def _exact(bench: Bench, database: str) -> list[Result]:
    """How many bookings overlap when four calls want each hour at the same time."""
    calls = bench.size.of(SLOW_CALLS, 20)
    with psycopg.connect(bench.server.url(database), autocommit=True) as owner:
        counts = {}
        for table, script, coach in (("bookings", OURS_WANTED, "coach1"), ("plain_bookings", LOCKED_WANTED, None)):
            bench.say(f"B: every hour is wanted four times, {table}")
            owner.execute("alter sequence public.bench_wanted restart")
            rate(bench.server, database, script, coach=coach, clients=CLIENTS, calls=calls)
            counts[table] = [_count(owner, query, table) for query in (_OVERLAPS, _BOOKED)]
    overlaps, booked = counts["bookings"]
    theirs, _ = counts["plain_bookings"]
    wanted = CLIENTS * calls // 4
    return [
        Result(
            "B",
            f"overlaps or hours left empty, {CLIENTS * calls:,} attempts at {wanted:,} hours",
            f"the locked design let {theirs:,} overlaps through",
            overlaps + max(0, wanted - booked),
            0,
            at_most=True,
            is_exact=True,
        )
    ]


def _count(owner: psycopg.Connection, query: str, table: str) -> int:
    name = sql.Identifier("public", table)
    row = owner.execute(sql.SQL(query).format(*[name] * query.count("{}"))).fetchone()
    assert row is not None
    return int(row[0])
