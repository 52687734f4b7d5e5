"""coach client: the people an organisation trains or treats."""

import asyncio
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc_in_org

app = noun("List and add the clients of an organisation.")

COLUMNS = ("client_id", "full_name", "email", "phone", "status", "created_at")
HEADINGS = {"client_id": "client", "full_name": "name", "email": "email", "phone": "phone", "status": "status"}


@app.command("list", epilog="Example: coach client list --org kilo --search tanaka")
def list_clients(
    org: Org,
    search: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only those with this in their name, email or phone.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List clients by name."""
    rows = asyncio.run(rpc_in_org("service.list_clients", org, p_search=search, p_limit=limit))
    output.print_rows(rows, COLUMNS if json else HEADINGS, json=json, title="Clients")


@app.command("add", epilog="Example: coach client add 'Mia Tanaka' --email mia@tanaka.example --org kilo")
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Their full name.")],
    org: Org,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Where to write to them.")] = None,
    phone: Annotated[str | None, typer.Option(metavar="PHONE", help="Where to call them.")] = None,
    json: Json = False,
) -> None:
    """Add a client."""
    client_id = asyncio.run(rpc_in_org("service.create_client", org, p_full_name=name, p_email=email, p_phone=phone))
    output.print_record({"client_id": client_id}, json=json)
