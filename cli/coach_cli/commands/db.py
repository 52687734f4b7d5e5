"""coach db: the database of the local stack, or the one DATABASE_URL names."""

import json as jsonlib
import os
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_os.errors import Refusal
from coach_os.settings import Settings, load_settings
from coach_os.stack import reset as resetting
from coach_os.stack.data_api import reload_data_api
from coach_os.stack.errors import StackError
from coach_os.stack.freeze import freeze as freeze_difference
from coach_os.stack.freeze import freeze_baseline
from coach_os.stack.migrations import migrate as apply_migrations
from coach_os.stack.migrations import pending
from coach_os.stack.processes import is_alive
from coach_os.stack.reference import render_reference
from coach_os.stack.state import read_state
from coach_os.stack.supervisor import DATA_API
from coach_os.stack.tools import psql_command, run_supabase

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Look after the database: migrate, reset, check, and write migrations.",
)

DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", envvar="DATABASE_URL", show_envvar=True, help="Default: the local stack's."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.", envvar="COACH_JSON")]
Schema = Annotated[
    list[str] | None, typer.Option("--schema", envvar="COACH_TYPES_SCHEMA", help="Default: public. May be repeated.")
]


@app.command(epilog='Example: psql "$(coach db url)"')
def url(database_url: DatabaseUrl = None) -> None:
    """Print the owner's connection string, password included."""
    print(_url(database_url))


@app.command(epilog="Example: coach db migrate --dry-run")
def migrate(
    database_url: DatabaseUrl = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="COACH_DRY_RUN", help="Only name what is pending.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring the database to the version of this program.

    Each file is one transaction; two calls at once do not fight.
    """
    target = _url(database_url)
    todo = pending(target)
    if not dry_run and todo:
        with output.progress("migrating", total=len(todo)) as advance:
            todo = apply_migrations(target, progress=lambda name, done, total: advance(1) if done == total else None)
        _reload_data_api(database_url)
    if json:
        output.print_json({"applied": [] if dry_run else todo, "pending": todo if dry_run else []})
        return
    for name in todo:
        print(name)
    if not todo:
        output.say("Nothing to do: the database is up to date.")
    elif dry_run:
        output.say(f"{len(todo)} pending.")


@app.command(epilog="Example: coach db reset --yes")
def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", envvar="COACH_YES", help="Do not ask.")] = False,
    remote_host: Annotated[
        str | None,
        typer.Option("--remote-host", envvar="COACH_RESET_HOST", help="Needed with DATABASE_URL: the host it names."),
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Delete all data and start from the migrations.

    The local database is made again, accounts included; a remote one loses what migrations made and keeps its accounts.
    """
    settings = load_settings()
    if not yes and not typer.confirm("Delete all data of this database?", err=True):
        raise typer.Exit(output.REFUSED)
    if database_url is None:
        applied = resetting.reset_embedded(settings, output.say)
    else:
        applied = resetting.reset_remote(database_url, remote_host, output.say)
    output.say(f"The database is as new: {len(applied)} migration{'' if len(applied) == 1 else 's'} applied.")


@app.command(
    epilog="Example: coach db psql -- -c 'select count(*) from bookings'",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def psql(context: typer.Context, database_url: DatabaseUrl = None) -> None:
    """Open psql as the owner of the schema; what follows -- goes to psql."""
    command, env = psql_command(_url(database_url))
    os.execvpe(command[0], [*command, *context.args], env)


@app.command(epilog="Example: coach db lint --json")
def lint(database_url: DatabaseUrl = None, json: Json = False) -> None:
    """Check the database with Supabase's advisors, and function bodies with plpgsql_check where the server has it.

    Exits 1 when there is a finding.
    """
    target = _url(database_url)
    findings = _advice(target) + _body_findings(target)
    if findings or json:
        output.print_rows(findings, ("level", "name", "detail", "remediation"), json=json, title="Findings")
    if findings:
        raise typer.Exit(output.REFUSED)
    output.say("No findings.")


@app.command(epilog="Example: coach db freeze add_client_tags")
def freeze(
    name: Annotated[str | None, typer.Argument(help="What changed, as in add_client_tags.")] = None,
    baseline: Annotated[
        bool,
        typer.Option("--baseline", envvar="COACH_BASELINE", help="Write the first migration anew, before a release."),
    ] = False,
) -> None:
    """Write what supabase/schemas has and supabase/migrations lacks as the next migration."""
    if baseline == (name is not None):
        raise typer.BadParameter("give a NAME, or --baseline")
    output.say("comparing supabase/schemas with supabase/migrations")
    path = freeze_baseline() if name is None else freeze_difference(name)
    if path is None:
        output.say("Nothing to write: the migrations make what the schemas say.")
    else:
        print(path)


@app.command(epilog="Example: coach db types > src/database.ts")
def types(schema: Schema = None, database_url: DatabaseUrl = None) -> None:
    """Print TypeScript types of the schemas that apps see."""
    names = ",".join(schema or ["public"])
    result = run_supabase("gen", "types", "--lang", "typescript", "--schema", names, url=_url(database_url))
    if result.returncode != 0:
        raise _tool_failed("gen types", result.stderr)
    print(result.stdout, end="")


@app.command(epilog="Example: coach db reference > docs/rpc.md")
def reference(database_url: DatabaseUrl = None) -> None:
    """Print the RPC reference, made from the database's own comments."""
    print(render_reference(_url(database_url)), end="")


def _settings(database_url: str | None) -> Settings:
    settings = load_settings()
    if database_url is None and settings.database_url is None:
        if settings.supabase_url is not None:
            raise Refusal(
                409, "database_url_missing", "SUPABASE_URL names an API, not a database.", "Set DATABASE_URL as well."
            )
        raise StackError("There is no database yet.", "Start one with `coach up`, or set DATABASE_URL.")
    return settings


def _url(database_url: str | None) -> str:
    settings = _settings(database_url)
    if database_url is not None:
        return database_url
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


def _reload_data_api(database_url: str | None) -> None:
    """The local Data API knows the schema by heart; a hosted one notices by itself."""
    state = read_state(load_settings().stack_home) if database_url is None else None
    if state is not None and is_alive(state.processes.get(DATA_API)):
        reload_data_api(state)


def _advice(target: str) -> list[dict[str, Any]]:
    result = run_supabase("db", "advisors", "--level", "warn", "--output-format", "json", url=target)
    try:
        return list(jsonlib.loads(result.stdout)["results"])
    except (ValueError, KeyError):
        raise _tool_failed("db advisors", result.stderr) from None


def _body_findings(target: str) -> list[dict[str, Any]]:
    """What plpgsql_check finds; nothing on a server without it (the embedded one)."""
    result = run_supabase(
        "db", "lint", "--schema", "public,private,service", "--level", "warning", "--output", "json", url=target
    )
    if "not available" in result.stderr or "permission denied to create extension" in result.stderr:
        output.say("plpgsql_check is not on this server: function bodies were not checked.")
        return []
    if result.returncode != 0:
        raise _tool_failed("db lint", result.stderr)
    text = result.stdout.strip()
    return [
        {"level": issue["level"], "name": f"plpgsql_check {found['function']}", "detail": issue["message"]}
        for found in (jsonlib.loads(text) if text.startswith("[") else [])
        for issue in found["issues"]
    ]


def _tool_failed(command: str, stderr: str) -> StackError:
    # Only its last line: the others name the address it tried.
    lines = [line for line in stderr.strip().splitlines() if "--debug" not in line]
    return StackError(f"supabase {command} failed: {lines[-1].strip() if lines else 'no reason given'}.")
