"""A small world: two organisations with people, packages and bookings, all made through the doors the apps use."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.harness.database import Caller, Database

Id = uuid.UUID


@dataclass
class Organisation:
    """One organisation and the coach who signed it up; the methods act as that coach."""

    db: Database
    name: str
    id: Id
    coach: Caller
    client_id: Id = field(init=False)
    offer_id: Id = field(init=False)
    package_id: Id = field(init=False)
    booking_id: Id = field(init=False)

    def another_tab(self) -> Caller:
        """A further connection of the same coach."""
        assert self.coach.user_id is not None
        return self.db.sign_in(self.coach.user_id, self.coach.claims["email"])

    def member(self, role: str, email: str | None = None) -> Caller:
        """Somebody new who belongs to the organisation in this role."""
        caller = self.db.sign_up(email or f"{role}-{uuid.uuid4().hex[:8]}@{self.name}.example")
        self.db.owner.insert("public.org_members", org_id=self.id, user_id=caller.user_id, role=role)
        return caller

    def add_client(self, **columns: Any) -> Id:
        row = {"full_name": f"Client of {self.name.title()}", "email": f"client@{self.name}.example", **columns}
        return self._insert("clients", **row)

    def sign_client_in(self, client_id: Id | None = None) -> Caller:
        """The client with an account of their own, as the mobile app's invite leaves it."""
        caller = self.db.sign_up(f"{uuid.uuid4().hex[:8]}@client.example")
        self.db.owner.rows(
            "update public.clients set auth_user_id = %s where org_id = %s and id = %s",
            (caller.user_id, self.id, client_id or self.client_id),
        )
        return caller

    def add_offer(self, **columns: Any) -> Id:
        row = {"name": "Ten sessions", "offer_type": "session_pack", "price_cents": 80_000, "sessions_included": 10}
        return self._insert("offers", **{**row, **columns})

    def sell(self, *, sessions: int = 10, **columns: Any) -> Id:
        """A manual sale, as the package form makes it, of an offer that includes that many sessions."""
        offer_id = columns.pop("offer_id", None) or (
            self.offer_id if sessions == 10 else self.add_offer(name=f"{sessions} sessions", sessions_included=sessions)
        )
        row = {
            "client_id": columns.pop("client_id", self.client_id),
            "offer_id": offer_id,
            "amount_paid_cents": 80_000,
            "sessions_total": sessions,
            "sessions_used": 0,
            "payment_status": "succeeded",
            "payment_method": "cash",
        }
        return self._insert("client_purchases", **{**row, **columns})

    def book(self, *, start: datetime | None = None, minutes: int = 60, **columns: Any) -> Id:
        """A booking, as the calendar makes it; by default for tomorrow, on the first package."""
        start = start or datetime.now(UTC) + timedelta(days=1)
        row = {
            "client_id": self.client_id,
            "purchase_id": self.package_id,
            "start_time": start,
            "end_time": start + timedelta(minutes=minutes),
            "duration_mins": minutes,
        }
        return self._insert("bookings", **{**row, **columns})

    def book_past(self, *, hours_ago: float = 2, **columns: Any) -> Id:
        """A confirmed booking that is over and that nobody completed; one an hour earlier does not overlap it."""
        return self.book(start=datetime.now(UTC) - timedelta(hours=hours_ago), **{"minutes": 50, **columns})

    def set_click_window(self, seconds: int) -> None:
        """How long two clicks count as one; 0 makes every click count."""
        self.coach.rows(
            "update public.booking_settings set session_click_window_secs = %s where org_id = %s", (seconds, self.id)
        )

    def sessions(self, package_id: Id | None = None) -> tuple[int, int]:
        """(the counter, the ledger's sum) of a package: always equal, or something is broken."""
        row = self.db.owner.row(
            """
            select p.sessions_used, coalesce(sum(e.used_delta), 0)::int as entered
              from public.client_purchases as p
              left join public.session_entries as e on e.org_id = p.org_id and e.purchase_id = p.id
             where p.org_id = %s and p.id = %s
             group by p.org_id, p.id
            """,
            (self.id, package_id or self.package_id),
        )
        return row["sessions_used"], row["entered"]

    def _insert(self, table: str, **columns: Any) -> Id:
        row_id: Id = self.coach.insert(f"public.{table}", org_id=self.id, **columns)["id"]
        return row_id


@dataclass
class World:
    """Two organisations that must never see each other, and somebody who belongs to neither."""

    db: Database
    kilo: Organisation
    lima: Organisation
    nobody: Caller


def make_world(db: Database) -> World:
    """Each organisation: a coach, a client, an offer of ten sessions, a package of it, and a booking for tomorrow."""
    kilo, lima = (sign_organisation_up(db, name) for name in ("kilo", "lima"))
    return World(db, kilo, lima, db.sign_up("nobody@nowhere.example"))


def sign_organisation_up(db: Database, name: str) -> Organisation:
    """The app's own sign-up (organisation, membership, branding, booking settings), then what a coach enters first."""
    coach = db.sign_up(f"coach@{name}.example")
    org_id = coach.insert("public.orgs", name=name.title(), slug=name)["id"]
    coach.insert("public.org_members", org_id=org_id, user_id=coach.user_id, role="owner")
    coach.insert("public.branding", org_id=org_id, display_name=name.title())
    coach.insert("public.booking_settings", org_id=org_id, timezone="Australia/Brisbane")
    organisation = Organisation(db, name, org_id, coach)
    organisation.client_id = organisation.add_client()
    organisation.offer_id = organisation.add_offer()
    organisation.package_id = organisation.sell()
    organisation.booking_id = organisation.book()
    return organisation
