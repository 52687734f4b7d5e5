"""A client's way in over HTTP: the lead form of any website, and what a page tells the coach."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from tests.harness.world import World
from tests.http.pages import Pages, Studio, open_studio, problem, refusing_forms, visiting

CAPTURE = "/functions/v1/inquiry-capture"


@pytest.fixture
def studio(world: World) -> Studio:
    return open_studio(world.kilo)


@pytest.fixture
def pages(studio: Studio) -> Iterator[Pages]:
    with visiting(studio) as opened:
        yield opened


@pytest.fixture
def forms() -> Iterator[Pages]:
    with refusing_forms() as opened:
        yield opened


def ask(pages: Pages, **form: Any) -> Any:
    return pages.send("POST", CAPTURE, json={"org_slug": "kilo", "name": "Ann", **form})


def test_a_question_is_taken_in_and_the_next_one_is_known(pages: Pages, studio: Studio) -> None:
    first = ask(pages, email="ann@example.com", phone="", message="How much?", source="website")
    assert (first.status_code, first.json()["success"]) == (201, True)
    again = ask(pages, email="ANN@example.com", message="And when?")
    assert (again.status_code, again.json()["inquiry_id"]) == (200, first.json()["inquiry_id"])
    assert studio.db.owner.value("select count(*) from public.inquiries") == 1


def test_what_is_no_question_is_refused(pages: Pages) -> None:
    assert problem(ask(pages, email="ann@example.com", org_slug="nobody")) == (404, "page_not_found")
    assert problem(ask(pages)) == (400, "value_not_allowed")
    assert problem(ask(pages, email="no email")) == (400, "value_not_allowed")
    assert problem(ask(pages, email="a@example.com", name="a\u0000b"))[0] == 400
    assert problem(pages.send("GET", CAPTURE)) == (405, "method_not_allowed")
    assert problem(pages.send("POST", CAPTURE, content=b"{")) == (400, "request_invalid")


def test_who_asks_on_and_on_is_asked_to_wait(pages: Pages, studio: Studio) -> None:
    for n in range(10):
        assert ask(pages, email=f"bot{n}@example.com").status_code == 201
    assert problem(ask(pages, email="bot@example.com")) == (429, "rate_limited")
    with visiting(studio, address="203.0.113.99") as others:
        assert ask(others, email="person@example.com").status_code == 201


@pytest.mark.parametrize("origins", ["", "https://app.example"])
def test_any_website_may_post_the_form_and_no_other_address(studio: Studio, origins: str) -> None:
    asked = {"Origin": "https://studio.example", "Access-Control-Request-Method": "POST"}
    with visiting(studio, cors_origins=origins) as pages:
        allowed = pages.send("OPTIONS", CAPTURE, headers=asked)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
        refused = pages.send("POST", CAPTURE, headers={"Origin": "https://studio.example"}, json={})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, "*")
        elsewhere = pages.send("OPTIONS", "/api/public/book", headers=asked)
        assert "access-control-allow-origin" not in elsewhere.headers


def test_the_coach_is_told_of_what_has_just_happened_alone(pages: Pages, studio: Studio) -> None:
    def tell(**ids: Any) -> Any:
        form = {"client_id": str(studio.org.client_id), "org_id": str(studio.org.id), **ids}
        return pages.send("POST", "/api/onboard/notify-coach", json=form)

    assert tell().json() == {"notified": False, "reason": "not_onboarded"}
    studio.db.owner.rows(
        "update public.clients set onboarding_completed_at = now() where id = %s", (studio.org.client_id,)
    )
    assert tell().json() == {"notified": False, "reason": "no_phone"}
    studio.set(notify_phone="+61400000009")
    assert [tell().json()["notified"] for _ in range(2)] == [True, True]
    assert studio.db.owner.value("select count(*) from public.outbox_messages where kind = 'coach_notice'") == 1
    assert tell(org_id=str(uuid4())).json()["notified"] is False


def test_a_form_without_ids_is_refused(forms: Pages) -> None:
    assert problem(forms.send("POST", "/api/onboard/notify-coach", json={"client_id": "x"})) == (400, "request_invalid")
