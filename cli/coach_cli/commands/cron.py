"""coach cron: sweeps that the database does alone, run by the database itself, where it has pg_cron."""

from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, noun, rpc
from coach_cli.words import with_moments
from coach_os.sweeps import SWEEPS
from coach_os.sweeps.runner import InBatches

app = noun("Let pg_cron run the sweeps that need nothing but the database.")

#: Whatever tidies up need not do so every minute.
RARELY = "17 * * * *"
TIDYING = ("rate_limits", "audit", "support_access")
HEADINGS = {
    "job": "sweep",
    "schedule": "schedule (UTC)",
    "is_active": "on",
    "last_started_at": "ran (UTC)",
    "last_error": "error",
}


@app.command("install", epilog="Example: coach cron install --every '* * * * *'")
def install(
    every: Annotated[
        str, typer.Option(metavar="SCHEDULE", envvar="COACH_CRON_EVERY", help="A cron expression, or '30 seconds'.")
    ] = "* * * * *",
    json: Json = False,
) -> None:
    """Schedule them; again: by the new schedule. What talks to a provider still needs `coach sweep … --watch`.

    Those that tidy up run once an hour.
    """
    jobs = []
    for name, sweep in SWEEPS.items():
        if isinstance(sweep.run, InBatches):
            schedule = RARELY if name in TIDYING or name.endswith("_leftovers") else every
            function = sweep.run.function.removeprefix("service.")
            rpc(
                "service.install_cron_job",
                p_job=name,
                p_function=function,
                p_limit=sweep.run.batch_size,
                p_schedule=schedule,
            )
            jobs.append({"job": name, "schedule": schedule})
    output.print_rows(jobs, ("job", "schedule"), json=json, title="Scheduled")
    others = ", ".join(name for name, sweep in SWEEPS.items() if not isinstance(sweep.run, InBatches))
    output.say(f"These talk to providers, and need a worker: {others}.")


@app.command("list", epilog="Example: coach cron list")
def list_jobs(json: Json = False) -> None:
    """List the sweeps that pg_cron runs, and how each ended last."""
    rows = rpc("service.list_cron_jobs")
    output.print_rows(rows if json else with_moments(rows, "last_started_at"), HEADINGS, json=json, title="Scheduled")


@app.command("remove", epilog="Example: coach cron remove")
def remove(json: Json = False) -> None:
    """Let pg_cron run none of them any more."""
    output.print_record({"removed": rpc("service.remove_cron_jobs")}, json=json)
