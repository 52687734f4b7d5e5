"""What the demonstration tries on purpose: refusals, a double click, a race.

Each may be repeated, since a request id counts once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from coach_cli.demo.doors import Tab, at_once
from coach_cli.demo.people import BEN, JONAS, LENA, MIA, SOFIA, TOM, Client
from coach_cli.demo.studio import Studio
from coach_cli.words import reason
from coach_os.errors import Refusal


@dataclass(frozen=True)
class Scene:
    """One attempt: who did what, and what they were answered."""

    who: str
    did: str
    answer: str

    @property
    def went_through(self) -> bool:
        return self.answer.startswith("true")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def check_in(studio: Studio, desk: Tab) -> Scene:
    """The front desk checks a client in by naming the booking, before it is over."""
    booking = studio.booking_of(JONAS, "Rowing")
    return Scene("the front desk", f"checks {JONAS.name} in", _use(studio, desk, JONAS, "check-in", booking))


def freeze(studio: Studio) -> Scene:
    """A package rests while its client is injured; once thawed it is left alone."""
    if studio.packages[BEN.name]["frozen_periods"] == "{}":
        studio.tab.rpc("freeze_package", p_purchase_id=studio.package_of(BEN))
    return Scene("the coach", f"uses a session of {BEN.name}'s frozen package", _use(studio, studio.tab, BEN, "frozen"))


def double_click(studio: Studio, tabs: tuple[Tab, Tab]) -> list[Scene]:
    """One click that arrives twice in the same moment, under one request id."""
    did = f"clicks Use 1 session for {LENA.name}"
    return _at_once(studio, tabs, LENA, did, ("click", "click"), ("the coach", "the same click"))


def race(studio: Studio, tabs: tuple[Tab, Tab]) -> list[Scene]:
    """Two tabs, two clicks, one session left."""
    did = f"uses {SOFIA.name}'s last session"
    return _at_once(studio, tabs, SOFIA, did, ("race 1", "race 2"), ("tab 1", "tab 2, at once"))


def refusals(studio: Studio, desk: Tab, stranger: Tab) -> list[Scene]:
    """What must not work."""
    package, first = studio.package_of(MIA), studio.booking_of(MIA, MIA.visits[0].note)
    return [
        Scene(
            "another studio's coach",
            f"uses a session of {MIA.name}",
            _refusal(lambda: stranger.rpc("use_session", p_purchase_id=package)),
        ),
        Scene("the coach", f"uses a fourth session of {TOM.name}'s three", _use(studio, studio.tab, TOM, "fourth")),
        Scene(
            "a second calendar",
            f"completes {MIA.name}'s first booking again",
            _refusal(lambda: studio.tab.update("bookings", {"id": first}, status="completed")),
        ),
        Scene(
            "the front desk",
            f"sets {MIA.name}'s used sessions to 0",
            _refusal(lambda: desk.rpc("correct_package", p_purchase_id=package, p_sessions_used=0)),
        ),
    ]


def _at_once(
    studio: Studio, tabs: tuple[Tab, Tab], client: Client, did: str, clicks: tuple[str, str], who: tuple[str, str]
) -> list[Scene]:
    acts = [lambda tab=tab, what=what: _use(studio, tab, client, what) for tab, what in zip(tabs, clicks, strict=True)]
    answers = at_once(acts, ready=lambda number: tabs[number].select("client_purchases", id=studio.package_of(client)))
    return [Scene(person, did, answer) for person, answer in zip(who, answers, strict=True)]


def _use(studio: Studio, tab: Tab, client: Client, what: str, booking: str | None = None) -> str:
    """Use a session under a request id, and say what was answered and why the ledger says so."""
    request_id = studio.request_id(f"{client.name}: {what}")
    package = studio.package_of(client)
    taken = tab.rpc("use_session", p_purchase_id=package, p_booking_id=booking, p_request_id=request_id)
    (entry,) = tab.select("session_entries", request_id=request_id)
    return f"{'true' if taken else 'false'} ({reason(entry['reason'])})"


def _refusal(act: Callable[[], Any]) -> str:
    try:
        act()
    except Refusal as refusal:
        return f"{refusal.status} {refusal.slug}: {refusal.message}"
    return "it worked, and should not have"
