"""Quiet hours beside an oracle that asks the clock every minute: windows, hours, days of changes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.harness.database import Database

MINUTE = timedelta(minutes=1)

# Wrapping or not, of an hour, of all but one, on the very hours that clocks change in; equal means none.
WINDOWS = [
    (21, 8), (22, 7), (23, 0), (0, 1), (0, 6), (1, 2), (1, 3), (2, 3), (3, 2), (2, 1), (23, 8), (21, 1), (21, 2),
    (9, 17), (12, 13), (8, 21), (0, 23), (5, 5),
]  # fmt: skip

# The local day of each change, and an ordinary one.
DAYS = {
    "America/New_York": ("2026-03-08", "2026-11-01", "2026-06-10"),
    "America/Santiago": ("2026-04-04", "2026-09-05", "2026-06-10"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04", "2026-06-10"),
    "Europe/London": ("2026-03-29", "2026-10-25", "2026-06-10"),
    "Asia/Kathmandu": ("2026-06-10",),
}
CASES = [(zone, day) for zone, days in DAYS.items() for day in days]


@dataclass
class Clock:
    """Every minute around a day as it stands on the wall there, and whether it is quiet."""

    begins: datetime
    is_quiet: list[bool]

    @classmethod
    def around(cls, zone: str, day: str, window: tuple[int, int]) -> "Clock":
        begins = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=4)
        hours = [(begins + n * MINUTE).astimezone(ZoneInfo(zone)).hour for n in range(9 * 24 * 60)]
        start, end = window
        span = {h % 24 for h in range(start, end if end >= start else end + 24)}
        return cls(begins, [hour in span for hour in hours])

    def at(self, instant: datetime) -> int:
        return int((instant - self.begins) / MINUTE)

    def until(self, instant: datetime) -> datetime | None:
        n = self.at(instant)
        if not self.is_quiet[n]:
            return None
        while self.is_quiet[n]:
            n += 1
        return self.begins + n * MINUTE

    def since(self, instant: datetime) -> datetime | None:
        n = self.at(instant)
        if not self.is_quiet[n]:
            return None
        while self.is_quiet[n]:
            n -= 1
        return self.begins + (n + 1) * MINUTE

    def allowed(self, wanted: datetime, expires: datetime, now: datetime) -> datetime | None:
        """When an SMS may leave, by the rule's words."""
        until, since = self.until(wanted), self.since(wanted)
        if until is None:
            return wanted
        if until < expires:
            return until
        if since is not None and since > now:
            return max(now, since - 30 * MINUTE)
        return None


def instants(day: str) -> list[datetime]:
    """Every twelve minutes from the noon before to the noon after, off the quarter hours; and each hour exactly."""
    noon = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC) - timedelta(days=1)
    return [noon + n * 12 * MINUTE for n in range(2 * 24 * 5)]


@pytest.mark.parametrize(("zone", "day"), CASES)
def test_quiet_hours_are_the_clocks(db: Database, zone: str, day: str) -> None:
    for window in WINDOWS:
        clock = Clock.around(zone, day, window)
        rows = db.owner.rows(
            """select i.at, private.is_quiet(%(zone)s, %(start)s, %(end)s, i.at) as is_quiet,
                      private.quiet_until(%(zone)s, %(start)s, %(end)s, i.at) as until,
                      private.quiet_from(%(zone)s, %(start)s, %(end)s, i.at) as since
                 from unnest(%(at)s::timestamptz[]) as i (at)""",
            {"zone": zone, "start": window[0], "end": window[1], "at": instants(day)},
        )
        for row in rows:
            at = row["at"]
            got = (row["is_quiet"], row["until"], row["since"])
            assert got == (clock.is_quiet[clock.at(at)], clock.until(at), clock.since(at)), (window, at)


@pytest.mark.parametrize(("zone", "day"), CASES)
def test_an_sms_leaves_when_it_may_or_never(db: Database, zone: str, day: str) -> None:
    """Queued a day, an hour or a minute before it is wanted; of use for half an hour, for hours or for a day."""
    for window in WINDOWS:
        clock = Clock.around(zone, day, window)
        rows = db.owner.rows(
            """select i.at, i.at + u.use as expires_at, i.at - l.lead as asked_at,
                      private.allowed_at(%(zone)s, %(start)s, %(end)s, i.at, i.at + u.use, i.at - l.lead) as allowed_at
                 from unnest(%(at)s::timestamptz[]) as i (at),
                      unnest('{30 minutes,5 hours,1 day}'::interval[]) as u (use),
                      unnest('{1 minute,1 hour,1 day}'::interval[]) as l (lead)""",
            {"zone": zone, "start": window[0], "end": window[1], "at": instants(day)[::5]},
        )
        for row in rows:
            wanted = clock.allowed(row["at"], row["expires_at"], row["asked_at"])
            assert row["allowed_at"] == wanted, (window, row)
            if wanted is not None:
                assert not clock.is_quiet[clock.at(wanted)], "never inside"
                assert row["asked_at"] <= wanted < row["expires_at"]
