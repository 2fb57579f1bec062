"""Diversions: while a room can't be reached, its waiting deliveries go to its fallback.

This is a stage of the planner because it, too, changes which message an incident belongs to.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from relay.core.diverting import Divert
from relay.pipeline.book import LaneBook
from relay.pipeline.plans import Plans
from relay.ports import Diverted

EVERY = 1.0
"""Seconds between two looks at the rooms that are down, or were."""


class DiversionStore(Protocol):
    """The store's diversions, with the deliveries that they move. Raises `StoreError`."""

    async def diversions(self) -> list[str]:
        """Return the rooms whose messages go to a fallback."""
        ...

    async def divert(self, order: Divert) -> Diverted:
        """Move waiting deliveries to the fallback, or end the diversion if the room is back."""
        ...


class Diversions:
    """Moves waiting deliveries of rooms that are down to their fallbacks, until the rooms are back."""

    def __init__(self, store: DiversionStore, book: LaneBook, plans: Plans) -> None:
        self._store = store
        self._book = book
        self._plans = plans
        self._open: set[str] | None = None
        self._look_at = 0.0

    @property
    def due_at(self) -> float:
        """When to look at the rooms next; 0 if a plan had something for a diverted room."""
        touched = self._open is not None and not self._open.isdisjoint(self._plans.touched)
        return 0.0 if touched else self._look_at

    @property
    def wakes_at(self) -> float:
        """When to look at the rooms if nothing else wakes the planner: never, unless some are diverted."""
        return self.due_at if self._open or self._open is None else float("inf")

    @property
    def are_known(self) -> bool:
        """True once the diversions of an earlier process are read."""
        return self._open is not None

    @property
    def rooms(self) -> Set[str]:
        """The rooms whose messages go to a fallback now."""
        return self._open or set()

    async def run(self, now: float) -> int:
        """Look at all rooms that are down or diverted. Raises `StoreError`."""
        if self._open is None:
            self._open = set(await self._store.diversions())
        self._plans.touched.clear()
        rooms = self._open | self._book.down(now)
        if rooms:
            self._look_at = now + EVERY
        for room in sorted(rooms):
            order = self._book.divert_order(room, now)
            done = await self._store.divert(order)
            if done.began:
                self._open.add(room)
            if done.ended:
                self._open.discard(room)
            if done.moved:
                self._plans.forget_storms()  # a digest may stand elsewhere now
            self._book.diverted(order, done)
        return 0
