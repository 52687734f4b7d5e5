"""The route that monitors scrape."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from coach_os.functions import metrics

_BEARER = HTTPBearer(auto_error=False, scheme_name="METRICS_SECRET", description="The setting METRICS_SECRET.")

router = APIRouter(tags=["operations"])
ROUTERS = (router,)


async def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> None:
    secret = request.app.state.settings.metrics_secret
    metrics.authorise(secret.get_secret_value() if secret else None, given.credentials if given else None)


@router.get(
    "/metrics",
    summary="How does the work go that runs by itself?",
    dependencies=[Depends(_authorised)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text."}},
)
async def read_metrics(request: Request) -> Response:
    """The pulse, in Prometheus' text format. Needs `Authorization: Bearer <METRICS_SECRET>`."""
    return Response(await metrics.run(request.app.state.database), media_type=CONTENT_TYPE_PLAIN_0_0_4)
