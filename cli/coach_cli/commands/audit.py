"""coach audit: who did what, and for how long that is kept."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import AnyOrg, Json, Limit, act, instant, noun
from coach_cli.words import with_moments
from coach_os.database import open_database
from coach_os.settings import load_settings
from coach_os.sweeps.runner import MAX_BATCH_SIZE

app = noun("Read who did what, and delete what need not be kept any longer.")

COLUMNS = (
    *("happened_at", "org_id", "id", "actor_id", "actor_role", "support_access_id", "action", "subject_type"),
    *("subject_id", "changed_columns", "before", "after", "reason", "refused", "request_id"),
)
HEADINGS = {
    "happened_at": "when (UTC)",
    "who": "who",
    "action": "action",
    "subject_type": "what",
    "subject_id": "which",
    "changed": "changed",
    "reason": "reason",
    "refused": "refused",
}


@app.command("list", epilog="Example: coach audit list --org kilo --limit 20")
def list_audit(
    org: AnyOrg = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Only this action, such as start_support.")
    ] = None,
    actor: Annotated[UUID | None, typer.Option(metavar="USER_ID", help="Only what this person did.")] = None,
    before: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", parser=instant, help="Only what happened before it.")
    ] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the audit logs, newest first; without --org all organisations' and the platform's."""
    rows = asyncio.run(
        act("list_audit", org, action=action, actor_id=actor, before=before and before.isoformat(), limit=limit)
    )
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [
        {**row, "who": row["actor_id"] or row["actor_role"], "changed": ", ".join(row["changed_columns"])}
        for row in with_moments(rows, "happened_at")
    ]
    output.print_rows(readable, HEADINGS, title="Audit")


@app.command("retain", epilog="Example: coach audit retain --days 730 --dry-run")
def retain_audit(
    days: Annotated[
        int,
        typer.Option("--days", min=90, max=36_500, envvar="COACH_AUDIT_DAYS", help="Keep what is younger than this."),
    ] = 2557,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="COACH_DRY_RUN", help="Say what would be done, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete audit rows that are older than so many days."""
    output.print_record({"deleted": asyncio.run(_retain(days, dry_run)), "dry_run": dry_run}, json=json)


async def _retain(days: int, dry_run: bool) -> int:
    deleted = 0
    async with open_database(load_settings()) as database:
        while True:
            (row,) = await database.rpc(
                "service.sweep_audit", p_limit=MAX_BATCH_SIZE, p_keep_days=days, p_dry_run=dry_run
            )
            deleted += int(row["deleted"])
            if dry_run or not row["deleted"]:
                return deleted
