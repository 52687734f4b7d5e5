"""Collects `sql_tests/<domain>/*.sql`: one pytest item per file and PostgreSQL version, one subtest per promise."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_pgtap.plugin.core import report_tap  # type: ignore[import-untyped]
from tests.harness.fixtures import cluster_of, wanted_versions
from tests.harness.pgtap import SqlTestBroken, run_sql_test, sql_test_database


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    # Files beside this one are helpers; what is tested lies in a domain's folder.
    if file_path.suffix == ".sql" and file_path.parent != Path(__file__).parent:
        return SqlTestFile.from_parent(parent, path=file_path)
    return None


class SqlTestFile(pytest.File):
    """A pgTAP file."""

    def collect(self) -> Iterator[pytest.Item]:
        versions = wanted_versions(self.config)
        for version in versions:
            name = self.path.stem if len(versions) == 1 else f"{self.path.stem}[pg{version}]"
            yield SqlTest.from_parent(self, name=name, version=version)


class SqlTest(pytest.Item):
    """One run of a pgTAP file on one version."""

    def __init__(self, *, version: int, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.version = version
        # The runner's, which reports subtests by a private class of pytest.
        self.add_marker(pytest.mark.filterwarnings("ignore:A private pytest class"))

    def runtest(self) -> None:
        database = sql_test_database(cluster_of(self.config, self.version))
        broken = ""
        try:
            report_tap(self, run_sql_test(self.path, database), self.path.name)
        except SqlTestBroken as error:
            broken = str(error)
        # Outside the handler: a traceback of two exceptions would hide the one line that matters.
        if broken:
            pytest.fail(broken, pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name
