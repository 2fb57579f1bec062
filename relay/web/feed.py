"""The live feed: a websocket that streams events and outcomes of deliveries, and resumes where a client stopped."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Protocol

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from relay.ports import Clock, StoreError
from relay.web.answers import problem

POLL = 0.5
"""Seconds between two reads of the store."""
MARGIN = 1.0
"""Seconds before the last outcome that are read again: outcomes of one moment may be committed in any order."""
MOST_AT_ONCE = 500
MOST_CLIENTS = 50
SLOW = 10.0
"""Seconds that a client may take to read a message."""
_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})")


class Place(msgspec.Struct, frozen=True):
    """A client's place in the feed: the number of its last event, and the time of its last outcome in microseconds."""

    event: int
    settled: int

    def __str__(self) -> str:
        return f"{self.event}-{self.settled}"


class News(Protocol):
    """The store, as the feed reads it. Raises `StoreError`."""

    async def newest(self) -> tuple[int, float]:
        """Return the last event's number, and the last outcome's time in Unix seconds."""
        ...

    async def events_after(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Return the events after a number, oldest first, each with its `seq`."""
        ...

    async def outcomes_after(self, at: float, delivery: int, limit: int) -> list[tuple[float, dict[str, Any]]]:
        """Return the deliveries settled after a time and a delivery's id, in the order of both, each with its time."""
        ...


class LiveFeed:
    """Serves `/feed`."""

    def __init__(self, news: News, clock: Clock, most: int = MOST_CLIENTS) -> None:
        """Begin without clients; at most `most` may be connected."""
        self._most = min(most, MOST_CLIENTS)
        self._news = news
        self._clock = clock
        self._stopping = asyncio.Event()
        self._clients: set[web.WebSocketResponse] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return the feed's route."""
        return [web.get("/feed", self.get_feed)]

    async def stop(self) -> None:
        """Close all connections."""
        self._stopping.set()
        async with asyncio.TaskGroup() as tasks:
            for socket in list(self._clients):
                tasks.create_task(socket.close(code=WSCloseCode.GOING_AWAY, message=b"the relay stops"))

    async def get_feed(self, request: web.Request) -> web.StreamResponse:
        """Stream the feed, from the place `since` or from now."""
        since = request.query.get("since")
        found = _PLACE.fullmatch(since) if since is not None else None
        if since is not None and found is None:
            return problem(400, "malformed", f"since: expected the `id` of a message of /feed, found {since[:60]!r}")
        if len(self._clients) >= self._most:
            return problem(503, "too_many", f"{self._most} clients are connected already; try again later")
        socket = web.WebSocketResponse(heartbeat=20.0, max_msg_size=4_096, timeout=2.0)
        if not socket.can_prepare(request):
            message = "expected the GET of a websocket handshake (Upgrade: websocket), found another request"
            return problem(426, "upgrade_required", message)
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
                streaming = tasks.create_task(self._stream_or_close(socket, reader, over))
                while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    pass  # messages of a client are ignored; they are read only to notice that it has gone
                over.set()
                streaming.cancel()
        finally:
            self._clients.discard(socket)
        return socket

    async def _stream_or_close(self, socket: web.WebSocketResponse, reader: _Reader, over: asyncio.Event) -> None:
        """Stream; if the store can't be read, close with "try again later": the client resumes at its place."""
        try:
            await self._stream(socket, reader, over)
        except StoreError:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the store can't be read now")

    async def _stream(self, socket: web.WebSocketResponse, reader: _Reader, over: asyncio.Event) -> None:
        going = await _send(socket, {"type": "hello", "id": str(reader.place)})
        while going and not (over.is_set() or self._stopping.is_set()):
            # read before the events, so that no outcome is sent whose event is not: later ones wait for the next round
            _, until = await self._news.newest()
            events = await self._news.events_after(reader.place.event, MOST_AT_ONCE)
            for event in events:
                going = going and await _send(socket, reader.event(event))
            if len(events) == MOST_AT_ONCE:
                continue  # more events wait, and outcomes must not overtake them
            at, number = reader.place.settled / 1e6 - MARGIN, 0
            while going and at <= until and (outcomes := await self._news.outcomes_after(at, number, MOST_AT_ONCE)):
                for at, outcome in outcomes:
                    number = outcome["id"]
                    message = None if at > until else reader.outcome(outcome, at)
                    going = going and (message is None or await _send(socket, message))
            reader.forget()
            await self._clock.wait(over, POLL)


class _Reader:
    """A client's place, and the outcomes within `MARGIN` of it that the client has got already."""

    def __init__(self, place: Place, *, from_now: bool) -> None:
        self.place = place
        self._from = place.settled if from_now else -1
        self._sent: dict[tuple[int, str], float] = {}

    def event(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return the message for an event, and move the place behind it."""
        self.place = Place(event["seq"], self.place.settled)
        return {"type": "event", "id": str(self.place), "event": event}

    def outcome(self, delivery: dict[str, Any], at: float) -> dict[str, Any] | None:
        """Return the message for an outcome and move the place behind it; None if the client has got it already."""
        key, micros = (delivery["id"], delivery["state"]), int(at * 1e6)
        if key in self._sent or micros <= self._from:
            return None
        self._sent[key] = at
        self.place = Place(self.place.event, max(self.place.settled, micros))
        return {"type": "delivery", "id": str(self.place), "delivery": delivery}

    def forget(self) -> None:
        """Forget outcomes that are too old to be read again."""
        horizon = self.place.settled / 1e6 - 2 * MARGIN
        for key in [key for key, at in self._sent.items() if at < horizon]:
            del self._sent[key]


async def _send(socket: web.WebSocketResponse, message: dict[str, Any]) -> bool:
    """Send a message; return False if the client has gone, or reads too slowly."""
    try:
        async with asyncio.timeout(SLOW):
            await socket.send_str(msgspec.json.encode(message).decode())
    except (ConnectionError, RuntimeError):
        return False
    except TimeoutError:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow")
        return False
    return True
