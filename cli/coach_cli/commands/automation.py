"""coach automation: what happens to clients by itself: when, to whom, what came of it, and where webhooks go."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import Json, Limit, Org, RequestId, noun, rpc, rpc_in_org
from coach_cli.words import moment, with_moments
from coach_os.providers.carriers import keyring_of
from coach_os.providers.webhook import new_secret
from coach_os.settings import load_settings

app = noun("List, preview, run and switch automations, and say where their webhooks go.")

COLUMNS = ("id", "name", "enabled", "trigger", "next_run_at", "last_fired_at", "last_status", "last_reason")
HEADINGS = {
    "id": "automation",
    "name": "name",
    "enabled": "on",
    "when": "when",
    "next_run_at": "next (UTC)",
    "last_fired_at": "fired (UTC)",
    "last_status": "ended",
    "last_reason": "why",
}
RUN_COLUMNS = ("id", "fired_at", "automation", "client_id", "client_name", "status", "reason", "actions_fired")
RUN_HEADINGS = {
    "fired_at": "fired (UTC)",
    "automation": "automation",
    "client_name": "client",
    "status": "ended",
    "reason": "why",
}
ENDPOINT_HEADINGS = {
    "id": "endpoint",
    "name": "name",
    "url": "url",
    "is_active": "on",
    "failures": "failures",
    "rests_until": "rests until (UTC)",
    "waiting": "waiting",
}

AutomationId = Annotated[UUID, typer.Argument(metavar="AUTOMATION_ID", help="See coach automation list.")]


@app.command("list", epilog="Example: coach automation list --org kilo")
def list_automations(org: Org, json: Json = False) -> None:
    """List an organisation's automations, and how each ended when it last fired."""
    rows = asyncio.run(rpc_in_org("service.list_automations", org))
    if json:
        output.print_rows(rows, COLUMNS, json=True)
        return
    readable = [{**row, "when": _when(row["trigger"])} for row in with_moments(rows, "next_run_at", "last_fired_at")]
    output.print_rows(readable, HEADINGS, title="Automations")


@app.command("show", epilog="Example: coach automation show 7d2e…")
def show_automation(automation: AutomationId, json: Json = False) -> None:
    """Show one automation as it is stored, with its latest firings."""
    found = rpc("service.show_automation", p_id=automation)
    if json:
        output.print_json(found)
        return
    firings = found.pop("firings")
    moments = {key: moment(value) for key, value in found.items() if key.endswith("_at")}
    output.print_record({key: value for key, value in (found | moments).items() if value is not None})
    if firings:
        print()
        headings = {"due_at": "due (UTC)", "event": "event", "status": "ended", "reason": "why", "missed": "missed"}
        counts = {"ok_count": "ok", "failed_count": "failed", "left_out": "left out"}
        rows = [{**row, "left_out": sum(row["skipped"].values())} for row in with_moments(firings, "due_at")]
        output.print_rows(rows, headings | counts, title="Firings")


@app.command("preview", epilog="Example: coach automation preview 7d2e…")
def preview(automation: AutomationId, json: Json = False) -> None:
    """Show the next five due times and whom it would reach today; nothing happens."""
    found = rpc("service.automation_preview", p_id=automation)
    if json:
        output.print_json(found)
        return
    rows = [{**due, "due_at": moment(due["due_at"]), "fires_at": moment(due["fires_at"])} for due in found["next"]]
    headings = {"local": f"local ({found['timezone']})", "due_at": "due (UTC)", "fires_at": "fires (UTC)"}
    output.print_rows(rows, headings, title="Next")
    print()
    clients = found["audience"]["clients"]
    output.print_rows(clients, {"full_name": "client", "reason": "left out for"}, title="Audience")
    output.say(f"{found['audience']['would_fire']} of {found['audience']['total']} would get it now.")
    for action in found["actions"] or ():
        output.say(f"{action['type']}: {action['text'] or ''}")


