"""What messaging keeps for a while only: callbacks that nobody asked for, ids of messages that came in."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, in_batches, never

BATCH_SIZE = 10_000


async def sweep_message_leftovers(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Delete callbacks of a week ago that matched nothing, and ids of a month ago, at most `limit`, in batches.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """
    return await in_batches(
        *(database, "message_leftovers", "service.sweep_message_leftovers"),
        batch_size=BATCH_SIZE,
        limit=limit,
        dry_run=dry_run,
        should_stop=should_stop,
    )
