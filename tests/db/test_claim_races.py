"""Workers beside each other and beside the calendar: limits to the message, nothing twice, nobody in anybody's way."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from tests.db.queued import CLAIM, clients, limits, queue, standing, work
from tests.db.studio import Studio
from tests.harness.database import Caller, Database
from tests.harness.races import barrier_race, values

# Ahead of the clock, however long the tests before this one take.
NOW = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)


def sent_by_client(studio: Studio) -> Counter[uuid.UUID]:
    ids = studio.db.owner.values(
        "select client_id from public.outbox_messages where org_id = %s and status = 'sent'", (studio.org_id,)
    )
    return Counter(ids)


@pytest.mark.parametrize("has_settings", [True, False], ids=["settings", "defaults"])
def test_limits_hold_under_eight_workers(db: Database, has_settings: bool) -> None:
    """Three organisations, 500 messages, batches across them; one that never saved settings counts, too."""
    hourly, daily = (60, 3) if has_settings else (100, 5)
    now = NOW if has_settings else daytime()
    studios = [Studio.open(db) for _ in range(3)]
    for number, studio in enumerate(studios):
        if has_settings:
            limits(studio, max_sms_per_hour=hourly, max_sms_per_client_per_day=daily)
        queue(studio, clients(studio, 40, tag=10_000_000 * (number + 1)), 166 + (number == 0) * 2, now)
    workers = values(
        barrier_race(8, lambda n: work(n[0], n[1], now), prepare=lambda n: (db.connect("service_role"), f"worker {n}"))
    )
    carried = [message for worker in workers for message in worker]
    assert len(carried) == len(set(carried)), "nothing twice"
    # What one claim was counting others passed over: the last worker finds whatever room they left.
    carried += work(db.service(), "last", now)
    assert standing(db) == {"sent": 3 * hourly, "queued": 500 - 3 * hourly}
    for studio in studios:
        per_client = sent_by_client(studio)
        assert (sum(per_client.values()), max(per_client.values()) <= daily) == (hourly, True)
    assert work(db.service(), "again", now) == []


def test_daily_limits_hold_under_eight_workers(db: Database) -> None:
    studio = Studio.open(db)
    limits(studio, max_sms_per_hour=None, max_sms_per_client_per_day=2)
    people = clients(studio, 10)
    queue(studio, people, 200, NOW)
    values(barrier_race(8, lambda c: work(c, "w", NOW, batch=5), prepare=lambda _: db.connect("service_role")))
    work(db.service(), "last", NOW)
    assert sent_by_client(studio) == Counter(dict.fromkeys(people, 2))


def test_settings_change_while_workers_claim(db: Database) -> None:
    """Quiet hours that change time anew what waits: never in the way of a claim that holds it."""
    studio = Studio.open(db)
    limits(studio, max_sms_per_hour=None, max_sms_per_client_per_day=None)
    queue(studio, clients(studio, 20), 300, NOW)
    hour, later = NOW.hour, NOW + timedelta(minutes=5)

    def act(ready: tuple[int, Caller]) -> Any:
        number, caller = ready
        if number >= 6:
            for n in range(30):
                caller.rows(
                    "update public.sms_settings set quiet_hours_start = %s, quiet_hours_end = %s where org_id = %s",
                    ((hour + n) % 24, (hour + n) % 24, studio.org_id),
                )
            return []
        return work(caller, f"worker {number}", later, batch=3)

    carried = values(barrier_race(8, act, prepare=lambda n: (n, db.connect("postgres" if n >= 6 else "service_role"))))
    everything = [message for worker in carried for message in worker] + work(db.service(), "last", later)
    assert len(everything) == len(set(everything)) == 300


def test_claims_beside_bookings_that_move_and_are_cancelled(studio: Studio) -> None:
    """Each booking has two messages and is moved or cancelled while workers carry them: no deadlock, and what was
    cancelled before its claim is not carried."""
    limits(studio, max_sms_per_hour=None, max_sms_per_client_per_day=None)
    studio.db.owner.rows("update public.clients set phone = '0400000001' where id = %s", (studio.client_id,))
    bookings = [studio.booking(None, hours=48 + 2 * n) for n in range(60)]
    for kind in ("booking_confirmation", "booking_reminder"):
        studio.db.owner.rows(
            """select private.queue_message(b.org_id, 'sms', %s, b.client_id, %s || b.id, b.id, p_now => %s,
                                             p_scheduled_for => %s)
                 from public.bookings as b where b.id = any (%s)""",
            (kind, kind, NOW, NOW, bookings),
        )

    def act(ready: tuple[int, Caller]) -> Any:
        number, caller = ready
        if number < 4:
            return work(caller, f"worker {number}", NOW, batch=5)
        for n, booking in enumerate(bookings if number % 2 else reversed(bookings)):
            change = (
                "start_time = start_time + interval '1 minute', end_time = end_time + interval '1 minute'"
                if (n + number) % 3
                else "status = 'cancelled'"
            )
            caller.rows(f"update public.bookings set {change} where id = %s and status = 'confirmed'", (booking,))
        return []

    carried = values(
        barrier_race(8, act, prepare=lambda n: (n, studio.db.connect("service_role" if n < 4 else "postgres")))
    )
    everything = [message for worker in carried for message in worker]
    assert len(everything) == len(set(everything))
    states = standing(studio.db)
    assert states.get("sent", 0) == len(everything)
    assert set(states) <= {"sent", "cancelled"}, states


def test_results_of_one_booking_reported_at_once(studio: Studio) -> None:
    """Two workers report crosswise on two bookings' messages: both mark both bookings, neither waits for the other."""
    limits(studio, max_sms_per_hour=None, max_sms_per_client_per_day=None)
    studio.db.owner.rows("update public.clients set phone = '0400000001' where id = %s", (studio.client_id,))
    for round_ in range(15):
        pair = [studio.booking(None, hours=48 + 4 * round_ + 2 * n) for n in range(2)]
        for kind in ("booking_confirmation", "booking_reminder"):
            for booking in pair:
                studio.db.owner.rows(
                    """select private.queue_message(b.org_id, 'sms', %s, b.client_id, %s || b.id, b.id, p_now => %s,
                                                     p_scheduled_for => %s)
                         from public.bookings as b where b.id = %s""",
                    (kind, kind, NOW, NOW, booking),
                )
        claimed = studio.db.owner.rows(CLAIM, ("w", 10, NOW))
        of = {
            row["id"]: row["booking_id"]
            for row in studio.db.owner.rows(
                "select id, booking_id from public.outbox_messages where status = 'sending'"
            )
        }
        assert len(claimed) == 4
        first = sorted(claimed, key=lambda row: row["id"])[0]
        # Each worker has one message of each booking.
        second = next(row for row in claimed if of[row["id"]] != of[first["id"]])
        halves = [[first, second], [row for row in claimed if row not in (first, second)]]

        def report(ready: tuple[Caller, list[dict[str, Any]]]) -> Any:
            caller, rows = ready
            results = [
                {"org_id": str(r["org_id"]), "id": str(r["id"]), "claim": str(r["claim"]), "outcome": "sent"}
                for r in rows
            ]
            return caller.row("select * from service.record_messages(%s, %s)", (Jsonb(results), NOW))

        answers = values(
            barrier_race(2, report, prepare=lambda n: (studio.db.connect("service_role"), halves[n]))  # noqa: B023
        )
        assert answers == [{"recorded": 2, "stale": 0}] * 2
    assert studio.db.owner.value("select count(*) from public.bookings where not reminder_sent") == 0


