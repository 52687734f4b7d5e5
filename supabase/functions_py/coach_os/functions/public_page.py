"""`GET /api/public/page`: what anybody may see of an organisation that takes bookings."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from coach_os.database import Database


class Page(BaseModel):
    """An organisation's booking page."""

    org_id: UUID
    name: str
    slug: str
    timezone: str = Field(examples=["Australia/Brisbane"])
    can_book: bool
    needs_waiver: bool = Field(description="A booking stays pending until a waiver is signed.")
    branding: dict[str, Any] | None
    session_types: list[dict[str, Any]] = Field(description="With `deposit_cents`, which booking one asks.")
    refund_policy: list[dict[str, Any]] = Field(description="What of a deposit goes back: `{hours_before, percent}`.")
    offers: list[dict[str, Any]]
    staff: list[dict[str, Any]]


async def run(database: Database, caller: str, slug: str) -> Page:
    """Raises: Refusal page_not_found 404, rate_limited 429."""
    return Page.model_validate(await database.rpc("public.public_page", caller=caller, p_slug=slug))
