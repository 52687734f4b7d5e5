"""coach support: let a person of the platform into an organisation for a while, and out again."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import AnyOrg, Email, Json, Limit, Org, Reason, act, noun
from coach_cli.words import with_moments

app = noun("Let the platform's people into an organisation for a while, and out again.")

COLUMNS = (
    *("id", "org_id", "slug", "user_id", "email", "client_id", "reason", "started_at", "expires_at", "ended_at"),
    "is_open",
)
HEADINGS = {
    "id": "access",
    "slug": "organisation",
    "email": "who",
    "client_id": "as client",
    "reason": "reason",
    "expires_at": "until (UTC)",
    "ended_at": "ended (UTC)",
}


@app.command(
    "start",
    epilog='Example: coach support start helper@platform.example --org kilo --reason "The calendar is empty"',
)
def start_support(
    email: Email,
    org: Org,
    reason: Reason,
    minutes: Annotated[
        int, typer.Option("--minutes", min=5, max=480, envvar="COACH_SUPPORT_MINUTES", help="For how long.")
    ] = 60,
    client: Annotated[
        UUID | None, typer.Option("--client", metavar="CLIENT_ID", help="In this client's place, and nowhere else.")
    ] = None,
    json: Json = False,
) -> None:
    """Let a platform admin into an organisation. Its owners are told, and can end it."""
    args = {"email": email, "reason": reason, "minutes": minutes, "client_id": client}
    output.print_record(asyncio.run(act("start_support", org, **args)), json=json)


@app.command("end", epilog="Example: coach support end 7d0c0e0e-8a57-4f7e-9d3c-3a2f3f1f6a11")
def end_support(
    access: Annotated[UUID, typer.Argument(metavar="ACCESS_ID", help="See coach support list.")], json: Json = False
) -> None:
    """End a support access at once."""
    output.print_record(asyncio.run(act("end_support", None, access_id=access)), json=json)


@app.command("list", epilog="Example: coach support list --org kilo --all")
def list_support(
    org: AnyOrg = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the support accesses that are open, newest first."""
    rows = asyncio.run(act("list_support", org, all=everything, limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "expires_at", "ended_at"), HEADINGS, title="Support access")
