"""Bookings that are over: the database completes them and takes their sessions; this calls until nothing is left."""

from __future__ import annotations

from coach_os.database import Database
from coach_os.sweeps.runner import ShouldStop, SweepResult, never, recorded

#: Bookings per transaction: large enough to be one statement's work, small enough that a kill loses little.
BATCH_SIZE = 5000

#: What the database takes in one call; a dry run looks at that much.
MAX_BATCH_SIZE = 100_000

_PROGRESS = ("completed", "charged", "uncovered")


async def sweep_overdue_bookings(
    database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
) -> SweepResult:
    """Complete what is over and settle what stayed unsettled, at most `limit` bookings, in batches.

    Each batch is one transaction, so a stop or a kill loses none that ended; any number of sweeps may run at once,
    since what another one holds is passed over (`skipped`) and left to it.

    Raises:
        Unavailable: the database went away; the batches before it are committed.
    """

    async def sweep(result: SweepResult) -> None:
        remaining = limit
        while not should_stop() and remaining != 0:
            size = min(MAX_BATCH_SIZE if dry_run else BATCH_SIZE, remaining or MAX_BATCH_SIZE)
            (counts,) = await database.rpc("service.sweep_overdue_bookings", p_limit=size, p_dry_run=dry_run)
            for name in _PROGRESS:
                result.counts[name] = result.counts.get(name, 0) + counts[name]
            result.counts["skipped"] = counts["skipped"]
            if dry_run:
                return
            if not any(counts[name] for name in _PROGRESS):
                result.is_complete = counts["skipped"] == 0
                return
            result.batches += 1
            remaining = None if remaining is None else remaining - size

    return await recorded(database, "bookings", sweep, dry_run=dry_run)
