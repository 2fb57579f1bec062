"""Suppression of alerts: silences, inhibition and time intervals, with Alertmanager's meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from relay.core.alert import Alert, AlertKey
from relay.core.event import Event
from relay.core.matcher_index import MatcherIndex, index_matchers
from relay.core.matching import Matcher, parse_matchers, view_of
from relay.core.times import TimeInterval

HeldFor = Literal["silenced", "inhibited", "muted", "downtime"]
Suppression = Literal[
    "silenced",
    "inhibited",
    "muted",
    "downtime",
    "repeat",
    "flapping",
    "nothing_open",
    "policy",
    "brief",
    "unrouted",
    "acknowledged",
    "echo",
]
"""Why an event changes no message.

`downtime`: its source holds its alerts back for maintenance; `repeat`: it says nothing new; `flapping`: its alert is
quiet, as it opens and ends too often; `nothing_open`: it is about an alert that is not open; `policy`: its route posts
no such change; `brief`: it was over before its group was due; `unrouted`: its route has no rooms; `acknowledged`:
someone took it up before its group was due; `echo`: it is what the relay itself has sent.
"""
View = Mapping[str, str]


class Held(msgspec.Struct, frozen=True):
    """Why an incident is held back; `by` names the silence, the alert that inhibits, the interval or the source."""

    reason: HeldFor
    by: str


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A silence, its `matchers` as text, its times in Unix seconds. To expire one early sets its `ends_at`."""

    id: str
    matchers: tuple[str, ...]
    starts_at: float
    ends_at: float
    created_by: str
    comment: str
    updated_at: float

    def state(self, now: float) -> Literal["pending", "active", "expired"]:
        """Return its state at a time, in Unix seconds."""
        if now >= self.ends_at:
            return "expired"
        return "active" if now >= self.starts_at else "pending"


class InhibitRule(msgspec.Struct, frozen=True):
    """A rule of inhibition, with Alertmanager's meaning.

    While an alert that `sources` match fires, it holds back those that `targets` match and whose `equal` labels agree
    with its own.
    """

    sources: tuple[Matcher, ...]
    targets: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


class _Compiled(msgspec.Struct, frozen=True):
    silence: Silence
    matchers: tuple[Matcher, ...]


class _Sources:
    """The alerts that fire and match a rule's sources, by the values of its equal labels."""

    def __init__(self) -> None:
        self.by_equal: dict[tuple[str, ...], dict[AlertKey, View]] = {}
        self.places: dict[AlertKey, tuple[str, ...]] = {}

    def put(self, key: AlertKey, view: View, values: tuple[str, ...]) -> bool:
        """Record that an alert fires; return whether that is new."""
        new = self.places.get(key) != values
        if new:
            self.remove(key)
        self.places[key] = values
        self.by_equal.setdefault(values, {})[key] = view
        return new

    def remove(self, key: AlertKey) -> bool:
        """Record that an alert no longer fires or matches; return whether it did before."""
        values = self.places.pop(key, None)
        if values is None:
            return False
        del self.by_equal[values][key]
        if not self.by_equal[values]:
            del self.by_equal[values]
        return True


