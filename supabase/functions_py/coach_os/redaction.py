"""What personal data and secrets look like: by the name of a key, and by form in a text."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_SENSITIVE_KEYS = frozenset(
    (
        *("actor_id", "user", "user_id", "username", "name", "who", "from", "to_number", "date_of_birth"),
        *("address", "address_line1", "address_line2", "city", "postcode", "notes", "body"),
        *("ip", "client_ip", "remote_addr", "forwarded", "x_forwarded_for", "referer"),
        *("cookie", "dsn", "key", "signature", "url"),
    )
)
_SENSITIVE_PARTS = re.compile(
    r"auth_user|authori[sz]ation|credential|email|jwt|passwd|password|phone|secret|token|api_?key|(^|_)name$|^name_"
)
#: Names of things, not of people.
_HARMLESS_KEYS = frozenset(("event_name", "job_name", "logger_name", "function_name", "migration_name"))

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_INSTANT = r"(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?"
_MIGRATION = r"20\d{12}(?=_|\b)"
_LOCAL_PART = r"""[^\s@<>,;:"()\[\]{}=/?&]"""

_SECRETS = (
    # scheme://user:password@host keeps the host, so that a wrong address can be told.
    (re.compile(r"(?P<keep>\b[a-zA-Z][\w+.-]{0,30}://)[^\s/@]*(?:@[^\s/@]*)*@"), r"\g<keep>[redacted]@"),
    (re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]+", re.IGNORECASE), r"\g<keep>[redacted]"),
    (re.compile(r"\bsb_(?:secret|publishable)_[\w-]+"), REDACTED),
    (re.compile(r"\b(?:sk|rk|pk|whsec)_[\w-]{8,}"), REDACTED),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"), REDACTED),
    (
        re.compile(
            r"(?P<keep>\b(?:\w*(?:password|passwd|secret|token|api_?key)|code|pgpassword)['\"]?\s*[=:]\s*['\"]?)[^\s&,;'\"]+",
            re.IGNORECASE,
        ),
        r"\g<keep>[redacted]",
    ),
    # The look-behind starts a match at the beginning of a word only, so that a long text costs one pass.
    (re.compile(rf"(?<!{_LOCAL_PART}){_LOCAL_PART}+?(?:@|%40)[\w.-]+"), REDACTED),
)

# Nine digits or more, however they are grouped, unless they are an id, an instant or a migration's version.
_NUMBERS = re.compile(
    rf"(?<!\w)(?P<keep>{_UUID}|{_INSTANT}|{_MIGRATION})(?![^\W_])"
    r"|(?<!\d)\+?\(?\d(?:[\s().\-/\u2010-\u2015]{0,3}\d){8,}"
)


def is_sensitive(key: str) -> bool:
    """Whether a value is withheld for the name it goes by.

    >>> is_sensitive("client_email"), is_sensitive("Authorization"), is_sensitive("purchase_id")
    (True, True, False)
    """
    name = key.lower().replace("-", "_")
    if name in _HARMLESS_KEYS:
        return False
    return name in _SENSITIVE_KEYS or _SENSITIVE_PARTS.search(name) is not None


def redacted_text(text: str) -> str:
    """The text without addresses, numbers, keys, tokens and passwords; ids, instants and versions stay.

    >>> redacted_text("texted +61 412 345 678 for jo@kilo.example")
    'texted [redacted] for [redacted]'
    """
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return _NUMBERS.sub(lambda match: match["keep"] or REDACTED, text)