@app.command("run", epilog="Example: coach automation run 7d2e… --client 9b1c…")
def run(
    automation: AutomationId,
    client: Annotated[
        UUID | None, typer.Option(metavar="CLIENT_ID", help="Only for this client; an event needs one.")
    ] = None,
    request_id: RequestId = None,
    json: Json = False,
) -> None:
    """Fire an automation now, within its guardrails, also where it is off."""
    answer = rpc("service.run_automation", p_id=automation, p_client_id=client, p_request_id=request_id)
    output.print_record({**answer, "next_at": answer["next_at"] if json else moment(answer["next_at"])}, json=json)


@app.command("enable", epilog="Example: coach automation enable 7d2e…")
def enable(automation: AutomationId, json: Json = False) -> None:
    """Switch an automation on; what happened before starts nothing."""
    _switch(automation, True, json)


@app.command("disable", epilog="Example: coach automation disable 7d2e…")
def disable(automation: AutomationId, json: Json = False) -> None:
    """Switch an automation off; what was due and has not fired is left out."""
    _switch(automation, False, json)


@app.command("runs", epilog="Example: coach automation runs --org kilo --status failed")
def list_runs(
    org: Org,
    automation: Annotated[UUID | None, typer.Option(metavar="AUTOMATION_ID", help="Only this one's.")] = None,
    status: Annotated[str | None, typer.Option(metavar="STATUS", help="Only ok, skipped or failed.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List what automations did for whom, newest first, and what failed."""
    rows = asyncio.run(
        rpc_in_org("service.list_automation_runs", org, p_automation_id=automation, p_status=status, p_limit=limit)
    )
    if json:
        output.print_rows(rows, RUN_COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "fired_at"), RUN_HEADINGS, title="Runs")


@app.command("add-endpoint", epilog="Example: coach automation add-endpoint https://hooks.example.com/coach --org kilo")
def add_endpoint(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where webhook actions post to.")],
    org: Org,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What it is called; left out: its address.")] = None,
    json: Json = False,
) -> None:
    """Add where webhook actions post to, and print the secret that signs its posts, once.

    It is stored encrypted with COACH_ENCRYPTION_KEY. Posts are signed as Standard Webhooks says: whoever receives them
    verifies with that secret by any of its libraries.
    """
    keyring, secret = keyring_of(load_settings()), new_secret()
    endpoint = asyncio.run(
        rpc_in_org(
            "service.add_webhook_endpoint",
            org,
            p_name=name or url,
            p_url=url,
            p_secret_encrypted=keyring.encrypt(secret),
        )
    )
    output.print_record({"endpoint_id": endpoint, "url": url, "secret": secret}, json=json)


@app.command("endpoints", epilog="Example: coach automation endpoints --org kilo")
def list_endpoints(org: Org, json: Json = False) -> None:
    """List where webhook actions post to, what waits, and which rest since they could not be reached."""
    rows = asyncio.run(rpc_in_org("service.list_webhook_endpoints", org))
    output.print_rows(
        rows if json else with_moments(rows, "rests_until"), ENDPOINT_HEADINGS, json=json, title="Endpoints"
    )


@app.command("remove-endpoint", epilog="Example: coach automation remove-endpoint 7d2e…")
def remove_endpoint(
    endpoint: Annotated[UUID, typer.Argument(metavar="ENDPOINT_ID", help="See coach automation endpoints.")],
    json: Json = False,
) -> None:
    """Remove an endpoint with what waits for it; actions that name it fail from then on."""
    rpc("service.remove_webhook_endpoint", p_id=endpoint)
    output.print_record({"removed": str(endpoint)}, json=json)


def _switch(automation: UUID, enabled: bool, json: bool) -> None:
    due = rpc("service.enable_automation", p_id=automation, p_enabled=enabled)
    record: dict[str, Any] = {"enabled": enabled, "next_run_at": due if json else moment(due)}
    output.print_record(record, json=json)


def _when(trigger: Mapping[str, Any]) -> str:
    """A trigger in a few words.

    >>> _when({"type": "schedule", "schedule": "weekly", "time": "09:00"})
    'weekly at 09:00'
    >>> _when({"type": "event", "event": "birthday"})
    'on birthday'
    """
    if trigger["type"] == "event":
        return f"on {trigger['event']}"
    time = f" at {trigger['time']}" if trigger.get("time") else ""
    return f"{trigger['schedule']}{time}"
