"""The platform shim: as hosted Supabase is before the first migration, and never where a real one is."""

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.harness.cluster import Cluster
from tests.harness.database import Database

from coach_os.stack.errors import ForeignPlatform, StackError
from coach_os.stack.platform import apply_platform
from coach_os.stack.postgres import SUPERUSER, PostgresServer

# login, inherit, superuser, createdb, createrole, bypassrls
HOSTED = {
    "anon": (False, False, False, False, False, False),
    "authenticated": (False, False, False, False, False, False),
    "service_role": (False, False, False, False, False, True),
    "authenticator": (True, False, False, False, False, False),
    "postgres": (True, True, False, True, True, True),
    "supabase_admin": (True, True, True, True, True, True),
}
TIMEOUTS = {"anon": "3s", "authenticated": "8s", "authenticator": "8s", "service_role": None}

EVERYTHING = """
select 'role' as kind, rolname::text as name, to_jsonb(r) - 'rolpassword' - 'oid' as body from pg_roles as r
union all select 'member', roleid::regrole || '<' || member::regrole, to_jsonb(admin_option) from pg_auth_members
union all select 'schema', nspname, jsonb_build_array(nspowner::regrole, nspacl::text) from pg_namespace
union all select 'relation', oid::regclass::text, jsonb_build_array(relowner::regrole, relacl::text)
  from pg_class where relnamespace = to_regnamespace('auth')
union all select 'function', oid::regprocedure::text, jsonb_build_array(proowner::regrole, proacl::text, prosrc)
  from pg_proc where pronamespace in (to_regnamespace('auth'), to_regnamespace('extensions'))
union all select 'default', defaclobjtype::text, to_jsonb(defaclacl::text) from pg_default_acl
union all select 'event trigger', evtname, to_jsonb(evtenabled) from pg_event_trigger
order by 1, 2
"""


