"""The sweeps that the database does alone; what each does is said where its function is (docs/rpc.md)."""

from __future__ import annotations

from coach_os.sweeps.runner import InBatches

#: A batch is large enough to be one statement's work, small enough that a kill loses little.
BOOKINGS = InBatches("bookings", "service.sweep_overdue_bookings", batch_size=5000)
#: Each hold is freed and offered on by itself; an offer is no reason to go on.
HOLDS = InBatches("holds", "service.sweep_expired_holds", batch_size=1000, progress=("expired",))
WAIVERS = InBatches("waivers", "service.sweep_waivers", batch_size=1000)
REMINDERS = InBatches("reminders", "service.sweep_reminders", batch_size=1000)
RECEIPTS = InBatches("receipts", "service.sweep_receipts", batch_size=500)
MESSAGE_LEFTOVERS = InBatches("message_leftovers", "service.sweep_message_leftovers", batch_size=10_000)
IMPORT_LEFTOVERS = InBatches("import_leftovers", "service.sweep_import_leftovers", batch_size=1000)
SUPPORT_ACCESS = InBatches("support_access", "service.sweep_support_access", batch_size=1000)
AUDIT = InBatches("audit", "service.sweep_audit", batch_size=10_000)
RATE_LIMITS = InBatches("rate_limits", "service.sweep_rate_limits", batch_size=10_000)
AUTOMATIONS = InBatches("automations", "service.sweep_automations", batch_size=200)
#: Each organisation is scored in one statement.
RISK = InBatches("risk", "service.sweep_risk", batch_size=20)
AUTOMATION_LEFTOVERS = InBatches("automation_leftovers", "service.sweep_automation_leftovers", batch_size=1000)
