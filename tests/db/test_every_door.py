"""Through each door people use, what is listed is booked at that moment as it was listed, and nothing else is.

The rules behind the doors are compared with an oracle in test_offered_slots.py; here each door only has to agree with
itself, by the RPCs that coaches, clients with a link and anybody call, at the time it is.
"""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from tests.db.described import Described, describe
from tests.db.exactness import assert_exact
from tests.db.oracle import Block, Hours, Kind, Rules
from tests.harness.cluster import Cluster
from tests.harness.database import Caller, Database

ZONES = ["America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Australia/Brisbane"]
TRIES = 24
DAYS = 4

#: Start, end, and with whom.
Slot = tuple[datetime, datetime, str]


@dataclass
class Door:
    """How one audience lists a day and books a start, for a session type or (None) none."""

    list: Callable[[date, int | None], set[Slot]]
    book: Callable[[Slot, int | None], dict[str, Any]]


@pytest.fixture(scope="module")
def shared_db(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


def some_rules(rolled: random.Random) -> Rules:
    """Hours, blocks, buffers, types and notice of every kind, as chance has it."""

    def span() -> tuple[time, time]:
        first = rolled.randrange(0, 18)
        return time(first, rolled.choice([0, 0, 30])), time(
            min(23, first + rolled.randrange(2, 7)), rolled.choice([0, 15])
        )

    def whom() -> int | None:
        return rolled.choice([None, 0, 1])

    kinds = tuple(
        Kind(
            minutes=rolled.choice([30, 45, 60, 90]),
            before=rolled.choice([0, 5]),
            after=rolled.choice([0, 10]),
            capacity=rolled.choice([1, 2]),
            max_per_day=rolled.choice([None, 2]),
        )
        for _ in range(2)
    )
    return Rules(
        zone=rolled.choice(ZONES),
        staff=2,
        hours=tuple(Hours(*span(), day_of_week=n, staff=whom()) for n in range(7) for _ in range(2)),
        blocks=tuple(Block(*span(), day_of_week=n, staff=whom()) for n in rolled.sample(range(7), 3)),
        kinds=kinds,
        between=rolled.choice([0, 10, 15]),
        min_notice_hours=rolled.choice([0, 2, 24]),
        late_notice_hours=rolled.choice([0, 5]),
        max_advance_days=rolled.choice([1, 30]),
    )


def open_door(db: Database, org: Described, rolled: random.Random, audience: str) -> Door:
    slug = org.owner.value("select slug from public.orgs where id = %s", (org.org_id,))
    anybody = db.anon()
    if audience == "coach":
        coach = db.sign_up(f"{uuid.uuid4().hex}@kilo.example")
        org.owner.insert("public.org_members", org_id=org.org_id, user_id=coach.user_id, role="owner")
        return Door(
            lambda on, kind: {
                (row["start_time"], row["end_time"], str(row["staff_id"]))
                for row in coach.call(
                    "public.find_slots", p_org_id=org.org_id, p_on=on, p_session_type_id=org.kind(kind)
                )
            },
            lambda slot, kind: coach.call(
                "public.book", p_org_id=org.org_id, p_client_id=org.clients[0], p_start_time=slot[0],
                p_staff_id=slot[2], p_session_type_id=org.kind(kind)
            ),
        )  # fmt: skip
    if audience == "client":
        who = {"p_token": add_packages(org, rolled)}
        list_slots, book = "public.portal_slots", "public.portal_book"
        naming: dict[str, Any] = {}
    else:
        who = {"p_slug": slug}
        list_slots, book = "public.public_slots", "public.public_book"
        naming = {"p_full_name": "Ann Bonny", "p_email": "ann@bonny.example"}
    return Door(
        lambda on, kind: listed(anybody, list_slots, **who, p_on=on, p_session_type_id=org.kind(kind)),
        lambda slot, kind: anybody.call(
            book, **who, **naming, p_start_time=slot[0], p_staff_id=slot[2], p_session_type_id=org.kind(kind)
        ),
    )


def listed(anybody: Caller, function: str, **arguments: Any) -> set[Slot]:
    slots = anybody.call(function, **arguments)["slots"]
    return {(datetime.fromisoformat(s["start"]), datetime.fromisoformat(s["end"]), s["staff_id"]) for s in slots}


def add_packages(org: Described, rolled: random.Random) -> str:
    """Two packages of different lengths, of which the first ends within the days that are listed; the link's token."""
    token = str(uuid.uuid4())
    org.owner.rows("update public.clients set portal_token = %s where id = %s", (token, org.clients[0]))
    for minutes, days in ((rolled.choice([30, 45]), 2), (rolled.choice([60, 90]), rolled.choice([3, 60]))):
        offer = org.owner.insert(
            "public.offers", org_id=org.org_id, name=f"{minutes} minutes", offer_type="session_pack", price_cents=5000,
            sessions_included=TRIES
        )  # fmt: skip
        package = org.owner.insert(
            "public.client_purchases", org_id=org.org_id, client_id=org.clients[0], offer_id=offer["id"],
            amount_paid_cents=5000, payment_status="succeeded"
        )  # fmt: skip
        org.owner.rows(
            "update public.client_purchases set session_duration_mins = %s, expires_at = %s where id = %s",
            (minutes, datetime.now(UTC) + timedelta(days=days, hours=rolled.randrange(24)), package["id"]),
        )
    return token


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("audience", ["coach", "client", "anybody"])
def test_what_a_door_lists_it_books_and_nothing_else(shared_db: Database, audience: str, seed: int) -> None:
    rolled = random.Random(seed)
    org = describe(shared_db, some_rules(rolled))
    door = open_door(shared_db, org, rolled, audience)
    today = org.owner.value("select private.org_today(%s)", (org.org_id,))
    days = [today + timedelta(days=n) for n in range(DAYS)]
    kinds = (None, 0, 1)
    ever = [(day, kind, slot) for day in days for kind in kinds for slot in sorted(door.list(day, kind), key=str)]
    booked = 0
    for day, kind, slot in rolled.sample(ever, min(TRIES, len(ever))):
        # Rate limits count people, not tests.
        org.owner.rows("delete from private.rate_limits")
        now_listed = door.list(day, kind)
        answer = door.book(slot, kind)
        alike = {other for other in now_listed if other[0] == slot[0]}
        if slot in now_listed:
            assert answer["outcome"] == "booked", (day, kind, slot, answer)
            assert datetime.fromisoformat(answer["end_time"]) == slot[1]
            booked += 1
        elif answer["outcome"] == "booked":
            # The pages list one staff member for a start; another one may be free as well.
            assert audience != "coach", (day, kind, slot)
            assert alike, (day, kind, slot)
        else:
            assert answer["outcome"] in ("taken", "unavailable"), (day, kind, slot, answer)
    assert booked > 0, "nothing was on offer: these rules prove nothing"
    assert_exact(shared_db)
