"""Text messages: what a provider of them does, and Twilio by its own SDK.

The SDK repeats nothing. A try that ended without an answer is `deferred` only where no byte of the request can have
left (no address, no connection, no handshake); after that, Twilio may have accepted it.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from twilio.base.exceptions import TwilioException
from twilio.base.values import unset
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from coach_os.providers.outcome import (
    CREDENTIALS_REST_SECONDS,
    LIMIT_REST_SECONDS,
    Outcome,
    retry_after_seconds,
)

T = TypeVar("T")

NAME = "twilio"
API_URL = "https://api.twilio.com"
STATUS_PATH = "/functions/v1/twilio-webhook"

CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0

#: Twilio's words for "too many for now", which it does not always send as 429.
_LIMIT_CODES = frozenset((14107, 20429, 21611))
#: A gateway's own answer: it does not know what became of the request behind it.
_GATEWAY_STATUSES = frozenset((502, 504))
#: Twilio puts this before what a trial account sends.
_TRIAL_PREFIX = "Sent from your Twilio trial account - "
#: A message that was accepted was so within a lease of its claim; clocks differ a little.
_FOUND_BEFORE = timedelta(seconds=10)
_FOUND_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SmsAccount:
    """Whose credentials and number: an organisation's own, or the platform's. Never shown."""

    sid: str
    token: str
    messaging_service_sid: str | None = None
    phone_number: str | None = None

    def __repr__(self) -> str:
        return f"SmsAccount({self.sid})"


@dataclass(frozen=True, slots=True)
class FoundSms:
    """A message as the provider has it."""

    sid: str
    status: str
    error_code: str | None


class SmsProvider(Protocol):
    """What sends texts."""

    async def send(self, account: SmsAccount, message: Mapping[str, Any]) -> Outcome:
        """One try; `message` is a claimed row with `id`, `to_phone` and `body`."""

    async def find(self, account: SmsAccount, message: Mapping[str, Any]) -> FoundSms | None:
        """The one message that can only be this row's; None where there is none, or more than one might be.

        Raises:
            OSError: the provider did not answer.
        """

    async def close(self) -> None: ...


class TwilioSms:
    """Twilio by its SDK, in threads of its own.

    Args:
        callback_url: the service's public address, for status callbacks; None asks for none.
        api_url: where Twilio's API is, other than at Twilio.
        threads: how many tries at once.
    """

    def __init__(self, *, callback_url: str | None = None, api_url: str | None = None, threads: int = 16) -> None:
        self._callback_url = callback_url.rstrip("/") if callback_url else None
        self._api_url = api_url.rstrip("/") if api_url else API_URL
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="twilio")
        self._number = threads
        self._clients: dict[tuple[str, str], tuple[Client, _Http]] = {}

    async def send(self, account: SmsAccount, message: Mapping[str, Any]) -> Outcome:
        """See `SmsProvider.send`."""
        return await self._in_thread(lambda: self._send(account, message))

    async def find(self, account: SmsAccount, message: Mapping[str, Any]) -> FoundSms | None:
        """See `SmsProvider.find`."""
        return await self._in_thread(lambda: self._find(account, message))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for _, http in self._clients.values():
            http.session.close()

    async def _in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def _client(self, account: SmsAccount) -> tuple[Client, _Http]:
        key = (account.sid, account.token)
        if key not in self._clients:
            http = _Http(self._api_url, self._number)
            # A mapping of its own: the SDK would look into the environment for what it lacks.
            client = Client(account.sid, account.token, http_client=http, environment={"TWILIO_REGION": ""})
            self._clients[key] = (client, http)
        return self._clients[key]

    def _send(self, account: SmsAccount, message: Mapping[str, Any]) -> Outcome:
        client, http = self._client(account)
        callback = f"{self._callback_url}{STATUS_PATH}?message={quote(str(message['id']))}"
        try:
            created = client.messages.create(
                to=message["to_phone"],
                body=message["body"],
                from_=account.phone_number if not account.messaging_service_sid and account.phone_number else unset,
                messaging_service_sid=account.messaging_service_sid or unset,
                status_callback=callback if self._callback_url else unset,
            )
        except (TwilioException, requests.RequestException, OSError, ValueError, KeyError, TypeError) as error:
            return classified(error, http.retry_after)
        if not created.sid:
            return Outcome("unknown", NAME, error_code="answer_unreadable")
        return Outcome(
            "sent", NAME, provider_message_id=created.sid, provider_status=str(created.status), http_status=201
        )

    def _find(self, account: SmsAccount, message: Mapping[str, Any]) -> FoundSms | None:
        client, _ = self._client(account)
        claimed_at = datetime.fromisoformat(message["claimed_at"])
        first, last = claimed_at - _FOUND_BEFORE, claimed_at + _FOUND_AFTER
        try:
            # Newest first, and by the number alone: what is not sent yet has no date that Twilio could filter by.
            listed = client.messages.list(to=message["to_phone"], limit=200, page_size=200)
        except (TwilioException, requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise OSError("the provider did not answer") from error
        bodies = (message["body"], _TRIAL_PREFIX + message["body"])
        found = [
            candidate
            for candidate in listed
            if candidate.body in bodies
            and str(candidate.direction).startswith("outbound")
            and candidate.date_created is not None
            and first <= candidate.date_created <= last
        ]
        if len(found) != 1 or not found[0].sid:
            return None
        code = found[0].error_code
        return FoundSms(found[0].sid, str(found[0].status), None if code is None else str(code))


def classified(error: Exception, retry_after: str | None = None) -> Outcome:
    """What a try that raised came to.

    Args:
        retry_after: the answer's header, if there was an answer.
    """
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    if isinstance(error, TwilioException) and isinstance(status, int):
        return _answered(status, int(str(code)) if str(code).isdigit() else None, retry_after_seconds(retry_after))
    if isinstance(error, requests.RequestException) and _is_unwritten(error):
        return Outcome("deferred", NAME, error_code="connection_refused")
    if isinstance(error, requests.Timeout):
        return Outcome("unknown", NAME, error_code="read_timeout")
    if isinstance(error, requests.RequestException | OSError):
        return Outcome("unknown", NAME, error_code="connection_cut")
    # An answer of 2xx that cannot be read: it was accepted, or something else than Twilio answered.
    return Outcome("unknown", NAME, error_code="answer_unreadable")


def _answered(status: int, code: int | None, retry_after: int | None) -> Outcome:
    # The SDK gives the status for the code where the body is not Twilio's.
    is_twilios = code is not None and code != status
    error_code = str(code) if is_twilios else f"http_{status}"
    rest = None
    if status == 429 or code in _LIMIT_CODES:
        rest = retry_after or LIMIT_REST_SECONDS
    elif status == 401:
        # Not the message's fault: whatever else the account has to send would fail alike.
        rest = CREDENTIALS_REST_SECONDS
    if rest is not None:
        return Outcome(
            "deferred", NAME, http_status=status, error_code=error_code, retry_after_secs=rest, account_rest_secs=rest
        )
    if status < 400 or (status in _GATEWAY_STATUSES and not is_twilios):
        return Outcome("unknown", NAME, http_status=status, error_code=error_code)
    if status >= 500 or status == 408:
        return Outcome("deferred", NAME, http_status=status, error_code=error_code, retry_after_secs=retry_after)
    return Outcome("failed", NAME, http_status=status, error_code=error_code)


def _is_unwritten(error: requests.RequestException) -> bool:
    """Whether the request's first byte cannot have left: there was no connection to write it to."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = error.args[0] if error.args else None
    if isinstance(reason, MaxRetryError):
        reason = reason.reason
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return True
    # A certificate is judged in the handshake; any other fault of TLS may come later.
    causes = [reason, *getattr(reason, "args", ())]
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)


class _Http(TwilioHttpClient):  # type: ignore[misc]
    """The SDK's client with two timeouts, no proxy or password of the environment, and the last Retry-After at hand."""

    def __init__(self, api_url: str, threads: int) -> None:
        super().__init__()
        self._api_url = api_url
        self._answer = threading.local()
        self.session.trust_env = False
        for prefix in ("https://", "http://"):
            self.session.mount(prefix, _Adapter(pool_maxsize=threads))

    @property
    def retry_after(self) -> str | None:
        """Of this thread's last answer: the SDK's exceptions leave headers out."""
        return getattr(self._answer, "retry_after", None)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        self._answer.retry_after = None
        response: Response = super().request(method, url.replace(API_URL, self._api_url, 1), *args, **kwargs)
        headers = response.headers or {}
        self._answer.retry_after = headers.get("Retry-After")
        return response


class _Adapter(HTTPAdapter):
    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().send(request, *args, **{**kwargs, "timeout": (CONNECT_SECONDS, READ_SECONDS)})
