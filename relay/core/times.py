"""Time intervals, with Alertmanager's meaning (its documentation, "Configuration", section `time_interval`).

An interval holds if each of its fields that is given holds. A field holds if one of its ranges does.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, tzinfo

import msgspec

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00")


class Range(msgspec.Struct, frozen=True):
    """A range from `begin` to `end`. Minutes of a day end before `end`; everything else includes it."""

    begin: int
    end: int


class TimeInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring stretch of time. A field without ranges admits everything.

    Sunday is day 0. Days of months may be negative: -1 is the last.
    """

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days_of_month: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    zone: tzinfo = UTC

    def contains(self, at: float) -> bool:
        """Return whether a time (Unix seconds) lies within."""
        then = datetime.fromtimestamp(at, self.zone)
        minute = then.hour * 60 + then.minute
        return (
            (not self.times or any(one.begin <= minute < one.end for one in self.times))
            and _holds(self.weekdays, then.isoweekday() % 7)
            and _holds(self.months, then.month)
            and _holds(self.years, then.year)
            and (not self.days_of_month or any(_in_month(one, then) for one in self.days_of_month))
        )


def _holds(ranges: tuple[Range, ...], value: int) -> bool:
    return not ranges or any(one.begin <= value <= one.end for one in ranges)


def _in_month(days: Range, then: datetime) -> bool:
    last = monthrange(then.year, then.month)[1]
    begin, end = (day + last + 1 if day < 0 else day for day in (days.begin, days.end))
    return begin <= last and max(begin, -last) <= then.day <= min(end, last)


def parse_clock(text: str) -> int:
    """Return the minutes since midnight of a time `HH:MM`, up to `24:00`. Raises ValueError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a time of day, like 09:00, or 24:00 for the day's end; found {text!r}")
    return 1_440 if found[1] is None else int(found[1]) * 60 + int(found[2])


def parse_times(begin: str, end: str) -> Range:
    """Read a stretch of a day from two times `HH:MM`. Raises ValueError."""
    found = Range(parse_clock(begin), parse_clock(end))
    if found.begin >= found.end:
        raise ValueError(f"{begin} is not before {end}; write a night as two stretches, until 24:00 and from 00:00")
    return found


def parse_weekdays(text: str) -> Range:
    """Read `monday` or `monday:friday`. Raises ValueError."""
    return _parse(text, lambda word: _named(word, WEEKDAYS, 0), "a day of the week, like monday or monday:friday")


def parse_months(text: str) -> Range:
    """Read `january`, `1` or `january:march`. Raises ValueError."""
    return _parse(text, lambda word: _named(word, MONTHS, 1), "a month, like january, 1 or january:march")


def parse_years(text: str) -> Range:
    """Read `2026` or `2026:2028`. Raises ValueError."""
    return _parse(text, int, "a year, like 2026 or 2026:2028")


def parse_days_of_month(text: str) -> Range:
    """Read `1`, `1:7` or, counted from the month's end, `-3:-1`. Raises ValueError."""
    found = _parse(text, int, "a day of the month, like 1, 1:7 or -3:-1", ordered=False)
    for day in (found.begin, found.end):
        if not 1 <= abs(day) <= 31:
            raise ValueError(f"expected days from 1 to 31, or -1 to -31 from the month's end; found {text!r}")
    if found.begin < 0 < found.end or ((found.begin < 0) == (found.end < 0) and found.begin > found.end):
        raise ValueError(f"{text!r} ends before it begins")
    return found


def _parse(text: str, number: object, example: str, *, ordered: bool = True) -> Range:
    begin, colon, end = text.strip().lower().partition(":")
    try:
        first = number(begin.strip())  # type: ignore[operator]  # a function of a word
        found = Range(first, number(end.strip()) if colon else first)  # type: ignore[operator]
    except ValueError as error:
        raise ValueError(f"expected {example}; found {text!r}") from error
    if ordered and found.begin > found.end:
        raise ValueError(f"{text!r} ends before it begins")
    return found


def _named(word: str, names: tuple[str, ...], first: int) -> int:
    if word in names:
        return names.index(word) + first
    number = int(word)
    if first == 0 or not first <= number < first + len(names):
        raise ValueError(word)
    return number
