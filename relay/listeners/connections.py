"""Connections of one address: how long a request's head may take, and how many connections there may be.

Each door has its own share of the descriptors. When its share is used up, a connection without a request gives way to
a new one; those that were accepted a moment ago are spared, and new ones wait in the kernel until then.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import IntEnum, auto
from itertools import islice
from typing import Literal, Protocol

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.ports import Clock, Log

HEAD_TIMEOUT = 10.0
"""Seconds for a TLS handshake, for the first byte of a request, and for a request's head from its first byte."""
SWEEP = 0.5
"""Seconds between two looks at heads that are overdue."""
MOST = 10_000
"""Connections at the most, however many descriptors there are."""
LEAST = 16
RESERVED = 96
"""Descriptors that are kept for senders, feeds, files and the store, or a quarter of all where that is more."""
PATIENCE = 0.2
"""Seconds that a connection of a full door may stand without a request before it can be evicted."""
LEAST_PATIENCE = 0.005
"""Seconds to which evictions shorten that: a full backlog of silent connections has to pass within a second."""
SLOW = 1.0
"""Seconds of service after which a request counts as slow; a door full of slow ones refuses new connections."""
CALM = 1.0
"""Seconds without an eviction after which patience is whole again."""
BETWEEN_NOTES = 60.0
"""Seconds between two log lines about connections that were closed."""
SERVER = "relay"
"""What answers say of the program: no version of it, of Python or of a library."""
_TOO_SLOW = msgspec.json.encode(
    {"error": {"code": "too_slow", "message": f"the request's head did not arrive within {HEAD_TIMEOUT:g} s"}}
)
_TOO_MANY = msgspec.json.encode(
    {"error": {"code": "too_many", "message": "there are too many connections; try again in a moment"}}
)
_ANSWER = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\nServer: relay\r\n\r\n%b"
)
_TIMED_OUT = _ANSWER % (b"408 Request Timeout", len(_TOO_SLOW), _TOO_SLOW)
REFUSAL = _ANSWER % (b"503 Service Unavailable", len(_TOO_MANY), _TOO_MANY)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Closed = Literal["slow", "many"]
"""Why a connection was closed: its head is overdue, or it was evicted or refused."""


class State(IntEnum):
    """What a connection waits for."""

    SILENT = auto()
    """Nothing of a request has come; also a TLS handshake that has not ended."""
    HEAD = auto()
    """A request's head has begun."""
    BUSY = auto()
    """A request is being served."""
    IDLE = auto()
    """A request was answered, and no other has begun."""


class Peer(Protocol):
    """A connection, or a socket whose connection is being set up."""

    def close_now(self, answer: bytes) -> None:
        """Close it, after an answer where it can be given."""
        ...


