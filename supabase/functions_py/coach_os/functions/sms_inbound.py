"""A text that came in, at each of its addresses: `/functions/v1/sms-inbound`, `/api/sms-inbound`, `/api/sms/webhook`.

One handler: verified, one call, and what the database wants answered as TwiML.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from twilio.twiml.messaging_response import MessagingResponse

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.settings import Settings
from coach_os.twilio_requests import read_verified


async def run(request: Request, database: Database, settings: Settings) -> Response:
    """Raises: Refusal signature_wrong 403, request_invalid 400."""
    form = await read_verified(request, database, settings)
    sid = form.text("MessageSid", 100) or form.text("SmsMessageSid", 100) or form.text("SmsSid", 100)
    if not sid or not form.text("From") or not form.text("To"):
        raise Refusal(400, "request_invalid", "The request does not have the form it needs.")
    answer = await database.rpc(
        "service.receive_sms",
        p_message_sid=sid,
        p_account_sid=form.text("AccountSid", 100),
        p_to=form.text("To", 40),
        p_from=form.text("From", 40),
        p_body=form.text("Body"),
        p_media_count=form.number("NumMedia"),
    )
    twiml = MessagingResponse()
    if answer["reply"]:
        twiml.message(answer["reply"])
    return Response(str(twiml), media_type="text/xml")
