"""The statements that the bench measures still do what they stand for; nothing here looks at a clock."""

import asyncio

import psycopg
import pytest
from bench import dashboard, outbox, pulse, row_security, service_call, sweep, use_session
from bench.harness import QUICK, Bench, Result, Variant, ratios
from bench.pgbench import BenchmarkBroken, claims, rate, seeded_id
from bench.world import (
    add_businesses,
    add_calendars,
    add_overdue_bookings,
    add_packages,
    add_sent_messages,
    add_texts,
)
from tests.harness.database import Database


def test_takes_by_rule_and_by_floor_leave_an_exact_ledger(db: Database) -> None:
    add_packages(db.server, db.name, orgs=1, packages=2, sessions=100)
    with psycopg.connect(db.url) as owner:
        owner.execute(use_session.BARE_TABLES)
    for script, coach in ((use_session.OURS, "coach1"), (use_session.FLOOR, None), (use_session.BARE, None)):
        assert rate(db.server, db.name, script, coach=coach, clients=2, calls=5, package=1) > 0
    rate(db.server, db.name, use_session.READ_THEN_WRITE, clients=1, calls=5, package=1)
    with psycopg.connect(db.url) as owner:
        assert use_session.one(owner, use_session.BALANCE, 1) == (20, 100, 20, 20, 0)
        assert use_session.one(owner, "select used from public.bare_packages where id = %s", 1) == (15,)


@pytest.mark.parametrize("query", ["LIST", "COUNT", "MONTH_COUNT", "YEARS_COUNT"])
def test_a_coach_counts_what_the_owner_counts(db: Database, query: str) -> None:
    add_calendars(db.server, db.name, orgs=2, clients=4, bookings=60)
    query = getattr(row_security, query).replace(":org", "'2'").rstrip().rstrip(";")
    with psycopg.connect(db.url) as owner, psycopg.connect(db.server.url(db.name, "authenticator")) as coach:
        coach.execute("set role authenticated")
        coach.execute("select set_config('request.jwt.claims', %s, false)", (claims("coach2"),))
        expected = owner.execute(query.encode()).fetchall()
        assert coach.execute(query.encode()).fetchall() == expected
        coach.execute("select set_config('request.jwt.claims', %s, false)", (claims("coach1"),))
        assert coach.execute(query.encode()).fetchall() in ([], [(0,)])
    assert expected not in ([], [(0,)])


@pytest.mark.parametrize("variant", ["sweep", "three_statements", "loop", "rpc_loop"])
def test_each_way_of_completing_ends_the_same(db: Database, variant: str) -> None:
    add_overdue_bookings(db.server, db.name, orgs=2, packages=4, bookings=12)
    settle = sweep.sweep if variant == "sweep" else lambda url: getattr(sweep, variant)(url, 12)
    assert settle(db.url)[1] == 12
    with psycopg.connect(db.url) as owner:
        assert owner.execute(sweep.SETTLED.encode()).fetchone() == (24, 24, 24)
        kinds = owner.execute("select distinct kind, used_delta, charge_no from public.session_entries").fetchall()
    assert kinds == [("use", 1, 1)]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_backlog_is_emptied_by_each_way_and_each_text_once(db: Database, workers: int) -> None:
    add_texts(db.server, db.name, orgs=4, clients=200, texts=400)
    outbox.fill_queue(db.url, 400)
    assert outbox.drain(db.url, outbox.outbox_batch, workers)[1] == 400
    assert outbox.drain(db.url, outbox.pgmq_batch, workers)[1] == 400
    with psycopg.connect(db.url) as owner:
        query = "select count(*), count(distinct message_id) from public.outbox_attempts where status = 'sent'"
        assert owner.execute(query).fetchone() == (400, 400)
        assert owner.execute("select count(*) from pgmq.a_texts").fetchone() == (400,)


def test_the_peer_s_worker_is_measured(db: Database) -> None:
    outbox.fill_jobs(db.url, 30)
    assert asyncio.run(outbox.procrastinate_rate(db.url, 10)) > 0


async def _both_ways(url: str) -> tuple[float, float]:
    return await service_call.through_the_product(url, 2), await service_call.by_the_driver(url, 2)


def test_a_call_is_made_both_ways(db: Database) -> None:
    add_packages(db.server, db.name, orgs=1, packages=1, sessions=10)
    assert min(asyncio.run(_both_ways(db.url))) > 0


def test_a_failing_statement_is_no_measurement(db: Database) -> None:
    with pytest.raises(BenchmarkBroken):
        rate(db.server, db.name, "select 1 / 0;", clients=1, calls=1)


def test_rounds_are_interleaved_and_the_first_is_thrown_away(db: Database) -> None:
    turns: list[tuple[str, int]] = []
    bench = Bench(db.server, QUICK, lambda _: None)

    def variant(name: str, value: float) -> Variant:
        def measure(number: int) -> float:
            turns.append((name, number))
            return value if number else -1

        return measure

    rates = bench.interleave("x", {"ours": variant("ours", 3.0), "floor": variant("floor", 4.0)})
    assert turns[:4] == [("ours", 0), ("floor", 0), ("floor", 1), ("ours", 1)]
    assert ratios(rates, "ours", "floor") == (0.75,) * QUICK.rounds


@pytest.mark.parametrize(
    ("value", "target", "at_most", "passed"),
    [
        (0.6, 0.6, False, True),
        (0.59, 0.6, False, False),
        (1.3, 1.3, True, True),
        (1, 0, True, False),
        (1, None, False, None),
    ],
)
def test_a_result_is_judged_by_its_target(
    value: float, target: float | None, at_most: bool, passed: bool | None
) -> None:
    assert Result("A", "work", "floor", value, target, at_most).passed is passed


def test_seeded_ids_are_what_a_script_computes(db: Database) -> None:
    assert db.owner.value("select md5('package7')::uuid") == seeded_id("package7")


def test_a_dashboard_of_the_seed_sums_up_what_is_in_it(db: Database) -> None:
    add_businesses(db.server, db.name, orgs=2, clients=4, bookings=400)
    with psycopg.connect(db.url) as owner:
        owner.execute(dashboard.OWNERS.encode())
    with psycopg.connect(db.server.url(db.name, "authenticator")) as coach:
        coach.execute("set role authenticated")
        coach.execute("select set_config('request.jwt.claims', %s, false)", (claims("coach2"),))
        row = coach.execute(dashboard.OURS.replace(":org", "'2'").encode()).fetchone()
    assert row is not None
    sections = row[0]["sections"]
    assert {section["status"] for section in sections.values()} == {"ok"}
    assert sections["outstanding"]["data"]["sessions"] > 0
    assert sections["earned"]["data"]["amounts"][0]["sessions_earned"] > 0
    assert sections["at_risk"]["data"]["red"] == 2


def test_a_pulse_of_the_seed_is_healthy_and_sees_what_waits(db: Database) -> None:
    add_sent_messages(db.server, db.name, orgs=2, clients=4, messages=2000)
    with psycopg.connect(db.url) as owner:
        row = owner.execute(pulse.OURS.encode()).fetchone()
    assert row is not None
    (sms,) = [kind for kind in row[0]["kinds"] if kind["kind"] == "sms"]
    assert (row[0]["verdict"], sms["backlog"], sms["done"] > 0) == ("healthy", 5000, True)
