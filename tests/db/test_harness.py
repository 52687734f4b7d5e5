"""The harness itself: a world, callers that are who they say, races that really meet."""

import uuid

import psycopg
import pytest
from tests.harness.database import Database, refusal, refuses
from tests.harness.races import barrier_race, values
from tests.harness.world import World


def test_the_world_is_made_through_the_doors_apps_use(world: World) -> None:
    assert world.kilo.coach.values("select slug from public.orgs") == ["kilo"]
    assert world.lima.coach.values("select id from public.clients") == [world.lima.client_id]
    assert world.nobody.values("select id from public.clients") == []
    assert world.kilo.sessions() == (0, 0)


def test_callers_are_who_they_say(world: World) -> None:
    who = "select current_user as role, auth.uid() as id, session_user as login"
    coach = world.kilo.coach
    assert coach.row(who) == {"role": "authenticated", "id": coach.user_id, "login": "authenticator"}
    assert world.db.service().row(who)["role"] == "service_role"
    assert world.db.anon().row(who) == {"role": "anon", "id": None, "login": "authenticator"}
    assert world.db.owner.row(who)["login"] == "postgres"


def test_a_caller_cannot_reach_what_its_role_may_not(world: World) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.db.anon().rows("select * from public.clients")


def test_a_refusal_is_told_by_status_and_slug(world: World) -> None:
    with refuses(404, "purchase_not_found"):
        world.lima.coach.call("public.use_session", p_purchase_id=world.kilo.package_id)


def test_a_race_takes_the_last_session_once(world: World) -> None:
    package = world.kilo.sell(sessions=1)
    taken = values(
        barrier_race(
            8,
            lambda tab: tab.call("public.use_session", p_purchase_id=package, p_request_id=uuid.uuid4()),
            prepare=lambda _: world.kilo.another_tab(),
        )
    )
    assert sorted(taken) == [False] * 7 + [True]
    assert world.kilo.sessions(package) == (1, 1)


def test_a_race_shows_the_error_of_one_and_the_value_of_another(db: Database) -> None:
    db.owner.rows("create table public.once (id int primary key)")
    outcomes = barrier_race(
        2, lambda caller: caller.rows("insert into public.once values (1)"), prepare=lambda _: db.connect()
    )
    errors = [outcome.error for outcome in outcomes if outcome.error]
    assert [type(error) for error in errors] == [psycopg.errors.UniqueViolation]
    assert refusal(errors[0]) is None


def test_one_test_does_not_see_another(db: Database) -> None:
    assert db.owner.value("select to_regclass('public.once') is null")
    assert db.owner.value("select count(*) from public.orgs") == 0
