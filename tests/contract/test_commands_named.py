"""Every `coach` command that the database or the operators' pages name exists, with the options they give it."""

import re
from pathlib import Path

import pytest
from tests.harness.database import Database

from coach_cli.reference import commands

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = dict(commands())
#: A command ends where a shell or a sentence would end it.
NAMED = re.compile(r"\bcoach ((?:[a-z][a-z-]+)(?: [a-z][a-z-]+){0,2})([^`\n|&;,.#]*)")
CODE = re.compile(r"```.*?\n(.*?)```|`([^`\n]+)`", re.DOTALL)
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]+")


def unknown(text: str) -> list[str]:
    """What the text names and the command line does not have."""
    missing = []
    for match in NAMED.finditer(text):
        words = match[1].split()
        name = next((name for n in (3, 2, 1) if (name := " ".join(["coach", *words[:n]])) in COMMANDS), None)
        if name is None:
            missing.append(f"coach {match[1]}")
            continue
        known = {option for parameter in COMMANDS[name].params for option in getattr(parameter, "opts", [])} | {
            "--help"
        }
        missing += [f"{name} {option}" for option in OPTION.findall(match[2]) if option not in known]
    return missing


@pytest.mark.parametrize("page", ["operations.md", "billing.md"])
def test_the_operators_pages_name_commands_that_exist(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    # A group alone (`coach sweep --help`) is no command; its verbs are.
    named = [part for pair in CODE.findall(text) for part in pair if part and not part.endswith("--help")]
    assert len(named) > 10
    assert [missing for part in named for missing in unknown(part)] == []


def test_every_fix_names_a_command_that_exists(db: Database) -> None:
    fixes = db.owner.values(
        "select fix from private.doctor_checks union all select fix from private.work_kinds where fix like 'coach %'"
    )
    assert len(fixes) > 20
    assert [missing for fix in fixes for missing in unknown(fix)] == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert unknown("coach brake pull sms") == ["coach brake pull sms"]
    assert unknown("coach sweep bookings --often") == ["coach sweep bookings --often"]
    assert unknown("coach doctor --quick || mail, then coach sweep all --watch 60") == []
