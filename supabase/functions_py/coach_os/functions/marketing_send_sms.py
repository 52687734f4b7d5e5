"""`/api/marketing/send-sms`: a text to many clients, and how far it has come."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database.person import PersonApi
from coach_os.forms import Form, Id

MAX_CLIENTS = 10_000


class MarketingSms(Form):
    """A text, and to whom."""

    message: str = Field(min_length=1, max_length=1600)
    recipient_filter: Literal["all", "active", "manual"] = "active"
    client_ids: list[Id] = Field(default=[], max_length=MAX_CLIENTS, description="With `manual`.")
    lead_ids: list[Id] = Field(default=[], max_length=MAX_CLIENTS, description="With any filter, besides the clients.")
    org_id: Id | None = Field(default=None, description="Left out: the organisation that the apps show.")
    request_id: Id | None = Field(default=None, description="The same id sends once.")


class MarketingQueued(BaseModel):
    """How many are on their way, and why the others are not."""

    send_id: UUID = Field(description="Ask how far it has come by it.")
    sent: int = Field(description="Queued: each leaves outside quiet hours and within the hourly limit.")
    failed: int = Field(description="Left out.")
    total: int
    errors: list[str] = Field(description="Why, and how many.", examples=[["opted_out: 3"]])


async def run(person: PersonApi, token: str, form: MarketingSms) -> MarketingQueued:
    """Raises: Refusal org_not_found 404, permission_missing 403, placeholder_unknown 422."""
    answer = await person.rpc(
        token,
        "send_marketing",
        p_org_id=form.org_id or await person.org_id(token),
        p_message=form.message,
        p_recipient_filter=form.recipient_filter,
        p_client_ids=form.client_ids,
        p_request_id=form.request_id,
        p_lead_ids=form.lead_ids,
    )
    skipped: dict[str, int] = dict(answer["skipped"])
    return MarketingQueued(
        send_id=answer["send_id"],
        sent=answer["queued"],
        failed=sum(skipped.values()),
        total=answer["total"],
        errors=[f"{reason}: {count}" for reason, count in sorted(skipped.items()) if count],
    )


async def progress(person: PersonApi, token: str, send_id: UUID) -> dict[str, Any]:
    """Raises: Refusal marketing_send_not_found 404."""
    answer: dict[str, Any] = await person.rpc(token, "marketing_progress", p_send_id=send_id)
    return answer
