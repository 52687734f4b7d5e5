"""What the webhook missed is made up for, and what events only name is fetched: by the sweep, through the real SDK."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from tests.db.paying import Till
from tests.harness.local_stripe import LocalStripe
from tests.harness.world import World
from tests.http.conftest import settings_with

from coach_os.database import PostgresDatabase
from coach_os.errors import CoachError
from coach_os.providers.stripe import Stripe, stripe_errors
from coach_os.settings import Settings
from coach_os.sweeps import SweepResult
from coach_os.sweeps.stripe import reconcile_stripe


@pytest.fixture(scope="module")
def stripe() -> Iterator[LocalStripe]:
    with LocalStripe() as server:
        yield server


@pytest.fixture
def till(world: World) -> Till:
    return Till.open(world)


def settings_for(stripe: LocalStripe) -> Settings:
    named = {name.lower(): value for name, value in stripe.environment.items()}
    return settings_with(**named)


def sweep(till: Till, settings: Settings, **how: Any) -> SweepResult:
    async def once() -> SweepResult:
        async with PostgresDatabase(till.db.url, max_size=4) as database:
            return await reconcile_stripe(database, settings=settings, **how)

    return asyncio.run(once())


def subscribe(stripe: LocalStripe, till: Till) -> tuple[str, str]:
    """A client's subscription at Stripe, with a card that pays; nobody has told us."""
    meta = {f"metadata[{name}]": value for name, value in till.meta().items()}
    product = stripe.post("/v1/products", name="Monthly", type="service")["id"]
    plan = stripe.post("/v1/plans", product=product, amount="5000", currency="aud", interval="month")["id"]
    card = {
        "source[object]": "card",
        "source[number]": "4242424242424242",
        "source[exp_month]": "12",
        "source[exp_year]": "2030",
        "source[cvc]": "123",
    }
    customer = stripe.post("/v1/customers", {"email": "jo@client.example", **card})["id"]
    made = stripe.post("/v1/subscriptions", {"customer": customer, "items[0][plan]": plan, **meta})
    return made["id"], customer


def test_events_that_never_came_are_listed_and_fed_once(till: Till, stripe: LocalStripe) -> None:
    subscription, _ = subscribe(stripe, till)
    dry = sweep(till, settings_for(stripe), dry_run=True)
    assert dry.counts["fed"] > 0
    assert till.db.owner.value("select count(*) from private.stripe_events") == 0
    first = sweep(till, settings_for(stripe))
    assert first.counts["fed"] > 0, first
    assert first.is_complete
    mirror = till.db.owner.row("select * from public.subscriptions where stripe_subscription_id = %s", (subscription,))
    assert (mirror["status"], mirror["client_id"], mirror["price_cents"]) == ("active", till.org.client_id, 5000)
    assert till.fetches() == []
    assert sweep(till, settings_for(stripe)).counts["fed"] == 0
    refused = "select type || ' ' || error from private.stripe_events where status in ('refused', 'failed')"
    # That server's invoices do not say why they were made: told, and not guessed.
    assert set(till.db.owner.values(refused)) <= {"invoice.payment_succeeded stripe_field_missing"}


def test_subscription_is_asked_about_where_order_matters(till: Till, stripe: LocalStripe) -> None:
    subscription, _ = subscribe(stripe, till)
    found = stripe.get(f"/v1/subscriptions/{subscription}")
    for status in ("incomplete", "past_due"):
        till.tell("customer.subscription.updated", {**found, "status": status}, at=1000)
    assert till.fetches() == [f"subscription {subscription}"]
    sweep(till, settings_for(stripe))
    assert till.fetches() == []
    assert (
        till.db.owner.value(
            "select status from public.subscriptions where stripe_subscription_id = %s", (subscription,)
        )
        == "active"
    )


def test_stripe_away_leaves_all_for_the_next_run(till: Till, stripe: LocalStripe) -> None:
    subscription, _ = subscribe(stripe, till)
    found = stripe.get(f"/v1/subscriptions/{subscription}")
    for status in ("incomplete", "past_due"):
        till.tell("customer.subscription.updated", {**found, "status": status}, at=1000)
    away = settings_with(stripe_secret_key="sk_test_x", stripe_api_url="http://127.0.0.1:9")
    result = sweep(till, away)
    assert (result.is_complete, result.counts["fed"], result.counts["unreachable"]) == (False, 0, 2)
    assert till.db.owner.value("select error from private.stripe_fetches") == "stripe_unavailable"
    till.db.owner.rows("update private.stripe_fetches set next_at = now()")
    assert sweep(till, settings_for(stripe)).counts["fetched"] == 1


def test_without_a_key_what_is_kept_is_applied_all_the_same(till: Till) -> None:
    till.db.owner.insert("private.brakes", kind="payments", org_id=None, reason="a test")
    assert (
        till.tell("payout.paid", {"id": "po_1", "amount": 1, "currency": "aud", "arrival_date": 1_764_000_000})
        == "braked"
    )
    till.db.owner.rows("delete from private.brakes")
    result = sweep(till, settings_with())
    assert (result.counts["settled"], result.is_complete) == (1, True)
    assert till.money() == ["PAYOUT -1 po_1"]


@pytest.mark.parametrize(
    ("path", "slug"),
    [("pi_nobody", "stripe_object_missing"), ("", "stripe_refused")],
)
def test_stripes_errors_are_ours_without_its_words(stripe: LocalStripe, path: str, slug: str) -> None:
    async def ask() -> None:
        async with Stripe("sk_test_x", api_url=stripe.url) as client:
            with stripe_errors():
                if path:
                    await client.client.v1.payment_intents.retrieve_async(path)
                else:
                    await client.client.v1.payment_intents.create_async({"amount": -1, "currency": "aud"})

    with pytest.raises(CoachError) as caught:
        asyncio.run(ask())
    assert caught.value.slug == slug
    assert "nobody" not in caught.value.message
