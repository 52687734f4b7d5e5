"""coach location: the places where an organisation works."""

import asyncio
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, Org, noun, rpc_in_org
from coach_cli.words import with_moments

app = noun("List and add the locations of an organisation.")

COLUMNS = ("location_id", "name", "address", "is_active", "staff", "created_at")


@app.command("list", epilog="Example: coach location list --org kilo")
def list_locations(org: Org, json: Json = False) -> None:
    """List locations by name, with how many of the staff are bound to each."""
    rows = asyncio.run(rpc_in_org("service.list_locations", org))
    output.print_rows(rows if json else with_moments(rows, "created_at"), COLUMNS, json=json, title="Locations")


@app.command("add", epilog="Example: coach location add 'Harbour pool' --address '1 Quay Street' --org kilo")
def add_location(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called.")],
    org: Org,
    address: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Where it is.")] = None,
    json: Json = False,
) -> None:
    """Add a location; it is open whenever the staff are, until it has opening hours."""
    location_id = asyncio.run(rpc_in_org("service.create_location", org, p_name=name, p_address=address))
    output.print_record({"location_id": location_id}, json=json)
