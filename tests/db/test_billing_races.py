"""Two tabs, two workers, two events at once: one trial, one customer, no client too many, and nothing unheard."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.db.test_entitlements_model import new_org
from tests.harness.database import Database, refusal
from tests.harness.races import Outcome, barrier_race, values

TABS = 12


@pytest.fixture
def org_id(db: Database) -> UUID:
    plan = {"p_plan": "pro", "p_name": "Pro", "p_price_cents": 100, "p_stripe_price_id": "price_pro"}
    db.owner.call("service.set_plan", **plan, p_features=["marketing"], p_limits='{"clients": 5}', p_is_default=True)
    return new_org(db)


def owner_of(db: Database, org_id: UUID) -> UUID:
    return db.owner.value("select user_id from public.org_members where org_id = %s", (org_id,))  # type: ignore[no-any-return]


def slugs(outcomes: list[Outcome]) -> list[str | None]:
    return [said[1] if (said := refusal(outcome.error)) else None for outcome in outcomes]


def test_of_many_tabs_one_starts_the_trial(db: Database, org_id: UUID) -> None:
    owner = owner_of(db, org_id)
    outcomes = barrier_race(
        TABS, lambda tab: tab.call("public.start_trial", p_org_id=org_id), prepare=lambda _: db.sign_in(owner)
    )
    assert sorted(slugs(outcomes), key=str) == [None, *["trial_used"] * (TABS - 1)]
    assert db.owner.value("select count(*) from public.plan_grants") == 1


def test_one_click_sent_many_times_is_one_trial_and_one_answer(db: Database, org_id: UUID) -> None:
    owner, click = owner_of(db, org_id), uuid4()
    outcomes = barrier_race(
        TABS,
        lambda tab: tab.call("public.start_trial", p_org_id=org_id, p_request_id=click),
        prepare=lambda _: db.sign_in(owner),
    )
    assert len({json.dumps(answer, sort_keys=True) for answer in values(outcomes)}) == 1
    assert db.owner.value("select count(*) from public.plan_grants") == 1


def test_clients_added_at_once_stay_within_the_plan(db: Database, org_id: UUID) -> None:
    owner = owner_of(db, org_id)
    add = "insert into public.clients (org_id, full_name) values (%s, 'A client') returning id"
    outcomes = barrier_race(TABS, lambda tab: tab.value(add, (org_id,)), prepare=lambda _: db.sign_in(owner))
    assert slugs(outcomes).count("plan_limit_reached") == TABS - 5
    assert db.owner.value("select count(*) from public.clients where org_id = %s", (org_id,)) == 5


def test_tabs_that_each_made_a_customer_go_on_with_the_same(db: Database, org_id: UUID) -> None:
    outcomes = barrier_race(
        TABS,
        lambda number: db.service().call(
            "service.link_billing_customer", p_org_id=org_id, p_customer_id=f"cus_{number}"
        ),
    )
    assert len(set(values(outcomes))) == 1


def event(number: int, created: int, status: str) -> str:
    item = {"price": {"id": "price_pro"}, "current_period_end": 2_000_000_000}
    subscription: dict[str, Any] = {"id": "sub_1", "customer": "cus_1", "status": status, "created": 100}
    subscription["items"] = {"data": [item]}
    return json.dumps(
        {
            "id": f"evt_{number}",
            "type": "customer.subscription.updated",
            "created": created,
            "data": {"object": subscription},
        }
    )


def hear(db: Database, events: list[str]) -> list[str]:
    outcomes = barrier_race(
        len(events),
        lambda pair: pair[0].call("private.apply_platform_event", p_event=pair[1]),
        prepare=lambda number: (db.connect(), events[number]),
    )
    return values(outcomes)


def test_events_at_once_leave_the_latest(db: Database, org_id: UUID) -> None:
    db.owner.call("service.link_billing_customer", p_org_id=org_id, p_customer_id="cus_1")
    statuses = ["active", "past_due", "active", "unpaid", "active", "past_due", "active", "canceled"]
    hear(db, [event(number, 1000 + number, status) for number, status in enumerate(statuses)])
    row = db.owner.row(
        "select status, refetch_at, extract(epoch from as_of)::integer as at from public.org_subscriptions"
    )
    assert row == {"status": "canceled", "refetch_at": None, "at": 1007}


def test_events_of_one_second_are_asked_about_once(db: Database, org_id: UUID) -> None:
    db.owner.call("service.link_billing_customer", p_org_id=org_id, p_customer_id="cus_1")
    answers = hear(db, [event(number, 1000, "active" if number % 2 else "past_due") for number in range(8)])
    assert sorted(answers) == ["mirrored", *["refetch"] * 7]
    claims = barrier_race(
        8, lambda caller: caller.call("service.claim_subscription_checks"), prepare=lambda _: db.service()
    )
    assert sum(len(rows) for rows in values(claims)) == 1


def test_one_event_twenty_times_is_heard_once(db: Database, org_id: UUID) -> None:
    db.owner.call("service.link_billing_customer", p_org_id=org_id, p_customer_id="cus_1")
    answers = hear(db, [event(1, 1000, "active")] * 20)
    assert sorted(answers) == ["mirrored", *["repeated"] * 19]
    assert db.owner.value("select count(*) from public.org_subscriptions where refetch_at is null") == 1
