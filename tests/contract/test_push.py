"""Push: producers that connect, and what each frame is answered; the live feed out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import RawTestServer, TestClient, TestServer

from relay.lifecycle import SystemClock
from relay.listeners.push import PushListener
from relay.ports import StoreUnavailableError
from relay.sandbox.server import Sandbox
from relay.sandbox.state import Fault
from relay.web.feed import LiveFeed
from tests.fakes.running import Running, running

Client = TestClient[Any, Any]
ROBOTS = {"robots": {"type": "push", "auth": {"bearer": "between-us"}}}
AUTH = {"Authorization": "Bearer between-us"}


@asynccontextmanager
async def producer(relay: Running, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    address = relay.events.replace("http", "ws") + "/push/robots"
    async with relay.session.ws_connect(address, **{"headers": AUTH, **options}) as socket:
        yield socket


async def test_each_frame_is_answered_in_order_once_it_is_on_disk(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay, producer(relay) as socket:
        for number in range(500):
            await socket.send_json({"title": f"event {number}", "id": f"r-{number}"})
        answers = [await socket.receive_json(timeout=20) for _ in range(500)]
        assert answers == [{"ack": [f"r-{number}"]} for number in range(500)]
        await socket.send_json([{"title": "one"}, {"title": "two"}])
        answer = await socket.receive_json(timeout=20)
        _, events = await relay.get("/api/v1/events?limit=2")
        assert answer == {"ack": [event["id"] for event in reversed(events)]}
        await relay.until(lambda: len(relay.messages()) == 502)
        order = [message.text.splitlines()[0].split(" · ")[1] for message in relay.messages()]
        assert order == [*(f"event {number}" for number in range(500)), "one", "two"]


async def test_a_frame_that_comes_again_is_acknowledged_and_told_once(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay:
        for _ in range(2):
            async with producer(relay) as socket:
                await socket.send_json({"title": "gate open", "id": "g-1"})
                assert await socket.receive_json(timeout=20) == {"ack": ["g-1"]}
        async with producer(relay) as socket:
            await socket.send_json({"title": "another", "id": "g-1"})
            assert (await socket.receive_json(timeout=20))["error"]["code"] == "conflict"
        await relay.until(lambda: len(relay.messages()) == 1)
        _, events = await relay.get("/api/v1/events")
        assert len(events) == 1


@pytest.mark.parametrize("frame", [{"title": "n", "id": 77}, [{"title": "a", "id": "q1"}, {"title": "b", "id": 2}]])
async def test_ids_of_any_kind_and_of_lists_are_known_again(tmp_path: Path, sandbox: Sandbox, frame: Any) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay:
        for _ in range(2):
            async with producer(relay) as socket:
                await socket.send_json(frame)
                answer = await socket.receive_json(timeout=20)
                assert answer == {"ack": [one["id"] for one in (frame if isinstance(frame, list) else [frame])]}
        _, events = await relay.get("/api/v1/events")
        assert len(events) == (len(frame) if isinstance(frame, list) else 1)


async def test_a_bad_frame_is_kept_and_the_connection_goes_on(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay, producer(relay) as socket:
        for frame in ("no json", '{"titel": "x"}', "[1]", '{"title": "x", "status": "on"}'):
            await socket.send_str(frame)
            assert (await socket.receive_json(timeout=20))["error"]["code"] == "unreadable"
        await socket.send_bytes(b'{"title": "good"}')
        assert len((await socket.receive_json(timeout=20))["ack"]) == 1
        _, refused = await relay.get("/api/v1/events?refused=true")
        assert len(refused) == 4


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no"}, {"Authorization": "Bearer \u00e9"}])
async def test_who_does_not_prove_itself_is_401_at_the_handshake(
    tmp_path: Path, sandbox: Sandbox, headers: dict[str, str]
) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with producer(relay, headers=headers):
                pass
        assert refused.value.status == 401
        await relay.until_logged("request_refused")
        async with relay.session.get(relay.events + "/push/robots", headers=AUTH) as answer:
            assert answer.status == 426


async def test_a_page_of_another_site_can_not_push_to_an_open_source(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources={"robots": {"type": "push"}}) as relay:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with producer(relay, headers={}, origin="https://evil.example"):
                pass
        assert refused.value.status == 403
        async with producer(relay, headers={}) as socket:
            await socket.send_json({"title": "x"})
            assert "ack" in await socket.receive_json(timeout=20)


async def test_a_frame_that_is_too_large_ends_the_connection_alone(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"robots": {**ROBOTS["robots"], "max_body": 1_000}}
    async with running(tmp_path, sandbox, sources=sources) as relay:
        async with producer(relay) as socket:
            await socket.send_json({"title": "x" * 2_000})
            message = await socket.receive(timeout=20)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        async with producer(relay) as socket:
            await socket.send_json({"title": "y"})
            assert "ack" in await socket.receive_json(timeout=20)


async def test_over_its_rate_a_producer_is_told_when_to_come_again(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"robots": {**ROBOTS["robots"], "rate": "2/m"}}
    async with running(tmp_path, sandbox, sources=sources) as relay, producer(relay) as socket:
        for _ in range(3):
            await socket.send_json({"title": "x"})
        answers = [await socket.receive_json(timeout=20) for _ in range(3)]
        (refused,) = [one["error"] for one in answers if "error" in one][-1:]
        assert refused["code"] == "rate"
        assert refused["retry_after"] > 1
        _, text = await relay.get("/metrics")
        assert 'relay_events_refused_total{reason="rate",source="robots"}' in text
        await relay.until_logged("request_refused")


async def test_an_idle_producer_is_closed(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay:
        daemon = relay.daemon
        (source,) = daemon.arrangement.pushes.values()
        listener = PushListener({}, daemon._intake, SystemClock(), daemon.metrics, lambda _: None, 1, idle=0.2)
        server = RawTestServer(lambda request: listener.handle(source, request))
        client: Client = TestClient(server)
        async with server, client, client.ws_connect("/", headers=AUTH) as socket:
            await socket.send_json({"title": "x"})
            assert "ack" in await socket.receive_json(timeout=20)
            message = await socket.receive(timeout=20)
            assert (message.type, message.extra) == (aiohttp.WSMsgType.CLOSE, "idle")


class Stuck:
    """A peer that does not read."""

    closed = False

    def __init__(self) -> None:
        self.ended: int | None = None

    async def send_str(self, _: str) -> None:
        await asyncio.Event().wait()

    async def close(self, *, code: int, message: bytes) -> None:
        assert message == b"slow"
        self.ended = code


async def test_a_producer_that_does_not_read_its_answers_is_closed() -> None:
    async def answer() -> str:
        return "{}"

    socket: Any = Stuck()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            answers.put_nowait(tasks.create_task(answer()))
        answers.put_nowait(None)
        await PushListener._answer(socket, answers, 0.05)
    assert (socket.ended, answers.empty()) == (1008, True)


async def test_a_stop_closes_producers_in_good_order(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox, sources=ROBOTS) as relay:
        address = relay.events.replace("http", "ws") + "/push/robots"
        session = aiohttp.ClientSession()
        socket = await session.ws_connect(address, headers=AUTH)
        await socket.send_json({"title": "x"})
        assert "ack" in await socket.receive_json(timeout=20)
    message = await socket.receive(timeout=20)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    await session.close()


# The live feed


@asynccontextmanager
async def watching(relay: Running, since: str | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    address = relay.admin.replace("http", "ws") + "/feed" + ("" if since is None else f"?since={since}")
    async with relay.session.ws_connect(address) as socket:
        assert (await socket.receive_json(timeout=20))["type"] == "hello"
        yield socket


async def read(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    return [await socket.receive_json(timeout=20) for _ in range(count)]


async def test_the_feed_tells_of_events_and_of_what_became_of_them(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        await relay.post({"title": "before"})
        await relay.until_state("done")
        async with watching(relay) as socket:
            await relay.post({"title": "after", "labels": {"site": "ams"}})
            event, outcome = await read(socket, 2)
            assert (event["type"], event["event"]["title"], event["event"]["labels"]) == (
                "event",
                "after",
                {"site": "ams"},
            )
            assert (outcome["type"], outcome["delivery"]["state"], outcome["delivery"]["room"]) == (
                "delivery",
                "done",
                "noc",
            )
            assert outcome["delivery"]["event_id"] == event["event"]["id"]


async def test_a_client_goes_on_where_it_was_without_a_gap(tmp_path: Path, sandbox: Sandbox) -> None:
    async with running(tmp_path, sandbox) as relay:
        async with watching(relay) as socket:
            await relay.post([{"title": f"event {number}"} for number in range(20)])
            seen = await read(socket, 25)
        place = seen[-1]["id"]
        await relay.post([{"title": f"event {number}"} for number in range(20, 40)])
        await relay.until_state("done", 40)
        titles = {one["event"]["title"] for one in seen if one["type"] == "event"}
        done = {one["delivery"]["id"] for one in seen if one["type"] == "delivery"}
        async with watching(relay, place) as socket:
            async with asyncio.timeout(30):
                while len(titles) < 40 or len(done) < 40:
                    one = await socket.receive_json()
                    if one["type"] == "event":
                        assert one["event"]["title"] not in titles
                        titles.add(one["event"]["title"])
                    else:
                        done.add(one["delivery"]["id"])
    async with running(tmp_path, sandbox) as relay, watching(relay, place) as socket:
        again = await read(socket, 20)
        assert {one["event"]["title"] for one in again if one["type"] == "event"} <= titles


class _Unreadable:
    """News of a store that fails after the handshake."""

    async def newest(self) -> tuple[int, float]:
        return 7, 3.0

    async def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        raise StoreUnavailableError(f"disk I/O error behind {seq}, {limit} wanted")

    async def outcomes_after(self, at: float, delivery: int, limit: int) -> list[tuple[float, dict[str, Any]]]:
        raise AssertionError((at, delivery, limit))


@asynccontextmanager
async def client_of(feed: LiveFeed) -> AsyncIterator[Client]:
    application = aiohttp.web.Application()
    application.add_routes(feed.routes())
    server = TestServer(application)
    client: Client = TestClient(server)
    async with server, client:
        yield client


async def test_a_store_that_can_not_be_read_closes_a_client_that_may_come_again() -> None:
    feed = LiveFeed(_Unreadable(), SystemClock())
    async with client_of(feed) as client:
        socket = await client.ws_connect("/feed")
        assert await socket.receive_json() == {"type": "hello", "id": "7-3000000"}
        async with asyncio.timeout(10):
            closed = await socket.receive()
        assert (closed.type, closed.data, closed.extra) == (
            aiohttp.WSMsgType.CLOSE,
            1013,
            "the store can't be read now",
        )


class _Quick:
    """News of an event that is accepted and sent between two reads."""

    def __init__(self) -> None:
        self.sent = False

    async def newest(self) -> tuple[int, float]:
        return (1, 5.0) if self.sent else (0, 3.0)

    async def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        found = [{"id": "one", "seq": 1}][: limit if self.sent and seq < 1 else 0]
        self.sent = True
        return found

    async def outcomes_after(self, at: float, delivery: int, limit: int) -> list[tuple[float, dict[str, Any]]]:
        return [(5.0, {"id": 1, "state": "done"})][: limit if self.sent and (at, delivery) < (5.0, 1) else 0]


async def test_an_outcome_is_told_behind_its_event() -> None:
    feed = LiveFeed(_Quick(), SystemClock())
    async with client_of(feed) as client:
        socket = await client.ws_connect("/feed")
        told = [(await socket.receive_json(timeout=20))["type"] for _ in range(3)]
        assert told == ["hello", "event", "delivery"]


async def test_the_feed_is_guarded_as_all_of_the_admin_address(tmp_path: Path, sandbox: Sandbox) -> None:
    listen = {"events": "127.0.0.1:0", "admin": "127.0.0.1:0", "admin_token": "of-the-admin"}
    async with running(tmp_path, sandbox, listen=listen) as relay:
        address = relay.admin.replace("http", "ws") + "/feed"
        good = {"Authorization": "Bearer of-the-admin"}
        wrong: list[tuple[dict[str, str], int]] = [({}, 401), ({**good, "Origin": "https://x.example"}, 403)]
        for headers, status in wrong:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await relay.session.ws_connect(address, headers=headers)
            assert refused.value.status == status
        async with relay.session.get(f"{relay.admin}/feed?since=x", headers=good) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (400, "malformed")
        async with relay.session.ws_connect(address, headers=good) as socket:
            assert (await socket.receive_json(timeout=20))["type"] == "hello"


# Flood, silence, and the relay's own sign of life


async def test_a_mad_source_is_refused_and_delays_nobody(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"mad": {"type": "webhook"}, "sane": {"type": "webhook"}}
    limits = {"backlog": 500}
    async with running(tmp_path, sandbox, sources=sources, limits=limits) as relay:
        sandbox.state.faults = [Fault(status=503)]  # nothing gets out: what is planned is not what waits to be
        flood = [{"title": f"m{number}"} for number in range(500)]
        answers = []
        async with asyncio.TaskGroup() as tasks:
            posts = [tasks.create_task(relay.session.post(relay.events + "/hooks/mad", json=flood)) for _ in range(40)]
        for post in posts:
            answer = post.result()
            answers.append((answer.status, answer.headers.get("Retry-After")))
            answer.release()
        assert {status for status, _ in answers} == {202, 503}
        assert all(retry is not None for status, retry in answers if status == 503)
        status, _ = await relay.post({"title": "sane"}, "/hooks/sane")
        assert status == 202
        _, text = await relay.get("/metrics")
        assert 'relay_events_refused_total{reason="queue",source="mad"}' in text
        sandbox.state.faults = []


async def test_a_silent_source_is_told_of_and_heard_again(tmp_path: Path, sandbox: Sandbox) -> None:
    sources = {"lab": {"type": "webhook", "silent_after": "300ms", "silent_severity": "critical"}}
    async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
        await relay.until(lambda: any("Source lab has been silent" in message.text for message in relay.messages()))
        _, text = await relay.get("/metrics")
        assert 'relay_source_silent{source="lab"} 1.0' in text
        first = relay.messages()[0].text
        assert first.startswith("🔴 CRITICAL · relay: Source lab has been silent for more than ")
        await relay.post([])
        await relay.until(lambda: relay.messages()[0].text.startswith("✅ resolved"))
    sources["lab"]["silent_after"] = "1h"
    async with running(tmp_path, sandbox, sources=sources, operator={"room": "noc"}) as relay:
        await relay.post({"title": "x"})
        await relay.until(lambda: any(message.text.splitlines()[0].endswith("x") for message in relay.messages()))
        _, events = await relay.get("/api/v1/events?source=relay")
        assert [event["status"] for event in events] in (["resolved", "firing"], ["firing", "resolved", "firing"])


async def test_the_relay_posts_its_own_sign_of_life_while_it_is_well(tmp_path: Path, sandbox: Sandbox) -> None:
    beats: list[Any] = []
    came = asyncio.Event()

    async def beat(request: aiohttp.web.Request) -> aiohttp.web.Response:
        beats.append(json.loads(await request.read()))
        came.set()
        return aiohttp.web.Response(status=200 if len(beats) > 1 else 500)

    server = aiohttp.web.ServerRunner(aiohttp.web.Server(beat))  # type: ignore[arg-type]
    await server.setup()
    site = aiohttp.web.TCPSite(server, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{server.addresses[0][1]}/ping/very-secret"
    async with running(tmp_path, sandbox, heartbeat={"url": url, "interval": "100ms"}) as relay:
        async with asyncio.timeout(20):
            while len(beats) < 3:
                came.clear()
                await came.wait()
        assert set(beats[0]) == {"relay"}
        _, status = await relay.get("/api/v1/status")
        assert status["heartbeat_trouble"] is None
        await server.cleanup()
        await relay.until_shown("/api/v1/status", lambda status: status["heartbeat_trouble"])
    log = relay.log.read_text(encoding="utf-8")
    assert "very-secret" not in log
    assert '"trouble": "answered 500"' in log
