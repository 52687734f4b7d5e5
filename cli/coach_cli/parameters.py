"""The arguments and options that several commands share, and how a noun's group is made."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_os.database import call, open_database
from coach_os.settings import load_settings

MAX_ROWS = 1000


def noun(help: str) -> typer.Typer:
    """The group of a noun's verbs, also where there is only one of them."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=help)

    @app.callback()
    def group() -> None:
        """Without it, a single verb would take the place of the noun."""

    group.__doc__ = help
    return app


def instant(value: str) -> datetime:
    """An ISO 8601 instant with its offset: a local time alone is converted by the database, never here.

    >>> instant("2027-01-31T23:59+10:00").isoformat()
    '2027-01-31T23:59:00+10:00'
    """
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter(f"{value!r} is no instant with an offset, such as 2027-01-31T23:59+10:00.")
    return found


def rpc(name: str, /, **params: Any) -> Any:
    """One call of the database that the environment names, else of the local stack; see `Database.rpc`."""
    return call(load_settings(), name, **params)


async def rpc_in_org(name: str, org: str, /, **params: Any) -> Any:
    """`rpc` with the organisation's id as `p_org_id`, found by its slug or id."""
    async with open_database(load_settings()) as database:
        org_id = await database.rpc("service.find_org", p_org=org)
        return await database.rpc(name, p_org_id=org_id, **params)


Json = Annotated[bool, typer.Option("--json", envvar="COACH_JSON", help="Print JSON.")]
Org = Annotated[str, typer.Option("--org", metavar="SLUG|ID", envvar="COACH_ORG", help="The organisation.")]
OrgName = Annotated[str, typer.Argument(metavar="SLUG|ID", envvar="COACH_ORG", help="The organisation.")]
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=MAX_ROWS, envvar="COACH_LIMIT", help="Show at most so many rows.")
]
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address they signed up with.")]
PackageId = Annotated[UUID, typer.Argument(metavar="PACKAGE_ID", help="See coach package list.")]
BookingId = Annotated[UUID, typer.Argument(metavar="BOOKING_ID", help="See coach booking list.")]
RequestId = Annotated[
    UUID | None,
    typer.Option("--request-id", metavar="UUID", help="Your id of this request: the same again is answered the same."),
]
