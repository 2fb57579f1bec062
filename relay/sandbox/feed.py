"""A websocket feed on loopback that sends a script's messages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve


class ScriptedFeed:
    """A websocket server that sends the same messages to all clients. `address` is set by `start`."""

    def __init__(self) -> None:
        self.address = ""
        self.sent = 0
        self._server: Server | None = None
        self._clients: set[ServerConnection] = set()

    async def start(self, port: int = 0) -> None:
        """Bind on loopback, to any free port if `port` is 0."""
        self._server = await serve(self._serve, "127.0.0.1", port)
        self.address = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, connection: ServerConnection) -> None:
        self._clients.add(connection)
        try:
            await connection.wait_closed()
        finally:
            self._clients.discard(connection)

    def say(self, messages: Sequence[object]) -> None:
        """Send each message as JSON to every connected client."""
        for message in messages:
            broadcast(self._clients, msgspec.json.encode(message).decode())
            self.sent += len(self._clients)

    async def stop(self) -> None:
        """Close all connections."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
