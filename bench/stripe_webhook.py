"""Row D: a Stripe event from the signed body to its effect, against `@supabase/stripe-sync-engine`.

Both verify the signature, sixteen at a time over sixteen connections, and commit before they answer. The peer writes
the object into its tables. Ours keeps the event, once, and applies it: a subscription to its mirror, as the peer does,
or a payment to a package and the ledger, which the peer has no part of. Events are dealt to many connected accounts.
"""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

import psycopg
from stripe import WebhookSignature

from bench.harness import Bench, Result, per_second, ratios
from bench.pgbench import BenchmarkBroken
from bench.world import add_packages
from coach_os.database import PostgresDatabase
from coach_os.functions import stripe_webhook
from coach_os.logs import configure_logging
from coach_os.settings import Settings
from coach_os.stack.postgres import SUPERUSER

IN_FLIGHT = 16
EVENTS = 1500
ORGS = 50
SECRET = "whsec_of_the_benchmark"
Event = dict[str, Any]
Kind = Callable[[str, int, dict[str, str], int], Event]
PEER = Path(__file__).with_name("stripe_sync.mjs")


class Posted:
    """As much of a request as the route's function reads."""

    def __init__(self, body: bytes, signature: str) -> None:
        self._body = body
        self.headers = {"stripe-signature": signature}

    async def body(self) -> bytes:
        return self._body


def steps(bench: Bench) -> int:
    return 2 + 4 * (bench.size.rounds + 1)


def run(bench: Bench) -> list[Result]:
    """Two lines, of events per second."""
    bench.say("D: seeding")
    configure_logging("warning")
    number = bench.size.of(EVENTS, 100)
    ours, theirs = bench.database(), bench.database("template0")
    add_packages(bench.server, ours, orgs=ORGS, packages=ORGS, sessions=10)
    bench.own(
        ours,
        "insert into stripe_accounts (org_id, stripe_account_id) select id, replace(slug, 'org-', 'acct_') from orgs",
    )
    with psycopg.connect(bench.server.url(ours)) as connection:
        sold = connection.execute(
            """
            select a.stripe_account_id, p.org_id::text, p.client_id::text, p.offer_id::text
              from client_purchases as p join stripe_accounts as a on a.org_id = p.org_id order by 1
            """
        ).fetchall()
    settings = Settings.model_validate({"STRIPE_WEBHOOK_SECRETS": SECRET})
    url, results = bench.server.url(ours), []
    with peer(bench, theirs) as turn:
        for kind, target, work in (
            (subscribed, 1.0, "a subscription's event, verified to applied"),
            (paid, None, "a payment's event, with its package and money"),
        ):

            def told(n: int, kind: Kind = kind) -> list[dict[str, str]]:
                return signed(kind, sold, n, number)

            variants = {
                "ours": lambda n, told=told: asyncio.run(through_ours(url, settings, told(n))),
                "peer": lambda n, told=told: turn(told(n)),
            }
            rates = bench.interleave("D", variants)
            share, figures = ratios(rates, "ours", "peer"), per_second(rates)
            what = f"{work}, {IN_FLIGHT} connections"
            results.append(
                Result("D", what, "stripe-sync-engine", median(share), target, figures=figures, rounds=share)
            )
    turns = number * (bench.size.rounds + 1)
    with psycopg.connect(url) as connection:
        done = connection.execute(
            """
            select (select count(*) from money_events where source = 'stripe'),
                   (select count(*) from private.stripe_events where status = 'applied')
            """
        ).fetchone()
    bench.drop(ours)
    bench.drop(theirs)
    if done != (turns, 2 * turns):
        raise BenchmarkBroken(f"{done} of {turns} payments and {2 * turns} events were applied")
    return results


def signed(kind: Kind, sold: list[Any], turn: int, number: int) -> list[dict[str, str]]:
    """The events of a turn, signed before the clock runs."""
    events = []
    for n in range(number):
        account, org, client, offer = sold[n % len(sold)]
        metadata = {"org_id": org, "client_id": client, "offer_id": offer}
        # Time goes on from event to event, or ours would have to ask which of one second came last.
        at = 1_764_000_000 + turn * number + n
        event = {
            "id": f"evt_{kind.__name__}{turn}x{n}",
            "object": "event",
            "account": account,
            "api_version": "2025-03-31.basil",
            "created": at,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            **kind(f"{turn}x{n}", n % len(sold), metadata, at),
        }
        body, now = json.dumps(event), int(time.time())
        signature = f"t={now},v1={WebhookSignature._compute_signature(f'{now}.{body}', SECRET)}"
        events.append({"body": body, "signature": signature})
    return events


