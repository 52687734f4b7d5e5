"""Deposits at their limits: paid and expired at once, told by several at once, asked for twice, killed in between."""

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.db.exactness import assert_exact
from tests.db.gates import gate as all_have_read
from tests.harness.local_stripe import LocalStripe
from tests.harness.races import barrier_race, values
from tests.harness.stripe_gate import StripeGate
from tests.harness.takings import ACCOUNT, DEPOSIT_CENTS, Takings, open_takings
from tests.harness.world import World

from coach_os.database import PostgresDatabase
from coach_os.errors import Unavailable

WIDTH = 16


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
    return open_takings(world.kilo, stripe)


def test_a_deposit_asked_for_by_many_tabs_is_one(takings: Takings) -> None:
    start = takings.start()
    asked = values(barrier_race(WIDTH, lambda tab: takings.ask(start, by=tab), prepare=lambda _: takings.db.service()))
    assert len(set(asked)) == 1
    assert_exact(takings.db)


def test_a_payment_told_by_many_at_once_is_applied_once(takings: Takings) -> None:
    deposit_id = takings.ask(takings.start())
    with all_have_read(takings.db, "public.bookings", waiting=WIDTH):
        told = barrier_race(
            WIDTH, lambda tab: takings.told(deposit_id, by=tab), prepare=lambda _: takings.db.connect("postgres")
        )
    assert Counter(values(told)) == {"paid": WIDTH}
    assert takings.money("INCOME") == DEPOSIT_CENTS
    assert len(takings.db.owner.rows("select id from public.bookings where client_id = %s", (takings.client_id,))) == 1
    assert_exact(takings.db)


@pytest.mark.parametrize("after", ["0", "3 minutes"], ids=["in time", "late"])
def test_paid_and_expired_at_once_is_booked_or_refunded(takings: Takings, after: str) -> None:
    """The payment's news, the sweeps of deposits and holds, and somebody else who wants the time, all at once."""
    sweeps = (
        "select service.claim_deposits(p_now => now() + interval '20 minutes')",
        "select * from service.sweep_expired_holds(p_now => now() + interval '20 minutes')",
    )
    for _ in range(6):
        start = takings.start()
        deposit_id = takings.ask(start)
        if after != "0":
            takings.expire(deposit_id)

        def act(ready: tuple[int, Any], deposit_id: uuid.UUID = deposit_id, start: Any = start) -> Any:
            number, tab = ready
            if number < 2:
                return takings.told(deposit_id, by=tab, after=after)
            if number < 4:
                return tab.rows(sweeps[number - 2])
            book = "private.book(%s, %s, null, %s, null, null, null, null, 'coach', 'trainer', null, null, null)"
            return tab.value(f"select {book}", (takings.org.id, takings.org.client_id, start))

        outcomes = values(barrier_race(5, act, prepare=lambda number: (number, takings.db.connect("postgres"))))
        found = takings.deposit(deposit_id)
        refunded = [r["amount_cents"] for r in takings.refunds() if r["deposit_id"] == deposit_id]
        assert outcomes[:2] == [found["status"]] * 2
        assert (found["status"], refunded) in (("paid", []), ("late", [DEPOSIT_CENTS]))
        assert_exact(takings.db)


def test_two_payments_of_one_deposit_keep_one(takings: Takings) -> None:
    deposit_id = takings.ask(takings.start())

    def pay(ready: tuple[int, Any]) -> str:
        return takings.told(deposit_id, by=ready[1], id=f"pi_{ready[0]}")

    told = barrier_race(4, pay, prepare=lambda number: (number, takings.db.connect("postgres")))
    assert values(told) == ["paid"] * 4
    assert takings.money("INCOME") == 4 * DEPOSIT_CENTS
    assert [(r["reason"], r["amount_cents"]) for r in takings.refunds()] == [("paid_twice", DEPOSIT_CENTS)] * 3
    assert_exact(takings.db)


# At Stripe


