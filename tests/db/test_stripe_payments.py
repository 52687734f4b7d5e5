"""What Stripe tells becomes money and sessions once, in any order, in both shapes of its API."""

import itertools
import json
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from tests.db.paying import PAID, Till, sends
from tests.harness import stripe_events as told
from tests.harness.races import barrier_race, values
from tests.harness.stripe_events import NEW, OLD, SHAPES
from tests.harness.world import World


@pytest.fixture
def till(world: World) -> Till:
    return Till.open(world)


def test_same_event_20_times_in_parallel_sells_one_package(till: Till) -> None:
    event = told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta()))
    outcomes = values(barrier_race(20, lambda tab: till.send(event, tab), prepare=lambda _: till.db.service()))
    assert sorted(outcomes) == ["applied"] + ["repeated"] * 19
    assert till.packages() == 1
    assert till.money() == [f"INCOME {PAID} pi_1"]


def test_different_events_of_one_payment_in_parallel_sell_one_package(till: Till) -> None:
    session, intent = (
        told.checkout("pi_1", PAID, till.meta()),
        {"id": "pi_1", "amount_received": PAID, "currency": "aud"},
    )
    kinds = [("checkout.session.completed", session), ("checkout.session.async_payment_succeeded", session)]
    kinds += [("payment_intent.succeeded", {**intent, "metadata": till.meta()})]
    outcomes = barrier_race(
        12,
        lambda ready: till.send(told.event(*kinds[ready[0] % 3]), ready[1]),
        prepare=lambda n: (n, till.db.service()),
    )
    assert set(values(outcomes)) == {"applied"}
    assert till.packages() == 1
    assert till.money() == [f"INCOME {PAID} pi_1"]


def test_package_is_what_its_offer_says_when_paid(till: Till) -> None:
    till.org.coach.rows(
        "update public.offers set bonus_sessions = 2, pack_validity_days = 30 where id = %s", (till.org.offer_id,)
    )
    body = told.checkout("pi_1", 81_500, till.meta(), paid="unpaid")
    assert till.tell("checkout.session.completed", body) == "applied"
    assert till.packages() == 0, "it is not paid yet"
    assert till.tell("checkout.session.async_payment_succeeded", {**body, "payment_status": "paid"}) == "applied"
    package = till.package("pi_1")
    assert (package["sessions_total"], package["amount_paid_cents"], package["payment_status"]) == (
        12,
        81_500,
        "succeeded",
    )
    assert (package["expires_at"] - package["purchased_at"]).days == 30
    assert till.money() == ["INCOME 81500 pi_1"], "gross, as it was paid"


def test_payment_that_fails_sells_nothing_and_is_told(till: Till) -> None:
    assert (
        till.tell("checkout.session.async_payment_failed", told.checkout("pi_1", PAID, till.meta(), paid="unpaid"))
        == "applied"
    )
    assert (till.packages(), till.money(), till.alerts()) == (0, [], ["payment_failed"])


