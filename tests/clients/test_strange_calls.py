"""No function gives away or changes what is another organisation's, whichever of its ids is foreign.

Each function of the Data API is found in the catalogue and called with foreign ids: all of them at once, and each one
alone among the caller's own. A new function that this file cannot call fails here until it says what its arguments are.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import uuid4

import pytest

from tests.clients.stack import Stack
from tests.clients.supabase_js import Answer, Client
from tests.clients.walls import digests
from tests.contract.replay.calls import read_calls
from tests.contract.replay.world import World

NOBODY = "00000000-0000-0000-0000-000000000000"

#: What a visitor may call, and why: pages without an account have nothing but the token of a link, or a slug.
FOR_VISITORS = {
    "portal_overview": "the first page behind a client's link",
    "portal_dates": "the client chooses a day",
    "portal_slots": "the client chooses a time",
    "portal_book": "the client books",
    "portal_reschedule": "the client moves their booking",
    "portal_cancel": "the client cancels their booking",
    "portal_join_waitlist": "the client waits for a time",
    "portal_leave_waitlist": "the client waits no more",
    "public_page": "anybody looks at what can be booked",
    "public_dates": "anybody chooses a day",
    "public_slots": "anybody chooses a time",
    "public_book": "anybody books, naming themselves",
    "portal_checkout": "the client buys an offer",
    "deposit_state": "whoever booked pays the deposit",
    "show_receipt": "whoever paid opens their receipt",
    "onboarding_form": "the client opens the form they were sent",
    "submit_onboarding": "the client sends the form, and signs",
    "waiver_form": "the client reads what they are to sign",
    "sign_waiver": "the client signs",
    "client_invite": "the client sees who invites them to the app",
    "referral_page": "anybody opens a referral link",
    "refer": "anybody who was referred leaves their name",
    "capture_inquiry": "anybody asks, by a form on the organisation's own site",
    "banner": "anybody sees what is paused for everybody",
}

#: Nothing of an organisation's: what it says is the same for everybody, or the caller's own.
OF_NOBODY = {"banner", "whoami"}

#: What its key opens is looked at; the others change something.
SHOWS = {
    "portal_overview",
    "public_page",
    "deposit_state",
    "show_receipt",
    "onboarding_form",
    "waiver_form",
    "client_invite",
}

#: Who has the secret is let in, that is its purpose: sql_tests/invites.
BY_SECRET = {"accept_invite", "redeem_client_invite"}

#: Which row an argument names. A request id is the caller's own making: see the last test.
ROWS = {
    "p_org_id": "orgs",
    "p_client_id": "clients",
    "p_purchase_id": "client_purchases",
    "p_booking_id": "bookings",
    "p_exclude_booking_id": "bookings",
    "p_offer_id": "offers",
    "p_promo_code_id": "promo_codes",
    "p_session_type_id": "session_types",
    "p_staff_id": "staff",
    "p_location_id": "locations",
    "p_series_id": "booking_series",
    "p_entry_id": "waitlist_entries",
    "p_hold_id": "private.holds",
    "p_thread_id": "message_threads",
    "p_message_id": "outbox_messages",
    "p_send_id": "marketing_sends",
    "p_before_id": "outbox_messages",
    "p_related_entity_id": "bookings",
    "p_access_id": "support_access",
    "p_automation_id": "automations",
    "p_grant_id": "plan_grants",
    "p_id": "outbox_messages",
    "p_inquiry_id": "inquiries",
    "p_payment_id": "money_events",
    "p_referral_link_id": "referral_links",
}

#: The same of arguments that mean another row in another function.
ROWS_OF = {
    ("revoke_client_invite", "p_invite_id"): "client_invites",
    ("revoke_invite", "p_invite_id"): "member_invites",
}

#: What opens a page for somebody without an account.
KEYS = {
    "p_token": "clients.portal_token",
    "p_slug": "orgs.slug",
    "p_org_slug": "orgs.slug",
    "p_code": "referral_links.code",
    "p_deposit_id": "deposits.id",
    "p_receipt_id": "receipts.id",
}
KEYS_OF = {
    ("client_invite", "p_code"): "client_invites.invite_code",
    ("onboarding_form", "p_token"): "clients.onboarding_token",
    ("submit_onboarding", "p_token"): "clients.onboarding_token",
    ("waiver_form", "p_token"): "client_waivers.token",
    ("sign_waiver", "p_token"): "client_waivers.token",
}

_DAY = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0) + timedelta(days=20)

#: Everything else: values that a function would accept if the ids were the caller's.
VALUES = {
    "p_action": "block_org",
    "p_actor_id": NOBODY,
    "p_all": True,
    "p_amount_cents": 100,
    "p_answers": {},
    "p_asks_confirmation": False,
    "p_banner": "Some words.",
    "p_before": (_DAY + timedelta(days=300)).isoformat(),
    "p_body": "Some words.",
    "p_channel": "sms",
    "p_client_ids": [],
    "p_count": 2,
    "p_days": 7,
    "p_duration_mins": 60,
    "p_email": "anybody@example.com",
    "p_ends_at": (_DAY + timedelta(days=30)).isoformat(),
    "p_end_time": (_DAY + timedelta(hours=1)).isoformat(),
    "p_expires_at": (_DAY + timedelta(days=300)).isoformat(),
    "p_from": _DAY.date().isoformat(),
    "p_full_name": "Anybody",
    "p_idempotency_key": "a-key",
    "p_interval_weeks": 1,
    "p_is_charged": False,
    "p_is_partial": True,
    "p_kind": "direct",
    "p_lead_ids": [],
    "p_limit": 10,
    "p_message": "Some words.",
    "p_minutes": 10,
    "p_name": "Anybody",
    "p_note": "A note.",
    "p_notes": "A note.",
    "p_on": _DAY.date().isoformat(),
    "p_payment_method": "cash",
    "p_payment_status": "succeeded",
    "p_permissions": [],
    "p_phone": "+61400000000",
    "p_plan": "basic",
    "p_query": "kilo",
    "p_reason": "A reason.",
    "p_recipient_filter": "manual",
    "p_referred_by": None,
    "p_related_entity_type": "booking",
    "p_role": "coach",
    "p_scheduled_for": (_DAY - timedelta(days=1)).isoformat(),
    "p_services": [],
    "p_sessions_total": 10,
    "p_sessions_used": 1,
    "p_shift_days": 1,
    "p_signer_name": "Anybody",
    "p_source": "website",
    "p_status": "sent",
    "p_template_body": "Some words.",
    "p_template_key": "portal_link",
    "p_tiers": [],
    "p_variables": {},
    "p_version": 1,
    "p_visitor_id": NOBODY,
    "p_waiver_version": 1,
    "p_since": (_DAY - timedelta(days=30)).isoformat(),
    "p_start_time": _DAY.isoformat(),
    "p_time": "12:00",
    "p_until": _DAY.date().isoformat(),
    "p_view": "week",
}

#: What the existing apps read as a value: null for a package out of reach, false for time of another organisation.
VALUES_FOR_ANYBODY = {"bookable_sessions_remaining", "is_slot_available"}

#: Its request id is bound to a row that only that organisation has, or needs what this world has not: a payment at
#: Stripe, a credit, a platform admin, a plan to try. Each has a file of its own in sql_tests.
OF_ONE_ROW = {"admin_grant_plan", "portal_checkout", "refund_payment", "run_automation", "spend_credit", "start_trial"}

#: Either id, never both.
EITHER = {"create_calendar_feed", "revoke_calendar_feeds"}

_FUNCTIONS = """
select p.proname as name, coalesce(p.proargnames[1:p.pronargs], '{}') as arguments, p.pronargdefaults as optional,
       has_function_privilege('anon', p.oid, 'execute') as is_for_visitors
  from pg_proc as p
 where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
   and not exists (select from pg_type as t where t.oid = p.proargtypes[0] and t.typrelid <> 0)
 order by p.proname
