"""coach up, down, status: the embedded stack, or the remote database that the environment names."""

from typing import Annotated

import typer

from coach_cli import output
from coach_os.settings import Settings, read_environment
from coach_os.stack import supervisor
from coach_os.stack.status import Status, local_status, remote_status

app = typer.Typer()

Json = Annotated[bool, typer.Option("--json", help="Print JSON, secrets included.", envvar="COACH_JSON")]


@app.command(epilog="Example: coach up && coach status")
def up(
    api_port: Annotated[
        int | None, typer.Option(min=1, max=65535, envvar="COACH_API_PORT", help="Where apps find the API.")
    ] = None,
    db_port: Annotated[
        int | None, typer.Option(min=1, max=65535, envvar="COACH_DB_PORT", help="Where PostgreSQL listens.")
    ] = None,
    json: Json = False,
) -> None:
    """Start the local stack.

    PostgreSQL, the migrations, the Data API and the service; what runs already is left running.
    """
    settings = read_environment()
    if _leaves_remote_alone(settings, "started"):
        return
    chosen = {"api_port": api_port or settings.api_port, "db_port": db_port or settings.db_port}
    done = supervisor.up(settings.model_copy(update=chosen), output.say)
    if done.without_data_api:
        output.say(f"{done.without_data_api.message} {done.without_data_api.hint}")
    if not done.started and not done.applied:
        output.say("Everything was running already.")
    _show(local_status(settings), json)


@app.command(epilog="Example: coach down")
def down() -> None:
    """Stop the local stack.

    The data stays in .coach/.
    """
    settings = read_environment()
    if _leaves_remote_alone(settings, "stopped"):
        return
    if not supervisor.down(settings, output.say):
        output.say("Nothing was running.")


@app.command(epilog="Example: coach status --json | jq -r .SUPABASE_URL")
def status(json: Json = False) -> None:
    """Show what runs, where, and the keys.

    Exits 3 when the database does not answer. Of a remote one, also says whether migrations are pending.
    """
    settings = read_environment()
    found = remote_status(settings) if settings.is_remote else local_status(settings)
    _show(found, json)
    if not found.is_up:
        raise typer.Exit(output.BROKEN)


def _show(found: Status, json: bool) -> None:
    if json:
        output.print_json(found.as_json())
        return
    output.print_rows(found.parts, ("part", "state", "where"))
    print()
    output.print_record({name: value for name, value in found.shown().items() if value is not None})


def _leaves_remote_alone(settings: Settings, verb: str) -> bool:
    if settings.is_remote:
        named = "DATABASE_URL" if settings.database_url else "SUPABASE_URL"
        output.say(f"{named} names a database elsewhere, so nothing is {verb} here. Unset it to use the local stack.")
    return settings.is_remote
