"""`docs/rpc.md` says what the database's comments say."""

from pathlib import Path

from tests.harness.database import Database

from coach_os.stack.reference import render_reference

REFERENCE = Path(__file__).parents[2] / "docs" / "rpc.md"


def test_the_rpc_reference_is_not_stale(db: Database) -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(db.url), "run `just docs`"
