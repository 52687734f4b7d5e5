"""coach staff: who gives sessions, and so has a calendar."""

import asyncio
from typing import Annotated

import typer

from coach_cli import output
from coach_cli.parameters import Json, Org, StaffId, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("List, add, link, deactivate and reactivate the staff of an organisation.")

COLUMNS = ("staff_id", "full_name", "email", "is_member", "is_active", "upcoming", "deactivated_at")
HEADINGS = {
    "staff_id": "staff",
    "full_name": "name",
    "email": "email",
    "is_member": "signs in",
    "is_active": "active",
    "upcoming": "bookings ahead",
    "deactivated_at": "deactivated",
}


@app.command("list", epilog="Example: coach staff list --org kilo")
def list_staff(org: Org, json: Json = False) -> None:
    """List the staff, those who take bookings first."""
    rows = asyncio.run(rpc_in_org("service.list_staff", org))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "deactivated_at"), HEADINGS, title="Staff")


@app.command("add", epilog="Example: coach staff add 'Noah Kelly' --org kilo --member noah@kilo.example")
def add_staff(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Their full name.")],
    org: Org,
    email: Annotated[str | None, typer.Option(metavar="EMAIL", help="Where to write to them.")] = None,
    member: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="The member they are; left out: somebody who never signs in.")
    ] = None,
    json: Json = False,
) -> None:
    """Add a staff member; they take bookings once they, or everybody, have hours."""
    staff = {"p_full_name": name, "p_email": email, "p_member_email": member}
    output.print_record({"staff_id": asyncio.run(rpc_in_org("service.create_staff", org, **staff))}, json=json)


@app.command("link", epilog="Example: coach staff link 3c4d… --member noah@kilo.example")
def link_staff(
    staff: StaffId,
    member: Annotated[str | None, typer.Option(metavar="EMAIL", help="The member who they are.")] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="They sign in no more; their calendar stays.")] = False,
    json: Json = False,
) -> None:
    """Say which member a staff member is, or that they are none. Their hours and blocks follow."""
    if (member is None) is not nobody:
        raise typer.BadParameter("Name a member with --member, or say --nobody.")
    rpc("service.link_staff", p_staff_id=staff, p_member_email=member)
    output.print_record({"staff_id": str(staff)}, json=json)


@app.command("deactivate", epilog="Example: coach staff deactivate 3c4d…")
def deactivate_staff(staff: StaffId, json: Json = False) -> None:
    """Take no more bookings for a staff member, forget their email, and show how many bookings still lie ahead."""
    upcoming = rpc("service.deactivate_staff", p_staff_id=staff)
    output.print_record({"upcoming" if json else HEADINGS["upcoming"]: upcoming}, json=json)


@app.command("reactivate", epilog="Example: coach staff reactivate 3c4d…")
def reactivate_staff(staff: StaffId, json: Json = False) -> None:
    """Take bookings for a staff member again."""
    rpc("service.reactivate_staff", p_staff_id=staff)
    output.print_record({"staff_id": str(staff)}, json=json)
