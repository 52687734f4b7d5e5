"""Deposits, buying from the portal, receipts and onboarding over HTTP, with Stripe's own SDK behind the service."""

import asyncio
import re
from collections.abc import Iterator
from time import time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.harness.local_stripe import CONNECT_SECRET, KEY, LocalStripe, signed
from tests.harness.stripe_gate import StripeGate
from tests.harness.takings import ACCOUNT, Takings, open_takings
from tests.harness.world import World
from tests.http.pages import Pages, Studio, problem, refusing_forms, visiting

from coach_os.database import PostgresDatabase
from coach_os.errors import Fault, Refusal
from coach_os.functions.stripe_connect import onboarding_link, record_account
from coach_os.providers import payments
from coach_os.providers.stripe import Stripe

APP_URL = "https://app.example"


@pytest.fixture(scope="module")
def behind() -> Iterator[LocalStripe]:
    with LocalStripe() as stripe:
        yield stripe


@pytest.fixture
def stripe(behind: LocalStripe) -> Iterator[StripeGate]:
    with StripeGate(behind) as gate:
        yield gate


@pytest.fixture
def takings(world: World, stripe: StripeGate) -> Takings:
    world.db.owner.call("service.set_platform_setting", p_name="app_url", p_value=APP_URL)
    return open_takings(world.kilo, stripe)


@pytest.fixture
def pages(takings: Takings, stripe: StripeGate) -> Iterator[Pages]:
    settings = {"stripe_secret_key": KEY, "stripe_webhook_secrets": CONNECT_SECRET, "stripe_api_url": stripe.url}
    with visiting(Studio(takings.org, takings.token), **settings) as pages:
        yield pages


@pytest.fixture
def forms() -> Iterator[Pages]:
    with refusing_forms() as pages:
        yield pages


def asked(pages: Pages, takings: Takings, **form: Any) -> dict[str, Any]:
    """The portal books and is asked for a deposit."""
    start = takings.start().isoformat()
    answer = pages.post("portal/create-booking", start_time=start, session_type_id=takings.type_id, **form)
    assert problem(answer) == (402, "deposit_due")
    deposit: dict[str, Any] = answer.json()["deposit"]
    return deposit


# Deposits


