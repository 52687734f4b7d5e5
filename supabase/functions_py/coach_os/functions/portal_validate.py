"""`GET /api/portal/validate`: whose portal a link opens, and what they may book with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database import Database


class Portal(BaseModel):
    """The portal's first page."""

    client_id: UUID
    client_name: str
    org_id: UUID
    org_name: str
    timezone: str = Field(examples=["Australia/Brisbane"])
    branding: dict[str, Any] | None
    active_purchases: list[dict[str, Any]] = Field(description="With `bookable_remaining`: sessions not yet booked.")
    session_types: list[dict[str, Any]] = Field(description="With `deposit_cents`, asked where no package pays.")
    refund_policy: list[dict[str, Any]] = Field(description="What of a deposit goes back: `{hours_before, percent}`.")
    bookings: list[dict[str, Any]] = Field(description="Those that are not over, with `local_start`.")
    waitlist_offers: list[dict[str, Any]] = Field(description="Times held for them; book one by its `hold_id`.")
    waitlist: list[dict[str, Any]] = Field(description="What they wait for; leave by `entry_id`.")


async def run(database: Database, caller: str, token: UUID) -> Portal:
    """Raises: Refusal link_not_found 404, rate_limited 429."""
    return Portal.model_validate(await database.rpc("public.portal_overview", caller=caller, p_token=str(token)))
