"""Migrating: in order, each file whole or not at all, once, and never on a database that is ahead."""

import threading
from pathlib import Path

import psycopg
import pytest
from tests.harness.cluster import Cluster
from tests.harness.database import Database
from tests.harness.races import barrier_race, values

from coach_os.stack import migrations
from coach_os.stack.migrations import (
    ChangedMigration,
    FailedMigration,
    MigrationError,
    NewerDatabase,
    OutOfOrder,
    migrate,
    pending,
)
from coach_os.stack.platform import apply_platform


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "20260101000000_first.sql").write_text("-- The first.\ncreate table public.a (id int);\n")
    (tmp_path / "20260102000000_second.sql").write_text("create table public.b (id int);\ninsert into b values (1);\n")
    (tmp_path / "README.sql").write_text("this is no migration")
    return tmp_path


def add(directory: Path, name: str, script: str) -> None:
    (directory / name).write_text(script)


def ledger(db: Database) -> list[str]:
    return db.owner.values("select version from supabase_migrations.schema_migrations order by 1")


def test_files_are_applied_once_and_in_order(bare_db: Database, files: Path) -> None:
    names = ["20260101000000_first.sql", "20260102000000_second.sql"]
    assert pending(bare_db.url, directory=files) == names
    assert migrate(bare_db.url, directory=files) == names
    assert migrate(bare_db.url, directory=files) == []
    assert pending(bare_db.url, directory=files) == []
    first = bare_db.owner.rows("select * from supabase_migrations.schema_migrations order by version")[0]
    assert first["name"] == "first"
    assert first["statements"] == ["-- The first.\ncreate table public.a (id int)"]


def test_the_checkouts_own_migrations_apply(bare_db: Database) -> None:
    assert migrate(bare_db.url) == [path.name for path in sorted(migrations.migrations_directory().glob("*.sql"))]
    assert bare_db.owner.value("select count(*) from public.roles") > 0


def test_progress_counts_statements(bare_db: Database, files: Path) -> None:
    told: list[tuple[str, int, int]] = []
    migrate(bare_db.url, directory=files, progress=lambda *step: told.append(step))
    assert told == [
        ("20260101000000_first.sql", 1, 1),
        ("20260102000000_second.sql", 1, 2),
        ("20260102000000_second.sql", 2, 2),
    ]


def test_a_failing_file_leaves_nothing_and_names_its_line(bare_db: Database, files: Path) -> None:
    add(files, "20260103000000_third.sql", "create table public.c (id int);\n\nselect * from public.missing;\n")
    with pytest.raises(FailedMigration) as caught:
        migrate(bare_db.url, directory=files)
    assert caught.value.message == (
        '20260103000000_third.sql:3 failed and was rolled back: relation "public.missing" does not exist (42P01)'
    )
    assert bare_db.owner.value("select to_regclass('public.c')") is None
    assert ledger(bare_db) == ["20260101000000", "20260102000000"]
    add(files, "20260103000000_third.sql", "create table public.c (id int);")
    assert migrate(bare_db.url, directory=files) == ["20260103000000_third.sql"]


@pytest.mark.parametrize(
    "script",
    [
        "create table t (email text primary key); insert into t values ('a@secret.example'), ('a@secret.example')",
        "select 'a@secret.example'::int",
        "do $$ begin raise exception 'a@secret.example'; end $$",
        "create table t (email text check (email = '')); insert into t values ('a@secret.example')",
    ],
)
def test_a_failure_quotes_no_row(bare_db: Database, tmp_path: Path, script: str) -> None:
    add(tmp_path, "1_leaks.sql", script)
    with pytest.raises(FailedMigration) as caught:
        migrate(bare_db.url, directory=tmp_path)
    assert "secret" not in caught.value.message
    assert "1_leaks.sql:1" in caught.value.message


def test_a_newer_database_is_refused(bare_db: Database, files: Path) -> None:
    add(files, "20260103000000_third.sql", "select 1")
    migrate(bare_db.url, directory=files)
    (files / "20260103000000_third.sql").unlink()
    add(files, "20260104000000_fourth.sql", "create table public.d (id int)")
    for act in (migrate, pending):
        with pytest.raises(NewerDatabase, match="it holds migration 20260103000000"):
            act(bare_db.url, directory=files)
    assert bare_db.owner.value("select to_regclass('public.d')") is None


def test_a_file_older_than_the_newest_applied_is_refused(bare_db: Database, files: Path) -> None:
    migrate(bare_db.url, directory=files)
    add(files, "20260101120000_between.sql", "select 1")
    with pytest.raises(OutOfOrder, match="20260101120000_between"):
        migrate(bare_db.url, directory=files)


