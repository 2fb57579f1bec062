"""Mending a broken configuration in memory, so that one fault hides no other.

What is wrong is reported, then replaced by something that is right, and the whole is validated again. What is said of a
place that was mended is a consequence of its fault, and is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.settings.document import Document, Expanded
from relay.settings.foreign import hint_of
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted, nearest
from relay.settings.sentences import known_keys, located, types_at
from relay.settings.standins import stand_ins

MOST_ROUNDS = 100
"""Times that the rest of a configuration is validated, before loading gives up."""


class _HopelessError(Exception):
    """Nothing of the configuration can be mended any more."""


class Mending:
    """One validation of a document. `problems` are those found so far."""

    def __init__(self, document: Document, base: FilePath) -> None:
        """Relative files are looked for in the folder `base`."""
        self.problems: list[Problem] = []
        self._document = document
        self._base = base
        self._values: dict[str, Any] = plain(document.values)
        self._touched: dict[Path, int] = {}
        self._broken = {problem.path for problem in document.problems}
        """Places of values that could not be read, like an unset variable."""
        self._names: set[str] = set()
        """Names that are accepted although they are wrong: they were reported."""

    def settings(self) -> Settings | None:
        """Return the settings, with what is wrong mended; None if that can't be done."""
        for _ in range(MOST_ROUNDS):
            try:
                return self._validated(self._values)
            except ValidationError as error:
                details = error.errors(include_url=False)
            try:
                self._take(details)
            except _HopelessError:
                break
        return None

    def follows(self, problem: Problem) -> bool:
        """Return whether a problem is only a consequence of a fault that was reported and mended."""
        path = problem.path
        return path in self._broken or any(
            path == at or path.startswith((f"{at}.", f"{at}[")) for at in map(dotted, self._touched)
        )

    def _validated(self, values: dict[str, Any]) -> Settings:
        return Settings.model_validate(values, context={"base": self._base, "names": self._names})

    def _take(self, details: Sequence[ErrorDetails]) -> None:
        """Report what is wrong, and mend it."""
        found = [
            (*located(detail, self._document, self._values), detail)
            for detail in details
            if not (detail["type"] == "too_short" and detail["input"])  # its entries are wrong, and reported
        ]
        unknown = [one for one in found if one[2]["type"] == "extra_forbidden"]
        for one in unknown:  # first: a key that is missing may be there under a wrong name
            self._report(*one)
        for path, _, detail in unknown:
            if self._has(path[:-1]):  # else it was removed with what was around it
                self._rename(path, detail)
        others = [one for one in found if one not in unknown and not self._is_there(one[0], one[2])]
        for one in others:  # all before any is mended, as a part around several may be replaced
            self._report(*one)
        for path, _, detail in others:
            if self._has(path[:-1]):  # else it was removed with what was around it
                self._mend(path, detail)

    def _is_there(self, path: Path, detail: ErrorDetails) -> bool:
        """Return whether a key that was missing is there by now: another was renamed to it."""
        return detail["type"] == "missing" and self._has(path)

    def _report(self, path: Path, problem: Problem, detail: ErrorDetails) -> None:
        about = detail.get("ctx", {}).get("keys", ())
        is_known = any((*path, key) in self._touched or dotted((*path, key)) in self._broken for key in about)
        if not self.follows(problem) and not is_known:
            self.problems.append(problem)

    def _rename(self, path: Path, detail: ErrorDetails) -> None:
        """Give an unknown key the name that was meant, or remove it."""
        above, name = self._at(path[:-1]), str(path[-1])
        hint = hint_of(path)
        instead = nearest(name, known_keys(detail["loc"][:-1])) if hint is None else hint.key
        self._touched.setdefault(path, 0)
        value = above.pop(name, None)
        if instead is None or instead in above:
            return
        if hint is None or hint.is_same:
            above[instead] = value
            self._document.rename(path, instead)
        elif stand_ins((*path[:-1], instead)):  # else it may be missing
            self._replace((*path[:-1], instead))

    def _mend(self, path: Path, detail: ErrorDetails) -> None:
        context = detail.get("ctx", {})
        if detail["loc"][-1:] == ("[key]",):
            self._names.add(str(path[-1]))
        elif detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
            self._choose_type(path, context.get("tag"))
        elif context.get("one"):
            self._leave_one(path, context["keys"])
        elif context.get("keys"):
            for key in context["keys"]:
                self._replace((*path, key))
        elif detail["type"] == "string_type" and isinstance(detail["input"], (int, float)) and self._fresh(path):
            self._set(path, str(detail["input"]))
        else:
            self._replace(path)

    def _fresh(self, path: Path) -> bool:
        return path not in self._touched

    def _leave_one(self, path: Path, keys: Sequence[str]) -> None:
        """Leave one of several keys that exclude each other; if there is none, add one."""
        given = [key for key in keys if self._at(path).get(key)]
        for key in given[1:]:
            del self._at(path)[key]
            self._touched.setdefault((*path, key), 1)
        if not given:
            self._replace((*path, keys[0]))

    def _choose_type(self, path: Path, given: object) -> None:
        """Take the type that was meant; if that can't be guessed, report what is wrong for every type."""
        types = types_at(path)
        meant = None if given is None else nearest(str(given), types)
        if meant is not None and self._fresh((*path, "type")):
            self._set((*path, "type"), meant)
            return
        self.problems += (one for one in self._wrong_for_all(path, types) if not self.follows(one))
        self._replace(path)

    def _wrong_for_all(self, path: Path, types: Sequence[str]) -> list[Problem]:
        """Return the problems below a path that remain whatever type it has."""
        common: dict[Path, Problem] | None = None
        for one in types:
            tried = copy.deepcopy(self._values)
            _walk(tried, path)["type"] = one
            try:
                self._validated(tried)
                return []
            except ValidationError as error:
                found = dict(located(detail, self._document, tried) for detail in error.errors(include_url=False))
            below = {at: problem for at, problem in found.items() if len(at) > len(path) and at[: len(path)] == path}
            common = below if common is None else {at: common[at] for at in common if at in below}
        return list((common or {}).values())

    def _replace(self, path: Path) -> None:
        """Put something right in the place of a value, or remove it, or else what is around it."""
        if not path:
            raise _HopelessError
        tries = self._touched.get(path, 0)
        candidates = stand_ins(path)
        self._touched[path] = tries + 1
        above = self._at(path[:-1])
        if tries < len(candidates):
            above[path[-1]] = copy.deepcopy(candidates[tries])
        elif isinstance(above, dict) and path[-1] in above:
            del above[path[-1]]
        else:
            self._replace(path[:-1])

    def _set(self, path: Path, value: object) -> None:
        self._touched.setdefault(path, 0)
        self._at(path[:-1])[path[-1]] = value

    def _has(self, path: Path) -> bool:
        try:
            self._at(path)
        except (KeyError, IndexError, TypeError):
            return False
        return True

    def _at(self, path: Path) -> Any:
        return _walk(self._values, path)


def _walk(values: Any, path: Path) -> Any:
    for step in path:
        values = values[step]
    return values


def plain(value: Any) -> Any:
    """Return a copy of a document's values with plain types only."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Expanded) else value
