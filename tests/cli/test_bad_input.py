"""Bad input and bad surroundings: one clear sentence, an exit code, nothing half-done."""

import pytest
from tests.cli.conftest import Coach
from tests.harness.database import Database
from tests.harness.world import World

NEEDS_AN_ID = [
    ("package", "show"),
    ("package", "freeze"),
    ("package", "unfreeze"),
    ("package", "correct", "--used", "1"),
    ("session", "use"),
    ("session", "release"),
    ("session", "history"),
    ("booking", "complete"),
    ("booking", "undo"),
]
NEEDS_AN_ORG = [
    ("member", "list"),
    ("client", "list"),
    ("offer", "list"),
    ("package", "list"),
    ("booking", "list"),
    ("alert", "list"),
    ("org", "show"),
]


@pytest.mark.parametrize("command", NEEDS_AN_ID, ids=" ".join)
@pytest.mark.parametrize(
    "wrong", ["6f1c", "", "'; drop table orgs --", "z" * 36, "00000000-0000-0000-0000-00000000000"]
)
def test_what_is_no_id_is_wrong_usage(coach_alone: Coach, command: tuple[str, ...], wrong: str) -> None:
    coach_alone(*command, "--", wrong).misused("valid UUID")


@pytest.mark.parametrize("command", NEEDS_AN_ID, ids=" ".join)
def test_an_id_that_is_left_out_is_wrong_usage(coach_alone: Coach, command: tuple[str, ...]) -> None:
    coach_alone(*command).misused("Missing argument")


@pytest.mark.parametrize("command", NEEDS_AN_ORG, ids=" ".join)
def test_an_organisation_must_be_named_and_known(coach: Coach, command: tuple[str, ...]) -> None:
    option = "--" if command == ("org", "show") else "--org"
    coach(*command).misused("SLUG|ID" if command == ("org", "show") else "--org")
    for unknown in ("nowhere", "'; drop table orgs --", "%", "\x1b[31mred", "x" * 10_000):
        coach(*command, option, unknown).refused("There is no such organisation.")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1e3", "9" * 40])
def test_an_absurd_limit_is_wrong_usage(coach_alone: Coach, limit: str) -> None:
    coach_alone("client", "list", "--org", "kilo", "--limit", limit).misused("--limit")


def test_unknown_nouns_verbs_and_options_are_wrong_usage(coach_alone: Coach) -> None:
    coach_alone("unicorn", "list").misused("unicorn")
    coach_alone("org", "explode").misused("explode")
    coach_alone("org", "list", "--colour").misused("--colour")
    assert coach_alone("org").code == 2


def test_without_a_database_to_work_on_it_says_what_to_do(coach_alone: Coach, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("DATABASE_URL")
    coach_alone("org", "list").broke("There is no database to work on.", "coach up")
    environment.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    coach_alone("org", "list").broke("There is no database to work on.", "SUPABASE_SECRET_KEY")


@pytest.mark.parametrize(
    "url", ["postgresql://postgres@127.0.0.1:9/postgres", "postgresql://nobody.invalid/postgres", "no url"]
)
def test_a_database_that_is_not_there_is_the_machines_fault(
    coach_alone: Coach, environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("DATABASE_URL", url)
    coach_alone("org", "list").broke()


def test_a_data_api_that_is_not_there_is_the_machines_fault(
    coach_alone: Coach, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("DATABASE_URL")
    environment.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    environment.setenv("SUPABASE_SECRET_KEY", "sb_secret_of_nobody")
    coach_alone("org", "list").broke("cannot be reached")
    coach_alone("sweep", "all").broke("cannot be reached")


def test_a_database_without_our_migrations_is_named_so(
    coach: Coach, environment: pytest.MonkeyPatch, bare_db: Database
) -> None:
    environment.setenv("DATABASE_URL", bare_db.url)
    coach("org", "list").broke("coach db migrate")


def test_an_environment_variable_that_cannot_be_meant_is_named(coach: Coach, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("COACH_POOL_SIZE", "many")
    coach("org", "list").broke("COACH_POOL_SIZE")
    environment.delenv("COACH_POOL_SIZE")
    environment.setenv("COACH_LIMIT", "-3")
    coach("org", "list").misused("COACH_LIMIT")


def test_the_demonstration_leaves_a_database_elsewhere_alone(coach: Coach, world: World) -> None:
    coach("demo").refused("runs on the local stack alone", "Unset DATABASE_URL")
    assert len(coach("org", "list", "--json").data) == 2


def test_a_value_cannot_draw_over_the_table(coach: Coach, world: World) -> None:
    world.kilo.add_client(full_name="Red\x1b[31m\nHerring")
    table = coach("client", "list", "--org", "kilo").out
    assert "\x1b" not in table
    assert len(table.splitlines()) == 3
