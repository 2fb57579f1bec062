"""Connections whose request does not come, or that are too many: they take nothing from those that say something."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from aiohttp import web

from relay.listeners.connections import (
    BETWEEN_NOTES,
    CALM,
    HEAD_TIMEOUT,
    LEAST,
    LEAST_PATIENCE,
    MOST,
    PATIENCE,
    SLOW,
    Closed,
    Connections,
    Peer,
    State,
    most_connections,
)
from relay.listeners.server import EventsServer
from relay.listeners.site import Site, bind
from relay.logs import make_log
from relay.ports import Clock, Log, Spawn
from relay.sandbox.server import Sandbox
from tests.fakes.running import running
from tests.fakes.simulated import ManualClock


class Noticed(Connections):
    """Connections that tell what happens to them."""

    def __init__(self, most: int, clock: Clock, log: Log) -> None:
        self.closings: Counter[Closed] = Counter()
        super().__init__("events", most, clock, log, lambda why: self.closings.update([why]))
        self._said: asyncio.Queue[str] = asyncio.Queue()

    def has_room(self) -> bool:
        found = super().has_room()
        if not found:
            self._said.put_nowait("full")
        return found

    def accepted(self, peer: Peer) -> None:
        super().accepted(peer)
        self._said.put_nowait("accepted")

    def opened(self, peer: Peer) -> None:
        super().opened(peer)
        self._said.put_nowait("opened")

    def heard(self, peer: Peer) -> None:
        super().heard(peer)
        self._said.put_nowait("heard")

    def begun(self, peer: Peer) -> None:
        super().begun(peer)
        self._said.put_nowait("begun")

    def closed(self, peer: Peer) -> None:
        super().closed(peer)
        self._said.put_nowait("closed")

    async def until(self, *wanted: str) -> None:
        """Wait until one of these has happened, once more than it was waited for."""
        said = ""
        while said not in wanted:
            said = await self._said.get()

    async def until_there_are(self, count: int) -> None:
        """Wait until there are so many."""
        while len(self) != count:
            await self._said.get()


class Watched:
    """A server on loopback whose time is the test's own."""

    def __init__(self, clock: ManualClock, connections: Noticed, site: Site, server: EventsServer) -> None:
        self.clock, self.connections, self.site, self.server = clock, connections, site, server
        self.address: tuple[str, int] = site.sockets[0].getsockname()
        self._writers: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        """Close what was opened here."""
        for writer in self._writers:
            await closed(writer)

    async def connect(self, text: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that has said so much."""
        reader, writer = await self.knock()
        await self.connections.until("opened")  # as a socket
        await self.connections.until("opened")  # as a connection
        if text:
            writer.write(text)
            await self.connections.until("heard", "begun")
        return reader, writer

    async def knock(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that may still wait in the kernel."""
        reader, writer = await asyncio.open_connection(*self.address)
        self._writers.append(writer)
        return reader, writer


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text=request.path)


@asynccontextmanager
async def watched(
    most: int = 100,
    context: ssl.SSLContext | None = None,
    answer: Callable[[web.BaseRequest], Any] = echo,
    spawn: Spawn | None = None,
) -> AsyncIterator[Watched]:
    clock = ManualClock()
    async with asyncio.TaskGroup() as tasks:
        connections = Noticed(most, clock, make_log("critical", io.StringIO()))
        server = EventsServer(answer, connections, access_log=None)
        runner = web.ServerRunner(server)
        await runner.setup()
        site = Site(runner, connections, spawn or tasks.create_task, ("127.0.0.1", 0), bind("127.0.0.1", 0), context)
        await site.start()
        found = Watched(clock, connections, site, server)
        try:
            yield found
        finally:
            await found.close()
            await runner.cleanup()


async def closed(*writers: asyncio.StreamWriter) -> None:
    """Close connections; their peer may have been faster."""
    for writer in writers:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(made)
    return made


