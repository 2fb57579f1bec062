"""Waiting for what can only be looked at: again when something has happened, with a deadline."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from relay.lifecycle import Daemon, Lifecycle, SystemClock
from relay.pipeline.loop import Loop
from relay.ports import Log

T = TypeVar("T")
PATIENCE = 45.0
AGAIN = 0.05
"""Seconds after which a test looks again, for what happens in other processes or tells nobody."""


class Happenings:
    """Wakes those who wait, each time that something has happened; `note` may be called in any thread."""

    def __init__(self) -> None:
        self.next = asyncio.Event()
        """Is set as soon as anything happens."""
        self._loop = asyncio.get_running_loop()

    def note(self) -> None:
        """Wake those who wait."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self.next.set()
        self.next = asyncio.Event()


async def until_seen(
    look: Callable[[], Awaitable[T]],
    fits: Callable[[T], object],
    happenings: Happenings | None = None,
    patience: float = PATIENCE,
) -> T:
    """Look again and again until what is seen fits; return that. Raise `TimeoutError` when patience ends."""
    clock = SystemClock()
    async with asyncio.timeout(patience):
        while True:
            happened = asyncio.Event() if happenings is None else happenings.next
            seen = await look()
            if fits(seen):
                return seen
            await clock.wait(happened, AGAIN)


class NotedLog(io.TextIOWrapper):
    """A file whose lines are happenings."""

    def __init__(self, file: Path, happenings: Happenings) -> None:
        super().__init__(file.open("ab"), encoding="utf-8")
        self._happenings = happenings

    def write(self, text: str) -> int:
        """Write; what is written is flushed before those who wait look."""
        written = super().write(text)
        self._happenings.note()
        return written


class NotedLoop(Loop):
    """Another loop, whose steps are happenings."""

    def __init__(self, loop: Loop, happenings: Happenings) -> None:
        self._loop = loop
        self._happenings = happenings

    async def step(self) -> int:
        """Take a step of the other loop."""
        return await self._loop.step()

    async def run_once(self) -> int:
        """Run the other loop once."""
        try:
            return await self._loop.run_once()
        finally:
            self._happenings.note()

    async def wait(self) -> None:
        """Wait as the other loop does."""
        await self._loop.wait()

    def nudge(self) -> None:
        """Wake the other loop."""
        self._loop.nudge()


class NotedLifecycle(Lifecycle):
    """A lifecycle that notes each round of each loop."""

    def __init__(self, log: Log, clock: SystemClock, happenings: Happenings) -> None:
        super().__init__(log, clock)
        self._happenings = happenings

    async def run(self, daemon: Daemon, on_ready: Callable[[], object] = lambda: None) -> None:
        """Run until `stop`."""
        daemon.loops = {name: NotedLoop(loop, self._happenings) for name, loop in daemon.loops.items()}
        await super().run(daemon, on_ready)
