"""Counts of calls that no limit asks about any more."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, in_batches, never

BATCH_SIZE = 10_000


async def sweep_rate_limits(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Delete counts that are older than a day, at most `limit`, in batches.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """
    return await in_batches(
        *(database, "rate_limits", "service.sweep_rate_limits"),
        batch_size=BATCH_SIZE,
        limit=limit,
        dry_run=dry_run,
        should_stop=should_stop,
    )
