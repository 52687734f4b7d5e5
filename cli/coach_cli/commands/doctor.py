"""coach doctor: what is wrong, what it means, and the command that mends it."""

import asyncio
from typing import Annotated, Any

import typer

from coach_cli import output
from coach_cli.parameters import Json
from coach_os.database import open_database
from coach_os.doctor import Report, examine
from coach_os.logs import configure_logging
from coach_os.settings import load_settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)

HEADINGS = {
    "severity": "",
    "check": "check",
    "count": "times",
    "meaning": "meaning",
    "example": "such as",
    "fix": "fix",
}


@app.command(epilog="Example: coach doctor --quick")
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Read no whole tables and ask no provider: for a check every minute.")
    ] = False,
    json: Json = False,
) -> None:
    """Look for what is wrong in the configuration and the data, and say what mends it; nothing is changed.

    Exits 0 when all is well, 1 when something was found, 3 when something could not be looked at. How the work goes
    that runs by itself, coach pulse shows in full.
    """
    configure_logging("error")
    report = asyncio.run(_examine(quick))
    if json:
        output.print_json(report.as_json())
    else:
        _print(report)
    raise typer.Exit(report.exit_code)


async def _examine(is_quick: bool) -> Report:
    settings = load_settings()
    async with open_database(settings) as database:
        return await examine(settings, database, is_quick=is_quick)


def _print(report: Report) -> None:
    if report.findings:
        output.print_rows([_readable(finding.as_json()) for finding in report.findings], HEADINGS, title="Found")
    for blind in report.blind:
        output.fail(f"Could not look at {blind['check']} ({blind['reason']}).")
    if report.findings:
        output.say(f"{len(report.findings)} found in {report.checked} checks.")
    elif not report.blind:
        output.say(f"All is well: {report.checked} checks.")


def _readable(finding: dict[str, Any]) -> dict[str, Any]:
    examples = finding["examples"]
    return {**finding, "example": examples[0]["subject"] if examples else None}
