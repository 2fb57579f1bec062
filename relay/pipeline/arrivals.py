"""Arrivals: events that wait for the planner, in memory as long as it keeps up."""

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
"""The most events kept in memory; if more wait, the planner reads them from the store."""
FEW = 8
"""Events that are planned while their commit goes on. More make it long, and the next events would wait for it."""
MOST_TURNS = 30
"""The most turns of the loop in which a batch gathers."""


class ArrivalStore(Protocol):
    """Events that are committed and not planned yet. Raises `StoreError`."""

    async def count_waiting_events(self) -> int:
        """Return how many events wait for the planner."""
        ...

    async def waiting_events(self, limit: int, now: float) -> list[Waiting]:
        """Events that wait for the planner, in order of arrival; `now` is when they are read."""
        ...


class Arrivals:
    """The queue between intake and planner. Its events are on disk or soon will be, so it may forget and read them."""

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
        self._in_flight: dict[int, tuple[Sequence[Waiting], bool]] = {}
        """The events of the commits that go on, by the `seq` of the first, and whether they may be planned early."""
        self._queued: list[Waiting] = []
        """Committed events."""
        self._behind = True
        self._taken = 0
        """The `seq` of the last event that was taken since the queue fell behind."""

    async def count(self) -> None:
        """Count the events that an earlier process left waiting. Raises `StoreError`."""
        self.waiting = await self._store.count_waiting_events()

    def has_backlog(self, source: str) -> bool:
        """Return whether a source has used up its share, `limits.backlog`."""
        return self.backlog is not None and self._by_source[source] >= self.backlog and source != OPERATOR_SOURCE

    def waiting_of(self, source: str) -> int:
        """Return how many events of a source wait to be planned, since the start."""
        return self._by_source[source]

    def expect(self, events: Sequence[Waiting], *, early: bool) -> None:
        """Add events whose commit has begun, in order; `early`: they may be planned before it ends, if they are few."""
        self._by_source.update(one.event.source for one in events)
        self._in_flight[events[0].seq] = (events, early)
        if early and len(self._in_flight) <= FEW:
            self.woken.set()

    def landed(self, events: Sequence[Waiting], *, fresh: bool) -> None:
        """The commit of events has ended; they are not `fresh` if it failed, or found them on record before."""
        del self._in_flight[events[0].seq]
        if not fresh:
            self._leave(events)
            return
        self.waiting += len(events)
        if events[0].seq <= self._taken:
            return
        if not self._behind:
            if len(self._queued) + len(events) <= MOST_IN_MEMORY:
                self._queued.extend(events)
            else:
                self.fall_behind()
        self.woken.set()
        if self._behind or len(self._queued) >= BATCH:
            self.full.set()

    def fall_behind(self) -> None:
        """Forget the events in memory: the next batch is read from the store."""
        self._behind = True
        self._queued.clear()
        self._taken = 0
        self.woken.set()

    @property
    def may_have_more(self) -> bool:
        """True if more committed events may wait, in memory or on disk."""
        return bool(self._queued) or self._behind

    async def next_batch(self) -> list[Waiting]:
        """Take the next events. Raises `StoreError`.

        It waits until a turn of the loop has brought none, so that events that come together are planned together.
        The commit of these events waits for more such turns, so their plan joins it.
        """
        seen = -1
        for _ in range(MOST_TURNS):
            if len(self._in_flight) + len(self._queued) == seen:
                break
            seen = len(self._in_flight) + len(self._queued)
            await asyncio.sleep(0)  # noqa: TID251 - not to wait, but to give other tasks a turn
        batch = await self._next_batch()
        if batch:
            self._taken = batch[-1].seq
        if self._queued:
            self.woken.set()
        if len(self._queued) < BATCH and not self._behind:
            self.full.clear()
        return batch

    async def _next_batch(self) -> list[Waiting]:
        if not self._behind:
            early = self._early()
            batch, self._queued = self._queued[:BATCH], self._queued[BATCH:]
            return [waiting for waiting in (*batch, *early) if waiting.seq > self._taken]
        # Clear the flag before the read, so that events that land meanwhile are queued. `_taken` removes those that the
        # read returns, too.
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

    def _early(self) -> Sequence[Waiting]:
        """Return the events in flight that may be planned with those queued; none if they are many."""
        found: list[Waiting] = []
        for events, early in self._in_flight.values():
            if not early:
                break  # a plan leaves out no event
            found.extend(events)
            if len(self._queued) + len(found) > FEW:
                return ()
        return found

    def planned(self, batch: Sequence[Waiting]) -> None:
        """Remove planned events from the counts."""
        self.waiting = max(0, self.waiting - len(batch))
        self._leave(batch)

    def _leave(self, events: Sequence[Waiting]) -> None:
        self._by_source.subtract(one.event.source for one in events)
        for source in [source for source, count in self._by_source.items() if count <= 0]:
            del self._by_source[source]
