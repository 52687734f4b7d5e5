"""Posts to organisations' own servers: signed as Standard Webhooks says, and never to an address inside our network.

Whoever receives one verifies `webhook-signature` with the endpoint's secret, refuses a `webhook-timestamp` that is old,
and knows a repeat by its `webhook-id`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import httpx

from coach_os.errors import Fault
from coach_os.providers.outcome import retry_after_seconds
from coach_os.providers.secrets import Keyring

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Row = Mapping[str, Any]

TIMEOUT_SECONDS = 10.0
#: An answer is read no further: its words are nobody's here.
_AWAY_STATUSES = (408, 425, 429)
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of one try, as `service.record_webhooks` takes it; `is_away`: the whole endpoint could not serve."""

    outcome: Literal["ok", "retry", "failed"]
    http_status: int | None = None
    error_code: str | None = None
    is_away: bool = False
    retry_after_secs: int | None = None

    def as_result(self, row: Row) -> dict[str, Any]:
        return {
            "org_id": row["org_id"],
            "id": row["id"],
            "claim": row["claim"],
            "outcome": self.outcome,
            "http_status": self.http_status,
            "error_code": self.error_code,
            "is_away": self.is_away,
            "retry_after_secs": self.retry_after_secs,
        }


def new_secret() -> str:
    """A secret to sign with, in the form that Standard Webhooks libraries take."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA256 over id, timestamp and body.

    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...           b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def is_public(address: Address) -> bool:
    """Whether an address is the world's: not ours, not this machine's, not a cloud's metadata.

    >>> is_public(ipaddress.ip_address("93.184.215.14"))
    True
    >>> [is_public(ipaddress.ip_address(a)) for a in ("10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
    [False, False, False]
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        # Translated to IPv4 by the network (NAT64).
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(ipaddress.ip_address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast and not address.is_reserved


class WebhookPoster:
    """Posts claimed rows; one for a process.

    Args:
        allows_private: also to addresses of this machine and network, and without TLS: for development.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        allows_private: bool = False,
        timeout: float = TIMEOUT_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._keyring, self._allows_private, self._timeout = keyring, allows_private, timeout
        # No proxy of the environment's: it would look the name up again, and reach what we may not.
        self._client = httpx.AsyncClient(
            verify=tls if tls is not None else True,
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def post(self, row: Row) -> Posted:
        """One try. Nothing is raised: whatever went wrong is the outcome."""
        try:
            secret = self._keyring.decrypt(row["secret_encrypted"])
        except Fault as fault:
            return Posted("retry", error_code=fault.slug, is_away=True)
        url = httpx.URL(row["url"])
        if url.scheme != "https" and not self._allows_private:
            return Posted("failed", error_code="url_not_https")
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await _addresses(url)
                reachable = [a for a in addresses if self._allows_private or is_public(a)]
                if not reachable:
                    return Posted("failed", error_code="address_not_allowed")
                return await self._send(row, url, reachable[0], secret)
        except socket.gaierror:
            return Posted("retry", error_code="name_unresolved", is_away=True)
        except (TimeoutError, httpx.TimeoutException):
            return Posted("retry", error_code="timed_out", is_away=True)
        except (httpx.TransportError, OSError):
            return Posted("retry", error_code="connection_failed", is_away=True)

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _send(self, row: Row, url: httpx.URL, address: Address, secret: str) -> Posted:
        body = httpx.Request("POST", url, json=row["payload"]).content
        now = int(time.time())
        # To the very address that was checked: looked up again, the name might lead elsewhere. TLS asks for the name.
        request = self._client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={
                "host": url.netloc.decode("ascii"),
                "content-type": "application/json",
                "user-agent": "Coach-OS",
                "webhook-id": str(row["id"]),
                "webhook-timestamp": str(now),
                "webhook-signature": signature(secret, str(row["id"]), now, body),
            },
            extensions={"sni_hostname": url.host, "timeout": httpx.Timeout(self._timeout).as_dict()},
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()
        return _answered(response)


def _answered(response: httpx.Response) -> Posted:
    status = response.status_code
    if 200 <= status < 300:
        return Posted("ok", status)
    return Posted(
        "retry",
        status,
        f"http_{status}",
        is_away=status >= 500 or status in _AWAY_STATUSES,
        retry_after_secs=retry_after_seconds(response.headers.get("retry-after")),
    )


async def _addresses(url: httpx.URL) -> list[Address]:
    """Every address of the host, in the order of the resolver.

    Raises:
        socket.gaierror: the name has none.
    """
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
