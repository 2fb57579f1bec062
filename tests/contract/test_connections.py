"""Connections whose request does not come, or that are too many: they take nothing from those that say something."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from relay.lifecycle import SystemClock
from relay.listeners.connections import (
    HEAD_TIMEOUT,
    LEAST,
    MOST,
    Connection,
    Connections,
    WatchedServer,
    most_connections,
)
from relay.listeners.site import Site
from relay.logs import make_log
from relay.ports import Clock, Log
from relay.sandbox.server import Sandbox
from tests.fakes.running import running
from tests.fakes.simulated import ManualClock


class Noticed(Connections):
    """Connections that tell what happens to them."""

    def __init__(self, most: int, clock: Clock, log: Log) -> None:
        super().__init__(most, clock, log)
        self._said: asyncio.Queue[str] = asyncio.Queue()

    def opened(self, connection: Connection) -> None:
        super().opened(connection)
        self._said.put_nowait("opened")

    def heard(self, connection: Connection) -> None:
        super().heard(connection)
        self._said.put_nowait("heard")

    def begun(self, connection: Connection) -> None:
        super().begun(connection)
        self._said.put_nowait("begun")

    async def until(self, wanted: str) -> None:
        """Wait until that has happened, once more than it was waited for."""
        said = ""
        while said != wanted:
            said = await self._said.get()


class Watched:
    """A server on loopback whose time is the test's own."""

    def __init__(self, clock: ManualClock, connections: Noticed, address: tuple[str, int]) -> None:
        self.clock, self.connections, self.address = clock, connections, address
        self._writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        """Close what was opened here."""
        for writer in self._writers:
            await closed(writer)

    async def connect(self, text: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has said so much."""
        reader, writer = await asyncio.open_connection(*self.address)
        self._writers.append(writer)
        await self.connections.until("opened")
        if text:
            writer.write(text)
            await self.connections.until("heard")
        return reader, writer


@asynccontextmanager
async def watched(most: int = 100) -> AsyncIterator[Watched]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=request.path)

    clock = ManualClock()
    async with asyncio.TaskGroup() as tasks:
        connections = Noticed(most, clock, make_log("critical", io.StringIO()))
        runner = web.ServerRunner(WatchedServer(answer, connections, access_log=None))
        await runner.setup()
        await Site(runner, connections, tasks.create_task, ("127.0.0.1", 0)).start()
        server = Watched(clock, connections, runner.addresses[0])
        try:
            yield server
        finally:
            await server.close()
            await runner.cleanup()


async def closed(*writers: asyncio.StreamWriter) -> None:
    """Close connections; their peer may have been faster."""
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_half_a_head_is_answered_408_and_one_that_drips_too() -> None:
    async with watched() as server, asyncio.timeout(10):
        reader, writer = await server.connect(b"GET /x HTTP/1.1\r\nHo")
        server.clock.time += HEAD_TIMEOUT / 2
        writer.write(b"s")  # a byte now and then is no reason to wait for longer
        await server.connections.until("heard")
        server.clock.time += HEAD_TIMEOUT / 2 + 0.1
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 408 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"
        assert len(server.connections) == 0


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with watched() as server, asyncio.timeout(10):
        reader, _ = await server.connect()
        server.clock.time += HEAD_TIMEOUT + 0.1
        assert await reader.read() == b""


async def test_the_next_head_of_a_connection_has_its_time_from_its_first_byte() -> None:
    async with watched() as server, asyncio.timeout(10):
        reader, writer = await server.connect(GET)
        assert (await reader.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        server.clock.time += 3 * HEAD_TIMEOUT  # it may idle for longer than a head may take
        writer.write(GET[:9])
        await server.connections.until("heard")
        server.clock.time += HEAD_TIMEOUT - 1.0
        writer.write(GET[9:])
        assert (await reader.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        await server.connections.until("begun")
        writer.write(GET[:9])
        await server.connections.until("heard")
        server.clock.time += HEAD_TIMEOUT + 0.1
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")


async def test_over_the_bound_the_oldest_without_a_request_is_closed() -> None:
    async with watched(most=3) as server, asyncio.timeout(10):
        oldest, _ = await server.connect()
        used, writer = await server.connect(GET)
        await used.readuntil(b"/x")
        _, _ = await server.connect()
        newest, _ = await server.connect(GET)
        assert (await newest.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        assert await oldest.read() == b""
        writer.write(GET)  # what was used before is still there
        assert (await used.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")


async def test_where_all_are_busy_a_new_one_is_told_so() -> None:
    gate = asyncio.Event()

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text="done")

    async with asyncio.TaskGroup() as tasks:
        connections = Noticed(1, SystemClock(), make_log("critical", io.StringIO()))
        runner = web.ServerRunner(WatchedServer(answer, connections, access_log=None))
        await runner.setup()
        await Site(runner, connections, tasks.create_task, ("127.0.0.1", 0)).start()
        async with asyncio.timeout(10):
            busy, writer = await asyncio.open_connection(*runner.addresses[0])
            writer.write(GET)
            await connections.until("begun")
            late, late_writer = await asyncio.open_connection(*runner.addresses[0])
            assert (await late.read()).startswith(b"HTTP/1.1 503 ")
            gate.set()
            assert (await busy.readuntil(b"done")).startswith(b"HTTP/1.1 200 OK")
            await closed(writer, late_writer)
        await runner.cleanup()


@pytest.mark.parametrize("descriptors", [20, 64, 128, 256, 1_024, 65_536, 2**20])
def test_there_are_descriptors_for_all_else_however_few_there_are(descriptors: int) -> None:
    most = most_connections(descriptors)
    assert LEAST <= most <= MOST
    if descriptors >= 128:
        assert descriptors - most >= 96


async def test_no_answer_names_a_version(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook"}, "robots": {"type": "push"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        asked = [
            ("POST", relay.events + "/hooks/lab"), ("GET", relay.events + "/healthz"), ("GET", relay.events + "/none"),
            ("GET", relay.admin + "/"), ("GET", relay.admin + "/metrics"), ("GET", relay.admin + "/none"),
            ("PUT", relay.admin + "/api/v1/status"), ("GET", relay.events + "/push/robots"),
        ]  # fmt: skip
        for method, url in asked:
            async with relay.session.request(method, url, data="{") as answer:
                assert answer.headers["Server"] == "relay", (method, url)
        for address in (relay.events, relay.admin):
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"this is no HTTP\r\n\r\n")
            said = await reader.read()
            assert b"Server: relay\r\n" in said
            assert b"aiohttp" not in said
            await closed(writer)
        async with relay.session.ws_connect(relay.events + "/push/robots") as connection:
            assert connection._response.headers["Server"] == "relay"


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1", b"GET /nothing HTTP/1.1", b"no HTTP"])
async def test_the_sandbox_names_no_version_of_a_program(sandbox: Sandbox, begin: bytes) -> None:
    host, port = sandbox.address.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(begin + b"\r\nHost: s\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    writer.close()
    assert b"server: relay\r\n" in head
    assert b"aiohttp" not in head
