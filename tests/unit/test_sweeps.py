"""A sweep goes on until nothing is due, keeps a record, and ends cleanly whenever it is asked to."""

import asyncio
import os
import signal
from collections import defaultdict
from typing import Any, Self
from uuid import uuid4

import pytest

from coach_os.errors import CoachError, Fault, Refusal, Unavailable
from coach_os.sweeps import SWEEPS, SweepResult, run_all, run_sweep, stop_on_signals
from coach_os.sweeps.in_database import BOOKINGS, HOLDS


class ScriptedDatabase:
    """Answers each call from a script: `due` bookings, of which it handles at most `p_limit` a call."""

    def __init__(self, due: int = 0, held: int = 0, fail_after: int | None = None) -> None:
        self.due, self.held, self.fail_after = due, held, fail_after
        self.expired = 0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.record_fails = False

    async def rpc(self, name: str, /, **params: Any) -> Any:
        self.calls.append((name, params))
        if name == "service.start_job_run":
            return str(uuid4())
        if name == "service.finish_job_run":
            if self.record_fails:
                raise Unavailable()
            return None
        if name == "service.sweep_expired_holds":
            done = min(self.expired, params["p_limit"])
            self.expired -= 0 if params["p_dry_run"] else done
            return [{"expired": done, "offered": 1}]
        if name == "service.sweep_reminders":
            return [{"queued": 0, "skipped": 0}]
        if name.endswith("_state"):
            return defaultdict(int)
        if name.startswith(("service.claim_", "service.list_")):
            return {"due": 0} if params.get("p_dry_run") else []
        if name != "service.sweep_overdue_bookings":
            # Another sweep that the database does alone, with nothing to do.
            assert name.startswith("service.sweep_")
            return [{"done": 0}]
        if self.fail_after is not None and len(self.sizes) > self.fail_after:
            raise Unavailable()
        done = min(self.due, params["p_limit"])
        if not params["p_dry_run"]:
            self.due -= done
        return [{"completed": done, "charged": done - done // 3, "uncovered": done // 3, "skipped": self.held}]

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def sizes(self) -> list[int]:
        return [params["p_limit"] for name, params in self.calls if name == "service.sweep_overdue_bookings"]

    @property
    def record(self) -> dict[str, Any]:
        (params,) = [params for name, params in self.calls if name == "service.finish_job_run"]
        return params


def sweep(database: ScriptedDatabase, name: str = "bookings", **options: Any) -> SweepResult:
    return asyncio.run(run_sweep(database, name, **options))


def test_a_sweep_calls_until_nothing_is_due() -> None:
    database = ScriptedDatabase(due=2 * BOOKINGS.batch_size + 3)
    result = sweep(database)
    assert result.counts["completed"] == 2 * BOOKINGS.batch_size + 3
    assert (result.batches, result.is_complete, len(database.sizes)) == (3, True, 4)
    assert database.record["p_result"]["completed"] == 2 * BOOKINGS.batch_size + 3
    assert database.record["p_error"] is None


def test_nothing_due_is_one_call_and_a_record() -> None:
    database = ScriptedDatabase()
    result = sweep(database)
    assert (result.batches, result.is_complete, len(database.sizes)) == (0, True, 1)
    assert database.record["p_id"] == result.run_id


def test_what_somebody_else_holds_is_left_to_them() -> None:
    result = sweep(ScriptedDatabase(due=1, held=2))
    assert not result.is_complete
    assert result.counts == {"completed": 1, "charged": 1, "uncovered": 0, "skipped": 2}


@pytest.mark.parametrize("limit", [1, 7, BOOKINGS.batch_size, BOOKINGS.batch_size + 1])
def test_a_limit_is_never_exceeded(limit: int) -> None:
    database = ScriptedDatabase(due=10 * BOOKINGS.batch_size)
    result = sweep(database, limit=limit)
    assert result.counts["completed"] == limit
    assert sum(database.sizes) == limit
    assert not result.is_complete


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(Refusal) as caught:
        sweep(ScriptedDatabase(), limit=limit)
    assert caught.value.slug == "limit_invalid"


def test_a_dry_run_asks_once_and_leaves_no_record() -> None:
    database = ScriptedDatabase(due=12)
    result = sweep(database, dry_run=True)
    assert (result.counts["completed"], result.run_id, database.due) == (12, None, 12)
    assert [name for name, _ in database.calls] == ["service.sweep_overdue_bookings"]


def test_a_sweep_that_is_asked_to_stop_ends_after_its_batch() -> None:
    database = ScriptedDatabase(due=3 * BOOKINGS.batch_size)
    result = sweep(database, should_stop=lambda: len(database.sizes) >= 2)
    assert (result.batches, result.is_complete, database.due) == (2, False, BOOKINGS.batch_size)
    assert database.record["p_error"] is None


def test_what_stopped_a_sweep_is_raised_and_recorded() -> None:
    database = ScriptedDatabase(due=3 * BOOKINGS.batch_size, fail_after=1)
    with pytest.raises(Unavailable):
        sweep(database)
    assert database.record["p_error"] == "database_unavailable"
    assert database.record["p_result"]["completed"] == BOOKINGS.batch_size


def test_a_record_that_cannot_be_written_does_not_hide_what_happened() -> None:
    database = ScriptedDatabase(due=1)
    database.record_fails = True
    assert sweep(database).counts["completed"] == 1


def test_an_interrupted_sweep_is_recorded_as_such() -> None:
    class Interrupting(ScriptedDatabase):
        async def rpc(self, name: str, /, **params: Any) -> Any:
            if name == "service.sweep_overdue_bookings":
                raise asyncio.CancelledError
            return await super().rpc(name, **params)

    database = Interrupting()
    with pytest.raises(asyncio.CancelledError):
        sweep(database)
    assert database.record["p_error"] == "interrupted"


@pytest.mark.parametrize("name", ["", "booking", "BOOKINGS", "bookings; drop", "all"])
def test_a_sweep_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as caught:
        sweep(ScriptedDatabase(), name)
    assert (caught.value.status, caught.value.slug) == (404, "sweep_unknown")


def test_all_sweeps_run_and_one_that_fails_is_reported() -> None:
    database = ScriptedDatabase(due=1, fail_after=0)
    results = asyncio.run(run_all(database))
    assert [result.sweep for result in results] == list(SWEEPS)
    assert [result.error for result in results] == ["database_unavailable", *[None] * (len(SWEEPS) - 1)]


@pytest.mark.parametrize("limit", [None, 3, HOLDS.batch_size + 1])
def test_held_times_are_let_go_in_batches(limit: int | None) -> None:
    database = ScriptedDatabase()
    database.expired = 2 * HOLDS.batch_size
    result = sweep(database, "holds", limit=limit)
    assert result.counts["expired"] == (limit or 2 * HOLDS.batch_size)
    assert result.is_complete is (limit is None)


def test_what_is_offered_on_does_not_keep_a_sweep_going() -> None:
    database = ScriptedDatabase()
    result = sweep(database, "holds")
    assert (result.counts, result.batches, result.is_complete) == ({"expired": 0, "offered": 1}, 0, True)


def test_every_sweep_says_what_it_does() -> None:
    for name, described in SWEEPS.items():
        assert described.name == name
        assert described.description.endswith(".")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_batch_end(number: signal.Signals) -> None:
    database = ScriptedDatabase(due=3 * BOOKINGS.batch_size)

    async def run() -> SweepResult:
        with stop_on_signals() as stop:

            def should_stop() -> bool:
                return stop.is_set()

            original = database.rpc

            async def rpc(name: str, /, **params: Any) -> Any:
                answer = await original(name, **params)
                if len(database.sizes) == 1 and name == "service.sweep_overdue_bookings":
                    os.kill(os.getpid(), number)
                    await asyncio.sleep(0.01)
                return answer

            database.rpc = rpc  # type: ignore[method-assign]
            return await run_sweep(database, "bookings", should_stop=should_stop)

    result = asyncio.run(run())
    assert (result.batches, result.is_complete) == (1, False)
    assert database.record["p_error"] is None


@pytest.mark.parametrize(
    ("error", "exit_code"), [(Refusal(409, "slot_taken", "No."), 1), (Unavailable(), 3), (Fault(), 3)]
)
def test_an_error_knows_how_a_command_ends(error: CoachError, exit_code: int) -> None:
    assert error.exit_code == exit_code
    assert error.as_json() == {"error": error.message, "slug": error.slug, "hint": error.hint}
