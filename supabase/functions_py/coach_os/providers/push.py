"""Pushes to the app by Expo's API: one request a message, to each device of its client.

https://docs.expo.dev/push-notifications/sending-notifications/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import httpx

from coach_os.providers.outcome import (
    CREDENTIALS_REST_SECONDS,
    LIMIT_REST_SECONDS,
    Outcome,
    retry_after_seconds,
)

NAME = "expo"
API_URL = "https://exp.host"
SEND_PATH = "/--/api/v2/push/send"

#: What Expo takes in one request.
MAX_TOKENS = 100
_TIMEOUT = httpx.Timeout(15.0, connect=5.0)
#: Shorter than servers keep an idle connection, so that no push is sent into one that is just closing.
_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=3.0)
_GATEWAY_STATUSES = frozenset((502, 504))
_GONE = "DeviceNotRegistered"
_TOO_FAST = "MessageRateExceeded"
_OTHER_PROJECT = "PUSH_TOO_MANY_EXPERIENCE_IDS"


class PushProvider(Protocol):
    """What sends pushes."""

    async def send(self, message: Mapping[str, Any]) -> Outcome:
        """One try; `message` is a claimed row: `to_tokens`, `subject`, `body`, `data`."""

    async def close(self) -> None: ...


class ExpoPush:
    """Expo's push API. `access_token` is needed only where the project asks for it."""

    def __init__(self, *, access_token: str | None = None, api_url: str | None = None) -> None:
        self._url = (api_url or API_URL).rstrip("/") + SEND_PATH
        transport = httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
        headers = {"authorization": f"Bearer {access_token}"} if access_token else {}
        self._client = httpx.AsyncClient(transport=transport, timeout=_TIMEOUT, headers=headers)

    async def send(self, message: Mapping[str, Any]) -> Outcome:
        """See `PushProvider.send`. It is sent when one device took it."""
        tokens = list(dict.fromkeys(message.get("to_tokens") or ()))[:MAX_TOKENS]
        if not tokens:
            return Outcome("failed", NAME, error_code="token_missing")
        outcome, groups = await self._send(message, tokens)
        if not groups:
            return outcome
        # Apps of several projects (a trial build, the store's) take a request each.
        parts = [(await self._send(message, group))[0] for group in groups]
        return merged(parts)

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, message: Mapping[str, Any], tokens: Sequence[str]) -> tuple[Outcome, list[list[str]]]:
        """The outcome, and how to part the tokens where Expo asks for it."""
        push = {
            "to": list(tokens),
            "title": message.get("subject") or "",
            "body": message["body"],
            "data": message.get("data") or {},
            "sound": "default",
        }
        try:
            response = await self._client.post(self._url, json=push)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Outcome("deferred", NAME, error_code="connection_refused"), []
        except httpx.TimeoutException:
            return Outcome("unknown", NAME, error_code="read_timeout"), []
        except httpx.TransportError:
            return Outcome("unknown", NAME, error_code="connection_cut"), []
        try:
            answer = response.json()
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        error: Mapping[str, Any] = next(iter(answer.get("errors") or ()), {})
        if response.status_code == 400 and error.get("code") == _OTHER_PROJECT:
            groups = [list(group) for group in (error.get("details") or {}).values() if group]
            known = set(tokens)
            if len(groups) > 1 and all(set(group) <= known for group in groups):
                return Outcome("failed", NAME, http_status=400, error_code=_OTHER_PROJECT), groups
        return answered(response, answer, tokens), []


def answered(response: httpx.Response, answer: Mapping[str, Any], tokens: Sequence[str]) -> Outcome:
    """What Expo's answer to one request comes to."""
    status = response.status_code
    error: Mapping[str, Any] = next(iter(answer.get("errors") or ()), {})
    code = str(error.get("code") or f"http_{status}")
    retry_after = retry_after_seconds(response.headers.get("retry-after"))
    if status in (401, 403, 429):
        rest = (retry_after or LIMIT_REST_SECONDS) if status == 429 else CREDENTIALS_REST_SECONDS
        return Outcome(
            "deferred", NAME, http_status=status, error_code=code, retry_after_secs=rest, account_rest_secs=rest
        )
    if status < 200 or 300 <= status < 400 or (status in _GATEWAY_STATUSES and not error):
        return Outcome("unknown", NAME, http_status=status, error_code=code)
    if status >= 500 or status == 408:
        return Outcome("deferred", NAME, http_status=status, error_code=code, retry_after_secs=retry_after)
    if status >= 400:
        return Outcome("failed", NAME, http_status=status, error_code=code)
    tickets = answer.get("data")
    tickets = [tickets] if isinstance(tickets, dict) else tickets
    if not isinstance(tickets, list) or len(tickets) != len(tokens):
        return Outcome("unknown", NAME, http_status=status, error_code="answer_unreadable")
    return _of_tickets(tickets, tokens, status)


def merged(parts: Sequence[Outcome]) -> Outcome:
    """One outcome of several requests for one message: sent when one took it, else what leaves the most open."""
    gone = tuple(token for part in parts for token in part.gone_tokens)
    by_kind = {part.kind: part for part in reversed(parts)}
    best = next(by_kind[kind] for kind in ("sent", "unknown", "deferred", "failed") if kind in by_kind)
    ids = [part.provider_message_id for part in parts if part.provider_message_id]
    return Outcome(
        best.kind,
        NAME,
        provider_message_id=",".join(ids) or None,
        provider_status=best.provider_status,
        http_status=best.http_status,
        error_code=best.error_code,
        retry_after_secs=best.retry_after_secs,
        account_rest_secs=best.account_rest_secs,
        gone_tokens=gone,
    )


def _of_tickets(tickets: Sequence[Mapping[str, Any]], tokens: Sequence[str], status: int) -> Outcome:
    codes = [str((ticket.get("details") or {}).get("error") or "push_refused") for ticket in tickets]
    taken = [ticket for ticket in tickets if ticket.get("status") == "ok"]
    gone = tuple(
        token
        for token, ticket, code in zip(tokens, tickets, codes, strict=True)
        if ticket.get("status") != "ok" and code == _GONE
    )
    if taken:
        ids = ",".join(str(ticket["id"]) for ticket in taken if ticket.get("id"))
        return Outcome(
            "sent",
            NAME,
            provider_message_id=ids or None,
            provider_status="ok",
            http_status=status,
            gone_tokens=gone,
        )
    if _TOO_FAST in codes:
        return Outcome("deferred", NAME, http_status=status, error_code=_TOO_FAST, gone_tokens=gone)
    return Outcome("failed", NAME, http_status=status, error_code=codes[0], gone_tokens=gone)
