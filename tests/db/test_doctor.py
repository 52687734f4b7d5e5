"""The doctor finds each planted fault, and that one alone; a healthy, populated database is silent."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.harness.cluster import Cluster
from tests.harness.database import Database
from tests.harness.world import make_world

Connection = psycopg.Connection[dict[str, Any]]

HEALTHY = """
insert into private.platform_settings (name, value) values ('app_url', 'https://app.example.com');
insert into private.job_runs (job, started_at, finished_at, result)
select 'sweep_' || j, now() - n * interval '1 minute', now() - n * interval '1 minute', '{}'
  from unnest('{bookings,holds,reminders,messages}'::text[]) as j cross join generate_series(0, 20) as n;
select service.set_plan('free', 'Free', 0, p_limits => '{"clients": 100}', p_is_default => true);
select service.set_plan('pro', 'Pro', 4900, p_features => '{marketing}', p_rank => 10,
                        p_stripe_price_id => 'price_pro');
insert into private.billing_customers (stripe_customer_id, org_id)
select 'cus_1', id from public.orgs where slug = 'kilo';
insert into public.org_subscriptions
  (org_id, stripe_subscription_id, stripe_price_id, plan, status, started_at, current_period_ends_at, as_of)
select id, 'sub_1', 'price_pro', 'pro', 'active', now() - interval '1 day', now() + interval '20 days', now()
  from public.orgs where slug = 'kilo';
insert into public.automations (org_id, name, trigger, conditions, actions, guardrails)
select id, 'Weekly', '{"type": "schedule", "schedule": "weekly", "time": "09:00", "day_of_week": 1}', '[]',
       '[{"type": "notify_trainer", "params": {}}]', '{}' from public.orgs where slug = 'kilo';
