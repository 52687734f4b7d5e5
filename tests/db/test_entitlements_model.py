"""Random histories of trials, comps and subscription events in any order: entitlements equal an oracle's after each."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.db.entitled import Books, Grant, Mirror, Plan, Said
from tests.harness.database import Database, refuses

EXAMPLES = int(os.environ.get("COACH_TEST_EXAMPLES", "20"))
START = datetime(2030, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLANS = {
    "free": Plan("free", 0, clients=3),
    "pro": Plan("pro", 10, frozenset({"marketing"}), clients=50, commission="0.02"),
    "team": Plan("team", 20, frozenset({"marketing"}), commission="0.01", grace=timedelta(days=3)),
}
PAID = st.sampled_from(["pro", "team"])
SUBSCRIPTIONS = st.sampled_from(["sub_a", "sub_a", "sub_a", "sub_b"])
STATUSES = st.sampled_from(["active", "active", "past_due", "past_due", "canceled", "trialing", "unpaid", "paused"])


def new_org(db: Database) -> UUID:
    email = f"owner-{uuid4().hex[:10]}@studio.example"
    db.sign_up(email).close()
    return db.owner.call("service.create_org", p_name="Studio", p_owner_email=email)  # type: ignore[no-any-return]


def acts(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


ACT = st.one_of(
    acts("wait", st.sampled_from([0.3, 1, 1, 3600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400])),
    acts("wait_for_an_edge", st.integers(0, 20), st.sampled_from([-1, 0, 0, 1])),
    acts("try_it", PAID),
    acts("give", st.sampled_from(["trial", "comp"]), PAID, st.sampled_from([1, 7, 40])),
    acts("revoke", st.integers(0, 5)),
    acts("change", SUBSCRIPTIONS, STATUSES, st.sampled_from(["pro", "pro", "team", "unknown"]), st.booleans()),
    acts("change", SUBSCRIPTIONS, STATUSES, st.just("pro"), st.just(False)),
    acts("hear", st.integers(0, 30)),
    acts("hear", st.integers(0, 3)),
    acts("hear_again", st.integers(0, 30)),
    acts("sweep"),
)


class BothBooks:
    """Each method does one thing to the database, the provider and the oracle; `agree` compares."""

    def __init__(self, db: Database, default: str | None) -> None:
        self.db, self.org_id = db, new_org(db)
        self.now = START
        self.books = Books(PLANS, default)
        self.grant_ids: list[UUID] = []
        self.truth: dict[str, Said] = {}
        self.begun: dict[str, datetime] = {}
        self.pending: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []
        self.events = 0
        self.tag = self.org_id.hex[:12]
        db.owner.call("service.link_billing_customer", p_org_id=self.org_id, p_customer_id=f"cus_{self.tag}")

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def wait_for_an_edge(self, which: int, microseconds: int) -> None:
        """To the very instant something ends, or the microsecond before or after."""
        edges = sorted(
            until for _, _, until, _ in self.books.current(self.now) if until is not None and until > self.now
        )
        if edges:
            self.now = edges[which % len(edges)] + timedelta(microseconds=microseconds)

    def try_it(self, plan: str) -> None:
        def start() -> UUID:
            return self.db.owner.call(  # type: ignore[no-any-return]
                "private.start_trial",
                p_org_id=self.org_id,
                p_plan=plan,
                p_actor_id=None,
                p_request_id=None,
                p_now=self.now,
            )

        if any(grant.source == "own" for grant in self.own):
            with refuses(409, "trial_used"):
                start()
            return
        self.grant_ids.append(start())
        self.books.grants.append(Grant("trial", plan, self.now, self.now + 7 * DAY))
        self.own.append(Grant("own", plan, self.now, self.now))

    @property
    def own(self) -> list[Grant]:
        return self.__dict__.setdefault("_own", [])

    def give(self, source: str, plan: str, days: int) -> None:
        ends_at = self.now + days * DAY
        self.grant_ids.append(
            self.db.owner.call(
                "private.grant_plan",
                p_org_id=self.org_id,
                p_source=source,
                p_plan=plan,
                p_ends_at=ends_at,
                p_reason=None,
                p_actor_id=None,
                p_request_id=None,
                p_now=self.now,
            )
        )
        self.books.grants.append(Grant(source, plan, self.now, ends_at))

    def revoke(self, which: int) -> None:
        if not self.grant_ids:
            return
        which %= len(self.grant_ids)
        grant = self.books.grants[which]
        answer = self.db.owner.call(
            "private.revoke_grant",
            p_org_id=self.org_id,
            p_grant_id=self.grant_ids[which],
            p_actor_id=None,
            p_now=self.now,
        )
        assert answer is (self.now < grant.over_at)
        if answer:
            grant.revoked_at = self.now

    def change(self, subscription: str, status: str, plan: str, is_cancelled: bool) -> None:
        """Something happens at the provider, which says so in an event that arrives whenever it likes."""
        before = self.truth.get(subscription)
        if before and before.status == "canceled":
            return  # It is over for good.
        if subscription not in self.begun:
            self.begun[subscription] = self.second
        ends_at = self.second + 30 * DAY
        said = Said(status, plan if plan in PLANS else None, ends_at, ends_at if is_cancelled else None)
        self.truth[subscription] = said
        self.events += 1
        self.pending.append(
            {
                "id": f"evt_{self.tag}_{self.events}",
                "type": "customer.subscription.updated",
                "created": int(self.now.timestamp()),
                "data": {"object": self.snapshot(subscription, self.events % 2 == 0)},
                "_": (subscription, self.second, said),
            }
        )

    @property
    def second(self) -> datetime:
        return self.now.replace(microsecond=0)

    def snapshot(self, subscription: str, is_old_shape: bool) -> dict[str, Any]:
        said = self.truth[subscription]
        ends_at = int(said.period_ends_at.timestamp())
        item: dict[str, Any] = {"price": {"id": f"price_{said.plan or 'unknown'}"}}
        return {
            "id": f"{subscription}_{self.tag}",
            "customer": f"cus_{self.tag}",
            "status": said.status,
            "created": int(self.begun[subscription].timestamp()),
            "cancel_at_period_end": said.cancels_at is not None,
            "items": {"data": [item if is_old_shape else item | {"current_period_end": ends_at}]},
            **({"current_period_end": ends_at} if is_old_shape else {}),
        }

    def hear(self, which: int) -> None:
        if self.pending:
            event = self.pending.pop(which % len(self.pending))
            self.heard.append(event)
            self.deliver(event)

    def hear_again(self, which: int) -> None:
        if self.heard:
            self.deliver(self.heard[which % len(self.heard)])

    def deliver(self, event: dict[str, Any]) -> None:
        subscription, at, said = event["_"]
        sent = {key: value for key, value in event.items() if key != "_"}
        self.db.owner.call("private.apply_platform_event", p_event=json.dumps(sent), p_now=self.now)
        self.books.mirrors.setdefault(subscription, Mirror(self.begun[subscription])).hear(event["id"], at, said)

    def sweep(self) -> None:
        """What is unsure is asked about; the provider answers with what is so."""
        due = self.db.owner.call("service.claim_subscription_checks", p_limit=1000, p_now=self.now)
        ours = [row for row in due if row["org_id"] == self.org_id]
        names = {row["stripe_subscription_id"].removesuffix(f"_{self.tag}"): row for row in ours}
        unsure = {name for name, mirror in self.books.mirrors.items() if mirror.is_unsure}
        assert unsure <= set(names)
        for name, row in names.items():
            self.db.owner.call(
                "service.record_subscription",
                p_org_id=self.org_id,
                p_id=row["id"],
                p_subscription=json.dumps(self.snapshot(name, False)),
                p_as_of=self.second,
                p_revision=row["revision"],
            )
            self.books.mirrors[name].ask(self.second, self.truth[name])

    def settle(self) -> None:
        """Once everything was heard and asked about, the mirror is what the provider has."""
        while self.pending:
            self.hear(len(self.pending) // 2)
            self.agree()
        self.wait(2)
        self.sweep()
        self.agree()
        for name, mirror in self.books.mirrors.items():
            assert mirror.said == self.truth[name]

    def agree(self) -> None:
        answer = self.db.owner.call("private.entitlements", p_org_id=self.org_id, p_now=self.now)
        ours = [
            (grant["source"], grant["plan"], grant["until"] and datetime.fromisoformat(grant["until"]), grant["why"])
            for grant in answer["grants"]
        ]
        assert sorted(ours, key=str) == sorted(self.books.current(self.now), key=str), self.now
        assert answer["plan"] == self.books.plan(self.now)
        allowed = {name for name, feature in answer["features"].items() if feature["is_allowed"]}
        assert allowed == self.books.features(self.now)
        assert answer["limits"]["clients"]["allowed"] == self.books.allowed_clients(self.now)
        best = self.books.plan(self.now)
        rate = self.db.owner.call("private.platform_fee_rate", p_org_id=self.org_id, p_now=self.now)
        assert str(rate) == ((PLANS[best].commission if best else None) or "0.05")


def test_entitlements_equal_an_oracle_after_every_step(db: Database) -> None:
    for plan in PLANS.values():
        db.owner.call(
            "service.set_plan",
            p_plan=plan.name,
            p_name=plan.name.title(),
            p_price_cents=100,
            p_features=sorted(plan.features),
            p_limits=json.dumps({} if plan.clients is None else {"clients": plan.clients}),
            p_commission_rate=plan.commission,
            p_grace_days=plan.grace.days,
            p_rank=plan.rank,
            p_stripe_price_id=f"price_{plan.name}",
        )
    live = _histories(db)
    live()


def _histories(db: Database) -> Callable[[], None]:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(default=st.none() | st.just("free"), history=st.lists(ACT, min_size=15, max_size=40))
    def live(default: str | None, history: list[tuple[Any, ...]]) -> None:
        db.owner.rows("update public.plans set is_default = plan is not distinct from %s", (default,))
        books = BothBooks(db, default)
        for name, *arguments in history:
            getattr(books, name)(*arguments)
            books.agree()
        books.settle()

    return live
