"""coach brake: stop a kind of work at once, everywhere or in one organisation, and let it go on."""

import asyncio
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import AnyOrg, Json, Reason, act, noun
from coach_cli.words import with_moments

app = noun("Stop a kind of work at once, and let it go on; nothing is lost meanwhile.")

KINDS = "sms, email, push, payments, imports, automations, assistant or sign_up"
COLUMNS = ("kind", "org_id", "slug", "reason", "banner", "pulled_by", "pulled_at")
HEADINGS = {"kind": "kind", "slug": "where", "reason": "reason", "banner": "banner", "pulled_at": "since (UTC)"}

Kind = Annotated[str, typer.Argument(metavar="KIND", help=f"{KINDS}.")]


@app.command("on", epilog='Example: coach brake on sms --org kilo --reason "The carrier complains"')
def pull_brake(
    kind: Kind,
    reason: Reason,
    org: AnyOrg = None,
    banner: Annotated[
        str | None,
        typer.Option("--banner", metavar="TEXT", help="What people read meanwhile; left out: the apps' words."),
    ] = None,
    json: Json = False,
) -> None:
    """Stop a kind of work for one organisation, or without --org for everybody. What is due stays due."""
    _print(asyncio.run(act("pull_brake", org, kind=kind, reason=reason, banner=banner)), json)


@app.command("off", epilog='Example: coach brake off sms --org kilo --reason "Settled with the carrier"')
def release_brake(kind: Kind, reason: Reason, org: AnyOrg = None, json: Json = False) -> None:
    """Let a kind of work go on for one organisation, or without --org lift the brake for everybody."""
    _print(asyncio.run(act("release_brake", org, kind=kind, reason=reason)), json)


@app.command("list", epilog="Example: coach brake list")
def list_brakes(json: Json = False) -> None:
    """List the brakes that are on, oldest first."""
    rows = asyncio.run(act("list_brakes", None))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [{**row, "slug": row["slug"] or "everywhere"} for row in with_moments(rows, "pulled_at")]
    output.print_rows(readable, HEADINGS, title="Brakes")


def _print(answer: dict[str, Any], json: bool) -> None:
    output.print_record(answer, json=json)
    if not answer["is_changed"]:
        output.say("It was so already.")
