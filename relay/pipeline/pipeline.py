"""The whole pipeline, of intake, planner and dispatcher, for the daemon, simulations and tests alike.

The way of an event: intake commits it and adds it to the arrivals; the planner makes deliveries of it; the book of
lanes knows where they wait; the dispatcher sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from relay.core.retry import RetryPolicy
from relay.core.rules import Rules
from relay.pipeline.arrivals import Arrivals, ArrivalStore
from relay.pipeline.book import Fallback, LaneBook
from relay.pipeline.brake import Brake
from relay.pipeline.chronicle import Chronicle
from relay.pipeline.dispatcher import Dispatcher
from relay.pipeline.intake import Intake
from relay.pipeline.lanes import Lane
from relay.pipeline.planner import Planner, PlannerStore
from relay.ports import Changed, Clock, Files, Inbox, Log, NotifyOperator, Outbox, Renderer, Spawn, Telemetry


class Store(Inbox, ArrivalStore, PlannerStore, Outbox, Protocol):
    """The store as the whole pipeline needs it."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The pipeline's environment, without the store. `new_id` makes an event's id from a time in Unix seconds.

    `chance` returns numbers in [0, 1); `redact` removes secrets from texts. `changed` is called when something may be
    wrong, or well again. With `brakes`, sources that answer
    themselves are braked, which needs a clock that really waits.
    """

    clock: Clock
    log: Log
    telemetry: Telemetry
    notify: NotifyOperator
    changed: Changed = lambda: None
    spawn: Spawn
    new_id: Callable[[float], str]
    chance: Callable[[], float]
    redact: Callable[[str], str] = str
    brakes: bool = True


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a configuration that the pipeline uses; `lanes` and `fallbacks` by room.

    `queue` limits all waiting events and deliveries, `backlog` the events of one source that wait to be planned.
    """

    rules: Rules
    lanes: Mapping[str, Lane]
    fallbacks: Mapping[str, Fallback]
    renderer: Renderer
    files: Files
    policy: RetryPolicy
    queue: int | None = None
    backlog: int | None = None


class Pipeline:
    """The parts, connected. It accepts and sends nothing until a configuration is in force."""

    def __init__(self, store: Store, rules: Rules, world: World) -> None:
        clock, log, notify, changed = world.clock, world.log, world.notify, world.changed
        self._queue: int | None = None
        self.chronicle = Chronicle(world.telemetry, log, notify, changed)
        self.book = LaneBook(clock, self.chronicle)
        self.arrivals = Arrivals(store, clock)
        self.brake = Brake(clock, log, changed)
        self.intake = Intake(
            store, clock, world.new_id, world.telemetry, log, self.arrivals, self.has_room, world.redact
        )
        self.planner = Planner(store, rules, self.arrivals, self.book, self.brake, clock, log, notify)
        self.dispatcher = Dispatcher(
            store,
            self.book,
            self.brake if world.brakes else None,
            clock,
            world.chance,
            self.chronicle,
            world.spawn,
            self.planner.look_again,
            world.redact,
        )

    def use(self, new: InForce) -> None:
        """Put a configuration in force; nothing here can fail. Sends in flight go on as they began."""
        self._queue, self.arrivals.backlog = new.queue, new.backlog
        self.planner.use(new.rules)
        self.book.use(new.lanes, new.fallbacks)
        self.dispatcher.use(new.renderer, new.files, new.policy)

    async def recover(self) -> None:
        """Recover the deliveries and events that an earlier process left. Raises `StoreError`."""
        await self.dispatcher.recover()
        await self.arrivals.count()

    def has_room(self) -> bool:
        """Return whether the queue takes further events."""
        return self._queue is None or self.arrivals.waiting + self.book.depths.total < self._queue
