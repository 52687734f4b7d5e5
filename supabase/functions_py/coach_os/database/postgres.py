"""Calls by a pool of Postgres connections: one message to the server, one transaction, one answer.

A call is a single simple query, which the server runs as one transaction of its own: there is no connection state to
leave behind, no prepared statement, and a transaction pooler in between sees one unit. The arguments are one quoted
literal in it; names come from a strict pattern and the catalogue.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple, Self, cast

import psycopg
from psycopg import AsyncConnection, pq, sql
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from coach_os.database.calls import (
    CALLER_HEADER,
    Function,
    checked_result,
    encode_arguments,
    error_for,
    function_missing,
    function_named,
)
from coach_os.errors import CoachError, Unavailable

#: A peer that vanished without a word is noticed within about half a minute.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}

_SIGNATURES = sql.SQL("""
    select p.prorettype = 'void'::regtype,
           p.proretset,
           t.typtype = 'c' or coalesce(p.proargmodes && array['o', 'b', 't']::"char"[], false),
           t.typtype in ('c', 'p'),
           p.pronargs - p.pronargdefaults,
           array(select a.name from unnest(p.proargnames, p.proargmodes) with ordinality as a (name, mode, place)
                  where coalesce(a.mode, 'i') in ('i', 'b') order by a.place),
           array(select format_type(a.type, null) from unnest(p.proargtypes) with ordinality as a (type, place)
                  order by a.place),
           array(select k.typtype in ('b', 'e') and k.typcategory <> 'A' and k.typname not in ('json', 'jsonb')
                   from unnest(p.proargtypes) with ordinality as a (type, place)
                   join pg_catalog.pg_type as k on k.oid = a.type
                  order by a.place)
      from pg_catalog.pg_proc as p
      join pg_catalog.pg_type as t on t.oid = p.prorettype
     where p.pronamespace = to_regnamespace({schema}) and p.proname = {name} and p.prokind = 'f'
""")

#: Where a statement takes its arguments; no name or type of ours could be written so.
_ARGUMENTS = b"%(arguments)"
#: And the headers of the request it carries.
_HEADERS = b"%(headers)"

# What the Data API sets for a secret key, so that a rule sees the same caller by either transport.
_CALL = sql.SQL("""
    set local role service_role;
    set local timezone = 'UTC';
    set local statement_timeout = {timeout};
    set local request.jwt.claims = '{{"role":"service_role"}}';
    set local request.headers = {headers};
    {query}
