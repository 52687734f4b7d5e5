"""coach allow-list: who may sign up while the platform is invite-only."""

from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, noun, rpc
from coach_cli.words import with_moments

app = noun("Open or close signing up, and keep the list of those who may.")

Entry = Annotated[str, typer.Argument(metavar="EMAIL|@DOMAIN", help="An email, or @domain for all of a domain.")]


@app.command("mode", epilog="Example: coach allow-list mode invite_only")
def set_mode(
    mode: Annotated[str, typer.Argument(metavar="MODE", help="open (anybody), or invite_only.")], json: Json = False
) -> None:
    """Say who may sign up; it holds at once, wherever an account is made."""
    output.print_record({"mode": rpc("service.set_sign_up_mode", p_mode=mode)}, json=json)


@app.command("list", epilog="Example: coach allow-list list --search studio")
def list_entries(
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="Only entries that contain it.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List who may sign up by themselves; open invitations allow besides."""
    rows = rpc("service.list_allowed_sign_ups", p_search=search, p_limit=limit)
    readable = rows if json else with_moments(rows, "created_at")
    output.print_rows(readable, ("entry", "note", "created_at"), title="Allow-list", json=json)


@app.command("add", epilog="Example: coach allow-list add @kilo.example --note 'The studio'")
def add_entry(
    entry: Entry,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.")] = None,
    json: Json = False,
) -> None:
    """Let an email or a domain sign up; an entry that is there stays."""
    output.print_record({"added": rpc("service.allow_sign_up", p_entry=entry, p_note=note)}, json=json)


@app.command("remove", epilog="Example: coach allow-list remove @kilo.example")
def remove_entry(entry: Entry, json: Json = False) -> None:
    """Take an entry off; accounts that exist stay."""
    output.print_record({"removed": rpc("service.disallow_sign_up", p_entry=entry)}, json=json)


@app.command("check", epilog="Example: coach allow-list check ann@example.com")
def check(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whose.")],
    json: Json = False,
) -> None:
    """Say whether somebody could sign up now, and why."""
    output.print_record(rpc("service.check_sign_up", p_email=email), json=json)
