"""What can go wrong, in three words: a rule refuses, the database is out of reach, or something is broken.

Every error carries a `status` (as HTTP means it), a `slug` that clients branch on, a `message` for a person and a
`hint` that names the next action. None of them holds a value from a row.
"""

from __future__ import annotations

from typing import ClassVar


class CoachError(Exception):
    """The base of all errors that this package raises on purpose.

    >>> str(Refusal(409, "package_exhausted", "No sessions are left in this package."))
    'No sessions are left in this package.'
    """

    #: What the `coach` command exits with when this error ends it.
    exit_code: ClassVar[int] = 3

    def __init__(self, status: int, slug: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug
        self.message = message
        self.hint = hint

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status}, {self.slug!r})"

    def as_json(self) -> dict[str, str | None]:
        """The body of an HTTP answer: `error` is what the existing apps read, `slug` what new ones branch on."""
        return {"error": self.message, "slug": self.slug, "hint": self.hint}


class Refusal(CoachError):
    """A rule said no (SQLSTATE `PTxyz`), or an argument has no meaning. Asking again unchanged changes nothing."""

    exit_code = 1


class Unavailable(CoachError):
    """The database cannot be reached, is busy beyond its limits, or went away in the middle of a call.

    After a loss in the middle nobody knows whether the call took effect, so nothing here repeats it: the caller
    repeats what is safe to repeat (a request id, a sweep).
    """

    def __init__(
        self,
        slug: str = "database_unavailable",
        message: str = "The database cannot be reached.",
        hint: str | None = "Check that it runs and that its address is right, then try again.",
    ) -> None:
        super().__init__(503, slug, message, hint)


class Fault(CoachError):
    """An error that no rule raised: a missing migration, a wrong key, a defect. `code`: the SQLSTATE, if known."""

    def __init__(
        self,
        slug: str = "database_error",
        message: str = "The database answered with an error that no rule explains.",
        hint: str | None = None,
        *,
        status: int = 500,
        code: str | None = None,
    ) -> None:
        super().__init__(status, slug, message, hint)
        self.code = code
