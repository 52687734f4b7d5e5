"""An organisation in the database, made from the description that the oracle reads."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.db.oracle import Rules, Start, day_of_week, instant
from tests.harness.database import Caller, Database

Id = uuid.UUID


@dataclass
class Described:
    """The rows of one organisation, by the numbers that its description uses."""

    owner: Caller
    org_id: Id
    staff: list[Id]
    kinds: list[Id]
    clients: list[Id]
    location: Id | None

    def offered(
        self, rules: Rules, kind: int | None, first: date, last: date, *, audience: str, now: datetime
    ) -> list[Start]:
        """What the database lists for some local days."""
        within = (
            instant(rules.zone, datetime.combine(first, datetime.min.time())),
            instant(rules.zone, datetime.combine(last + timedelta(days=1), datetime.min.time())) - timedelta(seconds=1),
        )
        rows = self.owner.rows(
            """select s.staff_id, s.start_time, s.seats_left
                 from private.offered_slots(%s, %s, null, null, %s, tstzrange(%s, %s, '[]'), %s, %s) as s""",
            (self.org_id, self.kind(kind), self.location, *within, audience, now),
        )
        return sorted(Start(self.staff.index(r["staff_id"]), r["start_time"], r["seats_left"]) for r in rows)

    def book(
        self, kind: int | None, staff: int | None, start: datetime, client: Id, *, audience: str, now: datetime
    ) -> dict[str, Any]:
        """private.book at that moment; staff None is anyone."""
        answer: dict[str, Any] = self.owner.value(
            """select private.book(%s, %s, %s, %s, null, %s, %s, null, %s, 'system', null, null, null, p_now => %s)""",
            (
                self.org_id,
                client,
                self.kind(kind),
                start,
                None if staff is None else self.staff[staff],
                self.location,
                audience,
                now,
            ),
        )
        return answer

    def hold(
        self, kind: int | None, staff: int, start: datetime, client: Id, *, audience: str, now: datetime, minutes: int
    ) -> dict[str, Any]:
        """private.hold_slot at that moment."""
        answer: dict[str, Any] = self.owner.value(
            "select private.hold_slot(%s, %s, %s, %s, null, %s, %s, %s, %s, %s)",
            (self.org_id, client, self.kind(kind), start, self.staff[staff], self.location, audience, minutes, now),
        )
        return answer

    def kind(self, kind: int | None) -> Id | None:
        return None if kind is None else self.kinds[kind]


def describe(db: Database, rules: Rules, *, clients: int = 1) -> Described:
    """Writes a description as rows."""
    owner, org_id = db.owner, uuid.uuid4()
    owner.insert("public.orgs", id=org_id, name="Described", slug=f"org-{org_id.hex[:12]}")
    owner.insert(
        "public.booking_settings",
        org_id=org_id,
        timezone=rules.zone,
        buffer_between_mins=rules.between,
        slot_duration_mins=rules.slot_minutes,
        min_notice_hours=rules.min_notice_hours,
        late_notice_hours=rules.late_notice_hours,
        early_cutoff_before_hour=rules.early_before_hour,
        early_cutoff_time=rules.early_time,
        max_advance_days=rules.max_advance_days,
        allow_client_booking=rules.allow_client_booking,
    )

    def add(table: str, **columns: Any) -> Id:
        row_id: Id = owner.insert(f"public.{table}", org_id=org_id, **columns)["id"]
        return row_id

    staff = [add("staff", full_name=f"Staff {n}") for n in range(rules.staff)]

    def named(number: int | None) -> Id | None:
        return None if number is None else staff[number]

    for h in rules.hours:
        day = h.day_of_week if h.on is None else day_of_week(h.on)
        add("availability", staff_id=named(h.staff), day_of_week=day, specific_date=h.on, start_time=h.starts,
            end_time=h.ends, is_available=h.is_open)  # fmt: skip
    for b in rules.blocks:
        add("blocked_times", staff_id=named(b.staff), date=b.on, day_of_week=b.day_of_week, start_time=b.starts,
            end_time=b.ends)  # fmt: skip
    kinds = [
        add("session_types", name=f"Type {n}", slug=f"type-{n}", duration_mins=k.minutes, buffer_before_mins=k.before,
            buffer_after_mins=k.after, capacity=k.capacity, max_per_day=k.max_per_day, allow_online_booking=k.is_online)
        for n, k in enumerate(rules.kinds)
    ]  # fmt: skip
    for kind, k in zip(kinds, rules.kinds, strict=True):
        for number in k.staff:
            add("session_type_staff", session_type_id=kind, staff_id=staff[number])
    location = None
    if rules.place:
        location = add("locations", name="The place")
        for dow, opens, closes in rules.place.hours:
            add("location_hours", location_id=location, day_of_week=dow, opens_time=opens, closes_time=closes)
        elsewhere = add("locations", name="Elsewhere") if rules.place.staff else None
        for number in range(rules.staff if elsewhere else 0):
            works_at = location if number in rules.place.staff else elsewhere
            add("staff_locations", staff_id=staff[number], location_id=works_at)
    people = [add("clients", full_name=f"Client {n}") for n in range(clients)]
    return Described(owner, org_id, staff, kinds, people, location)
