"""The routes of messaging: what Twilio calls, what coaches' pages call, and what the platform's own services call.

Each checks a form, makes one call and answers; `functions/` has a module for each.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from coach_os.database import Database
from coach_os.database.person import PersonApi, data_api_unset, token_wrong
from coach_os.forms import Id
from coach_os.functions import (
    cron,
    marketing_send_sms,
    messages_unread_count,
    portal_send_link,
    push_dispatch,
    send_push,
    send_sms,
    sms_inbound,
    sms_status,
)
from coach_os.routes import PageRoute
from coach_os.settings import Settings

#: What a header can carry on; whether it is a token, the Data API says.
_TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)
_PERSON = HTTPBearer(auto_error=False, scheme_name="access_token", description="The person's own access token.")
_SERVICE = HTTPBearer(auto_error=False, scheme_name="service", description="The secret key, or CRON_SECRET.")


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _token(given: Annotated[HTTPAuthorizationCredentials | None, Security(_PERSON)]) -> str:
    if given is None or _TOKEN.fullmatch(given.credentials) is None:
        raise token_wrong()
    return given.credentials


async def _person(request: Request) -> PersonApi:
    person: PersonApi | None = request.app.state.person
    if person is None:
        raise data_api_unset()
    return person


async def _from_the_platform(
    settings: Annotated[Settings, Depends(_settings)],
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_SERVICE)],
    apikey: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> None:
    # supabase-js sends a key of the new kind as `apikey` alone.
    sent = given.credentials if given else apikey or ""
    key = settings.supabase_secret_key
    if key and secrets.compare_digest(sent.encode("utf-8", "surrogatepass"), key.get_secret_value().encode()):
        return
    cron.authorise(settings.cron_secret.get_secret_value() if settings.cron_secret else None, sent)


Db = Annotated[Database, Depends(_database)]
Config = Annotated[Settings, Depends(_settings)]
Token = Annotated[str, Depends(_token)]
Person = Annotated[PersonApi, Depends(_person)]
OrgQuery = Annotated[Id | None, Query(description="Left out: the organisation that the apps show.")]

twilio = APIRouter(tags=["twilio"])
coach = APIRouter(tags=["messages"], route_class=PageRoute)
platform = APIRouter(tags=["messages"])
ROUTERS = (twilio, coach, platform)

_TWIML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/xml": {"schema": {"type": "string"}}}, "description": "TwiML: an answer, or none."}
}
_OK: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "OK"}
}


@twilio.post("/functions/v1/sms-inbound", summary="A text came in", responses=_TWIML, response_class=Response)
@twilio.post("/api/sms-inbound", summary="A text came in", responses=_TWIML, response_class=Response)
@twilio.post("/api/sms/webhook", summary="A text came in", responses=_TWIML, response_class=Response)
async def inbound(request: Request, database: Db, settings: Config) -> Response:
    """Twilio's form, signed by it. The same message again has no effect and the same answer; 403 `signature_wrong`."""
    return await sms_inbound.run(request, database, settings)


@twilio.post("/functions/v1/twilio-webhook", summary="What became of a text", responses=_OK, response_class=Response)
async def status(
    request: Request,
    database: Db,
    settings: Config,
    message: Annotated[Id | None, Query(description="Our id of the message.")] = None,
) -> Response:
    """Twilio's status callback, signed by it; in any order, and as often as it likes. 403 `signature_wrong`."""
    return await sms_status.run(request, database, settings, message)


@coach.post("/api/send-sms", summary="Text a client")
async def direct(person: Person, token: Token, form: send_sms.DirectSms) -> send_sms.Queued:
    """Queues a coach's own words; they leave outside quiet hours."""
    return await send_sms.run(person, token, form)


@coach.post("/functions/v1/sms-send", summary="Text a client by a template")
async def template(person: Person, token: Token, form: send_sms.TemplateSms) -> send_sms.TemplateQueued:
    """Queues a template; with an idempotency key, once."""
    return await send_sms.run_template(person, token, form)


@coach.post("/api/portal/send-link", summary="Text a client the link of their portal")
async def send_link(person: Person, token: Token, form: portal_send_link.SendLink) -> portal_send_link.LinkSent:
    """Makes the link where there is none, and queues a text with it."""
    return await portal_send_link.run(person, token, form)


@coach.get("/api/messages/unread-count", summary="How many messages are unread?")
async def unread_count(person: Person, token: Token, org_id: OrgQuery = None) -> messages_unread_count.Unread:
    """Of clients, by any member of the organisation."""
    return await messages_unread_count.run(person, token, org_id)


@coach.post("/api/messages/send-push", summary="Push what was written to a client")
async def push_to_client(_: Token, form: send_push.PushToClient) -> send_push.PushQueued:
    """The push is queued with the message in the thread; this adds none."""
    return await send_push.run(form)


@coach.post("/api/marketing/send-sms", summary="Text many clients")
async def marketing(
    person: Person, token: Token, form: marketing_send_sms.MarketingSms
) -> marketing_send_sms.MarketingQueued:
    """Leaves out who opted out, is suppressed, has no phone or shares one."""
    return await marketing_send_sms.run(person, token, form)


@coach.get("/api/marketing/send-sms", summary="How far has a text to many come?")
async def marketing_progress(
    person: Person, token: Token, send_id: Annotated[Id, Query(description="From the answer to the send.")]
) -> dict[str, Any]:
    """Its messages by their states, beside what the send answered."""
    return await marketing_send_sms.progress(person, token, send_id)


@platform.post(
    "/functions/v1/push-dispatch", summary="Push to clients' devices", dependencies=[Depends(_from_the_platform)]
)
async def dispatch(database: Db, pushes: push_dispatch.Push | list[push_dispatch.Push]) -> push_dispatch.Dispatched:
    """One push or several. Needs `Authorization: Bearer` with the secret key or CRON_SECRET."""
    return await push_dispatch.run(database, pushes if isinstance(pushes, list) else [pushes])
