"""Push: a websocket that producers connect to. Frames are answered in order, each once its events are on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from relay.core.event import SourceDefaults
from relay.core.rate import TokenBucket
from relay.formats import Format, Request
from relay.formats.batch import Read, read_payload, refused_items, unread_parts
from relay.formats.contract import MOST_EVENTS, NotJsonError, UnreadableError, decode_json
from relay.listeners.auth import Auth, NoAuth
from relay.listeners.connections import SERVER
from relay.listeners.webhook import NO_STORE, RETRY_STORE, error_answer
from relay.pipeline.intake import Intake, QueueFullError
from relay.ports import Clock, Conflict, Hears, StoreError, Telemetry

MOST_PEERS = 100
"""Connections that one source may have."""
IN_FLIGHT = 256
"""Frames of a connection that may wait for their answer; until one is answered, no more are read."""
SLOW = 10.0
"""Seconds that a peer may take to read an answer."""
IDLE = 900.0
"""Seconds without a frame after which a connection is closed; its producer connects again when it has one."""


class PushSource(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A configured push source. `max_body` in bytes, `ping` in seconds."""

    path: str
    defaults: SourceDefaults
    format: Format
    auth: Auth
    max_body: int
    ping: float
    bucket: TokenBucket | None = None


_encode = msgspec.json.Encoder().encode


