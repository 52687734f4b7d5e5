"""coach booking, alert, sweep: what is over ends settled, and the coach is told where it could not be."""

import json
import signal
import subprocess
import uuid

import pytest
from tests.cli.conftest import COMMAND, Coach
from tests.harness.world import World


def test_bookings_are_listed_in_the_organisations_time(coach: Coach, world: World) -> None:
    (row,) = coach("booking", "list", "--org", "kilo", "--json").data
    assert (row["booking_id"], row["status"], row["settlement"]) == (str(world.kilo.booking_id), "confirmed", None)
    local = world.db.owner.value("select to_char(%s::timestamptz + interval '10 hours', 'YYYY-MM-DD HH24:MI')",
                                 (row["start_time"].replace("+00:00", ""),))  # fmt: skip
    assert row["starts_local"] == local
    assert local in coach("booking", "list", "--org", "kilo").out
    window = ("booking", "list", "--org", "kilo", "--json")
    assert coach(*window, "--from", "2099-01-01T00:00Z").data == []
    assert coach(*window, "--until", "2001-01-01T00:00Z").data == []
    coach("booking", "list", "--org", "kilo", "--from", "2026-11-21").misused("such as 2027-01-31T23:59+10:00")
    coach("booking", "list", "--org", "no-such").refused("There is no such organisation.")


def test_a_completion_takes_the_session_once_and_can_be_undone(coach: Coach, world: World) -> None:
    booking = world.kilo.book_past()
    for _ in range(2):
        assert coach("booking", "complete", booking, "--json").data == {"settlement": "charged"}
    assert world.kilo.sessions() == (1, 1)
    for _ in range(2):
        assert coach("booking", "undo", booking, "--json").data == {"sessions_used": 0}
    assert world.kilo.sessions() == (0, 0)
    coach("booking", "undo", world.kilo.booking_id).refused("not completed")
    coach("booking", "complete", uuid.uuid4()).refused("There is no such booking.")
    coach("booking", "undo", uuid.uuid4()).refused("There is no such booking.")


def test_a_cancelled_booking_is_not_completed(coach: Coach, world: World) -> None:
    booking = world.kilo.book_past()
    world.kilo.coach.rows("update public.bookings set status = 'cancelled' where id = %s", (booking,))
    coach("booking", "complete", booking).refused("Only a confirmed booking")


def test_the_sweep_settles_what_is_over_and_tells_of_what_no_package_covers(coach: Coach, world: World) -> None:
    kilo, package = world.kilo, world.kilo.sell(sessions=1)
    kilo.book_past(hours_ago=5, purchase_id=package)
    uncovered = kilo.book_past(hours_ago=3, purchase_id=package)
    (dry,) = coach("sweep", "bookings", "--dry-run", "--json").data
    assert (dry["completed"], dry["charged"], dry["uncovered"], dry["dry_run"]) == (2, 1, 1, True)
    assert kilo.sessions(package) == (0, 0)
    (done,) = coach("sweep", "bookings", "--json").data
    assert (done["completed"], done["charged"], done["uncovered"], done["error"]) == (2, 1, 1, None)
    assert kilo.sessions(package) == (1, 1)
    again, *_ = coach("sweep", "all", "--json").data
    assert again["sweep"] == "bookings"
    assert again.get("completed", 0) == 0
    (alert,) = coach("alert", "list", "--org", "kilo", "--json").data
    assert (alert["kind"], alert["booking_id"]) == ("booking_uncovered", str(uncovered))
    assert list(alert) == ["id", "kind", "client_id", "purchase_id", "booking_id", "created_at", "note"]
    assert "no package could pay for" in coach("alert", "list", "--org", "kilo").out
    assert coach("alert", "list", "--org", "lima", "--json").data == []
    coach("alert", "list", "--org", "no-such").refused("There is no such organisation.")


def test_a_limited_sweep_leaves_the_rest(coach: Coach, world: World) -> None:
    for hours in range(2, 5):
        world.kilo.book_past(hours_ago=hours)
    (first,) = coach("sweep", "bookings", "--limit", 2, "--json").data
    assert first["completed"] == 2
    assert "bookings" in coach("sweep", "bookings").out
    assert world.kilo.sessions() == (3, 3)


def test_each_run_is_on_record_but_a_dry_one(coach: Coach, world: World) -> None:
    coach("sweep", "bookings", "--dry-run")
    assert coach("sweep", "runs", "--json").data == []
    (swept,) = coach("sweep", "bookings", "--json").data
    (run,) = coach("sweep", "runs", "--job", "sweep_bookings", "--json").data
    assert (run["id"], run["error"]) == (swept["run_id"], None)
    assert run["finished_at"] >= run["started_at"]
    assert list(run) == ["id", "job", "started_at", "finished_at", "result", "error"]
    assert "sweep_bookings" in coach("sweep", "runs").out
    assert coach("sweep", "runs", "--job", "no_such", "--json").data == []


@pytest.mark.parametrize(
    "wrong",
    [("--limit", 0), ("--limit", -5), ("--limit", "all"), ("--watch", 0), ("--watch", -1), ("--watch", "soon")],
)
def test_a_sweep_with_absurd_numbers_is_wrong_usage(coach_alone: Coach, wrong: tuple[object, ...]) -> None:
    coach_alone("sweep", "bookings", *wrong).misused(str(wrong[0]))


def test_a_watching_sweep_ends_at_a_signal_with_what_it_has_done(coach: Coach, world: World) -> None:
    booking = world.kilo.book_past()
    command = [str(COMMAND), "sweep", "all", "--watch", "0.1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        rounds = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(20) == 0
    assert [row.get("completed", 0) for row in rounds] == [1, 0, 0]
    assert coach("booking", "complete", booking, "--json").data == {"settlement": "charged"}
    assert world.kilo.sessions() == (1, 1)
