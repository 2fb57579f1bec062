"""Reloads and restarts under load, behind a socket: `python -m tests.acceptance.changing --reloads 50 --restarts 20`.

Webhooks are posted at an even rate, each over a connection of its own, to a socket that is held as systemd holds it.
Prints what was accepted and what stands in the room, and ends with 1 where a webhook was refused, an event lost or
doubled, or a feed connected again that had not changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from websockets.asyncio.server import ServerConnection, serve

from relay.lifecycle import SystemClock
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.acceptance.harness import environment, free_port
from tests.fakes.looking import until_seen
from tests.fakes.running import ROOM, configuration, messages, started_sandbox

WORKERS = 300
SLOW = 0.3
"""Seconds that the send takes that each reload and each restart meets."""
PATIENCE = 120.0


class Figures(msgspec.Struct, kw_only=True):
    """What came of it."""

    seconds: float = 0.0
    accepted: int = 0
    refused: int = 0
    on_record: int = 0
    lost: int = 0
    doubled: int = 0
    starts: int = 0
    good_reloads: int = 0
    bad_reloads: int = 0
    connections: dict[str, int] = {}

    @property
    def good(self) -> bool:
        """True where every promise was kept."""
        expected = {"steady": self.starts, "changing": self.starts + self.good_reloads}
        kept = not (self.refused or self.lost or self.doubled) and self.on_record == self.accepted
        return kept and self.connections == expected


class Posting:
    """Posts numbered events, each over a connection of its own, at a rate at the most."""

    def __init__(self, address: str, rate: float) -> None:
        self.accepted: list[str] = []
        self.refused: list[int] = []
        self.stop = asyncio.Event()
        self._address = address
        self._rate = rate
        self._clock = SystemClock()
        self._began = self._clock.now()
        self._next = 0

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Post until it is told to stop."""
        while not self.stop.is_set():
            number, self._next = self._next, self._next + 1
            await self._clock.wait(self.stop, max(0.0, self._began + number / self._rate - self._clock.now()))
            title = f"event {number}"
            async with session.post(self._address, json={"title": title}) as answer:
                taken = answer.status == 202 and (await answer.json())["accepted"] == 1
                (self.accepted if taken else self.refused).append(title if taken else answer.status)  # type: ignore[arg-type]


