"""The running feeds: an unchanged one stays connected over a reload; a changed one starts after the old one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from relay.app.assembly.arrangement import Listener
from relay.ports import Spawn


class Feeds:
    """Runs listeners by name."""

    def __init__(self) -> None:
        self.running: Mapping[str, Listener] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def use(self, feeds: Mapping[str, Listener], spawn: Spawn) -> None:
        """Run these feeds. A feed of the same name ends first, with its events committed."""
        for name, old in self.running.items():
            if feeds.get(name) is not old:
                old.stop()
        for name, new in feeds.items():
            before = self.running.get(name)
            if before is new:
                continue
            if before is not None:
                new.staying.follow(before.staying)
            self._tasks[name] = spawn(_follow(self._tasks.get(name), new))
        self.running = dict(feeds)

    def recall(self, keys: Iterable[str]) -> None:
        """Restore which feeds an earlier process reported as down."""
        for key in keys:
            kind, _, name = key.partition(":")
            if kind == "feed_down" and name in self.running:
                self.running[name].staying.is_down = True

    def stop(self) -> None:
        """Let all feeds end."""
        for feed in self.running.values():
            feed.stop()


async def _follow(before: asyncio.Task[None] | None, feed: Listener) -> None:
    if before is not None and not before.done():
        await asyncio.wait([before])
    await feed.run()
