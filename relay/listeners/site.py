"""Where the relay listens: connections are taken a few at a time, so that a flood leaves descriptors for all else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from aiohttp import web

from relay.listeners.connections import HEAD_TIMEOUT, Connections
from relay.ports import Spawn

BACKLOG = 4_096
"""Connections that wait in the kernel to be taken, also through a restart where systemd holds the socket."""
AT_ONCE = 8
"""Connections that are taken before all else has its turn."""
PAUSE = 0.05
"""Seconds for which none is taken where no descriptor is left."""


class Site(web.BaseSite):
    """Listens at an address, or at a socket that was handed over.

    It takes connections itself, a few at a time: a loop takes all that wait at once, before any can be closed, and so
    runs out of descriptors in a flood. A TLS handshake has as long as a head.
    """

    __slots__ = ("_address", "_connections", "_given", "_spawn")

    def __init__(
        self, runner: web.BaseRunner, connections: Connections, spawn: Spawn, address: tuple[str, int],
        given: socket.socket | None = None, context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        """`spawn` owns the handshakes; `given` takes the place of the address."""
        super().__init__(runner, ssl_context=context, backlog=BACKLOG)
        self._connections = connections
        self._spawn = spawn
        self._address = address
        self._given = given

    @property
    def name(self) -> str:
        """Where it listens."""
        return "{}://{}:{}".format("http" if self._ssl_context is None else "https", *self._address)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        sockets = await _sockets_at(*self._address) if self._given is None else [self._given]
        self._server = Doorway(  # type: ignore[assignment]  # aiohttp asks for its sockets and closes it, no more
            sockets, self._connections, self._spawn_greeting
        )

    def _spawn_greeting(self, taken: socket.socket) -> None:
        _ = self._spawn(self._greet(taken))

    async def _greet(self, taken: socket.socket) -> None:
        """Hand a connection to the server, after its handshake; one whose handshake fails is only closed."""
        within = None if self._ssl_context is None else HEAD_TIMEOUT
        server = self._runner.server
        assert server is not None  # noqa: S101 - the runner was set up before
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                server, taken, ssl=self._ssl_context, ssl_handshake_timeout=within
            )
        except (OSError, ssl.SSLError, TimeoutError):
            taken.close()
        finally:
            self._connections.greeted()


async def _sockets_at(host: str, port: int) -> list[socket.socket]:
    """Bind sockets at all addresses of a host. Raises OSError, with none of them left open."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


class Doorway:
    """Takes connections from sockets that listen, a few at a time."""

    def __init__(
        self, sockets: list[socket.socket], connections: Connections, take: Callable[[socket.socket], None]
    ) -> None:
        self.sockets = sockets
        self._connections = connections
        self._take = take
        self._loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)  # noqa: FBT003 - its own way
            one.listen(BACKLOG)
        self._open()

    def _open(self) -> None:
        for one in self.sockets:
            self._loop.add_reader(one, self._accept, one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(AT_ONCE):
            if self._connections.crowded:
                self._pause()
                return
            try:
                taken, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left: those that are closed now are there in a moment
                self._pause()
                return
            taken.setblocking(False)  # noqa: FBT003 - its own way
            self._connections.coming()
            self._take(taken)

    def _pause(self) -> None:
        for one in self.sockets:
            self._loop.remove_reader(one)
        self._loop.call_later(PAUSE, self._open)

    def close(self) -> None:
        """Take none any more."""
        for one in self.sockets:
            self._loop.remove_reader(one)
            one.close()
        self.sockets = []