class Behind:
    """A relay behind a socket that is given to it as systemd gives one."""

    def __init__(self, held: socket.socket, config: Path) -> None:
        self._held = held
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._said = b""
        self.admin = ""

    async def start(self) -> None:
        """Start a process, and wait until it listens at its admin address."""
        script = 'exec 3<&"$1"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=events exec "$2" -m relay run -c "$3"'
        with self._config.with_suffix(".log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "bash",
                "-c",
                script,
                "bash",
                str(self._held.fileno()),
                sys.executable,
                str(self._config),
                pass_fds=[self._held.fileno()],
                env=environment(),
                cwd=self._config.parent,
                stderr=log,
            )
        self.admin = f"http://{json.loads(self._config.read_text(encoding='utf-8'))['listen']['admin']}"

    async def stop(self) -> None:
        """Stop it in good order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert await self._process.wait() == 0

    async def ask(self, session: aiohttp.ClientSession, method: str, path: str) -> tuple[int, Any]:
        """An answer of the admin address, as soon as there is one."""

        async def ask() -> tuple[int, Any] | None:
            try:
                async with session.request(method, self.admin + path) as answer:
                    return answer.status, await answer.json()
            except aiohttp.ClientConnectionError:
                return None  # it starts still

        found = await until_seen(ask, bool, patience=PATIENCE)
        assert found is not None
        return found


async def change_under_load(folder: Path, *, reloads: int, restarts: int, rate: float) -> Figures:
    """Reload (good and bad in turn) and restart, spread over one another, while webhooks come."""
    figures, clock = Figures(), SystemClock()
    connections: Counter[str] = Counter()

    async def feed(connection: ServerConnection) -> None:
        assert connection.request is not None
        connections[connection.request.path.strip("/")] += 1
        await connection.wait_closed()

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(4_096)
        posting = Posting(f"http://127.0.0.1:{held.getsockname()[1]}/hooks/lab", rate)
        connector = aiohttp.TCPConnector(force_close=True)
        client = aiohttp.ClientSession(connector=connector, trust_env=False)
        async with started_sandbox() as sandbox, serve(feed, "127.0.0.1", 0) as server, client as session:
            port = next(iter(server.sockets)).getsockname()[1]
            writer = Writer(folder, sandbox, f"ws://127.0.0.1:{port}")
            relay = Behind(held, writer.write())
            began = clock.now()
            async with asyncio.TaskGroup() as tasks:
                await relay.start()
                for _ in range(WORKERS):
                    tasks.create_task(posting.run(session))
                await work(relay, writer, session, figures, connections, sandbox, reloads, restarts)
                posting.stop.set()
            figures.seconds = clock.now() - began
            await settle(relay, session, sandbox, len(posting.accepted))
            await relay.stop()
            count(figures, folder, posting, sandbox)
    figures.connections = dict(connections)
    return figures


class Writer:
    """Writes configurations: one feed is the same in all of them, the other differs in each good one."""

    def __init__(self, folder: Path, sandbox: Sandbox, feeds: str) -> None:
        self._folder = folder
        self._sandbox = sandbox
        self._feeds = feeds
        self._listen = {"events": "127.0.0.1:0", "admin": f"127.0.0.1:{free_port()}"}
        self._number = 0

    def write(self, *, good: bool = True) -> Path:
        """Write the next one."""
        self._number += good
        sources = {
            "lab": {"type": "webhook"},
            "steady": {"type": "websocket", "url": f"{self._feeds}/steady"},
            "changing": {"type": "websocket", "url": f"{self._feeds}/changing", "labels": {"n": str(self._number)}},
        }
        rooms = {"noc": {**ROOM, "digest_over": 1_000_000}}
        route = {"rooms": ["noc" if good else "nowhere"]}
        file = self._folder / "relay.yaml"
        made = configuration(
            self._sandbox, self._folder, listen=self._listen, sources=sources, rooms=rooms, route=route
        )
        file.write_text(json.dumps(made), encoding="utf-8")
        return file


async def work(
    relay: Behind,
    writer: Writer,
    session: aiohttp.ClientSession,
    figures: Figures,
    connections: Counter[str],
    sandbox: Sandbox,
    reloads: int,
    restarts: int,
) -> None:
    """All reloads and restarts, one after another, each during a slow send; each waits until the feeds stand."""
    figures.starts = 1
    await until_connected(relay, session, connections, figures)
    for number in range(max(reloads, restarts)):
        if number < reloads:
            good = number % 2 == 0
            writer.write(good=good)
            sandbox.state.faults = [Fault(latency=SLOW, count=1)]
            status, _ = await relay.ask(session, "POST", "/-/reload")
            assert status == (200 if good else 422)
            figures.good_reloads += good
            figures.bad_reloads += not good
            await until_connected(relay, session, connections, figures)
        if number * restarts // max(reloads, 1) != (number + 1) * restarts // max(reloads, 1) or number >= reloads:
            sandbox.state.faults = [Fault(latency=SLOW, count=1)]
            await relay.stop()
            writer.write()
            await relay.start()
            figures.starts += 1
            await until_connected(relay, session, connections, figures)


async def until_connected(
    relay: Behind, session: aiohttp.ClientSession, connections: Counter[str], figures: Figures
) -> None:
    """Wait until both feeds are connected, and as often as was to be."""

    def connected(answer: tuple[int, Any]) -> bool:
        there = all(feed["connected"] for feed in answer[1]["feeds"])
        return there and connections["changing"] >= figures.starts + figures.good_reloads

    await until_seen(lambda: relay.ask(session, "GET", "/api/v1/status"), connected, patience=PATIENCE)


async def settle(relay: Behind, session: aiohttp.ClientSession, sandbox: Sandbox, accepted: int) -> None:
    """Wait until all that was accepted stands in the room."""

    def posted(answer: tuple[int, Any]) -> bool:
        return answer[1]["deliveries"].get("done", 0) >= accepted and len(messages(sandbox)) >= accepted

    await until_seen(lambda: relay.ask(session, "GET", "/api/v1/status"), posted, patience=PATIENCE + accepted / 20)


def count(figures: Figures, folder: Path, posting: Posting, sandbox: Sandbox) -> None:
    """Account for every event."""
    told = Counter(message.text.splitlines()[0].split(" · ")[1] for message in messages(sandbox))
    figures.accepted, figures.refused = len(posting.accepted), len(posting.refused)
    figures.lost = sum(title not in told for title in posting.accepted)
    figures.doubled = sum(number - 1 for number in told.values())
    with sqlite3.connect(f"file:{folder}/relay.db?mode=ro", uri=True) as database:
        (figures.on_record,) = database.execute("SELECT count(*) FROM events").fetchone()


def main() -> None:
    """Run it as asked, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(
            change_under_load(Path(folder), reloads=given.reloads, restarts=given.restarts, rate=given.rate)
        )
    for name, value in msgspec.structs.asdict(figures).items():
        print(f"{name:>14} {value}")
    print(f"{'rate':>14} {figures.accepted / figures.seconds:.0f}/s")
    sys.exit(0 if figures.good else 1)


if __name__ == "__main__":
    main()
