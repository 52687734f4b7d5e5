"""A visitor and a coach of another organisation get nothing from any table, by any verb."""

import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import Stack
from tests.clients.supabase_js import Client
from tests.clients.walls import digest, nothing, tables
from tests.contract.replay.calls import read_calls
from tests.contract.replay.world import SUMMED, World

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    """An organisation with a row in every table that a stranger might ask for."""
    world = World(stack, read_calls())
    for table in world.catalogue.tables:
        if "org_id" in world.catalogue.tables[table]:
            world.row(table)
    return world


@pytest.fixture(params=["visitor", "another coach"])
def stranger(request: pytest.FixtureRequest, stack: Stack, lima: Studio) -> Client:
    return lima.coach.tab if request.param == "another coach" else stack.open()


def test_a_stranger_reads_no_row(world: World, stranger: Client) -> None:
    for table, column, value in tables(world):
        # What is summed for whoever reads it is there for its coach; the owner of the tables sees nothing.
        is_there = (
            world.row(table)
            if table in SUMMED
            else digest(world, table, column, value) != digest(world, table, column, NOBODY)
        )
        assert is_there, f"{table} hides no row"
        assert nothing(stranger.from_(table).select("*").eq(column, value).run()), table
        counted = stranger.from_(table).select("*", {"count": "exact", "head": True}).eq(column, value).run()
        assert not counted.count, table


def test_a_stranger_inserts_no_row(world: World, stranger: Client) -> None:
    for number, (table, column, value) in enumerate(tables(world)):
        before = digest(world, table, column, value)
        columns = world.catalogue.tables[table].values()
        # The very row that the organisation's own coach may insert, where members insert at all.
        sent = {name for call in read_calls() if call.table == table and call.op == "insert" for name in call.written}
        row = {c.name: world.value(c, 1000 + number, world.coach) for c in columns if c.name in {*sent, column}}
        assert stranger.from_(table).insert(row).run().error, table
        assert digest(world, table, column, value) == before, table


def test_a_stranger_changes_and_deletes_no_row(world: World, stranger: Client) -> None:
    for table, column, value in tables(world):
        before = digest(world, table, column, value)
        row = world.row(table)
        # One by one: a column that is not granted would refuse the others.
        writes = [stranger.from_(table).update({name: row[name]}).eq(column, value) for name in row]
        world.stack.driver.together(*writes)
        written = stranger.from_(table).update({column: value}).eq(column, value).select().run()
        deleted = stranger.from_(table).delete().eq(column, value).select().run()
        assert nothing(written), table
        assert nothing(deleted), table
        assert digest(world, table, column, value) == before, table
