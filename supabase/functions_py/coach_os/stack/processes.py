"""Processes that outlive the command which starts them: detached, logged to a file, known by id and start time."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from coach_os.stack.accounts import match_owner
from coach_os.stack.errors import StackError
from coach_os.stack.state import ProcessRecord

LOG_LIMIT = 10 * 1024 * 1024
START_SECONDS = 30
OUR_COMMANDS = ("coach_os/stack/data_api.mjs", "coach_os.app:")


def spawn(
    command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str], input: str = ""
) -> ProcessRecord:
    """Start `command` in a session of its own; its output is appended to `log`, `input` is all that it can read."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".old.log"))
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as sink:
        match_owner(log, log.parent)
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=log.parent,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        process.stdin.write(input.encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died at once; whoever waits for its health says why
    return ProcessRecord(process.pid, _started(process.pid) or 0.0, port)


def is_alive(record: ProcessRecord | None) -> bool:
    """Whether the very process we started still runs."""
    return record is not None and _started(record.pid) == record.started


def terminate(record: ProcessRecord | None, *, seconds: float = 5) -> bool:
    """Ask the process to end, insist after `seconds`; False when it was gone already."""
    if record is None or not is_alive(record):
        return False
    try:
        process = psutil.Process(record.pid)
        process.terminate()
        try:
            process.wait(seconds)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(seconds)
    except psutil.NoSuchProcess:
        pass
    return True


def strays(home: Path) -> list[ProcessRecord]:
    """Processes that `spawn` started with a log in `home`, whoever kept their records."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if any(mark in word for word in command for mark in OUR_COMMANDS) and process.cwd() == str(home.resolve()):
                found.append(ProcessRecord(process.pid, process.create_time(), 0))
        except psutil.Error:
            continue  # it ended meanwhile, or belongs to somebody else
    return found


def answers(url: str, *, seconds: float = 2) -> bool:
    """Whether a GET of `url` is answered with 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return bool(200 <= response.status < 300)
    except (OSError, ValueError):
        return False


def wait_until_healthy(name: str, record: ProcessRecord, url: str, log: Path) -> None:
    """Wait until `url` answers.

    Raises:
        StackError: the process ended, or did not answer in time and was stopped; the hint holds the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    # Alive first: another program on the port could answer for a process that found it taken.
    while not (is_alive(record) and answers(url)):
        if not is_alive(record):
            raise StackError(f"{name} ended while starting.", _tail(log))
        if time.monotonic() > deadline:
            terminate(record)
            raise StackError(f"{name} did not answer within {START_SECONDS} seconds.", _tail(log))
        time.sleep(0.05)


def _started(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _tail(log: Path, lines: int = 3) -> str:
    try:
        end = log.read_text(errors="replace").strip().splitlines()[-lines:]
    except OSError:
        end = []
    return f"See {log}." if not end else f"{log} ends with: " + " / ".join(end)
