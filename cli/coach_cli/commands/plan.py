"""coach plan: what organisations can subscribe to."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json, noun, rpc

app = noun("List and change what organisations can subscribe to.")

COLUMNS = (
    *("plan", "name", "price_cents", "currency", "billing_period", "commission_rate", "features", "limits"),
    *("trial_days", "grace_days", "rank", "is_default", "is_active", "stripe_price_id", "orgs"),
)
HEADINGS = {
    "plan": "plan",
    "name": "name",
    "price_cents": "price (cents)",
    "currency": "currency",
    "commission_rate": "of sales",
    "features": "features",
    "limits": "limits",
    "trial_days": "trial days",
    "is_default": "default",
    "is_active": "for sale",
    "orgs": "organisations",
}
FEATURE_COLUMNS = ("feature", "description", "is_limit")


def share(value: str) -> Decimal:
    """A share between 0 and 1, or a percentage.

    >>> share("2.5%"), share("0.025")
    (Decimal('0.025'), Decimal('0.025'))
    """
    try:
        found = Decimal(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ArithmeticError:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found <= 1:
        raise typer.BadParameter(f"{value!r} is no share, such as 2.5% or 0.025.")
    return found


@app.command("list", epilog="Example: coach plan list --json")
def list_plans(json: Json = False) -> None:
    """List plans, the best first, with how many organisations have each."""
    rows = rpc("service.list_plans")
    if not rows and not json:
        output.say("There are no plans: every organisation may use everything.")
    output.print_rows(rows if json else [_readable(row) for row in rows], COLUMNS if json else HEADINGS, json=json)


@app.command("features", epilog="Example: coach plan features")
def list_features(json: Json = False) -> None:
    """List what a plan can open, and what it can limit."""
    output.print_rows(rpc("service.list_features"), FEATURE_COLUMNS, json=json, title="Features and limits")


@app.command(
    "set",
    epilog="Example: coach plan set pro --name Pro --price 4900 --of-sales 2% --feature marketing --limit clients=50"
    " --stripe-price price_1Nx…",
)
def set_plan(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Its short name: lower-case letters, digits, dashes.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What it is called; a new plan needs one.")] = None,
    price: Annotated[
        int | None, typer.Option(min=0, metavar="CENTS", help="What it costs each period; a new plan needs one.")
    ] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Of the price, as aud.")] = None,
    period: Annotated[str | None, typer.Option(metavar="PERIOD", help="monthly or yearly.")] = None,
    of_sales: Annotated[
        Decimal | None,
        typer.Option("--of-sales", parser=share, metavar="SHARE", help="The platform's share of sales, as 2.5%."),
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What it opens; these replace the old ones.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="How many of something; these replace the old ones.")
    ] = None,
    trial_days: Annotated[
        int | None, typer.Option("--trial-days", min=0, max=365, metavar="N", help="How long it may be tried; 0: not.")
    ] = None,
    grace_days: Annotated[
        int | None,
        typer.Option("--grace-days", min=0, max=90, metavar="N", help="How long it counts on when a payment failed."),
    ] = None,
    rank: Annotated[int | None, typer.Option(metavar="N", help="Which of two plans is better: the higher.")] = None,
    default: Annotated[
        bool | None, typer.Option("--default/--no-default", help="What every organisation has that has nothing else.")
    ] = None,
    for_sale: Annotated[
        bool | None, typer.Option("--for-sale/--not-for-sale", help="Whether it can be chosen; who has it keeps it.")
    ] = None,
    stripe_price: Annotated[
        str | None, typer.Option("--stripe-price", metavar="ID", help="The price that Checkout sells, price_….")
    ] = None,
    json: Json = False,
) -> None:
    """Make a plan, or change what is named of it.

    The first plan changes what every organisation may use: without a default plan, who has none may do nothing new.
    """
    given: dict[str, Any] = {
        "p_name": name,
        "p_price_cents": price,
        "p_currency": currency,
        "p_billing_period": period,
        "p_commission_rate": of_sales,
        "p_features": feature or None,
        "p_limits": _limits(limit) if limit else None,
        "p_trial_days": trial_days,
        "p_grace_days": grace_days,
        "p_rank": rank,
        "p_is_default": default,
        "p_is_active": for_sale,
        "p_stripe_price_id": stripe_price,
    }
    row = rpc("service.set_plan", p_plan=plan, **{key: value for key, value in given.items() if value is not None})
    output.print_record(row if json else _readable(row), json=json)


def _limits(pairs: Sequence[str]) -> dict[str, int]:
    limits = {}
    for pair in pairs:
        name, _, count = pair.partition("=")
        if not count.isdecimal():
            raise typer.BadParameter(f"{pair!r} is no limit, such as clients=50.")
        limits[name] = int(count)
    return limits


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    rate = row["commission_rate"]
    return row | {
        "commission_rate": None if rate is None else f"{Decimal(str(rate)) * 100:f}".rstrip("0").rstrip(".") + " %",
        "features": ", ".join(row["features"]) or None,
        "limits": ", ".join(f"{name} {count}" for name, count in sorted(row["limits"].items())) or None,
    }
