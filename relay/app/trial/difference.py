"""Comparing two configurations: the recorded events that would go to other rooms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from relay.app.assembly.reading import defaults_of
from relay.core.alert import AlertKey, fold
from relay.core.event import Event
from relay.core.plan import Known
from relay.core.planning import decide
from relay.core.rules import Rules
from relay.core.suppression import Suppressor
from relay.core.words import parse_time
from relay.formats.wanted import When
from relay.settings.load import Loaded
from relay.settings.rules import compile_rules

DROPPED = "(dropped by when)"
"""Stands for the rooms of an event that its source does not want."""


class Moved(msgspec.Struct, frozen=True):
    """An event whose rooms differ; the name of a room that is muted at the event's time says so.

    The rooms are `DROPPED` alone if the source's `when` does not want the event.
    """

    event: Event
    before: tuple[str, ...]
    after: tuple[str, ...]


class UnreadableEventError(ValueError):
    """An event that can't be read; the text says why."""


def event_of(shown: dict[str, Any]) -> Event:
    """Return an event from the form of the API. Raises `UnreadableEventError`."""
    try:
        times = {name: parse_time(shown[name]) for name in ("occurred_at", "received_at")}
        return msgspec.convert({**shown, **times, "severity_given": True}, Event)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise UnreadableEventError(f"event {str(shown.get('id', ''))[:40]}: {message}") from error


def difference(events: Iterable[Event], old: Loaded, new: Loaded) -> list[Moved]:
    """Return the events that the two configurations send to different rooms, in order."""
    before, after = _Router(old), _Router(new)
    pairs = ((event, before.rooms(event), after.rooms(event)) for event in events)
    return [Moved(event, was, will) for event, was, will in pairs if was != will]


def when_of(loaded: Loaded) -> dict[str, When]:
    """Return the `when` of each source that has one."""
    named = loaded.settings.sources.items()
    return {name: When(one.when, defaults_of(name, one)) for name, one in named if one.when is not None}


class _Router:
    def __init__(self, loaded: Loaded) -> None:
        self._rules: Rules = compile_rules(loaded.settings)
        self._when = when_of(loaded)
        self._suppressor = Suppressor(self._rules.inhibit, self._rules.intervals)
        self._known = Known({}, {})

    def rooms(self, event: Event) -> tuple[str, ...]:
        if (when := self._when.get(event.source)) is not None and not when.wants(event):
            return (DROPPED,)
        decision = decide(event, self._rules, self._known)
        key: AlertKey = (event.source, event.key)
        alert = fold(decision.event, self._known.alerts.get(key), event.received_at)
        if alert is not None:
            self._known.alerts[key] = alert
        found = []
        for target in decision.rooms:
            policy = target.route.policy
            muted = self._suppressor.muted(policy.mute, policy.active, event.received_at)
            found.append(target.room if muted is None else f"{target.room} (muted)")
        return tuple(sorted(found))
