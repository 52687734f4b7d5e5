"""The ASGI service of the embedded stack: coach_os.app under uvicorn, in front of the Data API."""

import os
import sys
from pathlib import Path

from coach_os.stack.processes import spawn, wait_until_healthy
from coach_os.stack.state import ProcessRecord, State

LOG_FILE = "service.log"
_LEFT_OUT = ("DATABASE_URL", "SUPABASE_URL")


def start_service(state: State, home: Path, *, data_api_url: str | None) -> ProcessRecord:
    """Start the service on the state's API port, in front of the Data API if there is one, and wait until it answers.

    Raises:
        StackError: it did not come up.
    """
    log = home / LOG_FILE
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    environment |= {
        "DATABASE_URL": state.database_url,
        "SUPABASE_PUBLISHABLE_KEY": state.publishable_key,
        "SUPABASE_SECRET_KEY": state.secret_key,
        "SERVICE_URL": state.service_url,
        "COACH_HOME": str(home.parent),
        "COACH_CONSOLE_PROVIDERS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if data_api_url:
        environment["COACH_DATA_API_URL"] = data_api_url
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "coach_os.app:service",
        "--host",
        "127.0.0.1",
        "--port",
        str(state.api_port),
    ]
    command += ["--no-access-log", "--no-server-header", "--timeout-graceful-shutdown", "3"]
    record = spawn(command, port=state.api_port, log=log, environment=environment)
    wait_until_healthy("The service", record, f"{state.service_url}/healthz", log)
    return record
