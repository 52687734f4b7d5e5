"""Brings the embedded stack up and down: PostgreSQL, platform, migrations, Data API, service, in this order.

Each part is started only when it does not run. What a failing `up` has started, it stops again.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from coach_os.settings import Settings
from coach_os.stack.data_api import NoDataApi, find_node, reload_data_api, start_data_api
from coach_os.stack.errors import PortInUse, StackError
from coach_os.stack.migrations import migrate
from coach_os.stack.platform import apply_platform, platform_digest
from coach_os.stack.ports import free_port, port_is_free
from coach_os.stack.postgres import SUPERUSER, PostgresServer
from coach_os.stack.processes import is_alive, strays, terminate
from coach_os.stack.service import start_service
from coach_os.stack.state import STATE_FILE, ProcessRecord, State, locked, new_state, read_state, write_state

DATA_API, SERVICE = "data_api", "service"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Up:
    """What `up` did: the parts it started, the migrations it applied, and why there is no Data API, if so."""

    state: State
    started: list[str]
    applied: list[str]
    without_data_api: NoDataApi | None


def postgres_server(state: State, home: Path) -> PostgresServer:
    """The stack's server, whether it runs or not."""
    return PostgresServer(home / "postgres", port=state.db_port, password=state.admin_password)


def up(settings: Settings, say: Say = lambda text: None) -> Up:
    """Start whatever of the stack does not run, and bring its database to this version.

    Two calls at once do not fight: the second waits, then finds everything running.

    Raises:
        PortInUse: something else listens on a port of ours; nothing was started.
        StackError: any other reason; what this call had started is stopped again.
    """
    home = settings.stack_home
    with locked(home), ExitStack() as undo:
        state = read_state(home) or _begin(home)
        started: list[str] = []
        _settle_ports(state, home, settings)
        write_state(home, state)
        applied = _bring_database_up(state, home, say, started, undo)
        without = _bring_data_api_up(state, home, say, started, undo, reload=bool(applied))
        fronted = None if without else state.data_api_url
        _bring_service_up(state, home, say, started, undo, fronted)
        write_state(home, state)
        undo.pop_all()
        return Up(state, started, applied, without)


def down(settings: Settings, say: Say = lambda text: None) -> list[str]:
    """Stop every part that runs, keep the data, and return the names of what was stopped.

    Raises:
        StackError: the state is damaged, or a part does not stop.
    """
    home = settings.stack_home
    if not home.exists():
        return []
    with locked(home):
        state = read_state(home) or _begin(home)
        stopped = [name for name in (SERVICE, DATA_API) if terminate(state.processes.pop(name, None))]
        server = postgres_server(state, home)
        if server.pid is not None:
            server.stop()
            stopped.append("postgres")
        if (home / STATE_FILE).exists():
            write_state(home, state)
        for name in stopped:
            say(f"stopped {name}")
        return stopped


def _begin(home: Path) -> State:
    """A new state; what an earlier one, now lost, had started is stopped, since nobody knows its keys any more."""
    for record in strays(home):
        terminate(record)
    return new_state()


def _settle_ports(state: State, home: Path, settings: Settings) -> None:
    """Take over ports from the environment, stop a part that listens elsewhere, and refuse a port that is taken."""
    state.db_port = settings.db_port or state.db_port
    state.api_port = settings.api_port or state.api_port
    if state.db_port == state.api_port:
        raise StackError("COACH_DB_PORT and COACH_API_PORT name the same port.", "Set two different ports.")
    server = postgres_server(state, home)
    moved = server.pid is not None and server.port != state.db_port
    taken = [
        PortInUse(port, what, variable)
        for port, what, variable, ours in (
            (state.db_port, "PostgreSQL", "COACH_DB_PORT", server.pid is not None and not moved),
            (state.api_port, "the service", "COACH_API_PORT", _listens(state.processes.get(SERVICE), state.api_port)),
        )
        if not ours and not port_is_free(port)
    ]
    if taken:
        raise taken[0]
    if moved:
        server.stop()
        terminate(state.processes.pop(DATA_API, None))
        terminate(state.processes.pop(SERVICE, None))
    if not _listens(state.processes.get(SERVICE), state.api_port):
        terminate(state.processes.pop(SERVICE, None))
    # Nobody but the service knows this port, so it may change.
    if not _listens(state.processes.get(DATA_API), state.data_api_port) and not port_is_free(state.data_api_port):
        state.data_api_port = free_port()


def _bring_database_up(state: State, home: Path, say: Say, started: list[str], undo: ExitStack) -> list[str]:
    server, digest = postgres_server(state, home), platform_digest()
    fresh = not server.is_running()
    if fresh:
        say("starting PostgreSQL")
        server.start()
        undo.callback(server.stop)
        started.append("postgres")
    if fresh or state.platform != digest:
        # Over the socket, and all passwords anew: a stack.json that was lost does not lock anybody out.
        passwords = {
            SUPERUSER: state.admin_password,
            "postgres": state.owner_password,
            "data_api": state.data_api_password,
        }
        apply_platform(server.socket_url(), passwords=passwords)
        state.platform = digest
    applied = migrate(
        state.database_url, progress=lambda file, done, of: say(f"migrating {file}") if done == 1 else None
    )
    write_state(home, state)
    return applied


def _bring_data_api_up(
    state: State, home: Path, say: Say, started: list[str], undo: ExitStack, *, reload: bool
) -> NoDataApi | None:
    record = state.processes.get(DATA_API)
    if is_alive(record):
        if reload:
            reload_data_api(state)
        return None
    try:
        find_node()
    except NoDataApi as reason:
        return reason
    say("starting the Data API")
    state.processes[DATA_API] = start_data_api(state, home)
    undo.callback(_stop, state, home, DATA_API)
    started.append(DATA_API)
    write_state(home, state)
    return None


def _bring_service_up(
    state: State, home: Path, say: Say, started: list[str], undo: ExitStack, data_api_url: str | None
) -> None:
    record = state.processes.get(SERVICE)
    if is_alive(record) and state.service_fronts == data_api_url:
        return
    terminate(record)
    say("starting the service")
    state.processes[SERVICE] = start_service(state, home, data_api_url=data_api_url)
    state.service_fronts = data_api_url
    undo.callback(_stop, state, home, SERVICE)
    started.append(SERVICE)


def _stop(state: State, home: Path, name: str) -> None:
    terminate(state.processes.pop(name, None))
    write_state(home, state)


def _listens(record: ProcessRecord | None, port: int) -> bool:
    return record is not None and record.port == port and is_alive(record)
