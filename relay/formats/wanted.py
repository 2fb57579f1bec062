"""The expression `when` of a source: which of its events are wanted.

It sees an event as the relay would store it, so that a severity is one of the five and a source's own labels are there.
An end, an acknowledgement, a change of a downtime and an unrecognised payload are always wanted: without its end an
alert would stay open. An event is wanted too if the expression fails on it, or costs more work than one payload may.
"""

from __future__ import annotations

from typing import Any

import msgspec

from relay.core.event import Draft, Dropped, Event, SourceDefaults, stamp
from relay.formats.contract import Format, Select, Unrecognised
from relay.formats.expressions import FAILURES, Expression, Purse, TooMuchWorkError

PAYLOAD = "payload"
"""The name of the payload, or of the item of a list that the event was read from."""
NAMES = (*(name for name in Event.__struct_fields__ if name != "id"), PAYLOAD)
"""The names that an expression may begin with."""


class When:
    """A compiled `when`."""

    def __init__(self, text: str, defaults: SourceDefaults) -> None:
        """Compile an expression. Raises ValueError if it can't be compiled, or names a field that no event has."""
        self._expression = Expression(text)
        unknown = sorted(self._expression.roots() - set(NAMES))
        if unknown:
            raise ValueError(
                f"an event has no field {unknown[0]!r}; write a text as '{unknown[0]}', a label as "
                f"labels.{unknown[0]}; the fields are {', '.join(NAMES)}"
            )
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
            found = self._expression.search({**msgspec.to_builtins(event), PAYLOAD: item}, purse)
        except (TooMuchWorkError, *FAILURES) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            note = f"when: the expression fails, so the event is kept: {lines[0]}"
            return msgspec.structs.replace(draft, notes=(*draft.notes, note))
        return Dropped(self._why, draft) if is_nothing(found) else draft


def with_when(format_: Format, text: str | None, defaults: SourceDefaults) -> Format:
    """Return a format that drops the events for which an expression gives nothing. Raises ValueError as `When` does."""
    return format_ if text is None else msgspec.structs.replace(format_, select=When(text, defaults))


def is_nothing(value: Any) -> bool:
    """Return whether JMESPath counts a value as false. The number 0 is none of them."""
    return value is None or value is False or (isinstance(value, (str, list, dict)) and not value)


def is_always_wanted(draft: Draft) -> bool:
    """Return whether an event ends an alert, tells who has it or of a downtime, or shows an unrecognised payload."""
    about = draft.acknowledged_by, draft.unacknowledged_by, None if draft.status == "firing" else draft.downtime
    return draft.status == "resolved" or isinstance(draft, Unrecognised) or any(one is not None for one in about)
