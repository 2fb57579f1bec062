"""The server of the events address: errors of HTTP itself are told as every other error is."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.listeners.connections import Connection, WatchedServer
from relay.listeners.webhook import error_answer

PATIENCE = 2.0
"""Seconds that a stop waits for requests of connections that were accepted."""


class EventsServer(WatchedServer):
    """Serves one handler for all requests."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was accepted."""
        return _EventsConnection(self, self._watched, loop=self._loop, **self._kwargs)

    async def answered(self) -> None:
        """Wait for a short time until each request that has begun is answered, and the first of each connection.

        So a stop turns away nobody who got through.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                await self._watched.all_answered()
        except TimeoutError:
            return


class _EventsConnection(Connection):
    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what the handler raised; the connection ends."""
        super().handle_error(request, status, exc, message)
        code, said = "internal", "a bug: nothing of this request was taken"
        if status == 400:
            code, said = "malformed", "this is no HTTP request that can be read"
        answer = error_answer(status, code, said)
        answer.force_close()
        return answer
