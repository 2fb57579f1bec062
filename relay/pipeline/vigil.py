"""The vigil over what is held back: when a silence, a time or an alert that inhibits others begins or ends, all that is
open is looked at again."""

from __future__ import annotations

from relay.core.alert import AlertKey
from relay.core.suppression import Silence, Suppressor
from relay.ports import Clock, PlanStore

_FIRST: AlertKey = ("", "")


class Vigil:
    """Keeps the suppressor up to date, and goes through the open alerts when that changes something."""

    def __init__(self, suppressor: Suppressor, store: PlanStore, clock: Clock) -> None:
        self._suppressor = suppressor
        self._store = store
        self._clock = clock
        self._at: AlertKey | None = _FIRST
        self._learnt = False
        self._phase: tuple[object, ...] = ()
        self.due_at = clock.now()
        """When there is something to do, though nothing happens."""

    async def silence(self, silence: Silence) -> None:
        """Put a silence in force, or change one. Raises `StoreError`."""
        await self._store.save_silence(silence)
        self._suppressor.silence(await self._store.silences())
        self._begin()

    def _begin(self) -> None:
        self._at = _FIRST
        self.due_at = self._clock.now()

    async def next_keys(self, limit: int) -> list[AlertKey]:
        """The next keys of open alerts that are to be looked at again. Raises `StoreError`."""
        if not self._learnt:
            self._suppressor.silence(await self._store.silences())
            for alert in await self._store.firing_alerts():
                self._suppressor.note(alert)
            self._learnt = True
        self._look_at_the_clock()
        if self._at is None:
            return []
        keys = await self._store.open_keys(self._at, limit)
        self._at = keys[-1] if len(keys) == limit else None
        return keys

    def _look_at_the_clock(self) -> None:
        now = self._clock.now()
        if now >= self.due_at:
            phase = self._suppressor.phase(now)
            if phase != self._phase:
                self._phase = phase
                self._at = _FIRST
            self.due_at = self._suppressor.next_change(now) or float("inf")
        if self._suppressor.stirred:
            self._suppressor.stirred = False
            self._at = _FIRST
