"""What a database's catalogue says about tables, keys and grants, read once per connection."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import dict_row

_COLUMNS = """
select c.relname as "table", a.attname as name, format_type(a.atttypid, null) as type,
       a.attnotnull as required, a.atthasdef as has_default, a.attgenerated <> '' as generated
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
 order by c.relname, a.attnum
"""

_KEYS = """
select c.conname as name, c.contype::text as kind, c.conrelid::regclass::text as "table",
       nullif(c.confrelid, 0)::regclass::text as parent, pg_get_constraintdef(c.oid) as definition,
       array(select a.attname::text from unnest(c.conkey) with ordinality as k (n, i)
               join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = k.n order by k.i) as columns
  from pg_constraint as c
 where c.connamespace = 'public'::regnamespace and c.contype in ('p', 'u', 'f', 'c')
 order by 3, 1
"""

_UNIQUE_INDEXES = """
select i.indrelid::regclass::text as "table",
       array(select a.attname::text from unnest(i.indkey) as k (n)
               join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.n) as columns
  from pg_index as i
  join pg_class as c on c.oid = i.indrelid and c.relnamespace = 'public'::regnamespace
 where i.indisunique and i.indpred is null and i.indexprs is null
"""

_COMPUTED = """
select p.proname as name, a.typname as "table", t.typname as target, p.prorows = 1 as single
  from pg_proc as p
  join pg_type as a on a.oid = p.proargtypes[0] and a.typrelid <> 0
  join pg_type as t on t.oid = p.prorettype and t.typrelid <> 0
 where p.pronamespace = 'public'::regnamespace and p.pronargs = 1 and p.proretset
"""

_LABELS = """
select format_type(e.enumtypid, null) as type, min(e.enumlabel) as label from pg_enum as e group by e.enumtypid
"""


@dataclass(frozen=True)
class Column:
    """A column; `required` means not null."""

    table: str
    name: str
    type: str
    required: bool
    has_default: bool
    generated: bool


@dataclass(frozen=True)
class Key:
    """A constraint: p(rimary), u(nique), f(oreign) or c(heck)."""

    name: str
    kind: str
    table: str
    parent: str | None
    definition: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Computed:
    """A computed relationship: a function from a table's row to rows of another."""

    name: str
    table: str
    target: str
    single: bool


class Catalogue:
    """Tables of `public`, without the schema in their names."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        cursor = connection.cursor(row_factory=dict_row)
        # Names come out qualified only where the search_path does not find them.
        cursor.execute("set search_path = public")
        rows = [Column(**row) for row in cursor.execute(_COLUMNS)]
        self.tables: dict[str, dict[str, Column]] = {}
        for column in rows:
            self.tables.setdefault(column.table, {})[column.name] = column
        self.keys = [Key(**{**row, "columns": tuple(row["columns"])}) for row in cursor.execute(_KEYS)]
        self.unique_indexes = [(row["table"], frozenset(row["columns"])) for row in cursor.execute(_UNIQUE_INDEXES)]
        self.computed = [Computed(**row) for row in cursor.execute(_COMPUTED)]
        self._labels = {row["type"]: row["label"] for row in cursor.execute(_LABELS)}
        cursor.execute("reset search_path")

    @cached_property
    def primary_keys(self) -> dict[str, tuple[str, ...]]:
        """The primary key's columns, by table."""
        return {key.table: key.columns for key in self.keys if key.kind == "p"}

    def foreign_keys(self, table: str, parent: str | None = None) -> list[Key]:
        """The foreign keys of a table, or those to one parent."""
        return [k for k in self.keys if k.kind == "f" and k.table == table and parent in (None, k.parent)]

    def parent_of(self, table: str, column: str) -> str | None:
        """The table that a column points to: the last column of a key is its own, the others carry the tenant."""
        return next((key.parent for key in self.foreign_keys(table) if key.columns[-1] == column), None)

    def allowed(self, table: str, column: str) -> Sequence[str]:
        """The texts that a check constraint lists for a column."""
        for key in self.keys:
            if key.kind == "c" and key.table == table and key.columns == (column,) and "ANY" in key.definition:
                return re.findall(r"'([^']+)'::text", key.definition)
        return ()

    def first_label(self, enum: str) -> str:
        """A label of an enum type."""
        return str(self._labels[enum])
