"""Every code that Postgres, PostgREST or a gateway can answer is a refusal, an outage or a defect."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_os.database import DataApiDatabase
from coach_os.database.calls import checked_result, error_for, function_named
from coach_os.errors import CoachError, Fault, Refusal, Unavailable


@pytest.mark.parametrize(
    ("code", "kind", "status", "slug"),
    [
        ("PT402", Refusal, 402, "slug_here"),
        ("PT429", Refusal, 429, "slug_here"),
        ("PT200", Fault, 500, "database_error"),
        ("PT4099", Fault, 500, "database_error"),
        ("08006", Unavailable, 503, "database_unavailable"),
        ("53300", Unavailable, 503, "database_unavailable"),
        ("57P01", Unavailable, 503, "database_unavailable"),
        ("57P03", Unavailable, 503, "database_unavailable"),
        ("PGRST000", Unavailable, 503, "database_unavailable"),
        ("PGRST003", Unavailable, 503, "database_unavailable"),
        ("57014", Unavailable, 503, "call_timed_out"),
        ("40P01", Refusal, 409, "write_conflict"),
        ("42883", Fault, 500, "function_missing"),
        ("PGRST202", Fault, 500, "function_missing"),
        ("PGRST203", Fault, 500, "function_missing"),
        ("PGRST106", Fault, 500, "function_missing"),
        ("42501", Fault, 500, "grant_missing"),
        ("28P01", Fault, 500, "key_refused"),
        ("PGRST301", Fault, 500, "key_refused"),
        ("22P02", Refusal, 400, "argument_invalid"),
        ("22012", Fault, 500, "database_error"),
        ("23505", Fault, 500, "database_error"),
        ("XX000", Fault, 500, "database_error"),
        (None, Fault, 500, "database_error"),
    ],
)
def test_a_code_has_one_meaning(code: str | None, kind: type[CoachError], status: int, slug: str) -> None:
    error = error_for(code, "Key (email)=(jo@kilo.example) already exists.", "slug_here", "")
    assert (type(error), error.status, error.slug) == (kind, status, slug)
    assert error.hint != ""
    if not (code or "").startswith("PT4"):
        assert "jo@" not in error.message


def test_a_malformed_argument_is_named_by_its_type_alone() -> None:
    error = error_for("22P02", 'invalid input syntax for type uuid: "jo@kilo.example"', None, None)
    assert error.message == "An argument is not a valid uuid."


@given(st.none() | st.text(max_size=8), st.none() | st.text(), st.none() | st.text(), st.none() | st.text())
def test_whatever_is_answered_becomes_one_of_ours(
    code: str | None, message: str | None, details: str | None, hint: str | None
) -> None:
    error = error_for(code, message, details, hint)
    assert 400 <= error.status <= 599
    assert error.slug
    assert error.message


@pytest.mark.parametrize(
    "result", [None, 1, [], {}, {"code": "PT429"}, {"code": 1, "message": 2, "details": 3, "x": 4}]
)
def test_a_result_that_is_no_refusal_is_given_as_it_is(result: object) -> None:
    assert checked_result(result) is result


@given(st.text())
def test_no_name_but_ours_is_taken(name: str) -> None:
    try:
        function = function_named(name)
    except ValueError:
        return
    assert str(function) == name
    assert function.schema in ("service", "public")
    assert function.name.replace("_", "").isalnum()
    assert function.name.isascii()


@pytest.mark.parametrize(
    ("status", "body", "kind", "slug"),
    [
        (200, b'"ok"', None, "ok"),
        (200, b"<html>Please sign in</html>", Unavailable, "database_unavailable"),
        (204, b"", None, None),
        (502, b"<html>Bad Gateway</html>", Unavailable, "database_unavailable"),
        (503, b"", Unavailable, "database_unavailable"),
        (522, b"error code: 522", Unavailable, "database_unavailable"),
        (500, b"oops", Fault, "database_error"),
        (401, b'{"message":"Invalid API key","hint":"Double check"}', Fault, "key_refused"),
        (401, b'{"message":"No API key found in request"}', Fault, "key_refused"),
        (401, b'{"code":"PGRST301","message":"JWT expired"}', Fault, "key_refused"),
        (404, b'{"code":"PGRST202","message":"Could not find the function"}', Fault, "function_missing"),
        (409, b'{"code":"PT409","message":"No.","details":"slug_here","hint":null}', Refusal, "slug_here"),
        (429, b'{"code":"PT429","message":"No.","details":"too_many","hint":null}', Refusal, "too_many"),
        (400, b'{"code":"P0001","message":"x","details":{"a":1},"hint":null}', Fault, "database_error"),
    ],
)
@pytest.mark.anyio
async def test_whatever_stands_before_the_database_is_understood(
    status: int, body: bytes, kind: type[CoachError] | None, slug: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        kind = "text/html" if body.startswith(b"<") else "application/json; charset=utf-8"
        return httpx.Response(status, content=body, headers={"content-type": kind}, request=request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer)
    async with DataApiDatabase("https://project.kilo.example", "sb_secret_x") as database:
        if kind is None:
            assert await database.rpc("service.health") == slug
            return
        with pytest.raises(kind) as caught:
            await database.rpc("service.health")
    assert caught.value.slug == slug


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
