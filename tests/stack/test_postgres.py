"""PostgresServer: starts from anything it should, and says in one sentence why it does not."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from coach_os.stack.binaries import Binaries
from coach_os.stack.errors import CorruptDataDirectory, PortInUse, VersionMismatch
from coach_os.stack.postgres import SUPERUSER, PostgresServer

MakeServer = Callable[..., PostgresServer]


def value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row and row[0]


def test_it_listens_on_tcp_and_a_socket_and_stops(make_server: MakeServer, binaries: Binaries) -> None:
    server = make_server(binaries=binaries)
    server.start()
    version = "select current_setting('server_version_num')::int / 10000"
    assert value(server.url(user=SUPERUSER), version) == binaries.major
    assert value(server.socket_url(), version) == binaries.major
    # The machine's locale must not decide how names are folded and sorted.
    assert value(server.socket_url(), "select lower('ÉMILE') || ('a' > 'B')") == "émiletrue"
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    assert not server.is_running()


def test_with_a_password_tcp_asks_for_it_and_the_socket_does_not(make_server: MakeServer) -> None:
    server = make_server(password="s3cret/:@")
    server.start()
    assert value(server.url(user=SUPERUSER), "select 1") == 1
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://{SUPERUSER}:wrong@127.0.0.1:{server.port}/postgres").close()
    assert value(server.socket_url(), "select 1") == 1


def test_only_the_owner_may_enter_the_directory_of_the_socket(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    assert server.socket_dir.stat().st_mode & 0o077 == 0


def test_a_long_path_moves_the_socket_elsewhere(directory: Path) -> None:
    server = PostgresServer(directory / ("d" * 60) / ("e" * 60), durable=False)
    server.start()
    try:
        assert value(server.socket_url(), "select 1") == 1
    finally:
        server.stop("immediate")
        server.socket_dir.rmdir()


def test_a_taken_port_is_named_and_nothing_is_made(make_server: MakeServer, directory: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)):
            make_server(port=port).start()
    assert not (directory / "data").exists()


def test_a_directory_that_is_no_cluster_is_left_alone(make_server: MakeServer, directory: Path) -> None:
    (directory / "data").mkdir()
    (directory / "data" / "thesis.txt").write_text("dear")
    with pytest.raises(CorruptDataDirectory, match="no PostgreSQL cluster"):
        make_server().start()
    assert [path.name for path in (directory / "data").iterdir()] == ["thesis.txt"]


def test_a_damaged_cluster_is_told_from_other_failures(make_server: MakeServer, directory: Path) -> None:
    server = make_server()
    server.start()
    server.stop()
    for segment in (directory / "data" / "pg_wal").glob("0*"):
        segment.write_bytes(b"\0" * segment.stat().st_size)
    with pytest.raises(CorruptDataDirectory, match=r"cannot be used: .*checkpoint"):
        server.start()


def test_a_cluster_of_another_major_version_is_named(make_server: MakeServer, directory: Path) -> None:
    server = make_server()
    server.start()
    server.stop()
    (directory / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(VersionMismatch, match="PostgreSQL 14"):
        server.start()


def test_what_was_committed_survives_an_immediate_stop(make_server: MakeServer, binaries: Binaries) -> None:
    server = make_server(binaries=binaries, durable=True)
    server.start()
    with psycopg.connect(server.socket_url()) as connection:
        connection.execute("create table kept as select 1 as id")
    server.stop("immediate")
    server.start()
    assert value(server.socket_url(), "select id from kept") == 1


def test_a_killed_server_starts_again_at_once(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    assert server.pid
    killed = psutil.Process(server.pid)
    os.kill(killed.pid, signal.SIGKILL)
    # The kill is over when the process is; its socket answers until then.
    while killed.is_running() and killed.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    server.start()
    assert value(server.socket_url(), "select 1") == 1


def test_a_stale_pid_of_another_program_does_not_count_as_running(make_server: MakeServer, directory: Path) -> None:
    server = make_server()
    server.start()
    lines = (directory / "data" / "postmaster.pid").read_text().splitlines()
    server.stop()
    # Of this very account: PostgreSQL itself gives up here, because it cannot tell the two apart.
    account = psutil.Process(os.getpid()).uids().effective or (directory / "data").stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=account) as other:
        (directory / "data" / "postmaster.pid").write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert not server.is_running()
        server.start()
        other.kill()
    assert value(server.socket_url(), "select 1") == 1


def test_row_values_stay_out_of_the_log(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    with psycopg.connect(server.socket_url(), autocommit=True) as connection:
        connection.execute("create table people (email text unique)")
        connection.execute("insert into people values ('emil@example.com')")
        with pytest.raises(psycopg.errors.UniqueViolation, match="emil"):
            connection.execute("insert into people values ('emil@example.com')")
    assert "duplicate key" in server.log_file.read_text()
    assert "emil" not in server.log_file.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root drops its privileges")
def test_root_runs_it_under_another_account(make_server: MakeServer, binaries: Binaries) -> None:
    server = make_server(binaries=binaries)
    server.start()
    assert psutil.Process(server.pid).uids().real != 0


def test_an_ordinary_user_runs_it_too(
    directory: Path, another_user: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    directory.chmod(0o777)
    result = another_user(
        "from pathlib import Path\n"
        "from coach_os.stack.postgres import PostgresServer\n"
        f"server = PostgresServer(Path({str(directory)!r}) / 'mine', durable=False)\n"
        "server.start(); print(server.is_running()); server.stop(); print(server.is_running())\n"
    )
    assert (result.stdout.split(), result.stderr) == (["True", "False"], "")


def test_somebody_elses_directory_is_refused(
    directory: Path, another_user: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    directory.chmod(0o755)
    (directory / "theirs").mkdir()
    result = another_user(
        "from pathlib import Path\n"
        "from coach_os.stack.errors import StackError\n"
        "from coach_os.stack.postgres import PostgresServer\n"
        f"try: PostgresServer(Path({str(directory)!r}) / 'theirs').start()\n"
        "except StackError as error: print(error)\n"
    )
    assert "belongs to root, not to you" in result.stdout