def paid(name: str, _: int, metadata: dict[str, str], at: int) -> Event:
    """`payment_intent.succeeded`, with what a real one carries."""
    intent = {
        "id": f"pi_{name}",
        "object": "payment_intent",
        "amount": 80_000,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 80_000,
        "application_fee_amount": 4000,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "capture_method": "automatic_async",
        "client_secret": "pi_secret",
        "confirmation_method": "automatic",
        "created": at,
        "currency": "aud",
        "customer": f"cus_{name}",
        "description": "Ten sessions",
        "last_payment_error": None,
        "latest_charge": f"ch_{name}",
        "livemode": False,
        "metadata": metadata,
        "payment_method": f"pm_{name}",
        "payment_method_options": {"card": {"installments": None, "network": None}},
        "payment_method_types": ["card", "link"],
        "receipt_email": "somebody@client.example",
        "status": "succeeded",
    }
    return {"type": "payment_intent.succeeded", "data": {"object": intent}}


def subscribed(_: str, number: int, metadata: dict[str, str], at: int) -> Event:
    """`customer.subscription.updated` of one of the subscriptions."""
    price = {
        "id": "price_1",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": 1_764_000_000,
        "currency": "aud",
        "livemode": False,
        "metadata": {},
        "product": "prod_1",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "type": "recurring",
        "unit_amount": 5000,
        "unit_amount_decimal": "5000",
    }
    item = {
        "id": f"si_{number}",
        "object": "subscription_item",
        "created": 1_764_000_000,
        "current_period_end": at + 2_592_000,
        "current_period_start": at,
        "metadata": {},
        "price": price,
        "quantity": 1,
        "subscription": f"sub_{number}",
        "tax_rates": [],
    }
    subscription = {
        "id": f"sub_{number}",
        "object": "subscription",
        "application": None,
        "automatic_tax": {"enabled": False},
        "billing_cycle_anchor": at,
        "cancel_at_period_end": False,
        "collection_method": "charge_automatically",
        "created": 1_764_000_000,
        "currency": "aud",
        "customer": f"cus_{number}",
        "default_payment_method": "pm_1",
        "default_tax_rates": [],
        "items": {"object": "list", "data": [item], "has_more": False, "total_count": 1},
        "latest_invoice": f"in_{number}",
        "livemode": False,
        "metadata": metadata,
        "payment_settings": {"payment_method_types": None, "save_default_payment_method": "off"},
        "start_date": 1_764_000_000,
        "status": "active",
    }
    return {"type": "customer.subscription.updated", "data": {"object": subscription}}


async def through_ours(url: str, settings: Settings, events: list[dict[str, str]]) -> float:
    """The route's own function, from the raw body to the answer."""
    posted = [Posted(event["body"].encode(), event["signature"]) for event in events]
    async with PostgresDatabase(url, min_size=IN_FLIGHT, max_size=IN_FLIGHT) as database:
        waiting = iter(posted)

        async def work() -> None:
            for request in waiting:
                await stripe_webhook.run(request, database, settings)  # type: ignore[arg-type]

        await database.rpc("service.health")
        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        return len(events) / (time.perf_counter() - started)


@contextmanager
def peer(bench: Bench, database: str) -> Iterator[Any]:
    """The peer's process with its tables; a call takes a turn's events and answers their rate."""
    node = which("node")
    if node is None:
        raise BenchmarkBroken("Row D needs Node.")
    url = bench.server.url(database, SUPERUSER)
    command = [node, str(PEER), url, SECRET]
    migrated = subprocess.run([*command, "migrate"], capture_output=True, text=True)
    if migrated.returncode:
        raise BenchmarkBroken(f"The peer's tables cannot be made: {migrated.stderr[-300:]}")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def turn(events: list[dict[str, str]]) -> float:
            with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
                json.dump(events, file)
                file.flush()
                process.stdin.write(json.dumps({"file": file.name, "inFlight": IN_FLIGHT}) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            if not line:
                raise BenchmarkBroken("The peer ended.")
            return float(line)

        yield turn
        process.stdin.close()
