"""What a look comes to: one finding for each kind of thing that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, how bad it is, what that means, and the command that mends it.

    `examples` name a few of the `count` things that it is wrong with: ids and names, never a value that is secret.
    """

    check: str
    severity: str
    meaning: str
    fix: str
    count: int = 1
    examples: list[Mapping[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "severity": self.severity,
            "meaning": self.meaning,
            "fix": self.fix,
            "count": self.count,
            "examples": list(self.examples),
        }


FindingList = list[Finding]

EXAMPLES = 5


def found(check: str, severity: str, meaning: str, fix: str, subjects: list[str]) -> FindingList:
    """One finding about these subjects, or none where there are none."""
    if not subjects:
        return []
    examples: list[Mapping[str, Any]] = [{"subject": subject} for subject in subjects[:EXAMPLES]]
    return [Finding(check, severity, meaning, fix.replace("{subject}", subjects[0]), len(subjects), examples)]
