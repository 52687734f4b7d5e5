"""The routes: who may call them, what they answer, and what never leaves."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.http.conftest import SECRET, Ask, ScriptedDatabase, serving, settings_with

from coach_os.app import MAX_BODY_BYTES
from coach_os.errors import Fault, Refusal, Unavailable
from coach_os.stack.migrations import read_migrations
from coach_os.sweeps import SWEEPS
from coach_os.sweeps.runner import InBatches

NEWEST = max(migration.version for migration in read_migrations())

SWEPT = {
    # What the database sweeps alone, each with nothing to do.
    **{sweep.run.function: [{"done": 0}] for sweep in SWEEPS.values() if isinstance(sweep.run, InBatches)},
    "service.start_job_run": str(UUID(int=1)),
    "service.finish_job_run": None,
    "service.sweep_overdue_bookings": [{"completed": 0, "charged": 0, "uncovered": 0, "skipped": 0}],
    "service.sweep_expired_holds": [{"expired": 0, "offered": 0}],
    "service.sweep_waivers": [{"expired": 0, "cancelled": 0}],
    "service.sweep_stripe_events": [{"settled": 0}],
    "service.sweep_reminders": [{"queued": 0, "skipped": 0}],
}


def ask(act: Ask, answers: dict[str, Any] | None = None, **settings: Any) -> httpx.Response:
    async def once() -> httpx.Response:
        async with serving(settings_with(**settings), ScriptedDatabase(answers or {})) as client:
            return await act(client)

    return asyncio.run(once())


def cron(sweep: str = "bookings", secret: str | None = SECRET, **options: Any) -> Ask:
    headers = options.pop("headers", {}) | ({"authorization": f"Bearer {secret}"} if secret is not None else {})
    return lambda client: client.post(f"/functions/v1/cron-{sweep}", headers=headers, **options)


def get(path: str, headers: dict[str, Any] | None = None) -> Ask:
    return lambda client: client.get(path, headers=headers)


def problem(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert body.keys() == {"error", "slug", "hint"}
    assert body["error"].endswith(".")
    return response.status_code, body["slug"]


def test_the_process_is_alive_whatever_the_database_does() -> None:
    response = ask(get("/healthz"), {"service.health": Unavailable()})
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


@pytest.mark.parametrize("version", [NEWEST, "99999999999999"])
def test_ready_means_every_migration_of_this_version(version: str) -> None:
    response = ask(get("/readyz"), {"service.health": {"migration": version}})
    assert response.json() == {"status": "ready", "migration": version}


@pytest.mark.parametrize(
    ("health", "slug"),
    [
        ({"migration": "20200101000000"}, "migrations_pending"),
        ({"migration": None}, "migrations_pending"),
        (Fault("function_missing"), "migrations_pending"),
        (Unavailable(), "database_unavailable"),
    ],
)
def test_not_ready_says_why(health: Any, slug: str) -> None:
    response = ask(get("/readyz"), {"service.health": health})
    assert problem(response) == (503, slug)
    assert response.headers["retry-after"] == "5"


def test_a_sweep_runs_for_who_has_the_secret() -> None:
    response = ask(cron(), SWEPT, cron_secret=SECRET)
    assert response.status_code == 200
    assert response.json()["success"] is True
    (run,) = response.json()["runs"]
    assert run["sweep"] == "bookings"
    assert run["run_id"] == str(UUID(int=1))
    assert (run["completed"], run["is_complete"]) == (0, True)


def test_all_sweeps_run_by_one_name_and_a_failure_is_told() -> None:
    assert ask(cron("all"), SWEPT, cron_secret=SECRET).json()["success"] is True
    broken = SWEPT | {"service.sweep_overdue_bookings": Unavailable()}
    answer = ask(cron("all"), broken, cron_secret=SECRET).json()
    assert answer["success"] is False
    assert {run["sweep"]: run["error"] for run in answer["runs"]} == {
        name: "database_unavailable" if name == "bookings" else None for name in SWEEPS
    }


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {SECRET[:-1]}x"},
        {"authorization": f"Bearer {SECRET}x"},
        {"authorization": f"Bearer {SECRET[:4]}"},
        {"authorization": "Bearer " + "x" * 60_000},
        {"authorization": f"Basic {SECRET}"},
        {"authorization": SECRET},
        {"authorization": "Bearer f\u00fcr"},
        {"apikey": SECRET},
    ],
)
def test_a_wrong_or_missing_secret_is_401_and_touches_nothing(headers: dict[str, str]) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    response = ask(cron(secret=None, headers=encoded), {}, cron_secret=SECRET)
    assert problem(response) == (401, "cron_secret_wrong")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("secret", [None, "", SECRET, "None", "null"])
def test_without_a_setting_every_cron_call_is_refused(secret: str | None) -> None:
    assert problem(ask(cron(secret=secret))) == (403, "cron_disabled")
    assert problem(ask(cron(secret=secret), cron_secret="")) == (403, "cron_disabled")


@pytest.mark.parametrize("sweep", ["nothing", "BOOKINGS", "bookings%20", "bookings;", "b" * 5000])
def test_an_unknown_sweep_is_404(sweep: str) -> None:
    assert problem(ask(cron(sweep), cron_secret=SECRET)) == (404, "sweep_unknown")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=1e9", "dry_run=perhaps", f"limit={10**30}x"]
)
def test_a_malformed_option_is_422_and_is_not_repeated_back(query: str) -> None:
    response = ask(cron(params=query), SWEPT, cron_secret=SECRET)
    assert problem(response) == (422, "request_invalid")
    assert query.split("=")[1] not in response.json()["hint"]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Unavailable(), 503, "database_unavailable"),
        (Refusal(423, "sweeps_paused", "Sweeps are paused."), 423, "sweeps_paused"),
        (Fault("function_missing"), 500, "function_missing"),
        (RuntimeError("Failing row contains (someone@example.com)"), 500, "internal_error"),
    ],
)
def test_an_error_leaves_in_one_form_and_without_a_trace(error: Exception, status: int, slug: str) -> None:
    answers = SWEPT | {"service.sweep_overdue_bookings": error}
    response = ask(cron(), answers, cron_secret=SECRET)
    assert problem(response) == (status, slug)
    for leak in ("Traceback", "someone", "RuntimeError", ".py", SECRET):
        assert leak not in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nothing",
        "/healthz/",
        "/healthz/x",
        "/functions/v1/",
        "/functions/v1/other",
        "/rest/v1/clients",
        "/auth/v1/user",
        "/%00",
        "/..%2f..%2fetc/passwd",
        "/" + "x" * 8000,
        "/redoc",
    ],
)
def test_an_unknown_path_is_404_in_json(path: str) -> None:
    assert problem(ask(get(path))) == (404, "route_not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405(method: str) -> None:
    response = ask(lambda client: client.request(method, "/functions/v1/cron-bookings"), cron_secret=SECRET)
    assert problem(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_a_huge_body_is_refused_by_its_announced_length() -> None:
    response = ask(cron(content=b"x" * (MAX_BODY_BYTES + 1)), SWEPT, cron_secret=SECRET)
    assert problem(response) == (413, "request_too_large")


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30, "\u0663"])
def test_an_absurd_length_is_refused(length: str) -> None:
    response = ask(cron(headers={"content-length": length.encode()}), SWEPT, cron_secret=SECRET)
    assert problem(response) == (413, "request_too_large")


def test_a_body_is_no_matter_where_none_is_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b"x" * 65_536

    assert ask(cron(content=endless()), SWEPT, cron_secret=SECRET).status_code == 200


def test_every_answer_carries_what_browsers_heed() -> None:
    for act in (get("/healthz"), get("/nothing"), cron()):
        headers = ask(act).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_a_request_id_is_taken_over_if_it_is_one() -> None:
    given = str(uuid4())
    for sent, is_taken in ((given, True), ("x", False), ("a" * 36, False), (f"{given}\u00e9", False)):
        headers = {"x-request-id": sent.encode()}
        answered = ask(get("/healthz", headers)).headers["x-request-id"]
        assert (answered == sent) is is_taken
        UUID(answered)


def test_the_log_names_routes_and_nothing_that_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ("jo@kilo.example", "0412345678", "hunter2", SECRET, str(UUID(int=7)))
    headers = {"referer": "https://kilo.example/?email=jo@kilo.example", "user-agent": "jo@kilo.example"}
    ask(
        cron(params=f"email=jo@kilo.example&token=hunter2&limit={UUID(int=7)}", headers=headers),
        SWEPT,
        cron_secret=SECRET,
    )
    ask(lambda client: client.get(f"/clients/{UUID(int=7)}?phone=0412345678"), SWEPT)
    ask(cron(), SWEPT | {"service.sweep_overdue_bookings": RuntimeError("jo@kilo.example")}, cron_secret=SECRET)
    log = capsys.readouterr().err
    lines = [json.loads(line) for line in log.splitlines()]
    routes = [line["route"] for line in lines if line["event"] == "request_finished"]
    assert routes == ["/functions/v1/cron-{sweep}", "unknown", "/functions/v1/cron-{sweep}"]
    assert all(line["request_id"] for line in lines)
    for secret in secrets:
        assert secret not in log


def test_the_api_is_documented() -> None:
    document = ask(get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert {path for path in document["paths"] if not path.startswith("/api/")} == {
        *("/healthz", "/readyz", "/metrics", "/functions/v1/cron-{sweep}"),
        *("/functions/v1/sms-inbound", "/functions/v1/twilio-webhook", "/functions/v1/sms-send"),
        *("/functions/v1/push-dispatch", "/functions/v1/stripe-webhook", "/functions/v1/inquiry-capture"),
        *("/functions/v1/cron-automations", "/functions/v1/cron-risk-score"),
    }
    # The contract's paths: the existing pages call them by these names.
    assert set(document["paths"]) >= {
        *("/api/portal/validate", "/api/portal/available-dates", "/api/portal/available-slots"),
        *("/api/portal/create-booking", "/api/portal/cancel-booking", "/api/portal/checkout"),
        *("/api/public/available-dates", "/api/public/available-slots", "/api/calendar/{booking_id}"),
        *("/api/sms-inbound", "/api/sms/webhook", "/api/send-sms", "/api/portal/send-link"),
        *("/api/messages/unread-count", "/api/messages/send-push", "/api/marketing/send-sms"),
        *("/api/send-waiver", "/api/send-onboarding", "/api/onboard/notify-coach"),
    }
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        (schema,) = operation["responses"]["200"]["content"].values()
        assert schema["schema"]
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
    assert document["components"]["securitySchemes"]["CRON_SECRET"]["scheme"] == "bearer"
    page = ask(get("/docs"))
    assert page.status_code == 200
    assert "script-src https:" in page.headers["content-security-policy"]


def test_no_browser_of_another_origin_is_let_in_unless_the_settings_say_so() -> None:
    headers = {"origin": "https://app.kilo.example"}
    closed = ask(get("/healthz", headers))
    assert "access-control-allow-origin" not in closed.headers
    opened = ask(get("/healthz", headers), cors_origins="https://app.kilo.example")
    assert opened.headers["access-control-allow-origin"] == "https://app.kilo.example"
