"""The addresses that a process keeps from start to end: sockets, certificate, and the check that they are protected."""

from __future__ import annotations

import errno
import os
import socket
from typing import Literal

from aiohttp import web

from relay.app.assembly.tls import load_certificate, server_context
from relay.lifecycle import inherited_sockets
from relay.listeners.connections import Connections
from relay.listeners.site import Site, bind
from relay.ports import Spawn
from relay.settings.crosscheck import open_doors
from relay.settings.load import Loaded
from relay.settings.problems import ConfigurationError
from relay.settings.types import Address

Name = Literal["events", "admin"]
_NAMES: tuple[Name, ...] = ("events", "admin")


class Doors:
    """The addresses of this process: sockets that it inherited, else those of the configuration at its start.

    They are bound as soon as this is made, so that a second relay fails before it touches anything else.
    """

    def __init__(self, first: Loaded) -> None:
        """Raises `ConfigurationError` for an unprotected address, OSError if one is taken.

        Raises OSError and ValueError for files of TLS, too.
        """
        self.listen = first.settings.listen
        self._file = first.file
        self._sockets = inherited_sockets()
        self.refuse_open(first)
        self._context = None if self.listen.tls is None else server_context(self.listen.tls)
        self._bound: dict[Name, list[socket.socket]] = {}
        try:
            for name in _NAMES:
                taken = self._sockets.get(name)
                self._bound[name] = self._bind(name) if taken is None else [taken]
        except OSError:
            self.close()
            raise

    def _bind(self, name: Name) -> list[socket.socket]:
        address: Address = getattr(self.listen, name)
        try:
            return bind(address.host, address.port)
        except OSError as error:
            raise self._taken(name, error) from error

    def _taken(self, name: Name, error: OSError) -> OSError:
        """Return the error for an address at which the relay can't listen."""
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        hint = "; does a relay run already? See `relay status`" if error.errno == errno.EADDRINUSE else ""
        return OSError(f"{self._file}: listen.{name}: can't listen at {getattr(self.listen, name)}: {why}{hint}")

    def close(self) -> None:
        """Close the sockets."""
        for one in (one for bound in self._bound.values() for one in bound):
            one.close()

    def refuse_open(self, loaded: Loaded) -> None:
        """Raise `ConfigurationError` for a configuration that lets strangers in at the addresses of this process."""
        if problems := open_doors(loaded.settings, loaded.document, self._address("events"), self._address("admin")):
            raise ConfigurationError(problems)

    def renew_certificate(self, loaded: Loaded) -> None:
        """Load the certificate again, if its files have the same names as at the start. Raises OSError, ValueError."""
        tls = loaded.settings.listen.tls
        if self._context is not None and tls is not None and tls == self.listen.tls:
            load_certificate(self._context, tls)

    def _address(self, name: Name) -> Address:
        taken = self._sockets.get(name)
        if taken is None:
            configured: Address = getattr(self.listen, name)
            return configured
        if taken.family == socket.AF_UNIX:
            return Address("localhost", 0)
        found = taken.getsockname()
        return Address(str(found[0]), int(found[1]))

    async def open(self, name: Name, runner: web.BaseRunner, connections: Connections, spawn: Spawn) -> Address:
        """Listen at an address; return it with the actual port. Raises OSError."""
        address = getattr(self.listen, name)
        site = Site(runner, connections, spawn, (address.host, address.port), self._bound[name], self._context)
        try:
            await site.start()
        except OSError as error:
            raise self._taken(name, error) from error
        bound = runner.addresses[0]
        return Address(address.host, int(bound[1]) if isinstance(bound, tuple) else 0)  # a Unix socket has no port
