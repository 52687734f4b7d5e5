"""Settings: what is missing, and what cannot be meant. Values stay out of every finding."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import urlsplit

from pydantic import SecretStr

from coach_os.doctor.finding import Finding, FindingList
from coach_os.errors import CoachError
from coach_os.providers.carriers import keyring_of
from coach_os.providers.stripe import webhook_secrets
from coach_os.settings import Settings

MIN_SECRET_LENGTH = 16

_PLACEHOLDER = re.compile(r"(?i)change.?me|your[-_ ]|placeholder|^x{4,}|^(secret|password|test|example)$|<.*>|\.\.\.|…")
_TWILIO_SID = re.compile(r"AC[0-9a-f]{32}")
_TWILIO_TOKEN = re.compile(r"[0-9a-f]{32}")
_STRIPE_KEY = re.compile(r"(sk|rk)_(test|live)_\w+")
_STRIPE_SECRET = re.compile(r"whsec_\S+")


def examine_settings(settings: Settings) -> FindingList:
    """What is wrong with the settings; where nothing but the embedded stack is meant, nothing need be there."""
    findings = [*_placeholders(settings), *_implausible(settings), *_contradictions(settings)]
    if settings.is_remote:
        findings += _missing(settings)
    return findings


def _error(check: str, variable: str, meaning: str, fix: str) -> Finding:
    return Finding(check, "error", meaning, fix, 1, [{"subject": variable}])


def _warning(check: str, variable: str, meaning: str, fix: str) -> Finding:
    return Finding(check, "warning", meaning, fix, 1, [{"subject": variable}])


def _parts(secret: SecretStr | None) -> list[str]:
    return [part.strip() for part in secret.get_secret_value().split(",") if part.strip()] if secret else []


def _placeholders(settings: Settings) -> FindingList:
    secrets = {
        "CRON_SECRET": settings.cron_secret,
        "TWILIO_AUTH_TOKEN": settings.twilio_auth_token,
        "STRIPE_SECRET_KEY": settings.stripe_secret_key,
        "STRIPE_WEBHOOK_SECRETS": settings.stripe_webhook_secrets,
        "SUPABASE_SECRET_KEY": settings.supabase_secret_key,
        "COACH_ENCRYPTION_KEY": settings.encryption_key,
    }
    return [
        _error("secret_placeholder", name, f"{name} still holds a placeholder.", f"Set {name} to the real one.")
        for name, secret in secrets.items()
        if any(_PLACEHOLDER.search(part) for part in _parts(secret))
    ]


def _implausible(settings: Settings) -> FindingList:
    findings = []
    if settings.cron_secret and len(settings.cron_secret.get_secret_value()) < MIN_SECRET_LENGTH:
        findings.append(
            _error(
                "cron_secret_weak",
                "CRON_SECRET",
                f"CRON_SECRET is shorter than {MIN_SECRET_LENGTH} characters: it can be guessed.",
                "Set CRON_SECRET to the output of: openssl rand -hex 32",
            )
        )
    forms = (
        ("twilio_sid_form", "TWILIO_ACCOUNT_SID", [settings.twilio_account_sid or ""], _TWILIO_SID, "AC and 32 digits"),
        ("twilio_token_form", "TWILIO_AUTH_TOKEN", _parts(settings.twilio_auth_token), _TWILIO_TOKEN, "32 digits"),
        ("stripe_key_form", "STRIPE_SECRET_KEY", _parts(settings.stripe_secret_key), _STRIPE_KEY, "sk_live_… or rk_…"),
        (
            "stripe_webhook_secret_form",
            "STRIPE_WEBHOOK_SECRETS",
            webhook_secrets(settings.stripe_webhook_secrets),
            _STRIPE_SECRET,
            "whsec_…, several separated by commas",
        ),
    )
    for check, variable, values, form, words in forms:
        if any(value and form.fullmatch(value) is None for value in values):
            meaning = f"{variable} does not look like one: it has the form {words}."
            findings.append(_error(check, variable, meaning, f"Copy {variable} again from the provider's console."))
    if settings.encryption_key is not None:
        try:
            keyring_of(settings).encrypt("")
        except CoachError:
            findings.append(
                _error(
                    "encryption_key_invalid",
                    "COACH_ENCRYPTION_KEY",
                    "COACH_ENCRYPTION_KEY holds something that is no key: stored secrets cannot be read.",
                    'Put the old key back, or make one: python -c "from cryptography.fernet import Fernet;'
                    ' print(Fernet.generate_key().decode())"',
                )
            )
    return findings


def _contradictions(settings: Settings) -> FindingList:
    findings = []
    secret = settings.supabase_secret_key.get_secret_value() if settings.supabase_secret_key else None
    if secret and (
        _role_of(secret) in ("anon", "authenticated")
        or (secret == settings.supabase_publishable_key and _role_of(secret) is None)
    ):
        findings.append(
            _error(
                "secret_key_is_public",
                "SUPABASE_SECRET_KEY",
                "SUPABASE_SECRET_KEY holds the key that apps carry: the service may do nothing with it.",
                "Set SUPABASE_SECRET_KEY to the secret (service_role) key of the project.",
            )
        )
    if settings.supabase_publishable_key and _role_of(settings.supabase_publishable_key) == "service_role":
        findings.append(
            _error(
                "publishable_key_is_secret",
                "SUPABASE_PUBLISHABLE_KEY",
                "SUPABASE_PUBLISHABLE_KEY holds the secret key: whoever has an app may do anything.",
                "Rotate the secret key at once, then set SUPABASE_PUBLISHABLE_KEY to the publishable (anon) key.",
            )
        )
    if settings.stripe_secret_key and not webhook_secrets(settings.stripe_webhook_secrets):
        findings.append(
            _error(
                "stripe_webhook_secrets_unset",
                "STRIPE_WEBHOOK_SECRETS",
                "There is a key for Stripe and no signing secret: every webhook is refused.",
                "Set STRIPE_WEBHOOK_SECRETS to the endpoints' signing secrets (whsec_…).",
            )
        )
    if bool(settings.twilio_account_sid) != bool(settings.twilio_auth_token):
        findings.append(
            _error(
                "twilio_half_set",
                "TWILIO_ACCOUNT_SID",
                "Of Twilio's account and token only one is set: no text can leave.",
                "Set both TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or neither.",
            )
        )
    return findings


def _missing(settings: Settings) -> FindingList:
    findings = []
    if settings.cron_secret is None:
        findings.append(
            _warning(
                "cron_secret_unset",
                "CRON_SECRET",
                "CRON_SECRET is not set: a scheduler that has only HTTPS cannot run the sweeps.",
                "Set CRON_SECRET to the output of: openssl rand -hex 32",
            )
        )
    url = urlsplit(settings.callback_url or "")
    if url.hostname is None:
        findings.append(
            _warning(
                "public_url_unset",
                "COACH_PUBLIC_URL",
                "Nobody has said where the world reaches the service: providers cannot call back.",
                "Set COACH_PUBLIC_URL to its address, https://….",
            )
        )
    elif url.scheme != "https":
        findings.append(
            _error(
                "public_url_insecure",
                "COACH_PUBLIC_URL",
                "The service's public address is not https: what providers send can be read on the way.",
                "Put TLS in front of the service, and set COACH_PUBLIC_URL to https://….",
            )
        )
    if settings.encryption_key is None:
        findings.append(
            _warning(
                "encryption_key_missing",
                "COACH_ENCRYPTION_KEY",
                "COACH_ENCRYPTION_KEY is not set: no organisation can connect an account of its own.",
                'Make one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
            )
        )
    if settings.cors_origins == ("*",):
        findings.append(
            _warning(
                "cors_open",
                "COACH_CORS_ORIGINS",
                "Any site's pages may call the service in a visitor's browser.",
                "Set COACH_CORS_ORIGINS to the apps' origins.",
            )
        )
    return findings


def _role_of(key: str) -> str | None:
    """The role in a key of the old kind, which is a JWT; nothing is verified, and keys of the new kind have none."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    role = claims.get("role") if isinstance(claims, dict) else None
    return role if isinstance(role, str) else None
