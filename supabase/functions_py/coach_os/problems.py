"""How an error leaves over HTTP: always `{"error", "slug", "hint"}`, never a value, a trace or a library's words."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from coach_os.errors import CoachError, Fault
from coach_os.logs import get_logger

log = get_logger(__name__)

_BY_STATUS = {
    400: ("request_invalid", "The request does not have the form it needs."),
    404: ("route_not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("request_too_large", "The request is too large."),
}


_HEADERS = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "60"}, 503: {"retry-after": "5"}}


class Problem(BaseModel):
    """An error."""

    error: str = Field(description="A sentence for a person; holds no data.")
    slug: str = Field(description="Stable; branch on it.", examples=["cron_secret_wrong"])
    hint: str | None = Field(default=None, description="The next action.")


def add_handlers(app: FastAPI) -> None:
    """Give every error of the application this form; what nobody raised on purpose is `RequestContext`'s."""
    app.add_exception_handler(CoachError, _on_ours)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_form)


def http_problem(status: int, headers: Any = None) -> JSONResponse:
    """The answer to a request that no route took."""
    slug, sentence = _BY_STATUS.get(status, ("request_refused", "The request was refused."))
    return JSONResponse(Problem(error=sentence, slug=slug).model_dump(), status, headers=headers)


async def _on_ours(_: Request, error: Any) -> JSONResponse:
    headers = _HEADERS.get(error.status)
    if isinstance(error, Fault):
        log.error("request_failed", slug=error.slug, code=error.code, exc_info=error)
    elif error.status >= 500:
        log.warning("request_failed", slug=error.slug)
    return JSONResponse(error.as_json(), error.status, headers=headers)


async def _on_http(_: Request, error: Any) -> JSONResponse:
    return http_problem(error.status_code, error.headers)


def form_hint(error: RequestValidationError) -> str:
    """Where a request is wrong, not what was sent."""
    places = {".".join(str(step) for step in part["loc"] if _is_named_by_us(step)) for part in error.errors()}
    return f"Check {', '.join(sorted(places))}."


def _is_named_by_us(step: Any) -> bool:
    # A body that is no JSON is placed by its offset, which says nothing.
    return isinstance(step, str)


async def _on_form(_: Request, error: Any) -> JSONResponse:
    problem = Problem(
        error="The request does not have the form it needs.", slug="request_invalid", hint=form_hint(error)
    )
    return JSONResponse(problem.model_dump(), 422)
