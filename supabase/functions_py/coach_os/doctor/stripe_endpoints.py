"""Stripe's side: do its events reach us, all of them, in a shape that stays the same, and is its clock ours?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from coach_os.doctor.database import clock_finding
from coach_os.doctor.finding import Finding, FindingList, found
from coach_os.providers.stripe import API_VERSION, stripe_of
from coach_os.providers.stripe_billing import list_endpoints
from coach_os.settings import Settings

PATH = "/functions/v1/stripe-webhook"

#: What has an effect here; an endpoint may send more.
EVENTS = (
    "account.updated",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.refunded",
    "charge.updated",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.updated",
    "invoice.paid",
    "invoice.payment_failed",
    "payment_intent.canceled",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "payout.paid",
    "refund.created",
    "refund.failed",
    "refund.updated",
)


async def examine_stripe(settings: Settings) -> FindingList:
    """Ask Stripe what endpoints it has, and what time it is there.

    Raises:
        CoachError: Stripe cannot be asked.
    """
    async with stripe_of(settings) as stripe:
        endpoints, said = await list_endpoints(stripe)
    findings = judge(endpoints, settings.callback_url)
    if said is not None:
        # A Date header is of the whole second.
        apart = max(said - datetime.now(UTC), datetime.now(UTC) - said - timedelta(seconds=1))
        findings += clock_finding("stripe_clock_differs", "Stripe's clock and this machine's", apart)
    return findings


def judge(endpoints: Sequence[Mapping[str, Any]], public_url: str | None) -> FindingList:
    """What is wrong with the webhook endpoints, of which those with our address are ours.

    Args:
        endpoints: {id, url, status, api_version, enabled_events}, as Stripe lists them.
        public_url: where the world reaches the service; None: every endpoint with our path is taken for ours.
    """
    ours = [endpoint for endpoint in endpoints if _is_ours(str(endpoint["url"]), public_url)]
    address = (public_url or "https://…").rstrip("/") + PATH
    if not ours:
        meaning = "No webhook endpoint of Stripe's leads here: nothing that is paid is heard of."
        fix = f"stripe webhook_endpoints create --url {address} --api-version {API_VERSION} --enabled-events …"
        return [Finding("stripe_endpoint_missing", "error", meaning, fix, 1, [{"subject": address}])]
    heard = {event for endpoint in ours if endpoint["status"] == "enabled" for event in endpoint["enabled_events"]}
    missing = [] if "*" in heard else [event for event in EVENTS if event not in heard]
    return [
        *found(
            "stripe_endpoint_disabled",
            "error",
            "Stripe has switched a webhook endpoint off, as it does where many deliveries failed.",
            "stripe webhook_endpoints update {subject} --disabled=false, then coach sweep stripe",
            [str(endpoint["id"]) for endpoint in ours if endpoint["status"] != "enabled"],
        ),
        *found(
            "stripe_endpoint_unpinned",
            "warning",
            "A webhook endpoint has no API version of its own: its events change shape with the account's default.",
            f"Make it anew with --api-version {API_VERSION}: Stripe cannot pin an endpoint afterwards ({{subject}}).",
            [str(endpoint["id"]) for endpoint in ours if not endpoint.get("api_version")],
        ),
        *found(
            "stripe_events_missing",
            "error",
            "No webhook endpoint sends events that have an effect here.",
            "Add them to the endpoint's events at Stripe, beginning with {subject}.",
            missing,
        ),
    ]


def _is_ours(url: str, public_url: str | None) -> bool:
    found_at, wanted = urlsplit(url), urlsplit((public_url or "").rstrip("/") + PATH)
    if public_url is None:
        return found_at.path == wanted.path
    return (found_at.scheme, found_at.netloc, found_at.path) == (wanted.scheme, wanted.netloc, wanted.path)
