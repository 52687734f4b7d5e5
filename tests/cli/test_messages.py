"""coach messages: what was sent and what became of it, a message sent again, an organisation's own account."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.fernet import Fernet
from tests.cli.conftest import Coach
from tests.db import outbox
from tests.harness.database import Database
from tests.harness.fake_twilio import FakeTwilio, answer, cut

from coach_os.providers.secrets import Keyring

KEY = Fernet.generate_key().decode()
ACCOUNT = "AC" + "3" * 32


@pytest.fixture
def twilio(environment: pytest.MonkeyPatch) -> Iterator[FakeTwilio]:
    with FakeTwilio() as server:
        for name, value in server.environment.items():
            environment.setenv(name, value)
        yield server


def sweep(coach: Coach) -> dict[str, Any]:
    (run,) = coach("sweep", "messages", "--json").data
    return run  # type: ignore[no-any-return]


def test_a_sweep_sends_and_the_list_tells(coach: Coach, db: Database, twilio: FakeTwilio) -> None:
    outbox.fill(db, clients=3, each=1)
    twilio.then(answer(400, 21211))
    would = coach("sweep", "messages", "--dry-run", "--json").data
    assert (would[0]["due"], len(twilio.accepted)) == (3, 0)
    run = sweep(coach)
    assert (run["sent"], run["failed"], run["is_complete"]) == (2, 1, True)
    listed = coach("messages", "list", "--org", "kilo", "--json").data
    assert sorted(row["status"] for row in listed) == ["failed", "sent", "sent"]
    (failed,) = coach("messages", "list", "--org", "kilo", "--status", "failed", "--json").data
    assert (failed["error_code"], failed["client_name"]) == ("21211", outbox.NAME)
    table = coach("messages", "list", "--org", "kilo").out
    assert "21211" in table
    assert "sms" in table


def test_one_message_is_shown_with_its_tries(coach: Coach, db: Database, twilio: FakeTwilio) -> None:
    outbox.fill(db, clients=1, each=1)
    twilio.then(answer(503, 20503))
    sweep(coach)
    outbox.let_time_pass(db)
    sweep(coach)
    (row,) = coach("messages", "list", "--org", "kilo", "--json").data
    shown = coach("messages", "show", row["id"], "--json").data
    assert shown["status"] == "sent"
    assert [(one["status"], one["error_code"]) for one in shown["attempts_made"]] == [
        ("deferred", "20503"),
        ("sent", None),
    ]
    assert twilio.accepted[0].sid in coach("messages", "show", row["id"], "--json").out
    words = coach("messages", "show", row["id"])
    assert words.code == 0
    assert "20503" in words.out
    coach("messages", "show", "00000000-0000-0000-0000-000000000001").refused("no such message")


def test_what_is_unknown_is_looked_up_and_only_an_operator_sends_it_again(
    coach: Coach, db: Database, twilio: FakeTwilio
) -> None:
    outbox.fill(db, clients=2, each=1)
    twilio.then(cut("after"), cut("before"))
    assert sweep(coach)["unknown"] == 2
    assert sweep(coach)["is_complete"]
    assert coach("messages", "state", "--json").data["unknown"] == 2
    outbox.let_time_pass(db)
    assert coach("messages", "reconcile", "--json").data == {"settled": 1, "unsettled": 1}
    assert outbox.statuses(db) == {"sent": 1, "unknown": 1}
    (lost,) = coach("messages", "list", "--org", "kilo", "--status", "unknown", "--json").data
    (sent,) = coach("messages", "list", "--org", "kilo", "--status", "sent", "--json").data
    coach("messages", "retry", sent["id"]).refused("on its way or has arrived")
    again = coach("messages", "retry", lost["id"], "--json").data["message_id"]
    coach("messages", "retry", lost["id"]).refused("sent again already")
    sweep(coach)
    assert len(twilio.accepted) == 2
    shown = coach("messages", "show", again, "--json").data
    assert (shown["status"], shown["cause"], shown["cause_id"]) == ("sent", "retry", lost["id"])


def test_the_state_is_told_in_words_too(coach: Coach, db: Database, twilio: FakeTwilio) -> None:
    outbox.fill(db, clients=2, each=1)
    twilio.then(answer(429, 20429, headers={"Retry-After": "600"}))
    sweep(coach)
    told = coach("messages", "state", "--org", "kilo")
    assert told.code == 0
    assert "sms" in told.out
    assert "rests until" in told.err


def test_links_lead_where_the_operator_says(coach: Coach, db: Database) -> None:
    assert coach("messages", "link-to", "ftp://elsewhere").code == 1
    assert coach("messages", "link-to", "https://app.kilo.example", "--json").data == {
        "app_url": "https://app.kilo.example"
    }
    assert db.owner.value("select private.app_link('/portal/1')") == "https://app.kilo.example/portal/1"


@pytest.fixture
def piped(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setattr("sys.stdin", io.StringIO("their-token\n"))
    return environment


def test_an_account_is_connected_with_its_token_encrypted(
    coach: Coach, db: Database, twilio: FakeTwilio, piped: pytest.MonkeyPatch
) -> None:
    piped.setenv("COACH_ENCRYPTION_KEY", KEY)
    outbox.fill(db, clients=1, each=1)
    twilio.accounts[ACCOUNT] = "their-token"
    said = coach("messages", "connect-twilio", "kilo", "--account", ACCOUNT, "--number", "+61400000777")
    assert said.code == 0
    assert "their-token" not in said.out + said.err
    stored = db.owner.value("select twilio_auth_token_encrypted from public.sms_settings")
    assert "their-token" not in stored
    assert Keyring(KEY).decrypt(stored) == "their-token"
    assert sweep(coach)["sent"] == 1
    assert (twilio.accepted[0].account, twilio.accepted[0].sender) == (ACCOUNT, "+61400000777")
    assert coach("messages", "disconnect-twilio", "kilo").code == 0
    assert db.owner.value("select twilio_account_sid from public.sms_settings") is None


def test_an_account_s_token_that_cannot_be_read_sends_nothing_and_fails_nothing(
    coach: Coach, db: Database, twilio: FakeTwilio, piped: pytest.MonkeyPatch
) -> None:
    piped.setenv("COACH_ENCRYPTION_KEY", KEY)
    outbox.fill(db, clients=2, each=1)
    coach("messages", "connect-twilio", "kilo", "--account", ACCOUNT, "--number", "+61400000777")
    outbox.fill(db, clients=1, each=1, slug="lima", start=10)
    piped.setenv("COACH_ENCRYPTION_KEY", Fernet.generate_key().decode())
    run = sweep(coach)
    assert (run["sent"], run["deferred"]) == (1, 2)
    assert outbox.statuses(db) == {"sent": 1, "queued": 2}
    assert {message.account for message in twilio.accepted} == {next(iter(twilio.accounts))}


def test_without_a_key_no_token_is_asked_for(coach: Coach, db: Database, piped: pytest.MonkeyPatch) -> None:
    outbox.fill(db, clients=1, each=1)
    coach("messages", "connect-twilio", "kilo", "--account", ACCOUNT, "--number", "+61400000777").broke(
        "COACH_ENCRYPTION_KEY"
    )
    piped.setenv("COACH_ENCRYPTION_KEY", KEY)
    piped.setattr("sys.stdin", io.StringIO("\n"))
    coach("messages", "connect-twilio", "kilo", "--account", ACCOUNT, "--number", "+61400000777").refused("No token")
    assert db.owner.value("select twilio_account_sid from public.sms_settings") is None


@pytest.mark.parametrize(
    "arguments", [("--account", "x"), ("--account", ACCOUNT), ("--account", ACCOUNT, "--number", "0400")]
)
def test_an_account_that_cannot_be_meant_is_refused(
    coach: Coach, db: Database, piped: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    piped.setenv("COACH_ENCRYPTION_KEY", KEY)
    outbox.fill(db, clients=1, each=1)
    coach("messages", "connect-twilio", "kilo", *arguments).refused()


def test_a_database_elsewhere_without_credentials_sends_nothing_and_says_so(coach: Coach, db: Database) -> None:
    outbox.fill(db, clients=2, each=1)
    # However often: what was never tried does not run out of tries.
    for _ in range(12):
        assert sweep(coach)["deferred"] == 2
        assert "deferred" not in sweep(coach), "the channel rests"
        outbox.let_time_pass(db)
    assert outbox.statuses(db) == {"queued": 2}
    assert db.owner.values("select distinct attempts from public.outbox_messages") == [0]
    assert db.owner.values("select error_code from public.outbox_messages") == ["provider_unset"] * 2
    assert db.owner.value("select count(*) from public.outbox_attempts") == 0


def test_a_laptop_s_stack_names_messages_instead_of_sending_them(
    coach: Coach, db: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("COACH_CONSOLE_PROVIDERS", "1")
    outbox.fill(db, clients=2, each=1)
    assert sweep(coach)["sent"] == 2
    providers = db.owner.values("select distinct provider from public.outbox_attempts")
    assert providers == ["console"]
