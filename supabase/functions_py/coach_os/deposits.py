"""One step with a deposit's PaymentIntent: what the database says is done at Stripe, and what came of it is recorded.

The page's route and the sweep both take it; a kill anywhere is made good by whoever comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from coach_os.database import Database
from coach_os.errors import CoachError
from coach_os.logs import get_logger
from coach_os.providers import payments
from coach_os.providers.stripe import Stripe, stripe_of
from coach_os.settings import Settings

log = get_logger(__name__)


async def carry_deposit(database: Database, stripe: Stripe, work: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Create, read or cancel the intent of a deposit and record it; returns (the deposit's status, the intent).

    An intent that is to be cancelled and was never recorded is asked for by its key, which is the same one, and then
    cancelled: a creation whose answer was lost leaves nothing to pay.

    Raises:
        CoachError: Stripe's or the database's; what is known by then is recorded.
    """
    account, intent_id = work["account"], work["payment_intent_id"]
    try:
        if intent_id is None:
            intent = await payments.create_intent(stripe, work)
        elif work["action"] == "cancel":
            intent = await payments.cancel_intent(stripe, account, intent_id)
        else:
            intent = await payments.read_intent(stripe, account, intent_id)
        status = await _record(database, work, intent)
        if status == "cancel":
            intent = await payments.cancel_intent(stripe, account, intent["id"])
            status = await _record(database, work, intent)
    except CoachError as error:
        await database.rpc(
            "service.record_deposit", p_deposit_id=work["deposit_id"], p_intent=None, p_error_code=error.slug
        )
        log.warning("deposit_not_carried", deposit_id=work["deposit_id"], action=work["action"], slug=error.slug)
        raise
    log.info("deposit_carried", deposit_id=work["deposit_id"], action=work["action"], status=status)
    return status, intent


async def pay_deposit(database: Database, settings: Settings, deposit_id: UUID | str) -> dict[str, Any] | None:
    """What a page needs to take the deposit's payment: {client_secret, stripe_account}; None where it is too late.

    Raises:
        CoachError: deposit_not_found 404, brake_on 423, or Stripe does not answer.
    """
    async with stripe_of(settings) as stripe:
        work = await database.rpc("service.open_deposit", p_deposit_id=deposit_id)
        if work is None:
            return None
        status, intent = await carry_deposit(database, stripe, work)
    if status != "due":
        return None
    return {"client_secret": intent["client_secret"], "stripe_account": work["account"]}


async def _record(database: Database, work: Mapping[str, Any], intent: Mapping[str, Any]) -> str:
    status: str = await database.rpc(
        "service.record_deposit",
        p_deposit_id=work["deposit_id"],
        p_intent=payments.told_intent(intent),
        p_error_code=None,
    )
    return status
