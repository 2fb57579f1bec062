"""The names of alerts that are listed together: their titles, and the labels that tell them apart. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from relay.core.markdown import one_line

DISTINCTIVE = (
    "site",
    "pod",
    "cluster",
    "region",
    "host",
    "hostname",
    "device",
    "node",
    "instance",
    "service",
    "namespace",
    "interface",
    "job",
)
"""Labels by which people know what an alert is about, the most telling first."""
SHOWN_ELSEWHERE = frozenset(
    {
        "action",
        "alertname",
        "conclusion",
        "event",
        "event_type",
        "severity",
        "status",
        "title",
        "source",
        "summary",
        "description",
        "prometheus",
        "monitor",
        "transition",
    }
)
"""Labels that a message shows in another place, or that say nothing about the alert."""
MOST_VALUES = 3
"""Labels that a name or a line of facts has."""
LONGEST_VALUE = 40
_PLACES = {name: place for place, name in enumerate(DISTINCTIVE)}


class Named(Protocol):
    """An alert, or an event of one."""

    @property
    def title(self) -> str: ...  # noqa: D102 - the fields of an event
    @property
    def labels(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102


def telling(labels: Mapping[str, str], title: str = "") -> list[str]:
    """Return up to three label values that a title lacks. A value that is unclear alone follows its name."""
    shown: dict[str, None] = {}
    lower = title.lower()
    for name in sorted(labels, key=_place):
        if name.lower() in SHOWN_ELSEWHERE:
            continue
        value = one_line(labels[name], LONGEST_VALUE)
        if value and value.lower() not in lower:
            shown[_said(name, value)] = None
            if len(shown) == MOST_VALUES:
                break
    return list(shown)


def shared(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the labels that all have with the same value, the most telling first."""
    first, *others = several
    return {
        name: first[name]
        for name in sorted(first, key=_place)
        if first[name] and name.lower() not in SHOWN_ELSEWHERE and all(one.get(name) == first[name] for one in others)
    }


def common_title(alerts: Sequence[Named]) -> str:
    """Return the problem that all alerts have in common: their title, else their `alertname`, else an empty text."""
    for names in ({one.title for one in alerts}, {one.labels.get("alertname", "") for one in alerts}):
        if len(names) == 1:
            return one_line(names.pop())
    return ""


def differences(alerts: Sequence[Named]) -> list[list[str]]:
    """Return for each alert the values of the labels in which the alerts differ, as few as tell all of them apart.

    A label that a title says already is left out, unless another alert of that title has another value. If no label
    tells two alerts apart, their sources or keys do.
    """
    if len(alerts) == 1:
        return [[]]
    found: list[list[str]] = [[] for _ in alerts]
    for name in _differing(alerts):
        values = [one_line(one.labels.get(name, ""), LONGEST_VALUE) for one in alerts]
        of_title: dict[str, set[str]] = {}
        for one, value in zip(alerts, values, strict=True):
            of_title.setdefault(one.title, set()).add(value)
        for place, (one, value) in enumerate(zip(alerts, values, strict=True)):
            if value and (len(of_title[one.title]) > 1 or value.lower() not in one.title.lower()):
                found[place].append(_said(name, value))
        if _unique(alerts, found) or max(map(len, found)) == MOST_VALUES:
            break
    _add_to_equals(alerts, found, [one.source for one in alerts])
    for _ in range(3):  # a key may be what another's label says: then both have theirs
        _add_to_equals(alerts, found, [one.key for one in alerts])
    return found


def names_of(alerts: Sequence[Named]) -> list[str]:
    """Return a name for each alert: its title, with the labels that differ if another has the same title."""
    titles = [one_line(one.title) for one in alerts]
    names = list(titles)
    for title, count in Counter(titles).items():
        if count > 1:
            places = [place for place, other in enumerate(titles) if other == title]
            for place, values in zip(places, differences([alerts[place] for place in places]), strict=True):
                names[place] = f"{title} ({' · '.join(values)})" if values else title
    return names


def _differing(alerts: Sequence[Named]) -> list[str]:
    """Return the labels in which alerts differ: the telling ones first, then those with the most values."""
    names = dict.fromkeys(name for one in alerts for name in one.labels if name.lower() not in SHOWN_ELSEWHERE)
    values = {name: len({one.labels.get(name, "") for one in alerts}) for name in names}
    return sorted((name for name in names if values[name] > 1), key=lambda name: (_place(name), -values[name]))


def _unique(alerts: Sequence[Named], found: Sequence[Sequence[str]]) -> bool:
    return len({(one.title, *values) for one, values in zip(alerts, found, strict=True)}) == len(alerts)


def _add_to_equals(alerts: Sequence[Named], found: list[list[str]], values: Sequence[str]) -> None:
    """Add a value to each alert whose line another has as well, if it tells the two apart."""
    equals: dict[tuple[str, ...], list[int]] = {}
    for place, (one, line) in enumerate(zip(alerts, found, strict=True)):
        equals.setdefault((one.title, *line), []).append(place)
    for places in equals.values():
        if len({values[place] for place in places}) > 1:
            for place in places:
                found[place].append(one_line(values[place], LONGEST_VALUE))


@lru_cache(maxsize=1_024)
def _place(label: str) -> int:
    return _PLACES.get(label.lower(), len(DISTINCTIVE))


def _said(name: str, value: str) -> str:
    clear = len(value) > 1 and not value.isdigit() and value not in ("true", "false")
    return value if clear else f"{one_line(name, LONGEST_VALUE)} {value}"
