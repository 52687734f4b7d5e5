"""What is open and what may be booked, said once more and slowly: minute by minute, sharing nothing with the SQL.

Python's own reading of a wall time that occurs twice is not ours, so conversion is spelled out here: a start is the
first of the two instants, an end the second; what a gap swallows moves forward by the length of the gap.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
GRID_MINUTES = 15
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Hours:
    """A row of availability: weekly, or of one date; of one staff member, or of everyone without hours of their own."""

    starts: time
    ends: time
    day_of_week: int | None = None
    on: date | None = None
    staff: int | None = None
    is_open: bool = True


@dataclass(frozen=True)
class Block:
    """A row of blocked_times, or with `staff` None everyone's."""

    starts: time
    ends: time
    day_of_week: int | None = None
    on: date | None = None
    staff: int | None = None


@dataclass(frozen=True)
class Kind:
    """A session type; the default is what is booked without one."""

    minutes: int = 60
    before: int = 0
    after: int = 0
    capacity: int = 1
    max_per_day: int | None = None
    staff: tuple[int, ...] = ()
    is_online: bool = True


@dataclass(frozen=True)
class Place:
    """A location: opening hours by day of the week (none: always open), and who works there (none named: everyone)."""

    hours: tuple[tuple[int, time, time], ...] = ()
    staff: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rules:
    """An organisation as its settings, hours and types describe it."""

    zone: str = "Australia/Brisbane"
    staff: int = 1
    hours: tuple[Hours, ...] = ()
    blocks: tuple[Block, ...] = ()
    kinds: tuple[Kind, ...] = ()
    place: Place | None = None
    between: int = 15
    slot_minutes: int = 60
    min_notice_hours: int = 24
    late_notice_hours: int = 2
    early_before_hour: int = 9
    early_time: time = time(20)
    max_advance_days: int = 30
    allow_client_booking: bool = True


@dataclass
class Session:
    """Time that is taken; `kind` is a number in Rules.kinds, None for none. Its seats are booked or held one by one."""

    staff: int
    start: datetime
    end: datetime
    before: int
    after: int
    kind: int | None
    booked: int = 0
    held_until: list[datetime] = field(default_factory=list)

    def seats_at(self, now: datetime) -> int:
        return self.booked + sum(limit > now for limit in self.held_until)

    @property
    def minutes(self) -> range:
        return range(minute(self.start) - self.before, minute(self.end) + self.after)


@dataclass(frozen=True, order=True)
class Start:
    """One start on offer."""

    staff: int
    start: datetime
    seats_left: int


