"""coach sweep: what must happen although nobody asks. Cron calls these; any number may run at once."""

import asyncio
import json as jsonlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Self

import typer

from coach_cli import output
from coach_cli.parameters import Json, noun, rpc
from coach_cli.parameters import Limit as RowLimit
from coach_cli.words import with_moments
from coach_os.database import Database, open_database
from coach_os.errors import CoachError, Unavailable
from coach_os.logs import configure_logging
from coach_os.settings import load_settings
from coach_os.sweeps import SWEEPS, SweepResult, run_sweep, stop_on_signals

app = noun("Run sweeps, and show how they ended.")

HEADINGS = {
    "sweep": "sweep",
    "did": "did",
    "batches": "batches",
    "seconds": "seconds",
    "is_complete": "complete",
    "error": "error",
}
RUN_COLUMNS = ("id", "job", "started_at", "finished_at", "result", "error")
RUN_HEADINGS = {
    "job": "job",
    "started_at": "started (UTC)",
    "finished_at": "finished (UTC)",
    "result": "did",
    "error": "error",
}

Watch = Annotated[
    float | None,
    typer.Option(
        min=0.1, max=86_400, metavar="SECONDS", envvar="COACH_SWEEP_WATCH", help="Run again and again, with this pause."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100_000_000,
        metavar="N",
        envvar="COACH_SWEEP_LIMIT",
        help="Take at most so many rows, each sweep and run.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", envvar="COACH_DRY_RUN", help="Say what would be done, and change nothing.")
]


