"""The server of the events address: errors of HTTP itself are told as every other error is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from relay.listeners.webhook import error_answer

PATIENCE = 2.0
"""Seconds that a stop waits for the requests of connections that were taken already."""


class EventsServer(web.Server):
    """Serves one handler for all requests."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: object) -> None:
        super().__init__(self._serve, **options)  # type: ignore[arg-type]  # aiohttp's own options
        self._answer = handler
        self._fresh: set[object] = set()
        self._served = asyncio.Event()

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Take note of a connection whose first request is still to come."""
        super().connection_made(handler, transport)
        self._fresh.add(handler)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Take note that a connection is gone."""
        super().connection_lost(handler, exc)
        self._is_served(handler)

    async def first_requests(self) -> None:
        """Wait until each connection that was taken has sent its first request, for a short time: nobody who got
        through is turned away by a stop."""
        try:
            async with asyncio.timeout(PATIENCE):
                while self._fresh:
                    self._served.clear()
                    await self._served.wait()
        except TimeoutError:
            return

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self._is_served(request.protocol)
        return await self._answer(request)

    def _is_served(self, handler: object) -> None:
        self._fresh.discard(handler)
        self._served.set()


class _Connection(web.RequestHandler):
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
