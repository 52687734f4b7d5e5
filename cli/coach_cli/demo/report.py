"""What the demonstration shows: the studio as an operator's calls find it, and where to go next."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coach_cli.demo.people import ORG_NAME, ORG_SLUG, SOFIA, local_midnight
from coach_cli.demo.scenes import Scene
from coach_cli.words import ALERTS, reason
from coach_os.database import Database
from coach_os.sweeps import SweepResult

WIDTH = 100
FREE_SHOWN = 5
Row = dict[str, Any]


@dataclass(frozen=True)
class Books:
    """What the database says of the studio, by the operator's functions."""

    packages: list[Row]
    entries: list[Row]
    bookings: list[Row]
    alerts: list[Row]
    free: list[Row]


@dataclass(frozen=True)
class Played:
    """What happened in this run."""

    org_id: str
    made: int
    door: str
    scenes: list[Scene]
    race: list[Scene]
    refusals: list[Scene]
    calendar: list[Scene]
    texting: list[Scene]
    paying: list[Scene]
    texts: list[Row]
    sweep: SweepResult


async def read_books(database: Database, org_id: str) -> Books:
    """The studio's packages, ledger (each entry with its package and booking), bookings and open alerts."""
    packages = await database.rpc("service.list_packages", p_org_id=org_id, p_limit=1000)
    packages.sort(key=lambda row: (row["client_name"], row["purchase_id"]))
    bookings = await database.rpc("service.list_bookings", p_org_id=org_id, p_limit=1000)
    starts = {row["booking_id"]: row["starts_local"] for row in bookings}
    entries: list[Row] = []
    for package in packages:
        ledger = await database.rpc("service.list_session_entries", p_purchase_id=package["purchase_id"], p_limit=1000)
        told = [
            {**entry, "client_name": package["client_name"], "starts_local": starts.get(entry["booking_id"])}
            for entry in ledger
        ]
        # A sweep enters a batch in one moment: within it, as the bookings came.
        entries += sorted(told, key=lambda entry: (entry["created_at"], entry["starts_local"] or ""))
    alerts = await database.rpc("service.list_alerts", p_org_id=org_id, p_limit=1000)
    free = await database.rpc("service.find_slots", p_org_id=org_id, p_on=_tomorrow(), p_limit=1000)
    # Those that keep the day most compact.
    free = sorted(sorted(free, key=lambda slot: slot["rank"])[:FREE_SHOWN], key=lambda slot: slot["start_time"])
    return Books(packages, entries, bookings, alerts, free)


def summary(played: Played, books: Books, connection: Row, seconds: float) -> Row:
    """The run as JSON."""
    return {
        "org_id": played.org_id,
        "slug": ORG_SLUG,
        "made": played.made,
        "seconds": round(seconds, 2),
        "door": played.door,
        "packages": books.packages,
        "session_entries": books.entries,
        "bookings": books.bookings,
        "alerts": books.alerts,
        "free_slots": books.free,
        "scenes": [
            scene.as_json()
            for part in (played.scenes, played.race, played.refusals, played.calendar, played.texting, played.paying)
            for scene in part
        ],
        "messages": played.texts,
        "sweep": played.sweep.as_json(),
        **connection,
    }


