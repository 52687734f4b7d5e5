"""The existing apps' calls against the catalogue: what grants and PostgREST decide, where the local API is lenient."""

from collections.abc import Iterator

import pytest
from tests.contract.replay.calls import Call, Embed, read_calls
from tests.contract.replay.catalogue import Catalogue
from tests.contract.replay.expected import expected
from tests.contract.replay.relations import relations
from tests.harness.database import Database

#: (role, table, column, privilege)
Need = tuple[str, str, str, str]

API_ROLES = ("anon", "authenticated", "service_role")

#: Columns that are ours: granted to members although the existing apps never write them.
OURS = {
    "alerts": {"resolved_at"},
    "booking_settings": {
        "allow_client_cancel",
        "cancel_notice_hours",
        "hold_mins",
        "late_cancellation_policy",
        "no_show_policy",
        "send_receipts",
        "session_click_window_secs",
        "waitlist_offer_mins",
    },
    "automations": {"actions", "conditions", "enabled", "guardrails", "name", "trigger"},
    "availability": {"specific_date", "staff_id", "user_id"},
    "blocked_times": {"reason", "staff_id"},
    "location_hours": {"closes_time", "day_of_week", "location_id", "opens_time", "org_id"},
    "locations": {"address", "is_active", "name", "org_id"},
    "session_type_prices": {"location_id", "org_id", "price_cents", "session_type_id"},
    "session_type_staff": {"org_id", "session_type_id", "staff_id"},
    "session_types": {"capacity", "currency", "deposit_cents", "deposit_percent"},
    "staff": {"email", "full_name", "org_id", "user_id"},
    "staff_locations": {"location_id", "org_id", "staff_id"},
    "inquiries": {"assigned_to", "email", "expected_value", "message", "name", "phone", "services_interested"},
    "orgs": {"allows_support"},
    "profiles": {"full_name"},
    "referral_links": {"description", "expires_at", "name", "referrer_reward_type", "referrer_reward_value"},
    "risk_settings": {"amber_from", "inactive_days", "org_id", "red_from"},
    "webhook_endpoints": {"is_active", "name"},
    "client_communications": {"user_id"},
    "client_habits": {"client_id", "habit_id", "org_id"},
    "client_measurements": {"measured_at"},
    "habits": {"is_active", "name", "org_id"},
    "products": {"currency"},
    "push_tokens": {"device_id"},
    "sms_schedules": {"sort_order"},
    "sms_settings": {
        "falls_back_to_email",
        "locale",
        "low_package_sessions",
        "max_sms_per_client_per_day",
        "max_sms_per_hour",
        "phone_region",
        "quiet_hours_end",
        "quiet_hours_start",
        "send_booking_confirmations",
        "send_feedback_requests",
        "send_session_reminders",
        "send_unconfirmed_nudges",
        "urgent_kinds",
    },
    "sms_templates": {"description", "name"},
}

#: Columns that nobody reads, so that `*` is refused.
SECRETS = {
    "sms_settings": {"twilio_account_sid", "twilio_auth_token_encrypted"},
    "webhook_endpoints": {"secret_encrypted"},
}

RETURNS = {
    "bookable_sessions_remaining": "integer",
    "insert_sms_direct": "uuid",
    "is_phone_suppressed": "boolean",
    "is_slot_available": "boolean",
    "queue_pending_sms": "integer",
    "release_session": "integer",
    "render_sms_template": "text",
    "use_session": "boolean",
}

_LACKING = """
select n.* from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as n (role, "table", name, privilege)
 where not has_column_privilege(n.role, 'public.' || quote_ident(n."table"), n.name, n.privilege)
"""

_WRITABLE = """
select r.role, c.relname as "table", a.attname as name, p.privilege
  from unnest(%s::text[]) as r (role), unnest(array['INSERT', 'UPDATE']) as p (privilege), pg_class as c
  join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
   and has_column_privilege(r.role, c.oid, a.attnum, p.privilege)
"""


