"""What else happens to a package while sessions are taken from it: the editor, a freeze, a delete, a sale, an undo."""

import uuid
from typing import Any

import pytest
from tests.db.exactness import assert_exact, assert_settled
from tests.db.gates import gate
from tests.db.studio import Studio, mark_completed, release, save_editor, use
from tests.harness.database import Caller, refusal
from tests.harness.races import Outcome, barrier_race, values

WIDTH = 32
LEDGER = "public.session_entries"


def take(tab: Caller, package: uuid.UUID) -> Any:
    return tab.call("public.use_session", p_purchase_id=package, p_request_id=uuid.uuid4())


def refusals(outcomes: list[Outcome]) -> list[tuple[int, str] | None]:
    return [refusal(outcome.error) for outcome in outcomes if outcome.error is not None]


def test_editor_opened_before_the_takes_changes_nothing(studio: Studio) -> None:
    package = studio.package(40)

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return take(tab, package) if n % 2 else save_editor(tab, package, used=0, total=40)

    with gate(studio.db, LEDGER, waiting=WIDTH // 2):
        values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    assert studio.used(package) == WIDTH // 2
    assert {entry["kind"] for entry in studio.entries(package)} == {"use"}
    assert_exact(studio.db)


def test_one_correction_by_many_editors_is_made_once_and_loses_no_take(studio: Studio) -> None:
    package = studio.package(60)

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return take(tab, package) if n % 2 else save_editor(tab, package, used=20, total=60)

    values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    entries = studio.entries(package)
    assert [entry["reason"] for entry in entries].count("editor") == 1
    assert [entry["reason"] for entry in entries].count("click") == WIDTH // 2
    assert 20 <= studio.used(package) <= 20 + WIDTH // 2
    assert_exact(studio.db)


def test_lowering_the_total_beside_takes_never_strands_a_session(studio: Studio) -> None:
    package = studio.package(30)

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return (
            take(tab, package)
            if n % 2
            else tab.call("public.correct_package", p_purchase_id=package, p_sessions_total=8)
        )

    outcomes = barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab()))
    assert set(refusals(outcomes)) <= {(422, "sessions_out_of_range")}
    assert studio.used(package) == [outcome.value for outcome in outcomes[1::2]].count(True)
    assert_exact(studio.db)


def test_freeze_beside_takes_counts_each_answer(studio: Studio) -> None:
    package = studio.package(40)

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return take(tab, package) if n % 4 else tab.call("public.freeze_package", p_purchase_id=package)

    outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    taken = sum(outcome is True for n, outcome in enumerate(outcomes) if n % 4)
    assert len({since for n, since in enumerate(outcomes) if not n % 4}) == 1, "one freeze, one beginning"
    assert studio.used(package) == taken
    assert take(studio.tab(), package) is False
    assert_exact(studio.db)


def test_one_unfreeze_moves_the_expiry_once(studio: Studio) -> None:
    package = studio.package(10)
    studio.db.owner.rows(
        """update client_purchases set expires_at = now() + interval '10 days',
                  frozen_periods = tstzmultirange(tstzrange(now() - interval '5 days', null)) where id = %s""",
        (package,),
    )
    tabs = [studio.tab() for _ in range(WIDTH)]
    expiries = values(barrier_race(WIDTH, lambda n: tabs[n].call("public.unfreeze_package", p_purchase_id=package)))
    assert len(set(expiries)) == 1
    (days,) = studio.db.owner.values("select round(extract(epoch from %s - now()) / 86400)::int", (expiries[0],))
    assert days == 15
    assert_exact(studio.db)


@pytest.mark.parametrize("door", ["rpc", "app"])
def test_last_use_of_a_promo_code_is_sold_once(studio: Studio, door: str) -> None:
    offer = studio.offer(10, price_cents=10_000)
    promo = studio.db.owner.insert(
        "public.promo_codes",
        org_id=studio.org_id,
        code="LAST",
        discount_type="percentage",
        discount_value=10,
        max_uses=3,
    )["id"]
    studio.db.owner.rows("update promo_codes set times_used = 0 where id = %s", (promo,))

    def sell(tab: Caller) -> None:
        if door == "rpc":
            tab.call("public.sell_package", p_client_id=studio.client_id, p_offer_id=offer, p_promo_code_id=promo)
            return
        stale = tab.value("select times_used from promo_codes where id = %s", (promo,))
        tab.insert(
            "client_purchases",
            org_id=studio.org_id,
            client_id=studio.client_id,
            offer_id=offer,
            amount_paid_cents=9_000,
            discount_cents=1_000,
            promo_code_id=promo,
            sessions_total=10,
            sessions_used=0,
            payment_status="succeeded",
        )
        tab.rows("update promo_codes set times_used = %s where id = %s", (stale + 1, promo))

    with gate(studio.db, "public.client_purchases", waiting=WIDTH):
        outcomes = barrier_race(WIDTH, sell, prepare=lambda _: studio.tab())
    assert refusals(outcomes) == [(409, "promo_code_unavailable")] * (WIDTH - 3)
    assert studio.db.owner.value("select times_used from promo_codes where id = %s", (promo,)) == 3
    assert_exact(studio.db)


