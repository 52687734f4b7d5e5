"""coach package: prepaid sessions, from the sale to the last correction."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, PackageId, RequestId, instant, noun, rpc, rpc_in_org
from coach_cli.words import moment, with_moments

app = noun("List, show, sell, freeze, extend and correct packages of sessions.")

COLUMNS = (
    *("purchase_id", "client_id", "client_name", "offer_name", "sessions_total", "sessions_used", "sessions_remaining"),
    *("bookable", "payment_status", "expires_at", "is_frozen"),
)
HEADINGS = {
    "purchase_id": "package",
    "client_name": "client",
    "offer_name": "offer",
    "used": "used",
    "bookable": "bookable",
    "expires_at": "expires (UTC)",
    "state": "state",
}
MAX_SESSIONS = 20_000


@app.command("list", epilog="Example: coach package list --org kilo --client 6f1c…")
def list_packages(
    org: Org,
    client: Annotated[UUID | None, typer.Option(metavar="CLIENT_ID", help="Only this client's.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List packages, newest first.

    What is bookable is what is left, less the bookings that are not settled yet.
    """
    rows = asyncio.run(rpc_in_org("service.list_packages", org, p_client_id=client, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        readable = [
            {**row, "used": _used(row), "state": _state(row), "expires_at": row["expires_at"][:10]}
            for row in with_moments(rows, "expires_at")
        ]
        output.print_rows(readable, HEADINGS, title="Packages")


@app.command("show", epilog="Example: coach package show 0b9d…")
def show_package(package: PackageId, json: Json = False) -> None:
    """Show one package; `coach session history` shows its ledger."""
    (found,) = rpc("service.get_package", p_purchase_id=package)
    moments = {key: moment(found[key]) for key in ("purchased_at", "expires_at", "frozen_since")}
    output.print_record(found if json else {**found, **moments}, json=json)


@app.command("sell", epilog="Example: coach package sell --org kilo --client 6f1c… --offer 52aa… --method cash")
def sell_package(
    org: Org,
    client: Annotated[UUID, typer.Option(metavar="CLIENT_ID", help="Who buys; see coach client list.")],
    offer: Annotated[UUID, typer.Option(metavar="OFFER_ID", help="What they buy; see coach offer list.")],
    method: Annotated[str | None, typer.Option(metavar="METHOD", help="cash, card, bank_transfer or stripe.")] = None,
    payment: Annotated[str, typer.Option(metavar="STATUS", help="succeeded, pending or failed.")] = "succeeded",
    promo: Annotated[UUID | None, typer.Option(metavar="PROMO_CODE_ID", help="A promo code to redeem.")] = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Sell an offer to a client, at the offer's price and number of sessions."""
    sale = {
        "p_client_id": client,
        "p_offer_id": offer,
        "p_payment_method": method,
        "p_payment_status": payment,
        "p_promo_code_id": promo,
        "p_request_id": request_id,
    }
    output.print_record({"purchase_id": asyncio.run(rpc_in_org("service.sell_package", org, **sale))}, json=json)


@app.command("freeze", epilog="Example: coach package freeze 0b9d…")
def freeze_package(package: PackageId, json: Json = False) -> None:
    """Freeze a package: nothing can be taken from it until it is unfrozen."""
    _print_moment("frozen_since", rpc("service.freeze_package", p_purchase_id=package), json)


@app.command("unfreeze", epilog="Example: coach package unfreeze 0b9d…")
def unfreeze_package(package: PackageId, json: Json = False) -> None:
    """End a freeze; the expiry moves by as long as it lasted."""
    _print_moment("expires_at", rpc("service.unfreeze_package", p_purchase_id=package), json)


@app.command("extend", epilog="Example: coach package extend 0b9d… 2027-01-31T23:59+10:00")
def extend_package(
    package: PackageId,
    until: Annotated[
        datetime, typer.Argument(metavar="INSTANT", parser=instant, help="The new expiry, with its offset.")
    ],
    json: Json = False,
) -> None:
    """Move a package's expiry to a later instant."""
    _print_moment("expires_at", rpc("service.extend_package", p_purchase_id=package, p_expires_at=until), json)


@app.command("correct", epilog="Example: coach package correct 0b9d… --used 4")
def correct_package(
    package: PackageId,
    used: Annotated[int | None, typer.Option(min=0, max=MAX_SESSIONS, help="How many are used.")] = None,
    total: Annotated[int | None, typer.Option(min=0, max=MAX_SESSIONS, help="How many it holds.")] = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Set the used or total sessions of a package on purpose; the ledger keeps the correction."""
    if used is None and total is None:
        raise typer.BadParameter("Say what to correct: --used, --total, or both.")
    answer = rpc(
        "service.correct_package",
        p_purchase_id=package,
        p_sessions_used=used,
        p_sessions_total=total,
        p_request_id=request_id,
    )
    output.print_record({"sessions_used": answer}, json=json)


def _print_moment(name: str, value: Any, json: bool) -> None:
    output.print_record({name: value if json else moment(value)}, json=json)


def _used(row: Mapping[str, Any]) -> str | None:
    return None if row["sessions_total"] is None else f"{row['sessions_used']} of {row['sessions_total']}"


def _state(row: Mapping[str, Any]) -> str:
    return "frozen" if row["is_frozen"] else {"succeeded": "paid"}.get(row["payment_status"], row["payment_status"])