def show(played: Played, books: Books, connection: Row, seconds: float) -> None:
    """Print everything to stdout."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    _heading(console, ORG_NAME, _how_it_began(played))
    _packages(console, books)
    _ledger(console, books)
    _scenes(console, "At the desk and in the tabs", [*played.scenes, *played.race])
    _scenes(console, "What was refused", played.refusals)
    _scenes(console, "The calendar", played.calendar)
    _free(console, books)
    _texts(console, played)
    _scenes(console, "A deposit, its receipt, and what goes back", played.paying)
    _alerts(console, books)
    _next(console, books, connection, seconds)


def _how_it_began(played: Played) -> str:
    how = (
        f"Made through {played.door}." if played.made else f"Found as it was, through {played.door}; nothing was added."
    )
    completed, charged, uncovered = (played.sweep.counts.get(key, 0) for key in ("completed", "charged", "uncovered"))
    if not completed:
        return f"{how}\nThe sweep found nothing to do."
    others = completed - charged - uncovered
    swept = f"{charged} charged, {uncovered} without a session left, {others} charged before or without a package"
    return f"{how}\nThe sweep completed {completed} bookings that were over: {swept}."


def _packages(console: Console, books: Books) -> None:
    table = _table(("client", "package", ">used", ">left", ">bookable", "note"))
    for row in books.packages:
        note = "frozen" if row["is_frozen"] else ""
        numbers = (f"{row['sessions_used']} of {row['sessions_total']}", row["sessions_remaining"], row["bookable"])
        table.add_row(row["client_name"], row["offer_name"], *map(str, numbers), note)
    _section(console, "Packages", "Bookable is what is left, less the bookings that will take theirs.", table)


def _ledger(console: Console, books: Books) -> None:
    table = _table(("client", "booking (local time)", ">used", "why"))
    last = None
    for row in books.entries:
        delta = f"{row['used_delta']:+d}" if row["used_delta"] else "0"
        name = row["client_name"] if row["client_name"] != last else ""
        table.add_row(name, row["starts_local"] or "", delta, reason(row["reason"]))
        last = row["client_name"]
    _section(console, "The ledger", "Every session taken, given back or corrected, and why.", table)


def _scenes(console: Console, title: str, scenes: Sequence[Scene]) -> None:
    table = _table(("who", "does", "is answered"))
    for scene in scenes:
        table.add_row(scene.who, scene.did, Text(scene.answer, style="green" if scene.went_through else "yellow"))
    _section(console, title, None, table)


def _free(console: Console, books: Books) -> None:
    table = _table(("starts (local time)", "with", ">minutes to the next"))
    for slot in books.free:
        table.add_row(slot["starts_local"], slot["staff_name"], str(slot["rank"]))
    _section(console, "Free tomorrow", "Of all that can be booked, what keeps the day most compact.", table)


def _texts(console: Console, played: Played) -> None:
    table = _table(("to", "by", "which", "what it says"))
    for row in played.texts:
        table.add_row(row["client_name"] or "", row["channel"], row["status"], row["body"])
    _section(console, "Texts and emails", "Composed when they are sent; here the console stands in for Twilio.", table)
    _scenes(console, "A client answers", played.texting)


def _alerts(console: Console, books: Books) -> None:
    bookings = {row["booking_id"]: row for row in books.bookings}
    table = _table(("client", "booking (local time)", "what the coach is told"))
    for row in books.alerts:
        booking = bookings.get(row["booking_id"], {})
        told = ALERTS.get(row["kind"], row["kind"])
        table.add_row(booking.get("client_name", ""), booking.get("starts_local", ""), told)
    _section(console, "Open alerts", None, table)


def _next(console: Console, books: Books, connection: Row, seconds: float) -> None:
    ids = {row["client_name"]: row["purchase_id"] for row in books.packages}
    package = ids.get(SOFIA.name, "PACKAGE_ID")
    _heading(console, "Where to go next", None)
    api: tuple[tuple[str, str], ...] = (("the API", "off (see above)"),)
    if connection["supabase_url"]:
        api = (
            ("the API", connection["supabase_url"]),
            ("its key", connection["publishable_key"]),
            ("sign in as", f"{connection['login']} (password in {connection['logins']})"),
        )
    coach = _command()
    lines = (
        *api,
        ("the packages", f"{coach} package list --org {ORG_SLUG}"),
        ("one ledger", f"{coach} session history {package}"),
        ("give back", f"{coach} session release {package}"),
        ("what is free", f"{coach} slot list {_tomorrow()} --org {ORG_SLUG}"),
        ("the messages", f"{coach} messages list --org {ORG_SLUG}"),
        ("the receipts", f"{coach} receipt list --org {ORG_SLUG}"),
        ("the alerts", f"{coach} alert list --org {ORG_SLUG}"),
        ("the sweep", f"{coach} sweep bookings --dry-run"),
        ("the rest", f"{coach} status, {coach} --help, docs/architecture.md, docs/rpc.md"),
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, value)
    console.print(table)
    console.print(f"\n{seconds:.1f} seconds.", style="dim")


def _tomorrow() -> date:
    return (local_midnight() + timedelta(days=1)).date()


def _command() -> str:
    """How this shell starts the command again: by its name, or by its path in the checkout that `just` set up."""
    if shutil.which("coach"):
        return "coach"
    path = Path(sys.argv[0])
    return os.path.relpath(path) if path.is_file() else "coach"


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for column in columns:
        is_number = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if is_number else "left", no_wrap=is_number)
    return table


def _heading(console: Console, title: str, text: str | None) -> None:
    console.print(f"\n{title}", style="bold", markup=False)
    if text:
        console.print(text, markup=False)


def _section(console: Console, title: str, text: str | None, table: Table) -> None:
    _heading(console, title, text)
    console.print(table)
