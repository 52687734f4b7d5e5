"""Thirty-two connections on one package: the last session, one request id, one click, one release."""

import uuid
from functools import partial
from typing import Any

import psycopg
import pytest
from tests.db.exactness import assert_exact
from tests.db.gates import gate
from tests.db.studio import Studio, release, use
from tests.harness.database import Caller, refusal
from tests.harness.races import Outcome, barrier_race, values

WIDTH = 32
LEDGER = "public.session_entries"


def refusals(outcomes: list[Outcome]) -> list[tuple[int, str] | None]:
    """The refusals of those who got an error; None stands for an error that is no refusal."""
    return [refusal(outcome.error) for outcome in outcomes if outcome.error is not None]


def answers(outcomes: list[Outcome]) -> list[Any]:
    return [outcome.value for outcome in outcomes if outcome.error is None]


def test_last_session_is_taken_once_by_32_people(studio: Studio) -> None:
    package = studio.package(10, used=9)
    people = [studio.colleague() for _ in range(WIDTH)]
    with gate(studio.db, LEDGER, waiting=WIDTH):
        taken = values(barrier_race(WIDTH, lambda n: use(people[n], package)))
    assert sorted(taken) == [False] * (WIDTH - 1) + [True]
    assert studio.used(package) == 10
    assert_exact(studio.db)


def test_last_session_is_taken_once_by_32_request_ids(studio: Studio) -> None:
    package = studio.package(1)

    def click(tab: Caller) -> Any:
        return tab.call("public.use_session", p_purchase_id=package, p_request_id=uuid.uuid4())

    taken = values(barrier_race(WIDTH, click, prepare=lambda _: studio.tab()))
    assert sorted(taken) == [False] * (WIDTH - 1) + [True]
    assert studio.used(package) == 1
    assert_exact(studio.db)


def test_each_of_32_people_takes_one_when_there_is_enough(studio: Studio) -> None:
    package = studio.package(40)
    people = [studio.colleague() for _ in range(WIDTH)]
    assert values(barrier_race(WIDTH, lambda n: use(people[n], package))) == [True] * WIDTH
    assert studio.used(package) == WIDTH
    assert_exact(studio.db)


def test_one_request_id_takes_one_and_answers_all_alike(studio: Studio) -> None:
    package, request_id = studio.package(40), uuid.uuid4()
    click = partial(Caller.call, function="public.use_session", p_purchase_id=package, p_request_id=request_id)
    with gate(studio.db, LEDGER, waiting=WIDTH):
        taken = values(barrier_race(WIDTH, click, prepare=lambda _: studio.tab()))
    assert taken == [True] * WIDTH
    assert len(studio.entries(package)) == 1
    assert_exact(studio.db)


def test_one_request_id_on_an_empty_package_answers_all_alike(studio: Studio) -> None:
    package, request_id = studio.package(1, used=1), uuid.uuid4()
    click = partial(Caller.call, function="public.use_session", p_purchase_id=package, p_request_id=request_id)
    assert values(barrier_race(WIDTH, click, prepare=lambda _: studio.tab())) == [False] * WIDTH
    studio.db.owner.call("service.correct_package", p_purchase_id=package, p_sessions_used=0)
    assert click(studio.tab()) is False, "the first answer stays, also when there would be a session now"
    assert_exact(studio.db)


