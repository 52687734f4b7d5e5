"""coach finance: what is exported is the ledger, to the cent, and opens as text in a spreadsheet."""

import csv
import io

import pytest
from tests.cli.conftest import Coach
from tests.harness.database import Database
from tests.harness.world import World

from coach_cli.commands import finance

MARCH = ("--from", "2026-03-01", "--until", "2026-03-31")


@pytest.fixture
def kilo(db: Database, world: World) -> str:
    for number, (kind, amount) in enumerate(
        [("INCOME", 11_000), ("FEE", -300), ("REFUND", -1_000), ("PAYOUT", -5_000)]
    ):
        db.owner.rows(
            "select private.book_money(%s, %s, %s, 'aud', 'stripe', %s, '2026-03-15 00:00+00')",
            (world.kilo.id, kind, amount, f"=x{number}" if number == 0 else f"x{number}"),
        )
    return world.kilo.name


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_month_adds_up_to_the_ledger(kilo: str, coach: Coach) -> None:
    (month,) = parsed(coach("finance", "pnl", "--org", kilo, *MARCH, "--csv").out)
    ledger = parsed(coach("finance", "ledger", "--org", kilo, *MARCH, "--csv").out)
    assert month["month"] == "2026-03-01"
    assert (
        int(month["net_cents"]) == sum(int(row["amount_cents"]) for row in ledger if row["type"] != "PAYOUT") == 9_700
    )
    assert int(month["payouts_cents"]) == -5_000
    assert coach("finance", "pnl", "--org", kilo, *MARCH, "--json").data[0]["refunds_cents"] == -1_000


def test_a_ledger_of_many_pages_is_whole(kilo: str, coach: Coach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where entries of one instant fall on two pages."""
    monkeypatch.setattr(finance, "PAGE", 3)
    rows = coach("finance", "ledger", "--org", kilo, *MARCH, "--json").data
    assert sorted(row["reference_id"] for row in rows) == ["=x0", "x1", "x2", "x3"]


def test_no_text_is_a_formula(kilo: str, coach: Coach) -> None:
    references = {row["reference_id"] for row in parsed(coach("finance", "ledger", "--org", kilo, *MARCH, "--csv").out)}
    assert "'=x0" in references


def test_earnings_and_revenue_are_shown(kilo: str, coach: Coach) -> None:
    (earnings,) = coach("finance", "earnings", "--org", kilo, "--json").data
    assert (earnings["net_earnings_cents"], earnings["pending_payout_cents"]) == (9_700, 4_700)
    revenue = parsed(coach("finance", "revenue", "--org", kilo, *MARCH, "--csv").out)
    assert sum(int(row["amount_cents"]) for row in revenue) == 10_000
    assert "pending_payout_cents" in coach("finance", "earnings", "--org", kilo).out


def test_an_unknown_organisation_is_refused(kilo: str, coach: Coach) -> None:
    coach("finance", "pnl", "--org", "nobody").refused("no such organisation")
    coach("finance", "pnl", "--org", kilo, "--from", "2026-03-02", "--until", "2026-03-01").refused()
