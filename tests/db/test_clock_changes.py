"""Days on which clocks change: what is listed, booked, repeated and shown, against wall times written out here."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.db.described import describe
from tests.db.exactness import assert_exact
from tests.db.oracle import Block, Hours, Oracle, Rules, instant, local_date
from tests.harness.cluster import Cluster
from tests.harness.database import Database

# A zone, a day, and the length of that day in hours.
DAYS = [
    pytest.param("America/New_York", date(2026, 11, 1), 25, id="new-york-fold"),
    pytest.param("America/New_York", date(2027, 3, 14), 23, id="new-york-gap"),
    pytest.param("America/Santiago", date(2026, 9, 6), 23, id="santiago-without-midnight"),
    pytest.param("America/Santiago", date(2027, 4, 3), 25, id="santiago-fold-before-midnight"),
    pytest.param("Australia/Lord_Howe", date(2026, 10, 4), 23.5, id="lord-howe-half-an-hour-gap"),
    pytest.param("Australia/Lord_Howe", date(2027, 4, 4), 24.5, id="lord-howe-half-an-hour-fold"),
    pytest.param("Asia/Kathmandu", date(2026, 11, 1), 24, id="kathmandu"),
    pytest.param("Australia/Brisbane", date(2026, 10, 4), 24, id="brisbane-without-dst"),
]
EACH_DAY = pytest.mark.parametrize(("zone", "day", "length"), DAYS)
NIGHT = (time(0), time(5))


@pytest.fixture(scope="module")
def shared_db(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


def night_shift(zone: str, day: date, **rules: object) -> Rules:
    """Open every night from midnight to five, and on the day itself until midnight."""
    hours = [Hours(*NIGHT, day_of_week=n) for n in range(7)]
    hours.append(Hours(time(0), time(23, 59), on=day))
    return Rules(zone=zone, hours=tuple(hours), between=0, min_notice_hours=0, late_notice_hours=0, **rules)  # type: ignore[arg-type]


def before(day: date) -> datetime:
    return datetime.combine(day - timedelta(days=3), time(12), UTC)


@EACH_DAY
def test_a_day_is_as_long_as_its_clocks_make_it(shared_db: Database, zone: str, day: date, length: float) -> None:
    org = describe(shared_db, Rules(zone=zone))
    bounds = org.owner.value("select private.org_day_bounds(%s, %s)", (org.org_id, day))
    assert bounds.upper - bounds.lower == timedelta(hours=length)
    assert [local_date(zone, bounds.lower), local_date(zone, bounds.upper)] == [day, day + timedelta(days=1)]
    assert local_date(zone, bounds.lower - timedelta(seconds=1)) == day - timedelta(days=1)
    calendar = org.owner.value("select private.calendar(%s, 'day', %s, null, null)", (org.org_id, day))
    assert [datetime.fromisoformat(calendar[key]) for key in ("from", "until")] == [bounds.lower, bounds.upper]


@EACH_DAY
@pytest.mark.parametrize("audience", ["coach", "client"])
def test_listing_is_the_oracles(shared_db: Database, zone: str, day: date, length: float, audience: str) -> None:
    # In New York's fold, in Lord Howe's, in Santiago's.
    in_folds = [(time(1, 15), time(1, 30)), (time(1, 45), time(1, 50)), (time(23, 30), time(23, 45))]
    blocks = tuple(Block(starts, ends, on=day) for starts, ends in in_folds)
    rules = night_shift(zone, day, blocks=blocks, early_before_hour=4, early_time=time(0, 30), max_advance_days=3)
    org, oracle = describe(shared_db, rules), Oracle(rules)
    for now in (before(day), instant(zone, datetime.combine(day, time(0, 45)))):
        for first, last in [(day, day), (day - timedelta(days=1), day + timedelta(days=1))]:
            listed = org.offered(rules, None, first, last, audience=audience, now=now)
            assert listed == oracle.starts(None, first, last, audience=audience, now=now)


@EACH_DAY
@pytest.mark.parametrize("at", [time(1, 15), time(1, 45), time(23, 30)])
def test_what_begins_in_a_fold_begins_at_its_first(
    shared_db: Database, zone: str, day: date, length: float, at: time
) -> None:
    """Hours and a block alone: beside another, what one of them loses could be hidden by the other."""
    ends = (datetime.combine(day, at) + timedelta(minutes=5)).time()
    blocked = Rules(
        zone=zone, hours=(Hours(time(0), time(23, 59), on=day),), blocks=(Block(at, ends, on=day),), between=0
    )
    opening = Rules(zone=zone, hours=(Hours(at, time(23, 59), on=day),), between=0, slot_minutes=15)
    for rules in (blocked, opening):
        org = describe(shared_db, rules)
        listed = org.offered(rules, None, day, day, audience="coach", now=before(day))
        assert listed == Oracle(rules).starts(None, day, day, audience="coach", now=before(day))


@EACH_DAY
def test_all_that_is_open_can_be_booked_out(shared_db: Database, zone: str, day: date, length: float) -> None:
    """The night's first five hours of clock time are as many hours as the day has more or less than 24, and five."""
    rules = Rules(zone=zone, hours=(Hours(*NIGHT, on=day),), between=0, slot_minutes=30)
    org, now = describe(shared_db, rules), before(day)
    booked = 0
    for start in org.offered(rules, None, day, day, audience="coach", now=now):
        answer = org.book(None, 0, start.start, org.clients[0], audience="coach", now=now)
        assert answer["outcome"] in ("booked", "taken")
        booked += answer["outcome"] == "booked"
    in_the_night = length - 24 if day != date(2027, 4, 3) else 0
    assert booked == 2 * (5 + in_the_night)
    assert org.offered(rules, None, day, day, audience="coach", now=now) == []
    assert_exact(shared_db)


