"""Held times whose hold has run out: the database lets them go and offers them to who waits for them."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, in_batches, never

#: Holds per transaction; each is freed and offered on by itself.
BATCH_SIZE = 1000


async def sweep_expired_holds(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Let go of expired holds, at most `limit`, in batches. Nobody waits for this to book a time that has run out.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """
    return await in_batches(
        *(database, "holds", "service.sweep_expired_holds"),
        batch_size=BATCH_SIZE,
        limit=limit,
        dry_run=dry_run,
        should_stop=should_stop,
        progress=("expired",),
    )