def test_a_message_that_somebody_holds_is_passed_over(studio: Studio) -> None:
    limits(studio)
    queue(studio, clients(studio, 2), 2, NOW)
    worker = studio.db.connect("postgres")
    worker.rows("set lock_timeout = '2s'")
    with studio.db.connect().transaction() as somebody:
        held = somebody.execute("select id from public.outbox_messages limit 1 for update").fetchone()
        assert held is not None
        (claimed,) = worker.rows(CLAIM, ("w", 10, NOW))
        assert claimed["id"] != held["id"]
    assert [row["id"] for row in worker.rows(CLAIM, ("w", 10, NOW))] == [held["id"]]


def test_settings_do_not_wait_for_a_claim(studio: Studio) -> None:
    limits(studio)
    queue(studio, clients(studio, 2), 2, NOW)
    coach = studio.db.connect("postgres")
    coach.rows("set lock_timeout = '2s'")
    with studio.db.connect().transaction() as claim:
        assert len(claim.execute(CLAIM, ("w", 1, NOW)).fetchall()) == 1
        coach.rows("update public.sms_settings set quiet_hours_start = 21, quiet_hours_end = 20")


def test_only_the_first_round_waits_for_who_counts(db: Database) -> None:
    """A claim that holds messages already passes over an organisation that another claim is counting."""
    bucket = "select hashtext(%s::text) & 63"
    first, second = Studio.open(db), Studio.open(db)
    while db.owner.value(bucket, (first.org_id,)) == db.owner.value(bucket, (second.org_id,)):
        second = Studio.open(db)
    limits(first, max_sms_per_hour=1)
    queue(first, clients(first, 3), 3, NOW - timedelta(minutes=10))
    queue(second, clients(second, 1, tag=20_000_000), 1, daytime())
    worker = db.connect("postgres")
    worker.rows("set lock_timeout = '2s'")
    with db.connect().transaction() as counting:
        counting.execute("select private.lock_counter(hashtext(%s::text) & 63, true)", (second.org_id,))
        (claimed,) = worker.rows(CLAIM, ("w", 3, daytime()))
        assert claimed["org_id"] == first.org_id
        with pytest.raises(psycopg.errors.LockNotAvailable):
            worker.rows(CLAIM, ("w", 3, daytime()))
    (claimed,) = worker.rows(CLAIM, ("w", 3, daytime()))
    assert claimed["org_id"] == second.org_id


def daytime() -> datetime:
    """An instant outside of the default quiet hours in the default timezone, Brisbane."""
    noon = NOW.replace(hour=2, minute=0, second=0)
    return noon + timedelta(days=1)
