"""Both ways to the database print the same: one line of a script does not depend on how its machine reaches it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Coach
from tests.harness import lacking
from tests.harness.data_api import running_data_api
from tests.harness.database import Database
from tests.harness.world import World

from coach_os.stack.state import State


@pytest.fixture
def data_api(db: Database, tmp_path: Path) -> Iterator[State]:
    """The Data API over this test's database; skipped with the reason where this machine has none."""
    lacking.node()
    with running_data_api(db, tmp_path) as state:
        yield state


def test_rows_and_refusals_are_the_same_over_the_data_api(
    coach: Coach, world: World, data_api: State, environment: pytest.MonkeyPatch
) -> None:
    kilo = world.kilo
    empty = kilo.sell(sessions=1)
    kilo.book_past(purchase_id=empty)
    assert coach("sweep", "bookings", "--json").data[0]["charged"] == 1
    commands = [
        ("org", "list", "--json"),
        ("org", "show", "kilo", "--json"),
        ("member", "list", "--org", "kilo"),
        ("client", "list", "--org", "kilo", "--search", "client"),
        ("offer", "list", "--org", "kilo", "--json"),
        ("package", "list", "--org", "kilo", "--json"),
        ("package", "show", empty, "--json"),
        ("session", "history", empty, "--json"),
        ("booking", "list", "--org", "kilo", "--json"),
        ("alert", "list", "--org", "kilo", "--json"),
        ("sweep", "runs", "--json"),
        ("session", "use", empty),
        ("session", "use", uuid.uuid4()),
        ("session", "release", kilo.package_id),
        ("booking", "undo", kilo.booking_id),
        ("client", "list", "--org", "nowhere"),
        ("package", "correct", empty, "--used", "5"),
        ("org", "create", "November", "nobody@nowhere.example", "--timezone", "Mars/Olympus"),
    ]
    by_postgres = [coach(*command) for command in commands]
    environment.delenv("DATABASE_URL")
    environment.setenv("SUPABASE_URL", data_api.data_api_url)
    environment.setenv("SUPABASE_SECRET_KEY", data_api.secret_key)
    for command, wanted in zip(commands, by_postgres, strict=True):
        assert coach(*command) == wanted, command
    booking = kilo.book_past(hours_ago=9)
    assert coach("sweep", "all", "--json").data[0]["completed"] == 1
    assert coach("booking", "complete", booking, "--json").data == {"settlement": "charged"}
    environment.setenv("SUPABASE_SECRET_KEY", "sb_secret_of_nobody")
    coach("org", "list").broke("Check the key")
