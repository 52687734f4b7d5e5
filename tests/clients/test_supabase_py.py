"""supabase-py against the running stack: the same doors, shapes and refusals as supabase-js."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from postgrest import APIError, CountMethod
from supabase import Client, ClientOptions, create_client

from tests.clients.conftest import Studio
from tests.clients.stack import Stack

Connect = Callable[..., Client]


def rows(answer: Any) -> list[dict[str, Any]]:
    """The rows of an answer."""
    found: list[dict[str, Any]] = answer.data
    return found


@pytest.fixture(scope="module")
def connect(stack: Stack) -> Iterator[Connect]:
    """Makes clients; with a token one is signed in as whoever the token is for."""
    with httpx.Client() as http:

        def connect(key: str, token: str | None = None, schema: str = "public") -> Client:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            options = ClientOptions(schema=schema, headers=headers, auto_refresh_token=False, httpx_client=http)
            return create_client(stack.url, key, options)

        yield connect


@pytest.fixture(scope="module")
def coach(connect: Connect, stack: Stack, kilo: Studio) -> Client:
    return connect(stack.state.publishable_key, stack.token(kilo.coach))


def test_rows_are_read_and_written(coach: Client, kilo: Studio) -> None:
    member = coach.table("org_members").select("org_id, orgs(name)").eq("user_id", kilo.coach.id).single().execute()
    assert member.data == {"org_id": kilo.id, "orgs": {"name": "Kilo"}}
    row = {"org_id": kilo.id, "full_name": "Sam Python"}
    made = rows(coach.table("clients").insert(row).execute())[0]
    changed = rows(coach.table("clients").update({"notes": "Knee"}).eq("id", made["id"]).execute())[0]
    assert (changed["full_name"], changed["notes"]) == ("Sam Python", "Knee")
    found = (
        coach.table("clients")
        .select("id", count=CountMethod.exact)
        .eq("org_id", kilo.id)
        .eq("id", made["id"])
        .execute()
    )
    assert found.count == 1


def test_a_session_is_taken_and_given_back(coach: Client, kilo: Studio) -> None:
    package = kilo.sell(used=2)

    def call(function: str) -> object:
        arguments = {"p_purchase_id": package, "p_request_id": str(uuid.uuid4())}
        return coach.rpc(function, arguments).execute().data

    assert [call("use_session"), call("use_session")] == [True, False]
    assert [call("release_session") for _ in range(4)] == [2, 1, 0, -1]
    assert coach.rpc("bookable_sessions_remaining", {"p_purchase_id": package}).execute().data == 3


def test_a_refusal_carries_status_slug_and_hint(coach: Client, kilo: Studio) -> None:
    booking = kilo.book(kilo.sell(), ended=True)
    complete = coach.table("bookings").update({"status": "completed"}).eq("id", booking)
    complete.execute()
    with pytest.raises(APIError) as refused:
        complete.execute()
    error = refused.value
    assert (error.code, error.details, error.hint) == ("PT409", "booking_not_confirmed", "Reload the calendar.")


def test_another_organisations_package_does_not_exist(coach: Client, lima: Studio) -> None:
    with pytest.raises(APIError) as refused:
        coach.rpc("use_session", {"p_purchase_id": lima.sell()}).execute()
    assert (refused.value.code, refused.value.details) == ("PT404", "purchase_not_found")


def test_a_visitor_is_refused(connect: Connect, stack: Stack) -> None:
    visitor = connect(stack.state.publishable_key)
    with pytest.raises(APIError) as refused:
        visitor.table("clients").select("id").execute()
    assert refused.value.code == "42501"


def test_the_secret_key_reaches_the_service_schema(connect: Connect, stack: Stack, kilo: Studio) -> None:
    service = connect(stack.state.secret_key, schema="service")
    orgs = rows(service.rpc("list_orgs", {"p_search": "kilo"}).execute())
    assert kilo.id in [org["org_id"] for org in orgs]
