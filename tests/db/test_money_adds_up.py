"""Every figure of finance is the ledger's: random ledgers and random histories of packages, against sums in Python."""

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from tests.db.studio import Studio
from tests.harness.cluster import Cluster
from tests.harness.database import Database

SHORT = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
SIGNS = {"INCOME": 1, "REFUND": -1, "FEE": -1, "PLATFORM_FEE": -1, "PAYOUT": -1, "EXPENSE": -1}
ZONES = ["Australia/Brisbane", "America/New_York", "America/Santiago", "Pacific/Kiritimati", "Europe/London"]


@pytest.fixture(scope="module")
def shared_db(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def studio(shared_db: Database) -> Studio:
    studio = Studio.open(shared_db)
    studio.settings(gst_registered=True)
    studio.offer(10)
    return studio


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A money event, often within hours of the end of a month, where timezones disagree about which it is."""
    kind = draw(st.sampled_from([*SIGNS, "ADJUSTMENT", "DISPUTE"]))
    sign = SIGNS.get(kind) or draw(st.sampled_from([1, -1]))
    month = draw(st.sampled_from([31, 30, 31, 30]))
    near = timedelta(days=month * draw(st.integers(0, 3)), minutes=draw(st.integers(-24 * 60, 24 * 60)))
    return {
        "type": kind,
        "amount": sign * draw(st.integers(1, 500_000)),
        "currency": draw(st.sampled_from(["aud", "aud", "aud", "jpy"])),
        "source": draw(st.sampled_from(["stripe", "manual"])),
        "at": FIRST + near,
    }


class Undone:
    """A connection as the owner, whose transaction is rolled back; `as_coach` speaks as the studio's coach in it."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def __enter__(self) -> "Undone":
        self.connection = psycopg.connect(self.studio.db.url, row_factory=dict_row)
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.rollback()
        self.connection.close()

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *parameters: Any) -> Any:
        (row,) = self.rows(query, *parameters)
        return next(iter(row.values()))

    def sign_in(self) -> None:
        claims = json.dumps(self.studio.coach.claims)
        self.rows(
            "select set_config('request.jwt.claims', %s, true), set_config('role', 'authenticated', true)", claims
        )


@SHORT
@given(booked=st.lists(events(), max_size=30), zone=st.sampled_from(ZONES))
def test_every_view_of_a_ledger_adds_up_to_it(studio: Studio, booked: list[dict[str, Any]], zone: str) -> None:
    with Undone(studio) as db:
        db.rows("update public.booking_settings set timezone = %s where org_id = %s", zone, studio.org_id)
        for number, event in enumerate(booked):
            db.rows(
                "select private.book_money(%s, %s, %s, %s, %s, %s, %s)",
                *(studio.org_id, event["type"], event["amount"], event["currency"], event["source"], str(number)),
                event["at"],
            )
        taxes = db.rows(
            "select event_date, currency, tax_cents from public.money_events where org_id = %s", studio.org_id
        )
        db.sign_in()
        pnl = db.rows("select * from public.profit_and_loss(%s, '2026-01-01', '2026-12-31')", studio.org_id)
        monthly = db.rows("select * from public.finance_monthly where org_id = %s", studio.org_id)
        earnings = db.rows("select * from public.org_earnings where org_id = %s", studio.org_id)

        def key(moment: datetime, currency: str) -> tuple[str, str]:
            return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m"), currency

        sums: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for event in booked:
            month = sums[key(event["at"], event["currency"])]
            month[event["type"]] += event["amount"]
            month["in" if event["amount"] > 0 else "out"] += abs(event["amount"])
        for row in taxes:
            sums[key(row["event_date"], row["currency"])]["gst"] += row["tax_cents"]

        assert {(f"{row['month']:%Y-%m}", row["currency"]) for row in pnl} == set(sums)
        for row in pnl:
            month = sums[f"{row['month']:%Y-%m}", row["currency"]]
            parts = [
                *("gross_cents", "refunds_cents", "disputes_cents", "adjustments_cents", "fees_cents"),
                *("platform_fees_cents", "expenses_cents"),
            ]
            kinds = ["INCOME", "REFUND", "DISPUTE", "ADJUSTMENT", "FEE", "PLATFORM_FEE", "EXPENSE"]
            assert [row[part] for part in parts] == [month[kind] for kind in kinds]
            assert row["net_cents"] == sum(row[part] for part in parts)
            assert row["net_cents"] + row["payouts_cents"] == month["in"] - month["out"]
            assert row["gst_cents"] == month["gst"]
        assert {(row["period"], row["currency"]) for row in monthly} == set(sums)
        for row in monthly:
            month = sums[row["period"], row["currency"]]
            assert (row["cash_in_cents"], row["cash_out_cents"]) == (month["in"], month["out"])
            assert row["net_cents"] == row["cash_in_cents"] - row["cash_out_cents"]
            assert (row["fees_cents"], row["platform_fees_cents"]) == (-month["FEE"], -month["PLATFORM_FEE"])
            assert (row["refunds_cents"], row["payouts_cents"]) == (-month["REFUND"], -month["PAYOUT"])
        (row,) = earnings
        through = [
            e for e in booked if e["currency"] == row["currency"] and (e["source"] == "stripe" or e["type"] == "PAYOUT")
        ]
        assert row["pending_payout_cents"] == sum(e["amount"] for e in through)
        assert row["net_earnings_cents"] == row["gross_earnings_cents"] - row["commission_cents"]
        assert row["pending_payout_cents"] == row["net_earnings_cents"] - row["paid_out_cents"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.just(0)),
        st.tuples(st.just("use"), st.just(0)),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("refund"), st.integers(1, 4000)),
        st.tuples(st.just("total"), st.integers(0, 12)),
    ),
    max_size=14,
)


