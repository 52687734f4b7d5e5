"""coach refund: what is given back of payments, and by which policy."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, OrgName, RequestId, noun, rpc, rpc_in_org
from coach_cli.words import with_moments

app = noun("Refund payments, list refunds, and say what cancellations give back.")
policy = noun("Show and set what clients who cancel get back of a deposit.")
app.add_typer(policy, name="policy")

COLUMNS = (
    *("refund_id", "payment_id", "client_id", "amount_cents", "currency", "reason", "source", "status", "error_code"),
    *("attempts", "created_at", "settled_at"),
)
HEADINGS = {
    "refund_id": "refund",
    "amount": "amount",
    "reason": "reason",
    "source": "by",
    "status": "status",
    "error_code": "error",
    "created_at": "asked for (UTC)",
}
PAYMENT_COLUMNS = (
    *("payment_id", "client_id", "happened_at", "amount_cents", "currency", "source", "purchase_id"),
    "refundable_cents",
)
PAYMENT_HEADINGS = {
    "payment_id": "payment",
    "client_id": "client",
    "amount": "amount",
    "refundable": "left to refund",
    "source": "by",
    "happened_at": "paid (UTC)",
}


@app.command("payments", epilog="Example: coach refund payments --org kilo --client 6f1c…")
def list_payments(
    org: Org,
    client: Annotated[UUID | None, typer.Option(metavar="CLIENT_ID", help="Only this client's.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List payments, newest first, and what is left of each to give back."""
    rows = asyncio.run(rpc_in_org("service.list_payments", org, p_client_id=client, p_limit=limit))
    if json:
        output.print_rows(rows, PAYMENT_COLUMNS, json=True)
        return
    output.print_rows(with_moments(rows, "happened_at"), PAYMENT_HEADINGS, title="Payments")


@app.command("create", epilog="Example: coach refund create 3a7e… --amount 2500 --note Goodwill")
def refund_payment(
    payment: Annotated[UUID, typer.Argument(metavar="PAYMENT_ID", help="See coach refund payments.")],
    amount: Annotated[
        int | None,
        typer.Option(min=1, max=100_000_000, help="In the currency's minor unit, cents or yen; left out: all of it."),
    ] = None,
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the books.")] = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Give a payment back: by card through Stripe with the next sweep, in cash as recorded."""
    asked = {"p_amount_cents": amount, "p_note": note, "p_request_id": request_id}
    output.print_record({"refund_id": rpc("service.refund_payment", p_payment_id=payment, **asked)}, json=json)


@app.command("list", epilog="Example: coach refund list --org kilo --status failed")
def list_refunds(
    org: Org,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="requested, sending, pending, succeeded or failed.")
    ] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List refunds, newest first."""
    rows = asyncio.run(rpc_in_org("service.list_refunds", org, p_status=status, p_limit=limit))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [{**row, "reason": row["reason"].replace("_", " ")} for row in with_moments(rows, "created_at")]
    output.print_rows(readable, HEADINGS, title="Refunds")


@policy.command("show", epilog="Example: coach refund policy show kilo")
def show_policy(org: OrgName, json: Json = False) -> None:
    """Show what clients who cancel get back, the most hours first."""
    _print_policy(asyncio.run(rpc_in_org("service.refund_policy", org)), json)


@policy.command("set", epilog="Example: coach refund policy set kilo 48:100 24:50")
def set_policy(
    org: OrgName,
    tiers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="HOURS:PERCENT…", help="So many hours before the start, so many percent; none: default."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Set what clients who cancel get back; without tiers all outside the notice, nothing inside it."""
    wanted = [_tier(tier) for tier in tiers or []]
    _print_policy(asyncio.run(rpc_in_org("service.set_refund_policy", org, p_tiers=wanted)), json)


def _tier(text: str) -> dict[str, int]:
    hours, colon, percent = text.partition(":")
    if not (colon and hours.isdecimal() and percent.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no HOURS:PERCENT, such as 48:100.")
    return {"hours_before": int(hours), "percent": int(percent)}


def _print_policy(rows: list[dict[str, Any]], json: bool) -> None:
    if json:
        output.print_rows(rows, ("hours_before", "percent"), json=True)
    else:
        output.print_rows(rows, {"hours_before": "hours before", "percent": "percent back"}, title="Refund policy")
