"""The operator's desk: the relay's own trouble becomes events of the source `relay`, on transitions only."""

from __future__ import annotations

import asyncio

from relay.core.event import Draft, Severity, SourceDefaults, Status
from relay.core.rules import OPERATOR_SOURCE
from relay.pipeline.intake import Intake
from relay.ports import Clock, Log

QUIET = 300.0
"""Seconds in which a notice about the same thing is not repeated."""
MOST_WAITING = 1_000


class OperatorDesk:
    """Collects what the operator is to be told, and brings it into the inbox."""

    def __init__(self, intake: Intake, clock: Clock, log: Log) -> None:
        self._intake = intake
        self._clock = clock
        self._log = log
        self._wake = asyncio.Event()
        self._waiting: list[Draft] = []
        self._noticed: dict[str, float] = {}
        self._defaults = SourceDefaults(source=OPERATOR_SOURCE, format="relay")

    def tell(self, key: str, title: str, severity: Severity, status: Status, body: str) -> None:
        """Have the operator told. Notices about the same key are not repeated within five minutes."""
        now = self._clock.now()
        if status == "notice":
            if now - self._noticed.get(key, -QUIET) < QUIET:
                return
            self._noticed[key] = now
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(Draft(title=title, severity=severity, status=status, key=key, body=body))
            self._wake.set()

    def nudge(self) -> None:
        """Have `wait` return."""
        self._wake.set()

    async def wait(self) -> None:
        """Wait for something to tell."""
        await self._clock.wait(self._wake, 5.0)

    async def run_once(self) -> int:
        """Bring what waits into the inbox; how many. Raises `StoreError`."""
        self._wake.clear()
        drafts, self._waiting = self._waiting, []
        try:
            if drafts:
                await self._intake.accept(self._defaults, drafts, b"{}")
        except BaseException:
            self._waiting = drafts + self._waiting
            raise
        return len(drafts)
