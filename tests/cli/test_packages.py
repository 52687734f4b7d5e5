"""coach package, session: from the sale to the last entry of the ledger."""

import uuid
from datetime import datetime

import pytest
from tests.cli.conftest import Coach
from tests.harness.world import World


def test_packages_are_listed_with_what_is_used_left_and_bookable(coach: Coach, world: World) -> None:
    rows = coach("package", "list", "--org", "kilo", "--json").data
    (row,) = rows
    assert row["purchase_id"] == str(world.kilo.package_id)
    assert (row["sessions_total"], row["sessions_used"], row["sessions_remaining"], row["bookable"]) == (10, 0, 10, 9)
    assert coach("package", "list", "--org", "kilo", "--client", world.kilo.client_id, "--json").data == rows
    table = coach("package", "list", "--org", "kilo")
    assert str(world.kilo.package_id) in table.out
    assert "bookable" in table.out
    # Another tenant's client does not exist here.
    coach("package", "list", "--org", "kilo", "--client", world.lima.client_id).refused("There is no such client.")


def test_a_package_is_shown(coach: Coach, world: World) -> None:
    shown = coach("package", "show", world.kilo.package_id, "--json").data
    assert (shown["org_id"], shown["client_id"]) == (str(world.kilo.id), str(world.kilo.client_id))
    assert (shown["amount_paid_cents"], shown["currency"], shown["frozen_since"]) == (80_000, "aud", None)
    assert "UTC" in coach("package", "show", world.kilo.package_id).out
    coach("package", "show", uuid.uuid4()).refused("There is no such package.")


def test_an_offer_is_sold_once_per_request(coach: Coach, world: World) -> None:
    sale = ("package", "sell", "--org", "kilo", "--client", world.kilo.client_id, "--offer", world.kilo.offer_id)
    click = uuid.uuid4()
    sold = coach(*sale, "--method", "card", "--request-id", click, "--json").data
    assert coach(*sale, "--method", "card", "--request-id", click, "--json").data == sold
    shown = coach("package", "show", sold["purchase_id"], "--json").data
    assert (shown["payment_status"], shown["payment_method"], shown["sessions_total"]) == ("succeeded", "card", 10)
    assert len(coach("package", "list", "--org", "kilo", "--json").data) == 2


def test_a_sale_that_does_not_fit_is_refused(coach: Coach, world: World) -> None:
    kilo, lima = world.kilo, world.lima

    def sell(*extra: object, client: object = kilo.client_id, offer: object = kilo.offer_id) -> None:
        result = coach("package", "sell", "--org", "kilo", "--client", client, "--offer", offer, *extra)
        result.refused()

    sell(client=lima.client_id)
    sell(offer=lima.offer_id)
    sell(client=uuid.uuid4())
    sell("--promo", uuid.uuid4())
    sell("--method", "shells")
    sell("--payment", "refunded")
    assert len(coach("package", "list", "--org", "kilo", "--json").data) == 1


def test_a_frozen_package_gives_nothing_and_thaws_with_a_later_expiry(coach: Coach, world: World) -> None:
    package = world.kilo.sell(offer_id=world.kilo.add_offer(name="Ten in a month", pack_validity_days=30))
    before = coach("package", "show", package, "--json").data["expires_at"]
    since = coach("package", "freeze", package, "--json").data["frozen_since"]
    assert coach("package", "freeze", package, "--json").data["frozen_since"] == since
    assert coach("session", "use", package).code == 1
    after = coach("package", "unfreeze", package, "--json").data["expires_at"]
    assert datetime.fromisoformat(after) > datetime.fromisoformat(before)
    assert coach("session", "use", package, "--json").data == {"taken": True}
    assert coach("package", "freeze", package).out.startswith("frozen_since  20")
    coach("package", "freeze", uuid.uuid4()).refused("There is no such package.")
    coach("package", "unfreeze", uuid.uuid4()).refused("There is no such package.")


def test_an_expiry_moves_later_only(coach: Coach, world: World) -> None:
    package = world.kilo.sell(offer_id=world.kilo.add_offer(name="Ten in a month", pack_validity_days=30))
    moved = coach("package", "extend", package, "2040-01-31T23:59+10:00", "--json").data["expires_at"]
    assert datetime.fromisoformat(moved) == datetime.fromisoformat("2040-01-31T23:59+10:00")
    coach("package", "extend", package, "2039-01-31T23:59+10:00").refused("must be later")
    coach("package", "extend", package, "9999-12-31T00:00Z").refused("must be later")
    # A package that never expires has nothing to move.
    coach("package", "extend", world.kilo.package_id, "2040-01-31T23:59Z").refused("must be later")


