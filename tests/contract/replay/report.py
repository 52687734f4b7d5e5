"""The replay in numbers: how many of each caller's calls succeed, and what the others wait for."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.contract.replay.calls import read_calls
from tests.contract.replay.expected import expected
from tests.contract.replay.replay import Outcome

CALLERS = {
    ("browser", "authenticated"): "browser, signed in",
    ("browser", "anon"): "browser, public page",
    ("mobile", "authenticated"): "mobile, signed in",
    ("mobile", "anon"): "mobile, not signed in",
    ("server-session", "authenticated"): "server, user's cookie",
    ("server-anon", "anon"): "server, middleware",
    ("server-service", "service_role"): "server, secret key",
    ("edge-service", "service_role"): "edge functions",
}
COLUMNS = ("core calls", "succeed", "refused", "not yet", "unexpected")


def count(outcomes: Iterable[Outcome]) -> dict[str, Counter[str]]:
    """Calls by caller and by what came of them; a call made in several places counts for each."""
    table: dict[str, Counter[str]] = {caller: Counter() for caller in CALLERS.values()}
    for outcome in outcomes:
        call, wanted = outcome.call, expected(outcome.call)
        if outcome.problem is None:
            column = "succeed"
        elif wanted is None or outcome.problem != wanted.problem:
            column = "unexpected"
        else:
            column = "not yet" if wanted.domain else "refused"
        for name in (column, "core calls"):
            table[CALLERS[call.caller, call.role]][name] += len(call.sites)
    return table


def lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The report as text."""
    table = count(outcomes)
    total: Counter[str] = sum(table.values(), Counter())
    rows = [("", *COLUMNS), *((caller, *map(str, (row[c] for c in COLUMNS))) for caller, row in table.items())]
    rows.append(("together", *(str(total[c]) for c in COLUMNS)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    waiting: Counter[str] = Counter()
    for call in (outcome.call for outcome in outcomes if outcome.problem):
        wanted = expected(call)
        if wanted and wanted.domain:
            waiting[wanted.domain] += len(call.sites)
    outside = sum(len(call.sites) for call in read_calls() if not call.is_core)
    return [
        *text,
        "waiting for " + (", ".join(f"{domain} {number}" for domain, number in waiting.most_common()) or "nothing"),
        f"{outside} calls lie outside the core (accounting, nutrition, newsletters, insights, an example): not made",
    ]


def write(outcomes: Sequence[Outcome], directory: Path) -> None:
    """Keeps the report and each call's outcome as replay.txt and replay.jsonl."""
    directory.mkdir(exist_ok=True)
    (directory / "replay.txt").write_text("\n".join(lines(outcomes)) + "\n")
    with (directory / "replay.jsonl").open("w") as file:
        for outcome in outcomes:
            wanted = expected(outcome.call)
            file.write(
                json.dumps(
                    {
                        "problem": outcome.problem,
                        "why": wanted.why if wanted else None,
                        "call": str(outcome.call),
                        "sites": outcome.call.sites,
                    }
                )
                + "\n"
            )
