"""What an organisation may use, told a second time: an oracle that shares no line with the database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

LIVE = ("trialing", "active")
OVER = ("canceled", "incomplete_expired")


@dataclass(frozen=True)
class Plan:
    """As `service.set_plan` takes it; a limit of None is any number."""

    name: str
    rank: int
    features: frozenset[str] = frozenset()
    clients: int | None = None
    commission: str | None = None
    grace: timedelta = timedelta(days=7)


@dataclass(frozen=True)
class Said:
    """What the provider says of a subscription at a moment."""

    status: str
    plan: str | None
    period_ends_at: datetime
    cancels_at: datetime | None = None


@dataclass
class Grant:
    source: str
    plan: str
    starts_at: datetime
    ends_at: datetime
    revoked_at: datetime | None = None

    @property
    def over_at(self) -> datetime:
        return min(self.ends_at, self.revoked_at or self.ends_at)


@dataclass
class Mirror:
    """What can be known of a subscription from what was heard, in the order it was heard."""

    started_at: datetime
    said: Said | None = None
    as_of: datetime | None = None
    event: str | None = None
    past_due_since: datetime | None = None
    is_unsure: bool = False

    def hear(self, event: str, at: datetime, said: Said) -> None:
        if self.as_of is not None:
            if at < self.as_of or (at == self.as_of and event == self.event):
                return
            if at == self.as_of:
                self.is_unsure = True
                if said.status not in OVER:
                    return
        self._know(said, at)
        self.event = event

    def ask(self, at: datetime, said: Said) -> None:
        if self.as_of is None or at >= self.as_of:
            self._know(said, at)
            self.event, self.is_unsure = None, False

    def _know(self, said: Said, at: datetime) -> None:
        if said.status != "past_due":
            self.past_due_since = None
        elif self.said is None or self.said.status != "past_due":
            self.past_due_since = at
        self.said, self.as_of = said, at


@dataclass
class Books:
    """An organisation's grants and subscriptions."""

    plans: dict[str, Plan]
    default: str | None
    grants: list[Grant] = field(default_factory=list)
    mirrors: dict[str, Mirror] = field(default_factory=dict)

    def current(self, now: datetime) -> list[tuple[str, str, datetime | None, str]]:
        """(source, plan, until, why) of whatever counts now."""
        found: list[tuple[str, str, datetime | None, str]] = [
            (grant.source, grant.plan, grant.over_at, grant.source)
            for grant in self.grants
            if grant.starts_at <= now < grant.over_at
        ]
        for mirror in self.mirrors.values():
            if mirror.said is not None and mirror.said.plan is not None and mirror.started_at <= now:
                until = self._until(mirror)
                if until is not None and now < until:
                    found.append(("subscription", mirror.said.plan, until, self._why(mirror, now)))
        if self.default:
            found.append(("default", self.default, None, "default_plan"))
        return found

    def allowed_clients(self, now: datetime) -> int | None:
        counts = [self.plans[plan].clients for _, plan, _, _ in self.current(now)]
        return None if None in counts else max((count for count in counts if count is not None), default=0)

    def features(self, now: datetime) -> set[str]:
        return {name for _, plan, _, _ in self.current(now) for name in self.plans[plan].features}

    def plan(self, now: datetime) -> str | None:
        return max((plan for _, plan, _, _ in self.current(now)), key=lambda name: self.plans[name].rank, default=None)

    def _until(self, mirror: Mirror) -> datetime | None:
        said = mirror.said
        assert said is not None
        grace = self.plans[said.plan or ""].grace
        ends = said.cancels_at or datetime.max.replace(tzinfo=said.period_ends_at.tzinfo)
        if said.status in LIVE:
            return min(ends, said.period_ends_at + grace)
        if said.status == "past_due" and mirror.past_due_since:
            return min(ends, mirror.past_due_since + grace)
        return None

    def _why(self, mirror: Mirror, now: datetime) -> str:
        said = mirror.said
        assert said is not None
        if said.status == "past_due":
            return "payment_failed_grace"
        if said.cancels_at:
            return "subscription_ending"
        if said.period_ends_at <= now:
            return "renewal_awaited"
        return "subscription_trialing" if said.status == "trialing" else "subscription_active"
