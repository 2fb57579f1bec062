"""Comparing two configurations: the recorded events that would go to other rooms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from relay.core.alert import AlertKey, fold
from relay.core.event import Event
from relay.core.plan import Known
from relay.core.planning import decide
from relay.core.rules import Rules
from relay.core.suppression import Suppressor
from relay.core.words import parse_time
from relay.settings.load import Loaded
from relay.settings.rules import compile_rules


class Moved(msgspec.Struct, frozen=True):
    """An event whose rooms differ; the name of a room that is muted at the event's time says so."""

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
    before, after = _Router(compile_rules(old.settings)), _Router(compile_rules(new.settings))
    pairs = ((event, before.rooms(event), after.rooms(event)) for event in events)
    return [Moved(event, was, will) for event, was, will in pairs if was != will]


class _Router:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._suppressor = Suppressor(rules.inhibit, rules.intervals)
        self._known = Known({}, {})

    def rooms(self, event: Event) -> tuple[str, ...]:
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
