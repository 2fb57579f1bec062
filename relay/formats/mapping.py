"""Users' mappings, which read an event's fields from any JSON by JMESPath expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import jmespath.exceptions
import msgspec

from relay.core.event import Draft, Dropped, Link, Status
from relay.core.markdown import middle
from relay.core.severity import severity_of
from relay.formats.batch import Item, read_each
from relay.formats.contract import (
    Format,
    Request,
    UnreadableError,
    as_text,
    misfit,
    unrecognised,
)
from relay.formats.expressions import FAILURES, Expression, Purse, TooMuchWorkError
from relay.formats.mapped import NOTHING, downtime_of, files_of, name_of, time_of
from relay.formats.statuses import status_of

LONGEST_SHOWN = 100
"""Characters of an expression that an error shows."""
MOST_SHOWN = 100
"""Items whose values a trial of a mapping shows."""
OPTIONAL = (
    "status",
    "severity",
    "key",
    "body",
    "occurred_at",
    "files",
    "acknowledged_by",
    "unacknowledged_by",
    "downtime",
    "when",
    "requires",
)
"""Fields of a mapping that may be absent, apart from `each`, labels and links."""


class UnrecognisedError(UnreadableError):
    """An item that a mapping does not know, since the expressions that matter find nothing in it."""


class MappingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping as configured. Only `title` is required. Expressions are JMESPath over one item."""

    title: str
    each: str | None = None
    status: str | None = None
    severity: str | None = None
    key: str | None = None
    body: str | None = None
    occurred_at: str | None = None
    files: str | None = None
    acknowledged_by: str | None = None
    unacknowledged_by: str | None = None
    downtime: str | None = None
    when: str | None = None
    requires: str | None = None
    labels: Mapping[str, str] = {}
    links: Mapping[str, str] = {}
    severities: Mapping[str, str] = {}
    statuses: Mapping[str, str] = {}


def make_mapping(settings: MappingSettings, *, feed: bool = False) -> Format:
    """Return a format that follows a mapping. Raises ValueError if an expression can't be compiled.

    A `feed` has frames of many kinds, such as greetings and pongs. There an unrecognised one is refused, not told.
    """
    return Format(read=CompiledMapping(settings, feed=feed).read, lists=True)


