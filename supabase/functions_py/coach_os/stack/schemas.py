"""Loads `supabase/schemas`, what is true today, into an empty database in the order the folders promise."""

from pathlib import Path

import psycopg
from psycopg import sql

from coach_os.errors import Refusal
from coach_os.stack.migrations import describe_error
from coach_os.stack.statements import split_statements

ROOMS = (
    "*/tables.sql",
    "*/rules.sql",
    "*/rules/*.sql",
    "*/access.sql",
    "*/api.sql",
    "*/service.sql",
    "*/data.sql",
)
"""Room by room, within a room domain by domain; `schema_paths` in config.toml says the same."""

# What `create function` would have checked, had each function found all the others in place.
_VALIDATE = """
select p.oid::regprocedure::text, l.lanname
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_language as l on l.oid = p.prolang
 where p.pronamespace = any ('{public,private,service}'::regnamespace[])
   and l.lanname in ('sql', 'plpgsql') and p.prosqlbody is null
 order by 1
"""
_VALIDATORS = {"sql": "fmgr_sql_validator", "plpgsql": "plpgsql_validator"}


class SchemaError(Refusal):
    """The schemas, or what should become a migration, are not right yet. Nothing was written."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(422, "schema_invalid", message, hint)


def schemas_directory() -> Path:
    """`supabase/schemas` of the checkout; an installed wheel has none, it carries migrations."""
    return Path(__file__).resolve().parents[3] / "schemas"


def schema_files(directory: Path | None = None) -> list[Path]:
    """The files in load order; a file that fits no room is refused, since it would silently never load.

    Raises:
        SchemaError: there is no such directory, or a file in it belongs to no room.
    """
    directory = directory or schemas_directory()
    if not directory.is_dir():
        raise SchemaError(f"There is no {directory}.", "Run this in a checkout of the project.")
    files = [path for room in ROOMS for path in sorted(directory.glob(room))]
    if stray := sorted(set(directory.rglob("*.sql")) - set(files)):
        rooms = ", ".join(room.removeprefix("*/") for room in ROOMS)
        raise SchemaError(f"{stray[0].relative_to(directory)} is none of a domain's rooms.", f"The rooms are {rooms}.")
    return files


def load_schemas(url: str, directory: Path | None = None) -> None:
    """Load every room as the owner, in one transaction, then check every function's body.

    Raises:
        SchemaError: a statement failed; it names the file and line.
    """
    directory = directory or schemas_directory()
    with psycopg.connect(url, prepare_threshold=None) as connection:
        # A rule may call one that stands further on; all bodies are checked at the end instead.
        connection.execute("set check_function_bodies = off")
        for path in schema_files(directory):
            for statement in split_statements(path.read_text(encoding="utf-8")):
                try:
                    connection.execute(sql.SQL(statement.text))
                except psycopg.Error as error:
                    place = f"{path.relative_to(directory)}:{statement.line}"
                    raise SchemaError(f"{place} failed: {describe_error(error)}") from None
        _check_functions(connection)


def _check_functions(connection: psycopg.Connection) -> None:
    connection.execute("set check_function_bodies = on")
    for function, language in connection.execute(_VALIDATE).fetchall():
        try:
            validator = sql.Identifier("pg_catalog", _VALIDATORS[language])
            connection.execute(sql.SQL("select {}({}::regprocedure)").format(validator, sql.Literal(function)))
        except psycopg.Error as error:
            raise SchemaError(f"The function {function} is wrong: {describe_error(error)}") from None
