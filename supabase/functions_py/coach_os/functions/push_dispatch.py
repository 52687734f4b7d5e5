"""`POST /functions/v1/push-dispatch`: pushes to clients' devices, for schedulers and other services of the platform."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.forms import Form, Id

MAX_PUSHES = 500


class Push(Form):
    """A push to a client's devices."""

    client_id: Id
    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=2000)
    data: dict[str, Any] = Field(default_factory=dict)


class PushResult(BaseModel):
    """What became of one."""

    client_id: UUID
    message_id: UUID | None = Field(description="Its message in the outbox; null: it is not sent.")
    error: str | None = Field(default=None, description="token_missing, client_not_found, …")


class Dispatched(BaseModel):
    """What became of all."""

    sent: int = Field(description="Queued: the worker sends them.")
    failed: int
    results: list[PushResult]


async def run(database: Database, pushes: list[Push]) -> Dispatched:
    """Raises: Unavailable; a push that is refused is told in its result, and holds up no other."""
    if len(pushes) > MAX_PUSHES:
        raise Refusal(413, "request_too_large", "The request is too large.", f"Send at most {MAX_PUSHES} at once.")
    results = [await _queue(database, push) for push in pushes]
    sent = sum(result.error is None for result in results)
    return Dispatched(sent=sent, failed=len(results) - sent, results=results)


async def _queue(database: Database, push: Push) -> PushResult:
    try:
        message_id = await database.rpc(
            "service.push_message", p_client_id=push.client_id, p_title=push.title, p_body=push.body, p_data=push.data
        )
    except Refusal as refusal:
        return PushResult(client_id=push.client_id, message_id=None, error=refusal.slug)
    error = None if message_id else "token_missing"
    return PushResult(client_id=push.client_id, message_id=message_id, error=error)
