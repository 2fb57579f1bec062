"""The janitor: it prunes old rows in slices, records the time, and notices when a full disk has room again."""

from __future__ import annotations

import math

from relay.pipeline.loop import Loop
from relay.ports import Clock, Limits, Log, Retention

BETWEEN_ROUNDS = 60.0
"""Seconds between two rounds through the tables, and between two records of the clocks."""
BETWEEN_SLICES = 0.05
"""Seconds between two slices of a round, so that other writes come in between."""
WHILE_FULL = 1.0
"""Seconds between two rounds while the disk is full, so that events are soon taken again."""
STEADY = 300.0
"""Seconds that a little room must last until the disk no longer counts as full."""
CLOCK_JUMP = 3_600.0
"""Seconds that the wall clock may differ from the steady one before pruning stops."""


class Janitor(Loop):
    """The loop that keeps the store small."""

    def __init__(self, store: Retention, limits: Limits, clock: Clock, log: Log) -> None:
        self._store = store
        self.limits = limits
        super().__init__(clock)
        self._log = log
        self._rest = 0.0
        self._was_full = False
        self._short_until = -math.inf
        self._noted_at = 0.0

    def rest(self) -> float:
        """Return the seconds until the next slice is due."""
        return self._rest

    async def _note_time(self) -> None:
        now = self._clock.now()
        if now - self._noted_at >= BETWEEN_ROUNDS:
            await self._store.note_time(now, self._clock.wall())
            self._noted_at = now

    @property
    def is_short(self) -> bool:
        """True while there is no room for events, or so little and so new that it may soon be full again."""
        return self._was_full or self._clock.now() < self._short_until

    async def _look_for_room(self) -> bool:
        """Return whether there is room for events now."""
        roomy = await self._store.make_room()
        if roomy is self._was_full:
            self._was_full = not roomy
            (self._log.notice if roomy else self._log.error)("store_has_room" if roomy else "store_full")
            self._short_until = self._clock.now() + STEADY
        if roomy and self.is_short and await self._store.has_plenty():
            self._short_until = -math.inf
        return roomy

    async def step(self) -> int:
        """Prune one slice; return 1 if there is more to do, else 0. Raises `StoreError`."""
        await self._note_time()
        roomy = await self._look_for_room()
        if abs(self._clock.wall() - self._clock.now()) > CLOCK_JUMP:
            self._log.warning("clock_jumped", by=round(self._clock.wall() - self._clock.now()))
            self._rest = BETWEEN_ROUNDS
            return 0
        if await self._store.prune(self.limits, self._clock.now()):
            self._rest = BETWEEN_SLICES
            return 1
        self._rest = BETWEEN_ROUNDS if roomy else WHILE_FULL
        return 0
