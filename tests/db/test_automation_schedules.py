"""Due times against an oracle that shares nothing with the SQL: a calendar walked day by day by Python's own zones."""

import calendar
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.harness.database import Database

ZONES = (
    "Australia/Brisbane",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/New_York",
    "Europe/London",
    "Asia/Kathmandu",
    "Europe/Dublin",
    "Pacific/Chatham",
)
ROUNDS = 40


def instant(zone: ZoneInfo, wall: datetime) -> datetime:
    """The first of two; out of a gap, by the offset that held before it: forward."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def matches(trigger: dict[str, Any], day: date) -> bool:
    weekday = (day.weekday() + 1) % 7
    match trigger["schedule"]:
        case "hourly" | "daily":
            return True
        case "weekly":
            return bool(weekday == trigger["day_of_week"])
        case "fortnightly":
            first = date.fromisoformat(trigger["starts_on"])
            while (first.weekday() + 1) % 7 != trigger["day_of_week"]:
                first += timedelta(days=1)
            return day >= first and (day - first).days % 14 == 0
        case "monthly":
            last = calendar.monthrange(day.year, day.month)[1]
            return bool(day.day == min(trigger["day_of_month"], last))
    raise AssertionError(trigger)


def walls(trigger: dict[str, Any], start: date, end: date) -> Iterator[datetime]:
    day = start
    while day <= end:
        if matches(trigger, day):
            if trigger["schedule"] == "hourly":
                yield from (datetime.combine(day, time(hour, trigger["minute"])) for hour in range(24))
            else:
                yield datetime.combine(day, time.fromisoformat(trigger["time"]))
        day += timedelta(days=1)


def expected(trigger: dict[str, Any], zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    first, last = start.date() - timedelta(days=3), end.date() + timedelta(days=3)
    return sorted({at for wall in walls(trigger, first, last) if start < (at := instant(zone, wall)) <= end})


def triggers(chance: random.Random, start: date) -> dict[str, Any]:
    kind = chance.choice(["hourly", "daily", "weekly", "fortnightly", "monthly"])
    trigger: dict[str, Any] = {"type": "schedule", "schedule": kind}
    if kind == "hourly":
        return trigger | {"minute": chance.choice([0, 15, 30, 59])}
    # Mostly where clocks are changed.
    trigger["time"] = chance.choice(
        ["00:00", "00:30", "01:00", "01:30", "01:59", "02:00", "02:15", "02:30", "03:00", "09:00"]
    )
    if kind in ("weekly", "fortnightly"):
        trigger["day_of_week"] = chance.choice([0, 0, 0, 1, 6])
    if kind == "fortnightly":
        trigger["starts_on"] = (start - timedelta(days=chance.randrange(30))).isoformat()
    if kind == "monthly":
        trigger["day_of_month"] = chance.choice([1, 4, 5, 6, 28, 29, 30, 31])
    return trigger


def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The hours of a year in which the clock of a zone is changed."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(366 * 24)]
    offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]]


@pytest.mark.parametrize("name", ZONES)
def test_due_times_are_what_the_clock_on_the_wall_says(db: Database, name: str) -> None:
    chance, zone = random.Random(name), ZoneInfo(name)
    around = changes(zone, 2027) or [datetime(2027, 5, 5, tzinfo=UTC)]
    asked, answers = [], []
    for _ in range(ROUNDS):
        start = chance.choice(around) - timedelta(days=chance.randrange(40), minutes=chance.randrange(3000))
        end = start + timedelta(days=chance.choice([2, 50, 100]))
        trigger = triggers(chance, start.date())
        asked.append({"trigger": trigger, "start": start.isoformat(), "end": end.isoformat()})
        answers.append(expected(trigger, zone, start, end))
    rows = db.owner.rows(
        """select array(select d from private.due_times(a -> 'trigger', %s, (a ->> 'start')::timestamptz,
                                                        (a ->> 'end')::timestamptz) as d order by d) as due
             from jsonb_array_elements(%s::jsonb) with ordinality as x (a, n) order by n""",
        (name, json.dumps(asked)),
    )
    found = [[at.astimezone(UTC) for at in row["due"]] for row in rows]
    for question, answer, got in zip(asked, answers, found, strict=True):
        assert got == answer, question


@pytest.mark.parametrize("name", ["Australia/Lord_Howe", "America/Santiago", "Europe/London"])
def test_following_the_next_due_time_meets_each_once(db: Database, name: str) -> None:
    """As the sweep goes: from one due time to the next, none left out and none twice, through a year."""
    zone, start, end = ZoneInfo(name), datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    for trigger in (
        {"type": "schedule", "schedule": "daily", "time": "02:15"},
        {"type": "schedule", "schedule": "weekly", "day_of_week": 0, "time": "00:30"},
        {"type": "schedule", "schedule": "fortnightly", "day_of_week": 0, "time": "01:30", "starts_on": "2027-01-05"},
        {"type": "schedule", "schedule": "monthly", "day_of_month": 31, "time": "09:00"},
    ):
        query = """
            with recursive step as (
              select private.next_due(%(t)s, %(z)s, %(s)s) as at
              union all
              select private.next_due(%(t)s, %(z)s, at) from step where at <= %(e)s)
            select at from step where at <= %(e)s order by at"""
        got = db.owner.values(query, {"t": json.dumps(trigger), "z": name, "s": start, "e": end})
        assert [at.astimezone(UTC) for at in got] == expected(trigger, zone, start, end), trigger
