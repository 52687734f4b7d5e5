"""The calls of the existing apps, one line of calls.jsonl each, with every place in their source that makes it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("calls.jsonl")

#: Tables of accounting, nutrition, newsletters and insights: outside the core.
LATER_SCOPE = frozenset(
    [
        "bank_accounts",
        "bank_transactions",
        "basiq_connections",
        "cashbook_ledger",
        "cashbook_pnl",
        "cashbook_uncoded_summary",
        "chart_of_accounts",
        "coding_rules",
        "food_items",
        "generated_newsletters",
        "meal_plan_components",
        "meal_plan_days",
        "meal_plan_feedback",
        "meal_plan_meals",
        "meal_plans",
        "scanned_insights",
    ]
)
LATER_FUNCTIONS = frozenset({"apply_coding_rules"})


@dataclass(frozen=True)
class Embed:
    """A related table in a select: the word asked for, the constraint it hints at, and what is read there."""

    word: str
    hint: str | None
    columns: tuple[str, ...]
    embeds: tuple["Embed", ...]
    name: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call; `caller` and `role` say who makes it; `filters` are (operator, column, value), `<expr>` any value."""

    kind: str
    caller: str
    role: str
    op: str
    sites: list[str]
    table: str | None = None
    function: str | None = None
    select: str | None = None
    written: list[str] = field(default_factory=list)
    filters: list[list[Any]] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    modifiers: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    on_conflict: str | None = None
    returning: bool = False
    bucket: str | None = None
    channel: str | None = None

    @property
    def is_core(self) -> bool:
        """Whether it belongs to the core scope; an example file that nothing runs does not."""
        return self.caller != "example" and self.table not in LATER_SCOPE and self.function not in LATER_FUNCTIONS

    @property
    def subject(self) -> str:
        """What it is about: a table, a function, a part of Auth."""
        return self.table or self.function or self.op

    @cached_property
    def selected(self) -> Embed:
        """The select, taken apart; its own columns and embeds are those of the table itself."""
        return parse_select(self.select or "")

    @property
    def filtered(self) -> list[str]:
        """The columns named by filters."""
        named = [column for _, column, _ in self.filters if column]
        for _, _, value in (f for f in self.filters if not f[1]):
            named += re.findall(r"(\w+)\.(?:eq|is|lt|in|ilike)\.", value)
        return named

    @property
    def ordered(self) -> list[tuple[str, bool]]:
        """(column, ascending) of the order."""
        return [(name.split()[0], name.endswith(" asc")) for name in self.order]

    def __str__(self) -> str:
        detail = f"({self.select})" if self.select else ""
        written = f" writing {','.join(self.written)}" if self.written else ""
        return f"{self.caller}/{self.role} {self.op} {self.subject}{detail}{written} [{self.sites[0]}]"


@cache
def read_calls() -> tuple[Call, ...]:
    """Every call of the existing apps."""
    return tuple(Call(**json.loads(line)) for line in FILE.read_text().splitlines())


def parse_select(text: str) -> Embed:
    """Takes a PostgREST select apart."""
    tokens = iter(re.findall(r"[(),]|[^(),\s]+", text))
    columns, embeds = _parse(tokens)
    return Embed("", None, columns, embeds, "")


def _parse(tokens: Iterator[str]) -> tuple[tuple[str, ...], tuple[Embed, ...]]:
    columns: list[str] = []
    embeds: list[Embed] = []
    word = ""
    for token in tokens:
        if token == "(":
            alias, _, relation = word.rpartition(":")
            relation, _, hint = relation.partition("!")
            embeds.append(Embed(relation, hint or None, *_parse(tokens), alias or relation))
            word = ""
        elif token in ",)":
            columns += [word] if word else []
            word = ""
            if token == ")":
                break
        else:
            word = token
    return (*columns, *([word] if word else [])), tuple(embeds)
