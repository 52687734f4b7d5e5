"""`GET /metrics`: the pulse as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from coach_os.database import Database
from coach_os.errors import Refusal
from coach_os.functions.cron import is_secret

VERDICTS = ("healthy", "degraded", "failing")

Kind = Mapping[str, Any]


def authorise(secret: str | None, given: str | None) -> None:
    """Let the caller pass who sends the secret; it opens this route and no other.

    Raises:
        Refusal: 403 where no secret is set, whatever is sent; 401 for a wrong one or none.
    """
    if not secret:
        raise Refusal(403, "metrics_disabled", "Metrics are refused: no secret is set.", "Set METRICS_SECRET.")
    if not is_secret(secret, given):
        raise Refusal(401, "metrics_secret_wrong", "The secret is missing or wrong.", "Send Authorization: Bearer …")


async def run(database: Database) -> bytes:
    """The exposition of one pulse: nothing is counted in this process, so any number of them say the same.

    Raises:
        CoachError: the database could not be asked.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Pulse(await database.rpc("service.pulse")))
    return generate_latest(registry)


class _Pulse(Collector):
    """One pulse as metrics; every kind of work has every metric, so that a query finds none missing."""

    def __init__(self, pulse: Mapping[str, Any]) -> None:
        self._pulse = pulse

    def collect(self) -> Iterable[GaugeMetricFamily]:
        kinds: list[Kind] = self._pulse["kinds"]
        verdict = GaugeMetricFamily("coach_verdict", "The worst kind of work: 0 healthy, 1 degraded, 2 failing.")
        verdict.add_metric([], VERDICTS.index(self._pulse["verdict"]))
        yield verdict
        yield _of_each("verdict", "0 healthy, 1 degraded, 2 failing.", kinds, lambda k: VERDICTS.index(k["verdict"]))
        yield _of_each("backlog", "What is due and waits; counted up to 10000.", kinds, lambda k: k["backlog"])
        yield _of_each(
            "oldest_due_seconds", "How long the oldest has waited.", kinds, lambda k: k["oldest_due_secs"] or 0
        )
        yield _of_each("done_last_hour", "What was done in the last hour.", kinds, lambda k: k["done"])
        yield _of_each("failed_last_hour", "What failed in the last hour.", kinds, lambda k: k["failed"])
        yield _of_each("stuck", "What does not go on by itself; counted up to 10.", kinds, lambda k: len(k["stuck"]))
        yield _of_each(
            "deferred_until_timestamp_seconds",
            "When a provider may be asked again; 0: now.",
            kinds,
            lambda k: _timestamp(k["deferred_until"]),
        )
        yield _of_each(
            "last_run_timestamp_seconds",
            "When its job last ran within the hour; 0: it did not.",
            kinds,
            lambda k: _timestamp(k["last_run_at"]),
        )
        failures = GaugeMetricFamily(
            "coach_work_failures_last_hour", "The commonest failures of the last hour.", labels=["kind", "reason"]
        )
        for kind in kinds:
            for failure in kind["failures"]:
                failures.add_metric([kind["kind"], failure["reason"]], failure["count"])
        yield failures


def _of_each(name: str, help: str, kinds: list[Kind], value: Any) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"coach_work_{name}", help, labels=["kind"])
    for kind in kinds:
        family.add_metric([kind["kind"]], value(kind))
    return family


def _timestamp(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0
