"""Events as Stripe sends them, with the personal data that real ones carry, in both shapes of its API.

In the shape before 2025-03-31 a subscription has its period, an invoice names subscription, intent and charge, and a
charge lists its refunds. In the later one the period is the item's, an invoice has a parent, and refunds are asked for.
"""

import itertools
import time
from typing import Any
from uuid import UUID

ACCOUNT = "acct_kilo"
OLD, NEW = "2024-06-20", "2025-03-31.basil"
SHAPES = (OLD, NEW)
#: In every event below; none of it may be kept.
SECRETS = (
    "jo.smith@client.example",
    "Jo Smith",
    "4242",
    "0412345678",
    "pi_secret_of_the_client",
    "https://pay.stripe.example/receipt",
)

_numbers = itertools.count(1)

Event = dict[str, Any]


def event(
    kind: str,
    body: dict[str, Any],
    *,
    account: str | None = ACCOUNT,
    at: float | None = None,
    version: str = NEW,
    id: str | None = None,
) -> Event:
    """One event."""
    return {
        "id": id or f"evt_{next(_numbers)}",
        "object": "event",
        "api_version": version,
        "created": int(time.time() if at is None else at),
        "data": {"object": body, "previous_attributes": {"receipt_email": SECRETS[0]}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": "req_1", "idempotency_key": None},
        "type": kind,
        **({"account": account} if account else {}),
    }


def metadata(**ids: UUID | str) -> dict[str, str]:
    """Ours, and a secret that the existing portal puts there."""
    return {**{name: str(value) for name, value in ids.items()}, "portal_token": SECRETS[4]}


def checkout(
    intent: str | None,
    amount: int,
    meta: dict[str, str],
    *,
    currency: str = "aud",
    mode: str = "payment",
    paid: str = "paid",
    **more: Any,
) -> dict[str, Any]:
    """A Checkout Session."""
    return {
        "id": f"cs_of_{intent}",
        "object": "checkout.session",
        "amount_total": amount,
        "currency": currency,
        "customer": None,
        "customer_details": {
            "email": SECRETS[0],
            "name": SECRETS[1],
            "phone": SECRETS[3],
            "address": {"country": "AU"},
        },
        "metadata": meta,
        "mode": mode,
        "payment_intent": intent,
        "payment_status": paid,
        "status": "complete",
        "url": None,
        **more,
    }


def charge(
    intent: str | None,
    amount: int,
    *,
    currency: str = "aud",
    fee: int | None = None,
    transaction: Any = None,
    refunds: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """A charge; `refunds` are listed as the earlier versions list them."""
    return {
        "id": f"ch_of_{intent}",
        "object": "charge",
        "amount": amount,
        "amount_refunded": sum(refund["amount"] for refund in refunds or []),
        "application_fee_amount": fee,
        "balance_transaction": transaction,
        "billing_details": {"email": SECRETS[0], "name": SECRETS[1], "phone": SECRETS[3]},
        "created": 1_764_000_000,
        "currency": currency,
        "customer": "cus_1",
        "metadata": {},
        "paid": True,
        "payment_intent": intent,
        "payment_method_details": {"card": {"last4": SECRETS[2], "exp_year": 2030}, "type": "card"},
        "receipt_email": SECRETS[0],
        "receipt_url": SECRETS[5],
        "source": {"id": "card_1", "object": "card", "last4": SECRETS[2], "name": SECRETS[1]},
        "status": "succeeded",
        **({"refunds": {"object": "list", "data": refunds, "has_more": False}} if refunds is not None else {}),
        **more,
    }


def refund(
    id: str, intent: str | None, amount: int, *, status: str = "succeeded", currency: str = "aud", **more: Any
) -> dict[str, Any]:
    """A refund."""
    return {
        "id": id,
        "object": "refund",
        "amount": amount,
        "charge": f"ch_of_{intent}",
        "created": 1_764_100_000,
        "currency": currency,
        "destination_details": {"card": {"reference": SECRETS[2]}},
        "metadata": {},
        "payment_intent": intent,
        "reason": "requested_by_customer",
        "status": status,
        **more,
    }


def dispute(
    id: str, intent: str, amount: int, status: str = "needs_response", *, moved: tuple[int, ...] = (), fee: int = 0
) -> dict[str, Any]:
    """A dispute; `moved` are the amounts of its balance transactions so far, the first with the fee."""
    return {
        "id": id,
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [
            {
                "id": f"txn_{id}_{n}",
                "amount": m,
                "currency": "aud",
                "created": 1_764_200_000,
                "fee": 0 if n else fee,
                "net": m,
            }
            for n, m in enumerate(moved)
        ],
        "charge": f"ch_of_{intent}",
        "created": 1_764_200_000,
        "currency": "aud",
        "evidence": {"customer_email_address": SECRETS[0], "customer_name": SECRETS[1]},
        "payment_intent": intent,
        "reason": "fraudulent",
        "status": status,
    }


def subscription(
    id: str,
    *,
    version: str = NEW,
    status: str = "active",
    meta: dict[str, str] | None = None,
    amount: int = 5000,
    ends: int = 1_767_000_000,
) -> dict[str, Any]:
    """A subscription of a client's, by the month."""
    period = {"current_period_start": ends - 2_592_000, "current_period_end": ends}
    item = {
        "id": f"si_{id}",
        "quantity": 1,
        "price": {
            "id": "price_1",
            "currency": "aud",
            "unit_amount": amount,
            "recurring": {"interval": "month", "interval_count": 1},
        },
    }
    return {
        "id": id,
        "object": "subscription",
        "cancel_at_period_end": False,
        "created": 1_764_000_000,
        "customer": f"cus_of_{id}",
        "default_payment_method": "pm_1",
        "items": {"object": "list", "data": [item if version == OLD else {**item, **period}]},
        "metadata": meta or {},
        "status": status,
        **(period if version == OLD else {}),
    }


def invoice(
    id: str,
    of: str,
    amount: int,
    *,
    version: str = NEW,
    reason: str = "subscription_cycle",
    intent: str | None = None,
    meta: dict[str, str] | None = None,
    ends: int = 1_767_000_000,
    **more: Any,
) -> dict[str, Any]:
    """An invoice of a subscription."""
    line: dict[str, Any] = {
        "id": f"il_{id}",
        "amount": amount,
        "description": SECRETS[1],
        "period": {"start": ends - 2_592_000, "end": ends},
    }
    details = {"metadata": meta or {}}
    old = {"subscription": of, "payment_intent": intent, "charge": f"ch_of_{intent}", "subscription_details": details}
    new = {"parent": {"type": "subscription_details", "subscription_details": {**details, "subscription": of}}}
    return {
        "id": id,
        "object": "invoice",
        "amount_paid": amount,
        "attempt_count": 1,
        "billing_reason": reason,
        "currency": "aud",
        "customer": f"cus_of_{of}",
        "customer_email": SECRETS[0],
        "customer_name": SECRETS[1],
        "hosted_invoice_url": SECRETS[5],
        "lines": {"object": "list", "data": [{**line, **({"proration": False} if version == OLD else {})}]},
        "status": "paid",
        **(old if version == OLD else new),
        **more,
    }
