"""Sites: the addresses where the relay listens.

It accepts one connection at a time, so that a flood leaves descriptors for everything else.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from aiohttp import web

from relay.listeners.connections import REFUSAL, Connections
from relay.ports import Spawn

BACKLOG = 4_096
"""Connections that may wait in the kernel to be accepted. If systemd owns the socket, they survive a restart."""
PAUSE = 0.005
"""Seconds for which no connection is accepted if there is no room, or no descriptor."""
READ = 65_536
"""Bytes to read of a request whose connection is refused, at most."""


class Site(web.BaseSite):
    """Listens at an address, on sockets that are bound to it.

    It accepts connections itself, one after the other. asyncio's own server accepts all waiting ones before any can be
    closed, and so runs out of descriptors in a flood.
    """

    __slots__ = ("_address", "_bound", "_connections", "_handshakes", "_loop", "_spawn", "sockets")

    def __init__(
        self,
        runner: web.BaseRunner,
        connections: Connections,
        spawn: Spawn,
        address: tuple[str, int],
        bound: Sequence[socket.socket],
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare the site. `spawn` owns the handshakes; `bound` are the sockets at the address."""
        super().__init__(runner, ssl_context=context, backlog=BACKLOG)
        self._connections = connections
        self._spawn = spawn
        self._address = address
        self._bound = bound
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[Handshake] = set()
        self.sockets: list[socket.socket] = []

    @property
    def name(self) -> str:
        """Return the site's URL."""
        return "{}://{}:{}".format("http" if self._ssl_context is None else "https", *self._address)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await super().start()
        self.sockets = list(self._bound)
        for one in self.sockets:
            one.setblocking(False)  # noqa: FBT003 - socket's own signature
            one.listen(BACKLOG)
        self._server = self  # type: ignore[assignment]  # aiohttp only reads its `sockets` and closes it
        self._open()

    async def stop(self) -> None:
        """Stop accepting; cancel TLS handshakes, and hand the connections that need none to the server."""
        await super().stop()
        for handshake in self._handshakes:
            if self._ssl_context is not None:
                handshake.close_now(b"")
        if self._handshakes:
            await asyncio.wait([handshake.task for handshake in self._handshakes])

    def close(self) -> None:
        """Stop accepting, and close the sockets."""
        self._remove_readers()
        for one in self.sockets:
            one.close()
        self.sockets = []

    def _open(self) -> None:
        for one in self.sockets:
            self._loop.add_reader(one, self._accept, one)

    def _remove_readers(self) -> None:
        for one in self.sockets:
            self._loop.remove_reader(one)

    def _pause(self) -> None:
        self._remove_readers()
        self._loop.call_later(PAUSE, self._open)

    def _accept(self, listening: socket.socket) -> None:
        """Accept one connection. To look for a second one would cost a system call for each that comes alone."""
        room = self._connections.has_room()
        if not room and not self._connections.refuses():
            self._pause()
            return
        try:
            accepted, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor is left; some are being closed and will be free in a moment
            self._pause()
            return
        accepted.setblocking(False)  # noqa: FBT003 - socket's own signature
        if room:
            self._begin(accepted)
        else:
            self._refuse(accepted)

    def _refuse(self, accepted: socket.socket) -> None:
        """Answer 503 if there is no TLS, and close the connection."""
        self._connections.refused()
        if self._ssl_context is None:
            with suppress(OSError):
                accepted.recv(READ)  # unread bytes make the kernel reset the connection before the answer is read
            with suppress(OSError):
                accepted.send(REFUSAL)
        accepted.close()

    def _begin(self, accepted: socket.socket) -> None:
        work = self._hand_over(accepted)
        try:
            task = self._spawn(work)
        except RuntimeError:  # the task group has ended: the process stops because of an error
            work.close()
            accepted.close()
            return
        handshake = Handshake(task)
        self._handshakes.add(handshake)
        self._connections.accepted(handshake)

        def ended(task: asyncio.Task[None]) -> None:
            self._handshakes.discard(handshake)
            self._connections.closed(handshake)
            if task.cancelled():
                accepted.close()

        task.add_done_callback(ended)

    async def _hand_over(self, accepted: socket.socket) -> None:
        """Hand a connection to the server after its handshake; if that fails, only close it."""
        server = self._runner.server
        assert server is not None  # noqa: S101 - the runner was set up before
        try:
            await self._loop.connect_accepted_socket(server, accepted, ssl=self._ssl_context)
        except OSError:
            accepted.close()


class Handshake:
    """An accepted connection, until the server takes it over."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task

    def close_now(self, _: bytes) -> None:
        """Cancel the handshake; no answer can be sent yet."""
        self.task.cancel()


def bind(
    host: str, port: int, resolve: Callable[..., Sequence[tuple[Any, ...]]] = socket.getaddrinfo
) -> list[socket.socket]:
    """Bind sockets at all addresses of a host that this machine has. Raises OSError and then leaves none open.

    They listen once a site has started. Until then they fail to bind if another process listens there.
    """
    found = resolve(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, address))
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                for one in sockets:
                    one.close()
                raise
            missing = error  # `localhost` resolves to ::1 as well, even if the kernel has no IPv6
    if missing is not None and not sockets:
        raise missing
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made
