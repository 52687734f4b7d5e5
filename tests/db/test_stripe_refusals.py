"""What Stripe, or somebody behind it, tells that cannot be: refused and kept, and nothing else changes."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb
from tests.db.paying import PAID, Till
from tests.harness import stripe_events as told
from tests.harness.database import refuses
from tests.harness.races import barrier_race, values
from tests.harness.world import World


@pytest.fixture
def till(world: World) -> Till:
    return Till.open(world)


def nothing(till: Till) -> bool:
    return till.packages() == 0 and till.money() == []


def test_another_tenants_account_with_our_metadata_is_refused_and_kept(till: Till, world: World) -> None:
    lima = Till.open(world, "lima")
    ours = told.checkout("pi_1", PAID, till.meta())
    assert lima.tell("checkout.session.completed", ours) == "refused stripe_metadata_foreign"
    without_org = {key: value for key, value in till.meta().items() if key != "org_id"}
    assert (
        lima.tell("checkout.session.completed", told.checkout("pi_2", PAID, without_org))
        == "refused stripe_metadata_foreign"
    )
    half = lima.meta(client_id=till.org.client_id)
    assert (
        lima.tell("payment_intent.succeeded", {"id": "pi_3", "amount": 1, "currency": "aud", "metadata": half})
        == "refused stripe_metadata_foreign"
    )
    other = told.checkout("pi_4", PAID, lima.meta(offer_id=till.org.offer_id))
    assert lima.tell("checkout.session.completed", other) == "refused stripe_metadata_foreign"
    bill = told.invoice("in_1", "sub_1", 5000, reason="subscription_create", meta=till.meta())
    assert lima.tell("invoice.paid", bill) == "refused stripe_metadata_foreign"
    assert (
        lima.tell("customer.subscription.created", told.subscription("sub_1", meta=till.meta()))
        == "refused stripe_metadata_foreign"
    )
    assert nothing(till)
    assert (till.alerts(), lima.alerts()) == ([], ["stripe_event_refused"]), (
        "the account's own organisation is told, once"
    )
    assert (
        till.db.owner.value(
            "select count(*) from private.stripe_events where org_id = %s and status = 'refused'", (lima.org.id,)
        )
        == 6
    )
    # Kilo's payment is not Lima's to refund or to dispute either.
    till.pay("pi_1")
    assert lima.tell("refund.created", told.refund("re_1", "pi_1", 1)) == "waiting"
    assert lima.tell("charge.dispute.created", told.dispute("du_1", "pi_1", PAID, moved=(-PAID,))) == "waiting"
    assert till.money() == [f"INCOME {PAID} pi_1"]


def test_unknown_account_is_kept_and_replayed_once_it_is_connected(till: Till, world: World) -> None:
    event = told.event(
        "checkout.session.completed",
        told.checkout("pi_1", PAID, Till(till.db, world.lima, "x").meta()),
        account="acct_lima",
        id="evt_early",
    )
    assert till.send(event) == "refused stripe_account_unknown"
    assert till.send(event) == "repeated"
    lima = Till.open(world, "lima")
    answer = till.service.call("service.replay_stripe_event", p_event_id="evt_early")
    assert answer == {"event_id": "evt_early", "outcome": "applied", "error": None}
    assert lima.package("pi_1")["org_id"] == world.lima.id
    assert till.service.call("service.replay_stripe_event", p_event_id="evt_early")["outcome"] == "applied"
    assert till.money() == [f"INCOME {PAID} pi_1"], "a replay books nothing more"


CANNOT_BE: tuple[tuple[dict[str, Any], str], ...] = (
    ({"amount_total": None}, "stripe_field_missing"),
    ({"amount_total": 12.5}, "stripe_amount_invalid"),
    ({"amount_total": -1}, "stripe_amount_invalid"),
    ({"amount_total": "100"}, "stripe_amount_invalid"),
    ({"amount_total": 10**30}, "stripe_amount_invalid"),
    ({"amount_total": 100_000_001}, "stripe_amount_invalid"),
    ({"currency": None}, "stripe_field_missing"),
    ({"currency": "usd"}, "sale_currency_mismatch"),
    ({"payment_intent": None}, "stripe_field_missing"),
    ({"metadata": {"client_id": "x", "offer_id": "y"}}, "stripe_metadata_foreign"),
    ({"metadata": {"client_id": str(uuid4()), "offer_id": str(uuid4())}}, "stripe_metadata_foreign"),
)


def test_checkout_that_cannot_be_is_refused_and_told(till: Till) -> None:
    for change, slug in CANNOT_BE:
        body = {**told.checkout("pi_1", PAID, till.meta()), **change}
        assert till.tell("checkout.session.completed", body) == f"refused {slug}", change
        assert nothing(till), change
    assert till.alerts() == ["stripe_event_refused"]


def test_missing_field_is_told_not_guessed(till: Till) -> None:
    for field in ("mode", "payment_status"):
        body = told.checkout("pi_1", PAID, till.meta())
        del body[field]
        assert till.tell("checkout.session.completed", body) == "refused stripe_field_missing", field
    bill = told.invoice("in_1", "sub_1", 5000, reason="subscription_create", meta=till.meta())
    bill["lines"]["data"] = []
    assert till.tell("invoice.paid", bill) == "refused stripe_field_missing"
    gone = told.subscription("sub_1", meta=till.meta())
    del gone["items"]["data"][0]["current_period_end"]
    assert till.tell("customer.subscription.updated", gone) == "refused stripe_field_missing"
    assert nothing(till)
    assert till.db.owner.value("select count(*) from public.subscriptions") == 0
    assert till.alerts() == ["stripe_event_refused"]


def test_payments_that_were_made_elsewhere_are_not_ours(till: Till) -> None:
    assert till.tell("checkout.session.completed", told.checkout("pi_1", PAID, {})) == "ignored"
    assert (
        till.tell("payment_intent.succeeded", {"id": "pi_1", "amount": 1, "currency": "aud", "metadata": {}})
        == "ignored"
    )
    assert till.tell("charge.succeeded", told.charge("pi_1", PAID)) == "waiting"
    assert till.tell("invoice.paid", told.invoice("in_1", "sub_9", 5000)) == "waiting"
    assert till.tell("some.new.type", {"id": "x_1"}) == "ignored"
    assert till.send(told.event("customer.created", {"id": "cus_1"}, account=None)) == "ignored"
    assert nothing(till)
    sweep = "select * from service.sweep_stripe_events(p_now => %s)"
    later = datetime.now(UTC) + timedelta(days=3, hours=1)
    assert till.service.row(sweep, (later,)) == {"settled": 0, "failed": 0, "forgotten": 2, "deleted": 0}
    assert till.db.owner.values("select distinct status from private.stripe_events") == ["ignored"]
    assert till.service.row(sweep, (later + timedelta(days=90),))["deleted"] == 6


NO_EVENTS: tuple[Any, ...] = (
    {},
    {"id": "evt_1"},
    {"id": "x", "type": "a", "created": 1, "data": {"object": {}}},
    {"id": "evt_1", "type": "a", "created": "x", "data": {"object": {}}},
    {"id": "evt_1", "type": "a'b", "created": 1, "data": {"object": {}}},
    {"id": "evt_1", "type": "a", "created": 1, "data": {"object": []}},
    *([], "x", 1),
)


def test_what_is_no_event_is_refused(till: Till) -> None:
    for event in NO_EVENTS:
        with refuses(422, "value_not_allowed"):
            till.service.call("service.receive_stripe_event", p_event=Jsonb(event))
    assert till.db.owner.value("select count(*) from private.stripe_events") == 0


def test_no_other_role_takes_events_in(till: Till) -> None:
    for caller in (till.org.coach, till.db.anon()):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.call("service.receive_stripe_event", p_event=Jsonb({}))


def test_crash_between_claim_and_effect_leaves_nothing_and_the_next_delivery_does_all(till: Till) -> None:
    event = told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta()))
    tab, blocker = till.db.service(), till.db.connect("postgres")
    pid = tab.connection.info.backend_pid
    errors: list[BaseException] = []

    def deliver() -> None:
        try:
            till.send(event, tab)
        except BaseException as error:
            errors.append(error)

    with blocker.transaction() as connection:
        # The claim is written; the effect waits for the ledger.
        connection.execute("lock table public.money_events in share row exclusive mode")
        thread = threading.Thread(target=deliver)
        thread.start()
        for _ in range(200):
            waits = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
            if till.db.connect("supabase_admin").rows(waits, (pid,)):
                break
            time.sleep(0.02)
        else:
            raise AssertionError("the effect never waited")
        till.db.connect("supabase_admin").rows("select pg_terminate_backend(%s)", (pid,))
        thread.join(10)
    assert len(errors) == 1
    assert nothing(till)
    assert till.db.owner.value("select count(*) from private.stripe_events") == 0, "the claim went with its effect"
    assert till.send(event) == "applied"
    assert till.money() == [f"INCOME {PAID} pi_1"]


def test_effect_that_fails_is_kept_with_its_slug_and_done_by_the_next_delivery(till: Till) -> None:
    event = told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta()))
    owner = till.db.owner
    owner.rows(
        "create function private.tg_break() returns trigger language plpgsql as $$ begin raise division_by_zero; end $$"
    )
    owner.rows(
        "create trigger broken before insert on public.money_events for each row execute function private.tg_break()"
    )
    assert till.send(event) == "failed sqlstate_22012"
    assert till.send(event) == "failed sqlstate_22012"
    assert nothing(till), "half an effect is none"
    owner.rows("drop trigger broken on public.money_events")
    outcomes = values(barrier_race(8, lambda tab: till.send(event, tab), prepare=lambda _: till.db.service()))
    assert sorted(outcomes) == ["applied"] + ["repeated"] * 7
    assert till.money() == [f"INCOME {PAID} pi_1"]
    assert owner.value("select attempts from private.stripe_events") == 3


def test_event_that_failed_is_applied_by_the_sweep_where_stripe_has_given_up(till: Till) -> None:
    owner = till.db.owner
    owner.rows(
        "create function private.tg_break() returns trigger language plpgsql as $$ begin raise division_by_zero; end $$"
    )
    owner.rows(
        "create trigger broken before insert on public.money_events for each row execute function private.tg_break()"
    )
    assert till.tell("checkout.session.completed", told.checkout("pi_1", PAID, till.meta())) == "failed sqlstate_22012"
    owner.rows("drop trigger broken on public.money_events")
    assert till.service.row("select * from service.sweep_stripe_events()")["settled"] == 0, "not at once"
    later = datetime.now(UTC) + timedelta(minutes=5)
    assert (
        till.service.row("select * from service.sweep_stripe_events(p_now => %s, p_dry_run => true)", (later,))[
            "settled"
        ]
        == 1
    )
    assert till.money() == []
    assert till.service.row("select * from service.sweep_stripe_events(p_now => %s)", (later,))["settled"] == 1
    assert till.money() == [f"INCOME {PAID} pi_1"]


def test_brake_keeps_events_and_the_sweep_applies_them_in_their_order(till: Till) -> None:
    owner = till.db.owner
    owner.insert("private.brakes", kind="payments", org_id=till.org.id, reason="a test")
    assert till.tell("refund.created", told.refund("re_1", "pi_1", PAID // 2), at=2000) == "braked"
    event = told.event("checkout.session.completed", told.checkout("pi_1", PAID, till.meta()), at=1000)
    assert (till.send(event), till.send(event)) == ("braked", "repeated")
    assert till.service.row("select * from service.sweep_stripe_events()")["settled"] == 0
    assert nothing(till)
    owner.rows("delete from private.brakes")
    assert till.service.row("select * from service.sweep_stripe_events()")["settled"] == 2
    assert till.money() == [f"INCOME {PAID} pi_1", f"REFUND {-PAID // 2} re_1"]
    assert till.package("pi_1")["sessions_total"] == 5


def test_paid_package_is_stripes_and_is_neither_set_nor_deleted_by_hand(till: Till) -> None:
    package = till.pay("pi_1")
    with refuses(409, "paid_through_stripe"):
        till.org.coach.rows("update public.client_purchases set payment_status = 'refunded' where id = %s", (package,))
    with refuses(409, "purchase_in_use"):
        till.org.coach.rows("delete from public.client_purchases where id = %s", (package,))
    till.org.coach.rows(
        "update public.client_purchases set payment_status = 'succeeded', sessions_total = 11 where id = %s", (package,)
    )
    assert till.package("pi_1")["sessions_total"] == 11
