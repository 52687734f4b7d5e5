"""One lead, one code, one link, one last credit, and many hands at once: each is used once, whoever is first."""

from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from tests.db.gates import gate
from tests.harness.database import Caller, Database, refusal
from tests.harness.races import barrier_race, values
from tests.harness.world import World

HANDS = 12


def outcomes_of(answers: list[Any]) -> list[str]:
    return sorted(answer.get("outcome") or answer["details"] for answer in answers)


def test_two_people_who_convert_one_lead_make_one_client(world: World) -> None:
    kilo, db = world.kilo, world.db
    # Without an email: nothing but the lead's own row keeps two from making a client each.
    db.anon().call("capture_inquiry", p_org_slug="kilo", p_name="Ann", p_phone="0400 000 111")
    lead = kilo.coach.value("select id from inquiries")

    with gate(db, "public.inquiries", waiting=HANDS):
        answers = values(
            barrier_race(
                HANDS, lambda tab: tab.call("convert_inquiry", p_inquiry_id=lead), prepare=lambda _: kilo.another_tab()
            )
        )
    assert len({answer["client_id"] for answer in answers}) == 1
    assert [answer["is_new"] for answer in answers].count(True) == 1
    assert kilo.coach.value("select count(*) from clients where full_name = 'Ann'") == 1
    assert kilo.coach.value("select count(*) from inquiry_events where kind = 'converted'") == 1


def test_one_person_who_asks_in_many_tabs_is_one_lead(world: World) -> None:
    # By the operators' door: there no count of calls stands in a row that all would wait for.
    def ask(tab: Caller) -> Any:
        question = {"p_name": "Ann", "p_email": "ann@example.com", "p_phone": "0400 000 111", "p_message": "How much?"}
        return tab.call("service.create_inquiry", p_org_id=world.kilo.id, **question)

    with gate(world.db, "public.inquiries", waiting=8):
        answers = values(barrier_race(8, ask, prepare=lambda _: world.db.service()))
    assert outcomes_of(answers) == ["captured", *["known"] * 7]
    assert world.kilo.coach.value("select count(*) from inquiries") == 1
    assert world.kilo.coach.value("select count(*) from inquiry_events") == 1


