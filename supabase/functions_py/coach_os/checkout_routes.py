"""The routes of checkout: a deposit's page, buying from the portal, receipts, and onboarding at Stripe.

Each checks a form, makes one call and answers; `functions/` has a module for each.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import HTMLResponse, Response

from coach_os.forms import Id
from coach_os.functions import portal_checkout, public_deposit, receipt, stripe_connect
from coach_os.messaging_routes import Config, OrgQuery, Person, Token
from coach_os.routes import Caller, Db, PageRoute

pages = APIRouter(tags=["checkout"], route_class=PageRoute)
coach = APIRouter(tags=["checkout"], route_class=PageRoute)
ROUTERS = (pages, coach)

_HTML: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}, "description": "A page to read or print."}
}


@pages.post("/api/portal/checkout", summary="Buy an offer")
async def checkout(
    database: Db, settings: Config, caller: Caller, form: portal_checkout.Checkout
) -> portal_checkout.CheckoutPage:
    """A page at Stripe, on the organisation's own account. The package is there once Stripe says that it is paid."""
    return await portal_checkout.run(database, settings, caller, form)


@pages.get("/api/public/deposit", summary="How does a deposit stand?")
async def deposit(
    database: Db, caller: Caller, deposit_id: Annotated[Id, Query(description="From the booking's answer.")]
) -> public_deposit.DepositState:
    """Ask until it is `paid`, `expired` or `late`. 404 `deposit_not_found`."""
    return await public_deposit.state(database, caller, deposit_id)


@pages.post("/api/public/deposit", summary="Pay a deposit")
async def pay_deposit(
    database: Db, settings: Config, caller: Caller, form: public_deposit.PayDeposit
) -> public_deposit.DepositState:
    """As GET, and while it is due with what Stripe.js needs to take the payment; asked again it is the same payment."""
    return await public_deposit.run(database, settings, caller, form)


@pages.get("/api/receipts/{receipt_id}", summary="A receipt", responses=_HTML, response_class=Response)
async def show_receipt(
    database: Db, caller: Caller, receipt_id: Annotated[Id, Path(description="From the email.")]
) -> HTMLResponse:
    """Whoever has the address may see it. 404 `receipt_not_found`."""
    return await receipt.run(database, caller, receipt_id)


@coach.post("/api/stripe/connect", summary="Connect a Stripe account")
async def connect(
    database: Db, person: Person, settings: Config, token: Token, form: stripe_connect.Connect
) -> stripe_connect.ConnectPage:
    """Begins, or goes on with, the onboarding of the organisation's own account; owners alone."""
    return await stripe_connect.run(database, person, settings, token, form.org_id)


@coach.get("/api/stripe/connect", summary="How far is the Stripe account?")
async def connect_status(person: Person, token: Token, org_id: OrgQuery = None) -> stripe_connect.ConnectStatus:
    """As Stripe last told."""
    return await stripe_connect.status(person, token, org_id)
