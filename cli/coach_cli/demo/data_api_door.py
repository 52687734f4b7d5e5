"""Through Auth and the Data API with the publishable key, as the existing app does."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from coach_cli.demo.doors import Row
from coach_cli.demo.people import Person
from coach_os.database.calls import error_for
from coach_os.errors import Fault, Unavailable

_CODE = re.compile(r"code: (\d+)")


class DataApiDoor:
    """The embedded Data API at `url`; `mail` is where it keeps the mail it would have sent."""

    name = "Auth and the Data API, with the publishable key"

    def __init__(self, url: str, publishable_key: str, mail: Path) -> None:
        self._url = url
        self._key = publishable_key
        self._mail = mail

    def sign_in(self, person: Person, password: str) -> "DataApiTab":
        # No environment: a proxy that a developer's shell names is not on the way to this machine.
        client = httpx.Client(base_url=self._url, headers={"apikey": self._key}, timeout=30, trust_env=False)
        credentials = {"email": person.email, "password": password}
        answer = _send(client, "POST", "/auth/v1/token?grant_type=password", json=credentials)
        if answer.status_code == 400:
            profile = {"data": {"full_name": person.name}}
            answer = _send(client, "POST", "/auth/v1/signup", json=credentials | profile)
        if answer.status_code == 422:
            # They signed up when there was no Data API, or .coach/demo.json was lost.
            answer = self._reset_password(client, person, password)
        if answer.status_code != 200:
            raise _not_signed_in()
        session = answer.json()
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        return DataApiTab(client, session["user"]["id"])

    def _reset_password(self, client: httpx.Client, person: Person, password: str) -> httpx.Response:
        """What a person does who has forgotten theirs: the code from the mail, then a new password."""
        before = set(self._mail.glob("*.json"))
        _send(client, "POST", "/auth/v1/recover", json={"email": person.email})
        deadline = time.monotonic() + 10
        while not (letters := sorted(set(self._mail.glob("*.json")) - before)):
            if time.monotonic() > deadline:
                raise _not_signed_in()
            time.sleep(0.05)
        code = _CODE.search(json.loads(letters[-1].read_text())["text"])
        proof = {"type": "recovery", "email": person.email, "token": code[1] if code else ""}
        answer = _send(client, "POST", "/auth/v1/verify", json=proof)
        if answer.status_code == 200:
            token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            _send(client, "PUT", "/auth/v1/user", json={"password": password}, headers=token)
        return answer


class DataApiTab:
    """A tab as supabase-js has it: the publishable key, and the person's token."""

    def __init__(self, client: httpx.Client, user_id: str) -> None:
        self._client = client
        self.user_id = user_id

    def select(self, table: str, **equals: Any) -> list[Row]:
        return cast(list[Row], self._ask("GET", f"/rest/v1/{table}", params={"select": "*", **_filters(equals)}))

    def insert(self, table: str, **columns: Any) -> Row:
        (row,) = self._ask("POST", f"/rest/v1/{table}", json=columns)
        return cast(Row, row)

    def insert_unseen(self, table: str, **columns: Any) -> None:
        self._ask("POST", f"/rest/v1/{table}", params={"select": "org_id"}, json=columns)

    def update(self, table: str, where: Mapping[str, Any], **columns: Any) -> list[Row]:
        return cast(list[Row], self._ask("PATCH", f"/rest/v1/{table}", params=_filters(where), json=columns))

    def rpc(self, name: str, **params: Any) -> Any:
        return self._ask("POST", f"/rest/v1/rpc/{name}", json=params)

    def close(self) -> None:
        self._client.close()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        answer = _send(self._client, method, path, headers={"Prefer": "return=representation"}, **options)
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            error = answer.json()
        except ValueError:
            error = {}
        raise error_for(error.get("code"), error.get("message"), error.get("details"), error.get("hint"))


def _send(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    try:
        return client.request(method, path, **options)
    except httpx.TransportError as error:
        raise Unavailable("data_api_unavailable", "The Data API does not answer.", "Run coach status.") from error


def _filters(equals: Mapping[str, Any]) -> dict[str, str]:
    return {column: f"eq.{value}" for column, value in equals.items()}


def _not_signed_in() -> Fault:
    return Fault(
        "demo_sign_in_failed",
        "The demonstration's people could not sign in.",
        "Run coach db reset, then coach demo: it makes them anew.",
    )
