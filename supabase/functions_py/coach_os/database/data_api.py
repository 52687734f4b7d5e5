"""Calls by the Data API, for schedulers that have only HTTPS: the `supabase` package with the secret key."""

from __future__ import annotations

import json
import re
from typing import Any, Self

import httpx
from postgrest import APIError
from supabase import AsyncClient, AsyncClientOptions

from coach_os.database.calls import (
    CALLER_HEADER,
    SCHEMAS,
    checked_result,
    encode_arguments,
    error_for,
    function_named,
    key_refused,
)
from coach_os.errors import CoachError, Unavailable

#: What a gateway answers when what stands behind it is away.
_GATEWAY_CODES = ("502", "503", "504", "520", "521", "522", "523", "524")

#: Shorter than servers keep an idle connection (5 s is common), so that no call is sent into one that is just closing.
_LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=3.0)

#: `@supabase/lite` writes instants as Postgres prints them, PostgREST as JSON does.
_PRINTED_INSTANT = re.compile(r"(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d)(:\d\d)?")


class DataApiDatabase:
    """`rpc` over HTTPS. `url` is the project's address (`SUPABASE_URL`), `secret_key` its `sb_secret_…` key."""

    def __init__(self, url: str, secret_key: str, *, timeout: float = 5.0, call_timeout: float = 60.0) -> None:
        # One HTTP client per database, closed with it. No layer below repeats a POST.
        self._http = httpx.AsyncClient(
            transport=_JsonTransport(httpx.AsyncHTTPTransport(limits=_LIMITS)),
            timeout=httpx.Timeout(call_timeout, connect=timeout, pool=timeout),
        )
        self._client = AsyncClient(
            url,
            secret_key,
            AsyncClientOptions(
                auto_refresh_token=False, persist_session=False, postgrest_client_retry=False, httpx_client=self._http
            ),
        )
        self._schemas = {schema: self._client.schema(schema) for schema in SCHEMAS}

    async def open(self) -> None:
        """Nothing to start: the first call connects."""

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def rpc(self, name: str, /, *, caller: str | None = None, **params: Any) -> Any:
        """See `coach_os.database.Database.rpc`."""
        function = function_named(name)
        arguments = json.loads(encode_arguments(params))
        request = self._schemas[function.schema].rpc(function.name, arguments)
        if caller:
            request.request.headers[CALLER_HEADER] = caller
        try:
            response = await request.execute()
        except httpx.TransportError as error:
            raise Unavailable() from error
        except APIError as error:
            raise _translated(error) from error
        return checked_result(_with_instants(response.data))


class _JsonTransport(httpx.AsyncBaseTransport):
    """Answers 200 `null` where the API says 204: the client cannot tell nothing from an empty set otherwise.

    A success that is no JSON comes from something else than the Data API, such as a login page.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if response.status_code == 204:
            await response.aclose()
            return httpx.Response(200, content=b"null", request=request)
        if response.is_success and "json" not in response.headers.get("content-type", ""):
            await response.aclose()
            raise httpx.RemoteProtocolError("not the Data API", request=request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _with_instants(value: Any) -> Any:
    if isinstance(value, str):
        match = _PRINTED_INSTANT.fullmatch(value)
        return f"{match[1]}T{match[2]}{match[3] or ':00'}" if match else value
    if isinstance(value, list):
        return [_with_instants(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_instants(item) for key, item in value.items()}
    return value


def _translated(error: APIError) -> CoachError:
    message = error.message or ""
    if error.code in _GATEWAY_CODES:
        return Unavailable()
    if error.code is None and message.startswith(("Invalid API key", "No API key")):
        return key_refused()
    # `SUP` is what `@supabase/lite` answers where it has no mapping; that it lost its database is one such case.
    if error.code == "SUP" and not message.startswith("PostgresError"):
        return Unavailable()
    details = error.details if isinstance(error.details, str) else None
    return error_for(error.code, error.message, details, error.hint)
