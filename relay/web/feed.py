"""The live feed: a websocket that tells of events and of what became of deliveries, and goes on where a client was."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Protocol

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from relay.ports import Clock, StoreError
from relay.web.answers import problem

POLL = 0.5
"""Seconds between two looks at what is new."""
MARGIN = 1.0
"""Seconds before the last outcome that are looked at again: those of one moment may be committed in any order."""
MOST_AT_ONCE = 500
MOST_CLIENTS = 50
SLOW = 10.0
"""Seconds that a client may take to read."""
_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")


class Place(msgspec.Struct, frozen=True):
    """How far a client has read: the last event's number, and the last outcome's time, in microseconds."""

    event: int
    settled: int

    def __str__(self) -> str:
        return f"{self.event}-{self.settled}"


class News(Protocol):
    """What the feed reads. Raises `StoreError`."""

    async def newest(self) -> tuple[int, float]:
        """The last event's number, and the last outcome's time in Unix seconds."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Events behind a number, oldest first, each with its `seq`."""
        ...

    async def outcomes_after(self, at: float, delivery: int, limit: int) -> list[tuple[float, dict[str, Any]]]:
        """Deliveries that were settled behind a time and a number, in the order of both, each with its time."""
        ...


class LiveFeed:
    """Serves `/feed`."""

    def __init__(self, news: News, clock: Clock, most: int = MOST_CLIENTS) -> None:
        """`most`: connections that may be open."""
        self._most = min(most, MOST_CLIENTS)
        self._news = news
        self._clock = clock
        self._stopping = asyncio.Event()
        self._clients: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """The feed's route."""
        return [web.get("/feed", self.get_feed)]

    async def stop(self) -> None:
        """Close all connections."""
        self._stopping.set()
        async with asyncio.TaskGroup() as tasks:
            for socket in list(self._clients):
                tasks.create_task(socket.close(code=WSCloseCode.GOING_AWAY, message=b"the relay stops"))

    async def get_feed(self, request: web.Request) -> web.StreamResponse:
        """Stream from `since` on, or from now."""
        since = request.query.get("since")
        found = _PLACE.fullmatch(since) if since is not None else None
        if since is not None and found is None:
            return problem(400, "malformed", f"since: {since[:60]!r} is no place; take the `id` of a message of /feed")
        if len(self._clients) >= self._most:
            return problem(503, "too_many", f"{self._most} clients are connected already")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=4_096, timeout=2.0)
        if not socket.can_prepare(request):
            return problem(426, "upgrade_required", "this is a websocket; a GET with Upgrade would be right")
        if found is None:
            event, settled = await self._news.newest()
            reader = _Reader(Place(event, int(settled * 1e6)), from_now=True)
        else:
            reader = _Reader(Place(int(found[1]), int(found[2])), from_now=False)
        await socket.prepare(request)
        self._clients.add(socket)
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(self._tell_or_close(socket, reader, over))
                while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    pass  # what a client says is of no interest; that it goes is
                over.set()
                telling.cancel()
        finally:
            self._clients.discard(socket)
        return socket

    async def _tell_or_close(self, socket: web.WebSocketResponse, reader: _Reader, over: asyncio.Event) -> None:
        """Tell what is new; where the store can't be read the client is to come again, and goes on where it was."""
        try:
            await self._tell(socket, reader, over)
        except StoreError:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the store can't be read now")

    async def _tell(self, socket: web.WebSocketResponse, reader: _Reader, over: asyncio.Event) -> None:
        going = await _send(socket, {"type": "hello", "id": str(reader.place)})
        while going and not (over.is_set() or self._stopping.is_set()):
            _, until = await self._news.newest()  # before the events are read: an outcome follows its event
            events = await self._news.events_after(reader.place.event, MOST_AT_ONCE)
            for event in events:
                going = going and await _send(socket, reader.event(event))
            if len(events) == MOST_AT_ONCE:
                continue
            at, number = reader.place.settled / 1e6 - MARGIN, 0
            while going and at <= until and (outcomes := await self._news.outcomes_after(at, number, MOST_AT_ONCE)):
                for at, outcome in outcomes:
                    number = outcome["id"]
                    message = None if at > until else reader.outcome(outcome, at)
                    going = going and (message is None or await _send(socket, message))
            reader.forget()
            await self._clock.wait(over, POLL)


class _Reader:
    """How far a client has read, and what of the margin it was told already."""

    def __init__(self, place: Place, *, from_now: bool) -> None:
        self.place = place
        self._from = place.settled if from_now else -1
        self._told: dict[tuple[int, str], float] = {}

    def event(self, event: dict[str, Any]) -> dict[str, Any]:
        """The message of an event."""
        self.place = Place(event["seq"], self.place.settled)
        return {"type": "event", "id": str(self.place), "event": event}

    def outcome(self, delivery: dict[str, Any], at: float) -> dict[str, Any] | None:
        """The message of an outcome; None where it was told."""
        key, micros = (delivery["id"], delivery["state"]), int(at * 1e6)
        if key in self._told or micros <= self._from:
            return None
        self._told[key] = at
        self.place = Place(self.place.event, max(self.place.settled, micros))
        return {"type": "delivery", "id": str(self.place), "delivery": delivery}

    def forget(self) -> None:
        """Let go of what lies behind the margin."""
        horizon = self.place.settled / 1e6 - 2 * MARGIN
        for key in [key for key, at in self._told.items() if at < horizon]:
            del self._told[key]


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> bool:
    """Send; False where the client has gone, or reads too slowly."""
    try:
        async with asyncio.timeout(SLOW):
            await socket.send_str(msgspec.json.encode(message).decode())
    except (ConnectionError, RuntimeError):
        return False
    except TimeoutError:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow")
        return False
    return True