"""

Arguments = dict[str, Any]

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass
class Function:
    """A function of the Data API, and how to call it."""

    name: str
    arguments: list[str]
    optional: int
    is_for_visitors: bool

    @property
    def ids(self) -> list[str]:
        return [name for name in self.arguments if name in ROWS or (self.name, name) in ROWS_OF]

    @property
    def keys(self) -> list[str]:
        return [name for name in self.arguments if name in KEYS]

    @property
    def optional_ids(self) -> set[str]:
        return {*self.arguments[len(self.arguments) - self.optional :]} & {*self.ids}

    def calls(self, own: "Owned", foreign: "Owned") -> Iterator[Arguments]:
        """With all ids foreign, with each alone among one's own, and with each alone beside what must be there."""
        unknown = {*self.arguments} - {*self.ids, *self.keys} - VALUES.keys() - {"p_request_id"}
        assert not unknown, f"{self.name}: what are {unknown}?"
        # Who has a key of their own brings it; what is foreign are the ids behind it.
        plain = {name: VALUES[name] for name in {*self.arguments} & VALUES.keys()}
        plain |= {name: own.key(self, name) for name in self.keys}
        if "p_request_id" in self.arguments:
            plain["p_request_id"] = str(uuid4())
        if "p_hold_id" in self.arguments:
            # A hold says when.
            plain.pop("p_start_time", None)
        mine = {name: own.id(self, name) for name in self.ids}
        if self.name not in EITHER:
            yield plain | {name: foreign.id(self, name) for name in self.ids}
        for name in self.ids:
            if self.name not in EITHER:
                yield plain | mine | {name: foreign.id(self, name)}
            needed = {other: mine[other] for other in self.ids if other not in self.optional_ids}
            yield self._with_a_start(plain, name) | needed | {name: foreign.id(self, name)}

    def _with_a_start(self, plain: Arguments, name: str) -> Arguments:
        """Without a hold a booking has a start again."""
        is_needed = "p_start_time" in self.arguments and name != "p_hold_id"
        return plain | ({"p_start_time": VALUES["p_start_time"]} if is_needed else {})


