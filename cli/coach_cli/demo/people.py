"""Who plays in the demonstration and what they do when: invented, the same everywhere, days counted from today."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

ORG_NAME, ORG_SLUG = "Harbour Strength", "harbour-strength"
OTHER_NAME, OTHER_SLUG = "Northside Runners", "northside-runners"

TIMEZONE = "Australia/Brisbane"
LOCAL = timezone(timedelta(hours=10))
"""Brisbane has no daylight saving: a fixed offset says it all, without a conversion in Python."""

# How a visit ends. calendar: the existing app's two calls (status, then use_session). button: complete_booking.
# sweep: nobody does anything. given_back: completed, then released. no_show, check_in: as they say.
Ending = Literal["calendar", "button", "sweep", "given_back", "no_show", "check_in"]


@dataclass(frozen=True)
class Person:
    """Somebody who signs in."""

    name: str
    email: str


@dataclass(frozen=True)
class Visit:
    """A booking of an hour: `day` from today, local `hour`; its note tells it from the client's others."""

    note: str
    day: int
    hour: int
    ending: Ending = "sweep"
    is_paid_from_package: bool = True

    def start(self, today: datetime) -> datetime:
        return today + timedelta(days=self.day, hours=self.hour)


@dataclass(frozen=True)
class Client:
    """A client with the package they bought and their visits."""

    name: str
    email: str
    phone: str
    offer: str
    visits: tuple[Visit, ...]
    promo_code: str | None = None


@dataclass(frozen=True)
class Offer:
    """A row of the price list."""

    name: str
    sessions: int
    price_cents: int
    validity_days: int
    bonus: int = 0


COACH = Person("Ines Duarte", "ines@harbour-strength.example")
DESK = Person("Noah Kelly", "desk@harbour-strength.example")
OTHER_COACH = Person("Tomas Lind", "tomas@northside-runners.example")
PEOPLE = (COACH, DESK, OTHER_COACH)

OFFERS = (
    Offer("Ten sessions", sessions=10, price_cents=90_000, validity_days=180),
    Offer("Five sessions", sessions=5, price_cents=47_500, validity_days=120, bonus=1),
    Offer("Three sessions", sessions=3, price_cents=30_000, validity_days=90),
)
PROMO_CODE, PROMO_PERCENT, PROMO_USES = "WELCOME10", 10, 20

MIA, JONAS, PRIYA, TOM, SOFIA, LENA, BEN = CLIENTS = (
    Client(
        *("Mia Tanaka", "mia@tanaka.example", "+61 491 570 156", "Ten sessions"),
        (
            Visit("Assessment", -20, 7, "calendar"),
            Visit("Squat technique", -17, 7, "calendar"),
            Visit("Deadlift technique", -13, 7, "calendar"),
            Visit("Intervals", -10, 7, "calendar"),
            Visit("Upper body", -6, 7),
            Visit("Lower body", -3, 7),
            Visit("Conditioning", 1, 7),
            Visit("Retest", 4, 7),
        ),
    ),
    Client(
        *("Jonas Weber", "jonas@weber.example", "+61 491 570 157", "Ten sessions"),
        (
            Visit("Shoulder mobility", -14, 12, "button"),
            Visit("Pull-ups", -7, 12, "button"),
            Visit("Rowing", 0, 12, "check_in"),
            Visit("Pull-ups again", 7, 12),
        ),
    ),
    Client(
        *("Priya Nair", "priya@nair.example", "+61 491 570 158", "Five sessions"),
        (Visit("Running form", -1, 18), Visit("Hill repeats", 2, 18)),
        promo_code=PROMO_CODE,
    ),
    Client(
        *("Tom Okafor", "tom@okafor.example", "+61 491 570 159", "Three sessions"),
        (
            Visit("Kettlebells", -16, 17, "calendar"),
            Visit("Carries", -12, 17, "calendar"),
            Visit("Sled", -8, 17, "calendar"),
            Visit("One too many", -2, 17),
        ),
    ),
    Client(
        *("Sofia Rossi", "sofia@rossi.example", "+61 491 570 110", "Three sessions"),
        (Visit("Core", -9, 9, "calendar"), Visit("Balance", -5, 9, "calendar")),
    ),
    Client(
        *("Lena Fischer", "lena@fischer.example", "+61 491 570 111", "Ten sessions"),
        (
            Visit("Trail run", -15, 6),
            Visit("Cut short by a storm", -11, 6, "given_back"),
            Visit("Overslept", -4, 6, "no_show"),
            Visit("Trail run again", 3, 6),
        ),
    ),
    Client(
        *("Ben Carter", "ben@carter.example", "+61 491 570 112", "Five sessions"),
        (Visit("Trial", -18, 16, is_paid_from_package=False),),
    ),
)

# What a paper card says of Priya's sessions.
CARD_USED = 3


def local_midnight() -> datetime:
    """When today began in the organisation's timezone."""
    return datetime.now(UTC).astimezone(LOCAL).replace(hour=0, minute=0, second=0, microsecond=0)
