"""The client of rows A and F: PostgreSQL's own pgbench, over TCP, with prepared statements.

32 clients in Python on two cores mostly measure Python: a call costs the client more than the server, which would hide
the difference that is asked for. pgbench speaks through libpq as every driver does, carries 32 connections on two
threads, and leaves the machine to the server; so its ratios are the strictest. Floor and rule get the same client, the
same protocol, the same number of round trips.
"""

import json
import os
import re
import subprocess
import tempfile
import uuid
from hashlib import md5

from coach_os.stack.postgres import PostgresServer

_RATE = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)


class BenchmarkBroken(Exception):
    """A client met an error: whatever was measured means nothing."""


def rate(
    server: PostgresServer,
    database: str,
    script: str,
    *,
    coach: str | None = None,
    clients: int,
    calls: int,
    **variables: int,
) -> float:
    """Runs the script `calls` times from each client and returns the scripts per second.

    Args:
        coach: the seeded name of who is signed in, as the Data API would set it; None is the owner, whom no policy
            binds.
        variables: what `:name` stands for in the script.

    Raises:
        BenchmarkBroken: a statement failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [str(server.binaries.bin_dir / "pgbench"), "--no-vacuum", "--protocol=prepared"]
        command += [
            f"--client={clients}",
            f"--jobs={min(clients, 2)}",
            f"--transactions={calls}",
            f"--file={file.name}",
        ]
        command += [f"--define={name}={value}" for name, value in variables.items()]
        command += [server.url(database, "authenticator" if coach else "postgres")]
        options = f"-c role=authenticated -c request.jwt.claims={claims(coach)}" if coach else ""
        result = subprocess.run(command, env={**os.environ, "PGOPTIONS": options}, capture_output=True, text=True)
    match = _RATE.search(result.stdout)
    if result.returncode != 0 or match is None:
        raise BenchmarkBroken(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else result.stdout)
    return float(match[1])


def claims(coach: str) -> str:
    """The token's claims of a seeded coach, without spaces."""
    return json.dumps({"sub": str(seeded_id(coach)), "role": "authenticated"}, separators=(",", ":"))


def seeded_id(name: str) -> uuid.UUID:
    """The id that the seed gave to a thing of this name: `md5(name)::uuid`, so that a script can compute it too."""
    return uuid.UUID(md5(name.encode()).hexdigest())
