"""Drawn histories of one caller at a time: the database and a slow model of the same words never differ."""

import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.exactness import assert_settled
from tests.db.model import GRACE, Booking, Model, Package, Refused
from tests.db.studio import Studio, mark_completed, save_editor
from tests.harness.database import Caller, Database, refusal

EXAMPLES = int(os.environ.get("COACH_TEST_EXAMPLES", "40"))
LENGTH = 60

# The world has two packages; bookings 0 to 2 are the first's, 3 the second's. Most happens to the first of each, so
# that what happens has to do with what happened.
PACKAGES = st.sampled_from([0, 0, 0, 1])
BOOKINGS = st.sampled_from([0, 0, 0, 1, 2, 3])
PEOPLE = st.sampled_from(["coach", "desk"])
REQUESTS = st.none() | st.integers(0, 3)
STARTS = (-5.0, 0.2, -3.0, 72.0)


def acts(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


ACT = st.one_of(
    acts("wait", st.sampled_from([1, 4, 6, 50, 119, 121])),
    acts("use", PEOPLE, PACKAGES, st.none() | BOOKINGS, REQUESTS),
    acts("use", PEOPLE, PACKAGES, st.none(), st.none()),
    acts("release", PEOPLE, PACKAGES, st.none() | BOOKINGS, REQUESTS),
    acts("release", PEOPLE, PACKAGES, st.none(), st.none()),
    acts("calendar_completes", PEOPLE, BOOKINGS),
    acts("calendar_marks", BOOKINGS, st.sampled_from(["confirmed", "cancelled", "no_show"])),
    acts("complete", PEOPLE, BOOKINGS),
    acts("undo", PEOPLE, BOOKINGS),
    acts("correct", PACKAGES, st.integers(-1, 4), st.integers(0, 4), st.booleans()),
    acts("refund_or_restore", PACKAGES),
    acts("freeze", PACKAGES),
    acts("unfreeze"),
    acts("sweep"),
)


class BothWorlds:
    """Each method does one thing in both worlds and compares the answers; `agree` compares the states."""

    def __init__(self, db: Database, window: int, no_show: bool, sessions: tuple[int, int]) -> None:
        self.db = db
        self.studio = Studio.open(self.db)
        self.studio.settings(session_click_window_secs=window, no_show_policy="charge" if no_show else "free")
        self.model = Model(timedelta(seconds=window))
        self.model.charges_no_shows = no_show
        self.people: dict[str, Caller] = {"coach": self.studio.coach, "desk": self.studio.colleague()}
        # Half an hour ago: whatever happens in the history is past when the database asks its own clock.
        self.now = datetime.now(UTC) - timedelta(minutes=30)
        self.package_ids = [self.studio.package(number) for number in sessions]
        self.packages = [Package(number) for number in sessions]
        self.booking_ids, self.bookings = [], []
        for number, hours in enumerate(STARTS):
            which = int(number > 2)
            booking_id = self.studio.booking(self.package_ids[which], hours=hours)
            times = self.db.owner.row("select start_time, end_time from bookings where id = %s", (booking_id,))
            booking = Booking(self.packages[which], times["start_time"], times["end_time"])
            self.packages[which].bookings.append(booking)
            self.booking_ids.append(booking_id)
            self.bookings.append(booking)
        self.request_ids = [uuid.uuid4() for _ in range(4)]

    def same(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> None:
        """Both answer alike, or both refuse with the same slug."""
        try:
            expected = theirs()
        except Refused as refused:
            expected = refused.slug
        try:
            answer = ours()
        except psycopg.Error as error:
            if (said := refusal(error)) is None:
                raise
            answer = said[1]
        assert answer == expected

    def call(self, function: str, **arguments: Any) -> Any:
        return self.db.owner.call(f"private.{function}", p_org_id=self.studio.org_id, **arguments)

    def session(self, function: str, who: str, package: int, booking: int | None, request: int | None) -> Any:
        return self.call(
            function,
            p_purchase_id=self.package_ids[package],
            p_booking_id=None if booking is None else self.booking_ids[booking],
            p_request_id=None if request is None else self.request_ids[request],
            p_actor_id=self.people[who].user_id,
            p_now=self.now,
        )

    def wait(self, seconds: int) -> None:
        if self.now + timedelta(seconds=seconds) < datetime.now(UTC) - timedelta(minutes=5):
            self.now += timedelta(seconds=seconds)

    def use(self, who: str, package: int, booking: int | None, request: int | None) -> None:
        named = None if booking is None else self.bookings[booking]
        self.same(
            lambda: self.session("take_session", who, package, booking, request),
            lambda: self.model.use(self.packages[package], who, self.now, named, request),
        )

    def release(self, who: str, package: int, booking: int | None, request: int | None) -> None:
        named = None if booking is None else self.bookings[booking]
        self.same(
            lambda: self.session("give_session_back", who, package, booking, request),
            lambda: self.model.release(self.packages[package], who, self.now, named, request),
        )

    def calendar_completes(self, who: str, booking: int) -> None:
        self.write(booking, lambda: mark_completed(self.people[who], self.booking_ids[booking]))
        self.same(lambda: self.last, lambda: self.model.mark_completed(self.bookings[booking], who, self.now))

    def calendar_marks(self, booking: int, status: str) -> None:
        mark = "update bookings set status = %s where id = %s"
        self.write(booking, lambda: self.people["coach"].rows(mark, (status, self.booking_ids[booking])) or None)
        self.same(lambda: self.last, lambda: self.model.mark(self.bookings[booking], status, self.now))

    def write(self, booking: int, direct: Callable[[], Any]) -> None:
        """A direct write knows the server's clock alone: what it noted is moved to the history's."""
        try:
            self.last = direct()
        except psycopg.Error as error:
            if (said := refusal(error)) is None:
                raise
            self.last = said[1]
        else:
            self.db.owner.rows(
                """update bookings
                      set due_since = case when due_since is not null then %(now)s end,
                          follow_up_until = case when follow_up_until is not null then %(until)s end
                    where id = %(id)s and greatest(due_since, follow_up_until) > %(recent)s""",
                {
                    "now": self.now,
                    "until": self.now + GRACE,
                    "id": self.booking_ids[booking],
                    "recent": datetime.now(UTC) - timedelta(minutes=4),
                },
            )

    def complete(self, who: str, booking: int) -> None:
        self.same(
            lambda: self.acted("complete_booking", who, booking),
            lambda: self.model.complete(self.bookings[booking], who, self.now),
        )

    def undo(self, who: str, booking: int) -> None:
        self.same(
            lambda: self.acted("undo_completion", who, booking),
            lambda: self.model.undo(self.bookings[booking], who, self.now),
        )

    def acted(self, function: str, who: str, booking: int) -> Any:
        booking_id, user_id = self.booking_ids[booking], self.people[who].user_id
        answer = self.call(function, p_booking_id=booking_id, p_actor_id=user_id, p_now=self.now)
        self.db.owner.rows(
            "update bookings set due_since = %s where id = %s and due_since > %s",
            (self.now, booking_id, datetime.now(UTC) - timedelta(minutes=4)),
        )
        return answer

    def correct(self, package: int, used: int, total: int, by_editor: bool) -> None:
        coach, package_id, at = self.people["coach"], self.package_ids[package], datetime.now(UTC)

        def ours() -> None:
            if by_editor:
                save_editor(coach, package_id, used=used, total=total, status=self.payment_status(package))
            else:
                counters = {"p_sessions_used": used, "p_sessions_total": total}
                coach.call("public.correct_package", p_purchase_id=package_id, **counters)

        self.same(
            ours, lambda: self.model.correct(self.packages[package], "coach", at, used, total, by_editor=by_editor)
        )

    def payment_status(self, package: int) -> str:
        return "succeeded" if self.packages[package].is_paid else "refunded"

    def refund_or_restore(self, package: int) -> None:
        self.packages[package].is_paid = not self.packages[package].is_paid
        self.people["coach"].rows(
            "update client_purchases set payment_status = %s where id = %s",
            (self.payment_status(package), self.package_ids[package]),
        )

    def freeze(self, package: int) -> None:
        self.same(
            lambda: bool(self.call("freeze_package", p_purchase_id=self.package_ids[package], p_now=self.now)) and None,
            lambda: self.model.freeze(self.packages[package], self.now),
        )

    def unfreeze(self) -> None:
        for package_id, package in zip(self.package_ids, self.packages, strict=True):
            self.call("unfreeze_package", p_purchase_id=package_id, p_now=self.now)
            self.model.unfreeze(package, self.now)

    def sweep(self) -> None:
        self.db.owner.rows("select * from service.sweep_overdue_bookings(1000, %s)", (self.now,))
        self.model.sweep(self.packages, self.now)

    def agree(self) -> None:
        now = datetime.now(UTC)
        for package_id, package in zip(self.package_ids, self.packages, strict=True):
            row = self.db.owner.row(
                """select sessions_used, sessions_total, bookable_sessions_remaining(id) as bookable
                     from client_purchases where id = %s""",
                (package_id,),
            )
            assert (row["sessions_used"], row["sessions_total"]) == (package.used, package.total)
            assert row["bookable"] == package.bookable(now)
        ours = [self.studio.state(booking_id) for booking_id in self.booking_ids]
        assert ours == [(booking.status, booking.settlement) for booking in self.bookings]

    def close(self) -> None:
        for person in self.people.values():
            person.close()


def test_database_and_model_never_differ(db: Database) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        window=st.sampled_from([0, 5]),
        no_show=st.booleans(),
        sessions=st.tuples(*[st.integers(0, 3)] * 2),
        history=st.lists(ACT, min_size=LENGTH // 2, max_size=LENGTH),
    )
    def live(window: int, no_show: bool, sessions: tuple[int, int], history: list[tuple[Any, ...]]) -> None:
        worlds = BothWorlds(db, window, no_show, sessions)
        for name, *arguments in history:
            getattr(worlds, name)(*arguments)
            worlds.agree()
        worlds.close()

    live()
    assert_settled(db)
