"""coach refund, receipt, payout and stripe: money by the command line, each act once."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Coach
from tests.harness.local_stripe import LocalStripe
from tests.harness.stripe_gate import StripeGate
from tests.harness.takings import open_takings
from tests.harness.world import World


@pytest.fixture
def stripe(environment: pytest.MonkeyPatch) -> Iterator[StripeGate]:
    with LocalStripe() as behind, StripeGate(behind) as gate:
        for name, value in gate.environment.items():
            environment.setenv(name, value)
        yield gate


def payments(coach: Coach) -> list[str]:
    return [row["payment_id"] for row in coach("refund", "payments", "--org", "kilo", "--json").data]


def test_a_cash_sale_is_refunded_in_parts_and_no_further(coach: Coach, world: World) -> None:
    (payment,) = payments(coach)
    click = uuid.uuid4()
    create = ("refund", "create", payment)
    first = coach(*create, "--amount", 30_000, "--note", "Moved away", "--request-id", click, "--json").data
    assert coach(*create, "--amount", 30_000, "--request-id", click, "--json").data == first
    (row,) = coach("refund", "payments", "--org", "kilo", "--json").data
    assert row["refundable_cents"] == 50_000
    coach(*create, "--amount", 50_001).refused("More would be refunded than is left of this payment.")
    coach(*create, "--amount", 0).misused()
    coach("refund", "create", uuid.uuid4()).refused("There is no such payment.")
    assert coach(*create).code == 0
    coach(*create).refused("More would be refunded")
    rows = coach("refund", "list", "--org", "kilo", "--json").data
    assert [(r["amount_cents"], r["status"], r["source"]) for r in rows] == [
        (50_000, "succeeded", "manual"),
        (30_000, "succeeded", "manual"),
    ]
    assert "AUD 300.00" in coach("refund", "list", "--org", "kilo").out
    assert coach("refund", "list", "--org", "lima", "--json").data == []
    package = coach("package", "show", world.kilo.package_id, "--json").data
    assert package["payment_status"] == "refunded"


def test_the_policy_is_shown_and_set(coach: Coach, world: World) -> None:
    assert coach("refund", "policy", "show", "kilo", "--json").data == [{"hours_before": 24, "percent": 100}]
    wanted = [{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]
    assert coach("refund", "policy", "set", "kilo", "24:50", "48:100", "--json").data == wanted
    coach("refund", "policy", "set", "kilo", "48:50", "24:100").refused()
    for nonsense in ("24", "24:", ":50", "x:50", "24:-1", "24:50:1"):
        coach("refund", "policy", "set", "kilo", nonsense).misused()
    assert coach("refund", "policy", "show", "kilo", "--json").data == wanted
    assert coach("refund", "policy", "set", "kilo", "--json").data == [{"hours_before": 24, "percent": 100}]
    coach("refund", "policy", "show", "nowhere").refused("There is no such organisation.")


def test_receipts_are_numbered_by_the_sweep_or_at_once(coach: Coach, world: World, tmp_path: Path) -> None:
    (payment,) = payments(coach)
    assert coach("sweep", "receipts", "--json").data[0]["issued"] == 2
    page = tmp_path / "receipt.html"
    receipt = coach("receipt", "issue", payment, "--html", page, "--json").data
    assert (receipt["number"], receipt["amount"]) == (1, "AUD 800.00")
    assert "Total paid" in page.read_text(encoding="utf-8")
    (row,) = coach("receipt", "list", "--org", "kilo", "--json").data
    assert (row["receipt_id"], row["number"]) == (receipt["receipt_id"], 1)
    assert "AUD 800.00" in coach("receipt", "list", "--org", "kilo").out
    coach("receipt", "issue", uuid.uuid4()).refused("There is no such payment.")


def test_a_payout_is_prepared_and_paid_once(coach: Coach, world: World) -> None:
    period = ("--org", "kilo", "--from", "2026-10-01", "--to", "2026-10-31")
    made = coach("payout", "create", *period, "--gross", 100_000, "--commission", 5000, "--json").data
    coach("payout", "create", *period, "--gross", 100_000, "--commission", 5000).refused("for this period already")
    coach("payout", "create", *period, "--gross", 1, "--commission", 2).refused()
    paid = coach("payout", "pay", made["payout_id"], "--reference", "NAB 1", "--json").data
    assert coach("payout", "pay", made["payout_id"], "--json").data == paid
    (row,) = coach("payout", "list", "--status", "paid", "--json").data
    assert (row["net_amount_cents"], row["payout_reference"]) == (95_000, "NAB 1")
    assert "AUD 950.00" in coach("payout", "list", "--org", "kilo").out
    coach("payout", "pay", uuid.uuid4()).refused("There is no such payout.")


def test_sweeps_leave_what_is_due_where_no_key_is(coach: Coach, world: World) -> None:
    takings = open_takings(world.kilo)
    deposit = takings.paid()
    coach("refund", "create", deposit["payment_id"])
    (swept,) = coach("sweep", "refunds", "--json").data
    assert (swept["skipped"], swept["is_complete"]) == (1, True)
    assert coach("sweep", "refunds", "--dry-run", "--json").data[0]["due"] == 1
    assert coach("sweep", "deposits", "--json").data[0]["is_complete"] is True
    (row,) = coach("refund", "list", "--org", "kilo", "--json").data
    assert (row["status"], row["attempts"]) == ("requested", 0)


def test_an_account_is_connected_and_refreshed(coach: Coach, world: World, stripe: StripeGate) -> None:
    assert coach("stripe", "status", "kilo", "--json").data["next_step"] == "connect"
    coach("stripe", "connect", "kilo").broke("where its pages are")
    coach("messages", "link-to", "https://app.example")
    url = coach("stripe", "connect", "kilo", "--json").data["url"]
    assert coach("stripe", "connect", "kilo", "--json").data["url"] == url
    (account,) = stripe.accounts
    stripe.accounts[account] |= {"charges_enabled": True, "payouts_enabled": True, "details_submitted": True}
    assert coach("stripe", "status", "kilo", "--json").data["next_step"] == "continue"
    assert coach("stripe", "status", "kilo", "--refresh", "--json").data["next_step"] is None
    coach("stripe", "connect", "nowhere").refused("There is no such organisation.")


def test_without_a_key_connecting_says_so(coach: Coach, world: World) -> None:
    coach("stripe", "connect", "kilo").broke("no key for Stripe")
