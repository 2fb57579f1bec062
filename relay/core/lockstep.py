"""Lockstep: a source whose every event follows our message of the one before, though it does not repeat its text.

A monitor that sends the same event every second looks alike. A probe tells them apart: a message is held back for a
moment. The monitor sends on; a source that answers our messages is silent until it gets one.
"""

from __future__ import annotations

import msgspec

from relay.core.event import Event

IN_STEP = 2.0
"""Seconds from a message within which the event that follows it may be its answer."""
SUSPECT = 6
"""Events in step after which messages are held back."""
PROBES = 2
"""Probes in which the source stayed silent, after which it counts as answering itself."""
SHORTEST_PROBE = 0.5
LONGEST_PROBE = 5.0
"""Bounds, in seconds, of the time for which a message is held back: four times the longest step."""
TRUSTED_FOR = 600.0
"""Seconds for which a source that sent on during a probe is not suspected again."""
ALONE = 3
"""Events that follow no message, after which a source's events are no longer held back."""


class _Walk(msgspec.Struct):
    """The steps of a source so far. `sent_at` (Unix seconds) is when a message went out after its last event."""

    title: str
    sent_at: float | None
    steps: int = 0
    longest: float = 0.0
    probing: bool = False
    probes: int = 0
    alone: int = 0


class Lockstep:
    """Follows the steps of each source, and finds events that must not be posted."""

    def __init__(self) -> None:
        self._walks: dict[str, _Walk] = {}
        self._trusted_until: dict[str, float] = {}

    def holds(self, event: Event, now: float) -> bool:
        """Record an event, and return whether it continues a loop of its source with itself."""
        walk = self._walks.get(event.source)
        if walk is None:
            return False
        if walk.title != event.title:
            if walk.probes < PROBES:
                del self._walks[event.source]
            return False
        if walk.probing:
            self._walks[event.source] = _Walk(event.title, None)
            self._trusted_until[event.source] = now + TRUSTED_FOR
            return False
        step = None if walk.sent_at is None else now - walk.sent_at
        follows = step is not None and step <= IN_STEP and _is_new(event)
        walk.sent_at = None
        if walk.probes >= PROBES:
            return self._goes_on(walk, event, follows=follows)
        walk.steps = walk.steps + 1 if follows else 0
        walk.longest = max(walk.longest, step) if follows and step is not None else 0.0
        walk.probes = walk.probes if follows else 0
        return False

    def _goes_on(self, walk: _Walk, event: Event, *, follows: bool) -> bool:
        """Return whether to hold back an event of a source that answers itself.

        After `ALONE` events that follow no message, the source is released.
        """
        walk.alone += not follows
        if walk.alone >= ALONE:
            del self._walks[event.source]
        return follows

    def probe(self, event: Event, now: float) -> float:
        """Return for how many seconds to hold back a message of an event. If 0, the message is recorded as sent."""
        walk = self._walks.get(event.source)
        if walk is None or walk.title != event.title:
            if walk is None or walk.probes < PROBES:
                self._walks[event.source] = _Walk(event.title, now)
            return 0.0
        if walk.steps < SUSPECT or walk.probes >= PROBES or self._is_trusted(event, now) or not _is_new(event):
            walk.sent_at = now
            return 0.0
        walk.probing = True
        return min(LONGEST_PROBE, max(SHORTEST_PROBE, 4 * walk.longest))

    def sent(self, event: Event, now: float) -> None:
        """Record that a message that was held back is about to be sent."""
        walk = self._walks.get(event.source)
        if walk is not None and walk.title == event.title:
            walk.sent_at = now
            walk.probes += walk.probing
            walk.probing = False

    def release(self, source: str) -> None:
        """Forget the steps of a source."""
        self._walks.pop(source, None)

    def _is_trusted(self, event: Event, now: float) -> bool:
        return now < self._trusted_until.get(event.source, 0.0)


def _is_new(event: Event) -> bool:
    """Return whether an event makes a new message each time, as it names no alert."""
    return event.key == event.id and event.status != "resolved"
