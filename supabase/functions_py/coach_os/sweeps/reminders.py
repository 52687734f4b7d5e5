"""Reminders and follow-ups: the database queues what an organisation's schedules ask for, and takes back what moved."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, in_batches, never

BATCH_SIZE = 1000


async def sweep_reminders(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Queue reminders that are due soon, at most `limit`, in batches. Each is queued once, however many sweeps run.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """
    return await in_batches(
        *(database, "reminders", "service.sweep_reminders"),
        batch_size=BATCH_SIZE,
        limit=limit,
        dry_run=dry_run,
        should_stop=should_stop,
    )
