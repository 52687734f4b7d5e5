"""What became of one try to send: the four words that `service.record_messages` takes, and how a provider finds them.

`deferred` and `failed` promise that nothing was accepted; whatever might have been is `unknown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Kind = Literal["sent", "deferred", "failed", "unknown"]

#: A provider may name any day; later than this it is asked again anyway.
MAX_RETRY_AFTER_SECONDS = 6 * 3600
#: How long an account rests whose credentials were refused: somebody has to correct them.
CREDENTIALS_REST_SECONDS = 300
#: How long an account rests that asked for it without saying how long.
LIMIT_REST_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """One try's end. It holds no word of the provider's: those may quote the number or the text.

    Attributes:
        account_rest_secs: the whole account and channel has nothing to send for so long (a rate limit, a password).
        gone_tokens: devices that no longer take pushes.
    """

    kind: Kind
    provider: str
    provider_message_id: str | None = None
    provider_status: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    retry_after_secs: int | None = None
    account_rest_secs: int | None = None
    gone_tokens: tuple[str, ...] = ()

    def as_result(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The outcome of a claimed row, as `service.record_messages` takes it."""
        return {
            "org_id": row["org_id"],
            "id": row["id"],
            "claim": row["claim"],
            "outcome": self.kind,
            "provider": self.provider,
            "provider_message_id": self.provider_message_id,
            "provider_status": self.provider_status,
            "http_status": self.http_status,
            "error_code": self.error_code,
            "retry_after_secs": self.retry_after_secs,
            "gone_tokens": list(self.gone_tokens) or None,
        }


def retry_after_seconds(header: str | None, now: datetime | None = None) -> int | None:
    """The seconds a Retry-After asks for, by number or date; None where it says nothing that can be meant.

    >>> retry_after_seconds("120"), retry_after_seconds("soon"), retry_after_seconds(None)
    (120, None, None)
    >>> retry_after_seconds("Sat, 21 Nov 2026 06:00:30 GMT", datetime(2026, 11, 21, 6, tzinfo=UTC))
    30
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    seconds = int((until - (now or datetime.now(UTC))).total_seconds())
    return min(max(seconds, 0), MAX_RETRY_AFTER_SECONDS)
