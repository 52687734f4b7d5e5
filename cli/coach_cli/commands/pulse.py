"""coach pulse: how the work goes that runs by itself, for people and for monitors."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json, rpc
from coach_cli.words import moment

app = typer.Typer(add_completion=False, rich_markup_mode=None)

#: As monitoring plugins exit; what cannot be asked is 3, unknown, as everywhere else here.
EXIT_CODES = {"healthy": 0, "degraded": 1, "failing": 2}

HEADINGS = {
    "kind": "work",
    "verdict": "verdict",
    "why": "why",
    "backlog": "due",
    "oldest": "oldest",
    "done": "done/h",
    "failed": "failed/h",
    "fix": "what to do",
}
STUCK_HEADINGS = {"kind": "work", "since": "since", "reason": "why", "fix": "what to do"}
FAILURE_HEADINGS = {"kind": "work", "reason": "why", "count": "times"}


@app.command(epilog="Example: coach pulse --wrong-only")
def pulse(
    wrong_only: Annotated[
        bool, typer.Option("--wrong-only", help="Leave out what is healthy; nothing is printed where all is.")
    ] = False,
    json: Json = False,
) -> None:
    """Show how the work goes that runs by itself: what waits, what fails, what is stuck, and what fixes it.

    Exits 0 when all of it is healthy, 1 when some is degraded, 2 when some is failing, 3 when it could not be asked.
    """
    found = rpc("service.pulse")
    kinds = [kind for kind in found["kinds"] if not (wrong_only and kind["verdict"] == "healthy")]
    if json:
        output.print_json({**found, "kinds": kinds})
    elif kinds:
        output.print_rows([_readable(kind) for kind in kinds], HEADINGS, title="Pulse")
        _print_parts(kinds, "stuck", STUCK_HEADINGS, "Stuck")
        _print_parts([kind for kind in kinds if kind["verdict"] != "healthy"], "failures", FAILURE_HEADINGS, "Failures")
    if not json and not wrong_only:
        output.say(f"All of it together is {found['verdict']}.")
    raise typer.Exit(EXIT_CODES[found["verdict"]])


def _readable(kind: Mapping[str, Any]) -> dict[str, Any]:
    why = ", ".join(kind["reasons"])
    if kind["deferred_until"]:
        why += f" until {moment(kind['deferred_until'])}"
    return {**kind, "why": why or None, "oldest": _age(kind["oldest_due_secs"]), "fix": kind["fix"]}


def _age(seconds: int | None) -> str | None:
    """How long ago, in the largest unit that fits.

    >>> _age(45), _age(150), _age(7300), _age(200_000), _age(None)
    ('45 s', '2 min', '2 h', '2 d', None)
    """
    if seconds is None:
        return None
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _print_parts(kinds: list[dict[str, Any]], key: str, headings: Mapping[str, str], title: str) -> None:
    rows = [{"kind": kind["kind"], **part} for kind in kinds for part in kind[key]]
    if rows:
        print()
        output.print_rows([{**row, "since": moment(row.get("since"))} for row in rows], headings, title=title)
