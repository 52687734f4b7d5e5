"""What a data directory and its log tell about a server: whether it runs, and why it did not start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from coach_os.stack.errors import CorruptDataDirectory, PortInUse, StackError, VersionMismatch

SIGNS_OF_DAMAGE = (
    "checkpoint record",
    "could not open directory",
    "could not open file",
    "could not read",
    "incorrect checksum",
    "invalid data",
    "invalid magic",
    "invalid page",
)


@dataclass(frozen=True)
class Postmaster:
    """What postmaster.pid says, when the process it names really is this cluster's server."""

    pid: int
    port: int
    ready: bool

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """The running server of `data_dir`, None when there is none."""
        try:
            lines = (data_dir / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
            command = psutil.Process(pid).cmdline()
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        # A stale file may name a process of another program: ids come back.
        if str(data_dir) not in command:
            return None
        return cls(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")


def check_cluster(data_dir: Path, major: int) -> None:
    """Refuse a directory from which a server of this major version cannot start; an empty one is fine.

    Raises:
        CorruptDataDirectory, VersionMismatch
    """
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return
    version_file = data_dir / "PG_VERSION"
    if not version_file.exists() or not (data_dir / "global" / "pg_control").exists():
        raise corrupt(data_dir, "it is not empty and holds no PostgreSQL cluster")
    version = version_file.read_text().strip() or "(unknown)"
    if version != str(major):
        raise VersionMismatch(
            f"{data_dir} was made by PostgreSQL {version}, the binaries are {major}.",
            "Start it with that version, or dump it there, move the directory away and restore.",
        )


def explain_failure(data_dir: Path, log: str, port: int) -> StackError:
    """The error that the log of a failed start amounts to."""
    if "Address already in use" in log or "could not bind" in log:
        return PortInUse(port, "PostgreSQL")
    fatal = [line.split(":", 3)[-1].strip() for line in log.splitlines() if "FATAL:" in line or "PANIC:" in line]
    if "incompatible with server" in log:
        return VersionMismatch(f"{data_dir} does not fit these binaries.", fatal[0] if fatal else None)
    if any(sign in line for line in fatal for sign in SIGNS_OF_DAMAGE):
        return corrupt(data_dir, fatal[0])
    words = " / ".join(fatal or log.strip().splitlines()[-3:])
    return StackError("PostgreSQL did not start.", words or f"See {data_dir}/server.log.")


def corrupt(data_dir: Path, reason: str) -> CorruptDataDirectory:
    """The error for a data directory that no server can use."""
    return CorruptDataDirectory(
        f"The data directory {data_dir} cannot be used: {reason}.",
        "Restore it from a backup, or move it away: the next start makes an empty one.",
    )
