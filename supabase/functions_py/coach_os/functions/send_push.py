"""`POST /api/messages/send-push`: kept for the existing page, which calls it after it has written to a client.

The database queues the push with the message itself, so that it leaves once, whichever app wrote; this adds nothing.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.forms import Form, Id


class PushToClient(Form):
    """What the page was about to push."""

    client_id: Id
    message: str = Field(min_length=1, max_length=10_000)


class PushQueued(BaseModel):
    """The push left, or leaves, with the message."""

    success: bool = True


async def run(form: PushToClient) -> PushQueued:
    """Answers what the page expects."""
    return PushQueued()
