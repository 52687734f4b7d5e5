"""Stripe of our own: `localstripe` as a process on a free port, behind the real SDK, and events signed as Stripe signs.

    with LocalStripe() as stripe:
        environment = stripe.environment
        customer = stripe.post("/v1/customers", email="jo@kilo.example")

It knows customers, payment intents, charges, refunds, invoices and subscriptions; what it lacks (Connect, Checkout,
disputes, payouts of others) a test sends as a signed event of its own.
"""

import json
import subprocess
import sys
import time
from typing import Any, Self

import httpx
from stripe import WebhookSignature

from coach_os.stack.ports import free_port

KEY = "sk_test_of_the_platform"
SECRET = "whsec_of_the_platform"
CONNECT_SECRET = "whsec_of_the_connect_endpoint"

STARTS_WITHIN_SECONDS = 15.0


class LocalStripe:
    """The process; `url` is what STRIPE_API_URL is to be."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=self.url, auth=(KEY, ""), trust_env=False, timeout=10)

    @property
    def environment(self) -> dict[str, str]:
        """The platform's key and secrets, as a process is told of them."""
        return {
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRETS": f"{SECRET},{CONNECT_SECRET}",
            "STRIPE_API_URL": self.url,
        }

    def post(self, path: str, data: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """One request by hand, its form written as Stripe's SDKs write it: `{"items[0][price]": "…"}`."""
        response = self._http.post(path, data={**(data or {}), **fields})
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What is there."""
        response = self._http.get(path, params=query)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "localstripe", "--from-scratch", "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ends = time.monotonic() + STARTS_WITHIN_SECONDS
        while True:
            try:
                self._http.get("/v1/customers").raise_for_status()
                return self
            except httpx.TransportError:
                if self._process.poll() is not None or time.monotonic() > ends:
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._http.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)


def signed(
    event: dict[str, Any], secret: str = CONNECT_SECRET, *, at: float | None = None
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an event, as Stripe sends it.

    Args:
        secret: of the endpoint it is sent to: the platform's own, or the one for connected accounts.
        at: when it was signed; default: now.
    """
    body = json.dumps(event)
    return body.encode(), signature(body, secret, at=at)


def signature(body: str, secret: str = CONNECT_SECRET, *, at: float | None = None) -> dict[str, str]:
    """The headers that sign a body."""
    timestamp = int(time.time() if at is None else at)
    scheme = WebhookSignature._compute_signature(f"{timestamp}.{body}", secret)
    return {"stripe-signature": f"t={timestamp},v1={scheme}", "content-type": "application/json"}
