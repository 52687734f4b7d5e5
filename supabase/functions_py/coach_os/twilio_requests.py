"""Twilio's requests to us: the form it sends, and whether it was Twilio that sent it.

https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

from starlette.requests import Request
from twilio.request_validator import SIGNATURE_HEADER, RequestValidator

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.providers.carriers import keyring_of, twilio_tokens
from coach_os.settings import Settings

MAX_FIELDS = 200
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
#: What Postgres cannot keep in a text.
_UNWRITABLE = str.maketrans("", "", "\x00")


class TwilioForm:
    """A form as it was sent: a name may come more than once, and an empty value is a value."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for name, _ in self._pairs})

    def getlist(self, name: str) -> list[str]:
        """Every value of a name; what the SDK's validator asks for."""
        return [value for known, value in self._pairs if known == name]

    def text(self, name: str, limit: int = 10_000) -> str:
        """The first value of a name, as the database may keep it; empty where there is none."""
        values = self.getlist(name)
        return values[0].translate(_UNWRITABLE)[:limit] if values else ""

    def number(self, name: str) -> int:
        """A count; 0 where it is none."""
        value = self.text(name, 9)
        return int(value) if value.isascii() and value.isdigit() else 0


async def read_verified(request: Request, database: Database, settings: Settings) -> TwilioForm:
    """The form, once its signature is found to be Twilio's, by a token of the account it speaks for.

    Raises:
        Refusal: 400 where the body is no form; 403 where the signature is missing or wrong.
        Fault: the account's stored token cannot be read.
    """
    form = _parsed(await request.body())
    signature = request.headers.get(SIGNATURE_HEADER, "")
    tokens = await _tokens(form.text("AccountSid", 100), database, settings) if signature else []
    url = signed_url(request, settings)
    if not any(RequestValidator(token).validate(url, form, signature) for token in tokens):
        raise Refusal(
            403,
            "signature_wrong",
            "This is not signed as Twilio signs.",
            "Check TWILIO_AUTH_TOKEN, and that COACH_PUBLIC_URL is the address that Twilio calls.",
        )
    return form


def signed_url(request: Request, settings: Settings) -> str:
    """The address as Twilio knows it: proxies before us may have changed scheme, host and port."""
    base = settings.public_url or settings.service_url or str(request.base_url)
    path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or request.url.path
    query = request.scope["query_string"].decode("latin-1")
    return base.rstrip("/") + path + (f"?{query}" if query else "")


async def _tokens(account_sid: str, database: Database, settings: Settings) -> list[str]:
    """The tokens that may have signed: the account's own, else the platform's."""
    platform = twilio_tokens(settings)
    if account_sid == settings.twilio_account_sid or _ACCOUNT_SID.fullmatch(account_sid) is None:
        return platform
    encrypted = await database.rpc("service.twilio_secrets", p_account_sid=account_sid)
    keyring = keyring_of(settings)
    # An unknown account is a part of the platform's, or somebody else's: their signature says.
    return [keyring.decrypt(text) for text in encrypted] or platform


def _parsed(body: bytes) -> TwilioForm:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refusal(400, "request_invalid", "The request does not have the form it needs.") from None
    return TwilioForm(pairs)