@SHORT
@given(sessions=st.integers(1, 8), price=st.integers(0, 10_001), steps=STEPS)
def test_a_package_earns_what_was_kept_of_it_session_by_session(
    studio: Studio, sessions: int, price: int, steps: list[tuple[str, int]]
) -> None:
    """After each step earned and unearned are what was kept, and nothing earlier changed; used up, it owes nothing."""
    with Undone(studio) as db:
        offer = db.value("select id from public.offers where org_id = %s limit 1", studio.org_id)
        package = db.value(
            """insert into public.client_purchases
                 (org_id, client_id, offer_id, amount_paid_cents, sessions_total, payment_status, source)
               values (%s, %s, %s, %s, %s, 'succeeded', 'import') returning id""",
            *(studio.org_id, studio.client_id, offer, price, sessions),
        )
        returned, before = 0, []
        for number, (step, size) in enumerate(steps):
            if step == "use":
                db.rows("select service.use_session(%s, null, %s)", package, uuid.uuid4())
            elif step == "release":
                db.rows("select service.release_session(%s, null, %s)", package, uuid.uuid4())
            elif step == "refund":
                amount = min(size, price - returned)
                returned += amount
                db.rows(
                    "select private.book_money(%s, 'REFUND', %s, 'aud', 'manual', %s, now(), null, %s)",
                    *(studio.org_id, -amount, f"{package}-{number}", package),
                )
            else:
                used = db.value("select sessions_used from public.client_purchases where id = %s", package)
                db.rows("select service.correct_package(%s, null, %s)", package, max(size, used))
            state = db.rows("select * from public.client_purchases where id = %s", package)[0]
            entries = db.rows(
                "select * from private.package_earnings(%s, array[%s]::uuid[]) order by nth", studio.org_id, package
            )
            earned, unearned = sum(row["amount_cents"] for row in entries), entries[-1]["unearned_cents"]
            assert earned + unearned == price - returned
            assert min(earned, unearned) >= 0
            assert sum(row["sessions"] for row in entries) == state["sessions_used"]
            if state["sessions_used"] > 0 and state["sessions_remaining"] == 0:
                assert unearned == 0
            if state["sessions_used"] == 0:
                assert earned == 0
            told = [(row["kind"], row["on_at"], row["sessions"], row["amount_cents"]) for row in entries]
            assert told[: len(before)] == before, "what was earned once is not earned otherwise later"
            before = told