def test_a_client_pays_a_deposit_and_has_the_time(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    deposit = asked(pages, takings)
    assert (deposit["amount_cents"], deposit["currency"]) == (2500, "aud")
    assert deposit["refund_policy"] == [{"hours_before": 24, "percent": 100}]
    paying = pages.send("POST", "/api/public/deposit", json={"deposit_id": deposit["deposit_id"]}).json()
    assert (paying["status"], paying["stripe_account"]) == ("due", ACCOUNT)
    intent_id = paying["client_secret"].split("_secret_")[0]
    stripe.pay(intent_id)
    assert takings.told(UUID(deposit["deposit_id"]), id=intent_id) == "paid"
    found = pages.get("/api/public/deposit", deposit_id=deposit["deposit_id"]).json()
    assert (found["status"], found["client_secret"]) == ("paid", None)
    (booking,) = pages.portal("validate").json()["bookings"]
    assert booking["id"] == found["booking_id"]
    cancelled = pages.post("portal/cancel-booking", booking_id=booking["id"])
    assert cancelled.status_code == 200
    assert takings.carry() == {"succeeded": 1}


def test_the_page_asked_again_is_given_the_same_payment(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    deposit = asked(pages, takings)
    secrets = {
        pages.send("POST", "/api/public/deposit", json={"deposit_id": deposit["deposit_id"]}).json()["client_secret"]
        for _ in range(3)
    }
    assert (len(secrets), len(stripe.made("payment_intents"))) == (1, 1)


def test_the_public_page_asks_for_a_deposit_too(pages: Pages, takings: Takings) -> None:
    visitor = {"full_name": "Mary Read", "email": "mary@read.example"}
    start = takings.start().isoformat()
    answer = pages.post("public/book", start_time=start, session_type_id=takings.type_id, **visitor)
    assert problem(answer) == (402, "deposit_due")
    page = pages.public("page").json()
    (kind,) = [kind for kind in page["session_types"] if kind["slug"] == "massage"]
    assert (kind["deposit_cents"], page["refund_policy"][0]["percent"]) == (2500, 100)


def test_an_expired_deposit_gives_no_secret(pages: Pages, takings: Takings) -> None:
    deposit = asked(pages, takings)
    takings.expire(UUID(deposit["deposit_id"]))
    answer = pages.send("POST", "/api/public/deposit", json={"deposit_id": deposit["deposit_id"]}).json()
    assert (answer["status"], answer["client_secret"]) == ("expired", None)


def test_stripe_away_is_an_outage_and_the_time_stays_held(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    deposit = asked(pages, takings)
    stripe.then(*[(503, "unavailable")] * 3)
    form = {"deposit_id": deposit["deposit_id"]}
    assert problem(pages.send("POST", "/api/public/deposit", json=form)) == (503, "stripe_unavailable")
    assert pages.send("POST", "/api/public/deposit", json=form).json()["client_secret"]


def test_without_a_key_the_service_says_so(takings: Takings) -> None:
    with visiting(Studio(takings.org, takings.token)) as pages:
        deposit = asked(pages, takings)
        answer = pages.send("POST", "/api/public/deposit", json={"deposit_id": deposit["deposit_id"]})
        assert problem(answer) == (503, "stripe_unset")


@pytest.mark.parametrize("given", ["", "x", "1", "null", "' or 1=1 --", "7c12b94d-5434-4db1-8c1d-2329c8699db", "\x00"])
def test_what_is_no_deposit_is_refused(forms: Pages, given: str) -> None:
    assert problem(forms.send("GET", "/api/public/deposit", params={"deposit_id": given})) == (400, "request_invalid")
    assert problem(forms.send("POST", "/api/public/deposit", json={"deposit_id": given})) == (400, "request_invalid")


def test_a_deposit_is_not_guessed(pages: Pages) -> None:
    answers = [problem(pages.get("/api/public/deposit", deposit_id=uuid4())) for _ in range(22)]
    assert (answers[0], answers[-1]) == ((404, "deposit_not_found"), (429, "rate_limited"))


# Buying


def test_a_client_buys_an_offer_on_the_organisations_account(
    pages: Pages, takings: Takings, stripe: StripeGate
) -> None:
    answer = pages.post("portal/checkout", offer_id=takings.org.offer_id)
    assert (answer.status_code, answer.json()) == (200, {"url": "https://checkout.stripe.example/cs_1"})
    (made,) = stripe.made("checkout/sessions")
    price = "line_items[0][price_data]"
    back = f"{APP_URL}/portal/{takings.token}"
    told = {
        "mode": "payment",
        f"{price}[unit_amount]": "80000",
        f"{price}[currency]": "aud",
        "payment_intent_data[application_fee_amount]": "4000",
        "payment_intent_data[metadata][offer_id]": str(takings.org.offer_id),
        "metadata[client_id]": str(takings.client_id),
        "metadata[org_id]": str(takings.org.id),
        "success_url": f"{back}?purchase=success",
        "cancel_url": f"{back}?purchase=cancelled",
    }
    assert made.account == ACCOUNT
    assert told.items() <= made.form.items()


def test_fees_that_are_passed_on_are_grossed_up(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    takings.org.coach.rows("update booking_settings set pass_stripe_fees = true where org_id = %s", (takings.org.id,))
    pages.post("portal/checkout", offer_id=takings.org.offer_id)
    (form,) = stripe.pages
    assert form["line_items[0][price_data][unit_amount]"] == str(round((80_000 + 30) / (1 - 0.0175)))
    assert form["payment_intent_data[application_fee_amount]"] == "4000"


def test_a_subscription_is_bought_by_its_period(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    offer = takings.org.add_offer(offer_type="subscription", billing_period="fortnightly", price_cents=5000)
    assert pages.post("portal/checkout", offer_id=offer).status_code == 200
    (form,) = stripe.pages
    recurring = "line_items[0][price_data][recurring]"
    told = {
        "mode": "subscription",
        f"{recurring}[interval]": "week",
        f"{recurring}[interval_count]": "2",
        "subscription_data[application_fee_percent]": "5.0",
        "subscription_data[metadata][offer_id]": str(offer),
    }
    assert told.items() <= form.items()


def test_one_request_id_makes_one_page(pages: Pages, takings: Takings, stripe: StripeGate) -> None:
    request = uuid4()
    urls = {pages.post("portal/checkout", offer_id=takings.org.offer_id, request_id=request).text for _ in range(3)}
    assert (len(urls), len(stripe.pages)) == (1, 1)


def test_what_cannot_be_bought_is_refused(pages: Pages, takings: Takings, world: World) -> None:
    free = takings.org.add_offer(price_cents=0)
    assert problem(pages.post("portal/checkout", offer_id=free)) == (409, "offer_not_for_sale")
    assert problem(pages.post("portal/checkout", offer_id=world.lima.offer_id)) == (404, "offer_not_found")
    assert problem(pages.post("portal/checkout", offer_id=takings.org.offer_id, token=uuid4())) == (
        401,
        "link_not_found",
    )
    assert problem(pages.post("portal/checkout", offer_id="x")) == (400, "request_invalid")
    takings.db.owner.rows("update public.stripe_accounts set charges_enabled = false")
    assert problem(pages.post("portal/checkout", offer_id=takings.org.offer_id)) == (503, "payments_not_set_up")
    takings.db.owner.rows("delete from private.platform_settings")
    takings.db.owner.rows("update public.stripe_accounts set charges_enabled = true")
    assert problem(pages.post("portal/checkout", offer_id=takings.org.offer_id)) == (503, "app_url_unset")


# Receipts


def test_a_receipt_is_a_page_on_which_nothing_runs(pages: Pages, takings: Takings) -> None:
    name = "<script>alert('Ann')</script> & Söhne"
    takings.db.owner.rows("update public.clients set full_name = %s where id = %s", (name, takings.client_id))
    takings.paid()
    takings.db.owner.rows("select * from service.sweep_receipts()")
    receipt_id = takings.db.owner.value("select id from receipts where client_id = %s", (takings.client_id,))
    page = pages.get(f"/api/receipts/{receipt_id}")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "private, no-store"
    assert "AUD 25.00" in page.text
    assert "&lt;script&gt;" in page.text
    assert "& Söhne" not in page.text
    assert not re.search(r"<script|https?://|src=", page.text)
    assert problem(pages.get(f"/api/receipts/{uuid4()}")) == (404, "receipt_not_found")
    assert problem(pages.get("/api/receipts/1")) == (400, "request_invalid")


# Onboarding


def test_an_owner_is_led_through_stripes_pages_once(takings: Takings, stripe: StripeGate, world: World) -> None:
    org = world.lima

    async def twice(client: Stripe, database: PostgresDatabase) -> list[str]:
        begin = await database.rpc("service.connect_begin", p_org_id=org.id)
        tabs = [onboarding_link(database, client, begin) for _ in range(2)]
        links = list(await asyncio.gather(*tabs))
        again = await database.rpc("service.connect_begin", p_org_id=org.id)
        return [*links, await onboarding_link(database, client, again)]

    links = takings.at_stripe(twice)
    (account,) = stripe.accounts
    assert set(links) == {f"https://connect.stripe.example/{account}"}
    (made,) = stripe.made("accounts")
    assert (made.key, made.form["metadata[org_id]"]) == (f"connect-{org.id}", str(org.id))
    status = org.coach.call("public.connect_status", p_org_id=org.id)
    assert (status["account"], status["next_step"]) == (account, "continue")
    stripe.accounts[account] |= {"charges_enabled": True, "payouts_enabled": True, "details_submitted": True}

    async def refresh(client: Stripe, database: PostgresDatabase) -> Any:
        return await record_account(database, str(org.id), await payments.read_account(client, account))

    assert takings.at_stripe(refresh)["next_step"] is None


def test_onboarding_leads_back_to_the_apps(takings: Takings, world: World) -> None:
    takings.db.owner.rows("delete from private.platform_settings")

    async def begin(client: Stripe, database: PostgresDatabase) -> str:
        return await onboarding_link(
            database, client, await database.rpc("service.connect_begin", p_org_id=world.lima.id)
        )

    with pytest.raises(Fault, match="where its pages are"):
        takings.at_stripe(begin)
    with pytest.raises(Refusal, match="no such organisation"):
        takings.at_stripe(lambda _, database: database.rpc("service.connect_begin", p_org_id=uuid4()))


def test_the_routes_of_onboarding_want_a_person(forms: Pages) -> None:
    assert problem(forms.send("GET", "/api/stripe/connect")) == (401, "token_wrong")
    assert problem(forms.send("POST", "/api/stripe/connect", json={})) == (401, "token_wrong")


# Stripe's own news


def event(kind: str, item: dict[str, Any], account: str = ACCOUNT, **more: Any) -> dict[str, Any]:
    """An event of a connected account, as Stripe writes it."""
    told = {"id": f"evt_{uuid4().hex}", "object": "event", "type": kind, "account": account, "created": int(time())}
    return {**told, "livemode": False, "api_version": "2025-03-31.basil", "data": {"object": item}, **more}


def tell(pages: Pages, told: dict[str, Any]) -> httpx.Response:
    body, headers = signed(told)
    return pages.send("POST", "/functions/v1/stripe-webhook", content=body, headers=headers)


def intent_of(takings: Takings, deposit_id: str) -> dict[str, Any]:
    """The deposit's intent, with the metadata it was made with."""
    metadata = {"org_id": str(takings.org.id), "deposit_id": deposit_id, "kind": "deposit"}
    return {**takings.intent(UUID(deposit_id)), "object": "payment_intent", "metadata": metadata}


def test_the_webhook_books_the_time_however_often_it_comes(pages: Pages, takings: Takings) -> None:
    deposit = asked(pages, takings)
    told = event("payment_intent.succeeded", intent_of(takings, deposit["deposit_id"]))
    assert [tell(pages, told).status_code for _ in range(3)] == [200] * 3
    assert tell(pages, {**told, "id": "evt_of_its_own"}).status_code == 200
    assert takings.deposit(UUID(deposit["deposit_id"]))["status"] == "paid"
    assert takings.money("INCOME") == 2500
    assert len(pages.portal("validate").json()["bookings"]) == 1


def test_another_accounts_event_with_our_metadata_pays_nothing(pages: Pages, takings: Takings, world: World) -> None:
    deposit = asked(pages, takings)
    lima = "insert into public.stripe_accounts (org_id, stripe_account_id, charges_enabled) values (%s, %s, true)"
    takings.db.owner.rows(lima, (world.lima.id, "acct_lima"))
    intent = intent_of(takings, deposit["deposit_id"])
    tell(pages, event("payment_intent.succeeded", intent, account="acct_lima"))
    unsaid = {**intent, "metadata": {"deposit_id": deposit["deposit_id"]}}
    tell(pages, event("payment_intent.succeeded", unsaid, account="acct_lima"))
    tell(pages, event("payment_intent.succeeded", intent, account="acct_nobodys"))
    assert takings.deposit(UUID(deposit["deposit_id"]))["status"] == "due"
    assert takings.db.owner.values("select status from private.stripe_events") == ["refused"] * 3
    assert takings.money("INCOME") == 0


def test_a_payment_of_another_amount_is_refused_and_kept(pages: Pages, takings: Takings) -> None:
    deposit = asked(pages, takings)
    for wrong in ({"amount_received": 1}, {"currency": "usd"}, {"amount_received": 2500.5}, {"amount_received": None}):
        intent = intent_of(takings, deposit["deposit_id"]) | wrong
        if wrong.get("amount_received", 0) is None:
            intent |= {"amount": 10**15}
        tell(pages, event("payment_intent.succeeded", intent))
    assert takings.deposit(UUID(deposit["deposit_id"]))["status"] == "due"
    assert takings.db.owner.values("select status from private.stripe_events") == ["refused"] * 4
    assert takings.money("INCOME") == 0


def test_the_webhook_may_tell_of_a_refund_before_the_sweep_does(pages: Pages, takings: Takings) -> None:
    """Every order of what Stripe tells, with the sweep's own answer lost: booked once, carried no further."""
    deposit = takings.paid()
    takings.org.coach.call("public.refund_payment", p_payment_id=deposit["payment_id"], p_amount_cents=1000)
    takings.db.owner.rows("select * from service.claim_refunds()")
    (row,) = takings.refunds()
    refund = {
        "id": "re_told",
        "object": "refund",
        "status": "pending",
        "amount": 1000,
        "currency": "aud",
        "created": int(time()),
        "payment_intent": row["stripe_payment_intent_id"],
        "metadata": {"refund_id": str(row["id"]), "org_id": str(takings.org.id)},
    }
    for kind, status in (
        ("refund.updated", "succeeded"),
        ("refund.created", "pending"),
        ("refund.updated", "succeeded"),
    ):
        assert tell(pages, event(kind, {**refund, "status": status})).status_code == 200
    (row,) = takings.refunds()
    assert (row["status"], row["stripe_refund_id"], takings.money("REFUND")) == ("succeeded", "re_told", -1000)
    takings.db.owner.rows("update public.refunds set next_at = now() where settled_at is null")
    assert takings.carry() == {}


def test_a_refund_that_bounces_is_told_and_may_be_asked_for_again(pages: Pages, takings: Takings) -> None:
    deposit = takings.paid()
    takings.org.coach.call("public.refund_payment", p_payment_id=deposit["payment_id"])
    takings.db.owner.rows("select * from service.claim_refunds()")
    (row,) = takings.refunds()
    refund = {"id": "re_bounced", "object": "refund", "amount": 2500, "currency": "aud", "created": int(time())}
    named = {"payment_intent": row["stripe_payment_intent_id"], "metadata": {"refund_id": str(row["id"])}}
    for status in ("succeeded", "failed"):
        assert tell(pages, event("refund.updated", {**refund, **named, "status": status})).status_code == 200
    assert takings.refunds()[0]["status"] == "failed"
    assert takings.money("REFUND") + takings.money("ADJUSTMENT") == 0
    alerts = takings.db.owner.values(
        "select kind from public.alerts where resolved_at is null and kind = 'refund_failed'"
    )
    assert alerts == ["refund_failed"]
    assert takings.org.coach.call("public.refund_payment", p_payment_id=deposit["payment_id"])
