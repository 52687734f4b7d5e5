"""`POST /functions/v1/cron-risk-score`: clients' risk of the day, as the existing scheduler calls it."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.functions import cron


class Scored(BaseModel):
    """What was scored. The first two are the existing route's."""

    processed: int = Field(description="Clients who were scored; none where each organisation has today's already.")
    date: date
    is_complete: bool = Field(description="Nothing more was due. If false, call again.")


async def run(database: Database, *, limit: int | None, dry_run: bool) -> Scored:
    """Score organisations whose local day has begun, within the time budget. `date` is UTC's, each score's its own.

    Raises:
        CoachError: what stopped it.
    """
    (sweep,) = (await cron.run(database, "risk", limit=limit, dry_run=dry_run)).runs
    counts = sweep.model_extra or {}
    return Scored(processed=counts.get("scored", 0), date=datetime.now(UTC).date(), is_complete=sweep.is_complete)
