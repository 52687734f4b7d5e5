"""`coach plan` and `coach billing`: plans are data, and every entitlement says why."""

import json
from uuid import UUID, uuid4

import pytest
from tests.cli.conftest import Coach
from tests.db.test_entitlements_model import new_org
from tests.harness.database import Database


@pytest.fixture
def org_id(db: Database) -> UUID:
    return new_org(db)


def test_without_plans_everything_is_allowed_and_said_so(coach: Coach, org_id: UUID) -> None:
    listed = coach("plan", "list")
    assert (listed.code, "may use everything" in listed.err) == (0, True)
    assert coach("plan", "list", "--json").data == []
    found = coach("billing", "show", org_id, "--json").data
    assert found["features"]["marketing"] == {"is_allowed": True, "until": None, "why": ["no_plans"]}
    assert "there are no plans" in coach("billing", "show", org_id).out


def test_a_plan_is_made_changed_and_listed(coach: Coach, org_id: UUID) -> None:
    made = coach(
        *("plan", "set", "pro", "--name", "Pro", "--price", 4900, "--of-sales", "2.5%", "--feature", "marketing"),
        *("--limit", "clients=50", "--limit", "staff=3", "--rank", 10, "--stripe-price", "price_1", "--json"),
    ).data
    assert (made["commission_rate"], made["limits"]) == (0.025, {"clients": 50, "staff": 3})
    changed = coach("plan", "set", "pro", "--price", 5900, "--not-for-sale", "--json").data
    assert (changed["price_cents"], changed["is_active"], changed["features"]) == (5900, False, ["marketing"])
    listed = coach("plan", "list").out
    assert "2.5 %" in listed
    assert "clients 50, staff 3" in listed
    assert {row["feature"] for row in coach("plan", "features", "--json").data} >= {"marketing", "clients", "staff"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--name", "Pro"), "Check price."),
        (("--price", 100), "Check name."),
        (("--name", "Pro", "--price", 1, "--feature", "flying"), "Check features."),
        (("--name", "Pro", "--price", 1, "--limit", "wings=2"), "Check limits."),
        (("--name", "Pro", "--price", 1, "--period", "daily"), "Check billing_period."),
        (("--name", "Pro", "--price", 1, "--currency", "AUD"), "Check currency."),
        (("--name", "Pro", "--price", 1, "--stripe-price", "prod_1"), "Check stripe_price_id."),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(coach: Coach, arguments: tuple[object, ...], words: str) -> None:
    coach("plan", "set", "pro", *arguments).refused(words)
    assert coach("plan", "list", "--json").data == []


@pytest.mark.parametrize("arguments", [("--of-sales", "140%"), ("--of-sales", "some"), ("--limit", "clients")])
def test_a_number_that_is_none_is_misused(coach: Coach, arguments: tuple[str, ...]) -> None:
    coach("plan", "set", "pro", "--name", "Pro", "--price", 1, *arguments).misused()


def test_a_price_is_one_plans(coach: Coach) -> None:
    coach("plan", "set", "pro", "--name", "Pro", "--price", 100, "--stripe-price", "price_1")
    coach("plan", "set", "team", "--name", "Team", "--price", 200, "--stripe-price", "price_1").refused("another plan")
    coach("plan", "set", "pro", "--stripe-price", "price_2")
    coach("plan", "set", "team", "--name", "Team", "--price", 200, "--stripe-price", "price_1").refused("another plan")


def test_a_comp_and_a_trial_come_and_go_with_their_reasons(coach: Coach, org_id: UUID) -> None:
    coach("plan", "set", "free", "--name", "Free", "--price", 0, "--default")
    coach("plan", "set", "pro", "--name", "Pro", "--price", 100, "--feature", "marketing", "--rank", 10)
    request, why = uuid4(), ("--reason", "Asked")
    comp: tuple[object, ...] = (
        "billing",
        "comp",
        org_id,
        "pro",
        "--until",
        "2030-01-01T00:00+00:00",
        "--reason",
        "Founder",
    )
    comp += ("--request-id", request, "--json")
    given = coach(*comp).data["grant_id"]
    assert coach(*comp).data["grant_id"] == given
    trial = coach("billing", "grant-trial", org_id, "pro", "--reason", "Asked", "--json").data["grant_id"]
    shown = coach("billing", "show", org_id).out
    for words in ("Pro", "2030-01-01 00:00", "pro: given by the platform; pro: a trial", given, trial):
        assert words in shown
    before = coach("billing", "show", org_id, "--at", "2020-01-01T00:00+00:00", "--json").data
    assert (before["plan"], before["features"]["marketing"]["is_allowed"]) == ("free", False)
    assert coach("billing", "revoke", org_id, given, *why, "--json").data["is_revoked"] is True
    assert coach("billing", "revoke", org_id, given, *why, "--json").data["is_revoked"] is False
    reasons = coach("billing", "show", org_id, "--json").data["features"]["marketing"]["why"]
    assert [reason["id"] for reason in reasons] == [trial]
    coach("billing", "revoke", org_id, uuid4(), *why).refused("no such grant")
    coach("billing", "comp", org_id, "gold", "--until", "2030-01-01T00:00+00:00", *why).refused("no such plan")
    coach("billing", "comp", org_id, "pro", "--until", "2020-01-01T00:00+00:00", *why).refused("Check ends_at")
    coach("billing", "comp", org_id, "pro", *why).misused("--until")
    coach("billing", "comp", org_id, "pro", "--until", "2030-01-01T00:00+00:00").misused("--reason")
    coach("billing", "show", "nobody").refused("no such organisation")


def test_what_a_plan_was_and_became_is_audited(coach: Coach, db: Database) -> None:
    coach("plan", "set", "pro", "--name", "Pro", "--price", 100)
    coach("plan", "set", "pro", "--price", 200)
    row = db.owner.rows("select before, after from private.platform_audit_log order by happened_at")[-1]
    assert (row["before"]["price_cents"], row["after"]["price_cents"]) == (100, 200)
    assert "Pro" not in json.dumps([row["before"], row["after"]])
