"""The two cron routes of automations, in the shape that the existing schedulers know."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.http.conftest import SECRET, ScriptedDatabase, serving, settings_with

BEARER = {"Authorization": f"Bearer {SECRET}"}
RECORD = {"service.start_job_run": "7d2e", "service.finish_job_run": None}


class Emptying(ScriptedDatabase):
    """Has something to do once."""

    async def rpc(self, name: str, /, **params: Any) -> Any:
        answer = await super().rpc(name, **params)
        if name.startswith("service.sweep_"):
            self.answers[name] = [dict.fromkeys(answer[0], 0)]
        return answer


def post(path: str, database: ScriptedDatabase, headers: dict[str, str] = BEARER) -> tuple[int, dict[str, Any]]:
    async def once() -> tuple[int, dict[str, Any]]:
        async with serving(settings_with(cron_secret=SECRET), database) as client:
            response = await client.post(path, headers=headers)
            return response.status_code, response.json()

    return asyncio.run(once())


def test_cron_automations_answers_what_was_processed_and_how_many_runs() -> None:
    database = Emptying(
        {**RECORD, "service.sweep_automations": [{"planned": 2, "fired": 3, "ok": 5, "failed": 1, "left_out": 4}]}
    )
    status, answer = post("/functions/v1/cron-automations", database)
    assert (status, answer) == (200, {"processed": 3, "runs": 6, "failed": 1, "is_complete": True})


def test_cron_risk_score_answers_how_many_and_for_which_date() -> None:
    database = Emptying({**RECORD, "service.sweep_risk": [{"orgs": 2, "scored": 40}]})
    status, answer = post("/functions/v1/cron-risk-score", database)
    assert (status, answer["processed"], answer["is_complete"]) == (200, 40, True)
    assert answer["date"] == datetime.now(UTC).date().isoformat()


def test_neither_runs_without_the_secret() -> None:
    for path in ("cron-automations", "cron-risk-score"):
        database = ScriptedDatabase({})
        status, answer = post(f"/functions/v1/{path}", database, {})
        assert (status, answer["slug"], database.calls) == (401, "cron_secret_wrong", [])
