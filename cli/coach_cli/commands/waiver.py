"""coach waiver: what clients were asked to sign, and the evidence that they did."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("List waivers, and show what was signed, by whom and when.")

COLUMNS = (
    *("waiver_id", "client_id", "client_name", "name", "status", "source", "sent_at", "signed_at", "signer_name"),
    *("version", "expires_at"),
)
HEADINGS = {
    "waiver_id": "waiver",
    "client_name": "client",
    "status": "status",
    "source": "source",
    "signed_at": "signed (UTC)",
    "signer_name": "signer",
    "version": "version",
}


@app.command("list", epilog="Example: coach waiver list --org kilo --client 6f1c…")
def list_waivers(
    org: Org,
    client: Annotated[UUID | None, typer.Option(metavar="CLIENT_ID", help="Only this client's.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List waivers, newest first; their links are not shown."""
    rows = asyncio.run(rpc_in_org("service.list_waivers", org, p_client_id=client, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "signed_at"), HEADINGS, title="Waivers")


@app.command("show", epilog="Example: coach waiver show 0b9d…")
def show_waiver(
    waiver: Annotated[UUID, typer.Argument(metavar="WAIVER_ID", help="See coach waiver list.")], json: Json = False
) -> None:
    """Show a waiver as evidence: the signer, the time, the address and the text as it was read."""
    output.print_record(rpc("service.show_waiver", p_waiver_id=waiver), json=json)
