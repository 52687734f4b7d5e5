"""A Data API of a test's own: the embedded one, over one database of the test cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from coach_os.stack.data_api import start_data_api
from coach_os.stack.processes import terminate
from coach_os.stack.state import State, new_state
from tests.harness.database import Database


@dataclass(kw_only=True)
class OneDatabase(State):
    """The state of a stack whose database has a name of its own."""

    database: str

    def url(self, role: str, password: str) -> str:
        return f"{super().url(role, password).rsplit('/', 1)[0]}/{self.database}"


@contextmanager
def running_data_api(database: Database, home: Path) -> Iterator[State]:
    """Starts the Data API on a free port, with keys of its own; it ends with the block."""
    base = new_state()
    base.db_port = database.server.port
    state = OneDatabase(**{f.name: getattr(base, f.name) for f in fields(State)}, database=database.name)
    record = start_data_api(state, home)
    try:
        yield state
    finally:
        terminate(record)
