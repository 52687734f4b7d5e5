"""Development only: one address for a browser app, in front of the embedded Data API and Auth.

Hosted Supabase serves `/rest/v1` and `/auth/v1` under one origin with CORS; the embedded API lacks a part of that. This
passes requests on as they are and leaves CORS to the application. It refuses to exist where it could be exposed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from coach_os.errors import Fault, Unavailable
from coach_os.logs import get_logger
from coach_os.settings import Settings

log = get_logger(__name__)

PREFIXES = ("/rest/v1", "/auth/v1")

_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
#: Shorter than Node keeps an idle connection (5 s), so that no request is sent into one that is just closing.
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)


def upstream_of(settings: Settings) -> httpx.URL | None:
    """Where the Data API listens, or None where there is no front to be: the setting is for the supervisor to make.

    Raises:
        Fault: the Data API or the database is not on this machine, as they are in development.
    """
    if settings.data_api_url is None:
        return None
    database = settings.database_url.get_secret_value() if settings.database_url else ""
    if not _is_local(settings.data_api_url) or not _is_local(database):
        raise Fault(
            "front_misplaced",
            "COACH_DATA_API_URL is for development: the Data API and the database must both be on this machine.",
            "Unset COACH_DATA_API_URL; apps reach a hosted project under SUPABASE_URL.",
        )
    return httpx.URL(settings.data_api_url)


class Front:
    """An ASGI application that passes `/rest/v1/*` and `/auth/v1/*` on to `upstream`, body and answer as streams."""

    def __init__(self, upstream: httpx.URL) -> None:
        self._upstream = upstream
        # No environment: a proxy that a developer's shell names must not see these keys.
        transport = httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
        self._client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(60.0, connect=2.0))

    async def close(self) -> None:
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        prefix = next((prefix for prefix in PREFIXES if request.url.path.startswith(f"{prefix}/")), None)
        if prefix is None or ".." in request.url.path.split("/"):
            raise HTTPException(404)
        # Deeper parts of a path may hold ids of people.
        scope["coach_os.proxied"] = f"{prefix}/*"
        response = await self._pass_on(request)
        await response(scope, receive, send)

    async def _pass_on(self, request: Request) -> Response:
        path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        query: bytes = request.scope["query_string"]
        target = self._upstream.copy_with(raw_path=path + (b"?" + query if query else b""))
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        outgoing = httpx.Request(
            request.method,
            target,
            headers=_end_to_end(request.headers.raw, without=("host",)),
            content=request.stream() if has_body else None,
        )
        try:
            answer = await self._client.send(outgoing, stream=True)
        except ClientDisconnect:
            return Response(status_code=499)
        except httpx.TransportError as error:
            raise Unavailable("data_api_unavailable", "The Data API does not answer.", "Run coach status.") from error
        response = StreamingResponse(_body(answer), answer.status_code)
        response.raw_headers = _end_to_end(answer.headers.raw, without=("server", "date"), without_cors=True)
        return response


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(
    headers: list[tuple[bytes, bytes]], *, without: tuple[str, ...], without_cors: bool = False
) -> list[tuple[bytes, bytes]]:
    """The headers that concern both ends; those of one connection, and those it names, stay behind."""
    named = {
        option.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for option in value.decode("latin-1").split(",")
    }
    dropped = _HOP_BY_HOP | named | set(without)
    return [
        (name, value)
        for name, value in headers
        if (lowered := name.decode("latin-1").lower()) not in dropped
        and not (without_cors and lowered.startswith("access-control-"))
    ]


def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
