"""Websocket feeds: connect, stay connected, and commit what comes in groups."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import tenacity
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from relay.core.event import Draft, SourceDefaults
from relay.formats import Format, Request
from relay.formats.contract import NotJsonError, UnreadableError, decode_json
from relay.pipeline.intake import Intake
from relay.ports import Clock, Log, StoreUnavailableError, Telemetry, Tell

GROUP = 512
"""Frames that are committed together at the most; the socket is not read further before."""
OPEN_TIMEOUT = 10.0
LONGEST_DELAY = 60.0
"""Seconds between two tries to connect, at the most."""
REFUSED_DELAY = 300.0
"""Seconds before another try after the peer said 401, 403 or 404."""
HELD = 30.0
"""Seconds that a connection must hold for its end to count as a fresh start."""
TOLD_AFTER = 120.0
"""Seconds without a connection after which the operator is told."""
STORE_RETRY = 1.0


class WebsocketFeed(msgspec.Struct, frozen=True, kw_only=True):
    """A configured feed. `ping` in seconds between two pings, and to the answer's deadline; `max_body` in bytes."""

    url: str
    defaults: SourceDefaults
    read: Format
    max_body: int
    headers: dict[str, str] = {}
    send: tuple[str, ...] = ()
    ping: float = 20.0
    tls: ssl.SSLContext | None = None
    proxy: str | Literal[True] | None = True

    @property
    def place(self) -> str:
        """The address without what may be secret in it: a user's password, a token among the parameters."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class FeedState:
    """What a feed is doing, for the status and the metrics. Times in Unix seconds."""

    def __init__(self) -> None:
        self.connected = False
        self.last_message_at: float | None = None
        self.last_error: str | None = None
        self.tries = 0


class FeedLostError(Exception):
    """A connection could not be made, or ended soon."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class WebsocketListener:
    """Keeps one feed connected for as long as the relay lives."""

    def __init__(
        self, feed: WebsocketFeed, intake: Intake, clock: Clock, telemetry: Telemetry, log: Log, tell: Tell
    ) -> None:
        self.state = FeedState()
        self._feed = feed
        self._name = feed.defaults.source
        self._intake = intake
        self._clock = clock
        self._telemetry = telemetry
        self._log = log
        self._tell = tell
        self._stop = asyncio.Event()
        self._frames: list[str | bytes] = []
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = asyncio.Event()
        self.told_down = False
        """The operator has been told that the feed is down, by this process or an earlier one."""
        self._down_since: float | None = None
        self._cut = ""

    def stop(self) -> None:
        """Have `run` end, after what has come is committed."""
        self._stop.set()
        self._ended.set()

    async def run(self) -> None:
        """Connect for ever, with growing, jittered delays between failures."""
        while not self._stop.is_set():
            retrying = tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(FeedLostError),
                wait=self._delay,
                sleep=self._rest,
                before_sleep=self._before_rest,
                stop=lambda _: self._stop.is_set(),
                reraise=True,
            )
            try:
                await retrying(self._session)
            except FeedLostError:
                return
            await self._rest(tenacity.wait_random(0, 1)(None))  # type: ignore[arg-type]  # it asks nothing of its state

    async def _rest(self, seconds: float) -> None:
        await self._clock.wait(self._stop, seconds)

    @staticmethod
    def _delay(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, FeedLostError) and error.refused:
            return REFUSED_DELAY
        return max(0.2, tenacity.wait_random_exponential(multiplier=1, max=LONGEST_DELAY)(state))

    def _before_rest(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        refused = isinstance(error, FeedLostError) and error.refused
        self.state.tries = state.attempt_number
        self.state.last_error = str(error)
        wait = round(state.upcoming_sleep, 1)
        (self._log.error if refused else self._log.warning)(
            "feed_down", source=self._name, error=str(error), tries=state.attempt_number, next_try_in=wait
        )
        now = self._clock.now()
        self._down_since = self._down_since or now
        if (refused or now - self._down_since >= TOLD_AFTER) and not self.told_down:
            self.told_down = True
            what = "is refused" if refused else "is down"
            self._tell(f"feed:{self._name}", f"relay: feed {self._name} {what}", "major", "firing", str(error))

    async def _session(self) -> None:
        """One connection from its handshake to its end. Raises `FeedLostError` where it did not hold."""
        began = self._clock.now()
        try:
            async with connect(
                self._feed.url,
                additional_headers=self._feed.headers,
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
                ended = self._cut or f"closed: {connection.close_code} {connection.close_reason or ''}".strip()
        except InvalidStatus as error:
            status = error.response.status_code
            refused = status in (401, 403, 404)
            raise FeedLostError(f"the handshake was answered {status}", refused=refused) from error
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException, ValueError) as error:
            said = str(error).replace(self._feed.url, self._feed.place)
            raise FeedLostError(f"{type(error).__name__}: {said}") from error
        finally:
            self.state.connected = False
        self.state.last_error = ended
        self._log.warning("feed_closed", source=self._name, detail=ended)
        if not self._stop.is_set() and self._clock.now() - began < HELD:
            raise FeedLostError(ended)

    async def _work(self, connection: ClientConnection) -> None:
        for message in self._feed.send:
            await connection.send(message)
        self.state.connected, self.state.tries = True, 0
        self._down_since, self._cut = None, ""
        self._log.info("feed_connected", source=self._name, url=self._feed.place)
        if self.told_down:
            self.told_down = False
            self._tell(f"feed:{self._name}", f"relay: feed {self._name} is back", "info", "resolved", "")
        self._ended.clear()
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(self._receive(connection))
            tasks.create_task(self._close_on_stop(connection, reading))
            await self._commit_until(reading)

    async def _close_on_stop(self, connection: ClientConnection, reading: asyncio.Task[None]) -> None:
        reading.add_done_callback(lambda _: self._ended.set())
        while not reading.done() and not self._stop.is_set():
            await self._clock.wait(self._ended, None)
        await connection.close()

    async def _receive(self, connection: ClientConnection) -> None:
        """Read frames, no faster than they are committed."""
        try:
            async for frame in connection:
                self._frames.append(frame)
                self._arrived.set()
                while len(self._frames) >= GROUP:
                    self._taken.clear()
                    await self._taken.wait()
        except ConnectionClosed as error:
            self._cut = str(error)
        finally:
            self._arrived.set()

    async def _commit_until(self, reading: asyncio.Task[None]) -> None:
        """Commit what comes, until the reading has ended and nothing is left."""
        while not reading.done() or self._frames:
            self._arrived.clear()
            if not self._frames:
                if not reading.done():
                    await self._arrived.wait()
                continue
            frames, self._frames = self._frames, []
            self._taken.set()
            self.state.last_message_at = self._clock.wall()
            await self._commit(frames)

    async def _commit(self, frames: Sequence[str | bytes]) -> None:
        """Commit a group; a store in trouble is waited out, as a feed can't be asked to say it again."""
        readable: list[tuple[list[Draft], bytes]] = []
        unreadable: list[tuple[str, bytes]] = []
        for frame in frames:
            raw = frame.encode() if isinstance(frame, str) else frame
            try:
                payload = decode_json(raw)
                readable.append((self._feed.read(Request(payload=payload, source=self._name)), raw))
            except (NotJsonError, UnreadableError) as error:
                unreadable.append((str(error), raw))
            except Exception as error:  # noqa: BLE001 - the border around one frame: a bug in a format loses nothing
                unreadable.append((f"bug: {error!r}", raw))
        if readable:
            await self._store(partial(self._intake.accept_frames, self._feed.defaults, readable))
        for detail, raw in unreadable:
            await self._store(partial(self._intake.refuse, self._name, "malformed", detail, raw))

    async def _store(self, write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await write()
            except StoreUnavailableError as error:
                if self._stop.is_set():
                    self._log.error("feed_frames_given_up", source=self._name, error=str(error))
                    return
                self._log.warning("feed_waits_for_store", source=self._name, error=str(error))
                await self._clock.wait(self._stop, STORE_RETRY)
            else:
                return