@dataclass
class Owned:
    """The rows of an organisation that has one of everything, by the names of the arguments that ask for them."""

    world: World
    _held: dict[str, str] = field(default_factory=dict)

    def id(self, function: Function, argument: str) -> str:
        if argument == "p_hold_id":
            return self.hold
        return self._id(ROWS_OF.get((function.name, argument)) or ROWS[argument])

    def key(self, function: Function, argument: str) -> str:
        return self._value(KEYS_OF.get((function.name, argument)) or KEYS[argument])

    def _id(self, table: str) -> str:
        return str(self.world.row(table)["id"])

    def _value(self, key: str) -> str:
        table, column = key.split(".")
        return str(self.world.row(table)[column])

    @cached_property
    def hold(self) -> str:
        answer = self.world.stack.value(
            "select private.hold_slot(%s, %s, null, %s, 60, %s, null, 'coach', 1440)",
            *(self._id("orgs"), self._id("clients"), _DAY - timedelta(days=5), self._id("staff")),
        )
        assert answer["outcome"] == "held"
        return str(answer["hold_id"])

    @cached_property
    def marks(self) -> set[str]:
        """What would tell that an answer is about this organisation."""
        tables = {table for table in {*ROWS.values(), *ROWS_OF.values()} if not table.startswith("private.")}
        keys = {*KEYS.values(), *KEYS_OF.values()}
        return {self.hold, *map(self._id, tables), *map(self._value, keys), self.world.coach.id, self.world.coach.email}

    def is_in(self, answer: Answer) -> bool:
        return any(mark in str((answer.data, answer.error)) for mark in self.marks)


def equip(stack: Stack) -> Owned:
    """A business that takes bookings at any hour, with a row for each argument."""
    world = World(stack, read_calls())
    world.keep_open()
    world.change("clients", world.row("clients"), {"portal_token": str(uuid4()), "onboarding_token": str(uuid4())})
    world.change("client_invites", world.row("client_invites"), {"redeemed_at": None, "redeemed_by": None})
    owned = Owned(world)
    assert owned.marks
    # Looking makes what is not there yet.
    digests(world)
    return owned


@pytest.fixture(scope="module")
def kilo(stack: Stack) -> Owned:
    return equip(stack)


@pytest.fixture(scope="module")
def lima(stack: Stack) -> Owned:
    return equip(stack)


@pytest.fixture(params=["visitor", "another coach", "another's client"])
def stranger(request: pytest.FixtureRequest, stack: Stack, lima: Owned) -> Client:
    people = {"another coach": lima.world.coach.tab, "another's client": lima.world.client.tab}
    return people.get(request.param) or stack.open()


@pytest.fixture(scope="module")
def functions(stack: Stack) -> list[Function]:
    found = [Function(**row) for row in stack.owner.execute(_FUNCTIONS).fetchall()]
    assert len(found) > 30
    return found