update public.automations set next_run_at = now() + interval '1 day';
"""


@dataclass(frozen=True)
class Fault:
    """SQL after which there is one thing wrong, and a word that its fix holds."""

    check: str
    plant: str
    fix: str


KILO = "(select id from public.orgs where slug = 'kilo')"
FAULTS = (
    Fault(
        "package_counter_drift",
        "set session_replication_role = replica;"
        f" update public.client_purchases set sessions_used = 1 where org_id = {KILO}",
        "coach package show ",
    ),
    Fault(
        "booking_charge_drift",
        "set session_replication_role = replica;"
        f" update public.bookings set settlement = 'charged', due_since = null where org_id = {KILO}",
        "coach booking undo",
    ),
    Fault(
        "occupancy_seats_drift",
        "set session_replication_role = replica;"
        f" update private.occupancies set capacity = 5, seats = 3 where org_id = {KILO}",
        "coach booking list",
    ),
    Fault(
        "occupancy_orphaned",
        "insert into private.occupancies (org_id, staff_id, starts_at, ends_at, blocked, capacity, seats)"
        " select org_id, id, t, t + interval '1 hour', tstzrange(t, t + interval '1 hour'), 1, 1"
        " from public.staff cross join (select now() + interval '40 days') as x (t) limit 1",
        "coach booking list",
    ),
    Fault(
        "org_without_owner",
        "set session_replication_role = replica;"
        f" update public.org_members set role = 'coach' where org_id = {KILO} and role = 'owner'",
        "coach member set",
    ),
    Fault(
        "timezone_unknown",
        "set session_replication_role = replica;"
        f" update public.booking_settings set timezone = 'Europe/Atlantis' where org_id = {KILO}",
        "coach org show",
    ),
    Fault(
        "subscription_price_unknown",
        "update public.org_subscriptions set plan = null, stripe_price_id = 'price_other'",
        "--stripe-price price_other",
    ),
    Fault(
        "subscription_twice",
        "insert into public.org_subscriptions"
        " (org_id, stripe_subscription_id, stripe_price_id, plan, status, started_at, current_period_ends_at, as_of)"
        " select org_id, 'sub_2', stripe_price_id, plan, status, started_at, current_period_ends_at, as_of"
        " from public.org_subscriptions",
        "coach billing show",
    ),
    Fault(
        "subscription_unanswered",
        "update public.org_subscriptions set refetch_at = now(), fetch_error = 'stripe_key_refused'",
        "coach sweep billing",
    ),
    Fault(
        "renewal_unheard",
        "update public.org_subscriptions set current_period_ends_at = now() - interval '25 hours'",
        "coach sweep billing",
    ),
    Fault(
        "plan_feature_unknown",
        "update public.plans set features = '{flying}' where plan = 'pro'",
        "coach plan features",
    ),
    Fault("org_without_plan", "update public.plans set is_default = false", "--default"),
    Fault(
        "automation_never_due",
        "set session_replication_role = replica; update public.automations set next_run_at = null",
        "coach automation",
    ),
    Fault(
        "work_failing",
        "set session_replication_role = replica;"
        f" update public.bookings set start_time = now() - interval '9 hours', end_time = now() - interval '8 hours'"
        f" where org_id = {KILO}",
        "coach sweep bookings",
    ),
    Fault(
        "work_degraded",
        "insert into private.job_runs (job, started_at, finished_at, error)"
        " values ('sweep_holds', now(), now(), 'database_error')",
        "coach sweep holds",
    ),
    Fault(
        "sweep_stopped",
        "update private.job_runs set started_at = started_at - interval '2 hours' where job = 'sweep_bookings'",
        "coach sweep all",
    ),
    Fault(
        "job_killed",
        "insert into private.job_runs (job, started_at) values ('sweep_rate_limits', now() - interval '3 hours')",
        "coach sweep all",
    ),
    Fault(
        "brake_left_on",
        "insert into private.brakes (kind, reason, pulled_at) values ('sms', 'An outage', now() - interval '2 days')",
        "coach brake",
    ),
    Fault("app_url_unset", "delete from private.platform_settings", "coach messages link-to"),
    Fault("extension_missing", "alter extension btree_gist set schema public", "create extension btree_gist"),
    Fault(
        "row_security_off", "alter table public.clients disable row level security", "public.clients enable row level"
    ),
    Fault("table_open_to_visitors", "grant select (id) on public.orgs to anon", "revoke all on public.orgs"),
    Fault("private_open", "grant select on private.job_runs to authenticated", "revoke all on private.job_runs"),
    Fault(
        "definer_exposed",
        "alter function public.switch_org(uuid) security definer",
        "switch_org(uuid) security invoker",
    ),
    Fault("function_open_to_all", "grant execute on function private.has_members(uuid) to public", "has_members"),
    Fault(
        "trigger_disabled",
        "alter table public.offers disable trigger offers__audit",
        "alter table public.offers enable trigger offers__audit;",
    ),
    Fault(
        "constraint_not_valid",
        "alter table public.clients add constraint clients_city_length check (char_length(city) < 200) not valid",
        "validate constraint clients_city_length",
    ),
    Fault(
        "index_invalid",
        "set allow_system_table_mods = on;"
        " update pg_index set indisvalid = false where indexrelid = 'public.clients_auth_user_idx'::regclass",
        "reindex index concurrently public.clients_auth_user_idx",
    ),
    Fault(
        "package_money_drift",
        "set session_replication_role = replica;"
        f" delete from public.money_events where org_id = {KILO} and type = 'INCOME'",
        "coach package show ",
    ),
    Fault(
        "stripe_account_unlisted",
        f"insert into public.stripe_accounts (org_id, stripe_account_id) values ({KILO}, 'acct_1');"
        " insert into private.stripe_cursors (account, seen_until, listed_at)"
        " values ('acct_1', now() - interval '3 days', now() - interval '3 days')",
        "coach sweep stripe",
    ),
    Fault(
        "stripe_endpoint_unpinned",
        "insert into private.stripe_events (id, type, created_at, payload, status, api_version)"
        " select 'evt_' || v, 'payout.paid', now(), '{}', 'ignored', v"
        " from unnest('{2024-06-20,2025-03-31.basil}'::text[]) as v",
        "coach stripe events show",
    ),
)


@pytest.fixture(scope="module")
def patient(cluster: Cluster) -> Iterator[Database]:
    database = cluster.clone(cluster.migrated_template(), label="doctor")
    make_world(database)
    database.owner.rows(HEALTHY)
    yield database
    cluster.drop(database)


@pytest.fixture
def connection(patient: Database) -> Iterator[Connection]:
    with psycopg.connect(patient.admin_url, row_factory=dict_row) as connection:
        # The catalogue names what is not in the search path in full.
        yield connection
        connection.rollback()


def examine(connection: Connection, *, is_quick: bool = False, now: str = "now()") -> dict[str, Any]:
    row = connection.execute(f"select service.examine({is_quick}, {now}) as answer".encode()).fetchone()
    assert row is not None
    answer: dict[str, Any] = row["answer"]
    return answer


def test_a_healthy_populated_database_is_silent(connection: Connection) -> None:
    answer = examine(connection)
    assert answer["findings"] == []
    assert answer["blind"] == []
    assert answer["checked"] >= 25
    counts = connection.execute(b"select (select count(*) from clients) as c, (select count(*) from bookings) as b")
    assert min((counts.fetchone() or {}).values()) > 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.check)
def test_a_planted_fault_is_found_and_no_other(connection: Connection, fault: Fault) -> None:
    connection.execute(fault.plant.encode())
    (finding,) = examine(connection)["findings"]
    assert finding["check"] == fault.check
    assert fault.fix in finding["fix"], finding
    assert "{" not in finding["fix"]
    assert finding["count"] >= 1
    assert finding["meaning"].endswith(".")


def test_every_check_has_a_planted_fault(connection: Connection) -> None:
    rows = connection.execute(b"select name from private.doctor_checks").fetchall()
    assert {row["name"] for row in rows} - {fault.check for fault in FAULTS} == {"transaction_open_long"}


def test_a_transaction_that_stays_open_is_found(connection: Connection, patient: Database) -> None:
    with psycopg.connect(patient.admin_url) as idle:
        idle.execute(b"select 1")
        findings = examine(connection, now="now() + interval '16 minutes'")["findings"]
        assert [finding["check"] for finding in findings] == ["transaction_open_long"]
        assert findings[0]["examples"][0]["subject"] == str(idle.info.backend_pid)


def test_a_check_that_cannot_look_says_so_and_hides_no_other(connection: Connection) -> None:
    connection.execute(b"drop function private.check_org_without_owner; delete from private.platform_settings")
    answer = examine(connection)
    assert answer["blind"] == [{"check": "org_without_owner", "sqlstate": "42883"}]
    assert [finding["check"] for finding in answer["findings"]] == ["app_url_unset"]


def test_a_quick_look_reads_no_whole_table(connection: Connection) -> None:
    connection.execute(FAULTS[0].plant.encode())
    assert examine(connection, is_quick=True)["findings"] == []


def test_many_of_one_kind_are_one_finding(connection: Connection) -> None:
    connection.execute(
        b"insert into private.job_runs (job, started_at) select 'job_' || chr(97 + n) , now() - interval '3 hours'"
        b" from generate_series(0, 11) as n"
    )
    (finding,) = examine(connection)["findings"]
    assert (finding["check"], finding["count"], len(finding["examples"])) == ("job_killed", 12, 5)


def test_grants_that_drifted_are_told_both_ways(connection: Connection) -> None:
    expected: dict[str, list[str]] = {}
    for row in connection.execute(b"select function, role from private.function_grants()").fetchall():
        expected.setdefault(row["function"], []).append(row["role"])
    ask = "select * from service.grant_drift(%s)"
    assert connection.execute(ask, (json.dumps(expected),)).fetchall() == []
    connection.execute(
        b"grant execute on function public.switch_org(uuid) to anon;"
        b" revoke execute on function public.list_members(uuid) from authenticated"
    )
    assert connection.execute(ask, (json.dumps(expected),)).fetchall() == [
        {"function": "public.list_members", "role": "authenticated", "is_extra": False},
        {"function": "public.switch_org", "role": "anon", "is_extra": True},
    ]
