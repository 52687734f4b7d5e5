"""Supabase's own advisors (splinter) find nothing to say about a migrated database."""

import json
from typing import Any

import pytest
from tests.harness.database import Database

from coach_os.stack.tools import run_supabase

pytestmark = pytest.mark.timeout(120)

# An index that nobody has used yet says something about the data, and a test's database has none.
ABOUT_DATA = {"unused_index"}


@pytest.fixture
def exposed_db(db: Database) -> Database:
    """The advisors look at the schemas a hosted project's API exposes, and ask this setting which they are."""
    db.connect("supabase_admin").rows(f"alter database {db.name} set pgrst.db_schemas = 'public, service'")
    return db


def advice(database: Database) -> list[tuple[str, str]]:
    """(lint, detail) of every finding, the mildest included."""
    result = run_supabase("db", "advisors", "--level", "info", "--output-format", "json", url=database.url)
    findings: list[dict[str, Any]] = json.loads(result.stdout)["results"]
    return [(found["name"], found["detail"]) for found in findings if found["name"] not in ABOUT_DATA]


def test_the_advisors_have_nothing_to_say(exposed_db: Database) -> None:
    assert advice(exposed_db) == []


@pytest.mark.parametrize(
    ("breaking", "lint"),
    [
        ("alter table public.clients disable row level security", "rls_disabled_in_public"),
        ("drop index public.clients_auth_user_idx", "unindexed_foreign_keys"),
        (
            "create view public.everyone as select * from public.clients;"
            "grant select on public.everyone to authenticated",
            "security_definer_view",
        ),
        (
            "create policy clients_select_again on public.clients for select to authenticated using (true)",
            "multiple_permissive_policies",
        ),
    ],
    ids=lambda text: text.rsplit(" ", 1)[-1],
)
def test_a_fault_is_noticed(exposed_db: Database, breaking: str, lint: str) -> None:
    exposed_db.owner.rows(breaking)
    assert lint in [name for name, _ in advice(exposed_db)]
