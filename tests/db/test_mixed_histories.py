"""Drawn histories of several connections at once, over every door there is: whatever they do to each other, the ledger
equals the counters, each error is a refusal, and nothing is left in limbo."""

import os
import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.exactness import assert_exact, assert_settled
from tests.db.studio import Studio, load_calendar, mark_completed, save_editor
from tests.harness.database import Caller, Database, refusal
from tests.harness.races import barrier_race

EXAMPLES = int(os.environ.get("COACH_TEST_EXAMPLES", "25"))
WORKERS = 6
LENGTH = 12

PACKAGE = st.integers(0, 2)
BOOKING = st.integers(0, 8)
REQUEST = st.none() | st.integers(0, 5)
COUNT = st.integers(0, 6)
ACT = st.one_of(
    st.tuples(st.just("use"), PACKAGE, st.none() | BOOKING, REQUEST),
    st.tuples(st.just("release"), PACKAGE, st.none() | BOOKING, REQUEST),
    st.tuples(st.just("calendar")),
    st.tuples(st.just("complete"), BOOKING),
    st.tuples(st.just("undo"), BOOKING),
    st.tuples(st.just("mark"), BOOKING, st.sampled_from(["completed", "confirmed", "cancelled", "no_show"])),
    st.tuples(st.just("sweep"), st.sampled_from([1, 3, 100]), st.sampled_from([0, 3, 600])),
    st.tuples(st.just("edit"), PACKAGE, COUNT, COUNT),
    st.tuples(st.just("correct"), PACKAGE, COUNT, COUNT, REQUEST),
    st.tuples(st.just("freeze"), PACKAGE),
    st.tuples(st.just("unfreeze"), PACKAGE),
    st.tuples(st.just("pay"), PACKAGE, st.sampled_from(["succeeded", "refunded", "failed"])),
    st.tuples(st.just("sell"), REQUEST),
    st.tuples(st.just("book"), PACKAGE),
    st.tuples(st.just("hand_over"), BOOKING),
    st.tuples(st.just("delete"), PACKAGE),
)
HISTORIES = st.lists(st.lists(ACT, min_size=LENGTH // 2, max_size=LENGTH), min_size=3, max_size=WORKERS)


@dataclass
class World:
    """What the histories' small numbers stand for."""

    studio: Studio
    other_client: uuid.UUID
    offer: uuid.UUID
    promo: uuid.UUID
    packages: list[uuid.UUID]
    bookings: list[uuid.UUID]
    people: list[Caller]
    requests: list[uuid.UUID] = field(default_factory=lambda: [uuid.uuid4() for _ in range(6)])

    @classmethod
    def make(cls, db: Database, *, window: int, policy: str) -> "World":
        studio = Studio.open(db, click_window=window)
        studio.settings(no_show_policy=policy, late_cancellation_policy=policy)
        packages = [studio.package(number) for number in (1, 3, 6)]
        promo = db.owner.insert(
            "public.promo_codes",
            org_id=studio.org_id,
            code="TEN",
            discount_type="percentage",
            discount_value=10,
            max_uses=3,
        )
        return cls(
            studio,
            db.owner.call("service.create_client", p_org_id=studio.org_id, p_full_name="Another"),
            studio.offer(4),
            promo["id"],
            packages,
            [studio.booking(packages[n % 3], hours=-2 - n if n < 6 else n) for n in range(9)],
            [studio.coach, studio.colleague()],
        )

    def session(self, tab: Caller, function: str, package: int, booking: int | None, request: int | None) -> Any:
        return tab.call(
            f"public.{function}",
            p_purchase_id=self.packages[package],
            p_booking_id=None if booking is None else self.bookings[booking],
            p_request_id=None if request is None else self.requests[request],
        )

    def act(self, tab: Caller, sweeper: Caller, act: tuple[Any, ...]) -> None:
        match act:
            case ("use", package, booking, request):
                self.session(tab, "use_session", package, booking, request)
            case ("release", package, booking, request):
                self.session(tab, "release_session", package, booking, request)
            case ("calendar",):
                load_calendar(tab)
            case ("complete", booking):
                tab.call("public.complete_booking", p_booking_id=self.bookings[booking])
            case ("undo", booking):
                tab.call("public.undo_completion", p_booking_id=self.bookings[booking])
            case ("mark", booking, "completed"):
                mark_completed(tab, self.bookings[booking])
            case ("mark", booking, status):
                tab.rows("update bookings set status = %s where id = %s", (status, self.bookings[booking]))
            case ("sweep", limit, minutes):
                sweeper.rows(
                    "select * from service.sweep_overdue_bookings(%s, clock_timestamp() + make_interval(mins => %s))",
                    (limit, minutes),
                )
            case ("edit", package, used, total):
                save_editor(tab, self.packages[package], used=used, total=total)
            case ("correct", package, used, total, request):
                tab.call(
                    "public.correct_package",
                    p_purchase_id=self.packages[package],
                    p_sessions_used=used,
                    p_sessions_total=total,
                    p_request_id=None if request is None else self.requests[request],
                )
            case ("freeze" | "unfreeze" as verb, package):
                tab.call(f"public.{verb}_package", p_purchase_id=self.packages[package])
            case ("pay", package, status):
                tab.rows(
                    "update client_purchases set payment_status = %s where id = %s", (status, self.packages[package])
                )
            case ("sell", request):
                tab.call(
                    "public.sell_package",
                    p_client_id=self.studio.client_id,
                    p_offer_id=self.offer,
                    p_promo_code_id=self.promo,
                    p_request_id=None if request is None else self.requests[request],
                )
            case ("book", package):
                self.book(tab, package)
            case ("hand_over", booking):
                tab.rows(
                    "update bookings set client_id = %s where id = %s", (self.other_client, self.bookings[booking])
                )
            case ("delete", package):
                tab.rows("delete from client_purchases where id = %s", (self.packages[package],))
            case unknown:
                raise AssertionError(unknown)

    def book(self, tab: Caller, package: int) -> None:
        tab.rows(
            """insert into bookings (org_id, client_id, purchase_id, start_time, end_time)
               values (%s, %s, %s, now() - interval '90 minutes', now() - interval '30 minutes')""",
            (self.studio.org_id, self.studio.client_id, self.packages[package]),
        )


@pytest.mark.parametrize("window", [0, 5])
def test_whatever_happens_at_once_stays_exact(db: Database, window: int) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(histories=HISTORIES, policy=st.sampled_from(["free", "charge"]))
    def live(histories: list[list[tuple[Any, ...]]], policy: str) -> None:
        world = World.make(db, window=window, policy=policy)

        def follow(number: int) -> None:
            tab, sweeper = world.studio.tab(world.people[number % 2]), db.connect()
            strange = []
            for act in histories[number]:
                try:
                    world.act(tab, sweeper, act)
                except psycopg.Error as error:
                    if refusal(error) is None:
                        strange.append((act, error.sqlstate, str(error)))
            tab.close()
            sweeper.close()
            assert strange == [], "every error that a caller sees is a refusal"

        for outcome in barrier_race(len(histories), follow):
            if outcome.error is not None:
                raise outcome.error
        assert_exact(db)
        assert_settled(db)
        for person in world.people:
            person.close()

    live()
