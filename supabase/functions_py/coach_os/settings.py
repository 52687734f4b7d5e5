"""Every environment variable that this project reads, in one place.

Nothing else looks at the environment, but for COACH_DEBUG, which must work when this module does not, and the variables
that only preset an option of the `coach` command, which its help names.

`load_settings()` answers for the caller's situation: what the environment names, else this project's embedded stack.
"""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from coach_os.errors import Fault
from coach_os.stack.state import read_state

Port = Annotated[int, Field(ge=1, le=65535)]


class InvalidSettings(Fault):
    """An environment variable has a value that cannot be meant; the message names it, never its value."""

    def __init__(self, variables: list[str]) -> None:
        names = ", ".join(sorted(variables))
        super().__init__(
            "settings_invalid", f"These environment variables cannot be read: {names}.", "Correct or unset them."
        )


class Settings(BaseSettings):
    """The environment. An empty variable counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="A PostgreSQL to work on (hosted Supabase, `supabase start`). Unset: the embedded stack.",
    )
    supabase_url: str | None = Field(
        default=None,
        validation_alias="SUPABASE_URL",
        description="The Data API to work through, where there is no way to the database itself.",
    )
    supabase_publishable_key: str | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"),
        description="The key that apps carry; grants what `anon` may.",
    )
    supabase_secret_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
        description="The key of the Python side with SUPABASE_URL; grants what `service_role` may.",
    )
    service_url: str | None = Field(
        default=None,
        validation_alias="SERVICE_URL",
        description="Where the ASGI service answers, as `coach status` shows it.",
    )
    cron_secret: SecretStr | None = Field(
        default=None,
        validation_alias="CRON_SECRET",
        description="The bearer secret of POST /functions/v1/cron-…. Unset: those routes refuse.",
    )
    metrics_secret: SecretStr | None = Field(
        default=None,
        validation_alias="METRICS_SECRET",
        description="The bearer secret of GET /metrics. Unset: that route refuses.",
    )
    data_api_url: str | None = Field(
        default=None,
        validation_alias="COACH_DATA_API_URL",
        description="Development only: the Data API that the service puts itself in front of. Set by `coach up`.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        validation_alias="COACH_CORS_ORIGINS",
        description="Origins of browser apps that may call the service, separated by commas; * allows any.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=16,
        validation_alias="COACH_TRUSTED_PROXIES",
        description="How many proxies of yours stand before the service: so many entries of X-Forwarded-For count.",
    )
    public_url: str | None = Field(
        default=None,
        validation_alias="COACH_PUBLIC_URL",
        description="Where the world reaches the service, if elsewhere: the address that Twilio signs and calls.",
    )
    twilio_account_sid: str | None = Field(
        default=None,
        validation_alias="TWILIO_ACCOUNT_SID",
        description="The platform's account, for organisations that have connected none of their own.",
    )
    twilio_auth_token: SecretStr | None = Field(
        default=None,
        validation_alias="TWILIO_AUTH_TOKEN",
        description="Its token: the first sends, each verifies, separated by commas while one is being replaced.",
    )
    twilio_messaging_service_sid: str | None = Field(
        default=None,
        validation_alias="TWILIO_MESSAGING_SERVICE_SID",
        description="Its messaging service, which chooses a number.",
    )
    twilio_phone_number: str | None = Field(
        default=None,
        validation_alias="TWILIO_PHONE_NUMBER",
        description="Its number, as +61400000000, where there is no messaging service.",
    )
    twilio_api_url: str | None = Field(
        default=None,
        validation_alias="TWILIO_API_URL",
        description="Where Twilio's API is, other than at Twilio.",
    )
    smtp_url: SecretStr | None = Field(
        default=None,
        validation_alias="SMTP_URL",
        description="The mail server: smtp://user:password@host:port, or smtps://….",
    )
    smtp_from: str | None = Field(
        default=None,
        validation_alias="SMTP_FROM",
        description="The address that email comes from.",
    )
    expo_access_token: SecretStr | None = Field(
        default=None,
        validation_alias="EXPO_ACCESS_TOKEN",
        description="For Expo's push API, where the project asks for it.",
    )
    expo_api_url: str | None = Field(
        default=None,
        validation_alias="EXPO_API_URL",
        description="Where Expo's push API is, other than at Expo.",
    )
    stripe_secret_key: SecretStr | None = Field(
        default=None,
        validation_alias="STRIPE_SECRET_KEY",
        description="The platform's secret or restricted key; connected accounts are reached through it.",
    )
    stripe_webhook_secrets: SecretStr | None = Field(
        default=None,
        validation_alias="STRIPE_WEBHOOK_SECRETS",
        description="Signing secrets of the platform's and the Connect endpoint, separated by commas; each verifies.",
    )
    stripe_api_url: str | None = Field(
        default=None,
        validation_alias="STRIPE_API_URL",
        description="Where Stripe's API is, other than at Stripe.",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        validation_alias="COACH_ENCRYPTION_KEY",
        description="Fernet keys for stored secrets, separated by commas: the first encrypts, each decrypts.",
    )
    webhooks_allow_private: bool = Field(
        default=False,
        validation_alias="COACH_WEBHOOKS_ALLOW_PRIVATE",
        description="Development only: webhooks may go to this machine and network, and without TLS.",
    )
    console_providers: bool = Field(
        default=False,
        validation_alias="COACH_CONSOLE_PROVIDERS",
        description="Where a provider has no credentials, write a message's id and send nothing. Set by `coach up`.",
    )
    pool_size: int = Field(
        default=10,
        ge=1,
        le=1000,
        validation_alias="COACH_POOL_SIZE",
        description="Database connections that one service process holds at most.",
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        validation_alias="COACH_LOG_LEVEL",
        description="debug, info, warning or error.",
    )
    home: Path | None = Field(
        default=None,
        validation_alias="COACH_HOME",
        description="The directory that holds .coach/. Unset: the checkout, else the current directory.",
    )
    api_port: Port | None = Field(
        default=None,
        validation_alias="COACH_API_PORT",
        description="The embedded stack's port for apps. Unset: a free one, kept in .coach/.",
    )
    db_port: Port | None = Field(
        default=None,
        validation_alias="COACH_DB_PORT",
        description="The embedded stack's port for PostgreSQL. Unset: a free one, kept in .coach/.",
    )
    debug: bool = Field(
        default=False,
        validation_alias="COACH_DEBUG",
        description="Show tracebacks of the `coach` command.",
    )

    _embedded: bool = PrivateAttr(default=False)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @property
    def is_remote(self) -> bool:
        """Whether the environment names a database or a Data API, so that the embedded stack is not meant."""
        return not self._embedded and (self.database_url is not None or self.supabase_url is not None)

    @property
    def callback_url(self) -> str | None:
        """Where providers call back; None where the service has no address that they could reach."""
        if self.public_url or not self.service_url:
            return self.public_url
        host = urlsplit(self.service_url).hostname or ""
        return None if host in ("localhost", "127.0.0.1", "::1") else self.service_url

    @property
    def stack_home(self) -> Path:
        """The directory of the embedded stack's state and data."""
        return (self.home or _project_root()) / ".coach"

    def with_embedded(self) -> Self:
        """These settings with what the embedded stack of this project says, unless the environment names another."""
        state = None if self.is_remote else read_state(self.stack_home)
        if state is None:
            return self
        completed = self.model_copy(
            update={
                "database_url": SecretStr(state.database_url),
                "supabase_publishable_key": self.supabase_publishable_key or state.publishable_key,
                "supabase_secret_key": self.supabase_secret_key or SecretStr(state.secret_key),
                "service_url": self.service_url or state.service_url,
                "console_providers": True,
            }
        )
        completed._embedded = True
        return completed


def read_environment() -> Settings:
    """The environment alone.

    Raises:
        InvalidSettings: a variable's value cannot be read.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSettings([str(part["loc"][0]) for part in error.errors()]) from None


def load_settings() -> Settings:
    """The environment, completed by the embedded stack where it names no database of its own.

    Raises:
        InvalidSettings: a variable's value cannot be read.
        StackError: the state of the embedded stack is damaged.
    """
    return read_environment().with_embedded()


def _project_root() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    return checkout if (checkout / "supabase" / "migrations").is_dir() else Path.cwd()
