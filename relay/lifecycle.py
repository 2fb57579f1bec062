"""The owner of every task: start, signals, the rounds of the loops, the watchdog, stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from relay.pipeline.loop import Loop
from relay.ports import Log, StoreError, StoreUnavailableError

STORE_RETRY = 1.0
"""Seconds between two tries of a loop while the store is in trouble."""
FIRST_INHERITED = 3
"""The first file descriptor that systemd hands over."""
ROUND_WITHIN = 10.0
"""Seconds that a step of a loop may take; after that the watchdog is fed no more."""


class SystemClock:
    """The machine's time."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251 - this is the clock port

    def wall(self) -> float:
        """Return the machine's time in Unix seconds."""
        return time.time()  # noqa: TID251 - this is the clock port

    def now(self) -> float:
        """Return the Unix seconds at the start plus the monotonic time since."""
        return self._offset + time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait until the event is set or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return


class Daemon(Protocol):
    """The service that the lifecycle starts and stops. Its methods are called in this order."""

    loops: dict[str, Loop]

    async def start(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        """Recover, then bind the listeners; `spawn` starts tasks that run until the stop."""
        ...

    async def stop_listening(self) -> None:
        """Accept no more events."""
        ...

    async def finish(self) -> None:
        """Let sends in flight end within their grace, and record them. Raises `StoreError`."""
        ...


class Lifecycle:
    """Runs a daemon from its start to its stop."""

    def __init__(self, log: Log, clock: SystemClock) -> None:
        self._log = log
        self._clock = clock
        self._stopping = asyncio.Event()
        self._busy_since: dict[str, float] = {}
        self._waiting_out: set[str] = set()
        self.ready = False

    def stop(self) -> None:
        """Begin to stop."""
        self._stopping.set()

    def is_stopping(self) -> bool:
        """Return whether the stop has begun."""
        return self._stopping.is_set()

    def why_not_ready(self) -> str | None:
        """Return why the relay is not ready, or None."""
        if self._stopping.is_set():
            return "stopping"
        return None if self.ready else "starting"

    def handle_signals(self, hang_up: Callable[[], None]) -> None:
        """Stop in good order on SIGTERM or SIGINT, end at once on a second one, and call `hang_up` on SIGHUP."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        loop.add_signal_handler(signal.SIGHUP, hang_up)

        def first() -> None:
            for number in signals:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            self._log.notice("stop_requested")
            self.stop()

        for number in signals:
            loop.add_signal_handler(number, first)

    async def run(self, daemon: Daemon, on_ready: Callable[[], object] = lambda: None) -> None:
        """Run until `stop`. An exception of any task ends the run and is raised."""
        async with asyncio.TaskGroup() as tasks:
            await daemon.start(tasks.create_task)
            loops = [tasks.create_task(self._repeat(name, loop)) for name, loop in daemon.loops.items()]
            watchdog = tasks.create_task(self._feed_watchdog())
            self.ready = True
            notify("READY=1")
            on_ready()
            await self._stopping.wait()
            notify("STOPPING=1")
            # In this order: what was accepted until now is still committed, then the loops end, then sends in flight.
            await daemon.stop_listening()
            for loop in daemon.loops.values():
                loop.nudge()
            await asyncio.wait(loops)
            try:
                await daemon.finish()
            except StoreError as error:
                self._log.error("stop_unrecorded", error=str(error))
            watchdog.cancel()

    async def _repeat(self, name: str, loop: Loop) -> None:
        while not self._stopping.is_set():
            self._busy_since[name] = self._clock.now()
            try:
                await loop.run_once()
            except StoreUnavailableError as error:
                if name not in self._waiting_out:
                    self._waiting_out.add(name)
                    self._log.error("store_unavailable", loop=name, error=str(error))
                del self._busy_since[name]
                await self._clock.wait(self._stopping, STORE_RETRY)
                continue
            del self._busy_since[name]
            if name in self._waiting_out:
                self._waiting_out.remove(name)
                self._log.notice("store_available", loop=name)
            if not self._stopping.is_set():
                await loop.wait()

    def stuck(self) -> str | None:
        """Return which loops have been in one step for more than `ROUND_WITHIN`, or None."""
        now = self._clock.now()
        names = [name for name, since in self._busy_since.items() if now - since > ROUND_WITHIN]
        return f"stuck: {', '.join(names)}" if names else None

    async def _feed_watchdog(self) -> None:
        """Feed systemd's watchdog as long as no loop is stuck in a step."""
        interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 3
        while interval > 0 and not self._stopping.is_set():
            if (stuck := self.stuck()) is not None:
                self._log.error("loops_stuck", why=stuck)
            else:
                notify("WATCHDOG=1")
            await self._clock.wait(self._stopping, interval)


def inherited_sockets() -> dict[str, socket.socket]:
    """Return the sockets that systemd has bound for us, by `FileDescriptorName=` (sd_listen_fds(3)). Call it once."""
    ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count, names = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_FDNAMES", "").split(":")
    found: dict[str, socket.socket] = {}
    for number in range(int(count) if ours and count.isdigit() else 0):
        name = names[number] if number < len(names) else ""
        taken = socket.socket(fileno=FIRST_INHERITED + number)
        taken.setblocking(False)  # noqa: FBT003 - the library takes it so
        os.set_inheritable(taken.fileno(), False)  # noqa: FBT003 - likewise
        found["events" if name in ("", "unknown", "relay.socket") else name] = taken
    return found


def notify(state: str) -> None:
    """Send a state to systemd (sd_notify(3)), or do nothing if the process does not run below it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return  # systemd went away; there is nobody to tell
