"""Refunds and receipts at their limits: asked for by many, carried by many, killed, forgotten and told twice."""

import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from json import dumps
from typing import Any

import pytest
from tests.db.exactness import assert_exact
from tests.db.gates import gate as all_have_read
from tests.harness.database import Caller, refusal
from tests.harness.local_stripe import LocalStripe
from tests.harness.races import Outcome, barrier_race, values
from tests.harness.stripe_gate import StripeGate
from tests.harness.takings import ACCOUNT, DEPOSIT_CENTS, Takings, open_takings
from tests.harness.world import World

from coach_os.providers.stripe import RETRIES, TIMEOUT_SECONDS
from coach_os.sweeps import deposits, refunds

WIDTH = 32
TOO_MUCH = (409, "refund_exceeds_payment")


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


def ended(outcomes: list[Outcome]) -> Counter[Any]:
    """How a race ended: `done` for a value, else the refusal."""
    return Counter("done" if outcome.error is None else refusal(outcome.error) for outcome in outcomes)


def paid_at_stripe(takings: Takings) -> dict[str, Any]:
    """A deposit that a card has really paid, and that is booked."""
    assert takings.gate is not None
    deposit_id = takings.ask(takings.start())
    _, intent = takings.open(deposit_id)
    paid = takings.gate.pay(intent["id"])
    assert takings.told(deposit_id, id=paid["id"]) == "paid"
    return takings.deposit(deposit_id)


def refund(tab: Caller, deposit: dict[str, Any], cents: int | None = None, request: uuid.UUID | None = None) -> Any:
    return tab.call(
        "public.refund_payment", p_payment_id=deposit["payment_id"], p_amount_cents=cents, p_request_id=request
    )


def rolled_back(tab: Caller, statement: str, argument: Any) -> None:
    """Runs it in a transaction that then fails."""
    with suppress(ZeroDivisionError), tab.transaction() as connection:
        connection.execute(statement.encode(), (argument,))
        raise ZeroDivisionError


# Asked for


@pytest.mark.parametrize(("cents", "times"), [(None, 1), (DEPOSIT_CENTS, 1), (500, 5), (700, 3)])
def test_many_coaches_refund_no_more_than_was_paid(takings: Takings, cents: int | None, times: int) -> None:
    deposit = takings.paid()
    with all_have_read(takings.db, "public.refunds", waiting=WIDTH):
        outcomes = barrier_race(
            WIDTH, lambda tab: refund(tab, deposit, cents), prepare=lambda _: takings.org.another_tab()
        )
    assert ended(outcomes) == {"done": times, TOO_MUCH: WIDTH - times}
    assert_exact(takings.db)


def test_one_request_refunds_once_however_often_it_is_sent(takings: Takings) -> None:
    deposit, request = takings.paid(), uuid.uuid4()
    answers = values(
        barrier_race(WIDTH, lambda tab: refund(tab, deposit, 400, request), prepare=lambda _: takings.org.another_tab())
    )
    assert len(set(answers)) == len(takings.refunds()) == 1


def test_cancelled_by_everybody_at_once_gives_back_once(takings: Takings) -> None:
    """The client's portal, two calendars and an operator cancel one booking in the same moment."""

    def cancel(ready: tuple[int, Caller, uuid.UUID]) -> Any:
        door, tab, booking = ready
        if door == 0:
            return tab.call("public.portal_cancel", p_token=str(takings.token), p_booking_id=booking)
        if door == 1:
            return tab.rows("update bookings set status = 'cancelled' where id = %s", (booking,))
        return tab.call(("public" if door == 2 else "service") + ".cancel_booking", p_booking_id=booking)

    def prepare(door: int, booking: uuid.UUID) -> tuple[int, Caller, uuid.UUID]:
        return door, takings.org.another_tab() if door in (1, 2) else takings.db.service(), booking

    for _ in range(4):
        deposit = takings.paid()
        with all_have_read(takings.db, "public.refunds", waiting=4):
            outcomes = barrier_race(4, cancel, prepare=partial(prepare, booking=deposit["booking_id"]))
        assert all(o.error is None or refusal(o.error) is not None for o in outcomes), outcomes
        assert [r["amount_cents"] for r in takings.refunds() if r["deposit_id"] == deposit["id"]] == [DEPOSIT_CENTS]
    assert_exact(takings.db)


