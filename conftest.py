"""Makes the harness available to every test of the repository, whichever folder pytest is started on."""

pytest_plugins = ["tests.harness.fixtures", "tests.harness.told", "tests.clients.stack"]
