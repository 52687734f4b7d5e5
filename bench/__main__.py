"""`python -m bench [ROW …]`: measure rows of the performance table; exit code 1 when a target is missed."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import (
    automations,
    booking,
    dashboard,
    free_slots,
    outbox,
    pulse,
    row_security,
    service_call,
    stripe_webhook,
    sweep,
    use_session,
)
from bench.harness import BROKEN, FULL, QUICK, Bench, Result, Size, durable_server
from bench.pgbench import BenchmarkBroken
from coach_os.stack.errors import StackError

ROWS = {
    "A": use_session,
    "B": booking,
    "C": outbox,
    "D": stripe_webhook,
    "E": free_slots,
    "F": row_security,
    "G": sweep,
    "GD": automations,
    "I": service_call,
    "J": dashboard,
    "K": pulse,
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    rows = list(dict.fromkeys(options.rows)) or list(ROWS)
    size = QUICK if options.quick else FULL
    if options.rounds:
        size = Size(options.rounds, size.share)
    try:
        results = measure(rows, size)
    except (BenchmarkBroken, StackError) as error:
        Console(stderr=True, markup=False).print(str(error), style="bold red")
        return BROKEN
    if options.json:
        print(json.dumps({"machine": machine(), "results": [_record(result) for result in results]}, indent=2))
    else:
        show(results)
    # Small tables and few rounds say nothing about speed; what must be exact is so at any size.
    judged = [result for result in results if result.is_exact or not options.quick]
    return 1 if any(result.passed is False for result in judged) else 0


def measure(rows: Sequence[str], size: Size) -> list[Result]:
    """Runs the rows one after another on one server of their own."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<44}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting a server", total=None)
        with durable_server() as server:
            bench = Bench(server, size, lambda text: progress.update(task, advance=1, description=text))
            progress.update(task, total=sum(ROWS[row].steps(bench) for row in rows))
            return [result for row in rows for result in ROWS[row].run(bench)]


def show(results: Sequence[Result]) -> None:
    """The table, and the absolute figures that no verdict looks at."""
    table = Table(box=SIMPLE_HEAD, title=machine(), title_justify="left", title_style="dim", pad_edge=False)
    for heading, justify in (("row", "left"), ("work", "left"), ("against", "left"), ("measured", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", overflow="fold")
    table.add_column("rounds", justify="right", style="dim", overflow="fold")
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("")
    table.add_column("medians", style="dim", overflow="fold")
    for result in results:
        spread = f"{_number(min(result.rounds))} to {_number(max(result.rounds))}" if result.rounds else ""
        verdict = {True: "[green]met[/]", False: "[bold red]missed[/]", None: "[dim]shown[/]"}[result.passed]
        target = "" if result.target is None else f"{'≤' if result.at_most else '≥'} {result.target:g}"
        figures = ", ".join(f"{name} {figure}" for name, figure in result.figures.items())
        table.add_row(result.row, result.work, result.against, _number(result.value), spread, target, verdict, figures)
    Console(width=None if sys.stdout.isatty() else 190).print(table)


def machine() -> str:
    """What it was measured on, in words that fit any machine."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"


def _record(result: Result) -> dict[str, object]:
    return {
        "row": result.row,
        "work": result.work,
        "against": result.against,
        "measured": round(result.value, 4),
        "target": result.target,
        "is_upper_bound": result.at_most,
        "passed": result.passed,
        "rounds": [round(value, 4) for value in result.rounds],
        "medians": dict(result.figures),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="just bench",
        description="Measure rows of the performance table against their floor or peer.",
        epilog="example: just bench A G --json",
    )
    parser.add_argument(
        "rows", nargs="*", type=str.upper, metavar="ROW", help=f"{', '.join(ROWS)}; all when none is named"
    )
    parser.add_argument("--quick", action="store_true", help="small tables and few rounds: shows ratios, judges none")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="rounds instead of 7; fewer than 5 are not to be trusted"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; the rows are {', '.join(ROWS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
