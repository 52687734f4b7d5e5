"""`POST /api/send-waiver`: makes a waiver for a client, and texts its link."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database.person import PersonApi
from coach_os.forms import Form, Id


class SendWaiver(Form):
    """Whose."""

    client_id: Id
    name: str | None = Field(default=None, max_length=200, description="Left out: Waiver.")


class WaiverSent(BaseModel):
    """The waiver, with its link for a coach to hand over where no text was sent."""

    waiver_id: UUID
    signing_url: str
    sms_sent: bool = Field(description="A text with it is on its way.")


async def run(person: PersonApi, token: str, form: SendWaiver) -> WaiverSent:
    """Raises: Refusal client_not_found 404, permission_missing 403, waiver_text_missing 409."""
    answer = await person.rpc(token, "send_waiver", p_client_id=form.client_id, p_name=form.name)
    return WaiverSent(waiver_id=answer["waiver_id"], signing_url=answer["signing_url"], sms_sent=answer["sms_sent"])
