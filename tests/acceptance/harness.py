"""The real process, from outside: started, spoken to, killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from relay.sandbox.server import Sandbox
from tests.fakes.looking import PATIENCE, until_seen
from tests.fakes.running import configuration

ROOT = Path(__file__).parents[2]


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
FIRST_PORT, BEHIND_PORTS = 20_000, 32_768
"""Linux gives connections the ports from 32768 on, unless it is told otherwise."""
EACH = (BEHIND_PORTS - FIRST_PORT) // WORKERS
_ports = itertools.cycle(range(FIRST_PORT + WORKER * EACH, FIRST_PORT + (WORKER + 1) * EACH))


def free_port() -> int:
    """Return a port that is free and stays so: no connection gets it, and no other worker."""
    for port in itertools.islice(_ports, EACH):
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def configure(folder: Path, sandbox: Sandbox, **changes: object) -> Path:
    listen = {"events": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{free_port()}"}
    config = folder / "relay.yaml"
    config.write_text(json.dumps(configuration(sandbox, folder, **{"listen": listen, **changes})), encoding="utf-8")
    return config


def environment(**changes: str) -> dict[str, str]:
    """The program's environment: ours, without a proxy, and with the package in reach."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", **changes}


async def command(*arguments: str, stdin: bytes = b"", cwd: Path | None = None, **env: str) -> tuple[int, str, str]:
    """Run `relay` to its end: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        *arguments,
        cwd=cwd or ROOT,
        env=environment(**env),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, out.decode(), error.decode()


class RelayProcess:
    """`relay run` as a process of its own; `lines` are its log so far."""

    def __init__(self, config: Path, process: asyncio.subprocess.Process) -> None:
        self.config = config
        self.process = process
        self.lines: list[dict[str, Any]] = []
        listen = json.loads(config.read_text(encoding="utf-8"))["listen"]
        self.events = f"http://{listen['events']}"
        self.admin = f"http://{listen['admin']}"

    async def until_ready(self) -> None:
        """Read the log until the relay listens."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while raw := await self.process.stderr.readline():
                line = json.loads(raw)
                self.lines.append(line)
                if line["event"] == "listening":
                    return
        raise AssertionError(f"the relay did not start: {self.lines}")

    async def ended(self) -> int:
        """Wait for the end; its exit code."""
        async with asyncio.timeout(PATIENCE):
            _, error = await self.process.communicate()
        self.lines += [json.loads(line) for line in error.decode().splitlines() if line.startswith("{")]
        assert self.process.returncode is not None
        return self.process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def get(self, session: aiohttp.ClientSession, path: str) -> Any:
        """Get a document of the admin address."""
        async with session.get(self.admin + path) as answer:
            return await answer.json()

    async def until_shown(self, session: aiohttp.ClientSession, path: str, fits: Callable[[Any], object] = bool) -> Any:
        """Wait until a document of the admin address fits; return that."""
        return await until_seen(lambda: self.get(session, path), fits)


@asynccontextmanager
async def relay_process(
    config: Path, early: Callable[[asyncio.subprocess.Process], Awaitable[None]] | None = None
) -> AsyncIterator[RelayProcess]:
    """A running `relay run`, killed at the end where it still runs; `early` is called before it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "relay",
        "run",
        "-c",
        str(config),
        env=environment(),
        cwd=config.parent,
        stderr=asyncio.subprocess.PIPE,
    )
    started = RelayProcess(config, process)
    try:
        if early is not None:
            await early(process)
        await started.until_ready()
        yield started
    finally:
        if process.returncode is None:
            process.kill()
            await started.ended()
