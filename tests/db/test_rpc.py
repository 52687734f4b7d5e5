"""A call means and fails the same, whether it goes through a pool of connections or through the Data API."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.harness import lacking
from tests.harness.cluster import Cluster
from tests.harness.data_api import running_data_api
from tests.harness.database import Database

from coach_os.database import DataApiDatabase, PostgresDatabase
from coach_os.errors import CoachError, Fault, Refusal, Unavailable
from coach_os.stack.state import State

FUNCTIONS = Path(__file__).with_name("rpc_functions.sql")
ONE, TWO = UUID(int=1), UUID(int=2)


@pytest.fixture(scope="module")
def shapes(cluster: Cluster) -> Iterator[Database]:
    """A database with a function for each shape of a call; the tests of this module share it."""
    database = cluster.clone(cluster.platform_template(), label="rpc")
    with psycopg.connect(database.url) as connection:
        connection.execute(FUNCTIONS.read_bytes())
    yield database
    cluster.drop(database)


@pytest.fixture(scope="module")
def data_api(shapes: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    lacking.node()
    with running_data_api(shapes, tmp_path_factory.mktemp("data_api")) as state:
        yield state


def call(database: Database, name: str, **params: Any) -> Any:
    async def once() -> Any:
        async with PostgresDatabase(database.url) as postgres:
            return await postgres.rpc(name, **params)

    return asyncio.run(once())


def call_api(state: State, name: str, **params: Any) -> Any:
    async def once() -> Any:
        async with DataApiDatabase(state.data_api_url, state.secret_key) as api:
            return await api.rpc(name, **params)

    return asyncio.run(once())


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except CoachError as error:
        return type(error), error.status, error.slug, error.message, error.hint


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("give_uuid", {}, str(ONE)),
        ("give_instant", {}, "2026-10-31T15:30:00.5+00:00"),
        ("give_big", {}, 5_000_000_000),
        ("give_flag", {}, True),
        ("give_text", {}, 'it\'s "quoted" \\ %s é'),
        ("give_null", {}, None),
        ("give_words", {}, ["a", "b"]),
        ("give_nothing", {}, None),
        ("give_pair", {}, {"a": 1, "b": "x"}),
        ("give_ids", {"p_count": 2}, [str(ONE), str(TWO)]),
        ("give_ids", {"p_count": 0}, []),
        ("give_column", {"p_count": 2}, [{"n": 1}, {"n": 2}]),
        ("give_call", {}, {"id": str(ONE)}),
        ("give_calls", {}, [{"id": str(ONE)}]),
        ("give_rows", {"p_count": 0}, []),
        (
            "give_rows",
            {"p_count": 1},
            [
                {
                    "id": str(ONE),
                    "at": "2026-10-31T15:30:00+00:00",
                    "on": "2026-11-01",
                    "amount": 1.5,
                    "big": 5_000_000_000,
                    "words": ["x"],
                    "doc": {"a": [1, None]},
                    "note": None,
                }
            ],
        ),
        ("who_am_i", {}, {"user": "service_role", "claim": "service_role", "zone": "UTC"}),
    ],
)
def test_a_result_has_one_shape_by_either_transport(
    shapes: Database, data_api: State, name: str, params: dict[str, Any], expected: Any
) -> None:
    assert call(shapes, f"service.{name}", **params) == expected
    assert call_api(data_api, f"service.{name}", **params) == expected


@pytest.mark.parametrize(
    ("given", "comes_back"),
    [
        ({}, {"int": 7}),
        ({"p_int": None}, {"int": None}),
        ({"p_uuid": ONE}, {"uuid": str(ONE)}),
        ({"p_uuid": str(ONE)}, {"uuid": str(ONE)}),
        ({"p_at": datetime(2026, 11, 1, 1, 30, tzinfo=UTC)}, {"at": "2026-11-01T01:30:00+00:00"}),
        ({"p_on": date(2026, 11, 1)}, {"on": "2026-11-01"}),
        ({"p_number": Decimal("1.25")}, {"number": 1.25}),
        ({"p_big": 5_000_000_000}, {"big": 5_000_000_000}),
        ({"p_ids": [ONE, TWO]}, {"ids": [str(ONE), str(TWO)]}),
        ({"p_ids": []}, {"ids": []}),
        ({"p_words": ["a,b", '"', "{}", "null"]}, {"words": ["a,b", '"', "{}", "null"]}),
        ({"p_flag": False}, {"flag": False}),
        ({"p_text": "'; drop table x; -- \\ %s {0} $1"}, {"text": "'; drop table x; -- \\ %s {0} $1"}),
        ({"p_json": {"a": [1, {"b": "it's"}]}}, {"json": {"a": [1, {"b": "it's"}]}}),
        ({"p_json": [1, "two"]}, {"json": [1, "two"]}),
        ({"p_json": None}, {"json": None}),
        ({"p_text": 5, "p_int": "5"}, {"text": "5", "int": 5}),
        ({"p_text": None, "p_uuid": ONE, "p_flag": True}, {"text": None, "uuid": str(ONE), "flag": True, "int": 7}),
        ({"p_text": "%(arguments)", "p_uuid": None}, {"text": "%(arguments)", "uuid": None}),
        ({"p_text": "x", "p_ids": [ONE], "p_int": 1}, {"text": "x", "ids": [str(ONE)], "int": 1}),
    ],
)
def test_an_argument_arrives_as_its_parameter_s_type(
    shapes: Database, data_api: State, given: dict[str, Any], comes_back: dict[str, Any]
) -> None:
    for echoed in (call(shapes, "service.echo", **given), call_api(data_api, "service.echo", **given)):
        assert {name: echoed[name] for name in comes_back} == comes_back


@pytest.mark.parametrize(
    ("name", "params", "kind", "status", "slug"),
    [
        ("refuse", {}, Refusal, 409, "slug_here"),
        ("refuse", {"p_status": 402}, Refusal, 402, "slug_here"),
        ("refuse_and_count", {}, Refusal, 429, "too_many"),
        ("echo", {"p_uuid": "nope"}, Refusal, 400, "argument_invalid"),
        ("echo", {"p_at": "2026-13-01"}, Refusal, 400, "argument_invalid"),
        ("echo", {"p_int": 10**12}, Refusal, 400, "argument_invalid"),
        ("echo", {"p_text": "a\0b"}, Refusal, 400, "argument_invalid"),
        ("echo", {"p_unknown": 1}, Fault, 500, "function_missing"),
        ("give_ids", {}, Fault, 500, "function_missing"),
        ("no_such_function", {}, Fault, 500, "function_missing"),
        ("forbidden", {}, Fault, 500, "grant_missing"),
        ("fail_with", {"p_code": "P0001"}, Fault, 500, "database_error"),
        ("fail_with", {"p_code": "23505"}, Fault, 500, "database_error"),
        ("fail_with", {"p_code": "22012"}, Fault, 500, "database_error"),
        ("fail_with", {"p_code": "40001"}, Refusal, 409, "write_conflict"),
        ("fail_with", {"p_code": "40P01"}, Refusal, 409, "write_conflict"),
        ("fail_with", {"p_code": "55P03"}, Refusal, 409, "write_conflict"),
        ("fail_with", {"p_code": "57014"}, Unavailable, 503, "call_timed_out"),
        ("fail_with", {"p_code": "57P01"}, Unavailable, 503, "database_unavailable"),
        ("fail_with", {"p_code": "53300"}, Unavailable, 503, "database_unavailable"),
    ],
)
def test_an_error_is_one_error_by_either_transport(
    shapes: Database,
    data_api: State,
    name: str,
    params: dict[str, Any],
    kind: type[CoachError],
    status: int,
    slug: str,
) -> None:
    by_pool = outcome(lambda: call(shapes, f"service.{name}", **params))
    by_api = outcome(lambda: call_api(data_api, f"service.{name}", **params))
    assert by_pool == by_api
    assert by_pool[:3] == (kind, status, slug)
    assert "example.com" not in str(by_pool)


@pytest.mark.parametrize("caller", ["203.0.113.7", "2001:db8::1", """it's "odd" \\ , {}"""])
def test_whose_call_it_carries_arrives_by_either_transport_and_is_the_next_ones_no_more(
    shapes: Database, data_api: State, caller: str
) -> None:
    async def twice(database: PostgresDatabase | DataApiDatabase) -> list[Any]:
        async with database:
            first = await database.rpc("service.give_caller", caller=caller)
            return [first, await database.rpc("service.give_caller")]

    expected = caller.split(",")[0]
    for database in (
        PostgresDatabase(shapes.url, max_size=1),
        DataApiDatabase(data_api.data_api_url, data_api.secret_key),
    ):
        first, second = asyncio.run(twice(database))
        assert (first, second) != (expected, expected)
        assert first == expected


