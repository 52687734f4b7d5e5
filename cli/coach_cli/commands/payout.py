"""coach payout: what the platform pays its organisations."""

import asyncio
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import AnyOrg, Json, Limit, Org, day, instant, noun, rpc, rpc_in_org
from coach_cli.words import moment, with_moments

app = noun("Prepare, list and settle payouts to organisations.")

COLUMNS = (
    *("payout_id", "org_id", "org_name", "period_start", "period_end", "gross_amount_cents", "commission_cents"),
    *("net_amount_cents", "currency", "status", "paid_at", "payout_reference"),
)
HEADINGS = {
    "payout_id": "payout",
    "org_name": "organisation",
    "period": "period",
    "pays": "pays",
    "status": "status",
    "paid_at": "paid (UTC)",
    "payout_reference": "reference",
}
Cents = Annotated[int, typer.Option(min=0, max=100_000_000, help="In the currency's minor unit.")]


@app.command("list", epilog="Example: coach payout list --status pending")
def list_payouts(
    org: AnyOrg = None,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="pending, processing or paid.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List payouts, newest first."""
    asked = {"p_status": status, "p_limit": limit}
    rows = (
        asyncio.run(rpc_in_org("service.list_payouts", org, **asked)) if org else rpc("service.list_payouts", **asked)
    )
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [
        {**row, "period": f"{row['period_start']} to {row['period_end']}"} for row in with_moments(rows, "paid_at")
    ]
    output.print_rows(readable, HEADINGS, title="Payouts")


@app.command(
    "create",
    epilog="Example: coach payout create --org kilo --from 2026-10-01 --to 2026-10-31 --gross 100000 --commission 5000",
)
def create_payout(
    org: Org,
    start: Annotated[date, typer.Option("--from", metavar="DATE", parser=day, help="The period's first day.")],
    end: Annotated[date, typer.Option("--to", metavar="DATE", parser=day, help="Its last day.")],
    gross: Cents,
    commission: Cents,
    currency: Annotated[str, typer.Option(metavar="CODE", help="ISO 4217, lower case.")] = "aud",
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="The bank's or your own.")] = None,
    json: Json = False,
) -> None:
    """Prepare a payout of a period, once; it pays gross less commission."""
    asked = {
        "p_period_start": start,
        "p_period_end": end,
        "p_gross_cents": gross,
        "p_commission_cents": commission,
        "p_currency": currency,
        "p_reference": reference,
    }
    output.print_record({"payout_id": asyncio.run(rpc_in_org("service.create_payout", org, **asked))}, json=json)


@app.command("pay", epilog="Example: coach payout pay 77d0… --reference NAB-123")
def pay_payout(
    payout: Annotated[UUID, typer.Argument(metavar="PAYOUT_ID", help="See coach payout list.")],
    reference: Annotated[str | None, typer.Option(metavar="TEXT", help="The bank's.")] = None,
    at: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", parser=instant, help="When, with its offset; left out: now.")
    ] = None,
    json: Json = False,
) -> None:
    """Mark a payout as paid, and book it; the same again changes nothing."""
    paid = rpc("service.pay_payout", p_payout_id=payout, p_reference=reference, p_paid_at=at)
    output.print_record({"paid_at": paid if json else moment(paid)}, json=json)
