"""The service as it runs: a process of its own under uvicorn, a real database, a secret, signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from tests.harness.database import Database
from tests.http.conftest import SECRET

from coach_os.stack.ports import free_port

PERSONAL = ("Jo Bloggs", "jo@kilo.example", "0412345678", SECRET)

# Ten bookings that are over, on a package of seven sessions.
OVERDUE = """
with org as (insert into public.orgs (name, slug) values ('Kilo', 'kilo') returning id),
client as (
  insert into public.clients (org_id, full_name, email, phone)
  select id, 'Jo Bloggs', 'jo@kilo.example', '0412345678' from org returning org_id, id),
offer as (
  insert into public.offers (org_id, name, offer_type, price_cents, sessions_included)
  select id, 'Seven', 'session_pack', 70000, 7 from org returning org_id, id),
package as (
  insert into public.client_purchases
    (org_id, client_id, offer_id, amount_paid_cents, sessions_total, payment_status, source)
  select c.org_id, c.id, o.id, 70000, 7, 'succeeded', 'import'
    from client as c, offer as o
  returning org_id, client_id, id)
insert into public.bookings (org_id, client_id, purchase_id, start_time, end_time)
select p.org_id, p.client_id, p.id, now() - n * interval '1 day', now() - n * interval '1 day' + interval '1 hour'
  from package as p, generate_series(1, 10) as n
"""


@dataclass
class Service:
    """A running service: its process, a client of it, and the file of its log."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def cron(self, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {SECRET}"}
        return self.client.post("/functions/v1/cron-bookings", headers=headers, **options)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def running_service(directory: Path, **environment: str) -> Iterator[Service]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    port, log = free_port(), directory / "service.log"
    command = [sys.executable, "-m", "uvicorn", "--factory", "coach_os.app:service", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=inherited | {"CRON_SECRET": SECRET} | environment, stdout=sink, stderr=sink, cwd=directory
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        try:
            until(lambda: answers(client) or process.poll() is not None)
            yield Service(process, client, log)
        finally:
            process.kill()
            process.wait()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def service(db: Database, tmp_path: Path) -> Iterator[Service]:
    with running_service(tmp_path, DATABASE_URL=db.url) as service:
        yield service


def settled(db: Database) -> Mapping[str, int]:
    query = "select coalesce(settlement, status) as verdict, count(*) from public.bookings group by 1"
    return {row["verdict"]: row["count"] for row in db.owner.rows(query)}


def used(db: Database) -> tuple[int, int]:
    """(the counter, the ledger)"""
    counter = db.owner.value("select sessions_used from public.client_purchases")
    return counter, db.owner.value("select sum(used_delta)::integer from public.session_entries")


def test_a_cron_call_completes_what_is_over_and_the_next_finds_nothing(service: Service, db: Database) -> None:
    db.owner.rows(OVERDUE)
    assert service.client.get("/readyz").json()["status"] == "ready"
    foretold = service.cron(params={"dry_run": True}).json()["runs"][0]
    assert settled(db) == {"confirmed": 10}
    first = service.cron().json()["runs"][0]
    again = service.cron().json()["runs"][0]
    for run in (foretold, first):
        assert (run["completed"], run["charged"], run["uncovered"]) == (10, 7, 3)
    assert (first["is_complete"], again["completed"], again["batches"]) == (True, 0, 0)
    assert settled(db) == {"charged": 7, "uncovered": 3}
    assert used(db) == (7, 7)
    runs = db.service().call("service.list_job_runs")
    assert [run["result"]["completed"] for run in runs] == [0, 10]
    assert all(run["finished_at"] and run["error"] is None for run in runs)


def test_a_limit_holds_over_http(service: Service, db: Database) -> None:
    db.owner.rows(OVERDUE)
    assert service.cron(params={"limit": 4}).json()["runs"][0]["completed"] == 4
    assert settled(db)["confirmed"] == 6


def test_many_cron_calls_at_once_take_each_session_once(service: Service, db: Database) -> None:
    db.owner.rows(OVERDUE)
    with ThreadPoolExecutor(8) as pool:
        answered = [future.result() for future in [pool.submit(service.cron) for _ in range(8)]]
    assert {response.status_code for response in answered} == {200}
    assert sum(response.json()["runs"][0]["completed"] for response in answered) == 10
    assert settled(db) == {"charged": 7, "uncovered": 3}
    assert used(db) == (7, 7)


def test_a_database_that_is_killed_in_the_middle_is_said_so_and_the_next_call_does_the_work(
    service: Service, db: Database
) -> None:
    db.owner.rows(OVERDUE)
    assert service.client.get("/readyz").status_code == 200
    interrupted: list[httpx.Response] = []
    with psycopg.connect(db.admin_url) as blocking, psycopg.connect(db.admin_url, autocommit=True) as admin:
        blocking.execute("lock table public.bookings in access exclusive mode")
        thread = threading.Thread(target=lambda: interrupted.append(service.cron()))
        thread.start()
        kill = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        until(lambda: admin.execute(kill).fetchall())
        thread.join()
        blocking.rollback()
    (response,) = interrupted
    assert (response.status_code, response.json()["slug"]) == (503, "database_unavailable")
    assert settled(db) == {"confirmed": 10}
    assert service.cron().json()["runs"][0]["completed"] == 10
    assert used(db) == (7, 7)
    errors = [run["error"] for run in db.service().call("service.list_job_runs")]
    assert errors == [None, "database_unavailable"]


def test_the_service_starts_without_its_database_and_finds_it_when_it_comes(db: Database, tmp_path: Path) -> None:
    late = db.url.replace(db.name, f"{db.name}_late")
    with running_service(tmp_path, DATABASE_URL=late) as service:
        unready = service.client.get("/readyz")
        assert (unready.status_code, unready.json()["slug"]) == (503, "database_unavailable")
        assert service.client.get("/healthz").status_code == 200
        with psycopg.connect(db.server.url("postgres", "supabase_admin"), autocommit=True) as admin:
            db.close()
            admin.execute(f"create database {db.name}_late template {db.name} owner postgres".encode())
            try:
                until(lambda: service.client.get("/readyz").status_code == 200)
            finally:
                admin.execute(f"drop database {db.name}_late with (force)".encode())


def test_a_signal_ends_it_cleanly_and_its_log_holds_nobody(service: Service, db: Database) -> None:
    db.owner.rows(OVERDUE)
    service.cron(params={"email": "jo@kilo.example"})
    service.client.get("/clients?phone=0412345678")
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) in (0, -signal.SIGTERM)
    assert {"sweep_finished", "request_finished"} <= {event["event"] for event in service.events()}
    for text in PERSONAL:
        assert text not in service.log.read_text()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"COACH_POOL_SIZE": "many"}, "COACH_POOL_SIZE"),
        ({"COACH_DATA_API_URL": "https://x.example"}, "COACH_DATA_API_URL is for development"),
        ({"DATABASE_URL": ""}, "There is no database to work on."),
    ],
)
def test_settings_that_cannot_be_meant_stop_it_with_one_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    given = {"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/x", "COACH_HOME": str(tmp_path)} | environment
    with running_service(tmp_path, **given) as service:
        assert service.process.wait(15) == 3
        (event,) = service.events()
    assert event["event"] == "service_not_started"
    assert said in event["reason"]
    assert event["hint"]