@app.command("bookings", epilog="Example: coach sweep bookings --dry-run")
def sweep_bookings(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Complete bookings that are over, and take the sessions they cost."""
    _sweep(["bookings"], watch, limit, dry_run, json)


@app.command("holds", epilog="Example: coach sweep holds --watch 60")
def sweep_holds(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Free held times whose hold ran out, and offer them to the waitlist."""
    _sweep(["holds"], watch, limit, dry_run, json)


@app.command("waivers", epilog="Example: coach sweep waivers --dry-run")
def sweep_waivers(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """End waivers that nobody signed in time, and let go of the bookings that waited for them."""
    _sweep(["waivers"], watch, limit, dry_run, json)


@app.command("deposits", epilog="Example: coach sweep deposits --watch 30")
def sweep_deposits(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Make the payments of deposits that wait for one, and cancel those not paid in time."""
    _sweep(["deposits"], watch, limit, dry_run, json)


@app.command("refunds", epilog="Example: coach sweep refunds --watch 30")
def sweep_refunds(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Carry the refunds that are due to Stripe.

    Any number of workers may run. Without STRIPE_SECRET_KEY nothing is carried, and stays due.
    """
    _sweep(["refunds"], watch, limit, dry_run, json)


@app.command("receipts", epilog="Example: coach sweep receipts --watch 60")
def sweep_receipts(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Number the receipts of payments and refunds, and queue their emails."""
    _sweep(["receipts"], watch, limit, dry_run, json)


@app.command("reminders", epilog="Example: coach sweep reminders --watch 60")
def sweep_reminders(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Queue the reminders and follow-ups that are due soon."""
    _sweep(["reminders"], watch, limit, dry_run, json)


@app.command("messages", epilog="Example: coach sweep messages --watch 5")
def sweep_messages(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Send the messages that are due and may be sent now.

    Any number of workers may run. A stack of `coach up` sends nothing for which the environment has no credentials.
    """
    _sweep(["messages"], watch, limit, dry_run, json)


@app.command("messages-unknown", epilog="Example: coach sweep messages-unknown")
def sweep_messages_unknown(
    watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Look up at the provider what may have been sent; nothing is sent again."""
    _sweep(["messages_unknown"], watch, limit, dry_run, json)


@app.command("message-leftovers", epilog="Example: coach sweep message-leftovers")
def sweep_message_leftovers(
    watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Delete callbacks that matched no message, and ids of messages that came in long ago."""
    _sweep(["message_leftovers"], watch, limit, dry_run, json)


@app.command("risk", epilog="Example: coach sweep risk")
def sweep_risk(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Score how likely clients are to leave, once for each local day of their organisation."""
    _sweep(["risk"], watch, limit, dry_run, json)


@app.command("automations", epilog="Example: coach sweep automations --watch 60")
def sweep_automations(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Fire the automations that are due, each once."""
    _sweep(["automations"], watch, limit, dry_run, json)


@app.command("webhooks", epilog="Example: coach sweep webhooks --watch 5")
def sweep_webhooks(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Post what automations send to organisations' own servers."""
    _sweep(["webhooks"], watch, limit, dry_run, json)


@app.command("automation-leftovers", epilog="Example: coach sweep automation-leftovers")
def sweep_automation_leftovers(
    watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Delete what automations did more than 400 days ago."""
    _sweep(["automation_leftovers"], watch, limit, dry_run, json)


@app.command("support-access", epilog="Example: coach sweep support-access")
def sweep_support_access(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Put away support accesses that have run out."""
    _sweep(["support_access"], watch, limit, dry_run, json)


@app.command("audit", epilog="Example: coach sweep audit --dry-run")
def sweep_audit(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Delete audit rows that are older than seven years; `coach audit retain` for another time."""
    _sweep(["audit"], watch, limit, dry_run, json)


@app.command("billing", epilog="Example: coach sweep billing --watch 60")
def sweep_billing(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Ask the provider about subscriptions that its events left in doubt."""
    _sweep(["billing"], watch, limit, dry_run, json)


@app.command("stripe", epilog="Example: coach sweep stripe --watch 60")
def sweep_stripe(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Make up for events of Stripe's that never came or failed, and fetch what they named.

    Without STRIPE_SECRET_KEY only what is kept is applied again.
    """
    _sweep(["stripe"], watch, limit, dry_run, json)


@app.command("import-leftovers", epilog="Example: coach sweep import-leftovers")
def sweep_import_leftovers(
    watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Delete what is kept of imports of clients after thirty days."""
    _sweep(["import_leftovers"], watch, limit, dry_run, json)


@app.command("rate-limits", epilog="Example: coach sweep rate-limits")
def sweep_rate_limits(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Delete counts of calls that no limit asks about any more."""
    _sweep(["rate_limits"], watch, limit, dry_run, json)


@app.command("all", epilog="Example: coach sweep all --watch 60")
def sweep_all(watch: Watch = None, limit: Limit = None, dry_run: DryRun = False, json: Json = False) -> None:
    """Run every sweep; one that fails holds up no other.

    With --watch and --json it prints one line of JSON for each sweep of each round.
    """
    _sweep(list(SWEEPS), watch, limit, dry_run, json)


@app.command("runs", epilog="Example: coach sweep runs --job sweep_bookings --limit 5")
def list_runs(
    job: Annotated[str | None, typer.Option(metavar="JOB", help="Only this job's, such as sweep_bookings.")] = None,
    limit: RowLimit = 20,
    json: Json = False,
) -> None:
    """List the latest runs, newest first; one without an end is running, or was killed."""
    rows = rpc("service.list_job_runs", p_job=job, p_limit=limit)
    if json:
        output.print_rows(rows, RUN_COLUMNS, json=True)
        return
    readable = [{**row, "result": _counts(row["result"])} for row in with_moments(rows, "started_at", "finished_at")]
    output.print_rows(readable, RUN_HEADINGS, title="Runs")


def _counts(result: Mapping[str, Any] | None) -> str:
    return ", ".join(
        f"{count} {name}" for name, count in (result or {}).items() if count and not isinstance(count, bool)
    )


def _sweep(names: list[str], watch: float | None, limit: int | None, dry_run: bool, json: bool) -> None:
    configure_logging("error")
    failed = asyncio.run(_rounds(names, watch, limit, dry_run, json))
    if failed is not None:
        raise failed


async def _rounds(
    names: list[str], watch: float | None, limit: int | None, dry_run: bool, json: bool
) -> CoachError | None:
    """Sweep once, or until a signal; returns the first error of the last round."""
    with stop_on_signals() as stop:
        async with open_database(load_settings()) as database:
            while True:
                results, failed = await _round(database, names, limit, dry_run, stop.is_set)
                _print(results, json, lines=watch is not None)
                if watch is None or stop.is_set():
                    return failed
                # A database that is away comes back; whatever else is wrong stays wrong.
                if failed is not None and not isinstance(failed, Unavailable):
                    return failed
                if failed is not None:
                    output.fail(failed.message, f"Trying again in {watch:g} seconds.")
                try:
                    await asyncio.wait_for(stop.wait(), watch)
                except TimeoutError:
                    continue
                return None


async def _round(
    database: Database, names: list[str], limit: int | None, dry_run: bool, should_stop: Callable[[], bool]
) -> tuple[list[SweepResult], CoachError | None]:
    results: list[SweepResult] = []
    failed: CoachError | None = None
    for name in names:
        with _counted(database, name) as counted:
            try:
                results.append(await run_sweep(counted, name, limit=limit, dry_run=dry_run, should_stop=should_stop))
            except CoachError as error:
                failed = failed or error
                results.append(SweepResult(name, dry_run=dry_run, error=error.slug))
    return results, failed


def _print(results: list[SweepResult], json: bool, *, lines: bool) -> None:
    rows: list[dict[str, Any]] = [result.as_json() for result in results]
    if json and lines:
        for row in rows:
            print(jsonlib.dumps(row), flush=True)
    elif json:
        output.print_json(rows)
    else:
        told = [{**row, "did": _did(result)} for row, result in zip(rows, results, strict=True)]
        output.print_rows(told, HEADINGS)


def _did(result: SweepResult) -> str:
    """What was done, or would be, in words.

    >>> _did(SweepResult("bookings", {"completed": 3, "skipped": 0}, dry_run=True))
    'would: 3 completed'
    """
    counts = ", ".join(f"{count} {key}" for key, count in result.counts.items() if count)
    return f"would: {counts}" if counts and result.dry_run else counts or "nothing"


class _Counted:
    """A database that tells a progress bar how much each batch did: the largest of its counts, or what it recorded."""

    def __init__(self, database: Database, advance: Callable[[int], None]) -> None:
        self._database = database
        self._advance = advance

    async def rpc(self, name: str, /, **params: Any) -> Any:
        result = await self._database.rpc(name, **params)
        if name.startswith(("service.sweep_", "service.record_")):
            self._advance(sum(max(row.values()) for row in result))
        return result

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        await self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@contextmanager
def _counted(database: Database, name: str) -> Iterator[Database]:
    with output.progress(f"sweeping {name}") as advance:
        yield _Counted(database, advance)
