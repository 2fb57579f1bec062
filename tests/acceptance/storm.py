"""A storm at full size: `python -m tests.acceptance.storm`.

2,000 events come in 10 s, for a room that takes one request a second. Prints what stands in the room afterwards, and
ends with 1 where a promise is not kept.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from relay.lifecycle import SystemClock
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message
from tests.fakes.looking import until_seen
from tests.fakes.running import ROOM, Running, is_settled, running, started_sandbox

EVENTS, SECONDS, CRITICALS = 2_000, 10.0, 50
BATCHES = 100
PATIENCE = 600.0
"""Seconds that a failing run may take, so that it can tell its figures."""


def titles() -> list[str]:
    """The events' titles, told apart at sight."""
    return [f"fault {n} at node-{n}" for n in range(EVENTS)]


async def send(relay: Running, clock: SystemClock) -> None:
    """Post the storm at an even rate; every fortieth is critical."""
    began, each = clock.now(), EVENTS // BATCHES
    for batch in range(BATCHES):
        events = [
            {
                "title": title,
                "status": "firing",
                "key": title,
                "severity": "critical" if number % (EVENTS // CRITICALS) == 0 else "minor",
            }
            for number, title in list(enumerate(titles()))[batch * each : (batch + 1) * each]
        ]
        status, _ = await relay.post(events)
        assert status == 202
        await clock.wait(asyncio.Event(), max(0.0, began + SECONDS * (batch + 1) / BATCHES - clock.now()))


async def watch(relay: Running, clock: SystemClock, seen: dict[str, float], over: asyncio.Event) -> None:
    """Note when each critical was first to be read by name."""
    while not over.is_set():
        changed = relay.sandbox.state.changed
        text = "\n".join(message.text for message in relay.messages())
        for number in range(0, EVENTS, EVENTS // CRITICALS):
            if f"{titles()[number]}\n" in text + "\n":
                seen.setdefault(titles()[number], clock.now())
        await clock.wait(changed, 0.2)


async def measure(folder: Path) -> bool:
    """Run the storm; return whether every promise was kept."""
    clock = SystemClock()
    async with started_sandbox() as sandbox, running_storm(folder, sandbox) as relay:
        sandbox.state.limit(1.0)
        seen: dict[str, float] = {}
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(relay, clock, seen, over))
            began = clock.now()
            await send(relay, clock)
            ended = clock.now()
            await until_seen(
                lambda: relay.get("/api/v1/status"),
                lambda answer: is_settled(answer[1]) and attached(relay) is not None,
                patience=PATIENCE,
            )
            gone = clock.now() - ended
            over.set()
            sandbox.state.touch()
        messages = relay.messages()
        missing = EVENTS - len(told(relay))
        sent_at = {titles()[n]: began + SECONDS * n / EVENTS for n in range(0, EVENTS, EVENTS // CRITICALS)}
        slowest = max(seen[title] - sent_at[title] for title in seen) if seen else float("inf")
        untold = await relay.daemon.store.queries.count_untold_events()
    print(f"{len(messages)} messages (20 at the most), {sum(m.edits for m in messages)} edits")
    print(f"{missing} events neither in a post nor in the list, {untold} untold (0)")
    print(f"{len(seen)} of {CRITICALS} criticals were to be read by name, the slowest after {slowest:.1f} s (10)")
    print(f"nothing waited any more {gone:.1f} s after the storm (30)")
    return (
        len(messages) <= 20 and not missing and not untold and len(seen) == CRITICALS and slowest <= 10 and gone <= 30
    )


def running_storm(folder: Path, sandbox: Sandbox) -> AbstractAsyncContextManager[Running]:
    """A relay with the room as it is configured by default."""
    return running(folder, sandbox, rooms={"noc": ROOM})


def attached(relay: Running) -> Message | None:
    """The message with the full list."""
    return next((message for message in relay.messages() if message.file is not None), None)


def told(relay: Running) -> set[str]:
    """The events that stand in a post or in the list."""
    found = {message.text.splitlines()[0].split(" · ")[1] for message in relay.messages() if " · fault" in message.text}
    for message in relay.messages():
        if message.file is not None:
            found |= {line.split("\t")[4] for line in message.file.content.decode().splitlines()}
    return found & set(titles())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(0 if asyncio.run(measure(Path(place))) else 1)
