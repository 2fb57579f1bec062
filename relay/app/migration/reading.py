"""Reading Alertmanager's file by the table of its keys: plain values of carried keys, and notes about others."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, assert_never

from relay.app.migration.foreign import Foreign, Written
from relay.app.migration.keys import NOT_KNOWN, TABLES, UNKNOWN, Carried, Form, Noted, Refused
from relay.core.words import parse_duration
from relay.settings.problems import Path, Problem, dotted, near

VARIABLE = re.compile(r"\$\{[^{}]*\}")
_DOLLARS = re.compile(r"(?<!\$)(?:\$\$)+\{")
TEMPLATE = "{{"
_NAMES = ("name", "receiver")
Table = dict[str, Any]


class Item(NamedTuple):
    """A table in a list, and its path."""

    path: Path
    table: Table


class Reader:
    """Reads tables, and collects notes; errors go to the document."""

    def __init__(self, document: Foreign) -> None:
        self.document = document
        self.notes: list[Problem] = []

    def note(self, path: Path, message: str, *, key: bool = False) -> None:
        """Record a note about something that needs a check."""
        self.notes.append(Problem(self.document.mark(path, key=key), dotted(path), message, "warning"))

    def refuse(self, path: Path, message: str, *, key: bool = False) -> None:
        """Record an error; nothing is imported then."""
        self.document.add(path, message, self.document.mark(path, key=key))

    def table(self, name: str, value: object, path: Path) -> Table | None:
        """Return the carried keys of a table; None if the value is not a table, or is left out."""
        if not isinstance(value, dict):
            self._misfit(value, path, "a mapping")
            return None
        read: Table = {}
        spoilt = False
        for key, content in value.items():
            if _is_nothing(content) and not (content and key in _NAMES):
                continue
            fate = TABLES[name].get(key) or UNKNOWN.get(name, NOT_KNOWN)
            at = (*path, key)
            match fate:
                case Carried():
                    read[key] = self._carried(fate, content, at)
                case Noted():
                    self.note(at, self._unknown(name, key, fate.why), key=True)
                    spoilt = spoilt or fate.spoils
                case Refused():
                    self.refuse(at, self._unknown(name, key, fate.why), key=True)
                case _:
                    assert_never(fate)
        return None if spoilt else {key: content for key, content in read.items() if content is not None}

    @staticmethod
    def _unknown(name: str, key: str, why: str) -> str:
        return why if key in TABLES[name] else why + near(key, TABLES[name])

    def _carried(self, fate: Carried, value: object, path: Path) -> Any:
        if fate.form is not None:
            return self._form(fate.form, value, path)
        assert fate.table is not None  # noqa: S101 - the table of keys gives one or the other
        if not fate.each:
            return self.table(fate.table, value, path)
        if not isinstance(value, list):
            self._misfit(value, path, "a list")
            return None
        places = [(*path, number) for number in range(len(value))]
        read = [(place, self.table(fate.table, item, place)) for place, item in zip(places, value, strict=True)]
        return [Item(place, one) for place, one in read if one is not None]

    def _form(self, form: Form, value: object, path: Path) -> Any:
        match form:
            case "text":
                return self._text(value, path)
            case "raw":
                return self._raw(value, path)
            case "texts":
                return self._texts(value, path)
            case "pairs":
                return self._pairs(value, path)
            case "boolean":
                return self._boolean(value, path)
            case "duration":
                return self._duration(value, path)
            case _:
                assert_never(form)

    def _raw(self, value: object, path: Path) -> str | None:
        if not isinstance(value, Written):
            self._misfit(value, path, "text")
            return None
        return str(value)

    def _text(self, value: object, path: Path) -> str | None:
        if self._raw(value, path) is None or not isinstance(value, Written):
            return None
        if value.null and path[-1] in _NAMES:
            return str(value)  # a receiver may have this name; that is checked later
        if value.null:
            self.note(path, f"Alertmanager reads an unquoted {value} as empty text; quote it if you mean the word")
        if found := VARIABLE.findall(value):
            message = "stays text, as Alertmanager has no variables; replace it by the value that you mean"
            self.note(path, f"{', '.join(dict.fromkeys(found))} {message}")
        if _DOLLARS.search(value):
            self.refuse(path, "`$${` can't be written in the relay's configuration; remove a dollar")
        if TEMPLATE in value:
            self.note(path, "a template ({{ … }}) stays text here; replace it by the value that you mean")
        return "" if value.null else str(value)

    def _texts(self, value: object, path: Path) -> list[str] | None:
        if isinstance(value, Written) and path[-1] in ("matchers", "source_matchers", "target_matchers"):
            value = [value]
        if not isinstance(value, list):
            self._misfit(value, path, "a list of texts")
            return None
        read = [self._text(item, (*path, place)) for place, item in enumerate(value)]
        return [one for one in read if one is not None]

    def _pairs(self, value: object, path: Path) -> dict[str, str] | None:
        if not isinstance(value, dict):
            self._misfit(value, path, "a mapping of labels")
            return None
        read = {name: self._text(item, (*path, name)) for name, item in value.items()}
        return {name: one for name, one in read.items() if one is not None}

    def _boolean(self, value: object, path: Path) -> bool | None:
        if not isinstance(value, Written) or value.boolean is None:
            self._misfit(value, path, "true or false without quotes")
            return None
        return value.boolean

    def _duration(self, value: object, path: Path) -> str | None:
        if not isinstance(value, Written):
            self._misfit(value, path, "a duration like 30s")
            return None
        try:
            parse_duration(value)
        except ValueError as error:
            self.refuse(path, str(error))
            return None
        return "0s" if value == "0" else str(value)

    def _misfit(self, value: object, path: Path, wanted: str) -> None:
        """Refuse a value of the wrong kind, without quoting it: it may be a secret."""
        if isinstance(value, Written):
            found = "nothing" if value.null else "quoted text" if value.quoted else "text"
        else:
            found = "a list" if isinstance(value, list) else "a mapping"
        self.refuse(path, f"expected {wanted}, found {found}")


def _is_nothing(value: object) -> bool:
    """Return whether a value means that its key is absent: an unquoted null."""
    return isinstance(value, Written) and value.null
