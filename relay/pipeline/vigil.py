"""The vigil over suppressed alerts: it goes through all open alerts again when their suppression may have changed.

That is when a silence, a mute interval or an inhibiting alert begins or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from relay.core.alert import Alert, AlertKey
from relay.core.suppression import Silence, Suppressor
from relay.ports import Clock

_FIRST: AlertKey = ("", "")


class HeldStore(Protocol):
    """The silences, and the alerts that may be suppressed. Raises `StoreError`."""

    async def silences(self) -> list[Silence]:
        """Return all silences on record."""
        ...

    async def save_silence(self, silence: Silence) -> None:
        """Write a silence; it replaces the one of the same id."""
        ...

    async def firing_alerts(self) -> list[Alert]:
        """Return all alerts that fire."""
        ...

    async def open_keys(self, after: AlertKey, limit: int) -> list[AlertKey]:
        """Return keys of open incidents that come after a key, in order."""
        ...


class Vigil:
    """Keeps the suppressor up to date, and goes through the open alerts when that changes something."""

    def __init__(self, suppressor: Suppressor, store: HeldStore, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake` makes the planner look for work."""
        self._suppressor = suppressor
        self._store = store
        self._clock = clock
        self._wake = wake
        self._at: AlertKey | None = _FIRST
        self._round = 0
        self._next: tuple[int, AlertKey | None] = (0, None)
        self._learnt = False
        self._phase: tuple[object, ...] = ()
        self._next_at = clock.now()

    @property
    def due_at(self) -> float:
        """When there is something to do even if no event comes, in Unix seconds; 0 for at once."""
        return 0.0 if self._at is not None or self._suppressor.stirred else self._next_at

    async def known(self) -> Sequence[Silence]:
        """Return all silences on record. Raises `StoreError`."""
        return await self._store.silences()

    async def put(self, silences: Sequence[Silence]) -> None:
        """Put silences in force; each replaces the one of the same id. Raises `StoreError`."""
        for silence in silences:
            await self._store.save_silence(silence)
        await self._load()
        self._begin()
        self._next_at = self._clock.now()
        self._wake()

    def renew(self) -> None:
        """The rules have changed: read silences and alerts anew, and go through all open alerts."""
        self._learnt = False
        self._next_at = self._clock.now()
        self._begin()

    def relearn(self) -> None:
        """Learn anew which alerts fire: the suppressor may know of some that were never committed."""
        if self._suppressor.inhibits:
            self._learnt = False
            self._next_at = self._clock.now()

    async def _load(self) -> None:
        now = self._clock.now()
        found = await self._store.silences()
        self._suppressor.silence(silence for silence in found if silence.state(now) != "expired")

    async def next_keys(self, limit: int) -> list[AlertKey]:
        """Return the next keys of open alerts to look at again, `limit` at most. Raises `StoreError`."""
        if not self._learnt:
            await self._load()
            self._suppressor.learn(await self._store.firing_alerts())
            self._learnt = True
        self._look_at_the_clock()
        if self._at is None:
            return []
        keys = await self._store.open_keys(self._at, limit)
        self._next = (self._round, keys[-1] if len(keys) == limit else None)
        if not keys:
            self._at = None
        return keys

    def done(self) -> None:
        """The plans of the last keys are committed: go on behind them. A new round starts at the first key."""
        begun, behind = self._next
        if begun == self._round:
            self._at = behind

    def _begin(self) -> None:
        self._round += 1
        self._at = _FIRST

    def _look_at_the_clock(self) -> None:
        now = self._clock.now()
        if now >= self._next_at:
            phase = self._suppressor.phase(now)
            if phase != self._phase:
                self._phase = phase
                self._begin()
            self._next_at = self._suppressor.next_change(now) or float("inf")
        if self._suppressor.stirred:
            self._suppressor.stirred = False
            self._begin()
