"""coach risk: which clients are likely to leave, and why."""

import asyncio
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, OrgName, noun, rpc_in_org

app = noun("List which clients are likely to leave, and score them anew.")

COLUMNS = ("client_id", "client_name", "tier", "score", "reasons", "as_of_date")
HEADINGS = {"client_name": "client", "tier": "tier", "score": "score", "reasons": "why", "as_of_date": "as of"}


@app.command("list", epilog="Example: coach risk list --org kilo --tier red")
def list_risk(
    org: Org,
    tier: Annotated[str | None, typer.Option(metavar="TIER", help="Only red, amber or green.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List clients by how likely they are to leave, as of their latest score."""
    rows = asyncio.run(rpc_in_org("service.list_risk", org, p_tier=tier, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows([{**row, "reasons": "; ".join(row["reasons"])} for row in rows], HEADINGS, title="Risk")


@app.command("score", epilog="Example: coach risk score kilo")
def score(org: OrgName, json: Json = False) -> None:
    """Score an organisation's clients now, without waiting for its next day."""
    output.print_record({"scored": asyncio.run(rpc_in_org("service.score_risk", org))}, json=json)
