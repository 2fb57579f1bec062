"""The whole program with few descriptors: connections that bring no request hold up neither webhooks nor messages."""

from __future__ import annotations

import asyncio
import re
import resource
import socket
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from relay.sandbox.server import Sandbox
from tests.acceptance.harness import configure, relay_process
from tests.fakes.running import messages, until

WITHIN = 8.0
"""Seconds in which a webhook is to be answered whatever else is connected, on a machine that does other work as well.

It is less than the 10 s after which connections without a request are closed for being slow.
"""
FEW = 256
"""Descriptors of the relay."""
ENOUGH = 8_000
"""Descriptors of this process, for all its connections."""
CLOSED = re.compile(r'^relay_connections_closed_total\{reason="many"\} (\S+)$', re.MULTILINE)


def flood(address: str, count: int, text: bytes) -> list[socket.socket]:
    """Open connections one after the other that never bring a whole request; most are closed by their peer."""
    host, port = address.removeprefix("http://").split(":")
    opened = []
    for _ in range(count):
        one = socket.create_connection((host, int(port)), timeout=10)
        opened.append(one)
        with suppress(OSError):  # it is closed already
            one.send(text)
    return opened


@pytest.mark.parametrize("text", [b"", b"POST /hooks/lab HTTP/1.1\r\nHost: a\r\nX-Slow: "], ids=["idle", "half"])
@pytest.mark.parametrize("door", ["events", "admin"])
async def test_5000_connections_without_a_request_hold_up_no_webhook_and_no_message(
    tmp_path: Path, sandbox: Sandbox, text: bytes, door: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, ENOUGH), hard), hard))
    config = configure(tmp_path, sandbox)

    async def limited(process: asyncio.subprocess.Process) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FEW, FEW))

    async with relay_process(config, limited) as relay, aiohttp.ClientSession(trust_env=False) as session:
        held = await asyncio.to_thread(flood, getattr(relay, door), 5_000, text)
        try:
            for number in range(3):
                async with (
                    asyncio.timeout(WITHIN),
                    session.post(relay.events + "/hooks/lab", json={"title": f"event {number}"}) as answer,
                ):
                    assert answer.status == 202
            await until(sandbox, lambda: len(messages(sandbox)) == 3)
            async with asyncio.timeout(WITHIN), session.get(relay.admin + "/healthz") as answer:
                assert answer.status == 200
            async with session.get(relay.admin + "/metrics") as answer:
                closed = CLOSED.findall(await answer.text())
            assert float(closed[0]) > 4_000
        finally:
            for one in held:
                one.close()