def test_visitors_call_the_pages_functions_and_no_other(functions: list[Function]) -> None:
    assert {f.name for f in functions if f.is_for_visitors} == FOR_VISITORS.keys()
    for function in functions:
        is_for_visitors = len(function.keys) == 1 and function.name not in BY_SECRET
        has_key = is_for_visitors or function.name == "banner"
        assert has_key == function.is_for_visitors, f"{function.name}: a visitor has a token or a slug"


def test_no_function_serves_a_stranger(functions: list[Function], stranger: Client, kilo: Owned, lima: Owned) -> None:
    before = digests(kilo.world), digests(lima.world)
    functions_by_name = {f.name: f for f in functions}
    asked = {
        f.name: list(f.calls(own=lima, foreign=kilo))
        for f in functions
        if not f.is_for_visitors and f.name not in OF_NOBODY | BY_SECRET
    }
    for name, calls in asked.items():
        assert calls, f"{name}: which row is it about?"
        for arguments in calls:
            answer = stranger.rpc(name, arguments).run()
            is_told_nothing = name in VALUES_FOR_ANYBODY or answer.data == []
            assert answer.status in (401, 403, 404) or is_told_nothing, (name, arguments, answer)
            # As if it did not exist: the very answer that an id of nobody's gets.
            ids = functions_by_name[name].ids
            unknown = {
                key: NOBODY if key in ids and value == kilo.id(functions_by_name[name], key) else value
                for key, value in arguments.items()
            }
            assert vars(answer) == vars(stranger.rpc(name, unknown).run()), (name, arguments)
            assert not kilo.is_in(answer), (name, arguments, answer)
    assert (digests(kilo.world), digests(lima.world)) == before


def test_a_link_or_a_slug_opens_its_own_organisation_alone(
    functions: list[Function], stack: Stack, kilo: Owned, lima: Owned
) -> None:
    before = digests(kilo.world), digests(lima.world)
    visitor = stack.open()
    for function in functions:
        if not function.is_for_visitors or function.name in OF_NOBODY:
            continue
        (key,) = function.keys
        for arguments in function.calls(own=lima, foreign=kilo):
            if function.ids:
                answer = visitor.rpc(function.name, arguments).run()
                assert not kilo.is_in(answer), (function.name, arguments, answer)
                assert answer.status == 404, (function.name, arguments, answer)
                assert answer.slug.endswith("_not_found"), (function.name, answer)
            for wrong in (NOBODY,) if key.endswith("_id") else (NOBODY, "no-such-page", ""):
                refused = visitor.rpc(function.name, arguments | {key: wrong}).run()
                assert refused.status in (404, 429), (function.name, wrong, refused)
                assert refused.slug == "rate_limited" or refused.slug.endswith("_not_found"), (function.name, refused)
        if function.name in SHOWS:
            answer = visitor.rpc(function.name, {key: lima.key(function, key)}).run()
            assert answer.error is None, (function.name, answer)
            assert not kilo.is_in(answer), (function.name, answer)
    assert (digests(kilo.world), digests(lima.world)) == before


def test_a_request_id_of_another_organisation_is_as_good_as_new(
    functions: list[Function], kilo: Owned, lima: Owned
) -> None:
    """The same click id at two businesses: each is answered about its own, neither sees the other's."""
    hours = itertools.count(1)
    for function in functions:
        if "p_request_id" not in function.arguments or function.name in OF_ONE_ROW:
            continue
        request_id = str(uuid4())
        answers = []
        for owned in (kilo, lima):
            start = (_DAY + timedelta(hours=2 * next(hours))).isoformat()
            arguments: Arguments = {name: VALUES[name] for name in {*function.arguments} & VALUES.keys()}
            arguments |= {name: owned.key(function, name) for name in function.keys}
            needed = [name for name in function.ids if name not in function.optional_ids]
            arguments |= {name: owned.id(function, name) for name in needed} | {"p_request_id": request_id}
            if "p_start_time" in arguments:
                arguments["p_start_time"] = start
            answers.append(owned.world.coach.rpc(function.name, arguments).run())
        first, second = answers
        assert (first.error, second.error) == (None, None), (function.name, first, second)
        assert not kilo.is_in(second), (function.name, second)
        made, made_by_another = ({*UUID.findall(str(answer.data))} for answer in answers)
        assert made.isdisjoint(made_by_another), function.name
