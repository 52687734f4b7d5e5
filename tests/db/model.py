"""What taking and giving back sessions means, written a second time: slowly, in Python, from the words and not the SQL.

A package is a list of movements; everything else is looked up in it. One caller at a time.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

GRACE = timedelta(minutes=2)
NOTICE = timedelta(hours=24)


class Refused(Exception):
    """A rule says no; `slug` is what clients branch on."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


@dataclass
class Movement:
    """One thing that happened to a package's counters; `is_released` once it was given back."""

    kind: str
    used: int
    at: datetime
    actor: str
    total: int = 0
    booking: "Booking | None" = None
    is_released: bool = False


@dataclass
class Booking:
    package: "Package"
    start: datetime
    end: datetime
    status: str = "confirmed"
    settlement: str | None = None
    due_since: datetime | None = None
    is_undone: bool = False
    is_late_cancellation: bool = False
    # Who completed it directly and has yet to ask for its session, and until when that is waited for.
    follow_up: tuple[str, datetime] | None = None

    @property
    def holds_a_session(self) -> bool:
        return self.settlement == "due" or (self.settlement is None and self.status == "confirmed")


@dataclass
class Package:
    bought: int
    expires: datetime | None = None
    is_paid: bool = True
    frozen: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    moves: list[Movement] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(move.used for move in self.moves)

    @property
    def total(self) -> int:
        return self.bought + sum(move.total for move in self.moves)

    @property
    def is_frozen(self) -> bool:
        return any(until is None for _, until in self.frozen)

    def pays_at(self, instant: datetime) -> bool:
        """Paid, before its expiry and not frozen at that instant."""
        is_frozen = any(since <= instant and (until is None or instant < until) for since, until in self.frozen)
        return self.is_paid and not is_frozen and (self.expires is None or instant < self.expires)

    def bookable(self, now: datetime) -> int:
        held = sum(booking.holds_a_session for booking in self.bookings)
        return max(self.total - self.used - held, 0) if self.pays_at(now) else 0

    def held_before(self) -> tuple[set[int], set[int]]:
        """The values that used and total had before each movement: what a page opened earlier may show."""
        used, total, seen_used, seen_total = 0, self.bought, set(), set()
        for move in self.moves:
            seen_used.add(used)
            seen_total.add(total)
            used, total = used + move.used, total + move.total
        return seen_used, seen_total


