"""The running feeds: an unchanged one stays connected over a reload; a changed one starts after the old one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from relay.app.assembly.arrangement import Listener
from relay.ports import NotifyOperator, Spawn


class Feeds:
    """Runs listeners by name."""

    def __init__(self, notify: NotifyOperator) -> None:
        self.running: Mapping[str, Listener] = {}
        self._notify = notify
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def use(self, feeds: Mapping[str, Listener], spawn: Spawn) -> None:
        """Run these feeds. A feed of the same name ends first, with its events committed."""
        for name, old in self.running.items():
            if feeds.get(name) is not old:
                old.stop()
                if name not in feeds:
                    self._end(name, told_down=old.staying.told_down)
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
            if kind == "feed" and name in self.running:
                self.running[name].staying.told_down = True
            elif kind == "feed":
                self._end(name, told_down=True)

    def stop(self) -> None:
        """Let all feeds end."""
        for feed in self.running.values():
            feed.stop()

    def _end(self, name: str, *, told_down: bool) -> None:
        """Resolve the report that a feed is down: the feed is no longer configured."""
        if told_down:
            self._notify(f"feed:{name}", f"relay: feed {name} is no longer configured", "info", "resolved", "")


async def _follow(before: asyncio.Task[None] | None, feed: Listener) -> None:
    if before is not None and not before.done():
        await asyncio.wait([before])
    await feed.run()
