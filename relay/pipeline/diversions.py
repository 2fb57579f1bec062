"""Diversions: while a room can't be reached, what waits for it goes to its fallback.

The planner carries them out between its own commits, as both change where incidents are told of.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from relay.core.diverting import Divert
from relay.ports import Clock, Diverted, PlanStore

EVERY = 1.0
"""Seconds between two looks at the rooms that are down, or were."""


class Fallbacks(Protocol):
    """Knows how rooms do."""

    def down(self, now: float) -> Set[str]:
        """The rooms that are to be diverted now."""
        ...

    def order(self, room: str, now: float) -> Divert:
        """What is to be done with what waits for a room."""
        ...

    def diverted(self, order: Divert, done: Diverted) -> None:
        """Take note of what was moved."""
        ...


class Diversions:
    """Moves what waits for rooms that are down, until they are back."""

    def __init__(self, store: PlanStore, fallbacks: Fallbacks, clock: Clock) -> None:
        self._store = store
        self._fallbacks = fallbacks
        self._clock = clock
        self._open: set[str] | None = None
        self._look_at = 0.0

    @property
    def due_at(self) -> float:
        """When there is something to look at."""
        return self._look_at if self._open or self._open is None else float("inf")

    @property
    def rooms(self) -> Set[str]:
        """The rooms whose messages go to a fallback now."""
        return self._open or set()

    def note(self, rooms: Set[str]) -> None:
        """Something was planned for these rooms."""
        if self._open and not self._open.isdisjoint(rooms):
            self._look_at = 0.0

    async def look(self) -> bool:
        """Look at all rooms that are down or diverted; tell whether anything was moved. Raises `StoreError`."""
        now = self._clock.now()
        if self._open is None:
            self._open = set(await self._store.diversions())
        rooms = self._open | self._fallbacks.down(now) if now >= self._look_at else set()
        if rooms:
            self._look_at = now + EVERY
        moved = False
        for room in sorted(rooms):
            order = self._fallbacks.order(room, now)
            done = await self._store.divert(order)
            if done.began:
                self._open.add(room)
            if done.ended:
                self._open.discard(room)
            moved |= bool(done.moved)
            self._fallbacks.diverted(order, done)
        return moved
