"""The values of a mapping's fields, as an event has them."""

from __future__ import annotations

from typing import Any

from relay.formats.contract import as_text, misfit
from relay.formats.reading import moment

NOTHING: tuple[Any, ...] = (None, False, "", [], {})
"""Values that JMESPath counts as false."""
_DOWNTIMES = {"true": True, "began": True, "ended": False}


def name_of(value: Any) -> str | None:
    """Return the name of a person, or None."""
    return None if value in NOTHING else as_text(value)


def downtime_of(value: Any, notes: list[str]) -> bool | None:
    """Return True if a downtime began or is in effect, False if it ended, else None.

    False and 0 give None: a comparison gives them when the payload says nothing of a downtime.
    """
    word = as_text(value).strip().lower()
    if value in NOTHING or word in ("false", "0"):
        return None
    if word not in _DOWNTIMES and not word.isdecimal():
        notes.append(f"map.downtime counts as absent: expected true, 'began' or 'ended', found {word[:40]!r}")
    return True if word.isdecimal() else _DOWNTIMES.get(word)


def files_of(value: Any, notes: list[str]) -> tuple[str, ...]:
    """Return the addresses of files; a value of another kind adds a note and counts as absent."""
    files = [value] if isinstance(value, str) else value or []
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        notes.append(f"map.files counts as absent: {misfit('an address or a list of addresses', value)}")
        return ()
    return tuple(file for file in files if file)


def time_of(value: Any, notes: list[str]) -> float | None:
    """Return a time in Unix seconds; one that can't be read adds a note and counts as absent."""
    if value is None or value == "":
        return None
    found = moment(value)
    if found is None:
        notes.append(f"map.occurred_at counts as absent: {misfit('a time like 2026-03-01T02:10:00Z', value)}")
    return found
