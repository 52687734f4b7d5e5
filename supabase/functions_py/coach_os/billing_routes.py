"""The routes by which an organisation pays the platform; both open a page of Stripe's."""

from __future__ import annotations

from fastapi import APIRouter

from coach_os.functions import billing_checkout
from coach_os.messaging_routes import Config, Db, Person, Token

billing = APIRouter(prefix="/api/billing", tags=["billing"])
ROUTERS = (billing,)


@billing.post("/checkout", summary="Subscribe to a plan")
async def checkout(
    settings: Config, database: Db, person: Person, token: Token, form: billing_checkout.Checkout
) -> billing_checkout.Page:
    """The address of the page that takes the payment. 409 `subscribed_already` where the portal is the place."""
    return await billing_checkout.run(settings, database, person, token, form)


@billing.post("/portal", summary="Change or cancel the subscription")
async def portal(
    settings: Config, person: Person, token: Token, form: billing_checkout.Portal
) -> billing_checkout.Page:
    """The address of the Billing Portal. 409 `not_a_customer` for who never subscribed."""
    return await billing_checkout.run_portal(settings, person, token, form)
