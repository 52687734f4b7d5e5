"""coach billing: what an organisation may use and why, and what the platform gives it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, OrgName, Reason, RequestId, act, instant, noun, rpc_in_org
from coach_cli.words import moment

app = noun("Show what an organisation may use and why; give it a trial or a comp, or take one back.")

WHY = {
    "trial": "a trial",
    "comp": "given by the platform",
    "subscription_active": "its subscription",
    "subscription_trialing": "its subscription, on trial",
    "subscription_ending": "its subscription, which was cancelled for then",
    "renewal_awaited": "its subscription, whose renewal nobody has heard of",
    "payment_failed_grace": "its subscription, whose payment failed: the grace",
    "default_plan": "every organisation has it",
    "no_plans": "there are no plans",
}

Until = Annotated[
    datetime | None,
    typer.Option(metavar="INSTANT", parser=instant, help="When it ends, as 2027-01-31T23:59+10:00."),
]
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="See coach plan list.")]


@app.command("show", epilog="Example: coach billing show kilo")
def show(
    org: OrgName,
    at: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", parser=instant, help="As it is then; left out: now.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what an organisation may use, until when, and why."""
    when = {} if at is None else {"p_at": at}
    found = asyncio.run(rpc_in_org("service.entitlements", org, **when))
    if json:
        output.print_json(found)
        return
    output.print_record(
        {
            "plan": found["plan_name"],
            "until": moment(found["until"]),
            "of sales": f"{float(found['commission_rate']):.2%}",
            "own trial": "used" if found["trial"]["is_used"] else "open",
        }
    )
    print()
    output.print_rows(
        [
            {"grant": grant["id"], "plan": grant["plan"], "until (UTC)": _until(grant), "because": _why(grant)}
            for grant in found["grants"]
        ],
        ("grant", "plan", "until (UTC)", "because"),
        title="Grants",
    )
    print()
    output.print_rows(
        [
            {
                "feature": name,
                "allowed": feature["is_allowed"],
                "until (UTC)": _until(feature) if feature["is_allowed"] else None,
                "because": _reasons(feature["why"]),
            }
            for name, feature in sorted(found["features"].items())
        ],
        ("feature", "allowed", "until (UTC)", "because"),
        title="Features",
    )
    print()
    output.print_rows(
        [
            {"limit": name, "used": limit["used"], "allowed": "any" if limit["allowed"] is None else limit["allowed"]}
            for name, limit in sorted(found["limits"].items())
        ],
        ("limit", "used", "allowed"),
        title="Limits",
    )


@app.command("grant-trial", epilog="Example: coach billing grant-trial kilo pro --reason 'Asked for more time'")
def grant_trial(
    org: OrgName,
    plan: PlanName,
    reason: Reason,
    until: Until = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Let an organisation try a plan, also where it has had its own trial; without --until as long as trials are."""
    _grant(org, "trial", plan, until, reason, request_id, json)


@app.command(
    "comp", epilog="Example: coach billing comp kilo pro --until 2027-06-30T00:00+10:00 --reason 'Founding coach'"
)
def comp(
    org: OrgName,
    plan: PlanName,
    until: Annotated[
        datetime, typer.Option(metavar="INSTANT", parser=instant, help="When it ends, as 2027-01-31T23:59+10:00.")
    ],
    reason: Reason,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Give an organisation a plan for nothing, until then; whatever its subscription does, it stays."""
    _grant(org, "comp", plan, until, reason, request_id, json)


@app.command("revoke", epilog="Example: coach billing revoke kilo 7d2e… --reason 'Has subscribed'")
def revoke(
    org: OrgName,
    grant: Annotated[UUID, typer.Argument(metavar="GRANT_ID", help="See coach billing show.")],
    reason: Reason,
    json: Json = False,
) -> None:
    """End a trial or comp now; nothing else that the organisation has is touched."""
    output.print_record(asyncio.run(act("revoke_grant", org, grant_id=grant, reason=reason)), json=json)


def _grant(
    org: str, source: str, plan: str, until: datetime | None, reason: str, request_id: UUID | None, json: bool
) -> None:
    given = {"source": source, "plan": plan, "ends_at": until, "reason": reason, "request_id": request_id}
    output.print_record(asyncio.run(act("grant_plan", org, **given)), json=json)


def _until(thing: Mapping[str, Any]) -> str:
    return (moment(thing["until"]) or "no end").removesuffix(" UTC")


def _why(grant: Mapping[str, Any]) -> str:
    return WHY.get(grant["why"], str(grant["why"]))


def _reasons(reasons: Sequence[Any]) -> str | None:
    return "; ".join(WHY[r] if isinstance(r, str) else f"{r['plan']}: {_why(r)}" for r in reasons) or None
