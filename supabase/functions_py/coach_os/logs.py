"""Log events: JSON, one per line, on stderr; ids and counts, never personal data or secrets.

What a call passes by mistake is taken out before it is written: by the name of its key, and by its form wherever it
stands in a text. An exception is written as its type and its place; its words stay out, because they quote values.
"""

from __future__ import annotations

import logging
import math
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, TextIO
from uuid import UUID

import structlog
from structlog.typing import Processor

from coach_os.errors import CoachError
from coach_os.redaction import REDACTED, is_sensitive, redacted_text

_MAX_DEPTH = 6
_MAX_TEXT = 2000
_MAX_FRAMES = 12

#: Libraries that write an address, a query or a header per request.
_TALKATIVE = ("aiosmtplib", "asyncio", "hpack", "httpcore", "httpx", "mail", "twilio", "urllib3", "websockets")


def configure_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send every event of this process, also of libraries, through the redaction to `stream` (stderr).

    The access log of uvicorn is silenced: it writes query strings. `coach_os.middleware` writes one event per request.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                describe_exception,
                redact_event,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: `log = get_logger(__name__)`, then `log.info("sweep_finished", completed=3)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def describe_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace `exc_info` by the types of the chain, our own slugs, and the frames; no message, no local variable."""
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = info if isinstance(info, BaseException) else None
    if isinstance(info, tuple):
        error = info[1]
    elif info is True:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = _described(error)
    return event


def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take sensitive values out of an event at any depth, and leave nothing in it that JSON cannot write.

    >>> redact_event(None, "info", {"event": "sms_sent", "to": {"phone": "0412 345 678"}})
    {'event': 'sms_sent', 'to': {'phone': '[redacted]'}}
    """
    return {redacted_text(str(key)): _plain(key, value, 0) for key, value in event.items()}


def _plain(key: object, value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(key, str) and is_sensitive(key):
        return REDACTED
    if isinstance(value, str):
        text = redacted_text(value)
        return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, UUID | date | datetime | time | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return _plain(key, value.value, depth)
    if isinstance(value, BaseException):
        return _described(value)["type"]
    if depth >= _MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {redacted_text(str(k)): _plain(k, v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(None, item, depth + 1) for item in value]
    # Its repr could hold anything.
    return f"<{type(value).__name__}>"


def _described(error: BaseException) -> dict[str, Any]:
    described: dict[str, Any] = {"type": type(error).__name__}
    if isinstance(error, CoachError):
        described["slug"] = error.slug
    if code := getattr(error, "sqlstate", None) or getattr(error, "code", None):
        described["code"] = str(code)
    frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
    described["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    if cause := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        described["cause"] = _described(cause)
    return described
