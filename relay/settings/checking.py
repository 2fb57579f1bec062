"""What all checks between keys have: the settings, and problems at their places."""

from __future__ import annotations

from collections.abc import Collection

from relay.settings.document import Document
from relay.settings.model import Settings
from relay.settings.problems import Path, Problem, dotted


class Check:
    """Settings, the document they came from, and problems that say where they are."""

    def __init__(self, settings: Settings, document: Document) -> None:
        self.settings = settings
        self.document = document

    def error(self, path: Path, message: str) -> Problem:
        """Something that must be mended."""
        return Problem(self.document.mark(path), dotted(path), message)

    def warning(self, path: Path, message: str) -> Problem:
        """Something that may not be meant."""
        return Problem(self.document.mark(path), dotted(path), message, "warning")

    def names(self, section: str) -> Collection[str]:
        """What is called by name in a section, though something else may be wrong with it."""
        named = self.document.values.get(section)
        return named if isinstance(named, dict) else ()
