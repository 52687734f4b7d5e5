"""Calendars to race on: a studio with staff, hours and clients, and the doors through which their time is taken."""

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from tests.db.studio import Studio
from tests.harness.database import Caller, refusal
from tests.harness.races import Outcome

Id = uuid.UUID

# Brisbane, the default, knows no DST: a day begins at 14:00 UTC of the day before, and six in the morning is 20:00 UTC.
OPENS = timedelta(hours=-4)
HOUR = timedelta(hours=1)


def monday(*, weeks: int = 2) -> datetime:
    """UTC midnight of a Monday that lies at least so many weeks ahead."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(weeks=weeks, days=(7 - today.weekday()) % 7)


@dataclass
class Calendars:
    """A studio whose staff work from six to eight in the evening on every day of the week, without buffers."""

    studio: Studio
    staff: list[Id]
    clients: list[Id]
    opens: datetime
    types: dict[str, Id] = field(default_factory=dict)

    @classmethod
    def open(cls, studio: Studio, *, staff: int = 1, clients: int = 32, **settings: Any) -> "Calendars":
        """The first staff member is the coach; `opens` is six in the morning of a Monday to come."""
        owner, org_id = studio.db.owner, studio.org_id
        studio.settings(**{"buffer_between_mins": 0, **settings})
        ids = owner.values("select id from public.staff where org_id = %s", (org_id,))
        ids += owner.values(
            """insert into public.staff (org_id, full_name)
               select %s, 'Staff ' || n from generate_series(2, %s) as n returning id""",
            (org_id, staff),
        )
        owner.rows(
            """insert into public.availability (org_id, day_of_week, start_time, end_time)
               select %s, n, '06:00', '20:00' from generate_series(0, 6) as n""",
            (org_id,),
        )
        people = owner.values(
            """insert into public.clients (org_id, full_name)
               select %s, 'Client ' || n from generate_series(1, %s) as n returning id""",
            (org_id, clients),
        )
        return cls(studio, ids, people, monday() + OPENS)

    @property
    def owner(self) -> Caller:
        return self.studio.db.owner

    def at(self, hours: float, *, days: int = 0) -> datetime:
        """So many hours after six on the Monday."""
        return self.opens + timedelta(days=days, hours=hours)

    def add_type(self, slug: str, **columns: Any) -> Id:
        """A session type of an hour, one client at a time."""
        row = self.owner.insert("public.session_types", org_id=self.studio.org_id, name=slug, slug=slug, **columns)
        self.types[slug] = row["id"]
        return self.types[slug]

    def package(self, sessions: int, client: Id) -> Id:
        row = self.owner.insert(
            "public.client_purchases",
            org_id=self.studio.org_id,
            client_id=client,
            offer_id=self.studio.offer(sessions),
            amount_paid_cents=5000,
            payment_status="succeeded",
        )
        package: Id = row["id"]
        return package

    def book(self, tab: Caller, start: datetime, client: Id | None = None, **arguments: Any) -> dict[str, Any]:
        """public.book, for the first staff member unless `p_staff_id` says otherwise; its outcome."""
        arguments = {"p_staff_id": self.staff[0], **arguments}
        return self._call(tab, "book", p_client_id=client or self.clients[0], p_start_time=start, **arguments)

    def hold(self, tab: Caller, start: datetime, client: Id | None = None, **arguments: Any) -> dict[str, Any]:
        arguments = {"p_staff_id": self.staff[0], **arguments}
        return self._call(tab, "hold_slot", p_client_id=client or self.clients[0], p_start_time=start, **arguments)

    def confirm(self, tab: Caller, hold: str) -> dict[str, Any]:
        return self._call(tab, "confirm_hold", p_hold_id=hold)

    def book_series(
        self, tab: Caller, first: datetime, client: Id | None = None, *, count: int = 3, **arguments: Any
    ) -> dict[str, Any]:
        """Weekly from the local day and time of that instant on."""
        local = first + timedelta(hours=10)
        return self._call(
            tab,
            "book_series",
            p_client_id=client or self.clients[0],
            p_from=local.date(),
            p_time=local.time(),
            p_count=count,
            **{"p_staff_id": self.staff[0], **arguments},
        )

    def wait(self, tab: Caller, start: datetime, client: Id, *, that_start: bool = False) -> Id:
        """Joins the waitlist of the local day, or of that very start."""
        when = {"p_start_time": start} if that_start else {"p_on": (start + timedelta(hours=10)).date()}
        return self._call(tab, "join_waitlist", p_client_id=client, **when)  # type: ignore[return-value]

    def insert(self, tab: Caller, start: datetime, client: Id | None = None, **columns: Any) -> Id:
        """The existing calendar's own insert: it lands on the signed-in member's calendar. Returns the booking."""
        row = {
            "end_time": start + HOUR,
            "duration_mins": 60,
            "booking_source": "trainer",
            "status": "confirmed",
            **columns,
        }
        inserted = tab.insert(
            "bookings", org_id=self.studio.org_id, client_id=client or self.clients[0], start_time=start, **row
        )
        booking: Id = inserted["id"]
        return booking

    def live(self) -> list[Id]:
        """The bookings that are not cancelled."""
        return self.owner.values("select id from public.bookings where status <> 'cancelled' order by start_time, id")

    def _call(self, tab: Caller, function: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = tab.call(f"public.{function}", p_org_id=self.studio.org_id, **arguments)
        return answer


def move(tab: Caller, booking: Id, start: datetime) -> None:
    """The existing calendar's edit dialog: new times, by id."""
    tab.rows("update bookings set start_time = %s, end_time = %s where id = %s", (start, start + HOUR, booking))


def set_status(tab: Caller, booking: Id, status: str) -> None:
    """The existing calendar's cancel, and its revival of what was cancelled."""
    tab.rows("update bookings set status = %s where id = %s", (status, booking))


def refused(outcomes: Iterable[Outcome]) -> Counter[tuple[int, str]]:
    """How often each refusal came; any other error, a deadlock or a broken constraint, is raised."""
    counts: Counter[tuple[int, str]] = Counter()
    for outcome in outcomes:
        if outcome.error is not None:
            answer = refusal(outcome.error)
            if answer is None:
                raise outcome.error
            counts[answer] += 1
    return counts


def answered(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How often each outcome of an RPC came; an error is raised."""
    counts: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        counts[outcome.value["outcome"]] += 1
    return counts


def attempt(act: Any) -> Outcome:
    """What a door answered, an error included."""
    try:
        return Outcome(value=act())
    except psycopg.Error as error:
        return Outcome(error=error)
