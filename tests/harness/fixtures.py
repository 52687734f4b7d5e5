"""The fixtures every test may ask for, and the choice of PostgreSQL versions."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coach_os.stack.versions import DEFAULT_VERSION, VERSIONS
from tests.harness.cluster import Cluster
from tests.harness.database import Database
from tests.harness.log_scan import SCAN
from tests.harness.world import World, make_world

# A developer's shell may name a real database, or an account that sends: no test may ever reach one.
_FOREIGN = (
    *("DATABASE_URL", "SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "PGHOST", "PGSERVICE"),
    *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "SMTP_URL", "EXPO_ACCESS_TOKEN", "COACH_ENCRYPTION_KEY"),
    *("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS", "STRIPE_API_URL"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        choices=[*map(str, VERSIONS), "all"],
        default=os.environ.get("COACH_TEST_POSTGRES", str(DEFAULT_VERSION)),
        help="the PostgreSQL version to test on, or all of them (COACH_TEST_POSTGRES)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for name in _FOREIGN:
        os.environ.pop(name, None)
    config.option.pgtap_uri = None
    config.stash[CLUSTERS] = {}
    if not config.pluginmanager.has_plugin("log_scan"):
        config.pluginmanager.register(SCAN, "log_scan")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames and len(wanted_versions(metafunc.config)) > 1:
        versions = wanted_versions(metafunc.config)
        metafunc.parametrize("cluster", versions, indirect=True, scope="session", ids=[f"pg{v}" for v in versions])


# Not when pytest is unconfigured: a worker of pytest-xdist may have been ended by then.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    for cluster, directory in session.config.stash.get(CLUSTERS, {}).values():
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


CLUSTERS: pytest.StashKey[dict[int, tuple[Cluster, Path]]] = pytest.StashKey()


def wanted_versions(config: pytest.Config) -> list[int]:
    choice = config.getoption("--postgres")
    return list(VERSIONS) if choice == "all" else [int(choice)]


def cluster_of(config: pytest.Config, version: int) -> Cluster:
    """The running server of a version; started by whoever asks first, stopped when pytest ends."""
    clusters = config.stash[CLUSTERS]
    if version not in clusters:
        directory = Path(tempfile.mkdtemp(prefix=f"coach-pg{version}-"))
        cluster = Cluster(version, directory / "data")
        cluster.start()
        clusters[version] = (cluster, directory)
    return clusters[version][0]


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The server of the chosen version; with `--postgres all` a test runs once on each."""
    return cluster_of(request.config, getattr(request, "param", wanted_versions(request.config)[0]))


@pytest.fixture
def db(cluster: Cluster) -> Iterator[Database]:
    """A migrated database of the test's own, empty but for what migrations insert."""
    database = cluster.clone(cluster.migrated_template())
    yield database
    cluster.drop(database)


@pytest.fixture
def world(db: Database) -> World:
    """Two organisations in the test's database, made through the doors apps use: `world.kilo`, `world.lima`."""
    return make_world(db)


@pytest.fixture
def bare_db(cluster: Cluster) -> Iterator[Database]:
    """A database as a new hosted project is: the platform, none of our migrations."""
    database = cluster.clone(cluster.platform_template())
    yield database
    cluster.drop(database)
