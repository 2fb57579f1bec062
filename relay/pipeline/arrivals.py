"""Arrivals: committed events that wait for the planner, in memory as long as it keeps up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from relay.core.event import OPERATOR_SOURCE
from relay.core.plan import Waiting
from relay.ports import Clock, StoreError

BATCH = 512
"""The most events that one plan takes."""
MOST_IN_MEMORY = 2_048
"""The most committed events kept in memory; if more wait, the planner reads them from the store."""


class ArrivalStore(Protocol):
    """Events that are committed and not planned yet. Raises `StoreError`."""

    async def count_waiting_events(self) -> int:
        """Return how many events wait for the planner."""
        ...

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        """Events that wait for the planner, in order of arrival; `now` is when they are read."""
        ...


class Arrivals:
    """The queue between intake and planner. Its events are on disk, so it may forget them and read them again."""

    def __init__(self, store: ArrivalStore, clock: Clock, backlog: int | None = None) -> None:
        self.woken = asyncio.Event()
        """Set when there is something to plan."""
        self.full = asyncio.Event()
        """Set when there is a full batch."""
        self.backlog = backlog
        """The most events of one source that may wait; None for no limit."""
        self.waiting = 0
        """About how many events wait in the inbox."""
        self._by_source: Counter[str] = Counter()
        self._store = store
        self._clock = clock
        self._queued: list[Waiting] = []
        self._behind = True
        self._up_to = 0

    async def count(self) -> None:
        """Count the events that an earlier process left waiting. Raises `StoreError`."""
        self.waiting = await self._store.count_waiting_events()

    def has_backlog(self, source: str) -> bool:
        """Return whether a source has used up its share, `limits.backlog`."""
        return self.backlog is not None and self._by_source[source] >= self.backlog and source != OPERATOR_SOURCE

    def waiting_of(self, source: str) -> int:
        """Return how many events of a source wait to be planned, since the start."""
        return self._by_source[source]

    def expect(self, source: str, count: int) -> None:
        """Count events whose commit has begun. A negative count takes back those whose commit has failed."""
        self._by_source[source] += count

    def offer(self, committed: Sequence[Waiting]) -> None:
        """Add committed events, in order."""
        self.waiting += len(committed)
        if not self._behind:
            if len(self._queued) + len(committed) <= MOST_IN_MEMORY:
                self._queued.extend(committed)
            else:
                self.fall_behind()
        self.woken.set()
        if self._behind or len(self._queued) >= BATCH:
            self.full.set()

    def fall_behind(self) -> None:
        """Forget the events in memory: the next batch is read from the store."""
        self._behind = True
        self._queued.clear()

    @property
    def may_have_more(self) -> bool:
        """True if more events may wait, in memory or on disk."""
        return bool(self._queued) or self._behind

    async def next_batch(self) -> list[Waiting]:
        """Take the next events. Raises `StoreError`."""
        batch = await self._next_batch()
        if self._queued:
            self.woken.set()
        if len(self._queued) < BATCH and not self._behind:
            self.full.clear()
        return batch

    async def _next_batch(self) -> list[Waiting]:
        if not self._behind:
            batch, self._queued = self._queued[:BATCH], self._queued[BATCH:]
            return [waiting for waiting in batch if waiting.seq > self._up_to]
        # Clear the flag before the read, so that `offer` queues events that arrive meanwhile. `_up_to` removes those
        # that the read returns too.
        self._behind = False
        try:
            batch = await self._store.waiting_events(BATCH, self._clock.now())
        except StoreError:
            self.fall_behind()
            raise
        if len(batch) == BATCH:
            self.fall_behind()
        elif not batch:
            self.waiting = len(self._queued)
        return batch

    def planned(self, batch: Sequence[Waiting]) -> None:
        """Remove a planned batch from the counts."""
        self._up_to = batch[-1].seq
        self.waiting = max(0, self.waiting - len(batch))
        self._by_source.subtract(waiting.event.source for waiting in batch)
        for source in [source for source, count in self._by_source.items() if count <= 0]:
            del self._by_source[source]
        if self.may_have_more:
            self.woken.set()