class PushListener:
    """Serves the connections of all push sources."""

    def __init__(
        self,
        sources: Mapping[str, PushSource],
        intake: Intake,
        clock: Clock,
        telemetry: Telemetry,
        hears: Hears,
        most: int,
        idle: float = IDLE,
        slow: float = SLOW,
    ) -> None:
        """Begin without connections. `sources` by path; `most` connections of all sources together.

        A connection ends after `idle` seconds without a frame, or if its peer takes `slow` seconds to read an answer.
        """
        self._most = most
        self._idle = idle
        self._slow = slow
        self.sources = sources
        self._intake = intake
        self._clock = clock
        self._telemetry = telemetry
        self._hears = hears
        self._peers: dict[PushSource, set[web.WebSocketResponse]] = {}
        self._stopping = False

    async def handle(self, source: PushSource, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one connection to its end."""
        name = source.defaults.source
        if not source.auth.admits(request.headers):
            message = "the credentials are missing or wrong"
            self._record_refused(name, "unauthorized", message)
            return error_answer(401, "unauthorized", message)
        # each browser sends an Origin (RFC 6455, section 4.1), and any page could connect to a source without `auth`
        if isinstance(source.auth, NoAuth) and "Origin" in request.headers:
            message = "a source without `auth` accepts no connection from a web page"
            self._record_refused(name, "unauthorized", message)
            return error_answer(403, "forbidden", message)
        mine, all_of_them = len(self._peers.get(source, ())), sum(map(len, self._peers.values()))
        if mine >= MOST_PEERS or all_of_them >= self._most or self._stopping:
            message = f"this source has {mine} open connections, all sources together have {all_of_them}"
            self._record_refused(name, "rate", message)
            return error_answer(503, "too_many", f"{message}; try again later", RETRY_STORE)
        socket = web.WebSocketResponse(heartbeat=source.ping, max_msg_size=source.max_body, timeout=2.0)
        if not socket.can_prepare(request):
            message = "expected the GET of a websocket handshake (Upgrade: websocket), found another request"
            return error_answer(426, "upgrade_required", message)
        socket.headers["Server"] = SERVER
        await socket.prepare(request)
        self._peers.setdefault(source, set()).add(socket)
        try:
            await self._converse(source, socket)
        finally:
            self._peers[source].discard(socket)
            if not self._peers[source]:
                del self._peers[source]
        return socket

    async def close_gone(self) -> None:
        """Close the connections of sources that a reload removed or changed; their producers connect again."""
        gone = [source for source in self._peers if self.sources.get(source.path) is not source]
        await self._close(gone, WSCloseCode.SERVICE_RESTART, b"the source's configuration has changed")

    async def stop(self) -> None:
        """Send the answers that are due, and close all connections."""
        self._stopping = True
        await self._close(list(self._peers), WSCloseCode.GOING_AWAY, b"the relay stops")

    async def _close(self, sources: Sequence[PushSource], code: int, why: bytes) -> None:
        async with asyncio.TaskGroup() as tasks:
            for socket in [socket for source in sources for socket in self._peers[source]]:
                tasks.create_task(socket.close(code=code, message=why))

    async def _converse(self, source: PushSource, socket: web.WebSocketResponse) -> None:
        answers: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(IN_FLIGHT)
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer(socket, answers, self._slow))
            while not answering.done():
                message = await self._next(socket, self._idle)
                if message is None or message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    break
                self._hears(source.defaults.source)
                raw = message.data.encode() if isinstance(message.data, str) else message.data
                # each frame is a task of its own, so that many can share a commit; `_answer` keeps their order
                await answers.put(tasks.create_task(self._take(source, raw)))
            if not answering.done():
                await answers.put(None)

    @staticmethod
    async def _next(socket: web.WebSocketResponse, idle: float) -> WSMessage | None:
        """Return the next frame, or None if the peer was idle for too long."""
        try:
            return await socket.receive(timeout=idle)
        except TimeoutError:
            await socket.close(code=WSCloseCode.OK, message=b"idle")
            return None

    @staticmethod
    async def _answer(
        socket: web.WebSocketResponse, answers: asyncio.Queue[asyncio.Task[Any] | None], within: float
    ) -> None:
        """Send the answers in the order of their frames. Once the peer reads too slowly, drop them."""
        slow = False
        while (task := await answers.get()) is not None:
            answer = await task
            if slow or socket.closed:
                continue  # the frames are still to be committed
            try:
                async with asyncio.timeout(within):
                    await socket.send_str(answer)
            except (TimeoutError, ConnectionError, RuntimeError):
                slow = True
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"slow")

    async def _take(self, source: PushSource, raw: bytes) -> str:
        """Commit a frame, and return its answer."""
        name = source.defaults.source
        if source.bucket is not None and (wait := source.bucket.wait(self._clock.now())) > 0:
            message = f"over this source's rate of {source.bucket.rate:g} events a second"
            self._record_refused(name, "rate", message)
            return _problem("rate", message, wait)
        try:
            payload = decode_json(raw)
            read = read_payload(source.format, Request(payload, name, received_at=self._clock.wall()))
        except (NotJsonError, UnreadableError) as error:
            return await self._refuse(name, str(error), raw)
        if source.bucket is not None:
            source.bucket.take(len(read.drafts))
        return await self._commit(source, read, raw, _producer_ids(payload, read), unread_parts(read))

    async def _commit(
        self, source: PushSource, read: Read, raw: bytes, given: list[str | int] | None, unread: list[str]
    ) -> str:
        """Commit the readable events of a frame, and return its answer.

        `given` are the producer's ids of them, and `unread` the parts of the frame that they do not show.
        """
        name = source.defaults.source
        known_by = None if given is None else f"push:{sha256(_encode(given)).hexdigest()}"
        try:
            outcome = await self._intake.accept(source.defaults, read.drafts, raw, known_by, read.unread)
        except QueueFullError as error:
            self._record_refused(name, "queue", str(error))
            return _problem("queue_full", f"{error}; try again later", RETRY_STORE, given)
        except StoreError:
            self._record_refused(name, "store", NO_STORE)
            return _problem("store_unavailable", NO_STORE, RETRY_STORE, given)
        except Exception as error:  # noqa: BLE001 - the border around one frame: drafts that no event can be made of
            return await self._refuse(name, f"a bug in the format: {error!r}", raw)
        if isinstance(outcome, Conflict):
            message = f"another frame was accepted earlier under the id {_encode(given).decode()}; use a new id"
            return _problem("conflict", message, given=given)
        self._intake.drop(name, read.dropped)
        return _acknowledged(list(outcome.ids) if given is None else given, read, unread)

    def _record_refused(self, name: str, reason: str, detail: str) -> None:
        """Count a refused connection or frame; log it, at most once a minute for each source and reason."""
        self._telemetry.refused(name, reason)
        self._intake.note_refused(name, reason, detail)

    async def _refuse(self, name: str, detail: str, raw: bytes) -> str:
        """Store a frame that can't be read, so that it can be looked at, and return its answer."""
        try:
            await self._intake.refuse(name, "malformed", detail, raw)
        except StoreError:
            return _problem("store_unavailable", NO_STORE, RETRY_STORE)
        return _problem("unreadable", detail)


def _producer_ids(payload: object, read: Read) -> list[str | int] | None:
    """Return the producer's ids of a frame's readable events, or None if one lacks an id.

    They recognise a frame that is sent again.
    """
    items: Sequence[object] = [payload]
    if isinstance(payload, list):
        gone = {one.index for one in read.unread}
        items = [item for index, item in enumerate(payload[:MOST_EVENTS]) if index not in gone]
    found = [item.get("id") for item in items if isinstance(item, dict)]
    known = [one for one in found if isinstance(one, (str, int)) and not isinstance(one, bool) and one != ""]
    return known if known and len(known) == len(items) else None


def _acknowledged(ids: Sequence[str | int], read: Read, unread: list[str]) -> str:
    """Return the answer to a frame that is on disk: the accepted ids, and what was not read, refused or dropped of it.

    The producer's own ids are those of the dropped events, too: they need not be sent again.
    """
    acknowledged: dict[str, object] = {"ack": ids}
    acknowledged |= {"unread": unread} if unread else {}
    acknowledged |= {"dropped": len(read.dropped)} if read.dropped else {}
    if not read.unread:
        return _encode(acknowledged).decode()
    refused, more = refused_items(read.unread)
    error = {"code": "unreadable", "message": refused[0].error}
    answer: dict[str, object] = acknowledged if read.drafts or read.dropped else {"error": error}
    return _encode(answer | {"refused": refused} | ({"more_refused": more} if more else {})).decode()


def _problem(code: str, message: str, retry_after: float | None = None, given: list[str | int] | None = None) -> str:
    """Return the answer with an error; `given` are the producer's ids, if the frame could be read."""
    later = {} if retry_after is None else {"retry_after": round(retry_after, 1)}
    known = {} if given is None else {"id": given[0] if len(given) == 1 else given}
    return _encode({"error": {"code": code, "message": message, **later}, **known}).decode()
