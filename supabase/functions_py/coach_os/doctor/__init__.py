"""The doctor: everything that can be looked at without changing anything, and for each thing that is wrong its fix.

The database looks at itself (`service.examine`). What only this side knows is looked at here: settings and secrets,
migrations and the grants they gave, clocks, timezone data, and the provider's endpoints and totals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from coach_os.database import Database
from coach_os.doctor.configuration import examine_settings
from coach_os.doctor.database import examine_clock, examine_database, examine_grants, examine_timezones
from coach_os.doctor.finding import Finding, FindingList
from coach_os.doctor.stripe_endpoints import examine_stripe
from coach_os.doctor.stripe_money import examine_money
from coach_os.errors import CoachError
from coach_os.settings import Settings

__all__ = ["Finding", "Report", "examine"]

_SEVERITIES = ("error", "warning")


@dataclass(slots=True)
class Report:
    """What was found, the worst first; `blind` names what could not be looked at, and why."""

    checked: int = 0
    findings: FindingList = field(default_factory=list)
    blind: list[dict[str, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 something was found, 3 something could not be looked at."""
        return 1 if self.findings else 3 if self.blind else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "findings": [finding.as_json() for finding in self.findings],
            "blind": self.blind,
        }


async def examine(settings: Settings, database: Database, *, is_quick: bool = False) -> Report:
    """Look at everything, or quickly at what costs little: no whole tables, and nothing is asked of providers.

    Raises:
        CoachError: the database cannot be asked at all.
    """
    report = Report()
    checked, findings, blind = await examine_database(database, is_quick=is_quick)
    report.checked, report.findings, report.blind = checked, findings, blind
    looks: Sequence[tuple[str, Callable[[], Awaitable[FindingList]]]] = (
        ("settings", lambda: _at_once(examine_settings(settings))),
        ("grants", lambda: examine_grants(database)),
        ("clock", lambda: examine_clock(database)),
        ("timezones", lambda: examine_timezones(database)),
        *(
            ()
            if is_quick or settings.stripe_secret_key is None
            else (("stripe", lambda: examine_stripe(settings)), ("money", lambda: examine_money(settings, database)))
        ),
    )
    for name, look in looks:
        try:
            report.findings += await look()
            report.checked += 1
        except CoachError as error:
            report.blind.append({"check": name, "reason": error.slug})
    report.findings.sort(key=lambda finding: (_SEVERITIES.index(finding.severity), finding.check))
    return report


async def _at_once(found: FindingList) -> FindingList:
    return found
