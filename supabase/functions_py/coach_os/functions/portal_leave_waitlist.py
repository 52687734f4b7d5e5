"""`POST /api/portal/leave-waitlist`: the client waits no more, and lets go of what they were offered."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.forms import Form, Id, Token


class LeaveWaitlist(Form):
    """A waitlist entry."""

    token: Token
    entry_id: Id


class Left(BaseModel):
    """They wait no more."""

    success: bool = True
    was_waiting: bool = Field(description="False where it was over already: booked, let pass or left.")


async def run(database: Database, caller: str, form: LeaveWaitlist) -> Left:
    """Raises: Refusal link_not_found 404, waitlist_entry_not_found 404, rate_limited 429."""
    answer = await database.rpc(
        "public.portal_leave_waitlist", caller=caller, p_token=str(form.token), p_entry_id=form.entry_id
    )
    return Left(was_waiting=answer["outcome"] == "left")
