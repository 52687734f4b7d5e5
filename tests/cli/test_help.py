"""Every command explains itself: help, an example that it would accept, a page in the docs."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Coach

from coach_cli.main import NOUNS
from coach_cli.reference import commands, example, render

REFERENCE = Path(__file__).parents[2] / "docs" / "cli.md"
COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_and_an_example_of_itself(name: str) -> None:
    command = COMMANDS[name]
    first = command.help.strip().splitlines()[0]
    assert first[0].isupper()
    assert first.endswith(".")
    assert command.epilog.startswith("Example: ")
    assert name in example(command)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_and_option_says_what_it_is(name: str) -> None:
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
        if parameter.envvar:
            assert parameter.show_envvar, parameter.name


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in ("coach db url", "coach up", "coach status")]
)
def test_an_example_names_options_that_exist(name: str) -> None:
    known = {option for parameter in COMMANDS[name].params for option in getattr(parameter, "opts", [])}
    words = shlex.split(example(COMMANDS[name]))
    used = {word for word in words[: words.index("--") if "--" in words else None] if word.startswith("--")}
    assert used <= known


def test_every_noun_has_commands() -> None:
    assert {name.split()[1] for name in COMMANDS} >= set(NOUNS)


def test_where_rows_print_json_can_be_asked_for() -> None:
    silent = {"coach down", "coach db url", "coach db reset", "coach db psql", "coach db freeze", "coach db types"}
    without = {name for name in COMMANDS if not any("--json" in _options(p) for p in COMMANDS[name].params)}
    assert without <= silent | {"coach db reference"}


def test_help_is_printed_and_ends_well(coach_alone: Coach) -> None:
    for name in ("coach", "coach package", "coach package sell"):
        result = coach_alone(*name.split()[1:], "--help")
        assert (result.code, result.err) == (0, "")
        assert "Usage: coach" in result.out
    assert "COACH_ORG" in coach_alone("client", "list", "--help").out


def test_the_command_reference_is_not_stale() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render(), "run `just docs`"


def _options(parameter: Any) -> list[str]:
    return list(getattr(parameter, "opts", []))
