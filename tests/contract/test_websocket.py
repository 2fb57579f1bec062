"""What a websocket feed can do to the relay, and cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from relay.core.event import Draft
from relay.formats import FORMATS, Format, checked
from relay.formats import Request as FormatRequest
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from tests.fakes.running import Running, running

Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def feed(
    tmp_path: Path, sandbox: Sandbox, script: Script, check: Any = None, **source: Any
) -> AsyncIterator[Running]:
    async with serve(script, "127.0.0.1", 0, process_request=check) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sources = {"feed": {"type": "websocket", "url": f"ws://127.0.0.1:{port}", **source}}
        async with running(tmp_path, sandbox, sources=sources) as relay:
            yield relay


async def test_frames_become_messages_in_order(tmp_path: Path, sandbox: Sandbox) -> None:
    async def script(connection: ServerConnection) -> None:
        assert await connection.recv() == '{"type":"subscribe"}'
        assert connection.request is not None
        assert connection.request.headers["X-Key"] == "secret"
        for number in range(100):
            await connection.send(f'{{"title": "event {number}"}}')
        await connection.wait_closed()

    async with feed(tmp_path, sandbox, script, send=[{"type": "subscribe"}], headers={"X-Key": "secret"}) as relay:
        await relay.until(lambda: len(relay.messages()) == 100)
        order = [m.text.splitlines()[0].split(" · ")[1] for m in relay.messages()]
        assert order == [f"event {number}" for number in range(100)]
        _, status = await relay.get("/api/v1/status")
        assert status["feeds"][0]["connected"] is True
        assert status["feeds"][0]["last_message_at"]


async def test_bad_frames_are_kept_and_never_end_the_feed(tmp_path: Path, sandbox: Sandbox) -> None:
    async def script(connection: ServerConnection) -> None:
        for frame in ("no json", b"\xff\xfe", '{"no": "title"}', "[1]", '{"title": "good"}'):
            await connection.send(frame)
        await connection.wait_closed()

    async with feed(tmp_path, sandbox, script) as relay:
        await relay.until(lambda: len(relay.messages()) == 1)
        refused = await relay.until_shown("/api/v1/events?refused=true", lambda found: len(found) == 4)
        assert {row["source"] for row in refused} == {"feed"}
        _, metrics = await relay.get("/metrics")
        assert 'relay_events_refused_total{reason="malformed",source="feed"} 4.0' in metrics


async def test_a_format_that_makes_no_event_of_a_frame_loses_nothing_and_never_ends_the_feed(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a format of another package may do: no list, drafts that can't be made events, events of no known type."""
    odd: dict[str, Any] = {
        "none": None,
        "number": [Draft(title="x", key=5)],  # type: ignore[arg-type]
        "object": [Draft(title="x", files=(object(),))],  # type: ignore[arg-type]
        "raises": None,
        "good": [Draft(title="good")],
    }

    def read(request: FormatRequest) -> list[Draft]:
        if request.payload == "raises":
            raise LookupError("a bug")
        return cast(list[Draft], odd[request.payload])

    async def script(connection: ServerConnection) -> None:
        for word in [*odd, "good"]:
            await connection.send(f'"{word}"')
        await connection.wait_closed()

    monkeypatch.setitem(FORMATS._made, "jira", checked(Format(read=read)))  # type: ignore[attr-defined]
    async with feed(tmp_path, sandbox, script, format="jira") as relay:
        await relay.until(lambda: len(relay.messages()) == 2)
        refused = await relay.until_shown("/api/v1/events?refused=true", lambda found: len(found) >= 3)
        assert sorted(row["payload"] for row in refused) == ['"number"', '"object"', '"raises"']
        _, status = await relay.get("/api/v1/status")
        assert status["feeds"][0]["connected"] is True
        assert status["sources"][0]["waiting"] == 0


async def test_a_feed_that_ends_is_connected_again(tmp_path: Path, sandbox: Sandbox) -> None:
    connections = 0

    async def script(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.send(f'{{"title": "connection {connections}"}}')
        await connection.close(1011, "gone")

    async with feed(tmp_path, sandbox, script) as relay:
        await relay.until(lambda: len(relay.messages()) >= 3)
    assert "1011" in (tmp_path / "relay.log").read_text(encoding="utf-8")


async def test_a_refused_handshake_is_loud_and_told_to_the_operator(tmp_path: Path, sandbox: Sandbox) -> None:
    tries = 0

    def check(connection: ServerConnection, _: Request) -> Response:
        nonlocal tries
        tries += 1
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")

    async def script(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(script, "127.0.0.1", 0, process_request=check) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sources = {"feed": {"type": "websocket", "url": f"ws://127.0.0.1:{port}"}}
        async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
            await relay.until(lambda: any("Feed feed is refused" in m.text for m in relay.messages()))
            assert tries == 1
            _, status = await relay.get("/api/v1/status")
            assert "401" in status["feeds"][0]["last_error"]


async def test_a_frame_over_the_limit_closes_the_connection_and_the_feed_goes_on(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    connections = 0

    async def script(connection: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        await connection.send("x" * 5000 if connections == 1 else '{"title": "after"}')
        await connection.wait_closed()

    async with feed(tmp_path, sandbox, script, max_body="4KiB") as relay:
        await relay.until(lambda: len(relay.messages()) == 1)


async def test_a_peer_that_answers_no_ping_is_found_out(tmp_path: Path, sandbox: Sandbox) -> None:
    connections = 0

    async def half_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shake hands, then say nothing ever again."""
        nonlocal connections
        connections += 1
        sandbox.state.touch()
        import base64
        import hashlib

        head = await reader.readuntil(b"\r\n\r\n")
        key = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
        )
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        await reader.read()
        writer.close()

    server = await asyncio.start_server(half_open, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sources = {"feed": {"type": "websocket", "url": f"ws://127.0.0.1:{port}", "ping": "50ms"}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        await relay.until(lambda: connections >= 2)
    server.close()
    await server.wait_closed()


async def test_a_feed_that_waits_for_room_does_not_hold_up_a_stop(tmp_path: Path, sandbox: Sandbox) -> None:
    busy = asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        for number in range(50):
            await connection.send(f'{{"title": "event {number}"}}')
            if number == 9:
                await busy.wait()
        await connection.wait_closed()

    sandbox.state.add_room("NOC")
    sandbox.state.faults = [Fault(latency=0.5)]
    async with serve(script, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sources = {"feed": {"type": "websocket", "url": f"ws://user:hunter2@127.0.0.1:{port}/x?token=s3cret"}}
        async with running(tmp_path, sandbox, sources=sources, limits={"queue": 1}) as relay:
            await relay.until_state("leased")
            busy.set()
            await relay.until_logged("feed_waits_for_store")
            log = relay.log.read_text(encoding="utf-8")
    states = [line for line in relay.log.read_text(encoding="utf-8").splitlines() if "message_sent" in line]
    assert len(states) == len(relay.messages())
    assert "feed_frames_given_up" in relay.log.read_text(encoding="utf-8")
    assert "hunter2" not in log
    assert "s3cret" not in log
