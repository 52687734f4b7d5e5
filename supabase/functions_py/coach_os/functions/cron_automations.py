"""`POST /functions/v1/cron-automations`: what is due, as the existing scheduler calls it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.functions import cron


class Fired(BaseModel):
    """What fired. The first two are the existing route's."""

    processed: int = Field(description="Automations that fired.")
    runs: int = Field(description="Clients they fired for, whether it worked or failed.")
    failed: int = Field(description="How many of those failed; coach automation runs says which, and why.")
    is_complete: bool = Field(description="Nothing more was due. If false, call again.")


async def run(database: Database, *, limit: int | None, dry_run: bool) -> Fired:
    """Fire what is due, within the time budget.

    Raises:
        CoachError: what stopped it.
    """
    (sweep,) = (await cron.run(database, "automations", limit=limit, dry_run=dry_run)).runs
    counts = sweep.model_extra or {}
    return Fired(
        processed=counts.get("fired", 0),
        runs=counts.get("ok", 0) + counts.get("failed", 0),
        failed=counts.get("failed", 0),
        is_complete=sweep.is_complete,
    )
