"""coach receipt: the numbered receipts of payments and refunds."""

import asyncio
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc, rpc_in_org
from coach_cli.words import with_moments
from coach_os.receipts import receipt_page

app = noun("List, issue and print receipts.")

COLUMNS = (
    *("receipt_id", "number", "kind", "client_id", "description", "amount_cents", "currency", "tax_cents"),
    "happened_at",
)
HEADINGS = {
    "number": "number",
    "kind": "of a",
    "description": "for",
    "amount": "amount",
    "tax": "tax inside",
    "happened_at": "paid (UTC)",
    "receipt_id": "receipt",
}


@app.command("list", epilog="Example: coach receipt list --org kilo --client 6f1c…")
def list_receipts(
    org: Org,
    client: Annotated[UUID | None, typer.Option(metavar="CLIENT_ID", help="Only this client's.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List receipts, the latest first."""
    rows = asyncio.run(rpc_in_org("service.list_receipts", org, p_client_id=client, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    output.print_rows(with_moments(rows, "happened_at"), HEADINGS, title="Receipts")


@app.command("issue", epilog="Example: coach receipt issue 3a7e… --html receipt.html")
def issue_receipt(
    payment: Annotated[UUID, typer.Argument(metavar="PAYMENT_ID", help="See coach refund payments.")],
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write the page to print to this file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the receipt of a payment or refund; it is numbered now where it has none, and emailed."""
    receipt = rpc("service.issue_receipt", p_payment_id=payment)
    if html is not None:
        html.write_text(receipt_page(receipt), encoding="utf-8")
        output.say(f"Wrote {html}.")
    output.print_record(receipt, json=json)
