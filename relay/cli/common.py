"""Shared parts of the commands: options, the configuration, exits, and output for people or programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from relay.cli import completion
from relay.cli.place import config_path

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
        help="Configuration; default $RELAY_CONFIG, config/relay.yaml, relay.yaml, /etc/relay/relay.yaml.",
        show_default=False,
    ),
]
LongConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration; default as for other commands.", show_default=False),
]
"""For commands in which `-c` is the comment, as in amtool."""
RoomOption = Annotated[
    str | None, typer.Option(help="Only of this room.", show_default=False, autocompletion=completion.rooms)
]
SourceOption = Annotated[
    str | None, typer.Option(help="Only of this source.", show_default=False, autocompletion=completion.sources)
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="Text for people, or JSON for programs.")]


def complain(message: str) -> None:
    """Print a message to standard error."""
    print(f"relay: {message}", file=sys.stderr)


def fail(message: str, code: int = EXIT_NO) -> NoReturn:
    """Print an error, and exit with the code."""
    complain(message)
    raise typer.Exit(code)


def load_config(given: Path | None, code: int = EXIT_CONFIGURATION) -> Loaded:
    """Return the configuration, or print its problems and exit with the code."""
    from relay.formats import FORMATS
    from relay.settings.load import load
    from relay.settings.problems import ConfigurationError

    try:
        return load(config_path(given), FORMATS)
    except ConfigurationError as error:
        print_problems(error.problems)
        raise typer.Exit(code) from None


def load_to_ask(given: Path | None, code: int = EXIT_CONFIGURATION) -> Loaded:
    """Return the configuration for a command that asks the relay, or print its problems and exit with the code.

    If the file is broken by now but a relay runs, the valid part is enough to ask it.
    """
    from relay.formats import FORMATS
    from relay.settings.load import Loaded, load
    from relay.settings.problems import ConfigurationError
    from relay.storage.database import is_locked

    path = config_path(given)
    try:
        return load(path, FORMATS)
    except ConfigurationError as error:
        rest = error.rest
        if isinstance(rest, Loaded) and is_locked(rest.storage):
            complain(f"{path} has errors (`relay check` lists them); the running relay is asked nevertheless")
            return rest
        print_problems(error.problems)
        raise typer.Exit(code) from None


def print_problems(problems: Sequence[Problem]) -> None:
    """Print problems to standard error, one per line."""
    from relay.core.markdown import clean

    for problem in problems:
        print(clean(str(problem)), file=sys.stderr)


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
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in lines:
        table.add_row(*[Text(cell.replace("\n", " "), overflow="ellipsis") for cell in row])
    Console().print(table)


def read_input(name: str) -> bytes:
    """Return the bytes of a file, or of standard input for `-`. Exits with 2 if the file can't be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        fail(f"{name} can't be read: {error.strerror}", 2)
