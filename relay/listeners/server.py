"""The server of the events address: it answers errors of HTTP itself in the same form as all other errors."""

from __future__ import annotations

import asyncio

from aiohttp import web

from relay.listeners.connections import Connection, WatchedServer
from relay.listeners.webhook import error_answer

PATIENCE = 2.0
"""Seconds for which a stop waits for the requests of accepted connections."""


class EventsServer(WatchedServer):
    """Serves all requests with one handler."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection that was accepted."""
        return _EventsConnection(self, self._watched, loop=self._loop, **self._kwargs)

    async def answered(self) -> None:
        """Wait up to `PATIENCE` until each open connection has sent a request, and each request is answered.

        So a stop does not turn away a client that was already connected.
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
        """Answer a request that is not HTTP, or whose handler raised; then close the connection."""
        super().handle_error(request, status, exc, message)
        code, text = "internal", "a bug in the relay: nothing of this request was accepted"
        if status == 400:
            code, text = "malformed", "expected an HTTP request, found something else"
        answer = error_answer(status, code, text)
        answer.force_close()
        return answer
