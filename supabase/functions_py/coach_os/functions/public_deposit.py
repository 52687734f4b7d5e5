"""`GET` and `POST /api/public/deposit`: how a deposit stands, and what its page needs to take the payment."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.deposits import pay_deposit
from coach_os.forms import Form, Id
from coach_os.settings import Settings


class PayDeposit(Form):
    """A deposit; its id is the secret that the booking's answer gave."""

    deposit_id: Id


class DepositState(BaseModel):
    """A deposit as its page shows it."""

    deposit_id: UUID
    status: str = Field(
        description="due; paid: the time is booked; expired: unpaid; late: paid too late, and refunded."
    )
    booking_id: UUID | None
    amount_cents: int = Field(description="In the currency's minor unit.")
    currency: str
    start_time: datetime
    expires_at: datetime = Field(description="Until when it can be paid.")
    refund_policy: list[dict[str, Any]] = Field(description="What a cancellation gives back: {hours_before, percent}.")
    client_secret: str | None = Field(default=None, description="Of the PaymentIntent, for Stripe.js, while it is due.")
    stripe_account: str | None = Field(default=None, description="The account that Stripe.js is to name.")


async def state(database: Database, caller: str, deposit_id: UUID) -> DepositState:
    """Raises: Refusal deposit_not_found 404, rate_limited 429."""
    return DepositState.model_validate(
        await database.rpc("public.deposit_state", caller=caller, p_deposit_id=deposit_id)
    )


async def run(database: Database, settings: Settings, caller: str, form: PayDeposit) -> DepositState:
    """Raises: Refusal deposit_not_found 404, rate_limited 429, brake_on 423; Unavailable stripe_unavailable 503."""
    found = await state(database, caller, form.deposit_id)
    if found.status != "due":
        return found
    payable = await pay_deposit(database, settings, form.deposit_id)
    if payable is None:
        return await state(database, caller, form.deposit_id)
    return found.model_copy(update=payable)