class CompiledMapping:
    """A mapping that is ready to read payloads."""

    def __init__(self, settings: MappingSettings, *, feed: bool = False) -> None:
        """Compile the expressions of a mapping. Raises ValueError if one can't be compiled."""
        self.settings = settings
        self._feed = feed
        self._each = None if settings.each is None else Expression(settings.each)
        self._title = Expression(settings.title)
        self._optional = {name: Expression(text) for name in OPTIONAL if (text := getattr(settings, name)) is not None}
        self._labels = {name: Expression(text) for name, text in settings.labels.items()}
        self._links = {name: Expression(text) for name, text in settings.links.items()}
        self._statuses = {word.lower(): status for word, status in settings.statuses.items()}
        self._severities = {word.lower(): severity for word, severity in settings.severities.items()}

    def read(self, request: Request) -> list[Item]:
        """Read a payload: the items that `each` selects, else those of a list, else one item. Raises `UnreadableError`.

        Of a list from which `each` selects nothing, it selects the items of each document. If the mapping knows none of
        the items, the whole payload becomes the notice of an unrecognised one. All items share the work that a payload
        may cost. Items after it is spent can't be read.
        """
        reading = _Reading(self, Purse())
        found: list[Item] = []
        try:
            found = reading.payload(request.payload)
        except UnrecognisedError:
            if self._feed:
                raise
        if reading.unknown and not self._feed and not any(isinstance(one, (Draft, Dropped)) for one in found):
            return [unrecognised(request, f"the mapping does not know this payload: {reading.unknown[0]}")]
        return found

    def items(self, payload: Any) -> list[Any]:
        """Return the items of a payload. Raises `UnreadableError`."""
        if self._each is not None:
            return [_within(payload, item) for item in self.items_of(payload, Purse())]
        return payload if isinstance(payload, list) else [payload]

    def trials(self, payload: Any) -> Iterator[tuple[dict[str, Any], Draft | str | None]]:
        """Yield, for the first items, the value of each expression, and the draft or the reason why there is none.

        People who write a mapping see them. Raises `UnreadableError` if the items can't be selected.
        """
        expressions = {
            "title": self._title,
            **self._optional,
            **{f"labels.{name}": one for name, one in self._labels.items()},
            **{f"links.{name}": one for name, one in self._links.items()},
        }
        for item in self.items(payload)[:MOST_SHOWN]:
            values: dict[str, Any] = {}
            try:
                values |= {name: self._search(name, one, item, Purse(), []) for name, one in expressions.items()}
                yield values, self.draft_of(item, Purse())
            except UnreadableError as error:
                yield values, str(error)

    def items_of(self, payload: Any, purse: Purse) -> list[Any]:
        """Return what `each` selects. Raises `UnreadableError`, and `UnrecognisedError` if that is no list."""
        assert self._each is not None  # noqa: S101 - narrowed by the caller
        try:
            items = self._each.search(payload, purse)
        except TooMuchWorkError as error:
            raise UnreadableError("each", str(error)) from error
        except FAILURES as error:
            raise UnrecognisedError("each", f"{_short(self.settings.each)} fails: {error}") from error
        if isinstance(items, list):
            return items
        raise UnrecognisedError("each", f"{misfit(f'a list from {_short(self.settings.each)}', items)}; check the path")

    def draft_of(self, item: Any, purse: Purse) -> Draft | None:
        """Return the draft of an item, or None if `when` is false for it.

        Raises `UnreadableError`, and `UnrecognisedError` if `requires` or the title finds nothing.
        """
        notes: list[str] = []
        found = {name: self._search(name, one, item, purse, notes) for name, one in self._optional.items()}
        if "requires" in found and found["requires"] in NOTHING and not _is_zero(found["requires"]):
            raise UnrecognisedError("requires", f"{_short(self.settings.requires)} finds nothing{_has(item)}")
        if "when" in found and found["when"] in NOTHING:
            meant = self._optional["when"].find(item, purse).drawn  # else its fields are not there at all
            if meant or self._title_of(item, purse):
                return None
        key = as_text(found.get("key"))
        key = key if key and self._is_drawn_key(item, purse) else ""
        status = self._status(found.get("status"), notes)
        severity = self._severity(found.get("severity"), status)
        title = self._read_title(item, key, status, purse)
        body = as_text(found.get("body"))
        if status == "resolved" and not key:
            notes.append("map.key found nothing: an end without a key ends no alert, so the event is a notice")
            status, severity = "notice", severity or "info"
        return Draft(
            title=title,
            status=status,
            severity=severity,
            key=key or None,
            body=body if body.strip() != title else "",
            labels={
                name: as_text(value)
                for name, expression in self._labels.items()
                if (value := self._search(f"labels.{name}", expression, item, purse, notes)) not in (None, "")
            },
            links=self._read_links(item, purse, notes),
            files=files_of(found.get("files"), notes),
            occurred_at=time_of(found.get("occurred_at"), notes),
            acknowledged_by=name_of(found.get("acknowledged_by")),
            unacknowledged_by=name_of(found.get("unacknowledged_by")),
            downtime=downtime_of(found.get("downtime"), notes),
            notes=tuple(notes),
        )

    def _read_links(self, item: Any, purse: Purse, notes: list[str]) -> tuple[Link, ...]:
        found = []
        for name, expression in self._links.items():
            url = self._search(f"links.{name}", expression, item, purse, notes)
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                found.append(Link(name, url))
            elif url not in NOTHING:
                notes.append(f"map.links.{name} counts as absent: {misfit('an address like https://…', url)}")
        return tuple(found)

    def _is_drawn_key(self, item: Any, purse: Purse) -> bool:
        """Return whether a value of the item has a part in its key, which is there."""
        expression = self._optional["key"]
        return expression.is_plain or expression.find(item, purse).drawn

    def _title_of(self, item: Any, purse: Purse) -> str:
        """Return the title of an item, or an empty text if its expression fails or finds nothing in the item."""
        try:
            found = self._title.find(item, purse)
        except TooMuchWorkError as error:
            raise UnreadableError("title", str(error)) from error
        except FAILURES:
            return ""
        return as_text(found.value).strip() if found.drawn else ""

    def _read_title(self, item: Any, key: str, status: Status, purse: Purse) -> str:
        if title := self._title_of(item, purse):
            return title
        if status == "resolved" and key:
            return key
        try:
            value = self._title.find(item, purse).value
        except TooMuchWorkError as error:
            raise UnreadableError("title", str(error)) from error
        except FAILURES as error:
            raise UnrecognisedError("title", f"{_short(self.settings.title)} {_failure(error, item)}") from error
        if as_text(value).strip():
            raise UnrecognisedError("title", f"{_short(self.settings.title)} finds nothing{_has(item)}")
        raise UnrecognisedError(
            "title", f"{misfit(f'a text from {_short(self.settings.title)}', value)}; check the path"
        )

    @staticmethod
    def _search(name: str, expression: Expression, item: Any, purse: Purse, notes: list[str]) -> Any:
        """Return the value of an optional expression. An expression that fails adds a note and counts as absent."""
        try:
            return expression.search_text(item, purse)
        except TooMuchWorkError as error:
            raise UnreadableError(name, str(error)) from error
        except FAILURES as error:
            lines = str(error).splitlines() or [type(error).__name__]
            notes.append(f"map.{name} counts as absent: {lines[0]}")
            return None

    def _severity(self, value: Any, status: Status) -> str | None:
        """Return the mapping's own severity for a word, else the word itself, which the intake then looks up.

        At the end the word may be that of the status, as `recovered` is, and says no severity.
        """
        word = as_text(value).strip()
        found = self.settings.severities.get(word) or self._severities.get(word.lower(), word) or None
        if status == "resolved" and found is not None and severity_of(found.lower()) is None:
            return None if status_of(found) == "resolved" else found
        return found

    def _status(self, value: Any, notes: list[str]) -> Status:
        if value is None:
            return "notice"
        word = as_text(value)
        known = status_of(self.settings.statuses.get(word) or self._statuses.get(word.lower(), word))
        if known is None:
            notes.append(f"map.status: {word[:40]!r} is not in `statuses` and counts as firing; add it there")
        return known or "firing"


