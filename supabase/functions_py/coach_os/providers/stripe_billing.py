"""What is asked of Stripe for the platform's own account: Checkout, the Billing Portal, subscriptions, endpoints.

Whatever creates something carries an idempotency key, so that a repeat creates nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from coach_os.errors import Fault
from coach_os.providers.stripe import Stripe, stripe_errors

#: What the mirror reads of a subscription, in both shapes of the API; the rest stays at Stripe.
_SUBSCRIPTION = (
    *("id", "customer", "status", "created", "items", "plan", "current_period_end"),
    *("cancel_at", "cancel_at_period_end", "ended_at"),
)


async def create_customer(stripe: Stripe, org_id: str) -> str:
    """The customer that an organisation is, made once for each organisation and day; returns its id.

    Raises:
        CoachError: see `stripe_errors`.
    """
    params: Any = {"metadata": {"org_id": org_id}}
    with stripe_errors():
        made = await stripe.client.v1.customers.create_async(params, {"idempotency_key": f"billing-customer-{org_id}"})
    return str(made.id)


async def open_checkout(
    stripe: Stripe, terms: Mapping[str, Any], customer_id: str, back: str, *, request_id: str | None
) -> str:
    """A Checkout page that subscribes a customer; returns its address.

    Args:
        terms: {org_id, plan, stripe_price_id}, as `plan_checkout` answers.
        back: the page that it leads back to.
        request_id: the same opens the same page.

    Raises:
        CoachError: see `stripe_errors`.
    """
    metadata = {"org_id": terms["org_id"], "plan": terms["plan"]}
    params = {
        "mode": "subscription",
        "customer": customer_id,
        "client_reference_id": terms["org_id"],
        "line_items": [{"price": terms["stripe_price_id"], "quantity": 1}],
        "success_url": f"{back}?checkout=success",
        "cancel_url": f"{back}?checkout=cancelled",
        "metadata": metadata,
        "subscription_data": {"metadata": metadata},
    }
    options: Any = {"idempotency_key": f"billing-checkout-{request_id}"} if request_id else {}
    with stripe_errors():
        page = await stripe.client.v1.checkout.sessions.create_async(cast(Any, params), options)
    return str(page.url)


async def open_portal(stripe: Stripe, customer_id: str, back: str) -> str:
    """The Billing Portal of a customer: change, cancel, pay, invoices; returns its address, good for minutes.

    Raises:
        CoachError: see `stripe_errors`.
    """
    params: Any = {"customer": customer_id, "return_url": back}
    with stripe_errors():
        page = await stripe.client.v1.billing_portal.sessions.create_async(params)
    return str(page.url)


async def read_subscription(stripe: Stripe, subscription_id: str) -> tuple[dict[str, Any], datetime]:
    """A subscription as it is now, and when that was by Stripe's clock, to the second.

    Raises:
        CoachError: see `stripe_errors`.
        Fault: stripe_clock_missing, where the answer does not say when it is from.
    """
    with stripe_errors():
        found = await stripe.client.v1.subscriptions.retrieve_async(subscription_id)
    plain: dict[str, Any] = found.to_dict(recursive=True)
    response = found.last_response
    said = response.headers.get("date") if response is not None else None
    if said is None:
        raise Fault("stripe_clock_missing", "Stripe's answer does not say when it is from.", "Try again.")
    return {name: plain[name] for name in _SUBSCRIPTION if name in plain}, _instant(said)


async def list_endpoints(stripe: Stripe) -> tuple[list[dict[str, Any]], datetime | None]:
    """The webhook endpoints of the account, and what time it is at Stripe.

    Raises:
        CoachError: see `stripe_errors`.
    """
    with stripe_errors():
        page = await stripe.client.v1.webhook_endpoints.list_async({"limit": 100})
        found = [endpoint.to_dict(recursive=True) async for endpoint in page.auto_paging_iter()]
    response = page.last_response
    said = response.headers.get("date") if response is not None else None
    return found, _instant(said) if said else None


def _instant(http_date: str) -> datetime:
    """The instant of a Date header.

    >>> _instant("Sun, 29 Nov 2026 02:00:00 GMT").isoformat()
    '2026-11-29T02:00:00+00:00'
    """
    found = parsedate_to_datetime(http_date)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
