"""The arguments and options that several commands share, and how a noun's group is made."""

from datetime import date, datetime
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


def day(value: str) -> date:
    """An ISO 8601 date.

    >>> day("2026-11-23")
    datetime.date(2026, 11, 23)
    """
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is no date, such as 2026-11-23.") from None


def rpc(name: str, /, **params: Any) -> Any:
    """One call of the database that the environment names, else of the local stack; see `Database.rpc`."""
    return call(load_settings(), name, **params)


async def rpc_in_org(name: str, org: str, /, **params: Any) -> Any:
    """`rpc` with the organisation's id as `p_org_id`, found by its slug or id."""
    return await rpc_for_type(name, org, None, **params)


async def rpc_for_type(name: str, org: str, session_type: str | None, /, **params: Any) -> Any:
    """`rpc_in_org`, with a session type's id as `p_session_type_id` where one is named, found by its slug or id."""
    async with open_database(load_settings()) as database:
        org_id = await database.rpc("service.find_org", p_org=org)
        if session_type is not None:
            found = await database.rpc("service.find_session_type", p_org_id=org_id, p_type=session_type)
            params["p_session_type_id"] = found
        return await database.rpc(name, p_org_id=org_id, **params)


async def act(action: str, org: str | None, /, **args: Any) -> Any:
    """An operator's action, see `service.act`; with an organisation, its id as `org_id`."""
    async with open_database(load_settings()) as database:
        if org is not None:
            args["org_id"] = await database.rpc("service.find_org", p_org=org)
        given = {name: str(value) if isinstance(value, UUID) else value for name, value in args.items()}
        return await database.rpc("service.act", p_action=action, p_args=given)


Json = Annotated[bool, typer.Option("--json", envvar="COACH_JSON", help="Print JSON.")]
Org = Annotated[str, typer.Option("--org", metavar="SLUG|ID", envvar="COACH_ORG", help="The organisation.")]
OrgName = Annotated[str, typer.Argument(metavar="SLUG|ID", envvar="COACH_ORG", help="The organisation.")]
AnyOrg = Annotated[
    str | None, typer.Option("--org", metavar="SLUG|ID", envvar="COACH_ORG", help="The organisation; left out: all.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the audit log.")]
Limit = Annotated[
    int, typer.Option("--limit", min=1, max=MAX_ROWS, envvar="COACH_LIMIT", help="Show at most so many rows.")
]
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The address they signed up with.")]
PackageId = Annotated[UUID, typer.Argument(metavar="PACKAGE_ID", help="See coach package list.")]
BookingId = Annotated[UUID, typer.Argument(metavar="BOOKING_ID", help="See coach booking list.")]
StaffId = Annotated[UUID, typer.Argument(metavar="STAFF_ID", help="See coach staff list.")]
Staff = Annotated[UUID | None, typer.Option("--staff", metavar="STAFF_ID", help="Whose time; left out: anyone's.")]
Location = Annotated[
    UUID | None, typer.Option("--location", metavar="LOCATION_ID", help="Where; see coach location list.")
]
SessionType = Annotated[
    str | None, typer.Option("--type", metavar="SLUG|ID", help="The session type; left out: a session of no type.")
]
Duration = Annotated[
    int | None,
    typer.Option(
        "--duration", min=5, max=1440, metavar="MINUTES", help="How long; left out: as the type or the settings say."
    ),
]
RequestId = Annotated[
    UUID | None,
    typer.Option("--request-id", metavar="UUID", help="Your id of this request: the same again is answered the same."),
]
