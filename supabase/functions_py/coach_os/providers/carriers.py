"""The providers that this process has, by its settings, and the way of a claimed row to the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from coach_os.errors import Fault
from coach_os.providers.console import Console
from coach_os.providers.email import EmailProvider, SmtpEmail, mail_server
from coach_os.providers.outcome import CREDENTIALS_REST_SECONDS, Outcome
from coach_os.providers.push import ExpoPush, PushProvider
from coach_os.providers.secrets import Keyring
from coach_os.providers.sms import FoundSms, SmsAccount, SmsProvider, TwilioSms
from coach_os.settings import Settings

Row = Mapping[str, Any]


class Carriers:
    """What carries each channel; `channels` are those that have something to be carried by.

    Args:
        platform: the account of organisations without one of their own.
        fallback: what takes a message that nothing else can carry, on a laptop.
    """

    def __init__(
        self,
        *,
        sms: SmsProvider,
        platform: SmsAccount | None = None,
        email: EmailProvider | None = None,
        push: PushProvider | None = None,
        fallback: Console | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._sms, self._platform, self._email, self._push = sms, platform, email, push
        self._fallback = fallback
        self._keyring = keyring or Keyring(None)

    @property
    def channels(self) -> list[str]:
        """`sms` always: an organisation may have an account of its own."""
        has_email, has_push = (provider or self._fallback for provider in (self._email, self._push))
        return ["sms", *(["email"] if has_email else []), *(["push"] if has_push else [])]

    async def send(self, row: Row) -> Outcome:
        """One try at a claimed row, by whatever carries its channel and account."""
        if row["channel"] == "email":
            return await self._by(self._email, row)
        if row["channel"] == "push":
            return await self._by(self._push, row)
        try:
            account = self._account(row)
        except Fault as fault:
            return _unset(fault.slug)
        if account is None:
            return await self._by(None, row)
        return await self._sms.send(account, row)

    async def find(self, row: Row) -> FoundSms | None:
        """The message at its provider; None for a channel or an account where nothing can be looked up.

        Raises:
            OSError: the provider did not answer.
        """
        try:
            account = self._account(row) if row["channel"] == "sms" else None
        except Fault:
            account = None
        return await self._sms.find(account, row) if account else None

    async def close(self) -> None:
        for provider in (self._sms, self._email, self._push):
            if provider is not None:
                await provider.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _by(self, provider: EmailProvider | PushProvider | None, row: Row) -> Outcome:
        carrier = provider or self._fallback
        return await carrier.send(row) if carrier else _unset("provider_unset")

    def _account(self, row: Row) -> SmsAccount | None:
        """The organisation's own account, else the platform's, if there is one.

        Raises:
            Fault: the stored token cannot be read.
        """
        own = row.get("account")
        if own is None:
            return self._platform
        token = self._keyring.decrypt(own["auth_token_encrypted"])
        return SmsAccount(own["account_sid"], token, own.get("messaging_service_sid"), own.get("phone_number"))


def carriers_of(settings: Settings, *, threads: int = 16) -> Carriers:
    """The providers that the settings give credentials for.

    Raises:
        Fault: a setting cannot be meant.
    """
    smtp_url, tokens = settings.smtp_url, twilio_tokens(settings)
    platform = None
    if settings.twilio_account_sid and tokens:
        platform = SmsAccount(
            settings.twilio_account_sid,
            tokens[0],
            settings.twilio_messaging_service_sid,
            settings.twilio_phone_number,
        )
    email = None
    if smtp_url and settings.smtp_from:
        email = SmtpEmail(mail_server(smtp_url.get_secret_value()), settings.smtp_from)
    has_expo = settings.expo_access_token or settings.expo_api_url or not settings.console_providers
    access_token = settings.expo_access_token
    push = ExpoPush(
        access_token=access_token.get_secret_value() if access_token else None, api_url=settings.expo_api_url
    )
    return Carriers(
        sms=TwilioSms(callback_url=settings.callback_url, api_url=settings.twilio_api_url, threads=threads),
        platform=platform,
        email=email,
        push=push if has_expo else None,
        fallback=Console() if settings.console_providers else None,
        keyring=keyring_of(settings),
    )


def keyring_of(settings: Settings) -> Keyring:
    """The keys that the settings name."""
    return Keyring(settings.encryption_key.get_secret_value() if settings.encryption_key else None)


def twilio_tokens(settings: Settings) -> list[str]:
    """The platform's tokens: one, or several while it is being replaced."""
    tokens = settings.twilio_auth_token.get_secret_value() if settings.twilio_auth_token else ""
    return [part.strip() for part in tokens.split(",") if part.strip()]


def _unset(slug: str) -> Outcome:
    """Nothing was sent, and nothing will be until somebody sets what is missing."""
    rest = CREDENTIALS_REST_SECONDS
    return Outcome("deferred", "none", error_code=slug, retry_after_secs=rest, account_rest_secs=rest)
