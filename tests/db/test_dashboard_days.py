"""The dashboard's local days and weeks, where clocks change and around midnight, against a count in Python."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.db.studio import Studio
from tests.harness.cluster import Cluster
from tests.harness.database import Database

# A zone and a day on which its clocks change, or on which they do not.
DAYS = [
    pytest.param("America/New_York", date(2026, 11, 1), id="new-york-fold"),
    pytest.param("America/New_York", date(2027, 3, 14), id="new-york-gap"),
    pytest.param("America/Santiago", date(2026, 9, 6), id="santiago-without-midnight"),
    pytest.param("America/Santiago", date(2027, 4, 3), id="santiago-fold-before-midnight"),
    pytest.param("Australia/Lord_Howe", date(2026, 10, 4), id="lord-howe-half-an-hour-gap"),
    pytest.param("Australia/Lord_Howe", date(2027, 4, 4), id="lord-howe-half-an-hour-fold"),
    pytest.param("Asia/Kathmandu", date(2026, 11, 1), id="kathmandu"),
    pytest.param("Pacific/Kiritimati", date(2026, 12, 31), id="kiritimati"),
    pytest.param("Australia/Brisbane", date(2026, 10, 4), id="brisbane-without-dst"),
]
EACH_DAY = pytest.mark.parametrize(("zone", "day"), DAYS)


@pytest.fixture(scope="module")
def shared_db(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


def local_day(zone: str, moment: datetime) -> date:
    """An instant has one local date, fold or not: no rule of ours is needed to tell it."""
    return moment.astimezone(ZoneInfo(zone)).date()


@EACH_DAY
def test_days_and_weeks_are_the_oracles(shared_db: Database, zone: str, day: date) -> None:
    studio = Studio.open(shared_db)
    studio.settings(timezone=zone)
    # Every quarter of an hour, nine days around, so also in the first and the last moments of each local day.
    first = datetime.combine(day - timedelta(days=4), datetime.min.time(), UTC)
    starts = [first + timedelta(minutes=15 * n) for n in range(9 * 24 * 4)]
    shared_db.owner.rows(
        """insert into public.bookings (org_id, client_id, staff_id, start_time, end_time, duration_mins)
           select %s, %s, (select id from public.staff where org_id = %s limit 1), t, t + interval '15 minutes', 15
             from unnest(%s::timestamptz[]) as t""",
        (studio.org_id, studio.client_id, studio.org_id, starts),
    )
    counted = Counter(local_day(zone, start) for start in starts)
    for shown in (day - timedelta(days=1), day, day + timedelta(days=1)):
        sections = studio.coach.call("public.dashboard", p_org_id=studio.org_id, p_on=shown)["sections"]
        monday = shown - timedelta(days=shown.weekday())
        week = [monday + timedelta(days=n) for n in range(7)]
        assert sections["today"]["data"]["sessions"] == counted[shown]
        assert sections["week"]["data"]["from_on"] == monday.isoformat()
        assert sections["week"]["data"]["sessions"] == sum(counted[d] for d in week)


@EACH_DAY
def test_today_changes_at_local_midnight(shared_db: Database, zone: str, day: date) -> None:
    """A minute before the day begins it is the day before; with its first moment, and until its last, it is today."""
    studio = Studio.open(shared_db)
    studio.settings(timezone=zone)
    midnight = datetime.combine(day, datetime.min.time(), UTC)
    minutes = [midnight + timedelta(minutes=n) for n in range(-26 * 60, 50 * 60)]
    on_day = [moment for moment in minutes if local_day(zone, moment) == day]
    for moment in (on_day[0] - timedelta(minutes=1), on_day[0], on_day[-1], on_day[-1] + timedelta(minutes=1)):
        assert _as_member(studio, moment)["on"] == local_day(zone, moment).isoformat()


def _as_member(studio: Studio, now: datetime) -> dict[str, object]:
    """As the coach, at another moment: apps cannot choose it."""
    with studio.db.owner.transaction() as connection:
        connection.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(studio.coach.claims),))
        row = connection.execute("select private.member_dashboard(%s, null, %s) as d", (studio.org_id, now)).fetchone()
        assert row is not None
        return row["d"]  # type: ignore[no-any-return]
