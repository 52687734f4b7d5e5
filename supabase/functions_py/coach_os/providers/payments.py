"""What is asked of Stripe for an organisation's own account: deposits' intents, refunds, Checkout, onboarding.

Every call names the connected account. Whatever creates something carries an idempotency key that the database made, so
a repeat after a kill or a lost answer creates nothing more. Answers are cut down to what the database takes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from coach_os.providers.stripe import Stripe, stripe_errors

Work = Mapping[str, Any]

#: What the database is told of an intent and of a refund.
_INTENT = ("id", "status", "amount", "amount_received", "currency", "latest_charge", "metadata")
_REFUND = ("id", "status", "amount", "currency", "charge", "payment_intent", "failure_reason", "metadata")
#: Refunds of one payment that are looked through for ours.
_PAGE = 100


async def create_intent(stripe: Stripe, work: Work) -> dict[str, Any]:
    """The PaymentIntent of a deposit, made once however often it is asked for; with its `client_secret`.

    Args:
        work: {org_id, deposit_id, client_id, account, amount_cents, currency, application_fee_cents}.

    Raises:
        CoachError: see `stripe_errors`.
    """
    metadata = {"kind": "deposit", **{name: work[name] for name in ("org_id", "client_id", "deposit_id")}}
    params: dict[str, Any] = {
        "amount": work["amount_cents"],
        "currency": work["currency"],
        "application_fee_amount": work["application_fee_cents"],
        "payment_method_types": ["card"],
        "metadata": metadata,
    }
    options: Any = {"stripe_account": work["account"], "idempotency_key": f"deposit-{work['deposit_id']}"}
    with stripe_errors():
        return _plain(await stripe.client.v1.payment_intents.create_async(cast(Any, params), options))


async def read_intent(stripe: Stripe, account: str, intent_id: str) -> dict[str, Any]:
    """A PaymentIntent as it is now; with its `client_secret`."""
    with stripe_errors():
        found = await stripe.client.v1.payment_intents.retrieve_async(intent_id, options={"stripe_account": account})
    return _plain(found)


async def cancel_intent(stripe: Stripe, account: str, intent_id: str) -> dict[str, Any]:
    """Cancels a PaymentIntent, or finds that it was paid, or cancelled, already."""
    options: Any = {"stripe_account": account}
    intent = await read_intent(stripe, account, intent_id)
    if intent["status"] in ("canceled", "succeeded", "processing"):
        return intent
    with stripe_errors():
        return _plain(await stripe.client.v1.payment_intents.cancel_async(intent_id, options=options))


async def make_refund(stripe: Stripe, work: Work) -> dict[str, Any]:
    """The refund of a claimed row, made once: one that was tried before is looked for first.

    Stripe forgets a key after a day or so; what lies in the refund's metadata stays.

    Args:
        work: {refund_id, attempt, account, payment_intent_id, stripe_refund_id, amount_cents}.

    Raises:
        CoachError: see `stripe_errors`.
    """
    options: Any = {"stripe_account": work["account"]}
    refund_id = str(work["refund_id"])
    refunds = stripe.client.v1.refunds
    with stripe_errors():
        if work["stripe_refund_id"]:
            return _plain(await refunds.retrieve_async(work["stripe_refund_id"], options=options))
        if work["attempt"] > 1:
            params: Any = {"payment_intent": work["payment_intent_id"], "limit": _PAGE}
            async for refund in (await refunds.list_async(params, options)).auto_paging_iter():
                found = _plain(refund)
                if (found.get("metadata") or {}).get("refund_id") == refund_id:
                    return found
        params = {
            "payment_intent": work["payment_intent_id"],
            "amount": work["amount_cents"],
            "refund_application_fee": True,
            "metadata": {"refund_id": refund_id, "org_id": work["org_id"]},
        }
        options["idempotency_key"] = f"refund-{refund_id}"
        made = await refunds.create_async(params, options)
    return _plain(made)


async def create_checkout(stripe: Stripe, terms: Work, back: str) -> str:
    """A Checkout page for the terms that `portal_checkout` answers; returns its address.

    Args:
        back: the page that it leads back to.

    Raises:
        CoachError: see `stripe_errors`.
    """
    is_subscription = terms["mode"] == "subscription"
    price: dict[str, Any] = {
        "currency": terms["currency"],
        "unit_amount": terms["amount_cents"],
        "product_data": {"name": terms["name"]},
    }
    params: dict[str, Any] = {
        "mode": terms["mode"],
        "line_items": [{"quantity": 1, "price_data": price}],
        "success_url": f"{back}?purchase=success",
        "cancel_url": f"{back}?purchase=cancelled",
        "client_reference_id": terms["metadata"]["client_id"],
        "metadata": terms["metadata"],
    }
    if is_subscription:
        price["recurring"] = {"interval": terms["interval"], "interval_count": terms["interval_count"]}
        fee = {"application_fee_percent": terms["application_fee_percent"]}
        params["subscription_data"] = {**fee, "metadata": terms["metadata"]}
    else:
        fee = {"application_fee_amount": terms["application_fee_cents"]}
        params["payment_intent_data"] = {**fee, "metadata": terms["metadata"]}
    if terms["client_email"]:
        params["customer_email"] = terms["client_email"]
    options: Any = {"stripe_account": terms["account"]}
    if terms["idempotency_key"]:
        options["idempotency_key"] = terms["idempotency_key"]
    with stripe_errors():
        page = await stripe.client.v1.checkout.sessions.create_async(cast(Any, params), options)
    return str(page.url)


async def create_account(stripe: Stripe, begin: Work) -> dict[str, Any]:
    """The connected account of an organisation, made once; what is asked of its owner, Stripe's own pages ask."""
    params: Any = {
        "type": "standard",
        "business_profile": {"name": begin["name"]},
        "metadata": {"org_id": begin["org_id"]},
    }
    with stripe_errors():
        made = await stripe.client.v1.accounts.create_async(params, {"idempotency_key": begin["idempotency_key"]})
    return _plain(made)


async def read_account(stripe: Stripe, account: str) -> dict[str, Any]:
    """A connected account as it is now."""
    with stripe_errors():
        return _plain(await stripe.client.v1.accounts.retrieve_async(account))


async def account_link(stripe: Stripe, account: str, back: str) -> str:
    """The address of Stripe's onboarding pages for an account; good once, and for minutes."""
    params: Any = {"account": account, "type": "account_onboarding", "return_url": back, "refresh_url": back}
    with stripe_errors():
        link = await stripe.client.v1.account_links.create_async(params)
    return str(link.url)


def told(answer: Work, names: tuple[str, ...]) -> dict[str, Any]:
    """Of Stripe's answer what the database takes in; an object that is expanded is its id."""
    found = {name: answer[name] for name in names if answer.get(name) is not None}
    return {name: value["id"] if isinstance(value, dict) and "id" in value else value for name, value in found.items()}


def told_intent(intent: Work) -> dict[str, Any]:
    """Of a PaymentIntent, what `service.record_deposit` takes; its secret stays out.

    >>> told_intent({"id": "pi_1", "status": "canceled", "client_secret": "s", "latest_charge": {"id": "ch_1"}})
    {'id': 'pi_1', 'status': 'canceled', 'latest_charge': 'ch_1'}
    """
    return told(intent, _INTENT)


def told_refund(refund: Work) -> dict[str, Any]:
    """Of a refund, what `service.record_refund` takes."""
    return told(refund, _REFUND)


def _plain(answer: Any) -> dict[str, Any]:
    plain: dict[str, Any] = answer.to_dict(recursive=True) if hasattr(answer, "to_dict") else dict(answer)
    return plain
