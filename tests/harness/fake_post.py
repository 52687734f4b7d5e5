"""A mail server of our own: real SMTP, it keeps what it accepted, and refuses or hangs up where a test says so."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller

from coach_os.stack.ports import free_port


class FakePost:
    """The server and its hooks; `accepted` are (recipient, message)."""

    def __init__(self, **options: Any) -> None:
        self.accepted: list[tuple[str, EmailMessage]] = []
        self.connections = 0
        self.refuse_recipient: str | None = None
        self.refuse_sender: str | None = None
        self.refuse_text: str | None = None
        #: "envelope" or "answer": where the connection ends.
        self.hangs_up: str | None = None
        self.waits: float = 0.0
        self.port = free_port()
        self._options = options
        self._controller = self._new()

    @property
    def url(self) -> str:
        """What SMTP_URL is to be."""
        return f"smtp://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """Close every connection, and listen again."""
        self._controller.stop()
        self._controller = self._new()
        self._controller.start()

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def _new(self) -> Controller:
        return Controller(self, hostname="127.0.0.1", port=self.port, **self._options)

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.hangs_up == "envelope":
            server.transport.abort()
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuse_text:
            return self.refuse_text
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.accepted.append((envelope.rcpt_tos[0], message))
        if self.hangs_up == "answer":
            server.transport.abort()
        if self.waits:
            await asyncio.sleep(self.waits)
        return "250 2.0.0 queued"
