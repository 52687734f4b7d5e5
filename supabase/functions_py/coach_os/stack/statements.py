"""Cuts a SQL script into its statements, as the Supabase CLI does, so that both write the same ledger."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<line_comment>--[^\r\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<identifier>"(?:[^"]|"")*")
    | (?P<dollar>(?<![\w$])\$(?:[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>[();])
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True)
class Statement:
    """One statement of a script: its text without the closing semicolon, and the line of its first word."""

    text: str
    line: int


def split_statements(script: str) -> list[Statement]:
    """The statements of `script` in order; comments stay with the statement they precede.

    A semicolon ends a statement unless it stands in a string, a comment, parentheses or a `begin atomic` body.
    """
    script = script.removeprefix("\ufeff")
    statements: list[Statement] = []
    start, first_word = 0, None
    depth, in_atomic, previous, opens = 0, False, "", False

    def close(end: int) -> None:
        text = script[start:end].rstrip(";").strip()
        if text:
            anchor = first_word if first_word is not None else start
            statements.append(Statement(text, script.count("\n", 0, anchor) + 1))

    for kind, token, position in _tokens(script):
        if first_word is None and not kind.endswith("comment") and token != ";":
            first_word = position
        if kind == "word":
            word = token.lower()
            if in_atomic and opens and word == "end":
                in_atomic = False
            elif not in_atomic and previous == "begin" and word == "atomic":
                in_atomic, opens = True, True
                previous = word
                continue
            previous, opens = word, False
        elif token == "(":
            depth += 1
        elif token == ")":
            depth = max(0, depth - 1)
        elif token == ";":
            opens = in_atomic
            if depth == 0 and not in_atomic:
                close(position + 1)
                start, first_word, previous = position + 1, None, ""
    close(len(script))
    return statements


def _tokens(script: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, offset) of whatever can open, close or hide a statement's end."""
    position = 0
    while match := _TOKEN.search(script, position):
        kind = match.lastgroup or ""
        end = match.end()
        if kind == "block_comment":
            end = _block_comment_end(script, match.start())
        elif kind == "dollar":
            closing = script.find(match.group(), end)
            end = len(script) if closing < 0 else closing + len(match.group())
        yield kind, script[match.start() : end], match.start()
        position = end


def _block_comment_end(script: str, start: int) -> int:
    """Where the comment that opens at `start` ends; PostgreSQL's block comments nest."""
    depth, position = 0, start
    while edge := _BLOCK_EDGE.search(script, position):
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
        if depth == 0:
            return position
    return len(script)
