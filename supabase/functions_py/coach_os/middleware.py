"""What stands around every route: a request id, one log event, headers that browsers heed, a limit on bodies.

Nothing that a caller sent is written: an event names the route, not the path, and no query, header or address.
"""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coach_os.errors import Fault
from coach_os.logs import get_logger
from coach_os.problems import http_problem

log = get_logger(__name__)

_REQUEST_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Asked every few seconds by whoever watches the process; an event each time would bury the others.
_QUIET = frozenset(("/healthz", "/readyz"))
_API_POLICY = "default-src 'none'; frame-ancestors 'none'"
#: The page at /docs loads its script and style from where FastAPI names them.
_DOCS_POLICY = (
    "default-src 'none'; script-src https: 'unsafe-inline'; style-src https: 'unsafe-inline'; "
    "img-src https: data:; connect-src 'self'; frame-ancestors 'none'"
)


class RequestContext:
    """Binds a request id (the caller's, if it is a UUID), writes one event, and turns what nobody caught into a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        started = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception:
                log.exception("request_failed", route=_route(scope))
                if status is not None:
                    raise
                fault = Fault("internal_error", "Something went wrong here.", f"Quote the request id {request_id}.")
                await JSONResponse(fault.as_json(), fault.status)(scope, receive, send_with_id)
            finally:
                _write(scope, status, time.perf_counter() - started)


class SecurityHeaders:
    """Adds what browsers heed to every answer of our own; what the front passes on keeps its own headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-content-type-options"] = "nosniff"
                if "coach_os.proxied" not in scope:
                    is_docs = scope["path"] == "/docs" and message["status"] == 200
                    headers["content-security-policy"] = _DOCS_POLICY if is_docs else _API_POLICY
                    headers["referrer-policy"] = "no-referrer"
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Cors:
    """Which websites may call: those of `origins`, and any for `open_paths`, where an organisation's own site posts."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], open_paths: tuple[str, ...]) -> None:
        self.open_paths = open_paths
        self.open = CORSMiddleware(app, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"], max_age=3600)
        self.others: ASGIApp = app
        if origins:
            self.others = CORSMiddleware(
                app,
                allow_origins=origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["Content-Range", "Content-Location", "Location", "Preference-Applied", "X-Request-Id"],
                max_age=3600,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.open if scope.get("path") in self.open_paths else self.others)(scope, receive, send)


class BodyLimit:
    """Refuses a body over `limit` bytes with 413: by its announced length, or as it comes where none is announced."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > self.limit:
            await http_problem(413, {"connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                raise HTTPException(413)
            return message

        await self.app(scope, counted, send)


def _write(scope: Scope, status: int | None, seconds: float) -> None:
    route = _route(scope)
    if route in _QUIET and status == 200:
        return
    log.info(
        "request_finished",
        method=scope["method"] if scope["method"].isalpha() else "other",
        route=route,
        status=status,
        duration_ms=round(seconds * 1000, 1),
    )


def _route(scope: Scope) -> str:
    """The template that matched, such as `/functions/v1/cron-{sweep}`; never the path itself."""
    route: Any = scope.get("route")
    return scope.get("coach_os.proxied") or getattr(route, "path", None) or "unknown"