def test_one_request_id_on_two_packages_takes_one_from_one_of_them(studio: Studio) -> None:
    packages, request_id = [studio.package(40), studio.package(40)], uuid.uuid4()

    def click(ready: tuple[Caller, uuid.UUID]) -> Any:
        return ready[0].call("public.use_session", p_purchase_id=ready[1], p_request_id=request_id)

    with gate(studio.db, LEDGER, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, click, prepare=lambda n: (studio.tab(), packages[n % 2]))
    assert answers(outcomes) == [True] * (WIDTH // 2)
    assert refusals(outcomes) == [(409, "request_reused")] * (WIDTH // 2)
    assert sorted(map(studio.used, packages)) == [0, 1]
    assert_exact(studio.db)


def test_32_instant_clicks_of_one_person_are_one(studio: Studio) -> None:
    package = studio.package(40)
    with gate(studio.db, LEDGER, waiting=WIDTH):
        taken = values(barrier_race(WIDTH, lambda tab: use(tab, package), prepare=lambda _: studio.tab()))
    assert taken == [True] * WIDTH
    assert studio.used(package) == 1
    assert_exact(studio.db)


def test_without_a_click_window_every_click_counts(studio: Studio) -> None:
    studio.settings(session_click_window_secs=0)
    package = studio.package(40)
    values(barrier_race(WIDTH, lambda tab: use(tab, package), prepare=lambda _: studio.tab()))
    assert studio.used(package) == WIDTH
    assert_exact(studio.db)


def test_32_instant_releases_of_one_person_give_one_back(studio: Studio) -> None:
    package = studio.package(40)
    for person in [studio.colleague() for _ in range(3)]:
        use(person, package)
    with gate(studio.db, LEDGER, waiting=WIDTH):
        left = values(barrier_race(WIDTH, lambda tab: release(tab, package), prepare=lambda _: studio.tab()))
    assert left == [2] * WIDTH
    assert studio.used(package) == 2
    assert_exact(studio.db)


@pytest.mark.parametrize("by", ["booking", "request"])
def test_32_releases_of_one_entry_give_it_back_once(studio: Studio, by: str) -> None:
    package, other = studio.package(40), uuid.uuid4()
    booking = studio.booking(package)
    studio.coach.call("public.use_session", p_purchase_id=package, p_booking_id=booking)
    studio.coach.call("public.use_session", p_purchase_id=package, p_request_id=other)
    named = {"p_booking_id": booking} if by == "booking" else {"p_request_id": uuid.uuid4()}

    def give_back(person: Caller) -> Any:
        return person.call("public.release_session", p_purchase_id=package, **named)

    people = [studio.colleague() for _ in range(WIDTH)]
    left = values(barrier_race(WIDTH, lambda n: give_back(people[n])))
    assert sorted(left) == ([-1] * (WIDTH - 1) + [1] if by == "booking" else [1] * WIDTH)
    assert studio.used(package) == 1
    assert_exact(studio.db)


def test_use_beside_release_never_leaves_the_bounds(studio: Studio) -> None:
    studio.settings(session_click_window_secs=0)
    package = studio.package(2, used=1)
    people = [studio.colleague() for _ in range(WIDTH)]

    def act(n: int) -> Any:
        return use(people[n], package) if n % 2 else release(people[n], package)

    outcomes = values(barrier_race(WIDTH, act))
    taken, given = outcomes[1::2].count(True), sum(left >= 0 for left in outcomes[0::2])
    assert studio.used(package) == 1 + taken - given
    assert_exact(studio.db)


def test_check_in_beside_a_hand_over_charges_or_detaches(studio: Studio) -> None:
    """The calendar gives the booking to another client, whom the package does not belong to."""
    package = studio.package(40)
    booking = studio.booking(package)
    other = studio.db.owner.call("service.create_client", p_org_id=studio.org_id, p_full_name="Another")

    def act(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 2:
            return tab.rows("update bookings set client_id = %s where id = %s", (other, booking))
        return tab.call("public.use_session", p_purchase_id=package, p_booking_id=booking)

    # The check-ins wait for each other at the gate; the hand-overs would pass it, did the booking's lock not hold them.
    with gate(studio.db, LEDGER, waiting=WIDTH):
        outcomes = barrier_race(WIDTH, act, prepare=lambda n: (n, studio.tab()))
    is_charged = studio.state(booking)[1] == "charged"
    expected = (409, "booking_charged") if is_charged else (422, "booking_not_in_package")
    assert set(refusals(outcomes)) == {expected}
    assert studio.used(package) == int(is_charged)
    assert_exact(studio.db)


def test_the_ledger_itself_refuses_a_second_charge_and_a_second_release(studio: Studio) -> None:
    """Behind the lock stand unique indexes: a rule that forgot the lock would be refused, not believed."""
    package = studio.package(40)
    booking = studio.booking(package)
    studio.coach.call("public.complete_booking", p_booking_id=booking)
    (charge,) = studio.entries(package)
    again = """insert into public.session_entries (org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason)
               select org_id, purchase_id, kind, used_delta, booking_id, charge_no, reason
                 from public.session_entries where id = %s"""
    give_back = """insert into public.session_entries (org_id, purchase_id, kind, used_delta, released_entry_id, reason)
                   values (%s, %s, 'release', -1, %s, 'released')"""
    with pytest.raises(psycopg.errors.UniqueViolation):
        studio.db.owner.rows(again, (charge["id"],))
    release(studio.coach, package)
    with pytest.raises(psycopg.errors.UniqueViolation):
        studio.db.owner.rows(give_back, (studio.org_id, package, charge["id"]))
    assert_exact(studio.db)
