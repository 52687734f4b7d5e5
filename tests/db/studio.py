"""A small business in a test's database, and the existing app's own requests, sent as its pages send them."""

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.harness.database import Caller, Database, refusal


@dataclass
class Studio:
    """An organisation with an owner, a client and offers by their number of sessions; made as an operator makes one."""

    db: Database
    org_id: uuid.UUID
    coach: Caller
    client_id: uuid.UUID

    @classmethod
    def open(cls, db: Database, *, click_window: int | None = None) -> "Studio":
        """A new organisation; `click_window` in seconds writes a settings row, None leaves it to the defaults."""
        tag = uuid.uuid4().hex[:10]
        coach = db.sign_up(f"coach-{tag}@studio.example")
        org_id = db.owner.call(
            "service.create_org", p_name=f"Studio {tag}", p_owner_email=f"coach-{tag}@studio.example"
        )
        client_id = db.owner.call("service.create_client", p_org_id=org_id, p_full_name="A Client")
        studio = cls(db, org_id, coach, client_id)
        if click_window is not None:
            studio.settings(session_click_window_secs=click_window)
        return studio

    def settings(self, **columns: Any) -> None:
        """Writes the organisation's settings row, making it where there is none."""
        self.db.owner.rows(
            "insert into public.booking_settings (org_id) values (%s) on conflict do nothing", (self.org_id,)
        )
        for name, value in columns.items():
            self.db.owner.rows(
                f"update public.booking_settings set {name} = %s where org_id = %s", (value, self.org_id)
            )

    def offer(self, sessions: int, *, price_cents: int = 5000) -> uuid.UUID:
        row = self.db.owner.insert(
            "public.offers",
            org_id=self.org_id,
            name=f"{sessions} sessions",
            offer_type="session_pack",
            price_cents=price_cents,
            sessions_included=sessions,
        )
        offer_id: uuid.UUID = row["id"]
        return offer_id

    def package(self, sessions: int, *, used: int = 0, **columns: Any) -> uuid.UUID:
        """A paid package; `used` sessions came with it."""
        row = self.db.owner.insert(
            "public.client_purchases",
            org_id=self.org_id,
            client_id=self.client_id,
            offer_id=self.offer(sessions),
            amount_paid_cents=5000,
            payment_status="succeeded",
            sessions_used=used,
            **columns,
        )
        purchase_id: uuid.UUID = row["id"]
        return purchase_id

    def booking(self, package: uuid.UUID | None, *, hours: float = -3) -> uuid.UUID:
        """A confirmed booking of an hour that starts `hours` from now, on a calendar of its own."""
        staff = self.db.owner.insert("staff", org_id=self.org_id, full_name="Somebody")
        return self.db.owner.value(  # type: ignore[no-any-return]
            """insert into public.bookings (org_id, client_id, purchase_id, staff_id, start_time, end_time)
               select %s, %s, %s, %s, t, t + interval '1 hour' from (select now() + make_interval(secs => %s)) as s (t)
               returning id""",
            (self.org_id, self.client_id, package, staff["id"], hours * 3600),
        )

    def colleague(self, role: str = "coach") -> Caller:
        """Another member, signed in."""
        email = f"{role}-{uuid.uuid4().hex[:10]}@studio.example"
        caller = self.db.sign_up(email)
        self.db.owner.call("service.set_member", p_org_id=self.org_id, p_email=email, p_role=role)
        return caller

    def tab(self, person: Caller | None = None) -> Caller:
        """A further connection of the coach, or of another person."""
        user_id = (person or self.coach).user_id
        assert user_id is not None
        return self.db.sign_in(user_id)

    def used(self, package: uuid.UUID) -> int:
        return self.db.owner.value("select sessions_used from public.client_purchases where id = %s", (package,))  # type: ignore[no-any-return]

    def entries(self, package: uuid.UUID) -> list[dict[str, Any]]:
        return self.db.owner.rows(
            "select * from public.session_entries where purchase_id = %s order by created_at, id", (package,)
        )

    def state(self, booking: uuid.UUID) -> tuple[str, str | None]:
        """(status, settlement) of a booking."""
        row = self.db.owner.row("select status, settlement from public.bookings where id = %s", (booking,))
        return row["status"], row["settlement"]


def mark_completed(tab: Caller, booking: uuid.UUID) -> None:
    """The calendar's own first request: a bare update by id."""
    tab.rows("update bookings set status = 'completed' where id = %s", (booking,))


def use(tab: Caller, package: uuid.UUID) -> bool:
    """The existing app's bare use_session: neither booking nor request id."""
    return tab.call("public.use_session", p_purchase_id=package)  # type: ignore[no-any-return]


def release(tab: Caller, package: uuid.UUID) -> int:
    """The existing app's bare release_session."""
    return tab.call("public.release_session", p_purchase_id=package)  # type: ignore[no-any-return]


def load_calendar(tab: Caller) -> list[uuid.UUID]:
    """What the calendar does when it loads: completes each past confirmed booking it sees, and takes a session for each
    whose completion was not refused. Returns the bookings it completed."""
    completed = []
    seen = tab.rows(
        "select id, purchase_id from bookings where status = 'confirmed' and end_time < now() order by start_time"
    )
    for booking in seen:
        try:
            mark_completed(tab, booking["id"])
        except psycopg.Error as error:
            # The app logs the error and goes on with the next booking.
            if refusal(error) not in ((409, "booking_not_confirmed"), (409, "booking_settled")):
                raise
            continue
        completed.append(booking["id"])
        if booking["purchase_id"]:
            use(tab, booking["purchase_id"])
    return completed


def save_editor(tab: Caller, package: uuid.UUID, *, used: int, total: int, status: str = "succeeded") -> None:
    """What the package editor writes: the whole form, as the page was opened but for what the coach changed."""
    tab.rows(
        """update client_purchases
              set sessions_total = %s, sessions_used = %s, payment_status = %s, payment_method = 'cash'
            where id = %s""",
        (total, used, status, package),
    )
