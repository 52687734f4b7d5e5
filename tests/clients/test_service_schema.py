"""The schema `service`: open to the secret key, shut to everybody an app can be."""

import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import Stack


def test_the_secret_key_calls_what_operators_call(stack: Stack, kilo: Studio) -> None:
    service = stack.service("service")
    package = kilo.sell()
    taken = service.rpc("use_session", {"p_purchase_id": package}).run()
    assert (taken.status, taken.ok()) == (200, True)
    (entry,) = service.rpc("list_session_entries", {"p_purchase_id": package}).run().ok()
    assert (entry["kind"], entry["used_delta"], entry["actor_id"]) == ("use", 1, None)
    assert service.rpc("health").run().ok()["database"] == "ok"


def test_an_overdue_booking_is_swept_through_it(stack: Stack, kilo: Studio) -> None:
    package = kilo.sell()
    booking = kilo.book(package, ended=True)
    (swept,) = stack.service("service").rpc("sweep_overdue_bookings").run().ok()
    assert swept["completed"] >= 1
    row = kilo.coach.from_("bookings").select("status, settlement").eq("id", booking).single().run().ok()
    assert row == {"status": "completed", "settlement": "charged"}


@pytest.mark.parametrize("signed_in", [False, True], ids=["visitor", "coach"])
def test_nobody_else_calls_it(stack: Stack, kilo: Studio, signed_in: bool) -> None:
    headers = {"Authorization": f"Bearer {stack.token(kilo.coach)}"} if signed_in else {}
    client = stack.open(schema="service", headers=headers)
    names = stack.owner.execute(
        "select proname as name from pg_proc"
        " where pronamespace = 'service'::regnamespace and pronargs = pronargdefaults"
    ).fetchall()
    assert names
    for row in names:
        refused = client.rpc(row["name"]).run()
        assert refused.error, row["name"]
        assert refused.status in (401, 403, 404), row["name"]


def test_private_is_no_schema_of_the_api(stack: Stack) -> None:
    refused = stack.service("private").rpc("active_org_id").run()
    assert refused.status == 406
