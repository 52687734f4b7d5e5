"""coach db: each verb on a database that DATABASE_URL names, and what it says when it cannot."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from tests.harness.database import Database

from coach_cli.main import main
from coach_os.stack import freeze, reset
from coach_os.stack.migrations import read_migrations
from coach_os.stack.tools import psql_command


@dataclass(frozen=True)
class Said:
    """What a command left: exit code, data, talk."""

    code: int
    out: str
    err: str


Coach = Callable[..., Said]


@pytest.fixture
def coach(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Coach:
    """Runs `coach …` in this process, without a local stack."""
    monkeypatch.setenv("COACH_HOME", str(tmp_path))

    def run(*arguments: str, database: Database | None = None, url: str | None = None) -> Said:
        if address := url or (database and database.url):
            monkeypatch.setenv("DATABASE_URL", address)
        monkeypatch.setattr(sys, "argv", ["coach", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Said(int(ended.value.code or 0), out, err)

    return run


def test_migrate_applies_then_finds_nothing_to_do(coach: Coach, bare_db: Database) -> None:
    names = [migration.path.name for migration in read_migrations()]
    dry = coach("db", "migrate", "--dry-run", database=bare_db)
    assert (dry.code, dry.out.split()) == (0, names)
    done = coach("db", "migrate", "--json", database=bare_db)
    assert json.loads(done.out) == {"applied": names, "pending": []}
    again = coach("db", "migrate", database=bare_db)
    assert (again.code, again.out) == (0, "")
    assert "up to date" in again.err


def test_a_newer_database_is_one_sentence_and_exit_1(coach: Coach, db: Database) -> None:
    db.owner.rows("insert into supabase_migrations.schema_migrations (version) values ('30000101000000')")
    said = coach("db", "migrate", database=db)
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[0] == "The database is newer than this checkout: it holds migration 30000101000000."


def test_a_database_out_of_reach_is_exit_3(coach: Coach, db: Database) -> None:
    said = coach("db", "migrate", url="postgresql://postgres:hunter2@127.0.0.1:1/postgres")
    assert said.code == 3
    assert "hunter2" not in said.err
    assert said.err.splitlines()[0] == "The database cannot be reached."


def test_without_any_database_the_way_out_is_named(coach: Coach) -> None:
    said = coach("db", "url")
    assert said.code == 3
    assert "coach up" in said.err


def test_url_is_the_owners(coach: Coach, db: Database) -> None:
    assert coach("db", "url", database=db).out == f"{db.url}\n"


def test_a_remote_reset_needs_the_hosts_name(coach: Coach, db: Database) -> None:
    db.sign_up("someone@kilo.example")
    db.owner.rows("insert into public.orgs (name, slug) values ('Kilo', 'kilo')")
    refused = coach("db", "reset", "--yes", database=db)
    assert refused.code == 1
    assert "--remote-host 127.0.0.1" in refused.err
    wrong = coach("db", "reset", "--yes", "--remote-host", "db.example.com", database=db)
    assert wrong.code == 1
    assert db.owner.value("select count(*) from public.orgs") == 1

    done = coach("db", "reset", "--yes", "--remote-host", "127.0.0.1", database=db)
    assert done.code == 0
    assert db.owner.value("select count(*) from public.orgs") == 0
    assert db.owner.value("select count(*) from public.roles") > 0
    assert db.connect("supabase_admin").value("select count(*) from auth.users") == 1


def test_a_reset_that_is_blocked_removes_nothing(coach: Coach, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset, "WAIT_FOR_A_TABLE", "200ms")
    with db.owner.transaction() as connection:
        connection.execute("select from public.orgs")
        said = coach("db", "reset", "--yes", "--remote-host", "127.0.0.1", database=db)
    assert said.code == 1
    assert "Nothing was removed" in said.err
    assert db.owner.value("select count(*) from public.roles") > 0


def test_a_reset_asks_first(coach: Coach, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert coach("db", "reset", "--remote-host", "127.0.0.1", database=db).code == 1
    assert db.owner.value("select to_regclass('public.orgs') is not null")


def test_the_local_database_is_made_again_even_where_up_refuses_it(coach: Coach) -> None:
    assert coach("up").code == 0
    try:
        with psycopg.connect(coach("db", "url").out.strip()) as connection:
            connection.execute("insert into public.orgs (name, slug) values ('Kilo', 'kilo')")
            connection.execute("update supabase_migrations.schema_migrations set statements = '{select 1}'")
        coach("down")
        refused = coach("up")
        assert refused.code == 1
        assert "coach db reset" in refused.err
        assert coach("db", "reset", "--yes").code == 0
        assert coach("up").code == 0
        with psycopg.connect(coach("db", "url").out.strip()) as connection:
            assert connection.execute("select count(*) from public.orgs").fetchone() == (0,)
    finally:
        coach("down")


def test_types_are_typescript_of_public(coach: Coach, db: Database) -> None:
    said = coach("db", "types", database=db)
    assert said.code == 0
    assert "export type Database" in said.out
    assert "use_session" in said.out
    assert "sweep_overdue_bookings" not in said.out


def test_lint_prints_what_it_finds_and_exits_1(coach: Coach, db: Database) -> None:
    assert coach("db", "lint", "--json", database=db).out.strip() == "[]"
    db.owner.rows("create policy clients_select_again on public.clients for select to authenticated using (true)")
    said = coach("db", "lint", "--json", database=db)
    assert said.code == 1
    assert "multiple_permissive_policies" in {finding["name"] for finding in json.loads(said.out)}


def test_psql_runs_as_the_owner(db: Database) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "coach_cli.main", "db", "psql", "--", "-XAtc", "select current_user"],
        env={**os.environ, "DATABASE_URL": db.url},
        capture_output=True,
        text=True,
    )
    assert result.stdout == "postgres\n"


def test_freeze_wants_a_name_or_baseline(coach: Coach) -> None:
    assert coach("db", "freeze").code == 2
    assert coach("db", "freeze", "--baseline", "name").code == 2
    assert coach("db", "freeze", "Not-A-Name").code == 1


def test_freeze_writes_a_baseline_then_nothing(coach: Coach, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Never the checkout's own: a test that meets an unfrozen change would write it there.
    monkeypatch.setattr(freeze, "migrations_directory", lambda: tmp_path)
    written = coach("db", "freeze", "--baseline")
    assert written.code == 0
    assert [path.name for path in tmp_path.glob("*.sql")] == [Path(written.out.strip()).name]
    said = coach("db", "freeze", "nothing_new")
    assert (said.code, said.out) == (0, "")
    assert "Nothing to write" in said.err


def test_passwords_stay_out_of_arguments(db: Database) -> None:
    command, env = psql_command("postgresql://postgres:a%40b@db.example.com:6543/postgres?sslmode=require")
    assert command[1] == "postgresql://postgres@db.example.com:6543/postgres?sslmode=require"
    assert env["PGPASSWORD"] == "a@b"
    assert "DATABASE_URL" not in env
