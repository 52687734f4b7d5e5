"""A client's way in with supabase-js and the service: invited, signed up, onboarded, signed; and no door besides."""

from collections.abc import Iterator
from datetime import date

import httpx
import pytest

from tests.clients.conftest import Studio, found
from tests.clients.stack import PASSWORD, Stack
from tests.clients.test_messaging import Pages


@pytest.fixture(scope="module")
def mike(stack: Stack) -> Studio:
    """An organisation of its own: what is signed and redeemed here changes nobody else's."""
    studio = found(stack, "mike")
    studio.coach.from_("orgs").update({"waiver_template": "I know the risks."}).eq("id", studio.id).run().ok()
    return studio


@pytest.fixture
def invite_only(stack: Stack) -> Iterator[None]:
    stack.service("service").rpc("set_sign_up_mode", {"p_mode": "invite_only"}).run().ok()
    yield
    stack.service("service").rpc("set_sign_up_mode", {"p_mode": "open"}).run().ok()


def test_a_client_joins_by_a_code_where_signing_up_is_by_invitation(
    stack: Stack, mike: Studio, invite_only: None
) -> None:
    invite = mike.coach.rpc("create_client_invite", {"p_client_id": mike.client_id}).run().ok()
    code = invite["invite_code"]
    tab = stack.open()
    assert tab.rpc("client_invite", {"p_code": code.lower()}).run().ok()["first_name"] == "Robin"
    assert tab.from_("client_invites").select("*").eq("invite_code", code).run().error["code"] == "42501"

    stranger = {"email": "stranger-mike@example.com", "password": PASSWORD}
    assert stack.open().auth.signUp(stranger).run().error
    assert stack.value("select count(*) from auth.users where email = %s", stranger["email"]) == 0
    with_code = {**stranger, "email": "robin-new@example.com", "options": {"data": {"invite_code": code}}}
    data = tab.auth.signUp(with_code).run().ok()
    redeemed = tab.rpc("redeem_client_invite", {"p_code": code}).run().ok()
    assert redeemed["client_id"] == mike.client_id
    # What the existing app does next: it writes the same, and finds its client by it.
    changes = {"redeemed_at": "2026-11-29T00:00:00Z", "redeemed_by": data["user"]["id"]}
    tab.from_("client_invites").update(changes).eq("id", redeemed["invite_id"]).run().ok()
    found_by = tab.from_("client_invites").select("client_id, org_id").eq("redeemed_by", data["user"]["id"])
    assert found_by.single().run().ok() == {"client_id": mike.client_id, "org_id": mike.id}
    assert tab.from_("clients").select("id").run().ok() == [{"id": mike.client_id}]
    reasons = "select reason from private.platform_audit_log where subject_id = %s"
    assert stack.value(reasons, data["user"]["id"]) == "client_invite"


def test_a_client_fills_in_the_form_and_signs_without_an_account(stack: Stack, mike: Studio) -> None:
    pages = Pages(stack, mike.coach)
    sent = pages.post("/api/send-onboarding", client_id=mike.client_id).json()
    token = sent["onboarding_url"].rpartition("/")[2]
    tab = stack.open()
    for table, column in (("clients", "onboarding_token"), ("client_waivers", "token"), ("orgs", "id")):
        assert tab.from_(table).select("*").eq(column, token).run().error["code"] == "42501"
    form = tab.rpc("onboarding_form", {"p_token": token}).run().ok()
    assert form["client"]["full_name"] == "Robin Client"
    answers = {"date_of_birth": date(1990, 1, 2).isoformat(), "goals": ["run"], "height_cm": 170}
    signed = {"p_signer_name": "Robin Client", "p_waiver_version": form["waiver"]["version"]}
    submitted = tab.rpc("submit_onboarding", {"p_token": token, "p_answers": answers, **signed}).run()
    assert submitted.ok()["waiver_signed"] is True
    again = tab.rpc("submit_onboarding", {"p_token": token, "p_answers": {}, **signed}).run()
    assert again.refusal == (404, "link_not_found")
    waiver = mike.coach.from_("client_waivers").select("id").eq("client_id", mike.client_id).eq("status", "signed")
    assert len(waiver.limit(1).run().ok()) == 1


def test_a_waiver_is_sent_and_signed_by_its_link(stack: Stack, mike: Studio) -> None:
    sent = Pages(stack, mike.coach).post("/api/send-waiver", client_id=mike.client_id).json()
    token = sent["signing_url"].rpartition("/")[2]
    tab = stack.open()
    form = tab.rpc("waiver_form", {"p_token": token}).run().ok()
    name = {"p_token": token, "p_signer_name": "Robin Client"}
    assert tab.rpc("sign_waiver", {**name, "p_version": 99}).run().refusal == (409, "waiver_changed")
    assert tab.rpc("sign_waiver", {**name, "p_version": form["version"]}).run().ok()["outcome"] == "signed"
    guess = {"p_token": "00000000-0000-4000-8000-000000000000"}
    assert tab.rpc("waiver_form", guess).run().refusal == (404, "link_not_found")
    evidence = mike.coach.from_("client_waivers").select("signer_name, signed_ip, waiver_texts(body)")
    row = evidence.eq("id", sent["waiver_id"]).single().run().ok()
    assert (row["signer_name"], row["waiver_texts"]["body"]) == ("Robin Client", "I know the risks.")


def test_another_organisations_client_is_sent_nothing(stack: Stack, mike: Studio, lima: Studio) -> None:
    pages = Pages(stack, lima.coach)
    for path in ("/api/send-waiver", "/api/send-onboarding"):
        refused = pages.post(path, client_id=mike.client_id)
        assert (refused.status_code, refused.json()["slug"]) == (404, "client_not_found")
        assert httpx.post(stack.url + path, json={"client_id": mike.client_id}).status_code == 401


def test_a_member_joins_by_invitation(stack: Stack, mike: Studio) -> None:
    stack.owner.execute(
        "insert into private.platform_settings (name, value) values ('app_url', 'https://app.example')"
        " on conflict (name) do nothing"
    )
    person = stack.sign_up("joiner")
    invited = (
        mike.coach.rpc("invite_member", {"p_org_id": mike.id, "p_email": person.email, "p_role": "coach"}).run().ok()
    )
    assert invited["email_queued"] is True
    link = "select metadata ->> 'link' from public.outbox_messages where to_address = %s and kind = 'member_invite'"
    token = str(stack.value(link, person.email)).rpartition("/")[2]
    other = stack.sign_up("other")
    assert other.rpc("accept_invite", {"p_token": token}).run().refusal == (403, "invite_other_email")
    assert person.rpc("accept_invite", {"p_token": token}).run().ok()["role"] == "coach"
    assert {row["email"] for row in mike.coach.rpc("list_members", {"p_org_id": mike.id}).run().ok()} >= {person.email}