""")


class _Signature(NamedTuple):
    is_void: bool
    is_set: bool
    has_columns: bool
    is_record: bool
    required: int
    names: list[str]
    types: list[str]
    is_plain: list[bool]

    def accepts(self, given: set[str]) -> bool:
        return given.issuperset(self.names[: self.required]) and given.issubset(self.names)


class _Statement(NamedTuple):
    """What is sent: settings, headers, and the parts between which the arguments stand; one part if there are none."""

    settings: bytes
    parts: list[bytes]
    is_void: bool


class PostgresDatabase:
    """`rpc` over psycopg.

    `timeout` bounds the wait for a connection, `call_timeout` the statement itself; both in seconds.
    """

    def __init__(
        self, dsn: str, *, min_size: int = 0, max_size: int = 10, timeout: float = 5.0, call_timeout: float = 60.0
    ) -> None:
        self._call_timeout = call_timeout
        # By function and the names of what is given: composing a statement costs more than sending it.
        self._statements: dict[tuple[Function, tuple[str, ...]], _Statement] = {}
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            # Give up on a server that is down instead of backing off for minutes: the next call tries afresh.
            reconnect_timeout=timeout,
            max_waiting=max_size * 20,
            open=False,
            name="coach-os",
            kwargs={
                "autocommit": True,
                "prepare_threshold": None,
                "connect_timeout": max(2, round(timeout)),
                "application_name": "coach-os",
                **_KEEPALIVE,
            },
        )

    async def open(self) -> None:
        """Start the pool; it connects when it is first needed, so this succeeds while the database is down."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=5.0)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def rpc(self, name: str, /, *, caller: str | None = None, **params: Any) -> Any:
        """See `coach_os.database.Database.rpc`."""
        function, arguments = function_named(name), encode_arguments(params)
        headers = json.dumps({CALLER_HEADER: caller} if caller else {})
        try:
            connection = await self._connection()
            try:
                statement = await self._statement(connection, function, tuple(params))
                result = await self._call(connection, statement, headers, arguments)
            finally:
                await self._pool.putconn(connection)
            return None if statement.is_void else checked_result(result)
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise Unavailable() from error
        except TimeoutError as error:
            raise Unavailable(
                "call_timed_out", "The database did not answer in time.", "Try again in a moment."
            ) from error
        except psycopg.Error as error:
            if error.sqlstate == "42883":
                self._forget(function)
            raise _translated(error) from error

    async def _connection(self) -> AsyncConnection[Any]:
        # A server that was restarted leaves dead connections behind; they say so without a round trip.
        while True:
            connection = await self._pool.getconn()
            if _is_alive(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    async def _call(self, connection: AsyncConnection[Any], statement: _Statement, headers: str, arguments: str) -> Any:
        quote = pq.Escaping(connection.pgconn).escape_literal
        query = bytes(quote(headers.encode())).join(
            (statement.settings, quote(arguments.encode()).join(statement.parts))
        )
        async with asyncio.timeout(self._call_timeout + 5.0):
            cursor = await connection.execute(query)
            await cursor.set_result(-1)
            row = await cursor.fetchone()
        return row[0] if row else None

    async def _statement(
        self, connection: AsyncConnection[Any], function: Function, given: tuple[str, ...]
    ) -> _Statement:
        statement = self._statements.get((function, given))
        if statement is None:
            query = _SIGNATURES.format(schema=sql.Literal(function.schema), name=sql.Literal(function.name))
            cursor = await connection.execute(query)
            signatures = [_Signature(*row) for row in await cursor.fetchall()]
            fitting = [signature for signature in signatures if signature.accepts(set(given))]
            if len(fitting) != 1:
                raise function_missing()
            timeout = sql.Literal(round(self._call_timeout * 1000))
            composed = _CALL.format(
                timeout=timeout,
                headers=sql.SQL(cast(Any, _HEADERS.decode())),
                query=_query(function, fitting[0], given),
            )
            settings, call = composed.as_bytes().split(_HEADERS)
            statement = _Statement(settings, call.split(_ARGUMENTS), fitting[0].is_void)
            self._statements[function, given] = statement
        return statement

    def _forget(self, function: Function) -> None:
        for key in [key for key in self._statements if key[0] == function]:
            del self._statements[key]


def _query(function: Function, signature: _Signature, given: tuple[str, ...]) -> sql.Composed:
    """One select that calls the function and shapes its result as PostgREST does."""
    source, passed = _source(signature, given)
    parts = {"call": sql.SQL("{}({})").format(sql.Identifier(*function), sql.SQL(", ").join(passed)), "source": source}
    if signature.is_void:
        return sql.SQL("select {call} from {source}").format(**parts)
    # A single column has no name unless it is selected as one.
    row = "{call} as r" if signature.is_record else "(select c.* from {call} as c) as r"
    if signature.has_columns and signature.is_set:
        rows = "select coalesce(json_agg(r), '[]'::json) from {source}, lateral " + row
        return sql.SQL(rows).format(**parts)
    if signature.has_columns:
        return sql.SQL("select row_to_json(r) from {source}, lateral " + row).format(**parts)
    if signature.is_set:
        return sql.SQL("select coalesce(json_agg(r.v), '[]'::json) from {source}, lateral {call} as r(v)").format(
            **parts
        )
    return sql.SQL("select to_json({call}) from {source}").format(**parts)


def _source(signature: _Signature, given: tuple[str, ...]) -> tuple[sql.Composable, list[sql.Composable]]:
    """Where the arguments stand, as `a`, and how each is passed.

    `->>` and a cast read a plain type just as `json_to_record` does, for less; arrays, records and JSON itself need it.
    """
    if not given:
        return sql.SQL("(select) as a"), []
    # format_type() writes what a cast reads; it comes from the catalogue, never from a caller.
    types = {name: sql.SQL(cast(Any, kind)) for name, kind in zip(signature.names, signature.types, strict=True)}
    arguments = sql.SQL(cast(Any, _ARGUMENTS.decode()))
    passed: list[sql.Composable] = []
    if all(is_plain for name, is_plain in zip(signature.names, signature.is_plain, strict=True) if name in given):
        for name in given:
            read = sql.SQL("{} => (a.j ->> {})::{}")
            passed.append(read.format(sql.Identifier(name), sql.Literal(name), types[name]))
        return sql.SQL("(select {}::json) as a(j)").format(arguments), passed
    columns = [sql.SQL("{} {}").format(sql.Identifier(name), types[name]) for name in given]
    passed.extend(sql.SQL("{0} => a.{0}").format(sql.Identifier(name)) for name in given)
    return sql.SQL("json_to_record({}::json) as a({})").format(arguments, sql.SQL(", ").join(columns)), passed


def _is_alive(connection: AsyncConnection[Any]) -> bool:
    try:
        # Twice: the first may find the server's parting words, and only the next one that it hung up.
        connection.pgconn.consume_input()
        connection.pgconn.consume_input()
    except psycopg.Error:
        return False
    return connection.pgconn.status == pq.ConnStatus.OK


def _translated(error: psycopg.Error) -> CoachError:
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable()
    diagnostics = error.diag
    return error_for(error.sqlstate, diagnostics.message_primary, diagnostics.message_detail, diagnostics.message_hint)
