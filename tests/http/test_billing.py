"""Checkout, the Billing Portal and the sweep that asks: the real SDK in front of a server of our own."""

import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import anyio
import httpx
import psycopg
import pytest
from tests.db.test_entitlements_model import new_org
from tests.harness.database import Caller, Database, refusal
from tests.harness.local_stripe import LocalStripe
from tests.http.conftest import serving, settings_with

from coach_os.app import create_app
from coach_os.database import open_database
from coach_os.errors import Refusal
from coach_os.sweeps import run_sweep


class Pages:
    """The pages that localstripe lacks: a customer for each key, a Checkout and a portal page for each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, dict[str, str]]] = []
        self._answers: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.pages = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, key: str | None, form: dict[str, str]) -> dict[str, str]:
        self.requests.append((path, key, form))
        number = len(self.requests)
        made = {"id": f"cus_{number}", "object": "customer"}
        if path.endswith("sessions"):
            made = {"id": f"cs_{number}", "object": "session", "url": f"https://stripe.example{path}/{number}"}
        return self._answers.setdefault(f"{path} {key}", made) if key else made

    def asked(self, path: str) -> list[dict[str, str]]:
        return [form for at, _, form in self.requests if at == path]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        pages: Pages = self.server.pages  # type: ignore[attr-defined]
        form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"] or 0)).decode()))
        body = json.dumps(pages.answer(self.path, self.headers.get("idempotency-key"), form)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class People:
    """The Data API's part: a token is a person's, and the database decides."""

    def __init__(self, callers: dict[str, Caller]) -> None:
        self._callers = callers
        self._lock = anyio.Lock()

    async def rpc(self, token: str, name: str, /, **params: Any) -> Any:
        try:
            # One connection is one call at a time.
            async with self._lock:
                return await anyio.to_thread.run_sync(lambda: self._callers[token].call(f"public.{name}", **params))
        except psycopg.Error as error:
            if (said := refusal(error)) is None:
                raise
            raise Refusal(said[0], said[1], "Refused.") from None

    async def org_id(self, token: str) -> str:
        return str(self._callers[token].value("select org_id from org_members"))

    async def close(self) -> None: ...


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as pages:
        yield pages


@pytest.fixture
def org_id(db: Database) -> UUID:
    db.owner.call("service.set_plan", p_plan="pro", p_name="Pro", p_price_cents=4900, p_stripe_price_id="price_pro")
    db.owner.call("service.set_plan", p_plan="own", p_name="Own", p_price_cents=1)
    db.owner.call("service.set_platform_setting", p_name="app_url", p_value="https://app.example.com")
    return new_org(db)


Asking = Callable[[httpx.AsyncClient], Awaitable[Any]]


def ask(db: Database, org_id: UUID, pages: Pages, asking: Asking, role: str = "owner") -> Any:
    """What a member's page gets from the service."""
    owner = db.owner.value("select user_id from public.org_members where org_id = %s", (org_id,))
    if role != "owner":
        caller = db.sign_up(f"{uuid4().hex[:8]}@studio.example")
        db.owner.insert("public.org_members", org_id=org_id, user_id=caller.user_id, role=role)
    else:
        caller = db.sign_in(owner)

    async def run() -> Any:
        settings = settings_with(database_url=db.url, stripe_secret_key="sk_test_x", stripe_api_url=pages.url)
        app = create_app(settings)
        app.state.person = People({"token": caller})
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"authorization": "Bearer token"}
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://service.test", headers=headers) as client,
        ):
            return await asking(client)

    return anyio.run(run)