def most_connections(descriptors: int | None = None) -> tuple[int, int]:
    """Return how many connections the events door and the admin door may have, by this process's descriptors."""
    if descriptors is None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(LEAST, min(MOST, descriptors - max(RESERVED, descriptors // 4)))
    admin = most // 4
    return most - admin, admin


class Connections:
    """Knows the connections of one door, and closes those that are too slow or too many. Times in steady seconds."""

    def __init__(self, door: str, most: int, clock: Clock, log: Log, count: Callable[[Closed], None]) -> None:
        """`count` counts a connection that was closed."""
        self.most = most
        self._door = door
        self._clock = clock
        self._log = log
        self._count = count
        self._since: dict[State, dict[Peer, float]] = {state: {} for state in State}
        self._among: dict[Peer, dict[Peer, float]] = {}
        """The dictionary of those in the same state, by connection: each request changes it twice."""
        self._changed = asyncio.Event()
        self._sweeping = False
        self._patience = PATIENCE
        self._evicted_at = -CALM
        self._unlogged: Counter[Closed] = Counter()
        self._logged_at = -BETWEEN_NOTES

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._among)

    def number(self, state: State) -> int:
        """Return how many are in a state."""
        return len(self._since[state])

    def has_room(self) -> bool:
        """Return whether another connection can be accepted now."""
        return len(self) < self.most or self._evictable() is not None

    def refuses(self) -> bool:
        """Return whether three quarters of the door are busy with slow requests: to wait for room would take long."""
        since = next(islice(self._since[State.BUSY].values(), self.most * 3 // 4, None), None)
        return since is not None and self._clock.now() - since >= SLOW

    def refused(self) -> None:
        """Record that a connection was refused."""
        self._note("many")

    def accepted(self, peer: Peer) -> None:
        """Add a connection that was accepted; if there are too many, one without a request gives way."""
        if len(self) >= self.most and (oldest := self._evictable()) is not None:
            self._evict(oldest)
        self.opened(peer)

    def opened(self, peer: Peer) -> None:
        """Begin to wait for a connection's first request."""
        silent = self._among[peer] = self._since[State.SILENT]
        silent[peer] = self._clock.now()
        self._sweep_later()

    def heard(self, peer: Peer) -> None:
        """Record that bytes came: the head of a request begins, unless one is being served."""
        among = self._among.get(peer)
        if among is self._since[State.IDLE] or among is self._since[State.SILENT]:
            self._move(peer, State.HEAD)

    def begun(self, peer: Peer) -> None:
        """Record that a request's head is there."""
        self._move(peer, State.BUSY)

    def answered(self, peer: Peer) -> None:
        """Record that a request was answered; another may follow."""
        self._move(peer, State.IDLE)
        self._changed.set()

    def closed(self, peer: Peer) -> None:
        """Forget a connection."""
        among = self._among.pop(peer, None)
        if among is not None:
            del among[peer]
            self._changed.set()

    async def all_answered(self) -> None:
        """Wait until no connection waits for a request, for its head or for an answer."""
        while len(self) > self.number(State.IDLE):
            self._changed.clear()
            await self._changed.wait()

    def _move(self, peer: Peer, state: State) -> None:
        """Change the state of a connection that stands; uvloop may report its end before its request begins."""
        before = self._among.get(peer)
        if before is not None:
            del before[peer]
            among = self._among[peer] = self._since[state]
            among[peer] = self._clock.now()

    def _evictable(self) -> Peer | None:
        """Return the connection that gives way first: a silent one, one with half a head, an idle one.

        Idle ones are spared while the others take up half of the door: those in use outlive a flood.
        """
        now = self._clock.now()
        patience = self._patience_at(now)
        waiting = self.number(State.SILENT) + self.number(State.HEAD)
        for state in (State.SILENT, State.HEAD, State.IDLE):
            if state is State.IDLE and 2 * waiting > self.most:
                return None
            oldest, since = next(iter(self._since[state].items()), (None, now))
            if oldest is not None and now - since >= patience:
                return oldest
        return None

    def _evict(self, peer: Peer) -> None:
        """Close a connection, and halve the patience for each time that a whole door is evicted."""
        now = self._clock.now()
        self._patience = max(LEAST_PATIENCE, self._patience_at(now) * 0.5 ** (1 / self.most))
        self._evicted_at = now
        self._close(peer, "many", b"")

    def _patience_at(self, now: float) -> float:
        return PATIENCE if now - self._evicted_at >= CALM else self._patience

    def _close(self, peer: Peer, why: Closed, answer: bytes) -> None:
        self.closed(peer)
        self._note(why)
        peer.close_now(answer)

    def _note(self, why: Closed) -> None:
        self._count(why)
        self._unlogged[why] += 1
        self._sweep_later()

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP, self.sweep)

    def sweep(self) -> None:
        """Close connections whose head is overdue, and log how many were closed. A silent one gets no answer."""
        self._sweeping = False
        self._close_overdue(State.SILENT, b"")
        self._close_overdue(State.HEAD, _TIMED_OUT)
        self._close_overdue(State.IDLE, _TIMED_OUT)
        self._log_closed()
        if self._unlogged or len(self) > self.number(State.BUSY):
            self._sweep_later()

    def _close_overdue(self, state: State, answer: bytes) -> None:
        overdue = self._clock.now() - HEAD_TIMEOUT
        for peer, since in list(self._since[state].items()):
            if since > overdue:
                break
            if state is not State.IDLE or (isinstance(peer, Connection) and peer.has_half_a_head()):
                self._close(peer, "slow", answer)

    def _log_closed(self) -> None:
        now = self._clock.now()
        if self._unlogged and now - self._logged_at >= BETWEEN_NOTES:
            self._logged_at = now
            slow, many, busy = self._unlogged["slow"], self._unlogged["many"], self.number(State.BUSY)
            self._log.warning("connections_closed", door=self._door, slow=slow, many=many, most=self.most, busy=busy)
            self._unlogged.clear()


class Connection(web.RequestHandler):
    """One connection as aiohttp handles it, with its state recorded."""

    __slots__ = ("_connections",)

    def __init__(self, manager: WatchedServer, connections: Connections, **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes of a request: its head is whole, or has begun, or they belong to one that is being served."""
        super().data_received(data)
        if self._messages:
            self._connections.begun(self)
        else:
            self._connections.heard(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._connections.closed(self)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; then the connection is idle, unless another request came with the one that is answered."""
        if not resp.prepared:
            resp.headers["Server"] = SERVER
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if not self._messages:
                self._connections.answered(self)

    def has_half_a_head(self) -> bool:
        """Return whether a head came with the bytes of an earlier request, and did not end.

        If so, the parser has ended it, and the connection can only be closed.
        """
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except HttpProcessingError:
            return True

    def close_now(self, answer: bytes) -> None:
        """Close the connection, after an answer."""
        if answer and self.transport is not None:
            self.transport.write(answer)
        self.force_close()


class WatchedServer(web.Server):
    """Serves one handler for all requests, by connections whose state is recorded."""

    def __init__(self, handler: Handler, connections: Connections, **options: object) -> None:
        super().__init__(handler, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._watched = connections

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was accepted."""
        return Connection(self, self._watched, loop=self._loop, **self._kwargs)


class WatchedRunner(web.AppRunner):
    """Runs an application by connections whose state is recorded."""

    __slots__ = ("_connections",)

    def __init__(self, application: web.Application, connections: Connections, **options: object) -> None:
        super().__init__(application, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._connections = connections
        application.on_response_prepare.append(_name_no_version)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return WatchedServer(
            made.request_handler, self._connections, request_factory=made.request_factory, loop=made._loop,  # noqa: SLF001 - aiohttp's own server, made anew
            **made._kwargs,  # noqa: SLF001 - likewise
        )  # fmt: skip


async def _name_no_version(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
