"""Hearing: watch for sources that have fallen silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from relay.core.event import Severity
from relay.pipeline.loop import LONGEST_REST, Loop
from relay.ports import Changed, Clock


class Patience(msgspec.Struct, frozen=True):
    """Seconds of silence after which a source is reported, and the severity of that."""

    seconds: float
    severity: Severity


class Hearing(Loop):
    """A loop that finds sources that have fallen silent, and their return.

    A start counts as a sign of life of every source: no source is to blame while the relay was down.
    """

    def __init__(self, patience: Mapping[str, Patience], clock: Clock, changed: Changed) -> None:
        self.patience: Mapping[str, Patience] = {}
        """Seconds of silence of each watched source, and how bad it is."""
        super().__init__(clock)
        self._changed = changed
        self._began_at: dict[str, float] = {}
        self._heard_at: dict[str, float] = {}
        self.silent: set[str] = set()
        """Sources that were reported as silent, by this process or an earlier one."""
        self.use(patience)

    def use(self, patience: Mapping[str, Patience]) -> None:
        """Watch these sources from now on. A silent source that is watched no more is not silent any more."""
        now = self._clock.now()
        self.patience = patience
        self._began_at = {name: self._began_at.get(name, now) for name in patience}
        self._heard_at = {name: self._heard_at.get(name, now) for name in patience}
        self.silent &= set(patience)
        self.nudge()

    def recall(self, keys: Iterable[str]) -> None:
        """Restore the sources that an earlier process reported as silent, by the keys of its open notices."""
        reported = {key.removeprefix("source_silent:") for key in keys if key.startswith("source_silent:")}
        self.silent |= reported & set(self.patience)

    def heard(self, source: str) -> None:
        """Record a sign of life of a source."""
        if source in self._heard_at:
            self._heard_at[source] = self._clock.now()
            if source in self.silent:
                self.nudge()

    def rest(self) -> float:
        """Return the seconds until the next source would count as silent."""
        now = self._clock.now()
        due = [
            self._heard_at[name] + patience.seconds - now
            for name, patience in self.patience.items()
            if name not in self.silent
        ]
        return min(LONGEST_REST, max(0.05, min(due, default=LONGEST_REST)))

    async def step(self) -> int:
        """Report sources that have fallen silent or speak again; return how many did either."""
        now = self._clock.now()
        changed = 0
        for name, patience in self.patience.items():
            late = now - self._heard_at[name] >= patience.seconds
            if late == (name in self.silent):
                continue
            if late:
                changed += 1
                self.silent.add(name)
            elif self._heard_at[name] > self._began_at[name]:
                changed += 1
                self.silent.discard(name)
        if changed:
            self._changed()
        return changed