def test_a_cancellation_that_is_rolled_back_asks_for_nothing(takings: Takings) -> None:
    deposit = takings.paid()
    rolled_back(takings.org.coach, "update bookings set status = 'cancelled' where id = %s", deposit["booking_id"])
    assert takings.refunds() == []


# Carried


def test_a_refund_is_carried_whole_and_booked_once(takings: Takings, stripe: StripeGate) -> None:
    deposit = paid_at_stripe(takings)
    refund(takings.org.coach, deposit, 1000)
    assert takings.carry() == {"succeeded": 1}
    assert takings.carry() == {}
    (made,) = stripe.made("refunds")
    (row,) = takings.refunds()
    assert (made.account, made.key, made.form["amount"]) == (ACCOUNT, f"refund-{row['id']}", "1000")
    assert (made.form["metadata[refund_id]"], made.form["refund_application_fee"]) == (str(row["id"]), "true")
    assert (row["status"], takings.money("REFUND")) == ("succeeded", -1000)
    assert_exact(takings.db)


@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_answer_that_was_lost_is_made_good_by_the_key(takings: Takings, stripe: StripeGate, cut: str) -> None:
    refund(takings.org.coach, paid_at_stripe(takings))
    stripe.then(cut)
    assert takings.carry() == {"succeeded": 1}
    assert (len(stripe.made("refunds")), takings.money("REFUND")) == (1, -DEPOSIT_CENTS)