@pytest.mark.parametrize("until", ["2040-01-31", "2040-01-31T23:59", "tomorrow", "", "2040-13-01T00:00Z"])
def test_an_instant_without_its_offset_is_wrong_usage(coach: Coach, world: World, until: str) -> None:
    coach("package", "extend", world.kilo.package_id, until).misused("such as 2027-01-31T23:59+10:00")


def test_a_correction_is_ledgered_and_stays_in_range(coach: Coach, world: World) -> None:
    package, click = world.kilo.package_id, uuid.uuid4()
    correct = ("package", "correct", package)
    assert coach(*correct, "--used", 4, "--request-id", click, "--json").data == {"sessions_used": 4}
    assert coach(*correct, "--used", 4, "--request-id", click, "--json").data == {"sessions_used": 4}
    assert coach(*correct, "--total", 12, "--json").data == {"sessions_used": 4}
    coach(*correct, "--used", 13).refused("between zero and the total")
    coach(*correct, "--total", 3).refused("between zero and the total")
    coach(*correct, "--used", -1).misused("--used")
    coach(*correct, "--used", 10**30).misused("--used")
    coach(*correct, "--used", "many").misused("--used")
    coach(*correct).misused("--used, --total, or both")
    history = coach("session", "history", package, "--json").data
    assert [(row["used_delta"], row["total_delta"]) for row in history] == [(0, 2), (4, 0)]
    assert world.kilo.sessions() == (4, 4)


def test_a_session_is_taken_once_per_request_and_given_back_once(coach: Coach, world: World) -> None:
    package, click, back = world.kilo.package_id, uuid.uuid4(), uuid.uuid4()
    for _ in range(2):
        assert coach("session", "use", package, "--request-id", click, "--json").data == {"taken": True}
    assert world.kilo.sessions() == (1, 1)
    for _ in range(2):
        released = coach("session", "release", package, "--request-id", back, "--json").data
        assert released == {"sessions_used": 0}
    assert world.kilo.sessions() == (0, 0)
    coach("session", "use", package, "--request-id", back).refused("already used")


def test_a_bookings_session_is_its_own(coach: Coach, world: World) -> None:
    kilo = world.kilo
    booking = kilo.book_past()
    for _ in range(2):
        assert coach("session", "use", kilo.package_id, "--booking", booking, "--json").data == {"taken": True}
    assert kilo.sessions() == (1, 1)
    coach("session", "use", kilo.package_id, "--booking", world.lima.booking_id).refused("There is no such booking.")
    coach("session", "use", kilo.sell(), "--booking", booking).refused("not paid from this package")
    assert coach("session", "release", kilo.package_id, "--booking", booking, "--json").data == {"sessions_used": 0}


def test_nothing_to_take_or_to_give_back_exits_one(coach: Coach, world: World) -> None:
    package = world.kilo.sell(sessions=1)
    nothing = coach("session", "release", package, "--json")
    assert (nothing.code, nothing.out.split()) == (1, ["{", '"sessions_used":', "-1", "}"])
    assert "no session to give back" in nothing.err
    assert coach("session", "use", package).code == 0
    empty = coach("session", "use", package)
    assert (empty.code, empty.out) == (1, "taken  no\n")
    assert "none is left" in empty.err
    coach("session", "use", uuid.uuid4()).refused("There is no such package.")
    coach("session", "release", uuid.uuid4()).refused("There is no such package.")


def test_the_ledger_is_read_in_plain_words_or_slugs(coach: Coach, world: World) -> None:
    package = world.kilo.package_id
    coach("session", "use", package)
    coach("session", "release", package)
    rows = coach("session", "history", package, "--json").data
    assert [(row["kind"], row["used_delta"], row["reason"]) for row in rows] == [
        ("release", -1, "released"),
        ("use", 1, "click"),
    ]
    assert list(rows[0]) == [
        *("entry_id", "kind", "used_delta", "total_delta", "reason", "booking_id", "actor_id", "created_at")
    ]
    table = coach("session", "history", package).out
    assert "taken at a click" in table
    assert "given back" in table
    assert len(coach("session", "history", package, "--limit", 1, "--json").data) == 1
    coach("session", "history", uuid.uuid4()).refused("There is no such package.")
