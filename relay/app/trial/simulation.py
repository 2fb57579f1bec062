"""A relay in simulated time: the real store, planner, lanes and templates; only the clock and the services are fake.

The services accept everything at once, unless a room is set to fail; so nothing is late, and no storm begins.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from relay.app.assembly.accounts import make_fallbacks, make_lanes, make_renderer, retry_policy, service_of
from relay.core.delivery import Action, Delivered, Outcome
from relay.core.event import Event
from relay.core.markdown import plain_text
from relay.core.plan import Waiting
from relay.core.rules import Rules
from relay.core.suppression import Silence
from relay.pipeline.pipeline import InForce, Pipeline, World
from relay.ports import Accepted, Credentials, File, Log, Missing, Send, Service, Submission
from relay.settings.load import Loaded
from relay.settings.model import Settings
from relay.settings.rules import compile_rules
from relay.storage.sqlite.store import SqliteStore

# In memory if possible: each step commits, and a disk would make each commit wait
_PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - each store has its own folder in it
MOST_STEPS = 1_000_000
"""Most moments of one simulation, so that one without an end still stops."""
LOOK_AT_FAILING = 5.0
"""Simulated seconds between two steps while a room fails, when its fallback may become due."""


class Sent(msgspec.Struct, frozen=True):
    """A message that a room got; `at` in Unix seconds of the simulated time, `text` is its plain text."""

    at: float
    room: str
    action: Action
    text: str
    markdown: str


class SimulatedClock:
    """A clock that stands still until the simulation advances it."""

    def __init__(self, now: float) -> None:
        self.time = now

    def wall(self) -> float:
        """Return Unix seconds."""
        return self.time

    def now(self) -> float:
        """Return Unix seconds."""
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Fail: a simulation never waits."""
        raise AssertionError(f"{event} {seconds}")


class _Service:
    """A service that accepts every message at once and records it, except for rooms that fail."""

    def __init__(
        self, clock: SimulatedClock, sent: list[Sent], failing: Mapping[str, Outcome], service: Service
    ) -> None:
        self._clock = clock
        self._sent = sent
        self._failing = failing
        self.service = service

    async def check(self) -> None:
        """Accept the account."""

    async def send(self, message: Send) -> Outcome:
        if message.room in self._failing:
            return self._failing[message.room]
        text = plain_text(message.markdown)
        self._sent.append(Sent(self._clock.time, message.room, message.action, text, message.markdown))
        return Delivered(f"message-{len(self._sent)}")

    async def renew(self) -> bool:
        return False

    async def tend(self) -> Credentials:
        return Credentials()


class NoFiles:
    """Implements the pipeline's `Files` without files: the fake services accept their addresses instead."""

    @asynccontextmanager
    async def get(self, address: str) -> AsyncIterator[File | str | Missing]:
        """Yield the address in place of a file."""
        yield address


class _Uncounted:
    """A telemetry that counts nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Simulation:
    """A simulated relay that starts with an empty store."""

    def __init__(self, loaded: Loaded, store: SqliteStore, start: float, log: Log) -> None:
        self.sent: list[Sent] = []
        self.clock = SimulatedClock(start)
        settings = loaded.settings
        self._store = store
        self._failing: dict[str, Outcome] = {}
        self._senders: dict[str, _Service] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._pipeline = Pipeline(
            store,
            _rules_of(settings),
            World(
                clock=self.clock,
                log=log,
                telemetry=_Uncounted(),
                notify=lambda *_: None,
                spawn=self._spawn,
                new_id=str,
                chance=lambda: 0.0,
                brakes=False,
            ),
        )
        self._use(loaded)

    def _use(self, loaded: Loaded) -> None:
        settings, rules = loaded.settings, _rules_of(loaded.settings)
        known = self._pipeline.book.all_lanes()
        self._pipeline.use(
            InForce(
                rules=rules,
                lanes=make_lanes(settings, self._senders_of(settings), self.clock.time, known),
                fallbacks=make_fallbacks(settings),
                renderer=make_renderer(loaded, rules, lambda *_: None),
                files=NoFiles(),
                policy=retry_policy(settings),
            )
        )

    def _senders_of(self, settings: Settings) -> Mapping[str, _Service]:
        for name, account in settings.accounts.items():
            self._senders[name] = _Service(self.clock, self.sent, self._failing, service_of(account))
        return {name: self._senders[name] for name in settings.accounts}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._group is not None  # noqa: S101 - nothing is sent before the start
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def take(self, events: Sequence[Event]) -> None:
        """Accept events now. A payload that gives none, as a soft state of Icinga, changes nothing."""
        if not events:
            return
        submission = Submission(
            source=events[0].source, received_at=self.clock.time, payload=b"{}", events=tuple(events)
        )
        begun, arrivals, now = self._store.accept(submission), self._pipeline.arrivals, self.clock.time
        waiting = [Waiting(seq, event, now) for seq, event in enumerate(events, begun.first_seq)]
        arrivals.expect(waiting, early=True)
        arrivals.landed(waiting, fresh=isinstance(await begun, Accepted))
        await self._settle()

    async def silence(self, silences: Sequence[Silence]) -> None:
        """Put silences in force now."""
        await self._pipeline.planner.vigil.put(silences)
        await self._settle()

    async def reload(self, loaded: Loaded) -> None:
        """Put another configuration in force now."""
        self._use(loaded)
        await self._settle()

    async def fail(self, room: str, outcome: Outcome | None) -> None:
        """Let a room answer with an outcome from now on; None lets it work again."""
        if outcome is None:
            self._failing.pop(room, None)
        else:
            self._failing[room] = outcome
        await self._settle()

    @property
    def _due_at(self) -> float:
        """The next moment at which something is due; while a room fails, that may be its fallback."""
        look = self.clock.time + LOOK_AT_FAILING if self._failing else float("inf")
        return min(self._pipeline.planner.due_at, self._pipeline.dispatcher.due_at, look)

    async def run_until(self, end: float) -> None:
        """Advance the time to a moment, and do everything that is due on the way."""
        await self._settle()
        for _ in range(MOST_STEPS):
            due = self._due_at
            if due > end:
                break
            self.clock.time = max(self.clock.time, due)
            await self._settle()
        self.clock.time = max(self.clock.time, end)

    async def _settle(self) -> None:
        """Plan and send until nothing is left for now."""
        async with asyncio.TaskGroup() as self._group:
            while await self._pipeline.planner.run_once() or self._pipeline.planner.due_at <= self.clock.time:
                pass
            while await self._pipeline.dispatcher.run_once() or self._tasks:
                if self._tasks:
                    await asyncio.wait(self._tasks)


def _rules_of(settings: Settings) -> Rules:
    """The rules of a configuration but for its storms: nothing waits here for a service."""
    return msgspec.structs.replace(compile_rules(settings), digest_over={})


async def simulate(
    loaded: Loaded, start: float, log: Log, play: Callable[[Simulation], Coroutine[Any, Any, None]]
) -> list[Sent]:
    """Run a simulation; return the messages that the rooms got, in order."""
    with tempfile.TemporaryDirectory(prefix="relay-test-", dir=_PLACE, ignore_cleanup_errors=True) as folder:
        store = SqliteStore(Path(folder) / "relay.db", None)
        try:
            simulation = Simulation(loaded, store, start, log)
            await play(simulation)
        finally:
            await store.close()
        return simulation.sent
