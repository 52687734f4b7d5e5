"""Somebody's server that takes webhooks: as it is told, and it remembers what came."""

import ssl
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One post, as it came over the line."""

    path: str
    headers: dict[str, str]
    body: bytes


class FakeReceiver:
    """Answers 204, or what it was told: a status for all (`is_down`), or steps taken one for each post."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[Received] = []
        self.is_down = False
        #: (status, headers, seconds to wait before answering)
        self.steps: deque[tuple[int, dict[str, str], float]] = deque()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.receiver = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def taken(self) -> list[str]:
        """The ids of what was answered with success."""
        return [post.headers["webhook-id"] for post in self.received if post.headers["answered"] == "204"]

    def then(self, status: int, wait: float = 0, **headers: str) -> None:
        self.steps.append((status, {key.replace("_", "-"): value for key, value in headers.items()}, wait))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    #: As many may ask at once as a worker does.
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        receiver: FakeReceiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["content-length"]))
        status, headers, wait = receiver.steps.popleft() if receiver.steps else (204, {}, 0.0)
        if receiver.is_down:
            status = 503
        kept = {name.lower(): value for name, value in self.headers.items()} | {"answered": str(status)}
        receiver.received.append(Received(self.path, kept, body))
        threading.Event().wait(wait)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()
