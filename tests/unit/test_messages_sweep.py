"""The worker that sends: what it claims, what it gives back, and that no result is lost on the way to the database."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Self
from uuid import uuid4

import pytest

from coach_os.errors import CoachError, Refusal, Unavailable
from coach_os.providers.outcome import Outcome
from coach_os.sweeps import SweepResult, messages, recording
from coach_os.sweeps.messages import CONCURRENCY, send_due_messages
from coach_os.sweeps.unknown_messages import reconcile_unknown_messages

SENT = Outcome("sent", "twilio", provider_message_id="SM1")


class Queue:
    """Lends `due` messages out, and keeps what is recorded of them."""

    def __init__(self, due: int, accounts: tuple[str | None, ...] = (None,)) -> None:
        self.waiting = [self.row(accounts[number % len(accounts)]) for number in range(due)]
        self.claims: list[int] = []
        self.recorded: dict[str, dict[str, Any]] = {}
        self.batches: list[int] = []
        self.deferred: list[tuple[str, str | None]] = []
        self.away: Callable[[str], CoachError | None] = lambda name: None
        self.finished: dict[str, Any] = {}

    def row(self, account: str | None) -> dict[str, Any]:
        own = {"account_sid": account, "auth_token_encrypted": "x"} if account else None
        ids = {name: str(uuid4()) for name in ("org_id", "id", "claim")}
        return {**ids, "attempt_number": 1, "channel": "sms", "kind": "direct", "account": own, "body": "Hello"}

    async def rpc(self, name: str, /, **params: Any) -> Any:
        await asyncio.sleep(0)
        if error := self.away(name):
            raise error
        if name == "service.start_job_run":
            return str(uuid4())
        if name == "service.finish_job_run":
            self.finished = params
        if name in ("service.claim_messages", "service.claim_unknown_messages"):
            self.claims.append(params["p_limit"])
            taken, self.waiting = self.waiting[: params["p_limit"]], self.waiting[params["p_limit"] :]
            return taken
        if name in ("service.record_messages", "service.record_lookups"):
            self.batches.append(len(params["p_results"]))
            self.recorded |= {result["id"]: result for result in params["p_results"]}
            found = sum(result["provider_message_id"] is not None for result in params["p_results"])
            counts = {"recorded": len(params["p_results"]), "stale": 0}
            return [counts | {"settled": found, "unsettled": len(params["p_results"]) - found}]
        if name == "service.defer_provider":
            self.deferred.append((params["p_provider"], params["p_account"]))
        if name == "service.messages_state":
            return {"due": len(self.waiting), "unknown": 3}
        return None

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class Provider:
    """Answers each try as a test says, and counts how many are under way."""

    channels = ("sms",)

    def __init__(self, answer: Callable[[Mapping[str, Any]], Outcome] = lambda row: SENT) -> None:
        self.answer = answer
        self.tried: list[str] = []
        self.under_way = self.most = 0

    async def send(self, row: Mapping[str, Any]) -> Outcome:
        self.tried.append(row["id"])
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
        self.under_way -= 1
        return self.answer(row)


def sweep(queue: Queue, provider: Provider, **options: Any) -> SweepResult:
    return asyncio.run(send_due_messages(queue, carrier=provider, **options))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "PAUSES", (0.0, 0.0, 0.0))


def test_everything_is_tried_once_and_recorded_as_it_ends() -> None:
    queue, provider = Queue(200), Provider()
    ids = {row["id"] for row in queue.waiting}
    result = sweep(queue, provider)
    assert Counter(provider.tried) == dict.fromkeys(ids, 1)
    assert queue.recorded.keys() == ids
    assert (result.counts, result.is_complete) == ({"sent": 200}, True)
    assert max(queue.batches) <= recording.MAX_RESULTS, "not only at the end"


def test_no_more_is_claimed_than_begins_at_once() -> None:
    queue, provider = Queue(200), Provider()
    sweep(queue, provider)
    assert provider.most <= CONCURRENCY
    assert max(queue.claims) <= CONCURRENCY
    assert min(queue.claims) >= CONCURRENCY // 2, "a claim is worth its call"


@pytest.mark.parametrize("limit", [1, 7, CONCURRENCY, 100])
def test_a_limit_is_never_exceeded(limit: int) -> None:
    queue, provider = Queue(150), Provider()
    result = sweep(queue, provider, limit=limit)
    assert len(provider.tried) == limit
    assert not result.is_complete


def test_a_worker_that_is_asked_to_stop_ends_what_it_began() -> None:
    queue, provider = Queue(200), Provider()
    result = sweep(queue, provider, should_stop=lambda: len(provider.tried) >= 40)
    assert 40 <= len(provider.tried) < 80
    assert queue.recorded.keys() == set(provider.tried)
    assert not result.is_complete


def test_a_dry_run_claims_nothing() -> None:
    queue, provider = Queue(5), Provider()
    assert sweep(queue, provider, dry_run=True).counts == {"due": 5}
    assert (queue.claims, provider.tried) == ([], [])


def test_an_account_s_limit_holds_back_that_account_alone() -> None:
    queue = Queue(160, accounts=("ACfull", None))
    full = Outcome("deferred", "twilio", error_code="20429", retry_after_secs=60, account_rest_secs=60)
    provider = Provider(lambda row: full if row["account"] else SENT)
    result = sweep(queue, provider)
    assert queue.deferred == [("twilio", "ACfull")], "said once"
    assert result.counts == {"sent": 80, "deferred": 80}
    assert len(provider.tried) <= 80 + CONCURRENCY, "the others were given back untried"
    untried = [result for result in queue.recorded.values() if result["error_code"] == "account_resting"]
    assert untried
    assert all(0 < result["retry_after_secs"] <= 60 for result in untried)


def test_a_provider_that_is_away_rests_after_a_few_tries_in_a_row() -> None:
    queue = Queue(100)
    sweep(queue, Provider(lambda row: Outcome("deferred", "twilio", error_code="connection_refused")))
    assert queue.deferred == [("twilio", None)]
    queue, tries = Queue(100), iter(range(1000))
    now_and_then = Outcome("deferred", "twilio", error_code="20503")
    sweep(queue, Provider(lambda row: now_and_then if next(tries) % 4 else SENT))
    assert queue.deferred == [], "now and then is no outage"


def test_what_cannot_end_within_its_lease_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LEASE_SECONDS", messages.TRY_SECONDS)
    queue, provider = Queue(10), Provider()
    assert sweep(queue, provider).counts == {"deferred": 10}
    assert provider.tried == []
    assert {result["error_code"] for result in queue.recorded.values()} == {"lease_over"}


def test_a_defect_in_a_try_is_unknown_and_stops_nothing() -> None:
    def answer(row: Mapping[str, Any]) -> Outcome:
        if row["account"]:
            raise RuntimeError("+61412345678")
        return SENT

    queue = Queue(40, accounts=("AC1", None))
    assert sweep(queue, Provider(answer)).counts == {"sent": 20, "unknown": 20}


def test_results_outlast_a_database_that_is_away_for_a_moment() -> None:
    queue, failures = Queue(40), iter([Unavailable()] * 3)
    queue.away = lambda name: next(failures, None) if name == "service.record_messages" else None
    assert sweep(queue, Provider()).counts == {"sent": 40}
    assert len(queue.recorded) == 40


@pytest.mark.parametrize("error", [Unavailable(), Refusal(422, "value_not_allowed", "No.")])
def test_results_that_cannot_be_recorded_end_the_run_with_the_reason(error: CoachError) -> None:
    queue, provider = Queue(500), Provider()
    queue.away = lambda name: error if name == "service.record_messages" else None
    with pytest.raises(type(error)):
        sweep(queue, provider)
    assert queue.finished["p_error"] == error.slug
    assert len(provider.tried) < 500, "nothing is sent that cannot be recorded"


def test_a_claim_that_fails_lets_what_is_under_way_be_recorded() -> None:
    queue, provider = Queue(200), Provider()
    queue.away = lambda name: Unavailable() if name == "service.claim_messages" and len(queue.claims) == 3 else None
    with pytest.raises(Unavailable):
        sweep(queue, provider)
    assert queue.recorded.keys() == set(provider.tried) != set()


def test_an_account_s_rest_that_cannot_be_recorded_is_heeded_all_the_same() -> None:
    queue = Queue(100)
    queue.away = lambda name: Unavailable() if name == "service.defer_provider" else None
    full = Outcome("deferred", "twilio", error_code="20429", retry_after_secs=60, account_rest_secs=60)
    provider = Provider(lambda row: full)
    assert sweep(queue, provider).counts == {"deferred": 100}
    assert len(provider.tried) <= CONCURRENCY


def test_a_look_up_without_an_answer_leaves_a_message_unknown() -> None:
    class Finder:
        async def find(self, row: Mapping[str, Any]) -> None:
            raise OSError

    queue = Queue(120)
    result = asyncio.run(reconcile_unknown_messages(queue, finder=Finder()))  # type: ignore[arg-type]
    assert (result.counts, result.is_complete) == ({"settled": 0, "unsettled": 120}, True)
    assert asyncio.run(reconcile_unknown_messages(queue, dry_run=True)).counts == {"unknown": 3}  # type: ignore[arg-type]
