"""An organisation with a connected account, and what tests ask of its ledger after events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb
from tests.harness import stripe_events as told
from tests.harness.database import Caller, Database
from tests.harness.world import Id, Organisation, World

PAID = 80_000


@dataclass
class Till:
    """One organisation's payments; `send` gives an event to the database as the webhook does."""

    db: Database
    org: Organisation
    account: str

    @classmethod
    def open(cls, world: World, name: str = "kilo") -> "Till":
        org = getattr(world, name)
        account = f"acct_{name}"
        world.db.owner.insert("public.stripe_accounts", org_id=org.id, stripe_account_id=account, charges_enabled=True)
        return cls(world.db, org, account)

    def send(self, event: dict[str, Any], caller: Caller | None = None) -> str:
        """What became of it: its outcome, with the slug where there is one."""
        answer = (caller or self.service).call("service.receive_stripe_event", p_event=Jsonb(event))
        return f"{answer['outcome']} {answer['error']}" if answer["error"] else str(answer["outcome"])

    def tell(self, kind: str, body: dict[str, Any], **how: Any) -> str:
        """Send a new event of this account."""
        return self.send(told.event(kind, body, **{"account": self.account, **how}))

    @property
    def service(self) -> Caller:
        if not hasattr(self, "_service"):
            self._service = self.db.service()
        return self._service

    def meta(self, **more: Id | str) -> dict[str, str]:
        ids: dict[str, Id | str] = {
            "org_id": self.org.id,
            "client_id": self.org.client_id,
            "offer_id": self.org.offer_id,
        }
        return told.metadata(**{**ids, **more})

    def pay(self, intent: str, amount: int = PAID) -> Id:
        """A checkout that was paid; the package it made."""
        assert self.tell("checkout.session.completed", told.checkout(intent, amount, self.meta())) == "applied"
        return self.package(intent)["id"]  # type: ignore[no-any-return]

    def package(self, intent: str) -> dict[str, Any]:
        return self.db.owner.row("select * from public.client_purchases where stripe_payment_intent_id = %s", (intent,))

    def packages(self) -> int:
        return int(self.db.owner.value("select count(*) from public.client_purchases where source = 'stripe'"))

    def money(self, payment: int | None = None) -> list[str]:
        """The ledger of what came through Stripe, in words; of one payment, where tests number them."""
        rows = self.db.owner.rows(
            """select e.type, e.amount_cents, e.reference_id from public.money_events as e
                where e.source = 'stripe' and (%(payment)s::text is null or e.stripe_payment_intent_id = %(payment)s)
                order by e.type, e.reference_id""",
            {"payment": None if payment is None else f"pi_{payment}x1"},
        )
        return [f"{row['type']} {row['amount_cents']} {row['reference_id']}" for row in rows]

    def alerts(self) -> list[str]:
        return sorted(self.db.owner.values("select kind from public.alerts where org_id = %s", (self.org.id,)))

    def fetches(self) -> list[str]:
        return self.db.owner.values("select kind || ' ' || stripe_id from private.stripe_fetches order by 1")

    def record(self, kind: str, body: dict[str, Any]) -> str:
        """Fetch what is due of a kind, and be answered so."""
        for row in self.service.rows("select * from service.claim_stripe_fetches()"):
            if row["kind"] == kind:
                return str(
                    self.service.call(
                        "service.record_stripe_object",
                        p_account=row["account"],
                        p_kind=kind,
                        p_stripe_id=row["stripe_id"],
                        p_claim=row["claim"],
                        p_object=Jsonb(body),
                    )
                )
        raise AssertionError(f"no {kind} is to be fetched")


def sends(till: Till, events: Iterable[dict[str, Any]]) -> list[str]:
    """Send them one after another."""
    return [till.send(event) for event in events]
