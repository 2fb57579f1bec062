"""The server of the events address: errors of HTTP itself are told as every other error is."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.listeners.connections import Connection, Connections, Handler, WatchedServer
from relay.listeners.webhook import error_answer

PATIENCE = 2.0
"""Seconds that a stop waits for requests that have begun, and for those of connections that were taken already."""


class EventsServer(WatchedServer):
    """Serves one handler for all requests."""

    def __init__(self, handler: Handler, connections: Connections, **options: object) -> None:
        super().__init__(handler, connections, **options)
        self._due: set[object] = set()
        self._answered = asyncio.Event()

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was taken: its first request is to come, and to be answered."""
        handler = _EventsConnection(self, self._connections_of_all, loop=self._loop, **self._kwargs)
        self._due.add(handler)
        return handler

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Take note that a connection is gone."""
        super().connection_lost(handler, exc)
        self._is_answered(handler)

    async def answered(self) -> None:
        """Wait until each request that has begun is answered, and the first of each connection that was taken, for a
        short time: nobody who got through is turned away by a stop."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._connections_of_all.all_there()
                while self._due:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            return

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._due.add(request.protocol)
        try:
            return await super()._serve(request)
        finally:
            self._is_answered(request.protocol)

    def _is_answered(self, handler: object) -> None:
        self._due.discard(handler)
        self._answered.set()


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