class Suppressor:
    """Knows the silences, the alerts that inhibit others, and the time intervals."""

    def __init__(
        self, rules: Sequence[InhibitRule] = (), intervals: Mapping[str, Sequence[TimeInterval]] | None = None
    ) -> None:
        self._silences: list[_Compiled] = []
        self._index: MatcherIndex | None = None
        self.ahead = 0.0
        """Seconds by which the relay's own clock is ahead of the machine's. Time intervals go by the machine's."""
        self.stirred = False
        """True once alerts that inhibit others have changed. The caller that acts on it sets it back."""
        self.use(rules, intervals or {})

    def use(self, rules: Sequence[InhibitRule], intervals: Mapping[str, Sequence[TimeInterval]]) -> None:
        """Put other rules and intervals in force, and forget the alerts: it must `learn` those that fire."""
        self._rules = tuple(rules)
        self._intervals = dict(intervals)
        self._sources = [_Sources() for _ in self._rules]

    @property
    def inhibits(self) -> bool:
        """Return whether some alerts may inhibit others, so that it must know those that fire."""
        return bool(self._rules)

    def learn(self, firing: Iterable[Alert]) -> None:
        """Forget the alerts that it knows, and `note` those that fire."""
        self._sources = [_Sources() for _ in self._rules]
        for alert in firing:
            self.note(alert)
        self.stirred = self.inhibits

    def silence(self, silences: Iterable[Silence]) -> None:
        """Replace the silences by these."""
        known = {one.silence.matchers: one.matchers for one in self._silences}
        self._silences = [_Compiled(one, known.get(one.matchers) or _compiled(one.matchers)) for one in silences]
        self._index = index_matchers([one.matchers for one in self._silences])

    def note(self, alert: Alert) -> None:
        """Record an alert as it stands now; set `stirred` if it begins or ceases to inhibit others."""
        if not self._rules:
            return
        key, view = (alert.source, alert.key), view_of(alert)
        for rule, known in zip(self._rules, self._sources, strict=True):
            firing = alert.state == "firing" and all(matcher.matches(view) for matcher in rule.sources)
            self.stirred |= known.put(key, view, _values(rule, view)) if firing else known.remove(key)

    def holds(self, event: Event, mute: Sequence[str], active: Sequence[str], now: float) -> Held | None:
        """Return why an alert is held back on a route with these intervals, or None. `now` is in Unix seconds."""
        if event.downtime:
            return Held("downtime", event.source)
        if not (self._silences or self._rules or mute or active):
            return None
        return self.held(view_of(event), mute, active, now)

    def held(self, view: View, mute: Sequence[str], active: Sequence[str], now: float) -> Held | None:
        """Return why an alert of this view is held back on a route with these intervals, or None."""
        if (silence := next(self._silencing(view, now), None)) is not None:
            return Held("silenced", silence)
        for rule, known in zip(self._rules, self._sources, strict=True):
            if known.places and (by := _inhibitor(rule, known, view)) is not None:
                return Held("inhibited", "/".join(by))
        return self.muted(mute, active, now) if mute or active else None

    def held_by(self, view: View, now: float) -> tuple[list[str], list[AlertKey]]:
        """Return the ids of all silences that hold back an alert of this view, and one inhibitor's key per rule."""
        pairs = zip(self._rules, self._sources, strict=True)
        inhibitors = [by for rule, known in pairs if known.places and (by := _inhibitor(rule, known, view)) is not None]
        return list(self._silencing(view, now)), inhibitors

    def _silencing(self, view: View, now: float) -> Iterator[str]:
        """Yield the ids of the active silences that match a view."""
        likely = range(len(self._silences)) if self._index is None else self._index.candidates(view)
        for position in likely:
            one = self._silences[position]
            if one.silence.state(now) == "active" and all(matcher.matches(view) for matcher in one.matchers):
                yield one.silence.id

    def muted(self, mute: Sequence[str], active: Sequence[str], now: float) -> Held | None:
        """Return why a route with these intervals is muted at a time, or None."""
        if active and not any(self._within(name, now) for name in active):
            return Held("muted", f"outside of {', '.join(active)}")
        return next((Held("muted", name) for name in mute if self._within(name, now)), None)

    def _within(self, name: str, now: float) -> bool:
        return any(interval.contains(now - self.ahead) for interval in self._intervals.get(name, ()))

    def phase(self, now: float) -> tuple[object, ...]:
        """Return the silences and intervals that hold at a time, in a form that can be compared."""
        silences = [one.silence.id for one in self._silences if one.silence.state(now) == "active"]
        return (tuple(silences), *(name for name in self._intervals if self._within(name, now)))

    def next_change(self, now: float) -> float | None:
        """Return when `phase` may change next by time alone, or None. An interval may change at each full minute."""
        times = [at for one in self._silences for at in (one.silence.starts_at, one.silence.ends_at) if at > now]
        if self._intervals:
            times.append(((now - self.ahead) // 60 + 1) * 60 + self.ahead)
        return min(times, default=None)


def _compiled(texts: Sequence[str]) -> tuple[Matcher, ...]:
    return tuple(matcher for text in texts for matcher in parse_matchers(text))


def _values(rule: InhibitRule, view: View) -> tuple[str, ...]:
    return tuple(view.get(name, "") for name in rule.equal)


def _inhibitor(rule: InhibitRule, known: _Sources, view: View) -> AlertKey | None:
    """Return the alert that inhibits this one, or None. Two that match both sides do not inhibit each other."""
    if not all(matcher.matches(view) for matcher in rule.targets):
        return None
    both = all(matcher.matches(view) for matcher in rule.sources)
    for key, source in known.by_equal.get(_values(rule, view), {}).items():
        if not (both and all(matcher.matches(source) for matcher in rule.targets)):
            return key
    return None
