"""What a test tells at the end of the run, also where it ran in a worker of pytest-xdist: sections of the summary."""

from typing import Any

import pytest

SECTIONS: pytest.StashKey[dict[str, list[str]]] = pytest.StashKey()


def tell(config: pytest.Config, title: str, lines: list[str]) -> None:
    """Prints the lines under the title when the run ends."""
    config.stash.setdefault(SECTIONS, {})[title] = lines


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["told"] = session.config.stash.get(SECTIONS, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended: what it had to tell is told by the process that has the terminal."""
    for title, lines in getattr(node, "workeroutput", {}).get("told", {}).items():
        tell(node.config, title, lines)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, lines in config.stash.get(SECTIONS, {}).items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
