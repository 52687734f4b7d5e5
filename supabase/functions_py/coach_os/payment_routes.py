"""The routes of payments: what Stripe calls."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Depends, Request

from coach_os.database import Database
from coach_os.functions import stripe_webhook
from coach_os.settings import Settings

stripe = APIRouter(tags=["stripe"])
ROUTERS = (stripe,)


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


@stripe.post("/functions/v1/stripe-webhook", summary="Something happened at Stripe")
async def webhook(
    request: Request,
    tasks: BackgroundTasks,
    database: Annotated[Database, Depends(_database)],
    settings: Annotated[Settings, Depends(_settings)],
) -> stripe_webhook.Received:
    """An event of the platform's account or of a connected one, signed by Stripe; in any order, and as often as it
    likes. 400 `stripe_signature_wrong`; 500 `stripe_event_failed` asks Stripe to send it again."""
    received = await stripe_webhook.run(request, database, settings)
    tasks.add_task(stripe_webhook.fetch_after, database, settings)
    return received
