"""Running the daemon in its own event loop."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Collection
from contextlib import closing

import uvloop

from relay.app.running.daemon import RelayDaemon
from relay.app.running.doors import Doors
from relay.lifecycle import Lifecycle, SystemClock
from relay.ports import Log
from relay.settings.load import Loaded

_COLLECT_AFTER = 10_000
"""New objects after which the garbage collector looks for cycles: an event makes hundreds of objects, but no cycle."""


def run(loaded: Loaded, log: Log, hung_up: Collection[int] = ()) -> None:
    """Run the daemon until a signal. Raises the errors of the start and of the tasks.

    `hung_up` collects the SIGHUPs that arrive before the loop handles them.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(loaded, log, hung_up=hung_up))


async def serve(
    loaded: Loaded,
    log: Log,
    *,
    lifecycle: Lifecycle | None = None,
    signals: bool = True,
    hung_up: Collection[int] = (),
    on_ready: Callable[[RelayDaemon], object] = lambda _: None,
) -> None:
    """Run the daemon within a loop, until its lifecycle stops; make a lifecycle if none is given."""
    raise_file_limit()
    clock = SystemClock()
    lifecycle = lifecycle or Lifecycle(log, clock)
    with closing(Doors(loaded)) as doors:  # first of all: a second relay fails here, and has touched nothing
        daemon = RelayDaemon(loaded, doors, lifecycle, clock, log)
        if signals:
            lifecycle.handle_signals(daemon.reloader.request)
        if hung_up:
            daemon.reloader.request()
        spare_the_collector()
        try:
            await lifecycle.run(daemon, lambda: on_ready(daemon))
        finally:
            await daemon.close()
    log.notice("stopped")


def spare_the_collector() -> None:
    """Exclude the objects that live as long as the process from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, as far as allowed: a shell starts with a low one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
