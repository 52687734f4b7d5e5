"""The Data API and Auth of the embedded stack: @supabase/lite under Node, as data_api.mjs sets it up."""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from importlib.resources import files
from pathlib import Path

from coach_os.stack.errors import StackError
from coach_os.stack.processes import spawn, wait_until_healthy
from coach_os.stack.state import ProcessRecord, State

NODE_MAJOR = 20
LOG_FILE = "data-api.log"
_PACKAGES = ("@supabase/lite", "@hono/node-server", "postgres")


class NoDataApi(StackError):
    """This machine cannot run the Data API; the rest of the stack works without it."""


def find_node() -> str:
    """The path of a Node that can run the Data API.

    Raises:
        NoDataApi: there is none, it is too old, or the npm packages are missing.
    """
    node = shutil.which("node")
    if node is None:
        raise NoDataApi(
            "Node is missing: the Data API stays off.", f"Install Node {NODE_MAJOR} or later, then `just setup`."
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout.strip()
    found = re.match(r"v(\d+)\.", version)
    if found is None or int(found[1]) < NODE_MAJOR:
        raise NoDataApi(
            f"Node {version.lstrip('v') or '(unknown)'} is too old: the Data API stays off.",
            f"Install Node {NODE_MAJOR} or later, then `just setup`.",
        )
    missing = [package for package in _PACKAGES if not _is_installed(package)]
    if missing:
        raise NoDataApi(
            f"npm packages are missing ({', '.join(missing)}): the Data API stays off.", "Run `just setup`."
        )
    return node


def start_data_api(state: State, home: Path) -> ProcessRecord:
    """Start the Data API on the state's port and wait until it answers.

    Raises:
        NoDataApi: this machine cannot run it.
        StackError: it did not come up.
    """
    node, log = find_node(), home / LOG_FILE
    configuration = {
        "databaseUrl": state.url("data_api", state.data_api_password),
        "port": state.data_api_port,
        "publishableKey": state.publishable_key,
        "secretKey": state.secret_key,
        "jwtSecret": state.jwt_secret,
        "siteUrl": state.service_url,
        "mailDir": str(home / "mail"),
    }
    # Through the standard input: arguments and environments can be listed by others.
    record = spawn(
        [node, str(_script())],
        port=state.data_api_port,
        log=log,
        environment=os.environ,
        input=json.dumps(configuration),
    )
    wait_until_healthy("The Data API", record, f"{state.data_api_url}/health", log)
    return record


def reload_data_api(state: State) -> None:
    """Have the Data API read the schema again, and wait until it has; it also does so by itself after DDL."""
    request = urllib.request.Request(
        f"{state.data_api_url}/reload", method="POST", headers={"apikey": state.secret_key}
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except OSError as error:
        raise StackError("The Data API did not reload its schema.", "Run `coach down`, then `coach up`.") from error


def _script() -> Path:
    return Path(str(files("coach_os.stack").joinpath("data_api.mjs")))


def _is_installed(package: str) -> bool:
    # As Node looks for it: in node_modules beside the script or above it.
    return any((folder / "node_modules" / package / "package.json").exists() for folder in _script().resolve().parents)
