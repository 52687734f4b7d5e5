"""coach referral: links that clients hand on, what they brought, and the credit it earned."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("List and make referral links, and show what they brought.")

LINK_COLUMNS = (
    *("referral_link_id", "code", "name", "reward", "referrer_reward", "clicks", "signups", "conversions"),
    "is_active",
)
REFERRAL_COLUMNS = (
    *("referral_id", "code", "status", "referred_name", "referrer_name", "referrer_rewarded", "referred_rewarded"),
    *("signed_up_at", "converted_at"),
)
ClientId = Annotated[UUID, typer.Argument(metavar="CLIENT_ID", help="See coach client list.")]
_REWARD = "discount (percent), free_session (sessions), credit (cents) or none."


@app.command("links", epilog="Example: coach referral links --org kilo")
def list_links(org: Org, json: Json = False) -> None:
    """List referral links, newest first, with their visitors, sign-ups and conversions."""
    rows = asyncio.run(rpc_in_org("service.list_referral_links", org))
    output.print_rows(rows, LINK_COLUMNS if json else LINK_COLUMNS[1:], title="Referral links", json=json)


@app.command("list", epilog="Example: coach referral list --org kilo")
def list_referrals(org: Org, limit: Limit = 100, json: Json = False) -> None:
    """List who was referred, newest first, and who was rewarded."""
    rows = asyncio.run(rpc_in_org("service.list_referrals", org, p_limit=limit))
    if json:
        output.print_rows(rows, REFERRAL_COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "signed_up_at", "converted_at"), REFERRAL_COLUMNS[1:], title="Referrals")


@app.command(
    "create",
    epilog="Example: coach referral create FRIENDS 'Bring a friend' --reward credit --value 500 --org kilo",
)
def create_link(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Its name in addresses, unique everywhere.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What coaches call it.")],
    org: Org,
    reward: Annotated[str, typer.Option(metavar="TYPE", help=f"What the referred person gets: {_REWARD}")] = "none",
    value: Annotated[int | None, typer.Option(min=0, help="How much of it.")] = None,
    referrer_reward: Annotated[str, typer.Option(metavar="TYPE", help="What the referrer gets: as --reward.")] = "none",
    referrer_value: Annotated[int | None, typer.Option(min=0, help="How much of it.")] = None,
    json: Json = False,
) -> None:
    """Make a referral link."""
    link = {
        "p_code": code,
        "p_name": name,
        "p_reward_type": reward,
        "p_reward_value": value,
        "p_referrer_reward_type": referrer_reward,
        "p_referrer_reward_value": referrer_value,
    }
    made = asyncio.run(rpc_in_org("service.create_referral_link", org, **link))
    output.print_record({"referral_link_id": made}, json=json)


@app.command("link", epilog="Example: coach referral link 6f1c…")
def client_link(client: ClientId, json: Json = False) -> None:
    """Show the link that a client hands on."""
    output.print_record(rpc("service.client_referral_link", p_client_id=client), json=json)


@app.command("credit", epilog="Example: coach referral credit 6f1c…")
def credit(client: ClientId, json: Json = False) -> None:
    """Show what a client has in credit."""
    output.print_record(rpc("service.credit_balance", p_client_id=client), json=json)
