"""Messaging as the coach's pages call it: over HTTP with the coach's own token, decided by the database."""

import uuid
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import Person, Stack


class Pages:
    """The coach's pages: requests to the service with the access token of whoever is signed in."""

    def __init__(self, stack: Stack, person: Person) -> None:
        self.http = httpx.Client(base_url=stack.url, headers={"authorization": f"Bearer {stack.token(person)}"})

    def post(self, path: str, **form: Any) -> httpx.Response:
        return self.http.post(path, json=form)


@pytest.fixture
def phone(stack: Stack, kilo: Studio) -> str:
    """The client's number."""
    number = f"0412 {uuid.uuid4().int % 1000:03} {uuid.uuid4().int % 1000:03}"
    stack.owner.execute("update public.clients set phone = %s where id = %s", (number, kilo.client_id))
    return number


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["slug"]


def test_a_coach_s_own_words_are_queued_once(stack: Stack, kilo: Studio, phone: str) -> None:
    pages, request_id = Pages(stack, kilo.coach), str(uuid.uuid4())
    form = {"client_id": kilo.client_id, "message": "See you soon", "request_id": request_id}
    first = pages.post("/api/send-sms", **form).json()
    assert (first["success"], first["status"]) == (True, "queued")
    assert pages.post("/api/send-sms", **form).json() == first
    kept = kilo.coach.from_("sms_messages").select("id, body, status").eq("id", first["message_sid"]).run().ok()
    assert kept == [{"id": first["message_sid"], "body": "See you soon", "status": "queued"}]


def test_a_client_without_a_number_is_told_of(stack: Stack, kilo: Studio) -> None:
    stack.owner.execute("update public.clients set phone = null where id = %s", (kilo.client_id,))
    answer = Pages(stack, kilo.coach).post("/api/send-sms", client_id=kilo.client_id, message="Hello").json()
    assert answer == {"success": False, "message_sid": None, "status": "no_phone"}


def test_a_template_is_queued(stack: Stack, kilo: Studio, phone: str) -> None:
    key = str(uuid.uuid4())
    pages = Pages(stack, kilo.coach)
    form = {"client_id": kilo.client_id, "template_key": "low_package", "idempotency_key": key}
    first = pages.post("/functions/v1/sms-send", **form).json()["message"]
    assert first["status"] in ("pending", "queued")
    assert pages.post("/functions/v1/sms-send", **form).json()["message"]["id"] == first["id"]
    unknown = pages.post("/functions/v1/sms-send", client_id=kilo.client_id, template_key="nothing")
    assert problem(unknown) == (404, "template_not_found")


def test_a_portal_link_is_answered_and_texted(stack: Stack, kilo: Studio, phone: str) -> None:
    answer = Pages(stack, kilo.coach).post("/api/portal/send-link", client_id=kilo.client_id).json()
    token = stack.value("select portal_token from public.clients where id = %s", kilo.client_id)
    assert answer["portal_url"].endswith(f"/portal/{token}")
    assert isinstance(answer["sms_sent"], bool)


def test_a_text_to_many_is_queued_and_followed(stack: Stack, kilo: Studio, phone: str) -> None:
    pages = Pages(stack, kilo.coach)
    lead = kilo.coach.from_("inquiries").insert({"org_id": kilo.id, "name": "Ann", "phone": "0400 999 111"})
    leads = [lead.select().single().run().ok()["id"], str(uuid.uuid4())]
    form = {"message": "A new class!", "recipient_filter": "manual", "client_ids": [kilo.client_id], "lead_ids": leads}
    sent = pages.post("/api/marketing/send-sms", **form).json()
    assert (sent["total"], sent["sent"] + sent["failed"]) == (2, 2)
    progress = pages.http.get("/api/marketing/send-sms", params={"send_id": sent["send_id"]}).json()
    assert progress["send_id"] == sent["send_id"]
    assert problem(pages.http.get("/api/marketing/send-sms", params={"send_id": str(uuid.uuid4())}))[0] == 404


