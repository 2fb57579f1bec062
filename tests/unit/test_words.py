from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.words import iso, parse_duration, parse_rate, parse_size, parse_time, say_clock, say_duration

UNITS = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


@given(st.dictionaries(st.sampled_from(list(UNITS)), st.integers(0, 60), min_size=1))
def test_a_durations_parts_add_up(parts: dict[str, int]) -> None:
    text = "".join(f"{parts[unit]}{unit}" for unit in UNITS if unit in parts)
    assert parse_duration(text) == sum(amount * UNITS[unit] for unit, amount in parts.items())


def test_a_duration_has_a_bound_and_plain_digits() -> None:
    assert parse_duration("100y") == 100 * UNITS["y"]
    with pytest.raises(ValueError, match="expected a duration of at most 100y"):
        parse_duration("99999999h")
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration("٣s")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1h30m", 5_400), ("250ms", 0.25), ("0", 0), (" 5m ", 300), ("7d", 604_800)]
)
def test_alertmanagers_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 m", "30m1h", "-5s", "1.5h", "5M", "9" * 400 + "s", "9" * 5_000 + "s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration, like 30s, 5m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1048576", 2**20), ("64KiB", 65_536), ("20MB", 20_000_000), ("2 GiB", 2**31), ("1B", 1), ("0", 0)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KiB", "64kib", "1.5MiB", "-1", "64 K", "9" * 5_000])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size, like 1048576"):
        parse_size(text)


@pytest.mark.parametrize(("text", "rate"), [("100/s", 100), ("30/m", 0.5), ("1.5/s", 1.5), ("36/h", 0.01)])
def test_rates_are_read_as_a_second(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "100", "0/s", "0.0/m", "-1/s", "5/d", "5 / s", "9" * 400 + "/s"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate, like 100/s"):
        parse_rate(text)


@given(st.datetimes(datetime(2, 1, 1), datetime(8999, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - the bounds are of the zone given
def test_a_time_reads_back_to_the_millisecond(at: datetime) -> None:
    assert parse_time(at.isoformat()) == pytest.approx(at.timestamp(), abs=1e-3)
    assert parse_time(iso(at.timestamp())) == pytest.approx(at.timestamp(), abs=2e-3)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-03-01T02:10:00Z", 1_772_331_000),
        ("2026-03-01T03:10:00+01:00", 1_772_331_000),
        ("2026-03-01T02:10:00.123456789Z", 1_772_331_000.123456),
        ("2026-03-01T02:10:00", 1_772_331_000),
        ("1772331000", 1_772_331_000),
        (1_772_331_000, 1_772_331_000),
        (1_772_331_000_500, 1_772_331_000.5),
        ("1772331000500", 1_772_331_000.5),
        (0, 0),
    ],
)
def test_times_are_read_as_vendors_write_them(value: str | float, seconds: float) -> None:
    assert parse_time(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "nan",
        "inf",
        float("nan"),
        float("-inf"),
        1e300,
        10**400,
        "9" * 400,
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_what_is_no_time_is_refused(value: str | float) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        parse_time(value)


@given(st.floats() | st.integers() | st.text(max_size=30), st.sampled_from(["UTC", "Pacific/Kiritimati", "Etc/GMT+12"]))
def test_every_time_that_is_read_can_be_said_in_every_zone(value: str | float, zone: str) -> None:
    try:
        at = parse_time(value)
    except ValueError:
        return
    assert say_clock(at, at, ZoneInfo(zone))
    assert iso(at).endswith("Z")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (840, "14 min"),
        (3_599, "59 min"),
        (7_500, "2 h 05"),
        (86_399, "23 h 59"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert say_duration(seconds) == said


def test_a_clock_has_its_zones_name_and_the_date_where_it_is_not_todays() -> None:
    zone = ZoneInfo("Europe/Amsterdam")
    at = datetime(2026, 3, 1, 2, 10, 30, tzinfo=zone).timestamp()
    assert say_clock(at, at + 60, zone) == "02:10 CET"
    assert say_clock(at, at + 86_400, zone) == "2026-03-01 02:10 CET"
    assert say_clock(at + 150 * 86_400, at + 150 * 86_400, zone) == "03:10 CEST"
