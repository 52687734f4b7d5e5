"""coach admin: who runs the platform; and find, show and put right what is any organisation's."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Email, Json, OrgName, Reason, act, noun
from coach_cli.words import with_moments

app = noun("Say who runs the platform; find, show and put right what is any organisation's. All of it is audited.")

ADMIN_COLUMNS = ("user_id", "email", "permissions", "created_at")
FOUND_COLUMNS = ("kind", "org_id", "id", "label", "detail", "blocked_at")

ClientId = Annotated[UUID, typer.Argument(metavar="CLIENT_ID", help="See coach client list.")]
MessageId = Annotated[UUID, typer.Argument(metavar="MESSAGE_ID", help="See coach messages list.")]


@app.command("list", epilog="Example: coach admin list")
def list_admins(json: Json = False) -> None:
    """List who runs the platform, and what each may do."""
    rows = asyncio.run(act("list_admins", None))
    if json:
        output.print_rows(rows, ADMIN_COLUMNS, json=True)
        return
    readable = [{**row, "permissions": " ".join(row["permissions"])} for row in with_moments(rows, "created_at")]
    output.print_rows(readable, ("email", "permissions", "created_at"), title="Platform admins")


@app.command("set", epilog='Example: coach admin set ops@platform.example "*" system.admins --reason "The first"')
def set_admin(
    email: Email,
    permissions: Annotated[
        list[str], typer.Argument(metavar="PERMISSION…", help="noun.verb, noun.* or *; system.* is never implied.")
    ],
    reason: Reason,
    json: Json = False,
) -> None:
    """Make somebody who has signed up a platform admin, or change what they may do."""
    output.print_record(
        asyncio.run(act("set_admin", None, email=email, permissions=permissions, reason=reason)), json=json
    )


@app.command("remove", epilog='Example: coach admin remove ops@platform.example --reason "Has left"')
def remove_admin(email: Email, reason: Reason, json: Json = False) -> None:
    """Take the platform from somebody, and end their support accesses."""
    output.print_record(asyncio.run(act("remove_admin", None, email=email, reason=reason)), json=json)


@app.command("search", epilog="Example: coach admin search kilo")
def search(
    query: Annotated[str, typer.Argument(metavar="TEXT|ID", help="Part of a name, email or phone, or an id.")],
    json: Json = False,
) -> None:
    """Find organisations, members, clients, bookings, packages and messages anywhere."""
    rows = asyncio.run(act("search", None, query=query))
    output.print_rows(rows, FOUND_COLUMNS, json=json, title="Found")


@app.command("org", epilog="Example: coach admin org kilo")
def show_org(org: OrgName, json: Json = False) -> None:
    """Show one organisation's whole state: people, bookings, messages, money, alerts, jobs, brakes."""
    output.print_record(asyncio.run(act("show_org", org)), json=json)


@app.command("client", epilog="Example: coach admin client 7d0c0e0e-8a57-4f7e-9d3c-3a2f3f1f6a11")
def show_client(client: ClientId, json: Json = False) -> None:
    """Show one client's whole state: packages, bookings, messages and their errors, alerts."""
    output.print_record(asyncio.run(act("show_client", None, client_id=client)), json=json)


@app.command("block-org", epilog='Example: coach admin block-org kilo --reason "Reported as fraud"')
def block_org(org: OrgName, reason: Reason, json: Json = False) -> None:
    """Block an organisation: members read only, clients and visitors are let in nowhere, nothing leaves."""
    output.print_record(asyncio.run(act("block_org", org, reason=reason)), json=json)


@app.command("unblock-org", epilog='Example: coach admin unblock-org kilo --reason "Cleared up"')
def unblock_org(org: OrgName, reason: Reason, json: Json = False) -> None:
    """Unblock an organisation; what waited goes on."""
    output.print_record(asyncio.run(act("unblock_org", org, reason=reason)), json=json)


@app.command("block-client", epilog='Example: coach admin block-client CLIENT_ID --reason "Threatens the staff"')
def block_client(client: ClientId, reason: Reason, json: Json = False) -> None:
    """Block a client: they are let in nowhere, neither signed in nor by their link nor on the public page."""
    output.print_record(asyncio.run(act("block_client", None, client_id=client, reason=reason)), json=json)


@app.command("unblock-client", epilog='Example: coach admin unblock-client CLIENT_ID --reason "Settled"')
def unblock_client(client: ClientId, reason: Reason, json: Json = False) -> None:
    """Unblock a client."""
    output.print_record(asyncio.run(act("unblock_client", None, client_id=client, reason=reason)), json=json)


@app.command("reset-onboarding", epilog='Example: coach admin reset-onboarding kilo --reason "Stopped half-way"')
def reset_onboarding(org: OrgName, reason: Reason, json: Json = False) -> None:
    """Let an organisation go through its onboarding again."""
    output.print_record(asyncio.run(act("reset_org_onboarding", org, reason=reason)), json=json)


@app.command(
    "reset-client-onboarding", epilog='Example: coach admin reset-client-onboarding CLIENT_ID --reason "Wrong form"'
)
def reset_client_onboarding(client: ClientId, reason: Reason, json: Json = False) -> None:
    """Let a client be onboarded again; the link they have is closed."""
    output.print_record(asyncio.run(act("reset_client_onboarding", None, client_id=client, reason=reason)), json=json)


@app.command("retry", epilog='Example: coach admin retry stripe_event evt_1Nx --reason "The cause is mended"')
def retry(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="message or stripe_event.")],
    work: Annotated[str, typer.Argument(metavar="ID", help="Its id.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """Do once more what failed; what was done already is not done again."""
    output.print_record(asyncio.run(act("retry_work", None, kind=kind, id=work, reason=reason)), json=json)


@app.command("resend", epilog='Example: coach admin resend MESSAGE_ID --reason "The provider was down"')
def resend(message: MessageId, reason: Reason, json: Json = False) -> None:
    """Send a message again that did not arrive, or may not have."""
    output.print_record(asyncio.run(act("resend_message", None, message_id=message, reason=reason)), json=json)
