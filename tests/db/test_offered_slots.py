"""Every slot ever listed can be booked, unless somebody was faster; and what is listed is what the oracle lists."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.db.described import Described, describe
from tests.db.exactness import assert_exact
from tests.db.oracle import Block, Hours, Kind, Oracle, Place, Rules, Start, day_of_week
from tests.harness.cluster import Cluster
from tests.harness.database import Database

# Days on which clocks change: by a whole hour, by half of one, at midnight; and zones where they never do.
DAYS = [
    ("America/New_York", date(2026, 11, 1)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/Santiago", date(2026, 9, 6)),
    ("America/Santiago", date(2027, 4, 4)),
    ("America/Havana", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),
    ("Europe/Dublin", date(2026, 10, 25)),
    ("Asia/Kathmandu", date(2026, 10, 4)),
    ("Australia/Brisbane", date(2026, 10, 4)),
]
STEPS_AT_MOST = 40


@pytest.fixture(scope="module")
def shared_db(cluster: Cluster) -> Iterator[Database]:
    """One database for all examples: each is an organisation of its own."""
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


def times(first: int = 0, last: int = 23) -> st.SearchStrategy[time]:
    return st.builds(time, st.integers(first, last), st.sampled_from([0, 0, 15, 30, 50]))


@st.composite
def spans(draw: Any, **bounds: int) -> tuple[time, time]:
    starts, ends = sorted(draw(st.lists(times(**bounds), min_size=2, max_size=2, unique=True)))
    return starts, ends


@st.composite
def organisations(draw: Any) -> tuple[Rules, date]:
    """An organisation with some days' worth of hours around a day of interest, half of them in the small hours."""
    zone, day = draw(st.sampled_from(DAYS))
    staff = draw(st.integers(1, 3))
    whom = st.one_of(st.none(), st.integers(0, staff - 1))
    near = st.sampled_from([day - timedelta(days=1), day, day, day + timedelta(days=1)])
    hours = []
    for _ in range(draw(st.integers(1, 4))):
        starts, ends = draw(spans(first=0, last=5) if draw(st.booleans()) else spans())
        on, is_open = draw(near), draw(st.integers(0, 4)) > 0
        when = {"on": on} if draw(st.integers(0, 2)) == 0 else {"day_of_week": day_of_week(on)}
        hours.append(Hours(starts, ends, staff=draw(whom), is_open=is_open, **when))
    blocks = []
    for _ in range(draw(st.integers(0, 2))):
        starts, ends = draw(spans())
        on = draw(near)
        when = {"on": on} if draw(st.booleans()) else {"day_of_week": day_of_week(on)}
        blocks.append(Block(starts, ends, staff=draw(whom), **when))
    some_staff = st.lists(st.integers(0, staff - 1), unique=True, max_size=staff).map(tuple)
    kinds = st.builds(
        Kind,
        minutes=st.sampled_from([15, 30, 45, 50, 60, 90]),
        before=st.sampled_from([0, 0, 5, 15]),
        after=st.sampled_from([0, 0, 10, 30]),
        capacity=st.sampled_from([1, 1, 2, 3]),
        max_per_day=st.sampled_from([None, None, 1, 2]),
        staff=some_staff,
    )
    place = st.builds(
        Place,
        hours=st.lists(st.tuples(st.just(day_of_week(day)), times(0, 3), times(4)), max_size=1).map(tuple),
        staff=some_staff,
    )
    rules = Rules(
        zone=zone,
        staff=staff,
        hours=tuple(hours),
        blocks=tuple(blocks),
        kinds=tuple(draw(st.lists(kinds, max_size=2))),
        place=draw(st.one_of(st.none(), st.none(), place)),
        between=draw(st.sampled_from([0, 10, 15, 20])),
        slot_minutes=draw(st.sampled_from([30, 60])),
        min_notice_hours=draw(st.sampled_from([0, 2, 24])),
        late_notice_hours=draw(st.sampled_from([0, 2, 5])),
        early_before_hour=draw(st.sampled_from([0, 2, 9])),
        early_time=draw(st.sampled_from([time(1, 30), time(20)])),
        max_advance_days=draw(st.sampled_from([0, 1, 30])),
    )
    return rules, day


def assert_lists_as_oracle(org: Described, oracle: Oracle, day: date, *, audience: str, now: datetime) -> None:
    first, last = day - timedelta(days=1), day + timedelta(days=1)
    for kind in (None, *range(len(org.kinds))):
        listed = org.offered(oracle.rules, kind, first, last, audience=audience, now=now)
        assert listed == oracle.starts(kind, first, last, audience=audience, now=now), (kind, now)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(organisation=organisations(), audience=st.sampled_from(["coach", "client"]), data=st.data())
def test_every_slot_ever_listed_is_booked_unless_taken_before(
    shared_db: Database, organisation: tuple[Rules, date], audience: str, data: st.DataObject
) -> None:
    rules, day = organisation
    org, oracle = describe(shared_db, rules), Oracle(rules)
    first, last = day - timedelta(days=1), day + timedelta(days=1)
    # From two days before, so that notice and horizon cut the list now and then.
    now = datetime.combine(day - timedelta(days=2), time(data.draw(st.integers(0, 23))), UTC)
    ever = {
        (kind, start.staff, start.start)
        for kind in (None, *range(len(org.kinds)))
        for start in org.offered(rules, kind, first, last, audience=audience, now=now)
    }
    assert_lists_as_oracle(org, oracle, day, audience=audience, now=now)
    # A start is wanted again and again: a group is joined, also while its seats are only held or held no longer.
    wanted = data.draw(st.permutations(sorted(ever, key=str)))[:STEPS_AT_MOST]
    order = [want for want in wanted for _ in range(data.draw(st.sampled_from([1, 1, 2, 4])))][:STEPS_AT_MOST]
    for kind, staff, start in order:
        now += timedelta(minutes=data.draw(st.sampled_from([0, 0, 0, 7])))
        way = data.draw(st.sampled_from(["book", "book", "anyone", "hold"]))
        offered = {s.staff: s for s in oracle.starts(kind, first, last, audience=audience, now=now) if s.start == start}
        note(f"{way} {kind} {staff} {start} at {now}, on offer: {offered}")
        took = take(org, oracle, way, kind, staff, start, offered, audience=audience, now=now)
        if took:
            assert_lists_as_oracle(org, oracle, day, audience=audience, now=now)
    assert_exact(shared_db)


def take(
    org: Described,
    oracle: Oracle,
    way: str,
    kind: int | None,
    staff: int,
    start: datetime,
    offered: dict[int, Start],
    *,
    audience: str,
    now: datetime,
) -> bool:
    """Books or holds, as the oracle says it must go; whether it went."""
    client = org.clients[0]
    if way == "hold":
        answer = org.hold(kind, staff, start, client, audience=audience, now=now, minutes=15)
        is_due = staff in offered
        assert answer["outcome"] == ("held" if is_due else "taken")
        if is_due:
            oracle.take(kind, staff, start, now=now, held_until=now + timedelta(minutes=15))
        return is_due
    whom = None if way == "anyone" else staff
    answer = org.book(kind, whom, start, client, audience=audience, now=now)
    is_due = bool(offered) if whom is None else staff in offered
    assert (answer["outcome"] == "booked") == is_due, answer["outcome"]
    if is_due:
        by = org.staff.index(type(org.org_id)(answer["staff_id"]))
        assert by in offered
        assert whom in (None, by)
        oracle.take(kind, by, start, now=now)
    return is_due
