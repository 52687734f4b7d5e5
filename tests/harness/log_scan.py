"""No log line of the whole test run holds anything of a person: whom each test's database knew is looked for in all.

What is read: each log event that a test wrote to its output, the servers' own logs, each `*.log` of a test's directory.
What is looked for: the names, emails, phones, tokens and user ids of each database that is dropped, and whatever has
the form of an address, a phone number or a secret. A find fails the run, and names the test or file.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psycopg
import pytest

_WHO = """
select 'user id', id::text from (select u.id from auth.users as u limit 200) as x
union select 'email', lower(email::text) from (select u.email from auth.users as u limit 200) as x
union select 'name', full_name from (select c.full_name from public.clients as c limit 200) as x
union select 'name', full_name from (select p.full_name from public.profiles as p limit 200) as x
union select 'email', lower(email) from (select c.email from public.clients as c limit 200) as x
union select 'phone', phone from (select c.phone from public.clients as c limit 200) as x
union select 'phone', phone_e164 from (select c.phone_e164 from public.clients as c limit 200) as x
union select 'token', portal_token::text from (select c.portal_token from public.clients as c limit 200) as x
union select 'token', onboarding_token::text from (select c.onboarding_token from public.clients as c limit 200) as x
union select 'token', expo_token from (select t.expo_token from public.push_tokens as t limit 200) as x
"""

#: What gives itself away, whoever's it is.
_FORMS = {
    "email": re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE),
    "phone": re.compile(r"(?<![\w.:+-])\+\d{9,15}\b"),
    "token": re.compile(
        r"\beyJ[\w-]{10,}\.[\w-]+|\bsb_(?:secret|publishable)_\w{8,}|\b(?:sk|rk|whsec)_[\w-]{12,}|\bbearer [\w.-]{12,}",
        re.IGNORECASE,
    ),
}
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
#: What tests/db/rpc_functions.sql and test_migrations.py raise, to see that it goes no further than the server.
_PLANTED = ("(someone@example.com)", "a@secret.example")
_EVENT = re.compile(r'^\s*\{.*"event"|\[(?:debug|info|warning|error|critical)\s*\]')


class LogScan:
    """Everything that was logged, and everybody whom it must not name."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {
            "user id": set(),
            "email": set(),
            "name": set(),
            "phone": set(),
            "token": set(),
        }
        self._lines: dict[str, str] = {}
        self._watched: list[Path] = []
        self.found: list[str] = []

    def learn(self, url: str) -> None:
        """Take in whom a database knows, before it is dropped; one without our tables knows nobody."""
        try:
            with psycopg.connect(url) as connection:
                self.know(connection.execute(_WHO).fetchall())
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            pass

    def know(self, people: Iterable[tuple[str, str | None]]) -> None:
        for kind, value in people:
            # A single word is as likely a word of ours.
            if value and len(value) >= 7 and (kind != "name" or " " in value.strip()):
                self._known[kind].add(value.strip())

    def hear(self, source: str, text: str) -> None:
        """Keep the log events of an output, which may hold other things that people are meant to read."""
        for line in text.splitlines():
            if _EVENT.search(line):
                self._lines.setdefault(line, source)

    def read(self, path: Path) -> None:
        """Keep a log file, or every `*.log` of a directory."""
        for file in sorted(path.rglob("*.log")) if path.is_dir() else [path]:
            if file.is_file():
                for line in file.read_text(errors="replace").splitlines():
                    self._lines.setdefault(line, str(file))

    def watch(self, file: Path) -> None:
        """Read a file when the run ends."""
        self._watched.append(file)

    def findings(self) -> list[str]:
        """Where a person or a secret stands in what was kept: the kind, the source, and the line."""
        ids = {value.lower() for kind in ("user id", "token") for value in self._known[kind] if _UUID.fullmatch(value)}
        words = {
            kind: re.compile("|".join(map(re.escape, sorted(values))))
            for kind in ("name", "phone", "email", "token")
            if (values := {value for value in self._known[kind] if not _UUID.fullmatch(value)})
        }
        found = []
        for line, source in self._lines.items():
            if any(planted in line for planted in _PLANTED):
                continue
            kinds = [kind for kind, form in [*_FORMS.items(), *words.items()] if form.search(line)]
            kinds += ["user id or token" for uuid in _UUID.findall(line) if uuid.lower() in ids]
            found += [f"{kind} in {source}: {line[:400]}" for kind in dict.fromkeys(kinds)]
        return found

    @property
    def size(self) -> int:
        return len(self._lines)

    # As a plugin of pytest.

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for title, text in report.sections:
            # `Captured log` is what pytest's own handler saw, before the redaction.
            if title.startswith(("Captured stderr", "Captured stdout")):
                self.hear(report.nodeid, text)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        factory = getattr(session.config, "_tmp_path_factory", None)
        for path in [*self._watched, *([factory.getbasetemp()] if factory else [])]:
            self.read(path)
        self.found += self.findings()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["log_findings"] = self.found
        elif self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist has ended: what it found is the run's."""
        self.found += getattr(node, "workeroutput", {}).get("log_findings", [])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        people = sum(map(len, self._known.values()))
        terminalreporter.write_line(f"log scan: {self.size} lines for {people} names, addresses and tokens")
        if self.found:
            terminalreporter.section("personal data in the logs", red=True)
            for line in self.found[:30]:
                terminalreporter.write_line(line)


SCAN = LogScan()
"""The run's own: the harness tells it of every database and every server."""
