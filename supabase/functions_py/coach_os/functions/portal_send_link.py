"""`POST /api/portal/send-link`: texts a client the link of their portal."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database.person import PersonApi
from coach_os.forms import Form, Id


class SendLink(Form):
    """Whose."""

    client_id: Id


class LinkSent(BaseModel):
    """The link, for a coach to hand over where no text was sent."""

    portal_url: str
    sms_sent: bool = Field(description="A text with it is on its way.")


async def run(person: PersonApi, token: str, form: SendLink) -> LinkSent:
    """Raises: Refusal client_not_found 404, permission_missing 403."""
    answer = await person.rpc(token, "send_portal_link", p_client_id=form.client_id)
    return LinkSent(portal_url=answer["portal_url"], sms_sent=answer["sms_sent"])
