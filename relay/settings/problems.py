"""Problems of a configuration: where each is, what was found, and what was expected."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import msgspec

Path = tuple[str | int, ...]


class Mark(msgspec.Struct, frozen=True, order=True):
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake in a configuration, or (a warning) something that may not be meant."""

    mark: Mark
    path: str
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        level = "warning: " if self.level == "warning" else ""
        return f"{place}: {level}{self.path + ': ' if self.path else ''}{self.message}"


class ConfigurationError(Exception):
    """A configuration that can't be used, with all its problems; `rest` is its valid part, or None if too little is."""

    def __init__(self, problems: Sequence[Problem], rest: object = None) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.rest = rest


def dotted(path: Path) -> str:
    """Return a path in the form that users read: `route.routes[0].rooms`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def near(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` if a known name is similar, else an empty text."""
    found = nearest(name, known)
    return "" if found is None else f" (did you mean {found!r}?)"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar, or None if none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Return a message that nothing has this name, with a similar known name."""
    return f"no {kind} is called {name[:60]!r}{near(name, known)}"


def expected(wanted: str, value: object, *, secret: bool = False) -> str:
    """Return a message that something else was expected than this value.

    If the value may be a `secret` in the wrong place, the message names only its kind.
    """
    return f"expected {wanted}, found {_kind(value) if secret else _shown(value)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return f"the text {value[:50]!r}" if isinstance(value, str) and value else _kind(value)


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case "":
            return "an empty text"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return "something else"


def problem_json(problem: Problem) -> dict[str, object]:
    """Return a problem as the API and the commands show it."""
    return {
        "file": problem.mark.file,
        "line": problem.mark.line,
        "column": problem.mark.column,
        "path": problem.path,
        "message": problem.message,
        "level": problem.level,
    }
