"""The server of the events address: errors of HTTP itself are told as every other error is."""

from __future__ import annotations

from aiohttp import web

from relay.listeners.webhook import error_answer


class EventsServer(web.Server):
    """Serves one handler for all requests."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)


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
