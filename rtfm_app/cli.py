"""The `rtfm` command: parsing, and how errors reach the user. The work is done in `commands/`.

Bad input ends in one line on standard error and exit code 2. Ctrl-C ends with 130.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from typer.exceptions import TyperException

from . import __version__
from .commands import film, measure, play, render, replay, train, training_worlds, worlds
from .memory.world_file import SaveError

app = typer.Typer(
    name="rtfm",
    help="Walk into a picture: a frame model with a spatial memory draws the world as you go.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode="rich",
)
worlds.add_to(app)
render.add_to(app)
film.add_to(app)
replay.add_to(app)
play.add_to(app)
training_worlds.add_to(app)
train.add_to(app)
measure.add_to(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rtfm {__version__}")
        raise typer.Exit()


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    if context.invoked_subcommand is None:
        context.exit(play.open_window([]))


def main(arguments: list[str] | None = None) -> None:
    """Run `rtfm` and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run `rtfm` with these arguments; returns the exit code."""
    try:
        return app(_with_command(arguments), prog_name="rtfm", standalone_mode=False) or 0
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:  # a group without a command has shown its help
            return 2
        return _complain(f"{_one_line(message)} (rtfm --help tells more)")
    except (ValueError, SaveError) as error:
        return _complain(_one_line(str(error)))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130


def _with_command(arguments: list[str]) -> list[str]:
    """`rtfm photo.jpg` and `rtfm world.rtfm` mean `rtfm play …`."""
    if not arguments or arguments[0].startswith("-"):
        return arguments
    commands = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    first = arguments[0]
    if first not in commands and (first.endswith(".rtfm") or Path(first).is_file()):
        return ["play", *arguments]
    return arguments


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _complain(message: str) -> int:
    print(f"rtfm: {message}", file=sys.stderr)
    return 2
