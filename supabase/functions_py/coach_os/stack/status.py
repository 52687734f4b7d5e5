"""What runs, where it is reached and with which keys: of the embedded stack, or of what the environment names."""

import urllib.error
import urllib.request
from dataclasses import dataclass

import psycopg
from pydantic import SecretStr

from coach_os.settings import Settings
from coach_os.stack.errors import StackError
from coach_os.stack.migrations import pending
from coach_os.stack.processes import answers, is_alive
from coach_os.stack.state import read_state
from coach_os.stack.supervisor import DATA_API, SERVICE, postgres_server

RUNNING, STOPPED, UNREACHABLE = "running", "stopped", "unreachable"


@dataclass(frozen=True)
class Status:
    """The parts as rows (`part`, `state`, `where`), and what a client needs to connect; None where there is none."""

    parts: list[dict[str, str | None]]
    database_url: str | None = None
    supabase_url: str | None = None
    publishable_key: str | None = None
    secret_key: str | None = None
    service_url: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether the first part, the way to the database, works."""
        return bool(self.parts) and self.parts[0]["state"] == RUNNING

    def as_json(self) -> dict[str, object]:
        """Everything, secrets included, under the names of the environment variables."""
        return {
            "SUPABASE_URL": self.supabase_url,
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "SUPABASE_SECRET_KEY": self.secret_key,
            "DATABASE_URL": self.database_url,
            "SERVICE_URL": self.service_url,
            "parts": self.parts,
        }

    def shown(self) -> dict[str, object]:
        """What a person may see over a shoulder: no secret key, no password."""
        return {
            "SUPABASE_URL": self.supabase_url,
            "SUPABASE_PUBLISHABLE_KEY": self.publishable_key,
            "SUPABASE_SECRET_KEY": "(coach status --json)" if self.secret_key else None,
            "DATABASE_URL": "(coach db url)" if self.database_url else None,
            "SERVICE_URL": self.service_url,
        }


def local_status(settings: Settings) -> Status:
    """The embedded stack of this project.

    Raises:
        StackError: its state is damaged.
    """
    state = read_state(settings.stack_home)
    if state is None:
        return Status([{"part": part, "state": STOPPED, "where": None} for part in ("postgres", DATA_API, SERVICE)])
    database_runs = postgres_server(state, settings.stack_home).is_running()
    data_api_runs = is_alive(state.processes.get(DATA_API)) and answers(f"{state.data_api_url}/health")
    service_runs = is_alive(state.processes.get(SERVICE)) and answers(f"{state.service_url}/healthz")
    parts = [
        _part("postgres", database_runs, f"127.0.0.1:{state.db_port}"),
        _part(DATA_API, data_api_runs, f"{state.service_url}/rest/v1"),
        _part(SERVICE, service_runs, state.service_url),
    ]
    return Status(
        parts,
        database_url=state.database_url,
        supabase_url=state.service_url if data_api_runs and service_runs else None,
        publishable_key=state.publishable_key,
        secret_key=state.secret_key,
        service_url=state.service_url,
    )


def remote_status(settings: Settings) -> Status:
    """What DATABASE_URL and SUPABASE_URL name: whether it answers, and how many migrations it lacks."""
    parts = []
    if settings.database_url:
        parts.append(_remote_database(settings.database_url.get_secret_value()))
    if settings.supabase_url:
        reachable = _has_data_api(settings.supabase_url, settings.supabase_publishable_key)
        state = RUNNING if reachable else UNREACHABLE
        parts.append({"part": DATA_API, "state": state, "where": settings.supabase_url})
    return Status(
        parts,
        database_url=_reveal(settings.database_url),
        supabase_url=settings.supabase_url,
        publishable_key=settings.supabase_publishable_key,
        secret_key=_reveal(settings.supabase_secret_key),
        service_url=settings.service_url,
    )


def _part(name: str, runs: bool, where: str) -> dict[str, str | None]:
    return {"part": name, "state": RUNNING if runs else STOPPED, "where": where if runs else None}


def _remote_database(url: str) -> dict[str, str | None]:
    try:
        address = psycopg.conninfo.conninfo_to_dict(url)
        where = f"{address.get('host', 'localhost')}:{address.get('port', 5432)}"
        lacking = pending(url)
    except psycopg.Error:
        return {"part": "postgres", "state": UNREACHABLE, "where": None}
    except StackError as error:
        return {"part": "postgres", "state": RUNNING, "where": f"{where}; {error.message}"}
    note = f"; {len(lacking)} migrations are pending (coach db migrate)" if lacking else ""
    return {"part": "postgres", "state": RUNNING, "where": where + note}


def _has_data_api(url: str, key: str | None) -> bool:
    request = urllib.request.Request(f"{url.rstrip('/')}/rest/v1/", headers={"apikey": key} if key else {})
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError:
        return True  # it answered; which of its doors this key opens is not asked here
    except (OSError, ValueError):
        return False
    return True


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
