"""Running the daemon in its own event loop."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable, Collection

import uvloop

from relay.app.daemon import RelayDaemon
from relay.lifecycle import Lifecycle, SystemClock
from relay.ports import Log
from relay.settings.load import Loaded

_COLLECT_AFTER = 10_000
"""New objects after which the garbage collector looks for cycles: an event makes hundreds, and no cycle."""


def run(loaded: Loaded, log: Log, hung_up: Collection[int] = ()) -> None:
    """Run until a signal. Raises what the start refuses, and what a task raised.

    `hung_up` fills with the SIGHUPs that came before the loop takes them.
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
    """Run within a loop, until the lifecycle (one's own, or a new one) is told to stop."""
    raise_file_limit()
    clock = SystemClock()
    lifecycle = lifecycle or Lifecycle(log, clock)
    daemon = RelayDaemon(loaded, lifecycle, clock, log)
    if signals:
        lifecycle.handle_signals(daemon.reloader.request)
    if hung_up:
        daemon.reloader.request()
    spare_the_collector()
    try:
        await lifecycle.run(daemon, lambda: on_ready(daemon))
    finally:
        await daemon.close()
    log.info("stopped")


def spare_the_collector() -> None:
    """Keep the garbage collector from walking what lives as long as the process, over and over."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def raise_file_limit() -> None:
    """Take all the files (and so connections) that this process may have; a shell's first limit is a low one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
