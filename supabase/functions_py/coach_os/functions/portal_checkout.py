"""`POST /api/portal/checkout`: a page at Stripe where the link's client buys an offer."""

from __future__ import annotations

from pydantic import BaseModel, Field

from coach_os.database import Database
from coach_os.errors import Fault, Refusal, Unavailable
from coach_os.forms import Form, Id, Token
from coach_os.providers import payments
from coach_os.providers.stripe import stripe_of
from coach_os.settings import Settings


class Checkout(Form):
    """What to buy."""

    token: Token
    offer_id: Id
    request_id: Id | None = Field(default=None, description="The same id makes one page.")


class CheckoutPage(BaseModel):
    """Where to pay."""

    url: str = Field(description="Stripe's page; it leads back to the portal with `purchase=success` or `cancelled`.")


async def run(database: Database, settings: Settings, caller: str, form: Checkout) -> CheckoutPage:
    """Raises: Refusal link_not_found 404, offer_not_found 404, offer_not_for_sale 409, brake_on 423, rate_limited 429;
    Unavailable payments_not_set_up 503, stripe_unavailable 503."""
    async with stripe_of(settings) as stripe:
        try:
            terms = await database.rpc(
                "public.portal_checkout",
                caller=caller,
                p_token=str(form.token),
                p_offer_id=form.offer_id,
                p_request_id=form.request_id,
            )
        except Refusal as refusal:
            # The existing page takes it for an outage, as it should: nothing the client does changes it.
            if refusal.slug == "payments_not_set_up":
                raise Unavailable(refusal.slug, refusal.message, refusal.hint) from None
            raise
        if terms["portal_url"] is None:
            raise app_url_unset()
        return CheckoutPage(url=await payments.create_checkout(stripe, terms, terms["portal_url"]))


def app_url_unset() -> Fault:
    """Stripe's pages lead back to the apps, and nobody said where these are."""
    return Fault(
        "app_url_unset",
        "The platform has not said where its pages are.",
        "Say it with coach messages link-to.",
        status=503,
    )
