"""`POST /functions/v1/inquiry-capture`: takes in what somebody asks through a form of an organisation's own website."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field
from starlette.responses import Response

from coach_os.database import Database
from coach_os.forms import Form, Slug


class Inquiry(Form):
    """Who asks, and what. An email or a phone is needed."""

    org_slug: Slug
    name: str = Field(min_length=1, max_length=200)
    email: str | None = Field(default=None, max_length=320)
    phone: str | None = Field(default=None, max_length=40)
    message: str | None = Field(default=None, max_length=5000)
    source: str | None = Field(
        default=None, max_length=40, description="website, instagram, facebook, referral or other."
    )


class Captured(BaseModel):
    """The inquiry that is open now."""

    success: bool = True
    inquiry_id: UUID
    message: str


async def run(database: Database, caller: str, response: Response, form: Inquiry) -> Captured:
    """201 for a new inquiry, 200 where the person has an open one, to which the message is added.

    Raises:
        Refusal: page_not_found 404, value_not_allowed 422, rate_limited 429.
    """
    answer = await database.rpc(
        "public.capture_inquiry",
        caller=caller,
        p_org_slug=form.org_slug,
        p_name=form.name,
        # A form that was left empty sends empty texts.
        p_email=form.email or None,
        p_phone=form.phone or None,
        p_message=form.message,
        p_source=form.source,
    )
    is_new = answer["outcome"] == "captured"
    response.status_code = 201 if is_new else 200
    said = "Thank you, we will be in touch." if is_new else "Thank you, your message was added to your inquiry."
    return Captured(inquiry_id=answer["inquiry_id"], message=said)