def test_a_visitor_is_counted_once_however_often_the_page_loads(world: World) -> None:
    kilo, db = world.kilo, world.db
    kilo.coach.insert("public.referral_links", org_id=kilo.id, code="friends", name="Friends")
    visitors = [uuid4(), uuid4(), uuid4()]

    def open_page(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return tab.call("referral_page", p_code="FRIENDS", p_visitor_id=visitors[n % 3])

    assert all("code" in page for page in values(barrier_race(15, open_page, prepare=lambda n: (n, db.anon()))))
    assert kilo.coach.value("select clicks from referral_links") == 3


def test_a_referral_is_rewarded_once_though_its_lead_is_converted_from_two_sides(world: World) -> None:
    kilo, db = world.kilo, world.db
    link = {
        "reward_type": "credit",
        "reward_value": 500,
        "referrer_reward_type": "free_session",
        "referrer_reward_value": 1,
    }
    kilo.coach.insert("public.referral_links", org_id=kilo.id, code="friends", name="Friends", **link)
    by = kilo.coach.call("client_referral_link", p_client_id=kilo.client_id)["referral_code"]
    db.anon().call("refer", p_code="friends", p_name="Ann", p_email="ann@example.com", p_referred_by=by)
    lead = kilo.coach.value("select id from inquiries")
    referral = kilo.coach.value("select id from referrals")
    ann = kilo.add_client(full_name="Ann", email="ann@example.com")

    def settle(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        if n % 3 == 0:
            return tab.call("convert_inquiry", p_inquiry_id=lead)
        if n % 3 == 1:
            return tab.rows("update inquiries set converted_client_id = %s where id = %s", (ann, lead))
        return db.connect().rows("select private.convert_referral(%s, %s, %s)", (kilo.id, referral, ann))

    values(barrier_race(9, settle, prepare=lambda n: (n, kilo.another_tab())))
    assert kilo.coach.value("select status from referrals") == "rewarded"
    assert kilo.coach.rows("select side from referral_rewards order by side") == [
        {"side": "referred"},
        {"side": "referrer"},
    ]
    assert kilo.coach.value("select count(*) from credit_entries") == 1
    assert kilo.coach.value("select count(*) from client_purchases where source = 'reward'") == 1
    assert kilo.coach.value("select conversions from referral_links") == 1


def test_the_last_credit_is_spent_once(world: World) -> None:
    kilo, db = world.kilo, world.db
    db.owner.insert(
        "public.credit_entries",
        org_id=kilo.id,
        client_id=kilo.client_id,
        kind="correction",
        amount_cents=1000,
        currency="aud",
    )

    def spend(tab: Caller) -> Any:
        return tab.call("spend_credit", p_client_id=kilo.client_id, p_amount_cents=1000)

    done = barrier_race(HANDS, spend, prepare=lambda _: kilo.another_tab())
    assert [outcome.value for outcome in done if outcome.error is None] == [0]
    assert {refusal(outcome.error) for outcome in done if outcome.error} == {(409, "credit_exhausted")}


def test_two_people_with_one_code_are_one_client(world: World) -> None:
    kilo, db = world.kilo, world.db
    code = kilo.coach.call("create_client_invite", p_client_id=kilo.client_id)["invite_code"]
    people = [db.sign_up(f"person{n}@app.example") for n in range(HANDS)]

    with gate(db, "public.client_invites", waiting=HANDS):
        answers = values(barrier_race(HANDS, lambda n: people[n].call("redeem_client_invite", p_code=code)))
    assert outcomes_of(answers) == [*["invite_used"] * (HANDS - 1), "redeemed"]
    winner = people[next(n for n, answer in enumerate(answers) if answer.get("outcome"))]
    assert kilo.coach.value("select auth_user_id from clients where id = %s", (kilo.client_id,)) == winner.user_id


def test_one_person_who_redeems_in_many_tabs_is_answered_the_same(world: World) -> None:
    kilo, db = world.kilo, world.db
    code = kilo.coach.call("create_client_invite", p_client_id=kilo.client_id)["invite_code"]
    person = db.sign_up("person@app.example")
    assert person.user_id is not None
    user_id: UUID = person.user_id
    answers = values(
        barrier_race(
            8, lambda tab: tab.call("redeem_client_invite", p_code=code), prepare=lambda _: db.sign_in(user_id)
        )
    )
    assert len({str(answer) for answer in answers}) == 1


def test_a_waiver_that_two_sign_is_signed_by_one(world: World) -> None:
    kilo, db = world.kilo, world.db
    kilo.coach.rows("update orgs set waiver_template = 'I know the risks.' where id = %s", (kilo.id,))
    token = str(kilo.coach.call("send_waiver", p_client_id=kilo.client_id)["token"])

    def sign(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return tab.call("sign_waiver", p_token=token, p_signer_name=f"Signer {n % 2}", p_version=1)

    done = barrier_race(8, sign, prepare=lambda n: (n, db.anon()))
    assert [outcome.value["outcome"] for outcome in done if outcome.error is None] == ["signed"] * 4
    assert {refusal(outcome.error) for outcome in done if outcome.error} == {(409, "waiver_signed")}
    assert kilo.coach.value("select count(*) from client_waivers where status = 'signed'") == 1


def test_a_form_that_two_tabs_submit_is_taken_in_once(world: World) -> None:
    kilo, db = world.kilo, world.db
    token = str(kilo.coach.call("send_onboarding", p_client_id=kilo.client_id)["onboarding_token"])

    def submit(ready: tuple[int, Caller]) -> Any:
        n, tab = ready
        return tab.call("submit_onboarding", p_token=token, p_answers=Jsonb({"city": f"City {n}"}))

    answers = values(barrier_race(8, submit, prepare=lambda n: (n, db.anon())))
    assert outcomes_of(answers) == [*["link_not_found"] * 7, "submitted"]


def test_an_invitation_that_is_accepted_in_many_tabs_makes_one_member(world: World, db: Database) -> None:
    kilo = world.kilo
    db.owner.rows("insert into private.platform_settings (name, value) values ('app_url', 'https://app.example')")
    kilo.coach.call("invite_member", p_org_id=kilo.id, p_email="new@work.example", p_role="coach")
    link = db.owner.value("select metadata ->> 'link' from outbox_messages where kind = 'member_invite'")
    person = db.sign_up("new@work.example")
    assert person.user_id is not None
    user_id = person.user_id
    answers = values(
        barrier_race(
            8,
            lambda tab: tab.call("accept_invite", p_token=link.rpartition("/")[2]),
            prepare=lambda _: db.sign_in(user_id, "new@work.example"),
        )
    )
    assert len({str(answer) for answer in answers}) == 1
    assert answers[0]["outcome"] == "joined"
    assert db.owner.value("select count(*) from org_members where user_id = %s", (user_id,)) == 1
