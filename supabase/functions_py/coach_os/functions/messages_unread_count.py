"""`GET /api/messages/unread-count`: how many messages of clients no member has read."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel

from coach_os.database.person import PersonApi


class Unread(BaseModel):
    """A number for a badge."""

    total_unread: int


async def run(person: PersonApi, token: str, org_id: UUID | None) -> Unread:
    """Raises: Refusal org_not_found 404, permission_missing 403."""
    threads = await person.rpc(token, "unread_threads", p_org_id=org_id or await person.org_id(token))
    return Unread(total_unread=sum(thread["unread"] for thread in threads))
