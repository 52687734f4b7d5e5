"""Bookings that are over: the database completes them and takes their sessions; this calls until nothing is left."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, in_batches, never

#: Bookings per transaction: large enough to be one statement's work, small enough that a kill loses little.
BATCH_SIZE = 5000


async def sweep_overdue_bookings(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Complete what is over and settle what stayed unsettled, at most `limit` bookings, in batches.

    Each batch is one transaction, so a stop or a kill loses none that ended; any number of sweeps may run at once,
    since what another one holds is passed over (`skipped`) and left to it.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """
    return await in_batches(
        *(database, "bookings", "service.sweep_overdue_bookings"),
        batch_size=BATCH_SIZE,
        limit=limit,
        dry_run=dry_run,
        should_stop=should_stop,
    )
