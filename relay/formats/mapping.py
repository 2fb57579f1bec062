"""Users' mappings, which read an event's fields from any JSON by JMESPath expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jmespath.exceptions
import msgspec

from relay.core.event import Draft, Dropped, Link, Status
from relay.formats.batch import Item, read_each
from relay.formats.contract import (
    Format,
    Request,
    UnreadableError,
    as_text,
    misfit,
    unrecognised,
)
from relay.formats.expressions import FAILURES, Expression, Found, Purse, TooMuchWorkError
from relay.formats.reading import moment
from relay.formats.statuses import status_of

MOST_SHOWN = 100
"""Items whose values a trial of a mapping shows."""
_NOTHING: tuple[Any, ...] = (None, False, "", [], {})
"""Values that JMESPath counts as false."""
_DOWNTIMES = {"true": True, "began": True, "ended": False}
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
        self._settings = settings
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

        If the mapping knows none of them, the whole payload becomes the notice of an unrecognised one. All items share
        the work that a payload may cost. Items after it is spent can't be read.
        """
        purse, payload, each = Purse(), request.payload, self._settings.each
        unknown: list[UnrecognisedError] = []

        def read(item: Any) -> list[Item]:
            try:
                draft = self.draft_of(item, purse)
            except UnrecognisedError as error:
                unknown.append(error)
                raise
            return [Dropped(f"`map.when: {self._settings.when}` gives nothing")] if draft is None else [draft]

        try:
            if each is None:
                found = read_each(payload, read) if isinstance(payload, list) else read(payload)
            else:
                found = read_each(self._items(payload, purse), lambda item: read(_within(payload, item)), each)
        except UnrecognisedError as error:
            if self._feed:
                raise
            return [unrecognised(request, f"the mapping does not know this payload: {error}")]
        if unknown and not self._feed and not any(isinstance(one, (Draft, Dropped)) for one in found):
            return [unrecognised(request, f"the mapping does not know this payload: {unknown[0]}")]
        return found

    def items(self, payload: Any) -> list[Any]:
        """Return the items of a payload. Raises `UnreadableError`."""
        if self._each is not None:
            return [_within(payload, item) for item in self._items(payload, Purse())]
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
                values |= {name: self._search(name, one, item, Purse(), []).value for name, one in expressions.items()}
                yield values, self.draft_of(item, Purse())
            except UnreadableError as error:
                yield values, str(error)

    def _items(self, payload: Any, purse: Purse) -> list[Any]:
        assert self._each is not None  # noqa: S101 - narrowed by the caller
        try:
            items = self._each.search(payload, purse)
        except TooMuchWorkError as error:
            raise UnreadableError("each", str(error)) from error
        except FAILURES as error:
            raise UnrecognisedError("each", f"{self._settings.each!r} fails: {error}") from error
        if isinstance(items, list):
            return items
        raise UnrecognisedError("each", f"{misfit(f'a list from {self._settings.each!r}', items)}; check the path")

    def draft_of(self, item: Any, purse: Purse) -> Draft | None:
        """Return the draft of an item, or None if `when` is false for it.

        Raises `UnreadableError`, and `UnrecognisedError` if `requires` or the title finds nothing.
        """
        notes: list[str] = []
        sought = {name: self._search(name, one, item, purse, notes) for name, one in self._optional.items()}
        found = {name: one.value for name, one in sought.items()}
        if "requires" in found and found["requires"] in _NOTHING and not _is_zero(found["requires"]):
            raise UnrecognisedError("requires", f"{self._settings.requires!r} finds nothing{_has(item)}")
        if "when" in found and found["when"] in _NOTHING and (sought["when"].drawn or self._title_of(item, purse)):
            return None
        key = as_text(found["key"]) if "key" in sought and sought["key"].drawn else ""
        status = self._status(found.get("status"), notes)
        severity = self._severity(found.get("severity"))
        title = self._read_title(item, key, status, purse)
        if status == "resolved" and not key:
            notes.append("map.key found nothing: an end without a key ends no alert, so the event is a notice")
            status, severity = "notice", severity or "info"
        return Draft(
            title=title,
            status=status,
            severity=severity,
            key=key or None,
            body=as_text(found.get("body")),
            labels={
                name: as_text(value)
                for name, expression in self._labels.items()
                if (value := self._search(f"labels.{name}", expression, item, purse, notes).value) is not None
            },
            links=self._read_links(item, purse, notes),
            files=_files(found.get("files"), notes),
            occurred_at=_time(found.get("occurred_at"), notes),
            acknowledged_by=_name(found.get("acknowledged_by")),
            unacknowledged_by=_name(found.get("unacknowledged_by")),
            downtime=_downtime(found.get("downtime"), notes),
            notes=tuple(notes),
        )

    def _read_links(self, item: Any, purse: Purse, notes: list[str]) -> tuple[Link, ...]:
        found = []
        for name, expression in self._links.items():
            url = self._search(f"links.{name}", expression, item, purse, notes).value
            if isinstance(url, str) and url.startswith(("http://", "https://")):
                found.append(Link(name, url))
            elif url not in _NOTHING:
                notes.append(f"map.links.{name} counts as absent: {misfit('an address like https://…', url)}")
        return tuple(found)

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
            raise UnrecognisedError("title", f"{self._settings.title!r} {_failure(error, item)}") from error
        if as_text(value).strip():
            raise UnrecognisedError("title", f"{self._settings.title!r} finds nothing{_has(item)}")
        raise UnrecognisedError("title", f"{misfit(f'a text from {self._settings.title!r}', value)}; check the path")

    @staticmethod
    def _search(name: str, expression: Expression, item: Any, purse: Purse, notes: list[str]) -> Found:
        """Return the value of an optional expression. An expression that fails adds a note and counts as absent."""
        try:
            return expression.find(item, purse)
        except TooMuchWorkError as error:
            raise UnreadableError(name, str(error)) from error
        except FAILURES as error:
            lines = str(error).splitlines() or [type(error).__name__]
            notes.append(f"map.{name} counts as absent: {lines[0]}")
            return Found(None, drawn=False)

    def _severity(self, value: Any) -> str | None:
        """Return the mapping's own severity for a word, else the word itself, which the intake then looks up."""
        word = as_text(value).strip()
        return self._settings.severities.get(word) or self._severities.get(word.lower(), word) or None

    def _status(self, value: Any, notes: list[str]) -> Status:
        if value is None:
            return "notice"
        word = as_text(value)
        known = status_of(self._settings.statuses.get(word) or self._statuses.get(word.lower(), word))
        if known is None:
            notes.append(f"map.status: {word[:40]!r} is not in `statuses` and counts as firing; add it there")
        return known or "firing"


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


