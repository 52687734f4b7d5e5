"""Under support access each function of the Data API either refuses, or is declared here to be safe.

A function that is neither fails the test: whoever adds one says which it is. Safe is what reads, and what changes that
which a person of the platform is let in to put right. Money, members, roles, exports, links, consents and words to
clients are refused: by the role `support`, which lacks the permission, or by `private.refuse_support_access`.
"""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from tests.harness.database import Caller, Database
from tests.harness.races import barrier_race, values
from tests.harness.world import World

LIMITED = (403, "support_access_limited")

#: Reads, of what the role may see.
READS = {
    *("available_dates", "bookable_sessions_remaining", "calendar", "client_detail", "dashboard", "find_slots"),
    *("is_phone_suppressed", "is_slot_available", "list_members", "marketing_progress", "message_history", "offer_id"),
    *(
        "client_referral_link",
        "credit_balance",
        "entitlements",
        "preview_template",
        "render_sms_template",
        "show_message",
        "unread_threads",
        "read_thread",
    ),
}
#: Puts right: calendars, packages and what follows from them.
REPAIRS = {
    *("book", "book_series", "hold_slot", "confirm_hold", "cancel_booking", "complete_booking", "reschedule_booking"),
    *("undo_completion", "end_series", "move_series", "join_waitlist", "leave_waitlist"),
    *("use_session", "release_session", "correct_package", "extend_package", "freeze_package", "unfreeze_package"),
    # Closes a door, and opens none.
    "revoke_client_invite",
}
#: About the caller, or the platform's console, whoever they are let in by.
OWN = {"whoami", "banner", "pulse", "switch_org", "end_support_access"}
#: A link, a slug or an id opens these, whoever calls.
OPEN = {
    *(
        "portal_book",
        "portal_cancel",
        "portal_checkout",
        "portal_dates",
        "portal_join_waitlist",
        "portal_leave_waitlist",
    ),
    *("portal_overview", "portal_reschedule", "portal_slots", "public_book", "public_dates", "public_page"),
    *("public_slots", "capture_inquiry", "refer", "referral_page", "deposit_state", "show_receipt"),
    *("client_invite", "onboarding_form", "submit_onboarding", "waiver_form", "sign_waiver"),
    # For whoever holds the invitation: it makes the caller themselves a member, or a client.
    *("accept_invite", "redeem_client_invite"),
}
#: Nothing here has a row that it could be asked about; what it needs, the role `support` lacks.
NEEDS = {
    "revoke_invite": "members.write",
    "automation_preview": "automations.read",
    "run_automation": "automations.write",
    "convert_inquiry": "leads.write",
    "issue_receipt": "packages.sell",
    "refund_payment": "payments.refund",
}
SAFE = READS | REPAIRS | OWN | OPEN

#: What must refuse, whatever else comes: taken out of the catalogue, each would be a hole.
HIGH_RISK = {
    *("sell_package", "send_message", "send_template", "send_marketing", "send_portal_link"),
    *(
        "set_refund_policy",
        "create_calendar_feed",
        "revoke_calendar_feeds",
        "suppress_phone",
        "deactivate_staff",
        "reactivate_staff",
    ),
}

_FUNCTIONS = """
select p.proname as name, p.proargnames[1:p.pronargs] as names,
       array(select format_type(t, null) from unnest(p.proargtypes) as t) as types
  from pg_proc as p
 where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
   and has_function_privilege('authenticated', p.oid, 'execute')
   and pg_get_function_sqlbody(p.oid) not like '%%admin_act(%%'
   and not exists (select from pg_type as t where t.oid = p.proargtypes[0] and t.typrelid <> 0)
 order by 1
"""


def helper(db: Database, *permissions: str, email: str = "helper@platform.example") -> Caller:
    """A platform admin with these permissions."""
    caller = db.sign_up(email)
    db.owner.insert(
        "public.platform_admins",
        user_id=caller.user_id,
        email=email,
        permissions=list(permissions or ["support.start"]),
    )
    return caller


def race(callers: list[Caller], act: Callable[[Caller], Any]) -> list[Any]:
    """What each caller got, all at once."""
    return values(barrier_race(len(callers), act, prepare=callers.__getitem__))


