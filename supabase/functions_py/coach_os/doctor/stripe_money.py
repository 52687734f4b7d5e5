"""The ledger held against Stripe: each payment and refund of the last week that is ours, account by account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from coach_os.database import Database
from coach_os.doctor.finding import FindingList, found
from coach_os.providers.stripe import Stripe, stripe_errors, stripe_of
from coach_os.settings import Settings

#: What happened since may still be on its way here.
MAY_BE_ON_ITS_WAY = timedelta(minutes=15)
LOOKS_BACK = timedelta(days=7)
MAX_ACCOUNTS = 25
MAX_OBJECTS = 500


async def examine_money(settings: Settings, database: Database) -> FindingList:
    """Ask Stripe for what was paid and given back, and the database where it has booked otherwise.

    Raises:
        CoachError: Stripe or the database cannot be asked.
    """
    accounts = [row["account"] for row in await database.rpc("service.list_stripe_accounts") if row["account"]]
    now = datetime.now(UTC)
    window = {"gte": int((now - LOOKS_BACK).timestamp()), "lt": int((now - MAY_BE_ON_ITS_WAY).timestamp())}
    differing: list[str] = []
    async with stripe_of(settings) as stripe:
        for account in accounts[:MAX_ACCOUNTS]:
            charges, refunds = await _told(stripe, account, window)
            rows = await database.rpc(
                "service.stripe_differences", p_account=account, p_charges=charges, p_refunds=refunds
            )
            differing += [
                f"{row['stripe_id']} ({row['kind']}: Stripe {row['told_cents']}, booked {row['booked_cents']})"
                for row in rows
            ]
    return found(
        "money_differs",
        "error",
        "Stripe and the ledger disagree about a payment or a refund.",
        "coach sweep stripe; what stays, coach stripe events list --status failed or refused explains: {subject}",
        differing,
    )


async def _told(
    stripe: Stripe, account: str, window: dict[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    params: Any = {"created": window, "limit": 100}
    options: Any = {"stripe_account": account}
    charges, refunds = [], []
    with stripe_errors():
        async for charge in (await stripe.client.v1.charges.list_async(params, options)).auto_paging_iter():
            if charge.status == "succeeded" and charge.captured:
                is_ours = "org_id" in (charge.metadata or {})
                charges.append(
                    {"payment_intent": _id(charge.payment_intent), "amount": charge.amount, "is_ours": is_ours}
                )
            if len(charges) >= MAX_OBJECTS:
                break
        async for refund in (await stripe.client.v1.refunds.list_async(params, options)).auto_paging_iter():
            if refund.status == "succeeded":
                refunds.append({"id": refund.id, "payment_intent": _id(refund.payment_intent), "amount": refund.amount})
            if len(refunds) >= MAX_OBJECTS:
                break
    return charges, refunds


def _id(reference: Any) -> str | None:
    return reference if isinstance(reference, str) or reference is None else str(reference.id)
