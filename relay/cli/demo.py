"""`relay demo`: the whole relay on loopback, without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.common import EXIT_NO

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from relay.app.running.daemon import RelayDaemon
    from relay.lifecycle import Lifecycle, SystemClock
    from relay.ports import Log
    from relay.sandbox.feed import ScriptedFeed
    from relay.sandbox.server import Sandbox
    from relay.settings.load import Loaded

SETTLE = 10.0
"""Seconds that waiting events and deliveries get at the end."""


def demo(
    for_: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=1, help="End after this time.", show_default=False)
    ] = None,
) -> None:
    """Show the relay at work on loopback: faults, a flap, an outage, a storm, recoveries. No account is needed.

    Example: relay demo --for 20
    """
    import asyncio
    import sys
    import tempfile
    from pathlib import Path

    import uvloop

    with (
        tempfile.TemporaryDirectory(prefix="relay-demo-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        good = runner.run(Demo(Path(folder), colour=sys.stdout.isatty()).run(for_))
    if not good:
        raise typer.Exit(EXIT_NO)


class Demo:
    """A demo, from its start to its summary."""

    def __init__(self, folder: Path, *, colour: bool) -> None:
        from rich.console import Console

        self._folder = folder
        self._console = Console(highlight=False, no_color=None if colour else True, soft_wrap=True)
        self._shown = 0
        self._accepted: list[str] = []

    async def run(self, seconds: float | None) -> bool:
        """Run for some seconds or until Ctrl-C; return whether every event is accounted for."""
        import asyncio
        import signal

        from relay.lifecycle import Lifecycle, SystemClock
        from relay.logs import make_log
        from relay.sandbox.feed import ScriptedFeed
        from relay.sandbox.server import Sandbox

        clock = SystemClock()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sandbox, feed = Sandbox(clock.wall), ScriptedFeed()
        await sandbox.start()
        await feed.start()
        with (self._folder / "relay.log").open("w", encoding="utf-8") as log_file:
            log = make_log("notice", log_file)
            good = await self._relay(
                self._load(sandbox, feed), Lifecycle(log, clock), log, sandbox, feed, stop, seconds
            )
        await feed.stop()
        await sandbox.stop()
        return good

    async def _relay(
        self,
        loaded: Loaded,
        lifecycle: Lifecycle,
        log: Log,
        sandbox: Sandbox,
        feed: ScriptedFeed,
        stop: asyncio.Event,
        seconds: float | None,
    ) -> bool:
        """Run the relay and play the script on it; return whether every event is accounted for."""
        import asyncio

        from relay.app.running.process import serve

        good = False

        async def play(daemon: RelayDaemon) -> None:
            nonlocal good
            try:
                watching = asyncio.Event()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._watch(sandbox, watching))
                    await self._play(daemon, sandbox, feed, stop, seconds)
                    good = await self._summary(daemon, sandbox, feed)
                    watching.set()
                    sandbox.state.touch()
            finally:
                lifecycle.stop()

        async with asyncio.TaskGroup() as tasks:
            await serve(
                loaded,
                log,
                lifecycle=lifecycle,
                signals=False,
                on_ready=lambda daemon: tasks.create_task(play(daemon)),
            )
        return good

    def _load(self, sandbox: Sandbox, feed: ScriptedFeed) -> Loaded:
        import os

        from relay.formats import FORMATS
        from relay.settings.load import load
        from relay.settings.shipped import shipped

        os.environ["RELAY_DEMO_TOKEN"] = sandbox.token
        environment = {
            "RELAY_DEMO_DATABASE": str(self._folder / "relay.db"),
            "RELAY_DEMO_WEBEX": f"{sandbox.address}/v1",
            "RELAY_DEMO_SPIKA": sandbox.address,
            "RELAY_DEMO_FEED": feed.address,
        }
        with shipped("demo.yaml") as file:
            return load(file, FORMATS, environment)

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False)

    async def _play(
        self, daemon: RelayDaemon, sandbox: Sandbox, feed: ScriptedFeed, stop: asyncio.Event, seconds: float | None
    ) -> None:
        """Play the script again and again, until the time is over or Ctrl-C."""
        import aiohttp

        from relay.lifecycle import SystemClock
        from relay.sandbox.scenes import LENGTH, script

        clock = SystemClock()
        began = clock.now()
        self._say(f"rooms  {sandbox.address}/", "bold")
        self._say(f"page   http://{daemon.admin_address}/", "bold")
        self._say(f"status http://{daemon.admin_address}/api/v1/status   metrics http://{daemon.admin_address}/metrics")
        self._say(
            "Ctrl-C ends the demo." if seconds is None else f"It ends after {seconds:g} s, or with Ctrl-C.", "dim"
        )
        events = f"http://{daemon.events_address}"
        async with aiohttp.ClientSession(trust_env=False) as session:
            turn = 0
            while not stop.is_set():
                for scene in script(turn, clock.wall()):
                    at = began + turn * LENGTH + scene.at
                    limit = float("inf") if seconds is None else began + seconds
                    await clock.wait(stop, max(0.0, min(at, limit) - clock.now()))
                    if stop.is_set() or clock.now() >= limit:
                        return
                    await self._act(scene, sandbox, feed, session, events)
                turn += 1

    async def _act(self, scene: Any, sandbox: Sandbox, feed: ScriptedFeed, session: Any, events: str) -> None:
        if scene.says:
            self._say(f"— {scene.says}", "cyan")
        if scene.channel == "faults":
            sandbox.state.faults = list(scene.payload)
        elif scene.channel == "lines":
            feed.say(scene.payload)
        elif scene.channel == "fabric":
            for kind, dn, attributes in scene.payload:
                sandbox.fabric.put(kind, dn, **attributes)
        else:
            async with session.post(f"{events}/hooks/{scene.channel}", json=scene.payload) as answer:
                self._accepted += (await answer.json())["ids"]

    async def _watch(self, sandbox: Sandbox, done: asyncio.Event) -> None:
        """Print the messages of the rooms as they change: posts as they are, replies behind ↳, edits behind ✎."""
        seen: dict[str, int] = {}
        while True:
            changed = sandbox.state.changed
            for room in sandbox.state.rooms.values():
                for message in list(room.messages.values()):
                    if seen.get(message.id) == message.edits:
                        continue
                    sign = "✎ " if message.id in seen else "" if message.parent is None else "↳ "
                    seen[message.id] = message.edits
                    self._say(f"  {room.title:<20}{sign}{message.text.splitlines()[0]}")
            if done.is_set():
                return
            await changed.wait()

    async def _summary(self, daemon: RelayDaemon, sandbox: Sandbox, feed: ScriptedFeed) -> bool:
        """Wait until everything is delivered, then print the counts; return whether every event is accounted for."""
        from relay.lifecycle import SystemClock

        sandbox.state.faults = []
        sent = len(self._accepted) + feed.sent + sandbox.fabric.changes
        await self._settle(daemon, sent, SystemClock())
        counts = await daemon.store.queries.counts()
        events, deliveries = counts["events"], counts["deliveries"]
        rooms = [room for room in sandbox.state.rooms.values() if room.messages]
        messages = [message for room in rooms for message in room.messages.values()]
        edits = sum(message.edits for message in messages)
        own = events["total"] - sent
        done, *over = (deliveries.get(state, 0) for state in ("done", "superseded", "merged", "moved"))
        superseded, merged, moved = over
        unfinished = sum(deliveries.values()) - done - sum(over)
        arrived = len(messages) + edits >= done and not unfinished
        good = own >= 0 and arrived and not events["waiting"] and not await daemon.store.queries.count_untold_events()
        self._say("\nsummary", "bold")
        ways = f"{len(self._accepted)} by webhook, {feed.sent} by websocket, {sandbox.fabric.changes} by APIC"
        self._say(f"  {sent} events sent: {ways} subscriptions")
        if own:
            self._say(f"  {own} events of the relay itself, for its operator")
        self._say(f"  {events['total']} events on record, {events['waiting']} waiting, {events['set_aside']} set aside")
        self._say(f"  {events['suppressed']} of them changed no message")
        self._say(f"  {done} deliveries done, {superseded} superseded by newer ones, {unfinished} not done")
        self._say(f"  {merged} merged with others into a group or a storm's digest")
        self._say(f"  {moved} moved to a fallback while their room could not be reached")
        self._say(f"  {len(messages)} messages in {len(rooms)} rooms, edited {edits} times")
        self._say(f"  {sandbox.state.requests} requests to the sandbox, {sandbox.state.throttled} answered 429")
        verdict = "every event is accounted for" if good else "NOT every event is accounted for"
        self._say(f"  {verdict}", "bold green" if good else "bold red")
        return good

    @staticmethod
    async def _settle(daemon: RelayDaemon, sent: int, clock: SystemClock) -> None:
        """Wait until all events are taken and delivered, for at most `SETTLE` seconds."""
        import asyncio

        deadline = clock.now() + SETTLE
        while clock.now() < deadline:
            counts = await daemon.store.queries.counts()
            waiting = sum(counts["deliveries"].get(state, 0) for state in ("waiting", "leased"))
            if counts["events"]["total"] >= sent and not waiting and not counts["events"]["waiting"]:
                return
            await clock.wait(asyncio.Event(), 0.05)
