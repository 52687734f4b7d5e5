"""`POST /api/billing/checkout` and `/api/billing/portal`: an owner pays the platform, on Stripe's own pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.database.person import PersonApi
from coach_os.errors import Refusal
from coach_os.forms import Form, Id
from coach_os.providers.stripe import stripe_of
from coach_os.providers.stripe_billing import create_customer, open_checkout, open_portal
from coach_os.settings import Settings

#: A page of the apps, never another site's: `//evil.example` would be one.
ReturnPath = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^/([^/?#\s\\][^?#\s\\]*)?$",
        description="The page of the apps that it leads back to.",
    ),
]


class Checkout(Form):
    """A plan to subscribe to."""

    plan: str = Field(min_length=1, max_length=40, description="As `plans` lists it.")
    org_id: Id | None = Field(default=None, description="Left out: the organisation that the apps show.")
    return_path: ReturnPath = "/settings/billing"
    request_id: Id | None = Field(default=None, description="The same id opens the same page.")


class Portal(Form):
    """The Billing Portal of an organisation."""

    org_id: Id | None = Field(default=None, description="Left out: the organisation that the apps show.")
    return_path: ReturnPath = "/settings/billing"


class Page(BaseModel):
    """Where to send the browser."""

    url: str


async def run(settings: Settings, database: Database, person: PersonApi, token: str, form: Checkout) -> Page:
    """Raises: Refusal org_not_found 404, permission_missing 403, plan_not_found 404, plan_not_sold 409,
    subscribed_already 409, app_url_unset 409; Fault stripe_unset."""
    terms = await person.rpc(
        token, "plan_checkout", p_org_id=form.org_id or await person.org_id(token), p_plan=form.plan
    )
    back = _back(terms["app_url"], form.return_path)
    async with stripe_of(settings) as stripe:
        customer_id = await database.rpc("service.billing_customer", p_org_id=terms["org_id"])
        if customer_id is None:
            made = await create_customer(stripe, terms["org_id"])
            # Before the page is there: an event of this customer must find whose it is.
            customer_id = await database.rpc(
                "service.link_billing_customer", p_org_id=terms["org_id"], p_customer_id=made
            )
        request_id = str(form.request_id) if form.request_id else None
        return Page(url=await open_checkout(stripe, terms, customer_id, back, request_id=request_id))


async def run_portal(settings: Settings, person: PersonApi, token: str, form: Portal) -> Page:
    """Raises: Refusal org_not_found 404, permission_missing 403, not_a_customer 409, app_url_unset 409; Fault
    stripe_unset."""
    customer = await person.rpc(token, "billing_customer", p_org_id=form.org_id or await person.org_id(token))
    back = _back(customer["app_url"], form.return_path)
    async with stripe_of(settings) as stripe:
        return Page(url=await open_portal(stripe, customer["stripe_customer_id"], back))


def _back(app_url: str | None, path: str) -> str:
    if app_url is None:
        raise Refusal(409, "app_url_unset", "Nobody has said where the apps' pages are.", "Run coach messages link-to.")
    return app_url + path
