"""A coach's text to a client: their own words (`POST /api/send-sms`), or a template (`POST /functions/v1/sms-send`)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from coach_os.database.person import PersonApi
from coach_os.errors import Refusal
from coach_os.forms import Form, Id, Instant


class DirectSms(Form):
    """Words to a client."""

    client_id: Id | None = None
    to: str | None = Field(
        default=None, max_length=40, description="Passed over: a text goes to a client's own number."
    )
    message: str = Field(min_length=1, max_length=1600)
    booking_id: Id | None = None
    request_confirmation: bool = Field(default=False, description="The client's Y confirms the booking.")
    request_id: Id | None = Field(default=None, description="The same id sends once.")


class Queued(BaseModel):
    """What became of it."""

    success: bool = Field(description="It is on its way.")
    message_sid: str | None = Field(description="Our id of the message; the provider's is known once it is sent.")
    status: str = Field(description="queued; or why not: off, no_phone, suppressed.")


class TemplateSms(Form):
    """A template to a client."""

    client_id: Id
    template_key: str = Field(min_length=1, max_length=80)
    variables: dict[str, Any] = Field(default_factory=dict)
    scheduled_for: Instant | None = None
    related_entity_type: str | None = Field(default=None, max_length=80)
    related_entity_id: Id | None = None
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=200, description="The same sends once.")


class TemplateQueued(BaseModel):
    """What became of it."""

    message: dict[str, Any] = Field(description="`id` (null: it is not sent) and `status`: queued, off, no_phone, …")


async def run(person: PersonApi, token: str, form: DirectSms) -> Queued:
    """Raises: Refusal client_not_found 404, booking_not_found 404, permission_missing 403, request_reused 409."""
    if form.client_id is None:
        raise Refusal(422, "client_id_missing", "A text needs a client to go to.", "Send client_id.")
    answer = await person.rpc(
        token,
        "send_message",
        p_client_id=form.client_id,
        p_body=form.message,
        p_booking_id=form.booking_id,
        p_asks_confirmation=form.request_confirmation and form.booking_id is not None,
        p_request_id=form.request_id,
    )
    return Queued(
        success=answer["outcome"] == "queued",
        message_sid=answer.get("message_id"),
        status=answer.get("status") or answer["outcome"],
    )


async def run_template(person: PersonApi, token: str, form: TemplateSms) -> TemplateQueued:
    """Raises: Refusal client_not_found 404, template_not_found 404, booking_not_found 404, permission_missing 403."""
    answer = await person.rpc(
        token,
        "send_template",
        p_client_id=form.client_id,
        p_template_key=form.template_key,
        p_variables=form.variables,
        p_scheduled_for=form.scheduled_for,
        p_related_entity_type=form.related_entity_type,
        p_related_entity_id=form.related_entity_id,
        p_idempotency_key=form.idempotency_key,
    )
    message = {"id": answer.get("message_id"), "status": answer.get("status") or answer["outcome"]}
    return TemplateQueued(message=message | {"client_id": form.client_id, "template_key": form.template_key})
