"""Brings a database to the version of this checkout: `supabase/migrations`, in order, each file in one transaction.

The ledger is the Supabase CLI's own, so that `supabase db push` and `coach db migrate` may take turns on one database.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql
from psycopg.errors import lookup

from coach_os.errors import Refusal
from coach_os.stack.statements import Statement, split_statements

# Any constant will do as long as every version of this program uses the same.
LOCK_KEY = 7_208_450_621_934_018
# How long to wait for another migration to finish, and for a table that somebody else holds.
WAIT_FOR_ANOTHER = "60s"
WAIT_FOR_A_TABLE = "5s"

_FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")
# Classes whose messages can quote a value from a row: data exceptions, constraint violations, our own `raise`.
_MAY_QUOTE_ROWS = ("22", "23", "P0", "PT")
_LEDGER = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text
"""

# (file name, statements done, statements in all), after each statement.
Progress = Callable[[str, int, int], None]


class MigrationError(Refusal):
    """A database that cannot be migrated as it stands. Nothing was left half-done."""

    code: ClassVar[str] = "migration_refused"

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(409, self.code, message, hint)


class NewerDatabase(MigrationError):
    """The database holds migrations that this checkout does not know."""

    code = "database_newer"


class OutOfOrder(MigrationError):
    """A file of this checkout is older than the newest one applied."""

    code = "migration_out_of_order"


class ChangedMigration(MigrationError):
    """A file was edited after it had been applied."""

    code = "migration_changed"


class FailedMigration(MigrationError):
    """A statement failed; its file was rolled back."""

    code = "migration_failed"


@dataclass(frozen=True)
class Migration:
    """One file of `supabase/migrations`."""

    version: str
    name: str
    path: Path

    def statements(self) -> list[Statement]:
        return split_statements(self.path.read_text(encoding="utf-8"))


def migrations_directory() -> Path:
    """`supabase/migrations` of the checkout, or the copy inside the installed wheel."""
    checkout = Path(__file__).resolve().parents[3]
    if checkout.name == "supabase" and (checkout / "migrations").is_dir():
        return checkout / "migrations"
    return Path(__file__).resolve().parents[1] / "_migrations"


def read_migrations(directory: Path | None = None) -> list[Migration]:
    """The migration files of `directory`, oldest first. Other files are not migrations and are passed over.

    Raises:
        MigrationError: two files carry one version.
    """
    found: dict[str, Migration] = {}
    for path in sorted((directory or migrations_directory()).glob("*.sql")):
        if not (match := _FILE_NAME.match(path.name)):
            continue
        migration = Migration(match[1], match[2], path)
        if migration.version in found:
            twin = found[migration.version].path.name
            raise MigrationError(f"{twin} and {path.name} carry the same version.", "Rename one of them.")
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