@pytest.fixture
def catalogue(db: Database) -> Catalogue:
    return Catalogue(db.owner.connection)


def working(catalogue: Catalogue) -> Iterator[Call]:
    """The calls that must succeed."""
    for call in read_calls():
        if call.is_core and call.table in catalogue.tables and not expected(call):
            yield call


def needs(catalogue: Catalogue, call: Call) -> Iterator[Need]:
    """The column privileges a call asks for."""
    assert call.table
    names = {*call.filtered, *(column for column, _ in call.ordered), *_read(catalogue, call.table, call.selected)}
    yield from ((call.role, call.table, name, "SELECT") for name in names)
    verbs = {"insert": ["INSERT"], "update": ["UPDATE"], "upsert": ["INSERT", "UPDATE"]}.get(call.op, [])
    yield from ((call.role, call.table, name, verb) for verb in verbs for name in call.written)
    yield from _needs_of_embeds(catalogue, call.role, call.table, call.selected)


def _needs_of_embeds(catalogue: Catalogue, role: str, table: str, select: Embed) -> Iterator[Need]:
    for embed in select.embeds:
        for relation in relations(catalogue, table, embed):
            yield from ((role, relation.target, name, "SELECT") for name in _read(catalogue, relation.target, embed))
            yield from _needs_of_embeds(catalogue, role, relation.target, embed)


def _read(catalogue: Catalogue, table: str, select: Embed) -> set[str]:
    columns = set(select.columns) - {"count"}
    return columns - {"*"} | set(catalogue.tables[table]) if "*" in columns else columns


def _embeds(call: Call, table: str, select: Embed, catalogue: Catalogue) -> Iterator[tuple[Call, str, Embed]]:
    for embed in select.embeds:
        yield call, table, embed
        for relation in relations(catalogue, table, embed)[:1]:
            yield from _embeds(call, relation.target, embed, catalogue)


def test_each_call_has_every_privilege_it_asks_for(db: Database, catalogue: Catalogue) -> None:
    asked = sorted({need for call in working(catalogue) for need in needs(catalogue, call)})
    unknown = [need for need in asked if need[2] not in catalogue.tables[need[1]]]
    assert not unknown
    lacking = db.owner.rows(_LACKING, [list(part) for part in zip(*asked, strict=True)])
    assert not lacking


def test_a_call_that_deletes_may(db: Database, catalogue: Catalogue) -> None:
    for call in working(catalogue):
        if call.op == "delete":
            assert db.owner.value(
                "select has_table_privilege(%s, %s, 'DELETE')", [call.role, f"public.{call.table}"]
            ), call


def test_nothing_more_is_writable_than_the_apps_write(db: Database, catalogue: Catalogue) -> None:
    written = {
        (call.role, call.table, name, need[3])
        for call in read_calls()
        if call.table in catalogue.tables
        for need in needs(catalogue, call)
        if need[3] != "SELECT"
        for name in [need[2]]
    }
    granted = {tuple(row.values()) for row in db.owner.rows(_WRITABLE, [list(API_ROLES)])}
    assert {row for row in granted - written if row[2] not in OURS.get(row[1], ())} == set()


def test_a_secret_is_readable_by_nobody(db: Database) -> None:
    for table, names in SECRETS.items():
        asked = [(role, table, name, "SELECT") for role in API_ROLES for name in names]
        assert len(db.owner.rows(_LACKING, [list(part) for part in zip(*asked, strict=True)])) == len(asked)


def test_no_app_writes_an_id(db: Database) -> None:
    assert not [row for row in db.owner.rows(_WRITABLE, [list(API_ROLES)]) if row["name"] == "id"]


