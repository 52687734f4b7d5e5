"""A browser app on another port: its preflights, its answers, and what it shows in a real Chromium."""

import json
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.clients.browser import Browser, browser
from tests.clients.conftest import Studio
from tests.clients.stack import PASSWORD, Stack

__all__ = ["browser"]

ORIGIN = "http://localhost:3000"
JS = Path(__file__).parent / "js"
SUPABASE_JS = Path(__file__).parents[2] / "node_modules/@supabase/supabase-js/dist/umd/supabase.js"
#: What supabase-js in a browser asks leave to send.
ASKED = "apikey,authorization,content-profile,content-type,prefer,x-client-info,x-supabase-api-version"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/v1/signup"),
        ("POST", "/auth/v1/token?grant_type=password"),
        ("GET", "/auth/v1/user"),
        ("POST", "/rest/v1/rpc/use_session"),
        ("GET", "/rest/v1/org_members?select=org_id"),
        ("PATCH", "/rest/v1/bookings?id=eq.1"),
        ("DELETE", "/rest/v1/offers?id=eq.1"),
    ],
)
def test_a_preflight_is_granted(stack: Stack, method: str, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": ASKED}
    answer = httpx.options(stack.url + path, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] in ("*", ORIGIN)
    assert method in re.split(r",\s*", answer.headers["access-control-allow-methods"])
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert allowed == "*" or set(ASKED.split(",")) <= set(re.split(r",\s*", allowed))


def test_answers_and_refusals_may_be_read(stack: Stack, kilo: Studio) -> None:
    key = stack.state.publishable_key
    headers = {"Origin": ORIGIN, "apikey": key, "Authorization": f"Bearer {stack.token(kilo.coach)}"}
    credentials = {"email": kilo.coach.email, "password": PASSWORD}
    wrong = {**credentials, "password": "wrong"}
    with httpx.Client(base_url=stack.url, headers=headers) as browser:
        answers = [
            browser.post("/rest/v1/rpc/use_session", json={"p_purchase_id": kilo.sell()}),
            browser.post("/rest/v1/rpc/use_session", json={"p_purchase_id": kilo.id}),
            browser.get("/rest/v1/clients", headers={"Authorization": f"Bearer {key}"}),
            browser.post("/auth/v1/token?grant_type=password", json=credentials),
            browser.post("/auth/v1/token?grant_type=password", json=wrong),
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 401, 200, 400]
    assert all(answer.headers["access-control-allow-origin"] in ("*", ORIGIN) for answer in answers)


class _Pages(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing: the tests' output is not its place."""


@pytest.fixture
def other_port(tmp_path: Path) -> Iterator[str]:
    """A static site on a port of its own, with the pages and supabase-js."""
    for file in (JS / "page.html", JS / "coach.html", SUPABASE_JS):
        shutil.copy(file, tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def _address(stack: Stack, site: str, page: str, **query: object) -> str:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"{site}/{page}?url={stack.url}&key={stack.state.publishable_key}{more}"


def test_a_real_browser_signs_up_and_uses_a_session(stack: Stack, other_port: str, browser: Browser) -> None:
    browser.goto(_address(stack, other_port, "page.html"))
    browser.shows("#result", "{")
    result = json.loads(browser.textContent("#result"))
    assert result == {"taken": True, "again": True, "used": 1, "released": 0}


def test_a_coach_sees_which_section_failed_and_what_is_booked(stack: Stack, other_port: str, browser: Browser) -> None:
    browser.goto(_address(stack, other_port, "coach.html", poll=500))
    browser.fill("[name=business]", "Kilo")
    browser.fill("[name=email]", f"{uuid.uuid4().hex}@example.com")
    browser.fill("[name=password]", PASSWORD)
    browser.click("#sign-up button")
    browser.waitForSelector("#add-client")
    browser.fill("[name=full_name]", "Robin Tanaka")
    with _broken(stack, "client_packages"):
        browser.click("#add-client button")
        browser.shows("[data-section=packages][data-status=failed]", "Could not be loaded (section_failed).")
        browser.shows("[data-section=profile][data-status=ok]", "Robin Tanaka")
        assert browser.count("[data-status=failed]") == 1
        assert browser.keep("1-a-section-failed").stat().st_size > 10_000
    browser.click("[data-section=packages] button")
    browser.shows("[data-section=packages][data-status=ok]", "sessions_left")
    assert browser.count("[data-status=failed]") == 0
    browser.keep("2-after-the-retry")

    client_id = browser.getAttribute("#client", "data-id")
    booking = stack.owner.execute(_BOOK_AT_NOON, [client_id]).fetchone()
    assert booking is not None
    browser.shows(f"[data-booking='{booking['id']}']", "confirmed")
    browser.keep("3-the-calendar")
    stack.owner.execute("delete from public.bookings where id = %s", [booking["id"]])
    browser.waitForSelector(f"[data-booking='{booking['id']}']", {"state": "detached"})
    assert int(browser.textContent("#polls")) >= 2
    assert browser.textContent("#error") == ""
    assert browser.errors() == []


_BOOK_AT_NOON = """
insert into public.bookings (org_id, client_id, start_time, end_time)
select c.org_id, c.id, t.at, t.at + interval '1 hour'
  from public.clients as c
 cross join lateral private.local_to_instant(c.org_id, private.org_today(c.org_id), '12:00') as t (at)
 where c.id = %s
returning id
"""


@contextmanager
def _broken(stack: Stack, section: str) -> Iterator[None]:
    """A section's function is away, as after a migration that went half-way."""
    signature = f"private.{section}(uuid, uuid, timestamptz)"
    stack.owner.execute(f"alter function {signature} rename to {section}_away".encode())
    try:
        yield
    finally:
        stack.owner.execute(
            f"alter function {signature.replace(section, section + '_away')} rename to {section}".encode()
        )
