"""Development's front: one origin before the Data API and Auth, for browser apps on another port."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp
from tests.harness import lacking
from tests.harness.data_api import running_data_api
from tests.harness.database import Database
from tests.http.conftest import Ask, ScriptedDatabase, serving, settings_with

from coach_os.app import MAX_FRONT_BODY_BYTES, create_app
from coach_os.errors import Fault
from coach_os.front import upstream_of
from coach_os.stack.ports import free_port

ORIGIN = "http://localhost:3000"
# What supabase-js in a browser sends with each request, and asks leave for before.
BROWSER_HEADERS = "apikey,authorization,content-profile,content-type,prefer,x-client-info,x-supabase-api-version"


async def echo(request: Request) -> Response:
    body = await request.body()
    answer = {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode()] for name, value in request.headers.raw],
        "length": len(body),
    }
    headers = {
        "access-control-allow-origin": "https://elsewhere.example",
        "content-range": "0-1/2",
        "connection": "x-private",
        "x-private": "1",
        "keep-alive": "timeout=5",
    }
    response = JSONResponse(answer, int(request.headers.get("x-answer", 200)), headers)
    response.raw_headers += [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    return response


async def drip(request: Request) -> Response:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"{number}\n".encode()
            await asyncio.sleep(0.05)

    return StreamingResponse(lines())


async def break_off(request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError

    return StreamingResponse(body())


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """The application behind a real server; its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """An upstream that says what it was asked."""
    methods = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]
    routes = [
        Route("/rest/v1/drip", drip),
        Route("/rest/v1/break", break_off),
        Route("/{path:path}", echo, methods=methods),
    ]
    with running(Starlette(routes=routes)) as address:
        yield address


def ask(act: Ask, upstream: str, **settings: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        given = {"data_api_url": upstream, "database_url": "postgresql://postgres@127.0.0.1/postgres", **settings}
        async with serving(settings_with(**given), ScriptedDatabase({})) as client:
            return await act(client)

    return asyncio.run(once())


def send(method: str, path: str, **options: Any) -> Ask:
    return lambda client: client.request(method, path, **options)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/rest/v1/clients", "/auth/v1/token", "/rest/v1/rpc/use_session", "/rest/v1/"])
def test_a_request_arrives_as_it_was_sent(upstream: str, method: str, path: str) -> None:
    query = "select=id,name:full_name&or=(a.eq.1,b.like.*%25x)&grant_type=password"
    headers = {
        "apikey": "sb_publishable_x",
        "prefer": "return=representation",
        "x-private": "1",
        "connection": "x-private",
    }
    response = ask(send(method, f"{path}?{query}", headers=headers, content=b"\x00" * 100_000), upstream)
    seen = response.json()
    assert (seen["method"], seen["path"], seen["query"], seen["length"]) == (method, path, query, 100_000)
    arrived = dict(seen["headers"])
    assert (arrived["apikey"], arrived["prefer"]) == ("sb_publishable_x", "return=representation")
    assert arrived["content-length"] == "100000"
    assert arrived["host"] == upstream.removeprefix("http://")
    assert "x-private" not in arrived


def test_a_path_is_passed_on_byte_for_byte(upstream: str) -> None:
    seen = ask(send("GET", "/rest/v1/a%2Fb%20c%C3%A9"), upstream).json()
    assert seen["path"] == "/rest/v1/a%2Fb%20c%C3%A9"


@pytest.mark.parametrize("status", [200, 201, 204, 206, 300, 401, 404, 409, 500])
def test_an_answer_returns_as_it_was_given(upstream: str, status: int) -> None:
    response = ask(send("GET", "/rest/v1/clients", headers={"x-answer": str(status)}), upstream)
    assert response.status_code == status
    assert response.headers["content-range"] == "0-1/2"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    for dropped in ("x-private", "keep-alive", "connection"):
        assert dropped not in response.headers


def test_an_answer_streams(upstream: str) -> None:
    assert ask(send("GET", "/rest/v1/drip"), upstream).text == "0\n1\n2\n"


@pytest.mark.parametrize("path", ["/auth/v1/signup", "/auth/v1/token", "/rest/v1/rpc/use_session", "/rest/v1/clients"])
def test_a_browser_s_preflight_is_granted(upstream: str, path: str) -> None:
    headers = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": BROWSER_HEADERS,
    }
    response = ask(send("OPTIONS", path, headers=headers), upstream)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "*"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert set(response.headers["access-control-allow-headers"].split(",")) >= set(BROWSER_HEADERS.split(","))


def test_a_browser_may_read_the_answer_and_its_count(upstream: str) -> None:
    response = ask(send("GET", "/rest/v1/clients", headers={"origin": ORIGIN}), upstream)
    assert response.headers.get_list("access-control-allow-origin") == ["*"]
    assert "Content-Range" in response.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in response.headers


