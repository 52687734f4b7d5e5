"""coach org, member, client, offer: the people and the price list of an organisation."""

import uuid

import pytest
from tests.cli.conftest import Coach
from tests.harness.world import World


def test_organisations_are_listed_newest_first_and_found_by_a_part_of_their_name(coach: Coach, world: World) -> None:
    rows = coach("org", "list", "--json").data
    assert [row["slug"] for row in rows] == ["lima", "kilo"]
    assert list(rows[0]) == ["org_id", "name", "slug", "timezone", "members", "clients", "created_at"]
    assert (rows[1]["members"], rows[1]["clients"], rows[1]["timezone"]) == (1, 1, "Australia/Brisbane")
    assert [row["slug"] for row in coach("org", "list", "--search", "KIL", "--json").data] == ["kilo"]
    assert len(coach("org", "list", "--limit", 1, "--json").data) == 1
    assert coach("org", "list", "--search", "nowhere", "--json").data == []
    table = coach("org", "list")
    assert (table.code, table.err) == (0, "")
    assert [line.split()[2] for line in table.out.splitlines()[1:]] == ["lima", "kilo"]


def test_an_organisation_is_shown_by_its_slug_or_its_id(coach: Coach, world: World) -> None:
    by_slug = coach("org", "show", "kilo", "--json").data
    assert by_slug == coach("org", "show", world.kilo.id, "--json").data
    assert (by_slug["org_id"], by_slug["packages"], by_slug["open_alerts"]) == (str(world.kilo.id), 1, 0)
    assert str(world.kilo.id) in coach("org", "show", "kilo").out
    coach("org", "show", "no-such").refused("There is no such organisation.")
    coach("org", "show", uuid.uuid4()).refused("There is no such organisation.")


def test_the_environment_may_name_the_organisation(coach: Coach, world: World, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("COACH_ORG", "lima")
    assert coach("org", "show", "--json").data["slug"] == "lima"
    assert coach("client", "list", "--json").data[0]["email"] == "client@lima.example"
    assert coach("client", "list", "--org", "kilo", "--json").data[0]["email"] == "client@kilo.example"


def test_an_organisation_is_made_for_somebody_who_has_signed_up(coach: Coach, world: World) -> None:
    made = coach("org", "create", "Mike & Co", "nobody@nowhere.example", "--timezone", "Europe/Berlin", "--json").data
    shown = coach("org", "show", made["org_id"], "--json").data
    assert (shown["slug"], shown["timezone"], shown["members"]) == ("mike-co", "Europe/Berlin", 1)
    assert coach("member", "list", "--org", "mike-co", "--json").data[0]["role"] == "owner"


def test_an_organisation_that_cannot_be_made_leaves_nothing(coach: Coach, world: World) -> None:
    owner = "nobody@nowhere.example"
    coach("org", "create", "November", "who@nowhere.example").refused("Nobody has signed up with this email.")
    coach("org", "create", "November", owner, "--timezone", "Mars/Olympus").refused("There is no such timezone.")
    coach("org", "create", "November", owner, "--timezone", "FOO+5").refused("There is no such timezone.")
    coach("org", "create", "November", owner, "--slug", "kilo").refused("There is already one with this value.")
    coach("org", "create", "November", owner, "--slug", "Not A Slug").refused("not one that is allowed")
    coach("org", "create", " ", owner).refused("not one that is allowed")
    assert len(coach("org", "list", "--json").data) == 2


def test_a_member_is_added_changed_and_removed(coach: Coach, world: World) -> None:
    email = "nobody@nowhere.example"
    added = coach("member", "set", email, "front_desk", "--org", "kilo", "--json").data["member_id"]
    assert coach("member", "set", email.upper(), "manager", "--org", world.kilo.id, "--json").data["member_id"] == added
    rows = coach("member", "list", "--org", "kilo", "--json").data
    assert list(rows[0]) == ["member_id", "user_id", "full_name", "email", "role", "joined_at"]
    assert [(row["email"], row["role"]) for row in rows] == [("coach@kilo.example", "owner"), (email, "manager")]
    assert "manager" in coach("member", "list", "--org", "kilo").out
    assert coach("member", "remove", email, "--org", "kilo", "--json").data == {"removed": True}
    assert coach("member", "remove", email, "--org", "kilo", "--json").data == {"removed": False}


def test_a_membership_that_may_not_be_is_refused(coach: Coach, world: World) -> None:
    coach("member", "set", "nobody@nowhere.example", "emperor", "--org", "kilo").refused("not one that is allowed")
    coach("member", "set", "who@nowhere.example", "coach", "--org", "kilo").refused("Nobody has signed up")
    coach("member", "set", "coach@kilo.example", "coach", "--org", "kilo").refused("owner")
    coach("member", "remove", "coach@kilo.example", "--org", "kilo").refused("owner")
    coach("member", "list", "--org", "no-such").refused("There is no such organisation.")
    assert [row["role"] for row in coach("member", "list", "--org", "kilo", "--json").data] == ["owner"]


def test_clients_are_added_and_found_in_their_organisation_alone(coach: Coach, world: World) -> None:
    added = coach("client", "add", "Mia Tanaka", "--email", "mia@t.example", "--phone", "0491 570 156", "--org", "kilo")
    assert added.code == 0
    client_id = added.out.split()[1]
    rows = coach("client", "list", "--org", "kilo", "--search", "tanaka", "--json").data
    assert [(row["client_id"], row["phone"], row["status"]) for row in rows] == [(client_id, "0491 570 156", "active")]
    assert list(rows[0]) == ["client_id", "full_name", "email", "phone", "status", "created_at"]
    assert coach("client", "list", "--org", "lima", "--search", "tanaka", "--json").data == []
    assert len(coach("client", "list", "--org", "kilo", "--limit", 1, "--json").data) == 1
    assert "Mia Tanaka" in coach("client", "list", "--org", "kilo").out


def test_a_client_that_cannot_be_is_refused(coach: Coach, world: World) -> None:
    coach("client", "add", "  ", "--org", "kilo").refused("not one that is allowed", "full_name")
    coach("client", "add", "x" * 201, "--org", "kilo").refused("full_name")
    coach("client", "add", "Mia", "--email", "no-address", "--org", "kilo").refused("email")
    coach("client", "add", "Mia", "--phone", "1" * 41, "--org", "kilo").refused("phone")
    coach("client", "add", "Mia", "--org", "no-such").refused("There is no such organisation.")
    assert len(coach("client", "list", "--org", "kilo", "--json").data) == 1


def test_offers_are_listed_with_their_bonus(coach: Coach, world: World) -> None:
    world.kilo.add_offer(name="Five and one", sessions_included=5, bonus_sessions=1, price_cents=47_500)
    rows = coach("offer", "list", "--org", "kilo", "--json").data
    assert {(row["name"], row["sessions"]) for row in rows} == {("Ten sessions", 10), ("Five and one", 6)}
    assert list(rows[0]) == ["offer_id", "name", "offer_type", "price_cents", "currency", "sessions", "is_active"]
    assert "Five and one" in coach("offer", "list", "--org", "kilo").out
    coach("offer", "list", "--org", "no-such").refused("There is no such organisation.")
