"""The brake: if a source repeats the relay's own messages, report it, and post its echoes no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from relay.core.echo import Echoes
from relay.core.event import OPERATOR_SOURCE, Event
from relay.core.lockstep import Lockstep
from relay.core.plan import Waiting
from relay.ports import Changed, Clock, Log


class Brake:
    """Compares messages that are sent with events that come, to find loops."""

    def __init__(self, clock: Clock, log: Log, changed: Changed) -> None:
        self._echoes = Echoes()
        self._steps = Lockstep()
        self.braked: set[str] = set()
        """The sources that are braked."""
        self._spoke: dict[str, asyncio.Event] = {}
        """For each source whose message waits a moment: an event that is set once the source sends something."""
        self._clock = clock
        self._log = log
        self._changed = changed

    def recall(self, keys: Iterable[str]) -> None:
        """Brake the sources that an earlier process had braked, by the keys of its open notices."""
        for key in keys:
            kind, _, source = key.partition(":")
            if kind == "source_echoes":
                self.braked.add(source)
                self._echoes.brake(source, self._clock.now())

    async def sending(self, event: Event, markdown: str) -> None:
        """Record that a message is about to be sent; its echo may come before the service's answer.

        If its source may answer itself, wait a moment to see whether the source is silent in that time.
        """
        now = self._clock.now()
        self._echoes.sent(event, markdown, now)
        if event.source == OPERATOR_SOURCE:
            return
        if (seconds := self._steps.probe(event, now)) > 0.0:
            spoke = self._spoke.setdefault(event.source, asyncio.Event())
            await self._clock.wait(spoke, seconds)
            self._spoke.pop(event.source, None)
            self._steps.sent(event, self._clock.now())

    def hold(self, batch: Iterable[Waiting]) -> frozenset[int]:
        """Return the `seq` of each event that is an echo and must not be posted; report sources with new loops."""
        now = self._clock.now()
        found: set[int] = set()
        for waiting in batch:
            event = waiting.event
            if event.source == OPERATOR_SOURCE:
                continue
            if self._spoke and event.source in self._spoke:
                self._spoke[event.source].set()
            echo, in_loop = self._echoes.holds(event, now), self._steps.holds(event, now)
            if in_loop:
                self._echoes.brake(event.source, now)
            if echo or in_loop:
                found.add(waiting.seq)
                self._report(event)
        return frozenset(found)

    def _report(self, event: Event) -> None:
        """Report the source of an echo, unless it was reported already."""
        if event.source in self.braked:
            return
        self.braked.add(event.source)
        self._log.warning("source_braked", source=event.source, event_id=event.id)
        self._changed()

    def look(self) -> None:
        """Release the sources that are quiet again."""
        for source in self._echoes.release(self._clock.now()):
            self.braked.discard(source)
            self._steps.release(source)
            self._log.notice("source_released", source=source)
            self._changed()
