"""The `coach` command: finds one module per noun in `commands`, and turns every failure into a sentence and a code.

Exit codes: 0 done, 1 a rule refused, 2 wrong usage, 3 the machine is at fault (`output.REFUSED` and its like).
"""

import importlib
import os
import pkgutil
import sys
from typing import Any

import psycopg
import typer
from typer.core import TyperGroup

from coach_cli import commands, output
from coach_cli.commands import stack
from coach_os.errors import CoachError

NOUNS = sorted(
    module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__) if module.name != "stack"
)
DEBUG_VARIABLE = "COACH_DEBUG"


class NounGroup(TyperGroup):
    """Loads a noun's module when it is asked for: `coach up` does not wait for what `coach client` imports."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *NOUNS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in NOUNS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=NounGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run and operate Coach OS: the local stack, organisations, members, clients, packages, sweeps.",
    epilog="Begin with `coach up`, then `coach status`. Every option can be set by the environment variable it names.",
)
app.add_typer(stack.app)


@app.callback()
def root() -> None:
    """Without it, a single command would take the place of the group."""


def main() -> None:
    """Run the command line; the process ends here, with a sentence instead of a traceback unless COACH_DEBUG is set."""
    try:
        app()
    except BrokenPipeError:
        # The reader (`head`) has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) not in (None, "", "0"):
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Say what went wrong on stderr; returns the exit code."""
    if isinstance(error, CoachError):
        output.fail(error.message, error.hint)
        return error.exit_code
    if isinstance(error, psycopg.OperationalError):
        output.fail("The database cannot be reached.", "Run `coach status`; a local stack starts with `coach up`.")
        return output.BROKEN
    # The words of a foreign error may quote a row: its type must do.
    output.fail(
        f"Something unforeseen went wrong ({type(error).__name__}).",
        f"Run it again with {DEBUG_VARIABLE}=1 to see where.",
    )
    return output.BROKEN


if __name__ == "__main__":
    main()
