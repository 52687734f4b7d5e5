"""For stacks whose providers have no credentials: a message's id is written, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coach_os.logs import get_logger
from coach_os.providers.outcome import Outcome

log = get_logger(__name__)

NAME = "console"


class Console:
    """Takes the place of any provider; every outcome bears its name, so that no record claims a real delivery."""

    async def send(self, message: Mapping[str, Any]) -> Outcome:
        log.info("message_printed", message_id=message["id"], channel=message["channel"], kind=message["kind"])
        return Outcome("sent", NAME, provider_message_id=f"console-{message['id']}", provider_status="delivered")

    async def close(self) -> None:
        """Nothing is open."""
