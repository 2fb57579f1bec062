"""Staying connected: what feeds share that the relay opens itself."""

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
from relay.ports import Clock, Hears, Log, StoreUnavailableError, Submission, Tell

T = TypeVar("T")

GROUP = 512
"""Frames that are committed together at the most; a connection is not read further before."""
LONGEST_DELAY = 60.0
"""Seconds between two tries to connect, at the most."""
REFUSED_DELAY = 300.0
"""Seconds before another try after the peer has refused us."""
HELD = 30.0
"""Seconds after which an open connection counts as connected though nothing of use has come."""
CUT_SHORT = 3
"""Connections in a row that end sooner, after which an event alone does not make the next one count."""
LOOK = 5.0
"""Seconds between two looks, while a feed is down, at whether its secrets have changed."""
TOLD_AFTER = 120.0
"""Seconds without a connection that counts after which the operator is told."""
STORE_RETRY = 1.0


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


class Staying:
    """Keeps one feed connected for as long as the relay lives, and tells how that goes."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        log: Log,
        tell: Tell,
        hears: Hears,
        redactor: Redactor,
        bucket: TokenBucket | None = None,
        renew: Callable[[], bool] | None = None,
    ) -> None:
        """`redactor` takes secrets out of what the peer says; frames are read no faster than `bucket` says.

        `renew` reads the feed's secrets again, and tells whether one has changed since the last call.
        """
        self.name = name
        self._hears = hears
        self.redactor = redactor
        self._bucket = bucket
        self._renew = renew
        self.state = FeedState()
        self.stopping = asyncio.Event()
        self.told_down = False
        """The operator has been told that the feed is down, by this process or an earlier one."""
        self._clock = clock
        self._log = log
        self._tell = tell
        self._down_since: float | None = None
        self._refusal: str | None = None
        self._opened_at: float | None = None
        self._was_useful = False
        self._cut_short = 0

    def follow(self, before: Staying) -> None:
        """Go on from the feed that had this name before a reload: what was told, and since when it is down."""
        self.told_down, self._down_since = before.told_down, before._down_since
        self.state.last_message_at = before.state.last_message_at

    async def run(self, session: Callable[[], Awaitable[str]]) -> None:
        """Connect for ever, with growing, jittered delays between failures.

        `session` is one connection from its beginning to its end, whose reason it gives; it raises `FeedLostError`.
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
                await retrying(self._held, session)
            except FeedLostError:
                return
            await self._rest(tenacity.wait_random(0, 1)(None))  # type: ignore[arg-type]  # it asks nothing of its state

    async def _held(self, session: Callable[[], Awaitable[str]]) -> None:
        """Run one session. Raises `FeedLostError` where it was refused, or ended before it counted."""
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
        """Tell whether the session that ends here makes the next try a fresh start."""
        held = self._opened_at is not None and self._clock.now() - self._opened_at >= HELD
        trusted = self._was_useful and self._cut_short < CUT_SHORT
        if held:
            self._cut_short = 0
        elif self._was_useful:
            self._cut_short += 1
        return held or trusted

    def opened(self, place: str) -> None:
        """Note that a connection is open; `place` is where to, without secrets.

        It counts at once if nothing was amiss before. Otherwise it must hold, or bring an event: a server may accept
        a connection and drop it at once, time and again.
        """
        self._opened_at = self._clock.now()
        self._log.info("feed_opened", source=self.name, url=place)
        if self._down_since is None and not self.told_down:
            self._connected()

    def refuse(self, detail: str) -> None:
        """Note that the peer has refused us after the handshake."""
        self._refusal = detail

    def _useful(self) -> None:
        """Note that an event has come: the connection counts, unless such ones keep ending soon."""
        self._was_useful = True
        if not self.state.connected and self._cut_short < CUT_SHORT:
            self._connected()

    async def _hold(self) -> None:
        """Have the connection count once it has held for a while."""
        await self._clock.wait(self.stopping, HELD)
        if not self.stopping.is_set() and not self.state.connected:
            self._connected()

    def _connected(self) -> None:
        self.state.connected, self.state.tries = True, 0
        self._down_since = None
        self._log.info("feed_connected", source=self.name)
        if self.told_down:
            self.told_down = False
            self._tell(f"feed:{self.name}", f"relay: feed {self.name} is back", "info", "resolved", "")

    async def _renewed(self) -> bool:
        """Read the feed's secrets again, and tell whether one has changed."""
        return self._renew is not None and await asyncio.to_thread(self._renew)

    async def _rest(self, seconds: float) -> None:
        await self._clock.wait(self.stopping, seconds)

    async def _rest_until_renewed(self, seconds: float) -> None:
        """Wait for the next try, which comes at once where a secret changes."""
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
        self.state.tries = state.attempt_number
        said = self.state.last_error = self.redactor.redact(str(error))
        wait = round(state.upcoming_sleep, 1)
        (self._log.error if refused else self._log.warning)(
            "feed_down", source=self.name, error=said, tries=state.attempt_number, next_try_in=wait
        )
        now = self._clock.now()
        self._down_since = self._down_since or now
        if (refused or now - self._down_since >= TOLD_AFTER) and not self.told_down:
            self.told_down = True
            what = "is refused" if refused else "is down"
            self._tell(f"feed:{self.name}", f"relay: feed {self.name} {what}", "major", "firing", said)

    async def read(self, frames: AsyncIterable[T], commit: Callable[[list[T]], Awaitable[None]]) -> None:
        """Commit what comes in groups, reading no faster than that, until the frames end and nothing is left."""
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
            holding = tasks.create_task(self._hold())
            reading = tasks.create_task(receive())
            reading.add_done_callback(lambda _: holding.cancel())
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
        """The peer has given a sign of life."""
        self.state.last_message_at = self._clock.wall()
        self._hears(self.name)

    async def _slow_down(self, frames: int) -> None:
        """Let the source's rate recover before more is read."""
        if self._bucket is None:
            return
        self._bucket.take(frames)
        while (rest := self._bucket.wait(self._clock.now())) > 0 and not self.stopping.is_set():
            await self._rest(rest)

    async def commit(
        self, intake: Intake, defaults: SourceDefaults, frames: Sequence[str | bytes], read: Callable[[bytes], Frame]
    ) -> None:
        """Commit what can be read of frames, keep what can't. `read` raises `NotJsonError`, `UnreadableError`."""
        readable: list[Submission] = []
        unreadable: list[tuple[str, bytes]] = []
        useful = self._was_useful
        for frame in frames:
            raw = frame.encode() if isinstance(frame, str) else frame
            try:
                given = read(raw)
                if (submission := intake.submission(defaults, given)) is not None:
                    readable.append(submission)
                    useful = useful or is_useful(given.drafts)
            except (NotJsonError, UnreadableError) as error:
                unreadable.append((str(error), raw))
            except Exception as error:  # noqa: BLE001 - the border around one frame: a bug in a format loses nothing
                unreadable.append((f"bug: {error!r}", raw))
        if useful and not self._was_useful:
            self._useful()
        if readable:
            await self.store(partial(intake.accept_frames, self.name, readable))
        for detail, raw in unreadable:
            await self.store(partial(intake.refuse, self.name, "malformed", detail, raw))

    async def store(self, write: Callable[[], Awaitable[None]]) -> bool:
        """Write; a store in trouble is waited out, as a feed can't be asked to say it again. False: a stop cut it."""
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
