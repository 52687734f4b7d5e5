"""Email by SMTP, with a booking's calendar file or a receipt attached where the message is about one.

Until the text itself is sent nothing can have been accepted; once it is, only the server's answer says so. A
refusal with 4xx is temporary, one with 5xx is final.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from coach_os.calendar_files import booking_file, method_of
from coach_os.errors import Fault
from coach_os.providers.outcome import CREDENTIALS_REST_SECONDS, LIMIT_REST_SECONDS, Outcome
from coach_os.receipts import receipt_page

NAME = "smtp"

CONNECT_SECONDS = 10.0
#: For greeting, password, sender and recipient together.
ENVELOPE_SECONDS = 30.0
#: From the text's first byte to the server's answer.
DATA_SECONDS = 25.0
MAX_IDLE = 16

#: The server wants a password, or another one: no message's fault.
_CREDENTIAL_CODES = frozenset((530, 534, 535, 538))
#: "Service not available": the server is closing, or has had enough of us.
_CLOSING = 421

_POLICY = SMTP_POLICY.clone(cte_type="7bit")


class EmailProvider(Protocol):
    """What sends email."""

    async def send(self, message: Mapping[str, Any]) -> Outcome:
        """One try; `message` is a claimed row: `id`, `to_email`, `from_name`, `subject`, `body`, `event`."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where and as whom. Never shown."""

    host: str
    port: int
    username: str | None
    password: str | None
    is_tls: bool

    def __repr__(self) -> str:
        return f"MailServer({self.host}:{self.port})"

    @property
    def must_encrypt(self) -> bool:
        """A password is not sent in the clear, but on this machine."""
        return self.username is not None and not self.is_tls and not _is_local(self.host)


