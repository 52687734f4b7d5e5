"""What the tests of rules under concurrency share."""

import pytest
from tests.db.studio import Studio
from tests.harness.database import Database


@pytest.fixture
def studio(db: Database) -> Studio:
    """An organisation with the default settings."""
    return Studio.open(db)
