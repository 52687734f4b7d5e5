"""Clients in a CSV file, as other systems and spreadsheets write it: read in pieces and never guessed at.

What a cell means is the database's to say; here a file becomes rows of text. Encodings are UTF-8, UTF-16 by its mark,
else Windows-1252; what cannot be read becomes U+FFFD, which refuses its row alone.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from coach_os.errors import Refusal

DELIMITERS = ",;\t|"
#: A cell is cut here: longer than any column takes, so that it is refused for its length and not carried.
LONGEST = 20_001
#: A quote that nobody closed swallows the file; it ends here.
_LARGEST_CELL = 4_000_000

Row = dict[str, Any]


@dataclass(frozen=True)
class ClientFile:
    """A file's columns as the import knows them, those it does not know, and its rows as they are read."""

    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]
    rows: Iterator[Row]


@contextmanager
def open_client_file(path: Path, known: Mapping[str, Sequence[str]]) -> Iterator[ClientFile]:
    """Open a file whose first line names its columns; `known` maps each column to its other names.

    Yields rows `{line, cells}`, or `{line, slug}` where a row has more cells than the header; blank lines are left out.

    Raises:
        Refusal: file_unreadable, file_columns_missing, file_column_twice; while rows are read also file_malformed.
    """
    csv.field_size_limit(_LARGEST_CELL)
    try:
        stream = path.open("rb")
    except OSError:
        raise Refusal(422, "file_unreadable", "The file cannot be read.", "Check its path and permissions.") from None
    with stream, io.TextIOWrapper(stream, encoding=_encoding(path), errors="replace", newline="") as text:
        lines = (line.replace("\x00", "\ufffd") for line in text)
        # Spreadsheets may begin with a line that names the delimiter.
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip(" \t\r\n,;|") and line[:4] != "sep=")
        above, header = next(numbered, (1, ""))
        names = {alias: name for name, aliases in known.items() for alias in (name, *aliases)}
        delimiter = max(DELIMITERS, key=lambda sign: sum(_key(cell) in names for cell in _cells(header, sign)))
        cells = _cells(header, delimiter)
        columns = tuple(names.get(_key(cell)) for cell in cells)
        _require_columns(columns)
        ignored = tuple(cell for cell, name in zip(cells, columns, strict=True) if cell.strip() and not name)
        yield ClientFile(columns, ignored, _rows(lines, above, delimiter, columns))


def batches(rows: Iterator[Row], size: int, largest: int = 4_000_000) -> Iterator[list[Row]]:
    """Rows in lists of at most `size`, fewer where their cells hold more than `largest` characters together."""
    while batch := list(islice(rows, 1)):
        weight = _weight(batch[0])
        for row in islice(rows, size - 1):
            batch.append(row)
            weight += _weight(row)
            if weight > largest:
                break
        yield batch


def _weight(row: Row) -> int:
    return sum(map(len, row.get("cells", {}).values()))


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        mark = stream.read(4)
        if mark.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        stream.seek(0)
        try:
            # Whole, since the first umlaut may stand anywhere; decoded in pieces, so that a large file is not held.
            for _ in io.TextIOWrapper(stream, encoding="utf-8", newline=""):
                pass
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"


def _key(cell: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", cell.lower()).strip("_")


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _require_columns(columns: Sequence[str | None]) -> None:
    there = [name for name in columns if name]
    if twice := {name for name in there if there.count(name) > 1}:
        raise Refusal(
            422,
            "file_column_twice",
            "Two columns of the file mean the same.",
            f"Keep one for {', '.join(sorted(twice))}.",
        )
    if not {"full_name", "first_name", "last_name"} & set(there) or not {"email", "phone"} & set(there):
        raise Refusal(
            422,
            "file_columns_missing",
            "The file's first line does not name the columns that an import needs.",
            "Name at least full_name, and email or phone; see docs/imports.md.",
        )


def _rows(lines: Iterator[str], above: int, delimiter: str, columns: Sequence[str | None]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=delimiter)
    # A row's number is that of its first line: a cell may hold line breaks.
    line = above + 1
    try:
        for cells in reader:
            row: Row = {"line": line}
            line = above + reader.line_num + 1
            if any(cell.strip() for cell in cells[len(columns) :]):
                yield {**row, "slug": "row_malformed"}
            elif any(cell.strip() for cell in cells):
                named = zip(columns, cells, strict=False)
                yield {**row, "cells": {name: cell[:LONGEST] for name, cell in named if name and cell.strip()}}
    except csv.Error:
        raise Refusal(
            422,
            "file_malformed",
            "The file stops being a table of rows and cells.",
            f"Look at the quotes from line {line} on.",
        ) from None
