"""Every tenant table can be spread by `org_id`: its definition is made again as a partitioned table, rules and all."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.contract.catalogue_rules import DIRECTORIES_OF_TENANTS, DIRECTORY_TABLES
from tests.harness.cluster import Cluster
from tests.harness.database import Database

Connection = psycopg.Connection[tuple[str, ...]]

TENANT_TABLES = """
select c.relname::text from pg_class as c
 where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
   and exists (select from pg_attribute as a where a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped)
 order by 1
"""
EXCLUDING = "select distinct conrelid::regclass::text from pg_constraint where contype = 'x'"
FOREIGN_KEYS = """
select 'alter table ' || k.conrelid::regclass || ' add ' || pg_get_constraintdef(k.oid)
  from pg_constraint as k
 where k.contype = 'f' and k.conrelid = any (%s::regclass[]) order by k.conrelid, k.conname
"""
TRIGGERS = """
select pg_get_triggerdef(t.oid) from pg_trigger as t
 where not t.tgisinternal and t.tgrelid = any (%s::regclass[]) order by t.tgrelid, t.tgname
"""
SPLIT = "select relname::text from pg_class where relnamespace = 'sharded'::regnamespace and relkind = 'p' order by 1"


@pytest.fixture
def connection(cluster: Cluster) -> Iterator[Connection]:
    database: Database = cluster.clone(cluster.migrated_template(), label="sharded")
    with psycopg.connect(database.admin_url) as connection:
        # Without a search_path the catalogue writes every name in full.
        connection.execute("set search_path = ''")
        yield connection
        connection.rollback()
    cluster.drop(database)


def texts(connection: Connection, query: str, *parameters: object) -> list[str]:
    return [row[0] for row in connection.execute(query.encode(), parameters or None).fetchall()]


def tenant_tables(connection: Connection) -> list[str]:
    directories = {*DIRECTORY_TABLES, *DIRECTORIES_OF_TENANTS}
    return [table for table in texts(connection, TENANT_TABLES) if f"public.{table}" not in directories]


def shard(connection: Connection) -> None:
    """Makes each tenant table again in the schema `sharded`, split by the hash of its organisation."""
    tables = tenant_tables(connection)
    # Exclusion constraints on a partitioned table came with 17; before, what remains of the table must still split.
    too_old = set(texts(connection, EXCLUDING)) if connection.info.server_version < 170000 else set()
    connection.execute("create schema sharded")
    for table in tables:
        how = "including all excluding indexes" if f"public.{table}" in too_old else "including all"
        whole = f"create table sharded.{table} (like public.{table} {how}) partition by hash (org_id);"
        parts = [
            f"create table sharded.{table}_{nth} partition of sharded.{table}"
            f" for values with (modulus 2, remainder {nth});"
            for nth in (0, 1)
        ]
        connection.execute("".join([whole, *parts]).encode())
    originals = [f"public.{table}" for table in tables]
    for statement in texts(connection, FOREIGN_KEYS, originals) + texts(connection, TRIGGERS, originals):
        for table in tables:
            statement = statement.replace(f" public.{table} ", f" sharded.{table} ")
            statement = statement.replace(f" public.{table}(", f" sharded.{table}(")
        connection.execute(statement.encode())


def test_every_tenant_table_splits_by_organisation(connection: Connection) -> None:
    assert {"clients", "client_purchases", "session_entries", "bookings"} <= set(tenant_tables(connection))
    shard(connection)
    assert texts(connection, SPLIT) == tenant_tables(connection)
    keys = texts(connection, FOREIGN_KEYS, ["sharded.bookings"])
    assert any("REFERENCES sharded.clients(org_id, id)" in key for key in keys)


@pytest.mark.parametrize(
    "breaking",
    [
        "create unique index on public.clients (portal_token)",
        "alter table public.bookings drop constraint bookings_pkey cascade, add primary key (id)",
        "alter table public.clients add constraint clients_lone unique (id);"
        "alter table public.bookings add foreign key (client_id) references public.clients (id)",
        "create table public.notes (org_id uuid not null, id uuid primary key)",
    ],
)
def test_a_table_that_does_not_split_is_noticed(connection: Connection, breaking: str) -> None:
    connection.execute(breaking.encode())
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="partition"):
        shard(connection)
