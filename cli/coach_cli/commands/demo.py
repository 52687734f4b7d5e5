"""coach demo: a small studio with a few weeks of work, made through the doors its people would use."""

import asyncio
import time
from contextlib import ExitStack

import typer

from coach_cli import output
from coach_cli.demo import paying, people, report, scenes, schedule, studio, texting
from coach_cli.demo.data_api_door import DataApiDoor
from coach_cli.demo.database_door import DatabaseDoor
from coach_cli.demo.doors import Door, Tab
from coach_cli.demo.logins import FILE, passwords
from coach_cli.parameters import Json
from coach_os.database import open_database
from coach_os.errors import Refusal
from coach_os.logs import configure_logging
from coach_os.settings import Settings, read_environment
from coach_os.stack import supervisor
from coach_os.stack.postgres import SUPERUSER
from coach_os.stack.supervisor import Up, postgres_server
from coach_os.sweeps import run_sweep

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: coach demo")
def demo(json: Json = False) -> None:
    """Start the local stack and show Coach OS at work on a demonstration studio.

    The first run makes the studio; a later one finds it, adds nothing, and shows it again.
    """
    started = time.monotonic()
    settings = read_environment()
    if settings.is_remote:
        raise Refusal(
            409,
            "demo_local_only",
            "The demonstration invents people, so it runs on the local stack alone.",
            "Unset DATABASE_URL and SUPABASE_URL, then run coach demo again.",
        )
    configure_logging("error")
    up = supervisor.up(settings, output.say)
    if up.without_data_api:
        output.say(f"{up.without_data_api.message} {up.without_data_api.hint}")
        output.say("The demonstration goes on: its people speak to the database itself, under the same rules.")
    played, books = asyncio.run(_play(settings.with_embedded(), up))
    connection = {
        "supabase_url": None if up.without_data_api else up.state.service_url,
        "publishable_key": up.state.publishable_key,
        "login": people.COACH.email,
        "logins": str(settings.stack_home / FILE),
    }
    seconds = time.monotonic() - started
    if json:
        output.print_json(report.summary(played, books, connection, seconds))
    else:
        report.show(played, books, connection, seconds)


async def _play(settings: Settings, up: Up) -> tuple[report.Played, report.Books]:
    door = _door(settings, up)
    secrets = passwords(settings.stack_home, people.PEOPLE)
    async with open_database(settings) as database:
        with ExitStack() as tabs:

            def sign_in(person: people.Person) -> Tab:
                tab = door.sign_in(person, secrets[person.email])
                tabs.callback(tab.close)
                return tab

            coach, desk, stranger = map(sign_in, people.PEOPLE)
            org_id = studio.found(coach, people.COACH, people.ORG_NAME, people.ORG_SLUG)
            studio.found(stranger, people.OTHER_COACH, people.OTHER_NAME, people.OTHER_SLUG)
            await database.rpc("service.set_member", p_org_id=org_id, p_email=people.DESK.email, p_role="front_desk")
            desk.update("profiles", {"id": desk.user_id}, full_name=people.DESK.name)
            place = studio.open_studio(coach, org_id)
            visits = sum(len(client.visits) for client in people.CLIENTS)
            with output.progress("playing the last weeks", total=visits) as advance:
                studio.fill(place, people.local_midnight(), advance)
            two_tabs = (sign_in(people.COACH), sign_in(people.COACH))
            done = [
                scenes.check_in(place, desk),
                scenes.freeze(place),
                *scenes.double_click(place, two_tabs),
            ]
            raced = scenes.race(place, two_tabs)
            swept = await run_sweep(database, "bookings")
            refused = scenes.refusals(place, desk, stranger)
            schedule.open_hours(place)
            texting.open_texting(place)
            planned = schedule.scenes(place, people.local_midnight())
            texted = await texting.text(database, place)
            texts = await texting.read_texts(database, org_id)
            paid = await paying.pay(database, place, people.local_midnight())
        played = report.Played(org_id, place.made, door.name, done, raced, refused, planned, texted, paid, texts, swept)
        return played, await report.read_books(database, org_id)


def _door(settings: Settings, up: Up) -> Door:
    if up.without_data_api is None:
        return DataApiDoor(up.state.service_url, up.state.publishable_key, settings.stack_home / "mail")
    server = postgres_server(up.state, settings.stack_home)
    return DatabaseDoor(up.state.database_url, server.url("postgres", SUPERUSER))
