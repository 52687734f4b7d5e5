"""The existing app's own sequences, request by request: however its tabs interleave, each booking takes exactly one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from tests.db.exactness import assert_exact, assert_settled, sweep_until_dry
from tests.db.gates import gate, wait_for_waiting
from tests.db.studio import Studio, load_calendar, mark_completed, use
from tests.harness.races import barrier_race, values

LEDGER = "public.session_entries"

# With the click window off, nothing but the bookings themselves can make it exactly one.
WINDOWS = pytest.mark.parametrize("window", [None, 0], ids=["default-window", "no-window"])


@WINDOWS
def test_one_tab_that_loads_twice_takes_one(studio: Studio, window: int | None) -> None:
    if window is not None:
        studio.settings(session_click_window_secs=window)
    package = studio.package(10)
    studio.booking(package)
    loads = values(barrier_race(2, load_calendar, prepare=lambda _: studio.tab()))
    assert sorted(map(len, loads)) == [0, 1]
    assert studio.used(package) == 1
    assert_settled(studio.db)
    assert studio.used(package) == 1


@WINDOWS
@pytest.mark.parametrize("people", [1, 2])
def test_many_tabs_on_many_bookings_take_one_each(studio: Studio, window: int | None, people: int) -> None:
    if window is not None:
        studio.settings(session_click_window_secs=window)
    packages = [studio.package(20) for _ in range(3)]
    bookings = [studio.booking(package, hours=-3 - 2 * n) for n, package in enumerate(packages * 4)]
    person = [studio.coach, studio.colleague()]
    loads = values(barrier_race(8, load_calendar, prepare=lambda n: studio.tab(person[n % people])))
    assert sorted(id for load in loads for id in load) == sorted(bookings)
    assert [studio.state(booking) for booking in bookings] == [("completed", "charged")] * len(bookings)
    assert_settled(studio.db)
    assert list(map(studio.used, packages)) == [4, 4, 4]


def test_five_instant_clicks_take_one(studio: Studio) -> None:
    package = studio.package(10)
    assert values(barrier_race(5, lambda tab: use(tab, package), prepare=lambda _: studio.tab())) == [True] * 5
    assert studio.used(package) == 1
    assert_exact(studio.db)


@pytest.mark.parametrize("people", [1, 2])
def test_two_tabs_on_the_last_session_take_it_once(studio: Studio, people: int) -> None:
    package = studio.package(5, used=4)
    person = [studio.coach, studio.colleague()]
    with gate(studio.db, LEDGER, waiting=2):
        taken = values(barrier_race(2, lambda tab: use(tab, package), prepare=lambda n: studio.tab(person[n % people])))
    assert sorted(taken) == ([True, True] if people == 1 else [False, True])
    assert studio.used(package) == 5
    assert_exact(studio.db)


def test_two_tabs_with_two_bookings_on_the_last_session_charge_one(studio: Studio) -> None:
    package = studio.package(5, used=4)
    bookings = [studio.booking(package, hours=-3), studio.booking(package, hours=-5)]
    person = [studio.coach, studio.colleague()]
    values(barrier_race(8, load_calendar, prepare=lambda n: studio.tab(person[n % 2])))
    assert sorted(map(studio.state, bookings)) == [("completed", "charged"), ("completed", "uncovered")]
    assert_settled(studio.db)
    assert studio.used(package) == 5


def test_tab_closed_between_its_requests_is_finished_by_the_sweep(studio: Studio) -> None:
    package = studio.package(10)
    booking = studio.booking(package)
    mark_completed(studio.tab(), booking)
    fresh = studio.db.owner.row("select * from service.sweep_overdue_bookings()")
    assert not any(fresh.values()), "within the grace the tab may still come"
    assert studio.state(booking) == ("completed", "due")
    assert sweep_until_dry(studio.db) == {"completed": 0, "charged": 1, "uncovered": 0}
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 1)
    assert_settled(studio.db)


@WINDOWS
@pytest.mark.parametrize("people", [1, 4])
def test_one_booking_from_every_door_at_once_takes_one(studio: Studio, window: int | None, people: int) -> None:
    """Tabs, sweeps and complete_booking, 32 at once on one booking."""
    if window is not None:
        studio.settings(session_click_window_secs=window)
    package = studio.package(40)
    booking = studio.booking(package)
    person = [studio.coach, *(studio.colleague() for _ in range(people - 1))]

    def door(n: int) -> None:
        if n % 4 == 3:
            studio.db.service().call("service.sweep_overdue_bookings")
        elif n % 4 == 2:
            tab = studio.tab(person[n // 4 % people])
            assert tab.call("public.complete_booking", p_booking_id=booking) == "charged"
        else:
            load_calendar(studio.tab(person[n % people]))

    with gate(studio.db, LEDGER, waiting=1):
        values(barrier_race(32, door))
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 1)
    assert_settled(studio.db)
    assert studio.used(package) == 1


def test_complete_booking_that_waited_for_a_tab_goes_on_from_what_the_tab_did(studio: Studio) -> None:
    package = studio.package(10)
    booking = studio.booking(package)
    tab, other = studio.tab(), studio.tab(studio.colleague())
    with ThreadPoolExecutor(1) as pool, psycopg.connect(studio.db.admin_url, autocommit=True) as watch:
        with tab.transaction() as connection:
            connection.execute("update bookings set status = 'completed' where id = %s", (booking,))
            answer = pool.submit(other.call, "public.complete_booking", p_booking_id=booking)
            wait_for_waiting(watch, 1)
        assert answer.result(30) == "charged"
    use(tab, package)
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 1)
    assert_settled(studio.db)


@WINDOWS
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("between", ["complete_booking", "use_session", "release_session"])
def test_other_door_between_a_tabs_two_requests_adds_nothing(
    studio: Studio, window: int | None, people: int, between: str
) -> None:
    """The tab's second request belongs to its first, whoever settles the booking in between."""
    if window is not None:
        studio.settings(session_click_window_secs=window)
    package = studio.package(10)
    booking = studio.booking(package)
    tab, other = studio.tab(), studio.tab(studio.colleague() if people == 2 else None)
    mark_completed(tab, booking)
    named = {"p_purchase_id": package, "p_booking_id": booking}
    if between == "complete_booking":
        other.call("public.complete_booking", p_booking_id=booking)
    else:
        other.call("public.use_session", **named)
    if between == "release_session":
        other.call("public.release_session", **named)
    use(tab, package)
    waived = between == "release_session"
    assert studio.state(booking) == ("completed", "waived" if waived else "charged")
    assert studio.used(package) == (0 if waived else 1)
    assert_settled(studio.db)


