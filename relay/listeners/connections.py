"""Connections of all addresses: how long a request's head may take, and how many connections there may be.

A connection is `waiting` for a head, `busy` with a request, or `idle` between two. Only busy ones cost what they are
worth: over the bound, the oldest of the others are closed, so that senders, feeds and the store keep descriptors.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from relay.ports import Clock, Log

HEAD_TIMEOUT = 10.0
"""Seconds that a request's head may take, from the connection's beginning or from its first byte after another."""
SWEEP = 0.5
"""Seconds between two looks at heads that are overdue."""
MOST = 10_000
"""Connections at the most, however many descriptors there are."""
LEAST = 16
RESERVED = 96
"""Descriptors that are kept for senders, feeds, files and the store, or a quarter of all where that is more."""
BETWEEN_NOTES = 60.0
"""Seconds between two lines of the log about connections that were closed for want of room."""
SERVER = "relay"
"""What answers say of the program: no version of it, of Python or of a library."""
_TOO_SLOW = msgspec.json.encode(
    {"error": {"code": "too_slow", "message": f"the request's head did not arrive within {HEAD_TIMEOUT:g} s"}}
)
_TOO_MANY = msgspec.json.encode(
    {"error": {"code": "too_many", "message": "there are too many connections; try again in a moment"}}
)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def most_connections(descriptors: int | None = None) -> int:
    """Return how many connections there may be, by the descriptors that this process may have."""
    if descriptors is None:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(LEAST, min(MOST, descriptors - max(RESERVED, descriptors // 4)))


class Connections:
    """Knows all connections, and closes those that are too slow or too many. Times in steady seconds."""

    def __init__(self, most: int, clock: Clock, log: Log) -> None:
        self.most = most
        self._clock = clock
        self._log = log
        self._waiting: dict[Connection, float] = {}
        self._idle: dict[Connection, None] = {}
        self._busy: set[Connection] = set()
        self._coming = 0
        self._all_there = asyncio.Event()
        self._all_there.set()
        self._sweeping = False
        self._closed = 0
        self._noted_at = -BETWEEN_NOTES

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting) + len(self._idle) + len(self._busy) + self._coming

    def coming(self) -> None:
        """One was taken, and is not there yet; the oldest without a request gives way where there are too many."""
        self._coming += 1
        self._all_there.clear()
        if len(self) <= self.most:
            return
        oldest = next(iter(self._waiting), None) or next(iter(self._idle), None)
        if oldest is not None:
            self._note_closed()
            self._forget(oldest)
            oldest.turn_away(b"503 Service Unavailable", _TOO_MANY, told=False)

    def greeted(self) -> None:
        """One that was coming is there, or has failed."""
        self._coming -= 1
        if self._coming == 0:
            self._all_there.set()

    @property
    def crowded(self) -> bool:
        """True where so many are coming (handshakes that do not end) that no more should be taken for now."""
        return self._coming >= max(1, self.most // 2)

    async def all_there(self) -> None:
        """Wait until those that were taken are there, or have failed."""
        await self._all_there.wait()

    def opened(self, connection: Connection) -> None:
        """It is there; where all others are busy, it has no place."""
        if len(self) > self.most:
            self._note_closed()
            connection.turn_away(b"503 Service Unavailable", _TOO_MANY, told=True)
            return
        self._waiting[connection] = self._clock.now()
        self._sweep_later()

    def heard(self, connection: Connection) -> None:
        """Something came: where the connection was idle, a head begins."""
        if connection in self._idle:
            del self._idle[connection]
            self._waiting[connection] = self._clock.now()
            self._sweep_later()

    def begun(self, connection: Connection) -> None:
        """A request's head is there."""
        self._forget(connection)
        self._busy.add(connection)

    def answered(self, connection: Connection) -> None:
        """The request is answered; there may come another one."""
        if connection in self._busy:
            self._busy.discard(connection)
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        """It is gone."""
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._waiting.pop(connection, None)
        self._idle.pop(connection, None)
        self._busy.discard(connection)

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Answer 408 where a head is overdue; a connection that has said nothing at all is only closed."""
        self._sweeping = False
        overdue = self._clock.now() - HEAD_TIMEOUT
        for connection, since in list(self._waiting.items()):
            if since > overdue:
                break
            self._forget(connection)
            connection.turn_away(b"408 Request Timeout", _TOO_SLOW, told=connection.has_spoken)
        if self._waiting:
            self._sweep_later()

    def _note_closed(self) -> None:
        self._closed += 1
        now = self._clock.now()
        if now - self._noted_at >= BETWEEN_NOTES:
            self._noted_at = now
            self._log.warning("too_many_connections", most=self.most, closed=self._closed, busy=len(self._busy))
            self._closed = 0


class Connection(web.RequestHandler):
    """One connection as aiohttp handles it, watched."""

    __slots__ = ("_connections", "has_spoken")

    def __init__(self, manager: WatchedServer, connections: Connections, **options: object) -> None:
        super().__init__(manager, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._connections = connections
        self.has_spoken = False
        """Whether anything of a request has come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands: a request's head is waited for."""
        super().connection_made(transport)
        self._connections.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self.has_spoken = True
        self._connections.heard(self)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._connections.closed(self)
        super().connection_lost(exc)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; then the connection is idle."""
        if not resp.prepared:
            resp.headers["Server"] = SERVER
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._connections.answered(self)

    def turn_away(self, status: bytes, body: bytes, *, told: bool) -> None:
        """Close it, with an answer where its peer is to be `told`."""
        if told and self.transport is not None:
            head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n"
            self.transport.write((head + b"Server: relay\r\n\r\n") % (status, len(body)) + body)
        self.force_close()


class WatchedServer(web.Server):
    """Serves one handler for all requests, by connections that are watched."""

    def __init__(self, handler: Handler, connections: Connections, **options: object) -> None:
        super().__init__(self._serve, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._answer = handler
        self._connections_of_all = connections

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was taken."""
        return Connection(self, self._connections_of_all, loop=self._loop, **self._kwargs)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if isinstance(connection, Connection):
            self._connections_of_all.begun(connection)
        return await self._answer(request)


class WatchedRunner(web.AppRunner):
    """Runs an application by connections that are watched."""

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