def test_a_wrong_key_is_no_refusal(data_api: State) -> None:
    async def once() -> None:
        async with DataApiDatabase(data_api.data_api_url, "sb_secret_wrong") as api:
            await api.rpc("service.give_uuid")

    with pytest.raises(Fault) as caught:
        asyncio.run(once())
    assert caught.value.slug == "key_refused"


def test_the_publishable_key_may_not_call_the_service(data_api: State) -> None:
    async def once() -> None:
        async with DataApiDatabase(data_api.data_api_url, data_api.publishable_key) as api:
            await api.rpc("service.give_uuid")

    with pytest.raises(Fault) as caught:
        asyncio.run(once())
    assert caught.value.slug == "grant_missing"


@pytest.mark.parametrize(
    "name", ["pg_sleep", "private.fail", "service.f; drop", 'service."f"', "service.F", "service.", "auth.uid"]
)
def test_a_name_that_is_none_of_ours_reaches_nothing(shapes: Database, name: str) -> None:
    with pytest.raises(ValueError, match="not a function of"):
        call(shapes, name)


@pytest.mark.parametrize("parameter", ["p_x => 1) --", "P_X", "p x", "", "p_é"])
def test_a_parameter_s_name_is_checked_too(shapes: Database, parameter: str) -> None:
    with pytest.raises(ValueError, match="not a parameter's name"):
        call(shapes, "service.echo", **{parameter: 1})