def test_what_a_client_wrote_is_counted_until_it_is_read(stack: Stack, kilo: Studio) -> None:
    pages = Pages(stack, kilo.coach)
    before = pages.http.get("/api/messages/unread-count").json()["total_unread"]
    thread = stack.value(
        """insert into public.message_threads (org_id, client_id) values (%s, %s)
           on conflict (org_id, client_id) do update set created_at = excluded.created_at returning id""",
        *(kilo.id, kilo.client_id),
    )
    stack.owner.execute(
        "insert into public.messages (org_id, thread_id, sender_type, body) values (%s, %s, 'client', 'Hi')",
        (kilo.id, thread),
    )
    counted = pages.http.get("/api/messages/unread-count", params={"org_id": kilo.id}).json()
    assert counted == {"total_unread": before + 1}
    kilo.coach.rpc("read_thread", {"p_thread_id": str(thread)}).run().ok()
    assert pages.http.get("/api/messages/unread-count").json() == {"total_unread": 0}
    assert pages.post("/api/messages/send-push", client_id=kilo.client_id, message="Hi").json() == {"success": True}


def test_another_organisation_s_client_is_not_there(stack: Stack, kilo: Studio, lima: Studio) -> None:
    pages = Pages(stack, lima.coach)
    refused = pages.post("/api/send-sms", client_id=kilo.client_id, message="Hello")
    assert problem(refused) == (404, "client_not_found")
    assert problem(pages.post("/api/portal/send-link", client_id=kilo.client_id)) == (404, "client_not_found")
    refused = pages.post("/api/marketing/send-sms", message="Hello", org_id=kilo.id)
    assert problem(refused) == (404, "org_not_found")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer x", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic x"]
)
def test_without_a_token_that_opens_something_nothing_is_done(
    stack: Stack, kilo: Studio, authorization: str | None
) -> None:
    headers = {"authorization": authorization} if authorization is not None else {}
    with httpx.Client(base_url=stack.url, headers=headers) as http:
        form = {"client_id": kilo.client_id, "message": "Hello", "template_key": "low_package"}
        for path in ("/api/send-sms", "/functions/v1/sms-send", "/api/portal/send-link", "/api/marketing/send-sms"):
            assert problem(http.post(path, json=form)) == (401, "token_wrong"), path
        assert problem(http.get("/api/messages/unread-count")) == (401, "token_wrong")


def test_the_publishable_key_is_nobody_s_token(stack: Stack, kilo: Studio) -> None:
    headers = {"authorization": f"Bearer {stack.state.publishable_key}"}
    refused = httpx.post(
        f"{stack.url}/api/send-sms", json={"client_id": kilo.client_id, "message": "x"}, headers=headers
    )
    assert problem(refused) == (401, "token_wrong")


def test_a_form_that_is_none_is_400(stack: Stack, kilo: Studio) -> None:
    pages = Pages(stack, kilo.coach)
    assert problem(pages.post("/api/send-sms", client_id="x", message="y")) == (400, "request_invalid")
    assert problem(pages.post("/api/send-sms", to="0412345678", message="y")) == (400, "client_id_missing")
    assert problem(pages.post("/api/send-sms", client_id=kilo.client_id, message="")) == (400, "request_invalid")


def test_the_platform_pushes_with_its_own_key_alone(stack: Stack, kilo: Studio) -> None:
    token = f"ExponentPushToken[{uuid.uuid4().hex}]"
    stack.owner.execute(
        "insert into public.push_tokens (org_id, client_id, expo_token) values (%s, %s, %s)",
        (kilo.id, kilo.client_id, token),
    )
    push = {"client_id": kilo.client_id, "title": "Hello", "body": "There", "data": {"a": 1}}
    nobody = str(uuid.uuid4())
    with httpx.Client(base_url=stack.url, headers={"authorization": f"Bearer {stack.state.secret_key}"}) as http:
        one = http.post("/functions/v1/push-dispatch", json=push).json()
        assert (one["sent"], one["failed"]) == (1, 0)
        several = http.post("/functions/v1/push-dispatch", json=[push, {**push, "client_id": nobody}]).json()
        assert (several["sent"], several["failed"]) == (1, 1)
        assert several["results"][1] == {"client_id": nobody, "message_id": None, "error": "client_not_found"}
    for wrong in (stack.token(kilo.coach), stack.state.publishable_key, "x"):
        refused = httpx.post(
            f"{stack.url}/functions/v1/push-dispatch", json=push, headers={"authorization": f"Bearer {wrong}"}
        )
        assert refused.status_code in (401, 403)


def test_nobody_speaks_for_twilio(stack: Stack) -> None:
    form = {"MessageSid": "SM1", "From": "+61412345678", "To": "+61400000000", "Body": "STOP"}
    for path in ("/api/sms-inbound", "/api/sms/webhook", "/functions/v1/sms-inbound", "/functions/v1/twilio-webhook"):
        assert problem(httpx.post(f"{stack.url}{path}", data=form)) == (403, "signature_wrong")
