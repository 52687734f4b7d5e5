"""The existing apps' calls against the running stack: each succeeds, or is refused for a reason written down."""

import re
from pathlib import Path

from tests.clients.stack import Stack
from tests.contract.replay.calls import read_calls
from tests.contract.replay.expected import absent, expected, listed_sites
from tests.contract.replay.replay import Outcome

TOLD = Path(__file__).parents[2] / "docs" / "frontend-changes.md"


def test_each_call_succeeds_unless_it_is_listed(outcomes: list[Outcome]) -> None:
    surprises = [f"{o.problem}: {o.call}" for o in outcomes if o.problem and not expected(o.call)]
    assert not surprises, "\n".join(surprises)


def test_each_listed_call_is_refused_as_it_says(outcomes: list[Outcome]) -> None:
    moved = []
    for outcome in outcomes:
        wanted = expected(outcome.call)
        if wanted and outcome.problem != wanted.problem:
            moved.append(
                f"{outcome.problem or 'succeeds now'}, listed as {wanted.problem} ({wanted.why}): {outcome.call}"
            )
    assert not moved, "\n".join(moved)


def test_the_list_names_calls_that_exist() -> None:
    calls = [call for call in read_calls() if call.is_core]
    assert listed_sites() <= {call.sites[0] for call in calls}
    assert set(absent()) <= {call.table or call.function or call.kind for call in calls}


def test_what_comes_later_is_not_there_yet(stack: Stack) -> None:
    there = stack.owner.execute(
        "select relname as name from pg_class where relnamespace = 'public'::regnamespace"
        " union select proname from pg_proc where pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert not {row["name"] for row in there} & set(absent())


def test_what_is_refused_or_absent_is_told_to_the_frontend() -> None:
    told = TOLD.read_text()
    pages = {re.sub(r"^apps/(?:trainer-web/src|client-mobile)/|:\d+$", "", site) for site in listed_sites()}
    missing = {page for page in pages if f"`{page}`" not in told} | {n for n in absent() if f"`{n}`" not in told}
    assert not missing
