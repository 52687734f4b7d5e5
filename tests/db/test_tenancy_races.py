"""Two tabs of a founder, and owners who leave at once: an organisation has one founding owner, and never none."""

from typing import Any

from tests.db.exactness import assert_exact
from tests.db.gates import gate
from tests.db.studio import Studio
from tests.harness.database import Caller, Database, refusal
from tests.harness.races import barrier_race, values


def test_two_tabs_of_a_founder_join_once(db: Database) -> None:
    founder = db.sign_up("founder@kilo.example")
    org_id = founder.insert("orgs", name="Kilo", slug="kilo")["id"]
    assert founder.user_id is not None
    user_id = founder.user_id

    def join(tab: Caller) -> Any:
        return tab.insert("org_members", org_id=org_id, user_id=user_id, role="owner")

    with gate(db, "public.org_members", waiting=8):
        outcomes = barrier_race(8, join, prepare=lambda _: db.sign_in(user_id))
    refused = [refusal(outcome.error) for outcome in outcomes if outcome.error]
    assert refused == [(403, "membership_by_invitation")] * 7
    assert founder.row("select org_id, role from org_members where user_id = %s", (user_id,)) == {
        "org_id": org_id,
        "role": "owner",
    }
    assert_exact(db)


def test_two_tabs_that_sign_up_one_business_make_one(db: Database) -> None:
    founder = db.sign_up("founder@kilo.example")
    assert founder.user_id is not None
    user_id = founder.user_id

    def sign_up(tab: Caller) -> None:
        org_id = tab.insert("orgs", name="Kilo", slug="kilo")["id"]
        tab.insert("org_members", org_id=org_id, user_id=user_id, role="owner")
        tab.insert("branding", org_id=org_id, display_name="Kilo")

    outcomes = barrier_race(8, sign_up, prepare=lambda _: db.sign_in(user_id))
    lost = [outcome.error for outcome in outcomes if outcome.error]
    # Who asks while the other has not committed meets the constraint itself: both are a conflict.
    assert {refusal(error) or getattr(error, "sqlstate", None) for error in lost} <= {(409, "value_taken"), "23505"}
    assert len(lost) == 7
    assert len(founder.rows("select o.id from orgs as o join org_members as m on m.org_id = o.id")) == 1
    assert_exact(db)


def test_one_founder_of_many_businesses_at_once_has_one_active(db: Database) -> None:
    founder = db.sign_up("founder@kilo.example")
    assert founder.user_id is not None
    user_id = founder.user_id

    def sign_up(ready: tuple[int, Caller]) -> None:
        n, tab = ready
        org_id = tab.insert("orgs", name=f"Kilo {n}", slug=f"kilo-{n}")["id"]
        tab.rows("insert into org_members (org_id, user_id, role) values (%s, %s, 'owner')", (org_id, user_id))

    values(barrier_race(8, sign_up, prepare=lambda n: (n, db.sign_in(user_id))))
    assert len(founder.rows("select role from org_members where user_id = %s", (user_id,))) == 1, "as .single() asks"
    assert db.owner.value("select count(*) from org_members where user_id = %s", (user_id,)) == 8
    assert_exact(db)


def test_owners_who_all_leave_at_once_leave_one_behind(studio: Studio) -> None:
    db = studio.db
    owners = [studio.colleague("owner") for _ in range(7)] + [studio.coach]
    emails = [db.owner.value("select email::text from auth.users where id = %s", (o.user_id,)) for o in owners]

    def leave(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 2:
            return tab.call("service.remove_member", p_org_id=studio.org_id, p_email=emails[n])
        return tab.call("service.set_member", p_org_id=studio.org_id, p_email=emails[n], p_role="coach")

    with gate(db, "public.audit_log", waiting=8):
        outcomes = barrier_race(8, leave, prepare=lambda n: (n, db.service()))
    assert [refusal(outcome.error) for outcome in outcomes if outcome.error] == [(409, "last_owner")]
    roles = db.owner.values("select role from org_members where org_id = %s", (studio.org_id,))
    assert roles.count("owner") == 1
    assert_exact(db)