class _Reading:
    """The reading of one payload: the work that is left for it, and why its mapping does not know parts of it."""

    def __init__(self, mapping: CompiledMapping, purse: Purse) -> None:
        self._mapping = mapping
        self._purse = purse
        self.unknown: list[UnrecognisedError] = []

    def payload(self, payload: Any) -> list[Item]:
        """Read a payload as one document, or a list as many unless `each` selects from the list itself."""
        if not isinstance(payload, list):
            return self._document(payload)
        if self._mapping.settings.each is not None:
            with suppress(UnrecognisedError):
                return self._document(payload)
        return read_each(payload, self._document)

    def _document(self, document: Any) -> list[Item]:
        each = self._mapping.settings.each
        if each is None:
            return self._item(document)
        try:
            items = self._mapping.items_of(document, self._purse)
        except UnrecognisedError as error:
            self.unknown.append(error)
            raise
        return read_each(items, lambda item: self._item(_within(document, item)), each)

    def _item(self, item: Any) -> list[Item]:
        try:
            draft = self._mapping.draft_of(item, self._purse)
        except UnrecognisedError as error:
            self.unknown.append(error)
            raise
        return [Dropped(f"`map.when: {self._mapping.settings.when}` gives nothing")] if draft is None else [draft]


def _within(payload: Any, item: Any) -> Any:
    """Return an item with the whole payload at `_payload`, so that its expressions can reach what is around it."""
    return {"_payload": payload, **item} if isinstance(item, dict) else item


def _failure(error: Exception, item: Any) -> str:
    """Return in words why an expression fails on an item."""
    if isinstance(error, jmespath.exceptions.JMESPathTypeError) and "NoneType" in str(error):
        return f"needs a field that is not in this payload{_has(item)}"
    return f"fails: {str(error).splitlines()[0] if str(error) else type(error).__name__}"


def _is_zero(value: Any) -> bool:
    """Return whether a value is the number 0, which Python takes for False."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _short(expression: str | None) -> str:
    """Return an expression in quotes, its middle left out if it is long."""
    return repr(middle(expression or "", LONGEST_SHOWN))


def _has(item: Any) -> str:
    """Return a phrase with the names that an item has."""
    return f"; it has {', '.join(name[:40] for name in list(item)[:12])}" if isinstance(item, dict) else ""
