"""coach member: who belongs to an organisation, and as what."""

import asyncio
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Email, Json, Org, noun, rpc_in_org
from coach_cli.words import with_moments

app = noun("List, add, change and remove the members of an organisation.")

COLUMNS = ("member_id", "user_id", "full_name", "email", "role", "joined_at")
HEADINGS = {"full_name": "name", "email": "email", "role": "role", "joined_at": "joined (UTC)"}


@app.command("list", epilog="Example: coach member list --org kilo")
def list_members(org: Org, json: Json = False) -> None:
    """List the team, oldest first."""
    rows = asyncio.run(rpc_in_org("service.list_members", org))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "joined_at"), HEADINGS, title="Members")


@app.command("set", epilog="Example: coach member set desk@kilo.example front_desk --org kilo")
def set_member(
    email: Email,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="owner, manager, coach or front_desk.")],
    org: Org,
    json: Json = False,
) -> None:
    """Give a person a role, whether they are a member yet or not."""
    member_id = asyncio.run(rpc_in_org("service.set_member", org, p_email=email, p_role=role))
    output.print_record({"member_id": member_id}, json=json)


@app.command("remove", epilog="Example: coach member remove desk@kilo.example --org kilo")
def remove_member(email: Email, org: Org, json: Json = False) -> None:
    """End a membership; to end one that is not there changes nothing."""
    removed = asyncio.run(rpc_in_org("service.remove_member", org, p_email=email))
    output.print_record({"removed": removed}, json=json)
