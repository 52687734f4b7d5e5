"""coach automation and coach risk: seen, previewed, run, switched; where webhooks go; who may leave."""

import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.cli.conftest import Coach
from tests.harness.database import Database

from coach_os.providers.secrets import Keyring

KEY = Fernet.generate_key().decode()


@pytest.fixture
def org(db: Database) -> dict[str, Any]:
    """An organisation with two clients and a weekly automation."""
    db.sign_up("coach@kilo.example")
    org_id = db.owner.call("service.create_org", p_name="Kilo", p_owner_email="coach@kilo.example")
    for name in ("Ann", "Ben"):
        db.owner.insert("public.clients", org_id=org_id, full_name=name)
    automation = db.owner.row(
        """insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
           values (%s, 'Mondays', '{"type": "schedule", "schedule": "weekly", "time": "07:00"}', '[]', %s,
                   '{"dedupe_hours": 24}') returning id""",
        (org_id, json.dumps([{"type": "send_message", "params": {"message": "Hi {first_name}"}}])),
    )
    return {"id": org_id, "automation": str(automation["id"])}


def test_an_automation_is_listed_previewed_and_run(coach: Coach, org: dict[str, Any]) -> None:
    (listed,) = coach("automation", "list", "--org", "kilo", "--json").data
    assert (listed["name"], listed["enabled"], listed["last_status"]) == ("Mondays", True, None)
    assert "weekly at 07:00" in coach("automation", "list", "--org", "kilo").out
    previewed = coach("automation", "preview", org["automation"], "--json").data
    assert len(previewed["next"]) == 5
    assert previewed["audience"]["would_fire"] == 2
    shown = coach("automation", "preview", org["automation"])
    assert "Ann" in shown.out
    assert "2 of 2 would get it now." in shown.err
    ran = coach("automation", "run", org["automation"], "--json").data
    assert (ran["status"], ran["ok"]) == ("ok", 2)
    again = coach("automation", "run", org["automation"]).out
    assert "dedupe" in again
    runs = coach("automation", "runs", "--org", "kilo", "--json").data
    assert sorted((row["client_name"], row["status"]) for row in runs) == [
        *(("Ann", "ok"), ("Ann", "skipped"), ("Ben", "ok"), ("Ben", "skipped")),
    ]
    assert len(coach("automation", "runs", "--org", "kilo", "--status", "ok", "--json").data) == 2
    detail = coach("automation", "show", org["automation"])
    assert "Mondays" in detail.out
    assert "skipped" in detail.out


def test_an_automation_is_switched(coach: Coach, org: dict[str, Any]) -> None:
    off = coach("automation", "disable", org["automation"], "--json").data
    assert off == {"enabled": False, "next_run_at": None}
    on = coach("automation", "enable", org["automation"], "--json").data
    assert on["enabled"]
    assert on["next_run_at"]
    nobody = "7d2e0000-0000-4000-8000-000000000000"
    coach("automation", "enable", nobody).refused("There is no such automation.")
    coach("automation", "run", org["automation"], "--client", nobody).refused("client")


def test_sweeps_of_automations_and_risk(coach: Coach, db: Database, org: dict[str, Any]) -> None:
    db.owner.rows("update public.automations set next_run_at = now() - interval '1 minute'")
    (would,) = coach("sweep", "automations", "--dry-run", "--json").data
    assert would["planned"] == 1
    (swept,) = coach("sweep", "automations", "--json").data
    assert (swept["fired"], swept["ok"], swept["is_complete"]) == (1, 2, True)
    (scored,) = coach("sweep", "risk", "--json").data
    assert (scored["orgs"], scored["scored"]) == (1, 2)
    assert coach("risk", "score", "kilo", "--json").data == {"scored": 2}
    rows = coach("risk", "list", "--org", "kilo", "--json").data
    assert [(row["client_name"], row["tier"]) for row in rows] == [("Ann", "green"), ("Ben", "green")]
    coach("risk", "list", "--org", "kilo", "--tier", "purple").refused()


def test_an_endpoints_secret_is_shown_once_and_kept_encrypted(
    coach: Coach, db: Database, org: dict[str, Any], environment: pytest.MonkeyPatch
) -> None:
    url = "https://hooks.example/coach"
    coach("automation", "add-endpoint", url, "--org", "kilo").broke("COACH_ENCRYPTION_KEY")
    environment.setenv("COACH_ENCRYPTION_KEY", KEY)
    added = coach("automation", "add-endpoint", url, "--org", "kilo", "--json").data
    stored = db.owner.value("select secret_encrypted from public.webhook_endpoints")
    assert added["secret"].startswith("whsec_")
    assert Keyring(KEY).decrypt(stored) == added["secret"]
    assert added["secret"] not in stored
    (listed,) = coach("automation", "endpoints", "--org", "kilo", "--json").data
    assert (listed["id"], listed["url"], listed["waiting"]) == (added["endpoint_id"], url, 0)
    assert "whsec_" not in coach("automation", "endpoints", "--org", "kilo").out
    coach("automation", "add-endpoint", "ftp://hooks.example", "--org", "kilo").refused()
    coach("automation", "remove-endpoint", added["endpoint_id"])
    coach("automation", "remove-endpoint", added["endpoint_id"]).refused("There is no such endpoint.")
