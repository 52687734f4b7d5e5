"""Without the Data API: a connection that speaks as `authenticated` with a person's claims, as PostgREST would.

The same rows, grants, policies and triggers; only HTTP is missing.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any, cast

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from coach_cli.demo.doors import Row
from coach_cli.demo.people import Person
from coach_os.database.calls import error_for

_SIGN_UP = """
insert into auth.users (id, email, email_confirmed_at, raw_user_meta_data)
select %s, %s, now(), jsonb_build_object('full_name', %s::text)
 where not exists (select from auth.users as u where u.email = %s)
"""
_NEW_ROW = sql.Placeholder("new row")


class DatabaseDoor:
    """The embedded PostgreSQL: people speak through `url`; only Auth may write accounts, so `admin_url` makes them."""

    name = "the database itself, as the role and with the claims that the Data API would send"

    def __init__(self, url: str, admin_url: str) -> None:
        self._url = url
        self._admin_url = admin_url

    def sign_in(self, person: Person, password: str) -> "DatabaseTab":
        with psycopg.connect(self._admin_url, row_factory=tuple_row) as connection:
            connection.execute(_SIGN_UP, (uuid.uuid4(), person.email, person.name, person.email))
            found = connection.execute("select id::text from auth.users where email = %s", (person.email,)).fetchone()
        assert found is not None
        return DatabaseTab(self._url, found[0], person.email)


class DatabaseTab:
    """A tab with a connection of its own; each call takes on the person's role and claims for one transaction."""

    def __init__(self, url: str, user_id: str, email: str) -> None:
        self.user_id = user_id
        self._claims = json.dumps({"sub": user_id, "email": email, "role": "authenticated"})
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=None, row_factory=tuple_row)

    def select(self, table: str, **equals: Any) -> list[Row]:
        query = sql.SQL("select to_jsonb(t) from public.{} as t where {}")
        return self._rows(query.format(sql.Identifier(table), _all_equal(equals)), equals)

    def insert(self, table: str, **columns: Any) -> Row:
        query = sql.SQL(
            "with new as (insert into public.{table} ({names}) select {names}"
            " from jsonb_populate_record(null::public.{table}, {row}::jsonb) returning *)"
            " select to_jsonb(new) from new"
        ).format(table=sql.Identifier(table), names=_names(columns), row=_NEW_ROW)
        (row,) = self._rows(query, _with_row({}, columns))
        return cast(Row, row)

    def insert_unseen(self, table: str, **columns: Any) -> None:
        query = sql.SQL(
            "insert into public.{table} ({names}) select {names}"
            " from jsonb_populate_record(null::public.{table}, {row}::jsonb) returning org_id"
        ).format(table=sql.Identifier(table), names=_names(columns), row=_NEW_ROW)
        self._rows(query, _with_row({}, columns))

    def update(self, table: str, where: Mapping[str, Any], **columns: Any) -> list[Row]:
        query = sql.SQL(
            "with new as (update public.{table} as t set ({names}) = (select {names}"
            " from jsonb_populate_record(null::public.{table}, {row}::jsonb)) where {where} returning t.*)"
            " select to_jsonb(new) from new"
        ).format(table=sql.Identifier(table), names=_names(columns), row=_NEW_ROW, where=_all_equal(where))
        return self._rows(query, _with_row(where, columns))

    def rpc(self, name: str, **params: Any) -> Any:
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(key), sql.Placeholder(key)) for key in params
        )
        query = sql.SQL("select to_jsonb(public.{}({}))").format(sql.Identifier(name), arguments)
        return self._rows(query, {key: _as_sent(value) for key, value in params.items()})[0]

    def close(self) -> None:
        self._connection.close()

    def _rows(self, query: sql.Composed, parameters: Mapping[str, Any]) -> list[Any]:
        try:
            with self._connection.transaction():
                self._connection.execute("set local role authenticated")
                self._connection.execute("select set_config('request.jwt.claims', %s, true)", (self._claims,))
                return [row[0] for row in self._connection.execute(query, dict(parameters)).fetchall()]
        except psycopg.Error as error:
            diag = error.diag
            raise error_for(error.sqlstate, diag.message_primary, diag.message_detail, diag.message_hint) from error


def _as_sent(value: Any) -> Any:
    """As JSON, what is no value of a column's own: an object, or a list of them."""
    is_json = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
    return Jsonb(value) if is_json else value


def _with_row(parameters: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {**parameters, "new row": json.dumps(columns)}


def _names(columns: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _all_equal(equals: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("t.{} = {}").format(sql.Identifier(key), sql.Placeholder(key)) for key in equals
    )