@pytest.mark.parametrize("forgets", [False, True], ids=["the key is known", "the key is forgotten"])
def test_a_kill_between_stripe_and_the_record_pays_nothing_twice(
    takings: Takings, stripe: StripeGate, forgets: bool
) -> None:
    refund(takings.org.coach, paid_at_stripe(takings))
    command = [sys.executable, "-m", "tests.db.carrying", takings.db.url, stripe.url, "refunds"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == -9
    (row,) = takings.refunds()
    assert (row["status"], len(stripe.made("refunds")), takings.money("REFUND")) == ("sending", 1, 0)
    assert takings.carry() == {}, "it is somebody's until the lease is over"
    takings.db.owner.rows("update public.refunds set next_at = now()")
    stripe.forgets_keys = forgets
    assert takings.carry() == {"succeeded": 1}
    assert (len(stripe.made("refunds")), takings.money("REFUND")) == (1, -DEPOSIT_CENTS)
    assert_exact(takings.db)


def test_stripe_away_for_long_leaves_it_due(takings: Takings, stripe: StripeGate) -> None:
    refund(takings.org.coach, paid_at_stripe(takings))
    stripe.then(*[(503, "unavailable")] * 3)
    assert takings.carry() == {"requested": 1}
    (row,) = takings.refunds()
    assert (row["status"], row["attempts"], row["settled_at"]) == ("requested", 1, None)
    takings.db.owner.rows("update public.refunds set next_at = now()")
    assert takings.carry() == {"succeeded": 1}


def test_what_stripe_refuses_fails_and_is_told(takings: Takings, stripe: StripeGate) -> None:
    refund(takings.org.coach, paid_at_stripe(takings))
    stripe.then((400, "charge_disputed"))
    assert takings.carry() == {"failed": 1}
    (row,) = takings.refunds()
    assert (row["status"], row["error_code"]) == ("failed", "charge_disputed")
    assert takings.db.owner.values("select kind from public.alerts where kind = 'refund_failed'") == ["refund_failed"]
    assert_exact(takings.db)


def test_an_account_without_the_money_is_tried_again(takings: Takings, stripe: StripeGate) -> None:
    refund(takings.org.coach, paid_at_stripe(takings))
    stripe.then((400, "balance_insufficient"))
    assert takings.carry() == {"requested": 1}


def test_many_workers_with_bad_connections_pay_each_refund_once(takings: Takings, stripe: StripeGate) -> None:
    chance = random.Random(5)
    for _ in range(3):
        deposit = paid_at_stripe(takings)
        for cents in (300, 700, 1100):
            refund(takings.org.coach, deposit, cents)
    moods: list[Any] = ["before", "after", 0.02, 0.02, (503, "unavailable")]
    stripe.then(*(chance.choice(moods) for _ in range(30)))

    def work(tab: Caller) -> None:
        for _ in range(10):
            takings.carry()
            tab.rows("update public.refunds set next_at = now() where status = 'requested'")
            if not tab.values("select id from public.refunds where next_at is not null"):
                return

    values(barrier_race(3, work, prepare=lambda _: takings.db.connect("postgres")))
    assert Counter(row["status"] for row in takings.refunds()) == {"succeeded": 9}
    assert Counter(r.form["metadata[refund_id]"] for r in stripe.made("refunds")) == {
        str(row["id"]): 1 for row in takings.refunds()
    }
    assert takings.money("REFUND") == -3 * 2100
    assert_exact(takings.db)


def test_the_sweep_and_the_webhook_tell_of_one_refund(takings: Takings) -> None:
    """What Stripe answers and what it sends meet in the same moment, from eight sides."""
    deposit = takings.paid()
    refund(takings.org.coach, deposit, 1000)
    takings.db.owner.rows("select * from service.claim_refunds()")
    (row,) = takings.refunds()
    answer = dumps({"id": "re_1", "status": "succeeded", "amount": 1000})
    webhook = ("select private.apply_refund(%s, %s, %s::jsonb)", (takings.org.id, row["id"], answer))
    record = ("select service.record_refund(%s, %s, %s::jsonb)", (row["id"], row["claim"], answer))

    def tell(ready: tuple[int, Caller]) -> Any:
        return ready[1].value(*(webhook if ready[0] % 2 else record))

    with all_have_read(takings.db, "public.money_events", waiting=8):
        told = values(barrier_race(8, tell, prepare=lambda n: (n, takings.db.connect("postgres"))))
    assert set(told) == {"succeeded"}
    assert takings.money("REFUND") == -1000
    assert_exact(takings.db)


# Receipts


def test_receipts_have_no_gap_however_many_number_them(takings: Takings) -> None:
    """Sales, sweeps, coaches at the desk, and transactions that are rolled back, all at once."""
    owner = takings.db.owner
    book = "select private.book_money(%s, 'INCOME', 100, 'aud', 'stripe', %s, p_client_id => %s)"
    events = [owner.value(book, (takings.org.id, f"pi_{n}", takings.client_id)) for n in range(60)]

    def act(ready: tuple[int, Caller]) -> None:
        number, tab = ready
        for nth in range(number, 60, 8):
            if number % 4 == 0:
                tab.rows("select * from service.sweep_receipts(3)")
            elif number % 4 == 1:
                tab.rows("select service.issue_receipt(%s)", (events[nth],))
            elif number % 4 == 2:
                rolled_back(tab, "select service.issue_receipt(%s)", events[nth])
            else:
                tab.rows(book, (takings.org.id, f"pi_{number}_{nth}", takings.client_id))

    values(barrier_race(WIDTH, lambda r: act((r[0] % 8, r[1])), prepare=lambda n: (n, takings.db.connect("postgres"))))
    owner.rows("select * from service.sweep_receipts(1000)")
    numbers = owner.values("select number from public.receipts where org_id = %s order by number", (takings.org.id,))
    sold = owner.value(
        "select count(*) from public.money_events where org_id = %s and type = 'INCOME'", (takings.org.id,)
    )
    assert numbers == list(range(1, sold + 1))
    assert_exact(takings.db)


def test_a_lease_outlives_what_it_is_for() -> None:
    """A try at Stripe, with its repeats, ends well within the time for which it is claimed."""
    one = timedelta(seconds=TIMEOUT_SECONDS * (RETRIES + 1))
    assert timedelta(seconds=refunds.LEASE_SECONDS) > 2 * one
    assert timedelta(seconds=deposits.LEASE_SECONDS) > 3 * one
