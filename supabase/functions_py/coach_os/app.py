"""The HTTP service: routes and what they are documented as, nothing else.

Start it with `uvicorn --factory coach_os.app:service`. It keeps no state, so any number may run; it starts while the
database is down, and `/readyz` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

from coach_os.automation_routes import automations
from coach_os.billing_routes import ROUTERS as BILLING_ROUTERS
from coach_os.checkout_routes import ROUTERS as CHECKOUT_ROUTERS
from coach_os.database import Database, open_database
from coach_os.database.person import person_api
from coach_os.errors import CoachError, Unavailable
from coach_os.front import PREFIXES, Front, upstream_of
from coach_os.functions import cron
from coach_os.journey_routes import OPEN_PATHS
from coach_os.journey_routes import ROUTERS as JOURNEY_ROUTERS
from coach_os.logs import configure_logging, get_logger
from coach_os.messaging_routes import ROUTERS as MESSAGING_ROUTERS
from coach_os.metrics_routes import ROUTERS as METRICS_ROUTERS
from coach_os.middleware import BodyLimit, Cors, RequestContext, SecurityHeaders
from coach_os.payment_routes import ROUTERS as PAYMENT_ROUTERS
from coach_os.problems import Problem, add_handlers
from coach_os.routes import ROUTERS
from coach_os.settings import Settings, load_settings
from coach_os.stack.errors import StackError
from coach_os.stack.migrations import read_migrations
from coach_os.sweeps import SWEEPS

log = get_logger(__name__)

MAX_BODY_BYTES = 1024 * 1024
#: Development's front carries what apps send to the Data API.
MAX_FRONT_BODY_BYTES = 32 * 1024 * 1024
READY_SECONDS = 3.0

_BEARER = HTTPBearer(auto_error=False, scheme_name="CRON_SECRET", description="The setting CRON_SECRET.")

_SWEEPS = "\n".join(f"- `{sweep.name}`: {sweep.description}" for sweep in SWEEPS.values())
_DESCRIPTION = f"""
What schedulers, webhooks and the pages without an account call. Apps of people who sign in talk to the Data API.

Every error has the body `{{"error", "slug", "hint"}}`: a sentence for a person, a stable slug to branch on, and the
next action. Every answer carries `X-Request-Id`, which the service's log names too.

The sweeps:

{_SWEEPS}
"""


class Alive(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])
    version: str = Field(description="The service's version.")


class Ready(BaseModel):
    """The database answers and has every migration of this version."""

    status: str = Field(examples=["ready"])
    migration: str = Field(description="The latest migration in the database.", examples=["20261121000000"])


def create_app(settings: Settings | None = None, database: Database | None = None) -> FastAPI:
    """The ASGI application.

    Args:
        settings: default: the environment, else this project's embedded stack.
        database: default: the one that the settings name.

    Raises:
        Fault: the settings cannot be meant.
    """
    settings = settings or load_settings()
    configure_logging(settings.log_level)
    database = database or open_database(settings)
    upstream = upstream_of(settings)
    front = Front(upstream) if upstream else None
    person = person_api(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with database:
            yield
        if front:
            await front.close()
        if person:
            await person.close()

    app = FastAPI(
        title="Coach OS",
        version=version("coach-os"),
        description=_DESCRIPTION,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=_middleware(settings, with_front=front is not None),
        responses={"default": {"model": Problem, "description": "An error."}},
    )
    app.state.settings, app.state.database, app.state.person = settings, database, person
    add_handlers(app)
    # Before the general route of sweeps: these two answer as the existing schedulers expect.
    app.include_router(automations)
    _add_routes(app)
    # One a line: several add to it.
    for router in (
        *ROUTERS,
        *BILLING_ROUTERS,
        *CHECKOUT_ROUTERS,
        *JOURNEY_ROUTERS,
        *MESSAGING_ROUTERS,
        *METRICS_ROUTERS,
        *PAYMENT_ROUTERS,
    ):
        app.include_router(router)
    if front:
        for prefix in PREFIXES:
            app.mount(prefix, front)
    return app


def service() -> FastAPI:
    """What a server starts: the application by the environment, or one line that says why not, and exit code 3."""
    try:
        return create_app()
    except (CoachError, StackError) as error:
        configure_logging()
        log.critical("service_not_started", reason=error.message, hint=error.hint)
        raise SystemExit(3) from None


def _middleware(settings: Settings, *, with_front: bool) -> list[Middleware]:
    origins = settings.cors_origins or (("*",) if with_front else ())
    limit = MAX_FRONT_BODY_BYTES if with_front else MAX_BODY_BYTES
    return [
        Middleware(RequestContext),
        Middleware(SecurityHeaders),
        Middleware(Cors, origins=origins, open_paths=OPEN_PATHS),
        Middleware(BodyLimit, limit=limit),
    ]


# Asynchronous, or each request would wait for a thread.
async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
) -> None:
    secret = request.app.state.settings.cron_secret
    cron.authorise(secret.get_secret_value() if secret else None, given.credentials if given else None)


def _add_routes(app: FastAPI) -> None:
    newest = max((migration.version for migration in read_migrations()), default="")

    @app.get("/healthz", tags=["operations"], summary="Is the process alive?")
    async def healthz() -> Alive:
        """Answers without asking the database: a restart would not help where that is down."""
        return Alive(status="ok", version=app.version)

    @app.get("/readyz", tags=["operations"], summary="Can it do its work?")
    async def readyz(database: Annotated[Database, Depends(_database)]) -> Ready:
        """503 with `database_unavailable` or `migrations_pending` otherwise. A newer database is ready too."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                health = await database.rpc("service.health")
        except TimeoutError:
            raise Unavailable() from None
        except CoachError as error:
            if error.slug != "function_missing":
                raise
            health = {}
        migration = health.get("migration") or ""
        if not migration or migration < newest:
            raise Unavailable(
                "migrations_pending", "The database lacks migrations of this version.", "Run coach db migrate."
            )
        return Ready(status="ready", migration=migration)

    @app.post(
        "/functions/v1/cron-{sweep}",
        tags=["cron"],
        summary="Run a sweep",
        dependencies=[Depends(_authorised)],
    )
    async def run_cron(
        sweep: str,
        database: Annotated[Database, Depends(_database)],
        limit: Annotated[int | None, Query(ge=1, description="At most so many rows, for each sweep.")] = None,
        dry_run: Annotated[bool, Query(description="Say what would be done, and change nothing.")] = False,
    ) -> cron.CronAnswer:
        """Runs the sweep, or `all`, until nothing is due or about twenty seconds have passed. Any number of calls may
        overlap. Needs `Authorization: Bearer <CRON_SECRET>`; without that setting every call is refused."""
        return await cron.run(database, sweep, limit=limit, dry_run=dry_run)
