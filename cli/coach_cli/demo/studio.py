"""Makes the studio and its weeks of work, whatever of it is missing, by the calls that the existing app makes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from coach_cli.demo import people
from coach_cli.demo.doors import Row, Tab
from coach_cli.demo.people import CLIENTS, OFFERS, Client, Visit


@dataclass
class Studio:
    """The demonstration's organisation as its coach sees it; rows are found by the keys of `people`."""

    tab: Tab
    org_id: str
    made: int = 0
    offers: dict[str, Row] = field(default_factory=dict)
    promo_codes: dict[str, Row] = field(default_factory=dict)
    clients: dict[str, Row] = field(default_factory=dict)
    packages: dict[str, Row] = field(default_factory=dict)
    bookings: dict[tuple[str, str], Row] = field(default_factory=dict)

    def package_of(self, client: Client) -> str:
        return str(self.packages[client.name]["id"])

    def booking_of(self, client: Client, note: str) -> str:
        return str(self.bookings[client.name, note]["id"])

    def request_id(self, what: str) -> str:
        """The id of one click of the demonstration; the same in every run, so that it counts once."""
        return str(uuid5(NAMESPACE_URL, f"coach-demo:{self.org_id}:{what}"))


def found(tab: Tab, person: people.Person, name: str, slug: str) -> str:
    """The organisation's id; made as the app's sign-up page makes it when this person has none."""
    memberships = tab.select("org_members", user_id=tab.user_id)
    if memberships:
        return str(memberships[0]["org_id"])
    # A run that was interrupted here has left an organisation that only its founder sees.
    orgs = tab.select("orgs", slug=slug) or [tab.insert("orgs", name=name, slug=slug)]
    org_id = str(orgs[0]["id"])
    tab.insert("org_members", org_id=org_id, user_id=tab.user_id, role="owner")
    tab.update("profiles", {"id": tab.user_id}, full_name=person.name)
    return org_id


def open_studio(tab: Tab, org_id: str) -> Studio:
    """The studio as it is, with its looks, settings and price list."""
    studio = Studio(tab, org_id)
    if not tab.select("branding", org_id=org_id):
        tab.insert("branding", org_id=org_id, display_name=people.ORG_NAME, primary_color="#0F766E")
        studio.made += 1
    if not tab.select("booking_settings", org_id=org_id):
        tab.insert("booking_settings", org_id=org_id, timezone=people.TIMEZONE)
    tab.update("booking_settings", {"org_id": org_id}, no_show_policy="charge")
    tab.update("orgs", {"id": org_id}, onboarding_completed=True)
    studio.offers = {row["name"]: row for row in tab.select("offers", org_id=org_id)}
    studio.promo_codes = {row["code"]: row for row in tab.select("promo_codes", org_id=org_id)}
    by_email = {row["email"]: row for row in tab.select("clients", org_id=org_id)}
    studio.clients = {client.name: by_email[client.email] for client in CLIENTS if client.email in by_email}
    names = {row["id"]: name for name, row in studio.clients.items()}
    packages, bookings = tab.select("client_purchases", org_id=org_id), tab.select("bookings", org_id=org_id)
    studio.packages = {names[row["client_id"]]: row for row in packages if row["client_id"] in names}
    studio.bookings = {(names[row["client_id"]], row["notes"]): row for row in bookings if row["client_id"] in names}
    return studio


def fill(studio: Studio, today: datetime, advance: Callable[[int], None]) -> None:
    """Make what is missing: price list, clients, sales, bookings; then play each visit to its end."""
    for place, offer in enumerate(OFFERS):
        if offer.name not in studio.offers:
            studio.offers[offer.name] = _made(studio, "offers", **_offer(offer, place))
    if people.PROMO_CODE not in studio.promo_codes:
        promo = {"code": people.PROMO_CODE, "discount_type": "percentage", "discount_value": people.PROMO_PERCENT}
        studio.promo_codes[people.PROMO_CODE] = _made(studio, "promo_codes", **promo, max_uses=people.PROMO_USES)
    for client in CLIENTS:
        if client.name not in studio.clients:
            who = {"full_name": client.name, "email": client.email, "phone": client.phone, "status": "active"}
            studio.clients[client.name] = _made(studio, "clients", **who)
        if client.name not in studio.packages:
            _sell(studio, client)
        for visit in client.visits:
            if (client.name, visit.note) not in studio.bookings:
                _book(studio, client, visit, today)
            _play(studio, client, visit)
            advance(1)
    _correct_by_editor(studio)


