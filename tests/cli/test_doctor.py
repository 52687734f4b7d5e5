"""`coach doctor` over a whole database: silent and 0 when well, 1 with a fix, 3 when it cannot look."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from cryptography.fernet import Fernet
from tests.cli.conftest import Coach
from tests.harness.database import Database
from tests.harness.world import make_world
from tests.unit.test_doctor import ENDPOINT


class Endpoints:
    """Stripe's list of webhook endpoints, at a time of its own."""

    def __init__(self) -> None:
        self.endpoints: list[dict[str, Any]] = [ENDPOINT | {"object": "webhook_endpoint"}]
        self.charges: list[dict[str, Any]] = []
        self.refunds: list[dict[str, Any]] = []
        self.status, self.behind = 200, timedelta(0)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.stripe = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        stripe: Endpoints = self.server.stripe  # type: ignore[attr-defined]
        path = self.path.partition("?")[0]
        data = {"/v1/charges": stripe.charges, "/v1/refunds": stripe.refunds}.get(path, stripe.endpoints)
        page = {"object": "list", "data": data, "has_more": False, "url": path}
        problem = {"error": {"type": "invalid_request_error", "message": "No such key."}}
        body = json.dumps(page if stripe.status == 200 else problem).encode()
        self.send_response_only(stripe.status)
        self.send_header("date", format_datetime(datetime.now(UTC) - stripe.behind, usegmt=True))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def stripe() -> Iterator[Endpoints]:
    stripe = Endpoints()
    yield stripe
    stripe.close()


@pytest.fixture
def doctor(coach: Coach, environment: pytest.MonkeyPatch, db: Database, stripe: Endpoints) -> Coach:
    """`coach doctor` where all is well."""
    make_world(db)
    db.owner.call("service.set_platform_setting", p_name="app_url", p_value="https://app.kilo.example")
    for name, value in {
        "CRON_SECRET": "0123456789abcdef0123456789abcdef",
        "COACH_PUBLIC_URL": "https://api.kilo.example",
        "COACH_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        "STRIPE_SECRET_KEY": "sk_test_0123456789",
        "STRIPE_WEBHOOK_SECRETS": "whsec_one",
        "STRIPE_API_URL": stripe.url,
    }.items():
        environment.setenv(name, value)
    return lambda *arguments: coach("doctor", *arguments)


def test_a_healthy_system_is_silent(doctor: Coach) -> None:
    ran = doctor()
    assert (ran.code, ran.out) == (0, "")
    assert "All is well" in ran.err
    assert doctor("--json").data["findings"] == []
    assert doctor("--quick").code == 0


def test_what_is_wrong_comes_with_its_fix(doctor: Coach, db: Database) -> None:
    db.owner.rows("delete from private.platform_settings where true")
    with psycopg.connect(db.admin_url) as admin:
        admin.execute(b"alter table public.clients disable row level security")
        admin.execute(b"grant execute on function public.switch_org(uuid) to anon")
        admin.execute(b"revoke execute on function public.use_session(uuid, uuid, uuid) from authenticated")
    ran = doctor("--json")
    assert ran.code == 1
    findings = json.loads(ran.out)["findings"]
    assert [(finding["check"], finding["severity"]) for finding in findings] == [
        ("grant_extra", "error"),
        ("grant_lost", "error"),
        ("row_security_off", "error"),
        ("app_url_unset", "warning"),
    ]
    assert findings[0]["fix"] == "revoke execute on function public.switch_org from anon;"
    assert findings[1]["fix"] == "grant execute on function public.use_session to authenticated;"
    with psycopg.connect(db.admin_url) as admin:
        for finding in findings[:3]:
            admin.execute(finding["fix"].encode())
    shown = doctor()
    assert shown.code == 1
    assert "coach messages link-to" in shown.out
    assert "1 found" in shown.err


def test_the_providers_side_is_looked_at(doctor: Coach, stripe: Endpoints) -> None:
    stripe.endpoints[0]["api_version"] = None
    stripe.behind = timedelta(minutes=3)
    findings = json.loads(doctor("--json").out)["findings"]
    assert [finding["check"] for finding in findings] == ["stripe_clock_differs", "stripe_endpoint_unpinned"]
    assert doctor("--quick").code == 0


