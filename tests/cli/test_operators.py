"""coach brake, admin, support, audit: what an operator does, and the one audit row it leaves."""

import uuid

from tests.cli.conftest import Coach
from tests.harness.database import Database
from tests.harness.world import World

WHY = ("--reason", "a test")


def test_a_brake_is_pulled_listed_and_released(coach: Coach, db: Database, world: World) -> None:
    on = coach("brake", "on", "sms", "--org", "kilo", *WHY, "--banner", "Texts are paused.", "--json").data
    assert (on["is_on"], on["is_changed"], on["org_id"]) == (True, True, str(world.kilo.id))
    again = coach("brake", "on", "sms", "--org", "kilo", *WHY)
    assert (again.code, "so already" in again.err) == (0, True)
    (row,) = coach("brake", "list", "--json").data
    assert (row["kind"], row["slug"], row["reason"], row["banner"]) == ("sms", "kilo", "a test", "Texts are paused.")
    assert "kilo" in coach("brake", "list").out
    coach("brake", "on", "everything", *WHY).refused("not one that is allowed")
    coach("brake", "on", "sms", "--reason", " ").refused("needs a reason")
    coach("brake", "on", "sms").misused("--reason")
    assert coach("brake", "off", "sms", "--org", "kilo", *WHY, "--json").data["is_changed"]
    assert coach("brake", "list", "--json").data == []
    assert db.owner.values(
        "select action from public.audit_log where subject_type = 'brakes' order by happened_at"
    ) == [*("pull_brake", "pull_brake", "release_brake")]


def test_the_first_admin_is_made_here_and_support_let_in_and_out(coach: Coach, db: Database, world: World) -> None:
    email = "nobody@nowhere.example"
    coach("support", "start", email, "--org", "kilo", *WHY).refused("does not run the platform")
    coach("admin", "set", "who@nowhere.example", "*", *WHY).refused("Nobody has signed up")
    coach("admin", "set", email, "everything", *WHY).refused("no such right")
    made = coach("admin", "set", email, "*", "system.admins", *WHY, "--json").data
    assert made["permissions"] == ["*", "system.admins"]
    assert [row["email"] for row in coach("admin", "list", "--json").data] == [email]

    started = coach("support", "start", email, "--org", "kilo", "--minutes", 30, *WHY, "--json").data
    (row,) = coach("support", "list", "--org", "kilo", "--json").data
    assert (row["id"], row["email"], row["is_open"]) == (started["id"], email, True)
    assert world.nobody.values("select role from public.org_members") == ["support"]
    assert coach("support", "end", started["id"], "--json").data["is_changed"]
    assert world.nobody.values("select role from public.org_members") == []
    assert coach("support", "list", "--json").data == []
    assert len(coach("support", "list", "--all", "--json").data) == 1
    coach("support", "end", uuid.uuid4()).refused("no such support access")
    coach("support", "start", email, "--org", "kilo", "--minutes", 3, *WHY).misused("--minutes")

    assert coach("admin", "remove", email, *WHY, "--json").data["support_ended"] == 0
    assert coach("admin", "list", "--json").data == []


def test_what_is_anybodys_is_found_shown_and_put_right(coach: Coach, db: Database, world: World) -> None:
    kinds = {row["kind"] for row in coach("admin", "search", "kilo", "--json").data}
    assert kinds == {"org", "member", "client"}
    assert coach("admin", "org", "kilo", "--json").data["org"]["slug"] == "kilo"
    assert "message_errors" in coach("admin", "org", "kilo").out
    assert coach("admin", "client", world.kilo.client_id, "--json").data["client"]["id"] == str(world.kilo.client_id)
    assert coach("admin", "block-org", "kilo", *WHY, "--json").data["is_changed"]
    assert not coach("admin", "block-org", "kilo", *WHY, "--json").data["is_changed"]
    assert coach("admin", "unblock-org", "kilo", *WHY, "--json").data["blocked_at"] is None
    for verb in ("block-client", "unblock-client"):
        assert coach("admin", verb, world.kilo.client_id, *WHY, "--json").data["is_changed"]
    assert coach("admin", "reset-onboarding", "kilo", *WHY, "--json").data["onboarding_completed"] is False
    assert coach("admin", "reset-client-onboarding", world.kilo.client_id, *WHY, "--json").code == 0
    coach("admin", "resend", uuid.uuid4(), *WHY).refused("no such message")
    coach("admin", "retry", "stripe_event", "evt_none", *WHY).refused("no such event")


def test_the_logs_are_read_and_deleted_only_by_age(coach: Coach, db: Database, world: World) -> None:
    coach("admin", "block-org", "kilo", *WHY)
    coach("admin", "block-org", "kilo", "--reason", " ")
    rows = coach("audit", "list", "--json").data
    assert [(row["action"], row["org_id"], row["refused"]) for row in rows[:2]] == [
        ("block_org", None, "reason_missing"),
        ("block_org", str(world.kilo.id), None),
    ]
    assert {row["org_id"] for row in coach("audit", "list", "--org", "kilo", "--json").data} == {str(world.kilo.id)}
    assert coach("audit", "list", "--action", "show_org", "--json").data == []
    assert "block_org" in coach("audit", "list", "--limit", 20).out

    db.owner.rows(
        "insert into public.audit_log (org_id, happened_at, actor_role, action, subject_type)"
        " select %s, now() - n * interval '100 days', 'postgres', 'update', 'orgs' from generate_series(1, 10) as n",
        (world.kilo.id,),
    )
    count = "select count(*) from public.audit_log"
    before = db.owner.value(count)
    assert coach("audit", "retain", "--days", 450, "--dry-run", "--json").data == {"deleted": 6, "dry_run": True}
    assert db.owner.value(count) == before
    assert coach("audit", "retain", "--days", 450, "--json").data["deleted"] == 6
    assert db.owner.value(count) == before - 6
    assert coach("audit", "retain", "--days", 450, "--json").data["deleted"] == 0
    assert coach("sweep", "audit", "--json").data[0]["deleted"] == 0
    coach("audit", "retain", "--days", 10).misused("--days")
    assert coach("sweep", "support-access", "--dry-run", "--json").data[0]["ended"] == 0
