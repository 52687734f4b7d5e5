"""coach offer: what an organisation sells."""

import asyncio

from coach_cli import output
from coach_cli.parameters import Json, Org, noun, rpc_in_org

app = noun("List what an organisation sells.")

COLUMNS = ("offer_id", "name", "offer_type", "price_cents", "currency", "sessions", "is_active")
HEADINGS = {
    "offer_id": "offer",
    "name": "name",
    "sessions": "sessions",
    "price_cents": "price (cents)",
    "currency": "currency",
    "is_active": "active",
}


@app.command("list", epilog="Example: coach offer list --org kilo")
def list_offers(org: Org, json: Json = False) -> None:
    """List offers; their sessions include the bonus."""
    rows = asyncio.run(rpc_in_org("service.list_offers", org))
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Offers")
