"""/metrics: what a monitor scrapes, read back by Prometheus' own parser, and whom it is refused."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness.database import Database
from tests.http.conftest import SECRET, Ask, ScriptedDatabase, serving, settings_with

from coach_os.database import open_database
from coach_os.errors import Unavailable

KIND = {
    **{"kind": "sms", "description": "Texts leave", "verdict": "failing", "reasons": ["errors"], "backlog": 3},
    **{"oldest_due_at": "2026-11-29T02:00:00+00:00", "oldest_due_secs": 90, "done": 4, "failed": 6, "error_rate": 0.6},
    **{"deferred_until": "2026-11-29T03:00:00+00:00", "failures": [{"reason": '3"0\n1', "count": 6}]},
    **{"stuck": [{"id": "x", "since": None, "reason": "lease_ran_out", "fix": "coach sweep messages"}]},
    **{"runs": 1, "last_run_at": None, "degraded_after_secs": 600, "failing_after_secs": 3600, "fix": "coach sweep"},
}
PULSE = {"as_of": "2026-11-29T02:01:30+00:00", "verdict": "failing", "kinds": [KIND]}


def scrape(secret: str | None = SECRET) -> Ask:
    headers = {"authorization": f"Bearer {secret}"} if secret is not None else {}
    return lambda client: client.get("/metrics", headers=headers)


def ask(act: Ask, answer: object = PULSE, **settings: str) -> httpx.Response:
    async def once() -> httpx.Response:
        async with serving(settings_with(**settings), ScriptedDatabase({"service.pulse": answer})) as client:
            return await act(client)

    return asyncio.run(once())


def samples(response: httpx.Response) -> dict[tuple[str, ...], float]:
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_a_pulse_is_what_prometheus_reads() -> None:
    assert samples(ask(scrape(), metrics_secret=SECRET)) == {
        ("coach_verdict",): 2,
        ("coach_work_verdict", "sms"): 2,
        ("coach_work_backlog", "sms"): 3,
        ("coach_work_oldest_due_seconds", "sms"): 90,
        ("coach_work_done_last_hour", "sms"): 4,
        ("coach_work_failed_last_hour", "sms"): 6,
        ("coach_work_stuck", "sms"): 1,
        ("coach_work_deferred_until_timestamp_seconds", "sms"): 1795921200,
        ("coach_work_last_run_timestamp_seconds", "sms"): 0,
        ("coach_work_failures_last_hour", "sms", '3"0\n1'): 6,
    }


def test_a_real_database_has_every_kind_in_every_metric(db: Database) -> None:
    async def once() -> httpx.Response:
        settings = settings_with(metrics_secret=SECRET, database_url=db.url)
        async with serving(settings, open_database(settings)) as client:
            return await scrape()(client)

    found = samples(asyncio.run(once()))
    kinds = set(db.owner.values("select kind from private.work_kinds"))
    assert {key[1] for key in found if key[0] == "coach_work_backlog"} == kinds
    assert found[("coach_verdict",)] == 0


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x"])
def test_a_wrong_secret_opens_nothing(secret: str | None) -> None:
    response = ask(scrape(secret), metrics_secret=SECRET)
    assert (response.status_code, response.json()["slug"]) == (401, "metrics_secret_wrong")


def test_without_a_setting_it_is_refused_also_with_crons_secret() -> None:
    response = ask(scrape(), cron_secret=SECRET)
    assert (response.status_code, response.json()["slug"]) == (403, "metrics_disabled")


def test_a_database_that_is_away_is_no_healthy_pulse() -> None:
    response = ask(scrape(), Unavailable(), metrics_secret=SECRET)
    assert (response.status_code, response.json()["slug"]) == (503, "database_unavailable")
