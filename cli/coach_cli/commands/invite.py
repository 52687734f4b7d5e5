"""coach invite: members by email, clients by code."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("Invite members by email and clients by code, and take invitations back.")

MEMBER_COLUMNS = ("invite_id", "email", "role", "status", "expires_at", "accepted_at", "created_at")
CLIENT_COLUMNS = ("invite_id", "client_id", "client_name", "status", "expires_at", "redeemed_at", "created_at")
InviteId = Annotated[UUID, typer.Argument(metavar="INVITE_ID", help="See coach invite list, or coach invite clients.")]


@app.command("list", epilog="Example: coach invite list --org kilo")
def list_invites(org: Org, limit: Limit = 100, json: Json = False) -> None:
    """List the invitations of members, newest first."""
    rows = asyncio.run(rpc_in_org("service.list_invites", org, p_limit=limit))
    readable = rows if json else with_moments(rows, "expires_at", "accepted_at", "created_at")
    output.print_rows(readable, MEMBER_COLUMNS if json else MEMBER_COLUMNS[:-1], title="Invitations", json=json)


@app.command("clients", epilog="Example: coach invite clients --org kilo")
def list_client_invites(org: Org, limit: Limit = 100, json: Json = False) -> None:
    """List the invites of clients, newest first; a code is shown when it is made, and in the app."""
    rows = asyncio.run(rpc_in_org("service.list_client_invites", org, p_limit=limit))
    readable = rows if json else with_moments(rows, "expires_at", "redeemed_at", "created_at")
    output.print_rows(readable, CLIENT_COLUMNS if json else CLIENT_COLUMNS[:1] + CLIENT_COLUMNS[2:-1], json=json)


@app.command("member", epilog="Example: coach invite member new@kilo.example coach --org kilo")
def invite_member(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Whom; they must confirm this email.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="owner, manager, coach or front_desk.")],
    org: Org,
    days: Annotated[int, typer.Option(min=1, max=30, help="How long it is open.")] = 7,
    json: Json = False,
) -> None:
    """Invite a person to join; an open invitation of theirs is sent anew."""
    answer = asyncio.run(rpc_in_org("service.invite_member", org, p_email=email, p_role=role, p_days=days))
    output.print_record(answer, json=json)


@app.command("client", epilog="Example: coach invite client 6f1c…")
def invite_client(
    client: Annotated[UUID, typer.Argument(metavar="CLIENT_ID", help="See coach client list.")],
    days: Annotated[int, typer.Option(min=1, max=90, help="How long a new one is open.")] = 14,
    json: Json = False,
) -> None:
    """Show the code by which a client joins the app, made where none is open."""
    output.print_record(rpc("service.create_client_invite", p_client_id=client, p_days=days), json=json)


@app.command("revoke", epilog="Example: coach invite revoke 0b9d…")
def revoke_invite(invite: InviteId, json: Json = False) -> None:
    """Take a member's invitation back, and its email where that has not left."""
    output.print_record({"revoked": rpc("service.revoke_invite", p_invite_id=invite)}, json=json)


@app.command("revoke-client", epilog="Example: coach invite revoke-client 0b9d…")
def revoke_client_invite(invite: InviteId, json: Json = False) -> None:
    """Take a client's invite back; somebody who has redeemed it stays the client."""
    output.print_record({"revoked": rpc("service.revoke_client_invite", p_invite_id=invite)}, json=json)