@EACH_DAY
@pytest.mark.parametrize("at", [time(0, 15), time(1, 45), time(2, 15), time(9)])
def test_a_series_keeps_its_wall_time(shared_db: Database, zone: str, day: date, length: float, at: time) -> None:
    rules = Rules(zone=zone, hours=tuple(Hours(time(0), time(23, 59), day_of_week=n) for n in range(7)), between=0)
    org, first = describe(shared_db, rules), day - timedelta(days=7)
    answer = org.owner.value(
        "select private.book_series(%s, %s, null, %s, %s, 1, 3, null, null, null, null, true, null, null, %s)",
        (org.org_id, org.clients[0], first, at, before(first)),
    )
    wanted = [instant(zone, datetime.combine(first + timedelta(days=7 * n), at)) for n in range(3)]
    # Santiago's and Lord Howe's clocks stand on no quarter of an hour apart: each wall time is on the grid.
    assert [datetime.fromisoformat(d["start_time"]) for d in answer["dates"]] == wanted
    assert [d["outcome"] for d in answer["dates"]] == ["booked"] * 3
    shown = [w.astimezone(ZoneInfo(zone)).time() for w in wanted]
    assert shown[0] == shown[2] == at, "only the day itself may move a wall time that it does not have"


@pytest.mark.parametrize("zone", sorted({case.values[0] for case in DAYS}))
def test_available_dates_are_local_dates(shared_db: Database, zone: str) -> None:
    """The doors of coaches and of anybody, which look from today on: Monday and Thursday nights, and no other date."""
    hours = tuple(Hours(*NIGHT, day_of_week=n) for n in (1, 4))
    rules = Rules(zone=zone, hours=hours, between=0, min_notice_hours=0, late_notice_hours=0, early_before_hour=0)
    org, oracle = describe(shared_db, rules), Oracle(rules)
    coach = shared_db.sign_up(f"{org.org_id}@kilo.example")
    org.owner.insert("public.org_members", org_id=org.org_id, user_id=coach.user_id, role="owner")
    slug = org.owner.value("select slug from public.orgs where id = %s", (org.org_id,))
    first = org.owner.value("select private.org_today(%s)", (org.org_id,)) + timedelta(days=1)
    last, now = first + timedelta(days=20), org.owner.value("select now()")
    counts = Counter(local_date(zone, s.start) for s in oracle.starts(None, first, last, audience="coach", now=now))
    dates = coach.call("public.available_dates", p_org_id=org.org_id, p_on=first, p_until=last)
    assert {row["on_date"]: row["slots"] for row in dates} == counts
    for on in (min(counts), min(counts) + timedelta(days=1)):
        page = shared_db.anon().call("public.public_slots", p_slug=slug, p_on=on)
        listed = [datetime.fromisoformat(slot["start"]) for slot in page["slots"]]
        assert listed == [s.start for s in oracle.starts(None, on, on, audience="client", now=now)]


@pytest.mark.parametrize(
    ("zone", "day", "starts", "ends"),
    [
        ("America/New_York", date(2027, 3, 14), time(2, 45), time(3, 15)),
        ("America/Santiago", date(2026, 9, 6), time(0, 30), time(1, 15)),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), time(2, 40)),
    ],
)
def test_hours_and_blocks_that_a_gap_swallows_break_nothing(
    shared_db: Database, zone: str, day: date, starts: time, ends: time
) -> None:
    swallowed = Hours(starts, ends, on=day), Block(starts, ends, on=day)
    rules = Rules(zone=zone, hours=(swallowed[0], Hours(time(9), time(12), on=day)), blocks=(swallowed[1],), between=0)
    org, now = describe(shared_db, rules), before(day)
    listed = org.offered(rules, None, day, day, audience="coach", now=now)
    assert listed == Oracle(rules).starts(None, day, day, audience="coach", now=now)
    assert len(listed) == 9
    calendar = org.owner.value("select private.calendar(%s, 'week', %s, null, null)", (org.org_id, day))
    assert all(b["start_time"] < b["end_time"] for b in calendar["blocks"])
