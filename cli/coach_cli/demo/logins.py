"""The passwords of the demonstration's people: generated, kept in .coach/demo.json for its owner alone."""

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from coach_cli.demo.people import Person
from coach_os.stack.accounts import match_owner
from coach_os.stack.errors import StackError

FILE = "demo.json"


def passwords(home: Path, people: Sequence[Person]) -> dict[str, str]:
    """Each person's password by their email; those that are missing are made and kept.

    Raises:
        StackError: the file cannot be read or written.
    """
    path = home / FILE
    try:
        kept = dict(json.loads(path.read_text())) if path.exists() else {}
        wanted = {person.email: str(kept.get(person.email) or secrets.token_urlsafe(18)) for person in people}
        if wanted != kept:
            draft = path.with_suffix(".tmp")
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(wanted, file, indent=2)
            match_owner(draft, home)
            draft.replace(path)
    except (OSError, ValueError, TypeError) as error:
        raise StackError(f"{path} cannot be used.", "Remove it: the next coach demo makes new passwords.") from error
    return wanted
