"""Staying connected: the part shared by all feeds, whose connections the relay opens itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import tenacity

from relay.core.event import SourceDefaults
from relay.core.rate import TokenBucket
from relay.core.redaction import Redactor
from relay.formats.contract import NotJsonError, UnreadableError, is_useful
from relay.pipeline.intake import Frame, Intake
from relay.ports import Changed, Clock, Hears, Log, StoreUnavailableError, Submission

T = TypeVar("T")

GROUP = 512
"""Frames that are committed together, at most; while so many wait, no more are read."""
LONGEST_DELAY = 60.0
"""Seconds between two attempts to connect, at most."""
REFUSED_DELAY = 300.0
"""Seconds before the next attempt after the peer has refused us."""
STABLE_AFTER = 30.0
"""Seconds after which an open connection counts as connected, even if it has brought no event."""
CUT_SHORT = 3
"""Connections in a row that end sooner; after so many, an event alone does not make the next one count."""
LOOK = 5.0
"""Seconds between two checks, while a feed is down, whether its secrets have changed."""
REPORT_AFTER = 120.0
"""Seconds without a connection that counts after which a feed counts as down."""
STORE_RETRY = 1.0
"""Seconds between two attempts to write while the store is in trouble."""


class FeedState:
    """The state of a feed, for the status and the metrics. Times in Unix seconds."""

    def __init__(self) -> None:
        self.connected = False
        self.last_message_at: float | None = None
        self.last_error: str | None = None
        self.tries = 0
        self.refused = False


class FeedLostError(Exception):
    """A connection could not be made, or ended before it counted. `refused`: the peer refused us."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Staying:
    """Keeps one feed connected until the stop, and reports its state."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        log: Log,
        changed: Changed,
        hears: Hears,
        redactor: Redactor,
        bucket: TokenBucket | None = None,
        renew: Callable[[], bool] | None = None,
    ) -> None:
        """Begin disconnected.

        `redactor` takes secrets out of the peer's reasons; `bucket` limits how fast frames are read. `renew` reads the
        feed's secrets again, and returns whether one has changed since its last call.
        """
        self.name = name
        self._hears = hears
        self.redactor = redactor
        self._bucket = bucket
        self._renew = renew
        self.state = FeedState()
        self.stopping = asyncio.Event()
        self.is_down = False
        """The feed has been down for `REPORT_AFTER`, or is refused, as this process or an earlier one has found."""
        self._clock = clock
        self._log = log
        self._changed = changed
        self._down_since: float | None = None
        self._refusal: str | None = None
        self._opened_at: float | None = None
        self._was_useful = False
        self._cut_short = 0

    def follow(self, before: Staying) -> None:
        """Take over the state of the feed that had this name before a reload: since when it is down."""
        self.is_down, self._down_since = before.is_down, before._down_since
        self.state.last_message_at = before.state.last_message_at

    async def run(self, session: Callable[[], Awaitable[str]]) -> None:
        """Connect again and again until the stop, with growing, jittered delays after failures.

        `session` runs one connection to its end, and returns why it ended. It raises `FeedLostError`.
        """
        while not self.stopping.is_set():
            retrying = tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(FeedLostError),
                wait=self._delay,
                sleep=self._rest_until_renewed,
                before_sleep=self._before_rest,
                stop=lambda _: self.stopping.is_set(),
                reraise=True,
            )
            try:
                await retrying(self._run_session, session)
            except FeedLostError:
                return
            # a server that restarts ends all its connections at once: the jitter spreads those that come back
            await self._rest(tenacity.wait_random(0, 1)(None))  # type: ignore[arg-type]  # it does not use its argument

    async def _run_session(self, session: Callable[[], Awaitable[str]]) -> None:
        """Run one session. Raises `FeedLostError` if it was refused, or ended before it counted."""
        self._refusal, self._opened_at, self._was_useful = None, None, False
        await self._renewed()
        try:
            ended = self.redactor.redact(await session())
        finally:
            counted, self.state.connected = self._counts(), False
        self.state.last_error = ended
        self._log.warning("feed_closed", source=self.name, detail=ended)
        if self._refusal is not None:
            raise FeedLostError(self._refusal, refused=True)
        if not counted and not self.stopping.is_set():
            raise FeedLostError(ended)

    def _counts(self) -> bool:
        """Return whether the session that ends now counted as connected, which resets the delay."""
        stable = self._opened_at is not None and self._clock.now() - self._opened_at >= STABLE_AFTER
        trusted = self._was_useful and self._cut_short < CUT_SHORT
        if stable:
            self._cut_short = 0
        elif self._was_useful:
            self._cut_short += 1
        return stable or trusted

    def opened(self, place: str) -> None:
        """Record that a connection to `place` is open, an address without secrets.

        It counts at once if the feed was not down before. Otherwise it must stay open for `STABLE_AFTER`, or bring an
        event: a server may accept a connection and drop it at once, again and again.
        """
        self._opened_at = self._clock.now()
        self._log.notice("feed_opened", source=self.name, url=place)
        if self._down_since is None and not self.is_down:
            self._connected()

    def refuse(self, detail: str) -> None:
        """Record that the peer has refused us after the handshake."""
        self._refusal = detail

    def _brought_event(self) -> None:
        """Record that an event has arrived. The connection counts, unless the last ones with events ended early."""
        self._was_useful = True
        if not self.state.connected and self._cut_short < CUT_SHORT:
            self._connected()

    async def _count_when_stable(self) -> None:
        """Let the connection count once it has been open for `STABLE_AFTER`."""
        await self._clock.wait(self.stopping, STABLE_AFTER)
        if not self.stopping.is_set() and not self.state.connected:
            self._connected()

    def _connected(self) -> None:
        self.state.connected, self.state.tries = True, 0
        self._down_since = None
        self._log.notice("feed_connected", source=self.name)
        if self.is_down:
            self.is_down = False
            self._changed()

    async def _renewed(self) -> bool:
        """Read the feed's secrets again, and return whether one has changed."""
        return self._renew is not None and await asyncio.to_thread(self._renew)

    async def _rest(self, seconds: float) -> None:
        await self._clock.wait(self.stopping, seconds)

    async def _rest_until_renewed(self, seconds: float) -> None:
        """Wait for the next attempt; end the wait if a secret changes."""
        ends = self._clock.now() + seconds
        while (left := ends - self._clock.now()) > 0 and not self.stopping.is_set():
            await self._rest(left if self._renew is None else min(left, LOOK))
            if await self._renewed():
                return

    @staticmethod
    def _delay(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, FeedLostError) and error.refused:
            return REFUSED_DELAY
        return max(0.2, tenacity.wait_random_exponential(multiplier=1, max=LONGEST_DELAY)(state))

    def _before_rest(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        refused = isinstance(error, FeedLostError) and error.refused
        self.state.tries, self.state.refused = state.attempt_number, refused
        detail = self.state.last_error = self.redactor.redact(str(error))
        wait = round(state.upcoming_sleep, 1)
        (self._log.error if refused else self._log.warning)(
            "feed_down", source=self.name, error=detail, tries=state.attempt_number, next_try_in=wait
        )
        now = self._clock.now()
        self._down_since = self._down_since or now
        if (refused or now - self._down_since >= REPORT_AFTER) and not self.is_down:
            self.is_down = True
            self._changed()

    async def read(self, frames: AsyncIterable[T], commit: Callable[[list[T]], Awaitable[None]]) -> None:
        """Commit frames in groups until they end and none is left. While `GROUP` frames wait, no more are read."""
        waiting: list[T] = []
        arrived, taken = asyncio.Event(), asyncio.Event()

        async def receive() -> None:
            try:
                async for frame in frames:
                    waiting.append(frame)
                    arrived.set()
                    while len(waiting) >= GROUP:
                        taken.clear()
                        await taken.wait()
            finally:
                arrived.set()

        async with asyncio.TaskGroup() as tasks:
            counting = tasks.create_task(self._count_when_stable())
            reading = tasks.create_task(receive())
            reading.add_done_callback(lambda _: counting.cancel())
            while not reading.done() or waiting:
                arrived.clear()
                if not waiting:
                    if not reading.done():
                        await arrived.wait()
                    continue
                group = waiting.copy()
                waiting.clear()
                taken.set()
                self.heard()
                await commit(group)
                await self._slow_down(len(group))

    def heard(self) -> None:
        """Record that the peer has sent something."""
        self.state.last_message_at = self._clock.wall()
        self._hears(self.name)

    async def _slow_down(self, frames: int) -> None:
        """Wait until the source is within its rate again; until then nothing more is read."""
        if self._bucket is None:
            return
        self._bucket.take(frames)
        while (rest := self._bucket.wait(self._clock.now())) > 0 and not self.stopping.is_set():
            await self._rest(rest)

    async def commit(
        self, intake: Intake, defaults: SourceDefaults, frames: Sequence[str | bytes], read: Callable[[bytes], Frame]
    ) -> None:
        """Commit the frames that can be read, and store the others as refused.

        `read` raises `NotJsonError`, `UnreadableError`.
        """
        readable: list[Submission] = []
        unreadable: list[tuple[str, bytes]] = []
        useful = self._was_useful
        for frame in frames:
            raw = frame.encode() if isinstance(frame, str) else frame
            try:
                given = read(raw)
                if (submission := intake.submission(defaults, given)) is not None:
                    readable.append(submission)
                    useful = useful or bool(given.dropped) or is_useful(given.drafts)
            except (NotJsonError, UnreadableError) as error:
                unreadable.append((str(error), raw))
            except Exception as error:  # noqa: BLE001 - the border around one frame: a bug in a format loses nothing
                unreadable.append((f"bug: {error!r}", raw))
        if useful and not self._was_useful:
            self._brought_event()
        if readable:
            await self.store(partial(intake.accept_frames, self.name, readable))
        for detail, raw in unreadable:
            await self.store(partial(intake.refuse, self.name, "malformed", detail, raw))

    async def store(self, write: Callable[[], Awaitable[None]]) -> bool:
        """Write; while the store is in trouble, try again, as a feed can't be asked to repeat. False if a stop came."""
        while True:
            try:
                await write()
            except StoreUnavailableError as error:
                if self.stopping.is_set():
                    self._log.error("feed_frames_given_up", source=self.name, error=str(error))
                    return False
                self._log.warning("feed_waits_for_store", source=self.name, error=str(error))
                await self._clock.wait(self.stopping, STORE_RETRY)
            else:
                return True