def test_the_ledger_is_held_against_the_provider(doctor: Coach, db: Database, stripe: Endpoints) -> None:
    org_id = db.owner.value("select id from public.orgs where slug = 'kilo'")
    db.owner.rows("insert into public.stripe_accounts (org_id, stripe_account_id) values (%s, 'acct_1')", (org_id,))
    for name, amount in (("pi_same", 5000), ("pi_less", 5000)):
        db.owner.rows(
            "select private.book_money(%s, 'INCOME', %s, 'aud', 'stripe', %s, now(), p_stripe_payment_intent_id => %s)",
            (org_id, amount, name, name),
        )
    charge = {"object": "charge", "status": "succeeded", "captured": True, "amount": 5000, "metadata": {}}
    stripe.charges = [
        charge | {"id": "ch_1", "payment_intent": "pi_same"},
        charge | {"id": "ch_2", "payment_intent": "pi_less", "amount": 6000},
        charge | {"id": "ch_3", "payment_intent": "pi_unheard", "metadata": {"org_id": str(org_id)}},
        # The owner's own sales, and what never succeeded, are no matter of ours.
        charge | {"id": "ch_4", "payment_intent": "pi_elsewhere"},
        charge | {"id": "ch_5", "payment_intent": "pi_same", "status": "failed"},
    ]
    refund = {"object": "refund", "status": "succeeded", "amount": 700}
    stripe.refunds = [
        refund | {"id": "re_1", "payment_intent": "pi_same"},
        refund | {"id": "re_2", "payment_intent": "pi_elsewhere"},
    ]
    (finding,) = json.loads(doctor("--json").out)["findings"]
    assert (finding["check"], finding["count"]) == ("money_differs", 3)
    assert sorted(example["subject"].split()[0] for example in finding["examples"]) == ["pi_less", "pi_unheard", "re_1"]
    assert doctor("--quick").code == 0


def test_what_cannot_be_looked_at_is_said(doctor: Coach, stripe: Endpoints) -> None:
    stripe.status = 401
    ran = doctor("--json")
    assert ran.code == 3
    assert json.loads(ran.out)["blind"] == [{"check": "stripe", "reason": "stripe_key_refused"}]
    assert json.loads(ran.out)["findings"] == []
    shown = doctor()
    assert (shown.code, shown.out) == (3, "")
    assert "stripe_key_refused" in shown.err


def test_a_database_that_is_behind_is_told_so(doctor: Coach, db: Database) -> None:
    with psycopg.connect(db.admin_url) as admin:
        admin.execute(b"update supabase_migrations.schema_migrations set version = '20200101000000' where true")
    (finding,) = json.loads(doctor("--json").out)["findings"]
    assert (finding["check"], finding["fix"]) == ("migrations_pending", "coach db migrate")


def test_a_clock_or_a_timezone_that_differs_is_found(doctor: Coach, db: Database) -> None:
    with psycopg.connect(db.admin_url) as admin:
        admin.execute(
            b"create or replace function service.clock() returns timestamptz language sql volatile security definer"
            b" set search_path = '' as 'select clock_timestamp() - interval ''1 minute'''"
        )
        admin.execute(
            b"create or replace function service.timezones(p_limit integer default 200) returns table (timezone text,"
            b" utc_offset_secs integer, utc_offset_secs_in_half_a_year integer) language sql stable security definer"
            b" set search_path = '' as 'select ''Australia/Brisbane'', 36000, 39600'"
        )
    findings = json.loads(doctor("--json").out)["findings"]
    assert [finding["check"] for finding in findings] == ["clock_differs", "timezone_data_differs"]
    assert findings[1]["examples"] == [{"subject": "Australia/Brisbane"}]


def test_a_database_that_is_away_cannot_be_looked_at(coach_alone: Coach) -> None:
    coach_alone("doctor").broke("cannot be reached")
