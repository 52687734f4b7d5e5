"""`POST /api/send-onboarding`: texts a client the link of their onboarding form."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database.person import PersonApi
from coach_os.forms import Form, Id


class SendOnboarding(Form):
    """Whose."""

    client_id: Id


class OnboardingSent(BaseModel):
    """The link, for a coach to hand over where no text was sent."""

    onboarding_url: str
    sms_sent: bool = Field(description="A text with it is on its way.")


async def run(person: PersonApi, token: str, form: SendOnboarding) -> OnboardingSent:
    """Raises: Refusal client_not_found 404, permission_missing 403."""
    answer = await person.rpc(token, "send_onboarding", p_client_id=form.client_id)
    return OnboardingSent(onboarding_url=answer["onboarding_url"], sms_sent=answer["sms_sent"])
