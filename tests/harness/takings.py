"""An organisation that takes deposits through Stripe: its pages' steps, Stripe's news, the sweeps, and what it took.

takings = open_takings(world.kilo, gate)
deposit = takings.ask(takings.start())
takings.pay(deposit)
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from json import dumps
from typing import Any

from coach_os.database import PostgresDatabase
from coach_os.deposits import carry_deposit
from coach_os.providers.stripe import Stripe
from coach_os.sweeps.deposits import settle_deposits
from coach_os.sweeps.refunds import carry_refunds
from tests.harness.database import Caller, Database
from tests.harness.local_stripe import KEY
from tests.harness.stripe_gate import StripeGate
from tests.harness.world import Organisation

ACCOUNT = "acct_kilo"
DEPOSIT_CENTS = 2500


@dataclass
class Takings:
    """The organisation, a client without a package, and the session type that asks a deposit."""

    org: Organisation
    gate: StripeGate | None
    type_id: uuid.UUID
    client_id: uuid.UUID
    token: uuid.UUID
    _starts: int = field(default=0)

    @property
    def db(self) -> Database:
        return self.org.db

    def start(self) -> datetime:
        """A start that nobody was given yet: noon, a day further on each time."""
        self._starts += 1
        query = "select private.local_to_instant(%s, private.org_today(%s) + %s, '12:00')"
        found: datetime = self.db.owner.value(query, (self.org.id, self.org.id, 2 + self._starts))
        return found

    def ask(self, start: datetime, *, by: Caller | None = None) -> uuid.UUID:
        """The portal books the start and is asked for a deposit."""
        answer = (by or self.db.owner).call(
            "public.portal_book", p_token=str(self.token), p_start_time=start, p_session_type_id=self.type_id
        )
        assert answer["outcome"] == "deposit_due", answer
        return uuid.UUID(answer["deposit_id"])

    def intent(self, deposit_id: uuid.UUID, status: str = "succeeded", **more: Any) -> dict[str, Any]:
        """The deposit's PaymentIntent as an event carries it."""
        money = {"amount": DEPOSIT_CENTS, "amount_received": DEPOSIT_CENTS, "currency": "aud"}
        return {
            "id": f"pi_{deposit_id.hex}",
            "status": status,
            "latest_charge": f"ch_{deposit_id.hex}",
            **money,
            **more,
        }

    def told(self, deposit_id: uuid.UUID, *, by: Caller | None = None, after: str = "0", **more: Any) -> str:
        """Stripe tells that the deposit was paid, so long from now."""
        query = (
            "select private.apply_deposit_event(%s, %s, 'payment_intent.succeeded', %s::jsonb, now() + %s::interval)"
        )
        status: str = (by or self.db.owner).value(
            query, (self.org.id, deposit_id, dumps(self.intent(deposit_id, **more)), after)
        )
        return status

    def paid(self) -> dict[str, Any]:
        """A deposit that was asked, paid and booked."""
        deposit_id = self.ask(self.start())
        assert self.told(deposit_id) == "paid"
        return self.deposit(deposit_id)

    def deposit(self, deposit_id: uuid.UUID) -> dict[str, Any]:
        return self.db.owner.row("select * from public.deposits where id = %s", (deposit_id,))

    def refunds(self) -> list[dict[str, Any]]:
        return self.db.owner.rows(
            "select * from public.refunds where org_id = %s order by created_at, id", (self.org.id,)
        )

    def money(self, kind: str) -> int:
        """The sum of the ledger's events of a kind, from Stripe."""
        query = """select coalesce(sum(amount_cents), 0)::int from public.money_events
                    where org_id = %s and source = 'stripe' and type = %s::public.money_event_type"""
        return self.db.owner.value(query, (self.org.id, kind))  # type: ignore[no-any-return]

    def expire(self, deposit_id: uuid.UUID, *, also_the_hold: bool = True) -> None:
        """Lets time pass: the deposit cannot be paid any more, and the slot is held no longer."""
        self.db.owner.rows(
            """with deposit as (
                 update public.deposits set expires_at = now() - interval '1 second', next_at = now()
                  where id = %s returning hold_id),
               hold as (
                 update private.holds as h set expires_at = now() - interval '1 second'
                   from deposit as d where h.id = d.hold_id and %s returning h.occupancy_id)
               update private.occupancies as o set expires_at = now() - interval '1 second'
                 from hold as h where o.id = h.occupancy_id""",
            (deposit_id, also_the_hold),
        )

    # Through the real SDK.

    def open(self, deposit_id: uuid.UUID) -> tuple[str, dict[str, Any]]:
        """The page's step: (the deposit's status, its intent)."""

        async def step(stripe: Stripe, database: PostgresDatabase) -> tuple[str, dict[str, Any]]:
            work = await database.rpc("service.open_deposit", p_deposit_id=deposit_id)
            assert work is not None
            return await carry_deposit(database, stripe, work)

        return self.at_stripe(step)  # type: ignore[no-any-return]

    def settle(self) -> dict[str, int]:
        """The sweep of deposits; its counts."""
        return self.at_stripe(lambda stripe, database: settle_deposits(database, stripe=stripe)).counts  # type: ignore[no-any-return]

    def carry(self) -> dict[str, int]:
        """The sweep of refunds; its counts."""
        return self.at_stripe(lambda stripe, database: carry_refunds(database, stripe=stripe)).counts  # type: ignore[no-any-return]

    def at_stripe(self, act: Any) -> Any:
        """Runs `act(stripe, database)` with the service's own client and database."""

        async def run() -> Any:
            assert self.gate is not None
            async with Stripe(KEY, api_url=self.gate.url) as stripe, PostgresDatabase(self.db.url) as database:
                return await act(stripe, database)

        return asyncio.run(run())


def open_takings(org: Organisation, gate: StripeGate | None = None) -> Takings:
    """Opens the organisation from 6 to 20 on every day, without notice, with a Stripe account that takes cards."""
    for day in range(7):
        org.coach.insert("public.availability", org_id=org.id, day_of_week=day, start_time="06:00", end_time="20:00")
    owner, token = org.db.owner, uuid.uuid4()
    owner.rows("update public.booking_settings set max_advance_days = 3650 where org_id = %s", (org.id,))
    owner.rows(
        """insert into public.stripe_accounts
             (org_id, stripe_account_id, charges_enabled, payouts_enabled, details_submitted)
           values (%s, %s, true, true, true)""",
        (org.id, ACCOUNT),
    )
    kind = {"name": "Massage", "slug": "massage", "price_cents": 10_000, "deposit_cents": DEPOSIT_CENTS}
    type_id = org.coach.insert("public.session_types", org_id=org.id, **kind)["id"]
    client_id = org.add_client(full_name="Ann Bonny", email="ann@bonny.example")
    owner.rows("update public.clients set portal_token = %s where id = %s", (token, client_id))
    return Takings(org, gate, type_id, client_id, token)
