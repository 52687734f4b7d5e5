"""A gate before `localstripe`: what Stripe has and that lacks, and what goes wrong on the way to it.

    with LocalStripe() as behind, StripeGate(behind) as gate:
        gate.then("after")                  # the next write takes effect, and its answer is lost
        …
        assert len(gate.made("refunds")) == 1

It honours `Idempotency-Key`, keeps connected accounts apart from the rest of a request (`gate.requests`), takes what
belongs to Connect (application fees), and answers Checkout, accounts and account links by itself.
"""

import json
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.harness.local_stripe import KEY, LocalStripe

#: What localstripe refuses to hear of.
_OF_CONNECT = ("application_fee_amount", "refund_application_fee", "payment_method_types[0]")
_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=64)


@dataclass(frozen=True)
class Request:
    """One write that reached Stripe, whatever became of its answer."""

    path: str
    account: str | None
    key: str | None
    form: dict[str, str]
    is_repeat: bool


class StripeGate:
    """The server; `url` is what STRIPE_API_URL is to be."""

    def __init__(self, behind: LocalStripe) -> None:
        self.behind = behind
        self.requests: list[Request] = []
        #: Taken one for each write: "before" and "after" cut the connection, a number waits so long, a pair is
        #: (status, Stripe's error code).
        self.steps: deque[str | float | tuple[int, str]] = deque()
        self.forgets_keys = False
        self.accounts: dict[str, dict[str, Any]] = {}
        self.pages: list[dict[str, str]] = []
        self._answers: dict[str, tuple[int, bytes]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._http = httpx.Client(base_url=behind.url, auth=(KEY, ""), trust_env=False, timeout=30, limits=_LIMITS)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.gate = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where the SDK is sent."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The platform's key and secrets, as a process is told of them."""
        return {**self.behind.environment, "STRIPE_API_URL": self.url}

    def then(self, *steps: str | float | tuple[int, str]) -> None:
        """What becomes of the next writes."""
        self.steps.extend(steps)

    def made(self, kind: str) -> list[Request]:
        """The writes of a kind that took effect: payment_intents, refunds, accounts."""
        return [r for r in self.requests if r.path == f"/v1/{kind}" and not r.is_repeat]

    def pay(self, intent_id: str) -> dict[str, Any]:
        """A client's card pays an intent."""
        card = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "40", "card[cvc]": "123"}
        method = self.behind.post("/v1/payment_methods", {"type": "card", **card})
        self.behind.post(f"/v1/payment_intents/{intent_id}", payment_method=method["id"])
        return self.behind.post(f"/v1/payment_intents/{intent_id}/confirm")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._http.close()

    def write(self, path: str, account: str | None, key: str | None, form: dict[str, str]) -> tuple[int, bytes]:
        """A POST: once for each key, as Stripe has it for a day (`forgets_keys`: the day is over)."""
        with self._lock:
            lock = self._locks.setdefault(f"{account}/{key}" if key else str(uuid.uuid4()), threading.Lock())
        with lock:
            kept = self._answers.get(f"{account}/{key}") if key and not self.forgets_keys else None
            self.requests.append(Request(path, account, key, form, kept is not None))
            if kept is not None:
                return kept
            answer = self._own(path, form) or self._pass_on("POST", path, form)
            if key and answer[0] < 500:
                self._answers[f"{account}/{key}"] = answer
            return answer

    def read(self, path: str, query: str) -> tuple[int, bytes]:
        """A GET."""
        if path.startswith("/v1/accounts/"):
            return 200, json.dumps(self.accounts[path.rsplit("/", 1)[-1]]).encode()
        response = self._http.get(path, params=dict(parse_qsl(query)))
        return response.status_code, response.content

    def _pass_on(self, method: str, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        body = urlencode({name: value for name, value in form.items() if name not in _OF_CONNECT})
        response = self._http.request(
            method, path, content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        return response.status_code, response.content

    def _own(self, path: str, form: dict[str, str]) -> tuple[int, bytes] | None:
        answer: dict[str, Any]
        if path == "/v1/accounts":
            answer = {"id": f"acct_{uuid.uuid4().hex[:16]}", "object": "account", "metadata": {}}
            answer |= {"charges_enabled": False, "payouts_enabled": False, "details_submitted": False}
            self.accounts[answer["id"]] = answer
        elif path == "/v1/account_links":
            answer = {"object": "account_link", "url": f"https://connect.stripe.example/{form['account']}"}
        elif path == "/v1/checkout/sessions":
            self.pages.append(form)
            session = f"cs_{len(self.pages)}"
            answer = {"id": session, "object": "checkout.session", "url": f"https://checkout.stripe.example/{session}"}
        else:
            return None
        return 200, json.dumps(answer).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    gate: StripeGate


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self._answer(*self.server.gate.read(path, query))

    def do_POST(self) -> None:
        gate = self.server.gate
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        step = gate.steps.popleft() if gate.steps else None
        if step == "before":
            self._cut()
            return
        if isinstance(step, tuple):
            kind = "api_error" if step[0] >= 500 else "invalid_request_error"
            problem = {"type": kind, "code": step[1], "message": "Refused."}
            self._answer(step[0], json.dumps({"error": problem}).encode())
            return
        answer = gate.write(
            self.path, self.headers.get("stripe-account"), self.headers.get("idempotency-key"), dict(parse_qsl(body))
        )
        if step == "after":
            self._cut()
            return
        if isinstance(step, int | float):
            time.sleep(step)
        self._answer(*answer)

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()
