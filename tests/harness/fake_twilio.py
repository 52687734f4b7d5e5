"""A Twilio of our own, behind the real SDK: it keeps what it accepted, and fails as it is told.

    with FakeTwilio({SID: TOKEN}) as twilio:
        twilio.then(answer(503), accept())
        …
        assert [message.to for message in twilio.accepted] == ["+61412345678"]

What it does with a request is a `Step`; without one it accepts. Status callbacks are signed as Twilio signs them.
"""

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit
from uuid import uuid4

import httpx
from twilio.request_validator import RequestValidator

SID = "AC" + "0" * 31 + "1"
TOKEN = "a-token-of-the-platform"
NUMBER = "+61400000000"

_MESSAGES = re.compile(r"/2010-04-01/Accounts/(AC[0-9a-f]{32})/Messages\.json")


@dataclass
class Accepted:
    """A message that Twilio took on: whoever is charged, it is charged once for each of these."""

    sid: str
    account: str
    to: str
    body: str
    sender: str | None
    service: str | None
    callback: str | None
    status: str = "queued"
    error_code: int | None = None
    direction: str = "outbound-api"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def message_id(self) -> str:
        """Our own id, from the callback's address."""
        return parse_qs(urlsplit(self.callback or "").query)["message"][0]

    def as_json(self) -> dict[str, Any]:
        return {
            "sid": self.sid,
            "account_sid": self.account,
            "to": self.to,
            "from": self.sender,
            "messaging_service_sid": self.service,
            "body": self.body,
            "status": self.status,
            "error_code": self.error_code,
            "error_message": None,
            "direction": self.direction,
            "num_media": "0",
            "num_segments": "1",
            "api_version": "2010-04-01",
            "uri": f"/2010-04-01/Accounts/{self.account}/Messages/{self.sid}.json",
            "date_created": format_datetime(self.created_at),
            "date_updated": format_datetime(self.created_at),
            "date_sent": None,
            "price": None,
            "price_unit": "USD",
            "subresource_uris": {},
        }


@dataclass(frozen=True)
class Step:
    """What to do with one request to send.

    Attributes:
        accepts: the message is taken on.
        status, code: the answer, and Twilio's own number for it.
        cuts: how the connection ends instead of an answer: `before` or `after` the message is taken on, `half` way
            through the answer.
        waits: seconds before the answer.
        raw: a body that is not Twilio's.
        calls_back: statuses that are called back before the answer.
    """

    accepts: bool = True
    status: int = 201
    code: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cuts: str | None = None
    waits: float = 0.0
    raw: bytes | None = None
    calls_back: tuple[str, ...] = ()


def accept(**how: Any) -> Step:
    """Take it, as ever."""
    return Step(**how)


def answer(status: int, code: int | None = None, **how: Any) -> Step:
    """Refuse it."""
    return Step(accepts=False, status=status, code=code, **how)


def cut(when: str) -> Step:
    """End the connection: `before` taking the message, `after` it, or `half` way through the answer."""
    return Step(accepts=when != "before", cuts=when)


class FakeTwilio:
    """The server; `accounts` maps account SIDs to their tokens."""

    def __init__(self, accounts: Mapping[str, str] | None = None) -> None:
        self.accounts = dict(accounts or {SID: TOKEN})
        self.accepted: list[Accepted] = []
        self.requests: list[dict[str, str]] = []
        self.callbacks: list[tuple[str, int]] = []
        self.choose: Callable[[dict[str, str]], Step] = lambda form: self._steps.popleft() if self._steps else accept()
        self._steps: deque[Step] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.twilio = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What TWILIO_API_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The platform's account, as a process is told of it."""
        sid, token = next(iter(self.accounts.items()))
        return {
            "TWILIO_ACCOUNT_SID": sid,
            "TWILIO_AUTH_TOKEN": token,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_API_URL": self.url,
        }

    def then(self, *steps: Step) -> None:
        """Do this with the next requests."""
        self._steps.extend(steps)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, account: str, form: Mapping[str, str]) -> Accepted:
        """Take a message on."""
        message = Accepted(
            f"SM{uuid4().hex}",
            account,
            form["To"],
            form["Body"],
            form.get("From"),
            form.get("MessagingServiceSid"),
            form.get("StatusCallback"),
        )
        with self._lock:
            self.accepted.append(message)
        return message

    def call_back(self, message: Accepted, status: str, error_code: int | None = None) -> int | None:
        """Report a status as Twilio does; the answer's HTTP status, None where nobody answers."""
        message.status, message.error_code = status, error_code
        if message.callback is None:
            return None
        form = status_form(message, status, error_code)
        headers = signed(message.callback, form, self.accounts[message.account])
        with contextlib.suppress(httpx.TransportError):
            answered = httpx.post(message.callback, data=form, headers=headers, timeout=5, trust_env=False).status_code
            self.callbacks.append((status, answered))
            return answered
        return None


