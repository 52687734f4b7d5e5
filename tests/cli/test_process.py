"""The command as a shell starts it: streams, exit codes, a reader that goes away."""

import json
import subprocess
import uuid

from tests.cli.conftest import COMMAND, Coach
from tests.harness.world import World


def test_data_and_talk_go_their_own_ways(process: Coach, world: World) -> None:
    listed = process("package", "list", "--org", "kilo", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert json.loads(listed.out)[0]["purchase_id"] == str(world.kilo.package_id)
    refused = process("session", "use", uuid.uuid4())
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "There is no such package.\nReload the client's packages.\n"
    assert process("session", "use", "6f1c").code == 2
    assert process("org", "list", environment={"DATABASE_URL": "postgresql://127.0.0.1:9/none"}).code == 3


def test_a_pipe_gets_no_colour_and_a_reader_may_leave(process: Coach, world: World) -> None:
    assert "\x1b" not in process("org", "list", environment={"TERM": "xterm-256color"}).out
    for number in range(300):
        world.kilo.add_client(full_name=f"Client {number:03}")
    left = subprocess.run(
        f"{COMMAND} client list --org kilo --limit 1000 --json | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert left.stdout == "[\n"
    assert left.stderr == ""


def test_sweeps_at_once_take_each_session_once(process: Coach, world: World) -> None:
    for hours in range(2, 8):
        world.kilo.book_past(hours_ago=hours)
    command = [str(COMMAND), "sweep", "bookings", "--limit", "4", "--json"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for sweep in running:
        sweep.communicate(timeout=60)
        assert sweep.returncode == 0
    assert process("sweep", "bookings").code == 0
    assert world.kilo.sessions() == (6, 6)
