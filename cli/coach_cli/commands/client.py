"""coach client: the people an organisation trains or treats."""

import asyncio
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.client_file import batches, open_client_file
from coach_cli.parameters import Json, Limit, Org, noun, rpc_in_org
from coach_os.database import open_database
from coach_os.errors import CoachError
from coach_os.settings import load_settings

app = noun("List, add and import the clients of an organisation.")

COLUMNS = ("client_id", "full_name", "email", "phone", "status", "created_at")
HEADINGS = {"client_id": "client", "full_name": "name", "email": "email", "phone": "phone", "status": "status"}


@app.command("list", epilog="Example: coach client list --org kilo --search tanaka")
def list_clients(
    org: Org,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this in their name, email or phone.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List clients by name."""
    rows = asyncio.run(rpc_in_org("service.list_clients", org, p_search=search, p_limit=limit))
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Clients")


@app.command("add", epilog="Example: coach client add 'Mia Tanaka' --email mia@tanaka.example --org kilo")
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Their full name.")],
    org: Org,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Where to write to them.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="Where to call them.")] = None,
    json: Json = False,
) -> None:
    """Add a client."""
    client_id = asyncio.run(rpc_in_org("service.create_client", org, p_full_name=name, p_email=email, p_phone=phone))
    output.print_record({"client_id": client_id}, json=json)


#: Rows sent at once; the database takes 1,000 at most.
BATCH = 500
OUTCOMES = ("created", "updated", "unchanged", "refused")
IMPORT_COLUMNS = ("line", "outcome", "slug", "column_name", "of_line", "changed", "package", "client_id")
IMPORT_HEADINGS = {
    "line": "line",
    "outcome": "outcome",
    "slug": "why",
    "column_name": "column",
    "of_line": "same as line",
    "changed": "changed",
    "package": "package",
    "client_id": "client",
}


class DateOrder(StrEnum):
    """How a file writes the third of April."""

    iso = "iso"
    dmy = "dmy"
    mdy = "mdy"


@app.command("import", epilog="Example: coach client import clients.csv --org kilo --dry-run")
def import_clients(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file whose first line names its columns.")],
    org: Org,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", envvar="COACH_DRY_RUN", help="Say what would become of each row, and change nothing."
        ),
    ] = False,
    dates: Annotated[
        DateOrder,
        typer.Option(
            metavar="iso|dmy|mdy", help="How the file writes 2026-04-03 (iso), 03/04/2026 (dmy) or 04/03/2026 (mdy)."
        ),
    ] = DateOrder.iso,
    json: Json = False,
) -> None:
    """Import clients and their packages, and say what became of each row.

    A client is known again by email, or by phone and name: the same file again changes nothing. A row that is refused
    changes nothing and stops no other; with refused rows it exits 1. Columns and reasons: docs/imports.md.
    """
    rows, ignored, stopped = asyncio.run(_import(file, org, dry_run, dates))
    output.print_rows(
        [_shown(row) for row in rows] if not json else rows,
        IMPORT_COLUMNS if json else IMPORT_HEADINGS,
        json=json,
        title="Rows",
    )
    counts = Counter(row["outcome"] for row in rows)
    if ignored:
        output.say(f"Ignored columns: {', '.join(ignored)}.")
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    output.say(f"{told}. {'Nothing was changed: this was a dry run.' if dry_run else ''}".rstrip())
    if stopped:
        output.say("The import stopped here. What is listed is done; the same file again goes on from there.")
        raise stopped
    if counts["refused"]:
        raise typer.Exit(output.REFUSED)


@app.command("imports", epilog="Example: coach client imports --org kilo")
def list_imports(org: Org, limit: Limit = 100, json: Json = False) -> None:
    """List the imports of the last thirty days, and what their rows came to."""
    rows = asyncio.run(rpc_in_org("service.list_client_imports", org, p_limit=limit))
    output.print_rows(rows, ("import_id", "created_at", "is_dry_run", *OUTCOMES), json=json, title="Imports")


async def _import(
    file: Path, org: str, dry_run: bool, dates: DateOrder
) -> tuple[list[dict[str, Any]], tuple[str, ...], CoachError | None]:
    """What became of the rows so far, the columns that were ignored, and what ended it early."""
    told: list[dict[str, Any]] = []
    async with open_database(load_settings()) as database:
        columns = {row["name"]: row["aliases"] for row in await database.rpc("service.list_import_columns")}
        with open_client_file(file, columns) as opened:
            org_id = await database.rpc("service.find_org", p_org=org)
            import_id = await database.rpc(
                "service.open_client_import", p_org_id=org_id, p_dry_run=dry_run, p_date_order=dates.value
            )
            try:
                with output.progress("rows") as advance:
                    for batch in batches(opened.rows, BATCH):
                        told += await database.rpc("service.import_clients", p_import_id=import_id, p_rows=batch)
                        advance(len(batch))
            except CoachError as stopped:
                return told, opened.ignored, stopped
            return told, opened.ignored, None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "changed": ", ".join(row["changed"]) or None}
