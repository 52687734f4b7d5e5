"""`POST /functions/v1/cron-<sweep>`: a scheduler that has only HTTPS runs a sweep."""

from __future__ import annotations

import hashlib
import hmac
import time

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.sweeps import SweepResult, run_all, run_sweep

#: Schedulers hang up after half a minute or so: start no further batch after this, and say that more is due.
TIME_BUDGET_SECONDS = 20.0

ALL = "all"


class SweepRun(BaseModel):
    """What one sweep did. Beside these fields each sweep has its own counts, such as `completed` and `charged`."""

    model_config = {"extra": "allow"}

    sweep: str = Field(description="The sweep's name.")
    run_id: str | None = Field(description="The record of this run; none for a dry run.")
    batches: int = Field(description="Transactions that did something.")
    seconds: float = Field(description="How long it took.")
    is_complete: bool = Field(description="Nothing more was due. If false, call again.")
    dry_run: bool = Field(description="Nothing was changed.")
    error: str | None = Field(description="The slug of what stopped it.")


class CronAnswer(BaseModel):
    """The answer to a cron call."""

    success: bool = Field(description="Every sweep ended without an error.")
    runs: list[SweepRun] = Field(description="One for each sweep that was run.")


def authorise(secret: str | None, given: str | None) -> None:
    """Let the caller pass who sends the secret.

    Raises:
        Refusal: 403 where no secret is set, whatever is sent; 401 for a wrong one or none.
    """
    if not secret:
        raise Refusal(403, "cron_disabled", "Cron calls are refused: no secret is set.", "Set CRON_SECRET.")
    if not is_secret(secret, given):
        raise Refusal(401, "cron_secret_wrong", "The secret is missing or wrong.", "Send Authorization: Bearer …")


async def run(database: Database, sweep: str, *, limit: int | None, dry_run: bool) -> CronAnswer:
    """Run one sweep, or all of them, within the time budget.

    Raises:
        CoachError: there is no such sweep, or what stopped the one that was named.
    """
    ends = time.monotonic() + TIME_BUDGET_SECONDS

    def should_stop() -> bool:
        return time.monotonic() > ends

    results: list[SweepResult]
    if sweep == ALL:
        results = await run_all(database, limit=limit, dry_run=dry_run, should_stop=should_stop)
    else:
        results = [await run_sweep(database, sweep, limit=limit, dry_run=dry_run, should_stop=should_stop)]
    runs = [SweepRun.model_validate(result.as_json()) for result in results]
    return CronAnswer(success=all(result.error is None for result in results), runs=runs)


def is_secret(secret: str, given: str | None) -> bool:
    """Whether the caller sent the secret; how long the comparison takes tells nothing."""
    return hmac.compare_digest(_digest(given or ""), _digest(secret))


def _digest(text: str) -> bytes:
    # Equal lengths, so that not even the secret's length can be timed; and any character may be sent.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
