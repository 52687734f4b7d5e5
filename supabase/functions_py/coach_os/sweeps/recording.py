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
WAIT_SECONDS = 0.1
MAX_RESULTS = 25
#: Pauses before a call is repeated; what is recorded twice is so once.
PAUSES = (0.2, 1.0, 3.0)


class Recorder:
    """Hands results to `function`, which takes them as `p_results`; leaving the block waits for the last of them.

    Args:
        recorded: told of each batch and of the database's answer to it.

    Raises:
        CoachError: from the block's end: results could not be recorded.
    """

    def __init__(self, database: Database, function: str, recorded: Recorded) -> None:
        self._database, self._function, self._recorded = database, function, recorded
        self._results: asyncio.Queue[Result | None] = asyncio.Queue(maxsize=4 * MAX_RESULTS)
        self._task: asyncio.Task[None] | None = None

    async def add(self, result: Result) -> None:
        """Record this soon. Waits where the database does not keep up.

        Raises:
            CoachError: an earlier result could not be recorded.
        """
        assert self._task is not None
        put = asyncio.ensure_future(self._results.put(result))
        await asyncio.wait({put, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            put.cancel()
            self._task.result()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._task is not None
        if not self._task.done():
            await self._results.put(None)
        if kind is None:
            await self._task
        else:
            # What ended the block is raised; the results that are known are recorded all the same.
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while (first := await self._results.get()) is not None:
            batch, is_last = await self._batch(first)
            answer = await self._record(batch)
            self._recorded(batch, answer)
            if is_last:
                return

    async def _batch(self, first: Result) -> tuple[list[Result], bool]:
        """What comes in within a moment of the first."""
        batch, loop = [first], asyncio.get_running_loop()
        ends = loop.time() + WAIT_SECONDS
        while len(batch) < MAX_RESULTS:
            try:
                result = await asyncio.wait_for(self._results.get(), max(ends - loop.time(), 0))
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
        answer: Mapping[str, Any] = await self._database.rpc(self._function, p_results=batch)
        return answer
