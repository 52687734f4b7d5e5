"""Rows that belong to the schema (roles, permissions): what differs between two fresh databases, as statements.

Invariant: only tables with a primary key hold such rows; databases are compared as built, before anybody uses them.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from coach_os.stack.schemas import SchemaError

_TABLES = """
select n.nspname, c.relname,
       (select array_agg(a.attname::text order by k.nth)
          from pg_index as i
          cross join unnest(i.indkey) with ordinality as k (attnum, nth)
          join pg_attribute as a on a.attrelid = c.oid and a.attnum = k.attnum
         where i.indrelid = c.oid and i.indisprimary) as keys,
       -- What the clock or chance filled in is no part of the seed.
       (select array_agg(a.attname::text order by a.attnum)
          from pg_attribute as a
          left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
         where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
           and coalesce(pg_get_expr(d.adbin, d.adrelid), '')
               !~ '(now|clock_timestamp|gen_random_uuid|uuidv7|nextval)\\(') as columns
  from pg_class as c
  join pg_namespace as n on n.oid = c.relnamespace
 where c.relkind = 'r' and n.nspname in ('public', 'private', 'service')
 order by 1, 2
"""


@dataclass(frozen=True)
class _Table:
    schema: str
    name: str
    keys: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


def seed_changes(source_url: str, desired_url: str) -> list[str]:
    """Statements that give the source the desired seed rows: deletes first, children before parents, then upserts.

    Raises:
        SchemaError: a table with seed rows has no primary key, or its key is not part of the seed.
    """
    with psycopg.connect(source_url) as source, psycopg.connect(desired_url) as desired:
        before, after = _tables(source), _tables(desired)
        deletes: list[str] = []
        upserts: list[str] = []
        for name, table in after.items():
            old = _rows(source, table) if name in before and before[name] == table else {}
            new = _rows(desired, table)
            deletes += [_delete(desired, table, key) for key in old.keys() - new.keys()]
            upserts += [_upsert(desired, table, row) for key, row in new.items() if old.get(key) != row]
    return sorted(deletes, reverse=True) + upserts


def _tables(connection: psycopg.Connection) -> dict[str, _Table]:
    found = [
        _Table(schema, name, tuple(keys or ()), tuple(columns or ()))
        for schema, name, keys, columns in connection.execute(_TABLES).fetchall()
    ]
    return {f"{table.schema}.{table.name}": table for table in found}


def _rows(connection: psycopg.Connection, table: _Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    order = sql.SQL(", ").join(sql.SQL(str(nth)) for nth in range(1, len(table.columns) + 1))
    query = sql.SQL("select {} from {} order by {}").format(columns, table.identifier, order)
    rows = [dict(zip(table.columns, row, strict=True)) for row in connection.execute(query).fetchall()]
    if rows and not (table.keys and set(table.keys) <= set(table.columns)):
        raise SchemaError(
            f"{table.schema}.{table.name} holds rows of the schema, but no key that says which is which.",
            "Give it a primary key whose values the data room writes.",
        )
    return {tuple(row[key] for key in table.keys): row for row in rows}


def _delete(connection: psycopg.Connection, table: _Table, key: tuple[Any, ...]) -> str:
    matches = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
        for name, value in zip(table.keys, key, strict=True)
    ]
    query = sql.SQL("delete from {} where {}").format(table.identifier, sql.SQL(" and ").join(matches))
    return query.as_string(connection)


def _upsert(connection: psycopg.Connection, table: _Table, row: dict[str, Any]) -> str:
    rest = [name for name in table.columns if name not in table.keys]
    updates = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest)
    query = sql.SQL("insert into {} ({}) values ({}) on conflict ({}) do {}").format(
        table.identifier,
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Literal, row.values())),
        sql.SQL(", ").join(map(sql.Identifier, table.keys)),
        sql.SQL("update set {}").format(updates) if rest else sql.SQL("nothing"),
    )
    return query.as_string(connection)
