"""Shared parts of the commands: options, the configuration, exits, and output for people or programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from relay.cli import completion
from relay.cli.place import database_of, find_config, none_found

if TYPE_CHECKING:
    from relay.settings.load import Loaded
    from relay.settings.problems import Problem

EXIT_NO = 1
EXIT_STORE = 74
EXIT_CONFIGURATION = 78


class SilentError(Exception):
    """A relay has the database open, but its admin address does not answer."""


class Output(StrEnum):
    """The form of the output: for people, or for programs."""

    text = "text"
    json = "json"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration; default $RELAY_CONFIG, the file of the relay that runs here, ./relay.yaml, "
        "/etc/relay/relay.yaml.",
        show_default=False,
    ),
]
RoomOption = Annotated[
    str | None, typer.Option(help="Only of this room.", show_default=False, autocompletion=completion.rooms)
]
SourceOption = Annotated[
    str | None, typer.Option(help="Only of this source.", show_default=False, autocompletion=completion.sources)
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Text for people, or JSON for programs.")]


def complain(message: str) -> None:
    """Print a message to standard error."""
    _print_error(f"relay: {message}", "error")


def fail(message: str, code: int = EXIT_NO) -> NoReturn:
    """Print an error, and exit with the code."""
    complain(message)
    raise typer.Exit(code)


def config_path(given: Path | None, code: int, *, running: bool = True) -> Path:
    """Return the file of the configuration; if there is none, print the places that were tried and exit with the code.

    The order is: as given, $RELAY_CONFIG, the file of a relay that runs here, ./relay.yaml, /etc/relay/relay.yaml.
    `running` is false for a command that starts a relay.
    """
    return find_config(given, running=running) or fail(none_found(running=running), code)


def load_config(given: Path | None, code: int = EXIT_CONFIGURATION, *, running: bool = True) -> Loaded:
    """Return the configuration, or print its problems and exit with the code.

    `running` says whether the file of a running relay is a default.
    """
    from relay.app.trial.checks import every_problem
    from relay.formats import FORMATS
    from relay.settings.load import load
    from relay.settings.problems import ConfigurationError

    try:
        return load(config_path(given, code, running=running), FORMATS)
    except ConfigurationError as error:
        print_problems(every_problem(error, machine=False))
        raise typer.Exit(code) from None


def refuse_comment(config: Path | None) -> None:
    """Exit if --config names no file in a command that takes a comment, too: `-c` was the comment once."""
    if config is not None and not config.exists() and str(config) != "-":
        fail(f"there is no configuration {str(config)!r}; `-c` is --config, and a comment follows -m", 2)


def load_to_ask(given: Path | None, code: int = EXIT_CONFIGURATION) -> Loaded:
    """Return the configuration for a command that asks the relay, or print its problems and exit with the code.

    If the file is broken by now but a relay runs, the valid part is enough to ask it, or that it runs with this file.
    """
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load, only_storage
    from relay.settings.problems import ConfigurationError
    from relay.storage.sqlite.database import is_locked

    path = config_path(given, code)
    try:
        return load(path, FORMATS)
    except ConfigurationError as error:
        rest = error.rest
        if rest is None and (database := database_of(path)) is not None:
            rest = only_storage(path, database)
        if isinstance(rest, Loaded) and is_locked(rest.storage):
            complain(f"{path} has errors (`relay check` lists them); the running relay is asked nevertheless")
            return rest
        print_problems(error.problems)
        raise typer.Exit(code) from None


def remark_unknown(loaded: Loaded, kind: Literal["room", "source"], name: str | None) -> None:
    """Say on standard error that no room or source has a name; what is on record of one that left is listed still."""
    from relay.settings.problems import near

    known = loaded.settings.rooms if kind == "room" else loaded.settings.sources
    if name is not None and known and name not in known:
        complain(f"no {kind} is called {name!r} in {loaded.file}{near(name, known)}")


def print_problems(problems: Sequence[Problem]) -> None:
    """Print problems to standard error, one per line."""
    from relay.core.markdown import clean

    for problem in problems:
        _print_error(clean(str(problem)), problem.level)


def _print_error(text: str, level: str) -> None:
    """Print a text to standard error, with its priority if the journal reads it."""
    if "JOURNAL_STREAM" in os.environ:
        from relay.logs import is_journal, with_priority

        text = with_priority(level, text) if is_journal(sys.stderr) else text
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented on a terminal."""
    import msgspec

    text = msgspec.json.encode(value)
    print((msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text).decode())


def say(text: str) -> None:
    """Print text that may come from an event, without characters that control a terminal."""
    from relay.core.markdown import clean

    print(clean(text), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print a table; tab-separated lines if the output is not a terminal."""
    from relay.core.markdown import clean

    lines = [[clean(cell) for cell in row] for row in rows]
    if not lines:
        print(empty)
        return
    if not sys.stdout.isatty():
        for row in [[column.upper() for column in columns], *lines]:
            print("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.console import Console
    from rich.text import Text

    from relay.cli.tables import table_lines

    console = Console()
    header, *rest = table_lines(columns, lines, console.width)
    console.print(Text(header, style="bold"), soft_wrap=True)
    print("\n".join(rest))


def read_input(name: str) -> bytes:
    """Return the bytes of a file, or of standard input for `-`. Exits with 2 if the file can't be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        fail(f"{name} can't be read: {error.strerror}", 2)
