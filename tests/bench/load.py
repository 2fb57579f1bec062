"""Load for the benchmark: processes of their own, so that the relay has a core to itself."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, cast

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.work import ROOMS, body, native

PATHS = {"relay": "/hooks/bench", "large": "/hooks/large", "ceiling": "/hooks/bench", "alertmanager": "/api/v2/alerts"}

MOST_PREPARED = 100_000
"""The most events whose requests are made before the first is sent; more would fill the memory."""


class Sink(asyncio.Protocol):
    """Answers every POST as Webex answers a message, as quickly as Python can; counts, and notes arrival times."""

    count = 0
    arrivals: ClassVar[dict[str, float]] = {}
    noting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's are none by their type
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /count"):
            payload = str(Sink.count).encode()
        elif head.startswith(b"get /arrivals"):
            payload = json.dumps(Sink.arrivals).encode()
        elif head.startswith(b"get /reset"):
            Sink.count, Sink.arrivals, Sink.noting = 0, {}, head.startswith(b"get /reset?note")
            payload = b"ok"
        else:
            Sink.count += 1
            if Sink.noting and (at := body.find(b"mark-")) >= 0:
                Sink.arrivals[body[at : at + 12].decode()] = time.monotonic()
            start = body.find(b'"roomId":"') + 10
            payload = b'{"id":"m%d","roomId":"%b"}' % (Sink.count, body[start : body.find(b'"', start)])
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(payload) + payload
        )


async def sink(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


class Client(asyncio.Protocol):
    """One keep-alive connection that sends prepared requests one after the other."""

    def __init__(self, next_request: Callable[[], bytes | None], done: Callable[[], None]) -> None:
        self.next_request, self.done = next_request, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.WriteTransport, transport), b""  # as above
        self.send()

    def send(self) -> None:
        request = self.next_request()
        if request is None:
            self.transport.close()
            self.done()
            return
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        if not head.startswith((b"http/1.1 200", b"http/1.1 202")):
            raise SystemExit(f"unexpected answer: {self.buffer!r}")
        self.buffer = self.buffer[end + 4 + length :]
        self.send()


def request(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def post(
    port: int, to: str, kind: str, count: int, connections: int, batch: int, first: int = 0, teams: int = ROOMS
) -> None:
    """Post `count` requests of `batch` events to a subject over keep-alive connections; print the seconds it took."""

    def made(number: int) -> bytes:
        return request(PATHS[to], body(kind, first + number * batch, batch, to, teams))

    prepared = [made(number) for number in range(count if count * batch <= MOST_PREPARED else 0)]
    sent = 0
    left = connections
    finished = asyncio.Event()

    def next_request() -> bytes | None:
        nonlocal sent
        if sent >= count:
            return None
        sent += 1
        return prepared[sent - 1] if prepared else made(sent - 1)

    def done() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    began = time.monotonic()
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(next_request, done), "127.0.0.1", port)
    await finished.wait()
    print(time.monotonic() - began, flush=True)


async def steady(port: int, to: str, kind: str, rate: float, count: int) -> None:
    """Post marked events at a steady rate; print, as JSON, when each was due and when it was answered."""
    times: dict[str, tuple[float, float]] = {}
    loop = asyncio.get_running_loop()
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(16)]
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def one(number: int, prepared: bytes, due: float) -> None:
        reader, writer = await free.get()
        writer.write(prepared)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        times[f"mark-{number:07}"] = (due, time.monotonic())
        free.put_nowait((reader, writer))

    prepared = [request(PATHS[to], body(kind, n, 1, to, marked=True)) for n in range(count)]
    began, tasks = time.monotonic(), []
    for number in range(count):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(loop.create_task(one(number, prepared[number], due)))
    await asyncio.wait(tasks)
    print(json.dumps(times), flush=True)


async def bare_client(port: int, count: int, concurrency: int) -> None:
    """Post `count` messages to the sink with plain aiohttp; print the seconds that it took."""
    import aiohttp

    body = json.dumps({"roomId": "r", "markdown": "🔴 **CRITICAL** · x  \nfabric", "text": "x"}).encode()
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    left = count

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                async with session.post(f"http://127.0.0.1:{port}/v1/messages", data=body, headers=headers) as answer:
                    await answer.read()

        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(concurrency):
                tasks.create_task(work())
        print(time.monotonic() - began, flush=True)


async def feed(port: int, count: int) -> None:
    """A websocket server that sends `count` events to each client as fast as it takes them."""
    from websockets.asyncio.server import ServerConnection, serve

    frames = [json.dumps(native(n)) for n in range(1000)]

    async def handle(connection: ServerConnection) -> None:
        for number in range(count):
            await connection.send(frames[number % 1000])
        await connection.wait_closed()

    async with serve(handle, "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        await asyncio.Event().wait()


ROLES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    "sink": sink,
    "post": post,
    "steady": steady,
    "bare_client": bare_client,
    "feed": feed,
}

if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    values = [float(a) if "." in a else int(a) if a.isdigit() else a for a in arguments]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ROLES[role](*values))
