"""What an organisation has, digested: a test can tell that a stranger has neither seen nor changed any of it."""

from collections.abc import Iterator
from typing import Any

from tests.clients.supabase_js import Answer
from tests.contract.replay.world import World

#: The same for everybody who signs in: nothing of any organisation.
SHARED = {"roles", "role_permissions", "plans", "measurement_types"}

_DIGEST = """
select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {}.{} as t where {} = %s
"""

#: Holds, taken time, feeds: what no app reads, and a function might change all the same.
_PRIVATE = """
select c.relname as name
  from pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped
 where c.relnamespace = 'private'::regnamespace and c.relkind = 'r'
"""


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


def digest(world: World, table: str, column: str, value: str, *, schema: str = "public") -> Any:
    """What a table holds of an organisation or a person, in one word."""
    return world.stack.value(_DIGEST.format(schema, table, column), value)


def digests(world: World) -> dict[str, Any]:
    """The same of every table, also of those that no app may see."""
    org = str(world.row("orgs")["id"])
    private = [row["name"] for row in world.stack.owner.execute(_PRIVATE).fetchall()]
    assert {"holds", "occupancies", "calendar_feeds"} <= {*private}
    return {table: digest(world, table, column, value) for table, column, value in tables(world)} | {
        f"private.{table}": digest(world, table, "org_id", org, schema="private") for table in private
    }


def nothing(answer: Answer) -> bool:
    """Refused, or answered with no row."""
    return answer.error is not None or answer.data in (None, [])
