"""`POST /api/onboard/notify-coach`: texts the coach that a client has filled in their form, once for each form.

Submitting the form does so by itself; the existing page asks for it as well.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.forms import Form, Id


class Onboarded(Form):
    """Who filled it in, and where."""

    client_id: Id
    org_id: Id


class CoachNotified(BaseModel):
    """Whether a text is on its way, or was."""

    notified: bool
    reason: str | None = Field(default=None, description="Why not: no_phone, not_onboarded (within the last hour).")


async def run(database: Database, caller: str, form: Onboarded) -> CoachNotified:
    """Raises: Refusal rate_limited 429."""
    answer = await database.rpc(
        "service.notify_onboarded", caller=caller, p_org_id=form.org_id, p_client_id=form.client_id
    )
    return CoachNotified.model_validate(answer)
