"""A relay in the test's own loop, beside a sandbox: real HTTP, real SQLite, real websockets, all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from relay.app.daemon import RelayDaemon
from relay.app.run import serve
from relay.formats import FORMATS
from relay.lifecycle import Lifecycle, SystemClock
from relay.logs import make_log
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message
from relay.settings.load import load

TOKEN = "token-of-the-tests"
PATIENCE = 45.0
BUGS = ("plan_failed", "alert_not_looked_at", "group_not_looked_at", "event_set_aside", "delivery_bug")
"""What the log says where a border has caught what nothing should have raised."""
ROOM = {"account": "webex", "title": "NOC", "create": True}


def configuration(sandbox: Sandbox, folder: Path, **changes: Any) -> dict[str, Any]:
    """A small configuration; top-level keys are replaced by `changes`."""
    base: dict[str, Any] = {
        "listen": {"events": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "storage": f"sqlite:{folder}/relay.db",
        "accounts": {"webex": {"type": "webex", "url": f"{sandbox.address}/v1", "token": TOKEN}},
        "rooms": {"noc": {**ROOM, "digest_over": 10_000}},
        "sources": {"lab": {"type": "webhook"}},
        "route": {"rooms": ["noc"]},
        "retry": {"first": "10ms", "longest": "50ms"},
    }
    return {**base, **changes}


class Running:
    """A relay that runs, and how to speak to it."""

    def __init__(
        self, daemon: RelayDaemon, lifecycle: Lifecycle, sandbox: Sandbox, session: aiohttp.ClientSession, log: Path
    ) -> None:
        self.daemon = daemon
        self.lifecycle = lifecycle
        self.sandbox = sandbox
        self.session = session
        self.events = f"http://{daemon.events_address}"
        self.admin = f"http://{daemon.admin_address}"
        self.log = log
        self.file = Path(daemon.arrangement.loaded.file)

    async def reload(self, **changes: Any) -> tuple[int, Any]:
        """Write another configuration, and have it loaded; the answer's status and body."""
        self.write(**changes)
        async with self.session.post(f"{self.admin}/-/reload") as answer:
            return answer.status, await answer.json()

    def write(self, **changes: Any) -> None:
        """Write another configuration in the place of the one that was read."""
        base = configuration(self.sandbox, self.file.parent, **changes)
        self.file.write_text(json.dumps(base), encoding="utf-8")

    async def post(self, payload: Any, path: str = "/hooks/lab", **options: Any) -> tuple[int, Any]:
        """Post JSON; the answer's status and body."""
        async with self.session.post(self.events + path, json=payload, **options) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """Get a document of the admin address."""
        async with self.session.get(self.admin + path, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if answer.content_type == "application/json" else text

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of the sandbox."""
        await until(self.sandbox, true)

    async def until_state(self, state: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many deliveries are in a state; those deliveries, oldest first."""
        async with asyncio.timeout(PATIENCE):
            while True:
                _, found = await self.get(f"/api/v1/deliveries?state={state}&limit=10000")
                if len(found) >= count:
                    return list(reversed(found))

    def messages(self, title: str = "NOC") -> list[Message]:
        """A room's messages, oldest first."""
        return messages(self.sandbox, title)


def top(relay: Running) -> list[Message]:
    """Return the messages that are no replies."""
    return [message for message in relay.messages() if message.parent is None]


def replies(relay: Running) -> list[str]:
    """Return the texts of all threads."""
    return [message.text for message in relay.messages() if message.parent is not None]


async def settled(relay: Running) -> dict[str, Any]:
    """Wait until nothing is left to plan or to send; the status."""
    async with asyncio.timeout(PATIENCE):
        while True:
            _, status = await relay.get("/api/v1/status")
            left = sum(status["deliveries"].get(name, 0) for name in ("waiting", "leased"))
            if not left and not status["events"]["waiting"]:
                return dict(status)


def messages(sandbox: Sandbox, title: str = "NOC") -> list[Message]:
    """The messages of all rooms with a title, oldest first."""
    return [m for room in sandbox.state.rooms.values() if room.title == title for m in room.messages.values()]


async def until(sandbox: Sandbox, true: Callable[[], bool]) -> None:
    """Wait until something is true of a sandbox."""
    async with asyncio.timeout(PATIENCE):
        while True:
            changed = sandbox.state.changed
            if true():
                return
            await changed.wait()


@asynccontextmanager
async def started_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox on loopback."""
    sandbox = Sandbox(SystemClock().wall, TOKEN)
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.stop()


@asynccontextmanager
async def running(folder: Path, sandbox: Sandbox, **changes: Any) -> AsyncIterator[Running]:
    """A relay in this loop, stopped in good order at the end."""
    file = folder / "relay.yaml"
    file.write_text(json.dumps(configuration(sandbox, folder, **changes)), encoding="utf-8")
    with (folder / "relay.log").open("a", encoding="utf-8") as stream:
        log = make_log("debug", stream)
        lifecycle = Lifecycle(log, SystemClock())
        ready: asyncio.Future[RelayDaemon] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession(trust_env=False) as session:
            tasks.create_task(
                serve(load(file, FORMATS), log, lifecycle=lifecycle, signals=False, on_ready=ready.set_result)
            )
            yield Running(await ready, lifecycle, sandbox, session, folder / "relay.log")
            lifecycle.stop()
    said = (folder / "relay.log").read_text(encoding="utf-8")
    assert not [bug for bug in BUGS if f'"event": "{bug}"' in said], said
