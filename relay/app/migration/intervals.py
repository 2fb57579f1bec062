"""Converting Alertmanager's time intervals, which have the same form; each part is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from relay.app.migration.reading import Item, Reader
from relay.core.times import Range, parse_days_of_month, parse_months, parse_times, parse_weekdays, parse_years

_RANGES: dict[str, Callable[[str], Range]] = {
    "weekdays": parse_weekdays,
    "days_of_month": parse_days_of_month,
    "months": parse_months,
    "years": parse_years,
}


def make_interval(reader: Reader, item: Item) -> dict[str, Any]:
    """Return an interval of the relay's configuration; an empty list restricts nothing and is left out."""
    path, table = item
    made: dict[str, Any] = {}
    if times := [one.table for one in table.get("times", []) if _is_stretch(reader, one)]:
        made["times"] = times
    for key, parse in _RANGES.items():
        for number, text in enumerate(table.get(key, [])):
            try:
                parse(text)
            except ValueError as error:
                reader.refuse((*path, key, number), str(error))
        if table.get(key):
            made[key] = table[key]
    if "location" in table and _is_zone(reader, table["location"], item):
        made["location"] = table["location"]
    return made


def _is_stretch(reader: Reader, item: Item) -> bool:
    try:
        parse_times(item.table.get("start_time", ""), item.table.get("end_time", ""))
    except ValueError as error:
        reader.refuse(item.path, str(error))
        return False
    return True


def _is_zone(reader: Reader, name: str, item: Item) -> bool:
    """Return whether a zone must be written; an empty name is UTC in Go, which is the relay's default."""
    try:
        return bool(name) and ZoneInfo(name) is not None
    except (OSError, ValueError, KeyError):
        reader.refuse(
            (*item.path, "location"), f"expected a time zone like UTC or Europe/Amsterdam, found {name[:60]!r}"
        )
        return False