def pending(url: str, *, directory: Path | None = None) -> list[str]:
    """File names that `migrate` would apply.

    Raises:
        MigrationError: the database cannot be migrated from this checkout.
        psycopg.OperationalError: the database cannot be reached.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        return [migration.path.name for migration in _pending(connection, read_migrations(directory))]


def migrate(url: str, *, directory: Path | None = None, progress: Progress | None = None) -> list[str]:
    """Applies what is pending and returns the file names it applied, none when the database is up to date.

    Two calls at once do not fight: the second waits for the first file of the other, then finds it done.

    Raises:
        MigrationError: the database cannot be migrated from this checkout, or a file failed and was rolled back.
        psycopg.OperationalError: the database cannot be reached.
    """
    migrations = read_migrations(directory)
    applied: list[str] = []
    with psycopg.connect(url, autocommit=True, application_name="coach migrate", prepare_threshold=None) as connection:
        _refuse_superuser(connection)
        while todo := _pending(connection, migrations):
            if _apply(connection, todo[0], progress):
                applied.append(todo[0].path.name)
    return applied


def _pending(connection: psycopg.Connection, migrations: list[Migration]) -> list[Migration]:
    ledger = _read_ledger(connection)
    known = {migration.version: migration for migration in migrations}
    if unknown := sorted(ledger.keys() - known.keys()):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise NewerDatabase(
            f"The database is newer than this checkout: it holds migration {unknown[0]}{more}.",
            "Update the checkout, or use the one that made this database.",
        )
    for version, statements in ledger.items():
        migration = known[version]
        if statements is not None and _essence(statements) != _essence([s.text for s in migration.statements()]):
            raise ChangedMigration(
                f"{migration.path.name} was changed after it had been applied to this database.",
                "Restore the file and add a new migration; on a development database, `coach db reset`.",
            )
    todo = [migration for migration in migrations if migration.version not in ledger]
    if ledger and todo and todo[0].version < max(ledger):
        raise OutOfOrder(
            f"{todo[0].path.name} is older than the newest migration of the database, {max(ledger)}.",
            "Give the file a later version.",
        )
    return todo


def _read_ledger(connection: psycopg.Connection) -> dict[str, list[str] | None]:
    """version → statements as recorded; empty where nothing was ever migrated."""
    if connection.execute("select to_regclass('supabase_migrations.schema_migrations') is null").fetchone() == (True,):
        return {}
    return dict(connection.execute("select version, statements from supabase_migrations.schema_migrations").fetchall())


def _essence(statements: list[str]) -> str:
    """The statements without what splitters may disagree about: white space, and where one ends."""
    return re.sub(r"[\s;]+", "", "".join(statements))


def _refuse_superuser(connection: psycopg.Connection) -> None:
    """What a superuser creates, `postgres` cannot alter later, and its definer functions pass every policy."""
    row = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
    if row == (True,):
        raise MigrationError(
            "Migrations run as the owner of the schema, not as a superuser.", "Connect as the role `postgres`."
        )


def _apply(connection: psycopg.Connection, migration: Migration, progress: Progress | None) -> bool:
    """Applies one file; false when another migration had applied it before the lock was ours."""
    statements = migration.statements()
    running: Statement | None = None
    try:
        with connection.transaction():
            _take_lock(connection)
            connection.execute(_LEDGER)
            if migration.version in _read_ledger(connection):
                return False
            for done, running in enumerate(statements, start=1):
                connection.execute(sql.SQL(running.text))
                if progress:
                    progress(migration.path.name, done, len(statements))
            running = None
            connection.execute("reset all")
            connection.execute(
                "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
                (migration.version, migration.name, [statement.text for statement in statements]),
            )
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise
        raise _failure(migration, running, error) from None
    except psycopg.Error as error:
        raise _failure(migration, running, error) from None
    return True


def _take_lock(connection: psycopg.Connection) -> None:
    """Held to the end of the transaction, so that it also holds behind a transaction pooler."""
    connection.execute(f"set local statement_timeout = 0; set local lock_timeout = '{WAIT_FOR_ANOTHER}'")
    try:
        connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
    except psycopg.errors.LockNotAvailable:
        raise MigrationError(
            f"Another migration has been running on this database for {WAIT_FOR_ANOTHER}.", "Let it finish, then retry."
        ) from None
    connection.execute(f"set local lock_timeout = '{WAIT_FOR_A_TABLE}'")


def _failure(migration: Migration, running: Statement | None, error: psycopg.Error) -> FailedMigration:
    place = f"{migration.path.name}:{running.line}" if running else migration.path.name
    return FailedMigration(
        f"{place} failed and was rolled back: {describe_error(error)}",
        "Correct the file; the migrations before it are applied and stay.",
    )


def describe_error(error: psycopg.Error) -> str:
    """SQLSTATE and cause in one line, without anything that could be the content of a row."""
    state = error.sqlstate or "unknown"
    if not state.startswith(_MAY_QUOTE_ROWS):
        return f"{error.diag.message_primary or 'no message'} ({state})"
    try:
        condition = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", lookup(state).__name__).lower()
    except KeyError:
        condition = "refused by a rule"
    named = [error.diag.schema_name, error.diag.table_name, error.diag.constraint_name or error.diag.column_name]
    where = ".".join(name for name in named if name)
    return f"{condition}{f' at {where}' if where else ''} ({state})"
