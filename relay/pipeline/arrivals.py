"""Arrivals: events that were committed and wait for the planner, in memory as long as it keeps up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from relay.core.plan import Waiting
from relay.core.rules import OPERATOR_SOURCE
from relay.ports import Clock, StoreError

BATCH = 512
"""Events that one plan takes at the most."""
MOST_IN_MEMORY = 2_048
"""Committed events that are held in memory; if more wait, the planner reads them from the store."""


class ArrivalStore(Protocol):
    """Events that are committed and not planned yet. Raises `StoreError`."""

    async def count_waiting_events(self) -> int:
        """Return how many events wait for the planner."""
        ...

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        """Events that wait for the planner, in order of arrival; `now` is when they are read."""
        ...


class Arrivals:
    """The queue between intake and planner. What it holds is on disk: it may forget, and read again."""

    def __init__(self, store: ArrivalStore, clock: Clock, backlog: int | None = None) -> None:
        self.woken = asyncio.Event()
        """Set when there is something to plan."""
        self.full = asyncio.Event()
        """Set when there is a full batch."""
        self.backlog = backlog
        """How many events of one source may wait; None where there is no bound."""
        self.waiting = 0
        """How many events wait in the inbox, near enough."""
        self._by_source: Counter[str] = Counter()
        self._store = store
        self._clock = clock
        self._held: list[Waiting] = []
        self._behind = True
        self._up_to = 0

    async def count(self) -> None:
        """Count what an earlier process left. Raises `StoreError`."""
        self.waiting = await self._store.count_waiting_events()

    def has_backlog(self, source: str) -> bool:
        """Return whether a source has used up its share, `limits.backlog`."""
        return self.backlog is not None and self._by_source[source] >= self.backlog and source != OPERATOR_SOURCE

    def waiting_of(self, source: str) -> int:
        """Return how many events of a source wait to be planned, since the start."""
        return self._by_source[source]

    def expect(self, source: str, count: int) -> None:
        """Count events whose commit has begun, or (negative) has failed."""
        self._by_source[source] += count

    def offer(self, committed: Sequence[Waiting]) -> None:
        """Hold events that were committed, in order."""
        self.waiting += len(committed)
        if not self._behind:
            if len(self._held) + len(committed) <= MOST_IN_MEMORY:
                self._held.extend(committed)
            else:
                self.fall_behind()
        self.woken.set()
        if self._behind or len(self._held) >= BATCH:
            self.full.set()

    def fall_behind(self) -> None:
        """Forget what is held: the next batch is read from the store."""
        self._behind = True
        self._held.clear()

    @property
    def more(self) -> bool:
        """True while events wait behind the batch that was taken."""
        return bool(self._held) or self._behind

    async def next_batch(self) -> list[Waiting]:
        """Take the next events. Raises `StoreError`."""
        batch = await self._next_batch()
        if self._held:
            self.woken.set()
        if len(self._held) < BATCH and not self._behind:
            self.full.clear()
        return batch

    async def _next_batch(self) -> list[Waiting]:
        if not self._behind:
            batch, self._held = self._held[:BATCH], self._held[BATCH:]
            return [waiting for waiting in batch if waiting.seq > self._up_to]
        self._behind = False  # what is committed from here on is offered; what the read sees as well is left out above
        try:
            batch = await self._store.waiting_events(BATCH, self._clock.now())
        except StoreError:
            self.fall_behind()
            raise
        if len(batch) == BATCH:
            self.fall_behind()
        elif not batch:
            self.waiting = len(self._held)
        return batch

    def planned(self, batch: Sequence[Waiting]) -> None:
        """Count a batch out that was planned."""
        self._up_to = batch[-1].seq
        self.waiting = max(0, self.waiting - len(batch))
        self._by_source.subtract(waiting.event.source for waiting in batch)
        for source in [source for source, count in self._by_source.items() if count <= 0]:
            del self._by_source[source]
        if self.more:
            self.woken.set()
