"""How commands speak: data on stdout, talk on stderr; tables on a terminal, else plain text, JSON or CSV on demand."""

import csv as csvlib
import json as jsonlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

REFUSED = 1
USAGE = 2
BROKEN = 3

Row = Mapping[str, Any]


def print_rows(
    rows: Sequence[Row], columns: Sequence[str] | Mapping[str, str], *, json: bool = False, title: str | None = None
) -> None:
    """Print rows to stdout.

    Args:
        rows: dicts; a key that is missing reads as empty.
        columns: the keys to show, in order; a mapping gives their headings too. JSON carries these keys, and no others.
        json: print a JSON array, whatever stdout is.
        title: shown above a table on a terminal.
    """
    headings = dict(columns) if isinstance(columns, Mapping) else {key: key.replace("_", " ") for key in columns}
    if json:
        print_json([{key: row.get(key) for key in headings} for row in rows])
    elif sys.stdout.isatty():
        _print_table(rows, headings, title)
    else:
        _print_plain(rows, headings)


def print_record(record: Row, *, json: bool = False, title: str | None = None) -> None:
    """Print one thing to stdout: a line for each field, or a JSON object."""
    if json:
        print_json(dict(record))
    elif sys.stdout.isatty():
        table = Table(
            box=None, show_header=False, title=title, title_justify="left", title_style="bold", pad_edge=False
        )
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for key, value in record.items():
            table.add_row(key, _text(value))
        Console().print(table)
    else:
        width = max((len(key) for key in record), default=0)
        for key, value in record.items():
            print(f"{key:<{width}}  {_text(value)}")


def print_csv(rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print rows to stdout as CSV (RFC 4180), headed by the keys; no text of it is a formula to a spreadsheet."""
    writer = csvlib.writer(sys.stdout)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(key)) for key in columns])


def print_json(value: Any) -> None:
    """Print a value as JSON to stdout."""
    print(jsonlib.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str) -> None:
    """Tell the person something that is no data."""
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(text)


def fail(message: str, hint: str | None = None) -> None:
    """Tell the person what went wrong and what to do; the caller chooses the exit code."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    console.print(message, style="bold red")
    if hint:
        console.print(hint)


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while the block runs, silent where that is no terminal; it yields what takes each step's size."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda step: bar.advance(task, step)


def _print_table(rows: Sequence[Row], headings: Mapping[str, str], title: str | None) -> None:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", header_style="dim")
    table.padding, table.pad_edge = (0, 1, 0, 0), False
    for key, heading in headings.items():
        justify: JustifyMethod = "right" if _is_numeric(rows, key) else "left"
        # An id in pieces cannot be copied; anything else gives way first.
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=key == "id" or key.endswith("_id"))
    for row in rows:
        table.add_row(*(_text(row.get(key)) for key in headings))
    Console().print(table)


def _print_plain(rows: Sequence[Row], headings: Mapping[str, str]) -> None:
    lines = [list(headings.values()), *([_text(row.get(key)) for key in headings] for row in rows)]
    widths = [max(cell_len(line[index]) for line in lines) for index in range(len(headings))]
    right = [_is_numeric(rows, key) for key in headings]
    for line in lines:
        padded = []
        for cell, width, is_right in zip(line, widths, right, strict=True):
            space = " " * (width - cell_len(cell))
            padded.append(space + cell if is_right else cell + space)
        print("  ".join(padded).rstrip())


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        return jsonlib.dumps(value, ensure_ascii=False, default=str)
    # A line break or an escape sequence in a value must not draw over the table.
    return "".join(character if character.isprintable() else " " for character in str(value))


def _cell(value: Any) -> Any:
    """A CSV cell.

    >>> _cell("=1+1"), _cell(-5), _cell(None)
    ("'=1+1", -5, '')
    """
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value


def _is_numeric(rows: Sequence[Row], key: str) -> bool:
    values = [row.get(key) for row in rows if row.get(key) is not None]
    return bool(values) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