def mail_server(url: str) -> MailServer:
    """The server that SMTP_URL names.

    >>> mail_server("smtps://post@mail.kilo.example").port, mail_server("smtp://localhost:2525").port
    (465, 2525)

    Raises:
        Fault: it is not of the form smtp://user:password@host:port or smtps://….
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("smtp", "smtps"):
        raise Fault("smtp_url_invalid", "SMTP_URL cannot be read.", "Use smtp://user:password@host:port, or smtps://….")
    is_tls = parts.scheme == "smtps"
    return MailServer(
        host,
        port or (465 if is_tls else 587),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        is_tls,
    )


class SmtpEmail:
    """A mail server over SMTP; connections are kept and used again.

    Args:
        sender: the address in From, with or without a name; an organisation's name takes its place.
    """

    def __init__(self, server: MailServer, sender: str) -> None:
        self._server = server
        self._sender_name, self._sender = parseaddr(sender)
        if "@" not in self._sender:
            raise Fault("smtp_from_invalid", "SMTP_FROM is no address.", "Set it to post@example.com or Name <…>.")
        self._idle: list[aiosmtplib.SMTP] = []

    async def send(self, message: Mapping[str, Any]) -> Outcome:
        """See `EmailProvider.send`."""
        try:
            recipient, text = composed(message, self._sender, self._sender_name)
        except (MessageError, ValueError, UnicodeError):
            return Outcome("failed", NAME, error_code="address_invalid")
        try:
            async with asyncio.timeout(ENVELOPE_SECONDS):
                connection = await self._addressed(recipient)
        except (aiosmtplib.SMTPException, OSError) as error:
            return _refused(error)
        try:
            answer = await connection.data(text, timeout=DATA_SECONDS)
        except aiosmtplib.SMTPResponseException as error:
            self._keep(connection)
            return _refused(error)
        except (aiosmtplib.SMTPException, OSError) as error:
            connection.close()
            cut = "read_timeout" if isinstance(error, TimeoutError) else "connection_cut"
            return Outcome("unknown", NAME, error_code=cut)
        self._keep(connection)
        return Outcome(
            "sent",
            NAME,
            provider_message_id=message_id(message, self._sender),
            provider_status="accepted",
            http_status=answer.code,
        )

    async def close(self) -> None:
        while self._idle:
            with suppress(aiosmtplib.SMTPException, OSError):
                await self._idle.pop().quit(timeout=2.0)

    async def _addressed(self, recipient: str) -> aiosmtplib.SMTP:
        """A connection that took sender and recipient and waits for the text."""
        while self._idle:
            connection = self._idle.pop()
            try:
                await connection.rset()
                break
            except (aiosmtplib.SMTPException, OSError):
                # It was closed while it lay idle; nothing was on it.
                connection.close()
        else:
            connection = await self._connected()
        try:
            await connection.mail(self._sender)
            await connection.rcpt(recipient)
        except aiosmtplib.SMTPResponseException:
            self._keep(connection)
            raise
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connected(self) -> aiosmtplib.SMTP:
        server = self._server
        connection = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.is_tls,
            start_tls=True if server.must_encrypt else None,
            timeout=CONNECT_SECONDS,
        )
        try:
            await connection.connect()
        except aiosmtplib.SMTPResponseException as error:
            connection.close()
            raise _ServerRefused(error.code) from error
        except aiosmtplib.SMTPNotSupported as error:
            connection.close()
            raise _ServerRefused(530) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, connection: aiosmtplib.SMTP) -> None:
        if connection.is_connected and len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


def message_id(message: Mapping[str, Any], sender: str) -> str:
    """The Message-ID, from our own id: whoever looks at a mailbox finds the row."""
    return f"<{message['id']}@{_ascii_domain(sender)}>"


def composed(message: Mapping[str, Any], sender: str, sender_name: str) -> tuple[str, bytes]:
    """(recipient, text) of a row.

    Raises:
        ValueError: the address is none that SMTP can carry.
    """
    recipient = _address(message["to_email"])
    email = EmailMessage(policy=_POLICY)
    email["From"] = Address(_line(message.get("from_name") or sender_name), addr_spec=_address(sender))
    email["To"] = recipient
    email["Subject"] = _line(message.get("subject") or "")
    email["Date"] = format_datetime(datetime.now(UTC))
    email["Message-ID"] = message_id(message, sender)
    email["Auto-Submitted"] = "auto-generated"
    email.set_content(message["body"])
    receipt = (message.get("data") or {}).get("receipt")
    if receipt:
        email.add_attachment(receipt_page(receipt), subtype="html", filename=f"receipt-{receipt['number']}.html")
    event = message.get("event")
    if event:
        email.add_attachment(
            booking_file(event),
            maintype="text",
            subtype="calendar",
            filename="booking.ics",
            params={"method": method_of(event), "charset": "utf-8"},
        )
    return recipient, email.as_bytes()


class _ServerRefused(OSError):
    """The server refused us before it heard of any message."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _refused(error: Exception) -> Outcome:
    """What a refusal comes to of which we know that nothing was accepted."""
    code = getattr(error, "code", None)
    if not isinstance(code, int) or not 400 <= code < 600:
        late = isinstance(error, TimeoutError) and not isinstance(error, aiosmtplib.SMTPConnectTimeoutError)
        return Outcome("deferred", NAME, error_code="read_timeout" if late else "connection_refused")
    error_code = f"smtp_{code}"
    if isinstance(error, _ServerRefused) or code in _CREDENTIAL_CODES or code == _CLOSING:
        rest = CREDENTIALS_REST_SECONDS if code >= 500 else LIMIT_REST_SECONDS
        return Outcome("deferred", NAME, error_code=error_code, http_status=code, account_rest_secs=rest)
    return Outcome("deferred" if code < 500 else "failed", NAME, error_code=error_code, http_status=code)


def _address(text: str) -> str:
    """The address as ASCII; the part before the @ is nobody's to spell otherwise."""
    local, _, domain = text.strip().rpartition("@")
    if not local or not domain or not local.isascii() or any(character.isspace() for character in text.strip()):
        raise ValueError("no address")
    return Address(addr_spec=f"{local}@{_ascii_domain(text.strip())}").addr_spec


def _ascii_domain(address: str) -> str:
    domain = address.rpartition("@")[2]
    return domain if domain.isascii() else domain.encode("idna").decode("ascii")


def _line(text: str) -> str:
    return " ".join(text.split())


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
