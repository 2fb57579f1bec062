"""The base of all checks between keys: the settings, and problems with their places."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from relay.settings.document import Document
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted, nearest, unknown

REQUIRED = ("accounts", "rooms")
"""Sections of named things that every configuration has."""


class Check:
    """Settings and the document they came from; it makes problems that have a place."""

    def __init__(self, settings: Settings, document: Document) -> None:
        self.settings = settings
        self.document = document

    def error(self, path: Path, message: str) -> Problem:
        """Return a problem that must be fixed."""
        return Problem(self.document.mark(path), dotted(path), message)

    def warning(self, path: Path, message: str) -> Problem:
        """Return a problem that may be intended."""
        return Problem(self.document.mark(path), dotted(path), message, "warning")

    def names(self, section: str) -> Collection[str]:
        """Return the names in a section, including those of things that have other problems."""
        named = self.document.values.get(section)
        if isinstance(named, list):
            return [one["name"] for one in named if isinstance(one, dict) and isinstance(one.get("name"), str)]
        return named if isinstance(named, dict) else ()

    def named(self, path: Path, section: str, name: str) -> Iterator[Problem]:
        """Yield an error if nothing in a section has the name that stands at a path.

        If a part of the section could not be read, the name may be there: only one that looks misspelled is an error.
        """
        known = self.names(section)
        if name not in known and (self._is_whole(section) or nearest(name, known) is not None):
            yield self.error(path, unknown(section.removesuffix("s").replace("_", " "), name, known))

    def _is_whole(self, section: str) -> bool:
        values, kind = self.document.values, list if section == "time_intervals" else dict
        there = section in values or section in REQUIRED
        return self.document.is_whole and (not there or isinstance(values.get(section), kind))
