"""The pulse names commands and jobs that exist: a way out that leads nowhere is worse than none."""

import re

from tests.harness.database import Database

from coach_cli.reference import commands
from coach_os.sweeps import SWEEPS

COMMANDS = {name for name, _ in commands()}
SOURCES = "select prosrc from pg_proc where pronamespace = 'private'::regnamespace and proname ~ '^pulse'"


def named(text: str) -> set[str]:
    """The commands that a text names: `coach noun verb`, without their arguments."""
    return set(re.findall(r"coach [a-z]+ [a-z]+(?:-[a-z]+)*", text))


def test_what_fixes_a_kind_of_work_is_a_command(db: Database) -> None:
    fixes = db.owner.values("select fix from private.work_kinds")
    found = named("\n".join([*fixes, *db.owner.values(SOURCES)]))
    assert len(found) >= len(set(fixes))
    assert found <= COMMANDS


def test_who_does_a_kind_of_work_is_a_sweep(db: Database) -> None:
    jobs = set(db.owner.values("select distinct unnest(jobs) from private.work_kinds"))
    assert jobs <= {f"sweep_{name}" for name in SWEEPS}


def test_every_kind_is_read_by_a_function_and_every_function_reads_a_kind(db: Database) -> None:
    kinds = set(db.owner.values("select 'pulse_' || kind from private.work_kinds"))
    functions = db.owner.values(
        """select proname from pg_proc where pronamespace = 'private'::regnamespace and proname ~ '^pulse_'
              and proargtypes = '1184' and prorettype = 'jsonb'::regtype"""
    )
    assert kinds == set(functions)
