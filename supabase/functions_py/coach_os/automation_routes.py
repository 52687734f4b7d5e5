"""The routes of automations under the paths and with the answers that the existing schedulers know."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from coach_os.database import Database
from coach_os.functions import cron, cron_automations, cron_risk_score

_BEARER = HTTPBearer(auto_error=False, scheme_name="CRON_SECRET", description="The setting CRON_SECRET.")


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> None:
    secret = request.app.state.settings.cron_secret
    cron.authorise(secret.get_secret_value() if secret else None, given.credentials if given else None)


Db = Annotated[Database, Depends(_database)]
Limit = Annotated[int | None, Query(ge=1, description="At most so many.")]
DryRun = Annotated[bool, Query(description="Say what would be done, and change nothing.")]

automations = APIRouter(tags=["cron"], dependencies=[Depends(_authorised)])


@automations.post("/functions/v1/cron-automations", summary="Fire the automations that are due")
async def fire(database: Db, limit: Limit = None, dry_run: DryRun = False) -> cron_automations.Fired:
    """Each once for its due time or event, however many call. Needs `Authorization: Bearer <CRON_SECRET>`."""
    return await cron_automations.run(database, limit=limit, dry_run=dry_run)


@automations.post("/functions/v1/cron-risk-score", summary="Score clients' risk of the day")
async def score(database: Db, limit: Limit = None, dry_run: DryRun = False) -> cron_risk_score.Scored:
    """Each organisation once for each of its local days. Needs `Authorization: Bearer <CRON_SECRET>`."""
    return await cron_risk_score.run(database, limit=limit, dry_run=dry_run)