def rows(url: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def test_the_roles_have_the_attributes_of_hosted_supabase(bare_db: Database) -> None:
    found = rows(
        bare_db.admin_url,
        "select rolname, rolcanlogin, rolinherit, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls from pg_roles",
    )
    assert {role["rolname"]: tuple(role.values())[1:] for role in found if role["rolname"] in HOSTED} == HOSTED


def test_the_roles_have_the_timeouts_of_hosted_supabase(bare_db: Database) -> None:
    found = rows(bare_db.admin_url, "select rolname, unnest(rolconfig) as setting from pg_roles")
    settings = {(row["rolname"], *row["setting"].split("=")) for row in found}
    for role, timeout in TIMEOUTS.items():
        assert {setting[2] for setting in settings if setting[:2] == (role, "statement_timeout")} == {timeout} - {None}


def test_a_second_visit_changes_nothing(bare_db: Database) -> None:
    before = rows(bare_db.admin_url, EVERYTHING)
    apply_platform(bare_db.admin_url)
    assert rows(bare_db.admin_url, EVERYTHING) == before


def test_migrations_may_refer_to_auth_but_make_nothing_there(bare_db: Database) -> None:
    owner = bare_db.owner
    owner.rows("create table public.mine (user_id uuid references auth.users (id) on delete cascade)")
    owner.rows("create function public.noted() returns trigger language plpgsql as 'begin return new; end'")
    owner.rows("create trigger noted after insert on auth.users for each row execute function public.noted()")
    for statement in (
        "create table auth.mine ()",
        "create function auth.mine() returns int language sql as 'select 1'",
        "alter table auth.users add column mine int",
        "create role mine superuser",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.rows(statement)


def test_extensions_are_made_by_migrations(bare_db: Database) -> None:
    bare_db.owner.rows("create extension btree_gist with schema extensions")
    assert bare_db.owner.value("select count(*) from pg_extension where extname = 'btree_gist'") == 1


def test_who_asks_is_read_from_the_claims_in_both_forms(bare_db: Database) -> None:
    user_id = uuid.uuid4()
    asked = "select auth.uid() as uid, auth.role() as role, auth.email() as email, auth.jwt() ->> 'sub' as sub"
    new = bare_db.connect("authenticated", user_id=user_id, email="emil@example.com")
    assert new.row(asked) == {
        "uid": user_id, "role": "authenticated", "email": "emil@example.com", "sub": str(user_id)
    }  # fmt: skip
    with psycopg.connect(bare_db.url) as connection:
        connection.execute("select set_config('request.jwt.claim.sub', %s, true)", (str(user_id),))
        assert connection.execute("select auth.uid()").fetchone() == (user_id,)


def test_the_login_of_the_data_api_owns_nothing_and_grants_nothing(bare_db: Database) -> None:
    bare_db.owner.rows("create table public.shut (id int)")
    assert bare_db.owner.value("select count(*) from pg_class where relowner = 'data_api'::regrole") == 0
    with psycopg.connect(bare_db.server.url(bare_db.name, "data_api"), autocommit=True) as login:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("set role postgres")
        login.execute("grant select on public.shut to anon")  # a warning, and no grant
    assert bare_db.owner.value("select has_table_privilege('anon', 'public.shut', 'select')") is False


@pytest.mark.parametrize("open_defaults", [True, False])
def test_default_privileges_follow_the_age_of_the_project(bare_db: Database, open_defaults: bool) -> None:
    apply_platform(bare_db.admin_url, open_defaults=not open_defaults)
    apply_platform(bare_db.admin_url, open_defaults=open_defaults)
    bare_db.owner.rows("create table public.made (id int)")
    assert bare_db.owner.value("select has_table_privilege('anon', 'public.made', 'insert')") is open_defaults


def test_a_real_auth_is_refused_before_anything_is_touched(cluster: Cluster) -> None:
    database = cluster.clone("template0", label="foreign")
    try:
        with psycopg.connect(database.admin_url, autocommit=True) as connection:
            connection.execute("create schema auth; create table auth.users (id uuid primary key)")
        before = rows(database.admin_url, EVERYTHING)
        with pytest.raises(ForeignPlatform, match="nothing was touched"):
            apply_platform(database.admin_url)
        assert rows(database.admin_url, EVERYTHING) == before
    finally:
        cluster.drop(database)


def test_a_cluster_with_a_real_platform_is_refused_in_any_database(
    make_server: Callable[..., PostgresServer],
) -> None:
    server = make_server()
    server.start()
    with psycopg.connect(server.socket_url(), autocommit=True) as connection:
        connection.execute("create role supabase_auth_admin; create role postgres superuser login")
    with pytest.raises(ForeignPlatform):
        apply_platform(server.socket_url())
    found = rows(server.socket_url(), "select rolsuper from pg_roles where rolname = 'postgres'")
    assert found == [{"rolsuper": True}]


def test_a_superuser_called_postgres_is_not_demoted(make_server: Callable[..., PostgresServer]) -> None:
    server = make_server()
    server.start()
    with psycopg.connect(server.socket_url(), autocommit=True) as connection:
        connection.execute("create role postgres superuser login")
    with pytest.raises(StackError, match="must not stay a superuser"):
        apply_platform(server.socket_url(user="postgres"))
    assert rows(server.socket_url(), "select 1 as one from pg_roles where rolname = 'anon'") == []


def test_a_login_without_superuser_is_told(bare_db: Database) -> None:
    with pytest.raises(StackError, match="needs a superuser"):
        apply_platform(bare_db.url)


def test_passwords_are_set_for_logins(make_server: Callable[..., PostgresServer]) -> None:
    server = make_server(password="admin")
    server.start()
    apply_platform(server.socket_url(), passwords={"postgres": "owner"})
    assert rows(server.url(password="owner"), "select current_user::text as me") == [{"me": "postgres"}]
    assert SUPERUSER in server.url(user=SUPERUSER)
