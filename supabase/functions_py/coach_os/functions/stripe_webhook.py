"""`POST /functions/v1/stripe-webhook`: what happened at Stripe, in any order, and as often as Stripe tells it.

The platform's endpoint and the one for connected accounts may both lead here; each has its secret, and while one is
being replaced both of its secrets verify.
"""

from __future__ import annotations

import json

from pydantic import BaseModel, Field
from starlette.requests import Request
from stripe import SignatureVerificationError, WebhookSignature

from coach_os.database import Database
from coach_os.errors import CoachError, Fault, Refusal
from coach_os.logs import get_logger
from coach_os.providers.stripe import webhook_secrets
from coach_os.settings import Settings
from coach_os.sweeps.stripe import fetch_due

log = get_logger(__name__)

#: Older than this a signature counts no more: what was overheard cannot be sent again later.
TOLERANCE_SECONDS = 300
#: Stripe's events are some tens of kilobytes.
MAX_BODY_BYTES = 512 * 1024
#: Fetched after the answer; the sweep does the rest.
FETCHES = 10


class Received(BaseModel):
    """Stripe need not send it again."""

    received: bool = Field(examples=[True])


async def run(request: Request, database: Database, settings: Settings) -> Received:
    """Take an event in.

    Raises:
        Refusal: stripe_signature_wrong 400, request_invalid 400, request_too_large 413.
        Fault: stripe_webhook_unset 500, stripe_event_failed 500: Stripe sends it again.
    """
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise Refusal(413, "request_too_large", "The request is too large.", "Send less.")
    event = _parsed(_verified(body, request.headers.get("stripe-signature"), settings))
    try:
        answer = await database.rpc("service.receive_stripe_event", p_event=event)
    except Refusal as refusal:
        if refusal.slug != "value_not_allowed":
            raise
        raise _invalid() from refusal
    log.info(
        "stripe_event_received", stripe_event_id=answer["event_id"], outcome=answer["outcome"], slug=answer["error"]
    )
    if answer["outcome"] == "failed":
        raise Fault(
            "stripe_event_failed",
            "The event could not be applied.",
            "It is kept; see coach stripe events show, and coach stripe replay.",
        )
    return Received(received=True)


async def fetch_after(database: Database, settings: Settings) -> None:
    """What the events named is fetched once they are answered; what fails is left to the sweep."""
    if settings.stripe_secret_key is None:
        return
    try:
        await fetch_due(database, settings, limit=FETCHES)
    except CoachError as error:
        log.warning("stripe_fetches_left", slug=error.slug)


def _verified(body: bytes, header: str | None, settings: Settings) -> bytes:
    secrets = webhook_secrets(settings.stripe_webhook_secrets)
    if not secrets:
        raise Fault("stripe_webhook_unset", "The service cannot verify Stripe's events.", "Set STRIPE_WEBHOOK_SECRETS.")
    for secret in secrets:
        try:
            WebhookSignature.verify_header(body, header, secret, TOLERANCE_SECONDS)
        except (SignatureVerificationError, UnicodeDecodeError):
            continue
        return body
    raise Refusal(
        400,
        "stripe_signature_wrong",
        "This is not signed as Stripe signs, or was signed too long ago.",
        "Check that STRIPE_WEBHOOK_SECRETS has this endpoint's secret, and the clock.",
    )


def _parsed(body: bytes) -> dict[str, object]:
    try:
        event = json.loads(body)
    except ValueError:
        raise _invalid() from None
    if not isinstance(event, dict) or event.get("object") != "event":
        raise _invalid()
    return event


def _invalid() -> Refusal:
    return Refusal(400, "request_invalid", "The request does not have the form it needs.")