def test_many_pages_make_one_intent_on_the_organisations_account(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    opened = values(barrier_race(6, lambda _: takings.open(deposit_id)))
    assert {(status, intent["id"]) for status, intent in opened} == {("due", opened[0][1]["id"])}
    assert all(intent["client_secret"] for _, intent in opened)
    (made,) = stripe.made("payment_intents")
    assert (made.account, made.key, made.form["application_fee_amount"]) == (ACCOUNT, f"deposit-{deposit_id}", "125")
    assert made.form["metadata[deposit_id]"] == str(deposit_id)
    assert takings.deposit(deposit_id)["stripe_payment_intent_id"] == opened[0][1]["id"]


def test_a_creation_that_nobody_recorded_is_the_same_intent(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    killed(takings, "deposit", str(deposit_id))
    assert (takings.deposit(deposit_id)["intent_status"], len(stripe.made("payment_intents"))) == ("asked", 1)
    status, _ = takings.open(deposit_id)
    assert (status, len(stripe.made("payment_intents"))) == ("due", 1)


def test_an_unrecorded_intent_of_an_expired_deposit_is_cancelled(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    killed(takings, "deposit", str(deposit_id))
    takings.expire(deposit_id)
    assert takings.settle() == {"cancelled": 1}
    assert len(stripe.made("payment_intents")) == 1
    found = takings.deposit(deposit_id)
    assert (found["status"], found["intent_status"], found["next_at"]) == ("expired", "canceled", None)
    intent = stripe.behind.get(f"/v1/payment_intents/{found['stripe_payment_intent_id']}")
    assert intent["status"] == "canceled"
    assert takings.settle() == {}


def test_expiry_cancels_the_intent_and_frees_the_time(takings: Takings, stripe: StripeGate) -> None:
    start = takings.start()
    deposit_id = takings.ask(start)
    _, intent = takings.open(deposit_id)
    takings.expire(deposit_id)
    assert takings.settle() == {"cancelled": 1}
    with pytest.raises(Exception, match="400"):
        stripe.pay(intent["id"])
    assert takings.ask(start) != deposit_id


def test_a_payment_whose_news_was_lost_is_found_by_the_sweep(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    _, intent = takings.open(deposit_id)
    stripe.pay(intent["id"])
    takings.expire(deposit_id, also_the_hold=False)
    assert takings.settle() == {"paid": 1}
    assert takings.deposit(deposit_id)["booking_id"] is not None
    assert takings.money("INCOME") == DEPOSIT_CENTS
    assert_exact(takings.db)


def test_a_late_payment_goes_back_whole(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    _, intent = takings.open(deposit_id)
    stripe.pay(intent["id"])
    takings.expire(deposit_id)
    assert takings.settle() == {"late": 1}
    assert takings.carry() == {"succeeded": 1}
    (refund,) = stripe.made("refunds")
    assert (refund.account, refund.form["amount"], refund.form["payment_intent"]) == (ACCOUNT, "2500", intent["id"])
    assert (takings.money("INCOME"), takings.money("REFUND")) == (DEPOSIT_CENTS, -DEPOSIT_CENTS)
    assert_exact(takings.db)


def test_stripe_away_leaves_the_deposit_due(takings: Takings, stripe: StripeGate) -> None:
    deposit_id = takings.ask(takings.start())
    stripe.then(*["before"] * 3)
    with pytest.raises(Unavailable):
        takings.open(deposit_id)
    found = takings.deposit(deposit_id)
    assert (found["status"], found["intent_status"], found["error_code"]) == ("due", "asked", "stripe_unavailable")
    status, _ = takings.open(deposit_id)
    assert status == "due"


def test_a_deposit_that_stripe_refuses_holds_up_no_other(takings: Takings, stripe: StripeGate) -> None:
    first, second = takings.ask(takings.start()), takings.ask(takings.start())
    takings.db.owner.rows("update public.deposits set next_at = now() - interval '1 minute'")
    stripe.then((400, "amount_too_small"))
    assert takings.settle() == {"failed": 1, "stripe_refused": 1, "due": 1}
    assert {takings.deposit(d)["intent_status"] for d in (first, second)} == {"asked", "open"}


def killed(takings: Takings, what: str, *arguments: str) -> None:
    """A process of its own carries it, and is killed after Stripe has answered and before that is recorded."""
    assert takings.gate is not None
    command = [sys.executable, "-m", "tests.db.carrying", takings.db.url, takings.gate.url, what, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr.decode()


def test_an_expired_deposit_is_not_opened(takings: Takings) -> None:
    deposit_id = takings.ask(takings.start())
    takings.expire(deposit_id)

    async def step(stripe: Any, database: PostgresDatabase) -> Any:
        return await database.rpc("service.open_deposit", p_deposit_id=deposit_id)

    assert takings.at_stripe(step) is None