class Model:
    """One organisation; people are names, requests are what their ids are bound to and were answered."""

    def __init__(self, click_window: timedelta) -> None:
        self.window = click_window
        self.charges_no_shows = False
        self.requests: dict[object, tuple[object, int]] = {}

    def use(self, package: Package, actor: str, now: datetime, booking: Booking | None, request: object) -> bool:
        bound = ("use", id(package), id(booking) if booking else None)
        if request is not None and request in self.requests:
            return self._first_answer(request, bound) == 1
        answer = self._use(package, actor, now, booking, is_bare=booking is None and request is None)
        if request is not None:
            self.requests[request] = (bound, int(answer))
        return answer

    def _use(self, package: Package, actor: str, now: datetime, booking: Booking | None, *, is_bare: bool) -> bool:
        if booking is not None:
            if booking.package is not package:
                raise Refused("booking_not_in_package")
            if booking.settlement == "charged":
                return True
            if booking.status == "cancelled" and not booking.is_late_cancellation:
                raise Refused("booking_not_chargeable")
            return self._settle(booking, actor, now) == "charged"
        if is_bare:
            due = [b for b in package.bookings if b.status == "completed" and b.settlement == "due"]
            if due:
                oldest = min(due, key=lambda b: b.start)
                self._meet_follow_up(package, actor, now, oldest)
                return self._settle(oldest, actor, now) == "charged"
            met = self._meet_follow_up(package, actor, now, None)
            if met is not None:
                return met.settlement == "charged"
            if self._is_same_click(package, actor, now):
                return True
        if not package.pays_at(now) or package.used >= package.total:
            return False
        package.moves.append(Movement("use", 1, now, actor))
        return True

    def release(self, package: Package, actor: str, now: datetime, booking: Booking | None, request: object) -> int:
        bound = ("release", id(package), id(booking) if booking else None)
        if request is not None and request in self.requests:
            return self._first_answer(request, bound)
        if booking is not None and booking.package is not package:
            raise Refused("booking_not_in_package")
        if booking is None and request is None and self._is_same_release(package, actor, now):
            return package.used
        answer = self._release(package, actor, now, booking)
        if request is not None:
            self.requests[request] = (bound, answer)
        return answer

    def _release(self, package: Package, actor: str, now: datetime, booking: Booking | None) -> int:
        held = [m for m in package.moves if m.kind == "use" and not m.is_released and booking in (None, m.booking)]
        if package.used == 0 or (booking is not None and not held):
            return -1
        if held:
            held[-1].is_released = True
            if held[-1].booking is not None:
                held[-1].booking.settlement, held[-1].booking.due_since = "waived", None
        package.moves.append(Movement("release", -1, now, actor))
        return package.used

    def correct(self, package: Package, actor: str, now: datetime, used: int, total: int, *, by_editor: bool) -> None:
        if by_editor:
            seen_used, seen_total = package.held_before()
            used = package.used if used in seen_used else used
            total = package.total if total in seen_total else total
        if not 0 <= used <= total:
            raise Refused("sessions_out_of_range")
        if (used, total) != (package.used, package.total):
            package.moves.append(Movement("correction", used - package.used, now, actor, total - package.total))

    def complete(self, booking: Booking, actor: str, now: datetime) -> str | None:
        """complete_booking: both in one."""
        if booking.status != "completed":
            self._complete(booking, now)
        if booking.settlement == "due":
            self._settle(booking, actor, now)
        return booking.settlement

    def mark_completed(self, booking: Booking, actor: str, now: datetime) -> None:
        """The calendar's direct write; it asks for the session afterwards."""
        if booking.status == "confirmed" and booking.settlement is not None:
            raise Refused("booking_settled")
        if booking.status == "confirmed" and booking.is_undone:
            raise Refused("completion_undone")
        self._complete(booking, now)
        booking.follow_up = (actor, now + GRACE)

    def mark(self, booking: Booking, status: str, now: datetime) -> None:
        """A coach's direct write of confirmed, cancelled or no_show."""
        was = booking.status
        if was == status:
            return
        if (was, status) == ("confirmed", "no_show"):
            if booking.settlement is None and self.charges_no_shows:
                booking.settlement, booking.due_since = "due", now
        elif status == "no_show" or (status == "cancelled" and was != "confirmed"):
            raise Refused("booking_not_confirmed")
        elif booking.settlement == "charged":
            raise Refused("booking_charged")
        elif status == "cancelled":
            booking.is_late_cancellation = now > booking.start - NOTICE
        else:
            self._reopen(booking)
            booking.is_undone = was != "cancelled"
        booking.status = status

    def undo(self, booking: Booking, actor: str, now: datetime) -> int:
        package = booking.package
        if booking.status not in ("completed", "no_show"):
            if not booking.is_undone:
                raise Refused("booking_not_completed")
            return package.used
        if booking.settlement == "charged":
            (charge,) = [m for m in package.moves if m.booking is booking and m.used == 1 and not m.is_released]
            charge.is_released = True
            package.moves.append(Movement("release", -min(package.used, 1), now, actor))
        self._reopen(booking)
        booking.is_undone = True
        return package.used

    def freeze(self, package: Package, now: datetime) -> None:
        if not package.is_frozen:
            if not package.is_paid or (package.expires is not None and package.expires <= now):
                raise Refused("package_ended")
            package.frozen.append((now, None))

    def unfreeze(self, package: Package, now: datetime) -> None:
        if package.is_frozen:
            since, _ = package.frozen.pop()
            package.frozen.append((since, now))
            package.expires = package.expires and package.expires + (now - since)

    def sweep(self, packages: list[Package], now: datetime) -> None:
        for booking in sorted((b for package in packages for b in package.bookings), key=lambda b: b.start):
            is_over = booking.status == "confirmed" and not booking.is_undone and booking.end < now
            is_late = booking.due_since is not None and booking.due_since < now - GRACE
            if is_over:
                self._complete(booking, now)
            if (is_over or is_late) and booking.settlement == "due":
                self._settle(booking, "nobody", now)
            if is_over or is_late:
                booking.follow_up = None

    def _complete(self, booking: Booking, now: datetime) -> None:
        if booking.status != "confirmed":
            raise Refused("booking_not_confirmed")
        booking.status, booking.is_undone = "completed", False
        if booking.settlement is None:
            booking.settlement, booking.due_since = "due", now

    def _reopen(self, booking: Booking) -> None:
        booking.status, booking.settlement, booking.due_since, booking.follow_up = "confirmed", None, None, None

    def _settle(self, booking: Booking, actor: str, now: datetime) -> str | None:
        package = booking.package
        if package.pays_at(booking.start) and package.used < package.total:
            package.moves.append(Movement("use", 1, now, actor, booking=booking))
            booking.settlement, booking.due_since = "charged", None
        elif booking.settlement not in (None, "waived"):
            booking.settlement, booking.due_since = "uncovered", None
        return booking.settlement

    def _meet_follow_up(self, package: Package, actor: str, now: datetime, settling: Booking | None) -> Booking | None:
        own = [b for b in package.bookings if b.follow_up and b.follow_up[0] == actor and b.follow_up[1] > now]
        met = min(own, key=lambda b: b.start) if own else settling
        if met is not None:
            met.follow_up = None
        return met

    def _is_same_click(self, package: Package, actor: str, now: datetime) -> bool:
        return any(
            m.kind == "use" and m.actor == actor and not m.is_released and m.at > now - self.window
            for m in package.moves
            if self.window
        )

    def _is_same_release(self, package: Package, actor: str, now: datetime) -> bool:
        own = [m for m in package.moves if m.actor == actor and (m.used or m.total) and m.at > now - self.window]
        return bool(self.window and own and own[-1].kind == "release")

    def _first_answer(self, request: object, bound: object) -> int:
        first_bound, answer = self.requests[request]
        if first_bound != bound:
            raise Refused("request_reused")
        return answer