def stranger() -> ssl.SSLContext:
    """A client's context that trusts any certificate."""
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


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
    async with watched(most=4) as server, asyncio.timeout(10):
        used, writer = await server.connect(GET)
        await used.readuntil(b"/x")
        oldest, _ = await server.connect()
        _, _ = await server.connect()
        _, _ = await server.connect()
        server.clock.time += PATIENCE
        newest, _ = await server.connect(GET)
        assert (await newest.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        assert await oldest.read() == b""
        writer.write(GET)  # what was used before is still there
        assert (await used.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        assert server.connections.closings == {"many": 1}


async def test_a_connection_that_was_just_accepted_is_spared_and_the_next_one_waits_in_the_kernel() -> None:
    async with watched(most=1) as server, asyncio.timeout(10):
        first, writer = await server.connect()
        second, second_writer = await server.knock()
        second_writer.write(GET)
        for _ in range(3):
            await server.connections.until("full")
        writer.write(LAST)
        assert (await first.read()).startswith(b"HTTP/1.1 200 OK")
        assert (await second.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        assert server.connections.closings == {}


async def test_where_all_are_busy_a_new_one_waits_for_room() -> None:
    gate = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text=request.path)

    async with watched(most=1, answer=answer) as server, asyncio.timeout(10):
        busy, _ = await server.connect(LAST)
        late, writer = await server.knock()
        writer.write(GET)
        await server.connections.until("full")
        gate.set()
        assert (await busy.read()).startswith(b"HTTP/1.1 200 OK")
        assert (await late.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")


async def test_where_all_have_been_busy_for_long_a_new_one_is_refused() -> None:
    gate = asyncio.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await gate.wait()
        return web.Response(text=request.path)

    async with watched(most=1, answer=answer) as server, asyncio.timeout(10):
        busy, _ = await server.connect(LAST)
        late, writer = await server.knock()
        writer.write(GET)
        await server.connections.until("full")
        server.clock.time += SLOW
        said = await late.read()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_many"
        assert server.connections.closings == {"many": 1}
        gate.set()
        assert (await busy.read()).startswith(b"HTTP/1.1 200 OK")


async def test_a_burst_of_whole_requests_over_the_bound_is_answered_whole() -> None:
    async with watched(most=8) as server, asyncio.timeout(20):

        async def ask() -> bytes:
            reader, writer = await server.knock()
            writer.write(LAST)
            return (await reader.read())[:15]

        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(ask()) for _ in range(200)]
        assert {one.result() for one in asked} == {b"HTTP/1.1 200 OK"}
        assert server.connections.closings == {}


async def test_half_a_head_behind_a_request_has_its_time_too_and_an_idle_connection_has_more() -> None:
    async with watched() as server, asyncio.timeout(10):
        idle, idle_writer = await server.connect(GET)
        await idle.readuntil(b"/x")
        half, _ = await server.connect(GET + GET[:9])
        assert (await half.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        server.clock.time += HEAD_TIMEOUT + 0.1
        assert (await half.read()).startswith(b"HTTP/1.1 408 ")
        idle_writer.write(GET)
        assert (await idle.readuntil(b"/x")).startswith(b"HTTP/1.1 200 OK")
        assert server.connections.closings == {"slow": 1}


LOOPS = [uvloop.new_event_loop, asyncio.new_event_loop]


@pytest.mark.parametrize("loop", LOOPS, ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("answered", [0, 1])
def test_clients_that_leave_amid_their_requests_leave_nothing_behind(
    loop: Callable[[], asyncio.AbstractEventLoop], answered: int
) -> None:
    async def leave() -> int:
        async with watched(most=1_000) as server, asyncio.timeout(20):

            def hit() -> None:
                for _ in range(50):
                    with suppress(OSError), socket.create_connection(server.address) as one:
                        one.send(GET * 5)
                        one.recv(100 * answered)
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

            async with asyncio.TaskGroup() as tasks:
                for _ in range(6):
                    tasks.create_task(asyncio.to_thread(hit))
            reader, writer = await server.knock()
            writer.write(LAST)
            await reader.read()  # all that came before it were accepted before it
        return len(server.connections)

    assert on(loop, leave()) == 0


def on(loop: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[Any, Any, int]) -> int:
    """Run something in a loop of its own."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


@pytest.mark.parametrize("loop", LOOPS, ids=["uvloop", "asyncio"])
def test_handshakes_that_do_not_end_give_way_are_overdue_and_do_not_hold_up_a_stop(
    loop: Callable[[], asyncio.AbstractEventLoop], context: ssl.SSLContext
) -> None:
    async def shake() -> int:
        async with watched(most=2, context=context) as server, asyncio.timeout(10):
            oldest, _ = await server.knock()
            await server.connections.until("accepted")
            server.clock.time += 1.0
            second, _ = await server.knock()
            await server.connections.until("accepted")
            server.clock.time += PATIENCE
            reader, writer = await asyncio.open_connection(*server.address, ssl=stranger())
            writer.write(LAST)
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            await closed(writer)
            assert await oldest.read() == b""
            server.clock.time += HEAD_TIMEOUT
            assert await second.read() == b""
            assert server.connections.closings == {"many": 1, "slow": 1}
            last, _ = await server.knock()
            await server.connections.until("accepted")
            await server.site.stop()
            assert await last.read() == b""
        return len(server.connections)

    assert on(loop, shake()) == 0


@pytest.mark.parametrize("loop", LOOPS, ids=["uvloop", "asyncio"])
def test_handshakes_that_fail_leave_nothing_that_a_stop_waits_for(
    loop: Callable[[], asyncio.AbstractEventLoop], context: ssl.SSLContext
) -> None:
    async def fail() -> int:
        async with watched(context=context) as server, asyncio.timeout(10):
            for _ in range(5):
                reader, writer = await server.knock()
                writer.write(GET)
                with suppress(ConnectionError):
                    await reader.read()
            await server.connections.until_there_are(0)
            async with asyncio.timeout(1):
                await server.server.answered()
        return len(server.connections)

    assert on(loop, fail()) == 0


async def test_a_connection_that_comes_after_its_tasks_have_ended_is_closed() -> None:
    async with asyncio.TaskGroup() as ended:
        pass
    async with watched(spawn=ended.create_task) as server, asyncio.timeout(10):
        reader, _ = await server.knock()
        assert await reader.read() == b""
        assert len(server.connections) == 0


@pytest.mark.parametrize(
    "missing", [(socket.AF_IPX, "::1"), (socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.1")]
)
def test_an_address_that_this_machine_does_not_have_is_skipped_unless_it_is_the_only_one(
    missing: tuple[int, str],
) -> None:
    def bound(*families: tuple[int, str]) -> int:
        found = [(family, socket.SOCK_STREAM, 6, "", (host, 0)) for family, host in families]
        sockets = bind("localhost", 0, lambda *_, **__: found)
        for one in sockets:
            one.close()
        return len(sockets)

    assert bound(missing, (socket.AF_INET, "127.0.0.1")) == 1
    with pytest.raises(OSError, match=r"\[Errno \d+\]"):
        bound(missing)


class Fake:
    """A connection without a network; it records what it was closed with."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def close_now(self, answer: bytes) -> None:
        """Record it."""
        self.answers.append(answer)


def standing(door: Connections, clock: ManualClock, states: Iterable[State]) -> list[Fake]:
    """Add connections in these states, one a second."""
    made = []
    for state in states:
        one = Fake()
        made.append(one)
        door.accepted(one)
        if state in (State.BUSY, State.IDLE):
            door.begun(one)
        if state is State.IDLE:
            door.answered(one)
        if state is State.HEAD:
            door.heard(one)
        clock.time += 1.0
    return made


SILENT, HEAD, BUSY, IDLE = State.SILENT, State.HEAD, State.BUSY, State.IDLE


@pytest.mark.parametrize(
    ("states", "gone"),
    [
        ((IDLE, HEAD, SILENT, SILENT), 2),
        ((IDLE, BUSY, HEAD, HEAD), 2),
        ((BUSY, IDLE, IDLE, BUSY), 1),
        ((IDLE, HEAD, IDLE, SILENT), 3),
        ((BUSY, BUSY, BUSY, BUSY), None),
    ],
)
async def test_silent_ones_give_way_first_then_half_heads_then_idle_ones(
    states: tuple[State, ...], gone: int | None
) -> None:
    clock = ManualClock()
    door = Noticed(4, clock, make_log("critical", io.StringIO()))
    made = standing(door, clock, states)
    assert door.has_room() is (gone is not None)
    door.accepted(Fake())
    assert [index for index, one in enumerate(made) if one.answers] == ([] if gone is None else [gone])


async def test_idle_ones_are_spared_while_those_that_wait_fill_half_of_the_door() -> None:
    clock = ManualClock()
    door = Noticed(4, clock, make_log("critical", io.StringIO()))
    standing(door, clock, [IDLE])
    fresh = [Fake() for _ in range(3)]
    for one in fresh:
        door.accepted(one)
    assert not door.has_room()
    clock.time += PATIENCE
    assert door.has_room()
    door.accepted(Fake())
    assert fresh[0].answers == [b""]


async def test_a_flood_passes_quickly_and_patience_comes_back_when_it_is_over() -> None:
    clock = ManualClock()
    most, flood = 40, 5_000
    door = Noticed(most, clock, make_log("critical", io.StringIO()))
    begun = clock.time
    for _ in range(flood):
        while not door.has_room():
            clock.time += 0.001
        door.accepted(Fake())
    assert clock.time - begun < 2 * PATIENCE + 1.5 * flood / most * LEAST_PATIENCE
    clock.time += CALM
    for _ in range(most):  # one after the other, these take the places of the flood's last ones
        door.accepted(Fake())
    clock.time += 0.4 * PATIENCE
    assert not door.has_room()


@pytest.mark.parametrize("act", [Connections.heard, Connections.begun, Connections.answered])
async def test_what_happens_to_a_connection_that_is_gone_is_ignored(act: Callable[[Connections, Peer], None]) -> None:
    door = Noticed(4, ManualClock(), make_log("critical", io.StringIO()))
    one = Fake()
    door.accepted(one)
    door.closed(one)
    act(door, one)
    assert len(door) == 0
    door.closed(one)
    await door.all_answered()


async def test_the_log_tells_the_true_numbers_once_a_minute() -> None:
    clock, lines = ManualClock(), io.StringIO()
    door = Noticed(4, clock, make_log("info", lines))

    def logged() -> list[tuple[int, int]]:
        return [(line["slow"], line["many"]) for line in map(json.loads, lines.getvalue().splitlines())]

    standing(door, clock, [SILENT] * 10)
    door.sweep()
    assert logged() == [(0, 6)]
    standing(door, clock, [SILENT] * 3)
    clock.time += HEAD_TIMEOUT
    door.sweep()
    assert logged() == [(0, 6)]
    clock.time += BETWEEN_NOTES
    door.sweep()
    assert logged() == [(0, 6), (4, 3)]
    door.sweep()
    assert len(logged()) == 2
    assert door.closings == {"slow": 4, "many": 9}


@pytest.mark.parametrize("descriptors", [20, 64, 128, 256, 1_024, 65_536, 2**20])
def test_there_are_descriptors_for_both_doors_and_all_else_however_few_there_are(descriptors: int) -> None:
    events, admin = most_connections(descriptors)
    assert LEAST <= events + admin <= MOST
    assert 4 <= admin < events
    if descriptors >= 128:
        assert descriptors - events - admin >= 96


async def test_no_answer_names_a_version(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook"}, "robots": {"type": "push"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        asked = [
            ("POST", relay.events + "/hooks/lab"),
            ("GET", relay.events + "/healthz"),
            ("GET", relay.events + "/none"),
            ("GET", relay.admin + "/"),
            ("GET", relay.admin + "/metrics"),
            ("GET", relay.admin + "/none"),
            ("PUT", relay.admin + "/api/v1/status"),
            ("GET", relay.events + "/push/robots"),
        ]
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
