"""`POST /api/portal/join-waitlist`: the client waits for a day, or for one start of it."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from coach_os.database import Database
from coach_os.forms import Day, Form, Id, Instant, Token


class JoinWaitlist(Form):
    """A local day, or one start."""

    token: Token
    date: Day | None = None
    start_time: Instant | None = None
    session_type_id: Id | None = None

    @model_validator(mode="after")
    def _names_a_time(self) -> JoinWaitlist:
        if self.date is None and self.start_time is None:
            raise ValueError("name a date or a start_time")
        return self


class Waiting(BaseModel):
    """They wait; asking again changes nothing."""

    success: bool = True
    entry_id: UUID = Field(description="The waitlist entry; `leave-waitlist` ends it.")


async def run(database: Database, caller: str, form: JoinWaitlist) -> Waiting:
    """Raises: Refusal link_not_found 404, session_type_not_found 404, value_not_allowed 422, rate_limited 429."""
    answer = await database.rpc(
        "public.portal_join_waitlist",
        caller=caller,
        p_token=str(form.token),
        p_on=form.date,
        p_session_type_id=form.session_type_id,
        p_start_time=form.start_time,
    )
    return Waiting(entry_id=answer["entry_id"])
