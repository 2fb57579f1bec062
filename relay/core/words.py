"""Durations, sizes, rates and times, as users write them and as messages show them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

import msgspec

_DURATION = re.compile("".join(rf"(?:([0-9]{{1,12}}){unit})?" for unit in ("y", "w", "d", "h", "m", "s", "ms")))
_SECONDS = (365 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1, 0.001)
_SIZE = re.compile(r"([0-9]{1,18})\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?")
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_RATE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)/(s|m|h)")
_EARLIEST, _LATEST = -62_135_510_400.0, 221_845_392_000.0
"""The years 1 to 8999: such a time, and one up to the longest duration later, can be written in every zone."""
LONGEST = 100 * 365 * 86_400.0
"""Seconds of the longest duration."""
_FRACTION = re.compile(r"\.(\d{6})\d+")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration in Alertmanager's form (`30s`, `5m`, `1h30m`, `7d`). Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if text.strip() == "0":
        return 0.0
    if found is None or not any(found.groups()):
        raise ValueError(f"expected a duration, like 30s, 5m or 1h30m; found {text!r}")
    seconds = float(sum(int(amount) * unit for amount, unit in zip(found.groups(), _SECONDS, strict=True) if amount))
    if seconds > LONGEST:
        raise ValueError(f"expected a duration of at most 100y; found {text!r}")
    return seconds


def parse_size(text: str) -> int:
    """Return the bytes of a size (`1048576`, `64KiB`, `20MB`). Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected a size, like 1048576, 64KiB or 20MiB; found {text!r}")
    return int(found[1]) * _UNITS[found[2] or "B"]


def parse_rate(text: str) -> float:
    """Return the events per second of a rate (`100/s`, `30/m`). Raises ValueError."""
    found = _RATE.fullmatch(text.strip())
    if found is None or float(found[1]) == 0:
        raise ValueError(f"expected a rate, like 100/s or 30/m; found {text!r}")
    return float(found[1]) / {"s": 1, "m": 60, "h": 3600}[found[2]]


def parse_time(value: str | float) -> float:
    """Return the Unix seconds of an RFC 3339 time, or of epoch seconds or milliseconds. Raises ValueError."""
    if isinstance(value, (int, float)):
        return _epoch(value)
    try:
        return _epoch(float(value))
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(_FRACTION.sub(r".\1", value.strip()))
        seconds = at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"expected a time, like 2026-03-01T02:10:00Z; found {value[:60]!r}") from error
    return _sayable(seconds, value[:60])


def _epoch(number: float) -> float:
    if not abs(number) < 1e15:
        raise ValueError(f"expected a time in epoch seconds or milliseconds; found {str(number)[:60]}")
    return _sayable(number / 1000.0 if abs(number) >= 1e11 else float(number), str(number)[:60])


def _sayable(seconds: float, written: str) -> float:
    if not _EARLIEST <= seconds <= _LATEST:
        raise ValueError(f"expected a time between the years 1 and 8999; found {written!r}")
    return seconds


def say_duration(seconds: float) -> str:
    """Return a duration as people say it: `14 s`, `14 min`, `2 h 05`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02}"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def say_clock(at: float, now: float, zone: tzinfo) -> str:
    """Return a time of day with its zone's name, like `02:10 CET`, and with the date if that is not today's."""
    date, clock = _minute(int(at // 60), zone)
    today, _ = _minute(int(now // 60), zone)
    return clock if date == today else f"{date} {clock}"


@lru_cache(maxsize=1024)
def _minute(minute: int, zone: tzinfo) -> tuple[str, str]:
    """Return the date and time of day of a minute since the epoch. Cached, as most messages name the same few."""
    then = datetime.fromtimestamp(minute * 60, zone)
    return f"{then:%Y-%m-%d}", f"{then:%H:%M} {then.tzname() or ''}".rstrip()


def iso(at: float) -> str:
    """Return Unix seconds as an RFC 3339 time in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_KINDS = {
    "array": "a list",
    "object": "a mapping",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_EXPECTED = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")


def say_misfit(error: msgspec.ValidationError) -> str:
    """Return the place and the fault of a document, such as `tests[0].at: expected text, found a list`."""
    said, _, place = str(error).partition(" - at `")
    place = place.rstrip("`").removeprefix("$").lstrip(".")
    if found := _EXPECTED.fullmatch(said):
        wanted, got = ([_KINDS.get(kind, kind) for kind in kinds.split(" | ")] for kinds in found.groups())
        said = f"expected {' or '.join(wanted)}, found {' or '.join(got)}"
    elif said.startswith("Object missing required field "):
        said = f"{said.removeprefix('Object missing required field ')} is missing"
    elif said.startswith("Object contains unknown field "):
        said = f"unknown key {said.removeprefix('Object contains unknown field ')}"
    return f"{place}: {said}" if place else said
