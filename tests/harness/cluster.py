"""A short-lived server of one PostgreSQL version, and databases cloned from templates that are built once."""

import itertools
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg import sql

from coach_os.stack.migrations import migrate
from coach_os.stack.platform import apply_platform
from coach_os.stack.postgres import SUPERUSER, PostgresServer
from coach_os.stack.versions import find_binaries
from tests.harness.database import Database
from tests.harness.log_scan import SCAN

# Room for races of 32 connections beside a sweep, a calendar and the clone of the next test.
SETTINGS = {"max_connections": "200", "autovacuum": "off", "shared_buffers": "64MB", "max_wal_size": "256MB"}


class Cluster:
    """One running server; each template is built by the first test that needs it."""

    def __init__(self, version: int, directory: Path, *, durable: bool = False) -> None:
        self.version = version
        self.server = PostgresServer(directory, binaries=find_binaries(version), options=SETTINGS, durable=durable)
        self._built: set[str] = set()
        self._numbers = itertools.count(1)

    def start(self) -> None:
        self.server.start()
        SCAN.watch(self.server.log_file)

    def stop(self) -> None:
        self.server.stop("immediate")
        SCAN.read(self.server.log_file)

    def admin_url(self, database: str = "postgres") -> str:
        """As the superuser: for what no role of the product may do."""
        return self.server.url(database, SUPERUSER)

    def template(self, name: str, build: Callable[[str], None], *, parent: str = "template0") -> str:
        """A database that is cloned and never written to again; `build` gets its name once it exists."""
        if name not in self._built:
            self._create(name, parent)
            build(name)
            self._built.add(name)
        return name

    def platform_template(self) -> str:
        """Shaped as a new hosted project, before its first migration."""
        return self.template("template_platform", lambda name: apply_platform(self.admin_url(name)))

    def migrated_template(self) -> str:
        """The platform with every migration of the checkout."""
        return self.template("template_migrated", self._migrate, parent=self.platform_template())

    def clone(self, template: str, *, label: str = "test") -> Database:
        """A new database, owned by `postgres`, equal to the template."""
        name = f"{label}_{next(self._numbers)}"
        self._create(name, template)
        return Database(self.server, name)

    def drop(self, database: Database) -> None:
        """Ends whatever still uses the database, then removes it; the log scan learns whom it knew."""
        database.close()
        SCAN.learn(database.admin_url)
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database.name)))

    def _migrate(self, name: str) -> None:
        migrate(self.server.url(name))

    def _create(self, name: str, template: str) -> None:
        # wal_log copies a small template without the two checkpoints that file_copy costs.
        owner = sql.SQL("") if template == "template0" else sql.SQL(" owner postgres")
        statement = sql.SQL("create database {} template {} strategy wal_log").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with psycopg.connect(self.admin_url(), autocommit=True) as connection:
            connection.execute(statement + owner)
