"""`POST /functions/v1/twilio-webhook`: what became of a text, in any order, and as often as Twilio tells it."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.settings import Settings
from coach_os.twilio_requests import read_verified

#: Kept with the event; numbers and words are not.
KEPT = ("MessageStatus", "SmsStatus", "ErrorCode", "RawDlrDoneDate", "ChannelPrefix", "EventType")


async def run(request: Request, database: Database, settings: Settings, message: UUID | None) -> Response:
    """Raises: Refusal signature_wrong 403, request_invalid 400."""
    form = await read_verified(request, database, settings)
    sid = form.text("MessageSid", 100) or form.text("SmsSid", 100)
    status = form.text("MessageStatus", 40) or form.text("SmsStatus", 40)
    if not sid or not status:
        raise Refusal(400, "request_invalid", "The request does not have the form it needs.")
    await database.rpc(
        "service.record_sms_status",
        p_message_id=message,
        p_provider_message_id=sid,
        p_status=status,
        p_error_code=form.text("ErrorCode", 20) or None,
        p_payload={name: form.text(name, 100) for name in KEPT if form.text(name)},
    )
    return PlainTextResponse("OK")