def _has(item: Any) -> str:
    """Return a phrase with the names that an item has."""
    return f"; it has {', '.join(name[:40] for name in list(item)[:12])}" if isinstance(item, dict) else ""


def _name(value: Any) -> str | None:
    return None if value in _NOTHING else as_text(value)


def _downtime(value: Any, notes: list[str]) -> bool | None:
    """Return True if a downtime began or is in effect, False if it ended, else None.

    False and 0 give None: a comparison gives them when the payload says nothing of a downtime.
    """
    word = as_text(value).strip().lower()
    if value in _NOTHING or word in ("false", "0"):
        return None
    if word not in _DOWNTIMES and not word.isdecimal():
        notes.append(f"map.downtime counts as absent: expected true, 'began' or 'ended', found {word[:40]!r}")
    return True if word.isdecimal() else _DOWNTIMES.get(word)


def _files(value: Any, notes: list[str]) -> tuple[str, ...]:
    files = [value] if isinstance(value, str) else value or []
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        notes.append(f"map.files counts as absent: {misfit('an address or a list of addresses', value)}")
        return ()
    return tuple(file for file in files if file)


def _time(value: Any, notes: list[str]) -> float | None:
    if value is None or value == "":
        return None
    found = moment(value)
    if found is None:
        notes.append(f"map.occurred_at counts as absent: {misfit('a time like 2026-03-01T02:10:00Z', value)}")
    return found
