"""Renders `docs/cli.md` from the commands themselves.

`python -m coach_cli.reference` writes it; a test fails when the file says something else.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from coach_cli.main import app

HEAD = """\
# Command reference

Generated from the commands by `just docs`; change their help in `cli/coach_cli/commands`, not here.

Data goes to stdout and talk to stderr. `--json` prints the keys and slugs of the database; tables are for people. A
command works on the local stack of `coach up`, or on what `DATABASE_URL`, else `SUPABASE_URL` with
`SUPABASE_SECRET_KEY`, names.

| exit code | means |
|---|---|
| 0 | done |
| 1 | a rule refused, or there was nothing to do it to; the message and the next action are on stderr |
| 2 | wrong usage |
| 3 | the machine is at fault: the database cannot be reached, a key is wrong, the stack does not start |
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, such as ("coach org list", …), in the order of the help."""
    root: Any = typer.main.get_command(app)
    yield from _below("coach", root)


def example(command: Any) -> str:
    """A command's example, as its help shows it last."""
    return str(command.epilog or "").removeprefix("Example: ")


def render() -> str:
    """The text of `docs/cli.md`."""
    return "\n".join([HEAD, *(_page(name, command) for name, command in commands())])


def _below(name: str, group: Any) -> Iterator[tuple[str, Any]]:
    context = group.make_context(name, [], resilient_parsing=True)
    for verb in group.list_commands(context):
        command = group.get_command(context, verb)
        if command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield from _below(f"{name} {verb}", command)
        else:
            yield f"{name} {verb}", command


def _page(name: str, command: Any) -> str:
    lines = [f"## {name}", "", inspect.cleandoc(command.help or ""), "", "```sh", example(command), "```", ""]
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    rows = [row for row in rows if row]
    if rows:
        lines += ["| argument or option | meaning | default | variable |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        name = names if parameter.is_flag else f"{names} {parameter.metavar or 'VALUE'}"
    default = "required" if parameter.required else parameter.default
    shown = "" if default is None or default is False or callable(default) else str(default)
    variables = parameter.envvar if isinstance(parameter.envvar, list) else [parameter.envvar or ""]
    cells = [f"`{name}`", parameter.help or "", shown, " ".join(f"`{v}`" for v in variables if v)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the file, or the one that is named."""
    default = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
