"""coach alert: what an organisation must be told and can act on."""

import asyncio

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc_in_org
from coach_cli.words import ALERTS, with_moments

app = noun("List what an organisation must act on.")

COLUMNS = ("id", "kind", "client_id", "purchase_id", "booking_id", "created_at", "note")
HEADINGS = {"created_at": "since (UTC)", "kind": "what", "booking_id": "booking", "note": "note"}


@app.command("list", epilog="Example: coach alert list --org kilo")
def list_alerts(org: Org, limit: Limit = 100, json: Json = False) -> None:
    """List the open alerts, newest first."""
    rows = asyncio.run(rpc_in_org("service.list_alerts", org, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [{**row, "kind": ALERTS.get(row["kind"], row["kind"])} for row in with_moments(rows, "created_at")]
    output.print_rows(readable, HEADINGS, title="Open alerts")
