"""Connections of one address: how long a request's head may take, and how many connections there may be.

Each door (the events address, the admin address) has its own share of the descriptors. If its share is used up, a
connection without a request is evicted for a new one. Connections accepted a moment ago are spared; until one can be
evicted, new ones wait in the kernel.
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
"""Seconds between two checks for overdue heads."""
MOST = 10_000
"""Connections at most, however many descriptors there are."""
LEAST = 16
RESERVED = 96
"""Descriptors reserved for senders, feeds, files and the store; or a quarter of all, if that is more."""
PATIENCE = 0.2
"""Seconds that a connection of a full door may be open without a request before it can be evicted."""
LEAST_PATIENCE = 0.005
"""Seconds to which evictions shorten `PATIENCE`: a full backlog of silent connections must pass within a second."""
SLOW = 1.0
"""Seconds of service after which a request counts as slow; a door full of slow requests refuses new connections."""
CALM = 1.0
"""Seconds without an eviction after which the full `PATIENCE` applies again."""
BETWEEN_NOTES = 60.0
"""Seconds between two log lines about connections that were closed."""
SERVER = "relay"
"""The `Server` header of answers: without a version of the relay, of Python or of a library."""
_TOO_SLOW = msgspec.json.encode(
    {"error": {"code": "too_slow", "message": f"the request's head did not arrive within {HEAD_TIMEOUT:g} s"}}
)
_TOO_MANY = msgspec.json.encode(
    {"error": {"code": "too_many", "message": "too many connections are open; try again in a moment"}}
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
    """The state of a connection."""

    SILENT = auto()
    """No byte of a request has arrived, or the TLS handshake has not ended."""
    HEAD = auto()
    """The head of a request has begun to arrive."""
    BUSY = auto()
    """A request is being served."""
    IDLE = auto()
    """A request was answered, and no other has begun to arrive."""


class Peer(Protocol):
    """A connection, or a socket whose TLS handshake is under way."""

    def close_now(self, answer: bytes) -> None:
        """Close it; send `answer` before, if the handshake has ended."""
        ...


def most_connections(descriptors: int | None = None) -> tuple[int, int]:
    """Return how many connections the events door and the admin door may have, given this process's descriptors."""
    if descriptors is None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(LEAST, min(MOST, descriptors - max(RESERVED, descriptors // 4)))
    admin = most // 4
    return most - admin, admin


class Connections:
    """The connections of one door; closes those that are too slow or too many. Times in steady seconds."""

    def __init__(self, door: str, most: int, clock: Clock, log: Log, count: Callable[[Closed], None]) -> None:
        """Begin without connections; `count` is called for each connection that is closed here."""
        self.most = most
        self._door = door
        self._clock = clock
        self._log = log
        self._count = count
        self._since: dict[State, dict[Peer, float]] = {state: {} for state in State}
        self._in_state: dict[Peer, dict[Peer, float]] = {}
        """By connection, the entry of `_since` with those in its state: each request changes it twice."""
        self._changed = asyncio.Event()
        self._sweeping = False
        self._patience = PATIENCE
        self._evicted_at = -CALM
        self._unlogged: Counter[Closed] = Counter()
        self._logged_at = -BETWEEN_NOTES

    def __len__(self) -> int:
        """Return the number of open connections."""
        return len(self._in_state)

    def number(self, state: State) -> int:
        """Return the number of connections in a state."""
        return len(self._since[state])

    def has_room(self) -> bool:
        """Return whether another connection can be accepted now."""
        return len(self) < self.most or self._evictable() is not None

    def refuses(self) -> bool:
        """Return whether slow requests take up three quarters of the door, so that waiting for room would take long."""
        since = next(islice(self._since[State.BUSY].values(), self.most * 3 // 4, None), None)
        return since is not None and self._clock.now() - since >= SLOW

    def refused(self) -> None:
        """Count a connection that was refused."""
        self._note("many")

    def accepted(self, peer: Peer) -> None:
        """Add a connection that was accepted; if there are too many, evict one without a request."""
        if len(self) >= self.most and (oldest := self._evictable()) is not None:
            self._evict(oldest)
        self.opened(peer)

    def opened(self, peer: Peer) -> None:
        """Wait for a connection's first request."""
        silent = self._in_state[peer] = self._since[State.SILENT]
        silent[peer] = self._clock.now()
        self._sweep_later()

    def heard(self, peer: Peer) -> None:
        """Record that bytes arrived. They begin the head of a request, unless one is being served."""
        mates = self._in_state.get(peer)
        if mates is self._since[State.IDLE] or mates is self._since[State.SILENT]:
            self._move(peer, State.HEAD)

    def begun(self, peer: Peer) -> None:
        """Record that a request's head is complete."""
        self._move(peer, State.BUSY)

    def answered(self, peer: Peer) -> None:
        """Record that a request was answered; the connection stays open for another."""
        self._move(peer, State.IDLE)
        self._changed.set()

    def closed(self, peer: Peer) -> None:
        """Forget a connection."""
        mates = self._in_state.pop(peer, None)
        if mates is not None:
            del mates[peer]
            self._changed.set()

    async def all_answered(self) -> None:
        """Wait until all open connections are idle, which means that each has had a request answered."""
        while len(self) > self.number(State.IDLE):
            self._changed.clear()
            await self._changed.wait()

    def _move(self, peer: Peer, state: State) -> None:
        """Change a connection's state, unless it is closed: uvloop may report its end before its request begins."""
        before = self._in_state.get(peer)
        if before is not None:
            del before[peer]
            mates = self._in_state[peer] = self._since[state]
            mates[peer] = self._clock.now()

    def _evictable(self) -> Peer | None:
        """Return the connection to evict first: a silent one, else one with half a head, else an idle one.

        Idle ones are spared while the others take up half of the door, so that those in use outlive a flood.
        """
        now = self._clock.now()
        patience = self._patience_at(now)
        waiting = self.number(State.SILENT) + self.number(State.HEAD)
        for state in (State.SILENT, State.HEAD, State.IDLE):
            if state is State.IDLE and 2 * waiting > self.most:
                return None
            # each dict is in the order of `since`, so its first entry is the oldest: no search in a flood
            oldest, since = next(iter(self._since[state].items()), (None, now))
            if oldest is not None and now - since >= patience:
                return oldest
        return None

    def _evict(self, peer: Peer) -> None:
        """Close a connection, and shorten the patience: it halves with every `most` evictions."""
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
        """Close connections with an overdue head, and log how many were closed. A silent one gets no answer."""
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
    """A connection of aiohttp that reports its state to `Connections`."""

    __slots__ = ("_connections",)

    def __init__(self, manager: WatchedServer, connections: Connections, **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and record whether they complete the head of a request or only begin it."""
        super().data_received(data)
        if self._messages:
            self._connections.begun(self)
        else:
            self._connections.heard(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the connection."""
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
            if not self._messages:  # otherwise the next request has arrived already
                self._connections.answered(self)

    def has_half_a_head(self) -> bool:
        """Return whether an incomplete head arrived together with an earlier request.

        If so, this call has ended the parser, and the connection can only be closed.
        """
        try:
            return self._parser is not None and self._parser.feed_eof() is not None
        except HttpProcessingError:
            return True

    def close_now(self, answer: bytes) -> None:
        """Close the connection, after `answer` if there is one."""
        if answer and self.transport is not None:
            self.transport.write(answer)
        self.force_close()


class WatchedServer(web.Server):
    """Serves all requests with one handler, on connections that report their state."""

    def __init__(self, handler: Handler, connections: Connections, **options: object) -> None:
        super().__init__(handler, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._watched = connections

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was accepted."""
        return Connection(self, self._watched, loop=self._loop, **self._kwargs)


class WatchedRunner(web.AppRunner):
    """Runs an application on connections that report their state."""

    __slots__ = ("_connections",)

    def __init__(self, application: web.Application, connections: Connections, **options: object) -> None:
        super().__init__(application, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._connections = connections
        application.on_response_prepare.append(_name_no_version)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        options = made._kwargs | {"loop": made._loop}  # noqa: SLF001 - aiohttp has no public way to its server's options
        return WatchedServer(made.request_handler, self._connections, request_factory=made.request_factory, **options)


async def _name_no_version(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER
