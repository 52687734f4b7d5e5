"""Races with real connections: everyone gets ready, meets at a barrier, and acts in the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# A race that hangs is a deadlock nobody broke: fail it rather than wait for the suite's timeout.
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What one participant got: a value, or the error it met."""

    value: Any = None
    error: BaseException | None = None


def barrier_race(n: int, act: Callable[[Any], Any], *, prepare: Callable[[int], Any] | None = None) -> list[Outcome]:
    """Runs `act` n times at once and returns the outcomes in the order of the participants.

    Args:
        prepare: called with the participant's number before the barrier, typically to open its connection; what it
            returns is given to `act`. Without it `act` gets the number.
    """
    barrier = threading.Barrier(n)

    def participate(number: int) -> Outcome:
        try:
            ready = prepare(number) if prepare else number
        except BaseException:
            barrier.abort()
            raise
        barrier.wait(PATIENCE_SECONDS)
        try:
            return Outcome(value=act(ready))
        except Exception as error:
            return Outcome(error=error)

    with ThreadPoolExecutor(max_workers=n) as pool:
        return [future.result(PATIENCE_SECONDS) for future in [pool.submit(participate, number) for number in range(n)]]


def values(outcomes: list[Outcome]) -> list[Any]:
    """The values of a race in which nobody may meet an error; the first error is raised."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in outcomes]
