"""The way to the database: one call, `rpc(name, **params)`, by one of two transports.

    async with open_database(settings) as database:
        swept = await database.rpc("service.sweep_overdue_bookings", p_limit=5000)

The transports give equal results and equal errors; which one is used follows from the settings.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, Self

from coach_os.database.data_api import DataApiDatabase
from coach_os.database.postgres import PostgresDatabase
from coach_os.errors import Fault
from coach_os.settings import Settings

__all__ = ["DataApiDatabase", "Database", "PostgresDatabase", "call", "open_database"]


class Database(Protocol):
    """What sweeps, routes and commands are given."""

    async def rpc(self, name: str, /, *, caller: str | None = None, **params: Any) -> Any:
        """Call a function as `service_role`, in a transaction of its own.

        Args:
            name: `service.x` or `public.x`.
            caller: the address of whose request this carries (`coach_os.callers`), for rules that count by it.
            params: by the function's parameter names; left out = its default, `None` = NULL. UUIDs, dates, aware
                datetimes and decimals are taken as they are; lists fill arrays and jsonb, dicts jsonb.

        Returns:
            What JSON has: a scalar's value, `None` for void, a dict for one row, a list for a set (of dicts where it
            has columns). UUIDs and instants are strings, instants in UTC.

        Raises:
            Refusal: a rule refused, or an argument is malformed.
            Unavailable: the database cannot be reached, or went away in the middle; the call is not repeated.
            Fault: a missing function, a wrong key, a defect.
            ValueError, TypeError: the name or an argument could never be sent.
        """

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


def open_database(settings: Settings) -> Database:
    """The transport that the settings call for: `DATABASE_URL`, else `SUPABASE_URL` with the secret key.

    It connects when it is first used.

    Raises:
        Fault: the settings name neither.
    """
    if settings.database_url is not None:
        return PostgresDatabase(settings.database_url.get_secret_value(), max_size=settings.pool_size)
    if settings.supabase_url is not None and settings.supabase_secret_key is not None:
        return DataApiDatabase(settings.supabase_url, settings.supabase_secret_key.get_secret_value())
    raise Fault(
        "database_unset",
        "There is no database to work on.",
        "Run coach up, or set DATABASE_URL, or SUPABASE_URL and SUPABASE_SECRET_KEY.",
    )


def call(settings: Settings, name: str, /, **params: Any) -> Any:
    """One call from code that is not asynchronous, such as a command; see `Database.rpc`."""

    async def once() -> Any:
        async with open_database(settings) as database:
            return await database.rpc(name, **params)

    return asyncio.run(once())
