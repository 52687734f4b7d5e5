"""The replay of the existing apps' calls: made once a session, reported at the end of the run."""

from pathlib import Path

import pytest
from tests.clients.stack import Stack
from tests.contract.replay.calls import read_calls
from tests.contract.replay.replay import Outcome, Replay
from tests.contract.replay.report import lines, write
from tests.contract.replay.world import World
from tests.harness.told import tell

ARTIFACTS = Path(__file__).parents[2] / ".artifacts"


@pytest.fixture(scope="session")
def outcomes(stack: Stack, pytestconfig: pytest.Config) -> list[Outcome]:
    """What came of every core call."""
    calls = [call for call in read_calls() if call.is_core]
    replay = Replay(World(stack, calls))
    made = [replay.make(call) for call in calls]
    write(made, ARTIFACTS)
    tell(pytestconfig, "the existing apps' calls", list(lines(made)))
    return made