def test_one_request_id_sells_one_package(studio: Studio) -> None:
    offer, request_id = studio.offer(10), uuid.uuid4()

    def sell(tab: Caller) -> Any:
        return tab.call("public.sell_package", p_client_id=studio.client_id, p_offer_id=offer, p_request_id=request_id)

    with gate(studio.db, "public.client_purchases", waiting=WIDTH):
        outcomes = barrier_race(WIDTH, sell, prepare=lambda _: studio.tab())
    assert set(refusals(outcomes)) <= {(409, "request_in_progress")}
    sold = studio.db.owner.values("select id from client_purchases where offer_id = %s", (offer,))
    assert len(sold) == 1
    assert {outcome.value for outcome in outcomes if outcome.error is None} == set(sold)
    assert sell(studio.tab()) == sold[0], "asked again, it answers"


@pytest.mark.parametrize("attempt", range(3))
def test_package_is_deleted_or_taken_from_never_both(studio: Studio, attempt: int) -> None:
    # Not a sale, which would have its money booked and stay.
    package = studio.package(40, source="import", sessions_total=40)

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 4 == attempt:
            return tab.rows("delete from client_purchases where id = %s", (package,))
        if n % 4 == 3:
            return tab.insert(
                "bookings",
                org_id=studio.org_id,
                client_id=studio.client_id,
                purchase_id=package,
                start_time=f"2030-01-{n:02}T10:00Z",
                end_time=f"2030-01-{n:02}T11:00Z",
            )
        return take(tab, package)

    outcomes = barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab()))
    is_there = studio.db.owner.value("select exists (select from client_purchases where id = %s)", (package,))
    expected = (409, "purchase_in_use") if is_there else (404, "purchase_not_found")
    assert set(refusals(outcomes)) <= {expected}
    assert is_there or studio.entries(package) == []
    assert_exact(studio.db)


def test_undo_beside_sweeps_leaves_the_booking_confirmed_and_unpaid(studio: Studio) -> None:
    package = studio.package(10, used=2)
    booking = studio.booking(package)
    mark_completed(studio.coach, booking)
    later = "select * from service.sweep_overdue_bookings(100, clock_timestamp() + interval '5 minutes')"

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return tab.rows(later) if n % 2 else tab.call("public.undo_completion", p_booking_id=booking)

    outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.db.connect() if n % 2 else studio.tab())))
    assert set(outcomes[0::2]) == {2}
    assert studio.state(booking) == ("confirmed", None)
    assert_settled(studio.db)
    assert (studio.state(booking), studio.used(package)) == (("confirmed", None), 2)


def test_undo_beside_releases_gives_the_session_back_once(studio: Studio) -> None:
    package = studio.package(10, used=2)
    booking = studio.booking(package)
    assert studio.coach.call("public.complete_booking", p_booking_id=booking) == "charged"

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 2:
            return tab.call("public.release_session", p_purchase_id=package, p_booking_id=booking)
        return tab.call("public.undo_completion", p_booking_id=booking)

    with gate(studio.db, LEDGER, waiting=WIDTH):
        outcomes = values(barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab())))
    assert set(outcomes) <= {2, -1}
    assert (studio.state(booking), studio.used(package)) == (("confirmed", None), 2)
    assert_settled(studio.db)


def test_undo_after_a_correction_to_zero_takes_nothing_below_zero(studio: Studio) -> None:
    package = studio.package(10)
    booking = studio.booking(package)
    studio.coach.call("public.complete_booking", p_booking_id=booking)
    studio.coach.call("public.correct_package", p_purchase_id=package, p_sessions_used=0)
    assert studio.coach.call("public.undo_completion", p_booking_id=booking) == 0
    assert studio.state(booking) == ("confirmed", None)
    assert studio.coach.call("public.complete_booking", p_booking_id=booking) == "charged"
    assert studio.used(package) == 1
    assert_settled(studio.db)


def test_release_after_a_correction_to_zero_has_nothing_to_give(studio: Studio) -> None:
    package = studio.package(10)
    use(studio.coach, package)
    studio.coach.call("public.correct_package", p_purchase_id=package, p_sessions_used=0)
    assert release(studio.colleague(), package) == -1
    assert studio.used(package) == 0
    assert_exact(studio.db)
