"""`GET` and `POST /api/stripe/connect`: an organisation's own Stripe account, from its first page to its last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.database.person import PersonApi
from coach_os.forms import Form, Id
from coach_os.functions.portal_checkout import app_url_unset
from coach_os.providers import payments
from coach_os.providers.stripe import Stripe, stripe_of
from coach_os.settings import Settings


class Connect(Form):
    """Whose account."""

    org_id: Id | None = Field(default=None, description="Left out: the organisation that the apps show.")


class ConnectPage(BaseModel):
    """Where the owner goes on."""

    url: str = Field(description="Stripe's onboarding page; good once, for some minutes.")


class ConnectStatus(BaseModel):
    """How far the account is."""

    org_id: UUID
    account: str | None
    is_connected: bool
    details_submitted: bool
    charges_enabled: bool
    payouts_enabled: bool
    next_step: str | None = Field(description="connect, continue, wait (for Stripe); null: nothing.")


async def run(
    database: Database, person: PersonApi, settings: Settings, token: str, org_id: UUID | None
) -> ConnectPage:
    """Raises: Refusal token_wrong 401, org_not_found 404, permission_missing 403, brake_on 423; Unavailable
    stripe_unavailable 503."""
    begin = await person.rpc(token, "connect_begin", p_org_id=org_id or await person.org_id(token))
    async with stripe_of(settings) as stripe:
        return ConnectPage(url=await onboarding_link(database, stripe, begin))


async def status(person: PersonApi, token: str, org_id: UUID | None) -> ConnectStatus:
    """Raises: Refusal token_wrong 401, org_not_found 404, permission_missing 403."""
    found = await person.rpc(token, "connect_status", p_org_id=org_id or await person.org_id(token))
    return ConnectStatus.model_validate(found)


async def onboarding_link(database: Database, stripe: Stripe, begin: Mapping[str, Any]) -> str:
    """Make the account where there is none, record it as Stripe has it, and return the link.

    Raises:
        CoachError: Stripe's or the database's; asked again, nothing is made twice.
    """
    if begin["return_url"] is None:
        raise app_url_unset()
    account = begin["account"]
    if account is None:
        made = await payments.create_account(stripe, begin)
        await record_account(database, begin["org_id"], made)
        account = made["id"]
    return await payments.account_link(stripe, account, begin["return_url"])


async def record_account(database: Database, org_id: str, account: Mapping[str, Any]) -> dict[str, Any]:
    """Record what Stripe says of an account; returns how far it is."""
    recorded: dict[str, Any] = await database.rpc(
        "service.record_stripe_account",
        p_org_id=org_id,
        p_account=account["id"],
        p_charges_enabled=bool(account.get("charges_enabled")),
        p_payouts_enabled=bool(account.get("payouts_enabled")),
        p_details_submitted=bool(account.get("details_submitted")),
    )
    return recorded
