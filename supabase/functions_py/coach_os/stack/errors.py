"""What can go wrong with the machine rather than with a rule: one sentence, and a hint that says what to do."""

from coach_os.errors import CoachError


class StackError(CoachError):
    """The stack cannot do what was asked; `str()` is a sentence for a person, `hint` the next action."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(503, "stack_unavailable", message, hint)


class PortInUse(StackError):
    """Another process listens on the port; nothing was started."""

    def __init__(self, port: int, what: str, variable: str | None = None) -> None:
        hint = f"Stop what listens there, or set {variable} to a free port." if variable else "Choose another port."
        super().__init__(f"Port {port} of 127.0.0.1, wanted for {what}, is in use.", hint)
        self.port = port


class CorruptDataDirectory(StackError):
    """The data directory is not one PostgreSQL can start from."""


class VersionMismatch(StackError):
    """The data directory was made by another major version of PostgreSQL."""


class ForeignPlatform(StackError):
    """The database already has a real `auth` (hosted Supabase, `supabase start`): the shim keeps off."""
