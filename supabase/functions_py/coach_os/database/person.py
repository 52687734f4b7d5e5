"""Calls as the person who asks: their own access token, carried to the Data API, where the database decides.

Nothing here reads the token: what it is good for, the Data API says.
"""

from __future__ import annotations

from typing import Any, Self

import httpx

from coach_os.database.calls import encode_arguments, error_for, function_named
from coach_os.errors import CoachError, Fault, Refusal, Unavailable
from coach_os.settings import Settings

#: Shorter than servers keep an idle connection (5 s is common), so that no call is sent into one that is just closing.
_LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=3.0)


class PersonApi:
    """The Data API at `url`, with the key that apps carry."""

    def __init__(self, url: str, publishable_key: str) -> None:
        transport = httpx.AsyncHTTPTransport(limits=_LIMITS, trust_env=False)
        self._client = httpx.AsyncClient(
            transport=transport,
            base_url=f"{url.rstrip('/')}/rest/v1/",
            headers={"apikey": publishable_key, "content-type": "application/json"},
            timeout=httpx.Timeout(30.0, connect=5.0),
        )

    async def rpc(self, token: str, name: str, /, **params: Any) -> Any:
        """Call a public function as the person.

        Raises:
            Refusal: a rule refused, or 401: the token opens nothing.
            Unavailable: the Data API does not answer.
            Fault: a missing function, a wrong key, a defect.
        """
        function = function_named(f"public.{name}")
        return await self._ask("POST", f"rpc/{function.name}", token, content=encode_arguments(params))

    async def org_id(self, token: str) -> str:
        """The organisation that the person's apps show them.

        Raises:
            Refusal: 404 where they are in none, and whatever `rpc` refuses with.
        """
        rows = await self._ask("GET", "org_members?select=org_id&limit=1", token)
        if not rows:
            raise Refusal(404, "org_not_found", "You are in no organisation.", "Found one, or ask to be invited.")
        found: str = rows[0]["org_id"]
        return found

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _ask(self, method: str, path: str, token: str, *, content: str | None = None) -> Any:
        try:
            response = await self._client.request(
                method, path, content=content, headers={"authorization": f"Bearer {token}"}
            )
        except httpx.TransportError as error:
            raise Unavailable("data_api_unavailable", "The Data API does not answer.", "Try again soon.") from error
        if response.is_success:
            return response.json() if response.content else None
        raise _translated(response)


def person_api(settings: Settings) -> PersonApi | None:
    """The Data API that the settings name, if they do."""
    url = settings.data_api_url or settings.supabase_url
    if url is None or settings.supabase_publishable_key is None:
        return None
    return PersonApi(url, settings.supabase_publishable_key)


def data_api_unset() -> Fault:
    """What a route for people says where there is no Data API to ask."""
    return Fault(
        "data_api_unset",
        "This address works through the Data API, and the service is not told where that is.",
        "Set SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY.",
    )


def token_wrong() -> Refusal:
    """No token, or one that opens nothing."""
    return Refusal(401, "token_wrong", "The access token is missing, wrong or has expired.", "Sign in again.")


def _translated(response: httpx.Response) -> CoachError:
    if response.status_code == 401:
        return token_wrong()
    if response.status_code in (502, 503, 504):
        return Unavailable("data_api_unavailable", "The Data API does not answer.", "Try again soon.")
    try:
        problem = response.json()
    except ValueError:
        return Fault()
    if not isinstance(problem, dict):
        return Fault()
    code, details = problem.get("code"), problem.get("details")
    if code == "42501":
        # What a role may not call at all: nobody is signed in with this token.
        return token_wrong()
    return error_for(
        str(code or ""), problem.get("message"), details if isinstance(details, str) else None, problem.get("hint")
    )
