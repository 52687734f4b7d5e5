"""Two organisations whose coaches have signed up as the existing app does it, for every test of real clients."""

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clients.stack import Person, Stack
from tests.clients.supabase_js import Client

Row = dict[str, Any]

# Bookings of one coach do not overlap, also not across tests that share the studio.
_HOURS = itertools.count(1)


@dataclass(frozen=True)
class Studio:
    """An organisation as its coach sees it; everything is made through the coach's tab."""

    stack: Stack
    coach: Person
    id: str
    client_id: str
    offer_id: str

    def sell(self, *, used: int = 0) -> str:
        """Sells the offer of three sessions, as the client page does."""
        sale = {
            "org_id": self.id,
            "client_id": self.client_id,
            "offer_id": self.offer_id,
            "amount_paid_cents": 30000,
            "currency": "aud",
            "sessions_total": 3,
            "sessions_used": used,
            "expires_at": None,
            "payment_status": "succeeded",
            "payment_method": "cash",
            "promo_code_id": None,
            "discount_cents": 0,
        }
        columns = "*, offers(name, offer_type, sessions_included, bonus_sessions)"
        row: Row = self.coach.from_("client_purchases").insert(sale).select(columns).single().run().ok()
        return str(row["id"])

    def book(self, purchase_id: str, *, ended: bool = False) -> str:
        """Books an hour, as the calendar does: over, or some days ahead, each at a time of its own."""
        far = timedelta(hours=2 * next(_HOURS))
        start = datetime.now(UTC) + (-far if ended else timedelta(days=3) + far)
        booking = {
            "org_id": self.id,
            "client_id": self.client_id,
            "purchase_id": purchase_id,
            "start_time": start.isoformat(),
            "end_time": (start + timedelta(hours=1)).isoformat(),
            "duration_mins": 60,
            "session_type": "pt_session",
            "location_type": "in_person",
            "status": "confirmed",
            "booked_by": self.coach.id,
            "booking_source": "trainer",
            "notes": None,
        }
        row: Row = self.coach.from_("bookings").insert(booking).select().single().run().ok()
        return str(row["id"])

    def counter(self, purchase_id: str, tab: Client | None = None) -> Row:
        """The package's counters, as a tab reads them."""
        columns = "sessions_used, sessions_total, sessions_remaining"
        query = (tab or self.coach.tab).from_("client_purchases").select(columns).eq("id", purchase_id)
        row: Row = query.single().run().ok()
        return row

    def ledger(self, purchase_id: str) -> list[tuple[str, int]]:
        """Kind and change of each entry, in the order they were made."""
        columns = "kind, used_delta, created_at"
        query = self.coach.from_("session_entries").select(columns).eq("purchase_id", purchase_id)
        rows: list[Row] = query.order("created_at", {"ascending": True}).run().ok()
        return [(row["kind"], row["used_delta"]) for row in rows]


def found(stack: Stack, name: str) -> Studio:
    """Signs a coach up by the existing app's sequence, with one client and one offer."""
    coach = stack.sign_up(name)
    tab = coach.tab
    slug = f"{name}-{uuid.uuid4().hex[:8]}"
    org = tab.from_("orgs").insert({"name": name.title(), "slug": slug}).select().single().run().ok()["id"]
    tab.from_("org_members").insert({"org_id": org, "user_id": coach.id, "role": "owner"}).run().ok()
    tab.from_("branding").insert({"org_id": org, "display_name": name.title()}).run().ok()
    tab.from_("booking_settings").insert({"org_id": org, "timezone": "Australia/Brisbane"}).run().ok()
    client = {"org_id": org, "full_name": "Robin Client", "email": "robin@example.com", "phone": "+61400000000"}
    client_id = tab.from_("clients").insert(client).select("id").single().run().ok()["id"]
    offer = {"org_id": org, "name": "Three sessions", "offer_type": "session_pack"}
    offer |= {"price_cents": 30000, "currency": "aud", "sessions_included": 3}
    offer_id = tab.from_("offers").insert(offer).select("id").single().run().ok()["id"]
    return Studio(stack, coach, org, client_id, offer_id)


@pytest.fixture(scope="session")
def kilo(stack: Stack) -> Studio:
    return found(stack, "kilo")


@pytest.fixture(scope="session")
def lima(stack: Stack) -> Studio:
    return found(stack, "lima")


@pytest.fixture
def every_click_counts(kilo: Studio) -> Iterator[None]:
    """Without a click window: each call of a test is a click of its own."""
    _set_click_window(kilo, 0)
    yield
    _set_click_window(kilo, 5)


def _set_click_window(studio: Studio, seconds: int) -> None:
    settings = studio.coach.from_("booking_settings").update({"session_click_window_secs": seconds})
    settings.eq("org_id", studio.id).run().ok()
