"""One intent, whoever is at it at once: tabs that save a template, sweeps that queue the same reminders."""

from datetime import UTC, datetime, timedelta

from tests.db.queued import limits
from tests.db.studio import Studio
from tests.harness.races import barrier_race, values

NOW = datetime.now(UTC)
SAVE = """
insert into sms_templates (org_id, template_key, name, body)
values (%s, 'booking_reminder', 'Ours', %s) returning version"""


def test_tabs_that_save_one_template_get_a_version_each(studio: Studio) -> None:
    versions = values(
        barrier_race(
            6,
            lambda tab: [tab.value(SAVE, (studio.org_id, f"{n}: {{session_datetime}}")) for n in range(5)],
            prepare=lambda _: studio.tab(),
        )
    )
    assert sorted(version for tab in versions for version in tab) == list(range(1, 31))


def test_sweeps_at_once_queue_each_reminder_once(studio: Studio) -> None:
    limits(studio)
    studio.db.owner.insert(
        "public.sms_schedules", org_id=studio.org_id, type="pre_session", label="Before", mins_offset=60, body="Soon"
    )
    bookings = [studio.booking(None, hours=3 + n / 4) for n in range(40)]
    soon = NOW + timedelta(minutes=1)
    counts = values(
        barrier_race(
            4,
            lambda sweep: sweep.row("select * from service.sweep_reminders(15, %s)", (soon,)),
            prepare=lambda _: studio.db.connect("service_role"),
        )
    )
    counts += [studio.db.owner.row("select * from service.sweep_reminders(1000, %s)", (soon,))]
    assert sum(count["queued"] for count in counts) == len(bookings)
    queued = studio.db.owner.values("select booking_id from public.outbox_messages where kind = 'booking_reminder'")
    assert sorted(queued) == sorted(bookings)