def test_star_and_returned_rows_are_readable(db: Database, catalogue: Catalogue) -> None:
    readers = {(call.role, call.table) for call in working(catalogue)}
    asked = [
        (role, table, name, "SELECT")
        for role, table in readers
        for name in set(catalogue.tables[str(table)]) - SECRETS.get(str(table), set())
    ]
    assert not db.owner.rows(_LACKING, [list(part) for part in zip(*asked, strict=True)])


def test_each_embed_means_exactly_one_relation(catalogue: Catalogue) -> None:
    for call in working(catalogue):
        assert call.table
        for _, table, embed in _embeds(call, call.table, call.selected, catalogue):
            found = relations(catalogue, table, embed)
            assert len(found) == 1, f"{table} → {embed.word}: {found} in {call}"


def test_two_tables_are_joined_by_one_key(catalogue: Catalogue) -> None:
    """A second one would make every embed between them ambiguous, also one that no app has written yet."""
    pairs = [frozenset((key.table, key.parent)) for key in catalogue.keys if key.parent in catalogue.tables]
    # A referral names two clients; in the existing schema too.
    twice = {pair for pair in pairs if len(pair) == 2 and pairs.count(pair) > 1}
    assert twice == {frozenset({"clients", "referrals"})}


def test_children_are_embedded_as_arrays(catalogue: Catalogue) -> None:
    """The apps read `[0]` and `[0].count`; a unique constraint on the key would make PostgREST answer an object."""
    for call in (call for call in read_calls() if call.is_core and call.table in catalogue.tables):
        for embed in call.selected.embeds:
            for relation in relations(catalogue, str(call.table), embed):
                points_back = not catalogue.foreign_keys(str(call.table), relation.target)
                assert relation.many or not points_back, f"{call.table} → {embed.word} in {call}"


def test_the_offer_of_a_package_is_a_computed_relation(db: Database, catalogue: Catalogue) -> None:
    """With a key of two columns PostgREST finds nothing behind the word `offer_id`."""
    (offer,) = [function for function in catalogue.computed if function.name == "offer_id"]
    assert (offer.table, offer.target, offer.single) == ("client_purchases", "offers", True)
    signature = "public.offer_id(public.client_purchases)"
    can = [db.owner.value("select has_function_privilege(%s, %s, 'EXECUTE')", [role, signature]) for role in API_ROLES]
    assert can == [False, True, True]


def test_the_key_that_an_embed_names_keeps_its_name(catalogue: Catalogue) -> None:
    (key,) = catalogue.foreign_keys("clients", "orgs")
    assert key.name == "clients_org_id_fkey"


def test_no_primary_key_joins_orgs_and_clients(catalogue: Catalogue) -> None:
    """It would be a second way from clients to orgs, and `clients(count)` ambiguous."""
    assert not [table for table, columns in catalogue.primary_keys.items() if {"org_id", "client_id"} <= set(columns)]


def test_an_upsert_finds_a_unique_index(catalogue: Catalogue) -> None:
    for call in working(catalogue):
        if call.op == "upsert":
            columns = frozenset((call.on_conflict or "").split(","))
            assert (call.table, columns) in catalogue.unique_indexes, call


def test_functions_take_and_return_what_the_apps_send_and_read(db: Database) -> None:
    for call in (call for call in read_calls() if call.function in RETURNS and call.is_core and not expected(call)):
        functions = db.owner.rows(
            "select p.oid, coalesce(p.proargnames, '{}') as names, p.pronargs - p.pronargdefaults as required,"
            " p.prorettype::regtype::text as returns from pg_proc as p"
            " where p.pronamespace = 'public'::regnamespace and p.proname = %s",
            [call.function],
        )
        # An overload would be answered with 300.
        assert len(functions) == 1, call
        (function,) = functions
        assert function["returns"] == RETURNS[str(call.function)]
        assert set(function["names"][: function["required"]]) <= set(call.args) <= set(function["names"])
        assert db.owner.value("select has_function_privilege(%s, %s::oid, 'EXECUTE')", [call.role, function["oid"]]), (
            call
        )
