"""The slugs of the database in plain words, for tables; JSON keeps the slugs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

REASONS = {
    "click": "taken at a click",
    "check_in": "checked in before the booking was over",
    "completion": "the booking was completed",
    "sweep": "the sweep completed the booking",
    "no_show": "the client did not come",
    "late_cancellation": "cancelled too late",
    "released": "given back",
    "completion_undone": "given back: the completion was undone",
    "editor": "corrected in the package editor",
    "correction": "corrected by an operator",
    "refund": "money was given back, or came back",
    "sold_with_used": "already used when it was written into the books",
    "package_exhausted": "refused: no session was left",
    "package_invalid": "refused: the package was not valid",
    "uncovered": "refused: no session was left for the booking",
    "already_charged": "nothing: the booking was charged before",
    "nothing_to_release": "nothing: there was no session to give back",
}

ALERTS = {
    "automation_notice": "an automation says so",
    "booking_uncovered": "a session was held that no package could pay for",
    "waitlist_offered": "a freed time is held for somebody who waits",
    "reschedule_requested": "the client asks for another time",
    "cancel_requested": "the client answered CANCEL: no texts any more, and the session may be off",
    "client_not_told": "a change could not be told to the client",
    "support_access_started": "the platform's support was let in; the members and the audit log say who and why",
    "stripe_event_refused": "something was paid or told through Stripe that cannot be right: coach stripe events list",
    "payment_failed": "a client's payment failed",
    "payment_disputed": "a client has disputed a payment with their bank",
    "dispute_lost": "a disputed payment is lost",
    "refund_exceeds_unused": "more was given back for a package than is unused",
    "payout_failed": "a payout did not reach the bank",
    "sms_sender_ambiguous": "a text came from a phone that several clients have",
}


def reason(slug: Any) -> str:
    """Why the ledger has an entry.

    >>> reason("sweep")
    'the sweep completed the booking'
    """
    return REASONS.get(slug, str(slug).replace("_", " "))


def moment(value: Any) -> str | None:
    """An instant as the database sent it, to the minute and in UTC.

    >>> moment("2026-11-21T03:44:19.52+00:00")
    '2026-11-21 03:44 UTC'
    """
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:  # infinity
        return str(value)


def as_asked(rows: Sequence[Mapping[str, Any]], asked: datetime, *keys: str) -> list[dict[str, Any]]:
    """The rows with these instants in the offset of the one that was asked for: what is shown can be asked for next.

    >>> as_asked([{"start": "2026-11-29T21:15:00+00:00"}], datetime.fromisoformat("2026-11-30T06:00+10:00"), "start")
    [{'start': '2026-11-30T07:15+10:00'}]
    """
    return [
        {
            **row,
            **{
                key: datetime.fromisoformat(row[key]).astimezone(asked.tzinfo).isoformat(timespec="minutes")
                for key in keys
            },
        }
        for row in rows
    ]


def with_moments(rows: Sequence[Mapping[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """The rows with these instants as `moment` writes them, for a column whose heading says UTC."""
    return [{**row, **{key: (moment(row[key]) or "-").removesuffix(" UTC") for key in keys}} for row in rows]
