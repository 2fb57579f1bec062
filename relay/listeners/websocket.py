"""Websocket feeds: connect, stay connected, and commit frames in groups."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxyStatus,
    InvalidStatus,
    WebSocketException,
)

from relay.core.closing import refuses
from relay.core.event import SourceDefaults
from relay.formats import Format, Request
from relay.formats.batch import read_payload
from relay.formats.contract import decode_json
from relay.listeners.staying import FeedLostError, Staying
from relay.pipeline.intake import Frame, Intake
from relay.ports import Clock

OPEN_TIMEOUT = 10.0
"""Seconds for the connection and its handshake."""


class WebsocketFeed(msgspec.Struct, frozen=True, kw_only=True):
    """A configured feed.

    `ping`: seconds between two pings, and to the deadline of the answer; `max_body` of a frame, in bytes. `headers` and
    `send` (the messages to send first) return their present value, as secrets in them may change; they raise
    `FeedLostError`.
    """

    url: str
    defaults: SourceDefaults
    format: Format
    max_body: int
    headers: Callable[[], dict[str, str]] = dict
    send: Callable[[], tuple[str, ...]] = tuple
    ping: float = 20.0
    tls: ssl.SSLContext | None = None
    proxy: str | Literal[True] | None = True

    @property
    def place(self) -> str:
        """Return the address without the parts that may be secret: user and password, parameters."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class WebsocketListener:
    """Turns the frames of one feed into events."""

    def __init__(self, feed: WebsocketFeed, staying: Staying, intake: Intake, clock: Clock) -> None:
        self.staying = staying
        self._feed = feed
        self._intake = intake
        self._clock = clock
        self._over = asyncio.Event()
        self._cut_reason = ""

    def stop(self) -> None:
        """Make `run` end once all received frames are committed."""
        self.staying.stopping.set()
        self._over.set()

    async def run(self) -> None:
        """Stay connected until `stop`."""
        await self.staying.run(self._session)

    async def _session(self) -> str:
        """Run one connection from its handshake to its end; return why it ended. Raises `FeedLostError`."""
        try:
            async with connect(
                self._feed.url,
                additional_headers=self._feed.headers(),
                ssl=self._feed.tls,
                proxy=self._feed.proxy,
                open_timeout=OPEN_TIMEOUT,
                ping_interval=self._feed.ping,
                ping_timeout=self._feed.ping,
                close_timeout=2,
                max_size=self._feed.max_body,
                logger=None,
            ) as connection:
                await self._work(connection)
                return self._end(connection)
        except InvalidStatus as error:
            status = error.response.status_code
            refused = status in (401, 403, 404)
            raise FeedLostError(f"the handshake was answered {status}", refused=refused) from error
        except InvalidProxyStatus as error:
            status = error.response.status_code
            raise FeedLostError(f"the proxy answered {status}", refused=status in (401, 403, 407)) from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException, ValueError) as error:
            detail = str(error).replace(self._feed.url, self._feed.place)
            raise FeedLostError(f"{type(error).__name__}: {detail}") from error

    def _end(self, connection: ClientConnection) -> str:
        """Return why a connection ended; record it if the peer has refused us."""
        code, reason = connection.close_code, connection.close_reason or ""
        ended = self._cut_reason or f"closed: {code} {reason}".strip()
        if refuses(code, reason):
            self.staying.refuse(ended)
        return ended

    async def _work(self, connection: ClientConnection) -> None:
        self._cut_reason = ""
        self._over.clear()
        try:
            for message in self._feed.send():
                await connection.send(message)
        except ConnectionClosed as error:
            self._cut_reason = str(error)
            return
        self.staying.opened(self._feed.place)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._close_on_stop(connection))
            await self.staying.read(self._frames(connection), self._commit)
            self._over.set()

    async def _close_on_stop(self, connection: ClientConnection) -> None:
        if not self.staying.stopping.is_set():
            await self._clock.wait(self._over, None)
        await connection.close()

    async def _frames(self, connection: ClientConnection) -> AsyncIterator[str | bytes]:
        try:
            async for frame in connection:
                yield frame
        except ConnectionClosed as error:
            self._cut_reason = str(error)

    async def _commit(self, frames: Sequence[str | bytes]) -> None:
        await self.staying.commit(self._intake, self._feed.defaults, frames, self._read)

    def _read(self, raw: bytes) -> Frame:
        payload = decode_json(raw)
        if (refusal := self._feed.format.refuses(payload)) is not None:
            self.staying.refuse(refusal)
            self._over.set()
        read = read_payload(self._feed.format, Request(payload, self.staying.name, received_at=self._clock.wall()))
        return Frame(read.drafts, raw, unread=read.unread, dropped=read.dropped)
