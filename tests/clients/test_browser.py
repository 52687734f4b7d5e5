"""A browser app on another port: its preflights, its answers, and a real Chromium where there is one."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Studio
from tests.clients.stack import PASSWORD, Stack

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
    """A static site on a port of its own, with the page and supabase-js."""
    for file in (JS / "page.html", SUPABASE_JS):
        shutil.copy(file, tmp_path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_real_browser_signs_up_and_uses_a_session(stack: Stack, other_port: str) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if browser is None:
        # On CI too: a browser comes from the system's packages, which nothing of ours installs.
        pytest.skip("no Chromium or Chrome on this machine")
    address = f"{other_port}/page.html?url={stack.url}&key={stack.state.publishable_key}"
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--timeout=20000"]
    shown = subprocess.run(
        [browser, *arguments, "--virtual-time-budget=15000", "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=60,
    )
    result = re.search(r'<pre id="result">(.*?)</pre>', shown.stdout, re.DOTALL)
    assert result, shown.stderr[-2000:]
    assert json.loads(unescape(result[1])) == {"taken": True, "again": True, "used": 1, "released": 0}
