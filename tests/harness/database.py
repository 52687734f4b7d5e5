"""A test's database, and callers that use it as the Data API does: one transaction per call, with role and claims."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from coach_os.stack.postgres import SUPERUSER, PostgresServer

API_ROLES = ("anon", "authenticated", "service_role")
Parameters = Sequence[Any] | Mapping[str, Any] | None


class Caller:
    """One connection that speaks as one audience; every call is its own transaction, as a request is.

    The API roles come through `authenticator`, which owns nothing; any other role is a login of its own.
    """

    def __init__(self, url: str, role: str, claims: Mapping[str, Any] | None) -> None:
        self.role = role
        self.connection = psycopg.connect(url, autocommit=True, row_factory=dict_row, prepare_threshold=None)
        self.claims = dict(claims or {})
        if role in API_ROLES:
            self.connection.execute("select set_config('search_path', 'public, extensions', false)")

    @property
    def user_id(self) -> uuid.UUID | None:
        """Who is signed in, if anybody."""
        return uuid.UUID(self.claims["sub"]) if "sub" in self.claims else None

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """Several statements in one transaction; it commits at the end of the block, rolls back on an error."""
        with self.connection.transaction():
            if self.role in API_ROLES:
                self.connection.execute(sql.SQL("set local role {}").format(sql.Identifier(self.role)))
                self.connection.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(self.claims),))
            yield self.connection

    def rows(self, query: str, parameters: Parameters = None) -> list[dict[str, Any]]:
        """Runs one statement; the rows it returns, none when it returns nothing."""
        with self.transaction() as connection:
            cursor = connection.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def row(self, query: str, parameters: Parameters = None) -> dict[str, Any]:
        """The only row of a statement."""
        (row,) = self.rows(query, parameters)
        return row

    def value(self, query: str, parameters: Parameters = None) -> Any:
        """The only column of the only row of a statement."""
        (value,) = self.row(query, parameters).values()
        return value

    def values(self, query: str, parameters: Parameters = None) -> list[Any]:
        """The first column of every row."""
        return [next(iter(row.values())) for row in self.rows(query, parameters)]

    def insert(self, table: str, **columns: Any) -> dict[str, Any]:
        """Inserts one row, as `.insert(…).select().single()` does, and returns all of it that the role may read."""
        return self.row(
            sql.SQL("insert into {} ({}) values ({}) returning *")
            .format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
            )
            .as_string(self.connection),
            list(columns.values()),
        )

    def call(self, function: str, **arguments: Any) -> Any:
        """Calls `schema.name` by named arguments: the value it returns, or a list of rows when it returns a table."""
        query = sql.SQL("select * from {}({})").format(
            sql.Identifier(*function.split(".")),
            sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
            ),
        )
        rows = self.rows(query.as_string(self.connection), arguments)
        name = function.rsplit(".", 1)[-1]
        if len(rows) == 1 and list(rows[0]) == [name]:
            return rows[0][name]
        return rows

    def close(self) -> None:
        self.connection.close()


class Database:
    """One database of a test: connection strings, and callers for any audience."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self._callers: list[Caller] = []
        self._owner: Caller | None = None

    @property
    def url(self) -> str:
        """The owner's connection string: `postgres`, no superuser."""
        return self.server.url(self.name)

    @property
    def admin_url(self) -> str:
        """The superuser's connection string."""
        return self.server.url(self.name, SUPERUSER)

    @property
    def owner(self) -> Caller:
        """A caller as `postgres`, who owns the tables and bypasses their policies: to arrange and to look."""
        if self._owner is None:
            self._owner = self.connect("postgres")
        return self._owner

    def connect(
        self,
        role: str = "postgres",
        *,
        user_id: uuid.UUID | str | None = None,
        email: str | None = None,
        **claims: Any,
    ) -> Caller:
        """A caller with a connection of its own; closed with the test.

        Args:
            role: anon, authenticated or service_role as the Data API sets them; else a login, such as postgres.
            user_id, email: who is signed in.
            claims: further JWT claims.
        """
        if role in API_ROLES:
            claims = {"role": role, **claims}
        if user_id is not None:
            claims["sub"] = str(user_id)
        if email is not None:
            claims["email"] = email
        login = "authenticator" if role in API_ROLES else role
        caller = Caller(self.server.url(self.name, login), role, claims)
        self._callers.append(caller)
        return caller

    def anon(self) -> Caller:
        """A visitor who is not signed in."""
        return self.connect("anon")

    def service(self) -> Caller:
        """Whoever holds the secret key."""
        return self.connect("service_role")

    def sign_up(self, email: str, **columns: Any) -> Caller:
        """Makes a user as Auth does and signs them in."""
        user_id = columns.pop("id", None) or uuid.uuid4()
        with psycopg.connect(self.admin_url) as connection:
            connection.execute(
                "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, now())", (user_id, email)
            )
        return self.sign_in(user_id, email)

    def sign_in(self, user_id: uuid.UUID | str, email: str | None = None) -> Caller:
        """A further connection of a user who exists: another tab, another device."""
        return self.connect("authenticated", user_id=user_id, email=email)

    def close(self) -> None:
        for caller in self._callers:
            caller.close()
        self._callers.clear()
        self._owner = None


@contextmanager
def refuses(status: int, slug: str) -> Iterator[None]:
    """The block is refused by a rule, with this HTTP status and this slug: the contract that clients branch on."""
    with pytest.raises(psycopg.Error) as caught:
        yield
    assert refusal(caught.value) == (status, slug), caught.value


def refusal(error: BaseException | None) -> tuple[int, str] | None:
    """(status, slug) of an error raised by private.fail; None for any other."""
    if not isinstance(error, psycopg.Error) or not (error.sqlstate or "").startswith("PT"):
        return None
    return int((error.sqlstate or "")[2:]), error.diag.message_detail or ""
