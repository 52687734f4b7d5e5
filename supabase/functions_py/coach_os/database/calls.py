"""What both transports share, so that a call means and fails the same by either: names, arguments, errors.

Arguments travel as one JSON object, as PostgREST takes them, and Postgres casts each member to its parameter's type. An
argument that is left out takes its default; `None` is NULL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from coach_os.errors import CoachError, Fault, Refusal, Unavailable

SCHEMAS = ("service", "public")

#: Where `private.caller_address` finds whose request a call carries; proxies after us only append to it.
CALLER_HEADER = "x-forwarded-for"

_NAME = re.compile(r"(service|public)\.([a-z_][a-z0-9_]{0,62})")
_PARAMETER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_RULE = re.compile(r"PT([45]\d\d)")
_BAD_TYPE = re.compile(r"invalid input syntax for type ([a-z ]+)")

#: Away or busy, not broken: no connection, too many of them, out of memory or disk, shutting down, starting up.
_UNAVAILABLE = re.compile(r"08...|53...|57P0[1-5]|PGRST00[0-3]")
_CONFLICT = ("40001", "40P01", "55P03")
_FUNCTION_MISSING = ("42883", "3F000", "PGRST106", "PGRST202", "PGRST203")
#: What a malformed argument raises when it is cast. The rest of class 22 (a division by zero) is a defect of ours.
_MALFORMED = ("22001", "22003", "22007", "22008", "22021", "22P02", "22P05", "22030", "22032")


class Function(NamedTuple):
    """A function's name in two checked parts."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def function_named(name: str) -> Function:
    """Split `schema.function` and refuse whatever could not be one of ours.

    >>> function_named("service.health")
    Function(schema='service', name='health')

    Raises:
        ValueError: the name does not fit; nothing of it reaches SQL or a URL.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"not a function of {' or '.join(SCHEMAS)}: {name!r}")
    return Function(match[1], match[2])


def encode_arguments(params: Mapping[str, Any]) -> str:
    """The arguments as one JSON object.

    >>> encode_arguments({"p_id": UUID(int=1), "p_note": None})
    '{"p_id": "00000000-0000-0000-0000-000000000001", "p_note": null}'

    Raises:
        ValueError: a parameter's name does not fit, a number is not finite, or an instant has no time zone.
        TypeError: a value has no JSON form.
    """
    for name in params:
        if _PARAMETER.fullmatch(name) is None:
            raise ValueError(f"not a parameter's name: {name!r}")
    return json.dumps(dict(params), default=_plain, allow_nan=False)


def _plain(value: object) -> str | list[Any]:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError("an instant needs a time zone; a local time is converted in SQL")
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def checked_result(result: Any) -> Any:
    """The result, unless it is a refusal that was returned because raising would have rolled its evidence back.

    Such an outcome has the shape of an error: `{"code": "PT429", "message": …, "details": slug, "hint": …}`.
    """
    if isinstance(result, dict) and result.keys() == {"code", "message", "details", "hint"}:
        raise error_for(result["code"], result["message"], result["details"], result["hint"])
    return result


def error_for(code: str | None, message: str | None, details: str | None, hint: str | None) -> CoachError:
    """Tell a refusal from an outage from a defect by the SQLSTATE (or PostgREST's own code).

    The database's own words are kept only where a rule wrote them: the built-in messages quote values from rows.
    """
    code = code or ""
    if rule := _RULE.fullmatch(code):
        return Refusal(int(rule[1]), details or "refused", message or "The request was refused.", hint or None)
    if _UNAVAILABLE.fullmatch(code):
        return Unavailable()
    if code == "57014":
        return Unavailable(
            "call_timed_out", "The call took too long and was stopped; nothing was changed.", "Try again in a moment."
        )
    if code in _CONFLICT:
        return Refusal(409, "write_conflict", "Another change got in the way; nothing was changed.", "Try again.")
    if code in _FUNCTION_MISSING:
        return function_missing()
    if code == "42501":
        return Fault("grant_missing", "The service may not do this in the database.", "Check the key.", code=code)
    if code.startswith(("28", "PGRST30")):
        return key_refused()
    if code in _MALFORMED:
        kind = _BAD_TYPE.match(message or "")
        subject = f"An argument is not a valid {kind[1]}." if kind else "An argument is out of range or malformed."
        return Refusal(400, "argument_invalid", subject, "Check the arguments.")
    return Fault(code=code or None)


def key_refused() -> Fault:
    """The password or the secret key is not the right one."""
    return Fault("key_refused", "The database refused the service's key.", "Check the key or the password.")


def function_missing() -> Fault:
    """The database does not know the function, or not with these arguments."""
    return Fault(
        "function_missing",
        "The database does not have this function with these arguments.",
        "Apply the migrations of this version: coach db migrate.",
    )