@WINDOWS
def test_calendar_completing_a_booking_charged_at_check_in_takes_nothing(studio: Studio, window: int | None) -> None:
    if window is not None:
        studio.settings(session_click_window_secs=window)
    package = studio.package(10)
    booking = studio.booking(package)
    desk = studio.colleague("front_desk")
    assert desk.call("public.use_session", p_purchase_id=package, p_booking_id=booking) is True
    load_calendar(studio.tab())
    assert_settled(studio.db)
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 1)


def test_two_people_who_each_meant_one_take_two(studio: Studio) -> None:
    """A colleague's click between a tab's two requests settles the booking; the tab's second request is the click."""
    studio.settings(session_click_window_secs=0)
    package = studio.package(10)
    booking = studio.booking(package)
    tab = studio.tab()
    mark_completed(tab, booking)
    assert use(studio.colleague(), package) is True
    assert use(tab, package) is True
    assert (studio.state(booking), studio.used(package)) == (("completed", "charged"), 2)
    assert_settled(studio.db)


def test_calendars_beside_sweeps_that_never_stop_take_one_each(studio: Studio) -> None:
    packages = [studio.package(40) for _ in range(4)]
    bookings = [studio.booking(package, hours=-3 - 2 * n) for n, package in enumerate(packages * 8)]
    done = threading.Event()

    def act(n: int) -> None:
        if n < 2:
            sweeper = studio.db.service()
            while not done.is_set():
                sweeper.call("service.sweep_overdue_bookings", p_limit=3)
        else:
            load_calendar(studio.tab())
            done.set()

    values(barrier_race(10, act))
    assert_settled(studio.db)
    assert {studio.state(booking) for booking in bookings} == {("completed", "charged")}
    assert list(map(studio.used, packages)) == [8] * 4
    assert sorted(e["booking_id"] for package in packages for e in studio.entries(package)) == sorted(bookings)
