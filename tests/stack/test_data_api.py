"""The Data API over the platform, through real supabase-js: statuses as PostgREST's, rights as the database's."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.supabase_js import Answer, Client, Driver
from tests.harness import lacking
from tests.harness.cluster import Cluster
from tests.harness.data_api import running_data_api
from tests.harness.database import Database

from coach_os.stack.data_api import LOG_FILE, find_node, reload_data_api
from coach_os.stack.state import State

SCHEMA = """
create schema private;
create schema service;
grant usage on schema service to service_role;

create table public.notes (
  id uuid primary key default gen_random_uuid(),
  owner_id uuid not null references auth.users (id),
  stars int constraint notes_stars_positive check (stars > 0)
);
alter table public.notes enable row level security;
revoke all on public.notes from anon, authenticated, service_role;
grant select, insert (owner_id, stars), delete on public.notes to authenticated;
create policy notes_all_owner on public.notes to authenticated
  using (owner_id = (select auth.uid())) with check (owner_id = (select auth.uid()));

-- Lite, left to itself, grants on each schema that holds such a table.
create table private.hidden (id int primary key);
alter table private.hidden enable row level security;

create function public.refuse() returns boolean language plpgsql as $$
begin
  raise sqlstate 'PT409' using message = 'No sessions are left.', detail = 'package_exhausted', hint = 'Sell one.';
end $$;
create function public.raise_plainly() returns boolean language plpgsql as $$ begin raise 'no'; end $$;
create function public.sleep_long() returns void language sql as $$ select pg_sleep(30) $$;
create function public.who() returns jsonb language sql stable as $$
  select jsonb_build_object('id', auth.uid(), 'role', auth.role(), 'user', current_user,
                            'timeout', current_setting('statement_timeout'))
