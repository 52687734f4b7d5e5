"""Stripe, by its own SDK: the one place that makes its client, and what its errors mean here.

    async with stripe_of(settings) as stripe:
        with stripe_errors():
            intent = await stripe.client.v1.payment_intents.retrieve_async(id, options={"stripe_account": account})

Whatever creates something sends an idempotency key made in the database, so that a repeat creates nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pydantic import SecretStr
from stripe import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    CardError,
    HTTPXClient,
    IdempotencyError,
    PermissionError,
    RateLimitError,
    StripeClient,
    StripeError,
)

from coach_os.errors import Fault, Refusal, Unavailable
from coach_os.settings import Settings

#: What the requests of this version are written for; events of endpoints pinned to others are read too.
API_VERSION = "2025-03-31.basil"

TIMEOUT_SECONDS = 20.0
#: By the SDK, with the same idempotency key: connections that were cut, 409, 429 and 5xx.
RETRIES = 2


class Stripe:
    """The SDK's client over asynchronous HTTP; its methods are the SDK's, each within `stripe_errors`.

    Args:
        key: a secret or restricted key of the platform; a connected account is named with each request.
        api_url: where Stripe's API is, other than at Stripe.
    """

    def __init__(self, key: str, *, api_url: str | None = None) -> None:
        self._http = HTTPXClient(timeout=TIMEOUT_SECONDS)
        self.client = StripeClient(
            key,
            stripe_version=API_VERSION,
            http_client=self._http,
            max_network_retries=RETRIES,
            base_addresses={"api": api_url.rstrip("/")} if api_url else {},
        )

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def stripe_of(settings: Settings) -> Stripe:
    """The client that the settings call for.

    Raises:
        Fault: stripe_unset, where there is no key.
    """
    if settings.stripe_secret_key is None:
        raise Fault(
            "stripe_unset", "The service has no key for Stripe.", "Set STRIPE_SECRET_KEY, and try again.", status=503
        )
    return Stripe(settings.stripe_secret_key.get_secret_value(), api_url=settings.stripe_api_url)


def webhook_secrets(setting: SecretStr | None) -> list[str]:
    """The signing secrets of the endpoints, and the old ones while they are being replaced.

    >>> webhook_secrets(SecretStr("whsec_platform, whsec_connect"))
    ['whsec_platform', 'whsec_connect']
    """
    return [part.strip() for part in setting.get_secret_value().split(",") if part.strip()] if setting else []


@contextmanager
def stripe_errors() -> Iterator[None]:
    """Turns the SDK's errors into ours; Stripe's words stay out, since they may quote what was sent.

    Raises:
        Unavailable: stripe_unavailable; nobody knows whether the request took effect, its idempotency key makes a
            repeat safe.
        Refusal: stripe_object_missing 404, stripe_card_declined 402, stripe_request_reused 409, stripe_refused 422.
        Fault: stripe_key_refused.
    """
    try:
        yield
    except CardError as error:
        raise Refusal(402, "stripe_card_declined", "The card was declined.", "Ask for another way to pay.") from error
    except (AuthenticationError, PermissionError) as error:
        raise Fault(
            "stripe_key_refused",
            "Stripe refused the service's key, or the account is not connected to it.",
            "Check STRIPE_SECRET_KEY, and that the account is still connected.",
        ) from error
    except IdempotencyError as error:
        raise Refusal(
            409, "stripe_request_reused", "Stripe has had this request with other contents.", "Look at the payment."
        ) from error
    except (APIConnectionError, RateLimitError) as error:
        raise _unavailable() from error
    except StripeError as error:
        status = error.http_status or 0
        if (isinstance(error, APIError) and not 400 <= status < 500) or status >= 500:
            raise _unavailable() from error
        if status == 404 or error.code == "resource_missing":
            raise Refusal(
                404, "stripe_object_missing", "Stripe does not know this object.", "Check the account and the id."
            ) from error
        raise Refusal(
            422, "stripe_refused", "Stripe does not accept the request.", f"Stripe's code: {error.code or status}."
        ) from error


def _unavailable() -> Unavailable:
    return Unavailable("stripe_unavailable", "Stripe does not answer.", "Try again in a moment.")
