"""The replay of the existing apps' calls: made once a session, reported at the end of the run."""

from pathlib import Path

import pytest
from tests.clients.stack import Stack
from tests.contract.replay.calls import read_calls
from tests.contract.replay.replay import Outcome, Replay
from tests.contract.replay.report import lines, write
from tests.contract.replay.world import World

ARTIFACTS = Path(__file__).parents[2] / ".artifacts"
OUTCOMES: pytest.StashKey[list[Outcome]] = pytest.StashKey()


@pytest.fixture(scope="session")
def outcomes(stack: Stack, pytestconfig: pytest.Config) -> list[Outcome]:
    """What came of every core call."""
    calls = [call for call in read_calls() if call.is_core]
    replay = Replay(World(stack, calls))
    made = [replay.make(call) for call in calls]
    write(made, ARTIFACTS)
    pytestconfig.stash[OUTCOMES] = made
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    made = config.stash.get(OUTCOMES, None)
    if made:
        terminalreporter.section("the existing apps' calls")
        for line in lines(made):
            terminalreporter.write_line(line)