$$;
create function service.secret_count() returns int language sql stable as $$ select 42 $$;
revoke execute on function service.secret_count() from public;
grant execute on function service.secret_count() to service_role
"""


@pytest.fixture(scope="module")
def api(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[State, Database, Path]]:
    lacking.node()
    database, home = cluster.clone(cluster.platform_template()), tmp_path_factory.mktemp("api")
    for statement in SCHEMA.split(";\n\n"):
        database.owner.rows(statement)
    with running_data_api(database, home) as state:
        yield state, database, home
    cluster.drop(database)


@pytest.fixture(scope="module")
def open_client(api: tuple[State, Database, Path]) -> Iterator[Callable[..., Client]]:
    driver, state = Driver(find_node()), api[0]
    yield lambda key=state.publishable_key, **options: driver.open(state.data_api_url, key, **options)
    driver.close()


@pytest.fixture
def anon(open_client: Callable[..., Client]) -> Client:
    return open_client()


@pytest.fixture
def service(api: tuple[State, Database, Path], open_client: Callable[..., Client]) -> Client:
    return open_client(api[0].secret_key, schema="service")


@pytest.fixture(scope="module")
def coach(open_client: Callable[..., Client]) -> tuple[Client, str]:
    """Somebody who has just signed up, and their id."""
    client = open_client()
    user = client.auth.signUp({"email": "Emil@Example.com", "password": "correct horse"}).run().ok()["user"]
    return client, user["id"]


def outcome(answer: Answer) -> tuple[int | None, str | None]:
    return answer.status, answer.error["code"] if answer.error else None


def test_a_sign_up_is_a_row_that_foreign_keys_point_to(
    api: tuple[State, Database, Path], coach: tuple[Client, str]
) -> None:
    client, user_id = coach
    assert api[1].owner.value("select email from auth.users where id = %s", [user_id]) == "emil@example.com"
    made = client.from_("notes").insert({"owner_id": user_id, "stars": 5}).select("owner_id").single().run().ok()
    assert made == {"owner_id": user_id}


def test_a_person_signs_in_refreshes_and_out(open_client: Callable[..., Client], coach: tuple[Client, str]) -> None:
    tab = open_client()
    wrong = tab.auth.signInWithPassword({"email": "emil@example.com", "password": "wrong"}).run()
    assert wrong.error
    assert wrong.error["code"] == "invalid_credentials"
    tab.auth.signInWithPassword({"email": "emil@example.com", "password": "correct horse"}).run().ok()
    tab.auth.refreshSession().run().ok()
    assert tab.rpc("who").run().ok()["id"] == coach[1]
    tab.auth.signOut().run()
    assert tab.rpc("who").run().ok()["role"] == "anon"


def test_an_email_signs_up_once(anon: Client, coach: tuple[Client, str]) -> None:
    again = anon.auth.signUp({"email": "emil@example.com", "password": "correct horse"}).run()
    assert again.error
    assert again.error["code"] == "user_already_exists"


def test_each_key_is_its_role_with_the_timeout_of_that_role(
    anon: Client, coach: tuple[Client, str], service: Client, api: tuple[State, Database, Path],
    open_client: Callable[..., Client],
) -> None:  # fmt: skip
    assert anon.rpc("who").run().ok() == {"id": None, "role": "anon", "user": "anon", "timeout": "3s"}
    assert coach[0].rpc("who").run().ok() == {
        "id": coach[1], "role": "authenticated", "user": "authenticated", "timeout": "8s"
    }  # fmt: skip
    assert open_client(api[0].secret_key).rpc("who").run().ok()["user"] == "service_role"
    assert service.rpc("secret_count").run().ok() == 42
    assert open_client("sb_publishable_of_somebody_else").rpc("who").run().status == 401


def test_a_refusal_keeps_its_status_slug_and_hint(anon: Client) -> None:
    answer = anon.rpc("refuse").run()
    assert answer.error
    told = {name: answer.error[name] for name in ("code", "message", "details", "hint")}
    assert (answer.status, told) == (
        409,
        {"code": "PT409", "message": "No sessions are left.", "details": "package_exhausted", "hint": "Sell one."},
    )


def test_rights_are_the_database_s(anon: Client, coach: tuple[Client, str], open_client: Callable[..., Client]) -> None:
    client, user_id = coach
    somebody = "00000000-0000-4000-8000-000000000001"
    assert outcome(anon.from_("notes").select().run()) == (401, "42501")
    assert outcome(client.from_("notes").insert({"owner_id": somebody, "stars": 1}).run()) == (403, "42501")
    assert outcome(client.from_("notes").insert({"id": somebody, "owner_id": user_id}).run()) == (403, "42501")
    other = open_client()
    other.auth.signUp({"email": "lima@example.com", "password": "correct horse"}).run().ok()
    assert other.from_("notes").select().run().ok() == []
    assert outcome(open_client(schema="service").rpc("secret_count").run()) == (401, "42501")
    assert outcome(open_client(schema="private").from_("hidden").select().run()) == (406, "PGRST106")
    assert outcome(open_client(schema="auth").from_("users").select().run()) == (406, "PGRST106")


def test_nothing_was_granted_by_serving(api: tuple[State, Database, Path], anon: Client) -> None:
    anon.from_("notes").select().run()
    held = """select grantee::text from information_schema.role_table_grants
              where table_name in ('notes', 'hidden') and grantee in ('anon', 'service_role')"""
    assert api[1].owner.values(held) == []
    assert api[1].owner.value("select has_schema_privilege('anon', 'private', 'usage')") is False
    assert "request.jwt.claims" in str(api[1].owner.value("select prosrc from pg_proc where oid = 'auth.uid'::regproc"))


def test_errors_have_the_statuses_of_postgrest(coach: tuple[Client, str], anon: Client) -> None:
    client, user_id = coach
    assert outcome(client.from_("notes").insert({"owner_id": user_id, "stars": 0}).run()) == (400, "23514")
    assert outcome(client.from_("notes").insert({"owner_id": user_id, "stars": "x"}).run()) == (400, "22P02")
    assert outcome(client.from_("notes").delete().run()) == (400, "21000")
    assert outcome(anon.rpc("raise_plainly").run()) == (400, "P0001")
    assert outcome(anon.rpc("sleep_long").run()) == (500, "57014")
    assert outcome(anon.from_("nothing").select().run()) == (404, "PGRST205")


def test_a_new_table_is_seen_without_a_restart(api: tuple[State, Database, Path], anon: Client) -> None:
    api[1].owner.rows("create table public.later (id int)")
    api[1].owner.rows("grant select on public.later to anon")
    deadline = time.monotonic() + 5
    while (answer := anon.from_("later").select().run()).error and time.monotonic() < deadline:
        time.sleep(0.02)
    assert answer.ok() == []
    api[1].owner.rows("drop table public.later")
    reload_data_api(api[0])
    assert outcome(anon.from_("later").select().run()) == (404, "PGRST205")


def test_reloading_needs_the_secret_key(api: tuple[State, Database, Path]) -> None:
    request = urllib.request.Request(f"{api[0].data_api_url}/reload", method="POST", headers={"apikey": "guess"})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(request, timeout=5)


def test_the_log_names_codes_and_no_values(
    api: tuple[State, Database, Path], coach: tuple[Client, str], anon: Client
) -> None:
    coach[0].from_("notes").insert({"owner_id": coach[1], "stars": -4321}).run()
    anon.auth.resetPasswordForEmail("emil@example.com").run()
    text = (api[2] / LOG_FILE).read_text()
    events: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {"event": "request_failed", "name": "Error", "code": "23514"} in events
    for value in ("emil", "4321", coach[1], api[0].secret_key, api[0].data_api_password):
        assert value not in text
    letters = list((api[2] / "mail").iterdir())
    assert len(letters) == 1
    assert "emil@example.com" in letters[0].read_text()
    assert letters[0].stat().st_mode & 0o077 == 0