def test_an_instant_without_a_zone_is_refused(shapes: Database) -> None:
    with pytest.raises(ValueError, match="time zone"):
        call(shapes, "service.echo", p_at=datetime(2026, 11, 1))


def test_a_call_leaves_nothing_behind_on_its_connection(shapes: Database) -> None:
    async def run() -> Any:
        async with PostgresDatabase(shapes.url, max_size=1) as database:
            await database.rpc("service.who_am_i")
            with pytest.raises(Refusal):
                await database.rpc("service.refuse")
            async with database._pool.connection() as connection:
                query = "select current_user, current_setting('request.jwt.claims', true), current_setting('role')"
                return await (await connection.execute(query)).fetchone()

    assert asyncio.run(run()) == ("postgres", "", "none")


def test_a_refused_call_changes_nothing(shapes: Database) -> None:
    before = shapes.owner.value("select count(*) from public.calls")

    async def run() -> None:
        async with PostgresDatabase(shapes.url, call_timeout=0.1) as database:
            await database.rpc("service.count_call")

    with pytest.raises(Unavailable) as caught:
        asyncio.run(run())
    assert caught.value.slug == "call_timed_out"
    assert shapes.owner.value("select count(*) from public.calls") == before


def test_a_changed_signature_is_noticed(shapes: Database) -> None:
    async def run() -> list[Any]:
        async with PostgresDatabase(shapes.url) as database:
            shapes.owner.rows(
                "create function service.moving(p_a integer) returns integer language sql as 'select p_a'"
            )
            shapes.owner.rows("grant execute on function service.moving to service_role")
            first = await database.rpc("service.moving", p_a=1)
            shapes.owner.rows("drop function service.moving")
            shapes.owner.rows("create function service.moving(p_b text) returns text language sql as 'select p_b'")
            shapes.owner.rows("grant execute on function service.moving to service_role")
            return [first, await database.rpc("service.moving", p_b="two")]

    assert asyncio.run(run()) == [1, "two"]


def test_calls_beyond_the_pool_wait_their_turn(shapes: Database) -> None:
    async def run() -> list[Any]:
        async with PostgresDatabase(shapes.url, max_size=2) as database:
            return await asyncio.gather(*(database.rpc("service.wait_for", p_seconds=0.05) for _ in range(8)))

    assert asyncio.run(run()) == [1] * 8


def test_a_pool_that_stays_full_is_unavailable(shapes: Database) -> None:
    async def run() -> list[Any]:
        async with PostgresDatabase(shapes.url, max_size=1, timeout=0.2) as database:
            calls = [database.rpc("service.wait_for", p_seconds=1.0) for _ in range(2)]
            return await asyncio.gather(*calls, return_exceptions=True)

    done, refused = sorted(asyncio.run(run()), key=lambda result: isinstance(result, Exception))
    assert done == 1
    assert isinstance(refused, Unavailable)


def test_a_connection_that_is_lost_in_the_middle_is_reported_and_never_repeated(shapes: Database) -> None:
    before = shapes.owner.value("select count(*) from public.calls")

    async def run() -> None:
        async with PostgresDatabase(shapes.url) as database:
            running = asyncio.create_task(database.rpc("service.count_call"))
            await until(lambda: terminated(shapes, "count_call"))
            await running

    with pytest.raises(Unavailable):
        asyncio.run(run())
    assert shapes.owner.value("select count(*) from public.calls") == before


def test_a_connection_that_was_lost_while_idle_costs_no_call(shapes: Database) -> None:
    async def run() -> Any:
        async with PostgresDatabase(shapes.url, max_size=3) as database:
            await asyncio.gather(*(database.rpc("service.wait_for", p_seconds=0.1) for _ in range(3)))
            with psycopg.connect(shapes.admin_url, autocommit=True) as admin:
                ended = admin.execute(
                    "select pg_terminate_backend(pid, 2000) from pg_stat_activity where application_name = 'coach-os'"
                    " and datname = current_database()"
                ).fetchall()
            assert len(ended) == 3
            return [await database.rpc("service.give_flag") for _ in range(3)]

    assert asyncio.run(run()) == [True] * 3


def test_a_server_that_is_down_is_unavailable() -> None:
    async def by_pool() -> None:
        async with PostgresDatabase("postgresql://postgres@127.0.0.1:1/postgres", timeout=0.3) as database:
            await database.rpc("service.health")

    async def by_api() -> None:
        async with DataApiDatabase("http://127.0.0.1:1", "sb_secret_x", timeout=0.3) as database:
            await database.rpc("service.health")

    for act in (by_pool, by_api):
        with pytest.raises(Unavailable) as caught:
            asyncio.run(act())
        assert caught.value.slug == "database_unavailable"


def terminated(database: Database, function: str) -> bool:
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        query = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where state = 'active' and pid <> pg_backend_pid() and query like %s"
        )
        return bool(admin.execute(query, (f"%{function}%",)).fetchall())


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)
