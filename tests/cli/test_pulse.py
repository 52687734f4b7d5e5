"""coach pulse: what it prints, and the exit code that a monitor acts on."""

from tests.cli.conftest import Coach
from tests.harness.database import Database


def test_a_quiet_database_is_healthy(db: Database, coach: Coach) -> None:
    shown = coach("pulse")
    assert (shown.code, "healthy" in shown.out, "healthy" in shown.err) == (0, True, True)
    assert coach("pulse", "--wrong-only").out == ""
    assert coach("pulse", "--json").data["verdict"] == "healthy"


def test_what_waits_too_long_is_named_with_its_way_out(db: Database, coach: Coach) -> None:
    db.owner.rows(
        "insert into private.rate_limits (bucket, key_hash, window_started_at) "
        "values ('x', 'x', now() - interval '5 days')"
    )
    shown = coach("pulse", "--wrong-only")
    assert shown.code == 1
    assert "clean_up" in shown.out
    assert "coach sweep rate-limits" in shown.out
    assert "bookings" not in shown.out
    assert coach("sweep", "rate-limits").code == 0
    assert coach("pulse").code == 0


def test_failing_work_exits_two(db: Database, coach: Coach) -> None:
    db.owner.rows(
        "insert into private.unmatched_sms_events (provider_message_id, event_status, received_at) "
        "values ('SM1', 'sent', now() - interval '20 days')"
    )
    assert coach("pulse").code == 2


def test_a_monitor_without_a_database_learns_that_it_knows_nothing(coach_alone: Coach) -> None:
    coach_alone("pulse").broke()
