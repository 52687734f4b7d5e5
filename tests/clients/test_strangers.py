"""A visitor and a coach of another organisation get nothing: from any table, by any verb, through any function."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import Stack
from tests.clients.supabase_js import Answer, Client
from tests.contract.replay.calls import read_calls
from tests.contract.replay.world import World

NOBODY = "00000000-0000-0000-0000-000000000000"

#: The same for everybody who signs in: nothing of any organisation.
SHARED = {"roles", "role_permissions"}

#: What a required argument is given that names no row.
VALUES = {
    "boolean": True,
    "date": "2031-01-01",
    "integer": 1,
    "jsonb": {},
    "time without time zone": "09:00",
    "timestamp with time zone": "2031-01-01T00:00:00Z",
    "uuid": NOBODY,
    "uuid[]": [],
}

_DIGEST = """
select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from public.{} as t where {} = %s
"""

_FUNCTIONS = """
select p.proname as name, p.proargnames[1:p.pronargs] as arguments, p.pronargs - p.pronargdefaults as required,
       p.proargtypes::regtype[]::text[] as types
  from pg_proc as p
 where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
   and not exists (select from pg_type as t where t.oid = p.proargtypes[0] and t.typrelid <> 0)
"""


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


def tables(world: World) -> Iterator[tuple[str, str, str]]:
    """Each table, the column that says whose row it is, and the organisation's or its coach's value there."""
    org = str(world.row("orgs")["id"])
    for table, columns in world.catalogue.tables.items():
        if table in SHARED:
            continue
        if table == "orgs":
            yield table, "id", org
        elif "org_id" in columns:
            yield table, "org_id", org
        else:
            key = "user_id" if "user_id" in columns else "id"
            yield table, key, str(world.row(table)[key])


def digest(world: World, table: str, column: str, value: str) -> Any:
    return world.stack.value(_DIGEST.format(table, column), value)


def nothing(answer: Answer) -> bool:
    """Refused, or answered with no row, or no."""
    return answer.error is not None or answer.data in (None, [], False)


def test_a_stranger_reads_no_row(world: World, stranger: Client) -> None:
    for table, column, value in tables(world):
        assert digest(world, table, column, value) != digest(world, table, column, NOBODY), f"{table} hides no row"
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


def test_no_function_serves_a_stranger(world: World, stranger: Client) -> None:
    ids = {"purchase": "client_purchases", "booking": "bookings", "client": "clients", "offer": "offers", "org": "orgs"}
    ids |= {"thread": "message_threads", "message": "outbox_messages", "send": "marketing_sends", "staff": "staff"}
    ids |= {
        "session_type": "session_types",
        "series": "booking_series",
        "entry": "waitlist_entries",
        "hold": "bookings",
    }
    before = [digest(world, *where) for where in tables(world)]
    functions = world.stack.owner.execute(_FUNCTIONS).fetchall()
    assert functions
    for function in functions:
        names = function["arguments"] or []
        arguments = {f"p_{key}_id": str(world.row(table)["id"]) for key, table in ids.items() if f"p_{key}_id" in names}
        # As a whole call: one that lacks an argument is refused before anybody is asked who they are.
        required = zip(names[: function["required"]], function["types"], strict=False)
        whole = {name: VALUES.get(type_, "x") for name, type_ in required} | arguments
        answer = stranger.rpc(function["name"], whole).run()
        assert nothing(answer), function["name"]
        # What is no argument at all says nothing of anybody.
        assert answer.status in (200, 401, 403, 404) or answer.slug == "value_not_allowed", (function["name"], answer)
    assert [digest(world, *where) for where in tables(world)] == before
