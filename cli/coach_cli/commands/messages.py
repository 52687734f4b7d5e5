"""coach messages: what was sent, to whom it did not come, and an organisation's own Twilio account."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from coach_cli import output
from coach_cli.parameters import AnyOrg, Json, Limit, Org, OrgName, instant, noun, rpc, rpc_in_org
from coach_cli.words import moment, with_moments
from coach_os.database import open_database
from coach_os.errors import Refusal
from coach_os.logs import configure_logging
from coach_os.providers.carriers import keyring_of
from coach_os.settings import load_settings
from coach_os.sweeps import run_sweep, stop_on_signals

app = noun("List, show and send again messages, and connect a Twilio account.")

COLUMNS = (
    *("id", "created_at", "scheduled_for", "channel", "kind", "status", "client_id", "client_name", "error_code"),
    *("attempts", "sent_at", "cause_id"),
)
HEADINGS = {
    "id": "message",
    "scheduled_for": "for (UTC)",
    "channel": "by",
    "kind": "about",
    "status": "status",
    "client_name": "client",
    "attempts": "tries",
    "error_code": "error",
}
TRY_HEADINGS = {
    "at": "tried (UTC)",
    "provider": "provider",
    "status": "outcome",
    "http_status": "http",
    "error_code": "error",
}
EVENT_HEADINGS = {"at": "told (UTC)", "status": "status", "error_code": "error"}
FOLLOWING_HEADINGS = {"id": "message", "channel": "by", "status": "status", "cause": "as"}

MessageId = Annotated[UUID, typer.Argument(metavar="MESSAGE_ID", help="See coach messages list.")]


@app.command("list", epilog="Example: coach messages list --org kilo --status failed")
def list_messages(
    org: Org,
    client: Annotated[UUID | None, typer.Option(metavar="CLIENT_ID", help="Only this client's.")] = None,
    channel: Annotated[str | None, typer.Option(metavar="CHANNEL", help="Only sms, email or push.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only queued, sent, delivered, failed, unknown, …")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only about this, such as booking_reminder.")] = None,
    before: Annotated[
        datetime | None, typer.Option(metavar="INSTANT", parser=instant, help="Only those made before it.")
    ] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List messages, newest first."""
    rows = asyncio.run(
        rpc_in_org(
            "service.list_messages",
            org,
            p_client_id=client,
            p_channel=channel,
            p_status=status,
            p_kind=kind,
            p_before=before,
            p_limit=limit,
        )
    )
    if json:
        output.print_rows(rows, COLUMNS, json=True)
    else:
        output.print_rows(with_moments(rows, "scheduled_for"), HEADINGS, title="Messages")


@app.command("show", epilog="Example: coach messages show 7d2e…")
def show_message(message: MessageId, json: Json = False) -> None:
    """Show one message: its tries, what the provider told, and what stood in for it."""
    found = rpc("service.show_message", p_id=message)
    if json:
        output.print_json(found)
        return
    parts = {key: found.pop(key) for key in ("attempts_made", "events", "followed_by")}
    moments = {key: moment(value) for key, value in found.items() if key.endswith("_at") or key == "scheduled_for"}
    output.print_record({key: value for key, value in (found | moments).items() if value not in (None, {}, [])})
    _print_part(parts["attempts_made"], TRY_HEADINGS, "Tries")
    _print_part(parts["events"], EVENT_HEADINGS, "What the provider told")
    _print_part(parts["followed_by"], FOLLOWING_HEADINGS, "What followed")


@app.command("retry", epilog="Example: coach messages retry 7d2e…")
def retry_message(message: MessageId, json: Json = False) -> None:
    """Send a message again that did not arrive; it becomes a new one.

    Of one whose status is unknown this may be the second that arrives: look it up first, by coach messages reconcile.
    """
    output.print_record({"message_id": rpc("service.retry_message", p_id=message)}, json=json)


