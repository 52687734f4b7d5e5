"""coach lead, referral, invite, waiver, allow-list: the way in, from the operator's side."""

import uuid

from tests.cli.conftest import Coach
from tests.harness.world import World


def test_a_lead_is_added_shown_and_converted(coach: Coach, world: World) -> None:
    asked = ("Ann Lee", "--email", "ann@example.com", "--org", "kilo")
    added = coach("lead", "add", *asked, "--message", "How much?", "--json").data
    assert added["outcome"] == "captured"
    assert coach("lead", "add", *asked, "--json").data == {"outcome": "known", "inquiry_id": added["inquiry_id"]}
    (row,) = coach("lead", "list", "--org", "kilo", "--status", "NEW", "--json").data
    assert (row["inquiry_id"], row["email"], row["client_id"]) == (added["inquiry_id"], "ann@example.com", None)
    assert coach("lead", "list", "--org", "lima", "--json").data == []
    converted = coach("lead", "convert", row["inquiry_id"], "--json").data
    assert converted["is_new"] is True
    assert coach("lead", "convert", row["inquiry_id"], "--json").data["client_id"] == converted["client_id"]
    shown = coach("lead", "show", row["inquiry_id"], "--json").data
    assert [event["kind"] for event in shown["events"]] == ["received", "repeated", "converted"]
    assert "How much?" in coach("lead", "show", row["inquiry_id"]).out
    counts = {r["status"]: r["count"] for r in coach("lead", "pipeline", "--org", "kilo", "--json").data}
    assert counts == {"NEW": 0, "CONTACTED": 0, "BOOKED": 0, "WON": 1, "LOST": 0}
    coach("lead", "show", uuid.uuid4()).refused("There is no such lead.")
    coach("lead", "list", "--org", "kilo", "--status", "new").refused("not one that is allowed")


def test_a_referral_link_is_made_and_followed(coach: Coach, world: World) -> None:
    made = ("referral", "create", "FRIENDS", "Bring a friend", "--reward", "credit", "--value", 500)
    coach(*made, "--org", "kilo", "--json")
    coach(*made, "--org", "lima").refused("This code is taken.")
    (link,) = coach("referral", "links", "--org", "kilo", "--json").data
    assert (link["code"], link["reward"], link["clicks"]) == ("FRIENDS", "credit 500", 0)
    handed = coach("referral", "link", world.kilo.client_id, "--json").data
    assert handed["url"].startswith("/refer/FRIENDS?by=")
    world.db.anon().call("refer", p_code="friends", p_name="Ann", p_email="ann@example.com")
    (referral,) = coach("referral", "list", "--org", "kilo", "--json").data
    assert (referral["code"], referral["status"]) == ("FRIENDS", "signed_up")
    assert coach("referral", "credit", world.kilo.client_id, "--json").data == {"balance_cents": 0, "currency": "aud"}


def test_members_and_clients_are_invited_and_invitations_taken_back(coach: Coach, world: World) -> None:
    sent = coach("invite", "member", "new@work.example", "coach", "--org", "kilo", "--json").data
    assert (sent["role"], sent["email_queued"]) == ("coach", False)
    (row,) = coach("invite", "list", "--org", "kilo", "--json").data
    assert (row["email"], row["status"]) == ("new@work.example", "open")
    assert coach("invite", "revoke", sent["invite_id"], "--json").data == {"revoked": True}
    assert coach("invite", "revoke", sent["invite_id"], "--json").data == {"revoked": False}
    coach("invite", "revoke", uuid.uuid4()).refused("There is no such invitation.")
    coach("invite", "member", "coach@kilo.example", "coach", "--org", "kilo").refused("belongs to the organisation")
    code = coach("invite", "client", world.kilo.client_id, "--json").data
    assert len(code["invite_code"]) == 10
    listed = coach("invite", "clients", "--org", "kilo")
    assert code["invite_code"] not in listed.out
    assert coach("invite", "revoke-client", code["invite_id"], "--json").data == {"revoked": True}
    assert coach("invite", "clients", "--org", "kilo", "--json").data[0]["status"] == "revoked"


def test_a_waiver_is_listed_and_shown_as_evidence(coach: Coach, world: World) -> None:
    kilo = world.kilo
    kilo.coach.rows("update orgs set waiver_template = 'I know the risks.' where id = %s", (kilo.id,))
    sent = kilo.coach.call("send_waiver", p_client_id=kilo.client_id)
    world.db.anon().call("sign_waiver", p_token=str(sent["token"]), p_signer_name="Ann Lee", p_version=1)
    (row,) = coach("waiver", "list", "--org", "kilo", "--client", kilo.client_id, "--json").data
    assert (row["status"], row["signer_name"], row["version"]) == ("signed", "Ann Lee", 1)
    shown = coach("waiver", "show", row["waiver_id"], "--json").data
    assert (shown["text"], shown["source"]) == ("I know the risks.", "coach")
    assert str(sent["token"]) not in coach("waiver", "list", "--org", "kilo", "--json").out
    coach("waiver", "show", uuid.uuid4()).refused("There is no such waiver.")
    assert coach("sweep", "waivers", "--dry-run").code == 0


def test_signing_up_is_closed_and_opened(coach: Coach, world: World) -> None:
    assert coach("allow-list", "mode", "invite_only", "--json").data == {"mode": "invite_only"}
    assert coach("allow-list", "add", "@kilo.example", "--note", "The studio", "--json").data == {"added": True}
    assert coach("allow-list", "add", "@KILO.example", "--json").data == {"added": False}
    assert [row["entry"] for row in coach("allow-list", "list", "--json").data] == ["@kilo.example"]
    checked = coach("allow-list", "check", "somebody@kilo.example", "--json").data
    assert (checked["is_allowed"], checked["reason"]) == (True, "listed")
    assert coach("allow-list", "check", "x@else.example", "--json").data["is_allowed"] is False
    assert coach("allow-list", "remove", "@kilo.example", "--json").data == {"removed": True}
    coach("allow-list", "mode", "closed").refused("not one that is allowed")
    coach("allow-list", "add", "kilo").refused("not one that is allowed")