def _offer(offer: people.Offer, place: int) -> dict[str, Any]:
    return {
        "name": offer.name,
        "offer_type": "session_pack",
        "price_cents": offer.price_cents,
        "currency": "aud",
        "sessions_included": offer.sessions,
        "bonus_sessions": offer.bonus,
        "pack_validity_days": offer.validity_days,
        "session_duration_mins": 60,
        "sort_order": place,
    }


def _sell(studio: Studio, client: Client) -> None:
    """The app's manual sale: the browser computes price, sessions and expiry, the database checks them."""
    offer = next(offer for offer in OFFERS if offer.name == client.offer)
    promo = studio.promo_codes[client.promo_code] if client.promo_code else None
    discount = offer.price_cents * people.PROMO_PERCENT // 100 if promo else 0
    studio.packages[client.name] = _made(
        studio,
        "client_purchases",
        client_id=studio.clients[client.name]["id"],
        offer_id=studio.offers[client.offer]["id"],
        amount_paid_cents=offer.price_cents - discount,
        currency="aud",
        sessions_total=offer.sessions + offer.bonus,
        sessions_used=0,
        expires_at=(datetime.now(UTC) + timedelta(days=offer.validity_days)).isoformat(),
        payment_status="succeeded",
        payment_method="card",
        promo_code_id=promo["id"] if promo else None,
        discount_cents=discount,
    )
    if promo:
        # The app counts for itself; the sale has counted already, so this changes nothing.
        studio.tab.update("promo_codes", {"id": promo["id"]}, times_used=promo["times_used"] + 1)


def _book(studio: Studio, client: Client, visit: Visit, today: datetime) -> None:
    start = visit.start(today)
    studio.bookings[client.name, visit.note] = _made(
        studio,
        "bookings",
        client_id=studio.clients[client.name]["id"],
        purchase_id=studio.package_of(client) if visit.is_paid_from_package else None,
        start_time=start.isoformat(),
        end_time=(start + timedelta(hours=1)).isoformat(),
        duration_mins=60,
        session_type="pt_session",
        location_type="in_person",
        booking_source="trainer",
        status="confirmed",
        notes=visit.note,
    )


def _play(studio: Studio, client: Client, visit: Visit) -> None:
    """Bring a visit to its end, unless it has come there; requests with an id may be repeated."""
    tab, package, booking = studio.tab, studio.package_of(client), studio.bookings[client.name, visit.note]
    is_open = booking["status"] == "confirmed"
    request_id = studio.request_id(f"{client.name}: {visit.note}")
    if visit.ending in ("calendar", "given_back"):
        if is_open:
            tab.update("bookings", {"id": booking["id"]}, status="completed")
        # Due still: a run was interrupted between the two calls.
        if is_open or booking["settlement"] == "due":
            tab.rpc("use_session", p_purchase_id=package)
    elif visit.ending == "button" and is_open:
        tab.rpc("complete_booking", p_booking_id=booking["id"])
    elif visit.ending == "no_show":
        if is_open:
            tab.update("bookings", {"id": booking["id"]}, status="no_show")
        tab.rpc("use_session", p_purchase_id=package, p_booking_id=booking["id"], p_request_id=request_id)
    if visit.ending == "given_back":
        tab.rpc("release_session", p_purchase_id=package, p_booking_id=booking["id"], p_request_id=request_id)


def _correct_by_editor(studio: Studio) -> None:
    """Two sessions from a paper card, by the package editor; then a page that was opened before writes too."""
    package = studio.package_of(people.PRIYA)
    entries = studio.tab.select("session_entries", purchase_id=package)
    if not any(entry["kind"] == "use" for entry in entries):
        # The app's button, clicked twice: neither call says which click it is.
        studio.tab.rpc("use_session", p_purchase_id=package)
        studio.tab.rpc("use_session", p_purchase_id=package)
    if not any(entry["reason"] == "editor" for entry in entries):
        (before,) = studio.tab.select("client_purchases", id=package)
        for used in (people.CARD_USED, before["sessions_used"]):
            studio.tab.update("client_purchases", {"id": package}, sessions_used=used)


def _made(studio: Studio, table: str, **columns: Any) -> Row:
    studio.made += 1
    return studio.tab.insert(table, org_id=studio.org_id, **columns)
