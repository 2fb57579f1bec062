"""A loop repeats a step, each time that it is woken and at the latest after its rest."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from relay.ports import Clock

LONGEST_REST = 5.0
"""Seconds after which a loop takes a step even if nothing is due, so that the watchdog sees that it lives."""


class Loop(ABC):
    """A step that the lifecycle repeats. A subclass defines the step, and how long to rest after it."""

    def __init__(self, clock: Clock, woken: asyncio.Event | None = None) -> None:
        """`woken` is set by anyone who has work for the loop; by default the loop makes its own event."""
        self._clock = clock
        self._woken = asyncio.Event() if woken is None else woken

    @abstractmethod
    async def step(self) -> int:
        """Do what is due; return how much that was. Raises `StoreError`."""

    def rest(self) -> float:
        """Return the seconds until something is due."""
        return LONGEST_REST

    async def run_once(self) -> int:
        """Take a step; return how much it did. Raises `StoreError`."""
        self._woken.clear()  # before the step: whoever sets it during the step has work that the step may miss
        return await self.step()

    async def wait(self) -> None:
        """Wait until the loop is woken, or its rest is over."""
        await self._clock.wait(self._woken, max(0.0, self.rest()))

    def nudge(self) -> None:
        """Wake the loop."""
        self._woken.set()