@app.command("reconcile", epilog="Example: coach messages reconcile")
def reconcile(
    limit: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, metavar="N", help="Look up at most so many.")
    ] = None,
    json: Json = False,
) -> None:
    """Look up at the provider what may have been sent; what it does not know stays unknown."""
    configure_logging("error")
    result = asyncio.run(_reconcile(limit))
    record = {"settled": result.get("settled", 0), "unsettled": result.get("unsettled", 0)}
    output.print_record(record, json=json)


@app.command("state", epilog="Example: coach messages state --org kilo")
def show_state(org: AnyOrg = None, json: Json = False) -> None:
    """Show how many messages are in which state, and what waits."""
    in_org = rpc_in_org("service.messages_state", org) if org else None
    state = asyncio.run(in_org) if in_org else rpc("service.messages_state")
    if json:
        output.print_json(state)
        return
    rows = [
        {"channel": channel, "status": status, "messages": count}
        for channel, states in sorted(state["channels"].items())
        for status, count in sorted(states.items())
    ]
    output.print_rows(rows, ("channel", "status", "messages"), title="Messages")
    output.print_record(
        {"due": state["due"], "oldest due": moment(state["oldest_due_at"]), "unknown": state["unknown"]}
    )
    for limit in state["deferred"]:
        output.say(f"{limit['provider'].capitalize()} rests until {moment(limit['until'])}.")


@app.command(
    "connect-twilio", epilog="Example: coach messages connect-twilio kilo --account AC0f… --number +61400000000"
)
def connect_twilio(
    org: OrgName,
    account: Annotated[str, typer.Option(metavar="SID", help="The account, AC….")],
    number: Annotated[str | None, typer.Option(metavar="NUMBER", help="Its number, as +61400000000.")] = None,
    messaging_service: Annotated[
        str | None, typer.Option("--messaging-service", metavar="SID", help="Its messaging service, MG….")
    ] = None,
    json: Json = False,
) -> None:
    """Let an organisation send through its own Twilio account.

    The account's token is asked for, or read from a pipe: an argument would stay in the shell's history. It is stored
    encrypted with COACH_ENCRYPTION_KEY, of which this makes one: python -c "from cryptography.fernet import Fernet;
    print(Fernet.generate_key().decode())"
    """
    keyring = keyring_of(load_settings())
    # Before the token is asked for: without a key there is nothing to do with it.
    keyring.encrypt("")
    token = _token()
    asyncio.run(
        rpc_in_org(
            "service.connect_twilio",
            org,
            p_account_sid=account,
            p_auth_token_encrypted=keyring.encrypt(token),
            p_messaging_service_sid=messaging_service,
            p_phone_number=number,
        )
    )
    output.print_record({"account": account, "messaging_service": messaging_service, "number": number}, json=json)


@app.command("disconnect-twilio", epilog="Example: coach messages disconnect-twilio kilo")
def disconnect_twilio(org: OrgName, json: Json = False) -> None:
    """Let an organisation send through the platform's Twilio account again."""
    asyncio.run(rpc_in_org("service.disconnect_twilio", org))
    output.print_record({"account": None}, json=json)


@app.command("link-to", epilog="Example: coach messages link-to https://app.example.com")
def link_to(
    address: Annotated[str, typer.Argument(metavar="URL", help="Where the apps' pages are, for links in messages.")],
    json: Json = False,
) -> None:
    """Say where links in messages lead; until then messages that are nothing but a link are not sent."""
    rpc("service.set_platform_setting", p_name="app_url", p_value=address)
    output.print_record({"app_url": address}, json=json)


def _token() -> str:
    given = typer.prompt("Token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    token = str(given).strip()
    if not token:
        raise Refusal(422, "token_empty", "No token was given.", "Type it, or pipe it in.")
    return token


async def _reconcile(limit: int | None) -> Mapping[str, Any]:
    with stop_on_signals() as stop:
        async with open_database(load_settings()) as database:
            result = await run_sweep(database, "messages_unknown", limit=limit, should_stop=stop.is_set)
            return result.counts


def _print_part(rows: Sequence[Mapping[str, Any]], headings: Mapping[str, str], title: str) -> None:
    if rows:
        print()
        readable = with_moments(rows, "at") if "at" in headings else rows
        output.print_rows(readable, headings, title=title)
