"""coach finance: an organisation's money by month, the ledger itself, and what its sessions earned."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json, Org, day, noun, rpc_in_org
from coach_os.database import open_database
from coach_os.settings import load_settings

app = noun("Show and export an organisation's money.")

PNL = {
    "month": "month",
    "currency": "currency",
    "gross_cents": "gross",
    "refunds_cents": "refunds",
    "disputes_cents": "disputes",
    "adjustments_cents": "adjustments",
    "fees_cents": "fees",
    "platform_fees_cents": "platform fees",
    "expenses_cents": "expenses",
    "net_cents": "net",
    "gst_cents": "gst",
    "payouts_cents": "payouts",
    "earned_cents": "earned",
    "sessions_earned": "sessions",
}
LEDGER = (
    *("id", "event_date", "local_on", "type", "amount_cents", "currency", "tax_cat", "tax_cents", "source"),
    *("reference_id", "client_id", "purchase_id", "booking_id", "payout_id"),
)
LEDGER_HEADINGS = {
    "local_on": "on",
    "type": "what",
    "amount_cents": "amount",
    "currency": "currency",
    "tax_cents": "gst",
    "source": "source",
    "reference_id": "reference",
}
REVENUE = (
    *("earned_at", "local_on", "kind", "client_id", "purchase_id", "booking_id", "sessions"),
    *("amount_cents", "currency"),
)
REVENUE_HEADINGS = {
    "local_on": "on",
    "kind": "what",
    "sessions": "sessions",
    "amount_cents": "amount",
    "currency": "currency",
    "client_id": "client",
}
EARNINGS = (
    *("org_id", "org_name", "gross_earnings_cents", "commission_cents", "net_earnings_cents", "paid_out_cents"),
    *("pending_payout_cents", "currency"),
)
PAGE = 5000

From = Annotated[
    date | None,
    typer.Option(
        "--from", parser=day, metavar="DATE", help="The first local date; left out: a year back, to its month."
    ),
]
Until = Annotated[
    date | None, typer.Option("--until", parser=day, metavar="DATE", help="The last local date; left out: today.")
]
Csv = Annotated[bool, typer.Option("--csv", envvar="COACH_CSV", help="Print CSV, with every column.")]


@app.command("pnl", epilog="Example: coach finance pnl --org kilo --from 2026-07-01 --until 2027-06-30 --csv")
def profit_and_loss(org: Org, since: From = None, until: Until = None, csv: Csv = False, json: Json = False) -> None:
    """Show the money by local month and currency.

    Amounts are in minor units and carry their sign: net is the sum of what stands before it. Payouts only move money.
    Earned is the revenue of the sessions that were held, whenever they were paid.
    """
    rows = asyncio.run(rpc_in_org("service.profit_and_loss", org, **_dates(since, until)))
    if csv:
        output.print_csv(rows, tuple(PNL))
    else:
        output.print_rows(rows, tuple(PNL) if json else PNL, json=json, title="Profit and loss")


@app.command("ledger", epilog="Example: coach finance ledger --org kilo --from 2026-07-01 --csv > ledger.csv")
def show_ledger(org: Org, since: From = None, until: Until = None, csv: Csv = False, json: Json = False) -> None:
    """List the ledger's entries, oldest first, in full."""
    rows = asyncio.run(_all_entries(org, since, until))
    if csv:
        output.print_csv(rows, LEDGER)
    else:
        output.print_rows(rows, LEDGER if json else LEDGER_HEADINGS, json=json, title="Ledger")


@app.command("revenue", epilog="Example: coach finance revenue --org kilo --from 2026-11-01 --until 2026-11-30")
def show_revenue(org: Org, since: From = None, until: Until = None, csv: Csv = False, json: Json = False) -> None:
    """List what was earned, session by session; it adds up to the month's `earned` of coach finance pnl."""
    rows = asyncio.run(rpc_in_org("service.list_revenue", org, **_dates(since, until)))
    if csv:
        output.print_csv(rows, REVENUE)
    else:
        output.print_rows(rows, REVENUE if json else REVENUE_HEADINGS, json=json, title="Earned")


@app.command("earnings", epilog="Example: coach finance earnings --org kilo")
def show_earnings(org: Org, csv: Csv = False, json: Json = False) -> None:
    """Show what went through Stripe, what of it was paid out, and what is left."""
    rows = asyncio.run(rpc_in_org("service.org_earnings", org))
    if csv:
        output.print_csv(rows, EARNINGS)
    elif json:
        output.print_rows(rows, EARNINGS, json=True)
    else:
        output.print_record(rows[0], title="Earnings")


def _dates(since: date | None, until: date | None) -> dict[str, Any]:
    return {"p_from": since, "p_until": until}


async def _all_entries(org: str, since: date | None, until: date | None) -> list[dict[str, Any]]:
    return [row async for row in _entries(org, since, until)]


async def _entries(org: str, since: date | None, until: date | None) -> AsyncIterator[dict[str, Any]]:
    async with open_database(load_settings()) as database:
        org_id = await database.rpc("service.find_org", p_org=org)
        after: dict[str, Any] = {}
        while True:
            rows = await database.rpc(
                "service.list_ledger", p_org_id=org_id, p_limit=PAGE, **_dates(since, until), **after
            )
            for row in rows:
                yield row
            if len(rows) < PAGE:
                return
            after = {"p_after_date": rows[-1]["event_date"], "p_after_id": rows[-1]["id"]}