def test_a_file_changed_after_it_was_applied_is_refused(bare_db: Database, files: Path) -> None:
    migrate(bare_db.url, directory=files)
    add(files, "20260101000000_first.sql", "-- The first.\n\ncreate   table public.a (id int)\n;")
    assert migrate(bare_db.url, directory=files) == []
    add(files, "20260101000000_first.sql", "-- The first.\ncreate table public.a (id bigint);\n")
    with pytest.raises(ChangedMigration, match="20260101000000_first"):
        migrate(bare_db.url, directory=files)


def test_two_files_of_one_version_are_refused(bare_db: Database, files: Path) -> None:
    add(files, "20260101000000_twin.sql", "select 1")
    with pytest.raises(MigrationError, match="carry the same version"):
        migrate(bare_db.url, directory=files)


def test_a_superuser_is_refused(bare_db: Database, files: Path) -> None:
    with pytest.raises(MigrationError, match="not as a superuser"):
        migrate(bare_db.admin_url, directory=files)


def test_migrations_that_start_together_apply_each_file_once(bare_db: Database, files: Path) -> None:
    applied = values(barrier_race(4, lambda _: migrate(bare_db.url, directory=files)))
    assert sorted(name for names in applied for name in names) == sorted(path.name for path in files.glob("2*.sql"))
    assert bare_db.owner.value("select count(*) from public.b") == 1


def test_a_migration_waits_for_another_no_longer_than_it_says(
    bare_db: Database, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "WAIT_FOR_ANOTHER", "200ms")
    with psycopg.connect(bare_db.url) as other:
        other.execute("select pg_advisory_xact_lock(%s)", (migrations.LOCK_KEY,))
        with pytest.raises(MigrationError, match="Another migration has been running"):
            migrate(bare_db.url, directory=files)
    assert len(migrate(bare_db.url, directory=files)) == 2


def test_a_table_in_use_is_given_up_on_not_waited_for(
    bare_db: Database, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(bare_db.url, directory=files)
    add(files, "20260103000000_alter.sql", "alter table public.a add column x int")
    monkeypatch.setattr(migrations, "WAIT_FOR_A_TABLE", "200ms")
    with psycopg.connect(bare_db.url) as reader:
        reader.execute("select * from public.a")
        with pytest.raises(FailedMigration, match="55P03"):
            migrate(bare_db.url, directory=files)
    assert migrate(bare_db.url, directory=files) == ["20260103000000_alter.sql"]


def test_a_migration_that_is_killed_leaves_nothing(bare_db: Database, tmp_path: Path) -> None:
    add(tmp_path, "1_slow.sql", "create table public.slow (id int); select pg_sleep(30);")
    errors: list[BaseException] = []

    def run() -> None:
        try:
            migrate(bare_db.url, directory=tmp_path)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    kill = """
      select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and query like '%pg_sleep(30)%' and pid <> pg_backend_pid()
    """
    admin = bare_db.connect("supabase_admin")
    while thread.is_alive() and not admin.rows(kill):
        pass
    thread.join()
    assert len(errors) == 1
    assert bare_db.owner.value("select to_regclass('public.slow')") is None
    assert bare_db.owner.value("select to_regclass('supabase_migrations.schema_migrations')") is None


def test_settings_of_one_file_do_not_reach_the_next(bare_db: Database, tmp_path: Path) -> None:
    add(tmp_path, "1_sets.sql", "set check_function_bodies = off; set search_path = 'nowhere'")
    add(tmp_path, "2_uses.sql", "create table here (id int)")
    migrate(bare_db.url, directory=tmp_path)
    assert bare_db.owner.value("select to_regclass('public.here')") is not None


GRANTS = """
select format('%s: %s to %s', o.name, a.privilege_type, a.grantee::regrole)
  from (select oid::regclass::text, coalesce(relacl, acldefault('r', relowner)) from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')
        union all
        select oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)) from pg_proc
         where pronamespace = any ('{public,private,service}'::regnamespace[])) as o (name, acl)
 cross join aclexplode(o.acl) as a
 order by 1
"""


def test_projects_old_and_new_end_with_the_same_grants(cluster: Cluster, db: Database) -> None:
    """Older hosted projects grant the API roles whatever is made in `public`; a migrated database must not show it."""
    platform = cluster.template(
        "template_open", lambda name: apply_platform(cluster.admin_url(name), open_defaults=True)
    )
    old = cluster.clone(platform)
    try:
        migrate(old.url)
        assert old.owner.values(GRANTS) == db.owner.values(GRANTS)
    finally:
        cluster.drop(old)
