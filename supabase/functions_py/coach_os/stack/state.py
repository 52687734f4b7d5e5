"""What the embedded stack remembers between two commands (ports, keys, passwords, processes): .coach/stack.json."""

import dataclasses
import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from coach_os.stack.accounts import match_owner
from coach_os.stack.errors import StackError
from coach_os.stack.ports import free_port

STATE_FILE = "stack.json"
FORMAT = 1


@dataclass
class ProcessRecord:
    """A process we started: its id, when it started (ids come back), and the port it listens on."""

    pid: int
    started: float
    port: int


@dataclass
class State:
    """The embedded stack of one project.

    `platform` is the digest of the shim that its database has, `service_fronts` the Data API that the running service
    stands before.
    """

    db_port: int
    api_port: int
    data_api_port: int
    publishable_key: str
    secret_key: str
    jwt_secret: str
    admin_password: str
    owner_password: str
    data_api_password: str
    platform: str = ""
    service_fronts: str | None = None
    processes: dict[str, ProcessRecord] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def database_url(self) -> str:
        """The owner's way in: the role `postgres`, under which migrations run."""
        return self.url("postgres", self.owner_password)

    @property
    def service_url(self) -> str:
        """Where apps find everything: the service, which puts itself before the Data API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def data_api_url(self) -> str:
        return f"http://127.0.0.1:{self.data_api_port}"

    def url(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{self.db_port}/postgres"


def new_state() -> State:
    """Free ports, and keys and passwords that nobody else has."""
    db_port, api_port, data_api_port = free_port(), free_port(), free_port()
    return State(
        db_port=db_port,
        api_port=api_port,
        data_api_port=data_api_port,
        publishable_key=_api_key("publishable"),
        secret_key=_api_key("secret"),
        jwt_secret=secrets.token_urlsafe(48),
        admin_password=secrets.token_urlsafe(24),
        owner_password=secrets.token_urlsafe(24),
        data_api_password=secrets.token_urlsafe(24),
    )


def read_state(home: Path) -> State | None:
    """The state kept in `home`, None where there is none.

    Raises:
        StackError: the file cannot be read, or holds something else.
    """
    path = home / STATE_FILE
    try:
        kept = json.loads(path.read_text())
        processes = {name: ProcessRecord(**record) for name, record in kept.pop("processes").items()}
        state = State(**kept, processes=processes)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StackError(f"{path} belongs to another user.", "Run the command as that user or as root.") from error
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise _damaged(path) from error
    ports = (state.db_port, state.api_port, state.data_api_port)
    texts = (state.publishable_key, state.secret_key, state.jwt_secret, state.admin_password, state.owner_password)
    if state.format != FORMAT or not all(isinstance(port, int) for port in ports) or not all(map(_is_text, texts)):
        raise _damaged(path)
    return state


def write_state(home: Path, state: State) -> None:
    """Keep `state`: a reader sees the old or the new one, never a part."""
    path = home / STATE_FILE
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dataclasses.asdict(state), file, indent=2)
    match_owner(draft, home)
    draft.replace(path)


@contextmanager
def locked(home: Path, *, seconds: float = 120) -> Iterator[None]:
    """Hold the stack for one command; another that comes meanwhile waits.

    Raises:
        StackError: the directory cannot be used, or another command holds it for longer than `seconds`.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        match_owner(home / "lock", home)
    except OSError as error:
        raise StackError(
            f"{home} cannot be used: {error.strerror}.",
            "Remove it or correct its owner; the next `coach up` makes it anew.",
        ) from error
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError("Another coach command has held the stack for too long.") from None
                time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _api_key(kind: str) -> str:
    """A key in the form of a hosted project's: sb_<kind>_<22 characters>_<8 characters that check them>."""
    body = f"sb_{kind}_{secrets.token_urlsafe(17)[:22]}"
    return f"{body}_{hashlib.sha256(body.encode()).hexdigest()[:8]}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _damaged(path: Path) -> StackError:
    return StackError(
        f"{path} is damaged.",
        "Restore it, or remove it: the next `coach up` makes new keys and keeps the database.",
    )