def refund_story(till: Till, version: str) -> list[told.Event]:
    """Half of a package is given back, told in five ways, and one refund fails."""
    first = told.refund("re_1", "pi_1", PAID // 2)
    listed = (
        told.charge("pi_1", PAID, refunds=[first])
        if version == OLD
        else told.charge("pi_1", PAID, amount_refunded=PAID // 2)
    )
    return [
        told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta()), version=version),
        told.event("charge.refunded", listed, version=version),
        told.event("refund.created", {**first, "status": "pending"}, version=version),
        told.event("charge.refund.updated", first, version=version),
        told.event("refund.failed", told.refund("re_2", "pi_1", PAID // 4, status="failed"), version=version),
    ]


@pytest.mark.parametrize("version", SHAPES)
def test_every_order_of_a_refunds_events_ends_the_same(till: Till, version: str) -> None:
    events = refund_story(till, version)
    for n, order in enumerate(itertools.permutations(events)):
        # A payment of its own for each order, all in one database.
        written = json.dumps(order)
        for prefix in ("pi_", "re_1", "re_2", "evt_"):
            written = written.replace(prefix, f"{prefix}{n}x")
        assert set(sends(till, json.loads(written))) <= {"applied", "waiting"}
        package = till.package(f"pi_{n}x1")
        assert (package["sessions_total"], package["payment_status"]) == (5, "succeeded"), n
        assert till.money(n) == [
            f"INCOME {PAID} pi_{n}x1",
            f"REFUND {-PAID // 2} re_1{n}x",
            f"REFUND {-PAID // 4} re_2{n}x",
            f"ADJUSTMENT {PAID // 4} re_2{n}x",
        ], n
    assert till.db.owner.value("select count(*) from private.stripe_events where status <> 'applied'") == 0


def test_refund_takes_the_unused_share_and_tells_what_it_cannot(till: Till) -> None:
    package = till.pay("pi_1")
    till.org.set_click_window(0)
    for _ in range(7):
        assert till.org.coach.call("public.use_session", p_purchase_id=package)
    till.tell("refund.created", told.refund("re_1", "pi_1", PAID // 10))
    assert till.package("pi_1")["sessions_total"] == 9
    till.tell("refund.created", told.refund("re_2", "pi_1", PAID // 2))
    found = till.package("pi_1")
    assert (found["sessions_total"], found["sessions_used"], found["payment_status"]) == (7, 7, "succeeded")
    assert till.alerts() == ["refund_exceeds_unused"]
    till.tell("refund.updated", told.refund("re_2", "pi_1", PAID // 2, status="failed"))
    assert till.package("pi_1")["sessions_total"] == 9, "what came back brings its sessions back"
    assert till.org.sessions(package) == (7, 7)


def test_full_refund_ends_a_package(till: Till) -> None:
    package = till.pay("pi_1")
    till.tell("charge.refunded", told.charge("pi_1", PAID, refunds=[told.refund("re_1", "pi_1", PAID)]))
    found = till.package("pi_1")
    assert (found["sessions_total"], found["payment_status"]) == (0, "refunded")
    assert not till.org.coach.call("public.use_session", p_purchase_id=package)


def test_refunds_that_a_charge_does_not_list_are_asked_for(till: Till) -> None:
    till.pay("pi_1")
    till.tell("charge.refunded", told.charge("pi_1", PAID, amount_refunded=300))
    assert till.fetches() == ["charge ch_of_pi_1"]
    found = told.charge("pi_1", PAID, refunds=[told.refund("re_1", None, 100), told.refund("re_2", None, 200)])
    assert till.record("charge", found) == "applied"
    assert [line for line in till.money() if "REFUND" in line] == ["REFUND -100 re_1", "REFUND -200 re_2"]
    assert till.fetches() == []


def test_refund_larger_than_its_payment_is_refused_and_kept(till: Till) -> None:
    till.pay("pi_1")
    assert till.tell("refund.created", told.refund("re_1", "pi_1", PAID + 1)) == "refused stripe_refund_too_large"
    assert till.tell("refund.created", told.refund("re_2", "pi_1", PAID - 1)) == "applied"
    assert till.tell("refund.created", told.refund("re_3", "pi_1", 2)) == "refused stripe_refund_too_large"
    assert till.alerts() == ["stripe_event_refused"]
    assert till.package("pi_1")["payment_status"] == "succeeded"


def test_fees_come_from_the_charge_and_its_balance_transaction(till: Till) -> None:
    till.pay("pi_1")
    assert till.tell("charge.succeeded", told.charge("pi_1", PAID, fee=4000)) == "applied"
    assert till.fetches() == [], "there is nothing to ask for yet"
    assert till.tell("charge.updated", told.charge("pi_1", PAID, fee=4000, transaction="txn_1")) == "applied"
    assert till.fetches() == ["balance_transaction txn_1"]
    details = [{"type": "stripe_fee", "amount": 1390}, {"type": "application_fee", "amount": 4000}]
    transaction = {
        "id": "txn_1",
        "source": "ch_of_pi_1",
        "fee": 5390,
        "fee_details": details,
        "currency": "aud",
        "created": 1_764_000_000,
    }
    assert till.record("balance_transaction", transaction) == "applied"
    assert till.tell("charge.updated", told.charge("pi_1", PAID, fee=4000, transaction=transaction)) == "applied"
    assert till.money() == [f"INCOME {PAID} pi_1", "FEE -1390 ch_of_pi_1", "PLATFORM_FEE -4000 ch_of_pi_1"]


def test_dispute_holds_the_money_and_gives_it_back_when_won(till: Till) -> None:
    package = till.pay("pi_1")
    assert till.org.coach.call("public.use_session", p_purchase_id=package)
    till.tell("charge.dispute.created", told.dispute("du_1", "pi_1", PAID, moved=(-PAID,), fee=2500))
    found = till.package("pi_1")
    assert (found["sessions_total"], found["payment_status"]) == (1, "succeeded"), "held, not refunded"
    assert till.alerts() == ["payment_disputed", "refund_exceeds_unused"]
    till.tell("charge.dispute.closed", told.dispute("du_1", "pi_1", PAID, "won", moved=(-PAID, PAID), fee=2500))
    till.tell(
        "charge.dispute.funds_reinstated", told.dispute("du_1", "pi_1", PAID, "won", moved=(-PAID, PAID), fee=2500)
    )
    assert till.package("pi_1")["sessions_total"] == 10
    assert till.money() == [
        f"INCOME {PAID} pi_1",
        "FEE -2500 txn_du_1_0",
        f"DISPUTE {-PAID} du_1",
        f"DISPUTE {PAID} du_1/reinstated",
    ]


def test_every_order_of_a_lost_disputes_events_ends_lost(till: Till) -> None:
    body = told.dispute("du_1", "pi_1", PAID, moved=(-PAID,))
    story = [
        told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta())),
        told.event("charge.dispute.created", body),
        told.event("charge.dispute.funds_withdrawn", body),
        told.event("charge.dispute.closed", {**body, "status": "lost"}),
    ]
    for n, order in enumerate(itertools.permutations(story)):
        written = (
            json.dumps(order).replace("pi_1", f"pi_{n}x").replace("du_1", f"du_{n}x").replace('"evt_', f'"evt_{n}x_')
        )
        sends(till, json.loads(written))
        assert till.package(f"pi_{n}x")["payment_status"] == "refunded"
    assert till.db.owner.values("select distinct status from public.disputes") == ["lost"]
    assert len([line for line in till.money() if line.startswith("DISPUTE")]) == 24


@pytest.mark.parametrize("version", SHAPES)
def test_each_paid_period_grants_its_sessions_once(till: Till, version: str) -> None:
    offer = till.org.add_offer(
        name="Monthly", offer_type="subscription", billing_period="monthly", price_cents=5000, sessions_included=4
    )
    meta = till.meta(offer_id=offer)
    first = told.invoice(
        "in_1", "sub_1", 5000, version=version, reason="subscription_create", intent="pi_s1", meta=meta
    )
    second = told.invoice("in_2", "sub_1", 5000, version=version, intent="pi_s2")
    prorated = told.invoice("in_3", "sub_1", 900, version=version, reason="subscription_update", intent="pi_s3")
    # The renewal is told before anybody knows whose subscription it is.
    assert till.tell("invoice.paid", second, version=version) == "waiting"
    assert (
        till.tell("customer.subscription.updated", told.subscription("sub_1", version=version), version=version, at=100)
        == "waiting"
    )
    assert till.tell("invoice.paid", first, version=version) == "applied"
    session = told.checkout(None, 5000, meta, mode="subscription", subscription="sub_1", customer="cus_of_sub_1")
    assert till.tell("checkout.session.completed", session, version=version) == "applied"
    for again in (first, second, prorated):
        assert till.tell("invoice.paid", again, version=version) == "applied"
        assert till.tell("invoice.payment_succeeded", again, version=version) == "applied"
    rows = till.db.owner.rows(
        "select sessions_total, expires_at from public.client_purchases where offer_id = %s", (offer,)
    )
    assert [(row["sessions_total"], int(row["expires_at"].timestamp())) for row in rows] == [(4, 1_767_000_000)] * 2
    assert till.money() == ["INCOME 5000 in_1", "INCOME 5000 in_2", "INCOME 900 in_3"]
    mirror = till.db.owner.row("select * from public.subscriptions")
    assert (mirror["status"], mirror["price_cents"], mirror["client_id"]) == ("active", 5000, till.org.client_id)
    assert int(mirror["current_period_end"].timestamp()) == 1_767_000_000


@pytest.mark.parametrize("version", SHAPES)
def test_refund_of_a_period_finds_its_package(till: Till, version: str) -> None:
    offer = till.org.add_offer(
        name="Monthly", offer_type="subscription", billing_period="monthly", price_cents=5000, sessions_included=4
    )
    bill = told.invoice(
        "in_1",
        "sub_1",
        5000,
        version=version,
        reason="subscription_create",
        intent="pi_s1",
        meta=till.meta(offer_id=offer),
    )
    assert till.tell("invoice.paid", bill, version=version) == "applied"
    outcome = till.tell("refund.created", told.refund("re_1", "pi_s1", 2500), version=version)
    assert outcome == ("applied" if version == OLD else "waiting")
    if version == NEW:
        assert till.fetches() == ["invoice in_1"]
        payments = {
            "object": "list",
            "data": [{"id": "inpay_1", "payment": {"type": "payment_intent", "payment_intent": "pi_s1"}}],
        }
        assert till.record("invoice", {**bill, "payments": payments}) == "applied"
    assert till.db.owner.value("select sessions_total from public.client_purchases where offer_id = %s", (offer,)) == 2
    assert till.money() == ["INCOME 5000 in_1", "REFUND -2500 re_1"]


def test_price_is_shown_by_the_month(till: Till) -> None:
    prices = [
        ({"unit_amount": 1200, "recurring": {"interval": "year", "interval_count": 1}}, 3, 300),
        ({"unit_amount": 600, "recurring": {"interval": "month", "interval_count": 3}}, None, 200),
        ({"amount": 1200, "interval": "week", "interval_count": 2}, 1, 2600),
        ({"unit_amount": None, "recurring": {"interval": "month"}}, 1, None),
        ({"unit_amount": 10**11}, 1, 100_000_000),
    ]
    for price, quantity, wanted in prices:
        found = till.db.owner.call("private.monthly_cents", p_price=Jsonb(price), p_quantity=Jsonb(quantity))
        assert (found or None) == wanted, price


def test_two_events_in_one_second_are_settled_by_asking(till: Till) -> None:
    meta = till.meta()
    active, late = told.subscription("sub_1", meta=meta), told.subscription("sub_1", status="past_due", meta=meta)
    assert till.tell("customer.subscription.created", active, at=1000) == "applied"
    assert till.tell("customer.subscription.updated", late, at=1000) == "applied"
    assert till.fetches() == ["subscription sub_1"], "nobody knows which came last"
    assert till.record("subscription", late) == "applied"
    status = "select status from public.subscriptions"
    assert till.db.owner.value(status) == "past_due"
    assert till.tell("customer.subscription.updated", active, at=999) == "applied"
    assert till.db.owner.value(status) == "past_due", "what is older changes nothing"
    assert till.tell("customer.subscription.updated", active, at=1001) == "applied"
    assert till.db.owner.value(status) == "active"


def test_event_that_comes_while_it_is_being_asked_is_asked_again(till: Till) -> None:
    meta = till.meta()
    for status in ("active", "past_due"):
        till.tell("customer.subscription.updated", told.subscription("sub_1", status=status, meta=meta), at=1000)
    (row,) = till.service.rows("select * from service.claim_stripe_fetches()")
    till.tell("customer.subscription.updated", told.subscription("sub_1", status="canceled", meta=meta), at=1000)
    keys = {f"p_{name}": row[name] for name in ("account", "kind", "stripe_id", "claim")}
    assert till.service.call("service.record_stripe_object", **keys, p_object=None, p_error=None) == "stale"
    assert till.record("subscription", told.subscription("sub_1", status="canceled", meta=meta)) == "applied"
    assert till.db.owner.value("select status from public.subscriptions") == "canceled"


def test_payouts_are_booked_once_and_one_that_failed_came_back(till: Till) -> None:
    body = {"id": "po_1", "object": "payout", "amount": 5000, "currency": "aud", "arrival_date": 1_764_000_000}
    assert till.tell("payout.failed", body) == "applied"
    assert till.tell("payout.paid", body) == "applied"
    assert till.tell("payout.paid", {**body, "id": "po_2"}) == "applied"
    assert till.money() == ["PAYOUT -5000 po_1", "PAYOUT 5000 po_1/returned", "PAYOUT -5000 po_2"]
    assert till.alerts() == ["payout_failed"]


def test_account_says_what_it_may_and_the_older_word_counts_less(till: Till) -> None:
    body = {
        "id": "acct_kilo",
        "object": "account",
        "charges_enabled": True,
        "payouts_enabled": True,
        "details_submitted": True,
    }
    assert till.tell("account.updated", body, at=2000) == "applied"
    assert till.tell("account.updated", {**body, "payouts_enabled": False}, at=1000) == "applied"
    flags = "select charges_enabled, payouts_enabled, details_submitted from public.stripe_accounts where org_id = %s"
    assert set(till.db.owner.row(flags, (till.org.id,)).values()) == {True}
    assert till.tell("account.application.deauthorized", {"id": "ca_1", "object": "application"}, at=3000) == "applied"
    assert till.db.owner.row(flags, (till.org.id,))["charges_enabled"] is False


def test_nothing_personal_is_kept_of_an_event(till: Till) -> None:
    till.pay("pi_1")
    till.tell(
        "charge.succeeded",
        told.charge("pi_1", PAID, fee=1, transaction="txn_1", refunds=[told.refund("re_1", "pi_1", 1)]),
    )
    till.tell("charge.dispute.created", told.dispute("du_1", "pi_1", PAID))
    till.tell("invoice.paid", told.invoice("in_1", "sub_1", 1))
    till.tell(
        "customer.created",
        {
            "id": "cus_1",
            "object": "customer",
            "email": told.SECRETS[0],
            "name": told.SECRETS[1],
            "status": told.SECRETS[1],
        },
    )
    kept: list[Any] = till.db.owner.values("select to_jsonb(e) from private.stripe_events as e")
    written = json.dumps(kept)
    assert len(kept) == 5
    assert [secret for secret in told.SECRETS if secret in written] == []
    assert "pi_1" in written


def test_zero_decimal_currency_is_booked_as_it_is(till: Till) -> None:
    offer = till.org.add_offer(name="Yen", price_cents=9000, currency="jpy")
    body = told.checkout("pi_1", 9000, till.meta(offer_id=offer), currency="jpy")
    assert till.tell("checkout.session.completed", body) == "applied"
    assert till.db.owner.row("select amount_cents, currency from public.money_events where source = 'stripe'") == {
        "amount_cents": 9000,
        "currency": "jpy",
    }
    assert (
        till.tell("refund.created", told.refund("re_1", "pi_1", 10, currency="aud"))
        == "refused stripe_currency_mismatch"
    )
