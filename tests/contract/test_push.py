"""The Supabase CLI and we write one ledger: whichever applies the migrations, the other finds nothing to do."""

import shutil
from pathlib import Path

import psycopg
import pytest
from tests.harness.database import Database

from coach_os.stack.migrations import migrate, migrations_directory, pending, read_migrations
from coach_os.stack.tools import run_supabase

pytestmark = pytest.mark.timeout(120)

LEDGER = "select version, name, statements from supabase_migrations.schema_migrations order by version"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own for the CLI, which keeps notes beside what it reads."""
    supabase = tmp_path / "supabase"
    shutil.copytree(migrations_directory(), supabase / "migrations")
    shutil.copy(migrations_directory().parent / "config.toml", supabase / "config.toml")
    return tmp_path


def push(database: Database, project: Path) -> str:
    result = run_supabase("db", "push", "--yes", "--workdir", str(project), url=database.url)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_what_the_cli_pushed_is_known_to_us(bare_db: Database, project: Path) -> None:
    assert bare_db.owner.value("select rolsuper from pg_roles where rolname = current_user") is False
    assert "Finished supabase db push" in push(bare_db, project)
    assert pending(bare_db.url) == []
    assert migrate(bare_db.url) == []


def test_what_we_migrated_is_known_to_the_cli(db: Database, project: Path) -> None:
    assert "up to date" in push(db, project)


def test_both_write_the_same_ledger(bare_db: Database, db: Database, project: Path) -> None:
    push(bare_db, project)
    theirs, ours = bare_db.owner.rows(LEDGER), db.owner.rows(LEDGER)
    assert [row["version"] for row in theirs] == [migration.version for migration in read_migrations()]
    assert theirs == ours


def test_a_project_that_is_behind_gets_only_what_it_lacks(bare_db: Database, project: Path) -> None:
    migrate(bare_db.url)
    (project / "supabase" / "migrations" / "30000101000000_later.sql").write_text("create table public.later (id int);")
    assert "30000101000000_later.sql" in push(bare_db, project)
    assert bare_db.owner.value("select to_regclass('public.later')::text") == "later"
    with psycopg.connect(bare_db.url) as connection:
        connection.execute("drop table public.later")
