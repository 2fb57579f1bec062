"""The base of all checks between keys: the settings, and problems with their places."""

from __future__ import annotations

from collections.abc import Collection

from relay.settings.document import Document
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted


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
        return named if isinstance(named, dict) else ()
