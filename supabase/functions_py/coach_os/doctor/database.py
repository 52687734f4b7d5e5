"""What the database says of itself, held against what this side knows: migrations, grants, clocks, timezones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from coach_os.database import Database
from coach_os.doctor.finding import Finding, FindingList, found
from coach_os.errors import CoachError
from coach_os.stack.migrations import read_migrations

#: Beyond it, what one side calls due the other does not.
MAX_CLOCK_DIFFERENCE = timedelta(seconds=2)
HALF_A_YEAR = timedelta(days=182)

_GRANT = re.compile(
    r"^\s*(?P<verb>grant|revoke)\s+(?:execute|all)\s+on\s+functions?\s+(?P<functions>.+?)\s+(?:to|from)\s+(?P<roles>[\w\s,]+)$",
    re.IGNORECASE | re.DOTALL,
)
_FUNCTION = re.compile(r"(\w+\.\w+)\s*\(")
_DROP = re.compile(r"^\s*drop\s+function\s+(?:if\s+exists\s+)?(\w+\.\w+)\s*\(", re.IGNORECASE)
_API_ROLES = ("anon", "authenticated", "service_role")


async def examine_database(
    database: Database, *, is_quick: bool = False
) -> tuple[int, FindingList, list[dict[str, str]]]:
    """(how many checks ran, what they found, which could not look).

    Raises:
        CoachError: the database cannot be asked.
    """
    newest = max((migration.version for migration in read_migrations()), default="")
    pending: FindingList = []
    try:
        migration = (await database.rpc("service.health"))["migration"] or ""
        if migration < newest:
            pending = [_pending(migration)]
        answer = await database.rpc("service.examine", p_is_quick=is_quick)
    except CoachError as error:
        if error.slug != "function_missing":
            raise
        # What has no doctor has not all migrations either.
        return 1, pending or [_pending("")], []
    findings = [Finding(**finding) for finding in answer["findings"]]
    blind = [{"check": check["check"], "reason": check["sqlstate"]} for check in answer["blind"]]
    return 1 + answer["checked"], [*pending, *findings], blind


async def examine_grants(database: Database) -> FindingList:
    """Where the right to call functions is not what the migrations gave."""
    rows = await database.rpc("service.grant_drift", p_expected=expected_grants())
    extra = [f"{row['function']} by {row['role']}" for row in rows if row["is_extra"]]
    lost = [f"{row['function']} by {row['role']}" for row in rows if not row["is_extra"]]
    return [
        *found(
            "grant_extra",
            "error",
            "A role may call a function that no migration let it call.",
            "revoke execute on function {subject};".replace(" by ", " from "),
            [subject.replace(" by ", " from ") for subject in extra],
        ),
        *found(
            "grant_lost",
            "error",
            "A role may not call a function that the migrations let it call.",
            "grant execute on function {subject};",
            [subject.replace(" by ", " to ") for subject in lost],
        ),
    ]


def expected_grants() -> dict[str, list[str]]:
    """{function: [API role]}, by name, as the migrations of this version leave it."""
    granted: dict[str, set[str]] = {}
    for migration in read_migrations():
        follow(granted, (statement.text for statement in migration.statements()))
    return {function: sorted(roles) for function, roles in sorted(granted.items()) if roles}


def follow(granted: dict[str, set[str]], statements: Iterable[str]) -> None:
    """Carry out the grants and revokes of functions among the statements.

    >>> granted = {}
    >>> follow(granted, ["grant execute on function public.a(uuid), public.b() to anon, authenticated"])
    >>> follow(granted, ["revoke all on function public.a(uuid) from public, anon", "drop function public.b()"])
    >>> granted
    {'public.a': {'authenticated'}}
    """
    for statement in statements:
        text = re.sub(r"--[^\n]*", "", statement)
        if dropped := _DROP.match(text):
            granted.pop(dropped[1], None)
        elif match := _GRANT.match(text):
            roles = {role.strip().lower() for role in match["roles"].split(",")} & set(_API_ROLES)
            for function in _FUNCTION.findall(match["functions"]):
                if match["verb"].lower() == "grant":
                    granted.setdefault(function, set()).update(roles)
                else:
                    granted.get(function, set()).difference_update(roles)


async def examine_clock(database: Database) -> FindingList:
    """Whether the database's clock is this process's."""
    asked_at = datetime.now(UTC)
    said = datetime.fromisoformat(await database.rpc("service.clock"))
    answered_at = datetime.now(UTC)
    early, late = asked_at - said, said - answered_at
    return clock_finding("clock_differs", "The database's clock and this machine's", max(early, late))


def clock_finding(check: str, clocks: str, difference: timedelta) -> FindingList:
    """A finding where two clocks are too far apart."""
    if difference <= MAX_CLOCK_DIFFERENCE:
        return []
    seconds = f"{difference.total_seconds():.0f} s"
    meaning = f"{clocks} are apart by more than {MAX_CLOCK_DIFFERENCE.total_seconds():.0f} seconds."
    return found(check, "error", meaning, "Let NTP set the clock: timedatectl set-ntp true", [seconds])


async def examine_timezones(database: Database) -> FindingList:
    """Whether the database and Python agree on the timezones that organisations have, now and in half a year."""
    now = datetime.now(UTC)
    differing = []
    for row in await database.rpc("service.timezones"):
        try:
            zone = ZoneInfo(row["timezone"])
        except (ZoneInfoNotFoundError, ValueError):
            differing.append(row["timezone"])
            continue
        ours = [_offset(zone, at) for at in (now, now + HALF_A_YEAR)]
        if ours != [row["utc_offset_secs"], row["utc_offset_secs_in_half_a_year"]]:
            differing.append(row["timezone"])
    return found(
        "timezone_data_differs",
        "warning",
        "The database and this machine disagree about a timezone: one of them has old timezone data.",
        "Update tzdata on both (pip install -U tzdata; the server's package tzdata): {subject}",
        differing,
    )


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def _pending(migration: str) -> Finding:
    meaning = "The database lacks migrations of this version."
    return Finding("migrations_pending", "error", meaning, "coach db migrate", 1, [{"subject": migration or "none"}])