def status_form(message: Accepted, status: str, error_code: int | None = None) -> dict[str, str]:
    """The form of a status callback."""
    form = {
        "AccountSid": message.account,
        "ApiVersion": "2010-04-01",
        "MessageSid": message.sid,
        "MessageStatus": status,
        "SmsSid": message.sid,
        "SmsStatus": status,
        "To": message.to,
        "From": message.sender or NUMBER,
    }
    return form | ({"ErrorCode": str(error_code)} if error_code is not None else {})


def inbound_form(body: str, *, sender: str, to: str = NUMBER, sid: str | None = None, **more: str) -> dict[str, str]:
    """The form of a message that came in."""
    sid = sid or f"SM{uuid4().hex}"
    return {
        "ToCountry": "AU",
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": SID,
        "ApiVersion": "2010-04-01",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "To": to,
        "From": sender,
        "Body": body,
        **more,
    }


def signed(url: str, form: Mapping[str, str], token: str = TOKEN) -> dict[str, str]:
    """The header that Twilio sends with a form to this address."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, dict(form))}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    twilio: FakeTwilio

    def handle_error(self, *_: Any) -> None:
        """A worker that was killed has hung up; that is what is being tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        account = self._account()
        if account is None:
            return
        wanted = dict(parse_qsl(urlsplit(self.path).query)).get("To")
        found = [message for message in reversed(self.server.twilio.accepted) if message.to == wanted]
        page = {"messages": [message.as_json() for message in found if message.account == account]}
        self._answer(200, {**page, "end": 0, "first_page_uri": "", "next_page_uri": None, "page": 0, "page_size": 200})

    def do_POST(self) -> None:
        twilio = self.server.twilio
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        account = self._account()
        if account is None:
            return
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        twilio.requests.append(form)
        step = twilio.choose(form)
        if step.cuts == "before":
            self._cut()
            return
        message = twilio.take(account, form) if step.accepts else None
        for status in step.calls_back if message else ():
            twilio.call_back(message, status)
        if step.waits:
            time.sleep(step.waits)
        if step.cuts == "after":
            self._cut()
        elif step.raw is not None:
            self._write(step.status, step.raw, step.headers, half=step.cuts == "half")
        elif message is not None:
            self._answer(step.status, message.as_json(), step.headers, half=step.cuts == "half")
        else:
            problem = {"code": step.code or step.status, "message": f"refused {form['To']}", "status": step.status}
            self._answer(step.status, problem, step.headers)

    def _account(self) -> str | None:
        match = _MESSAGES.fullmatch(urlsplit(self.path).path)
        if match is None:
            self._answer(404, {"code": 20404, "message": "not found", "status": 404})
            return None
        token = self.server.twilio.accounts.get(match[1])
        expected = httpx.BasicAuth(match[1], token or "")._auth_header
        if token is None or self.headers.get("authorization") != expected:
            self._answer(401, {"code": 20003, "message": "Authenticate", "status": 401})
            return None
        return match[1]

    def _answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, half: bool = False) -> None:
        self._write(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})}, half)

    def _write(self, status: int, body: bytes, headers: Mapping[str, str], half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        if half:
            self.wfile.flush()
            self._cut()

    def _cut(self) -> None:
        # A reset, not a polite end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