def test_only_the_named_origins_where_the_settings_name_some(upstream: str) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://elsewhere.example", None)):
        response = ask(send("GET", "/auth/v1/user", headers={"origin": origin}), upstream, cors_origins=ORIGIN)
        assert response.headers.get("access-control-allow-origin") == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/rest/v1",
        "/rest/v1x/clients",
        "/reload",
        "/rest/v1/..%2F..%2Freload",
        "/auth/v1/%2e%2e/reload",
        "/storage/v1/x",
    ],
)
def test_nothing_beside_the_two_apis_is_reached(upstream: str, path: str) -> None:
    response = ask(send("GET", path), upstream)
    assert (response.status_code, response.json()["slug"]) == (404, "route_not_found")


def test_an_upstream_that_is_down_is_said_so() -> None:
    response = ask(send("POST", "/rest/v1/rpc/use_session", json={}), f"http://127.0.0.1:{free_port()}")
    assert (response.status_code, response.json()["slug"]) == (503, "data_api_unavailable")


def test_an_answer_that_breaks_off_is_not_passed_on_as_whole(upstream: str) -> None:
    settings = settings_with(data_api_url=upstream, database_url="postgresql://postgres@127.0.0.1/postgres")
    with (
        running(create_app(settings, ScriptedDatabase({}))) as address,
        pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
    ):
        httpx.get(f"{address}/rest/v1/break")


def test_a_body_that_never_ends_is_cut_off(upstream: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_FRONT_BODY_BYTES // 1_000_000 + 2):
            yield b"x" * 1_000_000

    response = ask(send("POST", "/rest/v1/clients", content=endless()), upstream)
    assert (response.status_code, response.json()["slug"]) == (413, "request_too_large")


def test_without_the_setting_there_is_no_front() -> None:
    assert upstream_of(settings_with(database_url="postgresql://u@db.kilo.example/x")) is None


@pytest.mark.parametrize(
    ("data_api", "database"),
    [
        ("https://project.supabase.example", "postgresql://u@127.0.0.1/x"),
        ("http://10.0.0.5:54321", "postgresql://u@127.0.0.1/x"),
        ("http://127.0.0.1.kilo.example", "postgresql://u@127.0.0.1/x"),
        ("http://127.0.0.1:54321", "postgresql://u@db.kilo.example/x"),
        ("http://127.0.0.1:54321", None),
        ("nonsense", "postgresql://u@127.0.0.1/x"),
        ("http://[", "postgresql://u@127.0.0.1/x"),
    ],
)
def test_a_front_where_it_could_be_exposed_refuses_to_start(data_api: str, database: str | None) -> None:
    given = {"data_api_url": data_api} | ({"database_url": database} if database else {})
    with pytest.raises(Fault) as caught:
        upstream_of(settings_with(**given))
    assert caught.value.slug == "front_misplaced"


def test_the_real_data_api_and_auth_serve_a_browser_through_it(bare_db: Database, tmp_path: Path) -> None:
    lacking.node()
    bare_db.owner.rows("create table public.notes (id integer primary key, body text not null)")
    bare_db.owner.rows("grant select, insert on public.notes to authenticated")
    with running_data_api(bare_db, tmp_path) as state:

        async def visit() -> list[httpx.Response]:
            settings = settings_with(data_api_url=state.data_api_url, database_url=bare_db.url)
            async with serving(settings, ScriptedDatabase({})) as client:
                client.headers.update(
                    {
                        "origin": ORIGIN,
                        "apikey": state.publishable_key,
                        "x-client-info": "supabase-js-web/2",
                    }
                )
                account = {"email": "coach@kilo.example", "password": "correct horse battery"}
                signed_up = await client.post("/auth/v1/signup", json=account)
                signed_in = await client.post("/auth/v1/token?grant_type=password", json=account)
                client.headers["authorization"] = f"Bearer {signed_in.json()['access_token']}"
                note = {"id": 1, "body": "gr\u00fcezi"}
                inserted = await client.post("/rest/v1/notes", json=note, headers={"prefer": "return=representation"})
                counted = await client.get("/rest/v1/notes?select=*", headers={"prefer": "count=exact"})
                del client.headers["authorization"]
                refused = await client.get("/rest/v1/notes?select=*")
                return [signed_up, signed_in, inserted, counted, refused]

        signed_up, signed_in, inserted, counted, refused = asyncio.run(visit())
    assert (signed_up.status_code, signed_in.status_code, inserted.status_code) == (200, 200, 201)
    assert counted.json() == [{"id": 1, "body": "gr\u00fcezi"}]
    assert counted.headers["content-range"] == "0-0/1"
    assert refused.status_code == 401
    for response in (signed_up, signed_in, inserted, counted, refused):
        assert response.headers["access-control-allow-origin"] == "*"
        assert "Content-Range" in response.headers["access-control-expose-headers"]
    assert json.loads(refused.text)["code"] == "42501"
