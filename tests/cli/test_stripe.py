"""coach stripe: what an operator sees of Stripe's events, and applying one once more."""

from tests.cli.conftest import Coach
from tests.db.paying import PAID, Till
from tests.harness import stripe_events as told
from tests.harness.world import World


def test_events_are_listed_shown_and_applied_once_more(coach: Coach, world: World) -> None:
    kilo = Till.open(world)
    lima_meta = Till(kilo.db, world.lima, "acct_lima").meta()
    kilo.send(told.event("checkout.session.completed", told.checkout("pi_1", PAID, kilo.meta()), id="evt_kilo"))
    sold = told.checkout("pi_2", PAID, lima_meta)
    kilo.send(told.event("checkout.session.completed", sold, account="acct_lima", id="evt_lima"))
    events = coach("stripe", "events", "list", "--json").data
    assert [(row["event_id"], row["status"], row["error"]) for row in events] == [
        ("evt_lima", "refused", "stripe_account_unknown"),
        ("evt_kilo", "applied", None),
    ]
    assert [row["event_id"] for row in coach("stripe", "events", "list", "--org", "kilo", "--json").data] == [
        "evt_kilo"
    ]
    assert [row["event_id"] for row in coach("stripe", "events", "list", "--status", "refused", "--json").data] == [
        "evt_lima"
    ]
    assert "evt_kilo" in coach("stripe", "events", "list").out
    shown = coach("stripe", "events", "show", "evt_kilo", "--json").data
    assert shown["kept"]["amount_total"] == PAID
    assert told.SECRETS[0] not in coach("stripe", "events", "show", "evt_kilo").out
    coach("stripe", "events", "show", "evt_none").refused("There is no such event.")

    Till.open(world, "lima")
    assert coach("stripe", "replay", "evt_lima", "--json").data["outcome"] == "applied"
    assert coach("stripe", "replay", "evt_lima", "--json").data["outcome"] == "applied"
    assert kilo.money() == [f"INCOME {PAID} pi_1", f"INCOME {PAID} pi_2"]
    coach("stripe", "replay", "evt_none").refused("There is no such event.")
