"""Expo's push API as a server of our own: a ticket for each token, and failures as it is told."""

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class FakeExpo:
    """Gives each token a ticket; `gone` tokens are of devices that unregistered, `projects` parts tokens by project."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.too_fast: set[str] = set()
        self.projects: dict[str, str] = {}
        self.pushes: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        #: (status, body or None, headers, "before", "after" or seconds to wait); taken one for each request.
        self.steps: deque[tuple[int, Any, dict[str, str], str | float | None]] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.expo = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """What EXPO_API_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def then(self, status: int, body: Any = None, ends: str | float | None = None, **headers: str) -> None:
        """Answer the next request so; `ends`: the connection is cut `before` or `after`, or seconds pass."""
        self.steps.append((status, body, {key.replace("_", "-"): value for key, value in headers.items()}, ends))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, push: dict[str, Any]) -> tuple[int, Any]:
        """Expo's answer: tickets in the order of the tokens."""
        groups: dict[str, list[str]] = {}
        for token in push["to"]:
            groups.setdefault(self.projects.get(token, "@kilo/app"), []).append(token)
        if len(groups) > 1:
            problem = {"code": "PUSH_TOO_MANY_EXPERIENCE_IDS", "message": "several projects", "details": groups}
            return 400, {"errors": [problem]}
        self.pushes.append(push)
        tickets: list[dict[str, Any]] = []
        for number, token in enumerate(push["to"]):
            refused = "DeviceNotRegistered" if token in self.gone else None
            refused = "MessageRateExceeded" if token in self.too_fast else refused
            if refused:
                tickets.append({"status": "error", "message": f"{token} …", "details": {"error": refused}})
            else:
                tickets.append({"status": "ok", "id": f"ticket-{len(self.pushes)}-{number}"})
        return 200, {"data": tickets}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        expo: FakeExpo = self.server.expo  # type: ignore[attr-defined]
        push = json.loads(self.rfile.read(int(self.headers["content-length"])))
        expo.headers.append(dict(self.headers.items()))
        status, body, headers, ends = expo.steps.popleft() if expo.steps else (200, None, {}, None)
        if ends == "before":
            self._cut()
            return
        if status == 200 and body is None:
            status, body = expo.take(push)
        if isinstance(ends, int | float):
            time.sleep(ends)
        if ends == "after":
            self._cut()
            return
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()
