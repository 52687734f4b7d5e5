"""What the demonstration texts: confirmations and reminders that leave by themselves, and a client who answers Y.

Nothing leaves the laptop: without credentials the console stands in for the providers. Each intent is one message, and
an answer that arrives twice is taken in once.
"""

from typing import Any

from coach_cli.demo.people import MIA
from coach_cli.demo.scenes import Scene
from coach_cli.demo.studio import Studio
from coach_os.database import Database
from coach_os.sweeps import run_sweep

REMINDER = "Hi {first_name}, see you on {session_datetime}. {session_summary}. Reply Y to confirm or R to reschedule."
STUDIO_PHONE = "+61491570006"
SHOWN = 10
Row = dict[str, Any]


def open_texting(studio: Studio) -> None:
    """The studio's settings and a reminder, where they are missing. Quiet hours are off, since it plays at any hour."""
    tab, org_id = studio.tab, studio.org_id
    if tab.select("sms_schedules", org_id=org_id):
        return
    tab.insert_unseen("sms_settings", org_id=org_id, enabled=True, quiet_hours_start=0, quiet_hours_end=0)
    tab.insert(
        "sms_schedules", org_id=org_id, type="pre_session", label="the day before", mins_offset=1440, body=REMINDER
    )
    studio.made += 2


async def text(database: Database, studio: Studio) -> list[Scene]:
    """Send what is due, let Mia answer, and hear her answer twice, as carriers do."""
    await run_sweep(database, "reminders")
    await run_sweep(database, "messages")
    answer = {
        "p_message_sid": f"demo-{studio.org_id}",
        "p_account_sid": None,
        "p_to": STUDIO_PHONE,
        "p_from": MIA.phone.replace(" ", ""),
        "p_body": "Y",
    }
    heard = [await database.rpc("service.receive_sms", **answer) for _ in range(2)]
    return [
        Scene(who, "answers Y", f"true ({told['outcome']})" if told["outcome"] == "confirmed" else told["outcome"])
        for who, told in zip((MIA.name, "the same text again"), heard, strict=True)
    ]


async def read_texts(database: Database, org_id: str) -> list[Row]:
    """The latest messages with their words, the first of them first; receipts have a place of their own."""
    listed = await database.rpc("service.list_messages", p_org_id=org_id, p_limit=1000)
    latest = [row for row in listed if row["kind"] != "receipt"][:SHOWN]
    shown = [await database.rpc("service.show_message", p_id=row["id"]) for row in reversed(latest)]
    names = {row["id"]: row["client_name"] for row in latest}
    return [
        {
            **{key: message[key] for key in ("id", "channel", "kind", "status")},
            "client_name": names[message["id"]],
            "body": message["body"] or message["preview"],
        }
        for message in shown
    ]