def post(path: str, **form: Any) -> Asking:
    async def asking(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(f"/api/billing/{path}", json=form)

    return asking


def test_an_owner_is_led_to_checkout_as_the_organisations_one_customer(
    db: Database, org_id: UUID, pages: Pages
) -> None:
    async def from_tabs(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers: list[httpx.Response] = []

        async def tab() -> None:
            answers.append(await client.post("/api/billing/checkout", json={"plan": "pro"}))

        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(tab)
        return answers

    answers = ask(db, org_id, pages, from_tabs)
    assert {answer.status_code for answer in answers} == {200}
    forms = pages.asked("/v1/checkout/sessions")
    assert {form["customer"] for form in forms} == {
        db.owner.value("select stripe_customer_id from private.billing_customers where org_id = %s", (org_id,))
    }
    assert forms[0]["line_items[0][price]"] == "price_pro"
    assert forms[0]["mode"] == "subscription"
    assert forms[0]["subscription_data[metadata][org_id]"] == str(org_id)
    assert forms[0]["success_url"] == "https://app.example.com/settings/billing?checkout=success"


def test_the_same_click_opens_the_same_page(db: Database, org_id: UUID, pages: Pages) -> None:
    click = str(uuid4())
    first = ask(db, org_id, pages, post("checkout", plan="pro", request_id=click)).json()
    assert ask(db, org_id, pages, post("checkout", plan="pro", request_id=click)).json() == first
    assert ask(db, org_id, pages, post("checkout", plan="pro")).json() != first


def test_the_portal_is_for_who_subscribed(db: Database, org_id: UUID, pages: Pages) -> None:
    refused = ask(db, org_id, pages, post("portal"))
    assert (refused.status_code, refused.json()["slug"]) == (409, "not_a_customer")
    db.owner.call("service.link_billing_customer", p_org_id=org_id, p_customer_id="cus_own")
    opened = ask(db, org_id, pages, post("portal", return_path="/team"))
    assert opened.json()["url"].startswith("https://stripe.example/v1/billing_portal/sessions/")
    (form,) = pages.asked("/v1/billing_portal/sessions")
    assert form == {"customer": "cus_own", "return_url": "https://app.example.com/team"}


@pytest.mark.parametrize(
    ("form", "role", "status", "slug"),
    [
        ({"plan": "gold"}, "owner", 404, "plan_not_found"),
        ({"plan": "own"}, "owner", 409, "plan_not_sold"),
        ({"plan": "pro"}, "coach", 403, "permission_missing"),
        ({"plan": "pro", "org_id": str(UUID(int=1))}, "owner", 404, "org_not_found"),
        ({"plan": "pro", "return_path": "//evil.example"}, "owner", 422, "request_invalid"),
        ({"plan": "pro", "return_path": "https://evil.example"}, "owner", 422, "request_invalid"),
        ({}, "owner", 422, "request_invalid"),
    ],
)
def test_what_cannot_be_bought_makes_no_customer(
    db: Database, org_id: UUID, pages: Pages, form: dict[str, Any], role: str, status: int, slug: str
) -> None:
    answer = ask(db, org_id, pages, post("checkout", **form), role)
    assert (answer.status_code, answer.json()["slug"]) == (status, slug)
    assert pages.requests == []


def test_who_subscribes_already_is_sent_to_the_portal(db: Database, org_id: UUID, pages: Pages) -> None:
    db.owner.rows(
        "insert into public.org_subscriptions (org_id, stripe_subscription_id, stripe_price_id, status, started_at,"
        " current_period_ends_at, as_of) values (%s, 'sub_1', 'price_pro', 'active', now(), now(), now())",
        (org_id,),
    )
    answer = ask(db, org_id, pages, post("checkout", plan="pro"))
    assert (answer.status_code, answer.json()["slug"]) == (409, "subscribed_already")


def test_without_an_address_of_the_apps_or_a_key_nothing_is_opened(db: Database, org_id: UUID, pages: Pages) -> None:
    db.owner.rows("delete from private.platform_settings where true")
    answer = ask(db, org_id, pages, post("checkout", plan="pro"))
    assert (answer.status_code, answer.json()["slug"]) == (409, "app_url_unset")

    async def without_a_token() -> httpx.Response:
        async with serving(settings_with(database_url=db.url)) as client:
            return await client.post("/api/billing/checkout", json={"plan": "pro"})

    assert anyio.run(without_a_token).json()["slug"] in ("token_wrong", "data_api_unset")


def test_what_events_left_in_doubt_is_asked_at_the_provider(
    db: Database, org_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalStripe() as stripe:
        for name, value in (stripe.environment | {"DATABASE_URL": db.url}).items():
            monkeypatch.setenv(name, value)
        customer = stripe.post("/v1/customers", email="owner@studio.example")["id"]
        product = stripe.post("/v1/products", name="Pro", type="service")["id"]
        stripe.post("/v1/plans", id="price_pro", amount=4900, currency="aud", interval="month", product=product)
        method = stripe.post(
            "/v1/payment_methods",
            {
                "type": "card",
                "card[number]": "4242424242424242",
                "card[exp_month]": "12",
                "card[exp_year]": "40",
                "card[cvc]": "123",
            },
        )["id"]
        stripe.post(f"/v1/payment_methods/{method}/attach", customer=customer)
        stripe.post(f"/v1/customers/{customer}", {"invoice_settings[default_payment_method]": method})
        subscription = stripe.post("/v1/subscriptions", {"customer": customer, "items[0][plan]": "price_pro"})
        db.owner.call("service.link_billing_customer", p_org_id=org_id, p_customer_id=customer)

        # Two events of one second: what the first said stays until the provider was asked.
        past_due = {**subscription, "status": "past_due"}
        for number, state in enumerate((past_due, subscription)):
            event = {"id": f"evt_{number}", "type": "customer.subscription.updated", "created": 1_000_000_000}
            db.owner.call("private.apply_platform_event", p_event=json.dumps({**event, "data": {"object": state}}))
        standing = "select status, refetch_at is null as settled, fetch_error from public.org_subscriptions"
        assert db.owner.row(standing) == {"status": "past_due", "settled": False, "fetch_error": None}

        async def sweep(**how: Any) -> dict[str, int]:
            async with open_database(settings_with(database_url=db.url)) as database:
                return (await run_sweep(database, "billing", **how)).counts

        assert anyio.run(lambda: sweep(dry_run=True)) == {"due": 1}
        assert anyio.run(sweep) == {"mirrored": 1}
        assert db.owner.row(standing) == {"status": "active", "settled": True, "fetch_error": None}
        assert anyio.run(sweep) == {}

        # A key that is refused, or a subscription that is gone, is told and asked again later; nothing is lost.
        db.owner.rows("update public.org_subscriptions set stripe_subscription_id = 'sub_gone', refetch_at = now()")
        assert anyio.run(sweep) == {"failed": 1}
        assert db.owner.row(standing) == {
            "status": "active",
            "settled": False,
            "fetch_error": "stripe_object_missing",
        }