def instants(zone: str, local: datetime) -> list[datetime]:
    """Every instant at which the clocks of a zone show that wall time: none in a gap, two in a fold."""
    found = {local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(i for i in found if i.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local)


def instant(zone: str, local: datetime, *, is_end: bool = False) -> datetime:
    """The first for a start, the second for an end; out of a gap forward, counting on with the clocks of before."""
    if found := instants(zone, local):
        return found[-1 if is_end else 0]
    before = local
    while not instants(zone, before):
        before -= MINUTE
    return instants(zone, before)[-1] + (local - before)


def minute(at: datetime) -> int:
    return int((at - EPOCH) / MINUTE)


def local_date(zone: str, at: datetime) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def dates(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def day_of_week(on: date) -> int:
    """0 is Sunday."""
    return on.isoweekday() % 7


@dataclass
class Oracle:
    """The rules of one organisation and what has been taken."""

    rules: Rules
    taken: list[Session] = field(default_factory=list)

    def open_minutes(self, staff: int, first: date, last: date) -> set[int]:
        """The minutes at which somebody may give sessions on some local days."""
        rules = self.rules
        own = [h for h in rules.hours if h.staff == staff]
        has_own_week = any(h.on is None and h.is_open for h in own)
        hours = own + [h for h in rules.hours if h.staff is None and not has_own_week]
        opened: set[int] = set()
        shut: set[int] = set()
        for on in dates(first, last):
            dated = any(h.on == on and h.is_open for h in hours)
            for h in hours:
                weekly = h.on is None and h.day_of_week == day_of_week(on)
                if h.on == on or (weekly and not (h.is_open and dated)):
                    (opened if h.is_open else shut).update(self.span(on, h.starts, h.ends))
            for b in rules.blocks:
                if b.staff in (None, staff) and (b.on == on or b.day_of_week == day_of_week(on)):
                    shut.update(self.span(on, b.starts, b.ends))
        if rules.place and rules.place.hours:
            place = {
                m
                for on in dates(first, last)
                for dow, opens, closes in rules.place.hours
                if dow == day_of_week(on)
                for m in self.span(on, opens, closes)
            }
            opened &= place
        return opened - shut

    def span(self, on: date, starts: time, ends: time) -> range:
        first = instant(self.rules.zone, datetime.combine(on, starts))
        last = instant(self.rules.zone, datetime.combine(on, ends), is_end=True)
        return range(minute(first), minute(last))

    def shape(self, kind: int | None) -> tuple[int, int, int, int]:
        """Minutes of a session, before it and after it, and its seats."""
        if kind is None:
            return self.rules.slot_minutes, 0, self.rules.between, 1
        k = self.rules.kinds[kind]
        return k.minutes, k.before, max(k.after, self.rules.between), k.capacity

    def eligible(self, kind: int | None) -> list[int]:
        named = self.rules.kinds[kind].staff if kind is not None else ()
        there = self.rules.place.staff if self.rules.place else ()
        return [s for s in range(self.rules.staff) if (not named or s in named) and (not there or s in there)]

    def closes_at(self, start: datetime) -> datetime:
        """The last instant at which a client may book that start."""
        rules = self.rules
        local = start.astimezone(ZoneInfo(rules.zone)).replace(tzinfo=None)
        if local.hour < rules.early_before_hour:
            evening = datetime.combine(local.date() - timedelta(days=1), rules.early_time)
            cutoff = instant(rules.zone, evening)
        else:
            cutoff = start - timedelta(hours=rules.late_notice_hours)
        return min(cutoff, start - timedelta(hours=rules.min_notice_hours))

    def starts(self, kind: int | None, first: date, last: date, *, audience: str, now: datetime) -> list[Start]:
        """Every start on offer on some local days."""
        rules = self.rules
        if audience == "client":
            online = kind is None or rules.kinds[kind].is_online
            if not (rules.allow_client_booking and online):
                return []
        minutes, before, after, capacity = self.shape(kind)
        live = [t for t in self.taken if t.seats_at(now)]
        per_day = Counter(local_date(rules.zone, t.start) for t in live if t.kind == kind and kind is not None)
        limit = rules.kinds[kind].max_per_day if kind is not None else None
        offered = []
        for staff in self.eligible(kind):
            is_open = self.open_minutes(staff, first - timedelta(days=2), last + timedelta(days=2))
            mine = [t for t in live if t.staff == staff]
            busy = set(itertools.chain.from_iterable(t.minutes for t in mine))
            for start in self.grid(first, last):
                if start < now or not self.may_be_asked(start, audience, now):
                    continue
                m = minute(start)
                fits = is_open.issuperset(range(m, m + minutes)) and busy.isdisjoint(
                    range(m - before, m + minutes + after)
                )
                if fits and (limit is None or per_day[local_date(rules.zone, start)] < limit):
                    offered.append(Start(staff, start, capacity))
            for t in mine:
                joins = capacity > 1 and t.kind == kind and t.seats_at(now) < capacity
                length = t.end - t.start == timedelta(minutes=minutes)
                within = first <= local_date(rules.zone, t.start) <= last and t.start >= now
                if joins and length and within and self.may_be_asked(t.start, audience, now):
                    offered.append(Start(staff, t.start, capacity - t.seats_at(now)))
        return sorted(offered)

    def grid(self, first: date, last: date) -> Iterator[datetime]:
        """Every quarter of an hour, by UTC, of some local days."""
        m = minute(datetime.combine(first - timedelta(days=1), time(), UTC)) // GRID_MINUTES * GRID_MINUTES
        end = minute(datetime.combine(last + timedelta(days=2), time(), UTC))
        for at in (EPOCH + n * MINUTE for n in range(m, end, GRID_MINUTES)):
            if first <= local_date(self.rules.zone, at) <= last:
                yield at

    def may_be_asked(self, start: datetime, audience: str, now: datetime) -> bool:
        if audience == "coach":
            return True
        last_day = local_date(self.rules.zone, now) + timedelta(days=self.rules.max_advance_days)
        return now <= self.closes_at(start) and local_date(self.rules.zone, start) <= last_day

    def take(
        self, kind: int | None, staff: int, start: datetime, *, now: datetime, held_until: datetime | None = None
    ) -> None:
        """Remembers a booking or a hold: a seat of the group that is there, or a session of its own."""
        minutes, before, after, capacity = self.shape(kind)
        for t in self.taken:
            if capacity > 1 and (t.staff, t.start, t.kind) == (staff, start, kind) and t.seats_at(now):
                session = t
                break
        else:
            session = Session(staff, start, start + timedelta(minutes=minutes), before, after, kind)
            self.taken.append(session)
        if held_until:
            session.held_until.append(held_until)
        else:
            session.booked += 1
