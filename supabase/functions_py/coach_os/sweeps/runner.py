"""What every sweep shares: its result, its loop over batches, and the record of its run."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from coach_os.database import Database
from coach_os.errors import CoachError
from coach_os.logs import get_logger

log = get_logger(__name__)

#: Asked between batches; true ends the run with what it has done.
ShouldStop = Callable[[], bool]


@dataclass(slots=True)
class SweepResult:
    """What a run did. `counts` are the sweep's own; `is_complete` says that nothing more was due when it ended."""

    sweep: str
    counts: dict[str, int] = field(default_factory=dict)
    batches: int = 0
    seconds: float = 0.0
    is_complete: bool = False
    dry_run: bool = False
    run_id: str | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "sweep": self.sweep,
            "run_id": self.run_id,
            **self.counts,
            "batches": self.batches,
            "seconds": round(self.seconds, 3),
            "is_complete": self.is_complete,
            "dry_run": self.dry_run,
            "error": self.error,
        }


def never() -> bool:
    """Run to the end."""
    return False


#: What the database takes in one call; a dry run looks at that much.
MAX_BATCH_SIZE = 100_000

#: Counted in an answer, but no work done: what somebody else holds.
SKIPPED = "skipped"


@dataclass(slots=True)
class InBatches:
    """A sweep that the database does alone: its function, called until nothing is due.

    The function takes `p_limit` and `p_dry_run` and answers with one row of counts. Each batch is one transaction, so a
    stop or a kill loses none that ended; any number of sweeps may run at once, since what another one holds is passed
    over (`skipped`) and left to it.

    `progress` names the counts of which any above zero says that more may be due; default: all but `skipped`.
    """

    name: str
    function: str
    batch_size: int
    progress: tuple[str, ...] | None = None

    async def __call__(
        self, database: Database, *, limit: int | None = None, dry_run: bool = False, should_stop: ShouldStop = never
    ) -> SweepResult:
        """Run until nothing is due, at most `limit`, and record the run.

        Raises:
            CoachError: what stopped it; the batches before it are committed.
        """

        async def sweep(result: SweepResult) -> None:
            remaining = limit
            while not should_stop() and remaining != 0:
                size = min(MAX_BATCH_SIZE if dry_run else self.batch_size, remaining or MAX_BATCH_SIZE)
                (counts,) = await database.rpc(self.function, p_limit=size, p_dry_run=dry_run)
                for key, count in counts.items():
                    result.counts[key] = count if key == SKIPPED else result.counts.get(key, 0) + count
                if dry_run:
                    return
                if not any(counts[key] for key in self.progress or counts.keys() - {SKIPPED}):
                    result.is_complete = counts.get(SKIPPED, 0) == 0
                    return
                result.batches += 1
                remaining = None if remaining is None else remaining - size

        return await recorded(database, self.name, sweep, dry_run=dry_run)


async def recorded(
    database: Database, name: str, sweep: Callable[[SweepResult], Awaitable[None]], *, dry_run: bool
) -> SweepResult:
    """Run `sweep` and keep a record of the run; a dry run changes nothing, so it leaves no record either.

    Raises:
        CoachError: what stopped the sweep; the batches before it are committed, and the record names its slug.
    """
    result = SweepResult(name, dry_run=dry_run)
    started = time.monotonic()
    if not dry_run:
        result.run_id = await database.rpc("service.start_job_run", p_job=f"sweep_{name}")
    try:
        await sweep(result)
    except BaseException as error:
        result.error = _slug(error)
        raise
    finally:
        result.seconds = time.monotonic() - started
        if result.run_id is not None:
            await _finish(database, result)
        log.info("sweep_finished", **result.as_json())
    return result


def _slug(error: BaseException) -> str:
    if isinstance(error, CoachError):
        return error.slug
    return "internal_error" if isinstance(error, Exception) else "interrupted"


async def _finish(database: Database, result: SweepResult) -> None:
    counts = {**result.counts, "batches": result.batches, "is_complete": result.is_complete}
    try:
        await database.rpc("service.finish_job_run", p_id=result.run_id, p_result=counts, p_error=result.error)
    except CoachError as error:
        # What stopped the sweep matters more than its record: an unfinished run reads as one that was killed.
        log.warning("job_run_not_recorded", run_id=result.run_id, slug=error.slug)


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set, so that a sweep ends after the batch it is in.

    A second signal interrupts at once; what was not committed is done by the next run.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)

    def ask(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, ask, number)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
