"""Plausible values: from the contract's value sets, the catalogue's checks, a column's name, its type."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from secrets import randbelow
from typing import Any
from uuid import uuid4

from tests.contract.replay.catalogue import Catalogue, Column

# On the grid of starts that scheduling offers.
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

#: What the apps write where any text would be accepted, and what fits together in a sale: an offer of ten sessions at
#: 100.00, a promo code of ten percent. A world's rows always carry these, also where the column may be null.
CONTRACT: dict[str, Any] = {
    "activity_events.payload": {"completed": True},
    "activity_events.type": "workout",
    "automation_runs.status": "ok",
    "automations.actions": [{"type": "notify_trainer", "params": {}}],
    "automations.conditions": [{"field": "risk_tier", "operator": "=", "value": "red"}],
    "automations.guardrails": {"max_per_client_per_day": 1},
    "automations.trigger": {"type": "schedule", "schedule": "daily"},
    "blocked_times.date": None,
    "blocked_times.day_of_week": 1,
    "booking_series.interval_weeks": 1,
    "booking_settings.early_cutoff_before_hour": 9,
    "bookings.booking_source": "trainer",
    "bookings.location_type": "in_person",
    "bookings.session_type": "pt_session",
    "bookings.status": "confirmed",
    "branding.primary_color": "#112233",
    "checkin_photos.photo_type": "front",
    "client_communications.direction": "outbound",
    "client_communications.type": "phone",
    "client_measurements.measurement_type": "weight",
    "client_purchases.amount_paid_cents": 9000,
    "client_purchases.discount_cents": 1000,
    "client_purchases.expires_at": None,
    "client_purchases.payment_method": "cash",
    "client_purchases.payment_status": "succeeded",
    "client_purchases.sessions_total": 10,
    "client_purchases.sessions_used": 0,
    "client_risk.tier": "amber",
    "client_waivers.status": "sent",
    "clients.gender": "female",
    "clients.preferred_time_windows": [{"day": 1, "start": "09:00", "end": "12:00"}],
    "clients.status": "active",
    "inquiries.converted_client_id": None,
    "inquiries.source": "website",
    "inquiries.status": "NEW",
    "member_invites.role": "coach",
    "messages.sender_type": "trainer",
    "money_events.source": "stripe",
    "money_events.type": "INCOME",
    "offers.billing_period": "monthly",
    "offers.bonus_sessions": 0,
    "offers.included_items": ["Ten sessions"],
    "offers.offer_type": "session_pack",
    "offers.price_cents": 10000,
    "offers.sessions_included": 10,
    "org_members.role": "owner",
    "outbox_attempts.provider_message_id": "SM1",
    "outbox_messages.channel": "sms",
    "outbox_messages.kind": "direct",
    "outbox_messages.status": "queued",
    "org_payout_settings.payout_frequency": "weekly",
    "org_payout_settings.payout_method": "bank_transfer",
    "org_payouts.status": "processing",
    "orgs.commission_rate": 0.05,
    # Once there is a plan, an organisation may use what its plan opens: this one opens everything, for everybody.
    "plans.features": ["deposits", "imports", "marketing"],
    "plans.is_default": True,
    "plans.limits": {},
    "platform_admins.permissions": ["*"],
    "promo_codes.discount_type": "percentage",
    "promo_codes.discount_value": 10,
    "referral_links.reward_type": "discount",
    "refunds.source": "manual",
    "sms_schedules.type": "pre_session",
    "sms_suppression.reason": "opt_out",
    "subscriptions.status": "active",
    "webhook_endpoints.url": "https://hooks.example.com/coach",
    # Over: an open one would bind whoever it lets in.
    "support_access.ended_at": NOW.isoformat(),
    "support_access.expires_at": (NOW + timedelta(hours=2)).isoformat(),
}

_BY_NAME: dict[str, Callable[[int], Any]] = {
    # Some are unique everywhere, and there is more than one world.
    "code": lambda n: f"CODE{n}-{uuid4().hex[:8].upper()}",
    "currency": lambda n: "aud",
    "day_of_week": lambda n: n % 7,
    "invite_code": lambda n: f"INVITE-{uuid4().hex[:8].upper()}",
    "email": lambda n: f"somebody{n}@example.com",
    # A period is paid out once.
    "period_end": lambda n: (date.today() - timedelta(days=n)).isoformat(),
    "period_start": lambda n: (date.today() - timedelta(days=n)).isoformat(),
    "phone": lambda n: f"+614{randbelow(10**8):08}",
    "stripe_account_id": lambda n: f"acct_{uuid4().hex[:16]}",
    "slug": lambda n: f"slug-{n}",
    "timezone": lambda n: "Australia/Brisbane",
}

_BY_TYPE: dict[str, Callable[[int], Any]] = {
    "bigint": lambda n: 60,
    "boolean": lambda n: True,
    "bytea": lambda n: uuid4().bytes,
    "date": lambda n: date.today().isoformat(),
    "integer": lambda n: 60,
    "jsonb": lambda n: {},
    "numeric": lambda n: 60,
    # Letters alone, which is a text, a slug and a code.
    "text": lambda n: "text_" + "".join(chr(ord("a") + int(digit)) for digit in str(n)),
    "text[]": lambda n: ["text"],
    "time without time zone": lambda n: "09:00:00",
    # Distinct hours some days ahead, so that no two rows overlap.
    "timestamp with time zone": lambda n: (NOW + timedelta(days=3, hours=2 * n)).isoformat(),
    # Tokens among them: there is more than one world, and each link opens one page.
    "uuid": lambda n: str(uuid4()),
}


def is_set_by_contract(column: Column) -> bool:
    """Whether a world's row carries the column although it may be null."""
    return f"{column.table}.{column.name}" in CONTRACT


def plausible(catalogue: Catalogue, column: Column, n: int) -> Any:
    """A value of row number `n`, fit for JSON; keys to other rows are the caller's."""
    name = f"{column.table}.{column.name}"
    if name in CONTRACT:
        return CONTRACT[name]
    allowed = catalogue.allowed(column.table, column.name)
    if allowed:
        return allowed[0]
    if column.name in _BY_NAME:
        return _BY_NAME[column.name](n)
    if column.name in {"end_time", "closes_time"}:
        return "17:00:00" if column.type.startswith("time ") else (NOW + timedelta(days=3, hours=2 * n + 1)).isoformat()
    if column.type in _BY_TYPE:
        return _BY_TYPE[column.type](n)
    return catalogue.first_label(column.type)


def beyond(value: Any, *, upwards: bool) -> Any:
    """A bound that lies to one side of a value, for range filters."""
    if isinstance(value, datetime | date):
        return (value + timedelta(days=400) * (1 if upwards else -1)).isoformat()
    if isinstance(value, int | float):
        return value + (1 if upwards else -1)
    return f"{value}~" if upwards else ""
