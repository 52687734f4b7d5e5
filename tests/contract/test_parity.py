"""What the migrations make is what the schemas say, on every version we support."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from tests.harness import lacking
from tests.harness.database import Database
from tests.harness.fixtures import cluster_of

from coach_os.stack.errors import StackError
from coach_os.stack.freeze import differences, freeze, freeze_baseline
from coach_os.stack.migrations import migrate, migrations_directory, read_migrations
from coach_os.stack.schemas import ROOMS, SchemaError, load_schemas, schema_files, schemas_directory
from coach_os.stack.versions import VERSIONS, find_binaries

pytestmark = pytest.mark.timeout(180)

ADDED = """\
create table public.tags (
  org_id uuid not null references public.orgs (id) on delete cascade,
  id uuid not null default gen_random_uuid(),
  client_id uuid,
  name text not null,
  length integer generated always as (char_length(name)) stored,
  primary key (org_id, id),
  foreign key (org_id, client_id) references public.clients (org_id, id) on delete set null (client_id)
);
comment on table public.tags is 'A word for a client; it''s free.';
create unique index tags_name_idx on public.tags (org_id, lower(name)) where client_id is not null;
alter table public.tags enable row level security;
revoke all on public.tags from public, anon, authenticated, service_role;
grant select, update (name) on public.tags to authenticated;
create policy tags_select_members on public.tags for select to authenticated
  using (org_id = any ((select private.orgs_with('clients.read'))::uuid[]));
create function private.tg_tags__guard() returns trigger
language plpgsql volatile security definer set search_path = ''
as $$
begin
  -- A comment inside a body stays.
  return new;
end;
$$;
create trigger tags__guard before update of name on public.tags
  for each row when (old.name is distinct from new.name) execute function private.tg_tags__guard('a', 'b''c');
create function public.count_tags(p_org_id uuid) returns bigint
language sql stable security invoker set search_path = ''
begin atomic
  select count(*) from public.tags as t where t.org_id = p_org_id;
end;
revoke all on function public.count_tags(uuid) from public, anon, service_role;
grant execute on function public.count_tags(uuid) to authenticated;
"""


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A copy of the schemas, to be changed."""
    return Path(shutil.copytree(schemas_directory(), tmp_path / "schemas"))


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A copy of the migrations, to be added to."""
    return Path(shutil.copytree(migrations_directory(), tmp_path / "migrations"))


def test_migrations_make_what_the_schemas_say() -> None:
    assert differences() == "", "run `coach db freeze NAME`, or --baseline before the first release"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_version_accepts_the_migrations(request: pytest.FixtureRequest, version: int) -> None:
    try:
        find_binaries(version)
    except StackError as error:
        lacking.lacking(error.message)
    cluster = cluster_of(request.config, version)
    database = cluster.clone(cluster.platform_template(), label="accepts")
    try:
        assert len(migrate(database.url)) == len(read_migrations())
        assert database.owner.connection.info.server_version // 10000 == version
    finally:
        cluster.drop(database)


def test_a_change_is_frozen_whole(schemas: Path, migrations: Path) -> None:
    (schemas / "99_tags").mkdir()
    (schemas / "99_tags" / "api.sql").write_text(ADDED)
    data = schemas / "10_tenancy" / "data.sql"
    data.write_text(data.read_text() + "\ninsert into public.roles values ('guest', 'It''s a guest');\n")

    path = freeze("add_tags", directory=migrations, schemas=schemas)

    assert path is not None
    assert path.name.endswith("_add_tags.sql")
    script = path.read_text()
    assert 'REVOKE ALL ON TABLE "public"."tags" FROM "anon"' in script
    assert 'REVOKE ALL ON FUNCTION "public"."count_tags"(uuid) FROM "service_role"' in script
    assert "ON DELETE SET NULL (client_id)" in script
    assert "-- A comment inside a body stays." in script
    assert """values ('guest', 'It''s a guest')""" in script


def test_a_row_of_the_schema_that_is_gone_is_noticed(schemas: Path) -> None:
    data = schemas / "10_tenancy" / "data.sql"
    data.write_text(data.read_text() + "\ndelete from public.role_permissions where permission = 'audit.read';\n")
    assert 'delete from "public"."role_permissions"' in differences(schemas=schemas)


def test_the_baseline_is_the_rooms_in_load_order(schemas: Path, tmp_path: Path) -> None:
    (tmp_path / "migrations").mkdir()
    path = freeze_baseline(directory=tmp_path / "migrations", schemas=schemas)
    text = path.read_text()
    places = [text.index(file.relative_to(schemas).as_posix()) for file in schema_files(schemas)]
    assert places == sorted(places)
    # Until a release the same file is written anew; afterwards there are others that build on it.
    assert freeze_baseline(directory=tmp_path / "migrations", schemas=schemas) == path
    (tmp_path / "migrations" / "30000101000000_next.sql").write_text("select 1")
    with pytest.raises(SchemaError, match="builds on the baseline"):
        freeze_baseline(directory=tmp_path / "migrations", schemas=schemas)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("\nselect * from public.missing;", "99_x/tables.sql:2 failed: relation"),
        (
            "create function private.x() returns int language sql as 'select private.missing()'",
            "The function private.x() is wrong: function private.missing() does not exist",
        ),
    ],
)
def test_a_schema_that_does_not_load_is_named(bare_db: Database, schemas: Path, script: str, message: str) -> None:
    (schemas / "99_x").mkdir()
    (schemas / "99_x" / "tables.sql").write_text(script)
    with pytest.raises(SchemaError, match=re.escape(message)):
        load_schemas(bare_db.url, schemas)
    assert bare_db.owner.value("select to_regnamespace('private') is null")


def test_a_file_of_no_room_is_refused(schemas: Path) -> None:
    (schemas / "10_tenancy" / "extra.sql").write_text("select 1")
    with pytest.raises(SchemaError, match="is none of a domain's rooms"):
        schema_files(schemas)


def test_config_loads_the_rooms_in_the_same_order() -> None:
    config = tomllib.loads((schemas_directory().parent / "config.toml").read_text())
    assert config["db"]["migrations"]["schema_paths"] == [f"./schemas/{room}" for room in ROOMS]
    assert config["api"]["schemas"] == ["public", "service"]
    assert "private" not in str(config["api"])
