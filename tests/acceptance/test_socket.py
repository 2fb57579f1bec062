"""Socket activation: systemd listens, and the relay may restart behind it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import aiohttp

from tests.acceptance.harness import environment
from tests.acceptance.test_process import configure
from tests.fakes.running import started_sandbox


class Posting:
    """Posts events one after another, each over a connection of its own."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[int, int | None]] = []
        self.stop = asyncio.Event()
        self._address = address
        self._more = asyncio.Event()

    async def run(self, session: aiohttp.ClientSession) -> None:
        while not self.stop.is_set():
            async with session.post(self._address, json={"title": "x"}) as answer:
                self.answers.append((answer.status, (await answer.json()).get("accepted")))
                self._more.set()

    async def until_more(self, count: int) -> None:
        wanted = len(self.answers) + count
        async with asyncio.timeout(30):
            while len(self.answers) < wanted:
                self._more.clear()
                await self._more.wait()


async def started_behind(held: socket.socket, config: Path) -> asyncio.subprocess.Process:
    """A relay that is given a socket as systemd gives it."""
    script = 'exec 3<&"$1"; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=events exec "$2" -m relay run -c "$3"'
    return await asyncio.create_subprocess_exec(
        "bash", "-c", script, "bash", str(held.fileno()), sys.executable, str(config), pass_fds=[held.fileno()],
        env=environment(), cwd=config.parent, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(relay: asyncio.subprocess.Process) -> int | None:
    relay.send_signal(signal.SIGTERM)
    await relay.communicate()
    return relay.returncode


async def test_no_webhook_is_refused_while_the_relay_restarts(tmp_path: Path) -> None:
    async with started_sandbox() as sandbox:
        config = configure(tmp_path, sandbox)
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            held.listen(4_096)
            posting = Posting(f"http://127.0.0.1:{held.getsockname()[1]}/hooks/lab")
            connector = aiohttp.TCPConnector(force_close=True)
            client = aiohttp.ClientSession(connector=connector, trust_env=False)
            async with client as session, asyncio.TaskGroup() as tasks:
                for _ in range(4):
                    tasks.create_task(posting.run(session))
                for _ in range(3):
                    relay = await started_behind(held, config)
                    await posting.until_more(50)
                    assert await ended(relay) == 0
                relay = await started_behind(held, config)
                posting.stop.set()
            assert await ended(relay) == 0
    assert set(posting.answers) == {(202, 1)}
    with sqlite3.connect(f"file:{tmp_path}/relay.db?mode=ro", uri=True) as database:
        (count,) = database.execute("SELECT count(*) FROM events").fetchone()
    assert count == len(posting.answers)