def start(caller: Caller, org_id: uuid.UUID, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = caller.call(
        "public.start_support_access", p_org_id=org_id, p_reason="the calendar is empty", **options
    )
    return answer


def plausible(world: World, name: str, kind: str) -> Any:
    """An argument that kilo's coach could give."""
    kilo = world.kilo
    rows = {
        "p_org_id": kilo.id,
        "p_client_id": kilo.client_id,
        "p_purchase_id": kilo.package_id,
        "p_booking_id": kilo.booking_id,
        "p_offer_id": kilo.offer_id,
    }
    if name in rows:
        return rows[name]
    if name in ("p_staff_id", "p_inquiry_id", "p_thread_id", "p_message_id", "p_series_id", "p_entry_id"):
        table = {
            "p_staff_id": "staff",
            "p_inquiry_id": "inquiries",
            "p_thread_id": "message_threads",
            "p_message_id": "outbox_messages",
            "p_series_id": "booking_series",
            "p_entry_id": "waitlist_entries",
        }[name]
        found = world.db.owner.values(f"select id from public.{table} where org_id = %s limit 1", (kilo.id,))
        return found[0] if found else uuid.uuid4()
    later = datetime.now(UTC) + timedelta(days=3)
    by_kind: dict[str, Any] = {
        "uuid": uuid.uuid4(),
        "text": "direct" if name == "p_kind" else "sms" if name == "p_channel" else "Some words.",
        "integer": 1,
        "bigint": 1,
        "boolean": False,
        "date": later.date(),
        "time without time zone": "10:00",
        "timestamp with time zone": later,
        "jsonb": json.dumps({}),
        "uuid[]": [],
        "text[]": [],
    }
    return by_kind[kind]


def outcome(caller: Caller, world: World, function: dict[str, Any]) -> tuple[int, str] | None:
    """How a call is refused; None where it is not, or only for its arguments."""
    # A feed is of one of them.
    names = ["p_client_id"] if function["name"].endswith(("_feed", "_feeds")) else function["names"] or []
    given = {
        name: plausible(world, name, kind)
        for name, kind in zip(function["names"] or [], function["types"], strict=True)
        if name in names
    }
    signature = ", ".join(
        f"{name} => %({name})s::{kind}"
        for name, kind in zip(function["names"] or [], function["types"], strict=True)
        if name in given
    )
    try:
        with caller.transaction() as connection:
            answer = connection.execute(f"select public.{function['name']}({signature}) as a", given).fetchall()
            raise psycopg.Rollback
    except psycopg.Error as error:
        detail = error.diag.message_detail or ""
        return (
            (int((error.sqlstate or "PT0")[2:]), detail) if (error.sqlstate or "").startswith("PT") else (0, str(error))
        )
    if len(answer) == 1 and isinstance(answer[0]["a"], dict) and str(answer[0]["a"].get("code", "")).startswith("PT"):
        return int(answer[0]["a"]["code"][2:]), answer[0]["a"]["details"]
    return None


def functions(db: Database) -> list[dict[str, Any]]:
    found = db.owner.rows(_FUNCTIONS)
    assert len(found) > 50
    return found


def test_each_function_refuses_under_support_access_or_is_declared_safe(db: Database, world: World) -> None:
    person = helper(db)
    start(person, world.kilo.id)
    outcomes = {function["name"]: outcome(person, world, function) for function in functions(db)}
    refused = {name for name, came in outcomes.items() if came == LIMITED}
    undeclared = {name: came for name, came in outcomes.items() if name not in refused | SAFE | NEEDS.keys()}
    assert not undeclared, f"neither refused nor declared safe: {undeclared}"
    assert refused >= HIGH_RISK
    held = db.owner.values("select permission from public.role_permissions where role = 'support'")
    assert not {*held} & {*NEEDS.values()}
    assert SAFE & refused <= READS | REPAIRS, "declared safe, and refused all the same"


def test_two_starts_at_once_are_one_access(db: Database, world: World) -> None:
    helper(db)
    person = db.owner.value("select user_id from public.platform_admins")
    callers = [db.sign_in(person, "helper@platform.example") for _ in range(8)]
    answers = race(callers, lambda caller: start(caller, world.kilo.id))
    assert sum("expires_at" in answer for answer in answers) == 1
    assert {answer.get("details") for answer in answers if "expires_at" not in answer} == {"support_access_open"}
    assert db.owner.value("select count(*) from public.org_members where role = 'support'") == 1
    assert db.owner.value("select count(*) from public.audit_log where action = 'start_support'") == 1
    assert db.owner.value("select count(*) from private.platform_audit_log where action = 'start_support'") == 7


def test_an_access_that_both_sides_end_at_once_ends_once(db: Database, world: World) -> None:
    person = helper(db)
    access = uuid.UUID(start(person, world.kilo.id)["id"])
    callers = [person, *(world.kilo.another_tab() for _ in range(5))]
    ended = race(callers, lambda caller: caller.call("public.end_support_access", p_access_id=access))
    assert sorted(ended) == [False] * 5 + [True]
    assert db.owner.value("select count(*) from public.audit_log where action = 'end_support'") == 1


def test_a_brake_that_many_pull_at_once_is_on_once(db: Database) -> None:
    people = [helper(db, "system.brakes", email=f"op{n}@platform.example") for n in range(8)]
    answers = race(people, lambda caller: caller.call("public.admin_pull_brake", p_kind="sms", p_reason="why"))
    assert sum(answer["is_changed"] for answer in answers) == 1
    assert db.owner.value("select count(*) from private.brakes") == 1
    assert db.owner.value("select count(*) from private.platform_audit_log where action = 'pull_brake'") == 8


@pytest.mark.parametrize("kind", ["sms", None])
def test_everybody_reads_what_is_stopped_and_nobody_another_s(db: Database, world: World, kind: str | None) -> None:
    org_id = world.kilo.id if kind else None
    db.owner.value(
        "select service.act('pull_brake', %s)",
        (Jsonb({"kind": "email", "reason": "r", "banner": "Later", "org_id": org_id and str(org_id)}),),
    )
    shown = [{"kind": "email", "org_id": org_id, "message": "Later"}]

    def seen(caller: Caller) -> list[dict[str, Any]]:
        return caller.rows("select kind, org_id, message from public.banner()")

    assert seen(world.kilo.coach) == seen(world.kilo.sign_client_in()) == shown
    assert seen(world.lima.coach) == seen(db.anon()) == ([] if kind else shown)
