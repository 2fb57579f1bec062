"""What is wrong with a configuration: where, what, and what would be right."""

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
    """One thing that is wrong, or (a warning) that may not be meant."""

    mark: Mark
    path: str
    message: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        level = "warning: " if self.level == "warning" else ""
        return f"{place}: {level}{self.path + ': ' if self.path else ''}{self.message}"


class ConfigurationError(Exception):
    """A configuration that can't be used, with all its problems; `rest` is what of it is good, where that is much."""

    def __init__(self, problems: Sequence[Problem], rest: object = None) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.rest = rest


def dotted(path: Path) -> str:
    """A path as users read it: `route.routes[0].rooms`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def near(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` where a known name is near, else an empty string."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """That nothing is called so, and what may have been meant."""
    return f"no {kind} is called {name[:60]!r}{near(name, known)}"
