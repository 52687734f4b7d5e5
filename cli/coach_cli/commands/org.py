"""coach org: organisations."""

from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Email, Json, Limit, OrgName, noun, rpc
from coach_cli.words import moment

app = noun("List, make and show organisations.")

COLUMNS = ("org_id", "name", "slug", "timezone", "members", "clients", "created_at")
HEADINGS = {"org_id": "organisation", "name": "name", "slug": "slug", "timezone": "timezone"}


@app.command("list", epilog="Example: coach org list --search kilo")
def list_orgs(
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this in their name or slug.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List organisations, newest first."""
    rows = rpc("service.list_orgs", p_search=search, p_limit=limit)
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Organisations")


@app.command("create", epilog="Example: coach org create 'Kilo Training' coach@kilo.example --timezone Australia/Perth")
def create_org(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    owner: Email,
    slug: Annotated[
        str | None, typer.Option(metavar="SLUG", help="Its name in addresses; made from NAME if left out.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", envvar="COACH_TIMEZONE", help="An IANA name; Australia/Brisbane if left out."),
    ] = None,
    json: Json = False,
) -> None:
    """Make an organisation for an owner who has signed up."""
    org_id = rpc("service.create_org", p_name=name, p_owner_email=owner, p_slug=slug, p_timezone=timezone)
    output.print_record({"org_id": org_id}, json=json)


@app.command("show", epilog="Example: coach org show kilo")
def show_org(org: OrgName, json: Json = False) -> None:
    """Show one organisation."""
    (found,) = rpc("service.get_org", p_org=org)
    output.print_record(found if json else {**found, "created_at": moment(found["created_at"])}, json=json)
