"""What the demonstration is paid: a deposit that holds a time, its receipt, and what a cancellation gives back of it.

No card and no key is needed: what Stripe would tell of the payment is told by hand, twice, as Stripe does. The refund
is asked for in the cancellation's own transaction, and waits there for a sweep that has a key.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from coach_cli.demo.people import SOFIA
from coach_cli.demo.scenes import Scene
from coach_cli.demo.studio import Studio
from coach_os.database import Database
from coach_os.sweeps import run_sweep

MASSAGE, SLUG, PRICE_CENTS, DEPOSIT_CENTS = "Massage", "massage", 10_000, 2_500
POLICY = [{"hours_before": 48, "percent": 100}, {"hours_before": 24, "percent": 50}]
AFTER = timedelta(days=9, hours=11)
Row = dict[str, Any]


async def open_till(database: Database, studio: Studio) -> str:
    """A Stripe account that takes cards, a type that asks a deposit, the policy and a portal link, where missing."""
    tab, org_id = studio.tab, studio.org_id
    account = f"acct_demo{org_id.replace('-', '')[:16]}"
    flags: dict[str, Any] = {"p_charges_enabled": True, "p_payouts_enabled": True, "p_details_submitted": True}
    if not tab.select("session_types", org_id=org_id, slug=SLUG):
        kind = {"name": MASSAGE, "slug": SLUG, "price_cents": PRICE_CENTS, "deposit_cents": DEPOSIT_CENTS}
        tab.insert("session_types", org_id=org_id, **kind)
        await database.rpc("service.record_stripe_account", p_org_id=org_id, p_account=account, **flags)
        tab.rpc("set_refund_policy", p_org_id=org_id, p_tiers=POLICY)
        tab.update("clients", {"id": studio.clients[SOFIA.name]["id"]}, portal_token=studio.request_id("portal"))
        studio.made += 1
    return account


async def pay(database: Database, studio: Studio, today: datetime) -> list[Scene]:
    """Sofia books a massage by her link, pays its deposit, and cancels in time."""
    tab, account = studio.tab, await open_till(database, studio)
    token, client_id = studio.request_id("portal"), studio.clients[SOFIA.name]["id"]
    (kind,) = tab.select("session_types", org_id=studio.org_id, slug=SLUG)
    await database.rpc(
        "public.portal_book",
        p_token=token,
        p_start_time=today + AFTER,
        p_session_type_id=kind["id"],
        p_request_id=studio.request_id(f"{SOFIA.name}: {SLUG}"),
    )
    (deposit,) = tab.select("deposits", client_id=client_id)
    event = _paid(deposit, account, studio.org_id)
    for _ in range(2):
        await database.rpc("service.receive_stripe_event", p_event=event)
    await run_sweep(database, "receipts")
    (deposit,) = tab.select("deposits", client_id=client_id)
    await database.rpc("public.portal_cancel", p_token=token, p_booking_id=deposit["booking_id"])
    await run_sweep(database, "messages")
    (refund,) = tab.select("refunds", deposit_id=deposit["id"])
    (receipt,) = tab.select("receipts", money_event_id=deposit["payment_id"])
    number = f"receipt {receipt['number']} of {len(await read_receipts(database, studio.org_id))}"
    return [
        Scene(SOFIA.name, "books a massage by her link, with no session left", "a deposit of AUD 25.00, the time held"),
        Scene("Stripe", "tells that it is paid, twice", f"true ({deposit['status']}: booked once, {number})"),
        Scene(
            SOFIA.name,
            "cancels it, days before",
            f"true (AUD {refund['amount_cents'] / 100:.2f} back by the policy, {refund['status']} until Stripe has it)",
        ),
    ]


async def read_receipts(database: Database, org_id: str) -> list[Row]:
    """The studio's receipts, the latest first."""
    rows: list[Row] = await database.rpc("service.list_receipts", p_org_id=org_id, p_limit=1000)
    return rows


def _paid(deposit: Row, account: str, org_id: str) -> Row:
    """What Stripe sends when the deposit's card was charged."""
    tag = deposit["id"].replace("-", "")
    intent = {
        "id": f"pi_{tag}",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": deposit["amount_cents"],
        "amount_received": deposit["amount_cents"],
        "currency": deposit["currency"],
        "latest_charge": f"ch_{tag}",
        "metadata": {"org_id": org_id, "deposit_id": deposit["id"], "kind": "deposit"},
    }
    return {
        "id": f"evt_{tag}",
        "type": "payment_intent.succeeded",
        "account": account,
        "created": int(datetime.now(UTC).timestamp()),
        "data": {"object": intent},
    }
