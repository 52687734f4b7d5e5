"""The existing apps' messages, texting settings and log, by real supabase-js: statuses and slugs as apps see them."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.clients.conftest import Studio, found
from tests.clients.stack import Person, Stack
from tests.clients.supabase_js import Answer


@dataclass(frozen=True)
class Conversation:
    """A coach and a client who has an account."""

    studio: Studio
    client: Person

    def say(self, person: Person, thread: str, body: str, sender: str) -> Answer:
        row = {"org_id": self.studio.id, "thread_id": thread, "sender_type": sender, "body": body}
        answer: Answer = person.from_("messages").insert(row).run()
        return answer

    def open_thread(self, person: Person) -> Answer:
        row = {"org_id": self.studio.id, "client_id": self.studio.client_id}
        answer: Answer = person.from_("message_threads").insert(row).select("id").single().run()
        return answer


@pytest.fixture
def studio(stack: Stack) -> Studio:
    return found(stack, "mike")


@pytest.fixture
def conversation(studio: Studio, stack: Stack) -> Conversation:
    client = stack.sign_up("client")
    stack.owner.execute("update public.clients set auth_user_id = %s where id = %s", (client.id, studio.client_id))
    return Conversation(studio, client)


def test_the_messages_page_lists_threads_with_their_last_message_and_what_is_unread(conversation: Conversation) -> None:
    coach, client = conversation.studio.coach, conversation.client
    find = coach.from_("message_threads").select("id").eq("org_id", conversation.studio.id)
    find = find.eq("client_id", conversation.studio.client_id).single()
    assert find.run().status == 406, "none yet"
    thread = conversation.open_thread(coach).ok()["id"]
    assert conversation.open_thread(client).status == 409, "one is enough"
    assert find.run().ok() == {"id": thread}

    assert conversation.say(coach, thread, "Hello", "trainer").status == 201
    assert conversation.say(client, thread, "Hi", "client").status == 201
    assert conversation.say(client, thread, "Am I late?", "client").status == 201

    columns = "id, client_id, trainer_last_read_at, clients(full_name)"
    (row,) = coach.from_("message_threads").select(columns).eq("org_id", conversation.studio.id).run().ok()
    assert row["clients"] == {"full_name": "Robin Client"}
    assert row["trainer_last_read_at"] is None
    last = coach.from_("messages").select("body, created_at, sender_type").eq("thread_id", thread)
    assert last.order("created_at", {"ascending": False}).limit(1).single().run().ok()["body"] == "Am I late?"

    def unread(since: str) -> int | None:
        query = coach.from_("messages").select("id", {"count": "exact", "head": True}).eq("thread_id", thread)
        answer: Answer = query.eq("sender_type", "client").gt("created_at", since).run()
        return answer.count

    assert unread("1970-01-01T00:00:00Z") == 2
    (own,) = coach.rpc("unread_threads", {"p_org_id": conversation.studio.id}).run().ok()
    assert (own["thread_id"], own["unread"]) == (thread, 2)
    now = datetime.now(UTC).isoformat()
    assert coach.from_("message_threads").update({"trainer_last_read_at": now}).eq("id", thread).run().status == 204
    assert unread(now) == 0
    assert coach.rpc("unread_threads", {"p_org_id": conversation.studio.id}).run().ok() == []


def test_a_client_reads_and_writes_their_own_thread_as_themselves(conversation: Conversation, lima: Studio) -> None:
    client = conversation.client
    thread = conversation.open_thread(client).ok()["id"]
    assert conversation.say(client, thread, "Hi", "client").status == 201
    assert conversation.say(client, thread, "I am your coach", "trainer").refusal == (403, "sender_not_you")
    assert conversation.say(conversation.studio.coach, thread, "Yes", "client").refusal == (403, "sender_not_you")
    assert conversation.say(lima.coach, thread, "Psst", "trainer").status == 403
    columns = "id, created_at, sender_type, body"
    read = client.from_("messages").select(columns).eq("thread_id", thread).order("created_at", {"ascending": True})
    assert [row["body"] for row in read.run().ok()] == ["Hi"]
    assert lima.coach.from_("messages").select("*").eq("thread_id", thread).run().data == []
    assert client.rpc("read_thread", {"p_thread_id": thread}).run().status == 204
    assert lima.coach.rpc("read_thread", {"p_thread_id": thread}).run().refusal == (404, "thread_not_found")


def test_a_phone_registers_at_each_start_and_hears_the_coach(conversation: Conversation, stack: Stack) -> None:
    token = f"ExponentPushToken[{uuid.uuid4()}]"
    row = {"org_id": conversation.studio.id, "client_id": conversation.studio.client_id, "expo_token": token}
    register = conversation.client.from_("push_tokens")
    for _ in range(2):
        sent = {**row, "updated_at": datetime.now(UTC).isoformat()}
        assert register.upsert(sent, {"onConflict": "client_id,expo_token"}).run().status in (200, 201)
    assert len(conversation.client.from_("push_tokens").select("*").run().ok()) == 1
    refused = conversation.studio.coach.from_("push_tokens").upsert(row, {"onConflict": "client_id,expo_token"}).run()
    assert refused.status == 403
    thread = conversation.open_thread(conversation.studio.coach).ok()["id"]
    conversation.say(conversation.studio.coach, thread, "Well done", "trainer").ok()
    queued = "select count(*) from public.outbox_messages where org_id = %s and channel = 'push' and body = 'Well done'"
    assert stack.value(queued, conversation.studio.id) == 1


def test_the_texting_page_switches_and_keeps_schedules(studio: Studio) -> None:
    coach = studio.coach
    enabled = coach.from_("sms_settings").select("enabled").eq("org_id", studio.id).maybeSingle()
    assert enabled.run().ok() is None
    for value in (False, True, False):
        switch = coach.from_("sms_settings").upsert({"org_id": studio.id, "enabled": value}, {"onConflict": "org_id"})
        assert switch.run().status in (200, 201)
        assert enabled.run().ok() == {"enabled": value}
    assert coach.from_("sms_settings").select("*").eq("org_id", studio.id).run().status == 403, "it holds a secret"
    row = {"org_id": studio.id, "type": "pre_session", "label": "A day before", "mins_offset": 1440}
    row |= {"body": "See you {session_datetime}", "enabled": True, "sort_order": 0}
    made = coach.from_("sms_schedules").insert(row).select().single().run()
    assert made.status == 201
    edit = {"label": "Soon", "mins_offset": 60, "body": "Soon, {client_name}", "enabled": False}
    edit |= {"updated_at": datetime.now(UTC).isoformat()}
    assert coach.from_("sms_schedules").update(edit).eq("id", made.data["id"]).run().status == 204
    listed = coach.from_("sms_schedules").select("*").eq("org_id", studio.id).order("type").order("sort_order")
    assert [(row["label"], row["enabled"]) for row in listed.run().ok()] == [("Soon", False)]
    wrong = coach.from_("sms_schedules").update({"body": "Hi {nickname}"}).eq("id", made.data["id"]).run()
    assert wrong.refusal == (422, "placeholder_unknown")
    assert coach.from_("sms_schedules").delete().eq("id", made.data["id"]).run().status == 204
    assert listed.run().ok() == []


def test_a_template_is_saved_anew_and_retired(studio: Studio) -> None:
    coach = studio.coach
    columns = "id, name, description, body, template_key, created_at"

    def save(body: str) -> Answer:
        own = coach.from_("sms_templates").update({"is_active": False}).eq("org_id", studio.id)
        own.eq("template_key", "spring").run().ok()
        row = {"org_id": studio.id, "template_key": "spring", "name": "Spring", "description": None, "body": body}
        answer: Answer = coach.from_("sms_templates").insert({**row, "is_active": True}).select(columns).single().run()
        return answer

    assert save("Hi {first_name}").status == 201
    latest = save("Dear {first_name}")
    assert save("Reply CANCEL to stop").refusal == (422, "template_invites_cancel")
    active = coach.from_("sms_templates").select(columns).eq("org_id", studio.id).eq("is_active", True)
    assert active.run().ok() == [], "the page retires first; a refused text leaves none"
    assert save("Dear {first_name}").status == 201
    (row,) = active.order("created_at", {"ascending": False}).run().ok()
    assert row["body"] == latest.data["body"]
    retire = coach.from_("sms_templates").update({"is_active": False}).eq("id", row["id"]).eq("org_id", studio.id)
    assert retire.run().status == 204
    assert active.run().ok() == []


def test_the_log_of_communications(studio: Studio, lima: Studio) -> None:
    row: dict[str, Any] = {"org_id": studio.id, "client_id": studio.client_id, "user_id": lima.coach.id}
    row |= {"type": "phone", "direction": "outbound", "subject": None, "content": "Called"}
    made = studio.coach.from_("client_communications").insert(row).select().single().run()
    assert (made.status, made.data["user_id"]) == (201, studio.coach.id)
    server = studio.stack.service()
    del row["user_id"]
    assert server.from_("client_communications").insert({**row, "type": "sms", "content": "Booked"}).run().status == 201
    listed = studio.coach.from_("client_communications").select("*").eq("client_id", studio.client_id)
    listed = listed.order("created_at", {"ascending": False})
    assert [entry["content"] for entry in listed.run().ok()] == ["Booked", "Called"]
    assert lima.coach.from_("client_communications").insert(row).run().status == 403


def test_a_coach_sends_and_sees_what_became_of_it(studio: Studio, lima: Studio) -> None:
    coach, click = studio.coach, str(uuid.uuid4())
    call = coach.rpc("send_message", {"p_client_id": studio.client_id, "p_body": "See you", "p_request_id": click})
    sent = call.run().ok()
    assert (sent["outcome"], call.run().ok()["message_id"]) == ("queued", sent["message_id"])
    (row,) = coach.rpc("message_history", {"p_org_id": studio.id, "p_channel": "sms"}).run().ok()
    assert (row["id"], row["body"], row["client_name"]) == (sent["message_id"], "See you", "Robin Client")
    (legacy,) = coach.from_("sms_messages").select("id, body, status").eq("client_id", studio.client_id).run().ok()
    assert (legacy["id"], legacy["body"]) == (row["id"], "See you")
    assert coach.from_("sms_messages").update({"status": "sent"}).eq("id", row["id"]).run().status == 403
    assert coach.rpc("show_message", {"p_message_id": row["id"]}).run().ok()["preview"] == "See you"
    assert lima.coach.rpc("show_message", {"p_message_id": row["id"]}).run().refusal == (404, "message_not_found")
    other = lima.coach.rpc("send_message", {"p_client_id": studio.client_id, "p_body": "x"}).run()
    assert other.refusal == (404, "client_not_found")
    many = {"p_org_id": studio.id, "p_message": "Hi {first_name}", "p_recipient_filter": "all"}
    answer = coach.rpc("send_marketing", many).run().ok()
    assert (answer["total"], answer["queued"], answer["skipped"]) == (1, 1, {})
    progress = coach.rpc("marketing_progress", {"p_send_id": answer["send_id"]}).run().ok()
    assert sum(progress["messages"].values()) == 1


def test_the_existing_functions_queue_with_the_secret_key(studio: Studio) -> None:
    server = studio.stack.service()
    row = {"p_org_id": studio.id, "p_client_id": studio.client_id, "p_body": "Tomorrow", "p_scheduled_for": None}
    row |= {"p_related_entity_type": None, "p_related_entity_id": None, "p_idempotency_key": str(uuid.uuid4())}
    assert uuid.UUID(server.rpc("insert_sms_direct", row).run().ok())
    assert server.rpc("insert_sms_direct", row).run().ok() is None
    asked = server.rpc("is_phone_suppressed", {"p_org_id": studio.id, "p_phone": "0400 000 000"})
    assert asked.run().ok() is False
    studio.coach.rpc("suppress_phone", {"p_client_id": studio.client_id}).run().ok()
    assert asked.run().ok() is True
    body = {"p_template_body": "Hi {client_name}", "p_variables": {"client_name": "Robin"}}
    assert server.rpc("render_sms_template", body).run().ok() == "Hi Robin"
    assert isinstance(server.rpc("queue_pending_sms", {}).run().ok(), int)
    assert studio.coach.rpc("insert_sms_direct", row).run().status == 403
