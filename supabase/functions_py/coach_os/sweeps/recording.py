"""Results on their way to the database: in small batches, soon after they are known, and again where it was away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self

from coach_os.database import Database
from coach_os.errors import Unavailable
from coach_os.logs import get_logger

log = get_logger(__name__)

Result = dict[str, Any]
Recorded = Callable[[list[Result], Mapping[str, Any]], None]

#: A kill loses at most what came in within this time, or so many results.
WAIT_SECONDS = 0.05
MAX_RESULTS = 25
#: Pauses before a call is repeated; what is recorded twice is so once.
PAUSES = (0.2, 1.0, 3.0)


class Recorder:
    """Hands results to `function`, which takes them as `p_results`; the end of the block waits for the last of them.

    Args:
        recorded: told of each batch, and of the database's answer to it.

    Raises:
        CoachError: at the end of the block: results could not be recorded.
    """

    def __init__(self, database: Database, function: str, recorded: Recorded) -> None:
        self._database, self._function, self._recorded = database, function, recorded
        self._results: asyncio.Queue[Result | None] = asyncio.Queue(maxsize=4 * MAX_RESULTS)
        self._task: asyncio.Task[None] | None = None
        #: Results that were handed over and are not in the database yet.
        self.unrecorded = 0

    @property
    def has_failed(self) -> bool:
        """The database took a batch's repeats no better: nothing further can be recorded."""
        return self._task is not None and self._task.done()

    async def add(self, result: Result) -> None:
        """Record this soon; waits where the database does not keep up. Forgets it where recording has failed."""
        self.unrecorded += 1
        await self._put(result)

    async def settled(self) -> None:
        """Waits until everything that was handed over is recorded, or recording has failed."""
        while self.unrecorded and not self.has_failed:
            await asyncio.sleep(WAIT_SECONDS)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._task is not None
        await self._put(None)
        # Where the block raised, that is what counts.
        await asyncio.gather(self._task, return_exceptions=kind is not None)

    async def _put(self, result: Result | None) -> None:
        assert self._task is not None
        put = asyncio.ensure_future(self._results.put(result))
        await asyncio.wait({put, self._task}, return_when=asyncio.FIRST_COMPLETED)
        put.cancel()

    async def _run(self) -> None:
        is_last = False
        while not is_last and (first := await self._results.get()) is not None:
            batch, is_last = await self._batch(first)
            self._recorded(batch, await self._record(batch))
            self.unrecorded -= len(batch)

    async def _batch(self, first: Result) -> tuple[list[Result], bool]:
        """What comes in within a moment of the first, and whether it is the last."""
        batch, ends = [first], asyncio.get_running_loop().time() + WAIT_SECONDS
        while len(batch) < MAX_RESULTS:
            try:
                async with asyncio.timeout_at(ends):
                    result = await self._results.get()
            except TimeoutError:
                break
            if result is None:
                return batch, True
            batch.append(result)
        return batch, False

    async def _record(self, batch: list[Result]) -> Mapping[str, Any]:
        for pause in PAUSES:
            try:
                return await self._call(batch)
            except Unavailable as error:
                log.warning("results_not_recorded", slug=error.slug, results=len(batch))
                await asyncio.sleep(pause)
        return await self._call(batch)

    async def _call(self, batch: list[Result]) -> Mapping[str, Any]:
        (answer,) = await self._database.rpc(self._function, p_results=batch)
        counts: Mapping[str, Any] = answer
        return counts
