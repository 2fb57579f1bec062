"""A relay in the test's own loop, beside a sandbox: real HTTP, real SQLite, real websockets, all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from relay.app.running.daemon import RelayDaemon
from relay.app.running.process import serve
from relay.formats import FORMATS
from relay.lifecycle import Lifecycle, SystemClock
from relay.logs import make_log
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Message
from relay.settings.load import load
from tests.fakes.looking import PATIENCE, Happenings, NotedLifecycle, NotedLog, until_seen

T = TypeVar("T")
TOKEN = "token-of-the-tests"
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
        self,
        daemon: RelayDaemon,
        lifecycle: Lifecycle,
        sandbox: Sandbox,
        session: aiohttp.ClientSession,
        log: Path,
        happenings: Happenings,
    ) -> None:
        self.daemon = daemon
        self.lifecycle = lifecycle
        self.sandbox = sandbox
        self.session = session
        self.events = f"http://{daemon.events_address}"
        self.admin = f"http://{daemon.admin_address}"
        self.log = log
        self._happenings = happenings
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

    async def until_seen(self, look: Callable[[], Awaitable[T]], fits: Callable[[T], object] = bool) -> T:
        """Wait until what is seen fits; return that."""
        return await until_seen(look, fits, self._happenings)

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something is true of the relay or the sandbox."""

        async def look() -> object:
            return true()

        await self.until_seen(look)

    async def until_shown(self, path: str, fits: Callable[[Any], object] = bool) -> Any:
        """Wait until a document of the admin address fits; return that."""

        async def look() -> Any:
            return (await self.get(path))[1]

        return await self.until_seen(look, fits)

    async def until_logged(self, event: str) -> None:
        """Wait for a line of the log."""
        await self.until(lambda: f'"event": "{event}"' in self.log.read_text(encoding="utf-8"))

    async def until_state(self, state: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many deliveries are in a state; return those, oldest first."""
        path = f"/api/v1/deliveries?state={state}&limit=10000"
        return list(reversed(await self.until_shown(path, lambda found: len(found) >= count)))

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
    """Wait until nothing is left to plan or to send; return the status."""
    return dict(await relay.until_shown("/api/v1/status", is_settled))


def is_settled(status: dict[str, Any]) -> bool:
    """Return whether a status says that nothing is left to plan or to send."""
    return not (status["events"]["waiting"] or any(status["deliveries"].get(name) for name in ("waiting", "leased")))


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


async def note_changes(sandbox: Sandbox, happenings: Happenings) -> None:
    """Note what changes in a sandbox."""
    while True:
        await sandbox.state.changed.wait()
        happenings.note()


@asynccontextmanager
async def running(folder: Path, sandbox: Sandbox, **changes: Any) -> AsyncIterator[Running]:
    """A relay in this loop, stopped in good order at the end."""
    file = folder / "relay.yaml"
    file.write_text(json.dumps(configuration(sandbox, folder, **changes)), encoding="utf-8")
    happenings = Happenings()
    with NotedLog(folder / "relay.log", happenings) as stream:
        log = make_log("debug", stream)
        lifecycle = NotedLifecycle(log, SystemClock(), happenings)
        ready: asyncio.Future[RelayDaemon] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession(trust_env=False) as session:
            tasks.create_task(
                serve(load(file, FORMATS), log, lifecycle=lifecycle, signals=False, on_ready=ready.set_result)
            )
            noting = tasks.create_task(note_changes(sandbox, happenings))
            yield Running(await ready, lifecycle, sandbox, session, folder / "relay.log", happenings)
            lifecycle.stop()
            noting.cancel()
    said = (folder / "relay.log").read_text(encoding="utf-8")
    assert not [bug for bug in BUGS if f'"event": "{bug}"' in said], said
