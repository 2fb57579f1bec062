"""The expression `when` of a source: which of its events are wanted.

It sees an event as the relay would store it, so that a severity is one of the five and a source's own labels are there.
An end, an acknowledgement, a change of a downtime and an unrecognised payload are always wanted: without its end an
alert would stay open. An event is wanted too if the expression fails on it, or costs more work than one payload may.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import msgspec

from relay.core.event import STATUSES, Draft, Dropped, Event, SourceDefaults, stamp
from relay.core.severity import SEVERITIES, severity_of
from relay.formats.contract import Format, Select, Unrecognised, unrecognised_title
from relay.formats.expressions import FAILURES, Expression, Purse, TooMuchWorkError

PAYLOAD = "payload"
"""The name of the payload, or of the item of a list that the event was read from."""
NAMES = (*(name for name in Event.__struct_fields__ if name != "id"), PAYLOAD)
"""The names that an expression may begin with."""
_WORDS: dict[str, tuple[str, ...]] = {"severity": SEVERITIES, "status": STATUSES}
"""Fields that have one of a few words. Compared with another, an expression is never true, or always."""


class When:
    """A compiled `when`."""

    def __init__(self, text: str, defaults: SourceDefaults) -> None:
        """Compile an expression. Raises ValueError if that fails, or if no event has a field or word that it names."""
        self._expression = Expression(text)
        unknown = sorted(self._expression.roots() - set(NAMES))
        if unknown:
            raise ValueError(_no_such_field(unknown[0]))
        for name, word in _compared(self._expression.parsed):
            if word not in _WORDS[name]:
                meant = severity_of(word.lower()) if name == "severity" else None
                hint = f" (did you mean '{meant}'?)" if meant is not None else ""
                raise ValueError(f"{name} is one of {', '.join(_WORDS[name])}, and never {word!r}{hint}")
        self._defaults = defaults
        self._why = f"`when: {text}` gives nothing"

    def __call__(self, now: float) -> Select:
        """Begin to select the events of one payload, received at a time in Unix seconds. They share its work."""
        purse = Purse()
        return lambda draft, item: self._select(draft, item, now, purse)

    def _select(self, draft: Draft, item: Any, now: float, purse: Purse) -> Draft | Dropped:
        if is_always_wanted(draft):
            return draft
        event = stamp(draft, self._defaults, "", now)
        try:
            found = self._search(event, item, purse)
        except (TooMuchWorkError, *FAILURES) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            note = f"when: the expression fails, so the event is kept: {lines[0]}"
            return msgspec.structs.replace(draft, notes=(*draft.notes, note))
        return Dropped(self._why, draft) if is_nothing(found) else draft

    def _search(self, event: Event, item: Any, purse: Purse) -> Any:
        return self._expression.search({**msgspec.to_builtins(event), PAYLOAD: item}, purse)

    @property
    def reads_payload(self) -> bool:
        """Return whether the expression looks at the payload, which an event on record does not have."""
        return PAYLOAD in self._expression.roots()

    def wants(self, event: Event) -> bool:
        """Return whether an event on record is wanted, as far as that can be told without its payload."""
        if self.reads_payload or is_always_wanted(event) or event.title == unrecognised_title(event.source):
            return True
        try:
            return not is_nothing(self._search(event, None, Purse()))
        except (TooMuchWorkError, *FAILURES):
            return True


def _no_such_field(name: str) -> str:
    """Return the error for a name that no event has."""
    similar = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.75)
    if similar:
        return f"an event has no field {name!r} (did you mean {similar[0]!r}?); the fields are {', '.join(NAMES)}"
    return (
        f"an event has no field {name!r}; write a text as '{name}', a label as labels.{name}; "
        f"the fields are {', '.join(NAMES)}"
    )


def _compared(node: Any) -> Iterator[tuple[str, str]]:
    """Yield each text that an expression compares `severity` or `status` of the event with, and the field's name."""
    if node["type"] == "comparator" or (node["type"], node.get("value")) == ("function_expression", "contains"):
        names = [one["value"] for one in node["children"] if one["type"] == "field" and one["value"] in _WORDS]
        for name in names:
            yield from ((name, text) for one in node["children"] for text in _literals(one))
    if node["type"] in _LOGICAL:
        for child in node["children"]:
            yield from _compared(child)


_LOGICAL = ("or_expression", "and_expression", "not_expression")


def _literals(node: Any) -> Iterator[str]:
    """Yield the texts of a literal, or of a list of literals."""
    if node["type"] == "literal":
        value = node["value"]
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))
    elif node["type"] == "multi_select_list":
        for child in node["children"]:
            yield from _literals(child)


def with_when(format_: Format, text: str | None, defaults: SourceDefaults) -> Format:
    """Return a format that drops the events for which an expression gives nothing. Raises ValueError as `When` does."""
    return format_ if text is None else msgspec.structs.replace(format_, select=When(text, defaults))


def is_nothing(value: Any) -> bool:
    """Return whether JMESPath counts a value as false. The number 0 is none of them."""
    return value is None or value is False or (isinstance(value, (str, list, dict)) and not value)


def is_always_wanted(draft: Draft | Event) -> bool:
    """Return whether an event ends an alert, tells who has it or of a downtime, or shows an unrecognised payload."""
    about = draft.acknowledged_by, draft.unacknowledged_by, None if draft.status == "firing" else draft.downtime
    return draft.status == "resolved" or isinstance(draft, Unrecognised) or any(one is not None for one in about)
