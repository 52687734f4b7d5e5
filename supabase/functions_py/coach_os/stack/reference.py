"""Renders `docs/rpc.md` from a database's own comments: what apps may call and see, and what the service may call.

The comments are the documentation; this only sets them. A test fails when the file no longer says what they say.
"""

import psycopg

_HEAD = """\
# RPC reference

Generated from the database's comments by `coach db reference`; change them in `supabase/schemas`, not here.
Statuses and slugs are explained in [errors.md](errors.md). Apps call `supabase.rpc(name, arguments)`; parameters with a
default may be left out. Amounts are minor units, instants are UTC, ids are UUIDs.
"""

_FUNCTIONS = """
select p.proname,
       pg_catalog.pg_get_function_arguments(p.oid),
       pg_catalog.pg_get_function_result(p.oid),
       coalesce(pg_catalog.obj_description(p.oid, 'pg_proc'), ''),
       p.provolatile = 'v',
       array(select r.rolname::text
               from pg_catalog.aclexplode(p.proacl) as a
               join pg_catalog.pg_roles as r on r.oid = a.grantee
              where r.rolname in ('anon', 'authenticated', 'service_role')
              order by 1)
  from pg_catalog.pg_proc as p
 where p.pronamespace = %s::regnamespace and p.prorettype <> 'trigger'::regtype
 order by p.proname, p.oid
"""

_TABLES = """
select c.relname, coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''),
       array(select a.attname || coalesce(': ' || pg_catalog.col_description(c.oid, a.attnum), '')
               from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is not null
              order by a.attnum)
  from pg_catalog.pg_class as c
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v')
 order by c.relname
"""


def render_reference(url: str) -> str:
    """The text of `docs/rpc.md` for the database at `url`."""
    with psycopg.connect(url) as connection:
        parts = [
            _HEAD,
            "## For apps: `public`\n",
            *_functions(connection, "public"),
            "## For webhooks, sweeps and operators: `service`\n",
            "Callable with the secret key alone, over `DATABASE_URL` or the Data API (schema `service`).\n",
            *_functions(connection, "service"),
            "## Tables apps read\n",
            *_tables(connection),
        ]
    return "\n".join(parts)


def _functions(connection: psycopg.Connection[tuple[object, ...]], schema: str) -> list[str]:
    parts = []
    for name, arguments, result, comment, is_volatile, roles in connection.execute(_FUNCTIONS, (schema,)):
        method = "" if is_volatile else " Reads only."
        callers = f"Callers: {', '.join(f'`{role}`' for role in roles)}." if schema == "public" else ""  # type: ignore[attr-defined]
        parts.append(f"### `{name}`\n")
        parts.append(f"```sql\n{schema}.{name}({arguments}) → {result}\n```\n")
        parts.append(f"{comment} {callers}{method}".strip() + "\n")
    return parts


def _tables(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    parts = []
    for name, comment, columns in connection.execute(_TABLES):
        parts.append(f"### `{name}`\n")
        parts.append(f"{comment}\n")
        notes = [f"- `{note.split(': ', 1)[0]}`: {note.split(': ', 1)[1]}" for note in columns]  # type: ignore[attr-defined]
        if notes:
            parts.append("\n".join(notes) + "\n")
    return parts
