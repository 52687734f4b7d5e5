"""The pages without an account over HTTP: a studio that takes bookings, and visitors at addresses of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.harness.database import Database
from tests.harness.world import Organisation
from tests.http.conftest import ScriptedDatabase, serving, settings_with

ADDRESS = "203.0.113.7"


@dataclass
class Studio:
    """An organisation that is open every day, with a client who holds a portal link."""

    org: Organisation
    token: UUID

    @property
    def db(self) -> Database:
        return self.org.db

    def set(self, **columns: Any) -> None:
        """Change the booking settings, as the settings page does."""
        for name, value in columns.items():
            statement = f"update public.booking_settings set {name} = %s where org_id = %s"
            self.db.owner.rows(statement, (value, self.org.id))

    def revoke(self) -> None:
        self.org.coach.rows("update public.clients set portal_token = null where id = %s", (self.org.client_id,))

    def bookings(self) -> list[dict[str, Any]]:
        """All bookings but the one the world begins with."""
        query = "select * from public.bookings where org_id = %s and id <> %s order by created_at"
        return self.db.owner.rows(query, (self.org.id, self.org.booking_id))


def open_studio(org: Organisation) -> Studio:
    """Opens an organisation of the world from 6 to 20 on every day."""
    for day in range(7):
        org.coach.insert("public.availability", org_id=org.id, day_of_week=day, start_time="06:00", end_time="20:00")
    token = uuid4()
    org.coach.rows("update public.clients set portal_token = %s where id = %s", (token, org.client_id))
    return Studio(org, token)


@dataclass
class Pages:
    """What a page asks of the service."""

    client: httpx.AsyncClient
    loop: BlockingPortal
    studio: Studio

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.loop.call(partial(self.client.request, method, path, **options))

    def get(self, path: str, **params: Any) -> httpx.Response:
        given = {name: str(value) for name, value in params.items() if value is not None}
        return self.send("GET", path, params=given)

    def portal(self, path: str, **params: Any) -> httpx.Response:
        return self.get(f"/api/portal/{path}", **{"token": self.studio.token, **params})

    def public(self, path: str, **params: Any) -> httpx.Response:
        return self.get(f"/api/public/{path}", **{"slug": self.studio.org.name, **params})

    def post(self, path: str, **form: Any) -> httpx.Response:
        """To the portal with its token, or to the public page with its slug."""
        known = {"token": str(self.studio.token)} if "portal" in path else {"slug": self.studio.org.name}
        body = {**known, **{name: str(v) if isinstance(v, UUID) else v for name, v in form.items()}}
        return self.send("POST", f"/api/{path}", json=body)

    def a_day(self) -> str:
        """A day with many free slots."""
        dates = self.portal("available-dates").json()["dates"]
        return str(dates[len(dates) // 2])

    def slots(self, day: str | None = None, **params: Any) -> list[dict[str, Any]]:
        answer = self.portal("available-slots", date=day or self.a_day(), **params)
        assert answer.status_code == 200, answer.text
        slots: list[dict[str, Any]] = answer.json()["slots"]
        return slots


@contextmanager
def visiting(studio: Studio, address: str = ADDRESS, **settings: Any) -> Iterator[Pages]:
    """The service over the studio's database, asked by somebody at this address."""
    served = serving(settings_with(database_url=studio.db.url, **settings), peer=address)
    with start_blocking_portal() as loop, loop.wrap_async_context_manager(served) as client:
        yield Pages(client, loop, studio)


@contextmanager
def refusing_forms() -> Iterator[Pages]:
    """The service over no database at all: what it answers, it answers by the form alone."""
    nobody = Studio(cast(Any, SimpleNamespace(name="kilo")), uuid4())
    with start_blocking_portal() as loop:
        served = serving(settings_with(), ScriptedDatabase({}))
        with loop.wrap_async_context_manager(served) as client:
            yield Pages(client, loop, nobody)


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and slug of an error, which has the one form."""
    body = response.json()
    assert {"error", "slug", "hint"} <= body.keys() <= {"error", "slug", "hint", "alternatives", "deposit"}
    assert body["error"].endswith(".")
    return response.status_code, body["slug"]
